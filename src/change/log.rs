//! The log of an environment: what was done to it, when, and by which command.
//!
//! Each change of entries in an environment is one file of JSON in `.rvenv/log/`, beside the
//! generations in the target. It is in no plan, no receipt and no digest, and a tree that was
//! published as a whole has none, so that the same plan still gives the same bytes. A log goes with
//! its tree: clearing begins a new one, and a tree that comes back as a whole has its own.
//!
//! Promises that a reader gets whole entries, in order, and that at most [`ENTRIES_MAX`] are kept.
//! Does not promise an entry for each change: a process can die between the two, and nothing is
//! synced. What a recovery did has an entry of its own, but an undo begins no log.
//!
//! Read next: `generations.rs`, what a change did to the packages.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;

use rvenv_journal::fs::{Dir, Flush, FsError, Kind, NewFile, Time};
use rvenv_journal::raw::{ENGINE_DIR, Form, Upshot};
use rvenv_journal::{Fs, Recovered, Target};
use serde::{Deserialize, Serialize};

use crate::change::generations::Contents;

/// The directory of the log, in the engine's directory.
const LOG_DIR: &str = "log";
/// How many entries are kept.
pub const ENTRIES_MAX: usize = 500;
/// Maximum length of an entry in bytes; the changes of thousands of packages fit.
const ENTRY_BYTES_MAX: u64 = 1 << 20;
const FORMAT: u64 = 1;

/// What happened to an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A command changed it.
    Changed,
    /// A generation came back.
    RolledBack,
    /// A run had died after publishing, and what it did stays.
    Finished,
    /// A run had died, and what it did was undone.
    Undone,
}

/// One thing that was done to an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    format: u64,
    /// Seconds since 1970.
    pub time: i64,
    /// The command, without its arguments: these may have secrets.
    pub command: String,
    /// What happened.
    pub event: Event,
    /// The versions of Python before and after, if they differ.
    pub python: Option<(String, String)>,
    /// `+ NAME VERSION`, `- NAME VERSION` or `~ NAME OLD → NEW` for each distribution that changed.
    pub packages: Vec<String>,
}

impl Entry {
    /// What a change did, by what the environment had before and has after it.
    #[must_use]
    pub(crate) fn of(command: &str, event: Event, before: &Contents, after: &Contents) -> Self {
        let differences = before.differences(after);
        let pythons = before.python.clone().zip(after.python.clone());
        Self {
            format: FORMAT,
            time: 0,
            command: command.to_owned(),
            event,
            python: pythons.filter(|(old, new)| old != new),
            packages: differences.iter().map(ToString::to_string).collect(),
        }
    }

    /// What a recovery did, if it found an open transaction of entries.
    #[must_use]
    pub(crate) fn of_recovery(command: &str, recovered: &Recovered) -> Option<Self> {
        if recovered.form != Some(Form::Entries) {
            return None;
        }
        let event = match recovered.upshot {
            Upshot::NothingOpen | Upshot::Torn | Upshot::Unpublished => return None,
            Upshot::Stays => Event::Finished,
            Upshot::Undone(_) => Event::Undone,
        };
        Some(Self {
            format: FORMAT,
            time: 0,
            command: command.to_owned(),
            event,
            python: None,
            packages: Vec::new(),
        })
    }
}

/// Adds an entry to the log of a target. A log is a courtesy: what cannot be written is left out,
/// since the change itself is done.
///
/// # Crash
/// The entry is whole, torn or absent; a reader leaves out a torn one.
pub(crate) fn add(target: &Target<'_>, now: Option<Time>, entry: Entry) {
    let Some(now) = now else { return };
    let time = now.seconds;
    let _courtesy = write(target, now, &Entry { time, ..entry });
}

fn write(target: &Target<'_>, now: Time, entry: &Entry) -> Result<(), FsError> {
    let fs = target.disk();
    let inner = fs.open_dir(&target.root()?, OsStr::new(ENGINE_DIR))?;
    let name = OsStr::new(LOG_DIR);
    if fs.meta(&inner, name)?.is_none() {
        // Nothing of what was undone may stay, not even a directory (I1). And a log that root
        // begins in the environment of a user would be closed to that user.
        let is_own = fs.meta_of(&inner)?.owner == fs.user();
        if entry.event == Event::Undone || !is_own {
            return Ok(());
        }
        fs.make_dir(&inner, name, 0o755)?;
    }
    let dir = fs.open_dir(&inner, name)?;
    let bytes = serde_json::to_vec(entry).expect("strings and numbers serialize");
    // Names sort as times do. Two changes in one nanosecond have two names.
    let stem = format!("{:011}.{:09}", now.seconds, now.nanos);
    let names = (0..8).map(|again| format!("{stem}.{again}.json"));
    for name in names {
        let file = NewFile {
            mode: 0o644,
            mtime: None,
            bytes: &bytes,
            flush: Flush::Later,
        };
        match fs.write_file(&dir, OsStr::new(&name), &file) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            written => {
                written?;
                break;
            }
        }
    }
    forget(fs, &dir)
}

/// Deletes the oldest entries beyond the limit.
fn forget(fs: &dyn Fs, dir: &Dir) -> Result<(), FsError> {
    let names = names(fs, dir)?;
    let beyond = names.len().saturating_sub(ENTRIES_MAX);
    for name in names.iter().take(beyond) {
        fs.remove_file(dir, name)?;
    }
    Ok(())
}

/// The names of the entries, the oldest first.
fn names(fs: &dyn Fs, dir: &Dir) -> Result<BTreeSet<OsString>, FsError> {
    let is_entry = |name: &OsStr| {
        name.to_str()
            .is_some_and(|name| name.strip_suffix(".json").is_some())
    };
    Ok(fs.list_wanted(dir, &is_entry)?.into_iter().collect())
}

/// Why changes may be missing in the log of a target, if something hinders its writers.
#[must_use]
pub fn hindrance(target: &Target<'_>) -> Option<String> {
    let fs = target.disk();
    let owner = target.meta().ok()??.owner;
    let inner = fs
        .open_dir(&target.root().ok()?, OsStr::new(ENGINE_DIR))
        .ok()?;
    let meta = fs.meta(&inner, OsStr::new(LOG_DIR)).ok()??;
    if meta.kind != Kind::Dir {
        return Some("it is not a directory".to_owned());
    }
    (meta.owner != owner).then(|| {
        let user = meta.owner;
        format!("it belongs to user {user}, not to user {owner} as the environment does")
    })
}

/// Reads the log of a target, the oldest entry first; what is no entry is left out.
///
/// # Errors
/// The error of the disk.
pub fn read(target: &Target<'_>) -> Result<Vec<Entry>, FsError> {
    let fs = target.disk();
    let open = || {
        let inner = fs.open_dir(&target.root()?, OsStr::new(ENGINE_DIR))?;
        fs.open_dir(&inner, OsStr::new(LOG_DIR))
    };
    let dir = match open() {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        opened => opened?,
    };
    let mut entries = Vec::new();
    for name in names(fs, &dir)?.into_iter().rev().take(ENTRIES_MAX) {
        let Ok(bytes) = fs.read_file(&dir, &name, ENTRY_BYTES_MAX) else {
            continue;
        };
        let entry: Result<Entry, _> = serde_json::from_slice(&bytes);
        entries.extend(entry.ok().filter(|entry| entry.format == FORMAT));
    }
    entries.reverse();
    Ok(entries)
}
