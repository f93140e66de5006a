//! Deleting a tree that nobody needs any more.
//!
//! Promises to stay inside the directory that it was given: it walks by open directories, follows no link and
//! leaves a tree alone in which something is mounted. Directories that were closed to their own owner are opened.
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
/// What was not reached yet remains, under the name that it has: of trash, which the next run deletes.
pub fn remove_tree(fs: &dyn Fs, parent: &Dir, name: &OsStr) -> Leftovers {
    let mut left = Leftovers::default();
    match open_to_empty(fs, parent, name) {
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
    match open_to_empty(fs, parent, name) {
        Ok(dir) => empty_dir(fs, &dir, left),
        Err(error) => return left.add(error),
    }
    if let Err(error) = fs.remove_dir(parent, name) {
        left.add(error);
    }
}

/// Opens a directory, and if its own bits are in the way, changes them: it is ours to change.
fn open_to_empty(fs: &dyn Fs, parent: &Dir, name: &OsStr) -> Result<Dir, FsError> {
    match fs.open_dir(parent, name) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            // Of a directory that is not ours the first error says why it stays.
            fs.set_mode(parent, name, 0o700).map_err(|_| error)?;
            fs.open_dir(parent, name)
        }
        opened => opened,
    }
}

fn empty_dir(fs: &dyn Fs, dir: &Dir, left: &mut Leftovers) {
    // A directory without our own w and x bits cannot be emptied, though it could be opened.
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::fs::sim::SimFs;
    use crate::fs::{Flush, NewFile};

    /// A directory `tree` with `dir`, which holds `inner`, which holds a file; the disk belongs to no superuser.
    fn tree() -> (SimFs, Dir, Dir) {
        let disk = SimFs::new();
        let root = disk.open_path(Path::new("/")).unwrap();
        let mut at = root.clone();
        let mut dirs = Vec::new();
        for name in ["tree", "dir", "inner"].map(OsStr::new) {
            disk.make_dir(&at, name, 0o755).unwrap();
            at = disk.open_dir(&at, name).unwrap();
            dirs.push(at.clone());
        }
        let file = NewFile {
            mode: 0o400,
            mtime: None,
            bytes: b"x",
            flush: Flush::Later,
        };
        disk.write_file(&at, OsStr::new("file"), &file).unwrap();
        (disk, root, dirs.swap_remove(1))
    }

    #[test]
    fn directories_closed_to_their_own_owner_are_deleted() {
        for mode in [0o000, 0o100, 0o300, 0o400, 0o500, 0o077] {
            for closed in ["tree", "dir", "inner"] {
                let (disk, root, middle) = tree();
                if closed == "inner" {
                    disk.set_mode(&middle, OsStr::new(closed), mode).unwrap();
                } else if closed == "dir" {
                    disk.set_mode_of(&middle, mode).unwrap();
                } else {
                    disk.set_mode(&root, OsStr::new(closed), mode).unwrap();
                }
                let left = remove_tree(&disk, &root, OsStr::new("tree"));
                assert_eq!(left.count, 0, "{closed} of mode {mode:o}: {:?}", left.first);
                assert!(disk.list(&root).unwrap().is_empty());
            }
        }
    }

    /// I6: what belongs to another user stays, and the reason is the first that was met.
    #[test]
    fn a_closed_directory_of_another_user_stays() {
        let (disk, root, middle) = tree();
        disk.set_mode(&middle, OsStr::new("inner"), 0).unwrap();
        disk.set_user(7);
        let left = remove_tree(&disk, &root, OsStr::new("tree"));
        assert!(left.count > 0);
        let first = left.first.unwrap();
        assert_eq!(first.kind(), ErrorKind::PermissionDenied);
        assert_eq!((first.verb, first.name.as_str()), ("open", "inner"));
        assert_eq!(disk.tree(Path::new("/tree")).len(), 4);
    }
}
