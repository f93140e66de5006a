//! Entries as steps: from the changes in a plan to the renames that make them.
//!
//! Promises that each entry has its own slot, that a step records the identities on both of its
//! sides after everything is staged, and that every replaced entry was as the plan observed it.
//! Does not take the steps.
//!
//! Read next: `transaction/ready.rs`.

use std::ffi::OsStr;

use crate::base::mutant::Safeguard;
use crate::base::path::RelPath;
use crate::base::safeguard::{holds, perform};
use crate::fs::exchange::CanExchange;
use crate::fs::{Dir, Fs, FsError, NameInDir};
use crate::place::record::{Act, EntrySlot, Step};
use crate::place::target::Target;
use crate::plan::builder::Plan;
use crate::plan::node::{Observed, Publication};
use crate::plan::observe::observe_moved;
use crate::plan::receipt::Receipt;
use crate::staging::build::{Filling, SlotFilling};
use crate::steps::entry_cover::{
    CoverError, Covered, CoveredEntry, Grain, StepKind, cover, is_known,
};
use crate::steps::step_places::StepPlaces;

/// One planned rename: which entry, how, and the slot of its other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlannedStep {
    pub(crate) entry: EntrySlot,
    pub(crate) kind: StepKind,
}

/// Everything that a publication by entries moves, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntrySteps {
    pub(crate) list: Vec<PlannedStep>,
    covered: Covered,
    grain: Grain,
}

impl EntrySteps {
    /// The steps that a plan needs for its target as it is now; the receipt comes last.
    pub(crate) fn of(
        target: &Target<'_>,
        plan: &Plan,
        grain: Grain,
        can_exchange: CanExchange,
    ) -> Result<Self, CoverError> {
        let root = target.fs.open_dir(&target.parent, &target.name)?;
        let covered = cover(target.fs, &root, plan, grain)?;
        let receipt = CoveredEntry {
            path: Receipt::path(),
            kind: receipt_kind(target.fs, &root)?,
        };
        let mut list = Vec::new();
        for change in covered.changes.iter().chain([&receipt]) {
            let kinds = match change.kind {
                StepKind::Exchange => StepKind::replacing(can_exchange),
                StepKind::Put => &[StepKind::Put],
                StepKind::Take => &[StepKind::Take],
            };
            for kind in kinds {
                let entry = EntrySlot {
                    path: change.path.clone(),
                    slot: u32::try_from(list.len()).map_err(|_| CoverError::TooMany)?,
                };
                list.push(PlannedStep { entry, kind: *kind });
            }
        }
        Ok(Self {
            list,
            covered,
            grain,
        })
    }

    /// Whether the target still needs the same steps.
    pub(crate) fn are_current(&self, target: &Target<'_>, plan: &Plan) -> Result<bool, CoverError> {
        let root = target.fs.open_dir(&target.parent, &target.name)?;
        let covered = cover(target.fs, &root, plan, self.grain)?;
        Ok(holds(Safeguard::LookAtMoves, covered == self.covered))
    }

    /// Directories that are not planned and become empty when everything in them is taken; the
    /// deepest first.
    pub(crate) fn emptied(&self) -> Vec<RelPath> {
        self.covered.emptied.iter().rev().cloned().collect()
    }

