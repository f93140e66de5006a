//! What the world around a search has a say in, and how its caller stays in command of it.
//!
//! Promises nothing but their meaning: whoever searches reads no variable and no working directory, and has these instead.
//! Read next: `discover.rs`, which searches.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::cache::Cache;

/// What the world around the program has a say in. The command line reads it; nothing below does.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// PATH; `None` if it is not set.
    pub search_path: Option<OsString>,
    /// The working directory.
    pub cwd: PathBuf,
    /// The whole environment, for the children; what steers a Python is taken out.
    pub environment: Vec<(OsString, OsString)>,
    /// The active environment (`VIRTUAL_ENV`), whose base is looked at first.
    pub active: Option<PathBuf>,
    /// The root of pyenv, whose `versions/*/bin` are looked at after PATH.
    pub pyenv_root: Option<PathBuf>,
    /// What was left out of these, with its reason: places that depend on the working directory.
    pub ignored: Vec<String>,
    /// Directories of installations, such as `~/.local/share/uv/python`, whose `*/bin` are looked at then.
    pub installations: Vec<PathBuf>,
    /// Directories in which `update-alternatives` keeps what is registered.
    pub alternatives: Vec<PathBuf>,
    /// The executables that the registry of Windows names.
    pub registered: Vec<PathBuf>,
    /// Where answers are remembered; `None` asks every time.
    pub cache_dir: Option<Cache>,
}

impl Surroundings {
    /// The directories of PATH that say the same wherever the program was started. An empty entry means the working
    /// directory, in which a stranger may have put a `python3`.
    pub(super) fn search_directories(&self) -> impl Iterator<Item = PathBuf> + use<'_> {
        let path = self.search_path.iter();
        let directories = path.flat_map(std::env::split_paths);
        directories.filter(|directory| directory.is_absolute())
    }

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
    /// Time enough for a cold disk, on a machine that has seven times as much to do as it can.
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
