//! Which system calls of a run change files, so that each can be met by a signal or an error.
//!
//! Needs `strace`; whoever asks without it is told so and skips. Counts per kind of call, as
//! `strace` does.

use std::process::Command;

use crate::trees::{Lab, end};

/// The calls through which the command changes a disk.
const CHANGING: &str = "openat,write,pwrite64,ftruncate,mkdirat,linkat,symlinkat,renameat2,renameat,\
                        unlinkat,fsync,fdatasync,syncfs,fchmod,utimensat";

/// One call of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) kind: String,
    /// Which call of its kind it is, from 1.
    pub(crate) nth: usize,
}

/// Whether there is a tracer that may trace; prints the reason if not.
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

/// Runs the command and lists its calls that change files; those of programs that it starts are not
/// its own.
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

/// What starts the command so that one call meets something; `what` is in the words of `strace`.
pub(crate) fn meeting(call: &Call, what: &str, when: &str) -> Vec<String> {
    let Call { kind, nth } = call;
    let words = ["strace", "-qq", "-o", "/dev/null", "-e"];
    let mut words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
    if what.starts_with("error") {
        // Faster; signals are not injected this way, and would reach the programs that the command
        // starts.
        words.splice(1..1, ["-f", "--seccomp-bpf"].map(str::to_owned));
    }
    words.push(format!("trace={kind}"));
    words.push("-e".to_owned());
    words.push(format!("inject={kind}:{what}:when={nth}{when}"));
    words
}
