//! Environments by what they have: the version of Python and the distributions, now and in each
//! kept generation, and what differs between two of them.
//!
//! Promises to write nothing, to start no program, to follow no link, and to use the names of
//! entries alone: the time grows with the number of distributions, not with that of their files. A
//! generation is described as it was when it was replaced; an entry that no later change moved is
//! still in its place. Does not promise that a distribution is whole; `verify.rs` checks that.
//!
//! Read next: `rollback.rs`, which brings a generation back; the engine's
//! `recovery/generation.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::ErrorKind;

use rvenv_journal::fs::{FsError, NameInDir};
use rvenv_journal::raw::Generation;
use rvenv_journal::{Plan, RelPath, Target};

use crate::build::pyvenv_cfg::CONFIG_NAME;
use crate::change::existing::{
    Config, Flavour, LIBRARIES, Lib, Libs, SITE_PACKAGES, WINDOWS_LIBRARY,
};
use crate::change::installed_inputs;
use crate::wheel::distributions::{Distribution, named};

/// More than any real `pyvenv.cfg` has.
const CONFIG_BYTES_MAX: u64 = 1 << 16;

/// A distribution and the directory of packages that has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Placed {
    /// The directory of packages, below the environment.
    pub site_packages: RelPath,
    /// Which distribution.
    pub distribution: Distribution,
}

impl Placed {
    /// The path of its entry, below the environment; `None` if no plan can name it.
    #[must_use]
    pub fn path(&self) -> Option<RelPath> {
        self.site_packages.join(&self.distribution.dir).ok()
    }
}

/// What an environment has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The version of Python in `pyvenv.cfg`, if that can be read.
    pub python: Option<String>,
    /// Every installed distribution, whichever version of Python it is for.
    pub distributions: BTreeSet<Placed>,
}

/// How one environment differs from another in one distribution.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// The other does not have it.
    Without(Distribution),
    /// Only the other has it.
    With(Distribution),
    /// The other has another version of it: this one, then that of the other.
    Other(Distribution, Distribution),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Without(gone) => write!(f, "- {gone}"),
            Self::With(new) => write!(f, "+ {new}"),
            Self::Other(old, new) => write!(f, "~ {old} → {}", new.version),
        }
    }
}

impl Contents {
    /// What the environment at the target has now.
    ///
    /// # Errors
    /// The error of the disk.
    pub fn now(target: &Target<'_>) -> Result<Self, FsError> {
        let NameInDir { dir: parent, name } = target.place();
        let fs = target.disk();
        let root = match fs.open_dir(parent, name) {
            Err(error) if is_absent(&error) => return Ok(Self::default()),
            opened => opened?,
        };
        let config = fs.read_file(&root, OsStr::new(CONFIG_NAME), CONFIG_BYTES_MAX);
        let python = config.ok().and_then(|bytes| version(&bytes));
        Ok(Self::of_libs(python, &Libs::read(fs, &root)?.libs))
    }

    /// What the environment at the target had when a plan for it was made, as long as its Python
    /// and its distributions are those of then.
    ///
    /// # Errors
    /// The error of the disk.
    pub(crate) fn seen_by(plan: &Plan, target: &Target<'_>) -> Result<Self, FsError> {
        let config =
            target
                .disk()
                .read_file(&target.root()?, OsStr::new(CONFIG_NAME), CONFIG_BYTES_MAX);
        let placed = |(entry, distribution): (RelPath, Distribution)| {
            let site_packages = entry.parent()?;
            Some(Placed {
                site_packages,
                distribution,
            })
        };
        Ok(Self {
            python: config.ok().and_then(|bytes| version(&bytes)),
            distributions: installed_inputs::seen(plan).filter_map(placed).collect(),
        })
    }

    /// What an environment with this version of Python has in its directories of packages.
    #[must_use]
    pub fn of_libs(python: Option<String>, libs: &[Lib]) -> Self {
        let placed = |lib: &Lib| {
            let site_packages = lib.path.clone();
            let all = lib.distributions.clone().into_iter();
            all.map(move |distribution| Placed {
                site_packages: site_packages.clone(),
                distribution,
            })
        };
        Self {
            python,
            distributions: libs.iter().flat_map(placed).collect(),
        }
    }

    /// What the environment had when a generation was replaced.
    ///
    /// # Errors
    /// The error of the disk, as for a generation of another user.
    pub fn of(generation: &Generation, target: &Target<'_>) -> Result<Self, FsError> {
        let config = RelPath::new(CONFIG_NAME).ok();
        let config = config.map(|path| generation.read(target, &path, CONFIG_BYTES_MAX));
        let python = config.transpose()?.flatten();
        let names =
            &mut |path: &RelPath, wanted: &Wanted<'_>| generation.names(target, Some(path), wanted);
        Ok(Self {
            python: python.and_then(|bytes| version(&bytes)),
            distributions: distributions(names)?,
        })
    }

