//! The choice: what one interpreter installs of a lock, by the steps of the specification.
//!
//! Promises that the choice depends on the lock, the interpreter and what was asked for, and not on
//! what is available: a wheel that cannot be fetched later is an error and no reason for another
//! one. Of two wheels, the one whose tags the interpreter prefers is chosen, then the one with the
//! higher build number, then the first. A source distribution is chosen only if no wheel fits.
//! Whether sources may be built is not decided here; a caller that builds nothing refuses them.
//!
//! Read next: `wheel/tags.rs`, the order of tags; `choose/direct_url.rs`.

mod direct_url;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use thiserror::Error;

use super::hashes::Hashes;
use super::markers::Environment;
use super::model::{Archive, File, Format, Lock, Package, Revision, Source};
use super::sdist::sdist_version;
use crate::base::version::{self, Specifiers};
use crate::python::{printable, shown};
use crate::wheel::marker::Containers;
use crate::wheel::{Marker, Tagged, normal_name};

pub use direct_url::DirectUrl;

/// How many tags a message names.
const SHOWN_TAGS: usize = 8;

/// What was asked for besides what a lock installs by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    extras: BTreeSet<String>,
    groups: Option<BTreeSet<String>>,
}

impl Selection {
    /// Extras and dependency groups, in any spelling; without groups, the default ones.
    #[must_use]
    pub fn new(extras: &[String], groups: Option<&[String]>) -> Self {
        let set = |names: &[String]| names.iter().map(|name| normal_name(name)).collect();
        Self {
            extras: set(extras),
            groups: groups.map(set),
        }
    }

    /// The extras, in their normal form.
    #[must_use]
    pub fn extras(&self) -> Vec<String> {
        self.extras.iter().cloned().collect()
    }
}

/// One distribution to be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The name in its normal form.
    pub name: String,
    /// The version; empty where only a build tells it.
    pub version: String,
    /// What it is installed from.
    pub source: ChosenSource,
    /// The index that the lock names for it.
    pub index: Option<String>,
    /// Where it was asked for: the lock and the place in it.
    pub place: String,
}

/// What a distribution is installed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChosenSource {
    /// A wheel.
    Wheel {
        /// The file.
        file: Box<File>,
        /// What `direct_url.json` says, for a wheel that was asked for by its place.
        direct: Option<DirectUrl>,
    },
    /// A release, of whose files an index knows the names: one that matches any of these hashes.
    Release {
        /// The hashes.
        hashes: Hashes,
        /// Whether its wheels are forbidden (`--no-binary`).
        is_source_only: bool,
    },
    /// Sources, of which a wheel has to be built.
    Sources {
        /// Where they are.
        tree: Box<SourceTree>,
        /// What `direct_url.json` says, for sources that were asked for by their place.
        direct: Option<DirectUrl>,
    },
}

/// Where sources are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceTree {
    /// In an archive.
    Archive(Archive),
    /// In a directory of this machine.
    Directory {
        /// Its path.
        path: PathBuf,
        /// Whether changes in it are to take effect without another build.
        is_editable: bool,
        /// The part of it that is the project.
        subdirectory: Option<String>,
    },
    /// In a repository.
    Repository(Revision),
}

/// Why nothing is installed of a lock.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{}`: {fault}", shown(path))]
pub struct ChoiceError {
    /// The lock.
    pub path: PathBuf,
    /// Why.
    pub fault: ChoiceFault,
}

