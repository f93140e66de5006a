//! Side by side, alternating, in one run: changing an environment of 50 000 files, and one that holds nothing but pip.
//!
//! What a change costs must depend on what it changes, so each ratio is to be about 1. The files are packages that
//! somebody installed: no plan and no receipt knows them. `RVENV_FILES` says how many there are.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark starts real commands and prints what they took"
)]

mod timing;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use timing::{median, python, time};

const ROUNDS: usize = 9;
const FILES: usize = 50_000;
const FILES_PER_PACKAGE: usize = 100;

/// What is measured in every round, in this order; each leaves what the next one needs.
const DEEDS: &[(&str, &[&str])] = &[
    ("upgrade", &["upgrade", "--prompt", "other"]),
    ("rollback of the upgrade", &["rollback"]),
    ("create, nothing to do", &["create"]),
    ("create --clear --keep", &["create", "--clear", "--keep"]),
    ("rollback of the clear", &["rollback"]),
];

/// An environment, and what each deed took in it.
struct Subject {
    target: PathBuf,
    times: Vec<Vec<Duration>>,
}

impl Subject {
    fn new(target: PathBuf, python: &str, files: usize) -> Self {
        let made = rvenv(&["create"], &target, python).status();
        assert!(made.is_ok_and(|status| status.success()), "{python}");
        let site = site_packages(&target).expect("an environment has site-packages");
        for package in 0..files / FILES_PER_PACKAGE {
            let dir = site.join(format!("package_{package}"));
            fs::create_dir(&dir).expect("a package can be made");
            for module in 0..FILES_PER_PACKAGE {
                let path = dir.join(format!("module_{module}.py"));
                fs::write(path, format!("MODULE = {module}\n")).expect("a module can be written");
            }
        }
        let times = DEEDS.iter().map(|_| Vec::new()).collect();
        Self { target, times }
    }

    /// The first round warms caches and is not counted.
    fn round(&mut self, deed: usize, python: &str, counts: bool) {
        let Some(((name, words), times)) = DEEDS.get(deed).zip(self.times.get_mut(deed)) else {
            return;
        };
        let took = time(&mut rvenv(words, &self.target, python), &self.target);
        let took = took.unwrap_or_else(|| panic!("{name} failed in {}", self.target.display()));
        if counts {
            times.push(took);
        }
    }
}

fn rvenv(words: &[&str], target: &Path, python: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rvenv"));
    command.arg("-q").args(words).arg(target);
    if !words.contains(&"rollback") {
        command.args(["--python", python]);
    }
    command
}

fn site_packages(target: &Path) -> Option<PathBuf> {
    let mut versions = fs::read_dir(target.join("lib")).ok()?;
    Some(versions.next()?.ok()?.path().join("site-packages"))
}

fn main() {
    let python = python();
    let files = std::env::var("RVENV_FILES").ok();
    let files = files.and_then(|text| text.parse().ok()).unwrap_or(FILES);
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    let subject = |name, files| Subject::new(scratch.path().join(name), &python, files);
    let mut subjects = [subject("empty", 0), subject("full", files)];
    for round in 0..=ROUNDS {
        for deed in 0..DEEDS.len() {
            for subject in &mut subjects {
                subject.round(deed, &python, round > 0);
            }
            subjects.reverse();
        }
    }
    subjects.sort_by(|one, other| one.target.cmp(&other.target));
    let [empty, full] = &subjects;
    println!(
        "{python}, {ROUNDS} rounds, median: an environment, the same with {files} more files, ratio"
    );
    for ((name, _), (empty, full)) in DEEDS.iter().zip(empty.times.iter().zip(&full.times)) {
        if let Some((empty, full)) = median(empty).zip(median(full)) {
            let (empty, full) = (empty.as_secs_f64(), full.as_secs_f64());
            println!(
                "{name:28} {:8.1} ms {:8.1} ms {:8.2}",
                empty * 1000.0,
                full * 1000.0,
                full / empty
            );
        }
    }
}
