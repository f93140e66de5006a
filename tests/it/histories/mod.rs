//! Histories: installers, users and rvenv change one environment in any order, on real Pythons.
//!
//! A history is a value that proptest makes and shortens. Installers take small wheels from a local
//! wheelhouse. After each command of rvenv the test looks at the environment, and compares it with
//! what was there before (I1, I4, I8). The histories are the same in each run;
//! `RVENV_HISTORIES=500` tries more, `RVENV_SEED=7` others.
//!
//! Read next: `promises.rs`, what must hold; `acts.rs`, what may happen; `changes.rs`, what changes
//! packages.

#![cfg(target_os = "linux")]
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests start real programs, work in real environments and say what they counted"
)]

mod acts;
mod changes;
mod found;
mod place;
mod promises;

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};

use self::place::Stock;
use self::promises::Ends;

/// How many histories are tried by default.
const HISTORIES: u32 = 6;

fn number(variable: &str) -> Option<u32> {
    std::env::var(variable).ok()?.parse().ok()
}

/// I8, I1, I4.
#[test]
fn no_history_breaks_or_loses_a_distribution_unnamed() {
    let Some(stock) = Stock::new() else { return };
    let cases = number("RVENV_HISTORIES").unwrap_or(HISTORIES);
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    };
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&number("RVENV_SEED").unwrap_or(0).to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let ends = RefCell::new(Ends::new());
    let ended = TestRunner::new_with_rng(config, random).run(&acts::history(), |history| {
        let counted = promises::run(&stock, &history).map_err(TestCaseError::fail)?;
        for (end, count) in counted {
            *ends.borrow_mut().entry(end).or_default() += count;
        }
        Ok(())
    });
    let mut done = 0;
    for ((verb, code), count) in ends.into_inner() {
        println!("{count:6} {verb}: {code:?}");
        done += if code == Some(0) { count } else { 0 };
    }
    match ended {
        Ok(()) => assert!(done > cases as usize, "too few commands ended with 0"),
        Err(TestError::Fail(why, history)) => panic!("{why}\n{history:#?}"),
        Err(error) => panic!("{error}"),
    }
}

/// I8: what histories found.
#[test]
fn histories_that_broke_a_promise_once_keep_it() {
    let Some(stock) = Stock::new() else { return };
    for (about, history) in found::found() {
        let counted = promises::run(&stock, &history);
        counted.unwrap_or_else(|why| panic!("{about}: {why}"));
    }
}
