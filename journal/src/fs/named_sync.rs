//! The syncs that the protocol depends on, each called by its name.
//!
//! A name is what the mutation check drops: without the feature `mutants` these functions are the
//! verbs of the disk and nothing else. A sync that is called here needs no other site.
//!
//! Read next: `base/mutant.rs` (the names), `journal/tests/mutants.rs`.

use std::ffi::OsStr;

use crate::base::mutant::{self, Site};
use crate::fs::{Dir, Flush, Fs, FsError};

/// As [`Fs::sync_dir`].
pub(crate) fn sync_dir(fs: &dyn Fs, dir: &Dir, named: Site) -> Result<(), FsError> {
    unless_dropped(named, || fs.sync_dir(dir))
}

/// As [`Fs::sync_file`].
pub(crate) fn sync_file(fs: &dyn Fs, at: &Dir, name: &OsStr, named: Site) -> Result<(), FsError> {
    unless_dropped(named, || fs.sync_file(at, name))
}

/// As [`Flush::Now`].
pub(crate) fn flush(named: Site) -> Flush {
    if mutant::drops(named) {
        Flush::Later
    } else {
        Flush::Now
    }
}

/// Several syncs that have one name.
pub(crate) fn unless_dropped<E>(
    named: Site,
    sync: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    if mutant::drops(named) {
        return Ok(());
    }
    sync()
}
