//! The recovery table, row by row: each test builds one history on a simulated disk, and recovery
//! must choose its row.
//!
//! A history is a publication that dies before a named step, and sometimes another process that
//! acts before the next run. [`inspected`] returns the row without writing; then the next run acts
//! on it.
//!
//! Read next: `crash.rs`, which visits all histories and only checks for the old tree or the new
//! one.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;

use rvenv_journal::fs::Fs;
use rvenv_journal::fs::sim::{Bound, Fault, Options, Persistence, Reach, SimFs, Support};
use rvenv_journal::raw::{Decision, EndError, Former, RecoverError, Refusal, Upshot, WhyKept};
use rvenv_journal::{Aftermath, NoContent, Publication, ReadyError};

use crate::publication::history::*;
use crate::publication::{
    Case, Exit, JOURNAL, Outcome, TARGET, beside, closed, inspected, parent, ready, recover, run,
    tree_at, write,
};

/// The disk after a power cut that lost nothing.
fn restarted(disk: &SimFs) -> SimFs {
    let root = disk.open_path(Path::new("/")).unwrap();
    disk.sync_filesystem(&root).unwrap();
    let mut found = None;
    let (model, bound) = (Persistence::Ordered, Bound::QUICK);
    // The first image lost nothing, not even what a failed sync left in doubt.
    disk.for_each_image(model, bound, |image, _| {
        found.get_or_insert(image);
    });
    found.unwrap()
}

/// Which of the two trees is at the target in the end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ends {
    Old,
    New,
}

/// Checks the row, then what the next run does, and that it leaves nothing behind.
#[track_caller]
fn check(case: &Case, disk: &SimFs, expected: Decision, ends: Ends) {
    assert_eq!(inspected(disk).decision.unwrap(), expected);
    let (ready, recovered) = ready(disk).unwrap();
    drop(ready);
    assert_eq!(recovered.decision, expected);
    let outcome = Outcome::of(case);
    // What is reported of the target is what it holds.
    let reported = match recovered.upshot {
        Upshot::NothingOpen | Upshot::Torn => ends,
        Upshot::Stays => Ends::New,
        Upshot::Unpublished | Upshot::Undone(_) => Ends::Old,
    };
    assert_eq!(reported, ends);
    if let Upshot::Undone(former) = recovered.upshot {
        let is_absent = outcome.old == Outcome::of(&put()).old;
        let expected = if is_absent {
            Former::Nothing
        } else {
            Former::Tree
        };
        assert_eq!(former, expected);
    }
    let wanted = match ends {
        Ends::Old => &outcome.old,
        Ends::New => &outcome.new,
    };
    assert_eq!(&tree_at(disk, TARGET), wanted);
    outcome.check(case, disk).unwrap();
    // Converged: the run after that has nothing to do.
    assert_eq!(recover(disk).unwrap(), Decision::Nothing);
}

// No journal.

#[test]
fn without_a_journal_nothing_is_open() {
    let disk = swap().disk();
    check(&swap(), &disk, Decision::Nothing, Ends::Old);
}

#[test]
fn a_run_that_died_before_its_stage_had_its_name_leaves_an_empty_one_that_is_tidied() {
    let disk = killed_before(&swap(), NAMED);
    assert!(beside(&disk).contains(&stage(&disk)));
    check(&swap(), &disk, Decision::Nothing, Ends::Old);
}

#[test]
fn trash_of_an_earlier_run_is_deleted_and_a_strangers_is_named() {
    let case = swap();
    let disk = killed_after(&case, "remove /p/.t.rvenv.journal.settle", 1);
    assert_eq!(inspected(&disk).beside.trash.len(), 1);
    make_dir(&disk, ".t.rvenv.trash-17-0");
    make_dir(&disk, ".t.rvenv.new-full");
    let full = disk
        .open_dir(&parent(&disk), OsStr::new(".t.rvenv.new-full"))
        .unwrap();
    write(&disk, &full, "mine", b"");
    let (ready, recovered) = ready(&disk).unwrap();
    drop(ready);
    let orphans = [".t.rvenv.new-full", ".t.rvenv.trash-17-0"];
    assert_eq!(recovered.orphans, orphans);
    assert_eq!(recovered.tidied, 1);
    assert_eq!(beside(&disk), orphans);
    assert_eq!(tree_at(&disk, TARGET), Outcome::of(&case).new);
}

