//! Downloads: pip fetches wheels, and does nothing else.
//!
//! Promises that pip runs in the base interpreter, from the wheel that is bundled with it; that it
//! installs nothing and runs no build; that the user's own pip configuration (indexes, proxies,
//! certificates, constraints) applies; and that a success has exactly one wheel for each name. Does
//! not promise anything about the network: when pip fails, its output is in the error.
//!
//! On disk: wheels in the directory that the caller gives, and pip's own cache.
//! Read next: `build/hooks/pip.rs`, which plans what was downloaded.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rvenv_journal::raw::{agreeing, counted};
use thiserror::Error;

use crate::python::{
    self, Control, Heard, Interpreter, Job, Lines, Status, Surroundings, Unfinished, shown,
};
use crate::wheel::Named;

/// Why wheels could not be downloaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DownloadFailed {
    /// The interpreter has no bundled pip.
    #[error("`{}` has no pip to download with", shown(python))]
    NoPip {
        /// The base executable.
        python: PathBuf,
    },
    /// The interpreter did not start.
    #[error("cannot start `{}`", shown(python))]
    NotStarted {
        /// The base executable.
        python: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Pip ended with an error.
    #[error("pip could not download {}: {how}{}", names.join(" and "), Lines(said))]
    Pip {
        /// What was to be downloaded.
        names: Vec<String>,
        /// The exit code or the signal, in words.
        how: String,
        /// The last lines of pip's output.
        said: Vec<String>,
    },
    /// The directory cannot be read.
    #[error("cannot list the downloads in `{}`", shown(into))]
    Listing {
        /// The directory.
        into: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Pip succeeded, but there is not exactly one wheel of this name.
    #[error(
        "after downloading there {} {} of {name} in `{}`, not one",
        agreeing(*count, "is", "are"),
        counted(*count, "wheel"),
        shown(into)
    )]
    Count {
        /// The name.
        name: String,
        /// How many there are.
        count: usize,
        /// The directory.
        into: PathBuf,
    },
    /// The caller asked to stop; pip has been killed.
    #[error("interrupted while downloading {}", names.join(" and "))]
    Interrupted {
        /// What was to be downloaded.
        names: Vec<String>,
    },
}

/// Downloads one wheel for each name into an empty directory, and returns their paths in the order
/// of the names.
///
/// Pip has its own time limits for the network, so the limit of `control` is not used.
///
/// # Errors
/// See [`DownloadFailed`]; the files in the directory are of no use then.
pub fn download(
    interpreter: &Interpreter,
    names: &[&str],
    into: &Path,
    around: &Surroundings,
    control: &Control<'_>,
) -> Result<Vec<PathBuf>, DownloadFailed> {
    let python = &interpreter.executable;
    let pip = bundled_pip(interpreter).ok_or_else(|| DownloadFailed::NoPip {
        python: python.clone(),
    })?;
    // Python runs a directory in an archive as a package, with pip's own `__main__`.
    let program = pip.join("pip");
    let all = || names.iter().map(|name| (*name).to_owned()).collect();
    (control.starting)(python);
    let job = Job {
        program: python,
        arguments: arguments(&program, names, into),
        environment: environment(around),
        cwd: &around.cwd,
        input: None,
        heard: Heard::End,
    };
    let patient = Control {
        timeout: Duration::MAX,
        ..*control
    };
    let end = python::run(&job, &patient).map_err(|why| match why {
        Unfinished::NotStarted(source) => DownloadFailed::NotStarted {
            python: python.clone(),
            source,
        },
        Unfinished::Interrupted | Unfinished::TimedOut => {
            DownloadFailed::Interrupted { names: all() }
        }
    })?;
    let failed = || DownloadFailed::Pip {
        names: all(),
        how: end.status.to_string(),
        said: python::last_lines(&end.stderr),
    };
    if end.status.is_failure() {
        return Err(failed());
    }
    match collect(names, into) {
        Err(_) if end.status == Status::Lost => Err(failed()),
        collected => collected,
    }
}

fn bundled_pip(interpreter: &Interpreter) -> Option<&PathBuf> {
    let mut wheels = interpreter.bundled.wheels().iter();
    wheels.find(|path| Named::of(path).is_some_and(|wheel| wheel.name == "pip"))
}

fn arguments<'a>(program: &'a Path, names: &'a [&'a str], into: &'a Path) -> Vec<&'a OsStr> {
    let options = [
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--disable-pip-version-check",
        "--dest",
    ];
    let start = ["-I", "-B"].into_iter().map(OsStr::new);
    let start = start.chain([program.as_os_str()]);
    let options = options.into_iter().map(OsStr::new);
    let names = names.iter().map(OsStr::new);
    let end = [into.as_os_str()].into_iter().chain(names);
    start.chain(options).chain(end).collect()
}

/// The user's environment variables, without those that steer Python.
fn environment(around: &Surroundings) -> Vec<(OsString, OsString)> {
    let mut environment = python::unsteered(around);
    // A user who sets this does not want pip to install into a base installation; here pip installs
    // nothing.
    let name = "PIP_REQUIRE_VIRTUALENV";
    environment.retain(|(key, _)| key != name);
    environment.push((name.into(), "0".into()));
    environment
}

/// Finds the one wheel of each name.
fn collect(names: &[&str], into: &Path) -> Result<Vec<PathBuf>, DownloadFailed> {
    let listing = |source| DownloadFailed::Listing {
        into: into.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(into).map_err(listing)? {
        files.push(entry.map_err(listing)?.path());
    }
    let one = |name: &&str| {
        let is_named = |path: &&PathBuf| Named::of(path).is_some_and(|wheel| wheel.name == *name);
        let found: Vec<&PathBuf> = files.iter().filter(is_named).collect();
        match found.as_slice() {
            [path] => Ok((*path).clone()),
            found => Err(DownloadFailed::Count {
                name: (*name).to_owned(),
                count: found.len(),
                into: into.to_owned(),
            }),
        }
    };
    names.iter().map(one).collect()
}
