//! Failures of a transaction: one type per verb, each with the state in which it left the target.
//!
//! Promises that whoever handles one learns, without looking at the disk, whether the target is as it was.
//! Read next: `transaction/ready.rs`, whose verbs fail with these.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::fs::FsError;
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
    /// As it was; nothing of the attempt is left, or only what the next run tidies.
    Unchanged,
    /// As it was, or will be once the next run has cleaned the attempt up.
    NeedsRecovery,
    /// Published, or taken back after that, and the disk did not confirm it: a restart of the machine shows which.
    InDoubt,
}

/// Why a target could not be made ready.
#[derive(Debug, Error)]
pub enum ReadyError {
    /// It could not be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// An open transaction could not be ended.
    #[error(transparent)]
    Recover(#[from] RecoverError),
}

/// Why a plan was not prepared; the target is as it was.
#[derive(Debug, Error)]
pub enum PrepareError {
    /// The plan does not fit what is there now.
    #[error("the plan no longer fits `{target}`")]
    Stale {
        /// The target.
        target: PathBuf,
        /// What differs.
        reasons: Vec<Stale>,
    },
    /// The plan changes nothing, so there is nothing to publish.
    #[error("the plan for `{0}` has no changes")]
    NothingToDo(PathBuf),
    /// Something is mounted at or below a tree that is to be replaced.
    #[error("`{target}` cannot be replaced: `{mount}` is a mount point")]
    Mounted {
        /// The target.
        target: PathBuf,
        /// The mount point.
        mount: PathBuf,
    },
    /// What is replaced could not be numbered: a generation with the highest number exists already.
    #[error("`{target}` cannot be changed: no generation can have a higher number than `{name}`")]
    Unnumbered {
        /// The target.
        target: PathBuf,
        /// The generation, or the record of one, from the directory above the target or from the target.
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
    /// The disk refused.
    #[error("cannot prepare `{target}`")]
    Disk {
        /// The target.
        target: PathBuf,
        /// Why.
        #[source]
        source: FsError,
    },
}

/// Why a tree was not staged.
#[derive(Debug, Error)]
#[error("cannot build the new tree for `{}`", .target.display())]
pub struct StageFailed {
    /// The target; boxed, as a failure should not make every success large.
    pub target: Box<Path>,
    /// In which state the failure left the target.
    pub aftermath: Aftermath,
    /// How much room was wanted and how much there is, where that is why.
    pub shortage: Option<Box<Shortage>>,
    /// Why.
    #[source]
    pub source: StageError,
}

impl StageFailed {
    /// Whether a plan without symbolic links may succeed where this one was refused; the target is as it was.
    #[must_use]
    pub fn may_go_without_symlinks(&self) -> bool {
        self.aftermath == Aftermath::Unchanged
            && matches!(self.source, StageError::NoSymlinks { .. })
    }

    /// Whether a publication that changes entries may succeed where this one was refused: it leaves the root, whose group
    /// this user may inherit but not give, as it is. Only where the target is as it was.
    #[must_use]
    pub fn may_go_by_entries(&self) -> bool {
        let StageError::Sharing { source, .. } = &self.source else {
            return false;
        };
        self.aftermath == Aftermath::Unchanged && source.kind() == ErrorKind::PermissionDenied
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
    /// How much room was wanted and how much there is, where that is why and a plan says it.
    pub shortage: Option<Box<Shortage>>,
    /// Why.
    #[source]
    pub source: PublishError,
}

impl PublishFailed {
    /// Whether a publication that moves smaller entries may succeed where this one was refused.
    ///
    /// A filesystem that refuses to rename a directory (a mount point, a lower layer of overlayfs) may let the
    /// files in it be renamed. Only where the target is as it was.
    #[must_use]
    pub fn may_go_by_smaller_steps(&self) -> bool {
        let PublishError::Step { source, .. } = &self.source else {
            return false;
        };
        self.aftermath == Aftermath::Unchanged
            && matches!(
                source.kind(),
                ErrorKind::CrossesDevices
                    | ErrorKind::InvalidInput
                    | ErrorKind::Unsupported
                    | ErrorKind::ResourceBusy
                    | ErrorKind::PermissionDenied
            )
    }
}

/// Why a tree was not published.
#[derive(Debug, Error)]
pub enum PublishError {
    /// The target changed while the new tree was staged.
    #[error("the target changed while the new tree was being built: `{}` {}", .0.path, .0.why)]
    Changed(Stale),
    /// Somebody asked to stop.
    #[error("interrupted before the switch")]
    Interrupted,
    /// The disk refused.
    #[error("the switch failed")]
    Disk(#[source] FsError),
    /// The disk refused one of the steps.
    #[error("cannot switch `{path}`")]
    Step {
        /// The entry.
        path: String,
        /// Why.
        #[source]
        source: FsError,
    },
    /// After the steps the names did not hold what was recorded.
    #[error("somebody moved the trees during the switch")]
    Moved,
    /// The disk did not confirm the switch.
    #[error("the disk did not confirm the switch")]
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

/// The state that a failed ending leaves.
pub(crate) fn aftermath_of(error: &EndError) -> Aftermath {
    match error {
        EndError::Disk { .. }
        | EndError::Undecided(_)
        | EndError::Moved
        | EndError::Taken { .. } => Aftermath::NeedsRecovery,
        EndError::Doubt(_) => Aftermath::InDoubt,
    }
}
