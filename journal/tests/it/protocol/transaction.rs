//! Living runs: what a run leaves behind when it fails, when others interfere, and while it holds
//! its locks.
//!
//! Read next: `recovery.rs`, for runs that died.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rvenv_journal::fs::real::RealFs;
use rvenv_journal::fs::sim::{Bound, Fault, Options, Persistence, Reach, SimFs, Support};
use rvenv_journal::fs::{Barrier, Fs};
use rvenv_journal::raw::{PublishError, WhyKept};
use rvenv_journal::{
    Aftermath, Durability, Mode, NoContent, Parents, Patience, PlanBuilder, PrepareError,
    Publication, Target, observe,
};

use crate::publication::history::*;
use crate::publication::{
    self, Exit, Outcome, TARGET, beside, closed, parent, ready, run, tree_at, write,
};

/// A failure before the journal leaves nothing, not even what the next run would tidy.
#[test]
fn a_run_that_cannot_be_prepared_leaves_nothing() {
    let reading = Options {
        steps: rvenv_journal::fs::sim::Steps::ChangesAndReads,
        ..Options::default()
    };
    let case = swap().on(reading);
    let all = case.steps().len();
    for step in 1..=all {
        let disk = case.disk();
        let plan = case.plan(&disk);
        disk.fail(Fault {
            step: disk.step_count() + step,
            kind: ErrorKind::Other,
            reach: Reach::Once,
        });
        let exit = run(&disk, &plan, &case);
        if exit == Exit::NotBegun {
            assert_eq!(tree_at(&disk, TARGET), Outcome::of(&case).old);
            let mut litter = beside(&disk);
            // A fault while the lock is released leaves the lock file, unlocked.
            litter.retain(|name| name != ".t.rvenv.lock");
            let steps = publication::numbered(&disk.steps());
            assert_eq!(litter, [""; 0], "{steps}");
        }
    }
}

/// Only a refusal means that a filesystem cannot exchange; then a take and a put replace the tree.
/// After any other failure nothing is known about the filesystem, and nothing is published.
#[test]
fn only_a_refused_exchange_is_replaced_by_a_take_and_a_put() {
    let case = swap();
    let probe = steps_before(&case, "exchange /p/.t.rvenv.new-*/scratch-1", 1);
    let outcome = Outcome::of(&case);
    for (kind, expected) in [
        (ErrorKind::Unsupported, Exit::Done),
        (ErrorKind::InvalidInput, Exit::Done),
        (ErrorKind::CrossesDevices, Exit::Done),
        (ErrorKind::PermissionDenied, Exit::Done),
        (ErrorKind::StorageFull, Exit::NotBegun),
        (ErrorKind::Other, Exit::NotBegun),
    ] {
        let disk = case.disk();
        let plan = case.plan(&disk);
        disk.fail(Fault {
            step: disk.step_count() + probe + 1,
            kind,
            reach: Reach::Once,
        });
        assert_eq!(run(&disk, &plan, &case), expected, "{kind:?}");
        let tree = tree_at(&disk, TARGET);
        if expected == Exit::Done {
            assert_eq!(tree, outcome.new, "{kind:?}");
            let steps = disk.steps();
            let is_step = |step: &&String| step.starts_with("exchange");
            assert_eq!(
                steps.iter().filter(is_step).count(),
                1,
                "{kind:?}: the probe"
            );
        } else {
            assert_eq!(tree, outcome.old, "{kind:?}");
            assert_eq!(beside(&disk), [""; 0], "{kind:?}");
        }
    }
}

/// A stage that was made before its plan is published; one that no plan needs is deleted.
#[test]
fn a_stage_that_was_made_early_is_used_or_goes() {
    let case = put();
    let disk = case.disk();
    let plan = case.plan(&disk);
    let (mut early, _) = ready(&disk).unwrap();
    early.claim(case.terms.durability);
    let [lock, stage] = beside(&disk).try_into().unwrap();
    assert_eq!(lock, ".t.rvenv.lock");
    assert!(stage.starts_with(".t.rvenv.new-"), "{stage}");
    drop(early);
    assert_eq!(beside(&disk), [""; 0]);

    let (mut early, _) = ready(&disk).unwrap();
    early.claim(case.terms.durability);
    let prepared = early.prepare(&plan, case.terms, &NoContent).unwrap();
    assert_eq!(beside(&disk).len(), 2, "there is one stage");
    let staged = prepared.stage(&options()).unwrap();
    staged.publish(&|| false).unwrap().settle().unwrap();
    assert_eq!(tree_at(&disk, TARGET), Outcome::of(&case).new);
    assert_eq!(beside(&disk), [""; 0]);
}

