//! Long files: written into the stage in pieces, and hashed meanwhile.
//!
//! Promises that a file whose bytes do not have the planned length and digest is an error, and that
//! no more than one piece is in memory. On disk: the file; a wrong one stays in the stage, which is
//! given up then.
//!
//! Read next: `build.rs`, which uses this for what [`WHOLE_BYTES_MAX`] excludes from memory.

use std::io::{self, Read};

use crate::base::digest::Hasher;
use crate::base::path::RelPath;
use crate::fs::error_place::DiskError as _;
use crate::fs::{Flush, Fs, FsError, NameInDir, NewFile};
use crate::plan::content::{
    ContentError, ContentSource, FILE_BYTES_MAX, PourError, WHOLE_BYTES_MAX, Wanted,
};
use crate::staging::error::{StageError, content_error};

/// Whether a file is written in pieces.
pub(super) fn is_long(wanted: &Wanted) -> bool {
    wanted.len > WHOLE_BYTES_MAX
}

/// Copies an object of the store.
pub(super) fn copy(
    fs: &dyn Fs,
    from: NameInDir<'_>,
    at: NameInDir<'_>,
    path: &RelPath,
    wanted: &Wanted,
) -> Result<(), StageError> {
    let disk = StageError::disk(path.as_str());
    let reader = fs.open_file(from.dir, from.name, FILE_BYTES_MAX);
    let written = reader.and_then(|mut reader| write(fs, at, wanted, &mut reader));
    checked(written.map_err(disk)?, path)
}

/// Writes what a source has.
pub(super) fn pour(
    fs: &dyn Fs,
    content: &dyn ContentSource,
    at: NameInDir<'_>,
    path: &RelPath,
    wanted: &Wanted,
) -> Result<(), StageError> {
    let mut is_right = false;
    let poured = content.pour(wanted, &mut |reader| {
        is_right = write(fs, at, wanted, reader)?;
        Ok(())
    });
    match poured {
        Ok(()) => checked(is_right, path),
        Err(PourError::Content(source)) => Err(content_error(path, source)),
        Err(PourError::Disk(source)) => Err(StageError::disk(path.as_str())(source)),
    }
}

/// Writes one file; returns whether its bytes are the wanted ones.
fn write(
    fs: &dyn Fs,
    at: NameInDir<'_>,
    wanted: &Wanted,
    reader: &mut dyn Read,
) -> Result<bool, FsError> {
    let file = NewFile {
        mode: wanted.mode.bits(),
        mtime: wanted.mtime,
        bytes: &[],
        flush: Flush::Later,
    };
    let mut hashed = Hashed {
        reader,
        hasher: Hasher::default(),
        len: 0,
    };
    fs.write_from(at.dir, at.name, &file, &mut hashed)?;
    Ok(hashed.len == wanted.len && hashed.hasher.finish() == wanted.digest)
}

fn checked(is_right: bool, path: &RelPath) -> Result<(), StageError> {
    let what = path.to_string();
    let damaged = || content_error(path, ContentError::Damaged { what });
    is_right.then_some(()).ok_or_else(damaged)
}

/// Hashes what is read.
struct Hashed<'a> {
    reader: &'a mut dyn Read,
    hasher: Hasher,
    len: u64,
}

impl Read for Hashed<'_> {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        let len = self.reader.read(piece)?;
        self.hasher.update(piece.get(..len).unwrap_or_default());
        self.len += len as u64;
        Ok(len)
    }
}
