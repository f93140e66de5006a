//! A publication from the empty stage to the journal: the plan, the stage, and what is to be moved.
//!
//! Promises that one barrier makes the staged objects and the draft of their journal durable (I2).
//!
//! On disk meanwhile: the stage, whose name proves that the engine created it; `journal.tmp`, which
//! recovery does not trust.
//! Read next: `transaction/prepared.rs`.

use std::ffi::OsStr;

use crate::base::identity::Identity;
use crate::base::mutant::Safeguard;
use crate::fs::barrier::sync_tree_named;
use crate::fs::error_place::DiskError;
use crate::fs::exchange::CanExchange;
use crate::fs::named_sync::sync_file;
use crate::fs::{Barrier, FsError, Meta};
use crate::place::journal_file;
use crate::place::lock::Locks;
use crate::place::record::{Act, Durability, Form, Origin, Record, Step, Steps};
use crate::place::stage_claim::StageClaim;
use crate::place::target::Target;
use crate::place::transaction_dir::TransactionDir;
use crate::plan::builder::Plan;
use crate::plan::node::Mode;
use crate::plan::receipt::LateReceipt;
use crate::plan::room::{self, Shortage};
use crate::staging::build::{self, PlanWithReceipt, StageCounts, StageOptions};
use crate::staging::error::StageError;
use crate::staging::inheritance::Ground;
use crate::steps::entry_cover::StepKind;
use crate::steps::entry_steps::EntrySteps;
use crate::steps::step_places::StepPlaces;
use crate::transaction::failures::Aftermath;
use crate::transaction::published::delete_unrecorded_stage;
use crate::transaction::terms::Terms;

/// What both states before the journal contain.
#[derive(Debug)]
pub(super) struct Begun<'a> {
    pub(super) locks: Locks<'a>,
    pub(super) home: TransactionDir<'a>,
    pub(super) claim: StageClaim,
    pub(super) plan: &'a Plan,
    pub(super) terms: Terms,
    pub(super) work: Work,
    /// The directory at the target, with the identity that a rename keeps.
    pub(super) old: Option<Meta>,
    /// The number of the generation in which what is replaced would be kept.
    pub(super) generation: u32,
    pub(super) receipt: LateReceipt<'a>,
}

/// What is to be moved.
#[derive(Debug)]
pub(super) enum Work {
    /// A whole tree, and the tree that it replaces. At an absent name there is nothing to exchange.
    Tree(Option<ReplacedTree>),
    /// Entries of a directory that stays.
    Entries(EntrySteps),
}

/// The tree that a publication replaces.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReplacedTree {
    pub(super) old: Identity,
    pub(super) can_exchange: CanExchange,
}

/// What a stage contains once it is durable.
#[derive(Debug)]
pub(super) struct Built {
    /// How the files were staged.
    pub(super) counts: StageCounts,
    /// The record, as `journal.tmp` contains it; `None` if an entry could not be found.
    pub(super) draft: Option<Record>,
}

impl<'a> Begun<'a> {
    /// Builds the new objects, and the draft of the record; makes both durable.
    pub(super) fn build(&self, options: &StageOptions<'_>) -> Result<Built, StageError> {
        let fs = self.home.fs;
        let late = &self.receipt;
        let receipt = || late.get().0.as_str();
        let planned = PlanWithReceipt {
            plan: self.plan,
            receipt: &receipt,
        };
        let disk = StageError::disk(".");
        let target = self.old.map(|_| self.locks.target().root());
        let target = target.transpose().map_err(disk)?;
        let ground = Ground {
            root: &self.claim.root,
            made: &self.claim.made,
            target: target.as_ref(),
        };
        let counts = match &self.work {
            Work::Tree(_) => build::build(fs, &ground, planned, options)?,
            Work::Entries(entry_steps) => {
                let fillings = entry_steps.fillings();
                build::build_entries(fs, &ground, planned, &fillings, options)?
            }
        };
        // An entry that is gone meanwhile is reported by the last look, which knows what it was.
        let step_places = self.open_steps(self.locks.target());
        let draft = step_places.and_then(|step_places| self.record_now(&step_places));
        let draft = draft.ok();
        if let Some(draft) = &draft {
            journal_file::write_draft(&self.home, draft).map_err(disk)?;
        }
        let barrier = self.make_durable(draft.is_some()).map_err(disk)?;
        let counts = StageCounts { barrier, ..counts };
        Ok(Built { counts, draft })
    }

