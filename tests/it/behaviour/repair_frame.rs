//! `rvenv repair` of environments that were moved or copied, or whose base is gone, whichever tool
//! made them.
//!
//! After each repair every script starts, `verify` says that nothing is damaged, and a second
//! repair finds nothing to do. Read next: `verify_frame.rs`, which names the same states.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::machine::{Ended, Python, Scratch, any_python, ended, player, tool, tree};
use crate::packages::index;
use crate::warm;

/// Makes the environment `E`, with the package `p1` in it.
type Maker = fn(&Scratch, &Python, &Path) -> bool;

/// Installs the package with pip; `tool` made the environment.
fn install(scratch: &Scratch, tool: &str, index: &Path) {
    warm::installed(&scratch.path("E"), tool, || {
        let words = ["-m", "pip", "install", "-q", "--no-index", "--find-links"];
        let words = [&words[..], &[index.to_str().unwrap(), "p1"]].concat();
        scratch.run(&scratch.path("E/bin/python"), &words).ok();
    });
}

fn by_rvenv(scratch: &Scratch, python: &Python, index: &Path) -> bool {
    let path = python.path.to_str().unwrap();
    scratch.rvenv(&["create", "E", "-p", path]).ok();
    install(scratch, "rvenv", index);
    true
}

fn by_venv(scratch: &Scratch, python: &Python, index: &Path) -> bool {
    warm::venv(scratch, python, "E");
    install(scratch, "venv", index);
    true
}

fn by_virtualenv(scratch: &Scratch, python: &Python, index: &Path) -> bool {
    let Some(virtualenv) = tool("virtualenv") else {
        return false;
    };
    let path = python.path.to_str().unwrap();
    scratch.run(&virtualenv, &["-q", "-p", path, "E"]).ok();
    install(scratch, "virtualenv", index);
    true
}

fn by_uv(scratch: &Scratch, python: &Python, index: &Path) -> bool {
    let Some(uv) = tool("uv") else {
        return false;
    };
    let path = python.path.to_str().unwrap();
    let run = |words: &[&str]| scratch.run(&uv, words).ok();
    run(&["venv", "-q", "--offline", "-p", path, "E"]);
    let from = ["--no-index", "--find-links", index.to_str().unwrap()];
    let install = ["pip", "install", "-q", "--offline", "-p", "E/bin/python"];
    run(&[&install[..], &from, &["p1"]].concat());
    true
}

const MAKERS: [Maker; 4] = [by_rvenv, by_venv, by_virtualenv, by_uv];

/// An environment `E` by each tool, one after the other.
fn for_each_tool(check: impl Fn(&Scratch, &Python)) {
    let Some(python) = any_python() else { return };
    for make in MAKERS {
        let scratch = Scratch::in_memory();
        let index = index(&scratch, &python.path, &[("p1", "1.0"), ("p1", "2.0")]);
        fs::remove_file(index.join("p1-2.0-py3-none-any.whl")).unwrap();
        if make(&scratch, &python, &index) {
            check(&scratch, &python);
        }
    }
}

#[track_caller]
fn state(scratch: &Scratch, env: &str) -> String {
    let ended = scratch.rvenv(&["verify", "--json", env]);
    let said: Value = serde_json::from_str(&ended.stdout).unwrap();
    said["state"].as_str().unwrap().to_owned()
}

/// Every script of an environment starts; of equal ones, such as `pip` and `pip3`, the first.
#[track_caller]
fn scripts_start(scratch: &Scratch, env: &str) {
    let mut started = Vec::new();
    for entry in fs::read_dir(scratch.path(env).join("bin")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read(&path).unwrap();
        let is_program = path.metadata().unwrap().permissions().mode() & 0o111 != 0;
        if !is_program || !text.starts_with(b"#!") {
            continue;
        }
        if started.contains(&text) {
            continue;
        }
        started.push(text);
        let mut program = scratch.program(&path, "022");
        program.arg("--version").env("PYTHONDONTWRITEBYTECODE", "1");
        let ended = ended(&mut program);
        assert_eq!(ended.code, Some(0), "{}: {}", path.display(), ended.stderr);
    }
    let said = scratch
        .run(&scratch.path(env).join("bin/p1"), &[""; 0])
        .ok();
    assert_eq!(said.trim(), "p1 1.0");
}

