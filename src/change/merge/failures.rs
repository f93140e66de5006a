//! Why an environment cannot be changed in place: one error for the whole merge.
//!
//! Promises that each error names the path that it is about. Advice is in `bin/rvenv/advice.rs`.
//!
//! Read next: `../merge.rs`, which refuses.

use std::path::PathBuf;

use rvenv_journal::RelPath;
use rvenv_journal::raw::{PlanError, RelPathError, counted};
use thiserror::Error;

use crate::build::hooks::HookError;
use crate::change::carry::LostPackage;
use crate::change::existing::ExistingError;
use crate::change::look_failed::LookFailed;
use crate::wheel::distributions::Distribution;

/// Why a merge is impossible.
#[derive(Debug, Error)]
pub enum MergeError {
    /// A hook could not plan.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// Operations and target do not fit together.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A name that is not a valid path.
    #[error(transparent)]
    Path(#[from] RelPathError),
    /// The environment cannot be read.
    #[error(transparent)]
    Existing(#[from] ExistingError),
    /// A path is a file or link but a directory is planned, or the other way round.
    #[error("`{path}` in `{target}` is {found}, but the environment needs {wanted} there")]
    Blocked {
        /// The target.
        target: PathBuf,
        /// The path below it.
        path: RelPath,
        /// What exists there.
        found: &'static str,
        /// What is planned.
        wanted: &'static str,
    },
    /// The directory is not an environment, and has files at paths that the environment needs.
    #[error(
        "`{target}` is not a virtual environment, and has files where an environment needs its \
         own: {}",
        paths.join(", ")
    )]
    Occupied {
        /// The target.
        target: PathBuf,
        /// The files.
        paths: Vec<String>,
    },
    /// A wheel would overwrite a file of an installed distribution.
    #[error(transparent)]
    Overlap(#[from] Box<Overlap>),
    /// Packages could no longer be imported.
    #[error(
        "{} of `{target}` would no longer be importable: {}{}",
        counted(packages.len(), "package"), names(packages), reasons(packages)
    )]
    Lost {
        /// The target.
        target: PathBuf,
        /// The packages, each with the reason.
        packages: Vec<LostPackage>,
    },
    /// A distribution that the plan was to keep is not as it was published, or something that it
    /// depends on changes: the plan is to be made again with every file.
    #[error("`{target}` cannot keep {what}")]
    NotKept {
        /// The target.
        target: PathBuf,
        /// What is not as it was.
        what: String,
    },
    /// Packages that need another wheel were installed after the wheels were looked up.
    #[error(
        "`{target}` changed meanwhile: no wheel was looked up for {}", packages.join(", ")
    )]
    Meanwhile {
        /// The target.
        target: PathBuf,
        /// Names and versions.
        packages: Vec<String>,
    },
    /// An upgrade of something that is not an environment.
    #[error("`{0}` is not a virtual environment, so there is nothing to upgrade")]
    NoEnvironment(PathBuf),
    /// A system call failed.
    #[error(transparent)]
    Disk(#[from] LookFailed),
}

/// A path that an installed distribution lists, and that a wheel of a lock has with other bytes.
#[derive(Debug, Error)]
#[error(
    "`{wheel}` has `{path}`, which {distribution} in `{}` has with different contents",
    target.display()
)]
pub struct Overlap {
    /// The target.
    pub target: PathBuf,
    /// The path below it.
    pub path: RelPath,
    /// The distribution that is installed and stays.
    pub distribution: Distribution,
    /// The wheel.
    pub wheel: String,
}

fn names(packages: &[LostPackage]) -> String {
    let names: Vec<String> = packages
        .iter()
        .map(|one| one.distribution.to_string())
        .collect();
    names.join(", ")
}

/// A line for each package whose reason is known.
fn reasons(packages: &[LostPackage]) -> String {
    let known = packages.iter().filter(|one| !one.reason.is_empty());
    known.fold(String::new(), |lines, one| format!("{lines}\n  {one}"))
}
