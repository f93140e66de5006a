//! `rvenv python`: lists the interpreters, and finds the one that a request means.
//!
//! Promises that `find` prints the interpreter that `create --python` would use, and that `list`
//! shows each one once. Writes only cached answers.
//! Read next: the library's `python/discover.rs` and `python/listing.rs`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use rvenv::python::{self, InterpreterError, Listed, Listing, Located};
use rvenv::render::escape;
use serde::Serialize;

use crate::advice::{CliError, Code, Exit, of_interpreter};
use crate::args::{PythonArgs, PythonCommand};
use crate::session::Session;

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ListingJson<'a> {
    format: u64,
    interpreters: Vec<InterpreterJson<'a>>,
    unusable: Vec<UnusableJson<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct FoundJson<'a> {
    format: u64,
    interpreter: InterpreterJson<'a>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct UnusableJson<'a> {
    path: String,
    reason: &'a str,
}

impl Session<'_> {
    pub(crate) fn python(&self, command: &PythonCommand) -> Result<Exit, CliError> {
        match command {
            PythonCommand::List(args) => self.python_list(args),
            PythonCommand::Find(args) => self.python_find(args),
        }
    }

    fn python_find(&self, args: &PythonArgs) -> Result<Exit, CliError> {
        let project = self.world.surroundings.cwd.clone();
        let typed = args.request.as_ref();
        let asked = self.asked_python(typed)?;
        let found = self
            .with_caller(|caller| caller.look(&asked, &project, python::locate_wanted))
            .map_err(|error| self.not_found(&error, self.variable(typed)))?;
        let release = found.release.to_string();
        self.terminal
            .detail(&format!("{release}, from {}", found.source.word()));
        if self.json {
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
        let request = self.typed_python(args.request.as_ref());
        let request = request.map_err(|error| self.python_failed(&error))?;
        let listing = self
            .with_caller(|caller| {
                caller.with_control(|control| python::list(&request, around, control))
            })
            .map_err(|error| self.python_failed(&error))?;
        if self.json {
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

    fn python_failed(&self, error: &InterpreterError) -> CliError {
        of_interpreter(error, self.signals.terminated())
    }

    fn python_json(&self, what: &impl Serialize) -> Result<(), CliError> {
        // JSON cannot represent a path that is not UTF-8; every usable interpreter has a path in
        // UTF-8.
        let text = serde_json::to_string_pretty(what).map_err(|error| {
            CliError::new(Code::BrokenPython, "a path that was found is not UTF-8").because(&error)
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

/// One line per interpreter, in columns, and one below it for the other paths to it.
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

/// The other paths to an interpreter; those in the same directory by name only.
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
