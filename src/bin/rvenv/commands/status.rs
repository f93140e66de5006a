//! `rvenv status`: shows the state of a target; writes nothing.

use std::ffi::OsStr;
use std::path::Path;

use rvenv::existing::Config;
use rvenv::pyvenv_cfg::CONFIG_NAME;
use rvenv::render::{escape, shown_size};
use rvenv_journal::fs::{FsError, Kind, Time};
use rvenv_journal::raw::{
    ENGINE_DIR, Form, Generation, Inspection, RECEIPT_BYTES_MAX, RECEIPT_NAME, TargetError, counted,
};
use rvenv_journal::{Fs, Parents, Receipt, RelPath, Target, generations, inspect};
use serde::Serialize;

use crate::advice::{CliError, Exit, of_verify_target, pending};
use crate::args::LookArgs;
use crate::session::Session;

/// The most bytes of a `pyvenv.cfg` that are read to find a version.
const CONFIG_BYTES_MAX: u64 = 1 << 20;
const NOTHING_OPEN: &str = "nothing is open";

#[derive(Serialize)]
struct Status {
    format: u64,
    path: String,
    state: &'static str,
    receipt: Option<ReceiptStatus>,
    transaction: Transaction,
    generations: Vec<Kept>,
}

/// A generation; an unknown value is `null`.
#[derive(Serialize)]
struct Kept {
    generation: u32,
    form: &'static str,
    time: Option<String>,
    python: Option<String>,
    plan: Option<String>,
    entries: Option<u64>,
    bytes: Option<u64>,
}

#[derive(Serialize)]
struct ReceiptStatus {
    plan: String,
    paths: usize,
}

#[derive(Serialize)]
struct Transaction {
    open: bool,
    recovery: &'static str,
    refused: Option<String>,
}

impl Session<'_> {
    pub(crate) fn status(&self, args: &LookArgs) -> Result<Exit, CliError> {
        let path = self.world.env_dir(&args.target.env_dir)?;
        let text = status(&self.fs, Path::new(&path), args.output.json)?;
        if args.output.json {
            self.terminal.json(&text)?;
        } else {
            self.terminal.data(&text)?;
        }
        Ok(Exit::Done)
    }
}

/// The status of a target, as text or as one JSON object.
fn status(fs: &dyn Fs, path: &Path, json: bool) -> Result<String, CliError> {
    let disk = |error: FsError| {
        let shown = escape(&path.to_string_lossy());
        CliError::new(Exit::Failed, format!("cannot look at `{shown}`")).because(&error.source)
    };
    let status = match Target::open(fs, path, Parents::Require) {
        Ok(target) => look(&target).map_err(disk)?,
        Err(TargetError::NoParent(_)) => Status::bare(path, "absent"),
        Err(TargetError::NotADirectory(_)) => Status::bare(path, "not a directory"),
        Err(error) => return Err(of_verify_target(error)),
    };
    Ok(if json { status.json() } else { status.text() })
}

fn look(target: &Target<'_>) -> Result<Status, FsError> {
    let seen = inspect(target)?;
    let generations = generations(target)?;
    let (state, receipt) = tree(target)?;
    Ok(Status {
        format: 1,
        path: target.path().to_string_lossy().into_owned(),
        state,
        receipt,
        transaction: transaction(&seen),
        generations: generations.iter().map(|one| kept(target, one)).collect(),
    })
}

fn kept(target: &Target<'_>, generation: &Generation) -> Kept {
    let size = generation.size(target).ok();
    Kept {
        generation: generation.number,
        form: match generation.form {
            Form::Tree => "tree",
            Form::Entries => "entries",
        },
        time: generation.time.map(shown_time),
        python: python(target, generation),
        plan: generation.plan.map(|plan| plan.to_string()),
        entries: size.map(|size| size.entries),
        bytes: size.map(|size| size.bytes),
    }
}

/// The version of Python of a generation's environment; `None` if it cannot be read.
fn python(target: &Target<'_>, generation: &Generation) -> Option<String> {
    let path = RelPath::new(CONFIG_NAME).ok()?;
    let bytes = generation.read(target, &path, CONFIG_BYTES_MAX).ok()??;
    Config::parse(&bytes).ok()?.version
}

