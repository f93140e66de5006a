//! Which distributions of an environment are damaged, each by its own `RECORD`, whichever tool
//! installed it.
//!
//! Promises to write nothing, and that of two versions side by side, as an interrupted upgrade
//! leaves them, at most one stays: the one whose files are whole, else the newer one.
//!
//! Read next: `whole.rs`, which plans what is found here; `verify/distribution_record.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rvenv_journal::fs::{Dir, FsError, Kind};
use rvenv_journal::{Fs, RelPath};

use crate::base::version;
use crate::change::existing::{Existing, Lib};
use crate::change::verify::{Outcome, check_distribution};
use crate::wheel::distributions::{Distribution, DistributionKind};

/// A distribution, and where it is.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) distribution: Distribution,
    /// The directory of packages that it is in.
    pub(super) site: RelPath,
    /// What it lists and what exists, without bytecode.
    pub(super) listed: BTreeSet<RelPath>,
    /// The listed paths that are not as the list says; for an unusable list, the list itself.
    pub(super) damaged: BTreeSet<RelPath>,
    /// Whether `damaged` has all of them; of a list of millions of rows it has only the first.
    pub(super) has_every_path: bool,
    /// Whether something is wrong with it.
    pub(super) is_damaged: bool,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Survey {
    /// Those to replace as a whole.
    pub(super) damaged: Vec<Placed>,
    /// What another version has left beside the one that stays.
    pub(super) leftovers: Vec<Placed>,
    /// The damaged eggs: without a `RECORD`, nothing says what would mend them.
    pub(super) eggs: Vec<Distribution>,
    /// The paths of the others.
    pub(super) kept: BTreeSet<RelPath>,
}

impl Placed {
    /// The directory that describes it.
    pub(super) fn info(&self) -> Option<RelPath> {
        self.site.join(&self.distribution.dir).ok()
    }
}

/// Checks every distribution.
///
/// # Errors
/// The error of the disk.
pub(super) fn survey(fs: &dyn Fs, root: &Dir, existing: &Existing) -> Result<Survey, FsError> {
    let mut survey = Survey::default();
    for lib in &existing.libs {
        let mut by_name: BTreeMap<&str, Vec<Placed>> = BTreeMap::new();
        for distribution in &lib.distributions {
            let found = placed(fs, root, lib, distribution);
            if distribution.kind == DistributionKind::DistInfo {
                by_name.entry(&distribution.name).or_default().push(found);
            } else if found.is_damaged {
                survey.eggs.push(found.distribution);
            } else {
                survey.kept.extend(found.listed);
            }
        }
        for same in by_name.into_values() {
            survey.sort(fs, root, same)?;
        }
    }
    Ok(survey)
}

fn placed(fs: &dyn Fs, root: &Dir, lib: &Lib, distribution: &Distribution) -> Placed {
    let Outcome {
        listed,
        findings,
        more,
        ..
    } = check_distribution(fs, root, lib.path.as_str(), distribution);
    let paths = |all: &mut dyn Iterator<Item = &String>| -> BTreeSet<RelPath> {
        all.filter_map(|path| RelPath::new(path).ok()).collect()
    };
    Placed {
        distribution: distribution.clone(),
        site: lib.path.clone(),
        listed: paths(&mut listed.iter()),
        damaged: paths(&mut findings.iter().map(|found| &found.path)),
        has_every_path: more == 0,
        is_damaged: !findings.is_empty(),
    }
}

impl Survey {
    /// Decides about the distributions of one name in one directory.
    fn sort(&mut self, fs: &dyn Fs, root: &Dir, mut same: Vec<Placed>) -> Result<(), FsError> {
        let newer = |a: &Placed, b: &Placed| {
            version::compare(&a.distribution.version, &b.distribution.version)
        };
        // The whole ones last, of each kind the newest last.
        same.sort_by(|a, b| b.is_damaged.cmp(&a.is_damaged).then_with(|| newer(a, b)));
        let Some(stays) = same.pop() else {
            return Ok(());
        };
        for mut other in same {
            if other.is_damaged {
                other.listed.extend(below(fs, root, &other)?);
                self.leftovers.push(other);
            } else {
                self.kept.extend(other.listed);
            }
        }
        if stays.is_damaged {
            self.damaged.push(stays);
        } else {
            self.kept.extend(stays.listed);
        }
        Ok(())
    }
}

/// What pip hides while it uninstalls: names such as `~ip`, which an interrupted pip leaves.
///
/// # Errors
/// The error of the disk.
pub(super) fn hidden(
    fs: &dyn Fs,
    root: &Dir,
    existing: &Existing,
) -> Result<Vec<PathBuf>, FsError> {
    let mut found = Vec::new();
    for lib in &existing.libs {
        let dir = open(fs, root, &lib.path)?;
        let names = fs.list_wanted(&dir, &|name| name.as_encoded_bytes().starts_with(b"~"))?;
        let site = Path::new(lib.path.as_str());
        found.extend(names.into_iter().map(|name| site.join(name)));
    }
    Ok(found)
}

/// Everything in the directory that describes a distribution.
fn below(fs: &dyn Fs, root: &Dir, of: &Placed) -> Result<BTreeSet<RelPath>, FsError> {
    let mut found = BTreeSet::new();
    let Some(info) = of.info() else {
        return Ok(found);
    };
    let mut open = vec![(open(fs, root, &info)?, info)];
    while let Some((dir, at)) = open.pop() {
        for name in fs.list(&dir)? {
            let path = name.to_str().and_then(|name| at.join(name).ok());
            let (Some(path), Some(meta)) = (path, fs.meta(&dir, &name)?) else {
                continue;
            };
            if meta.kind == Kind::Dir {
                open.push((fs.open_dir(&dir, &name)?, path.clone()));
            }
            found.insert(path);
        }
        found.insert(at);
    }
    Ok(found)
}

/// Opens a directory of the environment, following no link.
pub(super) fn open(fs: &dyn Fs, root: &Dir, path: &RelPath) -> Result<Dir, FsError> {
    let mut dir = root.clone();
    for component in path.components() {
        dir = fs.open_dir(&dir, OsStr::new(component))?;
    }
    Ok(dir)
}
