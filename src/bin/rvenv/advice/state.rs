//! The state of a target, of the cache or of a saved plan after a failure or a recovery, and the
//! sentence for it.
//!
//! Promises that every such sentence is in this file, that it claims no more than is known, and
//! that a command which never writes prints none. A new failure or a new state does not compile
//! before it has its row here.
//! Read next: `../advice.rs`, which prints the sentence under the error.

use rvenv::environment::RunFailed;
use rvenv_journal::raw::{
    Decision, EndError, Former, Inspection, PublishError, RecoverError, RemoveError, Upshot,
};
use rvenv_journal::{Aftermath, EndFailed, PublishFailed, ReadyError, Recovered, RollbackError};

const NO_HISTORY: &str = "a person must decide: the state is not one that a crash can leave; \
    `rvenv recover` names the reason";

/// What a command may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing, or only answers in the cache and the file that the user named.
    Nothing,
    /// A target.
    Target,
    /// The cache.
    Cache,
}

/// The state that a failure leaves, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing was begun, or everything was undone.
    AsBefore,
    /// The same, after this run finished what an earlier one had left.
    AsRecovered,
    /// No step was taken; the new tree still exists in its stage.
    Littered,
    /// Steps may be taken, until a recovery undoes them.
    Started,
    /// All steps are taken and final.
    Published,
    /// All steps are taken, and it is not known whether they are final.
    Undecided,
    /// All steps were taken, and were to be undone.
    Rejected,
    /// Steps were taken or undone, and an fsync failed.
    InDoubt,
    /// Something exists that only a person can judge.
    Untouched,
    /// A recovery has begun.
    HalfRecovered,
    /// Nothing was deleted.
    CacheAsBefore,
    /// Everything that was to be deleted is deleted.
    CacheSwept,
    /// Everything that was to be deleted is deleted, except the entries that the error names.
    CacheSweptButSome,
    /// Some of what was to be deleted may be deleted.
    CacheHalfSwept,
    /// The plan was written before something else failed.
    PlanSaved,
    /// The file has not been replaced.
    PlanNotSaved,
    /// What is written into a pipe or a device cannot be undone.
    PlanHalfWritten,
    /// The file has not been replaced.
    LockNotSaved,
    /// As [`State::PlanHalfWritten`].
    LockHalfWritten,
    /// Nothing has the path of the image that had not.
    ImageNotWritten,
    /// The image has its path, and the fsync of the directory failed.
    ImageInDoubt,
    /// The manifest was not sent.
    TagAsBefore,
    /// The manifest was sent, and its receipt was not confirmed.
    TagInDoubt,
}

impl Effect {
    /// The state before a command with this effect has begun anything.
    pub(crate) fn not_begun(self) -> Option<State> {
        match self {
            Self::Nothing => None,
            Self::Target => Some(State::AsBefore),
            Self::Cache => Some(State::CacheAsBefore),
        }
    }
}

