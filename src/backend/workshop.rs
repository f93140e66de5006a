//! Workshops: private directories of the cache, each for one build.
//!
//! Promises that two processes do not work in the same one, that everything that an earlier
//! process left there is deleted before the next one begins, and that it is deleted at the end. The
//! path of a workshop is the same for the same sources, because compilers write paths into what
//! they make; only if a killed process left one is the next one beside it, since a child of that
//! process may still be ending.
//!
//! On disk: `<cache dir>/building/KEY`, or `KEY-2` and so on, and the file `KEY.lock`, which is
//! locked while a process works. All are private to the user.
//! Read next: `../backend.rs`, what a crash leaves.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rvenv_journal::Digest;
use rvenv_journal::raw::remove_tree;
use thiserror::Error;

use crate::base::cache::{Cache, NotUsed};
use crate::python::shown;

/// The directory of workshops in the cache.
pub const BUILDING: &str = "building";
const LOCK: &str = ".lock";
/// How many digits of a digest name a workshop: paths must stay short.
const KEY_DIGITS: usize = 16;
/// How often another process's lock is tried.
const TICK: Duration = Duration::from_millis(50);

/// Why nothing can be built.
#[derive(Debug, Error)]
pub enum WorkshopFailed {
    /// The cache cannot be used.
    #[error("there is no place to build in")]
    NotUsed(#[source] NotUsed),
    /// Writing failed.
    #[error("cannot write `{}`", shown(path))]
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The caller asked to stop while another process was building the same.
    #[error("interrupted while another process builds the same")]
    Interrupted,
}

/// Whether an entry of the directory of workshops has a name that rvenv gives.
#[must_use]
pub fn is_workshop(name: &OsStr) -> bool {
    let text = name.to_str().unwrap_or_default();
    let key = text.get(..KEY_DIGITS).unwrap_or_default();
    let rest = text.get(KEY_DIGITS..).unwrap_or_default();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_rest = rest.is_empty() || rest == LOCK || rest.strip_prefix('-').is_some_and(is_number);
    key.len() == KEY_DIGITS && key.bytes().all(|b| b.is_ascii_hexdigit()) && is_rest
}

/// A private directory for one build, which is deleted with this value.
#[derive(Debug)]
pub(crate) struct Workshop {
    cache: Cache,
    name: OsString,
    path: PathBuf,
    lock: File,
}

impl Workshop {
    /// Opens the workshop for a build; waits while another process works in it, and reports that.
    ///
    /// # Errors
    /// See [`WorkshopFailed`].
    ///
    /// # Crash
    /// An empty lock file, or an empty directory beside it, exists.
    pub(crate) fn open(
        cache: &Cache,
        key: Digest,
        is_stopped: &dyn Fn() -> bool,
        waiting: &dyn Fn(),
    ) -> Result<Self, WorkshopFailed> {
        let digits = key.to_string();
        let key = digits.get(..KEY_DIGITS).unwrap_or(&digits);
        cache.make_kind(BUILDING).map_err(WorkshopFailed::NotUsed)?;
        let top = cache.path().join(BUILDING);
        let lock = lock(&top.join(format!("{key}{LOCK}")), is_stopped, waiting)?;
        let (fs, dir) = cache.make_kind(BUILDING).map_err(WorkshopFailed::NotUsed)?;
        let failed = |error: rvenv_journal::FsError| WorkshopFailed::Disk {
            path: top.clone(),
            source: error.source,
        };
        let names = fs.list(&dir).map_err(failed)?;
        let is_left = |name: &OsString| {
            let text = name.to_str().unwrap_or_default();
            text.starts_with(key) && !text.ends_with(LOCK) && is_workshop(name)
        };
        let left: Vec<OsString> = names.into_iter().filter(is_left).collect();
        let mut numbered = (2..).map(|number| OsString::from(format!("{key}-{number}")));
        let first = OsString::from(key);
        let is_free = |name: &OsString| !left.contains(name);
        let name = Some(first).filter(is_free);
        let name = name.or_else(|| numbered.find(is_free)).unwrap_or_default();
        for old in &left {
            // What a living child of a killed process writes there is deleted by a later run.
            let _is_tried_again = remove_tree(fs, &dir, old);
        }
        fs.make_dir(&dir, &name, 0o700).map_err(failed)?;
        let path = top.join(&name);
        Ok(Self {
            cache: cache.clone(),
            name,
            path,
            lock,
        })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Creates a directory in it.
    ///
    /// # Errors
    /// What the system reports.
    #[expect(
        clippy::disallowed_methods,
        reason = "a workshop is a private directory of the cache, not a target"
    )]
    pub(crate) fn make(&self, name: &str) -> Result<PathBuf, WorkshopFailed> {
        let path = self.path.join(name);
        match std::fs::create_dir(&path) {
            Ok(()) => Ok(path),
            Err(source) => Err(WorkshopFailed::Disk { path, source }),
        }
    }
}

