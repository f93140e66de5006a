//! The transaction: lock, recover, prepare, stage, publish, settle or undo.
//!
//! Each state is a type, and each verb takes one state and returns the next, so no step can be left out. Dropping a
//! state only lets the locks go: what it leaves on disk is what a crash would leave, and the next run ends it.
//!
//! Promises I1 to I3: of a whole tree readers see the old one, then the new one (where the filesystem has no exchange,
//! nothing for a moment between the two); of entries they see each switch whole, one right after the other.
//!
//! ```text
//! Target ──lock──▶ Ready ──prepare──▶ Prepared ──stage──▶ Staged ──publish──▶ Published ──settle──▶ Ending
//!                                                                                 └──────undo──────▶ Ending
//! ```
//!
//! Read next: `recovery/recover.rs`, for what happens when one of the arrows is never reached.

use std::ffi::OsStr;

use crate::base::identity::Identity;
use crate::base::mutant::{self, Site};
use crate::failure::{
    Aftermath, PrepareError, PublishError, PublishFailed, ReadyError, StageFailed,
};
use crate::fs::barrier::sync_tree;
use crate::fs::{Barrier, FsError, Held, Lock};
use crate::place::journal_file;
use crate::place::lock::{Locks, Patience};
use crate::place::names::JournalName;
use crate::place::record::{
    Act, Durability, Form, Record, Retention, Source, Step, Steps, Verdict,
};
use crate::place::stage_claim::{Claim, Early};
use crate::place::target::Target;
use crate::place::transaction_dir::Home;
use crate::plan::builder::Plan;
use crate::plan::content::ContentSource;
use crate::plan::node::Publication;
use crate::plan::receipt::LateReceipt;
use crate::plan::room::{self, Shortage};
use crate::precondition::{Stale, differences, mounted, not_locked, stale};
use crate::prepare::{moves, next_generation, pinned_root, try_exchange};
use crate::publication::{Open, Published, give_stage_up};
use crate::recovery::decide::Decision;
use crate::recovery::recover::{Recovered, recover};
use crate::staging::build::{self, ReceiptText, StageCounts, StageOptions};
use crate::staging::error::StageError;
use crate::staging::inheritance::Ground;
use crate::steps::entry_cover::{CoverError, Grain};
use crate::steps::entry_steps::{Exchange, Moves, stranger_in_slots};
use crate::steps::step_places::Sides;

/// What a plan is published with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What success survives.
    pub durability: Durability,
    /// What becomes of what is replaced.
    pub retention: Retention,
    /// When the publication is decided.
    pub verdict: Verdict,
    /// How large the entries are that are moved, where entries are.
    pub grain: Grain,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            durability: Durability::Power,
            retention: Retention::Discard,
            verdict: Verdict::Taken,
            grain: Grain::Packages,
        }
    }
}

/// A target that is locked, with nothing open.
#[derive(Debug)]
pub struct Ready<'a> {
    // Before the locks: a stage that nobody needed goes while they are held.
    early: Option<Early<'a>>,
    pub(crate) locks: Locks<'a>,
}

/// A plan that fits the target, and an empty stage for it.
#[derive(Debug)]
pub struct Prepared<'a> {
    begun: Begun<'a>,
}

/// Everything that is new beside its place, durable.
#[derive(Debug)]
pub struct Staged<'a> {
    begun: Begun<'a>,
    counts: StageCounts,
    /// The record of a whole tree, as it stands in `journal.tmp`.
    draft: Option<Record>,
    lock: Option<Held>,
}

/// What both states before the journal hold.
#[derive(Debug)]
struct Begun<'a> {
    locks: Locks<'a>,
    home: Home<'a>,
    claim: Claim,
    plan: &'a Plan,
    terms: Terms,
    work: Work,
    /// The directory at the target, as a rename keeps it.
    old: Option<Identity>,
    /// The number that what is replaced gets, should it be kept.
    generation: u32,
    receipt: LateReceipt<'a>,
}

