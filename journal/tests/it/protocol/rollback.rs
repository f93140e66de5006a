//! Rollback: a kept generation comes back and goes forward again; the engine refuses where
//! something changed.
//!
//! Read next: `crash.rs`, which stops rollbacks at every step.

use std::ffi::OsStr;

use rvenv_journal::fs::sim::{Options, SimFs, Support};
use rvenv_journal::fs::{Dir, Fs};
use rvenv_journal::raw::{Changes, Record};
use rvenv_journal::{Aftermath, Digest, Publication, RollbackError, RollbackTerms};

use crate::publication::history::{make_dir, rename, state};
use crate::publication::user::{ACTS, Act, PATHS, act, has_work, target_without, without};
use crate::publication::{
    Case, Exit, Ground, Outcome, TARGET, Verb, beside, ready, roll, run, tree_at, write,
};

fn bare() -> Options {
    Options {
        exchange: Support::Absent,
        ..Options::default()
    }
}

/// The publications that can be rolled back.
fn published() -> Vec<Case> {
    let merge = Case::of("merge", Publication::Merge);
    let swap = Case::of("swap", Publication::Swap);
    let refill = Case::of("refill", Publication::Refill);
    let layered = merge.clone().standing(Ground::Lower).file_by_file();
    let cases = [
        merge.clone(),
        merge.clone().on(bare()),
        merge.clone().standing(Ground::Foreign),
        merge.file_by_file(),
        layered,
        swap.clone(),
        swap.on(bare()),
        refill.clone(),
        refill.file_by_file(),
    ];
    cases.map(|case| case.rolled(Verb::Rollback)).into()
}

/// The path of the generation that a publication keeps.
fn generation(case: &Case) -> &'static str {
    if case.publication.is_by_entries() {
        "/p/t/.rvenv/old-1"
    } else {
        "/p/.t.rvenv.old-1"
    }
}

/// Rolls back or forward as the case says, and settles.
fn roll_all(disk: &SimFs, case: &Case, changes: Changes) {
    let (ready, _) = ready(disk).unwrap();
    let ending = roll(ready, case, changes).unwrap().settle().unwrap();
    assert_eq!(ending.kept.unwrap().generation, 1);
}

/// Tries a rollback that must be refused.
fn refused(disk: &SimFs) -> RollbackError {
    let before = state(disk);
    let (ready, _) = ready(disk).unwrap();
    let terms = RollbackTerms {
        durability: rvenv_journal::Durability::Power,
        verdict: rvenv_journal::Verdict::Taken,
        changes: Changes::Refuse,
    };
    let error = ready.rollback(terms).unwrap_err();
    assert!(state(disk) == before, "something was touched: {error:?}");
    error
}

/// I5: each rollback restores the tree before, each roll forward the tree after, byte for byte.
#[test]
fn back_and_forward_are_exact_any_number_of_times() {
    for case in published() {
        let outcome = Outcome::of(&case);
        let disk = case.disk();
        for _ in 0..3 {
            assert_eq!(tree_at(&disk, TARGET), outcome.old, "{}", case.name);
            roll_all(&disk, &case, Changes::Refuse);
            assert_eq!(tree_at(&disk, TARGET), outcome.new, "{}", case.name);
            roll_all(&disk, &case, Changes::Refuse);
        }
        let kept: Vec<_> = beside(&disk);
        assert_eq!(kept.len(), 2, "one generation and its record: {kept:?}");
    }
}

/// A rollback brings back the newest generation, whichever publication kept it.
#[test]
fn the_newest_generation_comes_back() {
    let merge = Case::of("merge", Publication::Merge).kept();
    let swap = Case::of("swap", Publication::Swap).kept();
    let disk = merge.disk();
    assert_eq!(run(&disk, &merge.plan(&disk), &merge), Exit::Done);
    let merged = tree_at(&disk, TARGET);
    assert_eq!(run(&disk, &swap.plan(&disk), &swap), Exit::Done);
    assert_eq!(beside(&disk), [".t.rvenv.old-2", ".t.rvenv.old-2.journal"]);
    let (ready, _) = ready(&disk).unwrap();
    let ending = roll(ready, &swap, Changes::Refuse).unwrap().settle();
    assert_eq!(ending.unwrap().kept.unwrap().generation, 2);
    assert_eq!(tree_at(&disk, TARGET), merged);
    assert!(beside(&disk).contains(&"t/.rvenv/old-1".to_owned()));
}

