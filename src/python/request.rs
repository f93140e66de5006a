//! Requests: which interpreter the caller wants.
//!
//! Promises that a version or a well-known name never means a file of the working directory: a file
//! called `python3` in another user's directory must not run only because the caller works in that
//! directory.
//! Read next: `request/spelling.rs`, which reads versions; `discover.rs`, which searches for the
//! requested interpreter.

mod spelling;

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use self::spelling::Spelled;
use super::error::InterpreterError;
use super::interpreter::Interpreter;
use super::release::Release;
use crate::base::version::Specifiers;

/// Which interpreter the caller wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// What the project's `.python-version` or its `requires-python` says, else `python3` or
    /// `python` on PATH, else the newest installation.
    Default,
    /// This file, or the interpreter of this directory; a relative path starts at the working
    /// directory.
    Path(PathBuf),
    /// The first usable file of this name on PATH, else in an installation.
    Name(String),
    /// The first interpreter of this version.
    Version(VersionRequest),
    /// The first interpreter whose version is in a range.
    Range(RangeRequest),
}

/// A version, as precisely as the caller gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRequest {
    /// `sys.implementation.name`; `None` takes any.
    pub implementation: Option<String>,
    /// The minor version after 3; `None` takes any.
    pub minor: Option<u32>,
    /// The micro version; `None` takes any.
    pub micro: Option<u32>,
    /// Whether to match only builds without the global interpreter lock; if not, only ordinary
    /// builds match.
    pub free_threaded: bool,
}

/// A range of versions; only ordinary builds match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeRequest {
    /// `sys.implementation.name`; `None` takes any.
    pub implementation: Option<String>,
    /// The specifiers that must admit the version.
    pub specifiers: Specifiers,
}

impl Request {
    /// Reads the text of a `--python` option; no option is [`Request::Default`].
    ///
    /// The rules, in this order:
    /// - A text with a separator, or one that begins with a dot, is a path.
    /// - `3`, `3.12`, `3.12.1`, `312`, `3.13t`, `3.13+freethreaded`, `3.14.0rc1`, `>=3.9,<3.12`,
    ///   and each of them behind `cpython`, `pypy`, `graalpy` (`pypy3.9`, `cpython@3.12`, `cp312`,
    ///   `cpython-3.12.1-linux-x86_64-gnu`) are versions, as are those names alone.
    /// - `python…` is a name.
    /// - A file or directory of the working directory is a path.
    /// - Anything else is a name.
    ///
    /// # Errors
    /// [`InterpreterError::BadRequest`] for an empty text, a control character, a version that no
    /// supported interpreter can have, and a malformed range.
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
        match spelling::read(name).map_err(bad)? {
            Some(Spelled::Version(version)) => return Ok(Self::Version(version)),
            Some(Spelled::Range(range)) => return Ok(Self::Range(range)),
            None => {}
        }
        if !name.starts_with("python") && cwd.join(name).exists() {
            return Ok(Self::Path(PathBuf::from(name)));
        }
        Ok(Self::Name(name.to_owned()))
    }

    /// Whether an interpreter that is described, and perhaps not on this machine, is a requested
    /// one.
    #[must_use]
    pub fn takes(&self, release: &Release, path: &Path) -> bool {
        match self {
            Self::Default => true,
            Self::Path(wanted) => wanted == path,
            Self::Name(name) => path.file_name().is_some_and(|own| own == name.as_str()),
            Self::Version(wanted) => wanted.admits(release),
            Self::Range(wanted) => wanted.admits(release),
        }
    }

    /// The file names to search for, the most specific first.
    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Self::Default => vec!["python3".to_owned(), "python".to_owned()],
            Self::Path(_) => Vec::new(),
            Self::Name(name) => vec![name.clone()],
            Self::Version(version) => version.names(),
            Self::Range(range) => generic(stem(range.implementation.as_ref())),
        }
    }

    /// The file names to search for in an installation, which has the generic ones whatever its
    /// version.
    pub(super) fn managed_names(&self) -> Vec<String> {
        let mut names = self.names();
        if !self.is_open() {
            // Only the most specific name identifies the interpreter.
            names.truncate(1);
        }
        if cfg!(windows) && !matches!(self, Self::Name(_)) {
            names.push("python".to_owned());
        }
        names
    }

    /// Whether files with any minor version in their names may match.
    pub(super) fn is_open(&self) -> bool {
        match self {
            Self::Default | Self::Range(_) => true,
            Self::Path(_) | Self::Name(_) => false,
            Self::Version(version) => version.minor.is_none(),
        }
    }

    /// How the names of matching files may begin.
    pub(super) fn stems(&self) -> &'static [&'static str] {
        match self {
            Self::Default => &["python"],
            Self::Path(_) | Self::Name(_) => &[],
            Self::Version(version) => stems(version.implementation.as_ref()),
            Self::Range(range) => stems(range.implementation.as_ref()),
        }
    }

    /// Whether an interpreter registered under this name may match.
    pub(super) fn may_be_called(&self, name: &str) -> bool {
        match self {
            Self::Path(_) => false,
            Self::Name(wanted) => wanted == name,
            Self::Default | Self::Version(_) | Self::Range(_) => {
                let mut stems = self.stems().iter();
                stems.any(|stem| name.starts_with(stem))
            }
        }
    }

    /// Why an interpreter does not match, if it does not.
    pub(super) fn objection(&self, found: &Release) -> Option<String> {
        let fits = match self {
            Self::Default | Self::Path(_) | Self::Name(_) => true,
            Self::Version(wanted) => wanted.admits(found),
            Self::Range(wanted) => wanted.admits(found),
        };
        (!fits).then(|| format!("it is {found}"))
    }
}