/// What is to be moved.
#[derive(Debug)]
enum Work {
    Tree(Exchange),
    Entries(Moves),
}

impl<'a> Target<'a> {
    /// Locks the target and ends what an earlier run left open.
    ///
    /// `owner` is shown to those who wait; `pause` is asked, with the holder's line, each time the lock is busy.
    ///
    /// # Errors
    /// See [`ReadyError`].
    ///
    /// # Crash
    /// What recovery did stays done: running it again goes on.
    pub fn lock(
        self,
        owner: &str,
        pause: &mut dyn FnMut(&str) -> Patience,
    ) -> Result<(Ready<'a>, Recovered), ReadyError> {
        let mut locks = Locks::take(self, owner, pause)?;
        let mut recovered = recover(locks.target())?;
        // Another directory stands there when a switch was taken back. Only once that is locked is nobody in it.
        while locks.follow(owner, pause)? {
            let again = recover(locks.target())?;
            if recovered.decision == Decision::Nothing {
                recovered = again;
            }
        }
        Ok((Ready { early: None, locks }, recovered))
    }
}

impl<'a> Ready<'a> {
    /// What is locked.
    #[must_use]
    pub fn target(&self) -> &Target<'a> {
        self.locks.target()
    }

    /// Makes the empty stage of a tree that will be put where nothing is, before there is a plan for it.
    ///
    /// For whoever makes the plan in another thread meanwhile: of what [`Ready::prepare`] does this waits for the disk. A
    /// stage that is not needed goes with this state, and what went wrong is said when the plan is prepared.
    ///
    /// # Crash
    /// As [`Ready::prepare`].
    pub fn claim(&mut self, durability: Durability) {
        self.early = Some(Early::make(Home::beside(self.target()), durability));
    }

    /// Checks that the plan fits, and makes an empty stage whose name says whose it is.
    ///
    /// # Errors
    /// See [`PrepareError`]; the target is as it was.
    ///
    /// # Crash
    /// An empty stage may remain; the next run deletes it.
    pub fn prepare(
        self,
        plan: &'a Plan,
        terms: Terms,
        content: &dyn ContentSource,
    ) -> Result<Prepared<'a>, PrepareError> {
        let target = self.locks.target();
        let path = || target.path().to_path_buf();
        let disk = |source| PrepareError::Disk {
            target: path(),
            source,
        };
        let mut reasons = stale(target, plan, content).map_err(disk)?;
        let unlocked = not_locked(&self.locks).map_err(disk)?;
        reasons.extend(unlocked.filter(|_| !mutant::drops(Site::LookAtLock)));
        if !reasons.is_empty() {
            return Err(PrepareError::Stale {
                target: path(),
                reasons,
            });
        }
        if plan.publication() == Publication::Nothing {
            return Err(PrepareError::NothingToDo(path()));
        }
        let begun = self.begin(plan, terms)?;
        Ok(Prepared { begun })
    }

    /// Makes the stage, and finds out what is to be moved.
    fn begin(mut self, plan: &'a Plan, terms: Terms) -> Result<Begun<'a>, PrepareError> {
        let early = self.early.take();
        let target = self.locks.target();
        let path = || target.path().to_path_buf();
        let disk = |source| PrepareError::Disk {
            target: path(),
            source,
        };
        let old = pinned_root(target, plan).map_err(disk)?;
        let home = if plan.publication().is_by_entries() {
            Home::make_within(target, plan.root_mode().bits()).map_err(disk)?
        } else {
            if let Some(mount) = mounted(target).map_err(disk)? {
                return Err(PrepareError::Mounted {
                    target: path(),
                    mount,
                });
            }
            Home::beside(target)
        };
        let failed = |source: FsError| {
            home.leave(target);
            disk(source)
        };
        let generation = next_generation(target).inspect_err(|_| home.leave(target))?;
        let early = early.and_then(|early| early.fitting(home.form, terms.durability));
        let claim = early.unwrap_or_else(|| Claim::make(&home, terms.durability));
        let claim = claim.map_err(failed)?;
        let work = match (home.form, old) {
            // Where nothing is, nothing is exchanged.
            (Form::Tree, None) => Ok(Work::Tree(Exchange::Impossible)),
            (Form::Tree, Some(_)) => try_exchange(&home, &claim.root)
                .map(Work::Tree)
                .map_err(disk),
            (Form::Entries, _) => try_exchange(&home, &claim.root)
                .map_err(disk)
                .and_then(|exchange| moves(target, plan, terms.grain, exchange))
                .map(Work::Entries),
        };
        let work = work.inspect_err(|_| {
            give_stage_up(&self.locks, &home, &claim.token);
        })?;
        Ok(Begun {
            locks: self.locks,
            home,
            claim,
            plan,
            terms,
            work,
            old,
            generation,
            receipt: LateReceipt::of(plan),
        })
    }
}

