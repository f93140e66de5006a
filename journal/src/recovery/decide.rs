//! Recovery as a table: from what a crash left to what is done about it.
//!
//! Promises that [`decide`] is pure and exhaustive, and that each row is the end of a history that a crash can
//! write; anything else is refused, and nothing is touched (I7).
//!
//! A new journal name, or a new way for the steps to be taken, does not compile until it has its rows here.
//! Read next: `settle.rs`, which carries decisions out.

use crate::place::names::Direction;
use crate::place::record::{Form, Record, Step, Verdict};
use crate::recovery::evidence::{Place, Sight, Taken};

/// Whether a doubt was written down in this start of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Boot {
    /// The page cache may still hold what the disk lacks: nothing can be learned by reading.
    Same,
    /// The machine was started since: what is read is what the disk has.
    Another,
}

/// What the journal says, by its name and its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JournalSeen {
    /// There is none.
    Absent,
    /// The checksum is wrong, and every stage beside it is empty or absent.
    TornAlone,
    /// The checksum is wrong, and there is a stage that is not empty.
    TornBesideStage,
    /// Undecided.
    Open(Verdict),
    /// Decided.
    Decided(Direction),
    /// A sync failed after the steps, or nothing was synced and the machine was started since.
    Doubt(Direction, Boot),
}

/// What recovery does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// Nothing is open.
    Nothing,
    /// Unlink the journal: it promised nothing, or all it promised is done.
    DropJournal,
    /// Delete the staged tree; the target is as it was.
    Discard,
    /// The new tree stays: keep or delete what it replaced.
    Settle,
    /// Take the steps back, then delete the staged tree unless somebody changed it.
    Undo,
    /// Compare the new tree with its receipt: settle if it is whole, otherwise undo.
    VerifyThenSettle,
    /// Wait for another start of the machine.
    Wait,
    /// Touch nothing and say what was found.
    Refuse(Refusal),
}

/// Why nothing is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// An object is where no history of ours puts it.
    Stranger,
    /// A damaged journal beside a stage that holds something.
    DamagedJournal,
    /// The journal's state and the steps contradict each other.
    Contradiction,
}

/// What a publication replaces, and so what comes back when it is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Former {
    /// Nothing: a whole tree comes to an absent name.
    Nothing,
    /// A whole tree.
    Tree,
    /// Entries of a directory that stays where it is.
    Entries,
}

/// What became of an open transaction, and so what the target holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Upshot {
    /// None was open; the target was not touched.
    NothingOpen,
    /// Its journal was torn, so that nothing is known of it; the target was not touched.
    Torn,
    /// No step of it was taken, or all had been taken back: the target is as it was before it.
    Unpublished,
    /// What it published stays.
    Stays,
    /// Its steps were taken back: what it replaced is at the target again.
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

