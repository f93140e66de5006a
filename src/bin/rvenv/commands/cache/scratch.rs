//! Scratch directories of resolvers in the cache.
//!
//! A process that is killed leaves its own. They have no lock, so that only their age shows that no
//! process uses them; one that is younger than a day stays.

use std::ffi::OsString;

use rvenv::resolving::SCRATCH_PREFIX;
use rvenv_journal::Fs;
use rvenv_journal::fs::{Dir, Kind, Meta, Time};
use rvenv_journal::raw::{Leftovers, remove_tree};

use super::DAY_SECONDS;

/// What became of them.
#[derive(Default)]
pub(super) struct SweptScratch {
    pub(super) deleted: u64,
    pub(super) living: u64,
    pub(super) strangers: Vec<String>,
    pub(super) leftovers: Vec<Leftovers>,
}

/// Whether an entry of the cache is one of them, by its name.
pub(super) fn is_scratch(name: &str) -> bool {
    name.starts_with(SCRATCH_PREFIX)
}

/// Deletes those of dead processes.
pub(super) fn sweep(fs: &dyn Fs, dir: &Dir, now: Time) -> SweptScratch {
    let mut swept = SweptScratch::default();
    let names = fs.list(dir).unwrap_or_default();
    let is_own = |name: &OsString| is_scratch(&name.to_string_lossy());
    for name in names.into_iter().filter(is_own) {
        let meta = fs.meta(dir, &name).ok().flatten();
        let is_old = |meta: Meta| {
            let age = now.seconds.saturating_sub(meta.mtime.seconds);
            u64::try_from(age).is_ok_and(|age| age > DAY_SECONDS)
        };
        match meta {
            Some(meta) if meta.kind != Kind::Dir => {
                swept.strangers.push(name.to_string_lossy().into_owned());
            }
            Some(meta) if is_old(meta) => {
                let left = remove_tree(fs, dir, &name);
                swept.deleted += u64::from(left.count == 0);
                swept.leftovers.push(left);
            }
            Some(_) => swept.living += 1,
            None => {}
        }
    }
    swept
}
