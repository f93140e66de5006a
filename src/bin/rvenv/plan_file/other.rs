//! Plan files on systems without owners and named pipes: files and devices.
//!
//! Promises what `../plan_file.rs` does, except that a signal ends a wait.
//! Read next: that file.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Read, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

use super::{Document, Out, STANDARD, push};
use crate::signals::Signals;

pub(super) fn place(given: &Path) -> io::Result<Out> {
    let meta = match fs::metadata(given) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let at = given.to_owned();
            return Ok(Out::File { at, old: None });
        }
        Err(error) => return Err(error),
    };
    if meta.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !meta.is_file() {
        return Ok(Out::Stream(given.to_owned()));
    }
    let at = fs::canonicalize(given)?;
    let old = Some(meta);
    Ok(Out::File { at, old })
}

/// Creates the temporary file that becomes the plan.
pub(super) fn temporary(above: &Path) -> io::Result<NamedTempFile> {
    NamedTempFile::new_in(above)
}

/// Here a rename is durable with the file, as far as the system lets a program control it.
#[expect(clippy::unnecessary_wraps, reason = "one interface for all systems")]
pub(super) fn sync_directory(_above: &Path) -> io::Result<()> {
    Ok(())
}

/// Copies the permissions of the old file; refuses to replace one that must not be written.
pub(super) fn take_after(new: &File, _at: &Path, old: &Metadata) -> io::Result<()> {
    if old.permissions().readonly() {
        return Err(ErrorKind::PermissionDenied.into());
    }
    new.set_permissions(old.permissions())
}

/// Writes into a device.
pub(super) fn write_into(document: Document<'_>, at: &Path, _signals: &Signals) -> io::Result<()> {
    let mut stream = BufWriter::new(OpenOptions::new().write(true).open(at)?);
    document.write(&mut stream)?;
    stream.flush()
}

/// Reads a plan from a file or standard input.
pub(super) fn read(
    given: &Path,
    _signals: &Signals,
    _waits: &mut dyn FnMut(),
) -> io::Result<Vec<u8>> {
    let mut file: Box<dyn Read> = if given.as_os_str() == STANDARD {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(given)?)
    };
    let mut bytes = Vec::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(bytes),
            Ok(len) => push(&mut bytes, piece.get(..len).unwrap_or_default())?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
