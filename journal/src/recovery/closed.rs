//! Denying other users access to a kept generation.
//!
//! A program with a set-id bit, or a file that all users could read, must not stay accessible to
//! other users under a second name after it was replaced. The root of a kept tree denies access to
//! the group and others, which takes one call whatever the size of the tree. The record contains
//! its former mode, and a rollback restores it. Kept entries are in a directory that only its owner
//! can enter; they lose their set-id bits all the same.
//!
//! # Crash
//! A generation is closed while the journal is still `.settle` or `.undo`, so that recovery closes
//! it too. It is opened while the journal of the rollback is open.

use crate::fs::{Dir, Fs, FsError, Kind};
use crate::plan::node::Mode;

/// The permission bits of the group and of others.
const OTHERS: u32 = 0o077;
/// The set-user-id and the set-group-id bit.
const SET_ID: u32 = 0o6000;

/// Denies other users access to the root of a kept tree; a root of another user stays as it is.
///
/// # Errors
/// The error of the disk.
pub(crate) fn close_tree(fs: &dyn Fs, root: &Dir) -> Result<(), FsError> {
    let mode = fs.meta_of(root)?.mode;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    match fs.set_mode_of(root, mode & !OTHERS) {
        Err(error) if error.is_no_mode_change() => Ok(()),
        other => other,
    }
}

/// Restores the permission bits of the root of a tree that is published again.
///
/// # Errors
/// The error of the disk.
pub(crate) fn open_tree(fs: &dyn Fs, root: &Dir, mode: Mode) -> Result<(), FsError> {
    let found = fs.meta_of(root)?.mode;
    let wanted = (found & !0o777) | mode.bits();
    if wanted == found {
        return Ok(());
    }
    fs.set_mode_of(root, wanted)
}

/// Clears the set-id bits of files in a directory, and below it.
///
/// A file with another name keeps them, because that name may be outside the target. So does a file
/// of another user.
pub(crate) fn drop_set_ids(fs: &dyn Fs, dir: &Dir) {
    let mut open = vec![dir.clone()];
    while let Some(dir) = open.pop() {
        for name in fs.list(&dir).unwrap_or_default() {
            let Ok(Some(meta)) = fs.meta(&dir, &name) else {
                continue;
            };
            match meta.kind {
                Kind::Dir => open.extend(fs.open_dir(&dir, &name)),
                Kind::File if meta.mode & SET_ID != 0 && meta.links == 1 => {
                    let _of_another_user = fs.drop_set_id(&dir, &name);
                }
                Kind::File | Kind::Symlink | Kind::Other => {}
            }
        }
    }
}
