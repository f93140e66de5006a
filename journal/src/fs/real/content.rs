//! The content of regular files that are open already: the same on every system.
//!
//! Promises that no more is read than the caller allows, even if the file grows meanwhile, and that
//! only regular files are read.
//! Does not promise a consistent snapshot of content that changes while it is read.
//! Read next: `unix.rs`, `windows.rs`, which open the files.

use std::fs::File;
use std::io::{self, Read, Write as _};

use crate::base::digest::{Digest, Hasher};

/// The most bytes that [`digest`] and [`copy`] read at a time.
const PIECE_LEN_MAX: u64 = 128 * 1024;

/// Returns an open file if it is a regular one.
pub(super) fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(not_regular())
}

/// The error of a call that needs a regular file and found something else.
pub(super) fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")
}

/// Reads all of a regular file of at most `len_max` bytes.
pub(super) fn read_bounded(file: File, len_max: u64) -> io::Result<Vec<u8>> {
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(not_regular());
    }
    if found.len() > len_max {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).map_err(|_| too_large())?);
    // The file may grow while it is read, so the limit applies to the bytes read, not to the
    // reported length.
    file.take(len_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > len_max {
        return Err(too_large());
    }
    Ok(bytes)
}

/// Wraps a regular file of at most `len_max` bytes, to be read in pieces.
pub(super) fn bounded(file: File, len_max: u64) -> io::Result<Box<dyn Read>> {
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(not_regular());
    }
    if found.len() > len_max {
        return Err(too_large());
    }
    Ok(Box::new(Bounded {
        file,
        left: len_max,
    }))
}

/// A file of which at most `left` more bytes are read.
struct Bounded {
    file: File,
    left: u64,
}

impl Read for Bounded {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(piece)?;
        // The file may grow while it is read.
        self.left = self.left.checked_sub(read as u64).ok_or_else(too_large)?;
        Ok(read)
    }
}

/// The digest of a regular file's whole content.
pub(super) fn digest(file: File) -> io::Result<Digest> {
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(not_regular());
    }
    let mut file = file;
    let mut hasher = Hasher::default();
    // One byte more than the file has, so that a small file is read in one call and the next one
    // reports its end.
    let len = found.len().saturating_add(1).min(PIECE_LEN_MAX);
    let mut piece = vec![0; usize::try_from(len).map_err(|_| too_large())?];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(len) => hasher.update(piece.get(..len).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes all that a reader has, in pieces.
pub(super) fn copy(from: &mut dyn Read, to: &mut File) -> io::Result<()> {
    let mut piece = vec![0; usize::try_from(PIECE_LEN_MAX).map_err(|_| too_large())?];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(len) => to.write_all(piece.get(..len).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn too_large() -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        "it is longer than what may be read here",
    )
}
