//! Candidates: which files may be the requested interpreter, and the order in which they are tried.
//!
//! Promises one order, the same every time: the active environment; every directory of PATH; the
//! versions of pyenv and other installations, the newest first; what `update-alternatives` and the
//! registry list. On PATH the most specific name comes first in whichever directory it is, so that
//! `3.12` tries every `python3.12` before a `python3`. Does not promise that a candidate is an
//! interpreter, and starts none to find out.
//!
//! Read next: `discover.rs`, which tries them one by one.

use std::cmp::Reverse;
use std::fs;
use std::iter;
use std::path::{Path, PathBuf};

use rvenv_journal::raw::counted;

use super::debian_alternatives;
use super::request::Request;
use super::surroundings::Surroundings;

/// How names of interpreters begin.
const STEMS: [&str; 3] = ["python", "pypy", "graalpy"];

/// How a search finds an interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// The caller named its path.
    Asked,
    /// `VIRTUAL_ENV` leads to it.
    Active,
    /// PATH leads to it.
    SearchPath,
    /// It is a version of pyenv.
    Pyenv,
    /// It is in a directory of installations, such as that of uv.
    Managed,
    /// It is registered with `update-alternatives`.
    Alternatives,
    /// It is registered in the registry of Windows.
    Registry,
}

impl FoundBy {
    /// One word for it, which never changes.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Active => "VIRTUAL_ENV",
            Self::SearchPath => "PATH",
            Self::Pyenv => "pyenv",
            Self::Managed => "managed",
            Self::Alternatives => "alternatives",
            Self::Registry => "registry",
        }
    }
}

/// A file to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) path: PathBuf,
    pub(super) source: FoundBy,
}

/// The files that may be the requested interpreter, in order; lazy, so that no directory is
/// searched before its turn.
pub(super) fn candidates<'a>(
    request: &'a Request,
    around: &'a Surroundings,
) -> impl Iterator<Item = Candidate> + use<'a> {
    let of = |source| move |path| Candidate { path, source };
    let active = active(around).filter(|_| !matches!(request, Request::Name(_)));
    let on_path = request.names().into_iter().flat_map(|name| {
        // Only a name is passed, so that no file of the working directory is found.
        let path = std::env::join_paths(around.search_directories()).ok();
        let found = which::which_in_all(name, path, around.cwd.clone());
        found.into_iter().flatten()
    });
    let stems = request.stems();
    let open = iter::once(()).filter(|()| request.is_open());
    let scanned = open.flat_map(move |()| on_search_path(around, stems));
    let managed = move |(source, root): (FoundBy, PathBuf)| {
        let found = newest_first(&root).into_iter();
        let found = found.filter_map(|installation| wanted_in(&installation, request));
        found.map(of(source))
    };
    let active = active.into_iter().map(of(FoundBy::Active));
    let on_path = on_path.chain(scanned).map(of(FoundBy::SearchPath));
    let registered = registered(around, move |name| request.may_be_called(name));
    active
        .chain(on_path)
        .chain(roots(around).into_iter().flat_map(managed))
        .chain(iter::once(()).flat_map(move |()| registered.clone()))
}

/// Every file with the name of an interpreter, in the same order of places; in one directory the
/// most specific name first.
pub(super) fn everything(around: &Surroundings) -> Vec<Candidate> {
    let of = |source| move |path| Candidate { path, source };
    let mut found: Vec<Candidate> = Vec::new();
    found.extend(active(around).map(of(FoundBy::Active)));
    found.extend(on_search_path(around, &STEMS).map(of(FoundBy::SearchPath)));
    for (source, root) in roots(around) {
        let installations = newest_first(&root);
        let files = installations
            .iter()
            .flat_map(|installation| called_so(&programs(installation), &STEMS));
        found.extend(files.map(of(source)));
    }
    found.extend(registered(around, |_| true));
    found
}

