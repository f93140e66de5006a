//! The racers: their names, how they start, and in which order they run.
//!
//! Promises that the order rotates from round to round and is reversed in every other one, and that
//! a racer that fails once is out, with the reason.
//!
//! Read next: `contest.rs`, which reports the results.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::budgets::Timed;
use super::field::Field;
use super::floor::Script;
use super::made::Made;
use super::rivals::{Python, Rivals, done};
use super::settings::Settings;
use super::timing::{Times, time};

/// The name of `rvenv create` with pip in every table.
pub(crate) const CREATE: &str = "rvenv create";
pub(crate) const WITHOUT_PIP: &str = "rvenv create --without-pip";
pub(crate) const HARD: &str = "rvenv create --link-mode hardlink";
pub(crate) const BYTECODE: &str = "rvenv create --compile-bytecode";
pub(crate) const PLAN: &str = "rvenv plan";
pub(crate) const NOTHING: &str = "rvenv create, nothing to do";
pub(crate) const START: &str = "rvenv --version";
pub(crate) const TRUE: &str = "true";
pub(crate) const UV: &str = "uv venv";
pub(crate) const UV_SEED: &str = "uv venv --seed";
pub(crate) const VENV: &str = "python -m venv";
pub(crate) const FLOOR: &str = "floor, syncfs";
pub(crate) const FLOOR_FSYNC: &str = "floor, one fsync (does not carry the files that are written)";

pub(crate) type Start<'a> = Box<dyn Fn(&Path) -> Command + 'a>;

/// A tool that makes an environment, or another command that is measured beside it.
pub(crate) struct Entrant<'a> {
    pub(crate) name: String,
    pub(crate) start: Result<Start<'a>, String>,
    /// Runs only in every n-th round.
    every: usize,
    pub(crate) times: Times,
    pub(crate) made: Option<Made>,
}

/// All racers of a race.
pub(crate) struct Race<'a> {
    pub(crate) field: &'a Field,
    python: &'a Python,
    pub(crate) entrants: Vec<Entrant<'a>>,
}

impl<'a> Race<'a> {
    /// A race without racers.
    pub(crate) fn new(field: &'a Field, python: &'a Python) -> Self {
        Self {
            field,
            python,
            entrants: Vec::new(),
        }
    }

    fn enter(&mut self, name: &str, start: Result<Start<'a>, String>) {
        self.entrants.push(Entrant {
            name: name.to_owned(),
            start,
            every: 1,
            times: Times::default(),
            made: None,
        });
    }

