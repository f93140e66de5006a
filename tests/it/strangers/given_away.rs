//! An environment that is given to another user gives them the inodes of the store.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};

use crate::machine::{Ended, Python, Scratch, any_python};
use crate::strangers::users::{STRANGER, dir_of, give, is_root, stranger_runs};

/// The evil program has the length of what it replaces.
const EVIL: &str = "import os; os.system('id')";

fn with_pip() -> Option<(Scratch, Python)> {
    if !is_root() {
        return None;
    }
    any_python().map(|python| (Scratch::cold(), python))
}

fn create(scratch: &Scratch, python: &Python, env: &str) -> Ended {
    scratch.rvenv(&["create", "-p", python.path.to_str().unwrap(), env])
}

fn pip_of(scratch: &Scratch, env: &str) -> PathBuf {
    let lib = fs::read_dir(scratch.path(env).join("lib")).unwrap();
    let mut lib = lib.map(|entry| entry.unwrap().path());
    lib.next().unwrap().join("site-packages/pip/__init__.py")
}

/// Edits a file in place as the stranger, who then sets the time back.
fn edited_by_stranger(file: &Path) {
    let before = fs::metadata(file).unwrap();
    let (shown, time) = (file.display(), before.mtime());
    stranger_runs(&format!(
        "printf %s \"{EVIL}\" | dd of='{shown}' conv=notrunc status=none; touch -d @{time} '{shown}'"
    ));
    let after = fs::metadata(file).unwrap();
    assert_eq!(
        (before.len(), before.mtime(), before.ino()),
        (after.len(), after.mtime(), after.ino())
    );
    assert!(fs::read_to_string(file).unwrap().starts_with(EVIL));
}

/// Everything in an environment that does not belong to root.
fn foreign(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(path) = open.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            let below = fs::read_dir(&path).unwrap();
            open.extend(below.map(|entry| entry.unwrap().path()));
        }
        if meta.uid() != 0 {
            found.push(path);
        }
    }
    found
}

#[test]
fn what_was_given_away_and_edited_reaches_no_new_environment() {
    let Some((scratch, python)) = with_pip() else {
        return;
    };
    create(&scratch, &python, "A").ok();
    let right = fs::read(pip_of(&scratch, "A")).unwrap();
    fs::create_dir(scratch.path("u")).unwrap();
    fs::rename(scratch.path("A"), scratch.path("u/env")).unwrap();
    give(&scratch.path("u"), STRANGER);
    edited_by_stranger(&pip_of(&scratch, "u/env"));
    create(&scratch, &python, "B").ok();
    assert!(foreign(&scratch.path("B")).is_empty());
    assert!(fs::read(pip_of(&scratch, "B")).unwrap() == right);
    // The store serves again, with files of root's.
    create(&scratch, &python, "C").ok();
    assert!(foreign(&scratch.path("C")).is_empty());
    assert!(fs::metadata(pip_of(&scratch, "C")).unwrap().nlink() > 1);
    scratch.rvenv(&["cache", "verify"]).ok();
    scratch.rvenv(&["verify", "C"]).ok();
}

/// Owner, length, mode and mtime are unchanged; only the ctime differs.
#[test]
fn an_edit_between_two_changes_of_owner_reaches_no_new_environment() {
    let Some((scratch, python)) = with_pip() else {
        return;
    };
    create(&scratch, &python, "A").ok();
    let right = fs::read(pip_of(&scratch, "A")).unwrap();
    give(&scratch.path("A"), STRANGER);
    edited_by_stranger(&pip_of(&scratch, "A"));
    give(&scratch.path("A"), 0);
    for env in ["B", "C"] {
        create(&scratch, &python, env).ok();
        assert!(fs::read(pip_of(&scratch, env)).unwrap() == right, "{env}");
    }
    scratch.rvenv(&["cache", "verify"]).ok();
}

