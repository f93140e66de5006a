//! Rollback: publishes a kept generation again, and keeps what it replaces in its place.
//!
//! Promises that a rollback is a publication like any other: a journal, steps of one rename each,
//! and the same recovery (I5). The generation itself is the stage, so nothing is built. Afterwards
//! it contains what was replaced, and another rollback goes forward again. Whatever changed since
//! the generation was replaced goes into it too, so nothing is lost and nothing has to be refused.
//! Only what cannot be kept as a whole is refused: a directory in which something is mounted.
//!
//! Does not promise that the entries which go and those which stay fit together; the caller, who
//! knows what they mean, says which others go as well ([`RollbackTerms::aside`]).
//!
//! Read next: `transaction/ready.rs`, `steps/step_places.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::base::digest::Digest;
use crate::base::identity::Identity;
use crate::base::mutant::Safeguard;
use crate::base::path::RelPath;
use crate::base::safeguard::perform;
use crate::fs::error_place::DiskError;
use crate::fs::exchange::CanExchange;
use crate::fs::named_sync::sync_dir;
use crate::fs::{Dir, FsError};
use crate::place::journal_file::{self, JournalRead, Siblings};
use crate::place::names::JournalName;
use crate::place::record::{
    Act, Durability, EntrySlot, Form, Origin, Record, Retention, Step, Steps, Verdict,
};
use crate::place::transaction_dir::TransactionDir;
use crate::plan::node::{ENGINE_DIR, Mode, RECEIPT_NAME};
use crate::plan::receipt::{RECEIPT_BYTES_MAX, Receipt};
use crate::recovery::closed::open_tree;
use crate::recovery::evidence::replaced_identity;
use crate::recovery::generation::is_undone;
use crate::staging::build::StageCounts;
use crate::steps::entry_cover::StepKind;
use crate::steps::step_places::{StepPlace, StepPlaces};
use crate::transaction::failures::{Aftermath, PublishError, PublishFailed, RollbackError};
use crate::transaction::overlay_pins::with_pinned_identities;
use crate::transaction::preconditions::{mounted, mounted_entries};
use crate::transaction::published::{Open, Published};
use crate::transaction::ready::Ready;

/// The terms of a rollback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollbackTerms {
    /// How much the publication survives.
    pub durability: Durability,
    /// When the publication is decided.
    pub verdict: Verdict,
    /// Entries that the generation does not have and that go into it too; the next rollback brings
    /// them back. Without effect for a whole tree. A path at, above or below one of the
    /// generation's entries is left out, since that entry moves already.
    pub aside: BTreeSet<RelPath>,
    /// Entries of the generation that stay in it; those in the target stay there.
    pub stay: BTreeSet<RelPath>,
}

impl RollbackTerms {
    /// Everything that the generation has, and nothing else.
    #[must_use]
    pub fn of(durability: Durability, verdict: Verdict) -> Self {
        Self {
            durability,
            verdict,
            aside: BTreeSet::new(),
            stay: BTreeSet::new(),
        }
    }
}

/// A generation, and the record of the publication that replaced it.
struct Generation<'t> {
    home: TransactionDir<'t>,
    record: Record,
}

impl Generation<'_> {
    /// Whether an object is what the record kept: what was replaced, or what was changed and
    /// undone.
    fn may_be(&self, found: Identity) -> bool {
        let record = &self.record;
        found == record.stage || replaced_identity(record) == Some(found)
    }
}

/// One entry of a generation: the objects that are now in its slot and in its place.
struct Pair {
    entry: Option<EntrySlot>,
    slot: Option<Identity>,
    live: Option<Identity>,
}

