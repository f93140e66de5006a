//! An early look at what a receipt lists, by a second thread while this one works out what is
//! wanted.
//!
//! Promises that a look counts only if the receipt is the same file under the lock, since a
//! publication replaces it, and only for a second: what else writes to an environment takes no
//! lock, so that a look right before the lock is worth one right after it, but the lock may come
//! late. Reads no file but the receipt.
//!
//! Read next: `../change/merge/kept.rs`, which decides by it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

#[cfg(unix)]
use rvenv_journal::RelPath;
use rvenv_journal::fs::{Dir, FsError, Meta, Time};
use rvenv_journal::raw::{
    ENGINE_DIR, Observed, PublishedPath, RECEIPT_BYTES_MAX, RECEIPT_NAME, Statement, is_same_mode,
    observe_paths,
};
use rvenv_journal::{Digest, Fs, Receipt};

#[cfg(unix)]
use crate::base::entry_states::Below;

/// How long a look counts.
const FRESH: Duration = Duration::from_secs(1);

/// A look that was begun, or none.
#[derive(Clone, Debug, Default)]
pub struct EarlyLook(Option<Arc<Begun>>);

#[derive(Debug)]
struct Begun {
    at: Instant,
    /// What the receipt was before it was read.
    then: Meta,
    bytes: Arc<Vec<u8>>,
    /// Taken by the first that asks for the result.
    thread: Mutex<Option<JoinHandle<Option<Published>>>>,
}

/// A receipt, and what was seen of its paths.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) receipt: Receipt,
    /// When the receipt was written.
    at: Time,
    /// For each path in order, as [`Published::unchanged`] says; `None` if nothing was looked at.
    seen: Option<Vec<Option<bool>>>,
}

impl EarlyLook {
    /// Begins to look at an open environment, if it has a receipt.
    pub(crate) fn begin(fs: &dyn Fs, root: &Dir, path: &Path) -> Self {
        let begin = || {
            let (then, bytes) = read(fs, root)?;
            let bytes = Arc::new(bytes);
            let (fs, root, copy) = (fs.share(), root.clone(), Arc::clone(&bytes));
            let path = path.to_owned();
            let look = |fs: Box<dyn Fs>| {
                thread::spawn(move || {
                    let receipt = Receipt::from_json(&copy).ok()?;
                    let seen = quick_look(&path, &receipt, then.mtime)
                        .or_else(|| look(&*fs, &root, &receipt, then.mtime).ok());
                    let at = then.mtime;
                    Some(Published { receipt, at, seen })
                })
            };
            Some(Begun {
                at: Instant::now(),
                then,
                bytes,
                thread: Mutex::new(fs.map(look)),
            })
        };
        Self(begin().map(Arc::new))
    }

    /// What the receipt states about wheels; nothing if it cannot be read.
    pub(crate) fn statements(&self) -> BTreeMap<Digest, Statement> {
        let begun = self.0.as_ref();
        let read = begun.map(|begun| Receipt::statements_of(&begun.bytes));
        read.and_then(Result::ok).unwrap_or_default()
    }

    /// What is published in an open environment: what was seen early, if the receipt is still the
    /// same; else the receipt of now, if it can be read.
    pub(crate) fn published(&self, fs: &dyn Fs, root: &Dir) -> Option<Published> {
        let counts = |begun: &&Arc<Begun>| {
            let inner = fs.open_dir(root, OsStr::new(ENGINE_DIR)).ok();
            let now = inner.and_then(|inner| fs.meta(&inner, OsStr::new(RECEIPT_NAME)).ok());
            now.flatten() == Some(begun.then) && begun.at.elapsed() < FRESH
        };
        let thread = self.0.as_ref().filter(counts).and_then(|begun| {
            let mut thread = begun.thread.lock().unwrap_or_else(PoisonError::into_inner);
            thread.take()
        });
        if let Some(Ok(seen)) = thread.map(JoinHandle::join) {
            return seen;
        }
        let (meta, bytes) = read(fs, root)?;
        Some(Published {
            receipt: Receipt::from_json(&bytes).ok()?,
            at: meta.mtime,
            seen: None,
        })
    }
}

