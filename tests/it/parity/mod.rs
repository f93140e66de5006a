//! Parity: compares environments made by `rvenv` with those of the same interpreter's `venv`, at
//! the same path.
//!
//! Promises that `parity/rules.rs` gives a reason for every difference, and that every rule is
//! used; `docs/parity.md` shows that table. By default each interpreter is compared in six cells;
//! `RVENV_PARITY=all` compares every combination of flags. Read next: `parity/cells.rs`, what is
//! compared; `parity/made.rs`, how; `parity/rules.rs`.

#![cfg(unix)]
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::string_slice,
    reason = "a test starts real programs, reads what they made, and says what it skips"
)]

mod cells;
mod document;
mod lists;
mod made;
mod rules;
mod subjects;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::machine;
use crate::machine::{Scratch, any_python, pythons};
use cells::{ACTIONS, Action, Cell, PROMPTS, Parent, below, diagonal, whole};
use document::{WRITE, document};
use lists::{check_leaks, check_records};
use made::{ALL, Difference, EDIT, Made, differences};
pub(crate) use rules::matches;
use rules::{RULES, What};
use subjects::{Kind, Subject, subjects};

/// How many differences of one environment are shown.
const SHOWN: usize = 8;

/// The tool that makes an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tool {
    Venv,
    Rvenv,
}

/// The place where the environments of one interpreter are made, all at one path.
struct Bench<'a> {
    subject: &'a Subject,
    scratch: Scratch,
    umask: &'static str,
    /// What `venv` made with pip, by action, `--copies` and whether an ignore file exists.
    with_pip: BTreeMap<(Action, bool, bool), Made>,
    /// The parent directory of the environment in all cells.
    parent: Parent,
}

impl<'a> Bench<'a> {
    fn new(subject: &'a Subject, umask: &'static str) -> Self {
        Self {
            subject,
            scratch: Scratch::in_memory(),
            umask,
            with_pip: BTreeMap::new(),
            parent: Parent::Nothing,
        }
    }

    /// A bench whose directory passes something on; `None`, with the reason printed, where that is
    /// impossible.
    fn below(subject: &'a Subject, parent: Parent) -> Option<Self> {
        let bench = Self {
            parent,
            ..Self::new(subject, "022")
        };
        let dir = bench.env().parent().unwrap().to_owned();
        fs::create_dir_all(&dir).unwrap();
        let done = |tool: &str, words: &[&str]| {
            let ran = Command::new(tool).args(words).arg(&dir).status();
            ran.is_ok_and(|status| status.success())
        };
        let is_had = match parent {
            Parent::Nothing => true,
            Parent::Group => done("chgrp", &["54321"]) && done("chmod", &["g+ws"]),
            Parent::Acl => done("setfacl", &["-d", "-m", "u:54321:rwx,g::rwx,o::r-x"]),
        };
        if !is_had {
            println!("skipped: no directory can be had that hands down: {parent:?}");
        }
        is_had.then_some(bench)
    }

    fn env(&self) -> PathBuf {
        match self.parent {
            Parent::Nothing => self.scratch.path("E"),
            Parent::Group | Parent::Acl => self.scratch.path("shared/E"),
        }
    }

    /// Makes the environment with a tool; the error is its output.
    fn make(&self, tool: Tool, flags: &[&str]) -> Result<(), String> {
        let python = &self.subject.python.path;
        let rvenv = Path::new(env!("CARGO_BIN_EXE_rvenv"));
        let program = if tool == Tool::Venv { python } else { rvenv };
        let mut command = self.subject.start(&self.scratch, program, self.umask);
        if tool == Tool::Venv {
            command.args(["-m", "venv"]);
        } else {
            command.args(["create", "--python"]).arg(python);
        }
        let ended = machine::ended(command.args(flags).arg(self.env()));
        let said = format!("{}{}", ended.stdout, ended.stderr);
        (ended.code == Some(0)).then_some(()).ok_or(said)
    }

    /// Prepares the target: an environment of the same tool with other flags, in which a user
    /// worked.
    fn prepare(&self, tool: Tool, cell: &Cell) {
        if cell.action == Action::Create {
            return;
        }
        let env = self.env();
        let pip =
            cell.pip && cell.action != Action::Clear && self.subject.kind != Kind::WithoutVenv;
        let kept = self
            .scratch
            .path(&format!("{tool:?}-{}-{}-{pip}", cell.copies, cell.system));
        let copy = |from: &Path, to: &Path| {
            let copied = Command::new("cp")
                .arg("-a")
                .args([from, to])
                .status()
                .unwrap();
            assert!(copied.success());
        };
        if kept.exists() {
            return copy(&kept, &env);
        }
        let before = Cell {
            action: Action::Create,
            pip,
            system: !cell.system,
            ignored: true,
            prompt: Some("before"),
            ..*cell
        };
        self.make(tool, &before.flags(self.subject.python.version.1))
            .unwrap();
        let libs = fs::read_dir(env.join("lib")).unwrap();
        let lib = libs.map(|lib| lib.unwrap().path()).next().unwrap();
        for own in [
            env.join("notes"),
            env.join("bin/mine"),
            lib.join("site-packages/mine.py"),
        ] {
            fs::write(own, "mine\n").unwrap();
        }
        let activate = env.join("bin/activate");
        let edited = fs::read_to_string(&activate).unwrap() + EDIT;
        fs::write(activate, edited).unwrap();
        fs::remove_file(env.join("bin/activate.csh")).unwrap();
        copy(&env, &kept);
    }