impl<'a> Ready<'a> {
    /// Publishes the newest generation; what it replaces is kept in its place.
    ///
    /// # Errors
    /// See [`RollbackError`].
    ///
    /// # Crash
    /// As [`Staged::publish`](crate::raw::Staged::publish): the target is as it was, or is the
    /// generation.
    pub fn rollback(self, terms: &RollbackTerms) -> Result<Published<'a>, RollbackError> {
        let path = self.target().path().to_path_buf();
        let disk = RollbackError::disk(&path);
        let mut generation = self.newest()?;
        if let Some(mount) = self.mounted(&generation, terms).map_err(disk)? {
            return Err(RollbackError::Mounted {
                target: path,
                generation: generation.record.generation,
                mount,
            });
        }
        generation.record =
            with_pinned_identities(self.target(), &generation.home, generation.record)
                .map_err(disk)?;
        let record = self.inverse(&generation, terms).map_err(disk)?;
        let mode = generation.record.root_mode_of(record.stage);
        let open = Open {
            locks: self.locks,
            home: generation.home,
            record,
            journal: JournalName::Open,
        };
        match open.publish_unbuilt(mode) {
            Ok(()) => Ok(Published {
                open,
                counts: StageCounts::default(),
                emptied: Vec::new(),
                _lock: None,
            }),
            Err(failed) => Err(failed.into()),
        }
    }

    /// The generation with the highest number, beside the target or inside it, that an undo did not
    /// keep.
    fn newest(&self) -> Result<Generation<'a>, RollbackError> {
        let target = self.target();
        let path = || target.path().to_path_buf();
        let disk = RollbackError::disk(target.path());
        let homes = std::iter::once(TransactionDir::beside(target))
            .chain(TransactionDir::within(target).map_err(disk)?);
        let mut numbers = BTreeMap::new();
        for home in homes {
            for number in Siblings::list(&home).map_err(disk)?.generations {
                numbers.insert(number, home.clone());
            }
        }
        let mut undone = None;
        while let Some((number, home)) = numbers.pop_last() {
            let generation = self.recorded(number, home)?;
            let Generation { home, record } = &generation;
            if !is_undone(home, record).map_err(disk)? {
                return Ok(generation);
            }
            undone = undone.or(Some(number));
        }
        let target = path();
        Err(match undone {
            Some(generation) => RollbackError::OnlyUndone { target, generation },
            None => RollbackError::NoGeneration(target),
        })
    }

    /// A generation with its record, if that counts.
    fn recorded(
        &self,
        generation: u32,
        home: TransactionDir<'a>,
    ) -> Result<Generation<'a>, RollbackError> {
        let path = || self.target().path().to_path_buf();
        let disk = RollbackError::disk(self.target().path());
        let no_record = |why: &str| RollbackError::NoRecord {
            target: path(),
            generation,
            why: why.to_owned(),
        };
        let name = home.names.generation_record(generation);
        match journal_file::read_name(&home, &name).map_err(disk)? {
            JournalRead::Record(record) if record.generation != generation => {
                Err(no_record("it belongs to another generation"))
            }
            JournalRead::Record(record) => {
                let kept = OsString::from(home.names.generation(generation));
                let meta = home.fs.meta(&home.dir, &kept).map_err(disk)?;
                let generation = Generation { home, record };
                if meta.is_some_and(|meta| generation.may_be(meta.identity)) {
                    Ok(generation)
                } else {
                    Err(no_record(
                        "it belongs to other files, as in a copy of an environment",
                    ))
                }
            }
            JournalRead::Torn => Err(no_record("it is absent or torn")),
            JournalRead::Foreign(why) => Err(no_record(&why)),
        }
    }

    /// A mount point in what goes or comes: a rename would take it along, and what is on it would
    /// vanish with the mount.
    fn mounted(
        &self,
        generation: &Generation<'a>,
        terms: &RollbackTerms,
    ) -> Result<Option<PathBuf>, FsError> {
        let Generation { home, record } = generation;
        let name = home.names.generation(record.generation);
        let kept = match home.fs.open_dir(&home.dir, OsStr::new(&name)) {
            Ok(kept) => home.fs.mounts_under(&kept).into_iter().next(),
            // A closed tree of another user; taking the step reports that.
            Err(error) if error.is_forbidden() => None,
            Err(error) => return Err(error),
        };
        if kept.is_some() {
            return Ok(kept);
        }
        match record.form {
            Form::Tree => mounted(self.target()),
            Form::Entries => {
                let entries = record.steps().iter().filter_map(|step| step.entry.as_ref());
                let paths = entries.map(|entry| &entry.path);
                mounted_entries(self.target(), paths.chain(&terms.aside))
            }
        }
    }

    /// The record of the rollback: every step reversed, the last one first.
    fn inverse(
        &self,
        generation: &Generation<'a>,
        terms: &RollbackTerms,
    ) -> Result<Record, FsError> {
        let target = self.target();
        let Generation { home, record } = generation;
        let Scratch {
            token,
            can_exchange,
        } = scratch(home)?;
        let mut inverse = Record {
            token,
            origin: Origin::Generation,
            boot: target.fs.boot_id(),
            durability: terms.durability,
            retention: Retention::Keep,
            ..record.clone()
        };
        let list = match record.form {
            Form::Tree => {
                let name = home.names.generation(record.generation);
                let slot = target.fs.meta(&home.dir, OsStr::new(&name))?;
                if target.meta()?.is_some() {
                    target.fs.pin(&target.parent, &target.name)?;
                }
                let pair = Pair {
                    entry: None,
                    slot: slot.map(|meta| meta.identity),
                    live: target.meta()?.map(|meta| meta.identity),
                };
                inverse.stage = pair.slot.unwrap_or(record.stage);
                let bits = target.meta()?.map(|live| live.mode & 0o777);
                inverse.root_mode = bits.and_then(|bits| Mode::new(bits).ok());
                reversing_steps(pair, can_exchange, &mut std::iter::empty())
            }
            Form::Entries => self.entry_steps(generation, terms, can_exchange)?,
        };
        let receipt = receipt_that_comes(generation, &list);
        inverse.steps = Steps {
            list,
            receipt,
            verdict: terms.verdict,
        };
        Ok(inverse)
    }

    /// The steps for the entries of a generation, and for those that go into it too.
    fn entry_steps(
        &self,
        generation: &Generation<'a>,
        terms: &RollbackTerms,
        can_exchange: CanExchange,
    ) -> Result<Vec<Step>, FsError> {
        let Generation { home, record } = generation;
        let entries = record.steps().iter().filter_map(|step| step.entry.as_ref());
        let mut used: BTreeSet<u32> = entries.map(|entry| entry.slot).collect();
        // An entry that stayed in an earlier rollback is in a slot that no record names.
        let name = home.names.generation(record.generation);
        let slots = home.fs.open_dir(&home.dir, OsStr::new(&name))?;
        let taken = home.fs.list(&slots)?.into_iter();
        used.extend(taken.filter_map(|name| name.to_str()?.parse::<u32>().ok()));
        // A record has fewer entries than there are numbers, however high its own numbers are.
        let mut free = (0..=u32::MAX).filter(|slot| !used.contains(slot));
        let mut pairs = self.pairs(generation)?;
        pairs.retain(|pair| {
            let path = pair.entry.as_ref().map(|entry| &entry.path);
            path.is_none_or(|path| !terms.stay.contains(path))
        });
        pairs.extend(self.aside(generation, terms, &mut free)?);
        let mut list = Vec::new();
        for pair in pairs {
            list.extend(reversing_steps(pair, can_exchange, &mut free));
        }
        Ok(list)
    }

    /// Entries that the generation does not have and that go into it, each with a slot of its own.
    fn aside(
        &self,
        generation: &Generation<'a>,
        terms: &RollbackTerms,
        free: &mut dyn Iterator<Item = u32>,
    ) -> Result<Vec<Pair>, FsError> {
        let Generation { home, record } = generation;
        let entries = record.steps().iter().filter_map(|step| step.entry.as_ref());
        let mut moved: BTreeSet<RelPath> = entries.map(|entry| entry.path.clone()).collect();
        let mut slots = Vec::new();
        for path in &terms.aside {
            let is_own = path.components().next() == Some(ENGINE_DIR);
            if is_own || overlaps(&moved, path) {
                continue;
            }
            moved.insert(path.clone());
            slots.push(EntrySlot {
                path: path.clone(),
                slot: free.next().expect("more numbers than paths"),
            });
        }
        let step_places = StepPlaces::open_for(self.target(), home, record, slots.iter())?;
        let pair = |entry: EntrySlot| {
            Ok(Pair {
                slot: None,
                live: pinned_place(&step_places, step_places.live_of(&entry))?,
                entry: Some(entry),
            })
        };
        slots.into_iter().map(pair).collect()
    }

    /// Every entry of a generation, the last step first; a take and a put of one entry form one
    /// pair.
    fn pairs(&self, generation: &Generation<'a>) -> Result<Vec<Pair>, FsError> {
        let Generation { home, record } = generation;
        let step_places = StepPlaces::open(self.target(), home, record)?;
        let mut pairs: Vec<Pair> = Vec::new();
        for step in record.steps().iter().rev() {
            let Some(entry) = &step.entry else { continue };
            let slot = pinned_place(&step_places, step_places.slot(step))?;
            // No step is between a take and its put.
            let known = pairs.last_mut().filter(|pair| {
                let known = pair.entry.as_ref();
                known.is_some_and(|known| known.path == entry.path)
            });
            match known {
                Some(pair) if pair.slot.is_none() => {
                    pair.slot = slot;
                    pair.entry = Some(entry.clone());
                }
                Some(_) => {}
                None => pairs.push(Pair {
                    entry: Some(entry.clone()),
                    slot,
                    live: pinned_place(&step_places, step_places.live(step))?,
                }),
            }
        }
        Ok(pairs)
    }
}

