//! Environments of real packages, made by pip, by uv and by rvenv, go to other Pythons and back,
//! twice.
//!
//! Promises that after each step every package imports, every script starts, `pip check` finds
//! nothing and `verify` reports a clean environment; and that `rollback` restores every byte.

use std::path::Path;

use crate::machine::{Python, ended};
use crate::real::{Ground, Look, pythons};
use crate::trees::{Sameness, Tree, compare, look};

/// The versions that an environment goes through, each by an upgrade, from 3.11 on.
const WAY: [u32; 4] = [12, 13, 12, 11];
const BEGIN: u32 = 11;
/// How often it goes there and back.
const ROUNDS: usize = 2;

/// An environment that moves.
struct Mover {
    ground: Ground,
    pythons: Vec<Python>,
    /// What worked where it was made.
    works: Look,
}

impl Mover {
    /// Checks the environment that `make` makes; `None` where an interpreter or the wheels are
    /// absent.
    fn new(make: fn(&Ground)) -> Option<Self> {
        let pythons = pythons();
        let is_there = |minor: u32| pythons.iter().any(|python| python.version == (3, minor));
        if !WAY.into_iter().all(is_there) {
            return None;
        }
        let first = pythons.iter().find(|python| python.version == (3, BEGIN));
        let ground = Ground::new(first.unwrap());
        make(&ground);
        let works = ground.check();
        Some(Self {
            ground,
            pythons,
            works,
        })
    }

    /// The environment as its user sees it, without the directory for generations.
    fn tree(&self) -> Tree {
        let mut tree = look(&self.ground.env());
        tree.as_mut().unwrap().remove(Path::new("./.rvenv"));
        tree
    }

    /// Takes the environment to another Python, where everything works as before.
    fn upgrade(&self, minor: u32) {
        let mut pythons = self.pythons.iter();
        let python = pythons.find(|python| python.version == (3, minor)).unwrap();
        let python = python.path.to_str().unwrap();
        let wheels = self.ground.given("wheels");
        let places = ["--no-index", "--wheelhouse", &wheels];
        let words = [&["upgrade", "E", "--python", python], &places[..]].concat();
        self.ground.rvenv(&words).ok();
        let code = "import sys; print(sys.version_info[1])";
        let said = self.ground.run(self.ground.python_of_env(), &["-c", code]);
        assert_eq!(said.ok().trim(), minor.to_string());
        assert_eq!(self.ground.check(), self.works);
    }

    /// Brings back what the last change replaced.
    fn rollback(&self, expected: &Tree) {
        self.ground.rvenv(&["rollback", "E"]).ok();
        compare(expected, &self.tree(), Sameness::Restored).unwrap();
        self.ground.rvenv(&["verify", "E"]).ok();
    }
}

fn goes_to_other_pythons_and_back(make: fn(&Ground)) {
    let Some(mover) = Mover::new(make) else {
        return;
    };
    for _ in 0..ROUNDS {
        for minor in WAY {
            let before = mover.tree();
            mover.upgrade(minor);
            let after = mover.tree();
            mover.rollback(&before);
            mover.rollback(&after);
        }
    }
}

#[test]
fn an_environment_of_rvenv_goes_to_other_pythons_and_back_twice() {
    goes_to_other_pythons_and_back(|ground| {
        ground.create(&[]).ok();
    });
}

#[test]
fn an_environment_of_uv_goes_to_other_pythons_and_back_twice() {
    goes_to_other_pythons_and_back(|ground| {
        let python = ground.python.path.to_str().unwrap();
        ground.uv(&["venv", "--python", python, "E"]).ok();
        let (lock, wheels) = (ground.given("requirements.txt"), ground.given("wheels"));
        let env = ground.python_of_env();
        let words = ["pip", "sync", "--python", &env, "--require-hashes", &lock];
        let places = ["--no-index", "--find-links", &wheels];
        ground.uv(&[&words[..], &places].concat()).ok();
    });
}

/// With the pip that the environment itself has, and with bytecode.
#[test]
fn an_environment_of_pip_goes_to_other_pythons_and_back_twice() {
    goes_to_other_pythons_and_back(|ground| {
        let run = |program: &Path, words: &[&str]| {
            let mut command = ground.program(program);
            ended(command.args(words).env_remove("PYTHONPYCACHEPREFIX")).ok();
        };
        run(&ground.python.path, &["-m", "venv", "E"]);
        let (lock, wheels) = (ground.given("requirements.txt"), ground.given("wheels"));
        let words = ["-m", "pip", "install", "--require-hashes", "-r", &lock];
        let places = ["--no-index", "--find-links", &wheels];
        run(
            ground.python_of_env().as_ref(),
            &[&words[..], &places].concat(),
        );
    });
}
