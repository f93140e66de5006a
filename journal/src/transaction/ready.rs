//! A locked target without an open transaction: where every transaction begins.
//!
//! Promises that an open transaction of an earlier run is ended before anything begins, and that a
//! plan which does not fit the target any more is refused before anything is written (I4).
//!
//! Read next: `transaction/prepared.rs`; `recovery/recover.rs`, for what happens if a process dies
//! in one of the states.

use crate::fs::FsError;
use crate::fs::error_place::DiskError;
use crate::fs::parallel::in_parallel;
use crate::place::lock::{Locks, Patience};
use crate::place::record::{Durability, Form};
use crate::place::stage_claim::{EarlyClaim, StageClaim};
use crate::place::target::Target;
use crate::place::transaction_dir::TransactionDir;
use crate::plan::builder::Plan;
use crate::plan::content::ContentSource;
use crate::plan::node::Publication;
use crate::plan::receipt::LateReceipt;
use crate::recovery::decide::Decision;
use crate::recovery::recover::{Recovered, recover};
use crate::transaction::begun::{Begun, ReplacedTree, Work};
use crate::transaction::failures::{PrepareError, ReadyError};
use crate::transaction::preconditions::{
    Stale, differences, expected_root, mounted, not_locked, not_target, stale_inputs,
};
use crate::transaction::prepared::Prepared;
use crate::transaction::published::delete_unrecorded_stage;
use crate::transaction::step_facts::{entry_steps, next_generation, pinned_root, try_exchange};
use crate::transaction::terms::Terms;

/// A locked target without an open transaction.
#[derive(Debug)]
pub struct Ready<'a> {
    // Before the locks: an unused stage is deleted while they are held.
    early: Option<EarlyClaim<'a>>,
    pub(crate) locks: Locks<'a>,
}

impl<'a> Target<'a> {
    /// Locks the target and ends what an earlier run left open.
    ///
    /// `owner` is shown to waiting processes; `pause` is called with the holder's line each time
    /// the lock is busy.
    ///
    /// # Errors
    /// See [`ReadyError`].
    ///
    /// # Crash
    /// What recovery did stays done: running it again continues.
    pub fn lock(
        self,
        owner: &str,
        pause: &mut dyn FnMut(&str) -> Patience,
    ) -> Result<(Ready<'a>, Recovered), ReadyError> {
        let mut locks = Locks::take(self, owner, pause)?;
        let mut recovered = recover(locks.target())?;
        // After an undo another directory is at the target. Only its lock keeps other processes
        // out.
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
    /// The locked target.
    #[must_use]
    pub fn target(&self) -> &Target<'a> {
        self.locks.target()
    }

    /// Creates the empty stage of a tree for an absent target, before there is a plan for it.
    ///
    /// This is for a caller that makes the plan in another thread meanwhile: it is the part of
    /// [`Ready::prepare`] that waits for the disk. An unused stage is deleted with this state, and
    /// an error is reported when the plan is prepared.
    ///
    /// # Crash
    /// As [`Ready::prepare`].
    pub fn claim(&mut self, durability: Durability) {
        self.early = Some(EarlyClaim::make(
            TransactionDir::beside(self.target()),
            durability,
        ));
    }

    /// Checks that the plan fits, and creates an empty stage whose name proves that the engine
    /// created it.
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
        let reasons = differences(target, plan, expected_root(plan));
        let reasons = reasons.map_err(PrepareError::disk(target.path()))?;
        self.prepare_unless(reasons, plan, terms, content)
    }

    /// As [`Ready::prepare`], for a plan whose target was observed under this very lock: it is not
    /// observed again before anything is staged.
    ///
    /// It is compared right before the steps and after them, as for every plan.
    ///
    /// # Errors
    /// See [`PrepareError`]; the target is as it was.
    ///
    /// # Crash
    /// As [`Ready::prepare`].
    pub fn prepare_fresh(
        self,
        plan: &'a Plan,
        terms: Terms,
        content: &dyn ContentSource,
    ) -> Result<Prepared<'a>, PrepareError> {
        self.prepare_unless(Vec::new(), plan, terms, content)
    }

    /// Goes on unless there are reasons why the plan does not fit the target, or its inputs.
    fn prepare_unless(
        self,
        mut reasons: Vec<Stale>,
        plan: &'a Plan,
        terms: Terms,
        content: &dyn ContentSource,
    ) -> Result<Prepared<'a>, PrepareError> {
        let target = self.locks.target();
        let path = || target.path().to_path_buf();
        let disk = PrepareError::disk(target.path());
        reasons.extend(not_target(target, plan));
        reasons.extend(stale_inputs(target.fs, plan, content));
        reasons.extend(not_locked(&self.locks).map_err(disk)?);
        if !reasons.is_empty() {
            return Err(PrepareError::Stale {
                target: path(),
                reasons,
            });
        }
        if plan.publication() == Publication::Nothing {
            return Err(PrepareError::NothingToDo(path()));
        }
        let fs = target.fs;
        let receipt = LateReceipt::of(plan);
        let early = receipt.clone();
        let start = || self.begin(plan, terms, receipt);
        // A plan that keeps much has a long receipt and little to stage, so that the stage would
        // wait for it.
        let begun = if plan.kept().is_empty() {
            start()?
        } else {
            let make = || {
                early.get();
            };
            in_parallel(fs, make, start).1?
        };
        Ok(Prepared { begun })
    }

    /// Creates the stage, and determines what to move.
    fn begin(
        mut self,
        plan: &'a Plan,
        terms: Terms,
        receipt: LateReceipt<'a>,
    ) -> Result<Begun<'a>, PrepareError> {
        let early = self.early.take();
        let target = self.locks.target();
        let path = || target.path().to_path_buf();
        let disk = PrepareError::disk(target.path());
        let old = pinned_root(target, plan).map_err(disk)?;
        let home = if plan.publication().is_by_entries() {
            TransactionDir::make_within(target, plan.root_mode().bits()).map_err(disk)?
        } else {
            if let Some(mount) = mounted(target).map_err(disk)? {
                return Err(PrepareError::Mounted {
                    target: path(),
                    mount,
                });
            }
            TransactionDir::beside(target)
        };
        let failed = |source: FsError| {
            home.leave(target);
            disk(source)
        };
        let generation = next_generation(target).inspect_err(|_| home.leave(target))?;
        let early = early.and_then(|early| early.fitting(home.form, terms.durability));
        let claim = early.unwrap_or_else(|| StageClaim::make(&home, terms.durability));
        let claim = claim.map_err(failed)?;
        let work = match (home.form, old) {
            (Form::Tree, None) => Ok(Work::Tree(None)),
            (Form::Tree, Some(old)) => try_exchange(&home, &claim.root)
                .map(|can_exchange| {
                    let old = old.identity;
                    Work::Tree(Some(ReplacedTree { old, can_exchange }))
                })
                .map_err(disk),
            (Form::Entries, _) => try_exchange(&home, &claim.root)
                .map_err(disk)
                .and_then(|can_exchange| entry_steps(target, plan, terms.grain, can_exchange))
                .map(Work::Entries),
        };
        let work = work.inspect_err(|_| {
            delete_unrecorded_stage(&self.locks, &home, &claim.token);
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
            receipt,
        })
    }
}
