//! Fingerprints: the files that a known answer depends on, and whether they are unchanged.
//!
//! Promises to notice a file that was replaced or changed since, even if its modification time was
//! set back. Does not notice a change that keeps the length within the same tick of the
//! filesystem's clock; nor, where there is neither ctime nor inode number, a file replaced by one
//! of the same size and time.
//!
//! Read next: `python/probe_cache.rs` and `wheel/catalogue.rs`, which keep their answers under
//! fingerprints.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A file whose change means that an answer is outdated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// The path; links are followed.
    pub path: PathBuf,
    /// The state of the file; `None` if there was none, so that its appearance counts as a change
    /// too.
    pub state: Option<FileState>,
}

impl Fingerprint {
    /// Takes the fingerprint of a path now.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let state = std::fs::metadata(path).ok().map(|m| FileState::of(&m));
        Self {
            path: path.to_owned(),
            state,
        }
    }

    /// Whether the path is unchanged.
    #[must_use]
    pub fn holds(&self) -> bool {
        Self::of(&self.path).state == self.state
    }
}

/// Which file a path names, as far as one `stat` can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileState {
    /// Size in bytes.
    pub len: u64,
    /// Nanoseconds from 1970 to the last change of the content; negative before.
    pub mtime_ns: i128,
    /// Nanoseconds from 1970 to the last change of anything about the file (ctime), which no
    /// program can set back; 0 on systems without it.
    pub ctime_ns: i128,
    /// Inode number; 0 on systems without it. Filesystems reuse a number as soon as it is free.
    pub inode: u64,
}

impl FileState {
    #[cfg(unix)]
    fn of(found: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let ns = |seconds, rest| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            len: found.len(),
            mtime_ns: ns(found.mtime(), found.mtime_nsec()),
            ctime_ns: ns(found.ctime(), found.ctime_nsec()),
            inode: found.ino(),
        }
    }

    #[cfg(not(unix))]
    fn of(found: &std::fs::Metadata) -> Self {
        use std::time::UNIX_EPOCH;
        let since = found
            .modified()
            .ok()
            .and_then(|m| m.duration_since(UNIX_EPOCH).ok());
        Self {
            len: found.len(),
            mtime_ns: since.map_or(0, |s| i128::try_from(s.as_nanos()).unwrap_or(0)),
            ctime_ns: 0,
            inode: 0,
        }
    }
}

/// [`Fingerprint`] on disk: its path and, if the file existed, its length, two times and inode
/// number.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stored {
    path: PathBuf,
    state: Option<(u64, i128, i128, u64)>,
}

impl From<&Fingerprint> for Stored {
    fn from(witness: &Fingerprint) -> Self {
        let state = witness.state;
        Self {
            path: witness.path.clone(),
            state: state.map(|s| (s.len, s.mtime_ns, s.ctime_ns, s.inode)),
        }
    }
}

impl From<Stored> for Fingerprint {
    fn from(stored: Stored) -> Self {
        let state = |(len, mtime_ns, ctime_ns, inode)| FileState {
            len,
            mtime_ns,
            ctime_ns,
            inode,
        };
        Self {
            path: stored.path,
            state: stored.state.map(state),
        }
    }
}
