//! Wheelhouses: directories of wheels, read once, as values for a hook that installs some of them.
//!
//! Promises that the same files give the same wheelhouse, and that a name is found in any spelling.
//! Does not open a wheel, resolve its dependencies, or compare its tags with an interpreter: a
//! wheelhouse holds what its owner collected for the environments to be built.
//!
//! Read next: `build/hooks/draft.rs`, whose `install` plans a wheel.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::base::version;
use crate::wheel::{Named, normal_name};

/// The wheels of a directory, sorted by their file names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wheelhouse {
    wheels: Vec<PathBuf>,
    others: Vec<PathBuf>,
}

/// Why a wheelhouse cannot be used.
#[derive(Debug, Error)]
pub enum WheelhouseError {
    /// The directory cannot be listed.
    #[error("cannot list the wheels in `{}`", path.display().to_string().escape_debug())]
    Disk {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no wheel of this name.
    #[error("there is no wheel of `{}`", .0.escape_debug())]
    NoWheel(String),
}

impl Wheelhouse {
    /// Lists the wheels in a directory.
    ///
    /// # Errors
    /// A directory that cannot be listed.
    pub fn read(dir: &Path) -> Result<Self, WheelhouseError> {
        let listed = std::fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let listed = listed.map_err(|source| WheelhouseError::Disk {
            path: dir.to_owned(),
            source,
        })?;
        let paths = listed.into_iter().map(|entry| entry.path());
        let is_wheel = |path: &PathBuf| Named::of(path).is_some();
        let (mut wheels, mut others): (Vec<_>, Vec<_>) = paths.partition(is_wheel);
        wheels.sort();
        others.sort();
        Ok(Self { wheels, others })
    }

    /// What is in the directory besides wheels.
    #[must_use]
    pub fn others(&self) -> &[PathBuf] {
        &self.others
    }

    /// The wheelhouse of one file.
    pub(crate) fn of_file(path: &Path) -> Self {
        let is_wheel = Named::of(path).is_some();
        let of = |is_it: bool| is_it.then(|| path.to_owned()).into_iter().collect();
        Self {
            wheels: of(is_wheel),
            others: of(!is_wheel),
        }
    }

    /// All of its wheels.
    #[must_use]
    pub fn wheels(&self) -> &[PathBuf] {
        &self.wheels
    }

    /// The newest wheel of a name; of two with one version, the one that is listed last.
    ///
    /// # Errors
    /// A name that no wheel has.
    pub fn newest(&self, name: &str) -> Result<&Path, WheelhouseError> {
        let wanted = normal_name(name);
        let named = self.wheels.iter().filter_map(|path| {
            let named = Named::of(path)?;
            (named.name == wanted).then_some((path, named.version))
        });
        let newest = named.max_by(|(_, one), (_, other)| version::compare(one, other));
        newest
            .map(|(path, _)| path.as_path())
            .ok_or_else(|| WheelhouseError::NoWheel(name.to_owned()))
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests put wheels where others would"
)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_wheel_of_a_name_is_found_by_its_version() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path();
        for name in ["Six-1.9", "six-1.10", "six-1.10rc1", "other-2"] {
            std::fs::write(dir.join(format!("{name}-py3-none-any.whl")), "").unwrap();
        }
        std::fs::write(dir.join("six-9.tar.gz"), "").unwrap();
        let house = Wheelhouse::read(dir).unwrap();
        assert_eq!(house.wheels().len(), 4);
        let newest = house.newest("SIX").unwrap();
        assert_eq!(newest, dir.join("six-1.10-py3-none-any.whl"));
        let error = house.newest("seven\n").unwrap_err().to_string();
        assert_eq!(error, "there is no wheel of `seven\\n`");
        assert!(Wheelhouse::read(&dir.join("absent")).is_err());
    }
}
