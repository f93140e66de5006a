//! `rvenv list`: lists the environments below a directory.
//!
//! Promises to write nothing and to start nothing, and that what could not be read is named.
//! Read next: the library's `change/inventory.rs`, the search; `status.rs` for one environment.

use std::path::Path;

use rvenv::inventory::{DIRS_MAX, EndedEarly, Found, Inventory, search};
use rvenv::render::{escape, shown_size};
use rvenv::verify::{State, glance};
use rvenv_journal::raw::counted;
use rvenv_journal::{Parents, Target};
use serde::Serialize;

use super::generations::{age, json_of};
use crate::advice::{CliError, Code, Exit, interruption};
use crate::args::ListArgs;
use crate::session::{READING, Session};

/// How many directories that cannot be read are named without `-v`.
const UNREAD_MAX: usize = 5;
/// After how many directories the number is shown.
const UPDATE_EVERY: u64 = 64;

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct List {
    format: u64,
    path: String,
    environments: Vec<Listed>,
    unread: Vec<Unread>,
    /// Whether every directory was read, except those in `unread`.
    complete: bool,
}

/// An environment; an unknown value is `null`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Listed {
    path: String,
    #[serde(skip)]
    shown: String,
    python: Option<String>,
    packages: Option<usize>,
    entries: Option<u64>,
    bytes: Option<u64>,
    age_seconds: i64,
    /// What is true of the frame; only `verify` compares files.
    health: Vec<&'static str>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Unread {
    path: String,
    why: String,
}

impl Session<'_> {
    pub(crate) fn list(&self, args: &ListArgs) -> Result<Exit, CliError> {
        let given = args.dir.as_deref().unwrap_or_else(|| ".".as_ref());
        let below = self.world.env_dir(given)?;
        let inventory = self.during("Searching", |progress| {
            search(&self.fs, Path::new(&below), &mut |count| {
                if count.is_multiple_of(UPDATE_EVERY) {
                    let dirs = counted(count, "directory");
                    progress.update(format!("Searching: {dirs}"));
                }
                !self.signals.any()
            })
        });
        if inventory.ended == Some(EndedEarly::Stopped) {
            let exit = interruption(self.signals.terminated());
            return Err(CliError::new(exit, "interrupted"));
        }
        if let [(path, why)] = inventory.unread.as_slice()
            && *path == Path::new(&below)
        {
            if path.symlink_metadata().is_err() {
                let shown = escape(&given.to_string_lossy());
                let what = format!("`{shown}` does not exist");
                return Err(CliError::new(Code::NoEnvironment, what)
                    .hint("name a directory that exists; the default is the working directory"));
            }
            let shown = escape(&path.to_string_lossy());
            let failed = CliError::new(Code::Disk, format!("cannot look into `{shown}`: {why}"));
            return Err(failed.hint("name a directory that exists and that you may read"));
        }
        let list = self.during(READING, |_| self.listed(&inventory, &below));
        if self.json {
            self.terminal.json(&json_of(&list))?;
        } else {
            self.terminal.data(&text(&list.environments))?;
            if list.environments.is_empty() {
                let shown = escape(&below);
                self.terminal
                    .story(&format!("No environment is in or below `{shown}`"));
            }
        }
        self.tell_unread(&list, inventory.ended);
        Ok(Exit::Done)
    }

    fn listed(&self, inventory: &Inventory, below: &str) -> List {
        let unread = inventory.unread.iter().map(|(path, why)| Unread {
            path: path.to_string_lossy().into_owned(),
            why: why.clone(),
        });
        let found = inventory.found.iter();
        List {
            format: 1,
            path: below.to_owned(),
            environments: found
                .map(|found| self.listed_one(found, Path::new(below)))
                .collect(),
            unread: unread.collect(),
            complete: inventory.ended.is_none(),
        }
    }

    fn listed_one(&self, found: &Found, below: &Path) -> Listed {
        let target = Target::open(&self.fs, &found.path, Parents::Require).ok();
        let seen = target.and_then(|target| glance(&target).ok());
        let contents = seen.as_ref().map(rvenv::verify::Glance::contents);
        let health = seen.map(|seen| seen.states()).unwrap_or_default();
        let shown = found.path.strip_prefix(below).unwrap_or(&found.path);
        let shown = if shown.as_os_str().is_empty() {
            ".".into()
        } else {
            shown.to_string_lossy()
        };
        let size = found.size.as_ref().ok();
        Listed {
            path: found.path.to_string_lossy().into_owned(),
            shown: escape(&shown),
            packages: contents.as_ref().map(|contents| contents.in_use().len()),
            python: contents.and_then(|contents| contents.python),
            entries: size.map(|size| size.entries),
            bytes: size.map(|size| size.bytes),
            age_seconds: (self.world.now.seconds - found.time.seconds).max(0),
            health: health.into_iter().map(State::as_str).collect(),
        }
    }

    fn tell_unread(&self, list: &List, ended: Option<EndedEarly>) {
        let is_full = self.detail() == rvenv::render::Detail::EveryPath;
        let shown_max = if is_full { usize::MAX } else { UNREAD_MAX };
        for unread in list.unread.iter().take(shown_max) {
            let (path, why) = (&unread.path, &unread.why);
            self.terminal
                .warning(&format!("skipped `{path}`, which cannot be read: {why}"));
        }
        if let more @ 1.. = list.unread.len().saturating_sub(shown_max) {
            let more = counted(more, "directory");
            self.terminal
                .warning(&format!("skipped {more} more that cannot be read"));
        }
        if ended == Some(EndedEarly::TooMany) {
            self.terminal.warning(&format!(
                "stopped after {}: name a directory further down",
                counted(DIRS_MAX, "directory")
            ));
        }
    }
}

/// One line for each environment, with its facts below each other.
fn text(environments: &[Listed]) -> String {
    let rows: Vec<[String; 6]> = environments.iter().map(Listed::row).collect();
    let width = |part: usize| {
        let all = rows.iter().filter_map(|row| row.get(part));
        all.map(|text| text.chars().count()).max().unwrap_or(0)
    };
    let line = |row: &[String; 6]| {
        let parts = row.iter().enumerate();
        let padded = parts.map(|(part, text)| {
            let width = width(part);
            format!("{text:width$}")
        });
        let padded: Vec<String> = padded.collect();
        padded.join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

impl Listed {
    fn row(&self) -> [String; 6] {
        let unknown = || "unknown".to_owned();
        let python = self.python.as_deref().map_or_else(unknown, escape);
        let packages = self
            .packages
            .map_or_else(unknown, |count| counted(count, "package"));
        let size = self
            .bytes
            .map_or_else(|| "unknown size".to_owned(), shown_size);
        let health = match self.health.as_slice() {
            [] => "cannot be read".to_owned(),
            states => states.join(", "),
        };
        [
            self.shown.clone(),
            format!("Python {python}"),
            packages,
            size,
            age(self.age_seconds),
            health,
        ]
    }
}
