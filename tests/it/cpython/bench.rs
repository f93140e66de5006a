//! A bench for each interpreter: a scratch directory, an environment in it, and both Pythons to
//! query.
//!
//! Promises that a test's work is done for every interpreter of the machine, two at a time, and
//! that a failure names the interpreter.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use crate::machine::{Ended, Python, Scratch, ended, supported};

pub(crate) struct Bench {
    pub(crate) scratch: Scratch,
    pub(crate) python: Python,
    facts: &'static Facts,
}

/// What the tests want to know of an interpreter.
struct Facts {
    python: Python,
    /// The name of the directory below `lib`, such as `python3.13`.
    place: String,
    is_pypy: bool,
    /// The version of the pip that it brings.
    pip: Option<String>,
}

const ASK: &str = "
import os, platform
print(os.path.basename(os.path.dirname(os.path.realpath(os.__file__))))
print(platform.python_implementation())
import ensurepip
print(ensurepip.version())
";

/// Does the same for every interpreter.
pub(crate) fn each(work: impl Fn(&Bench) + Sync) {
    static FACTS: OnceLock<Vec<Facts>> = OnceLock::new();
    let facts = FACTS.get_or_init(|| supported().into_iter().map(Facts::of).collect());
    let all = Mutex::new(facts.iter().rev());
    let next = || all.lock().unwrap().next();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(facts) = next() {
                    let python = facts.python.clone();
                    let scratch = Scratch::in_memory();
                    let bench = Bench {
                        scratch,
                        python,
                        facts,
                    };
                    if let Err(why) = catch_unwind(AssertUnwindSafe(|| work(&bench))) {
                        println!("this was {}", bench.python.path.display());
                        resume_unwind(why);
                    }
                }
            });
        }
    });
}

impl Facts {
    fn of(python: Python) -> Self {
        let output = Command::new(&python.path)
            .args(["-c", ASK])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let mut lines = said.lines().map(str::to_owned);
        Self {
            place: lines.next().unwrap(),
            is_pypy: lines.next().unwrap() == "PyPy",
            pip: lines.next(),
            python,
        }
    }
}

impl Bench {
    pub(crate) fn env(&self) -> PathBuf {
        self.scratch.path("E")
    }

    /// A path in the environment.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.env().join(below)
    }

    pub(crate) fn read(&self, below: &str) -> String {
        fs::read_to_string(self.path(below)).unwrap()
    }

    /// The command under test. One cache for all, because asking an interpreter takes longer than
    /// everything else.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = self.scratch.command(words);
        command.env(
            "RVENV_CACHE_DIR",
            concat!(env!("CARGO_TARGET_TMPDIR"), "/cpython-cache"),
        );
        command
    }

    pub(crate) fn rvenv(&self, words: &[&str]) -> Ended {
        ended(&mut self.command(words))
    }

    /// `rvenv create` with this interpreter, and these words before the environment's name.
    pub(crate) fn make(&self, words: &[&str]) -> Ended {
        let python = self.python.path.to_str().unwrap();
        self.rvenv(&[&["create", "--python", python][..], words, &["E"]].concat())
    }

    /// Makes an environment without pip.
    #[track_caller]
    pub(crate) fn create(&self, words: &[&str]) {
        self.make(&[&["--without-pip"], words].concat()).ok();
    }

    /// The name that the interpreter was started by, in the environment.
    pub(crate) fn exe(&self) -> PathBuf {
        self.path("bin").join(self.python.path.file_name().unwrap())
    }

    /// What the environment's interpreter prints, without the end of the line; nothing on standard
    /// error.
    #[track_caller]
    pub(crate) fn says(&self, code: &str) -> String {
        quiet(&self.scratch.run(&self.exe(), &["-c", code]))
    }

    /// What the base interpreter prints.
    #[track_caller]
    pub(crate) fn base_says(&self, code: &str) -> String {
        quiet(&self.scratch.run(&self.python.path, &["-c", code]))
    }

    /// The name of the directory below `lib`, such as `python3.13`.
    pub(crate) fn place(&self) -> &str {
        &self.facts.place
    }

    pub(crate) fn is_pypy(&self) -> bool {
        self.facts.is_pypy
    }

    /// The version of the pip that the interpreter bundles; prints a message if it bundles none.
    pub(crate) fn pip(&self) -> Option<&str> {
        if self.facts.pip.is_none() {
            println!("skipped: {} brings no pip", self.python.path.display());
        }
        self.facts.pip.as_deref()
    }
}

/// Standard output of a success with an empty standard error.
#[track_caller]
pub(crate) fn quiet(ended: &Ended) -> String {
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(0), ""),
        "{ended:?}"
    );
    ended.stdout.trim_end_matches('\n').to_owned()
}

/// Whether a program can be started; prints a message if not.
pub(crate) fn is_installed(program: &str) -> bool {
    let found = ["/bin", "/usr/bin"]
        .iter()
        .any(|dir| Path::new(dir).join(program).exists());
    if !found {
        println!("skipped: no {program} on this machine");
    }
    found
}
