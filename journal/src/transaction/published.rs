//! The publication: open from the journal on, until it is settled or undone.
//!
//! Promises to take the steps that the journal lists, to report success only when they are durable
//! and were checked afterwards (I1, I2), and to give up in one way on any earlier failure. Dropping
//! a state only releases the locks: it leaves on disk what a crash would leave.
//!
//! Read next: `recovery/settle.rs`, the ends; `transaction/ready.rs`, the states before.

use crate::base::mutant::Safeguard;
use crate::base::path::RelPath;
use crate::base::safeguard::holds;
use crate::fs::{FsError, Held};
use crate::place::journal_file;
use crate::place::lock::Locks;
use crate::place::names::{Direction, JournalName};
use crate::place::record::{Durability, Record, Step};
use crate::place::stage_claim::{self, proves_itself};
use crate::place::transaction_dir::TransactionDir;
use crate::recovery::ending::Ending;
use crate::recovery::evidence::{Location, StepsTaken, sight};
use crate::recovery::settle::{EndedBy, PublicationToEnd, empty_now};
use crate::staging::build::StageCounts;
use crate::steps::renames;
use crate::steps::step_places::StepPlaces;
use crate::transaction::failures::{
    Aftermath, EndFailed, PublishError, PublishFailed, aftermath_of,
};

/// Everything new is in its place; readers see it.
#[derive(Debug)]
#[must_use = "the next recovery settles or undoes an undecided publication"]
pub struct Published<'a> {
    pub(crate) open: Open<'a>,
    pub(crate) counts: StageCounts,
    /// Directories that are not planned and may be empty now; the deepest first.
    pub(crate) emptied: Vec<RelPath>,
    /// Keeps the new root locked until the end, so that no other process changes it before the
    /// publication is decided.
    pub(crate) _lock: Option<Held>,
}

/// A recorded publication, and everything that its steps need.
#[derive(Debug)]
pub(crate) struct Open<'a> {
    pub(crate) locks: Locks<'a>,
    pub(crate) home: TransactionDir<'a>,
    pub(crate) record: Record,
    /// The journal name that contains the record.
    pub(crate) journal: JournalName,
}

impl Published<'_> {
    /// How the files were staged.
    #[must_use]
    pub fn counts(&self) -> StageCounts {
        self.counts
    }

    /// The steps that were taken.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        self.open.record.steps()
    }

    /// The new tree or entries stay; what they replaced is kept or deleted, according to the terms.
    ///
    /// # Errors
    /// See [`EndFailed`]; the new tree is published nevertheless.
    ///
    /// # Crash
    /// The next run continues to settle.
    pub fn settle(self) -> Result<Ending, EndFailed> {
        let mut ending = self.open.end(Direction::Settle)?;
        let target = self.open.locks.target();
        ending.emptied = empty_now(target, &self.emptied);
        Ok(ending)
    }

    /// The replaced tree or entries come back; the new ones are kept as a generation if they were
    /// changed meanwhile.
    ///
    /// # Errors
    /// See [`EndFailed`].
    ///
    /// # Crash
    /// The next run continues to undo.
    pub fn undo(self) -> Result<Ending, EndFailed> {
        self.open.end(Direction::Undo)
    }
}

impl Open<'_> {
    /// Takes the steps that the journal lists, makes them durable, and checks the result.
    pub(crate) fn take_steps(&self, step_places: &StepPlaces<'_>) -> Result<(), PublishError> {
        let target = self.locks.target();
        // Nothing slower than a rename may come between two of them: readers see a mixture
        // meanwhile.
        for step in self.record.steps() {
            renames::take(step_places, step).map_err(|source| PublishError::Step {
                path: match &step.entry {
                    Some(entry) => entry.path.to_string(),
                    None => target.path().display().to_string(),
                },
                source,
            })?;
        }
        self.sync_steps(step_places)?;
        let seen = sight(target, &self.home, &self.record, &self.journal);
        let seen = seen.map_err(PublishError::Disk)?;
        let is_lost = matches!(seen.replaced, Some(Location::Trash | Location::Gone));
        let is_there = seen.staged == Location::Target || self.record.is_removal();
        let are_whole = seen.taken == StepsTaken::AllSteps && is_there && !is_lost;
        if !holds(Safeguard::LookAtSteps, are_whole) {
            return Err(PublishError::Moved);
        }
        Ok(())
    }

    fn sync_steps(&self, step_places: &StepPlaces<'_>) -> Result<(), PublishError> {
        if self.record.durability == Durability::Process {
            return Ok(());
        }
        let to = self.record.steps.verdict.direction();
        step_places.sync().map_err(|source| {
            self.as_end().note_doubt(to);
            PublishError::Doubt(source)
        })
    }

    fn as_end(&self) -> PublicationToEnd<'_, '_> {
        PublicationToEnd {
            target: self.locks.target(),
            home: &self.home,
            record: &self.record,
            journal: self.journal.clone(),
            by: EndedBy::Itself,
        }
    }

    fn end(&self, to: Direction) -> Result<Ending, EndFailed> {
        let ended = match to {
            Direction::Settle => self.as_end().settle(),
            Direction::Undo => self.as_end().undo(),
        };
        ended.map_err(|source| {
            let aftermath = aftermath_of(&source);
            EndFailed {
                target: self.locks.target().path().to_path_buf(),
                aftermath,
                source,
            }
        })
    }

    /// Gives up, unless an fsync failed, and returns how that left the target.
    pub(crate) fn failed(&self, source: PublishError) -> PublishFailed {
        let aftermath = match source {
            PublishError::Doubt(_) => Aftermath::InDoubt,
            PublishError::Changed(_)
            | PublishError::Interrupted
            | PublishError::Disk(_)
            | PublishError::Step { .. }
            | PublishError::Moved => self.undo_failed(),
        };
        PublishFailed {
            target: self.locks.target().path().into(),
            aftermath,
            shortage: None,
            source,
        }
    }

    /// Gives up before the first step, because the journal could not be made durable.
    pub(crate) fn not_begun(&self, source: FsError) -> PublishFailed {
        let aftermath = match self.as_end().discard_before_steps() {
            Ok(_) => Aftermath::Unchanged,
            Err(error) => aftermath_of(&error),
        };
        PublishFailed {
            target: self.locks.target().path().into(),
            aftermath,
            shortage: None,
            source: PublishError::Disk(source),
        }
    }

    /// Reverses the steps that were taken and deletes the stage.
    fn undo_failed(&self) -> Aftermath {
        let token = &self.record.token;
        // The step was refused, so only the stage has to be deleted, and its name proves it.
        if self.journal == JournalName::Draft && proves_itself(&self.home, token).unwrap_or(false) {
            return delete_unrecorded_stage(&self.locks, &self.home, token);
        }
        match self.as_end().undo() {
            Ok(_) => Aftermath::Unchanged,
            Err(error) => aftermath_of(&error),
        }
    }
}

/// Deletes a stage that no journal names, and the draft for it.
pub(crate) fn delete_unrecorded_stage(
    locks: &Locks<'_>,
    home: &TransactionDir<'_>,
    token: &str,
) -> Aftermath {
    journal_file::discard_draft(home);
    let target = locks.target();
    let left = stage_claim::delete(home, token, target.watch);
    home.leave(target);
    // The name of what remains proves that the engine created it, so the next run deletes it.
    if left.count == 0 && !left.stopped {
        Aftermath::Unchanged
    } else {
        Aftermath::NeedsRecovery
    }
}
