//! The first packages of an environment that still are as rvenv installed them.
//!
//! Promises that what another installer put in place of them, in the same version, counts as its
//! work, which a change of other packages leaves alone (I8). Reads the receipt only if a RECORD
//! lists bytecode, as pip's own do: the receipt of many packages takes milliseconds.
//!
//! Does not write. Read next: `../../front/request.rs`, which plans the others again.

use std::ffi::OsStr;

use rvenv_journal::Fs;
use rvenv_journal::fs::{Dir, FsError};
use rvenv_journal::raw::PublishedPath;
use rvenv_journal::{Digest, RelPath};

use super::{LIST_BYTES_MAX, receipt_in};
use crate::change::open_path::Walk;
use crate::wheel::distributions::Distribution;
use crate::wheel::installed::Installed;

/// What the wheels that are bundled with an interpreter name as their installer.
const INSTALLER: &str = "pip";

/// Whether a distribution in the directory `site` is as rvenv installed it as one of the first
/// packages.
///
/// # Errors
/// The error of the disk.
pub(crate) fn is_own_seed(
    fs: &dyn Fs,
    root: &Dir,
    site: &RelPath,
    distribution: &Distribution,
) -> Result<bool, FsError> {
    let mut walk = Walk::new(fs, root);
    let Some(open) = walk.open(site)? else {
        return Ok(false);
    };
    let installer = Installed::read(fs, &open, distribution.clone()).installer;
    let Ok(record) = site.join(&format!("{}/RECORD", distribution.dir)) else {
        return Ok(false);
    };
    let Some((dir, _)) = walk.look(&record)? else {
        return Ok(false);
    };
    if installer.as_deref() != Some(INSTALLER) {
        return Ok(false);
    }
    let list = fs.read_file(&dir, OsStr::new("RECORD"), LIST_BYTES_MAX)?;
    let has_bytecode = list.windows(5).any(|part| part == b".pyc,");
    let is_published = || {
        let receipt = receipt_in(fs, root);
        let published = receipt.and_then(|mut receipt| receipt.paths.remove(&record));
        let digest = Digest::of(&list);
        matches!(published, Some(PublishedPath::File { digest: own, .. }) if own == digest)
    };
    Ok(!has_bytecode || is_published())
}
