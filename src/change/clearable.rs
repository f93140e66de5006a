//! What may be cleared: an environment and nothing else, unless the command line of this run says `--force`.
//!
//! Promises to look at the top of the directory alone, and to write nothing. A directory is *more than an environment*
//! where its receipt says that it had entries before the first plan came, where a checkout or a project file lies beside
//! its `pyvenv.cfg`, and where another environment is in it. What was found is named.
//! Does not promise that nothing of value lies deeper: an environment is where packages put their data, and so do people.
//!
//! Read next: `environment.rs`, which asks before it plans, and again before it applies; `replaced.rs`, what goes.

use std::ffi::OsStr;

use rvenv_journal::fs::{Dir, Fs, FsError};
use rvenv_journal::{ENGINE_DIR, Receipt};

use crate::change::merge::{is_environment, receipt_in};

/// What the systems of version control keep at the top of a checkout; a file in some worktrees.
const CHECKOUTS: [&str; 8] = [
    ".git", ".hg", ".svn", ".jj", ".bzr", "_darcs", ".pijul", "CVS",
];
/// What lies at the top of a project, of Python or another language.
const PROJECTS: [&str; 9] = [
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "tox.ini",
    "Pipfile",
    "package.json",
    "Cargo.toml",
    "go.mod",
    "Makefile",
];
/// How many names are said.
const NAMES_MAX: usize = 5;

/// What a directory is that shall be cleared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Clearable {
    /// An environment, or an empty directory.
    Yes,
    /// Something else than an environment.
    NoEnvironment,
    /// An environment and more, each thing in words.
    More(Vec<String>),
}

/// Says what a clear would delete besides an environment.
///
/// # Errors
/// What the disk says.
pub(crate) fn clearable(fs: &dyn Fs, root: &Dir) -> Result<Clearable, FsError> {
    let names = fs.list(root)?;
    if names.is_empty() {
        return Ok(Clearable::Yes);
    }
    if !is_environment(fs, root)? {
        return Ok(Clearable::NoEnvironment);
    }
    let mut found = Vec::new();
    let receipt = receipt_in(fs, root).filter(|receipt| receipt.is_shared);
    if let Some(receipt) = receipt {
        found.push(shared(&receipt, names.iter().map(AsRef::as_ref)));
    }
    for name in &names {
        let shown = shown(name);
        if is_checkout(name) {
            found.push(format!("the checkout of {shown}"));
        } else if is_of_project(name) {
            found.push(format!("the project file {shown}"));
        } else if is_environment_in(fs, root, name) {
            found.push(format!("another environment in {shown}"));
        }
    }
    Ok(if found.is_empty() {
        Clearable::Yes
    } else {
        Clearable::More(found)
    })
}

/// What is known of a directory that was filled: that it had entries, and which of its names were never planned.
fn shared<'a>(receipt: &Receipt, names: impl Iterator<Item = &'a OsStr>) -> String {
    let is_planned = |name: &OsStr| {
        let mut paths = receipt.paths.keys();
        name == ENGINE_DIR
            || paths.any(|path| path.components().next().is_some_and(|top| top == name))
    };
    let others: Vec<String> = names.filter(|name| !is_planned(name)).map(shown).collect();
    let what = "what the directory had when rvenv made an environment of it";
    match others.split_at_checked(NAMES_MAX) {
        None if others.is_empty() => what.to_owned(),
        Some((first, rest)) if !rest.is_empty() => {
            format!("{what} ({} and {} more)", first.join(", "), rest.len())
        }
        None | Some(_) => format!("{what} ({})", others.join(", ")),
    }
}

/// Whether a system of version control keeps its things under this name.
pub(crate) fn is_checkout(name: &OsStr) -> bool {
    CHECKOUTS.iter().any(|known| *known == name)
}

fn is_of_project(name: &OsStr) -> bool {
    let is_requirements = |name: &str| {
        let stem = name.strip_suffix(".txt").or(name.strip_suffix(".in"));
        stem.is_some_and(|stem| stem.starts_with("requirements"))
    };
    PROJECTS.iter().any(|known| *known == name) || name.to_str().is_some_and(is_requirements)
}

/// Whether a directory here is an environment itself; one that cannot be opened is taken for none.
fn is_environment_in(fs: &dyn Fs, root: &Dir, name: &OsStr) -> bool {
    let inner = fs.open_dir(root, name);
    inner.is_ok_and(|inner| is_environment(fs, &inner).unwrap_or(false))
}

fn shown(name: impl AsRef<OsStr>) -> String {
    format!("`{}`", name.as_ref().to_string_lossy().escape_debug())
}
