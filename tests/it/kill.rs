//! Kills at every call: the real command on a real filesystem dies by SIGKILL before the k-th
//! system call that changes a file, for k = 1, 2, … until the run completes.
//!
//! When a whole tree is switched, the old or the new tree exists after every kill, before anything
//! recovers (I3). After `recover` exactly one of the two states exists, with no leftover beside it,
//! in it or in the cache (I1). The same holds when `recover` is killed at each of its calls, and
//! when the command itself runs again. By default environments have no pip, and recovery is tested
//! after two kills of each command. `RVENV_KILLS=all` tests recovery after each kill right after a
//! rename, and kills commands with pip too; of many calls of one kind, or of a few kinds in turn,
//! it tests only the first and the last. `-- --nocapture` shows the counts. Read next: `faults.rs`,
//! where the same calls fail.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![expect(clippy::disallowed_methods, reason = "tests start the real command")]
#![expect(
    clippy::print_stdout,
    reason = "a test says what it skips and what it counted"
)]
#![expect(clippy::unwrap_used, reason = "a test may stop at anything unexpected")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::actions::{Action, Bench, Seen, for_each, wrecks};
use crate::calls::{Answer, Call, Counted, are_met, list, meet};
use crate::trees::end;

/// After this many kills, the command itself runs again, too, and not only `recover`.
const AGAIN: usize = 8;

const BARE: &[&str] = &["--without-pip"];

/// The counts.
#[derive(Clone, Debug, Default)]
struct Row {
    name: String,
    calls: usize,
    kills: usize,
    old: usize,
    new: usize,
}

impl Row {
    fn count(&mut self, seen: Seen) {
        self.kills += 1;
        match seen {
            Seen::Old => self.old += 1,
            Seen::New => self.new += 1,
        }
    }

    /// Prints at once: a run of all kills takes long, and may be stopped.
    fn print(&self) {
        let Self {
            name,
            calls,
            kills,
            old,
            new,
        } = self;
        println!("{name:38} {calls:6} {kills:6} {old:6} {new:6}");
    }
}

fn wants_all() -> bool {
    std::env::var("RVENV_KILLS").is_ok_and(|kills| kills == "all")
}

/// Makes the old state, and kills the command at one of its calls; `None` if it completed before.
fn kill(bench: &Bench, number: usize) -> Option<Call> {
    bench.prepare();
    let (call, ended) = meet(&mut bench.command(), number, Answer::Kills);
    let expected = if call.is_some() { None } else { Some(0) };
    assert_eq!(ended.code, expected, "{call:?}: {}", ended.story);
    call
}

/// Kills a command at calls with these numbers, until it completes.
fn sweep(bench: &Bench, numbers: impl Iterator<Item = usize>) -> (Row, Vec<Call>) {
    let action = bench.action;
    let mut row = Row {
        name: bench.shown(),
        ..Row::default()
    };
    let mut calls = Vec::new();
    for number in numbers {
        let Some(call) = kill(bench, number) else {
            break;
        };
        let what = format!("{action:?}, killed at {call:?}");
        let at_once = bench.seen();
        if action.is_whole() {
            assert!(at_once.is_ok(), "{what}: {at_once:?}");
        }
        bench.check_interpreter();
        let seen = bench.recover(&what);
        // A change may have waited for a check that no process runs any more.
        let is_decided = action.awaits_a_check() || at_once == Ok(seen);
        assert!(is_decided, "{what}: {at_once:?} became {seen:?}");
        row.count(seen);
        if calls.len().is_multiple_of(AGAIN) && action.can_be_repeated() {
            repeat(bench, number, &what);
            row.count(Seen::New);
        }
        calls.push(call);
    }
    row.calls = calls.len();
    assert!(row.old > 0, "no kill came before the switch: {row:?}");
    assert!(row.new > 0, "no kill came after the switch: {row:?}");
    (row, calls)
}

/// Kills the command at a call once more, and runs it again.
fn repeat(bench: &Bench, number: usize, what: &str) {
    kill(bench, number);
    let is_refused = bench.action == Action::Clone && bench.seen() == Ok(Seen::New);
    let ended = end(&mut bench.command());
    // A clone replaces nothing.
    let expected = if is_refused { 3 } else { 0 };
    assert_eq!(ended.code, Some(expected), "{what}: {}", ended.story);
    let seen = bench.settled();
    assert_eq!(seen, Ok(Seen::New), "{what}, and again: {}", ended.story);
}

/// Kills `recover` at each of its calls, after a command was killed right after a rename.
fn sweep_recovery(bench: &Bench, calls: &[Call]) -> Row {
    let mut row = Row {
        name: format!("recover after {}", bench.shown()),
        ..Row::default()
    };
    for after in wrecks(calls, wants_all()) {
        for number in 1.. {
            if kill(bench, after.number + 1).is_none() {
                break;
            }
            let words = bench.lab.recover();
            let (call, ended) = meet(&mut bench.lab.rvenv(&words), number, Answer::Kills);
            let what = format!(
                "{:?}, killed after {after:?}; its recovery at {call:?}",
                bench.action
            );
            if call.is_none() {
                assert_eq!(ended.code, Some(0), "{what}: {}", ended.story);
                let settled = bench.settled();
                assert!(settled.is_ok(), "{what}: {settled:?}");
                break;
            }
            assert_eq!(ended.code, None, "{what}: {}", ended.story);
            let seen = bench.seen();
            assert!(!bench.action.is_whole() || seen.is_ok(), "{what}: {seen:?}");
            bench.check_interpreter();
            row.count(bench.recover(&what));
            row.calls += 1;
        }
    }
    row
}

