//! Failures of a transaction: one type per method, each with the state in which it left the target.
//!
//! Promises that a caller learns from the error, without reading the disk, whether the target is as
//! it was.
//! Read next: `transaction/ready.rs`, whose methods return these.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::fs::FsError;
use crate::fs::error_place::DiskError;
use crate::place::lock::LockError;
use crate::plan::room::Shortage;
use crate::recovery::ending::EndError;
use crate::recovery::recover::RecoverError;
use crate::staging::error::StageError;
use crate::steps::entry_cover::CoverError;
use crate::transaction::preconditions::Stale;

/// In which state a failure left the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aftermath {
    /// The target is as it was; nothing of the attempt is left, or only what the next run deletes.
    Unchanged,
    /// The target is as it was, or will be after the next run has cleaned up.
    NeedsRecovery,
    /// It was published, or reversed after that, and an fsync failed: the next boot shows which.
    InDoubt,
}

/// Why a target could not be made ready.
#[derive(Debug, Error)]
pub enum ReadyError {
    /// It could not be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The open transaction could not be ended.
    #[error(transparent)]
    Recover(#[from] RecoverError),
}

/// Why a plan was not prepared; the target is as it was.
#[derive(Debug, Error)]
pub enum PrepareError {
    /// The plan does not fit the target any more.
    #[error("the plan no longer fits `{target}`")]
    Stale {
        /// The target.
        target: PathBuf,
        /// The differences.
        reasons: Vec<Stale>,
    },
    /// The plan changes nothing, so there is nothing to publish.
    #[error("the plan for `{0}` has no changes")]
    NothingToDo(PathBuf),
    /// A mount point is at or below a tree that is to be replaced.
    #[error("`{target}` cannot be replaced: `{mount}` is a mount point")]
    Mounted {
        /// The target.
        target: PathBuf,
        /// The mount point.
        mount: PathBuf,
    },
    /// No number is left for what is replaced: a generation with the highest number already exists.
    #[error("`{target}` cannot be changed: no generation can have a higher number than `{name}`")]
    Unnumbered {
        /// The target.
        target: PathBuf,
        /// The generation, or the record of one, relative to the target's parent or to the target.
        name: String,
    },
    /// The changes cannot be made entry by entry.
    #[error("cannot change `{target}` entry by entry")]
    Cover {
        /// The target.
        target: PathBuf,
        /// Why.
        #[source]
        source: CoverError,
    },
    /// A call of the disk failed.
    #[error("cannot prepare `{target}`")]
    Disk {
        /// The target.
        target: PathBuf,
        /// Why.
        #[source]
        source: FsError,
    },
}

impl DiskError for PrepareError {
    type At = Path;

    fn of_disk(place: &Path, source: FsError) -> Self {
        Self::Disk {
            target: place.to_path_buf(),
            source,
        }
    }
}

/// Why a tree was not staged.
#[derive(Debug, Error)]
#[error("cannot build the new tree for `{}`", .target.display())]
pub struct StageFailed {
    /// The target; boxed, because a failure should not make every success large.
    pub target: Box<Path>,
    /// In which state the failure left the target.
    pub aftermath: Aftermath,
    /// How much space was needed and how much there is, if that is the reason.
    pub shortage: Option<Box<Shortage>>,
    /// Why.
    #[source]
    pub source: StageError,
}

impl StageFailed {
    /// Whether a plan without symbolic links may succeed instead; only if the target is as it was.
    #[must_use]
    pub fn may_go_without_symlinks(&self) -> bool {
        self.aftermath == Aftermath::Unchanged
            && matches!(self.source, StageError::NoSymlinks { .. })
    }

