//! The content of regular files that are open already: the same on every system.
//!
//! Promises that no more is read than the caller allowed, even if the file grows meanwhile, and that what is no
//! regular file is never read. Does not promise that content which changes while it is read is of one moment.
//! Read next: `unix.rs`, `windows.rs`, which open the files.

use std::fs::File;
use std::io::{self, Read};

use crate::base::digest::{Digest, Hasher};

/// Bytes that [`digest`] reads at most at a time.
const PIECE_LEN_MAX: u64 = 128 * 1024;

/// A file that is open, if it is a regular one.
pub(super) fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(not_regular())
}

/// What a verb for regular files says of anything else.
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
    // The file may grow while it is read, so the limit holds for what comes, not for what was announced.
    file.take(len_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > len_max {
        return Err(too_large());
    }
    Ok(bytes)
}

/// A regular file of at most `len_max` bytes, to be read in pieces.
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

/// A file of which no more than so many bytes are read.
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

/// The digest of all of a regular file.
pub(super) fn digest(file: File) -> io::Result<Digest> {
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(not_regular());
    }
    let mut file = file;
    let mut hasher = Hasher::default();
    // One more than there are, so that the end of a small file is seen with its last bytes still to come.
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

fn too_large() -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        "it is longer than what may be read here",
    )
}
