//! Downloads: pip fetches wheels, and does nothing else.
//!
//! Promises that pip runs in the base interpreter, from the wheel that is bundled with it; that it
//! installs nothing and runs no build; that the user's own pip configuration (indexes, proxies,
//! certificates, constraints) applies besides the given [`Sources`]; and that a success has exactly
//! one wheel for each name. Does not promise anything about the network: when pip fails, its output
//! is in the error.
//!
//! On disk: wheels in the directory that the caller gives, and pip's own cache.
//! Read next: `build/hooks/pip.rs`, which plans what was downloaded.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rvenv_journal::raw::{agreeing, counted};
use thiserror::Error;

use crate::python::{
    self, Control, Heard, Interpreter, Job, Lines, Status, Surroundings, Unfinished, shown,
};
use crate::wheel::{Named, normal_name};

/// What pip always does: it fetches wheels only, and nothing that they require.
const OPTIONS: [&str; 4] = [
    "download",
    "--no-deps",
    "--only-binary=:all:",
    "--disable-pip-version-check",
];

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

/// Where pip looks for wheels, besides what its configuration names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Directories, files and pages with wheels: `--find-links`.
    pub find_links: Vec<OsString>,
    /// The index in place of the configured one: `--index-url`.
    pub index_url: Option<OsString>,
    /// More indexes: `--extra-index-url`.
    pub extra_index_urls: Vec<OsString>,
    /// Whether no index is used at all: `--no-index`.
    pub no_index: bool,
}

/// One release of a distribution.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    /// The name in its normal form.
    pub name: String,
    /// The version.
    pub version: String,
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=={}", self.name, self.version)
    }
}

/// The pip that is bundled with an interpreter, and what it downloads from.
#[derive(Clone, Copy)]
pub struct Downloader<'a> {
    /// The interpreter that the wheels are for.
    pub interpreter: &'a Interpreter,
    /// Where it looks besides its configuration.
    pub sources: &'a Sources,
    /// The variables and the working directory of the user.
    pub around: &'a Surroundings,
    /// Pip has its own time limits for the network, so the limit of this control is not used.
    pub control: &'a Control<'a>,
}

impl Downloader<'_> {
    /// Downloads the newest wheel of each name into an empty directory, and returns their paths in
    /// the order of the names.
    ///
    /// # Errors
    /// See [`DownloadFailed`]; the files in the directory are of no use then.
    pub fn newest(&self, names: &[&str], into: &Path) -> Result<Vec<PathBuf>, DownloadFailed> {
        let wanted: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let run = self.run(&wanted, into);
        run.map_err(|failed| failed.about(wanted))?;
        names.iter().map(|name| collect(name, into)).collect()
    }

    /// Downloads a wheel of exactly each of these releases, in their order.
    ///
    /// A release that cannot be had does not stop the others: its own error says why. Pip runs once
    /// more for each that it refuses, unless no index answers at all.
    ///
    /// # Errors
    /// What concerns all of them: no pip, or the caller asked to stop.
    pub fn exactly(
        &self,
        releases: &[Release],
        into: &Path,
    ) -> Result<Vec<Result<PathBuf, DownloadFailed>>, DownloadFailed> {
        let mut refused: BTreeMap<&Release, DownloadFailed> = BTreeMap::new();
        let mut left: Vec<&Release> = releases.iter().collect();
        while !left.is_empty() {
            let wanted: Vec<String> = left.iter().map(ToString::to_string).collect();
            match self.run(&wanted, into) {
                Ok(()) => break,
                Err(failed @ Failed::Pip { .. }) => {
                    let blamed = match failed.blamed(&left) {
                        Blamed::All => std::mem::take(&mut left),
                        Blamed::One(index) => vec![left.remove(index)],
                    };
                    let why = |one: &Release| failed.about(vec![one.to_string()]);
                    refused.extend(blamed.into_iter().map(|one| (one, why(one))));
                }
                Err(failed) => return Err(failed.about(wanted)),
            }
        }
        let result = |release: &Release| match refused.remove(release) {
            Some(why) => Err(why),
            None => collect(&release.name, into),
        };
        Ok(releases.iter().map(result).collect())
    }

    /// Runs pip for these names.
    fn run(&self, wanted: &[String], into: &Path) -> Result<(), Failed> {
        let python = &self.interpreter.executable;
        let pip = bundled_pip(self.interpreter).ok_or_else(|| Failed::NoPip(python.clone()))?;
        // Python runs a directory in an archive as a package, with pip's own `__main__`.
        let program = pip.join("pip");
        (self.control.starting)(python);
        let job = Job {
            program: python,
            arguments: arguments(&program, self.sources, wanted, into),
            environment: environment(self.around),
            cwd: &self.around.cwd,
            input: None,
            heard: Heard::End,
        };
        let patient = Control {
            timeout: Duration::MAX,
            ..*self.control
        };
        let end = python::run(&job, &patient).map_err(|why| match why {
            Unfinished::NotStarted(source) => Failed::NotStarted(python.clone(), source),
            Unfinished::Interrupted | Unfinished::TimedOut => Failed::Interrupted,
        })?;
        let is_absent = |name: &String| {
            let name = name.split("==").next().unwrap_or(name);
            collect(name, into).is_err()
        };
        let is_lost = end.status == Status::Lost && wanted.iter().any(is_absent);
        if !end.status.is_failure() && !is_lost {
            return Ok(());
        }
        Err(Failed::Pip {
            how: end.status.to_string(),
            said: end.stderr,
        })
    }
}

