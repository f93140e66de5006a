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

/// What marks a build without the global interpreter lock.
const FREE_THREADED: &str = " (free-threaded)";

impl Release {
    /// Reads a release as it is shown: `cpython 3.13.0rc1`, `pypy 3.10.14`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (text, free_threaded) = match text.strip_suffix(FREE_THREADED) {
            Some(text) => (text, true),
            None => (text, false),
        };
        let (implementation, version) = text.split_once(' ')?;
        let is_letter = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        let is_name = !implementation.is_empty() && implementation.chars().all(is_letter);
        Some(Self {
            implementation: implementation.to_owned(),
            version: PythonVersion::parse(version).filter(|_| is_name)?,
            free_threaded,
        })
    }

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
            FREE_THREADED
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_read_as_it_is_shown() {
        for text in [
            "cpython 3.13.0",
            "cpython 3.14.0rc1",
            "cpython 3.9.1+",
            "cpython 3.13.1 (free-threaded)",
            "pypy 3.10.14",
        ] {
            assert_eq!(Release::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "cpython",
            "cpython 3",
            "cpython 3.x.1",
            "3.13.0",
            "c\u{e9} 3.13.0",
        ] {
            assert_eq!(Release::parse(text), None, "{text}");
        }
    }
}