/// How file names of an implementation begin.
fn stem(implementation: Option<&String>) -> &str {
    match implementation.map(String::as_str) {
        None | Some("cpython") => "python",
        Some(other) => other,
    }
}

fn stems(implementation: Option<&String>) -> &'static [&'static str] {
    match stem(implementation) {
        "pypy" => &["pypy"],
        "graalpy" => &["graalpy"],
        _ => &["python"],
    }
}

fn generic(stem: &str) -> Vec<String> {
    vec![format!("{stem}3"), stem.to_owned()]
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("`python3` or `python`"),
            Self::Path(path) => write!(f, "`{}`", super::error::shown(path)),
            Self::Name(name) => write!(f, "`{}`", name.escape_debug()),
            Self::Version(version) => write!(f, "`{version}`"),
            Self::Range(range) => write!(f, "`{range}`"),
        }
    }
}

impl VersionRequest {
    fn names(&self) -> Vec<String> {
        let stem = stem(self.implementation.as_ref());
        let flag = if self.free_threaded { "t" } else { "" };
        let minor = self.minor.map(|minor| format!("{stem}3.{minor}{flag}"));
        minor.into_iter().chain(generic(stem)).collect()
    }

    /// Whether an interpreter is of this version.
    #[must_use]
    pub fn matches(&self, found: &Interpreter) -> bool {
        self.admits(&found.release())
    }

    pub(super) fn admits(&self, found: &Release) -> bool {
        let asked = self.implementation.as_ref();
        asked.is_none_or(|name| *name == found.implementation)
            && found.version.major == 3
            && self.minor.is_none_or(|minor| minor == found.version.minor)
            && self.micro.is_none_or(|micro| micro == found.version.micro)
            && self.free_threaded == found.free_threaded
    }
}

