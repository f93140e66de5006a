//! Deleting a kept generation: it is whole with its record, or gone with it, whatever happens.
//!
//! Read next: `rollback.rs`, how a generation comes back.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;

use rvenv_journal::fs::Fs as _;
use rvenv_journal::fs::sim::{Bound, Fault, Options, Persistence, Reach, SimFs, Support};
use rvenv_journal::raw::DiscardError;
use rvenv_journal::{Parents, Publication, Target, generations};

use crate::publication::{
    Case, Exit, LOCK, PARENT, TARGET, Tree, beside, closed, likeness, parent, ready, recover, roll,
    run, tree_at,
};

const NARROW: Bound = Bound {
    combinations_max: 6,
    sampled: 0,
    seed: 0,
};

/// A disk with a kept generation, all of it durable: a whole tree or entries.
fn kept() -> Vec<Case> {
    let no_replace = Options {
        no_replace: Support::Absent,
        exchange: Support::Absent,
        ..Options::default()
    };
    let swap = Case::of("swap", Publication::Replace);
    let merge = Case::of("merge", Publication::Merge);
    let cases = [swap.clone(), swap.on(no_replace), merge];
    cases
        .map(|case| case.rolled(crate::publication::Verb::Rollback))
        .into()
}

fn name(case: &Case) -> &'static str {
    if case.publication.is_by_entries() {
        "t/.rvenv/old-1"
    } else {
        ".t.rvenv.old-1"
    }
}

fn discard(disk: &SimFs, generation: u32) -> Result<(), DiscardError> {
    let (ready, _) = ready(disk).unwrap();
    let left = ready.discard_generation(generation)?;
    assert_eq!(left.count, 0, "{left:?}");
    Ok(())
}

fn tree_of_generation(disk: &SimFs, case: &Case) -> Tree {
    disk.tree(Path::new(&format!("{PARENT}/{}", name(case))))
}

/// What a crash and one more run may leave: the target as it was, and the generation whole with its
/// record or gone with it.
struct Expected {
    target: Tree,
    generation: Tree,
}

impl Expected {
    fn of(case: &Case, disk: &SimFs) -> Self {
        Self {
            target: tree_at(disk, TARGET),
            generation: tree_of_generation(disk, case),
        }
    }

    #[track_caller]
    fn check(&self, case: &Case, disk: &SimFs, story: &str) -> bool {
        assert_eq!(tree_at(disk, TARGET), self.target, "{story}");
        let found = beside(disk);
        if found.is_empty() {
            return true;
        }
        let name = name(case);
        assert_eq!(
            found,
            [name.to_owned(), format!("{name}.journal")],
            "{story}"
        );
        assert_eq!(tree_of_generation(disk, case), self.generation, "{story}");
        let again = disk.killed();
        let (ready, _) = ready(&again).unwrap();
        let rolled = roll(ready, case).unwrap_or_else(|exit| panic!("{exit:?} {story}"));
        rolled.settle().unwrap();
        false
    }
}

#[test]
fn a_generation_and_its_record_are_deleted() {
    for case in kept() {
        let disk = case.disk();
        let before = tree_at(&disk, TARGET);
        discard(&disk, 1).unwrap();
        assert_eq!(beside(&disk), [""; 0], "{}", case.name);
        assert_eq!(tree_at(&disk, TARGET), before);
        let error = discard(&disk, 1).unwrap_err();
        assert!(
            matches!(error, DiscardError::NoGeneration { generation: 1, .. }),
            "{error:?}"
        );
    }
}

/// I1, I2, I5: after a crash at any step, and another in the run that recovers, the generation is
/// whole or gone; it is gone if it was reported as deleted.
#[test]
fn a_crash_leaves_the_generation_whole_or_gone() {
    let models = [
        Persistence::Kill,
        Persistence::Ordered,
        Persistence::Independent,
    ];
    let (mut whole, mut gone) = (0, 0);
    for (case, model) in kept()
        .iter()
        .flat_map(|case| models.map(|model| (case, model)))
    {
        let base = case.disk();
        base.set_courtesy(OsStr::new(LOCK));
        let expected = Expected::of(case, &base);
        // What follows depends on the disk, and on what was reported.
        let (mut firsts, mut lasts) = (BTreeSet::new(), BTreeSet::new());
        for count in 0.. {
            let disk = base.killed();
            disk.crash_after(count);
            let reported = match ready(&disk) {
                Ok((ready, _)) => ready
                    .discard_generation(1)
                    .is_ok_and(|left| left.count == 0),
                Err(_) => false,
            };
            let has_crashed = disk.has_crashed();
            disk.for_each_image(model, NARROW, |image, story| {
                if !firsts.insert((likeness(&image), reported)) {
                    return;
                }
                for inner in 0.. {
                    let second = image.killed();
                    second.crash_after(inner);
                    let _first = recover(&second);
                    let has_crashed = second.has_crashed();
                    second.for_each_image(model, NARROW, |last, again| {
                        if !lasts.insert((likeness(&last), reported)) {
                            return;
                        }
                        let story = format!("{}\n{story}\n{again}", case.name);
                        recover(&last).unwrap_or_else(|error| panic!("{error:?}\n{story}"));
                        let is_gone = expected.check(case, &last, &story);
                        assert!(is_gone || !reported, "{story}");
                        if is_gone {
                            gone += 1;
                        } else {
                            whole += 1;
                        }
                    });
                    if !has_crashed {
                        break;
                    }
                }
            });
            if !has_crashed {
                assert!(reported);
                break;
            }
        }
    }
    println!("{whole} whole, {gone} gone");
    assert!(whole > 20 && gone > 20, "{whole} {gone}");
}

