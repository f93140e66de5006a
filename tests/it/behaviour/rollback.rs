//! `rvenv rollback`: restores what a change replaced; run again, it goes forward.
//!
//! Whole trees are compared: every path with kind, mode, owner, time, link target, bytes and
//! attributes. Only the times of directories in which entries were switched may differ. Read next:
//! `upgrade.rs`, the changes that are taken back here.

use std::fs;
use std::path::Path;

use crate::machine::{Scratch, tree};
use crate::packages::{builds, full, full_of_bound, works};
use crate::switched::compare_switched;
use crate::trees::{Sameness, compare, look};
use rustix::fs::{XattrFlags, lsetxattr};

/// The kept generations of `E`, beside it and within it.
fn generations(scratch: &Scratch) -> Vec<String> {
    let names = |dir: &str| {
        let names = fs::read_dir(scratch.path(dir)).unwrap();
        let names = names.map(|name| name.unwrap().file_name().into_string().unwrap());
        let kept = names.filter(|name| name.contains("old-") && !name.ends_with(".journal"));
        kept.collect::<Vec<_>>()
    };
    let mut found = [names(""), names("E/.rvenv")].concat();
    found.sort();
    found
}

#[track_caller]
fn rollback(scratch: &Scratch, flags: &[&str]) {
    scratch.rvenv(&[&["rollback", "E"], flags].concat()).ok();
}

/// An owner and an attribute that no plan would give, where this user and this filesystem can.
fn mark(path: &Path) {
    if lsetxattr(path, "user.mine", b"kept", XattrFlags::empty()).is_err() {
        println!("skipped: extended attributes, which are not to be had here");
    }
    if std::os::unix::fs::lchown(path, Some(12), Some(34)).is_err() {
        println!("skipped: another owner, which only root can give");
    }
}

#[test]
fn an_upgrade_goes_back_and_forth_as_often_as_one_likes() {
    let (Some(old), Some(new)) = (builds(11, 1), builds(12, 1)) else {
        return;
    };
    let scratch = Scratch::in_memory();
    let env = full_of_bound(&scratch, &old[0].path, 11);
    let site = env.join("lib/python3.11/site-packages");
    for marked in ["pip/__init__.py", "p05/inner.py", "pip"] {
        mark(&site.join(marked));
    }
    mark(&env.join("bin/activate"));
    let before = look(&env);
    let python = new[0].path.to_str().unwrap();
    // Its check would run a file of another user's.
    let upgrade = [
        "upgrade",
        "E",
        "--python",
        python,
        "--allow-lost",
        "--allow-other-owner",
    ];
    scratch.rvenv(&upgrade).ok();
    let after = look(&env);
    assert!(compare_switched(&before, &after).is_err());
    for _ in 0..2 {
        rollback(&scratch, &[]);
        compare_switched(&before, &look(&env)).unwrap();
        rollback(&scratch, &[]);
        compare_switched(&after, &look(&env)).unwrap();
    }
    assert_eq!(generations(&scratch), ["old-1"]);
    rollback(
        &scratch,
        &[
            "--allow-other-owner",
            "--check",
            "p07",
            "--check",
            "python -c 'import p11'",
        ],
    );
    works(&scratch, &env);
    // Going forward would take the packages away, which this check does not accept.
    let before = look(&env);
    let words = [
        "rollback",
        "E",
        "--allow-other-owner",
        "--check",
        "python -c 'import p11'",
    ];
    scratch.rvenv(&words).failed(1);
    compare_switched(&before, &look(&env)).unwrap();
    // Of what was published nothing differs but the owners that the test gave away.
    let found = scratch.rvenv(&["verify", "E", "-v"]);
    let lines = found.stdout.lines().filter(|line| line.starts_with("  `"));
    let (owners, others): (Vec<_>, Vec<_>) = lines.partition(|line| line.contains("belongs to"));
    assert!(!owners.is_empty(), "{}", found.stdout);
    assert_eq!(others, [""; 0], "{}", found.stdout);
}