/// What keeps an interpreter from installing a lock.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ChoiceFault {
    /// The lock does not have an extra.
    #[error("it has no extra `{}` (it has {})", printable(asked), listed(offered))]
    Extra {
        /// What was asked for.
        asked: String,
        /// What the lock has.
        offered: Vec<String>,
    },
    /// The lock does not have a dependency group.
    #[error(
        "it has no dependency group `{}` (it has {})",
        printable(asked),
        listed(offered)
    )]
    Group {
        /// What was asked for.
        asked: String,
        /// What the lock has.
        offered: Vec<String>,
    },
    /// It is for other versions of Python.
    #[error("{of} is for Python {range}, and the interpreter is {found}")]
    Python {
        /// The lock or a package of it.
        of: String,
        /// The range.
        range: String,
        /// The version of the interpreter.
        found: String,
    },
    /// It is for other environments.
    #[error(
        "it is for other environments: none of its markers holds ({})",
        listed(markers)
    )]
    Environments {
        /// The markers.
        markers: Vec<String>,
    },
    /// A marker compares what cannot be compared.
    #[error("the marker `{marker}` of {of} cannot be evaluated")]
    Marker {
        /// The package or the place.
        of: String,
        /// The marker.
        marker: String,
    },
    /// Two entries of one package are for this environment.
    #[error("`{name}` is there twice for this environment: at {first} and at {second}")]
    Ambiguous {
        /// The name.
        name: String,
        /// Where the first one is.
        first: String,
        /// Where the second one is.
        second: String,
    },
    /// A constraint excludes what is asked for.
    #[error("{of} is excluded by the constraint at {limit}")]
    Constrained {
        /// The package and its version.
        of: String,
        /// Where the constraint is.
        limit: String,
    },
    /// No wheel fits.
    #[error(
        "no wheel of {of} fits: there are {}, and the interpreter takes {} and so on",
        listed(offered),
        listed(wanted)
    )]
    NoWheel {
        /// The package and its version.
        of: String,
        /// The tags of its wheels.
        offered: Vec<String>,
        /// The tags that the interpreter likes best.
        wanted: Vec<String>,
    },
    /// It has no hash.
    #[error("{of} has no hash: no constraint with a hash is for this environment")]
    Unhashed {
        /// The package and its version.
        of: String,
    },
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let mut shown: Vec<String> = names
        .iter()
        .take(SHOWN_TAGS)
        .map(|name| format!("`{}`", printable(name)))
        .collect();
    if names.len() > SHOWN_TAGS {
        shown.push(format!("{} more", names.len() - SHOWN_TAGS));
    }
    shown.join(", ")
}

/// What an interpreter installs of a lock, sorted by name.
///
/// # Errors
/// What the specification calls an error.
pub fn choose(
    lock: &Lock,
    environment: &Environment,
    selection: &Selection,
) -> Result<Vec<Chosen>, ChoiceError> {
    let choice = Choice { lock, environment };
    choice.all(selection).map_err(|fault| ChoiceError {
        path: lock.path.clone(),
        fault,
    })
}

/// Joins what several locks install.
///
/// # Errors
/// A distribution that two of them install differently.
pub fn join(all: Vec<(PathBuf, Vec<Chosen>)>) -> Result<Vec<Chosen>, ChoiceError> {
    let mut joined: BTreeMap<String, Chosen> = BTreeMap::new();
    for (path, chosen) in all {
        for one in chosen {
            let Some(first) = joined.get(&one.name) else {
                joined.insert(one.name.clone(), one);
                continue;
            };
            if (&first.version, &first.source) != (&one.version, &one.source) {
                let fault = ChoiceFault::Ambiguous {
                    name: one.name,
                    first: first.place.clone(),
                    second: one.place,
                };
                return Err(ChoiceError { path, fault });
            }
        }
    }
    Ok(joined.into_values().collect())
}

impl Environment {
    /// Which of these wheels an interpreter installs, by their file names alone; `None` if none of
    /// them fits.
    #[must_use]
    pub fn best_of<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Option<usize> {
        let ranked = names.into_iter().enumerate().filter_map(|(at, name)| {
            let tagged = Tagged::of(name)?;
            let rank = self.tags.rank(&tagged.tags)?;
            Some((rank, std::cmp::Reverse(tagged.build), at))
        });
        ranked.min().map(|(_, _, at)| at)
    }

    /// The tags of wheels that an interpreter likes best, for messages.
    #[must_use]
    pub fn best_tags(&self) -> Vec<String> {
        self.tags.best()
    }
}

struct Choice<'a> {
    lock: &'a Lock,
    environment: &'a Environment,
}

