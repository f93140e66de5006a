//! What a request is compared with: implementation, version and kind of build, and nothing else.
//!
//! Promises nothing but their meaning. A release comes from the interpreter itself or from a file
//! beside it.
//! Read next: `request.rs`, which compares; `build_details.rs`, which reads such a file.

use std::fmt;

use super::interpreter::{Interpreter, PythonVersion};

/// Which Python an interpreter is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// `sys.implementation.name`: `cpython`, `pypy`, ….
    pub implementation: String,
    /// The version.
    pub version: PythonVersion,
    /// Whether this build runs without the global interpreter lock.
    pub free_threaded: bool,
}

impl Release {
    /// The version in the spelling of PEP 440: without the `+` that marks a build between two
    /// releases.
    pub(super) fn public(&self) -> &str {
        self.version.text.trim_end_matches('+')
    }
}

impl Interpreter {
    /// Which Python this is.
    #[must_use]
    pub fn release(&self) -> Release {
        Release {
            implementation: self.platform.implementation.clone(),
            version: self.version.clone(),
            free_threaded: self.platform.free_threaded,
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let build = if self.free_threaded {
            " (free-threaded)"
        } else {
            ""
        };
        write!(
            f,
            "{} {}{build}",
            self.implementation.escape_debug(),
            self.version.text.escape_debug()
        )
    }
}
