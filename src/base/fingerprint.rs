//! Fingerprints: the files that a known answer depends on, and whether they are unchanged.
//!
//! Promises to notice a file that was replaced or changed since, even if its modification time was
//! set back. Does not notice a change that keeps the length within the same tick of the
//! filesystem's clock; nor, where there is neither ctime nor inode number, a file replaced by one
//! of the same size and time.
//!
//! On disk: a part of the answers that depend on it; another field means another format of each.
//! Read next: `python/probe_cache.rs` and `wheel/catalogue.rs`, which keep their answers under
//! fingerprints.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A file whose change means that an answer is outdated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
