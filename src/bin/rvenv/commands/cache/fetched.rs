//! Fetched wheels: files in the cache by their digests, and downloads that are not complete.
//!
//! Promises to delete only entries with the names that the fetcher gives, in a real directory,
//! without following a link, and no download that another process is writing.
//!
//! Read next: the library's `fetch/shelf.rs`, which writes them.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;

use rvenv::fetch::{FETCHED, fetched_digest, is_fetched, is_part};
use rvenv_journal::fs::{Dir, Fs, FsError, Kind, Lock, Meta, Time};
use rvenv_journal::raw::{Fault, Flaw, Leftovers, remove_tree};
use serde::Serialize;

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// Which wheels are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that were not used for so many seconds, and downloads that ended a day ago.
    Unused { now: Time, seconds: u64 },
    /// All, and all downloads that no process is writing.
    All,
}

/// What happened to fetched wheels.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Wheels {
    pub(crate) deleted: u64,
    pub(crate) bytes: u64,
    pub(crate) kept: u64,
}

/// The result of a sweep.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    pub(crate) wheels: Wheels,
    /// Downloads that were not complete.
    pub(crate) parts: u64,
    /// Downloads that were kept, because they are recent or another process is writing them.
    pub(crate) living: u64,
    /// Paths in the cache that rvenv did not create.
    pub(crate) strangers: Vec<String>,
    pub(crate) leftovers: Leftovers,
}

impl Which {
    fn wants(self, meta: &Meta, limit: impl Fn(u64) -> u64) -> bool {
        match self {
            Self::All => true,
            Self::Unused { now, seconds } => {
                let age = now.seconds.saturating_sub(meta.mtime.seconds);
                u64::try_from(age).is_ok_and(|age| age >= limit(seconds))
            }
        }
    }
}

/// Deletes fetched wheels and downloads.
pub(crate) fn sweep(fs: &dyn Fs, cache: &Dir, which: Which) -> Swept {
    let mut swept = Swept::default();
    for (dir, name, meta) in entries(fs, cache, &mut swept) {
        if meta.kind == Kind::Dir && is_fetched(&name) {
            let (files, bytes) = contents(fs, &dir, &name);
            if !which.wants(&meta, |seconds| seconds) {
                swept.wheels.kept += files;
                continue;
            }
            let left = remove_tree(fs, &dir, &name);
            if left.count == 0 {
                swept.wheels.deleted += files;
                swept.wheels.bytes += bytes;
            }
            leave(&mut swept.leftovers, left);
        } else if meta.kind == Kind::File && is_part(&name) {
            if which.wants(&meta, |_| DAY_SECONDS) && is_free(fs, &dir, &name) {
                match fs.remove_file(&dir, &name) {
                    Ok(()) => {
                        swept.parts += 1;
                        swept.wheels.bytes += meta.len;
                    }
                    Err(error) => note(&mut swept.leftovers, error),
                }
            } else {
                swept.living += 1;
            }
        } else {
            let name = name.to_string_lossy();
            swept.strangers.push(format!("{FETCHED}/{name}"));
        }
    }
    swept
}

/// Compares every fetched wheel with the digest in its path, and deletes what differs; returns the
/// faults, and how many wheels there are.
pub(crate) fn verify(fs: &dyn Fs, cache: &Dir) -> (Vec<Fault>, u64) {
    let (mut faults, mut count) = (Vec::new(), 0);
    for (dir, name, meta) in entries(fs, cache, &mut Swept::default()) {
        // A wheel that is known by another digest is hashed when it is used.
        let digest = fetched_digest(&name).filter(|_| meta.kind == Kind::Dir);
        let (Some(digest), Ok(inner)) = (digest, fs.open_dir(&dir, &name)) else {
            continue;
        };
        for file in fs.list(&inner).unwrap_or_default() {
            count += 1;
            let flaw = match fs.digest_file(&inner, &file) {
                Ok(found) if found == digest => continue,
                Ok(_) => Flaw::Content,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(_) => Flaw::Unreadable,
            };
            faults.push(Fault {
                pack: format!("{FETCHED}/{digest}"),
                path: Some(file.to_string_lossy().into_owned()),
                flaw,
                kept: fs.remove_file(&inner, &file).err(),
            });
        }
    }
    (faults, count)
}

/// The entries of the directory of fetched wheels.
fn entries(fs: &dyn Fs, cache: &Dir, swept: &mut Swept) -> Vec<(Dir, OsString, Meta)> {
    let dir = match fs.open_dir(cache, OsStr::new(FETCHED)) {
        Ok(dir) => dir,
        Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            swept.strangers.push(FETCHED.to_owned());
            return Vec::new();
        }
        Err(error) => {
            note(&mut swept.leftovers, error);
            return Vec::new();
        }
    };
    let names = fs.list(&dir).unwrap_or_else(|error| {
        note(&mut swept.leftovers, error);
        Vec::new()
    });
    let entry = |name: OsString| {
        let meta = fs.meta(&dir, &name).ok()??;
        Some((dir.clone(), name, meta))
    };
    names.into_iter().filter_map(entry).collect()
}

/// How many files a directory has, and their bytes.
fn contents(fs: &dyn Fs, dir: &Dir, name: &OsStr) -> (u64, u64) {
    let Ok(inner) = fs.open_dir(dir, name) else {
        return (0, 0);
    };
    let names = fs.list(&inner).unwrap_or_default();
    let metas = names.iter().filter_map(|name| fs.meta(&inner, name).ok()?);
    metas.fold((0, 0), |(files, bytes), meta| (files + 1, bytes + meta.len))
}

/// Whether no process is writing a download.
fn is_free(fs: &dyn Fs, dir: &Dir, name: &OsStr) -> bool {
    let locked = fs.hold_file(dir, name).and_then(|held| fs.try_lock(&held));
    !matches!(locked, Ok(Lock::Busy) | Err(_))
}

fn note(leftovers: &mut Leftovers, error: FsError) {
    if error.kind() != ErrorKind::NotFound {
        leftovers.count += 1;
        leftovers.first.get_or_insert(error);
    }
}

fn leave(leftovers: &mut Leftovers, left: Leftovers) {
    leftovers.count += left.count;
    if let Some(first) = left.first {
        leftovers.first.get_or_insert(first);
    }
}
