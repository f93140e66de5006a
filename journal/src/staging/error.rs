//! Why a tree could not be staged.
//!
//! Plain values; promises only that each names the planned path. Read next: `staging/build.rs`.

use std::ffi::OsStr;
use std::io::ErrorKind;

use thiserror::Error;

use crate::base::digest::Digest;
use crate::base::path::RelPath;
use crate::fs::FsError;
use crate::fs::error_place::DiskError;
use crate::plan::content::ContentError;

/// Why the tree could not be staged; the target is untouched.
#[derive(Debug, Error)]
pub enum StageError {
    /// A call of the disk failed.
    #[error("cannot stage `{path}`")]
    Disk {
        /// The planned path.
        path: String,
        /// Why.
        #[source]
        source: FsError,
    },
    /// The filesystem has no symbolic links; a plan without them may succeed.
    #[error("cannot stage `{path}`: this filesystem has no symbolic links")]
    NoSymlinks {
        /// The planned path.
        path: String,
        /// Why.
        #[source]
        source: FsError,
    },
    /// The bytes could not be obtained.
    #[error("cannot stage `{path}`")]
    Content {
        /// The planned path.
        path: String,
        /// Why.
        #[source]
        source: ContentError,
    },
    /// The new tree cannot have the group and the ACL of the tree that it replaces; single entries
    /// can still be changed.
    #[error("cannot give `{path}` the group and the ACL of the existing entry")]
    Sharing {
        /// The planned path.
        path: String,
        /// Why.
        #[source]
        source: FsError,
    },
    /// The caller stopped it.
    #[error("interrupted while staging `{path}`")]
    Interrupted {
        /// The planned path that was next.
        path: String,
    },
}

impl DiskError for StageError {
    type At = str;

    fn of_disk(place: &str, source: FsError) -> Self {
        Self::Disk {
            path: place.to_owned(),
            source,
        }
    }
}

impl StageError {
    /// The error of the disk, if the disk failed.
    pub(crate) fn of_disk(&self) -> Option<&FsError> {
        match self {
            Self::Disk { source, .. }
            | Self::NoSymlinks { source, .. }
            | Self::Sharing { source, .. } => Some(source),
            Self::Content { .. } | Self::Interrupted { .. } => None,
        }
    }
}

/// The error for an object that no longer is as it was entered.
pub(super) fn gone(name: &OsStr) -> FsError {
    FsError {
        verb: "link",
        name: name.to_string_lossy().into_owned(),
        source: ErrorKind::NotFound.into(),
    }
}

pub(super) fn content_error(path: &RelPath, source: ContentError) -> StageError {
    StageError::Content {
        path: path.to_string(),
        source,
    }
}

pub(super) fn check_bytes(
    bytes: &[u8],
    digest: Digest,
    len: u64,
    what: &str,
) -> Result<(), ContentError> {
    if bytes.len() as u64 == len && Digest::of(bytes) == digest {
        return Ok(());
    }
    Err(ContentError::Damaged {
        what: what.to_owned(),
    })
}
