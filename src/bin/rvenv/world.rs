//! The facts about the process, with the command line's errors: what is wrong with them, and what
//! to type instead.
//!
//! Promises that what it reports about a path is what the library reports, with advice.
//! Read next: the library's `host.rs`, which reads the facts.

use std::ffi::OsStr;
use std::ops::Deref;

use rvenv::host::{CACHE_VARIABLE, CacheUnusable, Host, HostError};

use crate::advice::{CliError, Code, chmod};

/// The facts about the process.
#[derive(Debug)]
pub(crate) struct World(Host);

impl Deref for World {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.0
    }
}

impl World {
    pub(crate) fn read() -> Result<Self, CliError> {
        Host::read().map(Self).map_err(|error| usage(&error))
    }

    /// The path of an environment as `venv` reads it: relative to the working directory, with `..`
    /// resolved by its text alone.
    pub(crate) fn env_dir(&self, given: &OsStr) -> Result<String, CliError> {
        self.0.env_dir(given).map_err(|error| usage(&error))
    }

    /// Whether the user named the cache.
    pub(crate) fn names_cache(&self) -> bool {
        let environment = &self.0.surroundings.environment;
        let mut found = environment.iter().filter(|(key, _)| key == CACHE_VARIABLE);
        found.any(|(_, path)| !path.is_empty())
    }

    /// Whether the working directory is this directory or in it.
    pub(crate) fn is_in(&self, dir: &str) -> bool {
        self.cwd.as_deref().is_some_and(|cwd| cwd.starts_with(dir))
    }
}

fn usage(error: &HostError) -> CliError {
    let code = match error {
        HostError::NotUtf8(_) | HostError::Empty | HostError::Text(_) => Code::BadText,
        HostError::Cache { .. } | HostError::Epoch(_) | HostError::NoCwd(_) => Code::BadSetting,
    };
    let refused = CliError::new(code, error.to_string());
    match error {
        HostError::NotUtf8(_) => refused.hint("choose a path in UTF-8"),
        HostError::Empty => refused.hint("use `.` for the working directory"),
        HostError::Cache {
            path,
            why: CacheUnusable::Writable { .. },
        } => refused.hint(format!(
            "run `{}`, or set RVENV_CACHE_DIR to a directory of your own",
            chmod("chmod -R go-w", path)
        )),
        HostError::Cache {
            why: CacheUnusable::Above { path, .. },
            ..
        } => refused.hint(format!(
            "run `{}`, or set RVENV_CACHE_DIR to a directory of your own",
            chmod("chmod go-w", path)
        )),
        HostError::Cache {
            why: CacheUnusable::Foreign { .. },
            ..
        } => refused.hint(
            "run as that user, set RVENV_CACHE_DIR to a directory of your own, or unset it to \
             use the cache in your home",
        ),
        HostError::Cache { .. } => refused.hint(
            "set RVENV_CACHE_DIR to the absolute path of a directory, or unset it to use the \
             cache in your home",
        ),
        HostError::Text(_) => refused.hint("choose a path without that character"),
        HostError::Epoch(_) | HostError::NoCwd(_) => refused,
    }
}
