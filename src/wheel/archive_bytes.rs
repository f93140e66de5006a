//! The bytes of an archive: in memory, or in a file that stays open.
//!
//! Promises that reading needs memory for a buffer only, and that the digest is that of the open
//! file, whatever its name refers to later. Does not promise that another process leaves the file
//! alone: [`ArchiveBytes::is_unchanged`] notices it after the fact, as far as the times of the file
//! tell, and members are compared with RECORD.
//!
//! Read next: `archive.rs`, which reads a zip archive in these bytes.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};

use rvenv_journal::Digest;
use rvenv_journal::raw::Hasher;

const CHUNK_BYTES: usize = 64 << 10;

/// The bytes of an archive.
pub(super) enum ArchiveBytes {
    /// In memory.
    Memory(Vec<u8>),
    /// In a file.
    File {
        /// The open file.
        file: File,
        /// What the system says about it.
        meta: Metadata,
    },
}

/// A reader with a position of its own.
pub(super) struct At<'a> {
    bytes: &'a ArchiveBytes,
    position: u64,
}

impl ArchiveBytes {
    /// The bytes of an open file.
    pub(super) fn of_file(file: File) -> io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Self::File { file, meta })
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { meta, .. } => meta.len(),
        }
    }

    /// A reader that begins at the first byte.
    pub(super) fn reader(&self) -> At<'_> {
        At {
            bytes: self,
            position: 0,
        }
    }

    /// The digest of all of them.
    pub(super) fn digest(&self) -> io::Result<Digest> {
        let (mut reader, mut state) = (self.reader(), Hasher::default());
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            match reader.read(&mut chunk) {
                Ok(0) => break,
                Ok(len) => state.update(chunk.get(..len).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(state.finish())
    }

    /// Whether the file is as it was when it was opened.
    pub(super) fn is_unchanged(&self) -> bool {
        match self {
            Self::Memory(_) => true,
            Self::File { file, meta } => file.metadata().is_ok_and(|now| are_equal(&now, meta)),
        }
    }

    fn read_at(&self, out: &mut [u8], position: u64) -> io::Result<usize> {
        match self {
            Self::Memory(bytes) => {
                let start = usize::try_from(position).unwrap_or(usize::MAX);
                let mut rest = bytes.get(start..).unwrap_or_default();
                rest.read(out)
            }
            Self::File { file, .. } => read_file_at(file, out, position),
        }
    }
}

impl Read for At<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = self.bytes.read_at(out, self.position)?;
        self.position += len as u64;
        Ok(len)
    }
}

impl Seek for At<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.bytes.len().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

#[cfg(unix)]
fn read_file_at(file: &File, out: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, out, position)
}

#[cfg(windows)]
fn read_file_at(file: &File, out: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, out, position)
}

#[cfg(unix)]
fn are_equal(now: &Metadata, before: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let facts = |meta: &Metadata| (meta.len(), meta.mtime(), meta.mtime_nsec(), meta.ctime());
    facts(now) == facts(before) && now.ctime_nsec() == before.ctime_nsec()
}

#[cfg(not(unix))]
fn are_equal(now: &Metadata, before: &Metadata) -> bool {
    now.len() == before.len() && now.modified().ok() == before.modified().ok()
}
