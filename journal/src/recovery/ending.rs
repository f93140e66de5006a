//! What became of a publication, and why one could not be ended.
//!
//! Read next: `settle.rs`.

use thiserror::Error;

use crate::base::path::RelPath;
use crate::fs::FsError;
use crate::fs::remove::Leftovers;

/// What became of a publication.
#[derive(Debug, Default)]
pub struct Ending {
    /// The generation that now holds what was replaced, or what was changed after it was published.
    pub kept: Option<Kept>,
    /// What could not be deleted.
    pub leftovers: Leftovers,
    /// Directories of the target that nobody planned, and that stay although they are empty now.
    pub emptied: Vec<RelPath>,
}

/// A tree that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its number.
    pub generation: u32,
    /// Its name in the directory of the target.
    pub name: String,
    /// Why it was not deleted.
    pub why: WhyKept,
}

/// Why a tree was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyKept {
    /// It was asked for.
    Asked,
    /// Somebody changed it after it was published.
    Changed,
    /// Without times of birth nothing proves that it is what the journal means.
    Uncertain,
}

/// Why a publication could not be ended.
#[derive(Debug, Error)]
pub enum EndError {
    /// The disk refused; the journal stays, and the next run goes on.
    #[error("cannot {what}")]
    Disk {
        /// What was to be done.
        what: &'static str,
        /// Why.
        #[source]
        source: FsError,
    },
    /// The disk refused to take the decision; the next run decides.
    #[error("cannot write the decision down")]
    Undecided(#[source] FsError),
    /// Somebody moved our trees while they were locked; nothing was deleted.
    #[error("the trees of this publication were moved by somebody else")]
    Moved,
    /// Somebody else's file, link or directory has the name of the record of what is to be kept; nothing was deleted.
    #[error("`{name}` is in the way of what is to be kept: {why}; move it elsewhere, and recover")]
    Taken {
        /// The name, from the directory above the target, or from the target.
        name: String,
        /// Why it is none of ours.
        why: String,
    },
    /// A sync failed: what is on the disk will be known after the machine was started anew.
    #[error("the disk did not confirm what was written to it")]
    Doubt(#[source] FsError),
}
