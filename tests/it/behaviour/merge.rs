//! `rvenv create` over an existing directory: an environment is changed entry by entry, any other
//! directory only gets what it lacks.
//!
//! The same holds for environments by rvenv and by the interpreter's own venv. Nothing is written
//! where nothing changes. Read next: `upgrade.rs`, where the interpreter changes too.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::machine::{self, Ended, Entry, Scratch, any_python, ended, player, tree};

/// The objects of a tree that were not there before, or are others now, by path.
fn changed(before: &BTreeMap<String, Entry>, after: &BTreeMap<String, Entry>) -> Vec<String> {
    let is_dir = |entry: &Entry| entry.kind == machine::Kind::Dir;
    let same = |path: &String, entry: &Entry| {
        let old = before.get(path);
        old.is_some_and(|old| old == entry || (is_dir(old) && old.inode == entry.inode))
    };
    let new = after.iter().filter(|(path, entry)| !same(path, entry));
    let gone = before.keys().filter(|path| !after.contains_key(*path));
    let names = new.map(|(path, _)| path).chain(gone);
    names
        .filter(|path| !path.starts_with(".rvenv"))
        .cloned()
        .collect()
}

#[track_caller]
fn create(scratch: &Scratch, python: &Path, flags: &[&str]) -> String {
    let words = ["create", "E", "--python", python.to_str().unwrap()];
    let ended = scratch.rvenv(&[&words, flags].concat());
    ended.clone().ok();
    ended.stderr
}

/// Runs the command inside a directory, for `create .`.
fn create_here(scratch: &Scratch, at: &Path, python: &Path) -> Ended {
    let words = [
        "create",
        ".",
        "--without-pip",
        "--python",
        python.to_str().unwrap(),
    ];
    ended(scratch.command(&words).current_dir(at))
}

#[test]
fn over_its_own_environment_nothing_changes_and_nothing_is_written() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::in_memory();
    for flags in [
        &["--without-pip"][..],
        &[],
        &["--copies"],
        &["--prompt", "p q"],
    ] {
        create(&scratch, &python.path, flags);
        let before = tree(&scratch.path(""));
        let said = create(&scratch, &python.path, flags);
        assert_eq!(said, "`E` is up to date: no changes\n", "{flags:?}");
        let mut after = tree(&scratch.path(""));
        // The lock comes and goes beside the target.
        after.insert(String::new(), before[""].clone());
        assert!(before == after, "{flags:?}: something was written");
        fs::remove_dir_all(scratch.path("E")).unwrap();
    }
}

#[test]
fn an_environment_of_venv_becomes_one_of_rvenv_and_keeps_what_is_not_planned() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::in_memory();
    let env = scratch.path("E");
    let venv = ["-m", "venv", "--prompt", "mine", env.to_str().unwrap()];
    scratch.run(&python.path, &venv).ok();
    fs::write(env.join("notes"), "mine").unwrap();
    scratch.run(&env.join("bin/pip"), &["--version"]).ok();
    create(&scratch, &python.path, &[]);
    let pip = env.join("bin/pip");
    scratch.run(&pip, &["check"]).ok();
    assert_eq!(fs::read_to_string(env.join("notes")).unwrap(), "mine");
    scratch.rvenv(&["verify", "E"]).ok();
    let said = create(&scratch, &python.path, &[]);
    assert_eq!(said, "`E` is up to date: no changes\n");
    let cfg = fs::read_to_string(env.join("pyvenv.cfg")).unwrap();
    assert!(
        !cfg.contains("prompt"),
        "as venv, create takes the prompt from its flags: {cfg}"
    );
}

#[test]
fn other_options_change_the_configuration_and_no_more() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::in_memory();
    create(&scratch, &python.path, &[]);
    let env = scratch.path("E");
    let before = tree(&env);
    create(&scratch, &python.path, &["--system-site-packages"]);
    assert_eq!(changed(&before, &tree(&env)), ["pyvenv.cfg"]);
    let cfg = fs::read_to_string(env.join("pyvenv.cfg")).unwrap();
    assert!(
        cfg.contains("include-system-site-packages = true\n"),
        "{cfg}"
    );
    scratch.rvenv(&["verify", "E"]).ok();
}

