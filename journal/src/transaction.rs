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
//! Read next: `recover.rs`, for what happens when one of the arrows is never reached.

use std::ffi::OsStr;

use crate::barrier::sync_tree;
use crate::content::ContentSource;
use crate::cover::{CoverError, Grain};
use crate::digest::Digest;
use crate::entries::{Exchange, Moves, stranger_in_slots};
use crate::failure::{PrepareError, PublishError, PublishFailed, ReadyError, StageFailed};
use crate::fs::{Barrier, Dir, FsError, Held, Lock};
use crate::home::Home;
use crate::identity::Identity;
use crate::journal;
use crate::lock::{Locks, Patience};
use crate::node::Publication;
use crate::plan::Plan;
use crate::precondition::{Stale, differences, mounted, not_locked, stale};
use crate::prepare::{abandon, make_stage, moves, pinned_root, try_exchange, write_first_part};
use crate::publication::{Open, Published};
use crate::receipt::Receipt;
use crate::record::{Act, Durability, Form, Record, Retention, Step, Steps, Verdict};
use crate::recover::{Recovered, recover};
use crate::recovery::Decision;
use crate::sides::Sides;
use crate::stage::{self, StageCounts, StageError, StageOptions};
use crate::target::Target;

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
    pub(crate) locks: Locks<'a>,
}

/// A plan that fits the target, and a journal that says so.
#[derive(Debug)]
pub struct Prepared<'a> {
    open: Open<'a>,
    plan: &'a Plan,
    root: Dir,
    work: Work,
    /// The directory at the target, as a rename keeps it.
    old: Option<Identity>,
}

/// Everything that is new beside its place, durable.
#[derive(Debug)]
pub struct Staged<'a> {
    open: Open<'a>,
    plan: &'a Plan,
    root: Dir,
    work: Work,
    old: Option<Identity>,
    receipt: Digest,
    counts: StageCounts,
    lock: Option<Held>,
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
        Ok((Ready { locks }, recovered))
    }
}

impl<'a> Ready<'a> {
    /// What is locked.
    #[must_use]
    pub fn target(&self) -> &Target<'a> {
        self.locks.target()
    }

    /// Checks that the plan fits, makes an empty stage, and writes the first part of the journal.
    ///
    /// # Errors
    /// See [`PrepareError`]; the target is as it was.
    ///
    /// # Crash
    /// An empty stage may remain, or a journal that names one; the next run deletes both.
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
        let (open, root, work, old) = self.open(plan, terms)?;
        Ok(Prepared {
            open,
            plan,
            root,
            work,
            old,
        })
    }

    /// Makes the stage and the journal that owns it, and finds out what is to be moved.
    fn open(
        self,
        plan: &'a Plan,
        terms: Terms,
    ) -> Result<(Open<'a>, Dir, Work, Option<Identity>), PrepareError> {
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
        let made = make_stage(target, &home, plan, (terms.durability, terms.retention));
        let (root, record) = made.map_err(|source| {
            home.leave(target);
            disk(source)
        })?;
        let work = write_first_part(&home, &root, &record)
            .and_then(|()| try_exchange(&home, &root))
            .map_err(disk)
            .and_then(|exchange| match home.form {
                Form::Tree => Ok(Work::Tree(exchange)),
                Form::Entries => moves(target, plan, terms.grain, exchange).map(Work::Entries),
            });
        let work = match work {
            Ok(work) => work,
            Err(error) => {
                abandon(target, &home, &record);
                return Err(error);
            }
        };
        let open = Open {
            locks: self.locks,
            home,
            record,
            verdict: terms.verdict,
            draft: None,
        };
        Ok((open, root, work, old))
    }
}