impl Choice<'_> {
    fn all(&self, selection: &Selection) -> Result<Vec<Chosen>, ChoiceFault> {
        let containers = self.containers(selection)?;
        self.check_python("the lock", self.lock.requires_python.as_ref())?;
        self.check_environments()?;
        let mut standing: BTreeMap<&str, &Package> = BTreeMap::new();
        for package in &self.lock.packages {
            if !self.holds(package.marker.as_ref(), &containers, &package.name)? {
                continue;
            }
            self.check_python(&named(package), package.requires_python.as_ref())?;
            let Some(first) = standing.get(package.name.as_str()) else {
                standing.insert(&package.name, package);
                continue;
            };
            // Two files may have the same line.
            let is_same = self.lock.format == Format::Requirements
                && (&first.version, &first.source) == (&package.version, &package.source);
            if !is_same {
                return Err(ChoiceFault::Ambiguous {
                    name: package.name.clone(),
                    first: first.place.clone(),
                    second: package.place.clone(),
                });
            }
        }
        let packages = standing.into_values();
        packages.map(|package| self.chosen(package)).collect()
    }

    /// What markers find in `extras` and `dependency_groups`.
    fn containers(&self, selection: &Selection) -> Result<Containers, ChoiceFault> {
        let set = |names: &[String]| -> BTreeSet<String> {
            names.iter().map(|name| normal_name(name)).collect()
        };
        let offered = set(&self.lock.extras);
        if let Some(asked) = selection.extras.difference(&offered).next() {
            return Err(ChoiceFault::Extra {
                asked: asked.clone(),
                offered: self.lock.extras.clone(),
            });
        }
        let defaults = set(&self.lock.default_groups);
        let mut offered = set(&self.lock.groups);
        offered.extend(defaults.iter().cloned());
        let groups = selection.groups.clone().unwrap_or(defaults);
        if let Some(asked) = groups.difference(&offered).next() {
            return Err(ChoiceFault::Group {
                asked: asked.clone(),
                offered: offered.into_iter().collect(),
            });
        }
        Ok(Containers {
            extras: selection.extras.clone(),
            groups,
        })
    }

    fn check_python(&self, of: &str, range: Option<&Specifiers>) -> Result<(), ChoiceFault> {
        match range {
            Some(range) if !self.environment.is_in(range) => Err(ChoiceFault::Python {
                of: of.to_owned(),
                range: printable(&range.to_string()),
                found: self.environment.python().to_owned(),
            }),
            Some(_) | None => Ok(()),
        }
    }

    fn check_environments(&self) -> Result<(), ChoiceFault> {
        let Some(markers) = &self.lock.environments else {
            return Ok(());
        };
        let nothing = Containers::default();
        for marker in markers {
            if self.holds(Some(marker), &nothing, "`environments`")? {
                return Ok(());
            }
        }
        let markers = markers.iter().map(Marker::to_string).collect();
        Err(ChoiceFault::Environments { markers })
    }

    fn holds(
        &self,
        marker: Option<&Marker>,
        containers: &Containers,
        of: &str,
    ) -> Result<bool, ChoiceFault> {
        let Some(marker) = marker else {
            return Ok(true);
        };
        let value = match self.lock.format {
            Format::Pylock => self.environment.holds(marker, containers),
            Format::Requirements => self.environment.holds_for_line(marker),
        };
        value.ok_or_else(|| ChoiceFault::Marker {
            of: printable(of),
            marker: printable(&marker.to_string()),
        })
    }

    fn chosen(&self, package: &Package) -> Result<Chosen, ChoiceFault> {
        let source = self.source(package)?;
        let of_file = || match &source {
            ChosenSource::Wheel { file, .. } => Some(Tagged::of(&file.name)?.named.version),
            // The name of an archive at a place of its own says nothing for certain.
            ChosenSource::Sources { tree, direct: None } => match &**tree {
                SourceTree::Archive(archive) => sdist_version(&archive.file.name, &package.name),
                SourceTree::Directory { .. } | SourceTree::Repository(_) => None,
            },
            ChosenSource::Sources { .. } | ChosenSource::Release { .. } => None,
        };
        let version = package.version.clone();
        let version = version.or_else(of_file);
        Ok(Chosen {
            name: package.name.clone(),
            version: version.unwrap_or_default(),
            source,
            index: package.index.clone(),
            place: format!("`{}`, {}", shown(&self.lock.path), package.place),
        })
    }

    fn source(&self, package: &Package) -> Result<ChosenSource, ChoiceFault> {
        let allowed = self.allowed(package)?;
        let sources = |tree: SourceTree, direct| ChosenSource::Sources {
            tree: Box::new(tree),
            direct,
        };
        Ok(match &package.source {
            Source::Files { wheels, sdist } => match self.wheel(package, wheels) {
                Ok(wheel) => ChosenSource::Wheel {
                    file: Box::new(wheel),
                    direct: None,
                },
                Err(none) => {
                    let archive = Archive {
                        file: sdist.clone().ok_or(none)?,
                        subdirectory: None,
                    };
                    sources(SourceTree::Archive(archive), None)
                }
            },
            Source::Archive(archive) => {
                let archive = Archive {
                    file: File {
                        hashes: allowed.unwrap_or_else(|| archive.file.hashes.clone()),
                        ..archive.file.clone()
                    },
                    subdirectory: archive.subdirectory.clone(),
                };
                let direct = Some(DirectUrl::of(&archive));
                if Tagged::of(&archive.file.name).is_some() {
                    let wheel = self.wheel(package, std::slice::from_ref(&archive.file))?;
                    let file = Box::new(wheel);
                    ChosenSource::Wheel { file, direct }
                } else {
                    sources(SourceTree::Archive(archive), direct)
                }
            }
            Source::Release { hashes } => {
                let mut no_binary = self.lock.indexes.no_binary.iter();
                ChosenSource::Release {
                    hashes: allowed.unwrap_or_else(|| hashes.clone()),
                    is_source_only: no_binary.any(|name| name == ":all:" || *name == package.name),
                }
            }
            Source::Directory {
                path,
                is_editable,
                subdirectory,
            } => {
                let inner = subdirectory.as_ref();
                let direct = DirectUrl::of_directory(path, *is_editable, inner);
                let tree = SourceTree::Directory {
                    path: path.clone(),
                    is_editable: *is_editable,
                    subdirectory: subdirectory.clone(),
                };
                sources(tree, Some(direct))
            }
            Source::Repository(revision) => {
                let direct = DirectUrl::of_repository(revision);
                sources(SourceTree::Repository(revision.clone()), Some(direct))
            }
        })
    }

    fn wheel(&self, package: &Package, wheels: &[File]) -> Result<File, ChoiceFault> {
        let names = wheels.iter().map(|file| file.name.as_str());
        let best = self.environment.best_of(names.clone());
        if let Some(file) = best.and_then(|at| wheels.get(at)) {
            return Ok(file.clone());
        }
        let tags = names.filter_map(Tagged::of).map(|tagged| tagged.tags);
        Err(ChoiceFault::NoWheel {
            of: named(package),
            offered: tags.collect(),
            wanted: self.environment.best_tags(),
        })
    }

    /// The hashes that constraints leave; `None` if there are no constraints with hashes.
    fn allowed(&self, package: &Package) -> Result<Option<Hashes>, ChoiceFault> {
        let own = match &package.source {
            Source::Release { hashes } => hashes,
            Source::Archive(archive) => &archive.file.hashes,
            Source::Files { .. } | Source::Directory { .. } | Source::Repository(_) => {
                return Ok(None);
            }
        };
        let mut allowed: Option<Hashes> = None;
        for limit in self
            .lock
            .constraints
            .iter()
            .filter(|one| one.name == package.name)
        {
            if !self.holds(limit.marker.as_ref(), &Containers::default(), &limit.place)? {
                continue;
            }
            let range = limit.versions.as_ref();
            let version = package.version.as_deref();
            let is_in = range.is_none_or(|range| version.is_some_and(|one| range.include(one)));
            let excluded = || ChoiceFault::Constrained {
                of: named(package),
                limit: limit.place.clone(),
            };
            if !is_in {
                return Err(excluded());
            }
            if limit.hashes.is_empty() {
                continue;
            }
            let before = allowed.as_ref().unwrap_or(own);
            let left = if before.is_empty() {
                limit.hashes.clone()
            } else {
                before.common(&limit.hashes)
            };
            if left.checked().is_empty() {
                return Err(excluded());
            }
            allowed = Some(left);
        }
        if allowed.is_none() && own.is_empty() {
            return Err(ChoiceFault::Unhashed { of: named(package) });
        }
        Ok(allowed)
    }
}

/// A package in a message.
fn named(package: &Package) -> String {
    match &package.version {
        Some(version) if version::is_version(version) => {
            format!("`{}` {}", package.name, printable(version))
        }
        Some(_) | None => format!("`{}`", package.name),
    }
}

#[cfg(test)]
mod tests;
