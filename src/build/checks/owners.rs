//! Owners of an environment: whether a health check would run files that another user put there, or
//! can put there.
//!
//! Promises to name a directory above the environment that another user owns or may write, since
//! that user could put another environment in its place while a check runs. Among the files that an
//! interpreter starts with or that the built-in check imports, it names the first that another user
//! owns or that everyone may write. Does not check packages that no check of rvenv's imports, nor
//! what a group may write: a user who shares an environment with a group accepts what its members
//! put there.
//!
//! Read next: `../checks.rs`.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{entries, libraries};
use crate::base::cache::{NotUsed, changeable_above};
use crate::python::shown;

/// Another user can change files of an environment that a health check would run.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtherOwner {
    /// A part of it belongs to another user.
    #[error(
        "`{}` belongs to user {owner}, and a health check would run what is in it",
        shown(path)
    )]
    Part {
        /// Which part.
        path: PathBuf,
        /// The user.
        owner: u32,
    },
    /// Everyone may write a part of it.
    #[error(
        "everyone can write to `{}`, and a health check would run what is in it",
        shown(path)
    )]
    Open {
        /// Which part.
        path: PathBuf,
    },
    /// A directory above it, or a link on the path to it, belongs to another user.
    #[error(
        "`{}` belongs to user {owner}, who could put another environment there while a health \
         check runs",
        shown(path)
    )]
    Above {
        /// The directory or link.
        path: PathBuf,
        /// The user.
        owner: u32,
    },
    /// Everyone may write a directory above it.
    #[error(
        "everyone can write to `{}`, and could put another environment there while a health check \
         runs",
        shown(path)
    )]
    OpenAbove {
        /// The directory.
        path: PathBuf,
    },
}

/// Finds a part of the environment in `dir`, or a path above it, that another user can change.
#[must_use]
pub fn other_owner(dir: &Path) -> Option<OtherOwner> {
    other_owner_above(dir).or_else(|| parts(dir).find_map(hand_in))
}

/// The same above `dir` alone, for an environment that is created anew.
#[must_use]
pub fn other_owner_above(dir: &Path) -> Option<OtherOwner> {
    let is_link = || std::fs::symlink_metadata(dir).is_ok_and(|found| found.is_symlink());
    let is_own = |path: &Path| std::fs::canonicalize(dir).is_ok_and(|real| real == path);
    match changeable_above(dir)? {
        // The environment itself is checked as one of its parts.
        NotUsed::Foreign { path, .. } if is_own(&path) && !is_link() => None,
        NotUsed::Foreign { path, owner } => Some(OtherOwner::Above { path, owner }),
        NotUsed::Above { path, .. } => Some(OtherOwner::OpenAbove { path }),
        NotUsed::Writable { .. } | NotUsed::Disk { .. } => None,
    }
}

/// The files that run when the environment starts, and the directories in which another user could
/// exchange them.
fn parts(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let bin = dir.join("bin");
    let is_python = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("python") || name.starts_with("pypy")
    };
    let pythons = entries(&bin).filter(is_python);
    let own = [dir.to_owned(), bin, dir.join("pyvenv.cfg")];
    let of_libraries = libraries(dir).flat_map(|(lib, python)| {
        let site = python.join("site-packages");
        // A `.pth` may import any of the packages, and the built-in check imports pip.
        let below = ["", "__pycache__", "pip", "pip/__pycache__"];
        let run = below.map(|below| entries(&site.join(below)));
        let run = run.into_iter().flatten();
        [lib, python, site].into_iter().chain(run)
    });
    own.into_iter().chain(pythons).chain(of_libraries)
}

/// Finds out whether a file or link belongs to a user other than this one and root, or everyone may
/// write it.
#[cfg(unix)]
fn hand_in(path: PathBuf) -> Option<OtherOwner> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::symlink_metadata(&path).ok()?;
    let owner = found.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Some(OtherOwner::Part { path, owner });
    }
    crate::base::owners::everyone_writes(&found).then_some(OtherOwner::Open { path })
}

#[cfg(not(unix))]
fn hand_in(_path: PathBuf) -> Option<OtherOwner> {
    None
}
