//! Kills and full disks while the real command unpacks wheels into the cache on a real disk.
//!
//! System calls that change files, spread evenly over a run, meet SIGKILL or ENOSPC, each with its
//! own cache. Everything in that cache afterwards is right, byte for byte; the next run makes the
//! environment, and deletes the unfinished build of the dead one. `RVENV_KILLS=300` tests more
//! calls.

#![cfg(unix)]
#![expect(clippy::disallowed_methods, reason = "tests start the real command")]
#![expect(
    clippy::print_stdout,
    reason = "a test says what it skips and what it counted"
)]
#![expect(clippy::unwrap_used, reason = "a test may stop at anything unexpected")]

use std::cell::Cell;
use std::fs;
use std::path::Path;

use crate::strace;
use crate::strace::Call;
use crate::trees::{Ended, Lab, end};

/// How many calls are tested by default.
const CALLS: usize = 12;

fn forget(path: &Path) {
    if path.exists() {
        fs::remove_dir_all(path).unwrap();
    }
}

/// A lab without target and without packs.
fn afresh(lab: &Lab) {
    forget(&lab.target());
    forget(&lab.file("cache/packs"));
    assert_eq!(lab.litter(), [""; 0]);
}

fn packs(lab: &Lab) -> Vec<String> {
    let names = fs::read_dir(lab.file("cache/packs")).into_iter().flatten();
    let names = names.map(|name| name.unwrap().file_name().to_string_lossy().into_owned());
    names.collect()
}

/// Verifies the cache.
fn verified(lab: &Lab) -> Ended {
    end(&mut lab.rvenv(&["cache", "verify"]))
}

/// Calls of a run that enters wheels, spread evenly over it.
fn sample(lab: &Lab, words: &[String]) -> Vec<Call> {
    let calls = strace::calls(lab, words);
    let count = std::env::var("RVENV_KILLS").ok();
    let count = count.map_or(CALLS, |text| text.parse().unwrap());
    let every = (calls.len() / count).max(1);
    println!("{} calls, every {every}th is met", calls.len());
    calls.into_iter().step_by(every).collect()
}

/// Disturbs calls, checks what that leaves, and prints the counts.
fn meet(what: &str, check: impl Fn(&Lab, &Ended)) {
    let Some(lab) = Lab::in_memory() else { return };
    if !lab.has_pip || !strace::is_there() {
        println!("skipped: there is no pip to enter, or no strace");
        return;
    }
    let words = lab.create(&[]);
    let clear = lab.create(&["--clear"]);
    let ended = end(&mut lab.rvenv(&words));
    assert_eq!(ended.code, Some(0), "{}", ended.story);
    let whole = packs(&lab).len();
    afresh(&lab);
    let calls = sample(&lab, &words);
    let (mut builds, mut entered) = (0, 0);
    for call in &calls {
        afresh(&lab);
        let wrapper = strace::meeting(call, what, "");
        let ended = end(&mut lab.under(&wrapper, &words));
        check(&lab, &ended);
        let left = packs(&lab);
        builds += left.iter().filter(|name| name.starts_with("tmp-")).count();
        entered += left.iter().filter(|name| !name.starts_with("tmp-")).count();
        let found = verified(&lab);
        assert_eq!(
            found.code,
            Some(0),
            "{call:?} left something that is not right: {}",
            found.story
        );
        // Enters the wheels also where the disturbed run made the environment without the store.
        let again = end(&mut lab.rvenv(&clear));
        assert_eq!(again.code, Some(0), "{call:?}: {}", again.story);
        // With all wheels entered, no run looks for dead builds any more; `cache prune` does.
        let pruned = end(&mut lab.rvenv(&["cache", "prune"]));
        assert_eq!(pruned.code, Some(0), "{}", pruned.story);
        let now = packs(&lab);
        assert_eq!(now.len(), whole, "{call:?}: {now:?}");
        assert_eq!(verified(&lab).code, Some(0), "{call:?}");
        let sound = end(&mut lab.rvenv(&["verify", &lab.shown_target()]));
        assert_eq!(sound.code, Some(0), "{call:?}: {}", sound.story);
    }
    println!(
        "{what}: {builds} builds and {entered} packs were left by {} runs",
        calls.len()
    );
}

#[test]
fn a_kill_while_wheels_are_entered_leaves_nothing_that_is_believed() {
    let (killed, whole) = (Cell::new(0), Cell::new(0));
    meet("signal=SIGKILL", |_, ended| {
        // Two threads share the links, so a run may end before its thread makes that many calls.
        assert!(matches!(ended.code, None | Some(0)), "{}", ended.story);
        let count = if ended.code.is_none() {
            &killed
        } else {
            &whole
        };
        count.set(count.get() + 1);
    });
    let (killed, whole) = (killed.get(), whole.get());
    println!("{killed} runs were killed, {whole} ended before");
    assert!(whole < killed, "{killed} killed, {whole} whole");
}

/// The environment does not need the store: the run fails only where its own files meet the full
/// disk. What a failed sync of theirs left is known after a reboot, and a published one stays if
/// only the rest of the cleaning failed.
#[test]
fn a_full_disk_while_wheels_are_entered_leaves_nothing_that_is_believed() {
    meet("error=ENOSPC", |lab, ended| {
        assert!(ended.code.is_some(), "{}", ended.story);
        if ended.code == Some(0) {
            return;
        }
        assert!(!ended.story.contains("panicked"), "{}", ended.story);
        let doubt = lab.doubt();
        assert_eq!(doubt.is_some(), ended.code == Some(6), "{}", ended.story);
        let is_published = match doubt {
            Some(doubt) => {
                Lab::reboot(&doubt);
                doubt.to_string_lossy().contains("doubt-settle-")
            }
            None => ended.story.contains("the new tree is published"),
        };
        let recovered = end(&mut lab.rvenv(&lab.recover()));
        assert_eq!(recovered.code, Some(0), "{}", recovered.story);
        assert_eq!(lab.target().exists(), is_published, "{}", ended.story);
    });
}
