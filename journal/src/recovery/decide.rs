//! Recovery as a table: from what a crash left to what recovery does about it.
//!
//! Promises that [`decide`] is pure and exhaustive, and that each row is the end of a history that
//! a crash can cause. Anything else is refused, and nothing is changed (I7).
//!
//! A new journal name, or a new way to take the steps, does not compile until it has its rows here.
//! Read next: `settle.rs`, which executes the decisions.

use crate::place::names::Direction;
use crate::place::record::{Form, Record, Step, Verdict};
use crate::recovery::evidence::{Location, Sight, StepsTaken};

/// Whether a doubt was recorded during this boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Boot {
    /// The page cache may still contain data that the disk lacks: reading proves nothing.
    Same,
    /// The machine has booted since: what is read is what the disk has.
    Another,
}

/// What the journal says, by its name and its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JournalSeen {
    /// There is no journal, or only a draft, which recovery does not need.
    AbsentOrDraft,
    /// The checksum is wrong, and every stage beside it is empty or absent.
    TornAlone,
    /// The checksum is wrong, and a stage exists that is not empty.
    TornBesideStage,
    /// Undecided.
    Open(Verdict),
    /// Decided.
    Decided(Direction),
    /// An fsync failed after the steps, or nothing was synced and the machine has booted since.
    Doubt(Direction, Boot),
}

/// What recovery does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// No transaction is open.
    Nothing,
    /// Unlink the journal: it promised nothing, or everything that it promised is done.
    DropJournal,
    /// Delete the staged tree, or keep it if it was changed or its identity is uncertain
    /// (`settle.rs`, `discard_staged`); the target is as it was.
    Discard,
    /// The new tree stays: keep or delete what it replaced.
    Settle,
    /// Reverse the steps, then delete or keep the staged tree as for `Discard`.
    Undo,
    /// Compare the new tree with its receipt: settle if it matches, otherwise undo.
    VerifyThenSettle,
    /// Wait for the next boot.
    Wait,
    /// Change nothing and report what was found.
    Refuse(Refusal),
}

/// Why nothing is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// An object is where no known history puts it.
    Stranger,
    /// The journal is damaged, and a stage beside it is not empty.
    DamagedJournal,
    /// The journal's state and the steps contradict each other.
    Contradiction,
}

/// What a publication replaces, and what an undo therefore restores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Former {
    /// Nothing: a whole tree comes to an absent name.
    Nothing,
    /// A whole tree.
    Tree,
    /// Entries of a directory that stays in place.
    Entries,
}

/// What happened to an open transaction, and so what the target contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Upshot {
    /// None was open; the target was not changed.
    NothingOpen,
    /// Its journal was torn, so nothing is known about it; the target was not changed.
    Torn,
    /// None of its steps was taken, or all were reversed: the target is as it was before.
    Unpublished,
    /// What it published stays.
    Stays,
    /// Its steps were reversed: the target contains again what it replaced.
    Undone(Former),
}

impl Former {
    /// What the publication of this record replaces.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let goes = |step: &Step| step.act.going().is_some();
        match record.form {
            Form::Entries => Self::Entries,
            Form::Tree if record.steps.list.iter().any(goes) => Self::Tree,
            Form::Tree => Self::Nothing,
        }
    }
}

/// Decides what to do about the evidence.
#[must_use]
#[expect(
    clippy::match_same_arms,
    reason = "a row is a history, not what is done about it"
)]
pub fn decide(journal: JournalSeen, sight: Sight) -> Decision {
    use Decision::{Discard, DropJournal, Nothing, Refuse, Settle, Undo, VerifyThenSettle, Wait};
    use Direction as To;
    use JournalSeen as J;
    match (journal, sight.taken) {
        // Died while staging: no journal names the stage, and its name proves that the engine
        // created it.
        (J::AbsentOrDraft, StepsTaken::NoStep) if sight.staged == Location::StagingName => Discard,
        // No run was under way, or it had finished.
        (J::AbsentOrDraft, _) => Nothing,
        // During the same boot nothing that is read proves anything.
        (J::Doubt(_, Boot::Same), _) => Wait,
        // A power cut came while an unsynced journal was being written: nothing is left that it
        // described.
        (J::TornAlone, _) => DropJournal,
        // The journal was synced before it got its name, so no power cut leaves this.
        (J::TornBesideStage, _) => Refuse(Refusal::DamagedJournal),
        // Another process put an object at one of the names: this outranks the journal.
        (J::Open(_) | J::Decided(_) | J::Doubt(_, Boot::Another), StepsTaken::Unexplained) => {
            Refuse(Refusal::Stranger)
        }
        // An undo would need the replaced tree, which is in trash or gone. The engine deletes it
        // only after settling, so another process removed it, and the new tree may be the last good
        // one. (While the replaced tree exists, the rows below decide.)
        (
            J::Open(_) | J::Decided(To::Undo) | J::Doubt(To::Undo, Boot::Another),
            StepsTaken::SomeSteps | StepsTaken::AllSteps,
        )
        | (J::Doubt(To::Settle, Boot::Another), StepsTaken::SomeSteps)
            if sight.has_lost_the_old_tree() =>
        {
            Refuse(Refusal::Stranger)
        }

        // Died between the journal and the first step.
        (J::Open(_), StepsTaken::NoStep) => open_untaken(sight),
        // Died between two steps, such as those of two entries, or the `Take` of a whole tree and
        // its `Put`; or another process changed an entry after its step. What was replaced comes
        // back.
        (J::Open(_), StepsTaken::SomeSteps) => Undo,
        // Died after the last step. Without checks the steps are the decision.
        (J::Open(Verdict::BySteps), StepsTaken::AllSteps) => Settle,
        // Died while the published tree was checked: the check has not passed.
        (J::Open(Verdict::Awaited), StepsTaken::AllSteps) => Undo,

        // Died while keeping or deleting what was replaced.
        (J::Decided(To::Settle), StepsTaken::AllSteps) => Settle,
        // Died while reversing the steps.
        (J::Decided(To::Undo), StepsTaken::SomeSteps | StepsTaken::AllSteps) => Undo,
        // Died while deleting the stage: it is in its place, in trash, kept, or gone.
        (J::Decided(To::Undo), StepsTaken::NoStep) => Discard,

        // The fsync after the steps failed, or was never requested: check which steps reached the
        // disk.
        (J::Doubt(To::Settle, Boot::Another), StepsTaken::AllSteps) => VerifyThenSettle,
        (J::Doubt(_, Boot::Another), StepsTaken::SomeSteps)
        | (J::Doubt(To::Undo, Boot::Another), StepsTaken::AllSteps) => Undo,
        (J::Doubt(_, Boot::Another), StepsTaken::NoStep) => Discard,

        // The steps were durable before the journal got this name.
        (J::Decided(To::Settle), StepsTaken::NoStep | StepsTaken::SomeSteps) => {
            Refuse(Refusal::Contradiction)
        }
    }
}

