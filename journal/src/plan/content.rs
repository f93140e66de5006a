//! Where the bytes of planned files come from.
//!
//! Promises that the engine requests bytes by their digest, never by a path: a source returns the
//! bytes, or names an object that can be linked.
//! Does not promise that the bytes are right; `staging/build.rs` and the store check that.
//!
//! Read next: `staging/build.rs`, `store.rs`.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use thiserror::Error;

use crate::base::digest::Digest;
use crate::fs::{Dir, Fs, FsError, Kind, Meta, NameInDir, Time};
use crate::plan::node::{Input, Mode, is_same_mode};

/// Maximum length of one planned file in bytes.
pub const FILE_BYTES_MAX: u64 = 4 << 30;

/// A longer file is never in memory as a whole, but in pieces.
pub const WHOLE_BYTES_MAX: u64 = 1 << 20;

/// What a planned file needs.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// The number of bytes.
    pub len: u64,
    /// The mode that the file will have; an object can be linked only if it has the same mode.
    pub mode: Mode,
    /// The modification time that the file will have; an object can be linked only if it has the
    /// same time.
    pub mtime: Option<i64>,
}

/// What a source returns.
#[derive(Debug)]
pub enum Fetched {
    /// The bytes themselves.
    Bytes(Vec<u8>),
    /// Too many bytes for memory: [`ContentSource::pour`] gives them in pieces.
    Pieces,
    /// An object that was entered with the wanted bytes, mode and time; the caller that links it
    /// checks whether it still has them.
    Stored {
        /// The directory that contains it.
        dir: Dir,
        /// Its name there.
        name: OsString,
        /// Its required owner, and since when its bytes are known; `None` if the source guarantees
        /// both.
        custody: Option<Custody>,
    },
}

/// Which owner an object of a store must have, and up to which change of it its bytes are known.
#[derive(Clone, Debug)]
pub struct Custody {
    /// The user and the group that own it.
    pub owner: Owner,
    /// rvenv made every change up to this time, or hashed the bytes after it.
    pub known_until: Time,
    /// Where to note that the object was examined and handed out.
    pub examined: Examined,
}

/// Who owns an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user id.
    pub user: u32,
    /// The group id.
    pub group: u32,
}

impl Owner {
    /// The owner of the object with this metadata.
    #[must_use]
    pub fn of(meta: &Meta) -> Self {
        Self {
            user: meta.owner,
            group: meta.group,
        }
    }
}

/// One entry in the list of the objects that a run examined.
#[derive(Clone, Debug)]
pub struct Examined {
    list: Arc<[AtomicBool]>,
    at: usize,
}

impl Examined {
    /// The entry at index `at` of a list.
    #[must_use]
    pub fn new(list: &Arc<[AtomicBool]>, at: usize) -> Self {
        Self {
            list: Arc::clone(list),
            at,
        }
    }

    fn mark(&self) {
        if let Some(place) = self.list.get(self.at) {
            // It is read only after the threads that mark have ended.
            place.store(true, Ordering::Relaxed);
        }
    }
}

/// What the metadata of an object of a store shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It is as it was entered.
    Whole,
    /// It looks as it was entered, but something changed it since its bytes were known: a link, or
    /// an edit that restored the times.
    Touched,
    /// It is another object, or gone.
    Other,
}

impl Wanted {
    /// Compares an object's metadata with what is wanted.
    pub(crate) fn look(&self, meta: Option<&Meta>, custody: Option<&Custody>) -> Look {
        let Some(meta) = meta else {
            return Look::Other;
        };
        let is_of_time = |seconds| meta.mtime.seconds == seconds && meta.mtime.nanos == 0;
        let is_of_owner = |custody: &Custody| custody.owner == Owner::of(meta);
        let is_met = meta.kind == Kind::File
            && meta.len == self.len
            && is_same_mode(self.mode.bits(), meta.mode)
            && self.mtime.is_none_or(is_of_time)
            && custody.is_none_or(is_of_owner);
        match custody {
            _ if !is_met => Look::Other,
            Some(custody) if meta.ctime > custody.known_until => Look::Touched,
            Some(_) | None => Look::Whole,
        }
    }