impl Published {
    /// Whether each path of the receipt is as it was published, in its order; `None` if only its
    /// bytes can tell.
    ///
    /// # Errors
    /// The error of the disk.
    pub(crate) fn unchanged(
        &mut self,
        fs: &dyn Fs,
        root: &Dir,
    ) -> Result<Vec<Option<bool>>, FsError> {
        match self.seen.take() {
            Some(seen) => Ok(seen),
            None => look(fs, root, &self.receipt, self.at),
        }
    }
}

/// The receipt in an open environment, and what the file was before it was read.
fn read(fs: &dyn Fs, root: &Dir) -> Option<(Meta, Vec<u8>)> {
    let inner = fs.open_dir(root, OsStr::new(ENGINE_DIR)).ok()?;
    let name = OsStr::new(RECEIPT_NAME);
    let meta = fs.meta(&inner, name).ok()??;
    let bytes = fs.read_file(&inner, name, RECEIPT_BYTES_MAX).ok()?;
    Some((meta, bytes))
}

fn look(
    fs: &dyn Fs,
    root: &Dir,
    receipt: &Receipt,
    before: Time,
) -> Result<Vec<Option<bool>>, FsError> {
    let paths: Vec<_> = receipt.paths.iter().collect();
    observe_paths(fs, root, &paths, |_, published, found| {
        Some(unchanged(published, found.as_ref(), before))
    })
}

/// The same by one call for each path, which follows links above it: a path counts only if each
/// directory above it is in the receipt, and is one. `None` if it must be looked at step by step.
#[cfg(unix)]
fn quick_look(path: &Path, receipt: &Receipt, before: Time) -> Option<Vec<Option<bool>>> {
    let below = Below::open(path)?;
    // The directories above the current path.
    let mut above: Vec<&RelPath> = Vec::new();
    let mut seen = Vec::with_capacity(receipt.paths.len());
    for (path, published) in &receipt.paths {
        while above.last().is_some_and(|dir| !path.is_below(dir)) {
            above.pop();
        }
        if path.components().count() != above.len() + 1 {
            return None;
        }
        let found = below.entry(path.as_str()).map(|entry| entry.observed());
        if matches!(published, PublishedPath::Dir { .. }) {
            // What is below a link is not in this tree.
            if !matches!(found, Some(Observed::Dir { .. })) {
                return None;
            }
            above.push(path);
        }
        seen.push(unchanged(published, found.as_ref(), before));
    }
    Some(seen)
}

#[cfg(not(unix))]
fn quick_look(_path: &Path, _receipt: &Receipt, _before: Time) -> Option<Vec<Option<bool>>> {
    None
}

/// Whether a path is as it was published. Nothing may write to a file before the receipt exists, so
/// that one without a planned time is unchanged if it is older.
fn unchanged(published: &PublishedPath, found: Option<&Observed>, before: Time) -> Option<bool> {
    let nanos = |at: Time| i128::from(at.seconds) * 1_000_000_000 + i128::from(at.nanos);
    Some(match (published, found) {
        (PublishedPath::Dir { mode }, Some(Observed::Dir { mode: found })) => {
            is_same_mode(*mode, *found)
        }
        (
            PublishedPath::File {
                mode, len, mtime, ..
            },
            Some(Observed::File {
                mode: seen,
                len: found,
                mtime_ns,
                ..
            }),
        ) => {
            let is_same = is_same_mode(*mode, *seen) && len == found;
            match mtime {
                Some(seconds) => is_same && i128::from(*seconds) * 1_000_000_000 == *mtime_ns,
                None if is_same && *mtime_ns >= nanos(before) => return None,
                None => is_same,
            }
        }
        (
            PublishedPath::Dir { .. } | PublishedPath::File { .. } | PublishedPath::Symlink { .. },
            _,
        ) => false,
    })
}

