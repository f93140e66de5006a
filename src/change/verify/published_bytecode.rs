//! Published bytecode that is no longer as it was published.
//!
//! Promises that bytecode which somebody deleted, or which Python wrote anew because it had to, is no drift: nothing that
//! is imported differs by it. Python says in the file for which time and size of the source it wrote it, and writes it
//! later than that; what claims to be for this source and is as old as what was published is damage.
//! Does not tell what Python wrote from what somebody forged to look so.
//!
//! Read next: `receipt_paths.rs`, which asks.

use std::ffi::OsStr;

use rvenv_journal::Fs;
use rvenv_journal::fs::{Dir, FsError, Kind, Meta};

use crate::python::bytecode::header;

use super::open_within::{Sight, Within};

/// Bytes of bytecode that are read; more than any file has.
const BYTES_MAX: u64 = 256 << 20;

/// Whether Python may have written this file of bytecode for the source that lies beside it.
pub(super) fn is_rewritten(
    fs: &dyn Fs,
    within: &mut Within<'_>,
    path: &str,
    (dir, meta): (&Dir, &Meta),
) -> Result<bool, FsError> {
    let Some(source) = header::source_of(path) else {
        return Ok(false);
    };
    let name = OsStr::new(path.rsplit('/').next().unwrap_or(path));
    let bytes = fs.read_file(dir, name, BYTES_MAX)?;
    let Sight::There(_, _, source) = within.look(&source)? else {
        return Ok(false);
    };
    let own = (
        header::low(source.mtime.seconds.to_le_bytes()),
        header::low(source.len.to_le_bytes()),
    );
    let time = |of: &Meta| (of.mtime.seconds, of.mtime.nanos);
    let is_later = time(meta) > time(&source);
    Ok(source.kind == Kind::File && is_later && header::claims(&bytes).any(|of| of == own))
}
