//! The two places of each step: where readers find the entry, and its slot.
//!
//! Promises that everything a rename needs is open before the first one, so that nothing slower
//! than a rename happens between two of them (I3). The state of a step is judged by its slot, which
//! only the engine writes to, so that changes by a user at the entry are recognised as such.
//!
//! Read next: `steps/renames.rs`, `recovery/evidence.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;

use crate::base::identity::Identity;
use crate::base::mutant::Safeguard;
use crate::base::path::RelPath;
use crate::base::safeguard::in_order;
use crate::fs::named_sync::sync_dir;
use crate::fs::{Dir, Fs, FsError, NameInDir};
use crate::place::record::{Act, EntrySlot, Form, Record, Step};
use crate::place::target::Target;
use crate::place::transaction_dir::TransactionDir;
use crate::plan::node::ENGINE_DIR;

/// One name in one open directory.
#[derive(Clone, Debug)]
pub(crate) struct StepPlace {
    pub(crate) dir: Dir,
    pub(crate) name: OsString,
}

impl StepPlace {
    pub(crate) fn at(&self) -> NameInDir<'_> {
        self.dir.at(&self.name)
    }
}

/// Both places of one step.
#[derive(Clone, Debug)]
pub(crate) struct SlotAndLive {
    /// The slot of an entry; for a whole tree the name of the stage or of the generation.
    pub(crate) slot: StepPlace,
    /// Where readers find the object.
    pub(crate) live: StepPlace,
}

/// The state of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StepState {
    /// Not taken, or reversed.
    Before,
    /// Not taken or reversed, and the slot contains an object of another process.
    BeforeChanged,
    /// Taken.
    After,
    /// Taken, and another process has changed or removed the entry since.
    AfterChanged,
    /// Neither: no known history leaves this.
    Neither,
}

impl StepState {
    pub(crate) fn is_taken(self) -> bool {
        matches!(self, Self::After | Self::AfterChanged)
    }
}

/// Both places of all steps of a record.
#[derive(Debug)]
pub(crate) struct StepPlaces<'a> {
    pub(crate) fs: &'a dyn Fs,
    home: TransactionDir<'a>,
    staging_name: String,
    taken_to: String,
    /// The target in its parent, for a whole tree.
    tree: StepPlace,
    /// The directory of the slots, whatever its name is now; `None` if it is gone.
    slots: Option<Dir>,
    /// The directories that contain the entries; the key `None` is the target's own root.
    parents: BTreeMap<Option<RelPath>, Dir>,
    /// Those of them in which entries change.
    touched: BTreeSet<Option<RelPath>>,
}

impl<'a> StepPlaces<'a> {
    /// Opens every directory that the steps of a record touch; absent ones are left out.
    pub(crate) fn open(
        target: &Target<'a>,
        home: &TransactionDir<'a>,
        record: &Record,
    ) -> Result<Self, FsError> {
        let steps = record.steps().iter();
        let entries = steps.filter_map(|step| step.entry.as_ref());
        Self::open_for(target, home, record, entries)
    }

