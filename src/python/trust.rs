//! Trust: which programs that only a target names may be started.
//!
//! A checkout names its environment's interpreter in many ways: the link `bin/python`, `home` and
//! `executable` in its `pyvenv.cfg`, the links in its receipt. The author of the checkout wrote all
//! of them, so none of them is a reason to start a program.
//!
//! Promises to start a path of this kind in two cases only:
//! - The ordinary search finds the same file.
//! - A command that changes the target needs it, and the file has the name of an interpreter and is
//!   outside the checkout, on a path that only root and the user can write.
//!
//! A remembered answer alone is no reason either. Promises nothing about what the user names:
//! `--python`, PATH and the active environment.
//!
//! Read next: `trust/path_owners.rs`, which walks such a path; `discover.rs`, which asks the
//! program.

mod path_owners;

use std::fs;
use std::path::{Path, PathBuf};

use self::path_owners::{Way, walk};
use super::candidates;
use super::discover;
use super::error::{InterpreterError, Tried, shown};
use super::interpreter::Interpreter;
use super::surroundings::{Control, Surroundings};

/// What version control keeps at the top of a repository.
const MARKS: [&str; 4] = [".git", ".hg", ".svn", ".jj"];

/// A path that only a target names. It is not a request, so that it cannot be started by mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedByTarget(PathBuf);

/// What a command needs an interpreter for that only a target names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To show what would be done: starts nothing that only the target names; a remembered answer
    /// is enough.
    Show,
    /// To show what would be done with the interpreter's help, such as bytecode: a remembered
    /// answer is not enough.
    ShowAtWork,
    /// To change the target.
    Change,
}

/// A target and the directories that may have come with it: its repository, and the directory that
/// holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    tops: Vec<PathBuf>,
}

impl NamedByTarget {
    /// Takes a path out of a target; a relative one names nothing.
    #[must_use]
    pub fn new(path: PathBuf) -> Option<Self> {
        path.is_absolute().then_some(Self(path))
    }

    /// The path, for display.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Checkout {
    /// The checkout of a target, under every name that the target has.
    ///
    /// Of nested repositories the outermost counts, since the inner ones can come with it. A
    /// repository at the home directory or above it counts only if there is no other: users may
    /// keep a home directory in a repository.
    ///
    /// An archive has no mark, or one where its author put it, and a second checkout is beside the
    /// first one. So everything counts that shares the target's directory directly below the home
    /// directory, or, outside of the home directory, its directory two levels below `/`.
    #[must_use]
    pub fn of(targets: &[&Path], around: &Surroundings) -> Self {
        let mut environment = around.environment.iter();
        let home = environment.find(|(name, _)| name == "HOME");
        let home = home.and_then(|(_, home)| fs::canonicalize(home).ok());
        let mut tops = Vec::new();
        for target in targets {
            let real = fs::canonicalize(target).unwrap_or_else(|_| (*target).to_owned());
            tops.push(top(&real, home.as_deref()));
        }
        Self { tops }
    }

    fn holding(&self, path: &Path) -> Option<&Path> {
        let mut tops = self.tops.iter();
        tops.find(|top| path.starts_with(top)).map(PathBuf::as_path)
    }
}

fn top(target: &Path, home: Option<&Path>) -> PathBuf {
    let above = || target.ancestors().skip(1);
    let is_marked = |dir: &&Path| {
        let mut marks = MARKS.iter();
        marks.any(|mark| fs::symlink_metadata(dir.join(mark)).is_ok())
    };
    let is_below_home = |dir: &&Path| home.is_none_or(|home| !home.starts_with(dir));
    let outermost = above().take_while(is_below_home).filter(is_marked).last();
    let repository = outermost.or_else(|| above().find(is_marked));
    let repository = repository.filter(|top| top.parent().is_some());
    let place = place(target, home);
    // Both are above the target, so one contains the other.
    let widest = repository.into_iter().chain(place);
    let widest = widest.min_by_key(|top| top.components().count());
    widest
        .or_else(|| target.parent())
        .unwrap_or(target)
        .to_owned()
}

/// The directory in which a user keeps a target with other things, such as `~/src`, `/srv/app` or
/// `/tmp/unpacked`; one level deeper if it is hidden, as `~/.local` is, in which programs of many
/// authors keep their data.
fn place<'t>(target: &'t Path, home: Option<&Path>) -> Option<&'t Path> {
    let (above, depth) = match home {
        Some(home) if target.starts_with(home) => (home, 1),
        Some(_) | None => (Path::new("/"), 2),
    };
    let below = target.parent()?.strip_prefix(above).ok()?;
    let names: Vec<_> = below.iter().collect();
    let own = names.get(depth - 1)?;
    let is_hidden = own.as_encoded_bytes().starts_with(b".");
    let depth = names.len().min(depth + usize::from(is_hidden));
    target.ancestors().nth(1 + names.len() - depth)
}

