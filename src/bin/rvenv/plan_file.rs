//! Plan files: where `plan --out` and `lock --out` write, and what `apply` reads.
//!
//! Promises:
//! - A regular file, or a name that does not exist, is replaced in one rename after an fsync, also
//!   at the end of a link.
//! - The new file has the mode, owner, group and access list of the old one, or those that `open`
//!   gives under the umask.
//! - Pipes and devices are written into, and never replaced.
//! - No more is read than a plan may have.
//! - A signal ends the wait for a pipe.
//!
//! Does not promise to undo what was written into a pipe or a device.
//!
//! On disk meanwhile: a temporary file beside the one that is replaced; a crash may leave it.
//! Read next: `plan_file/unix.rs`, where a name leads; `commands/plan.rs` and `commands/apply.rs`,
//! which use this.

#[cfg(not(unix))]
mod other;
#[cfg(unix)]
mod unix;

use std::fs::Metadata;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use rvenv::render::escape;
use rvenv_journal::Plan;
use rvenv_journal::raw::{PLAN_BYTES_MAX, counted};

#[cfg(not(unix))]
use self::other as system;
#[cfg(unix)]
use self::unix as system;
use crate::advice::{CliError, Code, State, interruption};
use crate::signals::Signals;

/// The name that means standard input or standard output.
const STANDARD: &str = "-";
/// Where a plan goes.
#[derive(Debug)]
pub(crate) enum Out {
    /// Standard output, as data.
    Standard,
    /// A regular file, or a name that does not exist.
    File {
        /// Its path, behind any links.
        at: PathBuf,
        /// The existing file.
        old: Option<Metadata>,
    },
    /// A pipe or a device.
    Stream(PathBuf),
}

/// What is saved.
#[derive(Clone, Copy)]
pub(crate) enum Document<'a> {
    Plan(&'a Plan),
    /// The text of a `pylock.toml`.
    Lock(&'a str),
}

impl Document<'_> {
    fn noun(self) -> &'static str {
        match self {
            Self::Plan(_) => "plan",
            Self::Lock(_) => "lock",
        }
    }

    fn write(self, to: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Plan(plan) => plan.write_json(to),
            Self::Lock(text) => to.write_all(text.as_bytes()),
        }
    }

    fn not_saved(self) -> State {
        match self {
            Self::Plan(_) => State::PlanNotSaved,
            Self::Lock(_) => State::LockNotSaved,
        }
    }

    fn half_written(self) -> State {
        match self {
            Self::Plan(_) => State::PlanHalfWritten,
            Self::Lock(_) => State::LockHalfWritten,
        }
    }
}

impl Out {
    /// Finds out where `given` leads.
    pub(crate) fn of(given: &Path) -> Result<Self, CliError> {
        Self::of_document(given, "plan", State::PlanNotSaved)
    }

    /// As [`Out::of`], for a lock.
    pub(crate) fn of_lock(given: &Path) -> Result<Self, CliError> {
        Self::of_document(given, "lock", State::LockNotSaved)
    }

    fn of_document(given: &Path, noun: &str, state: State) -> Result<Self, CliError> {
        if given.as_os_str() == STANDARD {
            return Ok(Self::Standard);
        }
        system::place(given).map_err(|error| not_saved(noun, given, &error).leaving(state))
    }

    /// Saves a document there; one for standard output is written elsewhere.
    pub(crate) fn save(
        &self,
        document: Document<'_>,
        given: &Path,
        signals: &Signals,
    ) -> Result<(), CliError> {
        let (saved, state) = match self {
            Self::Standard => return Ok(()),
            Self::File { at, old } => {
                let saved = replace(document, at, old.as_ref());
                (saved, document.not_saved())
            }
            Self::Stream(at) => {
                let saved = system::write_into(document, at, signals);
                (saved, document.half_written())
            }
        };
        saved.map_err(|error| {
            let mut told = not_saved(document.noun(), given, &error).leaving(state);
            if signals.any() {
                told.code = interruption(signals.terminated());
            }
            told
        })
    }
}

/// Reads a saved plan from a file, a pipe or standard input, up to the size that a plan may have.
/// `waits` is called once where no byte comes for a while.
pub(crate) fn read(
    given: &Path,
    signals: &Signals,
    waits: &mut dyn FnMut(),
) -> Result<Vec<u8>, CliError> {
    let is_standard = given.as_os_str() == STANDARD;
    let shown = shown_input(given);
    let bytes = system::read(given, signals, waits).map_err(|error| {
        let message = format!("cannot read the plan from {shown}");
        if signals.any() {
            return CliError::new(interruption(signals.terminated()), message).because(&error);
        }
        CliError::new(Code::BadPlanFile, message)
            .because(&error)
            .hint("make one with `rvenv plan -o FILE`")
    })?;
    if bytes.is_empty() {
        let hint = if is_standard {
            "check the command before the pipe: it printed no plan"
        } else {
            "make one with `rvenv plan -o FILE`"
        };
        let message = format!("{shown} is not a plan that can be applied");
        let empty = io::Error::new(ErrorKind::UnexpectedEof, "it is empty");
        return Err(CliError::new(Code::BadPlanFile, message)
            .because(&empty)
            .hint(hint));
    }
    Ok(bytes)
}

/// The source of a plan, for display.
pub(crate) fn shown_input(given: &Path) -> String {
    if given.as_os_str() == STANDARD {
        "standard input".to_owned()
    } else {
        format!("`{}`", escape(&given.to_string_lossy()))
    }
}

fn not_saved(noun: &str, given: &Path, error: &io::Error) -> CliError {
    let shown = escape(&given.to_string_lossy());
    let is_full = matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded
    );
    let message = format!("cannot save the {noun} to `{shown}`");
    let told = CliError::new(Code::NotSaved, message).because(error);
    told.hint(if is_full {
        "make room on that filesystem, or name a file on another one"
    } else {
        "name a file in an existing, writable directory"
    })
}

fn directory_of(file: &Path) -> &Path {
    match file.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        Some(_) | None => Path::new("."),
    }
}

/// Replaces a file completely or not at all: another process may be about to apply the former plan.
fn replace(document: Document<'_>, at: &Path, old: Option<&Metadata>) -> io::Result<()> {
    let above = directory_of(at);
    let mut temp = system::temporary(above)?;
    let mut buffered = BufWriter::new(&mut temp);
    document.write(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    if let Some(old) = old {
        system::take_after(temp.as_file(), at, old)?;
    }
    temp.as_file().sync_all()?;
    temp.persist(at).map_err(|error| error.error)?;
    system::sync_directory(above)
}

/// Appends a piece of input; refuses more than a plan may have.
fn push(bytes: &mut Vec<u8>, piece: &[u8]) -> io::Result<()> {
    bytes.extend_from_slice(piece);
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) <= PLAN_BYTES_MAX {
        return Ok(());
    }
    let most = counted(PLAN_BYTES_MAX, "byte");
    let what = format!("it is longer than the {most} that a plan may have");
    Err(io::Error::new(ErrorKind::FileTooLarge, what))
}