// A stage without a journal.

#[test]
fn a_run_that_died_while_staging_is_discarded() {
    let unborn = swap().on(Options {
        births: Support::Absent,
        ..Options::default()
    });
    for case in [put(), swap(), unborn] {
        let disk = killed_before(&case, "make link");
        check(&case, &disk, Decision::Discard, Ends::Old);
    }
}

/// I6: another user can plant a name, but not an identity.
#[test]
fn another_object_at_the_name_of_the_stage_is_named_and_left_alone() {
    let disk = killed_before(&swap(), "make link");
    let name = stage(&disk);
    rename(&disk, &name, "elsewhere");
    make_dir(&disk, &name);
    let tree = disk.open_dir(&parent(&disk), OsStr::new(&name)).unwrap();
    write(&disk, &tree, "mine", b"work");
    let (ready, recovered) = ready(&disk).unwrap();
    drop(ready);
    assert_eq!(recovered.decision, Decision::Nothing);
    assert_eq!(recovered.orphans, std::slice::from_ref(&name));
    assert_eq!(beside(&disk), [name, "elsewhere".to_owned()]);
}

/// A user may make something at the target while the stage is built, or right before the put.
#[test]
fn while_staging_the_target_is_the_users() {
    for text in ["make link", SWITCH_PUT] {
        let disk = killed_before(&put(), text);
        make_dir(&disk, "t");
        assert_eq!(recover(&disk).unwrap(), Decision::Discard);
        assert_eq!(tree_at(&disk, TARGET).len(), 1);
    }
}

// Torn.

#[test]
fn a_torn_journal_with_nothing_beside_it_promises_nothing() {
    let bytes = read(&killed_before(&swap(), SWITCH), JOURNAL);
    for torn in [&b""[..], &bytes[..bytes.len() / 2], &vec![0; bytes.len()]] {
        let disk = swap().disk();
        write(&disk, &parent(&disk), JOURNAL, torn);
        check(&swap(), &disk, Decision::DropJournal, Ends::Old);
    }
}

#[test]
fn a_damaged_journal_beside_a_stage_that_holds_something_is_refused() {
    let disk = killed_before(&swap(), SWITCH);
    replace(&disk, JOURNAL, 0o600, b"rvenv-journal 1 incompat=\n{}");
    check_refused(&disk, Refusal::DamagedJournal);
    let disk = swap().disk();
    write(&disk, &parent(&disk), JOURNAL, b"");
    write(&disk, &parent(&disk), ".t.rvenv.new-file", b"a stranger");
    check_refused(&disk, Refusal::DamagedJournal);
}

// Open.

#[test]
fn died_before_the_first_step() {
    for (case, switch) in [(put(), SWITCH_PUT), (swap(), SWITCH)] {
        let disk = killed_before(&case, switch);
        check(&case, &disk, Decision::Discard, Ends::Old);
    }
}

#[test]
fn died_between_a_take_and_its_put() {
    let disk = killed_before(&take_and_put(), SWITCH_PUT);
    assert!(
        tree_at(&disk, TARGET).is_empty(),
        "the moment without a target"
    );
    check(&take_and_put(), &disk, Decision::Undo, Ends::Old);
}

#[test]
fn died_after_the_last_step() {
    // A lone put decides by itself, and leaves only a draft.
    for (case, decision) in [
        (put(), Decision::Nothing),
        (swap(), Decision::Settle),
        (take_and_put(), Decision::Settle),
    ] {
        let disk = killed_before_the_end(&case);
        check(&case, &disk, decision, Ends::New);
    }
}

