//! What may be cleared: an environment and nothing else, unless the command line of this run has
//! `--force`.
//!
//! Promises to look only at the top of the directory, and to write nothing. A directory is *more
//! than an environment* in three cases: its receipt says that it had entries before the first plan;
//! a checkout or a project file is beside its `pyvenv.cfg`; another environment is in it. Names
//! what it found. Does not promise that nothing of value is deeper: packages and users keep their
//! data in an environment.
//!
//! Read next: `environment.rs`, which checks this before it plans and again before it applies;
//! `replaced.rs`, what a clear removes.

use std::ffi::OsStr;

use rvenv_journal::Receipt;
use rvenv_journal::fs::{Dir, Fs, FsError};
use rvenv_journal::raw::ENGINE_DIR;

use crate::change::merge::{is_environment, receipt_in};

/// What version control systems keep at the top of a checkout; a file in some worktrees.
const CHECKOUTS: [&str; 8] = [
    ".git", ".hg", ".svn", ".jj", ".bzr", "_darcs", ".pijul", "CVS",
];
/// Files at the top of a project, in Python or another language.
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
/// How many names are shown.
const NAMES_MAX: usize = 5;

/// What the directory to be cleared is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Clearable {
    /// An environment, or an empty directory.
    Yes,
    /// Something other than an environment.
    NoEnvironment,
    /// An environment and more; each further thing in words.
    More(Vec<String>),
}

/// Finds what a clear would delete besides an environment.
///
/// # Errors
/// When a system call fails.
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

/// Describes a directory that had entries before its environment, and names those that were never
/// planned.
fn shared<'a>(receipt: &Receipt, names: impl Iterator<Item = &'a OsStr>) -> String {
    let is_planned = |name: &OsStr| {
        let mut paths = receipt.paths.keys();
        name == ENGINE_DIR
            || paths.any(|path| path.components().next().is_some_and(|top| top == name))
    };
    let others: Vec<String> = names.filter(|name| !is_planned(name)).map(shown).collect();
    let what = "files that were there before the environment";
    match others.split_at_checked(NAMES_MAX) {
        None if others.is_empty() => what.to_owned(),
        Some((first, rest)) if !rest.is_empty() => {
            format!("{what} ({} and {} more)", first.join(", "), rest.len())
        }
        None | Some(_) => format!("{what} ({})", others.join(", ")),
    }
}

/// Whether a version control system uses this name.
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

/// Whether a directory in here is an environment itself; one that cannot be opened does not count.
fn is_environment_in(fs: &dyn Fs, root: &Dir, name: &OsStr) -> bool {
    let inner = fs.open_dir(root, name);
    inner.is_ok_and(|inner| is_environment(fs, &inner).unwrap_or(false))
}

fn shown(name: impl AsRef<OsStr>) -> String {
    format!("`{}`", name.as_ref().to_string_lossy().escape_debug())
}
