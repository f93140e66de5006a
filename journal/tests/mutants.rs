//! The mutation check: each thing that the engine does for safety is left out once, and some
//! test must fail.
//!
//! Each safeguard of `src/base/mutant.rs` is one sync, one state of the journal, one comparison
//! or one order of two effects. This binary holds the tests of the engine, with the crash sweep
//! over a few cases only. It starts itself once per safeguard and runs first the quick tests,
//! then the sweep, until the first failure. The table shows which test failed. Without a mutant
//! all of them pass, as this run itself shows.
//!
//! `RVENV_MUTANT=SAFEGUARD` drops that safeguard in any test binary that is built with the
//! feature, to see what it breaks.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests unwrap; this one starts itself, and its modules are the other tests as they are"
)]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

#[path = "it/protocol/alone.rs"]
mod alone;
#[path = "it/crash.rs"]
mod crash;
#[path = "it/protocol/discard.rs"]
mod discard;
#[path = "it/protocol/entries.rs"]
mod entries;
#[path = "it/publication/mod.rs"]
mod publication;
#[path = "it/protocol/recovery.rs"]
mod recovery;
#[path = "it/protocol/rollback.rs"]
mod rollback;
#[path = "it/protocol/strangers.rs"]
mod strangers;
#[path = "it/sweep/mod.rs"]
mod sweep;
#[path = "it/protocol/transaction.rs"]
mod transaction;

/// The quick ones first.
const ROUNDS: [&[&str]; 4] = [
    &[
        "alone::",
        "recovery::",
        "strangers::",
        "transaction::",
        "rollback::",
        "entries::",
        "discard::",
    ],
    &["crash::without", "crash::a_power_cut"],
    &["crash::every_crash"],
    &["crash::"],
];

/// The first test that fails when a safeguard is dropped.
fn noticed_by(safeguard: &str) -> Option<String> {
    ROUNDS
        .iter()
        .find_map(|filters| first_failure(safeguard, filters))
}

fn first_failure(safeguard: &str, filters: &[&str]) -> Option<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(filters)
        .args(["--test-threads", "2"])
        .env("RVENV_MUTANT", safeguard)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let failure = lines.map(Result::unwrap).find_map(|line| {
        let test = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
        Some(test.to_owned())
    });
    // The first failure is enough.
    let _gone = child.kill();
    let status = child.wait().unwrap();
    // A process that dies without a failed test counts as a failure, too.
    let is_silent = failure.is_none() && !status.success();
    failure.or_else(|| is_silent.then(|| format!("{filters:?}: {status}")))
}

#[test]
fn every_drop_makes_some_test_red() {
    if std::env::var_os("RVENV_MUTANT").is_some() {
        return;
    }
    let (mut table, mut unnoticed, mut count) = (String::new(), Vec::new(), 0);
    let start = Instant::now();
    for safeguard in rvenv_journal::raw::mutant::safeguards() {
        count += 1;
        let begun = Instant::now();
        let test = noticed_by(safeguard);
        let seconds = begun.elapsed().as_secs_f32();
        let by = test.as_deref().unwrap_or("NOT NOTICED");
        writeln!(table, "{safeguard:20} {seconds:6.1} s  {by}").unwrap();
        println!("{safeguard:20} {seconds:6.1} s  {by}");
        if test.is_none() {
            unnoticed.push(safeguard);
        }
    }
    println!(
        "{count} safeguards in {:.0} s",
        start.elapsed().as_secs_f32()
    );
    assert!(
        unnoticed.is_empty(),
        "no test noticed {unnoticed:?}\n{table}"
    );
    assert!(count > 40, "{count}");
}