fn open_untaken(sight: Sight) -> Decision {
    match sight.staged {
        Location::StagingName => Decision::Discard,
        // Died before a removal took the target: it stages nothing else.
        Location::Target if sight.replaced == Some(Location::Target) => Decision::Discard,
        // The stage was durable before the journal, and is given up only under another journal
        // name.
        Location::Target | Location::TakenTo | Location::Trash | Location::Gone => {
            Decision::Refuse(Refusal::Stranger)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = (JournalSeen, Sight)> {
        use JournalSeen as J;
        let journals = [
            J::AbsentOrDraft,
            J::TornAlone,
            J::TornBesideStage,
            J::Open(Verdict::BySteps),
            J::Open(Verdict::Awaited),
            J::Decided(Direction::Settle),
            J::Decided(Direction::Undo),
            J::Doubt(Direction::Settle, Boot::Same),
            J::Doubt(Direction::Settle, Boot::Another),
            J::Doubt(Direction::Undo, Boot::Same),
            J::Doubt(Direction::Undo, Boot::Another),
        ];
        let taken = [
            StepsTaken::NoStep,
            StepsTaken::SomeSteps,
            StepsTaken::AllSteps,
            StepsTaken::Unexplained,
        ];
        let places = [
            Location::StagingName,
            Location::Target,
            Location::TakenTo,
            Location::Trash,
            Location::Gone,
        ];
        let replaced = places.map(Some).into_iter().chain([None]);
        let sights = replaced.flat_map(move |replaced| {
            let staged = places.into_iter();
            staged.flat_map(move |staged| {
                taken.map(|taken| Sight {
                    staged,
                    replaced,
                    taken,
                })
            })
        });
        sights.flat_map(move |sight| journals.map(|journal| (journal, sight)))
    }

    /// I7: an object that fits no history outranks every state of the journal.
    #[test]
    fn a_stranger_outranks_every_state() {
        for (journal, sight) in all().filter(|(_, sight)| sight.taken == StepsTaken::Unexplained) {
            let decision = decide(journal, sight);
            let touches = matches!(
                decision,
                Decision::Discard | Decision::Settle | Decision::Undo | Decision::VerifyThenSettle
            );
            assert!(!touches, "{journal:?} {sight:?}: {decision:?}");
        }
    }

    /// I5: the new tree is settled only when every step was taken.
    #[test]
    fn nothing_settles_before_every_step_was_taken() {
        for (journal, sight) in all() {
            let decision = decide(journal, sight);
            if matches!(decision, Decision::Settle | Decision::VerifyThenSettle) {
                assert_eq!(sight.taken, StepsTaken::AllSteps, "{journal:?} {sight:?}");
            }
            if matches!(decision, Decision::Discard) {
                assert_eq!(sight.taken, StepsTaken::NoStep, "{journal:?} {sight:?}");
            }
        }
    }

    /// I2: during the boot in which an fsync failed, nothing is changed.
    #[test]
    fn a_doubt_of_this_boot_waits() {
        for (journal, sight) in all() {
            if matches!(journal, JournalSeen::Doubt(_, Boot::Same)) {
                assert_eq!(decide(journal, sight), Decision::Wait);
            }
        }
    }

    /// I5: nothing removes the new tree if there is no old one to restore.
    #[test]
    fn nothing_is_taken_back_for_a_tree_that_is_gone() {
        for (journal, sight) in all().filter(|(_, sight)| sight.has_lost_the_old_tree()) {
            let decision = decide(journal, sight);
            assert_ne!(decision, Decision::Undo, "{journal:?} {sight:?}");
        }
    }
}
