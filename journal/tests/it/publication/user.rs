//! A user who edits, replaces, deletes and creates files in the target while the engine does not
//! look.

use std::ffi::OsStr;

use rvenv_journal::fs::sim::{SimEntry, SimFs};
use rvenv_journal::fs::{Dir, Fs, Kind, Rename};

use super::{TARGET, Tree, parent, tree_at, write};

/// The bytes that a user writes; they must never be lost.
pub const WORK: &[u8] = b"work of the user";

/// What a user does at one path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    /// Writes into an existing file, or a new file into an existing directory.
    Edit,
    /// Replaces what exists with a file of their own.
    Replace,
    /// Deletes what exists, with everything in it.
    Delete,
    /// Makes a file where nothing exists.
    Create,
}

pub const ACTS: [Act; 4] = [Act::Edit, Act::Replace, Act::Delete, Act::Create];

/// Every kind of path in a target that is changed entry by entry: entries with a step, paths below
/// them, and entries that stay.
pub const PATHS: [&str; 17] = [
    "cfg",
    "link",
    "bin",
    "bin/tool",
    "bin/old-tool",
    "bin/mine",
    "package",
    "package/a",
    "package/b",
    "package/c",
    "fresh",
    "fresh/f",
    "gone",
    "gone/x",
    "mixed",
    "mixed/y",
    "mine",
];

/// Performs the act where it is possible, and returns whether it was.
pub fn act(disk: &SimFs, path: &str, act: Act) -> bool {
    let Some((dir, name)) = open_above(disk, path) else {
        return false;
    };
    let kind = disk.meta(&dir, name).unwrap().map(|meta| meta.kind);
    match (act, kind) {
        (Act::Edit, Some(Kind::Dir)) => {
            write(disk, &disk.open_dir(&dir, name).unwrap(), "work", WORK);
        }
        (Act::Edit, Some(Kind::File)) => disk.overwrite(&dir, name, WORK).unwrap(),
        (Act::Replace, Some(kind)) => {
            write(disk, &dir, "work~", WORK);
            if kind == Kind::Dir {
                delete(disk, &dir, name);
            }
            let work = OsStr::new("work~");
            disk.rename(dir.at(work), dir.at(name), Rename::Replace)
                .unwrap();
        }
        (Act::Delete, Some(_)) => delete(disk, &dir, name),
        (Act::Create, None) => write(disk, &dir, name.to_str().unwrap(), WORK),
        (Act::Edit, Some(Kind::Symlink | Kind::Other) | None)
        | (Act::Replace | Act::Delete, None)
        | (Act::Create, Some(_)) => return false,
    }
    true
}

/// Opens the directory above a path of the target, if there is one.
fn open_above<'p>(disk: &SimFs, path: &'p str) -> Option<(Dir, &'p OsStr)> {
    let mut dir = disk.open_dir(&parent(disk), OsStr::new("t")).ok()?;
    let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
    for component in above.split('/').filter(|component| !component.is_empty()) {
        dir = disk.open_dir(&dir, OsStr::new(component)).ok()?;
    }
    Some((dir, OsStr::new(name)))
}

fn delete(disk: &SimFs, dir: &Dir, name: &OsStr) {
    let Ok(inner) = disk.open_dir(dir, name) else {
        return disk.remove_file(dir, name).unwrap();
    };
    for below in disk.list(&inner).unwrap() {
        delete(disk, &inner, &below);
    }
    disk.remove_dir(dir, name).unwrap();
}

/// Whether the user's bytes are at a path or below it.
pub fn has_work(disk: &SimFs, path: &str) -> bool {
    let is_work =
        |entry: &SimEntry| matches!(entry, SimEntry::File { bytes, .. } if **bytes == *WORK);
    disk.tree(std::path::Path::new(path)).values().any(is_work)
}

/// A tree without a path and everything below it.
pub fn without(tree: &Tree, path: &str) -> Tree {
    let below = format!("{path}/");
    let mut tree = tree.clone();
    tree.retain(|other, _| other != path && !other.starts_with(&below));
    tree
}

/// The target without a path and everything below it.
pub fn target_without(disk: &SimFs, path: &str) -> Tree {
    without(&tree_at(disk, TARGET), path)
}
