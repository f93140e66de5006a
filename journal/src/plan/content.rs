//! Where the bytes of planned files come from.
//!
//! Promises that the engine asks for bytes by their digest and never by a place: whoever has them hands them
//! over as bytes, or names an object that can be linked.
//! Does not promise that the bytes are right; `staging/build.rs` and the store check that.
//!
//! Read next: `staging/build.rs`, `store.rs`.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use thiserror::Error;

use crate::base::digest::Digest;
use crate::fs::{Dir, Fs, FsError, Kind, Meta, Time};
use crate::plan::node::{Input, Mode, is_same_mode};

/// Bytes that one planned file may have.
pub const FILE_BYTES_MAX: u64 = 4 << 30;

/// What a planned file asks for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// How many there are.
    pub len: u64,
    /// The mode that the file will have; an object can be linked only if it has the same.
    pub mode: Mode,
    /// The time that the file will have; an object can be linked only if it has the same.
    pub mtime: Option<i64>,
}

/// What a source hands over.
#[derive(Debug)]
pub enum Fetched {
    /// The bytes themselves.
    Bytes(Vec<u8>),
    /// An object that was entered with the wanted bytes, mode and time; whoever links it looks whether it still has them.
    Stored {
        /// The directory that holds it.
        dir: Dir,
        /// Its name there.
        name: OsString,
        /// Whose it must be, and since when its bytes are known; `None` where the source answers for both.
        custody: Option<Custody>,
    },
}

/// Whose an object of a store must be, and up to which change of it its bytes are known.
#[derive(Clone, Debug)]
pub struct Custody {
    /// User and group.
    pub owner: (u32, u32),
    /// Every change up to this time was made by rvenv, or the bytes were hashed after it.
    pub known_until: Time,
    /// Where it is noted that the object was examined and handed out.
    pub examined: Examined,
}

/// One place in the list of the objects that a run examined.
#[derive(Clone, Debug)]
pub struct Examined {
    list: Arc<[AtomicBool]>,
    at: usize,
}

impl Examined {
    /// The place `at` of a list.
    #[must_use]
    pub fn new(list: &Arc<[AtomicBool]>, at: usize) -> Self {
        Self {
            list: Arc::clone(list),
            at,
        }
    }

    fn mark(&self) {
        if let Some(place) = self.list.get(self.at) {
            // Read only after the threads that mark have ended.
            place.store(true, Ordering::Relaxed);
        }
    }
}

/// What one look at an object of a store tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It is as it was entered.
    Whole,
    /// It looks so, and something changed it since its bytes were known: a link, or an edit that set the times back.
    Touched,
    /// It is something else, or gone.
    Other,
}

impl Wanted {
    /// What one look at an object that was entered for this tells.
    pub(crate) fn look(&self, meta: Option<&Meta>, custody: Option<&Custody>) -> Look {
        let Some(meta) = meta else {
            return Look::Other;
        };
        let is_of_time = |seconds| meta.mtime.seconds == seconds && meta.mtime.nanos == 0;
        let is_of_owner = |custody: &Custody| custody.owner == (meta.owner, meta.group);
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

    /// What an object is, if it may be handed out: one that something touched is hashed first.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn met(
        &self,
        fs: &dyn Fs,
        at: (&Dir, &OsStr),
        custody: Option<&Custody>,
    ) -> Result<Option<Meta>, FsError> {
        let meta = fs.meta(at.0, at.1)?;
        let is_met = match self.look(meta.as_ref(), custody) {
            Look::Whole => true,
            Look::Touched => fs.digest_file(at.0, at.1)? == self.digest,
            Look::Other => false,
        };
        if let Some(custody) = custody.filter(|_| is_met) {
            custody.examined.mark();
        }
        Ok(meta.filter(|_| is_met))
    }
}

/// Why a source has nothing to hand over.
#[derive(Debug, Error)]
pub enum ContentError {
    /// Nobody has such bytes.
    #[error("no wheel or store has the content {0}")]
    Unknown(Digest),
    /// The bytes are there and are not what their digest says.
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
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + std::marker::Sync>,
    },
}

/// Hands over the bytes of planned files.
pub trait ContentSource {
    /// The content of a planned file.
    ///
    /// # Errors
    /// When nobody has it, or it cannot be read.
    fn fetch(&self, wanted: &Wanted) -> Result<Fetched, ContentError>;

    /// The same content again, when the object that [`fetch`](Self::fetch) named is gone, since somebody cleared the
    /// store, or was edited through another of its names.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch); by default nobody has it.
    fn fetch_bytes(&self, wanted: &Wanted) -> Result<Vec<u8>, ContentError> {
        Err(ContentError::Unknown(wanted.digest))
    }

    /// Whether an input of the plan is still what the plan was made from.
    ///
    /// A source that knows the file by its identity may answer without reading it.
    ///
    /// # Errors
    /// When the file cannot be read.
    fn is_current(&self, fs: &dyn Fs, input: &Input) -> Result<bool, FsError> {
        let (digest, len) = fs.digest_path(Path::new(&input.path))?;
        Ok(digest == input.digest && len == input.len)
    }
}

/// A source for plans that carry all their bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoContent;

impl ContentSource for NoContent {
    fn fetch(&self, wanted: &Wanted) -> Result<Fetched, ContentError> {
        Err(ContentError::Unknown(wanted.digest))
    }
}
