//! Requests: which interpreter somebody wants.
//!
//! Promises that a version or a well-known name is never taken for a file of the working directory: a
//! stranger's directory that holds a file called `python3` must not be run because somebody stood in it.
//! Read next: `discover.rs`, which looks for what is requested here.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use super::describe::Interpreter;
use super::error::InterpreterError;

/// Which interpreter somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Whatever `python3` or `python` on PATH is.
    Default,
    /// This file; a relative path starts at the working directory.
    Path(PathBuf),
    /// The first usable file of this name on PATH.
    Name(String),
    /// The first interpreter of this version.
    Version(VersionRequest),
}

/// A version, as far as somebody named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRequest {
    /// `sys.implementation.name`; `None` takes any.
    pub implementation: Option<String>,
    /// The minor version after 3; `None` takes any.
    pub minor: Option<u32>,
    /// The micro version; `None` takes any.
    pub micro: Option<u32>,
    /// Whether the build without the global lock is meant. Where it is not, only ordinary builds match.
    pub free_threaded: bool,
}

impl Request {
    /// Reads the text of a `--python` option; no option is [`Request::Default`].
    ///
    /// In this order: a text with a separator is a path; `3`, `3.12`, `3.12.1`, `3.13t`, `pypy3` and
    /// `pypy3.9` are versions; `python…` is a name; a file of the working directory is a path; anything
    /// else is a name.
    ///
    /// # Errors
    /// [`InterpreterError::BadRequest`] for an empty text, a control character, a version that no
    /// supported interpreter can have, and a range of versions.
    pub fn parse(text: &OsStr, cwd: &Path) -> Result<Self, InterpreterError> {
        let bad = |reason| InterpreterError::BadRequest {
            text: text.to_string_lossy().into_owned(),
            reason,
        };
        if text.is_empty() {
            return Err(bad("it is empty"));
        }
        if Path::new(text).components().count() != 1
            || text.to_string_lossy().ends_with(std::path::is_separator)
            || text.to_string_lossy().starts_with('.')
        {
            return Ok(Self::Path(PathBuf::from(text)));
        }
        let name = text.to_str().ok_or_else(|| bad("it is not valid UTF-8"))?;
        if name.contains(char::is_control) {
            return Err(bad("it has a control character"));
        }
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            return VersionRequest::parse(name, None)
                .map(Self::Version)
                .map_err(bad);
        }
        if let Some(version) = name.strip_prefix("pypy").filter(|v| v.starts_with('3')) {
            let parsed = VersionRequest::parse(version, Some("pypy".to_owned()));
            return parsed.map(Self::Version).map_err(bad);
        }
        if name.contains(['<', '>', '=', '~', '!', '*', ',']) {
            return Err(bad(
                "ranges of versions are not supported; name one version",
            ));
        }
        if !name.starts_with("python") && cwd.join(name).is_file() {
            return Ok(Self::Path(PathBuf::from(name)));
        }
        Ok(Self::Name(name.to_owned()))
    }

    /// The file names to look for, the most telling first.
    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Self::Default => vec!["python3".to_owned(), "python".to_owned()],
            Self::Path(_) => Vec::new(),
            Self::Name(name) => vec![name.clone()],
            Self::Version(version) => version.names(),
        }
    }

    /// Why an interpreter is not what was asked for, if it is not.
    pub(super) fn objection(&self, found: &Interpreter) -> Option<String> {
        match self {
            Self::Version(wanted) if !wanted.matches(found) => Some(format!(
                "it is {} {}{}",
                found.implementation.escape_debug(),
                found.version.text.escape_debug(),
                if found.free_threaded {
                    " (free-threaded)"
                } else {
                    ""
                }
            )),
            Self::Default | Self::Path(_) | Self::Name(_) | Self::Version(_) => None,
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("`python3` or `python`"),
            Self::Path(path) => write!(f, "`{}`", super::error::shown(path)),
            Self::Name(name) => write!(f, "`{}`", name.escape_debug()),
            Self::Version(version) => write!(f, "`{version}`"),
        }
    }
}