impl RangeRequest {
    pub(super) fn admits(&self, found: &Release) -> bool {
        let asked = self.implementation.as_ref();
        asked.is_none_or(|name| *name == found.implementation)
            && self.specifiers.admit(found.public())
            && !found.free_threaded
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

impl fmt::Display for RangeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let implementation = self.implementation.as_deref().unwrap_or("Python ");
        write!(f, "{implementation}{}", self.specifiers)
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
        check("python", r#"Name("python")"#);
        check("cpu", r#"Name("cpu")"#);
        check("pypyx", r#"Name("pypyx")"#);
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
        assert_eq!(names("pypy"), "pypy3 pypy");
        assert_eq!(names("cpython@3.12"), "python3.12 python3 python");
    }

    fn check_meaning(texts: &[&str], expect: &str) {
        for text in texts {
            let read = Request::parse(OsStr::new(text), Path::new("/nowhere"));
            let read = read.map_or_else(|error| error.to_string(), |read| read.to_string());
            assert_eq!(read, expect, "{text}");
        }
    }

    /// The texts that users of uv type mean here what they mean there.
    #[test]
    fn a_version_may_be_spelled_in_every_usual_way() {
        check_meaning(&["3.12", "312", "python@3.12", "3.12+gil"], "`Python 3.12`");
        check_meaning(&["310"], "`Python 3.10`");
        check_meaning(
            &[
                "cpython3.12",
                "cpython@3.12",
                "cp312",
                "CPython3.12",
                "cpython-3.12",
                "cpython-3.12-any-any-any",
            ],
            "`cpython3.12`",
        );
        let key = format!(
            "cpython-3.12.1-{}-{}-gnu",
            std::env::consts::OS,
            std::env::consts::ARCH
        );
        check_meaning(&[&key, "cpython@3.12.1"], "`cpython3.12.1`");
        check_meaning(&["pypy39", "pp39", "pypy@3.9", "pypy3.9"], "`pypy3.9`");
        check_meaning(
            &["3.13t", "313t", "3.13+freethreaded", "python@3.13t"],
            "`Python 3.13t`",
        );
        check_meaning(&["pypy", "pypy3"], "`pypy3`");
        check_meaning(&["graalpy"], "`graalpy3`");
        check_meaning(
            &[">=3.9,<3.12", "python>=3.9,<3.12"],
            "`Python >=3.9,<3.12`",
        );
        check_meaning(&["pypy>=3.9"], "`pypy>=3.9`");
        check_meaning(&["3.14.0rc1"], "`Python ==3.14.0rc1`");
        check_meaning(&["cpython@3.15a2"], "`cpython==3.15a2`");
    }

    #[test]
    fn a_range_is_met_by_ordinary_builds_of_the_implementation() {
        let check = |text: &str, implementation: &str, version: &str, expect: bool| {
            let request = Request::parse(OsStr::new(text), Path::new("/nowhere")).unwrap();
            let free_threaded = version.ends_with('t');
            let plain = version.trim_end_matches('t');
            let found = Release {
                implementation: implementation.to_owned(),
                version: crate::python::PythonVersion {
                    major: 3,
                    minor: 0,
                    micro: 0,
                    text: plain.to_owned(),
                },
                free_threaded,
            };
            let fits = request.objection(&found).is_none();
            assert_eq!(fits, expect, "{text} {implementation} {version}");
        };
        check(">=3.9,<3.12", "cpython", "3.11.2+", true);
        check(">=3.9,<3.12", "pypy", "3.9.16", true);
        check("cpython>=3.9", "pypy", "3.9.16", false);
        check(">=3.9", "cpython", "3.13.0t", false);
        check(">=3.9", "cpython", "3.14.0rc1", false);
        check("3.14.0rc1", "cpython", "3.14.0rc1", true);
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
        for text in ["2.7", "3.5", "4", "27", "35", "pypy2.7", "cp27"] {
            check(text, &old(text));
        }
        check("", "cannot read the Python request ``: it is empty");
        let told = |text: &str, reason: &str| {
            check(
                text,
                &format!("cannot read the Python request `{text}`: {reason}"),
            );
        };
        told(">=3.x", "a part of the range names no version");
        told("3.9,<3.12", "a version is written as");
        told("=3.9", "each part of a range");
        told("mypython>=3", "a range follows nothing or");
        told("3.12d", "rvenv cannot tell debug builds");
        told("3.12+debug", "rvenv cannot tell debug builds");
        told("cpython-3.12-beos-any-any", "it is for another platform");
        told("cpython-3.12-any-vax-any", "it is for another platform");
        check(
            "a\nb",
            r"cannot read the Python request `a\nb`: it has a control",
        );
    }

    #[test]
    fn a_file_of_the_working_directory_is_taken_only_if_no_python_is_called_so() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["python3", "3.12", "tool", "pypy"] {
            tempfile::NamedTempFile::new_in(dir.path())
                .unwrap()
                .persist(dir.path().join(name))
                .unwrap();
        }
        let parse = |text: &str| Request::parse(OsStr::new(text), dir.path()).unwrap();
        assert_eq!(parse("python3"), Request::Name("python3".to_owned()));
        assert!(matches!(parse("3.12"), Request::Version(_)));
        assert!(matches!(parse("pypy"), Request::Version(_)));
        assert_eq!(parse("tool"), Request::Path(PathBuf::from("tool")));
    }
}
