//! A slow deletion of the old tree: what is shown, and what a signal does.
//!
//! A tracer slows the calls that delete. The switch has happened by then, so a signal is no
//! failure: the command succeeds, and leaves trash that the next change deletes.
//! Read next: `interrupt.rs`, for signals before the switch.

use crate::strace;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::{self, sleep};
use std::time::Duration;

use crate::trees::{Ended, Lab, end};
use rustix::process::{Pid, Signal, kill_process};

/// Files that are deleted one after the other, at 10 ms each.
const FILES: usize = 400;
/// Deleting this many takes much more than a second.
const MANY: usize = 250;
/// Deletes slowly, and stays in the background, so that the command itself is the test's child.
const SLOWLY: &[&str] = &[
    "strace",
    "-D",
    "-f",
    "--seccomp-bpf",
    "-qq",
    "-o",
    "/dev/null",
    "-e",
    "trace=unlinkat",
    "-e",
    "inject=unlinkat:delay_exit=10000",
];
const SHOWN: &str = "Deleting what is no longer needed";

/// An environment with many files of its user's; `None` where a deletion cannot be slowed.
fn lab() -> Option<Lab> {
    let lab = Lab::new()?;
    if !strace::is_there() {
        return None;
    }
    let made = end(&mut lab.rvenv(&lab.create(&["--without-pip", "--clear"])));
    assert_eq!(made.code, Some(0), "{}", made.story);
    lab.add_strangers(FILES);
    Some(lab)
}

fn clear(lab: &Lab, more: &[&str]) -> Vec<String> {
    lab.create(&[&["--clear", "--without-pip"], more].concat())
}

/// Runs the slow command at its own terminal, and returns what a user sees.
fn at_a_terminal(lab: &Lab, words: &[String]) -> Option<String> {
    let wrapper = ["sh", "-c", "exec script -qec \"$*\" /dev/null", "sh"];
    let there = Command::new("script").arg("--version").output();
    if !there.is_ok_and(|output| output.status.success()) {
        println!("skipped: there is no script, which would make a terminal");
        return None;
    }
    let mut command = lab.under(&[&wrapper, SLOWLY].concat(), words);
    let output = command
        .env("TERM", "xterm")
        .stdout(Stdio::piped())
        .output()
        .unwrap();
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{seen}");
    Some(seen)
}

/// Runs each of these beside the others: they wait for a tracer that sleeps.
fn at_once(works: &[&(dyn Fn() + Sync)]) {
    thread::scope(|scope| {
        for work in works {
            scope.spawn(work);
        }
    });
}

#[test]
fn a_long_deletion_is_shown_on_a_terminal_and_nowhere_else() {
    let elsewhere = || {
        let Some(lab) = lab() else { return };
        let unseen = end(&mut lab.under(SLOWLY, &clear(&lab, &[])));
        assert_eq!(unseen.code, Some(0), "{}", unseen.story);
        assert!(!unseen.story.contains(SHOWN), "{}", unseen.story);
        assert_eq!(lab.litter(), [""; 0]);
    };
    let on_a_terminal = || {
        let Some(lab) = lab() else { return };
        let Some(seen) = at_a_terminal(&lab, &clear(&lab, &[])) else {
            return;
        };
        assert!(seen.contains(SHOWN), "{seen:?}");
        let (_, end) = seen.rsplit_once(SHOWN).unwrap();
        // The line is cleared before the next output.
        let (_, story) = end.rsplit_once("\r\x1b[2K").unwrap();
        assert!(story.starts_with("Replaced"), "{seen:?}");
        assert_eq!(lab.litter(), [""; 0]);
    };
    let quietly = || {
        let Some(lab) = lab() else { return };
        let Some(quiet) = at_a_terminal(&lab, &clear(&lab, &["-q"])) else {
            return;
        };
        assert_eq!(quiet, "");
        assert_eq!(lab.litter(), [""; 0]);
    };
    at_once(&[&elsewhere, &on_a_terminal, &quietly]);
}

/// The user's files that are left in trash, once the journal is removed.
fn strangers_in_trash(lab: &Lab) -> Option<(PathBuf, usize)> {
    let litter = lab.litter();
    if litter.iter().any(|name| name.contains(".journal")) {
        return None;
    }
    let trash = litter.iter().find(|name| name.contains(".trash-"))?;
    let trash = lab.parent().join(trash);
    let left = fs::read_dir(trash.join("strangers")).ok()?;
    Some((trash, left.count()))
}

/// Clears slowly, and sends a signal once many files are gone.
fn clear_with(lab: &Lab, signal: Signal) -> Ended {
    let child = lab.under(SLOWLY, &clear(lab, &[])).spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    while strangers_in_trash(lab).is_none_or(|(_, left)| left > FILES - MANY) {
        sleep(Duration::from_millis(5));
    }
    kill_process(pid, signal).unwrap();
    child.wait_with_output().unwrap().into()
}

/// Clears, sends a signal during the deletion, and checks what is left.
fn check_signal(signal: Signal) {
    let Some(lab) = lab() else { return };
    let ended = clear_with(&lab, signal);
    assert_eq!(ended.code, Some(0), "{}", ended.story);
    assert!(ended.story.contains("Replaced"), "{}", ended.story);
    let told = "Interrupted while deleting what is no longer needed";
    assert!(ended.story.contains(told), "{}", ended.story);
    // The new tree is complete, and the deletion of the old one has begun.
    assert!(lab.target().join("pyvenv.cfg").exists());
    assert!(!lab.target().join("strangers").exists());
    let (_, left) = strangers_in_trash(&lab).unwrap();
    assert!((1..=FILES - MANY).contains(&left), "{left}");
    let again = end(&mut lab.rvenv(&lab.create(&["--without-pip"])));
    assert_eq!(again.code, Some(0), "{}", again.story);
    assert!(again.story.contains("no changes"), "{}", again.story);
    assert_eq!(lab.litter(), [""; 0]);
}

#[test]
fn a_signal_while_what_was_replaced_is_deleted_leaves_trash_and_is_no_failure() {
    at_once(&[&|| check_signal(Signal::INT), &|| {
        check_signal(Signal::TERM);
    }]);
}
