//! A command without a directory: `create` and `plan` take `.venv`, the others the environment
//! that they find.

use std::fs;
use std::os::unix::fs::lchown;

use crate::machine::{Ended, Scratch, ended, player};

/// A scratch directory with a script that plays the only Python.
fn lab() -> Scratch {
    let scratch = Scratch::cold();
    fs::create_dir_all(scratch.path("bin")).unwrap();
    fs::create_dir_all(scratch.path("project/src/deep")).unwrap();
    player(&scratch, "bin/python3");
    scratch
}

/// Runs a command in a directory, with an active environment if one is named.
fn run(scratch: &Scratch, dir: &str, active: Option<&str>, words: &[&str]) -> Ended {
    let mut command = scratch.command(words);
    command
        .current_dir(scratch.path(dir))
        .env("PATH", scratch.path("bin"));
    if let Some(active) = active {
        command.env("VIRTUAL_ENV", scratch.path(active));
    }
    ended(&mut command)
}

#[test]
fn create_and_plan_without_a_directory_take_the_venv_of_the_working_directory() {
    let scratch = lab();
    let planned = run(&scratch, "project", None, &["plan", "--without-pip"]).ok();
    let target = scratch.path("project/.venv");
    let first = format!("rvenv will create `{}`", target.display());
    assert_eq!(planned.lines().next(), Some(&*first));
    let made = run(&scratch, "project", None, &["create", "--without-pip"]);
    let said = made.stderr.clone();
    made.ok();
    assert!(
        said.starts_with("Created `.venv` with Python 3.13.0."),
        "{said}"
    );
    assert!(target.join("pyvenv.cfg").is_file());
    // Another one, although one exists above, and although another one is active.
    let below = ["create", "--without-pip"];
    run(&scratch, "project/src/deep", Some("project/.venv"), &below).ok();
    assert!(scratch.path("project/src/deep/.venv/pyvenv.cfg").is_file());
}

#[test]
fn a_command_on_an_environment_finds_it_here_or_above_and_names_it_unless_it_is_here() {
    let scratch = lab();
    run(&scratch, "project", None, &["create", "--without-pip"]).ok();
    let shown = scratch.path("project/.venv").display().to_string();
    let using = format!("Using `{shown}`, the nearest `.venv`\n");
    for words in [
        &["status"][..],
        &["generations"],
        &["verify"],
        &["recover"],
        &["repair", "--dry-run"],
        &["upgrade", "--dry-run", "--without-pip"],
        &["plan", "--upgrade", "--without-pip"],
        &["create", "--upgrade", "--dry-run", "--without-pip"],
        &["generations", "--prune"],
    ] {
        let here = run(&scratch, "project", None, words);
        assert_eq!(here.code, Some(0), "{words:?}: {}", here.stderr);
        assert!(!here.stderr.contains("Using"), "{}", here.stderr);
        let above = run(&scratch, "project/src/deep", None, words);
        assert_eq!(above.code, Some(0), "{words:?}: {}", above.stderr);
        assert!(
            above.stderr.starts_with(&using),
            "{words:?}: {}",
            above.stderr
        );
        assert!(!scratch.path("project/src/deep/.venv").exists());
    }
    let said = run(&scratch, "project", None, &["rollback"]).failed(3);
    assert!(said.contains("project/.venv"), "{said}");
}

#[test]
fn the_active_environment_comes_before_a_nearer_one_and_both_are_named() {
    let scratch = lab();
    for env in ["project/.venv", "active"] {
        run(&scratch, "", None, &["create", "--without-pip", env]).ok();
    }
    let status = run(&scratch, "project/src", Some("active"), &["status"]);
    let (active, near) = (scratch.path("active"), scratch.path("project/.venv"));
    let (active, near) = (active.display(), near.display());
    let expected = format!("Using the active environment `{active}`, not `{near}`\n");
    assert_eq!(status.stderr, expected);
    let first = format!("`{active}`: environment");
    assert_eq!(status.ok().lines().next(), Some(&*first));
    let status = run(&scratch, "", Some("active"), &["status"]);
    assert_eq!(
        status.stderr,
        format!("Using the active environment `{active}`\n")
    );
}

#[test]
fn without_an_environment_a_command_says_where_it_looked() {
    let scratch = lab();
    for command in ["status", "upgrade", "rollback", "recover", "verify"] {
        let said = run(&scratch, "project", None, &[command]).failed(3);
        let expected = "error[no-environment]: no environment is active, and there is no `.venv` here or above\n";
        assert!(said.starts_with(expected), "{command}: {said}");
        assert!(said.contains("hint: name one, or make one with `rvenv create`"));
    }
}

/// I6: what another user put above the working directory is read, and changed only if it is named.
#[test]
fn an_environment_of_another_user_is_found_by_commands_that_only_read() {
    let scratch = lab();
    run(&scratch, "project", None, &["create", "--without-pip"]).ok();
    if lchown(scratch.path("project/.venv"), Some(65534), None).is_err() {
        println!("skipped: only root gives a directory to another user");
        return;
    }
    for words in [&["status"][..], &["generations"]] {
        let read = run(&scratch, "project", None, words);
        assert_eq!(read.code, Some(0), "{words:?}: {}", read.stderr);
    }
    for words in [
        &["upgrade", "--without-pip"][..],
        &["repair"],
        &["rollback"],
        &["recover"],
        &["generations", "--prune"],
    ] {
        let said = run(&scratch, "project", None, words).failed(3);
        assert!(said.contains("belongs to user 65534"), "{words:?}: {said}");
        assert!(said.contains("hint: run as that user, or name "), "{said}");
    }
    run(&scratch, "project", None, &["recover", ".venv"]).ok();
}

#[test]
fn a_venv_without_its_configuration_is_not_passed_over() {
    let scratch = lab();
    for dir in ["project", "project/src"] {
        run(&scratch, dir, None, &["create", "--without-pip"]).ok();
    }
    let config = scratch.path("project/src/.venv/pyvenv.cfg");
    fs::remove_file(&config).unwrap();
    let said = run(&scratch, "project/src", None, &["verify"]).failed(4);
    assert!(!said.contains("Using"), "{said}");
    run(&scratch, "project/src", None, &["repair"]).ok();
    assert!(config.is_file());
}