/// Repairs `env`, and looks at what a repair promises.
#[track_caller]
fn repaired(scratch: &Scratch, env: &str, flags: &[&str]) -> Ended {
    let before = tree(&scratch.path(env));
    let words = [&["repair", env][..], flags].concat();
    shown(scratch, &words);
    assert!(before == tree(&scratch.path(env)), "a dry run wrote");
    let ended = scratch.rvenv(&words);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let said = scratch.rvenv(&["verify", env]);
    assert_eq!(said.code, Some(0), "{}", said.stdout);
    let before = tree(&scratch.path(env));
    let again = scratch.rvenv(&words);
    assert!(again.stderr.contains("no changes"), "{}", again.stderr);
    assert!(
        before == tree(&scratch.path(env)),
        "the second repair wrote"
    );
    ended
}

/// A dry run, which starts only an interpreter that the search finds; returns its story.
#[track_caller]
fn shown(scratch: &Scratch, words: &[&str]) -> String {
    let found = any_python().unwrap();
    let dirs = [
        found.path.parent().unwrap().display().to_string(),
        ".:/usr/bin:/bin".to_owned(),
    ];
    let mut command = scratch.command(&[words, &["--dry-run"]].concat());
    let ended = ended(command.env("PATH", dirs.join(":")));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.stderr
}

/// What `activate` of an environment says, and the program that its name starts then.
fn activated(scratch: &Scratch, env: &str) -> String {
    let line = format!(". {env}/bin/activate && echo $VIRTUAL_ENV && command -v p1");
    scratch.run(Path::new("/bin/bash"), &["-c", &line]).ok()
}

#[test]
fn a_moved_environment_works_in_its_new_place_whichever_tool_made_it() {
    for_each_tool(|scratch, _| {
        fs::rename(scratch.path("E"), scratch.path("F")).unwrap();
        assert_eq!(state(scratch, "F"), "moved");
        let ended = repaired(scratch, "F", &[]);
        let (old, new) = (scratch.path("E"), scratch.path("F"));
        let story = format!(
            "It was made for `{}`, and works at `{}` now\n",
            old.display(),
            new.display()
        );
        assert!(ended.stderr.contains(&story), "{}", ended.stderr);
        assert_eq!(state(scratch, "F"), "clean");
        scripts_start(scratch, "F");
        let expected = format!("{0}\n{0}/bin/p1\n", new.display());
        assert_eq!(activated(scratch, "F"), expected);
        // Nothing names the old place any more, except what no installer follows.
        for (path, _) in tree(&new) {
            let bytes = fs::read(new.join(&path)).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            let is_kept = path.starts_with(".rvenv") || path.contains("__pycache__");
            let names = text.contains(&format!("{}/", old.display()));
            assert!(is_kept || !names, "{path} names the old place");
        }
        // Back again, and everything that was there is as it was.
        fs::rename(&new, &old).unwrap();
        repaired(scratch, "E", &[]);
        scripts_start(scratch, "E");
    });
}

#[test]
fn a_path_that_no_first_line_can_hold_is_written_for_a_shell() {
    for_each_tool(|scratch, _| {
        let long = format!("a b/{}", "l".repeat(150));
        fs::create_dir_all(scratch.path(&long)).unwrap();
        let env = format!("{long}/F");
        fs::rename(scratch.path("E"), scratch.path(&env)).unwrap();
        repaired(scratch, &env, &[]);
        scripts_start(scratch, &env);
        fs::rename(scratch.path(&env), scratch.path("E")).unwrap();
        repaired(scratch, "E", &[]);
        scripts_start(scratch, "E");
    });
}

