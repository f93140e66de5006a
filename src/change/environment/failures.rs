//! Failures of plans and of runs, and the state in which each leaves the target.
//!
//! Read next: `../environment.rs`, the verbs that return them.

use std::path::{Path, PathBuf};

use rvenv_journal::raw::{Ending, PlanError, RemoveError, TargetError};
use rvenv_journal::{
    Aftermath, EndFailed, PrepareError, PublishFailed, ReadyError, RollbackError, StageFailed,
};
use thiserror::Error;

use crate::build::checks::CheckFailed;
use crate::build::hooks::HookError;
use crate::change::installed_inputs::DistributionChange;
use crate::change::look_failed::LookFailed;
use crate::change::merge::MergeError;
use crate::change::repair::RepairError;
use crate::change::whole::WholeError;

/// Why there is no plan.
#[derive(Debug, Error)]
pub enum PlanFailed {
    /// A hook could not plan.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// The target is not valid.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Operations and target do not fit together.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A system call failed.
    #[error(transparent)]
    Disk(#[from] LookFailed),
    /// The existing environment cannot be changed into the wanted one.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// The existing environment cannot be repaired.
    #[error(transparent)]
    Repair(#[from] RepairError),
    /// The existing environment cannot be changed as one tree.
    #[error(transparent)]
    Whole(#[from] WholeError),
    /// The target is to be cleared, but is not an environment.
    #[error("`{path}` is not a virtual environment, so clearing it could delete something else")]
    NotAnEnvironment {
        /// The target.
        path: PathBuf,
    },
    /// The target is to be cleared, and has something else besides an environment.
    #[error("`{path}` is more than a virtual environment, and clearing it would delete \
        {}", found.join(", "))]
    MoreThanAnEnvironment {
        /// The target.
        path: PathBuf,
        /// What else it has, in words.
        found: Vec<String>,
    },
    /// The target is to be cleared or removed through a symbolic link, which another user may have
    /// chosen, or which would lead nowhere then.
    #[error("`{link}` is a symbolic link to `{path}`, which {why}")]
    Link {
        /// The link.
        link: PathBuf,
        /// Where it leads.
        path: PathBuf,
        /// What is wrong with that, in words.
        why: String,
    },
}

/// Why a run failed.
#[derive(Debug, Error)]
pub enum RunFailed {
    /// There is no plan.
    #[error(transparent)]
    Plan(#[from] PlanFailed),
    /// The target could not be made ready.
    #[error(transparent)]
    Ready(#[from] ReadyError),
    /// The plan could not be prepared for the target.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The new tree could not be built.
    #[error(transparent)]
    Stage(#[from] StageFailed),
    /// The new tree could not be published.
    #[error(transparent)]
    Publish(#[from] PublishFailed),
    /// The end of the publication failed.
    #[error(transparent)]
    End(#[from] EndFailed),
    /// No generation was restored.
    #[error(transparent)]
    Rollback(#[from] RollbackError),
    /// The published environment failed its health check; the publication was undone.
    #[error("{}", unchecked(path, source))]
    Check {
        /// The target.
        path: PathBuf,
        /// Why.
        #[source]
        source: CheckFailed,
        /// How the undo ended.
        ending: Box<Ending>,
    },
    /// The published environment failed its health check, and undoing it failed.
    #[error(transparent)]
    Undo(#[from] Box<UndoFailed>),
    /// A saved plan is not one for an environment.
    #[error("the plan for `{path}` {why}")]
    NotAnEnvironment {
        /// The target.
        path: PathBuf,
        /// Why not.
        why: UnfitPlan,
    },
    /// A saved plan expects nothing but an environment, but the target has other entries.
    #[error(
        "the plan was made without knowing that `{path}` has entries older than its environment"
    )]
    Shared {
        /// The target.
        path: PathBuf,
    },
    /// Another installer was at work since a saved plan was made.
    #[error("the plan no longer fits `{path}`")]
    Distributions {
        /// The target.
        path: PathBuf,
        /// What happened to each distribution.
        changes: Vec<DistributionChange>,
    },
    /// The environment was not removed.
    #[error(transparent)]
    Remove(#[from] RemoveError),
    /// The user asked to stop before anything began.
    #[error("interrupted before the change of `{path}` began")]
    Interrupted {
        /// The target.
        path: PathBuf,
    },
}

impl From<LookFailed> for RunFailed {
    fn from(failed: LookFailed) -> Self {
        PlanFailed::from(failed).into()
    }
}

impl RunFailed {
    /// The state in which the failure left the target.
    #[must_use]
    pub fn aftermath(&self) -> Aftermath {
        match self {
            Self::Plan(_)
            | Self::Prepare(_)
            | Self::Check { .. }
            | Self::NotAnEnvironment { .. }
            | Self::Shared { .. }
            | Self::Distributions { .. }
            | Self::Interrupted { .. }
            | Self::Rollback(
                RollbackError::NoGeneration(_)
                | RollbackError::OnlyUndone { .. }
                | RollbackError::NoRecord { .. }
                | RollbackError::Mounted { .. }
                | RollbackError::Disk { .. },
            )
            | Self::Remove(RemoveError::Absent(_) | RemoveError::Prepare(_))
            | Self::Ready(ReadyError::Lock(_)) => Aftermath::Unchanged,
            Self::Ready(ReadyError::Recover(_)) => Aftermath::NeedsRecovery,
            Self::Stage(failed) => failed.aftermath,
            Self::Publish(failed)
            | Self::Rollback(RollbackError::Publish(failed))
            | Self::Remove(RemoveError::Publish(failed)) => failed.aftermath,
            Self::End(failed) => failed.aftermath,
            Self::Undo(failed) => failed.source.aftermath,
        }
    }
}

/// Why a publication that failed its check was not undone.
#[derive(Debug, Error)]
#[error(
    "cannot undo the publication of `{path}` after its check: {}",
    unchecked(path, check)
)]
pub struct UndoFailed {
    /// The target.
    pub path: PathBuf,
    /// Why it was to be undone.
    pub check: CheckFailed,
    /// Why undoing it failed.
    #[source]
    pub source: EndFailed,
}

/// Describes an environment whose check did not pass.
fn unchecked(path: &Path, why: &CheckFailed) -> String {
    let path = path.display();
    if matches!(why, CheckFailed::Interrupted { .. }) {
        format!("the health check of the environment at `{path}` did not end")
    } else if matches!(why, CheckFailed::NotStarted { .. }) {
        format!("the health check of the environment at `{path}` did not begin")
    } else {
        format!("the environment at `{path}` failed its health check")
    }
}

/// Why a saved plan is not one for an environment.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnfitPlan {
    /// It changes or removes entries of a directory that is not an environment.
    #[error("changes a directory that is not a virtual environment")]
    Changes,
    /// It leaves no configuration.
    #[error("does not make a virtual environment: it has no `pyvenv.cfg`")]
    NoEnvironment,
    /// To a directory that is not an environment, it adds an entry that no environment has.
    #[error(
        "adds `{0}`, which is no part of a virtual environment, to a directory that is not one"
    )]
    Stranger(String),
    /// It names a file as that of an installed distribution, and the target cannot have it.
    #[error("names `{0}` as an installed distribution, which it cannot be")]
    Distribution(String),
    /// It touches files of a version control system.
    #[error("changes `{0}`, which belongs to a version control system")]
    Checkout(String),
}