    /// What `venv` makes of the cell; the error is its output.
    fn by_venv(&mut self, cell: &Cell) -> Result<Made, String> {
        let flags = cell.flags(self.subject.python.version.1);
        let key = (cell.action, cell.copies, cell.ignored);
        self.prepare(Tool::Venv, cell);
        if let Some(with_pip) = self.with_pip.get(&key) {
            self.make(Tool::Venv, &[&flags[..], &["--without-pip"]].concat())?;
            return Ok(Made::take(&self.env()).with_pip_of(with_pip));
        }
        let ended = self.make(Tool::Venv, &flags);
        if let Err(said) = ended {
            let _half = fs::remove_dir_all(self.env());
            return Err(said);
        }
        let made = Made::take(&self.env());
        if cell.pip {
            self.with_pip.insert(key, made.clone());
        }
        Ok(made)
    }

    /// What `rvenv` makes of the cell; checks that environment by itself too.
    fn by_rvenv(&self, cell: &Cell, is_first: bool) -> Result<Made, String> {
        self.prepare(Tool::Rvenv, cell);
        let before = self.env().exists().then(|| Made::read(&self.env()));
        if let Err(said) = self.make(Tool::Rvenv, &cell.flags(self.subject.python.version.1)) {
            let after = self.env().exists().then(|| Made::take(&self.env()));
            assert!(before == after, "rvenv fails and something stays: {said}");
            return Err(said);
        }
        let env = self.env();
        let made = Made::read(&env);
        check_leaks(&env);
        if cell.pip && is_first {
            check_records(&env);
        }
        fs::remove_dir_all(&env).unwrap();
        Ok(made)
    }

    fn compare(&mut self, cell: &Cell) -> Vec<Difference> {
        let is_first = !self
            .with_pip
            .contains_key(&(cell.action, cell.copies, cell.ignored));
        // The venv of a `PyPy` copies the whole directory that holds its library, which may be
        // `/usr/lib`.
        let is_run = !(self.subject.kind == Kind::PyPy && cell.copies);
        let venv = if is_run {
            Some(self.by_venv(cell))
        } else {
            None
        };
        let rvenv = self.by_rvenv(cell, is_first);
        let whole = |what, detail| {
            let path = ALL.to_owned();
            vec![Difference { path, what, detail }]
        };
        match (venv, rvenv) {
            (Some(Ok(venv)), Ok(rvenv)) => differences(&venv, &rvenv),
            (None, Ok(_)) => whole(Some(What::VenvIsNotRun), String::new()),
            (Some(Err(venv)), Err(rvenv)) => {
                let detail = format!("venv: {}\nrvenv: {}", venv.trim(), rvenv.trim());
                whole(Some(What::BothFail), detail)
            }
            (Some(Err(said)), Ok(_)) => whole(None, format!("venv fails: {}", said.trim())),
            (_, Err(said)) => whole(None, format!("rvenv fails: {}", said.trim())),
        }
    }
}

/// Works through a list with two threads.
fn two_at_a_time<T: Send>(items: Vec<T>, work: impl Fn(T) + Sync) {
    let items = Mutex::new(items);
    let next = || items.lock().unwrap().pop();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(item) = next() {
                    work(item);
                }
            });
        }
    });
}

/// The diagonal; for a `PyPy` one copy is enough, because nothing exists to compare it with.
fn some_of(subject: &Subject, number: usize) -> Vec<Cell> {
    let mut cells = diagonal(number);
    if subject.kind == Kind::PyPy {
        cells.push(Cell {
            pip: false,
            ..cells[0]
        });
        for cell in &mut cells {
            cell.copies = false;
        }
        cells.last_mut().unwrap().copies = true;
    }
    cells
}

/// Every difference that no rule explains, and every rule about these cells that no difference
/// needs.
fn judge(subject: &Subject, compared: &[(Cell, Vec<Difference>)]) -> Vec<String> {
    let mut found = Vec::new();
    let mut needed = BTreeSet::new();
    for (cell, differences) in compared {
        let mut unexplained = Vec::new();
        for Difference { path, what, detail } in differences {
            let explains = |rule: &&(usize, &rules::Rule)| {
                let rule = rule.1;
                Some(rule.what) == *what && rule.names(path) && rule.is_about(subject, cell)
            };
            match RULES.iter().enumerate().find(|rule| explains(&rule)) {
                Some((number, _)) => drop(needed.insert(number)),
                None => unexplained.push(format!("{}: {cell:?}: {path}: {detail}", subject.name())),
            }
        }
        let count = unexplained.len();
        unexplained.truncate(SHOWN);
        found.extend(unexplained);
        if count > SHOWN {
            found.push(format!("and {} more", count - SHOWN));
        }
    }
    for (number, rule) in RULES.iter().enumerate() {
        let is_met = compared
            .iter()
            .any(|(cell, _)| rule.is_about(subject, cell));
        if is_met && rule.is_needed && !needed.contains(&number) {
            let (name, how) = (subject.name(), rule.what.text());
            found.push(format!(
                "{name}: nothing needs the rule `{}`, {how}",
                rule.path
            ));
        }
    }
    found
}

