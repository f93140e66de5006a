//! The user's cache directory: the only access to everything that is kept in it.
//!
//! rvenv trusts what the cache says: which program is an interpreter, what a wheel holds, which
//! bytes a digest has. So only the user or root may have written it.
//!
//! Promises:
//! - Every component of the path to the cache (directories and symbolic links, each checked by
//!   itself) belongs to the user or to root.
//! - No other user may write these directories, since that user could put another directory of the
//!   same owner in the place of the cache. A directory on the path may be sticky, as `/tmp` is, or
//!   belong to a group that has the user as its only member.
//! - The cache itself belongs to the user or root, and its permission bits let no one else write
//!   it.
//! - What is read in it passes the same check, through handles that follow no link.
//! - Everything that is created has mode 0700 or 0600, whatever the umask.
//!
//! Does not promise that there is a cache: every caller can do without.
//!
//! Read next: `cached_answer.rs`, the answers in it; the engine's `store.rs`, the packs;
//! `fs/privacy.rs`, the check.

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rvenv_journal::Fs;
use rvenv_journal::fs::real::RealFs;
use rvenv_journal::fs::{Dir, FsError, Meta};
use rvenv_journal::raw::{Exposed, exposed, open_private_dir, read_private_file, remove_tree};
use thiserror::Error;

mod path_owners;

pub(crate) use path_owners::changeable_above;

/// The mode of directories that rvenv creates.
const DIR_MODE: u32 = 0o700;

/// The cache directory; clones share the open directory.
#[derive(Clone, Debug)]
pub struct Cache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    fs: RealFs,
    dir: Mutex<Option<Dir>>,
}

/// Why a cache is not used.
#[derive(Debug, Error)]
pub enum NotUsed {
    /// Another user controls the path to it.
    #[error("`{}` belongs to user {owner}", path.display())]
    Foreign {
        /// The component of the path, or the cache itself.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Other users may write into it.
    #[error("other users may write into the cache `{}` (mode {mode:04o})", path.display())]
    Writable {
        /// The cache.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Other users may write a directory on the path to it.
    #[error("other users may write into `{}`, above the cache (mode {mode:04o})", path.display())]
    Above {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A system call failed.
    #[error("cannot open the cache `{}`", path.display())]
    Disk {
        /// The cache, or a directory on the path to it.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Cache {
    /// The cache at a path, which must be absolute; opens nothing yet.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Inner {
            path: path.into(),
            fs: RealFs::new(),
            dir: Mutex::default(),
        }))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Opens the directory if it exists; creates nothing.
    ///
    /// # Errors
    /// When it is not private to the user; see [`NotUsed`].
    pub fn dir(&self) -> Result<Option<Dir>, NotUsed> {
        self.open(false)
    }

    /// Opens the directory; creates it, and those above it, if they do not exist.
    ///
    /// # Errors
    /// As [`dir`](Self::dir); creates nothing then.
    ///
    /// # Crash
    /// Some of the directories exist, empty.
    pub fn make(&self) -> Result<Dir, NotUsed> {
        let made = self.open(true)?;
        made.ok_or_else(|| self.failed(ErrorKind::NotFound.into()))
    }

    /// Reads a cached answer: a private file in a private directory of the cache.
    pub(crate) fn read(&self, kind: &str, name: &OsStr, len_max: u64) -> Option<Vec<u8>> {
        let (fs, dir) = self.open_kind(kind)?;
        let (bytes, _) = read_private_file(fs, dir.at(name), len_max).ok()?;
        Some(bytes)
    }

    /// Opens the directory of one kind of answers or files for reading, if it is private.
    pub(crate) fn open_kind(&self, kind: &str) -> Option<(&dyn Fs, Dir)> {
        let fs = &self.0.fs;
        let dir = open_private_dir(fs, &self.dir().ok()??, OsStr::new(kind)).ok()?;
        Some((fs, dir))
    }

    /// Opens the directory of one kind of answers for writing; a directory that other users may
    /// have written is removed and created anew.
    pub(crate) fn make_kind(&self, kind: &str) -> Result<(&dyn Fs, Dir), NotUsed> {
        let fs = &self.0.fs;
        let failed = |error: FsError| self.failed(error.source);
        let (top, kind) = (self.make()?, OsStr::new(kind));
        match open_private_dir(fs, &top, kind) {
            Ok(dir) => return Ok((fs, dir)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                let _is_tried_below = remove_tree(fs, &top, kind);
            }
            Err(error) => return Err(failed(error)),
        }
        make_in(fs, &top, kind).map_err(failed)?;
        let dir = open_private_dir(fs, &top, kind).map_err(failed)?;
        Ok((fs, dir))
    }

    fn open(&self, makes: bool) -> Result<Option<Dir>, NotUsed> {
        let mut known = self.0.dir.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            *known = self.find(makes)?;
        }
        Ok(known.clone())
    }

    fn find(&self, makes: bool) -> Result<Option<Dir>, NotUsed> {
        let Inner { path, fs, .. } = &*self.0;
        let failed = |error: FsError| self.failed(error.source);
        let way = path_owners::walk(path, fs.user())?;
        if !makes && !way.rest.is_empty() {
            return Ok(None);
        }
        let mut dir = fs.open_path(&way.nearest).map_err(failed)?;
        for name in &way.rest {
            make_in(fs, &dir, name).map_err(failed)?;
            dir = fs.open_dir(&dir, name).map_err(failed)?;
            // Another user may have created it first.
            self.check(&fs.meta_of(&dir).map_err(failed)?)?;
        }
        self.check(&fs.meta_of(&dir).map_err(failed)?)?;
        Ok(Some(dir))
    }

    fn check(&self, meta: &Meta) -> Result<(), NotUsed> {
        let path = self.0.path.clone();
        match exposed(&self.0.fs, meta) {
            None => Ok(()),
            Some(Exposed::Owner(owner)) => Err(NotUsed::Foreign { path, owner }),
            Some(Exposed::Mode(mode)) => Err(NotUsed::Writable { path, mode }),
        }
    }

    fn failed(&self, source: io::Error) -> NotUsed {
        let path = self.0.path.clone();
        NotUsed::Disk { path, source }
    }
}

/// Creates a directory, unless another process does.
fn make_in(fs: &RealFs, dir: &Dir, name: &OsStr) -> Result<(), FsError> {
    match fs.make_dir(dir, name, DIR_MODE) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// How far the path to a cache exists.
#[derive(Debug)]
struct Way {
    /// The nearest directory that exists, without symbolic links in its path.
    nearest: PathBuf,
    /// The names below it that do not exist yet.
    rest: Vec<OsString>,
}
