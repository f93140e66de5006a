//! Rollback: a kept generation comes back and goes forward again, with what changed meanwhile.
//!
//! Read next: `crash.rs`, which stops rollbacks at every step.

use std::ffi::OsStr;

use rvenv_journal::fs::sim::{Options, SimFs, Support};
use rvenv_journal::fs::{Dir, Fs};
use rvenv_journal::raw::Record;
use rvenv_journal::{
    Aftermath, Digest, Durability, Publication, RelPath, RollbackError, RollbackTerms, Verdict,
};

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
    let swap = Case::of("swap", Publication::Replace);
    let refill = Case::of("refill", Publication::Refill);
    let layered = merge.clone().on_ground(Ground::Lower).file_by_file();
    let cases = [
        merge.clone(),
        merge.clone().on(bare()),
        merge.clone().on_ground(Ground::Foreign),
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
fn roll_all(disk: &SimFs, case: &Case) {
    let (ready, _) = ready(disk).unwrap();
    let ending = roll(ready, case).unwrap().settle().unwrap();
    assert_eq!(ending.kept.unwrap().generation, 1);
}

/// Tries a rollback that must be refused.
fn refused(disk: &SimFs) -> RollbackError {
    let before = state(disk);
    let (ready, _) = ready(disk).unwrap();
    let terms = RollbackTerms::of(Durability::Power, Verdict::BySteps);
    let error = ready.rollback(&terms).unwrap_err();
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
            roll_all(&disk, &case);
            assert_eq!(tree_at(&disk, TARGET), outcome.new, "{}", case.name);
            roll_all(&disk, &case);
        }
        let kept: Vec<_> = beside(&disk);
        assert_eq!(kept.len(), 2, "one generation and its record: {kept:?}");
    }
}

/// A rollback brings back the newest generation, whichever publication kept it.
#[test]
fn the_newest_generation_comes_back() {
    let merge = Case::of("merge", Publication::Merge).kept();
    let swap = Case::of("swap", Publication::Replace).kept();
    let disk = merge.disk();
    assert_eq!(run(&disk, &merge.plan(&disk), &merge), Exit::Done);
    let merged = tree_at(&disk, TARGET);
    assert_eq!(run(&disk, &swap.plan(&disk), &swap), Exit::Done);
    assert_eq!(beside(&disk), [".t.rvenv.old-2", ".t.rvenv.old-2.journal"]);
    let (ready, _) = ready(&disk).unwrap();
    let ending = roll(ready, &swap).unwrap().settle();
    assert_eq!(ending.unwrap().kept.unwrap().generation, 2);
    assert_eq!(tree_at(&disk, TARGET), merged);
    assert!(beside(&disk).contains(&"t/.rvenv/old-1".to_owned()));
}

/// I5: what a user did since goes into the generation, and comes back when it is rolled again.
#[test]
fn what_changed_since_is_put_aside_and_comes_back() {
    let mut rolls = 0;
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
            if case.publication.is_by_entries() && is_directory_of_steps_gone(&disk) {
                // The directory of an entry is gone: rolling back fails, and leaves everything as
                // the user left it.
                let before = tree_at(&disk, TARGET);
                let (ready, _) = ready(&disk).unwrap();
                let exit = roll(ready, &case).unwrap_err();
                assert_eq!(exit, Exit::Failed(Aftermath::Unchanged), "{story}");
                assert_eq!(tree_at(&disk, TARGET), before, "{story}");
                continue;
            }
            let changed = tree_at(&disk, TARGET);
            roll_all(&disk, &case);
            rolls += 1;
            assert_eq!(
                target_without(&disk, path),
                without(&outcome.new, path),
                "{story}"
            );
            let is_aside = has_work(&disk, generation(&case));
            let stays = has_work(&disk, &place);
            assert!(done == Act::Delete || is_aside != stays, "{story}");
            // Rolling again restores what was kept.
            roll_all(&disk, &case);
            assert_eq!(tree_at(&disk, TARGET), changed, "{story}");
        }
    }
    assert!(rolls > 100, "{rolls}");
}

/// I5: other entries go along on request, and come back; what moves anyway, what is
/// above or below it, and the engine's own directory are left out.
#[test]
fn other_entries_go_along_and_come_back() {
    let is_merge = |case: &Case| case.publication == Publication::Merge;
    for case in published().into_iter().filter(is_merge) {
        let plain = Outcome::of(&case);
        let case = case.with_aside(&[
            ".rvenv/receipt.json",
            "absent/inner",
            "bin",
            "bin/mine",
            "cfg",
            "mine",
            "mixed/mine",
            "package/a",
        ]);
        let disk = case.disk();
        let old = tree_at(&disk, TARGET);
        for _ in 0..2 {
            roll_all(&disk, &case);
            let mut expected = plain.new.clone();
            for path in ["bin/mine", "mine", "mixed/mine"] {
                expected.remove(path);
            }
            assert_eq!(tree_at(&disk, TARGET), expected, "{}", case.name);
            roll_all(&disk, &case.clone().with_aside(&[]));
            assert_eq!(tree_at(&disk, TARGET), old, "{}", case.name);
        }
    }
}

/// I5: an entry that is to stay does not move, in this rollback and in the next one, and what the
/// generation has for it is not lost.
#[test]
fn an_entry_that_is_to_stay_does_not_move() {
    let case = Case::of("merge", Publication::Merge).rolled(Verb::Rollback);
    let outcome = Outcome::of(&case);
    let disk = case.disk();
    for verb in 0..4 {
        let (ready, _) = ready(&disk).unwrap();
        let terms = RollbackTerms {
            stay: [RelPath::new("package").unwrap()].into(),
            aside: [RelPath::new("mine").unwrap()].into(),
            ..RollbackTerms::of(Durability::Power, Verdict::BySteps)
        };
        ready.rollback(&terms).unwrap().settle().unwrap();
        let wanted = if verb % 2 == 0 {
            &outcome.new
        } else {
            &outcome.old
        };
        assert_eq!(
            target_without(&disk, "package").get("cfg"),
            wanted.get("cfg"),
        );
        let tree = tree_at(&disk, TARGET);
        assert_eq!(tree.get("package/c"), outcome.old.get("package/c"));
        assert_eq!(tree.contains_key("mine"), verb % 2 == 1);
        let slots = disk.tree(std::path::Path::new(generation(&case)));
        assert!(slots.keys().any(|path| path.ends_with("/b")), "{slots:?}");
    }
}

/// I1: what is mounted in a tree or in an entry would vanish with its mount, so nothing moves.
#[test]
fn what_has_something_mounted_in_it_is_not_put_aside() {
    for case in published() {
        if case.ground == Ground::Lower {
            continue;
        }
        let disk = case.disk();
        let mount = "/p/t/package";
        disk.set_mount_points(vec!["/".into(), mount.into()]);
        let error = refused(&disk);
        let RollbackError::Mounted { mount: found, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(found, std::path::Path::new(mount));
    }
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

#[test]
fn without_a_generation_there_is_nothing_to_bring_back() {
    for publication in [Publication::Merge, Publication::Replace, Publication::Put] {
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
        let rolled = roll(ready, &case).unwrap();
        assert_eq!(tree_at(&disk, TARGET), outcome.new);
        rolled.undo().unwrap();
        assert_eq!(tree_at(&disk, TARGET), outcome.old);
        roll_all(&disk, &case);
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
    drop(roll(locked, &case).unwrap());
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
            roll_all(&disk, &case);
        }
    }
}
