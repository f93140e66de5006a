//! The syncs that the protocol depends on, each called by its name.
//!
//! A name is what the mutation check drops: without the feature `mutants` these functions are the
//! verbs of the disk and nothing else. A sync that is called here needs no other site.
//!
//! Read next: `base/safeguard.rs` (everything else that has a name), `base/mutant.rs` (the names),
//! `journal/tests/mutants.rs`.

use std::ffi::OsStr;

use crate::base::mutant::Safeguard;
use crate::base::safeguard::{perform, perform_or};
use crate::fs::{Dir, Flush, Fs, FsError};

/// As [`Fs::sync_dir`].
pub(crate) fn sync_dir(fs: &dyn Fs, dir: &Dir, named: Safeguard) -> Result<(), FsError> {
    perform(named, || fs.sync_dir(dir))
}

/// As [`Fs::sync_file`].
pub(crate) fn sync_file(
    fs: &dyn Fs,
    at: &Dir,
    name: &OsStr,
    named: Safeguard,
) -> Result<(), FsError> {
    perform(named, || fs.sync_file(at, name))
}

/// As [`Flush::Now`].
pub(crate) fn flush(named: Safeguard) -> Flush {
    perform_or(named, Flush::Later, || Flush::Now)
}
