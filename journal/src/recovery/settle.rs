//! The end of a publication: settled, undone, or given up. A running process, a failed step and
//! recovery after a crash use the same code for each (I5).
//!
//! Promises that each may die at any call and can be started again: every effect is checked before
//! it is repeated. The journal is unlinked only after what it owns is in its place, in trash, or
//! gone, and that is durable. Nothing deletes an object that the journal does not name by its
//! identity.
//!
//! On disk meanwhile: the journal as `.settle` or `.undo`; then trash, which the next run deletes
//! too.
//! Read next: `transaction/ready.rs`.

use std::ffi::{OsStr, OsString};

use crate::base::identity::Identity;
use crate::base::mutant::Safeguard;
use crate::base::path::RelPath;
use crate::base::safeguard::{finding, holds, in_order, perform};
use crate::base::watch::Unwatched;
use crate::fs::barrier::sync_tree;
use crate::fs::named_sync::sync_dir;
use crate::fs::remove::remove_watched;
use crate::fs::{Barrier, Dir, FsError, Rename};
use crate::place::journal_file::{self, JournalRead};
use crate::place::names::{Direction, JournalName};
use crate::place::record::{Act, Durability, Form, Origin, Record, Retention, Step, Verdict};
use crate::place::stage_claim::marker_name;
use crate::place::target::Target;
use crate::place::transaction_dir::TransactionDir;
use crate::plan::node::ENGINE_DIR;
use crate::recovery::as_published::{are_slots_as_published, is_as_published};
use crate::recovery::closed::{close_tree, drop_set_ids};
use crate::recovery::ending::{EndError, Ending, Kept, WhyKept};
use crate::recovery::evidence::{Location, Sight, replaced_identity, sight};
use crate::steps::renames::{self, Stuck};
use crate::steps::step_places::{StepPlace, StepPlaces, StepState};

/// Which process ends the publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndedBy {
    /// The process that began it, which has observed every object itself.
    Itself,
    /// A later process, which has only the record.
    Recovery,
}

/// A publication to end.
pub(crate) struct PublicationToEnd<'a, 't> {
    pub(crate) target: &'a Target<'t>,
    pub(crate) home: &'a TransactionDir<'t>,
    pub(crate) record: &'a Record,
    pub(crate) journal: JournalName,
    pub(crate) by: EndedBy,
}

impl PublicationToEnd<'_, '_> {
    /// The new tree or entries stay.
    pub(crate) fn settle(mut self) -> Result<Ending, EndError> {
        if !self.is_decided_by_its_steps() {
            self.decide(Direction::Settle)?;
        }
        let seen = self.look()?;
        if seen.replaced == Some(Location::StagingName) {
            self.finish_links()?;
        }
        match replaced_identity(self.record).zip(seen.replaced) {
            None => {
                self.retire_former_record()?;
                self.drop_journal()
            }
            Some((_, Location::Gone)) => self.drop_journal(),
            Some((old, Location::Trash)) => self.finish_trash(old),
            Some((_, Location::Target)) => Err(EndError::Moved),
            // The new tree is not as it was published, so what it replaced may be the last good
            // one.
            Some((old, Location::StagingName | Location::TakenTo))
                if seen.staged != Location::Target && !self.record.is_removal() =>
            {
                self.keep(old, WhyKept::Changed)
            }
            Some((old, Location::StagingName | Location::TakenTo)) => match self.why_keep(old) {
                Some(why) => self.keep(old, why),
                None => self.delete_through_trash(old),
            },
        }
    }

    /// The replaced tree or entries come back.
    pub(crate) fn undo(mut self) -> Result<Ending, EndError> {
        // An undo needs both halves: without the old tree the new one is the last good one.
        if self.look()?.has_lost_the_old_tree() && !self.has_object_to_exchange_back()? {
            return Err(EndError::Moved);
        }
        self.decide(Direction::Undo)?;
        let step_places = self.step_places()?;
        let steps = self.record.steps();
        let taken = self.which_are_taken(&step_places, steps)?;
        let mut is_changed = false;
        for (step, is_taken) in steps.iter().zip(taken).rev() {
            if is_taken {
                renames::take_back(&step_places, step).map_err(|stuck| match stuck {
                    Stuck::Disk(source) => disk("undo a step")(source),
                    Stuck::Sync(source) => self.doubt(Direction::Undo, source),
                })?;
                is_changed = true;
            }
        }
        if is_changed {
            // Deleting the new tree before the old one is durably back could lose both.
            let sync = || self.sync_places(&step_places, Direction::Undo);
            perform(Safeguard::SyncOfUndo, sync)?;
        }
        self.discard_staged()
    }

