//! Rollback: publishes a kept generation again, and keeps what it replaces in its place.
//!
//! Promises that a rollback is a publication like any other: a journal, steps of one rename each,
//! and the same recovery (I5). The generation itself is the stage, so nothing is built. Afterwards
//! it contains what was replaced, and another rollback goes forward again. Changes since the
//! generation was replaced are reported, and refused unless the caller allows to put them aside.
//!
//! Read next: `transaction/ready.rs`, `steps/step_places.rs`.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::base::digest::Digest;
use crate::base::identity::Identity;
use crate::base::mutant::Site;
use crate::base::plural::counted;
use crate::base::safeguard::perform;
use crate::fs::error_place::DiskError;
use crate::fs::exchange::Exchange;
use crate::fs::named_sync::sync_dir;
use crate::fs::{Dir, FsError};
use crate::place::journal_file::{self, JournalRead, Siblings};
use crate::place::names::JournalName;
use crate::place::record::{
    Act, Durability, EntrySlot, Form, Origin, Record, Retention, Step, Steps, Verdict,
};
use crate::place::transaction_dir::TransactionDir;
use crate::plan::drift::{Drift, drift, drift_at};
use crate::plan::node::{ENGINE_DIR, Mode, RECEIPT_NAME};
use crate::plan::receipt::{RECEIPT_BYTES_MAX, Receipt};
use crate::recovery::closed::open_tree;
use crate::recovery::evidence::replaced_identity;
use crate::staging::build::StageCounts;
use crate::steps::step_places::{StepPlace, StepPlaces};
use crate::transaction::failures::{Aftermath, PublishError, PublishFailed};
use crate::transaction::overlay_pins::with_pinned_identities;
use crate::transaction::published::{Open, Published};
use crate::transaction::ready::Ready;

/// What to do about changes that were made since a generation was replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Changes {
    /// Report them and change nothing.
    #[default]
    Refuse,
    /// Keep them in the generation's place, with everything else that is replaced.
    PutAside,
}

/// The terms of a rollback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollbackTerms {
    /// How much the publication survives.
    pub durability: Durability,
    /// When the publication is decided.
    pub verdict: Verdict,
    /// What to do about changes that were made meanwhile.
    pub changes: Changes,
}

impl RollbackTerms {
    /// Everything that the generation has, and nothing else.
    #[must_use]
    pub fn of(durability: Durability, verdict: Verdict) -> Self {
        Self {
            durability,
            verdict,
            changes: Changes::default(),
        }
    }
}

/// Why no generation was published again.
#[derive(Debug, Error)]
pub enum RollbackError {
    /// There is no generation.
    #[error("`{0}` has no generation to roll back to")]
    NoGeneration(PathBuf),
    /// The generation has no record, or an invalid one.
    #[error("the record of generation {generation} of `{target}` cannot be trusted: {why}")]
    NoRecord {
        /// The target.
        target: PathBuf,
        /// The generation.
        generation: u32,
        /// What is wrong.
        why: String,
    },
    /// Entries changed since the generation was replaced.
    #[error(
        "{} of `{target}` changed since generation {generation} was replaced",
        counted(paths.len(), "entry")
    )]
    Changed {
        /// The target.
        target: PathBuf,
        /// The generation.
        generation: u32,
        /// Which entries.
        paths: Vec<String>,
    },
    /// A call of the disk failed; the target is as it was.
    #[error("cannot roll back `{target}`")]
    Disk {
        /// The target.
        target: PathBuf,
        /// Why.
        #[source]
        source: FsError,
    },
    /// The steps could not be taken.
    #[error(transparent)]
    Publish(#[from] PublishFailed),
}

impl DiskError for RollbackError {
    type At = Path;

