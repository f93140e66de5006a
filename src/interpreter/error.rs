//! Why no interpreter could be had.
//!
//! Promises that each message names the file that was asked and what it did, with everything that came
//! from outside escaped, so that the output of a stranger's program cannot forge lines of ours.
//! Read next: `discover.rs`, which decides what is fatal and what only means "try the next one".

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

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
    #[error("`{}` did not run: {how}{}", shown(path), Said(stderr))]
    Crashed {
        /// The executable.
        path: PathBuf,
        /// The signal or the exit code, in words.
        how: String,
        /// The beginning of what it wrote to its standard error.
        stderr: String,
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

/// A candidate that was looked at and passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The candidate.
    pub path: PathBuf,
    /// Why it was passed over.
    pub reason: String,
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
            write!(f, "\n  `{}`: {}", shown(&tried.path), tried.reason)?;
        }
        if searched.is_empty() {
            return Ok(());
        }
        write!(f, "\n  searched: {}", searched.join("; "))
    }
}

/// What a program wrote before it failed; nothing when it was silent.
struct Said<'a>(&'a str);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.trim();
        if text.is_empty() {
            return Ok(());
        }
        write!(f, "; it said: {}", text.escape_debug())
    }
}

/// A path for people: no control characters, nothing lost that is text.
pub(crate) fn shown(path: &std::path::Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}
