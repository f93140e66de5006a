//! Crashes and failures at numbered steps.

use super::super::{Crashed, Fault, Reach, Steps};
use super::*;

/// A small commit: stage, sync, publish, sync.
fn commit(desk: &Desk) -> Result<(), FsError> {
    desk.try_write(&desk.root, "tmp", "new", Flush::Now)?;
    let root = &desk.root;
    desk.disk
        .rename(root.at("tmp"), root.at("f"), Rename::Replace)?;
    desk.disk.sync_dir(root)
}

fn with_old() -> Desk {
    let desk = Desk::new();
    desk.write(&desk.root, "f", "old", Flush::Now);
    desk.sync_root();
    Desk::on(desk.disk.killed())
}

#[test]
fn a_sweep_over_all_steps_meets_every_state_of_a_commit() {
    let mut found = BTreeSet::new();
    for steps in 0.. {
        let desk = with_old();
        desk.disk.crash_after(steps);
        let done = commit(&desk);
        assert_eq!(done.is_err(), desk.disk.has_crashed());
        for model in POWER {
            found.extend(desk.found(model));
        }
        found.extend(desk.found(Persistence::Kill));
        if done.is_ok() {
            assert_eq!(steps, 5);
            desk.check(Persistence::Independent, &["f=new"]);
            break;
        }
    }
    let expect = [
        "f=old",
        "f=old tmp=",
        "f=old tmp=0",
        "f=old tmp=n",
        "f=old tmp=000",
        "f=old tmp=new",
        "f=new",
    ];
    assert_eq!(found, expect.map(str::to_owned).into());
}

#[test]
fn a_dead_process_changes_nothing_more_and_its_errors_say_so() {
    let desk = with_old();
    desk.disk.crash_after(1);
    let error = commit(&desk).unwrap_err();
    let source = error.source.get_ref().unwrap();
    assert!(source.is::<Crashed>());
    assert!(desk.disk.has_crashed());
    let before = desk.disk.state_digest();
    assert!(desk.disk.remove_file(&desk.root, os("f")).is_err());
    assert!(desk.disk.list(&desk.root).is_err());
    assert!(desk.disk.sync_dir(&desk.root).is_err());
    assert_eq!(desk.disk.state_digest(), before);
    // The process died during the write.
    assert_eq!(show(&desk.disk), "f=old tmp=n");
    assert_eq!(desk.disk.steps().last().unwrap(), "write /tmp (dies here)");
}

#[test]
fn a_step_fails_once_or_from_then_on() {
    for (reach, later) in [(Reach::Once, true), (Reach::FromThenOn, false)] {
        let desk = Desk::new();
        desk.disk.fail(Fault {
            step: 2,
            kind: ErrorKind::PermissionDenied,
            reach,
        });
        desk.mkdir("a");
        let make = |name: &str| desk.disk.make_dir(&desk.root, os(name), 0o755);
        check_kind(make("b"), ErrorKind::PermissionDenied);
        assert_eq!(make("b").is_ok(), later);
        assert_eq!(
            desk.disk.steps()[1],
            "make directory /b (fails: permission denied)"
        );
    }
}

#[test]
fn a_full_disk_still_renames_removes_and_syncs() {
    let desk = with_old();
    desk.disk.fail(Fault {
        step: 2,
        kind: ErrorKind::StorageFull,
        reach: Reach::CreationsFromThenOn,
    });
    check_kind(commit(&desk), ErrorKind::StorageFull);
    assert_eq!(show(&desk.disk), "f=old tmp=n");
    desk.rename("f", "g", Rename::NoReplace);
    desk.disk.remove_file(&desk.root, os("tmp")).unwrap();
    desk.sync_all();
    let made = desk.disk.make_dir(&desk.root, os("d"), 0o755);
    check_kind(made, ErrorKind::StorageFull);
    assert_eq!(show(&desk.disk), "g=old");
}

#[test]
fn reads_are_steps_only_where_that_is_asked_for() {
    let read = |steps| {
        let desk = Desk::with(Options {
            steps,
            ..Options::default()
        });
        desk.write(&desk.root, "f", "1", Flush::Later);
        desk.disk.read_file(&desk.root, os("f"), 9).unwrap();
        desk.disk.list(&desk.root).unwrap();
        desk.disk.step_count()
    };
    assert_eq!(read(Steps::Changes), 2);
    assert_eq!(read(Steps::ChangesAndReads), 5);
}

#[test]
fn a_refused_verb_is_no_step() {
    let desk = with_old();
    check_kind(
        desk.disk.make_dir(&desk.root, os("f"), 0o755),
        ErrorKind::AlreadyExists,
    );
    assert_eq!(desk.disk.step_count(), 0);
}