/// Why a run of pip brought nothing.
enum Failed {
    NoPip(PathBuf),
    NotStarted(PathBuf, io::Error),
    Interrupted,
    /// It ended with an error.
    Pip {
        how: String,
        said: Vec<u8>,
    },
}

/// Which of several releases a failure of pip is about.
enum Blamed {
    One(usize),
    All,
}

impl Failed {
    /// The error, if these were to be downloaded.
    fn about(&self, names: Vec<String>) -> DownloadFailed {
        match self {
            Self::NoPip(python) => DownloadFailed::NoPip {
                python: python.clone(),
            },
            Self::NotStarted(python, source) => DownloadFailed::NotStarted {
                python: python.clone(),
                source: io::Error::new(source.kind(), source.to_string()),
            },
            Self::Interrupted => DownloadFailed::Interrupted { names },
            Self::Pip { how, said } => DownloadFailed::Pip {
                names,
                how: how.clone(),
                said: python::last_lines(said),
            },
        }
    }

    /// Finds the release that pip names as missing. If pip reached no index, every release is
    /// missing, and each further run would wait for the network again; any other failure counts
    /// against the first.
    fn blamed(&self, wanted: &[&Release]) -> Blamed {
        let Self::Pip { said, .. } = self else {
            return Blamed::All;
        };
        let said = String::from_utf8_lossy(said);
        if said.contains("connection broken by") {
            return Blamed::All;
        }
        let is_named = |line: &str, release: &Release| {
            let rest = line.split("No matching distribution found for ").nth(1);
            let word = rest.and_then(|rest| rest.split([' ', ';']).next());
            let named = word.and_then(|word| word.split_once("=="));
            named.is_some_and(|(name, version)| {
                normal_name(name) == release.name && version == release.version
            })
        };
        let of_line = |line| wanted.iter().position(|release| is_named(line, release));
        Blamed::One(said.lines().find_map(of_line).unwrap_or_default())
    }
}

/// The pip that is bundled with an interpreter: a wheel.
pub(crate) fn bundled_pip(interpreter: &Interpreter) -> Option<&PathBuf> {
    let mut wheels = interpreter.bundled.wheels().iter();
    wheels.find(|path| Named::of(path).is_some_and(|wheel| wheel.name == "pip"))
}

fn arguments<'a>(
    program: &'a Path,
    sources: &'a Sources,
    wanted: &'a [String],
    into: &'a Path,
) -> Vec<&'a OsStr> {
    let mut all: Vec<&OsStr> = vec!["-I".as_ref(), "-B".as_ref(), program.as_ref()];
    all.extend(OPTIONS.map(OsStr::new));
    all.extend(source_arguments(sources));
    all.extend([OsStr::new("--dest"), into.as_os_str()]);
    all.extend(wanted.iter().map(OsStr::new));
    all
}

/// What tells pip where to look.
pub(crate) fn source_arguments(sources: &Sources) -> Vec<&OsStr> {
    let Sources {
        find_links,
        index_url,
        extra_index_urls,
        no_index,
    } = sources;
    let mut all: Vec<&OsStr> = Vec::new();
    all.extend(no_index.then_some(OsStr::new("--no-index")));
    let valued = [
        ("--index-url", index_url.as_slice()),
        ("--extra-index-url", extra_index_urls),
        ("--find-links", find_links),
    ];
    for (option, values) in valued {
        all.extend(values.iter().flat_map(|value| [OsStr::new(option), value]));
    }
    all
}

/// The user's environment variables, without those that steer Python.
pub(crate) fn environment(around: &Surroundings) -> Vec<(OsString, OsString)> {
    let mut environment = python::unsteered(around);
    // A user who sets this does not want pip to install into a base installation; here pip installs
    // nothing.
    let name = "PIP_REQUIRE_VIRTUALENV";
    environment.retain(|(key, _)| key != name);
    environment.push((name.into(), "0".into()));
    environment
}

/// Finds the one wheel of a name.
fn collect(name: &str, into: &Path) -> Result<PathBuf, DownloadFailed> {
    let listing = |source| DownloadFailed::Listing {
        into: into.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(into).map_err(listing)? {
        let path = entry.map_err(listing)?.path();
        if Named::of(&path).is_some_and(|wheel| wheel.name == name) {
            found.push(path);
        }
    }
    match found.as_slice() {
        [path] => Ok(path.clone()),
        found => Err(DownloadFailed::Count {
            name: name.to_owned(),
            count: found.len(),
            into: into.to_owned(),
        }),
    }
}