impl Begun<'_> {
    /// Builds what is new, and the record of a whole tree, whose steps are known already; makes both durable.
    fn build(
        &self,
        options: &StageOptions<'_>,
    ) -> Result<(StageCounts, Option<Record>), StageError> {
        let fs = self.home.fs;
        let late = &self.receipt;
        let receipt = || late.get().0.as_str();
        let disk = |source| StageError::Disk {
            path: ".".to_owned(),
            source,
        };
        let target = self.old.map(|_| self.locks.target().root());
        let target = target.transpose().map_err(disk)?;
        let ground = Ground {
            root: &self.claim.root,
            made: &self.claim.made,
            target: target.as_ref(),
        };
        let (counts, draft) = match &self.work {
            Work::Tree(exchange) => {
                let counts = build::build(fs, &ground, self.plan, &receipt, options)?;
                let steps = tree_steps(self.claim.identity, self.old, *exchange);
                let draft = self.record(steps);
                journal_file::write_draft(&self.home, &draft).map_err(disk)?;
                (counts, Some(draft))
            }
            Work::Entries(moves) => {
                let fillings = moves.fillings();
                let both = (self.plan, &receipt as &ReceiptText<'_>);
                let counts = build::build_entries(fs, &ground, both, &fillings, options)?;
                (counts, None)
            }
        };
        let barrier = self.make_durable(draft.is_some()).map_err(disk)?;
        Ok((StageCounts { barrier, ..counts }, draft))
    }

    /// One barrier for what was staged and for the draft of its journal; the name of the stage is durable already.
    fn make_durable(&self, is_drafted: bool) -> Result<Option<Barrier>, FsError> {
        if self.terms.durability == Durability::Process {
            return Ok(None);
        }
        let Home { fs, dir, names, .. } = &self.home;
        // A sync that failed is not tried again: the pages it lost count as clean now.
        let barrier = if mutant::drops(Site::BarrierOfStage) {
            Barrier::PerObject
        } else {
            sync_tree(*fs, &self.claim.root)?
        };
        let is_apart = barrier == Barrier::PerObject && !mutant::drops(Site::SyncOfDraft);
        if is_apart && is_drafted {
            fs.sync_file(dir, OsStr::new(&names.journal_temp()))?;
        }
        Ok(Some(barrier))
    }

    fn record(&self, list: Vec<Step>) -> Record {
        let Terms {
            durability,
            retention,
            verdict,
            ..
        } = self.terms;
        Record {
            plan: self.plan.digest(),
            token: self.claim.token.clone(),
            generation: self.generation,
            form: self.home.form,
            source: Source::Built,
            stage: self.claim.identity,
            boot: self.home.fs.boot_id(),
            durability,
            retention,
            steps: Steps {
                list,
                receipt: Some(self.receipt.get().1),
                verdict,
            },
        }
    }

    /// What is short, where a verb failed for want of room; to be asked when what was staged has gone.
    fn shortage(&self, failed: &FsError) -> Option<Box<Shortage>> {
        room::shortage(self.home.fs, &self.home.dir, self.plan, failed).map(Box::new)
    }

    /// What was staged goes; no journal names it.
    fn give_up(&self) -> Aftermath {
        give_stage_up(&self.locks, &self.home, &self.claim.token)
    }
}