#[test]
fn what_changed_meanwhile_is_named_and_put_aside() {
    let Some(found) = builds(11, 2) else { return };
    let scratch = Scratch::in_memory();
    let path = |at: usize| found[at].path.to_str().unwrap();
    scratch.rvenv(&["create", "E", "--python", path(0)]).ok();
    let env = scratch.path("E");
    let before = look(&env);
    scratch.rvenv(&["upgrade", "E", "--python", path(1)]).ok();
    let config = env.join("pyvenv.cfg");
    let edited = fs::read_to_string(&config).unwrap() + "mine = true\n";
    fs::write(&config, &edited).unwrap();
    fs::write(env.join("notes"), "mine").unwrap();
    let ended = scratch.rvenv(&["rollback", "E"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let said = ended.stderr;
    assert!(said.contains("1 other path (pyvenv.cfg)"), "{said}");
    assert!(
        !said.contains("notes"),
        "what is not in the way stays: {said}"
    );
    assert_eq!(fs::read_to_string(env.join("notes")).unwrap(), "mine");
    fs::remove_file(env.join("notes")).unwrap();
    compare_switched(&before, &look(&env)).unwrap();
    // What was put aside is not lost: it is what going forward brings.
    rollback(&scratch, &[]);
    assert_eq!(fs::read_to_string(&config).unwrap(), edited);
}

#[test]
fn a_cleared_environment_comes_back_in_one_exchange() {
    let Some(found) = builds(11, 1) else { return };
    let scratch = Scratch::in_memory();
    let python = found[0].path.to_str().unwrap();
    let env = full(&scratch, &found[0].path, 11, &[]);
    mark(&env.join("lib/python3.11/site-packages/p05/inner.py"));
    let exact = || (look(&env), tree(&env));
    let before = exact();
    scratch
        .rvenv(&["create", "E", "--clear", "--keep", "--python", python])
        .ok();
    let after = exact();
    assert!(!after.1.keys().any(|path| path.contains("p05")));
    let turns = [(&after, &before), (&before, &after), (&after, &before)];
    for (there, back) in turns {
        assert_ne!(there.1[""].inode, back.1[""].inode);
        rollback(&scratch, &[]);
        // The very objects, times of directories too: nothing in the tree was moved, made or
        // written.
        let (looked, sight) = exact();
        compare(&back.0, &looked, Sameness::Exact).unwrap();
        assert!(sight == back.1, "an object was replaced by its like");
    }
    works(&scratch, &env);
    assert_eq!(generations(&scratch), [".E.rvenv.old-1"]);

    // What came out of a generation is known by its identity alone: what is written to it goes, and
    // comes back, with it.
    fs::write(env.join("notes"), "mine").unwrap();
    rollback(&scratch, &[]);
    assert!(!env.join("notes").exists());
    rollback(&scratch, &[]);
    assert_eq!(fs::read_to_string(env.join("notes")).unwrap(), "mine");
}

#[test]
fn of_several_generations_the_newest_comes_back() {
    let Some(found) = builds(11, 2) else { return };
    let scratch = Scratch::in_memory();
    let path = |at: usize| found[at].path.to_str().unwrap();
    scratch
        .rvenv(&["create", "E", "--python", path(0), "--without-pip"])
        .ok();
    let env = scratch.path("E");
    let said = scratch.rvenv(&["rollback", "E"]).failed(3);
    assert!(said.contains("has no generation to roll back to"), "{said}");
    let mut seen = vec![look(&env)];
    for at in [1, 0] {
        scratch
            .rvenv(&["upgrade", "E", "--without-pip", "--python", path(at)])
            .ok();
        seen.push(look(&env));
    }
    let clear = [
        "create",
        "E",
        "--clear",
        "--keep",
        "--without-pip",
        "--python",
        path(1),
    ];
    scratch.rvenv(&clear).ok();
    seen.push(look(&env));
    // Those of the entries went with the tree that holds them, and come back with it.
    assert_eq!(generations(&scratch), [".E.rvenv.old-3"]);
    rollback(&scratch, &[]);
    compare(&seen[2], &look(&env), Sameness::Exact).unwrap();
    assert_eq!(generations(&scratch), [".E.rvenv.old-3", "old-1", "old-2"]);
    rollback(&scratch, &[]);
    compare(&seen[3], &look(&env), Sameness::Exact).unwrap();
    assert_eq!(generations(&scratch), [".E.rvenv.old-3"]);
}
