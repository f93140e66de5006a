//! Deleting a tree that nobody needs any more.
//!
//! Promises to stay inside the directory that it was given: it walks by open directories, follows no link and
//! leaves a tree alone in which something is mounted.
//! Does not promise to succeed: what cannot be removed stays and is counted. Deletion is never part of success.
//!
//! Read next: `transaction.rs`, which only ever deletes what it has renamed to trash.

use std::ffi::OsStr;
use std::io::ErrorKind;

use crate::fs::{Dir, Fs, FsError, Kind};

/// What could not be deleted.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// How many entries stayed.
    pub count: u64,
    /// Why the first of them stayed.
    pub first: Option<FsError>,
}

impl Leftovers {
    fn add(&mut self, error: FsError) {
        self.count += 1;
        self.first.get_or_insert(error);
    }
}

/// Deletes a directory and everything in it, as far as that is possible.
///
/// # Crash
/// What was not reached yet remains, under the name of trash, and is deleted by the next run.
pub(crate) fn remove_tree(fs: &dyn Fs, parent: &Dir, name: &OsStr) -> Leftovers {
    let mut left = Leftovers::default();
    match fs.open_dir(parent, name) {
        // What is mounted there is somebody else's: deleting "in it" would delete on another filesystem.
        Ok(dir) if !fs.mounts_under(&dir).is_empty() => left.add(FsError {
            verb: "delete",
            name: name.to_string_lossy().escape_debug().to_string(),
            source: ErrorKind::ResourceBusy.into(),
        }),
        Ok(_) => remove_dir(fs, parent, name, &mut left),
        Err(error) => left.add(error),
    }
    left
}

fn remove_dir(fs: &dyn Fs, parent: &Dir, name: &OsStr, left: &mut Leftovers) {
    match fs.open_dir(parent, name) {
        Ok(dir) => {
            empty_dir(fs, &dir, left);
        }
        Err(error) => return left.add(error),
    }
    if let Err(error) = fs.remove_dir(parent, name) {
        left.add(error);
    }
}

fn empty_dir(fs: &dyn Fs, dir: &Dir, left: &mut Leftovers) {
    // A directory without our own w and x bits cannot be emptied; it is ours to change.
    if let Ok(meta) = fs.meta_of(dir)
        && meta.mode & 0o700 != 0o700
    {
        let _tried = fs.set_mode_of(dir, 0o700);
    }
    let names = match fs.list(dir) {
        Ok(names) => names,
        Err(error) => return left.add(error),
    };
    for name in names {
        match fs.meta(dir, &name) {
            Ok(Some(meta)) if meta.kind == Kind::Dir => remove_dir(fs, dir, &name, left),
            Ok(Some(_)) => {
                if let Err(error) = fs.remove_file(dir, &name) {
                    left.add(error);
                }
            }
            Ok(None) => {}
            Err(error) => left.add(error),
        }
    }
}
