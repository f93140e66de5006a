//! `rvenv log`: what was done to an environment.
//!
//! Read next: `generations.rs`, what changes replaced; the library's `change/log.rs`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::machine::ended;
use crate::sandbox::{self, Sandbox};

fn log(sandbox: &Sandbox, flags: &[&str]) -> String {
    let env = sandbox.path("E");
    let words = [&["log", env.to_str().unwrap()], flags].concat();
    sandbox.scratch.rvenv(&words).ok()
}

#[test]
fn a_new_environment_has_no_log() {
    let Some(sandbox) = sandbox::sandbox() else {
        return;
    };
    sandbox.create(&["E"]).ok();
    sandbox.create(&["E"]).ok();
    assert!(!sandbox.path("E/.rvenv/log").exists());
    let said = log(&sandbox, &[]);
    assert!(said.ends_with("  the directory was created\n"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn each_change_is_in_the_log_with_its_command_and_packages() {
    let Some(sandbox) = sandbox::sandbox() else {
        return;
    };
    sandbox.create(&["E"]).ok();
    sandbox.create(&["E", "--prompt", "other"]).ok();
    let site = sandbox.path(&sandbox.site_packages("E"));
    let info = site.join("gone-1.0.dist-info");
    fs::create_dir(&info).unwrap();
    fs::write(info.join("RECORD"), "gone-1.0.dist-info/RECORD,,\n").unwrap();
    let env = sandbox.path("E");
    let env = env.to_str().unwrap();
    let scratch = &sandbox.scratch;
    scratch.rvenv(&["uninstall", "gone", "--env", env]).ok();
    scratch.rvenv(&["rollback", env]).ok();
    let said = log(&sandbox, &[]);
    let lines: Vec<&str> = said
        .lines()
        .map(|line| line.split_once("  ").unwrap().1)
        .collect();
    assert_eq!(
        lines,
        [
            "rvenv rollback: a generation came back, + gone 1.0",
            "rvenv uninstall: - gone 1.0",
            "rvenv create: no package changed",
            "the directory was created",
        ]
    );
    let said: Value = serde_json::from_str(&log(&sandbox, &["--json"])).unwrap();
    assert_eq!(said["format"], 1);
    let gone = json!([{ "name": "gone", "before": "1.0", "after": null }]);
    let back = json!([{ "name": "gone", "before": null, "after": "1.0" }]);
    assert_eq!(said["entries"][1]["packages"], gone);
    assert_eq!(said["entries"][0]["packages"], back);
    assert_eq!(said["entries"][0]["event"], "rolled-back");
    // It is no difference, and a torn entry is left out.
    scratch.rvenv(&["verify", env]).ok();
    let dir = sandbox.path("E/.rvenv/log");
    fs::write(dir.join("00000000001.000000000.0.json"), "{\"format\":1,").unwrap();
    assert_eq!(log(&sandbox, &[]).lines().count(), 4);
}

#[test]
fn what_a_recovery_did_is_in_the_log() {
    let Some(sandbox) = sandbox::sandbox() else {
        return;
    };
    sandbox.create(&["E"]).ok();
    sandbox.create(&["E", "--prompt", "before"]).ok();
    let env = sandbox.path("E");
    // The check kills rvenv after publication and before the decision.
    let check = ["--prompt", "other", "--check", "kill -9 $PPID"];
    sandbox.create(&[&["E"], &check[..]].concat());
    sandbox
        .scratch
        .rvenv(&["recover", env.to_str().unwrap()])
        .ok();
    let said = log(&sandbox, &[]);
    assert!(
        said.contains("rvenv recover: a run had died; its changes were undone"),
        "{said}"
    );
}

#[test]
fn a_log_that_cannot_be_written_is_named() {
    let Some(sandbox) = sandbox::sandbox() else {
        return;
    };
    sandbox.create(&["E"]).ok();
    sandbox.create(&["E", "--prompt", "other"]).ok();
    let env = sandbox.path("E");
    let words = ["log", env.to_str().unwrap()];
    let said = sandbox.scratch.rvenv(&words);
    assert_eq!(said.stderr, "");
    let dir = sandbox.path("E/.rvenv/log");
    fs::remove_dir_all(&dir).unwrap();
    let elsewhere = sandbox.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, &dir).unwrap();
    sandbox.create(&["E", "--prompt", "third"]).ok();
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    let said = sandbox.scratch.rvenv(&words);
    assert!(
        said.stderr.starts_with("warning: changes may be missing"),
        "{said:?}"
    );
    assert!(said.stderr.contains("it is not a directory"), "{said:?}");
    assert!(said.ok().ends_with("  the directory was created\n"));
}

#[test]
fn a_directory_that_is_no_environment_has_no_log() {
    let Some(sandbox) = sandbox::sandbox() else {
        return;
    };
    let dir = sandbox.path("plain");
    fs::create_dir(&dir).unwrap();
    let words = ["log", dir.to_str().unwrap()];
    let said = sandbox.scratch.rvenv(&words).failed(3);
    assert!(said.contains("is not a virtual environment"), "{said}");
}

#[test]
fn root_begins_no_log_in_the_environment_of_a_user() {
    let Some(sandbox) = sandbox::sandbox_for_all().map(Sandbox::cold) else {
        return;
    };
    ended(&mut sandbox.as_other_user(&["create", "other/E"])).ok();
    let env = sandbox.path("other/E");
    let env = env.to_str().unwrap();
    sandbox.create(&[env, "--prompt", "of root"]).ok();
    let dir = sandbox.path("other/E/.rvenv/log");
    assert!(!dir.exists());
    let words = ["create", "other/E", "--prompt", "own"];
    ended(&mut sandbox.as_other_user(&words)).ok();
    let owner = fs::metadata(&dir).unwrap().uid();
    assert_eq!(owner, fs::metadata(env).unwrap().uid());
}
