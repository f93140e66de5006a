//! Plans that are made where they are applied, in place of being fetched.

use std::fs;
#[cfg(target_os = "linux")]
use std::process::Command;

use serde_json::Value;

use super::layouts::{Ground, ground};
use crate::machine::supported;
#[cfg(target_os = "linux")]
use crate::machine::{Ended, ended};
use crate::trees::{Sameness, compare, look};

impl Ground {
    /// Plans two wheels at `E` with options.
    fn plan_with(&self, options: &[&str]) {
        let lock = self.bench.lock("a", &[("alpha", "1.0"), ("beta", "1.0")]);
        let (lock, house) = (lock.to_str().unwrap(), self.bench.house.to_str().unwrap());
        let words = ["plan", "E", "-o", "p.json", "-r", lock, "--no-index"];
        self.rvenv(&[&words[..], &["--wheelhouse", house], options].concat())
            .ok();
    }

    /// How many files with such a name the other machine has fetched.
    fn fetched(&self, suffix: &str) -> usize {
        let files = walk(&self.bench.scratch.path("other-cache/fetched"));
        files.iter().filter(|file| file.ends_with(suffix)).count()
    }
}

fn walk(dir: &std::path::Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else {
            files.push(path.display().to_string());
        }
    }
    files
}

#[test]
fn a_plan_is_made_for_each_python_by_what_was_asked_for() {
    let Some(ground) = ground() else { return };
    let to = ground.oci(":v1");
    let of_each: &[&[&str]] = &[&[]];
    let of_last: &[&[&str]] = &[
        &["--without-pip", "--copies"],
        &["--system-site-packages", "--prompt", "."],
        &["--without-scm-ignore-files"],
    ];
    let pythons = supported();
    for (nth, python) in pythons.iter().enumerate() {
        let is_last = nth + 1 == pythons.len();
        let more = if is_last { of_last } else { &[] };
        for options in of_each.iter().chain(more) {
            let path = python.path.to_str().unwrap();
            drop(fs::remove_dir_all(ground.env()));
            ground.plan_with(&[&["-p", path], *options].concat());
            ground.rvenv(&["push", "p.json", &to]).ok();
            ground.there(&["apply", "--no-index", &to]).ok();
            let proof = ground.there(&["verify", "--against", &to, "E"]).ok();
            assert!(proof.contains("state: proved"), "{path} {options:?}");
            assert_eq!(ground.fetched("plan.json"), 0, "{path} {options:?}");
        }
    }
    assert!(!pythons.is_empty());
}

#[test]
fn notes_that_give_another_plan_are_not_believed() {
    let Some(ground) = ground() else { return };
    ground.rvenv(&["apply", "p.json"]).ok();
    let right = look(&ground.env());
    fs::remove_dir_all(ground.env()).unwrap();
    let path = ground.bench.scratch.path("p.json");
    let mut plan: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let asked = &mut plan["request"]["options"]["system_site_packages"];
    assert_eq!(*asked, false);
    *asked = true.into();
    fs::write(&path, plan.to_string()).unwrap();
    let there = ground.push();
    ground.there(&["apply", "--no-index", &there]).ok();
    compare(&right, &look(&ground.env()), Sameness::Alike).unwrap();
    assert_eq!(ground.fetched("plan.json"), 1);
}

#[test]
fn a_wheel_that_the_store_has_is_not_fetched_for_the_plan() {
    let Some(ground) = ground() else { return };
    let there = ground.push();
    ground.there(&["apply", "--no-index", &there]).ok();
    assert_eq!(ground.fetched("plan.json"), 0);
    assert_eq!(ground.fetched(".whl"), 2);
    fs::remove_dir_all(ground.env()).unwrap();
    fs::remove_dir_all(ground.bench.scratch.path("other-cache/fetched")).unwrap();
    ground.there(&["apply", "--no-index", &there]).ok();
    assert_eq!(ground.fetched("plan.json"), 1);
    assert_eq!(ground.fetched(".whl"), 0);
}

