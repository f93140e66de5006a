//! Steps: the renames that publish, and their inverses.
//!
//! Promises that each step is one atomic rename, that none destroys another object, and that
//! [`take_back`] of all steps restores the names as they were (I5). If a user replaced an entry
//! meanwhile, that object moves to the stage, where it is kept. Does not sync: the caller
//! determines the order of writes.
//!
//! Read next: `recovery/settle.rs`, `transaction/ready.rs`.

use std::io::ErrorKind;

use crate::base::identity::Identity;
use crate::base::mutant::Safeguard;
use crate::base::safeguard::holds;
use crate::fs::named_sync::sync_dir;
use crate::fs::{Fs, FsError, Kind, Rename};
use crate::place::record::{Act, Step};
use crate::steps::step_places::{SlotAndLive, StepPlace, StepPlaces};

/// Why a step could not be taken back.
#[derive(Debug)]
pub(crate) enum Stuck {
    /// A call of the disk failed.
    Disk(FsError),
    /// An fsync failed: the next one would prove nothing about the same data.
    Sync(FsError),
}

impl From<FsError> for Stuck {
    fn from(source: FsError) -> Self {
        Self::Disk(source)
    }
}

/// Takes one step.
pub(crate) fn take(step_places: &StepPlaces<'_>, step: &Step) -> Result<(), FsError> {
    let SlotAndLive { slot, live } = open_places(step_places, step)?;
    match step.act {
        Act::Put { .. } => put(step_places.fs, &slot, &live),
        Act::Exchange { .. } => exchange(step_places, &slot, &live),
        Act::Take { .. } => take_to_slot(step_places.fs, &live, &slot),
    }
}

/// Moves a replaced object to its slot, where only the engine writes: a plain rename loses nothing
/// there.
fn take_to_slot(fs: &dyn Fs, live: &StepPlace, slot: &StepPlace) -> Result<(), FsError> {
    let tried = fs.rename(live.at(), slot.at(), Rename::NoReplace);
    let Err(error) = &tried else { return tried };
    if !error.is_no_such_rename() || fs.meta(&slot.dir, &slot.name)?.is_some() {
        return tried;
    }
    fs.rename(live.at(), slot.at(), Rename::Replace)
}

/// Reverses a step that was taken, whatever is at its entry now.
///
/// If the directory of the entry is gone, the replaced object stays in the stage.
pub(crate) fn take_back(step_places: &StepPlaces<'_>, step: &Step) -> Result<(), Stuck> {
    let Some(places) = step_places.slot_and_live(step) else {
        return Ok(());
    };
    let SlotAndLive { slot, live } = &places;
    let at_slot = step_places.identity(Some(slot))?;
    let at_live = step_places.identity(Some(live))?;
    match (step.act, at_slot, at_live) {
        // It was put by a link, and its first name still exists.
        (Act::Put { .. }, Some(one), Some(other)) if one == other => {
            Ok(step_places.fs.remove_file(&live.dir, &live.name)?)
        }
        (Act::Take { .. }, Some(one), Some(other)) if one == other => {
            Ok(step_places.fs.remove_file(&slot.dir, &slot.name)?)
        }
        (Act::Exchange { .. }, Some(_), Some(_)) => Ok(exchange(step_places, slot, live)?),
        (Act::Take { .. }, Some(_), Some(found)) => exchange_back(step_places, &places, found),
        (_, Some(_), None) => put_durably(step_places.fs, slot, live),
        (_, None, Some(_)) | (Act::Put { .. }, Some(_), Some(_)) => {
            put_durably(step_places.fs, live, slot)
        }
        // Another process has deleted the object that was put.
        (_, None, None) => Ok(()),
    }
}

/// Completes a step that was taken by a link, and whose first name still exists.
pub(crate) fn finish(step_places: &StepPlaces<'_>, step: &Step) -> Result<(), FsError> {
    let Some(SlotAndLive { slot, live }) = step_places.slot_and_live(step) else {
        return Ok(());
    };
    let at_slot = step_places.identity(Some(&slot))?;
    if at_slot.is_none() || at_slot != step_places.identity(Some(&live))? {
        return Ok(());
    }
    let first = match step.act {
        Act::Put { .. } => slot,
        Act::Take { .. } => live,
        Act::Exchange { .. } => return Ok(()),
    };
    step_places.fs.remove_file(&first.dir, &first.name)
}

