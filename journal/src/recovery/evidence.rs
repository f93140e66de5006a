//! What a crash left, as evidence without a decision.
//!
//! Promises to write nothing. Objects are recognised by the identities in the record, never by
//! their place. Without birth times a staged tree must also contain its token.
//!
//! Read next: `recovery/decide.rs`, which decides.

use std::ffi::OsStr;

use crate::base::identity::Identity;
use crate::base::mutant::Safeguard;
use crate::base::safeguard::holds;
use crate::fs::FsError;
use crate::place::names::{Direction, JournalName};
use crate::place::record::{Act, Form, Origin, Record, Step};
use crate::place::stage_claim::bears_token;
use crate::place::target::Target;
use crate::place::transaction_dir::TransactionDir;
use crate::steps::step_places::{StepPlaces, StepState};

/// Where an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Location {
    /// Where the new object is before its step: at the name of the stage, or of the generation in a
    /// rollback (`Record::staging_name`). After an exchange the replaced object has this name.
    StagingName,
    /// At the target.
    Target,
    /// At the name that a `Take` moves to (`Record::taken_to`): that of the generation in the
    /// record or, in a rollback, that of a stage.
    TakenTo,
    /// In trash with its identity in the name.
    Trash,
    /// At none of these names.
    Gone,
}

/// How far the steps of a record were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepsTaken {
    /// None of them.
    NoStep,
    /// Some of several.
    SomeSteps,
    /// All of them.
    AllSteps,
    /// The objects at the names fit neither the state before nor the state after.
    Unexplained,
}

/// Where the new and the replaced objects of a publication are, and what follows for its steps.
///
/// In a publication by entries the slots are both: they contain the new entries until the steps are
/// taken, and the replaced ones afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The new objects: [`Location::Target`] once all of them are there, unchanged.
    pub staged: Location,
    /// The replaced objects, if there are any.
    pub replaced: Option<Location>,
    /// How far the steps were taken.
    pub taken: StepsTaken,
}

impl Sight {
    /// Whether steps were taken whose inverse has nothing to restore.
    #[must_use]
    pub(crate) fn has_lost_the_old_tree(self) -> bool {
        let can_come_back = !matches!(self.replaced, Some(Location::Trash | Location::Gone));
        !holds(Safeguard::LossOfOld, can_come_back)
            && matches!(self.taken, StepsTaken::SomeSteps | StepsTaken::AllSteps)
    }
}

/// Finds out where the objects of a record are, and how far its steps were taken.
pub(crate) fn sight(
    target: &Target<'_>,
    home: &TransactionDir<'_>,
    record: &Record,
    state: &JournalName,
) -> Result<Sight, FsError> {
    let lookout = Lookout {
        target,
        home,
        record,
    };
    match record.form {
        Form::Tree => lookout.tree(),
        Form::Entries => lookout.entries(state),
    }
}

/// What a settled publication keeps or deletes: the replaced tree, or the slots with the replaced
/// entries.
pub(crate) fn replaced_identity(record: &Record) -> Option<Identity> {
    match record.form {
        Form::Tree => record.steps().iter().find_map(|step| step.act.going()),
        Form::Entries => Some(record.stage),
    }
}

