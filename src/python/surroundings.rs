//! The environment of a search, and how the caller controls its processes.
//!
//! Promises nothing but their meaning: the search reads no environment variable and no working
//! directory, and uses these values instead.
//! Read next: `discover.rs`, which searches.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::cache::Cache;

/// What may influence a search from outside the program. The command line reads it; nothing below
/// does.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// PATH; `None` if it is not set.
    pub search_path: Option<OsString>,
    /// The working directory.
    pub cwd: PathBuf,
    /// The whole environment, for child processes; the variables that steer Python are removed
    /// later.
    pub environment: Vec<(OsString, OsString)>,
    /// The active environment (`VIRTUAL_ENV`), whose base is tried first.
    pub active: Option<PathBuf>,
    /// The root of pyenv, whose `versions/*/bin` are searched after PATH.
    pub pyenv_root: Option<PathBuf>,
    /// What was left out of these, with the reason: paths that depend on the working directory.
    pub ignored: Vec<String>,
    /// Directories of installations, such as `~/.local/share/uv/python`, whose `*/bin` are searched
    /// next.
    pub installations: Vec<PathBuf>,
    /// The directories in which `update-alternatives` keeps its entries.
    pub alternatives: Vec<PathBuf>,
    /// The executables that the registry of Windows names.
    pub registered: Vec<PathBuf>,
    /// Where answers are remembered; `None` asks every time.
    pub cache_dir: Option<Cache>,
    /// The directory of the user's own configuration.
    pub config_dir: Option<PathBuf>,
}

impl Surroundings {
    /// The directories of PATH that do not depend on the working directory. An empty entry means
    /// the working directory, where another user may have put a `python3`.
    pub(super) fn search_directories(&self) -> impl Iterator<Item = PathBuf> + use<'_> {
        let path = self.search_path.iter();
        let directories = path.flat_map(std::env::split_paths);
        directories.filter(|directory| directory.is_absolute())
    }

    /// The locale that decides the filesystem encoding, and so the answer of an interpreter.
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

/// How a caller controls the processes that are started.
pub struct Control<'a> {
    /// The time limit of one executable.
    pub timeout: Duration,
    /// Polled while waiting; `true` kills the child and ends the search.
    pub interrupted: &'a dyn Fn() -> bool,
    /// Called before each process is started.
    pub starting: &'a dyn Fn(&Path),
}

impl Control<'_> {
    /// Enough time for a cold disk, on a machine with seven times its capacity of work.
    pub const TIMEOUT: Duration = Duration::from_secs(30);
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

#[cfg(test)]
mod tests {
    use super::*;

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