    /// The minor version of its Python.
    #[must_use]
    pub fn minor(&self) -> Option<u32> {
        let version = self.python.as_deref()?;
        version.strip_prefix("3.")?.split('.').next()?.parse().ok()
    }

    /// The distributions that its Python finds, by name.
    #[must_use]
    pub fn in_use(&self) -> BTreeMap<&str, &Distribution> {
        let found = self
            .distributions
            .iter()
            .filter(|placed| self.is_used(placed));
        found
            .map(|placed| (placed.distribution.name.as_str(), &placed.distribution))
            .collect()
    }

    /// Whether its Python looks where a distribution is.
    #[must_use]
    pub fn is_used(&self, placed: &Placed) -> bool {
        let flavour = Flavour::of_lib(&placed.site_packages);
        match (flavour, self.minor()) {
            (Some(flavour), Some(minor)) => flavour.minor == minor,
            (None, _) | (_, None) => true,
        }
    }

    /// What going from here to another environment does to each distribution, by name.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let (here, there) = (self.in_use(), other.in_use());
        let names: BTreeSet<&str> = here.keys().chain(there.keys()).copied().collect();
        let difference = |name: &str| match (here.get(name), there.get(name)) {
            (Some(old), Some(new)) if old.version == new.version => None,
            (Some(old), Some(new)) => Some(Difference::Other((*old).clone(), (*new).clone())),
            (Some(old), None) => Some(Difference::Without((*old).clone())),
            (None, new) => new.map(|new| Difference::With((*new).clone())),
        };
        names.into_iter().filter_map(difference).collect()
    }
}

type Wanted<'a> = dyn Fn(&OsStr) -> bool + 'a;

/// Lists the names in a directory that are wanted; `None` if there is no such directory.
type List<'a> =
    dyn FnMut(&RelPath, &Wanted<'_>) -> Result<Option<BTreeSet<OsString>>, FsError> + 'a;

/// The distributions by the names of their entries alone.
fn distributions(list: &mut List<'_>) -> Result<BTreeSet<Placed>, FsError> {
    let mut found = BTreeSet::new();
    for site_packages in sites(list)? {
        let names = list(&site_packages, &|name| named(name).is_some())?;
        let names = names.unwrap_or_default();
        let distributions = names.iter().filter_map(|name| named(name));
        found.extend(distributions.map(|distribution| Placed {
            site_packages: site_packages.clone(),
            distribution,
        }));
    }
    Ok(found)
}

/// Where directories of packages may be.
fn sites(list: &mut List<'_>) -> Result<Vec<RelPath>, FsError> {
    let mut above = vec![String::new(), format!("{WINDOWS_LIBRARY}/")];
    for library in LIBRARIES {
        let Ok(path) = RelPath::new(library) else {
            continue;
        };
        let is_version = |name: &OsStr| name.to_str().and_then(Flavour::parse).is_some();
        let versions = list(&path, &is_version)?.unwrap_or_default();
        let versions = versions.iter().filter_map(|name| name.to_str());
        above.extend(versions.map(|name| format!("{library}/{name}/")));
    }
    let sites = above.iter().map(|above| format!("{above}{SITE_PACKAGES}"));
    Ok(sites.filter_map(|site| RelPath::new(&site).ok()).collect())
}

fn is_absent(error: &FsError) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn version(config: &[u8]) -> Option<String> {
    Config::parse(config).ok()?.version
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(python: &str, found: &[(&str, &str)]) -> Contents {
        let placed = |(site_packages, dir): &(&str, &str)| Placed {
            site_packages: RelPath::new(site_packages).unwrap(),
            distribution: named(OsStr::new(dir)).unwrap(),
        };
        Contents {
            python: Some(python.to_owned()),
            distributions: found.iter().map(placed).collect(),
        }
    }

    #[test]
    fn environments_differ_by_what_their_python_finds() {
        let (old, new) = (
            "lib/python3.11/site-packages",
            "lib/python3.12/site-packages",
        );
        let here = contents(
            "3.12.1",
            &[
                (old, "lost-1.0.dist-info"),
                (new, "idna-3.6.dist-info"),
                (new, "pip-24.0.dist-info"),
                (new, "same-1.dist-info"),
            ],
        );
        let there = contents(
            "3.11.7",
            &[
                (old, "lost-1.0.dist-info"),
                (old, "pip-23.2.1.dist-info"),
                (old, "same-1.dist-info"),
            ],
        );
        let found: Vec<_> = here
            .differences(&there)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, ["- idna 3.6", "+ lost 1.0", "~ pip 24.0 → 23.2.1"]);
        assert_eq!(here.differences(&here), []);
    }
}