impl<'a> Prepared<'a> {
    /// Builds what is new beside its place and makes it durable.
    ///
    /// # Errors
    /// See [`StageFailed`]; the stage is given up.
    ///
    /// # Crash
    /// A part of it remains; the next run deletes it, as its name says whose it is.
    pub fn stage(self, options: &StageOptions<'_>) -> Result<Staged<'a>, StageFailed> {
        match self.begun.build(options) {
            Ok((counts, draft)) => Ok(Staged {
                begun: self.begun,
                counts,
                draft,
                lock: None,
            }),
            Err(source) => Err(StageFailed {
                target: self.begun.locks.target().path().into(),
                aftermath: self.begun.give_up(),
                shortage: source
                    .of_disk()
                    .and_then(|failed| self.begun.shortage(failed)),
                source,
            }),
        }
    }
}

/// What is done with a whole tree: put where nothing is, else exchanged, or taken away and put.
fn tree_steps(new: Identity, old: Option<Identity>, exchange: Exchange) -> Vec<Step> {
    let acts = match (old, exchange) {
        (None, _) => vec![Act::Put { new }],
        (Some(old), Exchange::Possible) => vec![Act::Swap { new, old }],
        (Some(old), Exchange::Impossible) => vec![Act::Take { old }, Act::Put { new }],
    };
    let step = |act| Step { entry: None, act };
    acts.into_iter().map(step).collect()
}

impl<'a> Staged<'a> {
    /// How the files came into the stage.
    #[must_use]
    pub fn counts(&self) -> StageCounts {
        self.counts
    }

    /// Takes the steps: what readers see changes here and nowhere else.
    ///
    /// `interrupted` is asked once, before the journal; after that the switch is taken to its end.
    ///
    /// # Errors
    /// See [`PublishFailed`]; steps that were taken are taken back.
    ///
    /// # Crash
    /// Before the step the old tree stands, after it the new one; the journal tells the next run which to keep.
    pub fn publish(
        mut self,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<Published<'a>, PublishFailed> {
        let target = self.begun.locks.target().clone();
        let (sides, record) = match self.last_look(&target, interrupted) {
            Ok(found) => found,
            Err(source) => return Err(self.failed(source)),
        };
        if let Err(source) = self.write_journal(&record) {
            return Err(self.unwritten(record, source));
        }
        let Self {
            begun,
            counts,
            lock,
            ..
        } = self;
        let (plan, work) = (begun.plan, begun.work);
        let open = Open {
            journal: name_of(&record),
            locks: begun.locks,
            home: begun.home,
            record,
        };
        if let Err(source) = open.take_steps(&sides) {
            return Err(open.failed(source));
        }
        let stranger = match stranger_in_slots(&sides, open.record.steps(), plan) {
            _ if mutant::drops(Site::LookIntoSlots) => None,
            Ok(found) => found.map(|path| {
                PublishError::Changed(Stale {
                    path: path.to_string(),
                    why: "changed right before it was switched".to_owned(),
                })
            }),
            Err(source) => Some(PublishError::Disk(source)),
        };
        if let Some(source) = stranger {
            return Err(open.failed(source));
        }
        Ok(Published {
            open,
            counts,
            emptied: match work {
                Work::Tree(_) => Vec::new(),
                Work::Entries(moves) => moves.emptied(),
            },
            _lock: lock,
        })
    }

    /// Locks what is to be published, sees that nothing changed, and opens everything that the steps need.
    fn last_look<'s>(
        &mut self,
        target: &Target<'s>,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<(Sides<'s>, Record), PublishError>
    where
        'a: 's,
    {
        self.lock_root().map_err(PublishError::Disk)?;
        if let Some(changed) = self.changed()? {
            return Err(PublishError::Changed(changed));
        }
        if interrupted() {
            return Err(PublishError::Interrupted);
        }
        self.steps(target).map_err(PublishError::Disk)
    }