/// Judges the steps of a whole tree by where their objects are. One step that is neither before nor
/// after makes the result [`StepsTaken::Unexplained`].
fn steps_taken(
    steps: &[Step],
    staged: Location,
    replaced: Option<Location>,
    target_exists: bool,
) -> StepsTaken {
    let away = matches!(
        staged,
        Location::StagingName | Location::TakenTo | Location::Trash | Location::Gone
    );
    let acts: Vec<Act> = steps.iter().map(|step| step.act).collect();
    match (acts.as_slice(), replaced) {
        ([Act::Put { .. }], None) if staged == Location::Target => StepsTaken::AllSteps,
        ([Act::Put { .. }], None) if away && !target_exists => StepsTaken::NoStep,
        ([Act::Exchange { .. }] | [Act::Take { .. }, Act::Put { .. }], Some(Location::Target))
            if away =>
        {
            StepsTaken::NoStep
        }
        ([Act::Exchange { .. }] | [Act::Take { .. }, Act::Put { .. }], Some(_))
            if staged == Location::Target =>
        {
            StepsTaken::AllSteps
        }
        ([Act::Take { .. }, Act::Put { .. }], Some(Location::TakenTo))
            if staged == Location::StagingName && !target_exists =>
        {
            StepsTaken::SomeSteps
        }
        ([Act::Take { .. }], Some(Location::Target)) => StepsTaken::NoStep,
        // What another process has created at the target since is not in the way of settling.
        ([Act::Take { .. }], Some(Location::TakenTo | Location::Trash | Location::Gone)) => {
            StepsTaken::AllSteps
        }
        _ => StepsTaken::Unexplained,
    }
}

struct Lookout<'a> {
    target: &'a Target<'a>,
    home: &'a TransactionDir<'a>,
    record: &'a Record,
}