#[cfg(test)]
#[cfg(unix)]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests change a directory by hand, as another program would"
)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::time::SystemTime;

    use rvenv_journal::RelPath;
    use rvenv_journal::fs::real::RealFs;
    use tempfile::TempDir;

    use super::*;

    /// Writes a receipt of these files and of `dir`, and the files, in an environment.
    fn publish(env: &Path, names: &[&str]) {
        let dir = env.join("dir");
        fs::create_dir_all(&dir).unwrap();
        let mode = dir.metadata().unwrap().permissions().mode() & 0o777;
        let dir = (RelPath::new("dir").unwrap(), PublishedPath::Dir { mode });
        let file = |name: &&str| {
            let file = fs::File::create(env.join(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(9))
                .unwrap();
            let published = PublishedPath::File {
                mode: file.metadata().unwrap().permissions().mode() & 0o777,
                digest: Digest::of(b""),
                len: 0,
                mtime: Some(9),
            };
            (RelPath::new(name).unwrap(), published)
        };
        let receipt = Receipt {
            plan: Digest::of(b"plan"),
            root_mode: 0o755,
            is_shared: false,
            statements: BTreeMap::new(),
            paths: names.iter().map(file).chain([dir]).collect(),
        };
        let inner = env.join(ENGINE_DIR);
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("next"), receipt.to_json()).unwrap();
        fs::rename(inner.join("next"), inner.join(RECEIPT_NAME)).unwrap();
    }

    fn environment(names: &[&str]) -> (TempDir, RealFs, Dir) {
        let env = TempDir::new().unwrap();
        publish(env.path(), names);
        let fs = RealFs::new();
        let root = fs.open_path(env.path()).unwrap();
        (env, fs, root)
    }

    #[test]
    fn what_was_seen_early_counts_while_the_receipt_is_the_same() {
        let (env, fs, root) = environment(&["one", "two"]);
        let early = EarlyLook::begin(&fs, &root, env.path());
        let mut published = early.published(&fs, &root).unwrap();
        // Only the look before the lock can have seen this file.
        fs::remove_file(env.path().join("two")).unwrap();
        let seen = published.unchanged(&fs, &root).unwrap();
        assert_eq!(seen, [Some(true); 3]);
    }

    /// What is behind a link is not in the environment.
    #[test]
    fn no_link_is_followed_in_place_of_a_directory() {
        let (env, fs, root) = environment(&["dir/one", "two"]);
        let look = || {
            let early = EarlyLook::begin(&fs, &root, env.path());
            let mut published = early.published(&fs, &root).unwrap();
            published.unchanged(&fs, &root).unwrap()
        };
        assert_eq!(look(), [Some(true); 3]);
        fs::rename(env.path().join("dir"), env.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", env.path().join("dir")).unwrap();
        assert_eq!(look(), [Some(false), Some(false), Some(true)]);
    }

    #[test]
    fn a_receipt_that_was_replaced_is_read_again() {
        let (env, fs, root) = environment(&["one"]);
        let early = EarlyLook::begin(&fs, &root, env.path());
        publish(env.path(), &["one", "two"]);
        let mut published = early.published(&fs, &root).unwrap();
        assert_eq!(published.receipt.paths.len(), 3);
        assert_eq!(published.unchanged(&fs, &root).unwrap().len(), 3);
    }

    #[test]
    fn an_old_look_counts_no_more() {
        let (env, fs, root) = environment(&["one"]);
        let begun = EarlyLook::begin(&fs, &root, env.path()).0.unwrap();
        let mut begun = Arc::try_unwrap(begun).unwrap();
        begun.at = begun.at.checked_sub(FRESH).unwrap();
        let early = EarlyLook(Some(Arc::new(begun)));
        fs::remove_file(env.path().join("one")).unwrap();
        let mut published = early.published(&fs, &root).unwrap();
        assert_eq!(
            published.unchanged(&fs, &root).unwrap(),
            [Some(true), Some(false)]
        );
    }
}