/// I5: a rollback names later changes and refuses them; when told to put them aside, it keeps them
/// in the generation.
#[test]
fn what_changed_since_is_refused_or_put_aside() {
    let (mut refusals, mut rolls) = (0, 0);
    for case in published() {
        let outcome = Outcome::of(&case);
        let base = case.disk();
        for (path, done) in PATHS.iter().flat_map(|path| ACTS.map(|done| (*path, done))) {
            let disk = base.killed();
            if !act(&disk, path, done) {
                continue;
            }
            let story = format!("{}, {done:?} {path}", case.name);
            let place = format!("{TARGET}/{path}");
            let is_refused = check_refused(&disk, path, &story);
            let changes = if is_refused {
                refusals += 1;
                Changes::PutAside
            } else {
                rolls += 1;
                Changes::Refuse
            };
            if case.publication.is_by_entries() && is_directory_of_steps_gone(&disk) {
                // The directory of an entry is gone: rolling back fails, and leaves everything as
                // the user left it.
                let before = tree_at(&disk, TARGET);
                let (ready, _) = ready(&disk).unwrap();
                let exit = roll(ready, &case, changes).unwrap_err();
                assert_eq!(exit, Exit::Failed(Aftermath::Unchanged), "{story}");
                assert_eq!(tree_at(&disk, TARGET), before, "{story}");
                continue;
            }
            roll_all(&disk, &case, changes);
            assert_eq!(
                target_without(&disk, path),
                without(&outcome.new, path),
                "{story}"
            );
            let is_kept = has_work(&disk, generation(&case)) || has_work(&disk, &place);
            assert!(done == Act::Delete || is_kept, "{story}");
            let stays = !is_refused || done == Act::Delete;
            assert_eq!(
                stays,
                done == Act::Delete || has_work(&disk, &place),
                "{story}"
            );
            // Rolling again restores what was put aside.
            roll_all(&disk, &case, Changes::Refuse);
            assert_eq!(
                target_without(&disk, path),
                without(&outcome.old, path),
                "{story}"
            );
            assert!(done == Act::Delete || has_work(&disk, &place), "{story}");
        }
    }
    assert!(refusals > 100 && rolls > 10, "{refusals} {rolls}");
}

/// Whether a directory, in which the generation has single entries, is gone or no longer a
/// directory.
fn is_directory_of_steps_gone(disk: &SimFs) -> bool {
    let (dir, name) = record_of(disk, &Case::of("", Publication::Merge));
    let bytes = disk.read_file(&dir, OsStr::new(&name), 1 << 20).unwrap();
    let record = Record::from_bytes(&bytes).unwrap();
    let entries = record.steps().iter().filter_map(|step| step.entry.as_ref());
    let mut parents = entries.filter_map(|entry| entry.path.parent());
    parents.any(|parent| {
        let at = format!("{TARGET}/{parent}");
        disk.open_path(std::path::Path::new(&at)).is_err()
    })
}

/// Whether the rollback is refused; checks then that the error names what changed.
fn check_refused(disk: &SimFs, path: &str, story: &str) -> bool {
    let asked = disk.killed();
    let (ready, _) = ready(&asked).unwrap();
    let terms = RollbackTerms {
        durability: rvenv_journal::Durability::Power,
        verdict: rvenv_journal::Verdict::Taken,
        changes: Changes::Refuse,
    };
    let Err(error) = ready.rollback(terms) else {
        return false;
    };
    let RollbackError::Changed {
        paths, generation, ..
    } = refused(disk)
    else {
        panic!("{error:?}, {story}");
    };
    assert_eq!(generation, 1);
    let is_of = |named: &String| {
        let (named, path) = (format!("{named}/"), format!("{path}/"));
        named.starts_with(&path) || path.starts_with(&named)
    };
    assert!(
        paths.iter().all(is_of) && !paths.is_empty(),
        "{paths:?}: {story}"
    );
    true
}

#[test]
fn without_a_generation_there_is_nothing_to_bring_back() {
    for publication in [Publication::Merge, Publication::Swap, Publication::Put] {
        let case = Case::of("unkept", publication);
        let disk = case.disk();
        assert!(matches!(refused(&disk), RollbackError::NoGeneration(_)));
        assert_eq!(run(&disk, &case.plan(&disk), &case), Exit::Done);
        assert!(matches!(refused(&disk), RollbackError::NoGeneration(_)));
    }
}

/// The directory that holds a generation, and the name of its record.
fn record_of(disk: &SimFs, case: &Case) -> (Dir, String) {
    let (above, name) = generation(case).rsplit_once('/').unwrap();
    let dir = disk.open_path(std::path::Path::new(above)).unwrap();
    (dir, format!("{name}.journal"))
}