/// I1: a call that fails leaves the generation whole, or the next run deletes it.
#[test]
fn a_failed_call_leaves_what_the_error_says() {
    for case in kept() {
        let base = case.disk();
        let expected = Expected::of(&case, &base);
        for step in 1.. {
            for reach in [Reach::Once, Reach::FromThenOn] {
                let disk = base.killed();
                disk.fail(Fault {
                    step,
                    kind: ErrorKind::Other,
                    reach,
                });
                let Ok((locked, _)) = ready(&disk) else {
                    continue;
                };
                let ended = locked.discard_generation(1);
                drop(locked);
                let same_boot = disk.killed();
                if let Err(DiscardError::Disk { .. }) = &ended {
                    assert_eq!(tree_of_generation(&same_boot, &case), expected.generation);
                }
                recover(&same_boot).unwrap();
                let is_gone = expected.check(&case, &same_boot, &format!("{ended:?}"));
                assert!(
                    is_gone || matches!(ended, Err(DiscardError::Disk { .. })),
                    "{ended:?}"
                );
                disk.for_each_image(Persistence::Independent, NARROW, |image, story| {
                    recover(&image).unwrap_or_else(|error| panic!("{error:?}\n{story}"));
                    let is_gone = expected.check(&case, &image, &story.to_string());
                    assert!(is_gone || ended.is_err(), "{story}");
                });
            }
            let plain = base.killed();
            let before = plain.step_count();
            discard(&plain, 1).unwrap();
            if step > plain.step_count() - before {
                break;
            }
        }
    }
}

/// An older generation inside the target is described by the newer ones, so that it goes first.
#[test]
fn of_several_generations_inside_a_target_the_oldest_goes_first() {
    let case = Case::of("merge", Publication::Merge).kept();
    let disk = case.disk();
    assert_eq!(run(&disk, &case.plan(&disk), &case), Exit::Done);
    assert_eq!(run(&disk, &case.plan(&disk), &case), Exit::Done);
    let numbers = || {
        let target = Target::open(&disk, Path::new(TARGET), Parents::Require).unwrap();
        let found = generations(&target).unwrap();
        found
            .iter()
            .map(|generation| generation.number)
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers(), [1, 2]);
    let error = discard(&disk, 2).unwrap_err();
    assert!(
        matches!(error, DiscardError::Needed { oldest: 1, .. }),
        "{error:?}"
    );
    discard(&disk, 1).unwrap();
    assert_eq!(numbers(), [2]);
    discard(&disk, 2).unwrap();
    assert_eq!(numbers(), [0; 0]);
}

/// I7: nothing is deleted whose record does not count.
#[test]
fn a_generation_without_a_record_that_counts_is_not_deleted() {
    for case in kept() {
        let disk = case.disk();
        let (above, _) = name(&case).rsplit_once("old-1").unwrap();
        let dir = match above.rsplit_once('/') {
            Some((within, _)) => disk
                .open_path(Path::new(&format!("{PARENT}/{within}")))
                .unwrap(),
            None => parent(&disk),
        };
        let record = format!("{}old-1.journal", above.rsplit('/').next().unwrap());
        disk.remove_file(&dir, OsStr::new(&record)).unwrap();
        let before = disk.tree(Path::new(PARENT));
        let error = discard(&disk, 1).unwrap_err();
        assert!(matches!(error, DiscardError::NoRecord { .. }), "{error:?}");
        assert_eq!(disk.tree(Path::new(PARENT)), before);
    }
}

/// What is mounted in a generation is not deleted, and so neither is the generation.
#[test]
fn a_generation_with_something_mounted_in_it_is_not_deleted() {
    let case = Case::of("swap", Publication::Replace).rolled(crate::publication::Verb::Rollback);
    let disk = case.disk();
    let mount = format!("{PARENT}/{}/kept", name(&case));
    disk.set_mount_points(vec!["/".into(), mount.clone().into()]);
    let before = closed(&tree_of_generation(&disk, &case));
    let error = discard(&disk, 1).unwrap_err();
    let DiscardError::Mounted { mount: found, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(found, Path::new(&mount));
    assert_eq!(tree_of_generation(&disk, &case), before);
}
