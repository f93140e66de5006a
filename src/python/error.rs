//! Why no interpreter was found.
//!
//! Promises that each message names the file that was asked and what it did, and that all foreign
//! text is escaped, so that the output of an untrusted program cannot forge lines of rvenv's.
//! Read next: `discover.rs`, which decides which errors are fatal and which only mean "try the next
//! one".

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::process::Lines;

/// Why no interpreter was found.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InterpreterError {
    /// The text of the request has no meaning.
    #[error("cannot read the Python request `{}`: {reason}", text.escape_debug())]
    BadRequest {
        /// The request as given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A `.python-version` names no Python, and nothing else was requested.
    #[error("{0}")]
    BadPin(Box<Unread>),
    /// None of the files that were tried is a usable interpreter that matches.
    #[error("found no usable interpreter for {request}{}", Tries(tried, searched))]
    NotFound {
        /// The request in words.
        request: String,
        /// The files that were tried, in order.
        tried: Vec<Tried>,
        /// The places that were searched, in words; empty for a request by path.
        searched: Vec<String>,
    },
    /// A program that only the target names, and that the target's author may have supplied.
    #[error(
        "only the environment names `{}`, so rvenv does not start it: {why}",
        shown(path)
    )]
    Untrusted {
        /// The executable.
        path: PathBuf,
        /// The reason not to start it.
        why: String,
    },
    /// An interpreter older than 3.6.
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
        /// The last lines that it wrote to its standard error, control characters escaped.
        said: Vec<String>,
    },
    /// The executable did not answer in time, and was killed.
    #[error("`{}` did not answer within {seconds} s", shown(path))]
    TimedOut {
        /// The executable.
        path: PathBuf,
        /// The time limit.
        seconds: f64,
    },
    /// Something other than a Python that an environment can be created from.
    #[error("`{}` is not a usable Python interpreter: {reason}", shown(path))]
    NotPython {
        /// The executable.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The user interrupted the search.
    #[error("interrupted while asking `{}`", shown(path))]
    Interrupted {
        /// The executable that was being asked; it has been killed.
        path: PathBuf,
    },
}

/// A part of a project's file that cannot be read as a demand for a Python.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1 on.
    pub line: usize,
    /// The text that cannot be read, control characters escaped; empty where the whole line cannot.
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
    /// The one file that the error is about.
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

/// A candidate that was tried and skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The candidate.
    pub path: PathBuf,
    /// Why it was skipped.
    pub reason: String,
    /// Whether it is broken, rather than only a Python of another version or a pyenv shim without a
    /// version.
    pub is_broken: bool,
}

/// The candidates of an error, one per line, and the places that were searched.
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
            // Its output goes below it, indented.
            let reason = tried.reason.replace('\n', "\n  ");
            write!(f, "\n  `{}`: {reason}", shown(&tried.path))?;
        }
        if searched.is_empty() {
            return Ok(());
        }
        write!(f, "\n  searched: {}", searched.join("; "))
    }
}

/// The output of a program before it failed; nothing if it was silent.
struct Said<'a>(&'a [String]);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            said => write!(f, "; it said:{}", Lines(said)),
        }
    }
}

/// A path for users to read: control characters are escaped, and no text is lost.
pub(crate) fn shown(path: &std::path::Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}