/// All kills of one command in environments without pip.
fn check(action: Action) -> Vec<Row> {
    let Some(bench) = Bench::new(action, BARE) else {
        return Vec::new();
    };
    let (row, calls) = sweep(&bench, 1..);
    let seen = bench.settled();
    assert_eq!(seen, Ok(Seen::New), "{action:?}, not killed any more");
    let rows = vec![row, sweep_recovery(&bench, &calls)];
    rows.iter().for_each(Row::print);
    rows
}

/// Kills of one command in an environment with pip.
fn check_with_pip(action: Action) -> Vec<Row> {
    let Some(bench) = Bench::new(action, &[]) else {
        return Vec::new();
    };
    if !bench.lab.has_pip {
        println!("skipped: python3 has no pip to install");
        return Vec::new();
    }
    let calls = telling(&list(&mut bench.command(), Counted::Changing));
    let numbers = calls.iter().map(|call| call.number);
    let (row, _) = sweep(&bench, numbers);
    row.print();
    vec![row]
}

/// How many kinds in turn count as a round: unpacking a file opens it, writes it, and sets its mode
/// and time.
const ROUND_MAX: usize = 6;

/// The calls without those in the middle of many of one kind, or of many rounds of a few kinds, but
/// with every rename; each thread has its own rounds.
fn telling(calls: &[Call]) -> Vec<Call> {
    let mut threads: BTreeMap<usize, Vec<&Call>> = BTreeMap::new();
    for call in calls {
        threads.entry(call.thread).or_default().push(call);
    }
    let mut telling = Vec::new();
    for calls in threads.values() {
        for (at, call) in calls.iter().enumerate() {
            let is_inner = (1..=ROUND_MAX).any(|len| is_in_rounds(calls, at, len));
            if !is_inner || call.kind.starts_with("rename") {
                telling.push((*call).clone());
            }
        }
    }
    telling.sort_by_key(|call| call.number);
    telling
}

/// Whether the same `len` kinds come before this call and after it.
fn is_in_rounds(calls: &[&Call], at: usize, len: usize) -> bool {
    let around = at
        .checked_sub(len)
        .and_then(|start| calls.get(start..at + 2 * len))
        .unwrap_or_default();
    let later = around.iter().skip(len);
    !around.is_empty() && around.iter().zip(later).all(|(a, b)| a.kind == b.kind)
}

/// I1, I3: not a sample of moments, but each call of a run that changes a file.
#[test]
fn a_kill_at_any_call_leaves_the_old_environment_or_the_new_one() {
    if !are_met() {
        return;
    }
    println!(
        "{:38} {:>6} {:>6} {:>6} {:>6}",
        "command", "calls", "kills", "old", "new"
    );
    let mut rows = for_each(&Action::ALL, check);
    if wants_all() {
        rows.extend(for_each(&Action::ALL, check_with_pip));
    }
    let kills: usize = rows.iter().map(|row| row.kills).sum();
    println!("{kills} kills");
}

/// Whether some file at or below a path has this text in it.
fn holds(path: &Path, text: &str) -> bool {
    if path.is_dir() && !path.is_symlink() {
        let below = fs::read_dir(path).unwrap();
        return below
            .into_iter()
            .any(|one| holds(&one.unwrap().path(), text));
    }
    fs::read(path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text))
}

/// I5: until the check has passed nothing is decided, so the old tree comes back; what a user wrote
/// meanwhile is kept.
#[test]
fn what_was_edited_while_a_health_check_ran_survives_its_kill() {
    let Some(bench) = Bench::new(Action::Upgrade, BARE) else {
        return;
    };
    let mut command = bench.command();
    let ended = end(command.args(["--check", "kill -KILL $PPID"]));
    assert_eq!(ended.code, None, "{}", ended.story);
    let target = bench.lab.target();
    let script = target.join("bin/activate.csh");
    let mut text = fs::read_to_string(&script).unwrap() + "# written in place\n";
    fs::write(&script, &text).unwrap();
    let config = target.join("pyvenv.cfg");
    text = fs::read_to_string(&config).unwrap() + "mine = moved over it\n";
    fs::write(target.join("draft"), text).unwrap();
    fs::rename(target.join("draft"), &config).unwrap();
    fs::write(target.join("bin/new of mine"), "mine\n").unwrap();

    let recover = || end(&mut bench.lab.rvenv(&bench.lab.recover()));
    let ended = recover();
    assert_eq!(ended.code, Some(5), "{}", ended.story);
    fs::remove_file(target.join("bin/new of mine")).unwrap();
    assert_eq!(bench.seen(), Ok(Seen::Old), "{}", ended.story);
    let kept = target.join(".rvenv/old-1");
    for text in ["# written in place", "mine = moved over it"] {
        assert!(holds(&kept, text), "{text}: {}", ended.story);
    }
    assert_eq!(recover().code, Some(0));
    assert!(kept.is_dir());
}