    /// Opens every directory that contains these entries, for a record that does not list them yet.
    pub(crate) fn open_for<'e>(
        target: &Target<'a>,
        home: &TransactionDir<'a>,
        record: &Record,
        entries: impl Iterator<Item = &'e EntrySlot>,
    ) -> Result<Self, FsError> {
        let fs = target.fs;
        let mut step_places = Self {
            fs,
            home: home.clone(),
            staging_name: record.staging_name(&home.names),
            taken_to: record.taken_to(&home.names),
            tree: StepPlace {
                dir: target.parent.clone(),
                name: target.name.clone(),
            },
            slots: None,
            parents: BTreeMap::new(),
            touched: BTreeSet::new(),
        };
        if record.form == Form::Tree {
            return Ok(step_places);
        }
        // An undo that keeps the slots leaves them under the name of the generation.
        for name in [&step_places.staging_name, &step_places.taken_to] {
            let found = present(fs.open_dir(&home.dir, OsStr::new(name)))?;
            let Some(dir) = found else { continue };
            if fs.meta_of(&dir)?.identity == record.stage {
                step_places.slots = Some(dir);
                break;
            }
        }
        let Some(root) = present(fs.open_dir(&target.parent, &target.name))? else {
            return Ok(step_places);
        };
        step_places.parents.insert(None, root);
        for entry in entries {
            let parent = entry.path.parent();
            step_places.open_parent(parent.clone())?;
            // The transaction directory is synced in any case.
            if parent
                .as_ref()
                .is_none_or(|parent| parent.as_str() != ENGINE_DIR)
            {
                step_places.touched.insert(parent);
            }
        }
        Ok(step_places)
    }

    fn open_parent(&mut self, path: Option<RelPath>) -> Result<Option<Dir>, FsError> {
        if let Some(dir) = self.parents.get(&path) {
            return Ok(Some(dir.clone()));
        }
        let Some(below) = &path else { return Ok(None) };
        let Some(above) = self.open_parent(below.parent())? else {
            return Ok(None);
        };
        let opened = present(self.fs.open_dir(&above, OsStr::new(below.name())))?;
        if let Some(dir) = &opened {
            self.parents.insert(path, dir.clone());
        }
        Ok(opened)
    }

    /// Where readers find the object; `None` if its directory is gone.
    pub(crate) fn live(&self, step: &Step) -> Option<StepPlace> {
        match &step.entry {
            None => Some(self.tree.clone()),
            Some(entry) => self.live_of(entry),
        }
    }

    /// Where readers find an entry.
    pub(crate) fn live_of(&self, entry: &EntrySlot) -> Option<StepPlace> {
        let dir = self.parents.get(&entry.path.parent())?.clone();
        let name = OsString::from(entry.path.name());
        Some(StepPlace { dir, name })
    }

    /// The other place of a step; `None` if the slots are gone.
    pub(crate) fn slot(&self, step: &Step) -> Option<StepPlace> {
        if let Some(entry) = &step.entry {
            return self.slot_of(entry);
        }
        let name = match step.act {
            Act::Put { .. } | Act::Exchange { .. } => &self.staging_name,
            Act::Take { .. } => &self.taken_to,
        };
        Some(StepPlace {
            dir: self.home.dir.clone(),
            name: OsString::from(name),
        })
    }

    /// The slot of an entry.
    pub(crate) fn slot_of(&self, entry: &EntrySlot) -> Option<StepPlace> {
        let dir = self.slots.as_ref()?.clone();
        let name = OsString::from(entry.slot.to_string());
        Some(StepPlace { dir, name })
    }

    /// Both places of a step; `None` if the directory of one of them is gone.
    pub(crate) fn slot_and_live(&self, step: &Step) -> Option<SlotAndLive> {
        let (slot, live) = self.slot(step).zip(self.live(step))?;
        Some(SlotAndLive { slot, live })
    }

    /// The identity of the object at a place.
    pub(crate) fn identity(&self, place: Option<&StepPlace>) -> Result<Option<Identity>, FsError> {
        let Some(place) = place else { return Ok(None) };
        let meta = self.fs.meta(&place.dir, &place.name)?;
        Ok(meta.map(|meta| meta.identity))
    }

    /// The states of steps on entries.
    pub(crate) fn states(&self, steps: &[Step]) -> Result<Vec<StepState>, FsError> {
        let state_of = |step| -> Result<StepState, FsError> {
            let slot = self.identity(self.slot(step).as_ref())?;
            let live = self.identity(self.live(step).as_ref())?;
            Ok(judge(step.act, slot, live))
        };
        let mut states = steps.iter().map(state_of).collect::<Result<Vec<_>, _>>()?;
        let pairs = steps.windows(2).enumerate();
        for (first, pair) in pairs.filter(|(_, pair)| is_take_and_put(pair)) {
            let Some([take, put]) = states.get_mut(first..first + 2) else {
                continue;
            };
            let mut judged = TakeAndPut::judge(*take, *put);
            let may_be_half_back =
                judged.take == StepState::After && judged.put == StepState::AfterChanged;
            if may_be_half_back && self.is_half_back(pair.first())? {
                judged.put = StepState::BeforeChanged;
            }
            (*take, *put) = (judged.take, judged.put);
        }
        Ok(states)
    }

    /// Whether the taken object has both its names: a crash came while the step was reversed by a
    /// link, so the object at the entry is the old one and not a change by another process.
    fn is_half_back(&self, take: Option<&Step>) -> Result<bool, FsError> {
        let Some(step) = take else { return Ok(false) };
        let Act::Take { old } = step.act else {
            return Ok(false);
        };
        Ok(self.identity(self.live(step).as_ref())? == Some(old))
    }

    /// Makes the names at both places of all steps durable.
    pub(crate) fn sync(&self) -> Result<(), FsError> {
        let sync = |dir, named| sync_dir(self.fs, dir, named);
        let parents = self.touched.iter();
        let mut parents = parents.filter_map(|path| self.parents.get(path));
        let slots = self.slots.as_ref();
        // Recovery can handle a power cut that keeps the new name and loses the old place, but not
        // one that loses the entry.
        in_order(
            Safeguard::EntriesBeforeSlots,
            || parents.try_for_each(|dir| sync(dir, Safeguard::SyncOfEntries)),
            || slots.map_or(Ok(()), |dir| sync(dir, Safeguard::SyncOfSlots)),
        )?;
        sync(&self.home.dir, Safeguard::SyncOfHome)
    }
}