/// The format of RFC 3339, in UTC, to the second.
fn shown_time(time: Time) -> String {
    let (days, seconds) = (
        time.seconds.div_euclid(86_400),
        time.seconds.rem_euclid(86_400),
    );
    // Years begin in March here, so that a leap day is the last of its year; 719 468 days from
    // 0000-03-01 to 1970.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 {
        (era * 400 + year, month + 3)
    } else {
        (era * 400 + year + 1, month - 9)
    };
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn tree(target: &Target<'_>) -> Result<(&'static str, Option<ReceiptStatus>), FsError> {
    let fs = target.disk();
    if target.meta()?.is_none_or(|meta| meta.kind != Kind::Dir) {
        return Ok(("absent", None));
    }
    let root = target.root()?;
    let config = fs.meta(&root, OsStr::new(CONFIG_NAME))?;
    let read = |inner| fs.read_file(&inner, OsStr::new(RECEIPT_NAME), RECEIPT_BYTES_MAX);
    let receipt = fs
        .open_dir(&root, OsStr::new(ENGINE_DIR))
        .and_then(read)
        .ok();
    let receipt = receipt.and_then(|bytes| Receipt::from_json(&bytes).ok());
    let receipt = receipt.map(|receipt| ReceiptStatus {
        plan: receipt.plan.to_string(),
        paths: receipt.paths.len(),
    });
    Ok((
        if config.is_some() {
            "environment"
        } else {
            "directory"
        },
        receipt,
    ))
}

fn transaction(seen: &Inspection) -> Transaction {
    let pending = pending(seen);
    Transaction {
        open: pending.is_some(),
        recovery: pending.unwrap_or(NOTHING_OPEN),
        refused: seen.decision.as_ref().err().map(ToString::to_string),
    }
}

/// Describes the open transaction of a target, if there is one.
pub(crate) fn open(seen: &Inspection) -> Option<String> {
    let Transaction {
        open,
        recovery,
        refused,
    } = transaction(seen);
    open.then(|| refused.unwrap_or_else(|| recovery.to_owned()))
}

impl Status {
    fn bare(path: &Path, state: &'static str) -> Self {
        Self {
            format: 1,
            path: path.to_string_lossy().into_owned(),
            state,
            receipt: None,
            transaction: Transaction {
                open: false,
                recovery: NOTHING_OPEN,
                refused: None,
            },
            generations: Vec::new(),
        }
    }

    fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("strings and numbers serialize");
        text.push('\n');
        text
    }

    fn text(&self) -> String {
        let mut lines = vec![format!("`{}`: {}", escape(&self.path), self.state)];
        match &self.receipt {
            Some(receipt) => lines.push(format!(
                "receipt: {}, plan {}",
                counted(receipt.paths, "managed path"),
                receipt.plan
            )),
            None => lines.push("receipt: none".to_owned()),
        }
        lines.push(format!("transaction: {}", self.transaction.recovery));
        lines.extend(
            self.transaction
                .refused
                .as_ref()
                .map(|why| format!("  {}", escape(why))),
        );
        if !self.generations.is_empty() {
            lines.push("generations (`rvenv rollback` brings back the last):".to_owned());
            lines.extend(self.generations.iter().map(Kept::text));
        }
        lines.join("\n") + "\n"
    }
}

impl Kept {
    fn text(&self) -> String {
        let of = |text: &Option<String>, unknown: &str| {
            text.as_ref()
                .map_or_else(|| unknown.to_owned(), |text| escape(text))
        };
        let size = self.entries.zip(self.bytes).map_or_else(
            || "of unknown size".to_owned(),
            |(entries, bytes)| format!("{}, {}", counted(entries, "entry"), shown_size(bytes)),
        );
        let python = self
            .python
            .as_ref()
            .map(|version| format!("Python {version}"));
        format!(
            "  {}: {}, {}, {size}, plan {}",
            self.generation,
            of(&self.time, "at an unknown time"),
            of(&python, "no Python"),
            of(&self.plan, "unknown"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_time(seconds: i64, expected: &str) {
        assert_eq!(shown_time(Time { seconds, nanos: 0 }), expected);
    }

    #[test]
    fn a_time_is_shown_as_a_calendar_has_it() {
        check_time(0, "1970-01-01T00:00:00Z");
        check_time(-1, "1969-12-31T23:59:59Z");
        check_time(951_782_399, "2000-02-28T23:59:59Z");
        check_time(951_782_400, "2000-02-29T00:00:00Z");
        check_time(4_107_542_399, "2100-02-28T23:59:59Z");
        check_time(4_107_542_400, "2100-03-01T00:00:00Z");
    }
}
