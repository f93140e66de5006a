//! Steps: the renames that publish, and their inverses.
//!
//! Promises that each is one atomic rename, that none is made over something that it would destroy, and that
//! [`take_back`] of all of them restores the names as they were (I5); what a user has put at an entry meanwhile moves to
//! the stage, where it is kept.
//! Does not sync: the caller owns the order of writes.
//!
//! Read next: `recovery/settle.rs`, `transaction/ready.rs`.

use std::io::ErrorKind;

use crate::base::identity::Identity;
use crate::base::mutant::{self, Site};
use crate::fs::{Fs, FsError, Kind, Rename};
use crate::place::record::{Act, Step};
use crate::steps::step_places::{StepPlace, StepPlaces};

/// Why a step could not be taken back.
#[derive(Debug)]
pub(crate) enum Stuck {
    /// The disk refused.
    Disk(FsError),
    /// A sync failed: the next one proves nothing about what this one was for.
    Sync(FsError),
}

impl From<FsError> for Stuck {
    fn from(source: FsError) -> Self {
        Self::Disk(source)
    }
}

/// Takes one step.
pub(crate) fn take(sides: &StepPlaces<'_>, step: &Step) -> Result<(), FsError> {
    let (slot, live) = both(sides, step)?;
    match step.act {
        Act::Put { .. } => put(sides.fs, &slot, &live),
        Act::Swap { .. } => exchange(sides, &slot, &live),
        Act::Take { .. } => take_aside(sides.fs, &live, &slot),
    }
}

/// Moves what is replaced to its slot, where nobody else writes: a plain rename loses nothing there.
fn take_aside(fs: &dyn Fs, live: &StepPlace, slot: &StepPlace) -> Result<(), FsError> {
    let tried = fs.rename(live.at(), slot.at(), Rename::NoReplace);
    let Err(error) = &tried else { return tried };
    if !is_no_such_rename(error) || fs.meta(&slot.dir, &slot.name)?.is_some() {
        return tried;
    }
    fs.rename(live.at(), slot.at(), Rename::Replace)
}

/// Takes one step back that was taken, whatever stands at its entry by now.
///
/// Where the directory of the entry is gone, what was replaced stays in the stage.
pub(crate) fn take_back(sides: &StepPlaces<'_>, step: &Step) -> Result<(), Stuck> {
    let Some((slot, live)) = sides.slot(step).zip(sides.live(step)) else {
        return Ok(());
    };
    let at_slot = sides.identity(Some(&slot))?;
    let at_live = sides.identity(Some(&live))?;
    match (step.act, at_slot, at_live) {
        // It was put by a link, and its first name is there still.
        (Act::Put { .. }, Some(one), Some(other)) if one == other => {
            Ok(sides.fs.remove_file(&live.dir, &live.name)?)
        }
        (Act::Take { .. }, Some(one), Some(other)) if one == other => {
            Ok(sides.fs.remove_file(&slot.dir, &slot.name)?)
        }
        (Act::Swap { .. }, Some(_), Some(_)) => Ok(exchange(sides, &slot, &live)?),
        (Act::Take { .. }, Some(_), Some(found)) => exchange_back(sides, &slot, (&live, found)),
        (_, Some(_), None) => put_durably(sides.fs, &slot, &live),
        (_, None, Some(_)) | (Act::Put { .. }, Some(_), Some(_)) => {
            put_durably(sides.fs, &live, &slot)
        }
        // Somebody has deleted what was put.
        (_, None, None) => Ok(()),
    }
}

/// Ends a step that was taken by a link, and whose first name is there still.
pub(crate) fn finish(sides: &StepPlaces<'_>, step: &Step) -> Result<(), FsError> {
    let (Some(slot), Some(live)) = (sides.slot(step), sides.live(step)) else {
        return Ok(());
    };
    let at_slot = sides.identity(Some(&slot))?;
    if at_slot.is_none() || at_slot != sides.identity(Some(&live))? {
        return Ok(());
    }
    let first = match step.act {
        Act::Put { .. } => slot,
        Act::Take { .. } => live,
        Act::Swap { .. } => return Ok(()),
    };
    sides.fs.remove_file(&first.dir, &first.name)
}