/// Judges a step by its slot, which only the engine writes to; the entry only shows whether another
/// process changed it.
fn judge(act: Act, slot: Option<Identity>, live: Option<Identity>) -> StepState {
    match act {
        Act::Put { new } => match slot {
            // It was put by a link and is not unlinked yet: both names are the new entry.
            Some(slot) if slot == new && live == Some(new) => StepState::After,
            Some(slot) if slot == new => StepState::Before,
            Some(_) if live.is_none() => StepState::BeforeChanged,
            Some(_) => StepState::Neither,
            None if live == Some(new) => StepState::After,
            None => StepState::AfterChanged,
        },
        Act::Exchange { new, old } => match slot {
            Some(slot) if slot == new => StepState::Before,
            Some(slot) if slot == old && live == Some(new) => StepState::After,
            Some(slot) if slot == old => StepState::AfterChanged,
            Some(_) if live == Some(old) => StepState::BeforeChanged,
            // Another process replaced the entry right before the exchange: its object is in the
            // slot and comes back.
            Some(_) if live == Some(new) => StepState::AfterChanged,
            Some(_) | None => StepState::Neither,
        },
        Act::Take { old } => match slot {
            Some(slot) if slot == old && (live.is_none() || live == Some(old)) => StepState::After,
            Some(slot) if slot == old => StepState::AfterChanged,
            Some(_) if live == Some(old) => StepState::BeforeChanged,
            // As above: another process replaced the entry right before it was taken.
            Some(_) if live.is_none() => StepState::AfterChanged,
            Some(_) => StepState::Neither,
            None => StepState::Before,
        },
    }
}

/// Whether two steps replace one entry on a filesystem without an exchange.
fn is_take_and_put(pair: &[Step]) -> bool {
    let [take, put] = pair else { return false };
    let path = |step: &Step| step.entry.as_ref().map(|entry| entry.path.clone());
    path(take) == path(put) && matches!((take.act, put.act), (Act::Take { .. }, Act::Put { .. }))
}

/// The states of a take and of the put after it, which replace one entry together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TakeAndPut {
    take: StepState,
    put: StepState,
}

impl TakeAndPut {
    /// Judges both together, from the states that each has alone.
    fn judge(take: StepState, put: StepState) -> Self {
        match (take, put) {
            // The engine put the object at the entry; it is not a change by another process.
            (StepState::AfterChanged, StepState::After) => Self {
                take: StepState::After,
                put,
            },
            // The object that was taken is one that another process had put there right before.
            (StepState::Neither, StepState::After) => Self {
                take: StepState::AfterChanged,
                put,
            },
            // The old entry is in its place, so nothing was put there: a power cut lost the new
            // entry.
            (StepState::Before, StepState::AfterChanged) => Self {
                take,
                put: StepState::BeforeChanged,
            },
            (take, put) => Self { take, put },
        }
    }
}

/// Returns `None` for an absent object, which is evidence and not a failure.
fn present(opened: Result<Dir, FsError>) -> Result<Option<Dir>, FsError> {
    match opened {
        Ok(dir) => Ok(Some(dir)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn id(inode: u64) -> Identity {
        Identity { inode, birth: None }
    }

    fn check(act: Act, slot: Option<u64>, live: Option<u64>, expected: StepState) {
        let judged = judge(act, slot.map(id), live.map(id));
        assert_eq!(judged, expected, "{act:?} {slot:?} {live:?}");
    }

    #[test]
    fn a_step_is_judged_by_the_slot_which_only_the_engine_writes() {
        let put = Act::Put { new: id(1) };
        check(put, Some(1), None, StepState::Before);
        check(put, Some(1), Some(9), StepState::Before);
        check(put, None, Some(1), StepState::After);
        check(put, Some(1), Some(1), StepState::After);
        check(put, None, None, StepState::AfterChanged);
        check(put, None, Some(9), StepState::AfterChanged);
        check(put, Some(9), None, StepState::BeforeChanged);
        check(put, Some(9), Some(8), StepState::Neither);
        let swap = Act::Exchange {
            new: id(1),
            old: id(2),
        };
        check(swap, Some(1), Some(2), StepState::Before);
        check(swap, Some(1), Some(9), StepState::Before);
        check(swap, Some(2), Some(1), StepState::After);
        check(swap, Some(2), Some(9), StepState::AfterChanged);
        check(swap, Some(2), None, StepState::AfterChanged);
        check(swap, Some(9), Some(2), StepState::BeforeChanged);
        check(swap, None, Some(1), StepState::Neither);
        check(swap, Some(9), Some(1), StepState::AfterChanged);
        check(swap, Some(9), Some(9), StepState::Neither);
        let take = Act::Take { old: id(2) };
        check(take, None, Some(2), StepState::Before);
        check(take, None, None, StepState::Before);
        check(take, Some(2), None, StepState::After);
        check(take, Some(2), Some(2), StepState::After);
        check(take, Some(2), Some(9), StepState::AfterChanged);
        check(take, Some(9), Some(2), StepState::BeforeChanged);
        check(take, Some(9), None, StepState::AfterChanged);
        check(take, Some(9), Some(8), StepState::Neither);
    }

    #[test]
    fn a_take_and_a_put_of_one_entry_are_judged_together() {
        use StepState::{After, AfterChanged, Before, BeforeChanged, Neither};
        let check = |take, put, expected: [StepState; 2]| {
            let judged = TakeAndPut::judge(take, put);
            assert_eq!([judged.take, judged.put], expected, "{take:?} {put:?}");
        };
        check(AfterChanged, After, [After, After]);
        check(Neither, After, [AfterChanged, After]);
        check(Before, AfterChanged, [Before, BeforeChanged]);
        check(After, Before, [After, Before]);
    }
}