impl<'a> Prepared<'a> {
    /// Builds what is new beside its place and makes it durable.
    ///
    /// # Errors
    /// See [`StageFailed`]; the stage is given up.
    ///
    /// # Crash
    /// A part of it remains; the next run deletes it by the identity in the journal.
    pub fn stage(mut self, options: &StageOptions<'_>) -> Result<Staged<'a>, StageFailed> {
        let fs = self.open.locks.target().fs;
        let receipt = Receipt::json_of(self.plan);
        let receipt_digest = Digest::of(receipt.as_bytes());
        let built = match &self.work {
            Work::Tree(_) => stage::build(fs, &self.root, self.plan, &receipt, options),
            Work::Entries(moves) => {
                let fillings = moves.fillings(&receipt);
                stage::build_entries(fs, &self.root, self.plan, &fillings, options)
            }
        };
        let built = built.and_then(|counts| {
            let finished = self.finish_stage(receipt_digest);
            let barrier = finished.map_err(|source| StageError::Disk {
                path: ".".to_owned(),
                source,
            })?;
            Ok(StageCounts { barrier, ..counts })
        });
        match built {
            Ok(counts) => {
                let Self {
                    open,
                    plan,
                    root,
                    work,
                    old,
                } = self;
                Ok(Staged {
                    open,
                    plan,
                    root,
                    work,
                    old,
                    receipt: receipt_digest,
                    counts,
                    lock: None,
                })
            }
            Err(source) => {
                let target = self.open.locks.target().path().to_path_buf();
                Err(StageFailed {
                    target,
                    aftermath: self.open.give_up(),
                    source,
                })
            }
        }
    }

    /// A root gets its mode before the barrier, so that the switch itself changes nothing but names.
    fn finish_stage(&mut self, receipt: Digest) -> Result<Option<Barrier>, FsError> {
        let Home { fs, dir, form, .. } = &self.open.home;
        if *form == Form::Tree {
            fs.set_mode_of(&self.root, self.plan.root_mode().bits())?;
        }
        if self.open.record.durability == Durability::Process {
            return Ok(None);
        }
        self.open.draft = self.write_draft(receipt)?;
        // A sync that failed is not tried again: the pages it lost count as clean now.
        let barrier = sync_tree(*fs, &self.root)?;
        if barrier == Barrier::PerObject && self.open.draft.is_some() {
            fs.sync_file(dir, OsStr::new(&self.open.home.names.journal_temp()))?;
        }
        // The name of the stage has been durable since the journal that owns it.
        Ok(Some(barrier))
    }

    /// The steps of a whole tree are known before it is durable: written now, they become so with the same barrier.
    fn write_draft(&self, receipt: Digest) -> Result<Option<Record>, FsError> {
        let Work::Tree(exchange) = &self.work else {
            return Ok(None);
        };
        let Open {
            home,
            record,
            verdict,
            ..
        } = &self.open;
        let draft = Record {
            steps: Some(Steps {
                list: tree_steps(record.stage, self.old, *exchange),
                receipt: Some(receipt),
                verdict: *verdict,
            }),
            ..record.clone()
        };
        journal::write_draft(home, &draft)?;
        Ok(Some(draft))
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
    /// `interrupted` is asked once, before the journal's second part; after that the switch is taken to its end.
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
        match self.try_publish(interrupted) {
            Ok(()) => {
                let Self {
                    open,
                    counts,
                    lock,
                    work,
                    ..
                } = self;
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
            Err(source) => Err(self.open.failed(source)),
        }
    }

    fn try_publish(&mut self, interrupted: &dyn Fn() -> bool) -> Result<(), PublishError> {
        self.lock_root().map_err(PublishError::Disk)?;
        if let Some(changed) = self.changed()? {
            return Err(PublishError::Changed(changed));
        }
        if interrupted() {
            return Err(PublishError::Interrupted);
        }
        let target = self.open.locks.target().clone();
        let (sides, list) = self.steps(&target).map_err(PublishError::Disk)?;
        self.open.record.steps = Some(Steps {
            list,
            receipt: Some(self.receipt),
            verdict: self.open.verdict,
        });
        if let Err(source) = self.open.write_second_part() {
            // No step can have been taken, so nobody can have changed what was staged.
            self.open.record.steps = None;
            return Err(PublishError::Disk(source));
        }
        self.open.take_steps(&sides)?;
        let steps = self.open.record.steps();
        match stranger_in_slots(&sides, steps, self.plan).map_err(PublishError::Disk)? {
            Some(path) => Err(PublishError::Changed(Stale {
                path: path.to_string(),
                why: "changed right before it was switched".to_owned(),
            })),
            None => Ok(()),
        }
    }

    /// The last look before the steps are written down.
    fn changed(&self) -> Result<Option<Stale>, PublishError> {
        let target = self.open.locks.target();
        let reasons = differences(target, self.plan, self.old).map_err(PublishError::Disk)?;
        let unlocked = not_locked(&self.open.locks).map_err(PublishError::Disk)?;
        let changed = reasons.into_iter().chain(unlocked).next();
        if changed.is_some() {
            return Ok(changed);
        }
        let of_target = |why: String| Stale {
            path: target.path().display().to_string(),
            why,
        };
        match &self.work {
            Work::Tree(_) => Ok(None),
            Work::Entries(moves) => match moves.are_current(target, self.plan) {
                Ok(true) => Ok(None),
                Ok(false) => Ok(Some(of_target("has entries that came or went".to_owned()))),
                Err(CoverError::Disk(source)) => Err(PublishError::Disk(source)),
                Err(error) => Ok(Some(of_target(error.to_string()))),
            },
        }
    }

    /// The steps with the identities on both sides, and everything open that they need.
    fn steps<'s>(&self, target: &Target<'s>) -> Result<(Sides<'s>, Vec<Step>), FsError>
    where
        'a: 's,
    {
        let Open { home, record, .. } = &self.open;
        match &self.work {
            Work::Tree(exchange) => {
                let sides = Sides::open(target, home, record)?;
                Ok((sides, tree_steps(record.stage, self.old, *exchange)))
            }
            Work::Entries(moves) => {
                let entries = moves.list.iter().map(|step| &step.entry);
                let sides = Sides::open_for(target, home, record, entries)?;
                let steps = moves.steps(&sides)?;
                Ok((sides, steps))
            }
        }
    }

    /// Locks the new root before it can be found by its name, so that nobody gets in between.
    fn lock_root(&mut self) -> Result<(), FsError> {
        if self.open.home.form == Form::Entries {
            // The target's own root stays, and is locked already.
            return Ok(());
        }
        let fs = self.open.locks.target().fs;
        let held = fs.hold_dir(&self.root)?;
        if fs.try_lock(&held)? == Lock::Acquired {
            self.lock = Some(held);
        }
        Ok(())
    }
}