impl State {
    /// The sentence that is printed under an error.
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Self::AsBefore => "the target is as it was before",
            Self::AsRecovered => "the target is as the recovery of the earlier run left it",
            Self::Littered => {
                "the target is as it was before; what was built for it is not deleted yet"
            }
            Self::Started => {
                "the target is as it was before, or will be once the attempt is cleaned up"
            }
            Self::Published => {
                "the new tree is published; what is no longer needed is not cleaned up yet"
            }
            Self::Undecided => {
                "the new tree is at the target, but whether it stays is not decided yet"
            }
            Self::Rejected => "what was published may still be at the target, but must not stay",
            Self::InDoubt => {
                "the target is as it was before or as planned; which one is known after a reboot"
            }
            Self::Untouched => "nothing was touched",
            Self::HalfRecovered => "the recovery is not finished; nothing was lost",
            Self::CacheAsBefore => "the cache is as it was before",
            Self::CacheSwept => "what was to be deleted from the cache is deleted",
            Self::CacheSweptButSome => "everything else that was to be deleted is deleted",
            Self::CacheHalfSwept => {
                "some of what was to be deleted from the cache may be deleted; nothing else was \
                 touched"
            }
            Self::PlanSaved => "the plan is saved",
            Self::PlanNotSaved => "no plan was saved; a file of that name is as it was before",
            Self::PlanHalfWritten => "a part of the plan may have been written",
            Self::LockNotSaved => "no lock was saved; a file of that name is as it was before",
            Self::ImageNotWritten => "no image was written; one of that name is as it was before",
            Self::ImageInDoubt => {
                "the image is written; a power cut may still bring back what had its name"
            }
            Self::LockHalfWritten => "a part of the lock may have been written",
            Self::TagAsBefore => {
                "the registry may have some of the files; what was named there names the same"
            }
            Self::TagInDoubt => {
                "the registry has the files; the tag names what it named before, or all of them"
            }
        }
    }

    /// The hint that leads out of the state, if a run has begun something.
    pub(crate) fn way_out(self) -> Option<&'static str> {
        match self {
            Self::Littered | Self::Started | Self::Published | Self::Undecided | Self::Rejected => {
                Some("run `rvenv recover` on the target, or any changing command, to finish")
            }
            Self::InDoubt => Some("check the disk, reboot, then run `rvenv recover` on the target"),
            Self::AsBefore
            | Self::AsRecovered
            | Self::Untouched
            | Self::HalfRecovered
            | Self::CacheAsBefore
            | Self::CacheSwept
            | Self::CacheSweptButSome
            | Self::CacheHalfSwept
            | Self::PlanSaved
            | Self::PlanNotSaved
            | Self::PlanHalfWritten
            | Self::LockNotSaved
            | Self::LockHalfWritten
            | Self::ImageNotWritten
            | Self::ImageInDoubt
            | Self::TagAsBefore
            | Self::TagInDoubt => None,
        }
    }

    /// The state in which a run leaves its target when it fails in this way.
    pub(crate) fn after(failed: &RunFailed, recovery: Recovery) -> Self {
        let unchanged = match recovery {
            Recovery::Nothing => Self::AsBefore,
            Recovery::Ended => Self::AsRecovered,
        };
        match failed {
            RunFailed::Plan(_)
            | RunFailed::Prepare(_)
            | RunFailed::Check { .. }
            | RunFailed::NotAnEnvironment { .. }
            | RunFailed::Shared { .. }
            | RunFailed::Distributions { .. }
            | RunFailed::Interrupted { .. }
            | RunFailed::Remove(RemoveError::Absent(_) | RemoveError::Prepare(_))
            | RunFailed::Ready(ReadyError::Lock(_))
            | RunFailed::Rollback(
                RollbackError::NoGeneration(_)
                | RollbackError::OnlyUndone { .. }
                | RollbackError::NoRecord { .. }
                | RollbackError::Mounted { .. }
                | RollbackError::Disk { .. },
            ) => unchanged,
            RunFailed::Ready(ReadyError::Recover(failed)) => Self::after_recovery(failed),
            RunFailed::Stage(failed) => match failed.aftermath {
                Aftermath::Unchanged => unchanged,
                Aftermath::NeedsRecovery => Self::Littered,
                Aftermath::InDoubt => Self::InDoubt,
            },
            RunFailed::Publish(failed)
            | RunFailed::Rollback(RollbackError::Publish(failed))
            | RunFailed::Remove(RemoveError::Publish(failed)) => {
                Self::after_publication(failed, unchanged)
            }
            RunFailed::End(failed) => Self::after_end(failed, Self::Published),
            RunFailed::Undo(failed) => Self::after_end(&failed.source, Self::Rejected),
        }
    }

    fn after_publication(failed: &PublishFailed, unchanged: Self) -> Self {
        match (failed.aftermath, &failed.source) {
            (Aftermath::Unchanged, _) => unchanged,
            // Both happen before the first step.
            (Aftermath::NeedsRecovery, PublishError::Changed(_) | PublishError::Interrupted) => {
                Self::Littered
            }
            (
                Aftermath::NeedsRecovery,
                PublishError::Disk(_)
                | PublishError::Step { .. }
                | PublishError::Moved
                | PublishError::Doubt(_),
            ) => Self::Started,
            (Aftermath::InDoubt, _) => Self::InDoubt,
        }
    }

    fn after_end(failed: &EndFailed, not_ended: Self) -> Self {
        match (failed.aftermath, &failed.source) {
            (Aftermath::InDoubt, _) => Self::InDoubt,
            (Aftermath::Unchanged | Aftermath::NeedsRecovery, EndError::Undecided(_))
                if not_ended == Self::Published =>
            {
                Self::Undecided
            }
            (Aftermath::Unchanged | Aftermath::NeedsRecovery, _) => not_ended,
        }
    }

    fn after_recovery(failed: &RecoverError) -> Self {
        match failed {
            RecoverError::Doubt { .. }
            | RecoverError::Foreign { .. }
            | RecoverError::Several { .. }
            | RecoverError::Refused { .. } => Self::Untouched,
            RecoverError::End { .. } | RecoverError::Disk { .. } => Self::HalfRecovered,
        }
    }
}

