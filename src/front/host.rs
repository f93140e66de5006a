//! The host: what a process knows about its surroundings, for callers that use the real ones.
//!
//! Promises that environment variables, working directory, umask and clock are read in
//! [`Host::read`] and nowhere else in this crate, and that the result is a value: a caller that
//! needs other surroundings changes its fields. Does not notice if the process changes its umask
//! afterwards.
//!
//! Read next: `env_builder.rs`, which uses it; `options.rs`, which paths are refused.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use etcetera::BaseStrategy as _;
use rvenv_journal::fs::Time;
use thiserror::Error;

use crate::base::cache::Cache;
use crate::base::lexical_path::normal;
use crate::build::options::{TextError, check_path};
use crate::python::{self, Surroundings, shown};

mod cache_dir;

pub use self::cache_dir::{CACHE_VARIABLE, CacheUnusable};

/// The variable that names the interpreter if the caller names none.
pub const PYTHON_VARIABLE: &str = "RVENV_PYTHON";

/// Where `update-alternatives` keeps its entries: on Debian and its derivatives, and on Fedora and
/// its derivatives.
#[cfg(target_os = "linux")]
const ALTERNATIVES: [&str; 2] = ["/var/lib/dpkg/alternatives", "/var/lib/alternatives"];
#[cfg(not(target_os = "linux"))]
const ALTERNATIVES: [&str; 0] = [];

/// What a process knows about its surroundings.
#[derive(Clone, Debug)]
pub struct Host {
    /// Where to search for interpreters, and the environment variables that they get.
    pub surroundings: Surroundings,
    /// The cache, with unpacked wheels and cached answers; `None` if there is no place for one.
    pub cache: Option<Cache>,
    /// The bits that new files and directories do not get.
    pub umask: u32,
    /// The time of every file that is written (`SOURCE_DATE_EPOCH`).
    pub epoch: Option<i64>,
    /// The current time.
    pub now: Time,
    /// How many processes may work at the same time.
    pub processors: NonZeroUsize,
    /// The interpreter to use if the command names none (`RVENV_PYTHON`).
    pub python: Option<OsString>,
    /// The working directory, if it still exists.
    pub cwd: Option<PathBuf>,
}

/// What is wrong with the process's settings, or with a path.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HostError {
    /// `SOURCE_DATE_EPOCH` is not a time.
    #[error("SOURCE_DATE_EPOCH is `{0}`, which is not a number of seconds since 1970")]
    Epoch(String),
    /// The directory that the variable names cannot be the cache.
    #[error("{CACHE_VARIABLE} is `{}`, which {why}", shown(path))]
    Cache {
        /// The value of the variable.
        path: PathBuf,
        /// What is wrong with it.
        why: CacheUnusable,
    },
    /// The path is not UTF-8.
    #[error("the path `{0}` is not UTF-8, and an environment's scripts and pyvenv.cfg must be")]
    NotUtf8(String),
    /// The path is empty, usually because a variable was not set.
    #[error("the path of the environment is empty")]
    Empty,
    /// The path is relative, but there is no working directory.
    #[error("cannot read `{0}`: the working directory is gone")]
    NoCwd(String),
    /// The path has a character that no environment can have.
    #[error(transparent)]
    Text(#[from] TextError),
}