/// The places that are searched for an interpreter, in words.
pub(super) fn searched(around: &Surroundings) -> Vec<String> {
    let shown = super::error::shown;
    let mut places = Vec::new();
    places.extend(around.active.iter().map(|active| {
        let active = shown(active);
        format!("the active environment `{active}`")
    }));
    places.push(if around.search_path.is_some() {
        let count = around.search_directories().count();
        format!("{} of PATH", counted(count, "directory"))
    } else {
        "PATH, which is not set".to_owned()
    });
    let roots = roots(around).into_iter().map(|(_, root)| root);
    places.extend(roots.chain(around.alternatives.clone()).map(|root| {
        let absent = if root.is_dir() {
            ""
        } else {
            ", which is absent"
        };
        format!("`{}`{absent}", shown(&root))
    }));
    if cfg!(windows) {
        places.push("the registry".to_owned());
    }
    places
}

/// The interpreter of an environment or an installation that the caller named as a directory.
pub(super) fn in_directory(directory: &Path) -> Option<PathBuf> {
    let of_environment = environment_python(directory);
    let names = ["python3", "python", "pypy3"].map(str::to_owned);
    iter::once(of_environment)
        .find(|file| file.is_file())
        .or_else(|| named_in(directory, &names))
}

fn active(around: &Surroundings) -> Option<PathBuf> {
    around.active.as_deref().map(environment_python)
}

fn environment_python(environment: &Path) -> PathBuf {
    if cfg!(windows) {
        environment.join("Scripts").join("python.exe")
    } else {
        environment.join("bin").join("python")
    }
}

/// The directory of an installation's programs.
fn programs(installation: &Path) -> PathBuf {
    if cfg!(windows) {
        installation.to_owned()
    } else {
        installation.join("bin")
    }
}

/// The first program of an installation that has one of these names.
fn named_in(installation: &Path, names: &[String]) -> Option<PathBuf> {
    let programs = programs(installation);
    let mut files = names
        .iter()
        .map(|name| programs.join(format!("{name}{}", std::env::consts::EXE_SUFFIX)));
    files.find(|file| file.is_file())
}

/// The program of an installation that may be the requested one.
fn wanted_in(installation: &Path, request: &Request) -> Option<PathBuf> {
    let named = named_in(installation, &request.managed_names());
    let any = || {
        let found = called_so(&programs(installation), request.stems());
        found.into_iter().next().filter(|_| request.is_open())
    };
    named.or_else(any)
}

/// Directories of installations.
fn roots(around: &Surroundings) -> Vec<(FoundBy, PathBuf)> {
    let pyenv = around.pyenv_root.as_ref().map(|root| root.join("versions"));
    let managed = around.installations.iter().cloned();
    let pyenv = pyenv.into_iter().map(|root| (FoundBy::Pyenv, root));
    pyenv
        .chain(managed.map(|root| (FoundBy::Managed, root)))
        .collect()
}

/// The registered interpreters whose names are wanted.
fn registered(
    around: &Surroundings,
    is_wanted: impl Fn(&str) -> bool,
) -> impl Iterator<Item = Candidate> + Clone {
    let mut found = Vec::new();
    for directory in &around.alternatives {
        let names = fs::read_dir(directory).into_iter().flatten().flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<(Name, String)> = names
            .filter_map(|name| Some((Name::of(&name)?, name)))
            .collect();
        names.sort();
        let names = names.into_iter().map(|(_, name)| name);
        for name in names.filter(|name| is_wanted(name)) {
            let paths = debian_alternatives::registered(directory, &name);
            found.extend(paths.into_iter().map(|path| (FoundBy::Alternatives, path)));
        }
    }
    let registered = around.registered.iter().cloned();
    found.extend(registered.map(|path| (FoundBy::Registry, path)));
    let found = found.into_iter().filter(|(_, path)| path.is_file());
    found.map(|(source, path)| Candidate { path, source })
}

/// The files on PATH with the name of an interpreter, directory by directory.
fn on_search_path<'a>(
    around: &'a Surroundings,
    stems: &'a [&'a str],
) -> impl Iterator<Item = PathBuf> + use<'a> {
    let directories = around.search_directories();
    directories.flat_map(|directory| called_so(&directory, stems))
}

