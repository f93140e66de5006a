//! `rvenv remove`: an environment is gone as a whole, or there.
//!
//! Read next: the engine's `tests/it/crash.rs`, which stops a removal at every step; `clear.rs`,
//! for the directories that are no environments.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::machine::{Scratch, any_python};
use crate::packages::packages_of;
use crate::trees::{Sameness, compare, look};

/// A scratch directory with the environment `E`.
fn lab() -> Option<Scratch> {
    let found = any_python()?;
    let scratch = Scratch::in_memory();
    let python = found.path.to_str().unwrap();
    let create = ["create", "E", "--without-pip", "--python", python];
    scratch.rvenv(&create).ok();
    Some(scratch)
}

/// The names beside the environment.
fn beside(scratch: &Scratch) -> Vec<String> {
    let entries = fs::read_dir(scratch.path("E").parent().unwrap()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with(".E.")).collect();
    names.sort();
    names
}

#[test]
fn what_is_removed_is_gone_with_its_generations() {
    let Some(scratch) = lab() else { return };
    scratch
        .rvenv(&["create", "E", "--clear", "--keep", "--without-pip"])
        .ok();
    assert_eq!(
        beside(&scratch),
        [".E.rvenv.old-1", ".E.rvenv.old-1.journal"]
    );
    let before = look(&scratch.path("E"));
    let said = scratch.rvenv(&["remove", "E", "--dry-run"]);
    assert!(
        said.stderr.contains("Would remove `E` (Python 3."),
        "{said:?}"
    );
    let said = scratch.rvenv(&["remove", "E", "--dry-run", "--json"]).ok();
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_ne!(said["environments"][0]["python"]["before"], Value::Null);
    assert_eq!(said["environments"][0]["python"]["after"], Value::Null);
    compare(&before, &look(&scratch.path("E")), Sameness::Exact).unwrap();
    let ended = scratch.rvenv(&["remove", "E"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("Removed `E` (Python 3."), "{ended:?}");
    assert!(
        ended.stderr.contains("Deleted 1 generation of it"),
        "{ended:?}"
    );
    assert!(!scratch.path("E").exists());
    assert_eq!(beside(&scratch), [] as [&str; 0]);
    let said = scratch.rvenv(&["remove", "E"]).failed(3);
    assert!(said.contains("does not exist"), "{said}");
}

#[test]
fn what_is_kept_comes_back_by_a_rollback() {
    let Some(scratch) = lab() else { return };
    let env = scratch.path("E");
    fs::write(env.join("notes"), "mine").unwrap();
    let before = look(&env);
    scratch.rvenv(&["remove", "E", "--keep"]).ok();
    assert!(!env.exists());
    let ended = scratch.rvenv(&["rollback", "E"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.stderr.contains("Go forward"), "{ended:?}");
    compare(&before, &look(&env), Sameness::Exact).unwrap();
    // No record of it is left, and there is nothing to go back to.
    assert_eq!(beside(&scratch), [] as [&str; 0]);
    scratch.rvenv(&["rollback", "E"]).failed(3);
}

#[test]
fn a_directory_that_is_no_environment_is_removed_by_force_only() {
    let Some(scratch) = lab() else { return };
    fs::create_dir(scratch.path("project")).unwrap();
    fs::write(scratch.path("project/main.py"), "print()").unwrap();
    let said = scratch.rvenv(&["remove", "project"]).failed(3);
    assert!(said.contains("hint: add `--force`"), "{said}");
    assert!(!said.contains("`--clear`"), "{said}");
    assert!(scratch.path("project/main.py").exists());
    scratch.rvenv(&["remove", "project", "--force"]).ok();
    assert!(!scratch.path("project").exists());
    // Nothing is lost with an empty one.
    fs::create_dir(scratch.path("empty")).unwrap();
    scratch.rvenv(&["remove", "empty"]).ok();
    assert!(!scratch.path("empty").exists());
}

#[test]
fn what_was_done_before_a_failure_is_in_the_json() {
    let Some(scratch) = lab() else { return };
    fs::write(scratch.path("file"), "").unwrap();
    let said = scratch.rvenv(&["recover", "E", "file", "--json"]);
    let said: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(said["error"]["code"], "bad-target");
    assert_eq!(said["environments"][0]["was_open"], false);
    let ended = scratch.rvenv(&["remove", "E", "absent", "--json"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(!scratch.path("E").exists());
    let said: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(said["error"]["code"], "no-environment");
    assert_eq!(said["environments"][0]["outcome"], "removed");
}

/// A link was typed for its name; the other commands that change an environment keep both.
#[test]
fn what_a_link_leads_to_is_removed_by_force_only() {
    let Some(scratch) = lab() else { return };
    symlink("E", scratch.path("L")).unwrap();
    let before = look(&scratch.path("E"));
    let shown = |name| scratch.path(name).display().to_string();
    for more in [&[][..], &["--keep"], &["--dry-run"]] {
        let said = scratch.rvenv(&[&["remove", "L"], more].concat()).failed(3);
        let what = format!(
            "error[unsafe-clear]: `{}` is a symbolic link to `{}`, ",
            shown("L"),
            shown("E")
        );
        assert!(said.starts_with(&what), "{said}");
        assert!(
            said.contains("hint: name the directory itself, or"),
            "{said}"
        );
    }
    compare(&before, &look(&scratch.path("E")), Sameness::Exact).unwrap();
    let no_pip = "--without-pip";
    scratch
        .rvenv(&["create", "L", "--clear", "--keep", no_pip])
        .ok();
    scratch.rvenv(&["rollback", "L"]).ok();
    scratch
        .rvenv(&["upgrade", "L", "--prompt", "p", no_pip])
        .ok();
    let said = scratch.rvenv(&["clone", "E", "L"]).failed(3);
    assert!(said.contains("`L` exists already"), "{said}");
    symlink("nowhere", scratch.path("D")).unwrap();
    let said = scratch.rvenv(&["clone", "E", "D"]).failed(3);
    assert!(said.contains("`D` exists already"), "{said}");
    let said = scratch.rvenv(&["remove", "D", "--force"]).failed(3);
    assert!(said.contains("error[bad-target]"), "{said}");
    assert_eq!(fs::read_link(scratch.path("L")).unwrap(), Path::new("E"));
    let ended = scratch.rvenv(&["remove", "L", "--force"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.stderr.contains("warning"), "{ended:?}");
    assert!(!scratch.path("E").exists());
    assert_eq!(beside(&scratch), [] as [&str; 0]);
}

/// What another process changed while this one waited for the lock is no part of its report.
#[test]
fn the_report_begins_with_what_was_there_when_the_lock_was_free() {
    let Some(scratch) = lab() else { return };
    let site = packages_of(&scratch.path("E"));
    let info = site.join("gone-1.0.dist-info");
    fs::create_dir(&info).unwrap();
    fs::write(info.join("RECORD"), "gone-1.0.dist-info/RECORD,,\n").unwrap();
    let (begun, release) = (scratch.path("begun"), scratch.path("release"));
    // The new environment has no `gone`, and the old one comes back.
    let check = format!(
        "touch '{}'; while [ ! -e '{}' ]; do sleep 0.05; done; exit 1",
        begun.display(),
        release.display()
    );
    let clear = ["create", "E", "--clear", "--without-pip"];
    let mut other = scratch.command(&[&clear[..], &["--check", &check]].concat());
    let mut other = other.stderr(Stdio::null()).spawn().unwrap();
    while !begun.exists() {
        std::thread::yield_now();
    }
    let mut command = scratch.command(&[&clear[..], &["--json"]].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut waits = String::new();
    let mut story = BufReader::new(child.stderr.take().unwrap());
    story.read_line(&mut waits).unwrap();
    assert!(waits.starts_with("Waiting for "), "{waits}");
    fs::write(&release, "").unwrap();
    assert_eq!(other.wait().unwrap().code(), Some(1));
    let mut said = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(child.wait().unwrap().success());
    let said: Value = serde_json::from_str(&said).unwrap();
    let gone = json!([{ "name": "gone", "before": "1.0", "after": null }]);
    assert_eq!(said["environments"][0]["packages"], gone);
}
