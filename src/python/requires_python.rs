//! Projects: what `requires-python` in a `pyproject.toml` demands of the interpreter.
//!
//! Promises to read the nearest `pyproject.toml` in, beside or above a target, but not above the
//! top of a repository, and at most 1 MiB of it. A file that cannot be read demands nothing and is
//! reported with its line. No file causes a panic. Does not read the requirements of build tools in
//! tables of their own.
//!
//! Read next: `precedence.rs`, which applies it if no version was requested.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::error::{Unread, shown};
use super::process::printable;
use super::release::Release;
use crate::base::regular_file;
use crate::base::version::Specifiers;

/// More than any real file has.
const TEXT_MAX: u64 = 1 << 20;
/// How many directories are searched; no project is deeper in its repository.
const DIRECTORIES_MAX: usize = 64;

/// The versions that a project works with.
#[derive(Debug)]
pub(super) struct Requirement {
    pub(super) file: PathBuf,
    specifiers: Specifiers,
}

#[derive(Deserialize)]
struct Document {
    project: Option<Project>,
}

#[derive(Deserialize)]
struct Project {
    #[serde(rename = "requires-python")]
    requires_python: Option<Spanned<String>>,
}

impl Requirement {
    /// Whether the project works with an interpreter; a preview counts as its release does, as in
    /// installers.
    pub(super) fn admits(&self, found: &Release) -> bool {
        self.specifiers.include(found.public())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (range, file) = (&self.specifiers, shown(&self.file));
        write!(f, "`{range}`, the `requires-python` of `{file}`")
    }
}

/// The requirement of the project that a target belongs to, if it has one.
///
/// # Errors
/// What is wrong with the file; boxed because it is rare.
pub(super) fn requirement(target: &Path) -> Result<Option<Requirement>, Box<Unread>> {
    let Some(file) = nearest(target) else {
        return Ok(None);
    };
    let unread = |line, text: &str, reason: String| {
        Box::new(Unread {
            file: file.clone(),
            line,
            text: printable(text),
            reason,
        })
    };
    let mut text = String::new();
    let taken = regular_file::open(&file)
        .and_then(|opened| opened.take(TEXT_MAX + 1).read_to_string(&mut text));
    if let Err(error) = taken {
        return Err(unread(1, "", error.to_string()));
    }
    if text.len() as u64 > TEXT_MAX {
        return Err(unread(1, "", "it is larger than 1 MiB".to_owned()));
    }
    let line_of = |at: usize| {
        let before = text.get(..at).unwrap_or(&text);
        before.matches('\n').count() + 1
    };
    let read: Document = toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(span.start));
        unread(line, "", printable(error.message()))
    })?;
    let Some(asked) = read.project.and_then(|project| project.requires_python) else {
        return Ok(None);
    };
    let range = asked.as_ref().trim().trim_end_matches(',');
    if range.is_empty() {
        return Ok(None);
    }
    let specifiers = Specifiers::parse(range)
        .map_err(|reason| unread(line_of(asked.span().start), range, reason.to_owned()))?;
    Ok(Some(Requirement { file, specifiers }))
}

/// The nearest `pyproject.toml`. A directory with a `.git` is the top of a repository: the
/// directories above it are not part of the project.
fn nearest(target: &Path) -> Option<PathBuf> {
    for directory in target.ancestors().take(DIRECTORIES_MAX) {
        let file = directory.join("pyproject.toml");
        // Opening a FIFO would wait for a writer.
        if file.is_file() {
            return Some(file);
        }
        if directory.join(".git").exists() {
            return None;
        }
    }
    None
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests write the files that a project has"
)]
mod tests {
    use std::fs;

    use super::*;

    fn check(text: &[u8], expect: &str) {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("pyproject.toml"), text).unwrap();
        let read = match requirement(&place.path().join("deep/E")) {
            Ok(None) => "nothing".to_owned(),
            Ok(Some(found)) => found.specifiers.to_string(),
            Err(unread) => format!("line {} `{}`: {}", unread.line, unread.text, unread.reason),
        };
        assert!(read.starts_with(expect), "{read}");
    }

    #[test]
    fn a_requirement_is_read_or_its_fault_is_reported_with_the_line() {
        check(b"[project]\nrequires-python = '>=3.10'\n", ">=3.10");
        check(b"project.requires-python = \">=3.10,\"", ">=3.10");
        check(
            b"[project]\nname = 'a'\n[tool.x]\nrequires-python = '>=9'\n",
            "nothing",
        );
        check(b"[tool.poetry]\n", "nothing");
        check(b"", "nothing");
        check(b"[project]\nrequires-python = ''\n", "nothing");
        check(
            b"[project]\n\nrequires-python = '^3.10'\n",
            "line 3 `^3.10`: each part",
        );
        check(b"[project]\nname = \n", "line 2 ``: ");
        check(b"[project]\nrequires-python = 3.10\n", "line 2 ``: ");
        check(b"project = 3\n", "line 1 ``: ");
        check(b"\xff", "line 1 ``: ");
        check(&vec![b'#'; 1 << 21], "line 1 ``: it is larger");
    }

    #[test]
    fn the_search_ends_at_the_top_of_a_repository() {
        let place = tempfile::tempdir().unwrap();
        let text = "[project]\nrequires-python = '>=3.10'\n";
        fs::write(place.path().join("pyproject.toml"), text).unwrap();
        let inner = place.path().join("inner");
        fs::create_dir_all(inner.join("deep")).unwrap();
        assert!(requirement(&inner.join("deep/E")).unwrap().is_some());
        fs::write(inner.join(".git"), "gitdir: elsewhere\n").unwrap();
        assert!(requirement(&inner.join("deep/E")).unwrap().is_none());
        fs::write(inner.join("pyproject.toml"), "").unwrap();
        assert!(requirement(&inner.join("deep/E")).unwrap().is_none());
    }
}
