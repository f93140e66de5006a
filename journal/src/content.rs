//! Where the bytes of planned files come from.
//!
//! Promises that the engine asks for bytes by their digest and never by a place: whoever has them hands them
//! over as bytes, or names an object that can be linked.
//! Does not promise that the bytes are right; `stage.rs` and the store check that.
//!
//! Read next: `stage.rs`, `store.rs`.

use std::ffi::OsString;
use std::path::Path;

use thiserror::Error;

use crate::digest::Digest;
use crate::fs::{Dir, Fs, FsError, Kind, Meta};
use crate::node::{Input, Mode, is_same_mode};

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
    },
}

impl Wanted {
    /// Whether an object that was entered for this is still as it was, as far as one look can tell.
    pub(crate) fn is_met_by(&self, meta: Option<&Meta>) -> bool {
        meta.is_some_and(|meta| {
            let is_of_time = |seconds| meta.mtime.seconds == seconds && meta.mtime.nanos == 0;
            meta.kind == Kind::File
                && meta.len == self.len
                && is_same_mode(self.mode.bits(), meta.mode)
                && self.mtime.is_none_or(is_of_time)
        })
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