impl Host {
    /// Reads the facts about this process.
    ///
    /// # Errors
    /// [`HostError::Epoch`] and [`HostError::Cache`].
    pub fn read() -> Result<Self, HostError> {
        let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        let variable = |name: &str| {
            let found = environment
                .iter()
                .find(|(key, value)| key == name && !value.is_empty());
            found.map(|(_, value)| value.clone())
        };
        let (home, foreign) = own_home();
        let cache = cache_dir::chosen(variable(CACHE_VARIABLE).map(PathBuf::from))
            .map_err(|(path, why)| HostError::Cache { path, why })?;
        #[expect(
            clippy::disallowed_methods,
            reason = "this is where the working directory is read"
        )]
        let cwd = std::env::current_dir().ok();
        let directory = |name: &str| variable(name).map(PathBuf::from);
        let search_path = variable("PATH");
        let surroundings = Surroundings {
            ignored: ignored(search_path.as_ref(), &directory)
                .into_iter()
                .chain(foreign)
                .collect(),
            search_path,
            cwd: cwd.clone().unwrap_or_default(),
            active: directory("VIRTUAL_ENV").filter(|active| active.is_absolute()),
            pyenv_root: pyenv_root(&directory, home.as_deref()).filter(|root| root.is_absolute()),
            installations: uv_installations(&directory, home.as_deref())
                .into_iter()
                .filter(|root| root.is_absolute())
                .collect(),
            alternatives: ALTERNATIVES.map(PathBuf::from).to_vec(),
            registered: python::registered(),
            cache_dir: cache.clone(),
            config_dir: config_dir(),
            environment: environment.clone(),
        };
        let epoch = variable("SOURCE_DATE_EPOCH")
            .map(|text| read_epoch(&text))
            .transpose()?;
        Ok(Self {
            surroundings,
            cache,
            umask: umask(),
            processors: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            epoch,
            now: now(),
            python: variable(PYTHON_VARIABLE),
            cwd,
        })
    }

    /// The path of an environment as `venv` reads it: relative to the working directory, with `..`
    /// resolved by its text alone.
    ///
    /// # Errors
    /// See [`HostError`].
    pub fn env_dir(&self, given: &OsStr) -> Result<String, HostError> {
        let not_utf8 =
            |text: &OsStr| HostError::NotUtf8(text.as_encoded_bytes().escape_ascii().to_string());
        let text = given.to_str().ok_or_else(|| not_utf8(given))?;
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        let absolute = if Path::new(text).is_absolute() {
            PathBuf::from(text)
        } else {
            let gone = || HostError::NoCwd(text.escape_debug().to_string());
            self.cwd.as_ref().ok_or_else(gone)?.join(text)
        };
        let normal = normal(&absolute);
        let text = normal
            .to_str()
            .ok_or_else(|| not_utf8(normal.as_os_str()))?;
        check_path(text)?;
        Ok(text.to_owned())
    }

    /// The name of the working directory, for the prompt `.`.
    #[must_use]
    pub fn cwd_name(&self) -> String {
        let name = self.cwd.as_deref().and_then(Path::file_name);
        name.unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// The directory of the user's own configuration; none if the system has no place for one.
fn config_dir() -> Option<PathBuf> {
    let usual = etcetera::choose_base_strategy().ok()?.config_dir();
    usual.is_absolute().then_some(usual)
}

/// The home directory, which is searched for interpreters by default; else a line for the user that
/// says why it is not.
///
/// `sudo` can keep the variable: a program there would run as root because another user put it
/// there.
fn own_home() -> (Option<PathBuf>, Option<String>) {
    let Ok(home) = etcetera::home_dir() else {
        return (None, None);
    };
    match cache_dir::other_owner(&home) {
        None => (Some(home), None),
        Some(owner) => {
            let line = format!(
                "ignoring the interpreters in the home directory `{}`: it belongs to user {owner}",
                shown(&home)
            );
            (None, Some(line))
        }
    }
}

/// The directories of interpreters that depend on the working directory, as lines for the user.
fn ignored(
    search_path: Option<&OsString>,
    directory: &dyn Fn(&str) -> Option<PathBuf>,
) -> Vec<String> {
    let on_path = search_path.into_iter().flat_map(std::env::split_paths);
    let mut ignored: Vec<(&str, PathBuf)> = on_path.map(|entry| ("PATH", entry)).collect();
    for name in ["PYENV_ROOT", "UV_PYTHON_INSTALL_DIR"] {
        ignored.extend(directory(name).map(|root| (name, root)));
    }
    ignored.retain(|(_, place)| !place.is_absolute());
    let shown = |(name, place): (&str, PathBuf)| {
        let place = place.to_string_lossy().escape_debug().to_string();
        format!("ignoring `{place}` in {name}: it depends on the working directory")
    };
    ignored.into_iter().map(shown).collect()
}

/// Where pyenv keeps its versions, if it exists; on Windows that is pyenv-win.
fn pyenv_root(directory: &dyn Fn(&str) -> Option<PathBuf>, home: Option<&Path>) -> Option<PathBuf> {
    let named = directory("PYENV_ROOT").or_else(|| directory("PYENV").filter(|_| cfg!(windows)));
    named.or_else(|| {
        let usual = if cfg!(windows) {
            ".pyenv/pyenv-win"
        } else {
            ".pyenv"
        };
        Some(home?.join(usual)).filter(|root| root.is_dir())
    })
}

/// Where uv installs interpreters.
fn uv_installations(
    directory: &dyn Fn(&str) -> Option<PathBuf>,
    home: Option<&Path>,
) -> Option<PathBuf> {
    if let Some(named) = directory("UV_PYTHON_INSTALL_DIR") {
        return Some(named);
    }
    if cfg!(windows) {
        return Some(directory("APPDATA")?.join("uv").join("data").join("python"));
    }
    let data = directory("XDG_DATA_HOME").filter(|data| data.is_absolute());
    let data = data.or_else(|| Some(home?.join(".local/share")))?;
    Some(data.join("uv").join("python"))
}

/// The size in bytes that no file of this process may exceed; `None` without such a limit.
#[must_use]
pub fn file_size_max() -> Option<u64> {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    #[cfg(not(unix))]
    None
}

fn read_epoch(text: &OsStr) -> Result<i64, HostError> {
    let seconds = text
        .to_str()
        .and_then(|text| text.parse::<i64>().ok())
        .filter(|seconds| *seconds >= 0);
    seconds.ok_or_else(|| HostError::Epoch(text.to_string_lossy().escape_debug().to_string()))
}

#[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
fn now() -> Time {
    // A clock that is set before 1970 counts as 1970.
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since = since.unwrap_or_default();
    Time {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: since.subsec_nanos(),
    }
}

#[cfg(unix)]
fn umask() -> u32 {
    // Elsewhere the only way to read it is to set it, and other threads could create files
    // meanwhile.
    if let Some(bits) = umask_of_status() {
        return bits;
    }
    let umask = rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::umask(umask);
    // The type of the bits differs between systems.
    u32::try_from(u64::from(umask.bits()) & 0o777).unwrap_or(0o022)
}

/// The umask that Linux reports (since 4.7).
#[cfg(unix)]
fn umask_of_status() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Umask:"))?;
    let bits = u32::from_str_radix(line.trim(), 8).ok()?;
    Some(bits & 0o777)
}

#[cfg(not(unix))]
fn umask() -> u32 {
    0o022
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_umask_is_read_without_setting_it() {
        let told = umask_of_status();
        let umask = rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o022));
        rustix::process::umask(umask);
        assert_eq!(told, Some(umask.bits() & 0o777));
    }
}