#[test]
fn pip_comes_when_it_is_asked_for_and_stays_when_it_is_not() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::in_memory();
    create(&scratch, &python.path, &["--without-pip"]);
    let env = scratch.path("E");
    let before = tree(&env);
    create(&scratch, &python.path, &[]);
    scratch.run(&env.join("bin/pip"), &["--version"]).ok();
    let came = changed(&before, &tree(&env));
    let of_pip = |path: &String| path.contains("/pip") || path == "pyvenv.cfg";
    let others: Vec<_> = came.iter().filter(|path| !of_pip(path)).collect();
    let bundled = others.iter().all(|path| path.contains("site-packages/"));
    assert!(bundled, "{others:?}");
    create(&scratch, &python.path, &["--without-pip"]);
    scratch.run(&env.join("bin/pip"), &["--version"]).ok();
    scratch.rvenv(&["verify", "E"]).ok();
}

#[test]
fn a_project_gets_an_environment_and_keeps_every_file_of_its_own() {
    let scratch = Scratch::in_memory();
    let python = player(&scratch, "python");
    let project = scratch.path("project");
    for dir in ["src/pkg", "lib", "bin"] {
        fs::create_dir_all(project.join(dir)).unwrap();
    }
    let own = [
        (".gitignore", "target\n"),
        ("src/pkg/m.py", "x = 1\n"),
        ("lib/readme", "mine\n"),
        ("bin/tool", "#!/bin/sh\n"),
    ];
    for (path, text) in own {
        fs::write(project.join(path), text).unwrap();
    }
    let before = tree(&project);
    create_here(&scratch, &project, &python).ok();
    for (path, text) in own {
        assert_eq!(fs::read_to_string(project.join(path)).unwrap(), text);
        assert_eq!(tree(&project)[path], before[path], "{path}");
    }
    assert!(project.join("pyvenv.cfg").is_file());
    assert!(project.join("lib/python3.13/site-packages").is_dir());
    let again = create_here(&scratch, &project, &python);
    assert_eq!(again.stderr, "`.` is up to date: no changes\n");
    let said = scratch.rvenv(&["verify", "--json", "project"]);
    assert!(!said.stdout.contains("\"missing\""), "{}", said.stdout);
}

#[test]
fn a_project_with_a_file_where_the_environment_has_another_is_refused_by_its_name() {
    let scratch = Scratch::in_memory();
    let python = player(&scratch, "python");
    let project = scratch.path("project");
    fs::create_dir_all(project.join("bin")).unwrap();
    fs::write(project.join("bin/activate"), "mine\n").unwrap();
    fs::write(project.join("bin/python"), "mine too\n").unwrap();
    let before = tree(&project);
    let said = create_here(&scratch, &project, &python).failed(3);
    assert!(said.contains("bin/activate, bin/python\n"), "{said}");
    assert!(before == tree(&project), "something was touched");

    // A directory in the way of a file, and a file in the way of a directory.
    for (path, is_dir) in [("pyvenv.cfg", true), ("include", false)] {
        let project = scratch.path(path);
        fs::create_dir(&project).unwrap();
        let at = project.join(path);
        if is_dir {
            fs::create_dir(&at).unwrap();
        } else {
            fs::write(&at, "mine").unwrap();
        }
        let before = tree(&project);
        let said = create_here(&scratch, &project, &python).failed(3);
        assert!(said.contains(path), "{said}");
        assert!(before == tree(&project), "{path}: something was touched");
    }
}

#[test]
fn an_edited_file_that_is_replaced_can_be_had_back() {
    let scratch = Scratch::in_memory();
    let python = player(&scratch, "python");
    create(&scratch, &python, &["--without-pip"]);
    let env = scratch.path("E");
    let activate = env.join("bin/activate");
    fs::write(&activate, "# mine\n").unwrap();
    let said = create(&scratch, &python, &["--without-pip", "--no-keep"]);
    assert!(said.contains("as generation 1"), "{said}");
    assert_ne!(fs::read_to_string(&activate).unwrap(), "# mine\n");
    scratch.rvenv(&["rollback", "E"]).ok();
    assert_eq!(fs::read_to_string(&activate).unwrap(), "# mine\n");
}