    /// Whether a publication by entries may succeed instead; only if the target is as it was.
    ///
    /// It leaves the root in place, whose group this user may inherit but not set.
    #[must_use]
    pub fn may_go_by_entries(&self) -> bool {
        let StageError::Sharing { source, .. } = &self.source else {
            return false;
        };
        self.aftermath == Aftermath::Unchanged && source.is_forbidden()
    }
}

/// Why a tree was not published.
#[derive(Debug, Error)]
#[error("cannot publish `{}`", .target.display())]
pub struct PublishFailed {
    /// The target; boxed as above.
    pub target: Box<Path>,
    /// In which state the failure left the target.
    pub aftermath: Aftermath,
    /// How much space was needed and how much there is, if that is the reason and a plan shows it.
    pub shortage: Option<Box<Shortage>>,
    /// Why.
    #[source]
    pub source: PublishError,
}

impl PublishFailed {
    /// Whether a publication that moves smaller entries may succeed instead; only if the target is
    /// as it was.
    ///
    /// A filesystem that refuses to rename a directory (a mount point, a lower layer of overlayfs)
    /// may still rename the files in it.
    #[must_use]
    pub fn may_go_by_smaller_steps(&self) -> bool {
        let PublishError::Step { source, .. } = &self.source else {
            return false;
        };
        self.aftermath == Aftermath::Unchanged && source.may_pass_by_smaller_steps()
    }
}

/// Why a tree was not published.
#[derive(Debug, Error)]
pub enum PublishError {
    /// The target changed while the new tree was staged.
    #[error("the target changed while the new tree was being built: `{}` {}", .0.path, .0.why)]
    Changed(Stale),
    /// The caller stopped it.
    #[error("interrupted before the first step")]
    Interrupted,
    /// A call of the disk failed.
    #[error("the publication failed")]
    Disk(#[source] FsError),
    /// A step failed.
    #[error("cannot publish `{path}`")]
    Step {
        /// The entry.
        path: String,
        /// Why.
        #[source]
        source: FsError,
    },
    /// After the steps the names did not have the recorded identities.
    #[error("another process moved the trees during the publication")]
    Moved,
    /// The fsync after the steps failed.
    #[error("the fsync of the publication failed")]
    Doubt(#[source] FsError),
}

/// Why a publication was not ended.
#[derive(Debug, Error)]
#[error("cannot end the publication of `{target}`")]
pub struct EndFailed {
    /// The target.
    pub target: PathBuf,
    /// In which state the failure left the target.
    pub aftermath: Aftermath,
    /// Why.
    #[source]
    pub source: EndError,
}

/// In which state a failed ending leaves the target.
pub(crate) fn aftermath_of(error: &EndError) -> Aftermath {
    match error {
        EndError::Disk { .. }
        | EndError::Undecided(_)
        | EndError::Moved
        | EndError::NameOccupied { .. } => Aftermath::NeedsRecovery,
        EndError::Doubt(_) => Aftermath::InDoubt,
    }
}

/// Why no generation was published again.
#[derive(Debug, Error)]
pub enum RollbackError {
    /// There is no generation.
    #[error("`{0}` has no generation to roll back to")]
    NoGeneration(PathBuf),
    /// There are only generations that an undo kept: they never were the target.
    #[error(
        "`{target}` has no generation to roll back to: generation {generation} is what an undone \
         change had put there"
    )]
    OnlyUndone {
        /// The target.
        target: PathBuf,
        /// The newest of them.
        generation: u32,
    },
    /// The generation has no record, or an invalid one.
    #[error("the record of generation {generation} of `{target}` cannot be trusted: {why}")]
    NoRecord {
        /// The target.
        target: PathBuf,
        /// The generation.
        generation: u32,
        /// What is wrong.
        why: String,
    },
    /// Something is mounted in what would go into the generation, or in what would come out of it.
    #[error(
        "generation {generation} of `{target}` cannot be kept as a whole: something is mounted at \
         `{mount}`"
    )]
    Mounted {
        /// The target.
        target: PathBuf,
        /// The generation.
        generation: u32,
        /// The mount point.
        mount: PathBuf,
    },
    /// A call of the disk failed; the target is as it was.
    #[error("cannot roll back `{target}`")]
    Disk {
        /// The target.
        target: PathBuf,
        /// Why.
        #[source]
        source: FsError,
    },
    /// The steps could not be taken.
    #[error(transparent)]
    Publish(#[from] PublishFailed),
}

impl DiskError for RollbackError {
    type At = Path;

    fn of_disk(place: &Path, source: FsError) -> Self {
        Self::Disk {
            target: place.to_path_buf(),
            source,
        }
    }
}