/// Whether a path is in a set, or at or below it is one that is, or above it.
fn overlaps(set: &BTreeSet<RelPath>, path: &RelPath) -> bool {
    // The paths below a path come directly after it.
    let next = set.range(path.clone()..).next();
    if next.is_some_and(|next| next == path || next.is_below(path)) {
        return true;
    }
    let mut above = path.parent();
    while let Some(dir) = above {
        if set.contains(&dir) {
            return true;
        }
        above = dir.parent();
    }
    false
}

/// The identity of the object at a place, as a rename keeps it.
fn pinned_place(
    step_places: &StepPlaces<'_>,
    place: Option<StepPlace>,
) -> Result<Option<Identity>, FsError> {
    let found = step_places.identity(place.as_ref())?;
    let Some(place) = place.filter(|_| found.is_some()) else {
        return Ok(None);
    };
    step_places.fs.pin(&place.dir, &place.name)?;
    step_places.identity(Some(&place))
}

/// The digest of the receipt in the tree, or in the slot, that is published again.
fn receipt_that_comes(generation: &Generation<'_>, list: &[Step]) -> Option<Digest> {
    let Generation { home, record } = generation;
    let fs = home.fs;
    let name = home.names.generation(record.generation);
    let stage = fs.open_dir(&home.dir, OsStr::new(&name)).ok()?;
    let read = |dir: &Dir, name: &str| {
        let bytes = fs.read_file(dir, OsStr::new(name), RECEIPT_BYTES_MAX).ok();
        bytes.map(|bytes| Digest::of(&bytes))
    };
    if record.form == Form::Tree {
        let inner = fs.open_dir(&stage, OsStr::new(ENGINE_DIR)).ok()?;
        return read(&inner, RECEIPT_NAME);
    }
    let path = Receipt::path();
    let slot = list.iter().find_map(|step| {
        let entry = step.entry.as_ref()?;
        (entry.path == path && step.act.coming().is_some()).then_some(entry.slot)
    });
    read(&stage, &slot?.to_string())
}