impl Lookout<'_> {
    fn tree(&self) -> Result<Sight, FsError> {
        let record = self.record;
        // What a removal takes away was not staged, so it has no token.
        let staged = self.place(record.stage, !record.is_removal())?;
        let old = replaced_identity(record);
        let replaced = old.map(|old| self.place(old, false)).transpose()?;
        let at_target = self.target.meta()?.map(|meta| meta.identity);
        let taken = steps_taken(record.steps(), staged, replaced, at_target.is_some());
        Ok(Sight {
            staged,
            replaced,
            taken,
        })
    }

    fn entries(&self, state: &JournalName) -> Result<Sight, FsError> {
        let Self {
            target,
            home,
            record,
        } = self;
        let slots = self.place(record.stage, true)?;
        let taken = match (slots, state) {
            (Location::StagingName | Location::TakenTo, _) => {
                let step_places = StepPlaces::open(target, home, record)?;
                return self.entries_with(slots, &step_places, state);
            }
            // The slots are deleted only after the decision was executed.
            (
                _,
                JournalName::Decided(Direction::Settle) | JournalName::Doubt(Direction::Settle, _),
            ) => StepsTaken::AllSteps,
            (_, JournalName::Decided(Direction::Undo) | JournalName::Doubt(Direction::Undo, _)) => {
                StepsTaken::NoStep
            }
            (_, JournalName::Open | JournalName::Draft) => StepsTaken::Unexplained,
        };
        let staged = if taken == StepsTaken::AllSteps {
            Location::Target
        } else {
            slots
        };
        Ok(Sight {
            staged,
            replaced: Some(slots),
            taken,
        })
    }

    fn entries_with(
        &self,
        slots: Location,
        step_places: &StepPlaces<'_>,
        state: &JournalName,
    ) -> Result<Sight, FsError> {
        let steps = self.record.steps();
        let states = step_places.states(steps)?;
        let count = states.iter().filter(|step| step.is_taken()).count();
        // An entry that is gone or different may be what a power cut left of a step that is not a
        // single rename. Before the decision no check of the new state has passed, so this does not
        // count as all steps taken.
        let is_decided = *state == JournalName::Decided(Direction::Settle);
        let is_whole = is_decided || !states.contains(&StepState::AfterChanged);
        let taken = if states.contains(&StepState::Neither) {
            StepsTaken::Unexplained
        } else if count == 0 {
            StepsTaken::NoStep
        } else if count == states.len() && is_whole {
            StepsTaken::AllSteps
        } else {
            StepsTaken::SomeSteps
        };
        let untouched = taken == StepsTaken::AllSteps && !states.contains(&StepState::AfterChanged);
        Ok(Sight {
            staged: if untouched { Location::Target } else { slots },
            replaced: Some(slots),
            taken,
        })
    }

    fn place(&self, identity: Identity, is_stage: bool) -> Result<Location, FsError> {
        let TransactionDir { fs, dir, names, .. } = self.home;
        let tree = (self.record.form == Form::Tree).then(|| self.target.name.clone());
        let places = [
            (
                Location::StagingName,
                Some(self.record.staging_name(names).into()),
            ),
            (Location::Target, tree),
            (Location::TakenTo, Some(self.record.taken_to(names).into())),
            (Location::Trash, Some(names.trash(identity).into())),
        ];
        for (place, name) in places {
            let Some(name) = name else { continue };
            let found = fs.meta(dir, &name)?.map(|meta| meta.identity);
            let is_it =
                found.is_some_and(|found| holds(Safeguard::IdentityOfPlace, found == identity));
            if is_it && self.is_proved(identity, &name, is_stage)? {
                return Ok(place);
            }
        }
        Ok(Location::Gone)
    }

    /// Without a birth time an inode number may have been reused, so the token identifies a staged
    /// tree.
    ///
    /// Slots are recognised by the random name of their directory, and a generation that is
    /// published again contains no token.
    fn is_proved(&self, identity: Identity, name: &OsStr, is_stage: bool) -> Result<bool, FsError> {
        let by_number = identity.is_certain()
            || self.record.form == Form::Entries
            || self.record.origin == Origin::Generation;
        if by_number {
            return Ok(true);
        }
        let bears_token = bears_token(self.home, name, &self.record.token)?;
        Ok(holds(Safeguard::TokenOfPlace, bears_token == is_stage))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Identity = Identity {
        inode: 2,
        birth: None,
    };
    const OLD: Identity = Identity {
        inode: 1,
        birth: None,
    };

    fn steps(acts: &[Act]) -> Vec<Step> {
        let step = |act: &Act| Step {
            entry: None,
            act: *act,
        };
        acts.iter().map(step).collect()
    }

    fn check(
        acts: &[Act],
        staged: Location,
        replaced: Option<Location>,
        target_exists: bool,
        expected: StepsTaken,
    ) {
        assert_eq!(
            steps_taken(&steps(acts), staged, replaced, target_exists),
            expected,
            "{acts:?} {staged:?} {replaced:?}"
        );
    }

    #[test]
    fn steps_are_judged_by_where_their_objects_are() {
        use Location as At;
        use StepsTaken::{AllSteps, NoStep, SomeSteps, Unexplained};
        let put = [Act::Put { new: NEW }];
        check(&put, At::StagingName, None, false, NoStep);
        check(&put, At::StagingName, None, true, Unexplained);
        check(&put, At::Target, None, true, AllSteps);
        let swap = [Act::Exchange { new: NEW, old: OLD }];
        check(&swap, At::StagingName, Some(At::Target), true, NoStep);
        check(&swap, At::Target, Some(At::StagingName), true, AllSteps);
        check(&swap, At::Target, Some(At::Gone), true, AllSteps);
        let at_stage = Some(At::StagingName);
        check(&swap, At::StagingName, at_stage, true, Unexplained);
        let at_generation = Some(At::TakenTo);
        check(&swap, At::StagingName, at_generation, false, Unexplained);
        check(&swap, At::Gone, Some(At::Gone), true, Unexplained);
        let take_put = [Act::Take { old: OLD }, Act::Put { new: NEW }];
        let in_place = Some(At::Target);
        check(&take_put, At::StagingName, in_place, true, NoStep);
        check(&take_put, At::StagingName, at_generation, false, SomeSteps);
        check(&take_put, At::StagingName, at_generation, true, Unexplained);
        check(&take_put, At::Target, at_generation, true, AllSteps);
        let take = [Act::Take { old: OLD }];
        check(&take, At::Target, in_place, true, NoStep);
        check(&take, At::TakenTo, at_generation, false, AllSteps);
        check(&take, At::TakenTo, at_generation, true, AllSteps);
        check(&take, At::Trash, Some(At::Trash), false, AllSteps);
        check(&take, At::Gone, Some(At::Gone), false, AllSteps);
        check(&take, At::StagingName, at_stage, false, Unexplained);
    }
}
