//! Side by side, interleaved, in one run: `rvenv create` and its rivals, on one interpreter.
//!
//! Absolute times mean nothing on a shared machine; medians and ratios of the same run do. Rivals that are not on
//! the machine are left out, and that is said. `python -m venv` also compiles bytecode, which nobody else does.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark starts real commands and prints what they took"
)]

mod timing;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use timing::{median, python};

const ROUNDS: usize = 7;

struct Rival {
    name: &'static str,
    program: String,
    arguments: Vec<String>,
}

fn rivals(python: &str) -> Vec<Rival> {
    let rival = |name, program: &str, arguments: &[&str]| Rival {
        name,
        program: program.to_owned(),
        arguments: arguments
            .iter()
            .map(|argument| (*argument).to_owned())
            .collect(),
    };
    let rvenv = env!("CARGO_BIN_EXE_rvenv");
    vec![
        rival("rvenv create", rvenv, &["create", "-q", "--python", python]),
        rival(
            "rvenv create --without-pip",
            rvenv,
            &["create", "-q", "--without-pip", "--python", python],
        ),
        rival("uv venv", "uv", &["venv", "-q", "--python", python]),
        rival(
            "uv venv --seed",
            "uv",
            &["venv", "-q", "--seed", "--offline", "--python", python],
        ),
        rival("virtualenv", "virtualenv", &["-q", "-p", python]),
        rival(
            "python -m venv --without-pip",
            python,
            &["-m", "venv", "--without-pip"],
        ),
        rival("python -m venv", python, &["-m", "venv"]),
    ]
}

/// One run into a fresh directory.
fn time(rival: &Rival, into: &Path) -> Option<Duration> {
    let target = into.join("env");
    let mut command = Command::new(&rival.program);
    command.args(&rival.arguments).arg(&target);
    let took = timing::time(&mut command, into);
    let _emptied = Command::new("rm").arg("-rf").arg(&target).status();
    took
}

fn main() {
    let python = python();
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    let rivals = rivals(&python);
    let mut times: Vec<Vec<Duration>> = rivals.iter().map(|_| Vec::new()).collect();
    for round in 0..=ROUNDS {
        for (rival, times) in rivals.iter().zip(&mut times) {
            // The first round warms caches and is not counted.
            if let Some(took) = time(rival, scratch.path()).filter(|_| round > 0) {
                times.push(took);
            }
        }
    }
    let base = times.first().and_then(|times| median(times));
    println!("{python}, {ROUNDS} rounds, median, ratio to `rvenv create`");
    for (rival, times) in rivals.iter().zip(&times) {
        match median(times).zip(base) {
            Some((took, base)) => {
                let ratio = took.as_secs_f64() / base.as_secs_f64();
                println!(
                    "{:32} {:8.1} ms {ratio:8.2}",
                    rival.name,
                    took.as_secs_f64() * 1000.0
                );
            }
            None => println!("{:32} not on this machine, or it failed", rival.name),
        }
    }
}