    /// The metadata of an object, if it may be handed out; an object that something touched is
    /// hashed first.
    ///
    /// # Errors
    /// The error of the disk.
    pub(crate) fn met(
        &self,
        fs: &dyn Fs,
        at: NameInDir<'_>,
        custody: Option<&Custody>,
    ) -> Result<Option<Meta>, FsError> {
        let meta = fs.meta(at.dir, at.name)?;
        let is_met = match self.look(meta.as_ref(), custody) {
            Look::Whole => true,
            Look::Touched => fs.digest_file(at.dir, at.name)? == self.digest,
            Look::Other => false,
        };
        if let Some(custody) = custody.filter(|_| is_met) {
            custody.examined.mark();
        }
        Ok(meta.filter(|_| is_met))
    }
}

/// Why a source has nothing to return.
#[derive(Debug, Error)]
pub enum ContentError {
    /// No source has such bytes.
    #[error("no wheel or store has the content {0}")]
    Unknown(Digest),
    /// The bytes exist but do not match their digest.
    #[error("`{what}` is damaged: its content is not what was recorded")]
    Damaged {
        /// What is damaged.
        what: String,
    },
    /// The bytes could not be read.
    #[error("cannot read `{what}`")]
    Read {
        /// What could not be read.
        what: String,
        /// Why it could not be read.
        #[source]
        source: Box<dyn std::error::Error + Send + std::marker::Sync>,
    },
}

/// Writes what a reader has.
pub type WriteContent<'a> = dyn FnMut(&mut dyn Read) -> Result<(), FsError> + 'a;

/// Why content was not written in pieces.
#[derive(Debug, Error)]
pub enum PourError {
    /// There is none, or it cannot be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// It cannot be written.
    #[error(transparent)]
    Disk(#[from] FsError),
}

/// Returns the bytes of planned files.
pub trait ContentSource {
    /// The content of a planned file.
    ///
    /// # Errors
    /// If no source has it, or it cannot be read.
    fn fetch(&self, wanted: &Wanted) -> Result<Fetched, ContentError>;

    /// The same content again, if the object that [`fetch`](Self::fetch) named is gone because
    /// another process cleared the store, or was edited through another of its names.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch); by default the content is unknown.
    fn fetch_bytes(&self, wanted: &Wanted) -> Result<Vec<u8>, ContentError> {
        Err(ContentError::Unknown(wanted.digest))
    }

    /// The same content in pieces: passes a reader to `write`, once, which reads it to its end.
    ///
    /// Called for [`Fetched::Pieces`], and in place of [`fetch_bytes`](Self::fetch_bytes) for a
    /// long file. By default, one reader of all bytes.
    ///
    /// # Errors
    /// As [`fetch_bytes`](Self::fetch_bytes), or the error of `write`.
    fn pour(&self, wanted: &Wanted, write: &mut WriteContent<'_>) -> Result<(), PourError> {
        let bytes = self.fetch_bytes(wanted)?;
        Ok(write(&mut bytes.as_slice())?)
    }

    /// Whether an input of the plan still has the content that the plan was made from.
    ///
    /// A source that knows the file by its identity may answer without reading it.
    ///
    /// # Errors
    /// If the file cannot be read.
    fn is_current(&self, fs: &dyn Fs, input: &Input) -> Result<bool, FsError> {
        let (digest, len) = fs.digest_path(Path::new(input.file()))?;
        Ok(digest == input.digest && len == input.len)
    }
}

/// A source for plans that contain all their bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoContent;

impl ContentSource for NoContent {
    fn fetch(&self, wanted: &Wanted) -> Result<Fetched, ContentError> {
        Err(ContentError::Unknown(wanted.digest))
    }
}