fn both(sides: &StepPlaces<'_>, step: &Step) -> Result<(StepPlace, StepPlace), FsError> {
    let sides = sides.slot(step).zip(sides.live(step));
    sides.ok_or_else(|| FsError {
        verb: "find the directory of",
        name: step
            .entry
            .as_ref()
            .map_or_else(String::new, |entry| entry.path.to_string()),
        source: ErrorKind::NotFound.into(),
    })
}

fn exchange(sides: &StepPlaces<'_>, one: &StepPlace, other: &StepPlace) -> Result<(), FsError> {
    sides.fs.rename(one.at(), other.at(), Rename::Exchange)
}

/// Exchanges back; without an exchange, what somebody put at the entry gets a name of its own beside the slot.
///
/// # Crash
/// Between the two moves nothing stands at the entry, and the slot says that it is to come back.
fn exchange_back(
    sides: &StepPlaces<'_>,
    slot: &StepPlace,
    (live, found): (&StepPlace, Identity),
) -> Result<(), Stuck> {
    let tried = exchange(sides, slot, live);
    let Err(error) = &tried else { return Ok(()) };
    if !is_no_such_rename(error) {
        return Ok(tried?);
    }
    for number in 1_u32.. {
        let mut name = slot.name.clone();
        name.push(format!(".found-{number}"));
        let dir = slot.dir.clone();
        let aside = StepPlace { dir, name };
        match sides.identity(Some(&aside))? {
            None => put_durably(sides.fs, live, &aside)?,
            // It was moved by a link, and its first name is there still.
            Some(other) if other == found => sides.fs.remove_file(&live.dir, &live.name)?,
            Some(_) => continue,
        }
        break;
    }
    put_durably(sides.fs, slot, live)
}

/// What is made sure of between the two halves of a move that is no single rename.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Between {
    Nothing,
    Sync,
}

/// Moves something to a name that must be free.
///
/// Without `RENAME_NOREPLACE` a file is given its new name by a link, which fails if the name is taken, and then loses its
/// old one; a crash between the two leaves both names, which count as done. A directory has its name looked at first; a plain
/// rename of a directory then fails on anything that appeared meanwhile, except an empty directory, which holds
/// nothing to lose.
pub(crate) fn put(fs: &dyn Fs, from: &StepPlace, to: &StepPlace) -> Result<(), FsError> {
    put_with(fs, from, to, Between::Nothing).map_err(|stuck| match stuck {
        Stuck::Disk(source) | Stuck::Sync(source) => source,
    })
}

/// As [`put`], for what must not be lost: a power cut that kept the unlink and not the link would lose it.
fn put_durably(fs: &dyn Fs, from: &StepPlace, to: &StepPlace) -> Result<(), Stuck> {
    put_with(fs, from, to, Between::Sync)
}

fn put_with(fs: &dyn Fs, from: &StepPlace, to: &StepPlace, between: Between) -> Result<(), Stuck> {
    let tried = fs.rename(from.at(), to.at(), Rename::NoReplace);
    let Err(error) = &tried else { return Ok(()) };
    if !is_no_such_rename(error) {
        return Ok(tried?);
    }
    if fs.meta(&to.dir, &to.name)?.is_some() && !mutant::drops(Site::LookBeforePut) {
        let name = to.name.to_string_lossy().escape_debug().to_string();
        return Err(Stuck::Disk(FsError {
            verb: "rename to",
            name,
            source: ErrorKind::AlreadyExists.into(),
        }));
    }
    let kind = fs.meta(&from.dir, &from.name)?.map(|meta| meta.kind);
    if kind != Some(Kind::Dir) {
        match fs.link(from.at(), to.at()) {
            Ok(()) => {
                if between == Between::Sync && !mutant::drops(Site::SyncBetweenNames) {
                    fs.sync_dir(&to.dir).map_err(Stuck::Sync)?;
                }
                return Ok(fs.remove_file(&from.dir, &from.name)?);
            }
            // Filesystems without links have nothing better than the look that was taken.
            Err(error)
                if is_no_such_rename(&error) || error.kind() == ErrorKind::PermissionDenied => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(fs.rename(from.at(), to.at(), Rename::Replace)?)
}

fn is_no_such_rename(error: &FsError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidInput | ErrorKind::Unsupported
    )
}
