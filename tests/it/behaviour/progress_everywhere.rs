//! Progress of every command that may last: a tracer delays system calls, so that each command
//! takes long, at a terminal and in a pipe.
//!
//! Read next: `progress.rs`, what the line is and when it is cleared; `deletion.rs`,
//! `download_progress.rs`.

use std::path::Path;
use std::thread;

use super::locks::{Bench, bench};
use super::progress::{CLEARED, is_drawn, is_there, slowed, under};
use crate::machine::ended;
use crate::strace;

/// A command that a tracer slows, and what is shown while it lasts.
struct Case {
    /// Commands that come before; `ENV` is an environment of this case alone.
    before: &'static [&'static [&'static str]],
    words: &'static [&'static str],
    /// The system call that takes long, and how many milliseconds.
    slow: (&'static str, u32),
    shown: &'static str,
}

const FILES: (&str, u32) = ("openat", 4);
const FEW_FILES: (&str, u32) = ("openat", 12);
const DELETIONS: (&str, u32) = ("unlinkat", 4);
const READING: &str = "Reading what exists";

const CREATE: &[&str] = &["create", "ENV", "-p", "PYTHON"];
const SYNC_A: &[&str] = &[
    "sync",
    "--env",
    "ENV",
    "-r",
    "LOCK-A",
    "--wheelhouse",
    "HOUSE",
    "--no-index",
];
const KILLED: &[&str] = &[
    "create",
    "ENV",
    "-p",
    "PYTHON",
    "--clear",
    "--check",
    "kill -KILL $PPID",
];

/// Commands that change no environment; `E` has a generation.
const LOOKS: &[Case] = &[
    look(&["list"], 4, "Searching"),
    look(&["status", "E", "-v"], 40, READING),
    look(&["status", "E", "--sbom"], 60, READING),
    look(&["generations", "E"], 40, "Measuring generations"),
    look(
        &["generations", "E", "--prune", "--dry-run"],
        80,
        "Measuring generations",
    ),
    look(&["verify", "E"], 4, "Comparing files"),
    look(&["verify", "E", "--digest"], 4, "Comparing files"),
    look(
        &["verify", "E", "--lock", "LOCK-B", "--wheelhouse", "HOUSE"],
        40,
        "Comparing with wheels",
    ),
    look(&["plan", "E", "--clear", "-p", "PYTHON"], 40, READING),
    look(
        &["show", "plan.json"],
        10,
        "Counting what the plan replaces",
    ),
    look(
        &["apply", "plan.json", "--dry-run"],
        40,
        "Comparing with what exists",
    ),
    look(&["cache", "verify"], 4, "Comparing unpacked files"),
    look(&["cache", "prune"], 40, "Deleting what is unused"),
];

const fn look(words: &'static [&'static str], milliseconds: u32, shown: &'static str) -> Case {
    Case {
        before: &[],
        words,
        slow: ("openat", milliseconds),
        shown,
    }
}

/// Commands that change an environment.
const CHANGES: &[Case] = &[
    change(&[], &["clone", "E", "ENV"], READING),
    Case {
        slow: ("mkdirat", 20),
        ..change(&[], &["clone", "E", "ENV"], "Building what changes")
    },
    Case {
        slow: FEW_FILES,
        ..change(&[CREATE], &["upgrade", "ENV", "--prompt", "p"], READING)
    },
    Case {
        slow: FEW_FILES,
        ..change(&[CREATE], SYNC_A, READING)
    },
    Case {
        slow: FEW_FILES,
        ..change(
            &[CREATE, SYNC_A],
            &["uninstall", "--env", "ENV", "alpha"],
            READING,
        )
    },
    change(&[CREATE], &["repair", "ENV"], READING),
    change(&[CREATE, SYNC_A], &["rollback", "ENV"], READING),
    Case {
        slow: DELETIONS,
        ..change(
            &[CREATE],
            &["remove", "ENV"],
            "Deleting what is no longer needed",
        )
    },
    Case {
        slow: DELETIONS,
        ..change(
            &[
                CREATE,
                &["create", "ENV", "-p", "PYTHON", "--clear", "--keep"],
            ],
            &["generations", "ENV", "--prune"],
            "Deleting what is no longer needed",
        )
    },
    Case {
        slow: DELETIONS,
        ..change(
            &[CREATE, KILLED],
            &["recover", "ENV"],
            "Deleting what is no longer needed",
        )
    },
];