impl Open<'_> {
    /// Records and takes the steps of a publication that builds nothing; first gives a kept tree
    /// the mode that it had.
    pub(crate) fn publish_unbuilt(&self, mode: Option<Mode>) -> Result<(), PublishFailed> {
        let target = self.locks.target();
        let step_places = StepPlaces::open(target, &self.home, &self.record);
        let step_places = step_places.map_err(|source| self.refused(source))?;
        if let Err(source) = journal_file::write(&self.home, &self.record) {
            let TransactionDir { fs, dir, names, .. } = &self.home;
            let journal = names.journal(&JournalName::Open);
            return match fs.meta(dir, OsStr::new(&journal)) {
                // Without a journal nothing is open, and no step has to be reversed.
                Ok(None) => Err(self.refused(source)),
                Ok(Some(_)) | Err(_) => Err(self.not_begun(source)),
            };
        }
        self.open_generation(mode)
            .map_err(PublishError::Disk)
            .and_then(|()| self.take_steps(&step_places))
            .map_err(|source| self.failed(source))
    }

    /// Gives a kept tree its former mode, which `mode` contains: while it is kept, other users have
    /// no access.
    fn open_generation(&self, mode: Option<Mode>) -> Result<(), FsError> {
        let Some(mode) = mode else { return Ok(()) };
        let TransactionDir { fs, dir, names, .. } = &self.home;
        let name = names.generation(self.record.generation);
        let root = fs.open_dir(dir, OsStr::new(&name))?;
        perform(Safeguard::ModeOfGeneration, || open_tree(*fs, &root, mode))?;
        match self.record.durability {
            // Otherwise the tree would be back after a power cut, without access for other users.
            Durability::Power => sync_dir(*fs, &root, Safeguard::SyncOfOpened),
            Durability::Process => Ok(()),
        }
    }

    fn refused(&self, source: FsError) -> PublishFailed {
        PublishFailed {
            target: self.locks.target().path().into(),
            aftermath: Aftermath::Unchanged,
            shortage: None,
            source: PublishError::Disk(source),
        }
    }
}