    /// The steps become durable before the first of them; those of a lone put are with what it puts.
    fn write_journal(&self, record: &Record) -> Result<(), FsError> {
        let home = &self.begun.home;
        match &self.draft {
            Some(_) if record.is_lone_put() => Ok(()),
            Some(_) => journal_file::publish_draft(home, record.durability),
            None => journal_file::write(home, record),
        }
    }

    /// Gives up when no journal was begun.
    fn failed(&self, source: PublishError) -> PublishFailed {
        let aftermath = self.begun.give_up();
        let shortage = match &source {
            PublishError::Disk(failed) => self.begun.shortage(failed),
            PublishError::Changed(_)
            | PublishError::Interrupted
            | PublishError::Step { .. }
            | PublishError::Moved
            | PublishError::Doubt(_) => None,
        };
        PublishFailed {
            target: self.begun.locks.target().path().into(),
            aftermath,
            shortage,
            source,
        }
    }

    /// Gives up when the journal could not be made durable: it may stand under its name, or not.
    fn unwritten(self, record: Record, source: FsError) -> PublishFailed {
        let Home { fs, dir, names, .. } = &self.begun.home;
        let journal = names.journal(&JournalName::Open);
        if let Ok(None) = fs.meta(dir, OsStr::new(&journal)) {
            return self.failed(PublishError::Disk(source));
        }
        let open = Open {
            locks: self.begun.locks,
            home: self.begun.home,
            record,
            journal: JournalName::Open,
        };
        open.not_begun(source)
    }

    /// The last look before the steps are written down.
    fn changed(&self) -> Result<Option<Stale>, PublishError> {
        let Begun {
            locks, plan, old, ..
        } = &self.begun;
        let target = locks.target();
        let mut reasons = differences(target, plan, *old).map_err(PublishError::Disk)?;
        if mutant::drops(Site::LastLook) {
            reasons.clear();
        }
        // Whether it is the directory that was locked was asked when it was the one that the plan expects, as it still is.
        if let Some(changed) = reasons.into_iter().next() {
            return Ok(Some(changed));
        }
        let of_target = |why: String| Stale {
            path: target.path().display().to_string(),
            why,
        };
        match &self.begun.work {
            Work::Tree(_) => Ok(None),
            Work::Entries(moves) => match moves.are_current(target, plan) {
                Ok(true) => Ok(None),
                Ok(false) if mutant::drops(Site::LookAtMoves) => Ok(None),
                Ok(false) => Ok(Some(of_target("has entries that came or went".to_owned()))),
                Err(CoverError::Disk(source)) => Err(PublishError::Disk(source)),
                Err(error) => Ok(Some(of_target(error.to_string()))),
            },
        }
    }

    /// The record, whose steps have the identities on both sides, and everything open that they need.
    fn steps<'s>(&self, target: &Target<'s>) -> Result<(Sides<'s>, Record), FsError>
    where
        'a: 's,
    {
        let Begun { home, work, .. } = &self.begun;
        let mut record = match &self.draft {
            Some(draft) => draft.clone(),
            None => self.begun.record(Vec::new()),
        };
        let Work::Entries(moves) = work else {
            return Ok((Sides::open(target, home, &record)?, record));
        };
        let entries = moves.list.iter().map(|step| &step.entry);
        let sides = Sides::open_for(target, home, &record, entries)?;
        record.steps.list = moves.steps(&sides)?;
        Ok((sides, record))
    }

    /// Locks the new root before it can be found by its name, so that nobody gets in between.
    fn lock_root(&mut self) -> Result<(), FsError> {
        if self.begun.home.form == Form::Entries {
            // The target's own root stays, and is locked already.
            return Ok(());
        }
        let fs = self.begun.home.fs;
        let held = fs.hold_dir(&self.begun.claim.root)?;
        if fs.try_lock(&held)? == Lock::Acquired {
            self.lock = Some(held);
        }
        Ok(())
    }
}

/// The name under which a record stands when its first step is taken.
fn name_of(record: &Record) -> JournalName {
    if record.is_lone_put() {
        JournalName::Draft
    } else {
        JournalName::Open
    }
}