#[test]
fn a_copy_works_without_the_environment_that_it_was_copied_from() {
    for_each_tool(|scratch, _| {
        let (one, other) = (scratch.path("E"), scratch.path("F"));
        let copied = Command::new("cp").arg("-a").arg(&one).arg(&other).status();
        assert!(copied.unwrap().success());
        let before = tree(&one);
        let ended = repaired(scratch, "F", &[]);
        let story = format!("It is a copy of `{}`, which is not touched;", one.display());
        assert!(ended.stderr.contains(&story), "{}", ended.stderr);
        assert!(before == tree(&one), "the original was touched");
        fs::rename(&one, scratch.path("away")).unwrap();
        scripts_start(scratch, "F");
    });
}

/// What a repair publishes of packages stays the business of their installer.
#[test]
fn a_package_can_be_uninstalled_after_a_repair() {
    for_each_tool(|scratch, _| {
        fs::rename(scratch.path("E"), scratch.path("F")).unwrap();
        repaired(scratch, "F", &[]);
        let python = scratch.path("F/bin/python");
        if !scratch.path("F/bin/pip").exists() {
            return;
        }
        let words = ["-m", "pip", "uninstall", "-q", "-y", "p1"];
        scratch.run(&python, &words).ok();
        let said = scratch.rvenv(&["verify", "F"]);
        assert_eq!(said.code, Some(0), "{}", said.stdout);
    });
}

#[test]
fn an_editable_install_from_inside_is_named_and_left() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::in_memory();
    let path = python.path.to_str().unwrap();
    let words = ["create", "E", "-p", path, "--without-pip"];
    scratch.rvenv(&words).ok();
    let minor = python.version.1;
    let editable = format!("lib/python3.{minor}/site-packages/mine.pth");
    let text = format!("{}/src/mine\n", scratch.path("E").display());
    fs::write(scratch.path("E").join(&editable), &text).unwrap();
    fs::rename(scratch.path("E"), scratch.path("F")).unwrap();
    let said = shown(&scratch, &["repair", "F"]);
    assert!(
        said.contains(&format!("Left `{editable}` as it is")),
        "{said}"
    );
    assert_eq!(
        fs::read_to_string(scratch.path("F").join(&editable)).unwrap(),
        text
    );
}

/// A base installation of its own, which can be removed: `base/bin/python3.N`.
fn private(scratch: &Scratch, python: &Python) -> PathBuf {
    let bin = scratch.path("base/bin");
    fs::create_dir_all(&bin).unwrap();
    let path = bin.join(format!("python3.{}", python.version.1));
    symlink(python.path.canonicalize().unwrap(), &path).unwrap();
    path
}

/// Loses the base of `E`, after `before`; the search finds `python` in its place, or nothing.
fn base_lost(before: impl Fn(&Scratch), flags: &[&str]) {
    let Some(python) = any_python() else { return };
    for make in MAKERS {
        let scratch = Scratch::in_memory();
        let index = index(&scratch, &python.path, &[("p1", "1.0")]);
        let own = Python {
            path: private(&scratch, &python),
            version: python.version,
        };
        if !make(&scratch, &own, &index) {
            continue;
        }
        before(&scratch);
        let env = if scratch.path("E").exists() { "E" } else { "F" };
        let gone = scratch.path("base");
        let names_base = || {
            let config = fs::read_to_string(scratch.path(env).join("pyvenv.cfg")).unwrap();
            config.contains(gone.to_str().unwrap())
        };
        if !names_base() {
            // virtualenv follows the links of a base, so its environment does not lose this one.
            continue;
        }
        fs::remove_dir_all(&gone).unwrap();
        assert_eq!(state(&scratch, env), "base lost");
        let named = python.path.to_str().unwrap();
        let flags: Vec<&str> = flags
            .iter()
            .map(|f| f.replace("PATH", named).leak() as &str)
            .collect();
        let ended = repaired(&scratch, env, &flags);
        let story = "Its base is Python 3.";
        assert!(ended.stderr.contains(story), "{}", ended.stderr);
        scripts_start(&scratch, env);
        assert!(!names_base());
    }
}

