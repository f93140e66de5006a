//! Published bytecode that has changed since.
//!
//! Promises that bytecode which was deleted, or which Python had to write anew, is no drift:
//! nothing that is imported differs because of it. Python records the source's time and size in the
//! file, and writes it later than the source. A file that claims to belong to this source but is
//! not newer than the source is damage. Cannot distinguish what Python wrote from a forgery that
//! looks the same.
//!
//! Read next: `receipt_paths.rs`, which uses this.

use std::ffi::OsStr;

use rvenv_journal::Fs;
use rvenv_journal::fs::{Dir, FsError, Kind, Meta};

use crate::python::bytecode::header::{BYTES_MAX, SourceStamp, claims};
use crate::python::bytecode::path::source_of;

use super::open_within::{Sight, Within};

/// Whether Python may have written this bytecode file for the source beside it.
pub(super) fn is_rewritten(
    fs: &dyn Fs,
    within: &mut Within<'_>,
    path: &str,
    dir: &Dir,
    meta: &Meta,
) -> Result<bool, FsError> {
    let Some(source) = source_of(path) else {
        return Ok(false);
    };
    let name = OsStr::new(path.rsplit('/').next().unwrap_or(path));
    let bytes = fs.read_file(dir, name, BYTES_MAX)?;
    let Sight::There(_, _, source) = within.look(&source)? else {
        return Ok(false);
    };
    let own = SourceStamp::of(source.mtime.seconds, source.len);
    let time = |of: &Meta| (of.mtime.seconds, of.mtime.nanos);
    let is_later = time(meta) > time(&source);
    Ok(source.kind == Kind::File && is_later && claims(&bytes).any(|of| of == own))
}
