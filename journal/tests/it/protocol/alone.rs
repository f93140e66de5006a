//! Safety that only one history tests: a user acts at the worst moment, or overlay layers are
//! sealed in between.
//!
//! The crash sweep cannot reach these histories, since no other process acts in it. Each test fails
//! without one step of the engine, which `mutants.rs` drops.

use std::ffi::OsStr;
use std::path::Path;

use rvenv_journal::fs::sim::{Bound, Options, Persistence, Support};
use rvenv_journal::fs::{Fs, Rename};
use rvenv_journal::{Aftermath, NoContent, PrepareError, Publication};

use crate::publication::history::options;
use crate::publication::{
    self, Case, Exit, Ground, Outcome, TARGET, Verb, beside, closed, make_old, numbered, parent,
    ready, recover, run, tree_at,
};

fn swap() -> Case {
    Case::of("swap", Publication::Replace)
}

/// I6: a plan for a directory that replaced the locked one is refused: the lock does not protect
/// that directory.
#[test]
fn a_plan_for_another_directory_than_the_one_that_was_locked_is_refused() {
    for case in [swap(), Case::of("merge", Publication::Merge)] {
        let disk = case.disk();
        let (ready, _) = ready(&disk).unwrap();
        let (at, t) = (parent(&disk), OsStr::new("t"));
        disk.rename(at.at(t), at.at("aside"), Rename::NoReplace)
            .unwrap();
        if case.publication == Publication::Merge {
            publication::entries::make_old(&disk, &at, Ground::Ours);
        } else {
            make_old(&disk, &at);
        }
        let plan = case.plan(&disk);
        let error = ready.prepare(&plan, case.terms, &NoContent).unwrap_err();
        assert!(matches!(error, PrepareError::Stale { .. }), "{error:?}");
    }
}

/// I4: a plan that was made under the lock is not compared before anything is staged, but right
/// before the steps: what another process wrote in between stays.
#[test]
fn a_fresh_plan_is_compared_right_before_its_steps() {
    for case in [swap(), Case::of("merge", Publication::Merge)] {
        let disk = case.disk();
        let (ready, _) = ready(&disk).unwrap();
        let plan = case.plan(&disk);
        let old = disk.open_dir(&parent(&disk), OsStr::new("t")).unwrap();
        disk.remove_file(&old, OsStr::new("cfg")).unwrap();
        publication::write(&disk, &old, "cfg", b"another cfg");
        let theirs = tree_at(&disk, TARGET);
        let prepared = ready.prepare_fresh(&plan, case.terms, &NoContent).unwrap();
        let staged = prepared.stage(&options()).unwrap();
        let failed = staged.publish(&|| false).expect_err("it changed");
        assert_eq!(failed.aftermath, Aftermath::Unchanged, "{failed:?}");
        let mut found = tree_at(&disk, TARGET);
        // The directory of the stage stays with the target.
        found.retain(|path, _| theirs.contains_key(path));
        assert_eq!(found, theirs, "{}", case.name);
    }
}

/// I6: an empty directory at the name of the generation is not replaced, also where no rename
/// refuses an existing target.
#[test]
fn an_empty_directory_at_the_name_of_a_generation_is_left_alone() {
    let case = swap().kept().on(Options {
        no_replace: Support::Absent,
        ..Options::default()
    });
    let disk = case.disk();
    let plan = case.plan(&disk);
    let (at, taken) = (parent(&disk), OsStr::new(".t.rvenv.old-1"));
    let (ready, _) = ready(&disk).unwrap();
    let prepared = ready.prepare(&plan, case.terms, &NoContent).unwrap();
    let staged = prepared.stage(&options()).unwrap();
    let published = staged.publish(&|| false).unwrap();
    disk.make_dir(&at, taken, 0o711).unwrap();
    let failed = published.settle().expect_err("the name is taken");
    let theirs = disk.meta(&at, taken).unwrap().expect("it is there");
    assert_eq!(theirs.mode, 0o711, "{failed:?}");
    // Once that directory is gone, the next run continues.
    disk.remove_dir(&at, taken).unwrap();
    let disk = disk.killed();
    recover(&disk).unwrap();
    let outcome = Outcome::of(&case);
    assert_eq!(tree_at(&disk, TARGET), outcome.new);
    assert_eq!(tree_at(&disk, "/p/.t.rvenv.old-1"), closed(&outcome.old));
}

