//! Links: `--clear` goes through one symbolic link, to an environment of the user's that it may
//! replace.

use std::fs;
use std::os::unix::fs::{lchown, symlink};

use crate::machine::{ended, tree};
use crate::sandbox::{OTHER_USER, Sandbox, sandbox};

/// A sandbox with the environment `envs/E` and the link `project/.venv` to it.
fn linked() -> Option<Sandbox> {
    let sandbox = sandbox()?;
    fs::create_dir_all(sandbox.path("project")).unwrap();
    sandbox.create(&["envs/E"]).ok();
    symlink("../envs/E", sandbox.path("project/.venv")).unwrap();
    Some(sandbox)
}

/// The command fails with 3, and the environment is as it was; the lock beside it comes and goes.
#[track_caller]
fn refused(sandbox: &Sandbox, words: &[&str]) -> String {
    let before = tree(&sandbox.path("envs/E"));
    let said = ended(&mut sandbox.command(words)).failed(3);
    assert!(before == tree(&sandbox.path("envs/E")), "{said}");
    said
}

/// I6: the plan and the result name the real path of what is replaced.
#[test]
fn where_a_link_leads_is_named_by_the_plan_and_by_the_result() {
    let Some(sandbox) = linked() else { return };
    let place = "(a symbolic link to `";
    let planned = sandbox.verb("plan", &["--clear", "--prompt", "q", "project/.venv"]);
    assert!(planned.stdout.contains(place), "{}", planned.stdout);
    let replaced = sandbox.create(&["--clear", "--prompt", "q", "project/.venv"]);
    assert_eq!(replaced.code, Some(0), "{}", replaced.stderr);
    assert!(replaced.stderr.contains(place), "{}", replaced.stderr);
    assert!(replaced.stderr.contains("envs/E`"), "{}", replaced.stderr);
    assert!(sandbox.path("project/.venv").is_symlink());
    sandbox.works("project/.venv");
}

/// I6: a link of a checkout leads to no other link.
#[test]
fn one_link_is_followed_and_no_second() {
    let Some(sandbox) = linked() else { return };
    symlink("project/.venv", sandbox.path("second")).unwrap();
    for words in [
        &["create", "--clear", "second"][..],
        &["create", "--prompt", "q", "second"],
        &["plan", "--clear", "second"],
    ] {
        let said = refused(&sandbox, words);
        assert!(said.contains("only one is followed"), "{said}");
    }
}

/// I6: `.venv` must not mean the directory in which the user works.
#[test]
fn a_link_to_the_working_directory_or_above_it_is_cleared_by_force_only() {
    let Some(sandbox) = linked() else { return };
    fs::create_dir(sandbox.path("envs/E/inner")).unwrap();
    symlink("../../E", sandbox.path("envs/E/inner/.venv")).unwrap();
    let clear = |more: &[&str]| {
        let words = [&["create", "--clear", ".venv"], more].concat();
        let mut command = sandbox.command(&words);
        ended(command.current_dir(sandbox.path("envs/E/inner")))
    };
    let before = tree(&sandbox.path("envs/E"));
    let said = clear(&[]).failed(3);
    assert!(
        said.contains("is the working directory or above it"),
        "{said}"
    );
    assert!(said.contains("--force"), "{said}");
    assert!(before == tree(&sandbox.path("envs/E")));
    clear(&["--force"]).ok();
    assert!(!sandbox.path("envs/E/inner").exists());
}

/// I6: root clears through a link what belongs to root.
#[test]
fn a_link_to_an_environment_of_another_user_is_cleared_by_force_only() {
    let Some(sandbox) = linked() else { return };
    if lchown(sandbox.path("envs/E"), Some(OTHER_USER), None).is_err() {
        println!("skipped: only root gives a directory to another user");
        return;
    }
    for words in [
        &["create", "--clear", "project/.venv"][..],
        &["plan", "--clear", "project/.venv"],
    ] {
        let said = refused(&sandbox, words);
        assert!(said.contains("belongs to user 65534"), "{said}");
    }
    sandbox
        .create(&["--clear", "--force", "project/.venv"])
        .ok();
}
