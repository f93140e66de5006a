//! Why no interpreter could be had.
//!
//! Promises that each message names the file that was asked and what it did, with everything that came
//! from outside escaped, so that the output of a stranger's program cannot forge lines of ours.
//! Read next: `discover.rs`, which decides what is fatal and what only means "try the next one".

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::process::Lines;

/// Why no interpreter could be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InterpreterError {
    /// The text of the request means nothing.
    #[error("cannot read the Python request `{}`: {reason}", text.escape_debug())]
    BadRequest {
        /// The request as given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A `.python-version` means no Python, and nothing else was asked for.
    #[error("{0}")]
    BadPin(Box<Unread>),
    /// Nothing that could be tried is a usable interpreter that matches.
    #[error("found no usable interpreter for {request}{}", Tries(tried, searched))]
    NotFound {
        /// The request in words.
        request: String,
        /// What was looked at, in order.
        tried: Vec<Tried>,
        /// The places that were searched, in words; none for a file that was named by its path.
        searched: Vec<String>,
    },
    /// A program that only a target names, and that its author may have put there.
    #[error(
        "`{}` is named by the environment alone, so it is not started: {why}",
        shown(path)
    )]
    Untrusted {
        /// The executable.
        path: PathBuf,
        /// What keeps it from being started.
        why: String,
    },
    /// An interpreter from before 3.6.
    #[error(
        "`{}` is Python {version}, which is too old: rvenv needs 3.6 or newer",
        shown(path)
    )]
    TooOld {
        /// The executable.
        path: PathBuf,
        /// Its version as it spells it.
        version: String,
    },
    /// The executable failed before it answered.
    #[error("`{}` did not run: {how}{}", shown(path), Said(said))]
    Crashed {
        /// The executable.
        path: PathBuf,
        /// The signal or the exit code, in words.
        how: String,
        /// The last lines of what it wrote to its standard error, control characters escaped.
        said: Vec<String>,
    },
    /// The executable did not answer in time, and was killed.
    #[error("`{}` did not answer within {seconds} s", shown(path))]
    TimedOut {
        /// The executable.
        path: PathBuf,
        /// The time that it had.
        seconds: f64,
    },
    /// Something else than a Python that could carry an environment.
    #[error("`{}` is not a usable Python interpreter: {reason}", shown(path))]
    NotPython {
        /// The executable.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The person at the keyboard asked us to stop.
    #[error("interrupted while asking `{}`", shown(path))]
    Interrupted {
        /// The executable that was being asked; it has been killed.
        path: PathBuf,
    },
}

/// Something in a project's file that says nothing about a Python.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1 on.
    pub line: usize,
    /// What cannot be read, control characters escaped; empty where the line as a whole cannot.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, line) = (shown(&self.file), self.line);
        if self.text.is_empty() {
            return write!(f, "cannot read line {line} of `{file}`: {}", self.reason);
        }
        let (text, reason) = (&self.text, &self.reason);
        write!(
            f,
            "cannot read `{text}` in line {line} of `{file}`: {reason}"
        )
    }
}

impl InterpreterError {
    /// The one file that it is about.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::BadRequest { .. } | Self::BadPin(_) | Self::NotFound { .. } => None,
            Self::Untrusted { path, .. }
            | Self::TooOld { path, .. }
            | Self::Crashed { path, .. }
            | Self::TimedOut { path, .. }
            | Self::NotPython { path, .. }
            | Self::Interrupted { path } => Some(path),
        }
    }
}

/// A candidate that was looked at and passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The candidate.
    pub path: PathBuf,
    /// Why it was passed over.
    pub reason: String,
    /// Whether it should work and does not: it is no Python of another version, and no shim of pyenv's without a version.
    pub is_broken: bool,
}

/// The candidates of an error, a line each, and the places where there could have been more.
struct Tries<'a>(&'a [Tried], &'a [String]);

impl fmt::Display for Tries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(tried, searched) = self;
        if tried.is_empty() {
            f.write_str("; no file with such a name is in any place that was searched")?;
        } else {
            f.write_str("; tried:")?;
        }
        for tried in *tried {
            // What it said goes below it.
            let reason = tried.reason.replace('\n', "\n  ");
            write!(f, "\n  `{}`: {reason}", shown(&tried.path))?;
        }
        if searched.is_empty() {
            return Ok(());
        }
        write!(f, "\n  searched: {}", searched.join("; "))
    }
}

/// What a program wrote before it failed; nothing when it was silent.
struct Said<'a>(&'a [String]);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            said => write!(f, "; it said:{}", Lines(said)),
        }
    }
}

/// A path for people: no control characters, nothing lost that is text.
pub(crate) fn shown(path: &std::path::Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}
