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
        let wanted = names.iter().map(|name| (*name).to_owned()).collect();
        self.run(wanted, into).map_err(|failed| failed.why)?;
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
            match self.run(wanted, into) {
                Ok(()) => break,
                Err(Failed { why, .. }) if !why.is_of_pip() => return Err(why),
                Err(Failed { why, said }) => {
                    let of = |index: usize| why.of(left.get(index).copied());
                    match blamed(&said, &left) {
                        Blamed::All => {
                            refused.extend(left.drain(..).map(|one| (one, why.of(Some(one)))));
                        }
                        Blamed::One(index) => {
                            let failed = of(index);
                            refused.insert(left.remove(index), failed);
                        }
                    }
                }
            }
        }
        let result = |release: &Release| match refused.remove(release) {
            Some(why) => Err(why),
            None => collect(&release.name, into),
        };
        Ok(releases.iter().map(result).collect())
    }

    /// Runs pip for these names; its whole output comes with the failure.
    fn run(&self, wanted: Vec<String>, into: &Path) -> Result<(), Failed> {
        let python = &self.interpreter.executable;
        let quiet = |why| Failed {
            why,
            said: Vec::new(),
        };
        let pip = bundled_pip(self.interpreter).ok_or_else(|| {
            quiet(DownloadFailed::NoPip {
                python: python.clone(),
            })
        })?;
        // Python runs a directory in an archive as a package, with pip's own `__main__`.
        let program = pip.join("pip");
        (self.control.starting)(python);
        let job = Job {
            program: python,
            arguments: arguments(&program, self.sources, &wanted, into),
            environment: environment(self.around),
            cwd: &self.around.cwd,
            input: None,
            heard: Heard::End,
        };
        let patient = Control {
            timeout: Duration::MAX,
            ..*self.control
        };
        let end = match python::run(&job, &patient) {
            Ok(end) => end,
            Err(Unfinished::NotStarted(source)) => {
                let python = python.clone();
                return Err(quiet(DownloadFailed::NotStarted { python, source }));
            }
            Err(Unfinished::Interrupted | Unfinished::TimedOut) => {
                return Err(quiet(DownloadFailed::Interrupted { names: wanted }));
            }
        };
        let is_absent = |name: &String| {
            let name = name.split("==").next().unwrap_or(name);
            collect(name, into).is_err()
        };
        let is_lost = end.status == Status::Lost && wanted.iter().any(is_absent);
        if !end.status.is_failure() && !is_lost {
            return Ok(());
        }
        Err(Failed {
            why: DownloadFailed::Pip {
                names: wanted,
                how: end.status.to_string(),
                said: python::last_lines(&end.stderr),
            },
            said: end.stderr,
        })
    }
}

/// A failed run of pip.
struct Failed {
    why: DownloadFailed,
    said: Vec<u8>,
}

/// Which of several releases a failure of pip is about.
enum Blamed {
    One(usize),
    All,
}

/// Finds the release that pip names as missing. If pip reached no index, every release is missing,
/// and each further run would wait for the network again; any other failure counts against the
/// first.
fn blamed(said: &[u8], wanted: &[&Release]) -> Blamed {
    let said = String::from_utf8_lossy(said);
    if said.contains("connection broken by") {
        return Blamed::All;
    }
    let is_named = |line: &str, release: &Release| {
        let rest = line.split("No matching distribution found for ").nth(1);
        let words = rest.and_then(|rest| rest.split([' ', ';']).next());
        words
            .and_then(|words| words.split_once("=="))
            .is_some_and(|(name, version)| {
                normal_name(name) == release.name && version == release.version
            })
    };
    let named = said.lines().find_map(|line| {
        let mut all = wanted.iter();
        all.position(|release| is_named(line, release))
    });
    Blamed::One(named.unwrap_or_default())
}

impl DownloadFailed {
    /// Whether pip ran and failed.
    fn is_of_pip(&self) -> bool {
        matches!(self, Self::Pip { .. })
    }

    /// The same failure of one release.
    fn of(&self, release: Option<&Release>) -> Self {
        let (how, said) = match self {
            Self::Pip { how, said, .. } => (how.clone(), said.clone()),
            other => (other.to_string(), Vec::new()),
        };
        let names = release.iter().map(ToString::to_string).collect();
        Self::Pip { names, how, said }
    }
}

fn bundled_pip(interpreter: &Interpreter) -> Option<&PathBuf> {
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
    let Sources {
        find_links,
        index_url,
        extra_index_urls,
        no_index,
    } = sources;
    all.extend(no_index.then_some(OsStr::new("--no-index")));
    let valued = [
        ("--index-url", index_url.as_slice()),
        ("--extra-index-url", extra_index_urls),
        ("--find-links", find_links),
    ];
    for (option, values) in valued {
        all.extend(values.iter().flat_map(|value| [OsStr::new(option), value]));
    }
    all.extend([OsStr::new("--dest"), into.as_os_str()]);
    all.extend(wanted.iter().map(OsStr::new));
    all
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