    fn of_disk(place: &Path, source: FsError) -> Self {
        Self::Disk {
            target: place.to_path_buf(),
            source,
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
    pub fn rollback(self, terms: RollbackTerms) -> Result<Published<'a>, RollbackError> {
        let path = self.target().path().to_path_buf();
        let disk = RollbackError::disk(&path);
        let mut generation = self.newest()?;
        let changed = self.changed(&generation).map_err(disk)?;
        if !changed.is_empty() && terms.changes == Changes::Refuse {
            return Err(RollbackError::Changed {
                target: path,
                generation: generation.record.generation,
                paths: changed,
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
        match open.publish_generation(mode) {
            Ok(()) => Ok(Published {
                open,
                counts: StageCounts::default(),
                emptied: Vec::new(),
                _lock: None,
            }),
            Err(failed) => Err(failed.into()),
        }
    }

    /// The generation with the highest number, beside the target or inside it.
    fn newest(&self) -> Result<Generation<'a>, RollbackError> {
        let target = self.target();
        let path = || target.path().to_path_buf();
        let disk = RollbackError::disk(target.path());
        let homes = std::iter::once(TransactionDir::beside(target))
            .chain(TransactionDir::within(target).map_err(disk)?);
        let mut newest = None;
        for home in homes {
            let generations = Siblings::list(&home).map_err(disk)?.generations;
            let highest = generations.into_iter().max();
            if highest > newest.as_ref().map(|(number, _)| *number) {
                newest = highest.map(|number| (number, home));
            }
        }
        let (generation, home) = newest.ok_or_else(|| RollbackError::NoGeneration(path()))?;
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

    /// The paths that are no longer as they were when the generation was replaced.
    ///
    /// Of what was published from a generation only identities are known: users had changed it
    /// before, and no receipt describes how. Changes since then are kept in the generation's place,
    /// like everything else.
    fn changed(&self, generation: &Generation<'a>) -> Result<Vec<String>, FsError> {
        match generation.record.form {
            Form::Tree => self.changed_tree(generation),
            Form::Entries => self.changed_entries(generation),
        }
    }

    fn changed_tree(&self, generation: &Generation<'a>) -> Result<Vec<String>, FsError> {
        let target = self.target();
        let fs = target.fs;
        let digest = generation.record.steps.receipt;
        let Ok(root) = fs.open_dir(&target.parent, &target.name) else {
            return Ok(Vec::new());
        };
        if generation.record.source == Origin::Generation {
            let is_other = fs.meta_of(&root)?.identity != generation.record.stage;
            return Ok(is_other.then(String::new).into_iter().collect());
        }
        let Some(receipt) = self.receipt(&root, digest) else {
            return Ok(vec![Receipt::path().to_string()]);
        };
        let drift = drift(fs, &root, &receipt)?;
        let by_people = drift.into_iter().filter(|drift| !drift.is_of_bytecode());
        Ok(by_people.map(|drift| drift.path).collect())
    }

    /// Compares each entry that would go with its record, and with the receipt that was published
    /// with it.
    fn changed_entries(&self, generation: &Generation<'a>) -> Result<Vec<String>, FsError> {
        let target = self.target();
        let Generation { home, record } = generation;
        let sides = StepPlaces::open(target, home, record)?;
        let root = target.fs.open_dir(&target.parent, &target.name)?;
        let digest = record.steps.receipt;
        let receipt = match record.source {
            Origin::Built => self.receipt(&root, digest),
            Origin::Generation => None,
        };
        let mut changed = Vec::new();
        let steps = record.steps();
        for (step, state) in steps.iter().zip(sides.states(steps)?) {
            let Some(entry) = &step.entry else { continue };
            let is_receipt = entry.path == Receipt::path();
            let coming = step
                .act
                .coming()
                .filter(|_| state.is_taken() && !is_receipt);
            let differs = match (coming, sides.live(step), &receipt) {
                _ if state.is_disturbed() => true,
                // The directory that it would return to is gone.
                (_, None, _) => true,
                (Some(_), Some(live), Some(receipt)) => {
                    let drift = drift_at(target.fs, live.at(), &entry.path, receipt)?;
                    !drift.iter().all(Drift::is_of_bytecode)
                }
                (None, _, _) | (_, _, None) => false,
            };
            if differs && !changed.contains(&entry.path.to_string()) {
                changed.push(entry.path.to_string());
            }
        }
        // A later publication has its own receipt, so this one is no longer there.
        let is_superseded = record.source == Origin::Built && receipt.is_none();
        if is_superseded && !changed.contains(&Receipt::path().to_string()) {
            changed.push(Receipt::path().to_string());
        }
        Ok(changed)
    }

    fn receipt(&self, root: &Dir, digest: Option<Digest>) -> Option<Receipt> {
        let fs = self.target().fs;
        let inner = fs.open_dir(root, OsStr::new(ENGINE_DIR)).ok()?;
        let bytes = fs.read_file(&inner, OsStr::new(RECEIPT_NAME), RECEIPT_BYTES_MAX);
        let bytes = bytes.ok()?;
        let is_meant = digest.is_none_or(|digest| digest == Digest::of(&bytes));
        Receipt::from_json(&bytes).ok().filter(|_| is_meant)
    }

    /// The record of the rollback: every step reversed, the last one first.
    fn inverse(
        &self,
        generation: &Generation<'a>,
        terms: RollbackTerms,
    ) -> Result<Record, FsError> {
        let target = self.target();
        let Generation { home, record } = generation;
        let Scratch { token, exchange } = scratch(home)?;
        let mut inverse = Record {
            token,
            source: Origin::Generation,
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
                reversing_steps(pair, exchange, &mut std::iter::empty())
            }
            Form::Entries => {
                let entries = record.steps().iter().filter_map(|step| step.entry.as_ref());
                let used: BTreeSet<u32> = entries.map(|entry| entry.slot).collect();
                // A record has fewer entries than there are numbers, however high its own numbers
                // are.
                let mut free = (0..=u32::MAX).filter(|slot| !used.contains(slot));
                let mut list = Vec::new();
                for pair in self.pairs(generation)? {
                    list.extend(reversing_steps(pair, exchange, &mut free));
                }
                list
            }
        };
        let receipt = receipt_that_comes(generation, &list);
        inverse.steps = Steps {
            list,
            receipt,
            verdict: terms.verdict,
        };
        Ok(inverse)
    }

    /// Every entry of a generation, the last step first; a take and a put of one entry form one
    /// pair.
    fn pairs(&self, generation: &Generation<'a>) -> Result<Vec<Pair>, FsError> {
        let Generation { home, record } = generation;
        let sides = StepPlaces::open(self.target(), home, record)?;
        let mut pairs: Vec<Pair> = Vec::new();
        for step in record.steps().iter().rev() {
            let Some(entry) = &step.entry else { continue };
            let slot = pinned_side(&sides, sides.slot(step))?;
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
                    live: pinned_side(&sides, sides.live(step))?,
                }),
            }
        }
        Ok(pairs)
    }
}

