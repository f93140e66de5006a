//! Faults at every call: the real command on a real filesystem, where the k-th system call that
//! changes a file fails, for every k.
//!
//! The exit code says which tree is at the target, and the tree matches it even before anything
//! recovers (I1). A failure message names the file and the system's error; an error never becomes a
//! panic; and after `recover` nothing is left beside the target, in it or in the cache. The same
//! holds for the calls of `recover`. By default each call meets one error that it could really
//! meet, alone or with all later calls of its kind. With `RVENV_FAULTS=all` it meets every one of
//! [`ERRORS`], alternately alone and with all later ones, and a command that only reads is killed
//! at each call, not at every fourth; with `RVENV_FAULTS=reading` calls that only open, read and
//! lock fail as well, which takes hours. `-- --nocapture` shows the counts.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![expect(clippy::disallowed_methods, reason = "tests start the real command")]
#![expect(
    clippy::print_stdout,
    reason = "a test says what it skips and what it counted"
)]
#![expect(clippy::unwrap_used, reason = "a test may stop at anything unexpected")]

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::process::Command;

use crate::actions::{Action, Bench, done, for_each, wrecks};
use crate::calls::{Answer, Call, Counted, are_met, list, meet, run};
use crate::trees::{Ended, Lab, Sameness, compare, look};
use libc::{EACCES, EBUSY, EDQUOT, EINTR, EIO, EMFILE, ENOSPC, ENOSYS, EROFS, EXDEV};

/// The errors that a call may meet.
const ERRORS: [(c_int, &str); 10] = [
    (ENOSPC, "ENOSPC"),
    (EIO, "EIO"),
    (EDQUOT, "EDQUOT"),
    (EACCES, "EACCES"),
    (EROFS, "EROFS"),
    (EMFILE, "EMFILE"),
    (EINTR, "EINTR"),
    (EXDEV, "EXDEV"),
    (EBUSY, "EBUSY"),
    (ENOSYS, "ENOSYS"),
];

const BARE: &[&str] = &["--without-pip"];

fn wants_all() -> bool {
    std::env::var_os("RVENV_FAULTS").is_some()
}

fn wants_reading() -> bool {
    std::env::var_os("RVENV_FAULTS").is_some_and(|value| value == "reading")
}

/// The errors that a call of this kind could really meet.
fn errors_of(kind: &str) -> &'static [c_int] {
    match kind {
        "open" | "openat" | "openat2" | "creat" => {
            &[EMFILE, ENOSPC, EACCES, EINTR, EROFS, EDQUOT, EIO]
        }
        "write" | "writev" | "pwrite64" | "ftruncate" => &[ENOSPC, EIO, EDQUOT, EINTR],
        "fsync" | "fdatasync" | "syncfs" => &[EIO, ENOSPC, EDQUOT],
        "unlink" | "unlinkat" | "rmdir" => &[EIO, EROFS, EBUSY, EACCES],
        "fchmod" | "fchmodat" | "fchmodat2" | "utimensat" => &[EIO, EROFS, EACCES],
        "rename" | "renameat" | "renameat2" => &[EXDEV, ENOSPC, EBUSY, EIO, ENOSYS, EACCES],
        "link" | "linkat" => &[EXDEV, ENOSPC, EACCES, EIO],
        "ioctl" => &[EXDEV, ENOSYS, EIO],
        _ => &[ENOSPC, EROFS, EIO, EACCES, EDQUOT],
    }
}

/// One failure.
#[derive(Clone, Debug)]
struct Fault {
    call: Call,
    error: c_int,
    /// Whether all later calls of its kind fail with it.
    stays: bool,
}

/// The faults to try with these calls.
fn faults(calls: &[Call]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for call in calls {
        let fault = |error, stays| {
            let call = call.clone();
            Fault { call, error, stays }
        };
        if wants_all() {
            for (index, (error, _)) in ERRORS.into_iter().enumerate() {
                let stays = (call.number + index).is_multiple_of(2) && error != EINTR;
                // Where links fail, the command copies: another environment, which
                // `behaviour/policies.rs` tests.
                let is_answered = error == ENOSYS && call.kind.starts_with("symlink");
                if !is_answered {
                    faults.push(fault(error, stays));
                }
            }
        } else {
            let errors = errors_of(call.kind);
            let error = errors.get(call.nth % errors.len()).unwrap();
            // An interrupted call succeeds when it is retried.
            faults.push(fault(*error, call.number % 2 == 0 && *error != EINTR));
        }
    }
    faults
}