impl VersionRequest {
    /// Reads what follows the implementation: `3`, `3.12`, `3.12.1`, `3.13t`.
    fn parse(text: &str, implementation: Option<String>) -> Result<Self, &'static str> {
        const SHAPE: &str = "a version is written as `3`, `3.12`, `3.12.1` or `3.13t`";
        let (digits, free_threaded) = match text.strip_suffix('t') {
            Some(digits) => (digits, true),
            None => (text, false),
        };
        let mut numbers = [None; 3];
        let mut parts = digits.split('.');
        for number in &mut numbers {
            let Some(part) = parts.next() else { break };
            // `parse` alone would take `+3`, and leading zeros would give a version two spellings.
            let plain = part.bytes().all(|b| b.is_ascii_digit());
            if !plain || (part.len() > 1 && part.starts_with('0')) {
                return Err(SHAPE);
            }
            *number = Some(part.parse::<u32>().map_err(|_| SHAPE)?);
        }
        let [major, minor, micro] = numbers;
        if parts.next().is_some() || (free_threaded && minor.is_none()) {
            return Err(SHAPE);
        }
        if major != Some(3) || minor.is_some_and(|minor| minor < 6) {
            return Err("rvenv supports Python 3.6 and newer versions of Python 3");
        }
        Ok(Self {
            implementation,
            minor,
            micro,
            free_threaded,
        })
    }

    fn names(&self) -> Vec<String> {
        let stem = self.implementation.as_deref().unwrap_or("python");
        let flag = if self.free_threaded { "t" } else { "" };
        let mut names = Vec::new();
        if let Some(minor) = self.minor {
            names.push(format!("{stem}3.{minor}{flag}"));
        }
        names.extend([format!("{stem}3"), stem.to_owned()]);
        names
    }

    /// Whether an interpreter is of this version.
    #[must_use]
    pub fn matches(&self, found: &Interpreter) -> bool {
        let asked = self.implementation.as_ref();
        asked.is_none_or(|name| *name == found.implementation)
            && found.version.major == 3
            && self.minor.is_none_or(|minor| minor == found.version.minor)
            && self.micro.is_none_or(|micro| micro == found.version.micro)
            && self.free_threaded == found.free_threaded
    }
}

impl fmt::Display for VersionRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}3",
            self.implementation.as_deref().unwrap_or("Python ")
        )?;
        for part in [self.minor, self.micro].into_iter().flatten() {
            write!(f, ".{part}")?;
        }
        f.write_str(if self.free_threaded { "t" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        let got = match Request::parse(OsStr::new(text), Path::new("/nowhere")) {
            Ok(request) => format!("{request:?} {:?}", request.names()),
            Err(error) => error.to_string(),
        };
        assert!(got.starts_with(expect), "{text}: {got}");
    }

    #[test]
    fn a_request_is_a_path_a_version_or_a_name() {
        check("bin/python", r#"Path("bin/python")"#);
        check("./python", r#"Path("./python")"#);
        check("python/", r#"Path("python/")"#);
        check("/usr/bin/python3", r#"Path("/usr/bin/python3")"#);
        check("..", r#"Path("..")"#);
        check("python3.12", r#"Name("python3.12") ["python3.12"]"#);
        check("mypython", r#"Name("mypython")"#);
        check("pypy", r#"Name("pypy")"#);
    }

    #[test]
    fn a_version_names_the_files_to_look_for() {
        let names = |text: &str| match Request::parse(OsStr::new(text), Path::new("/nowhere")) {
            Ok(request @ Request::Version(_)) => request.names().join(" "),
            other => format!("{other:?}"),
        };
        assert_eq!(names("3"), "python3 python");
        assert_eq!(names("3.12"), "python3.12 python3 python");
        assert_eq!(names("3.12.1"), "python3.12 python3 python");
        assert_eq!(names("3.13t"), "python3.13t python3 python");
        assert_eq!(names("pypy3"), "pypy3 pypy");
        assert_eq!(names("pypy3.9"), "pypy3.9 pypy3 pypy");
    }

    #[test]
    fn a_version_that_cannot_be_is_refused_with_the_reason() {
        let shape = |text: &str| {
            format!("cannot read the Python request `{text}`: a version is written as")
        };
        for text in [
            "3.",
            "3.x",
            "3..1",
            "3.12.1.4",
            "3t",
            "3.012",
            "3.+1",
            "3.99999999999",
            "3.13tt",
        ] {
            check(text, &shape(text));
        }
        let old = |text: &str| format!("cannot read the Python request `{text}`: rvenv supports");
        for text in ["2.7", "3.5", "4", "310"] {
            check(text, &old(text));
        }
        check("", "cannot read the Python request ``: it is empty");
        check(">=3.12", "cannot read the Python request `>=3.12`: ranges");
        check(
            "a\nb",
            r"cannot read the Python request `a\nb`: it has a control",
        );
    }

    #[test]
    fn a_file_of_the_working_directory_is_taken_only_if_no_python_is_called_so() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["python3", "3.12", "tool"] {
            tempfile::NamedTempFile::new_in(dir.path())
                .unwrap()
                .persist(dir.path().join(name))
                .unwrap();
        }
        let parse = |text: &str| Request::parse(OsStr::new(text), dir.path()).unwrap();
        assert_eq!(parse("python3"), Request::Name("python3".to_owned()));
        assert!(matches!(parse("3.12"), Request::Version(_)));
        assert_eq!(parse("tool"), Request::Path(PathBuf::from("tool")));
    }
}