/// Whether a run finished what an earlier one had left, before its own work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Recovery {
    #[default]
    Nothing,
    Ended,
}

impl Recovery {
    pub(crate) fn of(recovered: &Recovered) -> Self {
        match recovered.upshot {
            Upshot::NothingOpen | Upshot::Torn => Self::Nothing,
            Upshot::Unpublished | Upshot::Stays | Upshot::Undone(_) => Self::Ended,
        }
    }
}

/// What a recovery did with an earlier run.
pub(crate) fn recovered(upshot: Upshot) -> Option<&'static str> {
    match upshot {
        Upshot::NothingOpen => None,
        Upshot::Torn => Some("An earlier run left a damaged journal, which is deleted"),
        Upshot::Unpublished => Some("An earlier run died; the target is as it was before that run"),
        Upshot::Stays => Some("An earlier run died after publishing; its changes stay"),
        Upshot::Undone(Former::Nothing) => Some(
            "An earlier run died; its changes are undone, and the target does not exist, as before",
        ),
        Upshot::Undone(Former::Tree) => {
            Some("An earlier run died; its changes are undone, and the previous tree is back")
        }
        Upshot::Undone(Former::Entries) => {
            Some("An earlier run died; its changes are undone, and the previous entries are back")
        }
    }
}

/// What a recovery would do with an earlier run.
pub(crate) fn pending(seen: &Inspection) -> Option<&'static str> {
    let Ok(decision) = &seen.decision else {
        return Some(NO_HISTORY);
    };
    match (decision, seen.former) {
        (Decision::Nothing, _) => None,
        (Decision::DropJournal, _) => {
            Some("a run left a damaged journal, which recovery will delete")
        }
        (Decision::Discard, _) => Some(
            "a run died; the target is as it was before that run, and recovery will delete the \
             leftovers",
        ),
        (Decision::Settle, _) => Some("a run died after publishing; its changes will stay"),
        (Decision::VerifyThenSettle, _) => {
            Some("a run published, but fsync failed; recovery will verify what it published")
        }
        (Decision::Undo, Some(Former::Nothing)) => {
            Some("a run died; recovery will undo its changes, and the target will not exist")
        }
        (Decision::Undo, Some(Former::Tree)) => {
            Some("a run died; recovery will undo its changes and bring back the previous tree")
        }
        (Decision::Undo, Some(Former::Entries) | None) => {
            Some("a run died; recovery will undo its changes and bring back the previous entries")
        }
        (Decision::Wait, _) => Some("fsync failed; nothing is done before a reboot"),
        (Decision::Refuse(_), _) => Some(NO_HISTORY),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use rvenv::checks::CheckFailed;
    use rvenv::environment::{PlanFailed, UndoFailed, UnfitPlan};
    use rvenv_journal::fs::FsError;
    use rvenv_journal::raw::{
        Ending, LockError, Refusal, Siblings, StageError, Stale, TargetError,
    };
    use rvenv_journal::{PrepareError, StageFailed};

    use super::*;
    use crate::advice::{Exit, of_run};

    const STATES: [(State, &str); 23] = [
        (State::AsBefore, "the target is as it was before"),
        (
            State::AsRecovered,
            "the target is as the recovery of the earlier run left it",
        ),
        (
            State::Littered,
            "the target is as it was before; what was built for it is not deleted yet",
        ),
        (
            State::Started,
            "the target is as it was before, or will be once the attempt is cleaned up",
        ),
        (
            State::Published,
            "the new tree is published; what is no longer needed is not cleaned up yet",
        ),
        (
            State::Undecided,
            "the new tree is at the target, but whether it stays is not decided yet",
        ),
        (
            State::Rejected,
            "what was published may still be at the target, but must not stay",
        ),
        (
            State::InDoubt,
            "the target is as it was before or as planned; which one is known after a reboot",
        ),
        (State::Untouched, "nothing was touched"),
        (
            State::HalfRecovered,
            "the recovery is not finished; nothing was lost",
        ),
        (State::CacheAsBefore, "the cache is as it was before"),
        (
            State::CacheSwept,
            "what was to be deleted from the cache is deleted",
        ),
        (
            State::CacheSweptButSome,
            "everything else that was to be deleted is deleted",
        ),
        (
            State::CacheHalfSwept,
            "some of what was to be deleted from the cache may be deleted; nothing else was \
             touched",
        ),
        (State::PlanSaved, "the plan is saved"),
        (
            State::PlanNotSaved,
            "no plan was saved; a file of that name is as it was before",
        ),
        (
            State::PlanHalfWritten,
            "a part of the plan may have been written",
        ),
        (
            State::LockNotSaved,
            "no lock was saved; a file of that name is as it was before",
        ),
        (
            State::LockHalfWritten,
            "a part of the lock may have been written",
        ),
        (
            State::ImageNotWritten,
            "no image was written; one of that name is as it was before",
        ),
        (
            State::ImageInDoubt,
            "the image is written; a power cut may still bring back what had its name",
        ),
        (
            State::TagAsBefore,
            "the registry may have some of the files; what was named there names the same",
        ),
        (
            State::TagInDoubt,
            "the registry has the files; the tag names what it named before, or all of them",
        ),
    ];

    #[test]
    fn each_state_has_its_sentence() {
        for (state, sentence) in STATES {
            assert_eq!(state.sentence(), sentence);
        }
        // Each state has a row of its own: where one is forgotten, another is listed twice.
        for (at, (state, _)) in STATES.iter().enumerate() {
            assert!(STATES.iter().skip(at + 1).all(|(other, _)| other != state));
        }
    }

    fn target() -> PathBuf {
        "/p/E".into()
    }

    fn disk() -> FsError {
        FsError {
            verb: "write",
            name: "entry".to_owned(),
            source: io::Error::other("refused"),
        }
    }

    fn staged(aftermath: Aftermath) -> RunFailed {
        RunFailed::Stage(StageFailed {
            target: target().into(),
            aftermath,
            shortage: None,
            source: StageError::Interrupted {
                path: "bin".to_owned(),
            },
        })
    }

    fn published(aftermath: Aftermath, source: PublishError) -> PublishFailed {
        PublishFailed {
            target: target().into(),
            aftermath,
            shortage: None,
            source,
        }
    }

    fn ended(aftermath: Aftermath, source: EndError) -> EndFailed {
        EndFailed {
            target: target(),
            aftermath,
            source,
        }
    }

    fn check() -> CheckFailed {
        CheckFailed::TimedOut {
            check: "the built-in health check".to_owned(),
            seconds: 60,
        }
    }

    fn unrolled(failed: RollbackError) -> RunFailed {
        RunFailed::Rollback(failed)
    }

    fn unrecovered(failed: RecoverError) -> RunFailed {
        RunFailed::Ready(ReadyError::Recover(failed))
    }

    fn undo(aftermath: Aftermath, source: EndError) -> RunFailed {
        RunFailed::Undo(Box::new(UndoFailed {
            path: target(),
            check: check(),
            source: ended(aftermath, source),
        }))
    }

    fn stale() -> Stale {
        Stale {
            path: "bin".to_owned(),
            why: "is gone".to_owned(),
        }
    }

    /// Failures that leave nothing behind.
    fn without_a_trace() -> Vec<(RunFailed, Exit)> {
        use Aftermath::Unchanged;
        let checked = |source| RunFailed::Check {
            path: target(),
            source,
            ending: Box::new(Ending::default()),
        };
        vec![
            (
                RunFailed::Plan(PlanFailed::Target(TargetError::NoParent(target()))),
                Exit::Precondition,
            ),
            (
                RunFailed::Ready(ReadyError::Lock(LockError::NoLocks(target()))),
                Exit::Failed,
            ),
            (
                RunFailed::Prepare(PrepareError::Stale {
                    target: target(),
                    reasons: vec![stale()],
                }),
                Exit::Precondition,
            ),
            (staged(Unchanged), Exit::Interrupted),
            (
                published(Unchanged, PublishError::Interrupted).into(),
                Exit::Interrupted,
            ),
            (
                published(Unchanged, PublishError::Changed(stale())).into(),
                Exit::Precondition,
            ),
            (
                published(Unchanged, PublishError::Disk(disk())).into(),
                Exit::Failed,
            ),
            (
                published(Unchanged, PublishError::Moved).into(),
                Exit::Failed,
            ),
            (checked(check()), Exit::Failed),
            (
                checked(CheckFailed::Interrupted {
                    check: "it".to_owned(),
                }),
                Exit::Interrupted,
            ),
            (
                RunFailed::NotAnEnvironment {
                    path: target(),
                    why: UnfitPlan::NoEnvironment,
                },
                Exit::Precondition,
            ),
            (RunFailed::Interrupted { path: target() }, Exit::Interrupted),
            (
                unrolled(RollbackError::NoGeneration(target())),
                Exit::Precondition,
            ),
            (
                unrolled(RollbackError::Publish(published(
                    Unchanged,
                    PublishError::Moved,
                ))),
                Exit::Failed,
            ),
        ]
    }

    /// Failures that leave something behind, and the state that they leave.
    fn with_a_trace() -> Vec<(RunFailed, State, Exit)> {
        let mut all = of_publications();
        all.extend(of_ends());
        all.extend(of_recoveries());
        all
    }

    /// Failures from the stage to the last step of a publication.
    fn of_publications() -> Vec<(RunFailed, State, Exit)> {
        use Aftermath::{InDoubt, NeedsRecovery};
        let publish = |source| published(NeedsRecovery, source);
        let step = PublishError::Step {
            path: "bin".to_owned(),
            source: disk(),
        };
        vec![
            (staged(NeedsRecovery), State::Littered, Exit::Interrupted),
            (staged(InDoubt), State::InDoubt, Exit::InDoubt),
            (
                publish(PublishError::Interrupted).into(),
                State::Littered,
                Exit::Interrupted,
            ),
            (
                publish(PublishError::Changed(stale())).into(),
                State::Littered,
                Exit::Precondition,
            ),
            (
                publish(PublishError::Disk(disk())).into(),
                State::Started,
                Exit::NeedsPerson,
            ),
            (publish(step).into(), State::Started, Exit::NeedsPerson),
            (
                publish(PublishError::Moved).into(),
                State::Started,
                Exit::NeedsPerson,
            ),
            (
                published(InDoubt, PublishError::Doubt(disk())).into(),
                State::InDoubt,
                Exit::InDoubt,
            ),
            (
                unrolled(RollbackError::Publish(publish(PublishError::Moved))),
                State::Started,
                Exit::NeedsPerson,
            ),
        ]
    }

    /// Failures to settle or to undo a publication.
    fn of_ends() -> Vec<(RunFailed, State, Exit)> {
        use Aftermath::{InDoubt, NeedsRecovery};
        let end = |aftermath, source| RunFailed::End(ended(aftermath, source));
        let doubt = || EndError::Doubt(disk());
        let undecided = || EndError::Undecided(disk());
        let taken = EndError::NameOccupied {
            name: "old-1".to_owned(),
            why: "a file".to_owned(),
        };
        let unfinished = [
            (end(NeedsRecovery, disk_of_end()), State::Published),
            (end(NeedsRecovery, EndError::Moved), State::Published),
            (end(NeedsRecovery, taken), State::Published),
            (end(NeedsRecovery, undecided()), State::Undecided),
            (undo(NeedsRecovery, disk_of_end()), State::Rejected),
            (undo(NeedsRecovery, undecided()), State::Rejected),
        ];
        let in_doubt = [end(InDoubt, doubt()), undo(InDoubt, doubt())];
        let unfinished = unfinished.map(|(failed, state)| (failed, state, Exit::NeedsPerson));
        let in_doubt = in_doubt.map(|failed| (failed, State::InDoubt, Exit::InDoubt));
        unfinished.into_iter().chain(in_doubt).collect()
    }

    /// Failures of the recovery before a run.
    fn of_recoveries() -> Vec<(RunFailed, State, Exit)> {
        let in_doubt = unrecovered(RecoverError::Doubt { target: target() });
        let foreign = RecoverError::Foreign {
            name: "old-1".to_owned(),
            why: "a file".to_owned(),
        };
        let several = RecoverError::Several { names: Vec::new() };
        let refused = RecoverError::Refused {
            target: target(),
            what: "delete",
            journal: "old-1".to_owned(),
        };
        let not_ended = RecoverError::End {
            target: target(),
            source: disk_of_end(),
        };
        let not_read = RecoverError::Disk {
            target: target(),
            source: disk(),
        };
        let for_a_person = [
            (foreign, State::Untouched),
            (several, State::Untouched),
            (refused, State::Untouched),
            (not_ended, State::HalfRecovered),
            (not_read, State::HalfRecovered),
        ];
        let for_a_person =
            for_a_person.map(|(failed, state)| (unrecovered(failed), state, Exit::NeedsPerson));
        [(in_doubt, State::Untouched, Exit::InDoubt)]
            .into_iter()
            .chain(for_a_person)
            .collect()
    }

    fn disk_of_end() -> EndError {
        EndError::Disk {
            what: "delete",
            source: disk(),
        }
    }

    #[track_caller]
    fn check_told(failed: &RunFailed, recovery: Recovery, state: State, exit: Exit) {
        let told = of_run(failed, false, recovery);
        assert_eq!((told.state, told.exit()), (Some(state), exit), "{failed:?}");
        let line = format!("\n  {}\n", state.sentence());
        let text = told.text();
        assert_eq!(text.matches(&line).count(), 1, "{text}");
        // The state is printed once, and by nothing else.
        for other in ["is back", "as it was before", "nothing was"] {
            let said = text.replace(&line, "\n");
            assert!(!said.contains(other), "{text}");
        }
    }

    #[test]
    fn each_failure_of_a_run_has_its_state_and_its_exit_code() {
        for (failed, exit) in without_a_trace() {
            check_told(&failed, Recovery::Nothing, State::AsBefore, exit);
            check_told(&failed, Recovery::Ended, State::AsRecovered, exit);
        }
        for (failed, state, exit) in with_a_trace() {
            for recovery in [Recovery::Nothing, Recovery::Ended] {
                check_told(&failed, recovery, state, exit);
            }
        }
    }

    #[test]
    fn what_is_to_be_finished_has_a_way_out() {
        for (state, _) in STATES {
            let is_open = [
                State::Littered,
                State::Started,
                State::Published,
                State::Undecided,
                State::Rejected,
                State::InDoubt,
            ]
            .contains(&state);
            assert_eq!(state.way_out().is_some(), is_open, "{state:?}");
        }
    }

    #[test]
    fn a_recovery_says_what_the_target_holds_now() {
        let died = "An earlier run died";
        let undone = "its changes are undone";
        for (upshot, expected) in [
            (Upshot::NothingOpen, None),
            (
                Upshot::Torn,
                Some("An earlier run left a damaged journal, which is deleted".to_owned()),
            ),
            (
                Upshot::Unpublished,
                Some(format!("{died}; the target is as it was before that run")),
            ),
            (
                Upshot::Stays,
                Some(format!("{died} after publishing; its changes stay")),
            ),
            (
                Upshot::Undone(Former::Nothing),
                Some(format!(
                    "{died}; {undone}, and the target does not exist, as before"
                )),
            ),
            (
                Upshot::Undone(Former::Tree),
                Some(format!("{died}; {undone}, and the previous tree is back")),
            ),
            (
                Upshot::Undone(Former::Entries),
                Some(format!(
                    "{died}; {undone}, and the previous entries are back"
                )),
            ),
        ] {
            assert_eq!(recovered(upshot), expected.as_deref(), "{upshot:?}");
        }
    }

    #[test]
    fn what_is_open_says_what_a_recovery_will_do() {
        let to_come = "a run died; recovery will undo its changes";
        let bare = [
            (Decision::Nothing, None),
            (
                Decision::DropJournal,
                Some("a run left a damaged journal, which recovery will delete"),
            ),
            (
                Decision::Discard,
                Some(
                    "a run died; the target is as it was before that run, and recovery will \
                     delete the leftovers",
                ),
            ),
            (
                Decision::Settle,
                Some("a run died after publishing; its changes will stay"),
            ),
            (
                Decision::VerifyThenSettle,
                Some("a run published, but fsync failed; recovery will verify what it published"),
            ),
            (
                Decision::Wait,
                Some("fsync failed; nothing is done before a reboot"),
            ),
            (Decision::Refuse(Refusal::Stranger), Some(NO_HISTORY)),
        ];
        let seen = |decision, former| Inspection {
            beside: Siblings::default(),
            within: Siblings::default(),
            decision,
            former,
        };
        for (decision, expected) in bare {
            for former in [None, Some(Former::Nothing), Some(Former::Tree)] {
                assert_eq!(pending(&seen(Ok(decision), former)), expected);
            }
        }
        for (former, rest) in [
            (Some(Former::Nothing), ", and the target will not exist"),
            (Some(Former::Tree), " and bring back the previous tree"),
            (
                Some(Former::Entries),
                " and bring back the previous entries",
            ),
        ] {
            let expected = format!("{to_come}{rest}");
            let said = pending(&seen(Ok(Decision::Undo), former));
            assert_eq!(said, Some(expected.as_str()));
        }
        let refused = RecoverError::Several { names: Vec::new() };
        assert_eq!(pending(&seen(Err(refused), None)), Some(NO_HISTORY));
    }
}