fn open_places(step_places: &StepPlaces<'_>, step: &Step) -> Result<SlotAndLive, FsError> {
    step_places.slot_and_live(step).ok_or_else(|| FsError {
        verb: "find the directory of",
        name: step
            .entry
            .as_ref()
            .map_or_else(String::new, |entry| entry.path.to_string()),
        source: ErrorKind::NotFound.into(),
    })
}

fn exchange(
    step_places: &StepPlaces<'_>,
    one: &StepPlace,
    other: &StepPlace,
) -> Result<(), FsError> {
    step_places
        .fs
        .rename(one.at(), other.at(), Rename::Exchange)
}

/// Exchanges back. Without an exchange, the object `found` that another process put at the entry
/// gets a name of its own beside the slot.
///
/// # Crash
/// Between the two moves the entry is absent, and the slot shows that its object is to come back.
fn exchange_back(
    step_places: &StepPlaces<'_>,
    SlotAndLive { slot, live }: &SlotAndLive,
    found: Identity,
) -> Result<(), Stuck> {
    let tried = exchange(step_places, slot, live);
    let Err(error) = &tried else { return Ok(()) };
    if !error.is_no_such_rename() {
        return Ok(tried?);
    }
    for number in 1_u32.. {
        let mut name = slot.name.clone();
        name.push(format!(".found-{number}"));
        let dir = slot.dir.clone();
        let free_place = StepPlace { dir, name };
        match step_places.identity(Some(&free_place))? {
            None => put_durably(step_places.fs, live, &free_place)?,
            // It was moved by a link, and its first name still exists.
            Some(other) if other == found => step_places.fs.remove_file(&live.dir, &live.name)?,
            Some(_) => continue,
        }
        break;
    }
    put_durably(step_places.fs, slot, live)
}

/// What to do between the two halves of a move that is not a single rename.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Between {
    Nothing,
    Sync,
}

/// Moves an object to a name that must be free.
///
/// Without `RENAME_NOREPLACE` a file gets its new name by a link, which fails if the name exists,
/// and then loses its old name. A crash between the two leaves both names, which counts as done.
/// For a directory the name is checked first. A plain rename of a directory then fails if anything
/// has appeared there meanwhile, except an empty directory, which loses nothing.
pub(crate) fn put(fs: &dyn Fs, from: &StepPlace, to: &StepPlace) -> Result<(), FsError> {
    put_with(fs, from, to, Between::Nothing).map_err(|stuck| match stuck {
        Stuck::Disk(source) | Stuck::Sync(source) => source,
    })
}

/// As [`put`], for an object that must not be lost: a power cut that kept the unlink but not the
/// link would lose it.
fn put_durably(fs: &dyn Fs, from: &StepPlace, to: &StepPlace) -> Result<(), Stuck> {
    put_with(fs, from, to, Between::Sync)
}

fn put_with(fs: &dyn Fs, from: &StepPlace, to: &StepPlace, between: Between) -> Result<(), Stuck> {
    let tried = fs.rename(from.at(), to.at(), Rename::NoReplace);
    let Err(error) = &tried else { return Ok(()) };
    if !error.is_no_such_rename() {
        return Ok(tried?);
    }
    if !holds(
        Safeguard::LookBeforePut,
        fs.meta(&to.dir, &to.name)?.is_none(),
    ) {
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
                if between == Between::Sync {
                    sync_dir(fs, &to.dir, Safeguard::SyncBetweenNames).map_err(Stuck::Sync)?;
                }
                return Ok(fs.remove_file(&from.dir, &from.name)?);
            }
            // On filesystems without links the check above is all that is possible.
            Err(error) if error.is_no_such_rename() || error.is_forbidden() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(fs.rename(from.at(), to.at(), Rename::Replace)?)
}