fn counted(bench: &Bench) -> Counted<'_> {
    if wants_reading() {
        Counted::Reading(&bench.home)
    } else {
        Counted::Changing
    }
}

impl Fault {
    /// Runs a command with this fault.
    fn disturb(&self, bench: &Bench, mut command: Command) -> Ended {
        let Call { kind, nth, .. } = self.call;
        run(&mut command, counted(bench), &mut |call| {
            let is_met = call.kind == kind && (call.nth == nth || self.stays && call.nth > nth);
            if is_met {
                Answer::Fails(self.error)
            } else {
                Answer::GoesOn
            }
        })
    }

    /// Checks that a failure message is true, and names the file and the system's error.
    fn check_story(&self, ended: &Ended, what: &str) {
        let story = &ended.story;
        assert!(!story.contains("panicked at"), "{what}: {story}");
        let is_own_code = matches!(ended.code, Some(0 | 1 | 3 | 5 | 6));
        assert!(is_own_code, "{what}: {:?} {story}", ended.code);
        if ended.code != Some(0) {
            let is_left = ended.code == Some(5) && story.contains("Left `");
            let said = format!("os error {}", self.error);
            // The message puts a lack of locks into words.
            let is_unlocked = self.error == ENOSYS && story.contains("has no locks");
            let is_named = story.contains("error") && story.contains('/');
            let is_told = is_named && (story.contains(&said) || is_unlocked);
            assert!(is_told || is_left, "{what}: {story}");
        }
    }
}

/// The counts: how the runs ended, and with which errors.
#[derive(Debug, Default)]
struct Row {
    name: String,
    calls: usize,
    codes: BTreeMap<i32, usize>,
    errors: BTreeMap<c_int, usize>,
}

impl Row {
    fn count(&mut self, fault: &Fault, ended: &Ended) {
        *self.codes.entry(ended.code.unwrap()).or_default() += 1;
        *self.errors.entry(fault.error).or_default() += 1;
    }

    /// Prints at once: a run of all faults takes long, and may be stopped.
    fn print(&self) {
        let faults: usize = self.codes.values().sum();
        let counts = [0, 1, 3, 5, 6].map(|code| self.codes.get(&code).copied().unwrap_or_default());
        let counts = counts.map(|count| format!("{count:6}")).join(" ");
        println!("{:38} {:6} {faults:6} {counts}", self.name, self.calls);
    }
}

/// Checks that the tree matches the exit code, then that recovery leads to the same tree.
fn judge(bench: &Bench, ended: &Ended, what: &str) {
    let claim = Bench::claim(ended);
    // The engine's own directory is not part of the tree, and the message names directories that
    // could not be moved.
    bench.empty_may_stay.set(true);
    let seen = bench.seen();
    bench.may_go_by_entries.set(ended.code == Some(0));
    bench
        .empty_may_stay
        .set(ended.story.contains("Left the directory"));
    if let Some(claim) = claim {
        assert_eq!(seen, Ok(claim), "{what}: {:?} {}", ended.code, ended.story);
    }
    if bench.action.is_whole() {
        assert!(seen.is_ok(), "{what}: {seen:?} {}", ended.story);
    }
    bench.check_interpreter();
    bench.wait_out_doubt(what);
    let settled = bench.recover(what);
    if let Some(claim) = claim {
        assert_eq!(settled, claim, "{what}: {}", ended.story);
    }
}

/// Makes each call of a command fail in turn.
fn sweep(bench: &Bench) -> Row {
    let action = bench.action;
    bench.prepare();
    let calls = list(&mut bench.command(), counted(bench));
    let mut row = Row {
        name: bench.shown(),
        calls: calls.len(),
        ..Row::default()
    };
    for fault in faults(&calls) {
        bench.prepare();
        let ended = fault.disturb(bench, bench.command());
        let what = format!("{action:?}: {fault:?}");
        fault.check_story(&ended, &what);
        judge(bench, &ended, &what);
        row.count(&fault, &ended);
    }
    assert!(row.codes.contains_key(&1), "{row:?}");
    row
}

