//! Whether an environment will be another user's: root makes it in a directory of theirs.
//!
//! Whoever an environment is given to owns the inodes that it shares with the store. Promises that root shares none there:
//! files are copied, or share blocks alone.
//! Does not know of an environment that is given away from a directory of root's own; the store notices that later.
//!
//! Read next: the engine's `store/note.rs`.

use std::path::{Path, PathBuf};

use rvenv_journal::LinkMode;

/// The user who may give files away.
#[cfg(unix)]
const ROOT: u32 = 0;

/// The nearest directory at or above a target that belongs to another user than root, and who that is; for root alone.
#[cfg(unix)]
#[must_use]
pub fn receiver(user: u32, target: &Path) -> Option<(PathBuf, u32)> {
    use std::os::unix::fs::MetadataExt;
    if user != ROOT {
        return None;
    }
    let owner = |dir: &Path| std::fs::metadata(dir).ok().map(|found| found.uid());
    // The system's own user, who is not called 0 in a user namespace without root.
    let system = owner(Path::new("/"));
    let foreign = |dir: &Path| {
        let owner = owner(dir)?;
        let is_other = owner != ROOT && Some(owner) != system;
        is_other.then(|| (dir.to_owned(), owner))
    };
    target.ancestors().find_map(foreign)
}

/// No owner is looked at.
#[cfg(not(unix))]
#[must_use]
pub fn receiver(_user: u32, _target: &Path) -> Option<(PathBuf, u32)> {
    None
}

/// How files come out of the store for an environment here.
pub(super) fn link_mode(asked: LinkMode, user: u32, target: &Path) -> LinkMode {
    match asked {
        LinkMode::Copy | LinkMode::Reflink => asked,
        LinkMode::Auto | LinkMode::Hardlink => match receiver(user, target) {
            Some(_) => LinkMode::Reflink,
            None => asked,
        },
    }
}
