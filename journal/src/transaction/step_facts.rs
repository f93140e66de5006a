//! What the steps of a publication depend on: the directory at the target, the entries to move, the
//! number of the generation, and whether the filesystem can exchange two names.
//!
//! Promises to test what a filesystem supports with scratch entries inside the stage, where the
//! test affects no other process, and to move no mount point.
//!
//! The steps of a whole tree follow from whether an exchange is possible: `tree_steps` in
//! `transaction/begun.rs`.
//!
//! On disk meanwhile: the empty stage of `place/stage_claim.rs`.
//! Read next: `transaction/ready.rs`.

use std::ffi::OsString;

use crate::fs::error_place::DiskError;
use crate::fs::exchange::CanExchange;
use crate::fs::{Dir, FsError, Meta};
use crate::place::journal_file::Siblings;
use crate::place::target::Target;
use crate::place::transaction_dir::TransactionDir;
use crate::plan::builder::Plan;
use crate::steps::entry_cover::{CoverError, Grain};
use crate::steps::entry_steps::EntrySteps;
use crate::transaction::failures::PrepareError;
use crate::transaction::preconditions::{expected_root, mounted_entries};

/// The directory at the target, with the identity that a rename keeps. A layered filesystem may
/// change its identity when its contents change.
pub(crate) fn pinned_root(target: &Target<'_>, plan: &Plan) -> Result<Option<Meta>, FsError> {
    if expected_root(plan).is_none() {
        return Ok(None);
    }
    target.fs.pin(&target.parent, &target.name)?;
    target.meta()
}

/// What to move in a target entry by entry; mount points are refused.
pub(crate) fn entry_steps(
    target: &Target<'_>,
    plan: &Plan,
    grain: Grain,
    can_exchange: CanExchange,
) -> Result<EntrySteps, PrepareError> {
    let path = || target.path().to_path_buf();
    let disk = PrepareError::disk(target.path());
    let entry_steps = match EntrySteps::of(target, plan, grain, can_exchange) {
        Ok(entry_steps) => entry_steps,
        Err(CoverError::Disk(source)) => return Err(disk(source)),
        Err(source @ (CoverError::Blocked(_) | CoverError::Unnamable(_) | CoverError::TooMany)) => {
            return Err(PrepareError::Cover {
                target: path(),
                source,
            });
        }
    };
    let entries = entry_steps.list.iter().map(|step| &step.entry.path);
    match mounted_entries(target, entries).map_err(disk)? {
        None => Ok(entry_steps),
        Some(mount) => Err(PrepareError::Mounted {
            target: path(),
            mount,
        }),
    }
}

/// One more than the highest number in both places, so that generations are ordered by when they
/// were replaced.
///
/// Another user can create any name. So a number without a successor is refused here, before
/// anything is published.
pub(crate) fn next_generation(target: &Target<'_>) -> Result<u32, PrepareError> {
    let disk = PrepareError::disk(target.path());
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

/// Tests an exchange with two scratch entries inside the stage.
pub(crate) fn try_exchange(home: &TransactionDir<'_>, root: &Dir) -> Result<CanExchange, FsError> {
    let fs = home.fs;
    let [one, two] = ["scratch-1", "scratch-2"].map(OsString::from);
    for name in [&one, &two] {
        fs.make_dir(root, name, 0o700)?;
    }
    CanExchange::probe(fs, root, [&one, &two])
}
