//! Pins: the version that a project names in its `.python-version`.
//!
//! Promises to read the nearest file at or above the working directory as pyenv and uv read it:
//! comments and empty lines do not count, the first word that names a Python is the request, and
//! every word before it that names none is reported with its line. `PYENV_VERSION` outranks the
//! file. Promises that a file alone never decides which program is started: a word means a version,
//! or an installation of the user's own pyenv; a path has no meaning here.
//!
//! Read next: `pyenv_shim.rs`, which knows pyenv's rules; `precedence.rs`, which decides between a
//! pin and other requests.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::error::{InterpreterError, Unread};
use super::process::printable;
use super::request::Request;
use super::surroundings::Surroundings;
use crate::base::regular_file;

/// More than any real file has.
const TEXT_MAX: u64 = 4096;
/// How much of a word is quoted.
const QUOTED_CHARS_MAX: usize = 60;

/// The content of a `.python-version`.
#[derive(Debug, Default)]
pub(super) struct Pinned {
    /// The request, and its line; `system` is [`Request::Default`].
    pub(super) request: Option<(Request, usize)>,
    /// The words before it that name no Python.
    pub(super) unread: Vec<Unread>,
    /// The file.
    pub(super) file: PathBuf,
}

/// Reads the nearest `.python-version`; empty if there is none, or if `PYENV_VERSION` outranks it.
pub(super) fn pinned(around: &Surroundings) -> Pinned {
    let mut environment = around.environment.iter();
    if environment.any(|(key, value)| key == "PYENV_VERSION" && !value.is_empty()) {
        return Pinned::default();
    }
    let mut above = around.cwd.ancestors();
    let file = above.find_map(|directory| {
        let file = directory.join(".python-version");
        file.is_file().then_some(file)
    });
    file.map(|file| read(file, around)).unwrap_or_default()
}

fn read(file: PathBuf, around: &Surroundings) -> Pinned {
    let mut bytes = Vec::new();
    let opened = regular_file::open(&file);
    let taken = opened.and_then(|opened| opened.take(TEXT_MAX).read_to_end(&mut bytes));
    let mut pinned = Pinned {
        file,
        ..Pinned::default()
    };
    if let Err(error) = taken {
        pinned.refuse(1, "", error.to_string());
        return pinned;
    }
    let text = String::from_utf8_lossy(&bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        // A range may contain spaces; pyenv accepts several versions on one line.
        let words = match means(line, around) {
            Ok(_) => vec![line],
            Err(_) => line.split_whitespace().collect(),
        };
        for word in words.into_iter().filter(|word| !word.is_empty()) {
            match means(word, around) {
                Ok(request) => {
                    pinned.request = Some((request, index + 1));
                    return pinned;
                }
                Err(reason) => pinned.refuse(index + 1, word, reason),
            }
        }
    }
    pinned
}

impl Pinned {
    fn refuse(&mut self, line: usize, word: &str, reason: String) {
        // A link in a checkout may lead to a private file, whose words would end up in the log of a
        // build.
        let is_link = self.file.is_symlink();
        let word = if is_link { "" } else { word };
        self.unread.push(Unread {
            file: self.file.clone(),
            line,
            text: printable(&word.chars().take(QUOTED_CHARS_MAX).collect::<String>()),
            reason,
        });
    }
}

/// What a word means to pyenv or uv.
fn means(word: &str, around: &Surroundings) -> Result<Request, String> {
    if word == "system" {
        return Ok(Request::Default);
    }
    let read = |text: &str| match Request::parse(OsStr::new(text), Path::new("")) {
        Ok(request @ (Request::Version(_) | Request::Range(_))) => Ok(request),
        Ok(_) if Path::new(text).components().count() != 1 => {
            Err("it is a path, and a file does not say which program is started".to_owned())
        }
        Ok(_) => Err("it names no version of Python".to_owned()),
        Err(InterpreterError::BadRequest { reason, .. }) => Err(reason.to_owned()),
        Err(error) => Err(error.to_string()),
    };
    let plain = plain(word);
    let refused = match read(&plain) {
        Ok(request) => return Ok(request),
        Err(reason) => reason,
    };
    // An environment or an installation in pyenv, under the name that its user gave it.
    if let Some(installed) = installed(word, around) {
        return Ok(Request::Path(installed));
    }
    Err(refused)
}

