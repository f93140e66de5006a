//! Whether an environment will belong to another user, because root creates it in that user's
//! directory.
//!
//! A user who is given an environment owns the inodes that it shares with the store. Promises that
//! root shares none there: files are copied, or share blocks only. Does not detect an environment
//! that is given away from one of root's own directories; the store notices that later.
//!
//! Read next: the engine's `store/note.rs`.

use std::path::{Path, PathBuf};

use rvenv_journal::LinkMode;

/// The user who may give files away.
#[cfg(unix)]
const ROOT: u32 = 0;

/// For root alone: the nearest directory at or above a target that belongs to another user, and
/// that user.
#[cfg(unix)]
#[must_use]
pub fn receiver(user: u32, target: &Path) -> Option<(PathBuf, u32)> {
    use std::os::unix::fs::MetadataExt;
    if user != ROOT {
        return None;
    }
    let owner = |dir: &Path| std::fs::metadata(dir).ok().map(|found| found.uid());
    // The system's root user, whose id is not 0 inside a user namespace without root.
    let system = owner(Path::new("/"));
    let foreign = |dir: &Path| {
        let owner = owner(dir)?;
        let is_other = owner != ROOT && Some(owner) != system;
        is_other.then(|| (dir.to_owned(), owner))
    };
    target.ancestors().find_map(foreign)
}

/// Checks nothing: owners are unknown here.
#[cfg(not(unix))]
#[must_use]
pub fn receiver(_user: u32, _target: &Path) -> Option<(PathBuf, u32)> {
    None
}

/// How files come out of the store for an environment at this target.
pub(super) fn link_mode(asked: LinkMode, user: u32, target: &Path) -> LinkMode {
    match asked {
        LinkMode::Copy | LinkMode::Reflink => asked,
        LinkMode::Auto | LinkMode::Hardlink => match receiver(user, target) {
            Some(_) => LinkMode::Reflink,
            None => asked,
        },
    }
}