/// The steps that give the object in a slot and the object in its place each other's names; `free`
/// provides numbers for extra slots.
fn reversing_steps(
    pair: Pair,
    can_exchange: CanExchange,
    free: &mut dyn Iterator<Item = u32>,
) -> Vec<Step> {
    let Pair { entry, slot, live } = pair;
    let step = |entry: &Option<EntrySlot>, act| Step {
        entry: entry.clone(),
        act,
    };
    match (slot, live) {
        (None, None) => Vec::new(),
        (Some(new), Some(old)) if new == old => Vec::new(),
        (Some(new), None) => vec![step(&entry, Act::Put { new })],
        (None, Some(old)) => vec![step(&entry, Act::Take { old })],
        (Some(new), Some(old)) => {
            let mut replacing = |kind: &StepKind| {
                let slot = match kind {
                    StepKind::Put | StepKind::Exchange => entry.clone(),
                    // The slot contains the new object until its put.
                    StepKind::Take => entry.clone().map(|entry| EntrySlot {
                        slot: free
                            .next()
                            .expect("as many entries as there are numbers fit into no record"),
                        ..entry
                    }),
                };
                step(&slot, kind.act(new, old))
            };
            let kinds = StepKind::replacing(can_exchange).iter();
            kinds.map(&mut replacing).collect()
        }
    }
}

/// What two scratch names in a transaction directory showed.
struct Scratch {
    /// A random part for names that do not exist there.
    token: String,
    /// Whether two names can be exchanged.
    can_exchange: CanExchange,
}

/// Creates two empty directories and removes them.
///
/// # Crash
/// Empty directories with names of stages may remain; the next run removes them.
fn scratch(home: &TransactionDir<'_>) -> Result<Scratch, FsError> {
    let TransactionDir { fs, dir, names, .. } = home;
    let prefix = names.stage_prefix();
    let one = fs.make_unique_dir(dir, &prefix)?;
    let can_exchange = match fs.make_unique_dir(dir, &prefix) {
        Ok(other) => CanExchange::probe(*fs, dir, [&one, &other])?,
        Err(error) => {
            fs.remove_dir(dir, &one)?;
            return Err(error);
        }
    };
    let token = one.to_string_lossy();
    let token = token.strip_prefix(&prefix).unwrap_or_default().to_owned();
    Ok(Scratch {
        token,
        can_exchange,
    })
}