/// Makes each call of `recover` fail in turn, after a command was killed right after a rename.
fn sweep_recovery(bench: &Bench) -> Row {
    let action = bench.action;
    bench.prepare();
    let calls = list(&mut bench.command(), Counted::Changing);
    let mut row = Row {
        name: format!("recover after {}", bench.shown()),
        ..Row::default()
    };
    for at in wrecks(&calls, false) {
        let kill = || {
            bench.prepare();
            let (_, ended) = meet(&mut bench.command(), at.number + 1, Answer::Kills);
            assert_eq!(ended.code, None, "{at:?}: {}", ended.story);
        };
        kill();
        let recover = || bench.lab.rvenv(&bench.lab.recover());
        let calls = list(&mut recover(), counted(bench));
        row.calls += calls.len();
        for fault in faults(&calls) {
            kill();
            let before = bench.seen();
            let ended = fault.disturb(bench, recover());
            let what = format!("{action:?} killed after {at:?}, its recovery: {fault:?}");
            fault.check_story(&ended, &what);
            if !action.awaits_a_check() {
                assert_eq!(bench.seen(), before, "{what}: {}", ended.story);
            }
            bench.check_interpreter();
            bench.wait_out_doubt(&what);
            bench.recover(&what);
            row.count(&fault, &ended);
        }
    }
    row
}

fn check(action: Action) -> Vec<Row> {
    let Some(bench) = Bench::new(action, BARE) else {
        return Vec::new();
    };
    let rows = vec![sweep(&bench), sweep_recovery(&bench)];
    rows.iter().for_each(Row::print);
    rows
}

/// I1: whichever call fails, once or from then on, the exit code says which environment exists.
#[test]
fn an_error_at_any_call_leaves_the_environment_that_the_exit_code_says() {
    if !are_met() {
        return;
    }
    println!(
        "{:38} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6}",
        "command", "calls", "faults", "done", "failed", "stale", "person", "doubt"
    );
    let rows = for_each(&Action::ALL, check);
    for (error, name) in ERRORS {
        let count: usize = rows.iter().filter_map(|row| row.errors.get(&error)).sum();
        println!("{name}: {count} faults");
    }
    for code in [0, 1, 5, 6] {
        let is_met = rows.iter().any(|row| row.codes.contains_key(&code));
        assert!(is_met, "no run ended with {code}");
    }
}

/// Commands that only read, and an option.
const LOOKS: [(&str, &str); 6] = [
    ("list", ""),
    ("status", ""),
    ("status", "--sbom"),
    ("generations", ""),
    ("log", ""),
    ("verify", ""),
];

/// Of the calls of a kind at which a command that only reads fails, every so many also kill it.
const KILLED: usize = 4;

/// I1: whichever call of a command that reads fails or is its last, nothing changes, and an error
/// names the file.
#[test]
fn an_error_or_a_kill_at_any_call_of_a_command_that_reads_changes_nothing() {
    if !are_met() {
        return;
    }
    let Some(lab) = Lab::in_memory() else { return };
    done(&lab, &lab.create(BARE));
    done(
        &lab,
        &lab.create(&[BARE, &["--prompt", "new", "--keep"]].concat()),
    );
    let before = look(&lab.target());
    let home = lab.file("");
    for (verb, option) in LOOKS {
        let mut words = vec![verb.to_owned(), lab.shown_target()];
        words.extend((!option.is_empty()).then(|| option.to_owned()));
        let counted = Counted::Reading(&home);
        let calls = list(&mut lab.rvenv(&words), counted);
        println!("{verb:12} {option:7} {:6} calls", calls.len());
        for call in calls {
            let errors = errors_of(call.kind);
            let error = *errors.get(call.nth % errors.len()).unwrap();
            let is_killed = wants_all() || call.nth.is_multiple_of(KILLED);
            let kill = is_killed.then_some(Answer::Kills);
            for answer in [Answer::Fails(error)].into_iter().chain(kill) {
                let what = format!("{words:?}: {answer:?} at {call:?}");
                let ended = run(&mut lab.rvenv(&words), counted, &mut |met| {
                    let is_it = met.kind == call.kind && met.nth == call.nth;
                    if is_it { answer } else { Answer::GoesOn }
                });
                assert!(
                    !ended.story.contains("panicked at"),
                    "{what}: {}",
                    ended.story
                );
                match (answer, ended.code) {
                    (Answer::Kills, code) => assert_eq!(code, None, "{what}"),
                    (_, Some(0)) => {}
                    // What cannot be read may look damaged.
                    (_, Some(4)) if verb == "verify" => {}
                    (_, code) => {
                        // 2 is for the directory of the cache, which a variable names.
                        assert!(matches!(code, Some(1..=3)), "{what}: {code:?}");
                        assert!(ended.story.contains('/'), "{what}: {}", ended.story);
                    }
                }
                compare(&before, &look(&lab.target()), Sameness::Exact).unwrap();
                assert_eq!(lab.litter(), [] as [&str; 0], "{what}");
            }
        }
    }
}