/// Turns a spelling of pyenv or a packager into a version: `v3.12.1`, `3.13-dev`, `python-3.12.1`,
/// `python3.12`, `pypy3.9-7.3.11`, `graalpy-24.1.1`, `3.9.18/envs/foo`.
fn plain(word: &str) -> String {
    let lower = word.to_ascii_lowercase();
    let word = lower.split("/envs/").next().unwrap_or_default();
    let is_number = |rest: &&str| rest.starts_with(|c: char| c.is_ascii_digit());
    let prefixes = ["v", "python-", "python"];
    let stripped = prefixes
        .iter()
        .find_map(|prefix| word.strip_prefix(prefix).filter(is_number));
    let word = stripped.unwrap_or(word);
    if stripped.is_some() || is_number(&word) {
        return word.strip_suffix("-dev").unwrap_or(word).to_owned();
    }
    // PyPy's own release number follows the version of Python. GraalPy's is alone, and says nothing
    // about the version of Python.
    if let Some(version) = word.strip_prefix("pypy").filter(is_number) {
        let version = version.split('-').next().unwrap_or_default();
        return format!("pypy{version}");
    }
    if word.starts_with("graalpy-") {
        return "graalpy".to_owned();
    }
    word.to_owned()
}

/// The installation in pyenv with this name.
fn installed(name: &str, around: &Surroundings) -> Option<PathBuf> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
    let is_plain = !name.starts_with('.') && name.chars().all(known);
    let root = around.pyenv_root.as_ref().filter(|_| is_plain)?;
    let installed = root.join("versions").join(name);
    installed.is_dir().then_some(installed)
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests write the files that a project has"
)]
mod tests {
    use std::fs;

    use super::*;

    fn said(text: &str) -> String {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("pyenv");
        fs::create_dir_all(root.join("versions/tools")).unwrap();
        fs::write(place.path().join(".python-version"), text).unwrap();
        let around = Surroundings {
            cwd: place.path().to_owned(),
            pyenv_root: Some(root),
            ..Surroundings::default()
        };
        let found = pinned(&around);
        let request = found.request.map_or_else(
            || "nothing".to_owned(),
            |(request, line)| {
                let shown = if let Request::Path(path) = &request {
                    format!("pyenv's {:?}", path.file_name().unwrap())
                } else {
                    request.to_string()
                };
                format!("{shown} in line {line}")
            },
        );
        let unread = found.unread.iter();
        let unread = unread.map(|unread| format!("; not line {} `{}`", unread.line, unread.text));
        format!("{request}{}", unread.collect::<String>())
    }

    #[test]
    fn what_pyenv_and_uv_accept_is_read() {
        let check = |texts: &[&str], expect: &str| {
            for text in texts {
                assert_eq!(said(text), format!("{expect} in line 1"), "{text}");
            }
        };
        let exact = [
            "3.12.1\n",
            "3.12.1\r\n",
            "\u{feff}3.12.1",
            "v3.12.1",
            "python-3.12.1",
            "python3.12.1",
            "3.12.1 # ours",
            "3.12.1 3.11.4",
            "3.12.1/envs/foo",
            "3.12.1\nsystem\nwhatever\n",
        ];
        check(&exact, "`Python 3.12.1`");
        check(
            &["3.13-dev", "v3.13", "python3.13", "Python-3.13"],
            "`Python 3.13`",
        );
        check(&["3.13t-dev", "3.13t"], "`Python 3.13t`");
        check(
            &["pypy3.9-7.3.11", "pypy3.9-v7.3.11", "pypy3.9", "pypy@3.9"],
            "`pypy3.9`",
        );
        check(&["pypy3.10-7.3.12-src"], "`pypy3.10`");
        check(&["graalpy-24.1.1"], "`graalpy3`");
        check(&["cpython-3.12.1", "cpython@3.12.1"], "`cpython3.12.1`");
        check(&[">=3.12, <3.13"], "`Python >=3.12, <3.13`");
        check(&["system"], "`python3` or `python`");
        check(&["tools"], "pyenv's \"tools\"");
    }

    #[test]
    fn what_means_no_python_is_reported_with_its_line() {
        for text in [
            "~3.12",
            "myenv",
            "/usr/bin/python3",
            "./python",
            "2.7.18",
            "../tools",
        ] {
            assert_eq!(
                said(&format!("# c\n\n{text}\n")),
                format!("nothing; not line 3 `{text}`")
            );
        }
        assert_eq!(
            said("myenv\n3.12\n"),
            "`Python 3.12` in line 2; not line 1 `myenv`"
        );
        assert_eq!(
            said("my 3.12\n"),
            "`Python 3.12` in line 1; not line 1 `my`"
        );
        assert_eq!(said("a\x1b[2J\n"), "nothing; not line 1 `a\\u{1b}[2J`");
        assert_eq!(said("# nothing\n\n"), "nothing");
        assert!(said(&"x".repeat(5000)).len() < 200);
    }
}