/// A stage that was made on other terms than the plan's is not published.
#[test]
fn a_stage_that_was_made_early_on_other_terms_goes() {
    let case = put();
    let disk = case.disk();
    let plan = case.plan(&disk);
    let (mut early, _) = ready(&disk).unwrap();
    early.claim(Durability::Process);
    let made = beside(&disk);
    let prepared = early.prepare(&plan, case.terms, &NoContent).unwrap();
    let now = beside(&disk);
    assert_eq!(now.len(), 2);
    assert_ne!(made, now, "it is another one, whose name is durable");
    drop(prepared);
}

/// The error of an early stage is reported, and not retried: a sync that failed cannot be trusted
/// the second time.
#[test]
fn a_stage_that_could_not_be_made_early_is_not_made_again() {
    let case = put();
    // It is made, gets its name, and the name becomes durable.
    for step in 1..=3 {
        let disk = case.disk();
        let plan = case.plan(&disk);
        let (mut early, _) = ready(&disk).unwrap();
        disk.fail(Fault {
            step: disk.step_count() + step,
            kind: ErrorKind::Other,
            reach: Reach::Once,
        });
        early.claim(case.terms.durability);
        let refused = early.prepare(&plan, case.terms, &NoContent);
        assert!(
            matches!(refused, Err(PrepareError::Disk { .. })),
            "{step}: {refused:?}"
        );
        assert_eq!(beside(&disk), [""; 0], "{step}");
    }
}

/// I4: the tree that is replaced is the one that was locked.
#[test]
fn a_tree_that_took_the_place_of_the_locked_one_is_not_replaced() {
    let case = swap();
    let disk = case.disk();
    let (ready, _) = ready(&disk).unwrap();
    rename(&disk, "t", "elsewhere");
    publication::make_old(&disk, &parent(&disk));
    let plan = case.plan(&disk);
    let error = ready.prepare(&plan, case.terms, &NoContent).unwrap_err();
    assert!(
        matches!(&error, PrepareError::Stale { reasons, .. } if reasons[0].why.contains("locked")),
        "{error:?}"
    );
    assert!(
        !tree_at(&disk, TARGET).contains_key("link"),
        "it is not replaced"
    );
}

/// I4: a target that changed while the new tree was staged is not replaced.
#[test]
fn a_target_that_changed_while_staging_is_not_replaced() {
    let case = swap();
    let disk = case.disk();
    let plan = case.plan(&disk);
    let (ready, _) = ready(&disk).unwrap();
    let prepared = ready.prepare(&plan, case.terms, &NoContent).unwrap();
    let staged = prepared.stage(&options()).unwrap();
    let tree = disk.open_dir(&parent(&disk), OsStr::new("t")).unwrap();
    write(&disk, &tree, "mine", b"work");
    let failed = staged.publish(&|| false).unwrap_err();
    assert!(
        matches!(failed.source, PublishError::Changed(_)),
        "{failed:?}"
    );
    assert_eq!(failed.aftermath, Aftermath::Unchanged);
    assert!(tree_at(&disk, TARGET).contains_key("mine"));
    assert_eq!(beside(&disk), [""; 0]);
}

/// I5: a tree that appeared at the target between the last check and the switch is brought back, or
/// kept where it is.
#[test]
fn a_tree_that_is_switched_by_mistake_is_not_lost() {
    for case in [swap(), take_and_put()] {
        let disk = case.disk();
        let plan = case.plan(&disk);
        let (ready, _) = ready(&disk).unwrap();
        let prepared = ready.prepare(&plan, case.terms, &NoContent).unwrap();
        let staged = prepared.stage(&options()).unwrap();
        // The interrupt check is the last call before the steps.
        let stranger = || {
            rename(&disk, "t", "elsewhere");
            make_dir(&disk, "t");
            let tree = disk.open_dir(&parent(&disk), OsStr::new("t")).unwrap();
            write(&disk, &tree, "mine", b"work");
            false
        };
        let failed = staged.publish(&stranger).unwrap_err();
        assert!(matches!(failed.source, PublishError::Moved), "{failed:?}");
        let place = if failed.aftermath == Aftermath::Unchanged {
            assert_eq!(beside(&disk), ["elsewhere"]);
            TARGET
        } else {
            "/p/.t.rvenv.old-1"
        };
        assert!(tree_at(&disk, place).contains_key("mine"));
        let is_exchange = case.options.exchange == Support::Present;
        assert_eq!(place == TARGET, is_exchange, "only an exchange is undone");
    }
}