/// Decides what to do about what was seen.
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
        // Died while staging: a stage that no journal names, and that says itself whose it is.
        (J::Absent, Taken::None) if sight.staged == Place::Stage => Discard,
        // No run was under way, or it had finished.
        (J::Absent, _) => Nothing,
        // In this start of the machine nothing that is read proves anything.
        (J::Doubt(_, Boot::Same), _) => Wait,
        // Power went while an unsynced journal was being written: nothing is left that it could have spoken of.
        (J::TornAlone, _) => DropJournal,
        // The journal was synced before it got its name, so no power cut leaves this.
        (J::TornBesideStage, _) => Refuse(Refusal::DamagedJournal),
        // Somebody put another object at one of the names: this outranks what the journal says.
        (J::Open(_) | J::Decided(_) | J::Doubt(_, Boot::Another), Taken::Neither) => {
            Refuse(Refusal::Stranger)
        }
        // What was replaced is deleted only once the new tree is settled: somebody else took it away before, and
        // the new tree may be the last good one.
        (
            J::Open(_) | J::Decided(To::Undo) | J::Doubt(To::Undo, Boot::Another),
            Taken::Some | Taken::All,
        )
        | (J::Doubt(To::Settle, Boot::Another), Taken::Some)
            if sight.has_lost_the_old_tree() =>
        {
            Refuse(Refusal::Stranger)
        }

        // Died between the journal and the first step.
        (J::Open(_), Taken::None) => open_untaken(sight.staged),
        // Died between a `Take` and its `Put`: the old tree comes back.
        (J::Open(_), Taken::Some) => Undo,
        // Died after the last step. Without checks that is the decision.
        (J::Open(Verdict::Taken), Taken::All) => Settle,
        // Died while somebody looked at the published tree: nobody said that it is good.
        (J::Open(Verdict::Awaited), Taken::All) => Undo,

        // Died while keeping or deleting what was replaced.
        (J::Decided(To::Settle), Taken::All) => Settle,
        // Died while taking the steps back.
        (J::Decided(To::Undo), Taken::Some | Taken::All) => Undo,
        // Died while deleting the stage: it is in place, in trash, kept, or gone.
        (J::Decided(To::Undo), Taken::None) => Discard,

        // The sync after the steps failed, or was never asked for: see what of them reached the disk.
        (J::Doubt(To::Settle, Boot::Another), Taken::All) => VerifyThenSettle,
        (J::Doubt(_, Boot::Another), Taken::Some)
        | (J::Doubt(To::Undo, Boot::Another), Taken::All) => Undo,
        (J::Doubt(_, Boot::Another), Taken::None) => Discard,

        // The steps were durable before the name said so.
        (J::Decided(To::Settle), Taken::None | Taken::Some) => Refuse(Refusal::Contradiction),
    }
}

fn open_untaken(staged: Place) -> Decision {
    match staged {
        Place::Stage => Decision::Discard,
        // The stage was durable before the journal, and is given up only under another name.
        Place::Target | Place::Generation | Place::Trash | Place::Gone => {
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
            J::Absent,
            J::TornAlone,
            J::TornBesideStage,
            J::Open(Verdict::Taken),
            J::Open(Verdict::Awaited),
            J::Decided(Direction::Settle),
            J::Decided(Direction::Undo),
            J::Doubt(Direction::Settle, Boot::Same),
            J::Doubt(Direction::Settle, Boot::Another),
            J::Doubt(Direction::Undo, Boot::Same),
            J::Doubt(Direction::Undo, Boot::Another),
        ];
        let taken = [Taken::None, Taken::Some, Taken::All, Taken::Neither];
        let places = [
            Place::Stage,
            Place::Target,
            Place::Generation,
            Place::Trash,
            Place::Gone,
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

    /// I7: an object that fits no history outranks every state name.
    #[test]
    fn a_stranger_outranks_every_state() {
        for (journal, sight) in all().filter(|(_, sight)| sight.taken == Taken::Neither) {
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
                assert_eq!(sight.taken, Taken::All, "{journal:?} {sight:?}");
            }
            if matches!(decision, Decision::Discard) {
                assert_eq!(sight.taken, Taken::None, "{journal:?} {sight:?}");
            }
        }
    }

    /// I2: in the start of the machine in which a sync failed, nothing is touched.
    #[test]
    fn a_doubt_of_this_boot_waits() {
        for (journal, sight) in all() {
            if matches!(journal, JournalSeen::Doubt(_, Boot::Same)) {
                assert_eq!(decide(journal, sight), Decision::Wait);
            }
        }
    }

    /// I5: nothing takes the new tree away when there is no old one to bring back.
    #[test]
    fn nothing_is_taken_back_for_a_tree_that_is_gone() {
        for (journal, sight) in all().filter(|(_, sight)| sight.has_lost_the_old_tree()) {
            let decision = decide(journal, sight);
            assert_ne!(decision, Decision::Undo, "{journal:?} {sight:?}");
        }
    }
}