    pub(crate) fn enter_rvenv(&mut self) {
        let (field, python) = (self.field, self.python);
        let create = |words: &'static [&'static str]| -> Result<Start<'a>, String> {
            Ok(Box::new(move |target| field.rvenv(words, python, target)))
        };
        self.enter(CREATE, create(&["create"]));
        let fast = &["create", "--durability", "process"];
        self.enter("rvenv create --durability process", create(fast));
        self.enter(HARD, create(&["create", "--link-mode", "hardlink"]));
        self.enter(WITHOUT_PIP, create(&["create", "--without-pip"]));
        self.enter(BYTECODE, create(&["create", "--compile-bytecode"]));
        self.enter(PLAN, create(&["plan"]));
        let existing = field.root.join("existing");
        if let Err(why) = done(&mut field.rvenv(&["create"], python, &existing)) {
            println!("{}: {why}", existing.display());
        }
        let nothing = move |_: &Path| field.rvenv(&["create"], python, &existing);
        self.enter(NOTHING, Ok(Box::new(nothing)));
        let start = move |_: &Path| {
            let mut command = field.command(Path::new(env!("CARGO_BIN_EXE_rvenv")));
            command.arg("--version");
            command
        };
        self.enter(START, Ok(Box::new(start)));
        self.enter(TRUE, Ok(Box::new(|_| field.command(Path::new("true")))));
    }

    pub(crate) fn enter_rivals(&mut self, rivals: &Rivals, settings: &Settings) {
        let (field, python) = (self.field, self.python);
        self.enter_uv(rivals);
        let virtualenv = rivals.virtualenv.clone().map(|program| -> Start<'a> {
            Box::new(move |target| {
                let mut command = field.command(&program);
                command
                    .args([
                        "-q",
                        "--no-download",
                        "--no-periodic-update",
                        "--pip",
                        &python.pip,
                    ])
                    .arg("--extra-search-dir")
                    .arg(&python.wheels)
                    .arg("-p")
                    .arg(&python.path)
                    .arg(target);
                command
            })
        });
        self.enter("virtualenv", virtualenv);
        let venv = |words: &'static [&'static str]| -> Result<Start<'a>, String> {
            Ok(Box::new(move |target| {
                let mut command = field.command(&python.path);
                command.args(["-m", "venv"]).args(words).arg(target);
                command
            }))
        };
        self.enter("python -m venv --without-pip", venv(&["--without-pip"]));
        self.enter(VENV, venv(&[]));
        // It takes a hundred times as long as all others together.
        if let Some(entrant) = self.entrants.last_mut() {
            entrant.every = settings.rounds.min(3);
        }
    }

    pub(crate) fn enter_uv(&mut self, rivals: &Rivals) {
        let (field, python) = (self.field, self.python);
        let uv = |is_seeded: bool| {
            rivals.uv.clone().map(|program| -> Start<'a> {
                Box::new(move |target| {
                    let mut command = field.command(&program);
                    command.args(["venv", "-q", "--python"]).arg(&python.path);
                    if is_seeded {
                        command.args(["--seed", "--no-index", "--find-links"]);
                        command.arg(&python.wheels);
                    }
                    command.arg(target);
                    command
                })
            })
        };
        self.enter(UV, uv(false));
        self.enter(UV_SEED, uv(true));
    }

    pub(crate) fn enter_floor(&mut self, script: &Result<PathBuf, String>) {
        let field = self.field;
        for (name, sync) in [(FLOOR, "syncfs"), (FLOOR_FSYNC, "fsync")] {
            let own = std::env::current_exe().map_err(|error| error.to_string());
            let start = script.clone().and_then(|script| {
                let own = own?;
                let start = move |target: &Path| {
                    let mut command = field.command(&own);
                    command.arg("child:floor").args([&script, target]).arg(sync);
                    command
                };
                Ok(Box::new(start) as Start<'a>)
            });
            self.enter(name, start);
        }
    }

    /// Each racer runs once per round. The first round is not counted: it fills caches and counts
    /// files.
    pub(crate) fn run(&mut self, rounds: usize) {
        let count = self.entrants.len();
        for round in 0..=rounds {
            for turn in 0..count {
                let place = if round % 2 == 0 { turn } else { count - turn };
                if let Some(entrant) = self.entrants.get_mut((place + round) % count) {
                    entrant.run(self.field, round);
                }
            }
        }
    }

    pub(crate) fn times(&self, name: &str) -> Timed<'_> {
        let found = self.entrants.iter().find(|entrant| entrant.name == name);
        let entrant = found.ok_or_else(|| format!("{name} did not run"))?;
        match &entrant.start {
            Ok(_) => Ok(&entrant.times),
            Err(why) => Err(format!("{name}: {why}")),
        }
    }
}

impl Entrant<'_> {
    /// A racer that fails once is out.
    fn run(&mut self, field: &Field, round: usize) {
        if !round.is_multiple_of(self.every) {
            return;
        }
        let Ok(start) = &self.start else {
            return;
        };
        let into = field.root.join(format!("round-{round}"));
        fs::create_dir_all(&into).expect("a directory can be made");
        let name: String = self.name.split_whitespace().collect();
        let target = into.join(name.replace(['(', ')', ','], ""));
        match time(&mut start(&target), &field.root) {
            Ok(took) if round > 0 => self.times.push(round, took),
            Ok(_) => self.made = target.exists().then(|| Made::at(&target)),
            Err(why) => self.start = Err(why),
        }
    }
}

/// Makes an environment with rvenv, and records the script that makes the same again.
pub(crate) fn make_floor(field: &Field, python: &Python) -> Result<PathBuf, String> {
    let tree = field.root.join("tree");
    for target in [&field.root.join("first"), &tree] {
        // `create` clones files where the filesystem can share blocks; the floor always links.
        let link = &["create", "--link-mode", "hardlink"];
        done(&mut field.rvenv(link, python, target))?;
    }
    let script = Script::of(&tree, &field.cache()).map_err(|error| error.to_string())?;
    println!(
        "floor: {} files are linked, {} written\n",
        script.linked, script.written
    );
    if script.linked < script.written {
        return Err("rvenv did not link what it has in its store".to_owned());
    }
    let path = field.root.join("floor.script");
    fs::write(&path, script.bytes()).map_err(|error| error.to_string())?;
    Ok(path)
}