    /// One barrier for the staged objects and for the draft of their journal; the name of the stage
    /// is already durable.
    fn make_durable(&self, is_drafted: bool) -> Result<Option<Barrier>, FsError> {
        if self.terms.durability == Durability::Process {
            return Ok(None);
        }
        let TransactionDir { fs, dir, names, .. } = &self.home;
        // A failed sync is not repeated: the kernel marks the pages that it lost as clean.
        let barrier = sync_tree_named(*fs, &self.claim.root, Safeguard::BarrierOfStage)?;
        if barrier == Barrier::PerObject && is_drafted {
            let draft = names.journal_draft();
            sync_file(*fs, dir, OsStr::new(&draft), Safeguard::SyncOfDraft)?;
        }
        Ok(Some(barrier))
    }

    /// Opens the directories that the steps need.
    pub(super) fn open_steps<'s>(&self, target: &Target<'s>) -> Result<StepPlaces<'s>, FsError>
    where
        'a: 's,
    {
        let record = self.record(Vec::new());
        let entries = match &self.work {
            Work::Tree(_) => [].as_slice(),
            Work::Entries(entry_steps) => entry_steps.list.as_slice(),
        };
        let entries = entries.iter().map(|step| &step.entry);
        StepPlaces::open_for(target, &self.home, &record, entries)
    }

    /// The record, whose steps contain the identities that are on both sides now.
    pub(super) fn record_now(&self, step_places: &StepPlaces<'_>) -> Result<Record, FsError> {
        let list = match &self.work {
            Work::Tree(replaced) => tree_steps(self.claim.identity, *replaced),
            Work::Entries(entry_steps) => entry_steps.steps(step_places)?,
        };
        Ok(self.record(list))
    }

    fn record(&self, list: Vec<Step>) -> Record {
        let Terms {
            durability,
            retention,
            verdict,
            ..
        } = self.terms;
        Record {
            plan: self.plan.outcome(),
            token: self.claim.token.clone(),
            generation: self.generation,
            form: self.home.form,
            origin: Origin::Built,
            stage: self.claim.identity,
            boot: self.home.fs.boot_id(),
            durability,
            retention,
            root_mode: self.old_root_mode(),
            steps: Steps {
                list,
                receipt: Some(self.receipt.get().1),
                verdict,
            },
        }
    }

    /// The mode of the tree that is replaced, which changes once the tree is kept.
    fn old_root_mode(&self) -> Option<Mode> {
        let old = self.old.filter(|_| self.home.form == Form::Tree);
        old.and_then(|old| Mode::new(old.mode & 0o777).ok())
    }

    /// The shortage, if a call failed for lack of space; call this after the stage was deleted.
    pub(super) fn shortage(&self, failed: &FsError) -> Option<Box<Shortage>> {
        room::shortage(self.home.fs, &self.home.dir, self.plan, failed).map(Box::new)
    }

    /// Deletes what was staged; no journal names it.
    pub(super) fn delete_stage(&self) -> Aftermath {
        delete_unrecorded_stage(&self.locks, &self.home, &self.claim.token)
    }
}

/// The steps for a whole tree: a put at an absent name, or else an exchange, or a take and a put.
fn tree_steps(new: Identity, replaced: Option<ReplacedTree>) -> Vec<Step> {
    let acts = match replaced {
        None => vec![Act::Put { new }],
        Some(ReplacedTree { old, can_exchange }) => {
            let kinds = StepKind::replacing(can_exchange).iter();
            kinds.map(|kind| kind.act(new, old)).collect()
        }
    };
    let step = |act| Step { entry: None, act };
    acts.into_iter().map(step).collect()
}