/// I2: the put of a killed process may exist only in the page cache. The next run syncs it before
/// it reports that nothing is left to do.
#[test]
fn what_a_killed_put_left_is_durable_after_the_next_run() {
    let disk = killed_after(&put(), SWITCH_PUT, 1);
    assert_eq!(recover(&disk).unwrap(), Decision::Nothing);
    let new = Outcome::of(&put()).new;
    for model in [Persistence::Ordered, Persistence::Independent] {
        disk.for_each_image(model, Bound::QUICK, |image, story| {
            assert_eq!(tree_at(&image, TARGET), new, "{model:?}\n{story}");
        });
    }
}

#[test]
fn died_while_the_published_tree_was_checked() {
    for case in [put(), swap(), take_and_put()].map(Case::awaited) {
        let disk = killed_before(&case, DECIDED);
        check(&case, &disk, Decision::Undo, Ends::Old);
    }
}

/// I5: an undo keeps a published tree that a user has changed.
#[test]
fn a_tree_that_changed_since_it_was_published_is_kept_and_named() {
    let case = swap().awaited();
    let disk = killed_before(&case, DECIDED);
    let tree = disk.open_dir(&parent(&disk), OsStr::new("t")).unwrap();
    write(&disk, &tree, "mine", b"work");
    let (_, recovered) = ready(&disk).unwrap();
    let kept = recovered.ending.kept.unwrap();
    assert_eq!((kept.generation, kept.why), (1, WhyKept::Changed));
    assert_eq!(tree_at(&disk, TARGET), Outcome::of(&case).old);
    assert!(tree_at(&disk, "/p/.t.rvenv.old-1").contains_key("mine"));
}

#[test]
fn a_stage_that_vanished_before_the_first_step_is_refused() {
    let disk = killed_before(&swap(), SWITCH);
    rename(&disk, &stage(&disk), "elsewhere");
    check_refused(&disk, Refusal::Stranger);
}

#[test]
fn a_stranger_in_any_of_the_places_is_refused_in_every_state() {
    // Before the step: another tree at the target.
    for (case, switch) in [(put().awaited(), SWITCH_PUT), (swap(), SWITCH)] {
        let disk = killed_before(&case, switch);
        if case.publication == Publication::Replace {
            rename(&disk, "t", "elsewhere");
        }
        make_dir(&disk, "t");
        check_refused(&disk, Refusal::Stranger);
    }
    // After it: the new tree was moved away, before and after the decision.
    for text in [DECIDED, "remove /p/.t.rvenv.journal.settle"] {
        let disk = killed_before(&swap(), text);
        rename(&disk, "t", "elsewhere");
        check_refused(&disk, Refusal::Stranger);
        make_dir(&disk, "t");
        check_refused(&disk, Refusal::Stranger);
    }
    // Between two steps.
    let disk = killed_before(&take_and_put(), SWITCH_PUT);
    make_dir(&disk, "t");
    check_refused(&disk, Refusal::Stranger);
}

/// I5: without the old tree the new one is the last good one, and recovery does not take it away.
#[test]
fn nothing_is_undone_for_an_old_tree_that_is_gone() {
    for case in [swap().awaited(), take_and_put().awaited()] {
        let disk = killed_before(&case, DECIDED);
        let place = beside(&disk)
            .into_iter()
            .find(|name| !name.contains("journal") && !name.contains("lock"));
        rename(&disk, &place.unwrap(), "elsewhere");
        check_refused(&disk, Refusal::Stranger);
        assert_eq!(tree_at(&disk, TARGET), Outcome::of(&case).new);
    }
}

