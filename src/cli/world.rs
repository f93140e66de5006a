//! The world around the process: environment variables, working directory, umask, clock. Read here and nowhere else.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use etcetera::BaseStrategy;
use rvenv::interpreter::Surroundings;
use rvenv::lexical::normal;
use rvenv_journal::fs::Time;

use crate::error::{CliError, Exit};

/// What the command knows of the world.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) surroundings: Surroundings,
    pub(crate) cache: Option<PathBuf>,
    pub(crate) umask: u32,
    pub(crate) epoch: Option<i64>,
    /// When the command started.
    pub(crate) now: Time,
    /// How many processes may compile at once.
    pub(crate) processors: NonZeroUsize,
    cwd: Option<PathBuf>,
}

impl World {
    pub(crate) fn read() -> Result<Self, CliError> {
        let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        let variable = |name: &str| {
            let found = environment
                .iter()
                .find(|(key, value)| key == name && !value.is_empty());
            found.map(|(_, value)| value.clone())
        };
        let home = etcetera::home_dir().ok();
        let cache = variable("RVENV_CACHE_DIR").map(PathBuf::from).or_else(|| {
            let strategy = etcetera::choose_base_strategy().ok()?;
            Some(strategy.cache_dir().join("rvenv"))
        });
        #[expect(
            clippy::disallowed_methods,
            reason = "this is where the working directory is read"
        )]
        let cwd = std::env::current_dir().ok();
        let cache = cache.filter(|cache| cache.is_absolute());
        let uv = variable("UV_PYTHON_INSTALL_DIR").map(PathBuf::from);
        let installations = uv.or_else(|| {
            home.as_ref()
                .map(|home| home.join(".local/share/uv/python"))
        });
        let surroundings = Surroundings {
            search_path: variable("PATH"),
            cwd: cwd.clone().unwrap_or_default(),
            pyenv_root: variable("PYENV_ROOT").map(PathBuf::from),
            installations: installations.into_iter().collect(),
            cache_dir: cache.clone(),
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
            cwd,
        })
    }

    /// The path of an environment as `venv` reads it: relative to the working directory, `..` by the text alone.
    pub(crate) fn env_dir(&self, given: &OsStr) -> Result<String, CliError> {
        let usage = |what: String| CliError::new(Exit::Usage, what);
        let text = given.to_str().ok_or_else(|| {
            let shown = given.as_encoded_bytes().escape_ascii();
            usage(format!("the path `{shown}` is not UTF-8, and an environment's scripts and pyvenv.cfg must be"))
                .hint("choose a path in UTF-8")
        })?;
        if text.is_empty() {
            // Usually a variable that was not set.
            return Err(usage("the path of the environment is empty".to_owned())
                .hint("use `.` for the working directory"));
        }
        let absolute = if Path::new(text).is_absolute() {
            PathBuf::from(text)
        } else {
            let cwd = self.cwd.as_ref().ok_or_else(|| {
                usage(format!(
                    "cannot read `{}`: the working directory is gone",
                    text.escape_debug()
                ))
            })?;
            cwd.join(text)
        };
        let normal = normal(&absolute);
        let shown = || normal.to_string_lossy().escape_debug().to_string();
        let text = normal
            .to_str()
            .ok_or_else(|| usage(format!("the path `{}` is not UTF-8", shown())))?;
        rvenv::options::check_path(text).map_err(|error| {
            usage(error.to_string()).hint("choose a path without that character")
        })?;
        Ok(text.to_owned())
    }

    /// Whether the working directory is this one or in it.
    pub(crate) fn is_in(&self, dir: &str) -> bool {
        self.cwd.as_deref().is_some_and(|cwd| cwd.starts_with(dir))
    }

    /// The name of the working directory, for the prompt `.`.
    pub(crate) fn cwd_name(&self) -> String {
        let name = self
            .cwd
            .as_deref()
            .and_then(Path::file_name)
            .unwrap_or_default();
        name.to_string_lossy().into_owned()
    }
}

fn read_epoch(text: &OsStr) -> Result<i64, CliError> {
    let seconds = text
        .to_str()
        .and_then(|text| text.parse::<i64>().ok())
        .filter(|seconds| *seconds >= 0);
    seconds.ok_or_else(|| {
        let shown = text.to_string_lossy().escape_debug().to_string();
        CliError::new(
            Exit::Usage,
            format!("SOURCE_DATE_EPOCH is `{shown}`, which is no number of seconds since 1970"),
        )
    })
}

#[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
fn now() -> Time {
    // A clock that was never set is in 1970 at the earliest.
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since = since.unwrap_or_default();
    Time {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: since.subsec_nanos(),
    }
}

#[cfg(unix)]
fn umask() -> u32 {
    // The one way to read it everywhere is to set it; no other thread runs yet.
    let umask = rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::umask(umask);
    // The width of the bits differs between systems.
    u32::try_from(u64::from(umask.bits()) & 0o777).unwrap_or(0o022)
}

#[cfg(not(unix))]
fn umask() -> u32 {
    0o022
}