/// Finds the interpreter that a target names.
///
/// # Errors
/// [`InterpreterError::Untrusted`] for a file that must not be started;
/// [`InterpreterError::NotFound`] if it does not exist; else as [`find`](super::find) of a path.
pub fn find_named(
    named: &NamedByTarget,
    checkout: &Checkout,
    purpose: Purpose,
    around: &Surroundings,
    control: &Control<'_>,
) -> Result<Interpreter, InterpreterError> {
    let path = named.path();
    let real = match fs::canonicalize(path) {
        Ok(real) if real.is_file() => real,
        Ok(_) => return Err(absent(path, "it is not a file")),
        Err(error) => return Err(absent(path, &error.to_string())),
    };
    let own = private(path, checkout).or_else(|why| {
        // A link in the checkout to a file outside names that file; the program that starts does
        // not use the link.
        if real == path {
            Err(why)
        } else {
            private(&real, checkout).map_err(|_| why)
        }
    });
    let is_own = own.as_ref().is_ok_and(|own| own == path);
    let why = match (own, purpose) {
        (Ok(own), Purpose::Change) => return discover::ask(&own, around, control),
        (Ok(own), Purpose::Show | Purpose::ShowAtWork) => {
            if purpose == Purpose::Show
                && let Some(known) = discover::remembered(&own, around)
            {
                return Ok(known);
            }
            "commands that only show changes do not start it".to_owned()
        }
        (Err(why), _) => why,
    };
    match known(path, &real, around) {
        Some(known) => {
            let found = discover::ask(&known, around, control)?;
            // A plan that is only shown asks by this path, and the change asks by its own.
            Ok(if is_own {
                found.named(&known, path)
            } else {
                found
            })
        }
        None => Err(InterpreterError::Untrusted {
            path: path.to_owned(),
            why,
        }),
    }
}

/// Checks that an environment's own interpreter may be started: the link or copy `python`, and the
/// installation at `homes`, from which it takes its library.
///
/// # Errors
/// [`InterpreterError::Untrusted`].
pub fn may_start(
    python: &Path,
    homes: &[NamedByTarget],
    checkout: &Checkout,
    around: &Surroundings,
) -> Result<(), InterpreterError> {
    let Ok(real) = fs::canonicalize(python) else {
        // There is nothing to start.
        return Ok(());
    };
    let everything = candidates::everything(around);
    if everything.iter().any(|candidate| candidate.path == python) {
        return Ok(());
    }
    let mut why = "its pyvenv.cfg names another".to_owned();
    for path in homes.iter().map(NamedByTarget::path) {
        let Ok(base) = fs::canonicalize(path) else {
            continue;
        };
        if base != real && !is_copy(&real, &base) {
            continue;
        }
        match private(path, checkout).or_else(|_| private(&base, checkout)) {
            Ok(_) => return Ok(()),
            Err(_) if known(path, &base, around).is_some() => return Ok(()),
            Err(reason) => why = reason,
        }
    }
    Err(InterpreterError::Untrusted {
        path: python.to_owned(),
        why,
    })
}

/// Whether a file has the bytes of another; reads both only if they have the same length.
fn is_copy(file: &Path, original: &Path) -> bool {
    let len = |path| fs::metadata(path).map(|found| found.len()).ok();
    let bytes = |path| fs::read(path).ok();
    len(file).is_some() && len(file) == len(original) && bytes(file) == bytes(original)
}

fn absent(path: &Path, reason: &str) -> InterpreterError {
    InterpreterError::NotFound {
        request: format!("`{}`", shown(path)),
        tried: vec![Tried {
            path: path.to_owned(),
            reason: reason.to_owned(),
            is_broken: true,
        }],
        searched: Vec::new(),
    }
}

/// The path under which the ordinary search finds a file: the same path, else the first that leads
/// to it.
///
/// Files beside a path, such as a `pyvenv.cfg`, change what is started. So a known file is never
/// started under an unknown path.
fn known(path: &Path, real: &Path, around: &Surroundings) -> Option<PathBuf> {
    let candidates = candidates::everything(around).into_iter();
    let paths: Vec<PathBuf> = candidates.map(|candidate| candidate.path).collect();
    if paths.iter().any(|known| known == path) {
        return Some(path.to_owned());
    }
    let leads = |known: &PathBuf| fs::canonicalize(known).is_ok_and(|known| known == real);
    paths.into_iter().find(leads)
}

/// The path, if it may be started although only the target names it; else the reason why not.
fn private(path: &Path, checkout: &Checkout) -> Result<PathBuf, String> {
    let Way { real, passed } = walk(path)?;
    let within = passed.iter().find_map(|dir| checkout.holding(dir));
    if let Some(top) = within.or_else(|| checkout.holding(path)) {
        return Err(format!("it is in `{}`, with the environment", shown(top)));
    }
    let name = real.file_name().unwrap_or_default().to_string_lossy();
    if !candidates::is_called_so(&name) {
        return Err(format!(
            "`{}` does not have the name of an interpreter",
            shown(&real)
        ));
    }
    Ok(path.to_owned())
}

#[cfg(all(test, unix))]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests make what others would"
)]
mod tests {
    use super::*;

    #[test]
    fn the_top_is_that_of_the_outermost_repository_or_of_the_place_if_that_is_wider() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        let home = root.join("home");
        let target = home.join("a/b/c/.venv");
        fs::create_dir_all(&target).unwrap();
        let check = |expect: &Path| assert_eq!(top(&target, Some(&home)), expect);
        check(&home.join("a"));
        fs::create_dir(home.join(".git")).unwrap();
        check(&home);
        // A repository may contain others, even of another version control system.
        fs::create_dir(home.join("a/b/.hg")).unwrap();
        check(&home.join("a"));
        fs::write(home.join("a/.git"), "gitdir: elsewhere").unwrap();
        check(&home.join("a"));
        fs::remove_dir(home.join(".git")).unwrap();
        for (target, expect) in [
            (".venv", ""),
            ("project/.venv", "project"),
            (".local/share/virtualenvs/one", ".local/share"),
        ] {
            assert_eq!(top(&home.join(target), Some(&home)), home.join(expect));
        }
        for (target, expect) in [
            ("/absent/a/b/.venv", "/absent/a"),
            ("/absent/a/.venv", "/absent/a"),
            ("/absent/.venv", "/absent"),
        ] {
            assert_eq!(top(Path::new(target), Some(&home)), Path::new(expect));
        }
    }
}
