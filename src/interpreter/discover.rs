//! Discovery: from a request to an interpreter.
//!
//! Promises to look in a fixed order, to take the first that fits, and to say what it passed over and why.
//! Looks on PATH, every entry of it, then among the versions of pyenv and other managed installations,
//! newest first. A file that was named by its path is the only one looked at, and its error is the error.
//! Reads no variable and no working directory: [`Surroundings`] has them.
//!
//! Read next: `probe.rs`, which asks a candidate; `cache.rs`, which may spare the asking.

use std::cmp::Reverse;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cache;
use super::describe::Interpreter;
use super::error::{InterpreterError, Tried};
use super::probe;
use super::request::Request;
use super::shim;

/// What the world around the program has a say in. The command line reads it; nothing below does.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// PATH; `None` if it is not set.
    pub search_path: Option<OsString>,
    /// The working directory.
    pub cwd: PathBuf,
    /// The whole environment, for the children; what steers a Python is taken out.
    pub environment: Vec<(OsString, OsString)>,
    /// The root of pyenv, whose `versions/*/bin` are looked at after PATH.
    pub pyenv_root: Option<PathBuf>,
    /// Directories of installations, such as `~/.local/share/uv/python`, whose `*/bin` are looked at last.
    pub installations: Vec<PathBuf>,
    /// Where answers are remembered; `None` asks every time.
    pub cache_dir: Option<PathBuf>,
}

impl Surroundings {
    /// The locale that decides about the filesystem encoding, and so about the answer of an interpreter.
    pub(super) fn locale(&self) -> String {
        let of = |name: &str| {
            let mut all = self.environment.iter();
            all.find(|(key, value)| key == name && !value.is_empty())
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(of);
        locale.map_or_else(String::new, |(_, value)| {
            value.to_string_lossy().into_owned()
        })
    }
}

/// How a caller stays in command of the processes that are started.
pub struct Control<'a> {
    /// How long one executable may take to answer.
    pub timeout: Duration,
    /// Polled while waiting; `true` kills the child and ends the search.
    pub interrupted: &'a dyn Fn() -> bool,
    /// Told before each process that is started.
    pub starting: &'a dyn Fn(&Path),
}

impl Control<'_> {
    /// Time enough for a cold disk.
    pub const TIMEOUT: Duration = Duration::from_secs(10);
}

impl Default for Control<'_> {
    /// [`Control::TIMEOUT`], never interrupted, silent.
    fn default() -> Self {
        Self {
            timeout: Self::TIMEOUT,
            interrupted: &|| false,
            starting: &|_| {},
        }
    }
}

/// Finds the interpreter that was asked for, and describes the base installation that it belongs to.
///
/// # Errors
/// [`InterpreterError::NotFound`] with everything that was tried; for a request by path what is wrong with
/// that one file; [`InterpreterError::Interrupted`] as soon as `control` says so.
pub fn find(
    request: &Request,
    around: &Surroundings,
    control: &Control<'_>,
) -> Result<Interpreter, InterpreterError> {
    if let Request::Path(path) = request {
        return at_path(path, around, control);
    }
    let mut search = Search::default();
    for candidate in candidates(request, around) {
        if let Some(found) = search.look(&candidate, request, around, control)? {
            return Ok(found);
        }
    }
    Err(InterpreterError::NotFound {
        request: request.to_string(),
        tried: search.tried,
    })
}

fn at_path(
    path: &Path,
    around: &Surroundings,
    control: &Control<'_>,
) -> Result<Interpreter, InterpreterError> {
    let path = probe::absolute(path, &around.cwd);
    if let Err(error) = fs::metadata(&path) {
        return Err(InterpreterError::NotFound {
            request: Request::Path(path.clone()).to_string(),
            tried: vec![Tried {
                reason: error.to_string(),
                path,
            }],
        });
    }
    ask(&path, around, control)
}

/// One look at a file: remembered, or asked and then remembered.
fn ask(
    path: &Path,
    around: &Surroundings,
    control: &Control<'_>,
) -> Result<Interpreter, InterpreterError> {
    let behind = shim::behind(path, around);
    let path = behind.as_deref().unwrap_or(path);
    let slot = cache::Slot::of(path, around);
    if let Some(known) = slot.as_ref().and_then(cache::Slot::recall) {
        return Ok(known);
    }
    let probed = probe::probe(path, around, control)?;
    if let Some(slot) = slot
        && probed.steady
    {
        slot.remember(&probed.interpreter);
    }
    Ok(probed.interpreter)
}

/// What a search has seen so far.
#[derive(Default)]
struct Search {
    tried: Vec<Tried>,
    /// Files that are known not to match, under whatever name they come again.
    unfit: Vec<PathBuf>,
}