/// The same where another environment that shared the file is deleted meanwhile, so that links come
/// and go.
#[test]
fn an_edit_hides_behind_no_link_that_went() {
    let Some((scratch, python)) = with_pip() else {
        return;
    };
    create(&scratch, &python, "A").ok();
    create(&scratch, &python, "gone").ok();
    let right = fs::read(pip_of(&scratch, "A")).unwrap();
    give(&scratch.path("A"), STRANGER);
    edited_by_stranger(&pip_of(&scratch, "A"));
    give(&scratch.path("A"), 0);
    fs::remove_dir_all(scratch.path("gone")).unwrap();
    create(&scratch, &python, "B").ok();
    assert!(fs::read(pip_of(&scratch, "B")).unwrap() == right);
}

#[test]
fn verifying_the_cache_finds_what_belongs_to_another_user() {
    let Some((scratch, python)) = with_pip() else {
        return;
    };
    create(&scratch, &python, "A").ok();
    chown(pip_of(&scratch, "A"), Some(STRANGER), None).unwrap();
    let found = scratch.rvenv(&["cache", "verify", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&found.stdout).unwrap();
    found.failed(4);
    let faults = told["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 1, "{told}");
    assert_eq!(faults[0]["difference"], "owner");
    assert_eq!(faults[0]["deleted"], true);
    scratch.rvenv(&["cache", "verify"]).ok();
    create(&scratch, &python, "B").ok();
    assert!(foreign(&scratch.path("B")).is_empty());
    create(&scratch, &python, "C").ok();
    assert!(fs::metadata(pip_of(&scratch, "C")).unwrap().nlink() > 1);
}

/// An object that a foreign group may write counts as edited.
#[test]
fn an_object_of_another_group_is_not_linked() {
    let Some((scratch, python)) = with_pip() else {
        return;
    };
    create(&scratch, &python, "A").ok();
    chown(pip_of(&scratch, "A"), None, Some(STRANGER)).unwrap();
    create(&scratch, &python, "B").ok();
    assert_eq!(fs::metadata(pip_of(&scratch, "B")).unwrap().gid(), 0);
}

#[test]
fn verifying_an_environment_names_what_belongs_to_another_user() {
    let Some((scratch, python)) = with_pip() else {
        return;
    };
    create(&scratch, &python, "A").ok();
    scratch.rvenv(&["verify", "A"]).ok();
    let given = pip_of(&scratch, "A");
    chown(&given, Some(STRANGER), None).unwrap();
    let found = scratch.rvenv(&["verify", "A"]);
    let said = format!("belongs to user {STRANGER}, not to user 0 as the environment does");
    assert!(found.stdout.contains(&said), "{}", found.stdout);
    assert!(found.stdout.contains("pip/__init__.py"));
    found.failed(4);
    let told = scratch.rvenv(&["verify", "--json", "A"]);
    assert!(told.stdout.contains("\"owner\""), "{}", told.stdout);
    // The whole of it given away is another user's environment, and theirs to change.
    give(&scratch.path("A"), STRANGER);
    scratch.rvenv(&["verify", "A"]).ok();
}

#[test]
fn files_below_a_directory_of_another_user_are_copied() {
    let Some((scratch, python)) = with_pip() else {
        return;
    };
    create(&scratch, &python, "A").ok();
    dir_of(&scratch.path("u"), STRANGER, 0o755);
    for (env, below) in [("u/B", "u"), ("u/deep/er/C", "u")] {
        let made = create(&scratch, &python, env);
        let said = made.stderr.clone();
        made.ok();
        let shown = scratch.path(below);
        let line = format!("`{}` belongs to user {STRANGER}", shown.display());
        assert!(said.contains(&line), "{said}");
        assert!(said.contains("copied, not linked"), "{said}");
        assert_eq!(fs::metadata(pip_of(&scratch, env)).unwrap().nlink(), 1);
    }
    let said = create(&scratch, &python, "D");
    assert!(!said.stderr.contains("copied"), "{}", said.stderr);
    assert!(fs::metadata(pip_of(&scratch, "D")).unwrap().nlink() > 1);
}