/// I5: where the new tree was moved away, the tree that it replaced may be the last good one.
#[test]
fn what_was_replaced_is_kept_when_the_new_tree_was_moved_away() {
    let case = swap();
    let disk = case.disk();
    let plan = case.plan(&disk);
    let (ready, _) = ready(&disk).unwrap();
    let prepared = ready.prepare(&plan, case.terms, &NoContent).unwrap();
    let staged = prepared.stage(&options()).unwrap();
    let published = staged.publish(&|| false).unwrap();
    rename(&disk, "t", "elsewhere");
    let kept = published.settle().unwrap().kept.unwrap();
    assert_eq!(kept.why, WhyKept::Changed);
    let old = Outcome::of(&case).old;
    assert_eq!(tree_at(&disk, "/p/.t.rvenv.old-1"), closed(&old));
}

/// I6: the engine deletes the tree that the journal identifies, not another one with the name of
/// its stage.
#[test]
fn a_tree_that_took_the_name_of_the_stage_is_not_deleted() {
    let case = take_and_put();
    let disk = case.disk();
    let plan = case.plan(&disk);
    let (ready, _) = ready(&disk).unwrap();
    let prepared = ready.prepare(&plan, case.terms, &NoContent).unwrap();
    let staged = prepared.stage(&options()).unwrap();
    let name = stage(&disk);
    let published = staged.publish(&|| false).unwrap();
    make_dir(&disk, &name);
    published.settle().unwrap();
    assert_eq!(beside(&disk), [name]);
    assert_eq!(tree_at(&disk, TARGET), Outcome::of(&case).new);
}

#[test]
fn both_trees_stay_locked_until_the_end() {
    let case = swap();
    let disk = case.disk();
    let plan = case.plan(&disk);
    let place = parent(&disk);
    let is_locked = |name: &str| {
        let dir = disk.open_dir(&place, OsStr::new(name)).unwrap();
        let held = disk.hold_dir(&dir).unwrap();
        disk.try_lock(&held).unwrap() == rvenv_journal::fs::Lock::Busy
    };
    let (ready, _) = ready(&disk).unwrap();
    assert!(is_locked("t"));
    let prepared = ready.prepare(&plan, case.terms, &NoContent).unwrap();
    let staged = prepared.stage(&options()).unwrap();
    let published = staged.publish(&|| false).unwrap();
    assert!(is_locked("t"));
    assert!(is_locked(&stage(&disk)));
    published.settle().unwrap();
    assert!(!is_locked("t"));
}

#[test]
fn directories_made_above_a_target_go_again_when_nothing_is_published() {
    let disk = SimFs::new();
    let path = Path::new("/a/b/c/t");
    let open = || Target::open(&disk, path, Parents::Make).unwrap();
    let target = open();
    let (ready, _) = target.lock("test", &mut |_| Patience::GiveUp).unwrap();
    assert!(disk.open_path(Path::new("/a/b/c")).is_ok());
    drop(ready);
    assert!(disk.open_path(Path::new("/a")).is_err());
    // A file that another process made there keeps its directories.
    let target = open();
    let (ready, _) = target.lock("test", &mut |_| Patience::GiveUp).unwrap();
    let inner = disk.open_path(Path::new("/a/b")).unwrap();
    write(&disk, &inner, "mine", b"");
    drop(ready);
    assert!(disk.open_path(Path::new("/a/b")).is_ok());
    assert!(disk.open_path(Path::new("/a/b/c")).is_err());
}

#[test]
fn nothing_is_made_for_a_link_that_leads_nowhere() {
    let disk = SimFs::new();
    let root = disk.open_path(Path::new("/")).unwrap();
    disk.make_symlink(&root, OsStr::new("t"), OsStr::new("/nowhere/at/all"))
        .unwrap();
    let error = Target::open(&disk, Path::new("/t"), Parents::Make).unwrap_err();
    assert!(
        matches!(error, rvenv_journal::raw::TargetError::Dangling { .. }),
        "{error:?}"
    );
    assert!(disk.open_path(Path::new("/nowhere")).is_err());
}

/// I1: the tree at the target after the switch must be the one that was staged.
#[test]
fn a_tree_that_took_the_place_of_the_stage_is_not_published() {
    let case = swap();
    let disk = case.disk();
    let plan = case.plan(&disk);
    let (ready, _) = ready(&disk).unwrap();
    let prepared = ready.prepare(&plan, case.terms, &NoContent).unwrap();
    let staged = prepared.stage(&options()).unwrap();
    let stranger = || {
        let name = stage(&disk);
        rename(&disk, &name, "elsewhere");
        make_dir(&disk, &name);
        false
    };
    let failed = staged.publish(&stranger).unwrap_err();
    assert!(matches!(failed.source, PublishError::Moved), "{failed:?}");
    assert!(
        beside(&disk)
            .iter()
            .any(|name| tree_at(&disk, &format!("/p/{name}")) == Outcome::of(&case).old),
        "the old tree is not deleted"
    );
}

