//! Crashes and failures at numbered steps.

use super::super::{Crashed, Fault, Reach, Steps};
use super::*;

/// A small commit: stage, sync, publish, sync.
fn commit(sim: &Sim) -> Result<(), FsError> {
    sim.try_write(&sim.root, "tmp", "new", Flush::Now)?;
    let root = &sim.root;
    sim.disk
        .rename(root.at("tmp"), root.at("f"), Rename::Replace)?;
    sim.disk.sync_dir(root)
}

fn with_old() -> Sim {
    let sim = Sim::new();
    sim.write(&sim.root, "f", "old", Flush::Now);
    sim.sync_root();
    Sim::on(sim.disk.killed())
}

#[test]
fn a_sweep_over_all_steps_meets_every_state_of_a_commit() {
    let mut found = BTreeSet::new();
    for steps in 0.. {
        let sim = with_old();
        sim.disk.crash_after(steps);
        let done = commit(&sim);
        assert_eq!(done.is_err(), sim.disk.has_crashed());
        for model in POWER {
            found.extend(sim.found(model));
        }
        found.extend(sim.found(Persistence::Kill));
        if done.is_ok() {
            assert_eq!(steps, 5);
            sim.check(Persistence::Independent, &["f=new"]);
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
    let sim = with_old();
    sim.disk.crash_after(1);
    let error = commit(&sim).unwrap_err();
    let source = error.source.get_ref().unwrap();
    assert!(source.is::<Crashed>());
    assert!(sim.disk.has_crashed());
    let before = sim.disk.state_digest();
    assert!(sim.disk.remove_file(&sim.root, os("f")).is_err());
    assert!(sim.disk.list(&sim.root).is_err());
    assert!(sim.disk.sync_dir(&sim.root).is_err());
    assert_eq!(sim.disk.state_digest(), before);
    // The process died during the write.
    assert_eq!(show(&sim.disk), "f=old tmp=n");
    assert_eq!(sim.disk.steps().last().unwrap(), "write /tmp (dies here)");
}

#[test]
fn a_step_fails_once_or_from_then_on() {
    for (reach, later) in [(Reach::Once, true), (Reach::FromThenOn, false)] {
        let sim = Sim::new();
        sim.disk.fail(Fault {
            step: 2,
            kind: ErrorKind::PermissionDenied,
            reach,
        });
        sim.mkdir("a");
        let make = |name: &str| sim.disk.make_dir(&sim.root, os(name), 0o755);
        check_kind(make("b"), ErrorKind::PermissionDenied);
        assert_eq!(make("b").is_ok(), later);
        assert_eq!(
            sim.disk.steps()[1],
            "make directory /b (fails: permission denied)"
        );
    }
}

#[test]
fn a_full_disk_still_renames_removes_and_syncs() {
    let sim = with_old();
    sim.disk.fail(Fault {
        step: 2,
        kind: ErrorKind::StorageFull,
        reach: Reach::CreationsFromThenOn,
    });
    check_kind(commit(&sim), ErrorKind::StorageFull);
    assert_eq!(show(&sim.disk), "f=old tmp=n");
    sim.rename("f", "g", Rename::NoReplace);
    sim.disk.remove_file(&sim.root, os("tmp")).unwrap();
    sim.sync_all();
    let made = sim.disk.make_dir(&sim.root, os("d"), 0o755);
    check_kind(made, ErrorKind::StorageFull);
    assert_eq!(show(&sim.disk), "g=old");
}

#[test]
fn reads_are_steps_only_where_that_is_asked_for() {
    let read = |steps| {
        let sim = Sim::with(Options {
            steps,
            ..Options::default()
        });
        sim.write(&sim.root, "f", "1", Flush::Later);
        sim.disk.read_file(&sim.root, os("f"), 9).unwrap();
        sim.disk.list(&sim.root).unwrap();
        sim.disk.step_count()
    };
    assert_eq!(read(Steps::Changes), 2);
    assert_eq!(read(Steps::ChangesAndReads), 5);
}

#[test]
fn a_refused_verb_is_no_step() {
    let sim = with_old();
    check_kind(
        sim.disk.make_dir(&sim.root, os("f"), 0o755),
        ErrorKind::AlreadyExists,
    );
    assert_eq!(sim.disk.step_count(), 0);
}
