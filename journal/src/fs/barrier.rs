//! The barrier: everything that was written below a directory is on the disk.
//!
//! Promises that after success a power cut loses nothing below that directory (I2). One call for the whole filesystem
//! where it exists and reports its errors; otherwise every file, then every directory from the bottom up, because
//! syncing files alone loses symbolic links on btrfs.
//!
//! Read next: `staging/build.rs`, `store.rs`.

use crate::base::mutant::{self, Site};
use crate::fs::{Barrier, Dir, Fs, FsError, Kind};

/// Makes everything below a directory durable, and the directory itself; says how far that reached.
///
/// # Errors
/// The sync that failed; what was written must then be abandoned, since a second sync would prove nothing.
pub(crate) fn sync_tree(fs: &dyn Fs, root: &Dir) -> Result<Barrier, FsError> {
    let reach = fs.sync_filesystem(root)?;
    if reach == Barrier::PerObject {
        sync_objects(fs, root)?;
    }
    Ok(reach)
}

/// Files before the directory that names them, and a directory before the one above.
fn sync_objects(fs: &dyn Fs, dir: &Dir) -> Result<(), FsError> {
    for name in fs.list(dir)? {
        match fs.meta(dir, &name)?.map(|meta| meta.kind) {
            Some(Kind::Dir) => sync_objects(fs, &fs.open_dir(dir, &name)?)?,
            Some(Kind::File) if mutant::drops(Site::SyncOfStagedFiles) => {}
            Some(Kind::File) => fs.sync_file(dir, &name)?,
            Some(Kind::Symlink | Kind::Other) | None => {}
        }
    }
    if mutant::drops(Site::SyncOfStagedDirs) {
        return Ok(());
    }
    fs.sync_dir(dir)
}
