//! The disk refused to show a target: the one error for it, which every command here can end with.
//!
//! Promises the target's path. Read next: `environment/failures.rs`, the errors of a run.

use std::path::{Path, PathBuf};

use rvenv_journal::fs::FsError;
use rvenv_journal::raw::DiskError;
use thiserror::Error;

/// A system call failed while a target was examined.
#[derive(Debug, Error)]
#[error("cannot look at `{target}`")]
pub struct LookFailed {
    /// The target.
    pub target: PathBuf,
    /// Why.
    pub source: FsError,
}

impl DiskError for LookFailed {
    type At = Path;

    fn of_disk(target: &Path, source: FsError) -> Self {
        let target = target.to_path_buf();
        Self { target, source }
    }
}
