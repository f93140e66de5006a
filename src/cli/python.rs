//! `rvenv python`: which interpreters there are, and which one a request means.
//!
//! Promises that `find` names the interpreter that `create --python` would take, and that `list` shows each one once.
//! Writes nothing but notes in the cache.
//! Read next: the library's `interpreter/discover.rs` and `interpreter/listing.rs`.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rvenv::interpreter::{
    self, Control, InterpreterError, Listed, Listing, Located, Request, Surroundings, Wanted,
};
use rvenv::render::escape;
use serde::Serialize;

use super::Session;
use super::args::{PythonArgs, PythonCommand};
use crate::error::{CliError, Exit, of_interpreter};

/// How long an interpreter may take to answer for the list of what there is.
const LISTING_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Serialize)]
struct ListingJson<'a> {
    format: u64,
    interpreters: Vec<InterpreterJson<'a>>,
    unusable: Vec<UnusableJson<'a>>,
}

#[derive(Serialize)]
struct FoundJson<'a> {
    format: u64,
    interpreter: InterpreterJson<'a>,
}

#[derive(Serialize)]
struct InterpreterJson<'a> {
    implementation: &'a str,
    version: &'a str,
    free_threaded: bool,
    path: &'a Path,
    real_path: &'a Path,
    source: &'static str,
    links: Vec<&'a Path>,
}

#[derive(Serialize)]
struct UnusableJson<'a> {
    path: String,
    reason: &'a str,
}

impl Session<'_> {
    pub(super) fn python(&self, command: &PythonCommand) -> Result<Exit, CliError> {
        match command {
            PythonCommand::List(args) => self.python_list(args),
            PythonCommand::Find(args) => self.python_find(args),
        }
    }

    fn python_find(&self, args: &PythonArgs) -> Result<Exit, CliError> {
        let project = self.world.surroundings.cwd.clone();
        let found = self.look(args.request.as_ref(), &project, interpreter::locate_wanted)?;
        let release = found.release.to_string();
        self.terminal
            .detail(&format!("{release}, from {}", found.source.word()));
        if args.json {
            let found = FoundJson {
                format: 1,
                interpreter: InterpreterJson::of(&found, &[]),
            };
            self.python_json(&found)?;
        } else {
            let path = found.executable.to_string_lossy();
            self.terminal.data(&format!("{path}\n"))?;
        }
        Ok(Exit::Done)
    }

    fn python_list(&self, args: &PythonArgs) -> Result<Exit, CliError> {
        let around = &self.world.surroundings;
        let request = args.request.as_ref().map_or(Ok(Request::Default), |text| {
            Request::parse(text, &around.cwd)
        });
        let request = request.map_err(|error| self.python_failed(&error))?;
        let listing = self
            .with_control(|control| interpreter::list(&request, around, control))
            .map_err(|error| self.python_failed(&error))?;
        if args.json {
            self.python_json(&ListingJson::of(&listing))?;
            return Ok(Exit::Done);
        }
        self.terminal.data(&text(&listing))?;
        for tried in &listing.unusable {
            let shown = escape(&tried.path.to_string_lossy());
            self.terminal
                .story(&format!("Not usable: `{shown}`: {}", tried.reason));
        }
        let next = if listing.found.is_empty() {
            "Found none. Install one, for example with apt, uv or pyenv"
        } else {
            "Use one with `rvenv create --python PATH ENV_DIR`"
        };
        self.terminal.story(next);
        Ok(Exit::Done)
    }

    /// What is asked for: what was typed, else what `RVENV_PYTHON` says.
    pub(super) fn asked<'t>(&'t self, typed: Option<&'t OsString>) -> Option<&'t OsString> {
        typed.or(self.world.python.as_ref())
    }

    /// Looks for the interpreter that is asked for, or that the project of `target` wants where nothing is.
    pub(super) fn look<T>(
        &self,
        typed: Option<&OsString>,
        target: &Path,
        find: impl FnOnce(&Wanted<'_>, &Surroundings, &Control<'_>) -> Result<T, InterpreterError>,
    ) -> Result<T, CliError> {
        let around = &self.world.surroundings;
        let variable = (typed.is_none() && self.world.python.is_some()).then_some("RVENV_PYTHON");
        let asked = self.asked(typed);
        let request = asked.map_or(Ok(Request::Default), |text| {
            Request::parse(text, &around.cwd)
        });
        let found = request.and_then(|request| {
            let wanted = Wanted {
                request: &request,
                variable,
                target: Some(target),
                warning: &|text| self.terminal.warning(text),
            };
            self.with_control(|control| find(&wanted, around, control))
        });
        found.map_err(|error| self.not_found(&error, variable))
    }

    /// Why there is no interpreter, and where one of another version is wanted, which there are.
    fn not_found(&self, error: &InterpreterError, variable: Option<&str>) -> CliError {
        let told = of_interpreter(error, self.signals.terminated());
        match (error, variable) {
            (InterpreterError::NotFound { searched, .. }, _) if !searched.is_empty() => {
                self.terminal.detail_of(|| error.to_string());
                let around = &self.world.surroundings;
                let listing = self.with_control(|control| {
                    let brief = Control {
                        timeout: LISTING_TIMEOUT,
                        ..*control
                    };
                    interpreter::list(&Request::Default, around, &brief)
                });
                match listing {
                    Ok(listing) => told.instead(&there_is(&listing)),
                    Err(error) => of_interpreter(&error, self.signals.terminated()),
                }
            }
            (InterpreterError::BadRequest { .. }, Some(variable)) => {
                told.hint(format!("correct or unset `{variable}`, which asks for it"))
            }
            _ => told,
        }
    }

    fn python_failed(&self, error: &InterpreterError) -> CliError {
        of_interpreter(error, self.signals.terminated())
    }

    fn python_json(&self, what: &impl Serialize) -> Result<(), CliError> {
        // A path that is not UTF-8 has no JSON; every interpreter that may be used has one that is.
        let text = serde_json::to_string_pretty(what).map_err(|error| {
            CliError::new(Exit::Failed, "a path that was found is not UTF-8").because(&error)
        })?;
        self.terminal.json(&format!("{text}\n"))
    }
}