/// Whether a file name begins as those of interpreters do.
pub(super) fn is_called_so(name: &str) -> bool {
    let name = name.to_lowercase();
    STEMS.iter().any(|stem| name.starts_with(stem))
}

/// The files of a directory with the name of an interpreter, the most specific name first.
fn called_so(directory: &Path, stems: &[&str]) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<(Name, String)> = names
        .filter_map(|name| Some((Name::of(&name)?, name)))
        .filter(|(known, _)| stems.contains(&known.stem()))
        .collect();
    names.sort();
    let files = names.into_iter().map(|(_, name)| directory.join(name));
    files.filter(|file| is_program(file)).collect()
}

#[cfg(unix)]
fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// The empty files in the directory of the Microsoft Store only open the store.
#[cfg(not(unix))]
fn is_program(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|found| found.is_file() && found.len() > 0)
}

/// What a file name says, in the order in which files of one directory are tried.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    /// The index in [`STEMS`].
    stem: usize,
    /// `python3.12` before `python3.9` before `python3` before `python`.
    numbers: Reverse<(Option<u32>, bool)>,
    free_threaded: bool,
}

impl Name {
    /// Reads `python`, `python3`, `python3.12`, `python3.13t`, the same for the other
    /// implementations, and `.exe` where files have it.
    fn of(name: &str) -> Option<Self> {
        let name = name.strip_suffix(std::env::consts::EXE_SUFFIX)?;
        let mut stems = STEMS.iter().enumerate();
        let (stem, rest) = stems.find_map(|(at, stem)| Some((at, name.strip_prefix(stem)?)))?;
        let (rest, free_threaded) = match rest.strip_suffix('t') {
            Some(rest) if rest.contains('.') => (rest, true),
            Some(_) => return None,
            None => (rest, false),
        };
        let minor = match rest {
            "" | "3" => None,
            _ => Some(rest.strip_prefix("3.")?.parse().ok()?),
        };
        Some(Self {
            stem,
            numbers: Reverse((minor, rest == "3")),
            free_threaded,
        })
    }

    fn stem(&self) -> &'static str {
        STEMS.get(self.stem).copied().unwrap_or_default()
    }
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

/// Orders installations by their names; the greatest is tried first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Age {
    /// `3.12.1` and `cpython-3.12.1-…`, before `pypy3.9-7.3.11` and others.
    cpython: bool,
    /// `3.14.0` comes before `3.15.0a2` and `3.15-dev`.
    released: bool,
    numbers: Vec<u64>,
    /// Makes the order total, so that it does not depend on the order of directory entries.
    name: String,
}

impl Age {
    fn of(name: &str) -> Self {
        let version = name.strip_prefix("cpython-").unwrap_or(name);
        let version_end = version.find(['-', '+', '_']).unwrap_or(version.len());
        let (number, rest) = version.split_at(version_end);
        // The `t` of a free-threaded build does not mark a preview.
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
    fn names_are_ordered_by_what_they_tell() {
        let suffix = std::env::consts::EXE_SUFFIX;
        let names = [
            "python3.13",
            "python3.13t",
            "python3.9",
            "python3",
            "python",
            "pypy3.9",
            "pypy3",
            "pypy",
            "graalpy",
        ];
        let read: Vec<_> = names
            .map(|name| Name::of(&format!("{name}{suffix}")))
            .into();
        assert!(read.iter().all(Option::is_some), "{read:?}");
        assert!(read.is_sorted(), "{read:?}");
        for name in [
            "python2",
            "python2.7",
            "python3-config",
            "python3.12-config",
            "pythonw",
            "ipython3",
            "python3.x",
            "python3t",
            "pythont",
            "python3.12.1",
            "python-argcomplete",
        ] {
            assert_eq!(Name::of(&format!("{name}{suffix}")), None, "{name}");
        }
    }

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
}