impl Drop for Workshop {
    /// Deletes the directory and its lock; what cannot be deleted is left to the next run and to
    /// pruning.
    fn drop(&mut self) {
        if let Ok((fs, dir)) = self.cache.make_kind(BUILDING) {
            let _is_tried_again = remove_tree(fs, &dir, &self.name);
            let text = self.name.to_string_lossy();
            let key = text.get(..KEY_DIGITS).unwrap_or_default();
            // It is still locked: a process that has it open looks at its name again.
            let _is_made_again = fs.remove_file(&dir, OsStr::new(&format!("{key}{LOCK}")));
        }
        // A lock outlives the close while a process that another thread starts has a duplicate of
        // the descriptor. Where the unlock fails, the close must do.
        let _closed_next = self.lock.unlock();
    }
}

/// Locks a file, which is created if it is absent.
fn lock(
    path: &Path,
    is_stopped: &dyn Fn() -> bool,
    waiting: &dyn Fn(),
) -> Result<File, WorkshopFailed> {
    let failed = |source| WorkshopFailed::Disk {
        path: path.to_owned(),
        source,
    };
    loop {
        if is_stopped() {
            return Err(WorkshopFailed::Interrupted);
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(failed)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                waiting();
                thread::sleep(TICK);
                continue;
            }
            // A filesystem without locks: two builds of the same sources disturb each other.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        // The process that held it, or pruning, may have deleted the file between the two calls.
        if is_named(path, &file) {
            return Ok(file);
        }
    }
}

#[cfg(unix)]
fn is_named(path: &Path, opened: &File) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let named = std::fs::symlink_metadata(path);
    let opened = opened.metadata();
    matches!((named, opened), (Ok(a), Ok(b)) if (a.ino(), a.dev()) == (b.ino(), b.dev()))
}

#[cfg(not(unix))]
fn is_named(path: &Path, _opened: &File) -> bool {
    path.exists()
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the test makes what a killed process leaves"
)]
mod tests {
    use super::*;

    fn names(cache: &Cache) -> Vec<String> {
        let entries = std::fs::read_dir(cache.path().join(BUILDING)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn a_workshop_has_one_user_and_is_deleted() {
        let place = tempfile::tempdir().unwrap();
        let cache = Cache::at(place.path().join("cache"));
        let key = Digest::of(b"key");
        let open = || Workshop::open(&cache, key, &|| false, &|| ()).unwrap();
        let first = open();
        let name = first.path().file_name().unwrap().to_owned();
        assert!(is_workshop(&name));
        let source = first.make("source").unwrap();
        std::fs::write(source.join("x"), "").unwrap();
        let asked = std::cell::Cell::new(0);
        let is_stopped = || {
            asked.set(asked.get() + 1);
            asked.get() > 1
        };
        let waited = std::cell::Cell::new(false);
        let second = Workshop::open(&cache, key, &is_stopped, &|| waited.set(true));
        assert!(waited.get());
        assert!(matches!(second, Err(WorkshopFailed::Interrupted)));
        drop(first);
        let lock = format!("{}.lock", name.to_str().unwrap());
        assert_eq!(names(&cache), [""; 0]);
        assert_eq!(open().path().file_name().unwrap(), name);
        // What a killed process left is deleted, and its path is not used at once.
        std::fs::create_dir_all(cache.path().join(BUILDING).join(&name).join("env")).unwrap();
        let second = open();
        let beside = format!("{}-2", name.to_str().unwrap());
        assert_eq!(second.path().file_name().unwrap().to_str(), Some(&*beside));
        assert_eq!(names(&cache), [beside.clone(), lock]);
        assert!(is_workshop(OsStr::new(&beside)));
    }

    #[test]
    fn only_own_names_are_workshops() {
        for name in [
            "",
            "x",
            "0123456789abcdef0",
            "0123456789abcdef-x",
            "0123456789abcde.lock",
        ] {
            assert!(!is_workshop(OsStr::new(name)), "{name}");
        }
        assert!(is_workshop(OsStr::new("0123456789abcdef.lock")));
    }
}