impl<'a> InterpreterJson<'a> {
    fn of(found: &'a Located, links: &'a [PathBuf]) -> Self {
        Self {
            implementation: &found.release.implementation,
            version: &found.release.version.text,
            free_threaded: found.release.free_threaded,
            path: &found.executable,
            real_path: &found.real_executable,
            source: found.source.word(),
            links: links.iter().map(AsRef::as_ref).collect(),
        }
    }
}

impl<'a> ListingJson<'a> {
    fn of(listing: &'a Listing) -> Self {
        let found = listing.found.iter();
        let unusable = listing.unusable.iter();
        Self {
            format: 1,
            interpreters: found
                .map(|listed| InterpreterJson::of(&listed.located, &listed.links))
                .collect(),
            unusable: unusable
                .map(|tried| UnusableJson {
                    path: tried.path.to_string_lossy().into_owned(),
                    reason: &tried.reason,
                })
                .collect(),
        }
    }
}

/// The releases of a listing, each once.
fn there_is(listing: &Listing) -> String {
    let mut releases: Vec<String> = Vec::new();
    for listed in &listing.found {
        let release = listed.located.release.to_string();
        if !releases.contains(&release) {
            releases.push(release);
        }
    }
    match releases.as_slice() {
        [] => "there is no interpreter".to_owned(),
        [one] => format!("there is {one}"),
        [others @ .., last] => format!("there are {} and {last}", others.join(", ")),
    }
}

/// A line for each interpreter, in columns, and one below it for the other ways to it.
fn text(listing: &Listing) -> String {
    let rows: Vec<[String; 3]> = listing.found.iter().map(row).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let (release, path) = (width(0), width(1));
    let mut text = String::new();
    for (listed, [name, at, source]) in listing.found.iter().zip(&rows) {
        let _infallible = writeln!(text, "{name:release$}  {at:path$}  {source}");
        if let Some(links) = links(listed) {
            let _infallible = writeln!(text, "{:release$}  also {links}", "");
        }
    }
    text
}

fn row(listed: &Listed) -> [String; 3] {
    let located = &listed.located;
    [
        located.release.to_string(),
        escape(&located.executable.to_string_lossy()),
        located.source.word().to_owned(),
    ]
}

/// The other paths to an interpreter; those beside it by their names alone.
fn links(listed: &Listed) -> Option<String> {
    let beside = listed.located.executable.parent();
    let names = listed.links.iter().map(|link| {
        let name = link.file_name().filter(|_| link.parent() == beside);
        let shown = name.map_or_else(|| link.to_string_lossy(), |name| name.to_string_lossy());
        escape(&shown)
    });
    let names: Vec<String> = names.collect();
    (!names.is_empty()).then(|| names.join(", "))
}
