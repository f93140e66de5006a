//! The end of a publication as a value, and why a publication could not be ended.
//!
//! Read next: `settle.rs`.

use thiserror::Error;

use crate::base::path::RelPath;
use crate::fs::FsError;
use crate::fs::remove::Leftovers;

/// How a publication ended.
#[derive(Debug, Default)]
pub struct Ending {
    /// The generation that now contains what was replaced, or what was changed after it was
    /// published.
    pub kept: Option<Kept>,
    /// What could not be deleted.
    pub leftovers: Leftovers,
    /// Directories of the target that are not planned, and that remain although they are now empty.
    pub emptied: Vec<RelPath>,
}

/// A tree that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its number.
    pub generation: u32,
    /// Its name in the transaction directory: beside the target, or in the engine's directory
    /// inside it.
    pub name: String,
    /// Why it was not deleted.
    pub why: WhyKept,
}

/// Why a tree was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyKept {
    /// The caller requested it.
    Asked,
    /// It was changed after it was published.
    Changed,
    /// Without birth times nothing proves that it is what the journal means.
    Uncertain,
}

/// Why a publication could not be ended.
#[derive(Debug, Error)]
pub enum EndError {
    /// A call of the disk failed; the journal remains, and the next run continues.
    #[error("cannot {what}")]
    Disk {
        /// What was to be done.
        what: &'static str,
        /// Why.
        #[source]
        source: FsError,
    },
    /// The decision could not be recorded; the next run decides.
    #[error("cannot record the decision")]
    Undecided(#[source] FsError),
    /// Another process moved the trees while they were locked; nothing was deleted.
    #[error("another process moved the trees of this publication")]
    Moved,
    /// Something that the engine did not create has the name of the record of what is to be kept;
    /// nothing was deleted.
    #[error(
        "`{name}` occupies the name of a generation's record: {why}; \
         move it elsewhere, then recover"
    )]
    NameOccupied {
        /// The name, relative to the target's parent or to the target.
        name: String,
        /// Why it does not count as a record.
        why: String,
    },
    /// An fsync failed: what is on disk is unknown until the next boot.
    #[error("fsync failed")]
    Doubt(#[source] FsError),
}