const fn change(
    before: &'static [&'static [&'static str]],
    words: &'static [&'static str],
    shown: &'static str,
) -> Case {
    Case {
        before,
        words,
        slow: FILES,
        shown,
    }
}

/// A bench with the environment `E`, a generation of it, two locks and a plan.
fn busy_bench() -> Option<Bench> {
    if !is_there() || !strace::is_there() {
        return None;
    }
    let bench = bench()?;
    bench
        .create(&bench.lock("a", &[("alpha", "1.0")]), &[])
        .ok();
    bench.sync(&bench.lock("b", &[("alpha", "2.0")]), &[]).ok();
    let python = bench.python.to_str().unwrap();
    let plan = ["plan", "E", "--clear", "-p", python, "-o", "plan.json"];
    bench.scratch.rvenv(&plan).ok();
    Some(bench)
}

/// The words of a command, with the names of this bench.
fn words(bench: &Bench, words: &[&str], env: &str) -> Vec<String> {
    let path = |path: &Path| path.display().to_string();
    let word = |word: &&str| match *word {
        "ENV" => env.to_owned(),
        "PYTHON" => path(&bench.python),
        "HOUSE" => path(&bench.house),
        "LOCK-A" => path(&bench.scratch.path("pylock.a.toml")),
        "LOCK-B" => path(&bench.scratch.path("pylock.b.toml")),
        word => word.to_owned(),
    };
    words.iter().map(word).collect()
}

impl Case {
    fn check(&self, bench: &Bench, number: usize) {
        let [trace, inject] = slowed(self.slow.0, self.slow.1 * 1_000);
        let above = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null"];
        let above = [&above[..], &["-e", &trace, "-e", &inject]].concat();
        let shown = self.shown;
        for place in ["terminal", "pipe"] {
            let env = format!("{place}-{number}");
            for before in self.before {
                let before = bench.scratch.rvenv(&words(bench, before, &env));
                // One of them is killed.
                assert!(matches!(before.code, Some(0) | None), "{before:?}");
            }
            let words = words(bench, self.words, &env);
            if place == "pipe" {
                let program = Path::new(above[0]);
                let mut piped = bench.scratch.program(program, "022");
                piped.args(&above[1..]).arg(env!("CARGO_BIN_EXE_rvenv"));
                let piped = ended(piped.args(&words));
                assert_eq!(piped.code, Some(0), "{words:?}: {piped:?}");
                let is_seen = piped.stderr.contains('\r') || piped.stderr.contains(shown);
                assert!(!is_seen, "{words:?}: {piped:?}");
            } else {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let release = bench.scratch.path(&format!("release-{number}"));
                let seen = under(&bench.scratch, &above, &words, shown, &release);
                assert!(is_drawn(&seen, shown), "{words:?}: {seen:?}");
                let (_, end) = seen.rsplit_once(shown).unwrap();
                assert!(end.contains(CLEARED), "{words:?} is not cleared: {seen:?}");
            }
        }
    }
}

/// Checks all of them side by side: they wait for a tracer that sleeps.
fn check_all(bench: &Bench, cases: &[Case]) {
    thread::scope(|scope| {
        for (number, case) in cases.iter().enumerate() {
            scope.spawn(move || case.check(bench, number));
        }
    });
}

#[test]
fn every_command_that_reads_for_long_shows_it_at_a_terminal_alone() {
    let Some(bench) = busy_bench() else { return };
    check_all(&bench, LOOKS);
}

#[test]
fn every_command_that_changes_for_long_shows_it_at_a_terminal_alone() {
    let Some(bench) = busy_bench() else { return };
    check_all(&bench, CHANGES);
}

#[test]
fn a_cache_that_is_deleted_for_long_is_shown_at_a_terminal_alone() {
    let Some(bench) = busy_bench() else { return };
    let clear = Case {
        slow: DELETIONS,
        ..change(&[CREATE], &["cache", "clear"], "Deleting the cache")
    };
    clear.check(&bench, 0);
}