    /// What to build in which slot.
    pub(crate) fn fillings(&self) -> Vec<SlotFilling<'_>> {
        let coming = self.list.iter().filter(|step| step.kind != StepKind::Take);
        coming
            .map(|step| {
                let filling = if step.entry.path == Receipt::path() {
                    Filling::Receipt
                } else {
                    Filling::Planned(&step.entry.path)
                };
                SlotFilling {
                    slot: step.entry.slot,
                    filling,
                }
            })
            .collect()
    }

    /// Gives each entry that will be moved the identity that it keeps: an object of a lower layer
    /// gets another one at its first change, so cause that change now.
    pub(crate) fn pin(&self, step_places: &StepPlaces<'_>) -> Result<(), FsError> {
        let going = self.list.iter().filter(|step| step.kind != StepKind::Put);
        for live in going.filter_map(|step| step_places.live_of(&step.entry)) {
            perform(Safeguard::PinOfEntries, || {
                step_places.fs.pin(&live.dir, &live.name)
            })?;
        }
        Ok(())
    }

    /// The steps, with the identities that are on both sides now; `step_places` must have been
    /// opened for these steps.
    ///
    /// A step whose two sides are one object is left out: a rename between two links of one file
    /// does nothing.
    pub(crate) fn steps(&self, step_places: &StepPlaces<'_>) -> Result<Vec<Step>, FsError> {
        let mut steps = Vec::new();
        for PlannedStep { entry, kind } in &self.list {
            let live = step_places.live_of(entry);
            let old = step_places.identity(live.as_ref())?;
            let new = step_places.identity(step_places.slot_of(entry).as_ref())?;
            let act = match (kind, new, old) {
                (StepKind::Put, Some(new), _) => Act::Put { new },
                (StepKind::Take, _, Some(old)) => Act::Take { old },
                (StepKind::Exchange, Some(new), Some(old)) if new == old => continue,
                (StepKind::Exchange, Some(new), Some(old)) => Act::Exchange { new, old },
                (StepKind::Put | StepKind::Exchange, None, _)
                | (StepKind::Take | StepKind::Exchange, _, None) => {
                    return Err(FsError {
                        verb: "find",
                        name: entry.path.to_string(),
                        source: std::io::ErrorKind::NotFound.into(),
                    });
                }
            };
            let entry = Some(entry.clone());
            steps.push(Step { entry, act });
        }
        Ok(steps)
    }
}

fn receipt_kind(fs: &dyn Fs, root: &Dir) -> Result<StepKind, FsError> {
    let path = Receipt::path();
    let mut dir = root.clone();
    if let Some(above) = path.parent() {
        dir = match fs.open_dir(root, OsStr::new(above.name())) {
            Ok(dir) => dir,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(StepKind::Put),
            Err(error) => return Err(error),
        };
    }
    let there = fs.meta(&dir, OsStr::new(path.name()))?.is_some();
    Ok(if there {
        StepKind::Exchange
    } else {
        StepKind::Put
    })
}

/// The first replaced entry that is not as the plan observed it.
///
/// Another process may have written to it, or into it, between the last check and the rename.
pub(crate) fn stranger_in_slots(
    step_places: &StepPlaces<'_>,
    steps: &[Step],
    plan: &Plan,
) -> Result<Option<RelPath>, FsError> {
    for step in steps.iter().filter(|step| step.act.going().is_some()) {
        let Some((entry, slot)) = step.entry.as_ref().zip(step_places.slot(step)) else {
            continue;
        };
        let is_as_seen = is_as_seen(step_places.fs, slot.at(), &entry.path, plan)?;
        if !holds(Safeguard::LookIntoSlots, is_as_seen) {
            return Ok(Some(entry.path.clone()));
        }
    }
    Ok(None)
}

fn is_as_seen(
    fs: &dyn Fs,
    at: NameInDir<'_>,
    path: &RelPath,
    plan: &Plan,
) -> Result<bool, FsError> {
    let expected = &plan.observation().paths;
    if !expected.contains_key(path) {
        // The receipt, or an entry that is not planned, in a target that is refilled.
        return Ok(true);
    }
    // The paths below a path come directly after it.
    let within = |other: &&RelPath| *other == path || other.is_below(path);
    let planned = plan.operations().range(path.clone()..);
    let planned = planned.map(|(path, _)| path).take_while(within);
    let retired = plan.retired().range(path.clone()..).take_while(within);
    let below = planned.chain(retired).filter(|other| *other != path);
    let now = observe_moved(fs, at, path, below)?;
    let then = expected.range(path.clone()..);
    let then = then.take_while(|(other, _)| within(other));
    let then = then.map(|(other, seen)| (other, as_moved(seen)));
    if !now
        .iter()
        .map(|(other, seen)| (other, as_moved(seen)))
        .eq(then)
    {
        return Ok(false);
    }
    let is_dir = matches!(now.get(path), Some(Observed::Dir { .. }));
    let may_hold_others = plan.publication() == Publication::Refill;
    if !is_dir || may_hold_others {
        return Ok(true);
    }
    is_known(fs, &fs.open_dir(at.dir, at.name)?, path, plan)
}

/// The part of an observation that stays the same when its object is moved, and perhaps copied up
/// for that.
fn as_moved(seen: &Observed) -> Observed {
    let mut seen = seen.clone();
    if let Observed::File { inode, digest, .. } = &mut seen {
        *inode = 0;
        *digest = None;
    }
    seen
}