#[test]
fn every_difference_from_venv_has_a_reason_and_every_reason_a_difference() {
    let is_whole = std::env::var_os("RVENV_PARITY").is_some_and(|value| value == "all");
    let found = Mutex::new(Vec::new());
    let subjects: Vec<_> = subjects().into_iter().enumerate().collect();
    two_at_a_time(subjects, |(number, subject)| {
        let mut bench = Bench::new(&subject, "022");
        let cells = if is_whole {
            whole()
        } else {
            some_of(&subject, number)
        };
        let compared: Vec<_> = cells
            .into_iter()
            .map(|cell| (cell, bench.compare(&cell)))
            .collect();
        println!("{}: {} environments", subject.name(), compared.len());
        found.lock().unwrap().extend(judge(&subject, &compared));
    });
    let found = found.into_inner().unwrap();
    assert!(
        found.is_empty(),
        "{} differ:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn the_document_has_the_rules_of_the_test() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/parity.md");
    if std::env::var_os("RVENV_WRITE_DOCS").is_some() {
        fs::write(&path, document()).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == document(),
        "docs/parity.md is not as the rules are; write it: {WRITE}"
    );
}

#[test]
fn the_diagonal_meets_every_value_for_every_interpreter_and_pip_in_every_action() {
    let mut with_pip = BTreeSet::new();
    for number in 0..16 {
        let cells = diagonal(number);
        let meets = |is: &dyn Fn(&Cell) -> bool| assert!(cells.iter().any(is), "{cells:?}");
        for value in [false, true] {
            meets(&|cell| cell.copies == value);
            meets(&|cell| cell.system == value);
            meets(&|cell| cell.ignored == value);
        }
        for action in ACTIONS {
            meets(&|cell| cell.action == action);
        }
        for prompt in PROMPTS {
            meets(&|cell| cell.prompt == prompt);
        }
        let pip: Vec<_> = cells.iter().filter(|cell| cell.pip).collect();
        assert_eq!(pip.len(), 1);
        with_pip.extend(pip.iter().map(|cell| (cell.action, cell.copies)));
    }
    assert_eq!(with_pip.len(), 2 * ACTIONS.len());
    let whole = whole();
    assert_eq!(whole.len(), 4 * 2 * 2 * 2 * PROMPTS.len());
    assert_eq!(whole.iter().collect::<BTreeSet<_>>().len(), whole.len());
}

/// venv: what pip installs and `pyvenv.cfg` obey the umask, scripts and copies of the interpreter
/// do not.
#[test]
fn under_a_strict_umask_modes_are_those_of_venv() {
    let Some(python) = any_python() else { return };
    let subject = Subject::of(&python);
    for pip in [true, false] {
        let cell = Cell {
            action: Action::Create,
            copies: pip,
            pip,
            system: false,
            prompt: None,
            ignored: true,
            parent: Parent::Nothing,
        };
        let compared = [(cell, Bench::new(&subject, "077").compare(&cell))];
        let found = judge(&subject, &compared);
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}

/// Owner, group, setgid bit and ACL of each object equal venv's, or a rule gives the reason.
#[test]
fn where_the_parent_hands_something_down_an_environment_has_what_that_of_venv_has() {
    let Some(python) = any_python() else { return };
    let subject = Subject::of(&python);
    for parent in [Parent::Group, Parent::Acl] {
        let Some(mut bench) = Bench::below(&subject, parent) else {
            continue;
        };
        let cells = below(parent).into_iter();
        let compared: Vec<_> = cells.map(|cell| (cell, bench.compare(&cell))).collect();
        let found = judge(&subject, &compared);
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}

#[test]
fn an_interpreter_from_before_3_6_is_refused() {
    let mut old = pythons();
    old.retain(|python| !python.is_supported());
    if old.is_empty() {
        println!("skipped: every Python of this machine is new enough");
    }
    for python in old {
        let scratch = Scratch::in_memory();
        let asked = python.path.to_str().unwrap();
        let said = scratch.rvenv(&["create", "--python", asked, "E"]).failed(1);
        let what = format!(
            "error[broken-python]: `{asked}` is Python {}.{}.",
            python.version.0, python.version.1
        );
        assert!(said.starts_with(&what), "{said}");
        assert!(
            said.contains("which is too old: rvenv needs 3.6 or newer"),
            "{said}"
        );
        assert!(!scratch.path("E").exists());
    }
}