/// I5: the same in the process that published.
#[test]
fn a_living_run_does_not_undo_for_an_old_tree_that_is_gone() {
    for case in [swap().awaited(), take_and_put().awaited()] {
        let disk = case.disk();
        let plan = case.plan(&disk);
        let (ready, _) = ready(&disk).unwrap();
        let prepared = ready.prepare(&plan, case.terms, &NoContent).unwrap();
        let staged = prepared.stage(&options()).unwrap();
        let published = staged.publish(&|| false).unwrap();
        let place = beside(&disk)
            .into_iter()
            .find(|name| !name.contains("journal") && !name.contains("lock"));
        rename(&disk, &place.unwrap(), "elsewhere");
        let failed = published.undo().unwrap_err();
        assert!(matches!(failed.source, EndError::Moved), "{failed:?}");
        assert_eq!(failed.aftermath, Aftermath::NeedsRecovery);
        assert_eq!(tree_at(&disk, TARGET), Outcome::of(&case).new);
    }
}

// Decided.

#[test]
fn died_while_settling() {
    for case in [swap(), take_and_put(), swap().kept()] {
        for nth in 1..=2 {
            let disk = killed_at(&case, steps_before(&case, DECIDED, 1) + nth);
            check(&case, &disk, Decision::Settle, Ends::New);
        }
    }
    // In trash, then gone.
    for text in [
        "remove /p/.t.rvenv.journal.settle",
        "rename /p/.t.rvenv.new-* -> /p/.t.rvenv.trash",
    ] {
        let disk = killed_before(&swap(), text);
        check(&swap(), &disk, Decision::Settle, Ends::New);
    }
}

#[test]
fn died_while_taking_the_steps_back() {
    for case in [put(), swap(), take_and_put()].map(Case::undone) {
        let steps = case.steps();
        let given_up = |step: &String| step.ends_with(" -> /p/.t.rvenv.journal.undo");
        let disk = killed_at(&case, steps.iter().position(given_up).unwrap() + 1);
        check(&case, &disk, Decision::Undo, Ends::Old);
    }
    let case = take_and_put().undone();
    let disk = killed_after(&case, "rename /p/t -> /p/.t.rvenv.new-*", 1);
    check(&case, &disk, Decision::Undo, Ends::Old);
}

#[test]
fn died_while_deleting_the_stage() {
    for case in [put(), swap(), take_and_put()].map(Case::undone) {
        let trash = "rename /p/.t.rvenv.new-* -> /p/.t.rvenv.trash";
        for disk in [killed_before(&case, trash), killed_after(&case, trash, 1)] {
            check(&case, &disk, Decision::Discard, Ends::Old);
        }
    }
}

#[test]
fn a_decision_to_settle_what_was_not_published_is_a_contradiction() {
    let disk = killed_before(&swap(), SWITCH);
    rename(&disk, JOURNAL, ".t.rvenv.journal.settle");
    check_refused(&disk, Refusal::Contradiction);
    let disk = killed_before(&take_and_put(), SWITCH_PUT);
    rename(&disk, JOURNAL, ".t.rvenv.journal.settle");
    check_refused(&disk, Refusal::Contradiction);
}

// Doubt.

/// The disk of a run whose sync after the last step failed.
fn doubtful(case: &Case) -> SimFs {
    let switch = if case.publication == Publication::Put {
        steps_before(case, SWITCH_PUT, 1)
    } else {
        steps_before(case, SWITCH, 1)
    };
    let disk = case.disk();
    let plan = case.plan(&disk);
    disk.fail(Fault {
        step: disk.step_count() + switch + 2,
        kind: ErrorKind::Other,
        reach: Reach::Once,
    });
    let exit = run(&disk, &plan, case);
    assert_eq!(exit, Exit::Failed(Aftermath::InDoubt));
    disk
}

#[test]
fn a_doubt_waits_in_the_boot_that_has_it() {
    for case in [put(), swap(), swap().awaited()] {
        let disk = doubtful(&case).killed();
        let before = state(&disk);
        assert_eq!(inspected(&disk).decision.unwrap(), Decision::Wait);
        let error = recover(&disk).unwrap_err();
        assert!(matches!(
            error,
            ReadyError::Recover(RecoverError::Doubt { .. })
        ));
        assert!(state(&disk) == before, "something was touched");
    }
}