impl Search {
    /// Looks at one candidate. Only an interrupt ends the search with an error.
    fn look(
        &mut self,
        path: &Path,
        request: &Request,
        around: &Surroundings,
        control: &Control<'_>,
    ) -> Result<Option<Interpreter>, InterpreterError> {
        let real = fs::canonicalize(path).unwrap_or_default();
        if self.unfit.contains(&real) {
            return Ok(None);
        }
        let reason = match ask(path, around, control) {
            Ok(found) => match request.objection(&found) {
                None => return Ok(Some(found)),
                Some(reason) => {
                    // The file of a shim is not the file that answered: it may answer otherwise
                    // under another name.
                    if real == found.real_executable {
                        self.unfit.push(real);
                    }
                    reason
                }
            },
            Err(error @ InterpreterError::Interrupted { .. }) => return Err(error),
            Err(error) => error.to_string(),
        };
        self.tried.push(Tried {
            path: path.to_owned(),
            reason,
        });
        Ok(None)
    }
}

/// The files to look at, in order.
fn candidates<'a>(
    request: &Request,
    around: &'a Surroundings,
) -> impl Iterator<Item = PathBuf> + use<'a> {
    let names = request.names();
    let managed = match request {
        Request::Default | Request::Path(_) => None,
        // Every installation has the generic names; only the telling one says which is meant.
        Request::Name(_) | Request::Version(_) => names.first().cloned(),
    };
    let on_path = names.into_iter().flat_map(|name| {
        let path = around.search_path.as_ref();
        let found = which::which_in_all(name, path, around.cwd.clone());
        found.into_iter().flatten()
    });
    let managed = managed
        .into_iter()
        .flat_map(|name| managed_files(around, &name));
    on_path.chain(managed)
}

/// The files of this name in the installations of pyenv and others, newest version first.
fn managed_files(around: &Surroundings, name: &str) -> Vec<PathBuf> {
    let pyenv = around.pyenv_root.as_ref().map(|root| root.join("versions"));
    let roots = pyenv.iter().chain(&around.installations);
    roots
        .flat_map(|root| newest_first(root))
        .map(|installation| installation.join("bin").join(name))
        .filter(|file| file.is_file())
        .collect()
}

/// The directories in `root`, ordered by the versions in their names.
fn newest_first(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort_by_cached_key(|name| Reverse(Age::of(name)));
    names.into_iter().map(|name| root.join(name)).collect()
}

/// What orders installations by the look of their names; the greatest is looked at first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Age {
    /// `3.12.1` and `cpython-3.12.1-…`, before `pypy3.9-7.3.11` and others.
    cpython: bool,
    /// `3.14.0` before `3.15.0a2` and `3.15-dev`.
    released: bool,
    numbers: Vec<u64>,
    /// Makes the order total, so that it does not depend on the order of the directory.
    name: String,
}

impl Age {
    fn of(name: &str) -> Self {
        let version = name.strip_prefix("cpython-").unwrap_or(name);
        let version_end = version.find(['-', '+', '_']).unwrap_or(version.len());
        let (number, rest) = version.split_at(version_end);
        // The `t` of a free-threaded build is not the mark of a preview.
        let number = number.trim_end_matches('t');
        let preview = number.contains(['a', 'b', 'c']) || rest.starts_with("-dev");
        let digits = number.split(|c: char| !c.is_ascii_digit());
        Self {
            cpython: version.starts_with(|c: char| c.is_ascii_digit()),
            released: !preview,
            numbers: digits.filter_map(|run| run.parse().ok()).collect(),
            name: name.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installations_are_looked_at_newest_first_and_previews_after_releases() {
        let dir = tempfile::tempdir().unwrap();
        let mut names = vec![
            "cpython-3.14.1-linux-x86_64-gnu",
            "3.13.0t",
            "3.13.0",
            "3.12.10",
            "3.12.9",
            "3.6.15",
            "2.7.18",
            "3.15.0a2",
            "3.14-dev",
            "pypy3.10-7.3.12",
        ];
        let expect: Vec<PathBuf> = names.iter().map(|name| dir.path().join(name)).collect();
        names.sort_unstable();
        for name in names {
            let made = tempfile::NamedTempFile::new_in(dir.path()).unwrap();
            made.persist(dir.path().join(name)).unwrap();
        }
        assert_eq!(newest_first(dir.path()), expect);
    }

    #[test]
    fn the_locale_is_the_first_that_is_set_and_not_empty() {
        let around = |pairs: &[(&str, &str)]| Surroundings {
            environment: pairs.iter().map(|(k, v)| (k.into(), v.into())).collect(),
            ..Surroundings::default()
        };
        assert_eq!(around(&[]).locale(), "");
        assert_eq!(around(&[("LANG", "de"), ("LC_ALL", "")]).locale(), "de");
        assert_eq!(around(&[("LANG", "de"), ("LC_CTYPE", "C")]).locale(), "C");
    }
}