    /// Deletes the stage before any step was taken: whatever the disk loses, the target is as it
    /// was.
    pub(crate) fn discard_before_steps(mut self) -> Result<Ending, EndError> {
        let TransactionDir { fs, dir, names, .. } = self.home;
        let decided = JournalName::Decided(Direction::Undo);
        self.rename_journal(&names.journal(&decided))?;
        self.journal = decided;
        // If the stage were deleted first, the journal could come back without it.
        fs.sync_dir(dir).map_err(disk("abandon the stage"))?;
        self.discard_staged()
    }

    /// Deletes what was staged; no further step is taken.
    pub(crate) fn discard_staged(mut self) -> Result<Ending, EndError> {
        self.decide(Direction::Undo)?;
        let stage = self.record.stage;
        match (self.look()?.staged, self.record.origin) {
            (Location::Gone, _) => self.drop_journal(),
            (Location::StagingName, Origin::Generation) => self.leave_generation(),
            (Location::Trash, _) => self.finish_trash(stage),
            // It was taken back, or never taken.
            (Location::Target, _) if self.record.is_removal() => self.drop_journal(),
            (Location::Target, _) => Err(EndError::Moved),
            (Location::TakenTo, _) => self.keep(stage, WhyKept::Changed),
            (Location::StagingName, Origin::Built) => match self.why_keep_undone(stage)? {
                Some(why) => self.keep(stage, why),
                None => self.delete_through_trash(stage),
            },
        }
    }

    /// Whether the publication was one exchange and something is at the name of the stage: another
    /// exchange restores whatever was at the target, even if another process put it there.
    fn has_object_to_exchange_back(&self) -> Result<bool, EndError> {
        let [
            Step {
                entry: None,
                act: Act::Exchange { .. },
            },
        ] = self.record.steps()
        else {
            return Ok(false);
        };
        let TransactionDir { fs, dir, names, .. } = self.home;
        let there = fs.meta(dir, OsStr::new(&self.record.staging_name(names)));
        Ok(there.map_err(disk("look at the stage"))?.is_some())
    }

    fn look(&self) -> Result<Sight, EndError> {
        sight(self.target, self.home, self.record, &self.journal).map_err(|source| EndError::Disk {
            what: "look at what was published",
            source,
        })
    }