/// I6: an empty directory that another process makes at the target right before a put stays, also
/// where the system has no rename without replacement. A plain rename would replace it silently.
#[test]
fn an_empty_directory_that_came_right_before_a_put_is_left_alone() {
    let case = Case::of("put", Publication::Put).on(Options {
        rename_flags: Support::Absent,
        ..Options::default()
    });
    let disk = case.disk();
    let plan = case.plan(&disk);
    let (at, target) = (parent(&disk), OsStr::new("t"));
    let (ready, _) = ready(&disk).unwrap();
    let prepared = ready.prepare(&plan, case.terms, &NoContent).unwrap();
    let staged = prepared.stage(&options()).unwrap();
    let published = staged.publish(&|| {
        disk.make_dir(&at, target, 0o711).unwrap();
        false
    });
    let failed = published.expect_err("the name is taken");
    assert_eq!(failed.aftermath, Aftermath::Unchanged);
    let theirs = disk.meta(&at, target).unwrap().expect("it is there");
    assert_eq!(theirs.mode, 0o711);
    assert_eq!(beside(&disk), [""; 0]);
}

/// I1, I7: after a reported success no journal is left that contradicts later changes of the target
/// by a user.
#[test]
fn a_target_that_is_moved_after_success_is_no_contradiction_after_a_power_cut() {
    for case in [swap(), swap().kept(), swap().undone()] {
        let disk = case.disk();
        assert_eq!(run(&disk, &case.plan(&disk), &case), Exit::Done);
        let done = tree_at(&disk, TARGET);
        let at = parent(&disk);
        disk.rename(at.at("t"), at.at("moved"), Rename::NoReplace)
            .unwrap();
        for model in [Persistence::Ordered, Persistence::Independent] {
            disk.for_each_image(model, Bound::QUICK, |image, story| {
                recover(&image).unwrap_or_else(|error| panic!("{error:?}\n{story}"));
                let there = [TARGET, "/p/moved"].map(|path| tree_at(&image, path));
                assert!(there.contains(&done), "{}\n{story}", case.name);
            });
        }
    }
}

/// I1, I5: a generation comes back also after its layer was sealed, as when one container image is
/// built on another.
#[test]
fn a_generation_comes_back_over_a_layer_that_was_sealed_after_it_was_kept() {
    for publication in [Publication::Merge, Publication::Refill] {
        let case = Case::of("over sealed layers", publication)
            .on_ground(Ground::Lower)
            .file_by_file()
            .rolled(Verb::Rollback);
        let base = case.disk();
        base.seal_lower();
        let outcome = Outcome::of(&case);
        let plan = case.plan(&base);
        for steps in 0.. {
            let disk = base.killed();
            disk.crash_after(steps);
            let exit = run(&disk, &plan, &case);
            let image = disk.killed();
            let story = || format!("{exit:?}\n{}", numbered(&disk.steps()));
            recover(&image).unwrap_or_else(|error| panic!("{error:?}\n{}", story()));
            let checked = outcome.check_target(&image);
            checked.unwrap_or_else(|what| panic!("{what}\n{}", story()));
            if !disk.has_crashed() {
                // A directory that is now in a lower layer cannot be renamed as a whole; the
                // rollback then changes nothing.
                let is_done = exit == Exit::Done;
                assert!(
                    is_done || exit == Exit::Failed(Aftermath::Unchanged),
                    "{}",
                    story()
                );
                let wanted = if is_done {
                    outcome.wanted(&case)
                } else {
                    &outcome.old
                };
                assert_eq!(&tree_at(&disk, TARGET), wanted, "{}", story());
                break;
            }
        }
        assert!(!base.tree(Path::new(TARGET)).is_empty());
    }
}
