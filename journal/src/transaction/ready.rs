//! A locked target with nothing open: where every transaction begins.
//!
//! Promises that what an earlier run left open is ended before anything begins, and that a plan which does not fit the
//! target any more is refused before anything is written (I4).
//!
//! Read next: `transaction/prepared.rs`; `recovery/recover.rs`, for what happens when a state is never left.

use crate::base::mutant::{self, Site};
use crate::fs::FsError;
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
use crate::steps::entry_steps::Exchange;
use crate::transaction::begun::{Begun, Work};
use crate::transaction::choose_steps::{moves, next_generation, pinned_root, try_exchange};
use crate::transaction::failures::{PrepareError, ReadyError};
use crate::transaction::preconditions::{mounted, not_locked, stale};
use crate::transaction::prepared::Prepared;
use crate::transaction::published::give_stage_up;
use crate::transaction::terms::Terms;

/// A target that is locked, with nothing open.
#[derive(Debug)]
pub struct Ready<'a> {
    // Before the locks: a stage that nobody needed goes while they are held.
    early: Option<EarlyClaim<'a>>,
    pub(crate) locks: Locks<'a>,
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
        self.early = Some(EarlyClaim::make(
            TransactionDir::beside(self.target()),
            durability,
        ));
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
