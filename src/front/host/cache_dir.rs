//! The directory of the cache: the one that the user names, if it is usable, else the user's own.
//!
//! Promises that a named directory is refused with the reason (relative, a file, unreadable,
//! writable by other users) before anything else happens; the default one is never refused, only
//! left unused: without it every command still works. Does not promise that the directory exists or
//! can be written: commands use what is in it, and need no more.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use thiserror::Error;

use crate::base::cache::{Cache, NotUsed};
use crate::python::shown;

/// The variable that names the directory.
pub const CACHE_VARIABLE: &str = "RVENV_CACHE_DIR";

/// Why a directory cannot be the cache.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CacheUnusable {
    /// Its meaning depends on the working directory.
    #[error("is not an absolute path")]
    Relative,
    /// It is not a directory.
    #[error("is not a directory")]
    NotADirectory,
    /// One of the directories above it is a file.
    #[error("is below a file")]
    BelowAFile,
    /// It is a dangling symbolic link, so no directory can be created there.
    #[error("is a dangling symbolic link")]
    Dangling,
    /// The system cannot open it.
    #[error("cannot be opened: {0}")]
    Unreadable(io::ErrorKind),
    /// Another user owns it, or a directory or link on the path to it.
    #[error("cannot be trusted: `{}` belongs to user {owner}", shown(path))]
    Foreign {
        /// The first component of the path that another user owns.
        path: PathBuf,
        /// That user.
        owner: u32,
    },
    /// Other users may put another directory in its place.
    #[error(
        "cannot be trusted: other users may write into `{}` (mode {mode:04o})",
        shown(path)
    )]
    Above {
        /// The directory above it that they may write.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Other users may write into it.
    #[error("other users may write into (mode {mode:04o})")]
    Writable {
        /// Its permission bits.
        mode: u32,
    },
}

/// The named directory, or the user's own; none if the system has no place for one.
pub(super) fn chosen(named: Option<PathBuf>) -> Result<Option<Cache>, (PathBuf, CacheUnusable)> {
    if let Some(named) = named {
        return match usable(&named) {
            Ok(()) => private(Cache::at(named)).map(Some),
            Err(why) => Err((named, why)),
        };
    }
    let usual = etcetera::choose_base_strategy().ok();
    let usual = usual.map(|strategy| strategy.cache_dir().join("rvenv"));
    let usual = usual.filter(|usual| usual.is_absolute());
    Ok(usual.map(Cache::at))
}

/// The cache, unless other users can write what rvenv would trust.
fn private(cache: Cache) -> Result<Cache, (PathBuf, CacheUnusable)> {
    let why = match cache.dir() {
        Err(NotUsed::Foreign { path, owner }) => CacheUnusable::Foreign { path, owner },
        Err(NotUsed::Above { path, mode }) => CacheUnusable::Above { path, mode },
        Err(NotUsed::Writable { mode, .. }) => CacheUnusable::Writable { mode },
        // A cache that cannot be created or opened only costs time.
        Ok(_) | Err(NotUsed::Disk { .. }) => return Ok(cache),
    };
    Err((cache.path().to_owned(), why))
}

/// Whether a directory can be the cache in its current state.
fn usable(dir: &Path) -> Result<(), CacheUnusable> {
    if !dir.is_absolute() {
        return Err(CacheUnusable::Relative);
    }
    match fs::metadata(dir) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(CacheUnusable::NotADirectory),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let is_link = fs::symlink_metadata(dir).is_ok_and(|found| found.is_symlink());
            if is_link {
                Err(CacheUnusable::Dangling)
            } else {
                Ok(())
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(CacheUnusable::BelowAFile)
        }
        Err(error) => Err(CacheUnusable::Unreadable(error.kind())),
    }
}

/// The owner of a directory, if that is neither the user nor root.
#[cfg(unix)]
pub(super) fn other_owner(dir: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let owner = fs::metadata(dir).ok()?.uid();
    (owner != 0 && owner != rustix::process::geteuid().as_raw()).then_some(owner)
}

/// The owner of a directory, which this system does not report.
#[cfg(not(unix))]
pub(super) fn other_owner(_dir: &Path) -> Option<u32> {
    None
}
