//! The system calls of a run that change files, so that a signal or an error can hit each of them.
//!
//! Needs `strace`; without it a test prints the reason and skips. Counts per kind of call, as
//! `strace` does.

#[cfg(target_os = "linux")]
use std::path::Path;
use std::process::Command;

use crate::trees::{Lab, end};

/// The calls through which the command changes a disk.
const CHANGING: &str = "openat,write,pwrite64,ftruncate,mkdirat,linkat,symlinkat,renameat2,renameat,\
                        unlinkat,fsync,fdatasync,syncfs,fchmod,utimensat";

/// One call of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) kind: String,
    /// Its number among the calls of its kind, from 1.
    pub(crate) nth: usize,
}

/// Whether `strace` exists and may trace; prints the reason if not.
pub(crate) fn is_there() -> bool {
    let tried = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "true"])
        .output();
    let there = tried.is_ok_and(|output| output.status.success());
    if !there {
        println!("skipped: there is no strace, or it may not trace");
    }
    there
}

/// Runs the command and lists its calls that change files, without those of its child processes.
pub(crate) fn calls(lab: &Lab, words: &[String]) -> Vec<Call> {
    let log = lab.file("trace");
    let shown = log.display().to_string();
    let trace = format!("trace={CHANGING}");
    let ended = end(&mut lab.under(
        &[
            "strace",
            "-f",
            "--seccomp-bpf",
            "-qq",
            "-o",
            &shown,
            "-e",
            &trace,
        ],
        words,
    ));
    assert_eq!(ended.code, Some(0), "{}", ended.story);
    let text = std::fs::read_to_string(&log).unwrap();
    let mut calls: Vec<(Call, bool)> = Vec::new();
    let process = |line: &str| line.split(' ').next().map(str::to_owned);
    let own = text.lines().next().and_then(process);
    for line in text.lines().filter(|line| process(line) == own) {
        let line = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        let Some((kind, arguments)) = line.split_once('(') else {
            continue;
        };
        let nth = calls.iter().filter(|(call, _)| call.kind == kind).count() + 1;
        let reads = kind == "openat"
            && !["O_CREAT", "O_WRONLY", "O_RDWR"]
                .iter()
                .any(|flag| arguments.contains(flag));
        let kind = kind.to_owned();
        calls.push((Call { kind, nth }, !reads));
    }
    let changing = calls.into_iter().filter(|(_, changes)| *changes);
    changing.map(|(call, _)| call).collect()
}

/// A launcher that notes the calls of these kinds which the command itself makes.
#[cfg(target_os = "linux")]
pub(crate) fn noting(kinds: &[&str], log: &Path) -> Vec<String> {
    let trace = format!("trace={}", kinds.join(","));
    let log = log.display().to_string();
    let words = ["strace", "-qq", "-o", &log, "-e", &trace];
    words.map(str::to_owned).into()
}

/// How many calls of a kind are noted.
#[cfg(target_os = "linux")]
pub(crate) fn noted(log: &Path, kind: &str) -> usize {
    let start = format!("{kind}(");
    let text = std::fs::read_to_string(log).unwrap();
    text.lines().filter(|line| line.starts_with(&start)).count()
}

/// A launcher that disturbs one call of the command; `what` is in the syntax of `strace`.
pub(crate) fn meeting(call: &Call, what: &str, when: &str) -> Vec<String> {
    let Call { kind, nth } = call;
    let words = ["strace", "-qq", "-o", "/dev/null", "-e"];
    let mut words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
    if what.starts_with("error") {
        // Faster; not used for signals, which would also reach child processes.
        words.splice(1..1, ["-f", "--seccomp-bpf"].map(str::to_owned));
    }
    words.push(format!("trace={kind}"));
    words.push("-e".to_owned());
    words.push(format!("inject={kind}:{what}:when={nth}{when}"));
    words
}
