//! A sandbox: a scratch directory with an interpreter, in which tests make and break environments.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::machine::{Ended, Python, Scratch, any_python, ended, supported};
use crate::refused::refused_by;

/// The user that tests become where the system refuses nothing to root.
pub(crate) const OTHER_USER: u32 = 65534;

/// The sandbox that the head of this file describes.
pub(crate) struct Sandbox {
    pub(crate) scratch: Scratch,
    pub(crate) python: Python,
}

/// A sandbox with the newest interpreter that brings pip.
pub(crate) fn sandbox() -> Option<Sandbox> {
    any_python().map(sandbox_of)
}

/// A sandbox with this interpreter, in memory.
pub(crate) fn sandbox_of(python: Python) -> Sandbox {
    let scratch = Scratch::in_memory();
    Sandbox { scratch, python }
}

/// A sandbox with an interpreter that all users may run.
pub(crate) fn sandbox_for_all() -> Option<Sandbox> {
    static PYTHON: OnceLock<Option<Python>> = OnceLock::new();
    let is_for_all = |python: &Python| {
        let asked = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&python.path)
            .args(["-c", "pass"])
            .output();
        asked.is_ok_and(|output| output.status.success())
    };
    let found = PYTHON.get_or_init(|| supported().into_iter().rev().find(is_for_all));
    if found.is_none() {
        println!("skipped: this is not root, or no Python here is for everybody");
    }
    found.clone().map(sandbox_of)
}

/// A Python 3 of this minor version.
pub(crate) fn minor_of(minor: u32) -> Option<Python> {
    let mut found = supported().into_iter();
    let found = found.find(|python| python.version == (3, minor));
    if found.is_none() {
        println!("skipped: no Python 3.{minor} on this machine");
    }
    found
}

impl Sandbox {
    /// The same without a cache, for tests of how the command queries the interpreter.
    pub(crate) fn cold(self) -> Self {
        let scratch = Scratch::cold();
        Self { scratch, ..self }
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.scratch.path(below)
    }

    pub(crate) fn path_of_python(&self) -> &str {
        self.python.path.to_str().unwrap()
    }

    pub(crate) fn read(&self, below: &str) -> String {
        fs::read_to_string(self.path(below)).unwrap()
    }

    /// Writes a file, and the directories above it.
    pub(crate) fn write(&self, below: &str, text: &str) {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// `rvenv VERB REST`, without pip and with the sandbox's interpreter.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let (verb, rest) = words.split_first().unwrap();
        let mut all = vec![*verb, "--without-pip", "-p", self.path_of_python()];
        all.extend(rest);
        self.scratch.command(&all)
    }

    pub(crate) fn verb(&self, verb: &str, rest: &[&str]) -> Ended {
        ended(&mut self.command(&[&[verb], rest].concat()))
    }

    pub(crate) fn create(&self, rest: &[&str]) -> Ended {
        self.verb("create", rest)
    }

    /// Checks that the same fails and touches nothing.
    #[track_caller]
    pub(crate) fn refused(&self, words: &[&str], code: i32) -> String {
        refused_by(&self.scratch, &mut self.command(words), code)
    }

    /// Checks that the environment starts, and matches its receipt.
    #[track_caller]
    pub(crate) fn works(&self, env: &str) {
        let python = self.path(env).join("bin/python");
        let code = "import sys, json; print(sys.prefix)";
        let said = self.scratch.run(&python, &["-I", "-c", code]).ok();
        let expected = self.path(env).canonicalize().unwrap();
        assert_eq!(Path::new(said.trim()).canonicalize().unwrap(), expected);
        let verified = self
            .scratch
            .rvenv(&["verify", self.path(env).to_str().unwrap()]);
        verified.ok();
    }

    /// The `site-packages` of an environment.
    pub(crate) fn site_packages(&self, env: &str) -> String {
        format!("{env}/lib/python3.{}/site-packages", self.python.version.1)
    }

    /// The names in the directory where commands start.
    pub(crate) fn litter(&self) -> Vec<String> {
        let names = fs::read_dir(self.path("")).unwrap();
        let mut names: Vec<_> = names
            .map(|name| name.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// The same command by another user, who owns the directory `other` and a cache; in a
    /// sandbox for all users.
    pub(crate) fn as_other_user(&self, words: &[&str]) -> Command {
        let (tools, cache) = (self.path("../tools"), self.path("../cache-of-other"));
        let rvenv = tools.join("rvenv");
        if !rvenv.exists() {
            fs::create_dir(&tools).unwrap();
            // A program that this process has open for writing does not start, and processes that
            // other tests start meanwhile would have it open too.
            let program = env!("CARGO_BIN_EXE_rvenv");
            let copied = Command::new("cp").arg(program).arg(&rvenv).status();
            assert!(copied.unwrap().success());
            fs::create_dir(self.path("other")).unwrap();
            fs::create_dir(&cache).unwrap();
            for owned in [&self.path("other"), &cache] {
                fs::set_permissions(owned, fs::Permissions::from_mode(0o755)).unwrap();
                chown(owned, Some(OTHER_USER), Some(OTHER_USER)).unwrap();
            }
        }
        let mut command = self.scratch.program(Path::new("setpriv"), "022");
        let (verb, rest) = words.split_first().unwrap();
        command
            .env("RVENV_CACHE_DIR", &cache)
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&rvenv)
            .args([*verb, "--without-pip", "-p", self.path_of_python()])
            .args(rest);
        command
    }
}

/// Makes a FIFO.
pub(crate) fn fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}
