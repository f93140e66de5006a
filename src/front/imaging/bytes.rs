//! The bytes of planned files, each checked against the plan.
//!
//! Promises that whatever is passed on has the planned length and digest when a call returns
//! without an error, and that a long file is passed on in pieces.
//!
//! Read next: `../../change/provision.rs`, which has the bytes.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rvenv_journal::raw::{FILE_BYTES_MAX, Hasher, PourError, WHOLE_BYTES_MAX};
use rvenv_journal::{
    Content, ContentError, ContentSource as _, Fetched, Fs, Mode, RelPath, Wanted,
};

use super::ImageFailed;
use crate::base::regular_file;
use crate::change::provision::Provision;

/// Where the bytes of an environment are.
pub(super) struct Bytes<'a> {
    pub(super) fs: &'a dyn Fs,
    pub(super) source: Provision<'a>,
    pub(super) interrupted: &'a dyn Fn() -> bool,
}

/// A planned file.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlannedFile<'t> {
    pub(super) path: &'t RelPath,
    pub(super) mode: Mode,
    pub(super) mtime: Option<i64>,
    pub(super) content: &'t Content,
}

/// What takes the bytes of a file; its error is one of the disk.
pub(super) type Take<'t> = dyn FnMut(&mut dyn Read) -> Result<(), ImageFailed> + 't;

impl Bytes<'_> {
    /// Passes a reader of the file's bytes to `take`, once, which reads it to its end.
    pub(super) fn pass(
        &self,
        file: &PlannedFile<'_>,
        take: &mut Take<'_>,
    ) -> Result<(), ImageFailed> {
        if (self.interrupted)() {
            return Err(ImageFailed::Interrupted);
        }
        let (digest, len) = match file.content {
            Content::Inline(bytes) => return take(&mut bytes.as_slice()),
            Content::Local { path, .. } => {
                let opened = regular_file::open(Path::new(path));
                let mut opened: File = opened.map_err(|source| {
                    file.failed(ContentError::Read {
                        what: path.clone(),
                        source: source.into(),
                    })
                })?;
                return self.checked(file, &mut opened, take);
            }
            Content::Object { digest, len } => (*digest, *len),
        };
        let wanted = Wanted {
            digest,
            len,
            mode: file.mode,
            mtime: file.mtime,
        };
        let fetched = self.source.fetch(&wanted);
        let stored = match fetched.map_err(|why| file.failed(why))? {
            Fetched::Bytes(bytes) => return self.checked(file, &mut bytes.as_slice(), take),
            Fetched::Pieces => return self.pieces(file, &wanted, take),
            Fetched::Stored { dir, name, .. } => (dir, name),
        };
        let (dir, name) = stored;
        // Another process may have edited it through a link, or cleared the store.
        if matches!(self.fs.digest_file(&dir, &name), Ok(found) if found == digest)
            && let Ok(mut opened) = self.fs.open_file(&dir, &name, FILE_BYTES_MAX)
        {
            return self.checked(file, &mut opened, take);
        }
        if len > WHOLE_BYTES_MAX {
            return self.pieces(file, &wanted, take);
        }
        let bytes = self.source.fetch_bytes(&wanted);
        let bytes = bytes.map_err(|why| file.failed(why))?;
        self.checked(file, &mut bytes.as_slice(), take)
    }

    fn pieces(
        &self,
        file: &PlannedFile<'_>,
        wanted: &Wanted,
        take: &mut Take<'_>,
    ) -> Result<(), ImageFailed> {
        let mut passed = Ok(());
        let poured = self.source.pour(wanted, &mut |reader| {
            passed = self.checked(file, reader, take);
            Ok(())
        });
        passed?;
        match poured {
            Ok(()) => Ok(()),
            Err(PourError::Content(why)) => Err(file.failed(why)),
            Err(PourError::Disk(error)) => Err(file.failed(ContentError::Read {
                what: file.path.to_string(),
                source: error.into(),
            })),
        }
    }

    /// Passes on what a reader has, and compares it with the plan.
    fn checked(
        &self,
        file: &PlannedFile<'_>,
        reader: &mut dyn Read,
        take: &mut Take<'_>,
    ) -> Result<(), ImageFailed> {
        let mut hashed = Hashed {
            reader,
            interrupted: self.interrupted,
            hasher: Hasher::default(),
            len: 0,
            failed: None,
        };
        let taken = take(&mut hashed);
        let what = || file.path.to_string();
        if let Some(why) = hashed.failed {
            return Err(file.failed(ContentError::Read {
                what: what(),
                source: why.into(),
            }));
        }
        taken?;
        if hashed.len != file.content.len() || hashed.hasher.finish() != file.content.digest() {
            return Err(file.failed(ContentError::Damaged { what: what() }));
        }
        Ok(())
    }
}

impl PlannedFile<'_> {
    fn failed(&self, source: ContentError) -> ImageFailed {
        ImageFailed::Content {
            path: self.path.clone(),
            source,
        }
    }
}

/// Hashes what is read, and keeps what the reader reports.
struct Hashed<'a> {
    reader: &'a mut dyn Read,
    interrupted: &'a dyn Fn() -> bool,
    hasher: Hasher,
    len: u64,
    failed: Option<String>,
}

impl Read for Hashed<'_> {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        if (self.interrupted)() {
            // Not of the kind `Interrupted`, after which the read would be tried again.
            return Err(io::Error::other("interrupted"));
        }
        let len = self.reader.read(piece).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.failed = Some(error.to_string());
            }
        })?;
        self.hasher.update(piece.get(..len).unwrap_or_default());
        self.len += len as u64;
        Ok(len)
    }
}
