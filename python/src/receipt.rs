//! The receipt after code of the caller changed a published environment.
//!
//! Promises that the receipt then lists what the planned paths have become, so that `verify` does
//! not report the builder's own work as damage. Paths in the directories of packages stay as they
//! were planned: what another installer does there, `verify` knows by itself. The old receipt is
//! replaced by a rename.
//!
//! # Crash
//! The environment is not settled yet, so the next run undoes it whatever its receipt says.

use std::ffi::OsStr;

use rvenv_journal::fs::{Dir, Flush, FsError, Kind, NewFile, Rename};
use rvenv_journal::raw::{PublishedPath, RECEIPT_BYTES_MAX};
use rvenv_journal::{Fs, Receipt, RelPath, drift};

/// Writes the receipt of the environment at `root` again, if planned paths changed.
pub(crate) fn refresh(fs: &dyn Fs, root: &Dir) -> Result<(), FsError> {
    let path = Receipt::path();
    let Some(home) = path.parent() else {
        return Ok(());
    };
    let inner = fs.open_dir(root, OsStr::new(home.as_str()))?;
    let bytes = fs.read_file(&inner, OsStr::new(path.name()), RECEIPT_BYTES_MAX)?;
    // A damaged receipt stays as it is; `verify` reports it.
    let Ok(mut receipt) = Receipt::from_json(&bytes) else {
        return Ok(());
    };
    let mut is_changed = false;
    for found in drift(fs, root, &receipt)? {
        let Ok(path) = RelPath::new(&found.path) else {
            continue;
        };
        let is_package = path.components().any(|name| name == "site-packages");
        if is_package || !receipt.paths.contains_key(&path) {
            continue;
        }
        is_changed = true;
        match now(fs, root, &path)? {
            Some(published) => receipt.paths.insert(path, published),
            None => receipt.paths.remove(&path),
        };
    }
    if is_changed {
        write(fs, &inner, OsStr::new(path.name()), &receipt.to_json())?;
    }
    Ok(())
}

/// What exists at a path.
fn now(fs: &dyn Fs, root: &Dir, path: &RelPath) -> Result<Option<PublishedPath>, FsError> {
    let mut dir = root.clone();
    if let Some(above) = path.parent() {
        for name in above.components() {
            dir = match fs.open_dir(&dir, OsStr::new(name)) {
                Ok(dir) => dir,
                Err(_) => return Ok(None),
            };
        }
    }
    let name = OsStr::new(path.name());
    let Some(meta) = fs.meta(&dir, name)? else {
        return Ok(None);
    };
    let mode = meta.mode & 0o777;
    Ok(match meta.kind {
        Kind::Dir => Some(PublishedPath::Dir { mode }),
        Kind::File => Some(PublishedPath::File {
            mode,
            digest: fs.digest_file(&dir, name)?,
            len: meta.len,
            // What the builder wrote has the time of that, which no plan knows.
            mtime: None,
        }),
        Kind::Symlink => {
            let target = fs.read_link(&dir, name)?.into_string().ok();
            target.map(|target| PublishedPath::Symlink { target })
        }
        Kind::Other => None,
    })
}

/// Replaces a file by a rename; keeps its mode.
fn write(fs: &dyn Fs, dir: &Dir, name: &OsStr, text: &str) -> Result<(), FsError> {
    let new = OsStr::new("receipt.new");
    let meta = fs.meta(dir, name)?;
    let file = NewFile {
        mode: meta.map_or(0o644, |meta| meta.mode & 0o777),
        mtime: None,
        bytes: text.as_bytes(),
        flush: Flush::Later,
    };
    fs.write_file(dir, new, &file)?;
    fs.rename(dir.at(new), dir.at(name), Rename::Replace)
}
