//! Everything new, durable in the stage; and the steps that publish it.
//!
//! Promises that the target is checked once more under the lock before the steps are recorded, and
//! that the journal is durable before the first step (I1). Any failure before that gives up the
//! stage.
//!
//! On disk meanwhile: the whole stage, and from [`Staged::publish`] on the journal.
//! Read next: `transaction/published.rs`.

use std::ffi::OsStr;

use crate::base::mutant::Safeguard;
use crate::base::safeguard::finding;
use crate::fs::{FsError, Held, Lock};
use crate::place::journal_file;
use crate::place::names::JournalName;
use crate::place::record::{Form, Record};
use crate::place::target::Target;
use crate::place::transaction_dir::TransactionDir;
use crate::staging::build::StageCounts;
use crate::steps::entry_cover::CoverError;
use crate::steps::entry_steps::stranger_in_slots;
use crate::steps::step_places::StepPlaces;
use crate::transaction::begun::{Begun, Built, Work};
use crate::transaction::failures::{PublishError, PublishFailed};
use crate::transaction::preconditions::{Stale, differences};
use crate::transaction::published::{Open, Published};

/// Everything new is in the stage, durable.
#[derive(Debug)]
pub struct Staged<'a> {
    pub(super) begun: Begun<'a>,
    pub(super) built: Built,
    pub(super) lock: Option<Held>,
}

impl<'a> Staged<'a> {
    /// How the files were staged.
    #[must_use]
    pub fn counts(&self) -> StageCounts {
        self.built.counts
    }

    /// Takes the steps: only here readers see a change.
    ///
    /// `interrupted` is called once, before the journal; after that the publication is completed.
    ///
    /// # Errors
    /// See [`PublishFailed`]; steps that were taken are reversed.
    ///
    /// # Crash
    /// Before the step the target is the old tree, after it the new one; the journal tells the next
    /// run which to keep.
    pub fn publish(
        mut self,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<Published<'a>, PublishFailed> {
        let target = self.begun.locks.target().clone();
        let (step_places, record) = match self.last_look(&target, interrupted) {
            Ok(found) => found,
            Err(source) => return Err(self.failed(source)),
        };
        if let Err(source) = self.write_journal(&record) {
            return Err(self.unwritten(record, source));
        }
        let Self { begun, built, lock } = self;
        let (plan, work) = (begun.plan, begun.work);
        let open = Open {
            journal: name_of(&record),
            locks: begun.locks,
            home: begun.home,
            record,
        };
        if let Err(source) = open.take_steps(&step_places) {
            return Err(open.failed(source));
        }
        let stranger = match stranger_in_slots(&step_places, open.record.steps(), plan) {
            Ok(found) => found.map(|path| {
                PublishError::Changed(Stale {
                    path: path.to_string(),
                    why: "changed right before it was replaced".to_owned(),
                })
            }),
            Err(source) => Some(PublishError::Disk(source)),
        };
        if let Some(source) = stranger {
            return Err(open.failed(source));
        }
        Ok(Published {
            open,
            counts: built.counts,
            emptied: match work {
                Work::Tree(_) => Vec::new(),
                Work::Entries(entry_steps) => entry_steps.emptied(),
            },
            _lock: lock,
        })
    }

    /// Locks what is to be published, checks that nothing changed, and opens everything that the
    /// steps need.
    fn last_look<'s>(
        &mut self,
        target: &Target<'s>,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<(StepPlaces<'s>, Record), PublishError>
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

    /// The open directories that the steps need, and the record.
    fn steps<'s>(&self, target: &Target<'s>) -> Result<(StepPlaces<'s>, Record), FsError>
    where
        'a: 's,
    {
        let step_places = self.begun.open_steps(target)?;
        if let Work::Entries(entry_steps) = &self.begun.work {
            // This changes what the last look compares.
            entry_steps.pin(&step_places)?;
        }
        let record = self.begun.record_now(&step_places)?;
        Ok((step_places, record))
    }

    /// Makes the steps durable before the first one is taken; the record of a lone put is durable
    /// with the stage.
    fn write_journal(&self, record: &Record) -> Result<(), FsError> {
        let home = &self.begun.home;
        if record.is_lone_put() {
            return Ok(());
        }
        if self.built.draft.as_ref() == Some(record) {
            return journal_file::publish_draft(home, record.durability);
        }
        // An entry was pinned, or a directory was replaced by one with the same entries: an undo
        // must find that one in its slot.
        journal_file::discard_draft(home);
        journal_file::write(home, record)
    }

    /// Gives up before a journal exists.
    fn failed(&self, source: PublishError) -> PublishFailed {
        let aftermath = self.begun.delete_stage();
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

    /// Gives up because the journal could not be made durable: it may exist under its name, or not.
    fn unwritten(self, record: Record, source: FsError) -> PublishFailed {
        let TransactionDir { fs, dir, names, .. } = &self.begun.home;
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

    /// The last check before the steps are recorded.
    fn changed(&self) -> Result<Option<Stale>, PublishError> {
        let Begun {
            locks, plan, old, ..
        } = &self.begun;
        let target = locks.target();
        let reasons = differences(target, plan, old.map(|old| old.identity));
        let first = reasons.map_err(PublishError::Disk)?.into_iter().next();
        // That the locked directory is the one that the plan expects was checked earlier, and it
        // still is.
        if let Some(changed) = finding(Safeguard::LastLook, first) {
            return Ok(Some(changed));
        }
        let of_target = |why: String| Stale {
            path: target.path().display().to_string(),
            why,
        };
        match &self.begun.work {
            Work::Tree(_) => Ok(None),
            Work::Entries(entry_steps) => match entry_steps.are_current(target, plan) {
                Ok(true) => Ok(None),
                Ok(false) => Ok(Some(of_target(
                    "has entries that were added or removed meanwhile".to_owned(),
                ))),
                Err(CoverError::Disk(source)) => Err(PublishError::Disk(source)),
                Err(error) => Ok(Some(of_target(error.to_string()))),
            },
        }
    }

    /// Locks the new root before readers can find it, so that no other process locks it first.
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

/// The name of the journal when its first step is taken.
fn name_of(record: &Record) -> JournalName {
    if record.is_lone_put() {
        JournalName::Draft
    } else {
        JournalName::Open
    }
}
