//! Workshops: directories in which wheels were being built.
//!
//! Promises to delete only entries with the names that rvenv gives, in a real directory, without
//! following a link, and none while a process builds in it: the lock tells.
//!
//! Read next: the library's `backend/workshop.rs`, which makes them.

use std::ffi::OsStr;
use std::io::ErrorKind;

use rvenv::backend::{BUILDING, is_workshop};
use rvenv_journal::fs::{Dir, Fs, Kind, Lock};
use rvenv_journal::raw::{Leftovers, remove_tree};

const LOCK: &str = ".lock";

/// The result of a sweep.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    /// Workshops of dead processes, which were deleted.
    pub(crate) dead: u64,
    /// Workshops in which a process builds.
    pub(crate) living: u64,
    /// Paths in the cache that rvenv did not create.
    pub(crate) strangers: Vec<String>,
    pub(crate) leftovers: Leftovers,
}

/// Deletes the workshops of dead processes.
pub(crate) fn sweep(fs: &dyn Fs, cache: &Dir) -> Swept {
    let mut swept = Swept::default();
    let dir = match fs.open_dir(cache, OsStr::new(BUILDING)) {
        Ok(dir) => dir,
        Err(error) if error.kind() == ErrorKind::NotFound => return swept,
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            swept.strangers.push(BUILDING.to_owned());
            return swept;
        }
        Err(error) => {
            swept.leftovers.count += 1;
            swept.leftovers.first.get_or_insert(error);
            return swept;
        }
    };
    let names = fs.list(&dir).unwrap_or_default();
    let (known, others): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| is_workshop(name));
    let others = others.iter().map(|name| name.to_string_lossy());
    swept
        .strangers
        .extend(others.map(|name| format!("{BUILDING}/{name}")));
    for name in &known {
        let text = name.to_string_lossy();
        if text.ends_with(LOCK) {
            continue;
        }
        let key = text.split('-').next().unwrap_or_default();
        let lock = format!("{key}{LOCK}");
        let held = fs.hold_file(&dir, OsStr::new(&lock));
        // Without a lock file no process can be at work.
        let is_busy = match &held {
            Ok(held) => !matches!(fs.try_lock(held), Ok(Lock::Acquired)),
            Err(error) => error.kind() != ErrorKind::NotFound,
        };
        if is_busy {
            swept.living += 1;
            continue;
        }
        let is_dir = matches!(fs.meta(&dir, name), Ok(Some(meta)) if meta.kind == Kind::Dir);
        if !is_dir {
            swept.strangers.push(format!("{BUILDING}/{text}"));
            continue;
        }
        let left = remove_tree(fs, &dir, name);
        swept.dead += u64::from(left.count == 0);
        swept.leftovers.count += left.count;
        if let Some(first) = left.first {
            swept.leftovers.first.get_or_insert(first);
        }
    }
    for name in known
        .iter()
        .filter(|name| name.to_string_lossy().ends_with(LOCK))
    {
        let Ok(held) = fs.hold_file(&dir, name) else {
            continue;
        };
        if matches!(fs.try_lock(&held), Ok(Lock::Acquired)) {
            // A builder that has it open looks at its name again.
            let _is_tried_again = fs.remove_file(&dir, name);
        }
    }
    swept
}