#[test]
fn a_plan_that_is_compared_brings_no_wheel() {
    let Some(ground) = ground() else { return };
    ground.rvenv(&["apply", "p.json"]).ok();
    let there = ground.push();
    let prove = || ground.there(&["verify", "--against", &there, "E"]).ok();
    assert!(prove().contains("state: proved"));
    assert_eq!(ground.fetched("plan.json"), 1);
    assert_eq!(ground.fetched(".whl"), 0);
    ground.there(&["cache", "clear"]).ok();
    ground.there(&["cache", "pull", &there]).ok();
    assert!(prove().contains("state: proved"));
    assert_eq!(ground.fetched("plan.json"), 0, "the wheels were there");
}

#[test]
fn an_environment_that_is_replaced_is_kept_and_a_dry_run_does_not_say_that_it_is_deleted() {
    let Some(ground) = ground() else { return };
    let to = ground.oci(":v2");
    ground.plan("q.json", &[("alpha", "2.0"), ("beta", "1.0")]);
    ground.rvenv(&["push", "q.json", &to]).ok();
    ground.rvenv(&["apply", "p.json"]).ok();
    let old = look(&ground.env());
    let words = ["apply", "--no-index", &to];
    let dry = ground.there(&[&words[..], &["--dry-run"]].concat()).ok();
    assert!(dry.contains("Weaker: readers find nothing"), "{dry}");
    assert!(!dry.contains("is deleted"), "{dry}");
    ground.there(&words).ok();
    ground.there(&["rollback", "E"]).ok();
    compare(&old, &look(&ground.env()), Sameness::Alike).unwrap();
}

#[test]
fn a_digest_that_is_here_is_applied_while_the_registry_is_not() {
    let Some(ground) = ground() else { return };
    let there = ground.push();
    let words = ["apply", "--no-index", &there];
    ground.there(&words).ok();
    let new = look(&ground.env());
    ground.take_away();
    assert!(ground.there(&words).stderr.contains("no changes"));
    fs::remove_dir_all(ground.env()).unwrap();
    ground.there(&words).ok();
    compare(&new, &look(&ground.env()), Sameness::Alike).unwrap();
    // A tag may name something else by now.
    let tag = ground.oci(":v1");
    ground.there(&["apply", "--no-index", &tag]).failed(1);
    // What a power cut emptied is fetched again.
    let files = walk(&ground.bench.scratch.path("other-cache/fetched"));
    let kept: Vec<_> = files
        .iter()
        .filter(|file| file.ends_with("manifest.json"))
        .collect();
    assert_eq!(kept.len(), 1);
    fs::write(kept[0], "").unwrap();
    ground.there(&words).failed(1);
    ground.bring_back();
    ground.there(&words).ok();
    assert!(fs::metadata(kept[0]).unwrap().len() > 0);
}

/// What a command does under `strace`, and the calls of one kind that it makes.
#[cfg(target_os = "linux")]
fn traced(ground: &Ground, command: &Command, call: &str) -> Option<(Ended, String)> {
    if !crate::strace::is_there() {
        return None;
    }
    let log = ground.bench.scratch.path("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", &format!("trace={call}"), "-o"]);
    strace.arg(&log);
    let done = ended(&mut super::under(strace, command));
    Some((done, fs::read_to_string(&log).unwrap()))
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_that_changes_nothing_reads_each_file_once() {
    let Some(ground) = ground() else { return };
    let there = ground.push();
    let words = ["apply", "--no-index", &there];
    ground.there(&words).ok();
    let Some((done, calls)) = traced(&ground, &ground.there_command(&words), "openat") else {
        return;
    };
    assert!(done.stderr.contains("no changes"), "{}", done.stderr);
    assert_eq!(calls.matches("\"activate.fish\"").count(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_plan_is_made_for_another_path_without_starting_an_interpreter() {
    let Some(ground) = ground() else { return };
    let there = ground.push();
    let mut command = ground.there_command(&["apply", "--no-index", &there, "F"]);
    // Nothing is known about any interpreter.
    command.env("RVENV_CACHE_DIR", ground.bench.scratch.path("new-cache"));
    let Some((done, calls)) = traced(&ground, &command, "execve") else {
        return;
    };
    done.ok();
    // The shell that sets the umask, and the command.
    assert_eq!(calls.matches("execve(").count(), 2, "{calls}");
    let proof = ground.there(&["verify", "--against", &there, "F"]).ok();
    assert!(proof.contains("state: proved"), "{proof}");
}
