//! `rvenv log`: what was done to an environment, the newest first.
//!
//! Promises to write nothing.
//! Read next: the library's `change/log.rs`.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;

use rvenv::log::{Entry, Event, hindrance, read};
use rvenv::pyvenv_cfg::CONFIG_NAME;
use rvenv::render::{Detail, escape};
use rvenv_journal::fs::Time;
use rvenv_journal::raw::ENGINE_DIR;
use rvenv_journal::{FsError, Parents, Target};
use serde::Serialize;

use super::done::PackageChange;
use super::generations::{json_of, shown_time};
use crate::advice::{CliError, Code, Exit, of_verify_target};
use crate::args::LogArgs;
use crate::found_env::{Use, absent};
use crate::session::Session;

/// How many packages of an entry are shown without `-v`.
const PACKAGES_MAX: usize = 6;

/// What was done to an environment.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Log {
    /// The version of this form.
    format: u64,
    /// Its absolute path.
    path: String,
    /// When the directory was created; `null` where the filesystem does not say.
    created: Option<String>,
    /// The changes, the newest first.
    entries: Vec<Line>,
}

/// A change.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Line {
    /// As RFC 3339 has it, in UTC.
    time: String,
    /// The command, without its arguments.
    command: String,
    event: Happened,
    /// The versions of Python; `null` if they are the same.
    python: Option<Versions>,
    /// The packages that the change added, removed or replaced.
    packages: Vec<PackageChange>,
}

/// What happened.
#[derive(Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
enum Happened {
    /// A command changed it.
    Changed,
    /// A generation came back.
    RolledBack,
    /// A run had died after publishing, and its changes stay.
    Finished,
    /// A run had died, and its changes were undone.
    Undone,
}

/// The versions of Python before and after a change.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Versions {
    before: String,
    after: String,
}

impl Session<'_> {
    pub(crate) fn log(&self, args: &LogArgs) -> Result<Exit, CliError> {
        let given = self.env_of(&args.target, Use::Look)?;
        let path = self.world.env_dir(&given)?;
        let path = Path::new(&path);
        let target = Target::open(&self.fs, path, Parents::Require).map_err(of_verify_target)?;
        let failed = |error: FsError| {
            let shown = escape(&path.to_string_lossy());
            CliError::new(Code::Disk, format!("cannot look at `{shown}`")).because(&error.source)
        };
        let Some(meta) = target.meta().map_err(failed)? else {
            return Err(absent(&given));
        };
        if !is_environment(&target).map_err(failed)? {
            let shown = escape(&given.to_string_lossy());
            let what = format!("`{shown}` is not a virtual environment");
            let hint = "`rvenv list` shows the environments below this directory";
            return Err(CliError::new(Code::NoEnvironment, what).hint(hint));
        }
        let birth = meta.identity.birth;
        let created = birth.map(|birth| {
            shown_time(Time {
                seconds: birth.seconds,
                nanos: birth.nanos,
            })
        });
        if let Some(why) = hindrance(&target) {
            self.terminal.warning(&format!(
                "changes may be missing: rvenv may be unable to write to `.rvenv/log`, since {why}"
            ));
        }
        let mut entries = read(&target).map_err(failed)?;
        entries.reverse();
        if self.json {
            self.terminal.json(&json_of(&Log {
                format: 1,
                path: path.to_string_lossy().into_owned(),
                created,
                entries: entries.into_iter().map(Line::of).collect(),
            }))?;
            return Ok(Exit::Done);
        }
        let mut text: String = entries
            .iter()
            .map(|entry| text_of(entry, self.detail()))
            .collect();
        if let Some(created) = created {
            text.extend([&created, "  the directory was created\n"]);
        }
        self.terminal.data(&text)?;
        Ok(Exit::Done)
    }
}

/// Whether a target has a configuration, or rvenv has published something there.
fn is_environment(target: &Target<'_>) -> Result<bool, FsError> {
    let root = match target.root() {
        Err(error) if error.kind() == ErrorKind::NotADirectory => return Ok(false),
        opened => opened?,
    };
    for name in [CONFIG_NAME, ENGINE_DIR] {
        if target.disk().meta(&root, OsStr::new(name))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Line {
    fn of(entry: Entry) -> Self {
        Self {
            time: time_of(&entry),
            command: entry.command,
            event: match entry.event {
                Event::Changed => Happened::Changed,
                Event::RolledBack => Happened::RolledBack,
                Event::Finished => Happened::Finished,
                Event::Undone => Happened::Undone,
            },
            python: entry
                .python
                .map(|(before, after)| Versions { before, after }),
            packages: entry
                .packages
                .iter()
                .map(|line| PackageChange::logged(line))
                .collect(),
        }
    }
}

fn time_of(entry: &Entry) -> String {
    shown_time(Time {
        seconds: entry.time,
        nanos: 0,
    })
}

fn text_of(entry: &Entry, detail: Detail) -> String {
    let python = entry.python.as_ref();
    let python = python.map(|(before, after)| format!("Python {before} → {after}"));
    let what = match entry.event {
        Event::Changed => None,
        Event::RolledBack => Some("a generation came back".to_owned()),
        Event::Finished => Some("a run had died after publishing; its changes stay".to_owned()),
        Event::Undone => Some("a run had died; its changes were undone".to_owned()),
    };
    let count_max = if detail == Detail::EveryPath {
        usize::MAX
    } else {
        PACKAGES_MAX
    };
    let packages = entry.packages.iter().take(count_max).cloned();
    let more = entry.packages.len().saturating_sub(count_max);
    let more = (more > 0).then(|| format!("{more} more"));
    let mut parts: Vec<String> = what.into_iter().chain(python).chain(packages).collect();
    parts.extend(more);
    if parts.is_empty() {
        parts.push("no package changed".to_owned());
    }
    let time = time_of(entry);
    let command = escape(&entry.command);
    format!("{time}  {command}: {}\n", escape(&parts.join(", ")))
}