#[test]
fn in_another_boot_a_doubtful_tree_that_is_whole_is_settled() {
    for case in [put(), swap()] {
        let disk = restarted(&doubtful(&case).killed());
        check(&case, &disk, Decision::VerifyThenSettle, Ends::New);
    }
}

#[test]
fn in_another_boot_a_doubtful_tree_that_is_not_whole_is_undone_and_kept() {
    let case = swap();
    let disk = restarted(&doubtful(&case).killed());
    let tree = disk.open_dir(&parent(&disk), OsStr::new("t")).unwrap();
    disk.remove_file(&tree, OsStr::new("cfg")).unwrap();
    let (_, recovered) = ready(&disk).unwrap();
    assert_eq!(recovered.decision, Decision::VerifyThenSettle);
    assert_eq!(recovered.upshot, Upshot::Undone(Former::Tree));
    assert_eq!(recovered.ending.kept.unwrap().why, WhyKept::Changed);
    assert_eq!(tree_at(&disk, TARGET), Outcome::of(&case).old);
}

/// The new tree had not passed its check when the sync failed.
#[test]
fn in_another_boot_a_doubtful_tree_without_its_verdict_is_undone() {
    for case in [put().awaited(), swap().awaited()] {
        let disk = restarted(&doubtful(&case).killed());
        check(&case, &disk, Decision::Undo, Ends::Old);
    }
}

#[test]
fn in_another_boot_an_unsynced_publication_is_doubtful() {
    for case in [put(), swap(), take_and_put()].map(Case::unsynced) {
        let disk = restarted(&killed_before_the_end(&case));
        check(&case, &disk, Decision::VerifyThenSettle, Ends::New);
        let awaited = case.clone().awaited();
        let disk = restarted(&killed_before(&awaited, DECIDED));
        check(&awaited, &disk, Decision::Undo, Ends::Old);
    }
    for case in [swap(), take_and_put()].map(Case::unsynced) {
        let disk = restarted(&killed_after(&case, DECIDED, 1));
        check(&case, &disk, Decision::VerifyThenSettle, Ends::New);
    }
    let case = take_and_put().unsynced();
    let disk = restarted(&killed_before(&case, SWITCH_PUT));
    check(&case, &disk, Decision::Undo, Ends::Old);
}

/// A sync that fails before the steps leaves nothing in doubt: no reader saw the new tree.
#[test]
fn a_sync_that_fails_while_staging_does_not_close_the_target_until_a_restart() {
    let case = swap();
    let first = steps_before(&case, "sync the filesystem", 1);
    for reach in [Reach::Once, Reach::FromThenOn] {
        let disk = case.disk();
        let plan = case.plan(&disk);
        disk.fail(Fault {
            step: disk.step_count() + first + 1,
            kind: ErrorKind::Other,
            reach,
        });
        let exit = run(&disk, &plan, &case);
        let aftermath = match reach {
            Reach::Once => Aftermath::Unchanged,
            Reach::FromThenOn | Reach::CreationsFromThenOn => Aftermath::NeedsRecovery,
        };
        assert_eq!(exit, Exit::Failed(aftermath));
        let disk = disk.killed();
        recover(&disk).unwrap();
        Outcome::of(&case).check(&case, &disk).unwrap();
    }
}

/// I5: without birth times recovery deletes nothing on the evidence of an inode number alone.
#[test]
fn what_cannot_be_proved_to_be_the_old_tree_is_kept() {
    let case = swap().on(Options {
        births: Support::Absent,
        ..Options::default()
    });
    let disk = killed_before(&case, DECIDED);
    let (_, recovered) = ready(&disk).unwrap();
    assert_eq!(recovered.ending.kept.unwrap().why, WhyKept::Uncertain);
    let old = Outcome::of(&case).old;
    assert_eq!(tree_at(&disk, "/p/.t.rvenv.old-1"), closed(&old));
}