/// The identity of the object at a place, as a rename keeps it.
fn pinned_side(
    sides: &StepPlaces<'_>,
    side: Option<StepPlace>,
) -> Result<Option<Identity>, FsError> {
    let found = sides.identity(side.as_ref())?;
    let Some(side) = side.filter(|_| found.is_some()) else {
        return Ok(None);
    };
    sides.fs.pin(&side.dir, &side.name)?;
    sides.identity(Some(&side))
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
    fn publish_generation(&self, mode: Option<Mode>) -> Result<(), PublishFailed> {
        let target = self.locks.target();
        let sides = StepPlaces::open(target, &self.home, &self.record);
        let sides = sides.map_err(|source| self.refused(source))?;
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
            .and_then(|()| self.take_steps(&sides))
            .map_err(|source| self.failed(source))
    }

    /// Gives a kept tree its former mode, which `mode` contains: while it is kept, other users have
    /// no access.
    fn open_generation(&self, mode: Option<Mode>) -> Result<(), FsError> {
        let Some(mode) = mode else { return Ok(()) };
        let TransactionDir { fs, dir, names, .. } = &self.home;
        let name = names.generation(self.record.generation);
        let root = fs.open_dir(dir, OsStr::new(&name))?;
        perform(Site::ModeOfGeneration, || open_tree(*fs, &root, mode))?;
        match self.record.durability {
            // Otherwise the tree would be back after a power cut, without access for other users.
            Durability::Power => sync_dir(*fs, &root, Site::SyncOfOpened),
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
    exchange: Exchange,
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
        (Some(new), Some(old)) => match exchange {
            Exchange::Possible => vec![step(&entry, Act::Exchange { new, old })],
            Exchange::Impossible => {
                let aside = entry.clone().map(|entry| EntrySlot {
                    slot: free
                        .next()
                        .expect("as many entries as there are numbers fit into no record"),
                    ..entry
                });
                vec![
                    step(&aside, Act::Take { old }),
                    step(&entry, Act::Put { new }),
                ]
            }
        },
    }
}

/// What two scratch names in a transaction directory showed.
struct Scratch {
    /// A random part for names that do not exist there.
    token: String,
    /// Whether two names can be exchanged.
    exchange: Exchange,
}

/// Creates two empty directories and removes them.
///
/// # Crash
/// Empty directories with names of stages may remain; the next run removes them.
fn scratch(home: &TransactionDir<'_>) -> Result<Scratch, FsError> {
    let TransactionDir { fs, dir, names, .. } = home;
    let prefix = names.stage_prefix();
    let one = fs.make_unique_dir(dir, &prefix)?;
    let exchange = match fs.make_unique_dir(dir, &prefix) {
        Ok(other) => Exchange::probe(*fs, dir, [&one, &other])?,
        Err(error) => {
            fs.remove_dir(dir, &one)?;
            return Err(error);
        }
    };
    let token = one.to_string_lossy();
    let token = token.strip_prefix(&prefix).unwrap_or_default().to_owned();
    Ok(Scratch { token, exchange })
}