/// I7: a generation without a valid record stays where it is.
#[test]
fn a_generation_without_its_record_is_refused() {
    for case in published() {
        let base = case.disk();
        let (dir, name) = record_of(&base, &case);
        let bytes = base.read_file(&dir, OsStr::new(&name), 1 << 20).unwrap();
        let record = Record::from_bytes(&bytes).unwrap();
        let other = Record {
            generation: 7,
            ..record
        };
        let later = "rvenv-journal 9 incompat=\n{}\n";
        let later = format!("{later}{}\n", Digest::of(later.as_bytes()));
        let no_records = [
            None,
            Some(Vec::new()),
            Some(bytes[..bytes.len() / 2].to_vec()),
            Some(other.to_bytes()),
            Some(later.into_bytes()),
        ];
        for no_record in no_records {
            let disk = base.killed();
            let (dir, name) = record_of(&disk, &case);
            disk.remove_file(&dir, OsStr::new(&name)).unwrap();
            if let Some(bytes) = no_record {
                write(&disk, &dir, &name, &bytes);
            }
            let error = refused(&disk);
            assert!(
                matches!(error, RollbackError::NoRecord { generation: 1, .. }),
                "{error:?}"
            );
        }
    }
}

/// I6: the object at the name of a generation must be the one in its record.
#[test]
fn something_else_at_the_name_of_a_generation_does_not_come_back() {
    for case in published() {
        let disk = case.disk();
        let name = generation(&case).strip_prefix("/p/").unwrap();
        rename(&disk, name, "elsewhere");
        make_dir(&disk, name);
        let error = refused(&disk);
        assert!(matches!(error, RollbackError::NoRecord { .. }), "{error:?}");
    }
}

/// I5: a rollback that is not settled in its process goes back, and the generation can be rolled
/// again.
#[test]
fn a_rollback_that_is_undone_leaves_the_generation_as_it_was() {
    for case in published() {
        let outcome = Outcome::of(&case);
        let disk = case.disk();
        let (ready, _) = ready(&disk).unwrap();
        let rolled = roll(ready, &case, Changes::Refuse).unwrap();
        assert_eq!(tree_at(&disk, TARGET), outcome.new);
        rolled.undo().unwrap();
        assert_eq!(tree_at(&disk, TARGET), outcome.old);
        roll_all(&disk, &case, Changes::Refuse);
        assert_eq!(tree_at(&disk, TARGET), outcome.new);
    }
}

/// I5: what a user makes while the restored tree awaits its check is kept, and named.
#[test]
fn what_a_user_makes_before_a_rollback_is_undone_is_kept_and_named() {
    let case = Case::of("merge", Publication::Merge)
        .rolled(Verb::Rollback)
        .awaited();
    let outcome = Outcome::of(&case);
    let disk = case.disk();
    let (locked, _) = ready(&disk).unwrap();
    drop(roll(locked, &case, Changes::Refuse).unwrap());
    let disk = disk.killed();
    assert!(act(&disk, "cfg", Act::Replace));
    let (_, recovered) = ready(&disk).unwrap();
    assert_eq!(recovered.ending.kept.unwrap().generation, 1);
    assert_eq!(tree_at(&disk, TARGET), outcome.old);
    assert!(has_work(&disk, generation(&case)));
}

/// I1: when a step of a rollback is refused, the others are taken back.
#[test]
fn a_rollback_that_is_refused_changes_nothing() {
    use std::io::ErrorKind;

    use rvenv_journal::fs::sim::{Fault, Reach};
    for case in published() {
        let outcome = Outcome::of(&case);
        let base = case.disk();
        let first = base.step_count();
        let steps = case.steps();
        let renames = steps.iter().enumerate().filter(|(_, step)| {
            (step.starts_with("rename") || step.starts_with("exchange"))
                && !step.contains("journal")
        });
        for (index, step) in renames {
            let disk = base.killed();
            disk.fail(Fault {
                step: first + index + 1,
                kind: ErrorKind::ResourceBusy,
                reach: Reach::Once,
            });
            let exit = run(&disk, &case.plan(&disk), &case);
            let tree = tree_at(&disk, TARGET);
            match exit {
                // Not begun: the probe, which exchanges two empty directories, failed without a
                // refusal.
                Exit::NotBegun | Exit::Failed(Aftermath::Unchanged) => {
                    assert_eq!(tree, outcome.old, "{step}");
                }
                // The rename that keeps the old tree, after the decision.
                Exit::Failed(Aftermath::NeedsRecovery) => assert_eq!(tree, outcome.new, "{step}"),
                Exit::Failed(Aftermath::InDoubt) | Exit::Done => {
                    panic!("{exit:?}")
                }
            }
            drop(ready(&disk).unwrap());
            roll_all(&disk, &case, Changes::Refuse);
        }
    }
}
