//! Real packages: a lock of ninety distributions, installed by rvenv, uv and pip.
//!
//! `packages.txt` is the list; `.ci/real` makes locks of it, downloads wheels and both installers
//! into the directory that `RVENV_REAL` names, and runs these tests. Without this variable each
//! test is skipped. No test uses the network. Bytecode is kept outside of the environments, except
//! where it is compared.
//!
//! Read next: `locked.rs`, what a lock installs; `parity.rs`, compared with uv and pip, by the
//! rules in `rules.rs`; `moved.rs`, to other Pythons and back.

#![cfg(unix)]
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests start real programs, read what they made, and say what they skip"
)]

mod locked;
mod moved;
mod parity;
pub(crate) mod rules;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::machine::{Ended, Python, Scratch, ended, supported};

/// The directory with wheels, locks and installers.
const HOUSE: &str = "RVENV_REAL";
/// The versions for which the wheels were downloaded, where they are installed.
const MINORS: [u32; 5] = [10, 11, 12, 13, 14];
/// The extras that the lock has.
const EXTRAS: [&str; 2] = ["http2", "socks"];
/// How many distributions a lock must have to prove anything.
const DISTRIBUTIONS_MIN: usize = 60;

/// The program that imports every package and starts every script.
const LOOK: &str = include_str!("look.py");
/// The program that reads a lock without rvenv.
const LISTED: &str = include_str!("listed.py");

/// What does not work, by name; `None` for what works.
type Works = BTreeMap<String, Option<String>>;

/// Whether the packages of an environment work.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Look {
    imports: Works,
    scripts: Works,
}

/// The packages and versions of an environment, by normalized names.
type Versions = BTreeMap<String, String>;

/// A scratch directory with an interpreter, next to the wheels. The environment is `E`.
struct Ground {
    scratch: Scratch,
    house: PathBuf,
    python: Python,
    umask: &'static str,
}

/// One interpreter for each minor version; none, with the reason printed, without the wheels.
fn pythons() -> Vec<Python> {
    if std::env::var_os(HOUSE).is_none() {
        println!("skipped: `.ci/real` downloads real packages, and sets {HOUSE}");
        return Vec::new();
    }
    let all = supported();
    let of_minor = |minor: &u32| {
        let mut all = all.iter();
        let found = all.find(|python| python.version == (3, *minor)).cloned();
        if found.is_none() {
            println!("skipped: no Python 3.{minor} on this machine");
        }
        found
    };
    MINORS.iter().filter_map(of_minor).collect()
}

impl Ground {
    fn new(python: &Python) -> Self {
        Self {
            scratch: Scratch::in_memory(),
            house: std::env::var_os(HOUSE).unwrap().into(),
            python: python.clone(),
            umask: "022",
        }
    }

    fn env(&self) -> PathBuf {
        self.scratch.path("E")
    }

    /// A file or directory that `.ci/real` made.
    fn given(&self, name: &str) -> String {
        self.house.join(name).to_str().unwrap().to_owned()
    }

    /// A program with caches in the scratch directory.
    fn program(&self, program: &Path) -> Command {
        let mut command = self.scratch.program(program, self.umask);
        command
            .env("PYTHONPYCACHEPREFIX", self.scratch.path("bytecode"))
            .env("UV_CACHE_DIR", self.scratch.path("uv"))
            .env("UV_OFFLINE", "1");
        command
    }

    /// One of the other installers, or a program of `E`.
    fn run<S: AsRef<OsStr>>(&self, program: impl AsRef<Path>, words: &[S]) -> Ended {
        ended(self.program(program.as_ref()).args(words))
    }

    fn pip(&self, words: &[&str]) -> Ended {
        let python = self.python_of_env();
        let own = ["--python", &python, "--no-cache-dir"];
        self.run(self.given("peers/bin/pip"), &[&own, words].concat())
    }

    fn uv(&self, words: &[&str]) -> Ended {
        self.run(self.given("peers/bin/uv"), words)
    }

    fn rvenv(&self, words: &[&str]) -> Ended {
        self.run(env!("CARGO_BIN_EXE_rvenv"), words)
    }

    fn python_of_env(&self) -> String {
        self.env().join("bin/python3").to_str().unwrap().to_owned()
    }

    /// Creates `E` with the packages of the lock and without pip.
    fn create(&self, more: &[&str]) -> Ended {
        let (lock, wheels) = (self.given("pylock.toml"), self.given("wheels"));
        let python = self.python.path.to_str().unwrap();
        let words = ["create", "E", "--python", python, "-r", &lock];
        let places = ["--wheelhouse", &wheels, "--no-index"];
        self.rvenv(&[&words[..], &places, &extras(), more].concat())
    }

    /// Creates `E` without any package.
    fn create_bare(&self) {
        let python = self.python.path.to_str().unwrap();
        let words = ["create", "E", "--python", python, "--without-pip"];
        self.rvenv(&words).ok();
    }

    /// Imports every package of `E`, and starts every script.
    fn look(&self) -> Look {
        let said = self.run(self.python_of_env(), &["-c", LOOK]).ok();
        serde_json::from_str(said.lines().last().unwrap()).unwrap()
    }

    /// Checks that everything in `E` imports and starts, and that no requirement is unmet.
    #[track_caller]
    fn check(&self) -> Look {
        let look = self.look();
        for (kind, works) in [("import", &look.imports), ("start", &look.scripts)] {
            let failed: Vec<_> = works.iter().filter(|(_, why)| why.is_some()).collect();
            assert!(failed.is_empty(), "cannot {kind}: {failed:?}");
        }
        assert!(look.imports.len() > DISTRIBUTIONS_MIN, "{look:?}");
        assert_eq!(self.pip(&["check"]).ok(), "No broken requirements found.\n");
        let verified = self.rvenv(&["verify", "E"]).ok();
        assert!(verified.contains("state: clean"), "{verified}");
        look
    }

    /// What the lock names for this interpreter.
    fn locked(&self) -> Versions {
        let ask = "import pip, os; print(os.path.dirname(os.path.dirname(pip.__file__)))";
        let library = self.run(self.given("peers/bin/python"), &["-c", ask]).ok();
        let lock = self.given("pylock.toml");
        let mut command = self.program(&self.python.path);
        command
            .env("PYTHONPATH", library.trim())
            .args(["-c", LISTED, &lock])
            .args(EXTRAS);
        let versions: Versions = serde_json::from_str(&ended(&mut command).ok()).unwrap();
        assert!(versions.len() >= DISTRIBUTIONS_MIN, "{versions:?}");
        versions
    }
}

/// The options that choose the extras.
fn extras() -> [&'static str; 4] {
    ["--extra", EXTRAS[0], "--extra", EXTRAS[1]]
}

/// The answer of `list --format json`, but for pip and setuptools.
fn versions(json: &str) -> Versions {
    #[derive(Deserialize)]
    struct Row {
        name: String,
        version: String,
    }
    let rows: Vec<Row> = serde_json::from_str(json).unwrap();
    let normal = |name: &str| name.to_lowercase().replace(['_', '.'], "-");
    let pairs = rows.into_iter().map(|row| (normal(&row.name), row.version));
    let seeds = ["pip", "setuptools"];
    pairs
        .filter(|(name, _)| !seeds.contains(&name.as_str()))
        .collect()
}
