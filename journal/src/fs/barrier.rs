//! The barrier: makes everything that was written below a directory durable.
//!
//! Promises that after success a power cut loses nothing below that directory (I2). It uses one
//! call for the whole filesystem where such a call exists and reports its errors. Otherwise it
//! syncs every file, then every directory from the bottom up, because syncing files alone loses
//! symbolic links on btrfs.
//!
//! Read next: `staging/build.rs`, `store.rs`.

use crate::base::mutant::Safeguard;
use crate::base::safeguard::perform_or;
use crate::fs::named_sync::{sync_dir, sync_file};
use crate::fs::{Barrier, Dir, Fs, FsError, Kind};

/// Makes a directory and everything below it durable, and returns how far the sync reached.
///
/// # Errors
/// The sync that failed. The caller must then abandon what was written, since a second sync would
/// prove nothing.
pub(crate) fn sync_tree(fs: &dyn Fs, root: &Dir) -> Result<Barrier, FsError> {
    let reach = fs.sync_filesystem(root)?;
    if reach == Barrier::PerObject {
        sync_objects(fs, root)?;
    }
    Ok(reach)
}

/// As [`sync_tree`], for several directories of one filesystem.
///
/// # Errors
/// As [`sync_tree`].
pub(crate) fn sync_trees<'d>(
    fs: &dyn Fs,
    mut roots: impl Iterator<Item = &'d Dir>,
) -> Result<(), FsError> {
    let Some(first) = roots.next() else {
        return Ok(());
    };
    match sync_tree(fs, first)? {
        Barrier::PerObject => roots.try_for_each(|root| sync_objects(fs, root)),
        Barrier::Filesystem => Ok(()),
    }
}

/// As [`sync_tree`], called by its name.
pub(crate) fn sync_tree_named(
    fs: &dyn Fs,
    root: &Dir,
    named: Safeguard,
) -> Result<Barrier, FsError> {
    perform_or(named, Ok(Barrier::PerObject), || sync_tree(fs, root))
}

/// Syncs files before the directory that names them, and a directory before its parent.
fn sync_objects(fs: &dyn Fs, dir: &Dir) -> Result<(), FsError> {
    for name in fs.list(dir)? {
        match fs.meta(dir, &name)?.map(|meta| meta.kind) {
            Some(Kind::Dir) => sync_objects(fs, &fs.open_dir(dir, &name)?)?,
            Some(Kind::File) => sync_file(fs, dir, &name, Safeguard::SyncOfStagedFiles)?,
            Some(Kind::Symlink | Kind::Other) | None => {}
        }
    }
    sync_dir(fs, dir, Safeguard::SyncOfStagedDirs)
}