/// I5: without a rename that refuses an existing target, the engine checks the name first.
#[test]
fn an_empty_directory_that_came_to_the_target_is_not_swallowed() {
    let case = put().on(Options {
        no_replace: Support::Absent,
        ..Options::default()
    });
    let disk = case.disk();
    let plan = case.plan(&disk);
    let (ready, _) = ready(&disk).unwrap();
    let prepared = ready.prepare(&plan, case.terms, &NoContent).unwrap();
    let staged = prepared.stage(&options()).unwrap();
    let stranger = || {
        make_dir(&disk, "t");
        false
    };
    let failed = staged.publish(&stranger).unwrap_err();
    assert_eq!(failed.aftermath, Aftermath::Unchanged);
    assert_eq!(tree_at(&disk, TARGET).len(), 1);
    assert_eq!(beside(&disk), [""; 0]);
}

/// I2: the directories above a tree are as durable as the tree.
#[test]
fn directories_made_above_a_target_are_durable_with_it() {
    let disk = SimFs::with(Options {
        barrier: Barrier::PerObject,
        ..Options::default()
    });
    let path = if cfg!(windows) { "C:/a/b/t" } else { "/a/b/t" };
    let target = Target::open(&disk, Path::new(path), Parents::Make).unwrap();
    let (ready, _) = target.lock("test", &mut |_| Patience::GiveUp).unwrap();
    let builder = PlanBuilder::new(path, Mode::SHARED_DIR).unwrap();
    let seen = observe(
        &disk,
        ready.target().place(),
        builder.operations(),
        builder.retired(),
    )
    .unwrap();
    let plan = builder.finish(seen, Publication::Put).unwrap();
    let prepared = ready.prepare(&plan, put().terms, &NoContent).unwrap();
    let published = prepared
        .stage(&options())
        .unwrap()
        .publish(&|| false)
        .unwrap();
    published.settle().unwrap();
    let (model, bound) = (Persistence::Independent, Bound::QUICK);
    disk.for_each_image(model, bound, |image, story| {
        assert!(!image.tree(Path::new("/a/b/t")).is_empty(), "{story}");
    });
}

#[test]
fn a_lock_file_of_another_process_is_not_unlinked() {
    let disk = swap().disk();
    let place = parent(&disk);
    let lock = OsStr::new(".t.rvenv.lock");
    let (ready, _) = ready(&disk).unwrap();
    disk.remove_file(&place, lock).unwrap();
    write(&disk, &place, ".t.rvenv.lock", b"another holder");
    drop(ready);
    assert!(disk.meta(&place, lock).unwrap().is_some());
}

/// The lock file is unlinked and made again all the time; two runs never hold it at once.
#[test]
fn two_holders_never_work_on_one_target() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("t");
    let real = RealFs::new();
    let is_held = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let target = Target::open(&real, &path, Parents::Require).unwrap();
                    let mut pause = |_: &str| {
                        std::thread::yield_now();
                        Patience::Again
                    };
                    let (ready, _) = target.lock("test", &mut pause).unwrap();
                    assert!(!is_held.swap(true, Ordering::SeqCst), "two hold it");
                    std::thread::yield_now();
                    is_held.store(false, Ordering::SeqCst);
                    drop(ready);
                }
            });
        }
    });
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}

/// I6: a plan is published only at the target that it was written for.
#[test]
fn a_plan_for_another_target_is_refused() {
    let disk = RealFs::new();
    let place = tempfile::tempdir().unwrap();
    let path = |name| place.path().canonicalize().unwrap().join(name);
    let draft = PlanBuilder::new(path("planned").to_str().unwrap(), Mode::SHARED_DIR).unwrap();
    let target = Target::open(&disk, &path("locked"), Parents::Require).unwrap();
    let seen = observe(&disk, target.place(), draft.operations(), draft.retired()).unwrap();
    let plan = draft.finish(seen, Publication::Put).unwrap();
    let (ready, _) = target.lock("test", &mut |_| Patience::GiveUp).unwrap();
    let refused = ready.prepare(&plan, rvenv_journal::Terms::default(), &NoContent);
    let Err(PrepareError::Stale { reasons, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(reasons[0].path, plan.target());
    assert!(!path("locked").exists());
}