#[test]
fn a_lost_base_is_replaced_by_the_one_that_is_named() {
    base_lost(|_| {}, &["--python", "PATH"]);
}

#[test]
fn an_environment_that_was_moved_and_lost_its_base_is_mended_in_one_transaction() {
    let moved = |scratch: &Scratch| {
        fs::rename(scratch.path("E"), scratch.path("F")).unwrap();
    };
    base_lost(moved, &["--python", "PATH"]);
}

/// As [`player`], with another patch of Python 3.13.
fn patch(scratch: &Scratch, name: &str, micro: u32) -> PathBuf {
    let path = player(scratch, name);
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replace("\"micro\":0", &format!("\"micro\":{micro}"));
    fs::write(&path, text.replace("3.13.0", &format!("3.13.{micro}"))).unwrap();
    path
}

#[test]
fn without_a_name_the_newest_patch_of_the_same_minor_version_becomes_the_base() {
    let scratch = Scratch::in_memory();
    for dir in ["one", "two", "three"] {
        fs::create_dir(scratch.path(dir)).unwrap();
    }
    let own = patch(&scratch, "one/python3.13", 1);
    patch(&scratch, "two/python3.13", 2);
    patch(&scratch, "three/python3.13", 7);
    let words = ["create", "E", "-p", own.to_str().unwrap(), "--without-pip"];
    scratch.rvenv(&words).ok();
    fs::remove_file(&own).unwrap();
    let search = format!(
        "{}:{}:/usr/bin:/bin",
        scratch.path("two").display(),
        scratch.path("three").display()
    );
    let repair = |flags: &[&str]| {
        let mut command = scratch.command(&[&["repair", "E"], flags].concat());
        ended(command.env("PATH", &search))
    };
    let said = repair(&["--dry-run"]).stderr;
    let three = scratch.path("three/python3.13");
    let story = format!("Its base is Python 3.13.7 at `{}` now: ", three.display());
    assert!(said.contains(&story), "{said}");
}

#[test]
fn another_minor_version_is_the_business_of_an_upgrade() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::in_memory();
    player(&scratch, "python");
    let words = ["create", "E", "-p", "./python", "--without-pip"];
    scratch.rvenv(&words).ok();
    if python.version == (3, 13) {
        return;
    }
    for lose in [false, true] {
        if lose {
            fs::remove_file(scratch.path("python")).unwrap();
        }
        let before = tree(&scratch.path("E"));
        let words = ["repair", "E", "-p", python.path.to_str().unwrap()];
        let said = scratch.rvenv(&words).failed(3);
        assert!(said.contains("is an environment of python3.13"), "{said}");
        assert!(said.contains("rvenv upgrade"), "{said}");
        assert!(before == tree(&scratch.path("E")), "something was touched");
    }
}

/// The interpreter of the environment decides, not what was planned.
#[test]
fn a_repair_whose_check_fails_is_undone() {
    for_each_tool(|scratch, _| {
        fs::rename(scratch.path("E"), scratch.path("F")).unwrap();
        let before = tree(&scratch.path("F"));
        scratch
            .rvenv(&["repair", "F", "--check", "exit 7"])
            .failed(1);
        let kinds = |tree: &std::collections::BTreeMap<String, crate::machine::Entry>| {
            let kept = tree.iter().filter(|(path, _)| !path.is_empty());
            let kept = kept.map(|(path, entry)| (path.clone(), entry.kind.clone(), entry.mode));
            kept.collect::<Vec<_>>()
        };
        assert!(kinds(&before) == kinds(&tree(&scratch.path("F"))));
        assert_eq!(state(scratch, "F"), "moved");
    });
}