    fn step_places(&self) -> Result<StepPlaces<'_>, EndError> {
        StepPlaces::open(self.target, self.home, self.record)
            .map_err(disk("open what was published"))
    }

    /// Which of the steps are taken.
    fn which_are_taken(
        &self,
        step_places: &StepPlaces<'_>,
        steps: &[Step],
    ) -> Result<Vec<bool>, EndError> {
        if self.record.form == Form::Entries {
            let states = step_places
                .states(steps)
                .map_err(disk("look at the entries"))?;
            return Ok(states.into_iter().map(StepState::is_taken).collect());
        }
        let seen = self.look()?;
        let is_taken = |step: &Step| match step.act {
            Act::Put { .. } | Act::Exchange { .. } => seen.staged == Location::Target,
            Act::Take { .. } => seen.replaced == Some(Location::TakenTo),
        };
        Ok(steps.iter().map(is_taken).collect())
    }

    /// Removes the slot names of entries that were put by a link, before the stage is kept or
    /// deleted.
    fn finish_links(&self) -> Result<(), EndError> {
        let step_places = self.step_places()?;
        let steps = self.record.steps().iter();
        for step in steps.filter(|step| step.entry.is_some()) {
            renames::finish(&step_places, step).map_err(disk("end a step"))?;
        }
        Ok(())
    }

    /// Whether the decision to settle needs no record: the journal's name already means that
    /// recovery settles, and nothing was replaced, so a later run has nothing to keep or delete.
    fn is_decided_by_its_steps(&self) -> bool {
        self.record.form == Form::Tree
            && matches!(self.journal, JournalName::Draft | JournalName::Open)
            && self.record.steps.verdict == Verdict::BySteps
            && replaced_identity(self.record).is_none()
    }

    /// Records the decision, which is the journal's name.
    fn decide(&mut self, to: Direction) -> Result<(), EndError> {
        let decided = JournalName::Decided(to);
        if self.journal == decided {
            return Ok(());
        }
        let state = match to {
            Direction::Settle => Safeguard::StateSettle,
            Direction::Undo => Safeguard::StateUndo,
        };
        perform(state, || {
            self.rename_journal(&self.home.names.journal(&decided))?;
            self.journal = decided;
            perform(Safeguard::SyncOfDecision, || self.sync(to))
        })
    }

    /// Makes the journal the record of the generation; replaces the old record of a generation that
    /// is kept again.
    fn rename_to_record(&self) -> Result<(), EndError> {
        let name = self.home.names.generation_record(self.record.generation);
        let found = journal_file::read_name(self.home, &name);
        let foreign = match found.map_err(disk("look at the record of the generation"))? {
            // A torn record can be the engine's own: with process durability nothing was synced.
            JournalRead::Record(_) | JournalRead::Torn => None,
            JournalRead::Foreign(why) => Some(why),
        };
        match finding(Safeguard::LookBeforeRecord, foreign) {
            None => self.rename_journal(&name),
            Some(why) => Err(EndError::NameOccupied {
                name: self.home.shown(name),
                why,
            }),
        }
    }

    fn rename_journal(&self, to: &str) -> Result<(), EndError> {
        let TransactionDir { fs, dir, names, .. } = self.home;
        let from = names.journal(&self.journal);
        let moved = fs.rename(dir.at(&from), dir.at(to), Rename::Replace);
        moved.map_err(EndError::Undecided)
    }

    fn why_keep(&self, identity: Identity) -> Option<WhyKept> {
        match (self.record.retention, self.by) {
            (Retention::Keep, _) => Some(WhyKept::Asked),
            (Retention::Discard, EndedBy::Recovery) if !identity.is_certain() => {
                Some(WhyKept::Uncertain)
            }
            (Retention::Discard, EndedBy::Recovery | EndedBy::Itself) => None,
        }
    }

    /// Readers may have written to it after it was published, so it is compared with its receipt.
    fn why_keep_undone(&self, identity: Identity) -> Result<Option<WhyKept>, EndError> {
        if self.by == EndedBy::Recovery && !identity.is_certain() {
            return Ok(Some(WhyKept::Uncertain));
        }
        let is_whole = match self.record.form {
            Form::Tree => {
                let name = self.record.staging_name(&self.home.names);
                is_as_published(self.target, OsStr::new(&name), self.record.steps.receipt)
            }
            // What cannot be read does not count as unchanged.
            Form::Entries => {
                are_slots_as_published(&self.step_places()?, self.record).unwrap_or(false)
            }
        };
        let is_whole = holds(Safeguard::ReceiptOfUndone, is_whole);
        Ok((!is_whole).then_some(WhyKept::Changed))
    }

    /// Keeps an object as the generation with the record's number, and the record beside it.
    fn keep(&self, identity: Identity, why: WhyKept) -> Result<Ending, EndError> {
        in_order(
            Safeguard::KeepBeforeRecord,
            || self.move_to_generation(identity),
            || self.rename_to_record(),
        )?;
        self.remove_marker();
        self.sync(Direction::of(&self.journal))?;
        let generation = self.record.generation;
        let kept = Kept {
            generation,
            name: self.home.names.generation(generation),
            why,
        };
        Ok(Ending {
            kept: Some(kept),
            ..Ending::default()
        })
    }

    /// Gives an object the name of the generation, durably, and denies other users access to it.
    fn move_to_generation(&self, identity: Identity) -> Result<(), EndError> {
        let TransactionDir { fs, dir, names, .. } = self.home;
        let name = names.generation(self.record.generation);
        let found = fs.meta(dir, OsStr::new(&name));
        let found = found.map_err(disk("look at the generation"))?;
        if found.map(|meta| meta.identity) != Some(identity) {
            let from = self.place(&names.stage(&self.record.token));
            renames::put(*fs, &from, &self.place(&name)).map_err(disk("keep what was replaced"))?;
            let to = Direction::of(&self.journal);
            perform(Safeguard::SyncOfGeneration, || self.sync(to))?;
        }
        self.close(self.record, identity)
    }

    /// Denies other users access again to a generation whose rollback was undone.
    fn close_again(&self) -> Result<(), EndError> {
        let name = self.home.names.generation_record(self.record.generation);
        match journal_file::read_name(self.home, &name) {
            Ok(JournalRead::Record(record)) => self.close(&record, self.record.stage),
            Ok(JournalRead::Torn | JournalRead::Foreign(_)) | Err(_) => Ok(()),
        }
    }

    /// Denies other users access to what is kept: to a tree if its record contains its mode, and to
    /// entries in any case.
    fn close(&self, record: &Record, kept: Identity) -> Result<(), EndError> {
        let TransactionDir { fs, dir, names, .. } = self.home;
        let root = match fs.open_dir(dir, OsStr::new(&names.generation(record.generation))) {
            // It is closed to this user already.
            Err(error) if error.is_forbidden() => return Ok(()),
            opened => opened.map_err(disk("open what is kept"))?,
        };
        match record.form {
            Form::Entries => drop_set_ids(*fs, &root),
            Form::Tree if record.root_mode_of(kept).is_none() => {}
            Form::Tree => perform(Safeguard::CloseOfGeneration, || self.close_root(&root))?,
        }
        Ok(())
    }

    fn close_root(&self, root: &Dir) -> Result<(), EndError> {
        let fs = self.home.fs;
        close_tree(fs, root).map_err(disk("close what is kept to others"))?;
        if self.record.durability == Durability::Process {
            return Ok(());
        }
        // Sync even if a killed run closed it: after the journal is gone, no run would close it
        // again.
        let synced = sync_dir(fs, root, Safeguard::SyncOfClosed);
        synced.map_err(|source| self.doubt(Direction::of(&self.journal), source))
    }

    /// Renames an object to trash, whose name contains its identity, then deletes it.
    fn delete_through_trash(&self, identity: Identity) -> Result<Ending, EndError> {
        // With process durability nothing is synced yet: what stays must be durable before the
        // other half is deleted.
        perform(Safeguard::SyncBeforeTrash, || self.sync_before_trash())?;
        // If the journal were gone before the tree is in trash, nothing would show that the engine
        // created the tree.
        in_order(
            Safeguard::TrashBeforeUnlink,
            || self.move_to_trash(identity),
            || self.unlink_journal(),
        )?;
        Ok(self.delete_trash(identity))
    }

    fn move_to_trash(&self, identity: Identity) -> Result<(), EndError> {
        let TransactionDir { fs, dir, names, .. } = self.home;
        let stage = names.stage(&self.record.token);
        let at_stage = fs
            .meta(dir, OsStr::new(&stage))
            .map_err(disk("look at the stage"))?
            .map(|meta| meta.identity);
        let from = if at_stage == Some(identity) {
            stage
        } else {
            names.generation(self.record.generation)
        };
        let trash = self.place(&names.trash(identity));
        renames::put(*fs, &self.place(&from), &trash)
            .map_err(disk("move old files to the trash"))?;
        perform(Safeguard::SyncOfTrash, || {
            self.sync(Direction::of(&self.journal))
        })
    }

    /// Deletes what an earlier run moved to trash, and the journal that shows it.
    fn finish_trash(&self, identity: Identity) -> Result<Ending, EndError> {
        self.unlink_journal()?;
        Ok(self.delete_trash(identity))
    }

    fn place(&self, name: &str) -> StepPlace {
        StepPlace {
            dir: self.home.dir.clone(),
            name: name.into(),
        }
    }

    fn delete_trash(&self, identity: Identity) -> Ending {
        let TransactionDir { fs, dir, names, .. } = self.home;
        let name = names.trash(identity);
        // Trash that a later run could not recognise is deleted completely now.
        let watch = if identity.is_certain() {
            self.target.watch
        } else {
            &Unwatched
        };
        let leftovers = remove_watched(*fs, dir.at(&name), watch);
        self.home.leave(self.target);
        Ending {
            leftovers,
            ..Ending::default()
        }
    }

    /// Leaves the generation at its place with its former record; what another process created
    /// meanwhile went there too.
    fn leave_generation(&self) -> Result<Ending, EndError> {
        let mut is_changed = false;
        if self.record.form == Form::Entries {
            let states = self.step_places()?.states(self.record.steps());
            let states = states.map_err(disk("look at the entries"))?;
            is_changed = states.contains(&StepState::BeforeChanged);
        }
        self.close_again()?;
        let mut ending = self.drop_journal()?;
        ending.kept = is_changed.then(|| Kept {
            generation: self.record.generation,
            name: self.home.names.generation(self.record.generation),
            why: WhyKept::Changed,
        });
        Ok(ending)
    }

    /// Unlinks the record of a generation that was put back where nothing was: no generation is
    /// left that it describes.
    fn retire_former_record(&self) -> Result<(), EndError> {
        let TransactionDir { fs, dir, names, .. } = self.home;
        if self.record.origin != Origin::Generation {
            return Ok(());
        }
        let name = names.generation_record(self.record.generation);
        match fs.remove_file(dir, OsStr::new(&name)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            removed => removed.map_err(disk("retire the record of a generation"))?,
        }
        // If the journal were gone before it, nothing would unlink it.
        perform(Safeguard::SyncOfFormerRecord, || {
            self.sync(Direction::of(&self.journal))
        })
    }

    pub(crate) fn drop_journal(&self) -> Result<Ending, EndError> {
        self.unlink_journal()?;
        self.home.leave(self.target);
        Ok(Ending::default())
    }

    fn unlink_journal(&self) -> Result<(), EndError> {
        let TransactionDir { fs, dir, names, .. } = self.home;
        let name = names.journal(&self.journal);
        fs.remove_file(dir, OsStr::new(&name))
            .map_err(disk("retire the journal"))?;
        self.remove_marker();
        // Recovery does not trust a draft that comes back after a power cut.
        if self.journal == JournalName::Draft {
            return Ok(());
        }
        perform(Safeguard::SyncOfRetirement, || {
            self.sync(Direction::of(&self.journal))
        })
    }

    /// Without birth times the published tree still contains its token, which was part of its
    /// identity until now.
    fn remove_marker(&self) {
        let Target {
            fs, parent, name, ..
        } = self.target;
        if self.record.form == Form::Entries || self.record.stage.is_certain() {
            return;
        }
        let inner = fs
            .open_dir(parent, name)
            .and_then(|root| fs.open_dir(&root, OsStr::new(ENGINE_DIR)));
        if let Ok(inner) = inner {
            let _tidied = fs.remove_file(&inner, &marker_name(&self.record.token));
        }
    }

    /// Makes the names in the transaction directory durable, if the record promises that.
    pub(crate) fn sync(&self, to: Direction) -> Result<(), EndError> {
        match self.record.durability {
            Durability::Power => self.sync_always(to),
            Durability::Process => Ok(()),
        }
    }

    /// Makes the names at both places of the steps durable, as a killed run may have left them.
    pub(crate) fn sync_found(&self, to: Direction) -> Result<(), EndError> {
        match self.record.durability {
            Durability::Power => perform(Safeguard::SyncOfFound, || {
                self.sync_places(&self.step_places()?, to)
            }),
            Durability::Process => Ok(()),
        }
    }

    fn sync_places(&self, step_places: &StepPlaces<'_>, to: Direction) -> Result<(), EndError> {
        step_places.sync().map_err(|source| self.doubt(to, source))
    }

    fn sync_always(&self, to: Direction) -> Result<(), EndError> {
        let TransactionDir { fs, dir, .. } = self.home;
        fs.sync_dir(dir).map_err(|source| self.doubt(to, source))
    }

    fn sync_before_trash(&self) -> Result<(), EndError> {
        let Target {
            fs, parent, name, ..
        } = self.target;
        if self.record.durability == Durability::Power {
            return Ok(());
        }
        let to = Direction::of(&self.journal);
        let synced = match fs.sync_filesystem(&self.home.dir) {
            Ok(Barrier::Filesystem) => Ok(()),
            Ok(Barrier::PerObject) => match fs.open_dir(parent, name) {
                Ok(tree) => sync_tree(*fs, &tree).map(drop),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        synced.map_err(|source| self.doubt(to, source))?;
        self.sync_always(to)
    }

    fn doubt(&self, to: Direction, source: FsError) -> EndError {
        self.note_doubt(to);
        EndError::Doubt(source)
    }

    /// Records that an fsync failed. A second fsync would prove nothing, so nothing more is done
    /// during this boot.
    pub(crate) fn note_doubt(&self, to: Direction) {
        let TransactionDir { fs, names, .. } = self.home;
        let name = names.journal(&JournalName::Doubt(to, fs.boot_id()));
        // If even this rename fails, the journal keeps its name, and recovery decides by what it
        // finds.
        let _noted = perform(Safeguard::StateDoubt, || self.rename_journal(&name));
    }
}

impl Direction {
    fn of(journal: &JournalName) -> Self {
        match journal {
            JournalName::Draft | JournalName::Open => Self::Settle,
            JournalName::Decided(to) | JournalName::Doubt(to, _) => *to,
        }
    }
}

fn disk(what: &'static str) -> impl Fn(FsError) -> EndError {
    move |source| EndError::Disk { what, source }
}

/// Which of some directories of the target are empty now.
///
/// They stay: removing them is not a rename, so a crash before it would leave neither the old tree
/// nor the new one.
pub(crate) fn empty_now(target: &Target<'_>, paths: &[RelPath]) -> Vec<RelPath> {
    let fs = target.fs;
    let list = |path: &RelPath| -> Result<Vec<OsString>, FsError> {
        let mut dir = fs.open_dir(&target.parent, &target.name)?;
        for component in path.components() {
            dir = fs.open_dir(&dir, OsStr::new(component))?;
        }
        fs.list(&dir)
    };
    let is_empty = |path: &&RelPath| list(path).is_ok_and(|names| names.is_empty());
    paths.iter().filter(is_empty).cloned().collect()
}
