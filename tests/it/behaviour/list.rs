//! `rvenv list`: the environments below a directory, of any tool, and what could not be read.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::behaviour::cli::{played, with_player};
use crate::machine::{Scratch, any_python, ended};
use crate::trees::{Sameness, compare, look};

/// The first words of each line.
fn names(text: &str) -> Vec<&str> {
    let first = text.lines().map(|line| line.split_whitespace().next());
    first.map(Option::unwrap).collect()
}

fn make(scratch: &Scratch, env: &str) {
    with_player(scratch, "create", &[env]).ok();
}

#[test]
fn environments_are_listed_with_python_packages_size_age_and_health() {
    let scratch = played();
    make(&scratch, "a/one");
    make(&scratch, "two");
    fs::write(scratch.path("two/blob"), vec![7; 2_000_000]).unwrap();
    fs::remove_file(scratch.path("two/bin/activate")).unwrap();
    let before = look(&scratch.path(""));
    let listed = scratch.rvenv(&["list"]);
    assert_eq!(listed.stderr, "");
    let text = listed.ok();
    assert_eq!(names(&text), ["a/one", "two"]);
    for (line, size) in text.lines().zip(["kB", "MB"]) {
        let facts: Vec<&str> = line
            .split("  ")
            .map(str::trim)
            .filter(|fact| !fact.is_empty())
            .collect();
        assert_eq!(facts[1..3], ["Python 3.13.0", "0 packages"], "{line}");
        assert!(facts[3].ends_with(size), "{line}");
        assert!(facts[4].ends_with(" ago"), "{line}");
    }
    let json = scratch.rvenv(&["list", "--json", "."]).ok();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let path = scratch.path("two").display().to_string();
    let two = &json["environments"][1];
    assert_eq!(two["path"], path);
    assert_eq!(two["python"], "3.13.0");
    assert!(two["bytes"].as_u64().unwrap() > 2_000_000);
    assert_eq!(
        (&json["format"], &json["complete"]),
        (&1.into(), &true.into())
    );
    compare(&before, &look(&scratch.path("")), Sameness::Exact).unwrap();
}

#[test]
fn environments_of_other_tools_are_listed_and_one_without_its_base_is_named() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::new();
    scratch
        .run(&python.path, &["-m", "venv", "--without-pip", "venv"])
        .ok();
    let config = fs::read_to_string(scratch.path("venv/pyvenv.cfg")).unwrap();
    let text = scratch.rvenv(&["list"]).ok();
    assert!(text.trim_end().ends_with("clean"), "{text}");
    let line = config
        .lines()
        .find(|line| line.starts_with("home = "))
        .unwrap();
    let lost = config.replace(line, "home = /absent/bin");
    fs::write(scratch.path("venv/pyvenv.cfg"), lost).unwrap();
    fs::remove_file(scratch.path("venv/bin/python")).ok();
    symlink("/absent/bin/python", scratch.path("venv/bin/python")).unwrap();
    let text = scratch.rvenv(&["list"]).ok();
    assert!(text.contains("base lost"), "{text}");
}

/// I6: no link is followed, and nothing that rvenv keeps is mistaken for an environment.
#[test]
fn links_inner_environments_generations_and_repositories_are_not_searched() {
    let scratch = played();
    make(&scratch, "one");
    make(&scratch, "one/inner");
    make(&scratch, "elsewhere/two");
    make(&scratch, "search/.git/three");
    with_player(
        &scratch,
        "create",
        &["one", "--clear", "--force", "--keep", "--prompt", "p"],
    )
    .ok();
    let beside = fs::read_dir(scratch.path("")).unwrap();
    let mut kept = beside.map(|entry| entry.unwrap().path().join("pyvenv.cfg"));
    assert!(kept.any(|config| config.to_string_lossy().contains(".one.rvenv.") && config.exists()));
    symlink(scratch.path("elsewhere"), scratch.path("search/link")).unwrap();
    assert_eq!(
        names(&scratch.rvenv(&["list"]).ok()),
        ["elsewhere/two", "one"]
    );
    let none = scratch.rvenv(&["list", "search"]);
    let said = format!(
        "No environment is in or below `{}`\n",
        scratch.path("search").display()
    );
    assert_eq!(
        (none.stderr.as_str(), none.stdout.as_str()),
        (said.as_str(), "")
    );
    assert_eq!(names(&scratch.rvenv(&["list", "one"]).ok()), ["."]);
}

#[test]
fn a_directory_that_cannot_be_read_is_skipped_and_named() {
    let scratch = played();
    make(&scratch, "one");
    fs::create_dir(scratch.path("closed")).unwrap();
    fs::set_permissions(scratch.path("closed"), fs::Permissions::from_mode(0o0)).unwrap();
    let mut command = scratch.command(&["list"]);
    if rustix::process::geteuid().is_root() {
        use std::os::unix::process::CommandExt as _;
        command.uid(65534).env_remove("RVENV_CACHE_DIR");
    }
    let listed = ended(&mut command);
    fs::set_permissions(scratch.path("closed"), fs::Permissions::from_mode(0o755)).unwrap();
    let closed = scratch.path("closed").display().to_string();
    let said = format!("warning: skipped `{closed}`, which cannot be read: Permission denied");
    assert!(listed.stderr.contains(&said), "{}", listed.stderr);
    assert_eq!(names(&listed.ok()), ["one"]);
}
