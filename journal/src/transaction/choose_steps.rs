//! Preparing: what is to be moved, and what the filesystem can do.
//!
//! Promises that what a filesystem can do is tried on scratch entries inside the stage, where trying harms nobody, and
//! that nothing which is mounted is moved.
//!
//! On disk meanwhile: the empty stage of `place/stage_claim.rs`.
//! Read next: `transaction/ready.rs`.

use std::ffi::OsString;

use crate::fs::{Dir, FsError, Meta, Rename};
use crate::place::journal_file::Siblings;
use crate::place::target::Target;
use crate::place::transaction_dir::TransactionDir;
use crate::plan::builder::Plan;
use crate::steps::entry_cover::{CoverError, Grain};
use crate::steps::entry_steps::{EntrySteps, Exchange};
use crate::transaction::failures::PrepareError;
use crate::transaction::preconditions::{expected_root, mounted_entries};

/// The directory at the target as a rename keeps it, which a layered filesystem may change when something in it changes.
pub(crate) fn pinned_root(target: &Target<'_>, plan: &Plan) -> Result<Option<Meta>, FsError> {
    if expected_root(plan).is_none() {
        return Ok(None);
    }
    target.fs.pin(&target.parent, &target.name)?;
    target.meta()
}

/// What is moved of a target entry by entry; nothing that is mounted is.
pub(crate) fn moves(
    target: &Target<'_>,
    plan: &Plan,
    grain: Grain,
    exchange: Exchange,
) -> Result<EntrySteps, PrepareError> {
    let path = || target.path().to_path_buf();
    let disk = |source| PrepareError::Disk {
        target: path(),
        source,
    };
    let moves = match EntrySteps::of(target, plan, grain, exchange) {
        Ok(moves) => moves,
        Err(CoverError::Disk(source)) => return Err(disk(source)),
        Err(source @ (CoverError::Blocked(_) | CoverError::Unnamable(_) | CoverError::TooMany)) => {
            return Err(PrepareError::Cover {
                target: path(),
                source,
            });
        }
    };
    match mounted_entries(target, &moves).map_err(disk)? {
        None => Ok(moves),
        Some(mount) => Err(PrepareError::Mounted {
            target: path(),
            mount,
        }),
    }
}

/// One above the highest in both places, so that the order of generations is that in which they were replaced.
///
/// Names can be planted: a number that has no successor is refused here, while nothing is published yet.
pub(crate) fn next_generation(target: &Target<'_>) -> Result<u32, PrepareError> {
    let disk = |source| PrepareError::Disk {
        target: target.path().to_path_buf(),
        source,
    };
    let mut next = 1;
    let homes = std::iter::once(TransactionDir::beside(target))
        .chain(TransactionDir::within(target).map_err(disk)?);
    for home in homes {
        let siblings = Siblings::list(&home).map_err(disk)?;
        let Some((highest, name)) = siblings.highest_generation(&home.names) else {
            continue;
        };
        let above = highest
            .checked_add(1)
            .ok_or_else(|| PrepareError::Unnumbered {
                target: target.path().to_path_buf(),
                name: home.shown(name),
            })?;
        next = next.max(above);
    }
    Ok(next)
}

/// Tries an exchange on two scratch entries.
pub(crate) fn try_exchange(home: &TransactionDir<'_>, root: &Dir) -> Result<Exchange, FsError> {
    let fs = home.fs;
    let [one, two] = ["scratch-1", "scratch-2"].map(OsString::from);
    for name in [&one, &two] {
        fs.make_dir(root, name, 0o700)?;
    }
    let exchanged = fs.rename((root, &one), (root, &two), Rename::Exchange);
    for name in [&one, &two] {
        fs.remove_dir(root, name)?;
    }
    Ok(match exchanged {
        Ok(()) => Exchange::Possible,
        Err(_) => Exchange::Impossible,
    })
}
