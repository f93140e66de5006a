//! The distributions that a plan saw in its target: as inputs of the plan, and compared with those
//! that are installed when it is published.
//!
//! A distribution is identified by the file that its installer writes anew with each installation:
//! the `RECORD` of a `.dist-info` directory, the `PKG-INFO` of an `.egg-info` directory, or the
//! entry itself. So its input holds the path of that file, with the digest of its bytes.
//!
//! Promises that every distribution which was installed, uninstalled or replaced since the plan was
//! made is named, so that a plan which clears or changes an environment deletes none that it did
//! not see (I8). Follows no link, and reads only these files. Does not report changes to the other
//! files of a distribution; `verify.rs` finds those.
//!
//! Read next: `existing.rs`, the directories of packages; `environment.rs`, which refuses plans.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;

use rvenv_journal::fs::{Dir, Fs, FsError, Meta};
use rvenv_journal::raw::{Expected, Input};
use rvenv_journal::{Digest, Plan, RelPath, Target};

use crate::build::roles;
use crate::change::existing::{Lib, Libs};
use crate::wheel::checked_files::CheckedFiles;
use crate::wheel::distributions::{Distribution, DistributionKind, named};

/// The maximum length of a file that identifies an installation.
const IDENTIFYING_BYTES_MAX: u64 = 64 << 20;

/// What happened to a distribution since a plan was made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DistributionChange {
    /// It was installed.
    Installed(Distribution),
    /// It was uninstalled.
    Uninstalled(Distribution),
    /// Another installation of it is there.
    Replaced {
        /// What the plan saw.
        from: Distribution,
        /// What is installed now.
        to: Distribution,
    },
}

impl DistributionChange {
    /// What happened, in words that follow the distribution.
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Self::Installed(_) => "was installed".to_owned(),
            Self::Uninstalled(_) => "was uninstalled".to_owned(),
            Self::Replaced { from, to } if from.version == to.version => {
                "was installed again".to_owned()
            }
            Self::Replaced { to, .. } => format!("was replaced by {to}"),
        }
    }

    /// The distribution, as the plan saw it if it did.
    #[must_use]
    pub fn distribution(&self) -> &Distribution {
        match self {
            Self::Installed(it) | Self::Uninstalled(it) | Self::Replaced { from: it, .. } => it,
        }
    }
}

impl fmt::Display for DistributionChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (it, what) = (self.distribution(), self.what());
        write!(f, "`{it}` {what} since the plan was made")
    }
}

/// One installation of a distribution.
#[derive(Debug, PartialEq, Eq)]
struct Installation {
    distribution: Distribution,
    digest: Digest,
    len: u64,
}

/// A distribution as an input of a plan, with the bytes that identify it.
#[derive(Debug)]
pub(crate) struct InstalledInput {
    pub(crate) input: Input,
    pub(crate) bytes: Vec<u8>,
    /// Its entry in the environment.
    entry: Option<RelPath>,
    /// What the file was when it was read.
    then: Option<Meta>,
}

/// The files that identified distributions when this process read them: one that has not changed
/// since is not read again.
#[derive(Debug, Default)]
pub struct ReadBefore(CheckedFiles);

impl ReadBefore {
    /// What was read for these.
    pub(crate) fn of(read: &[InstalledInput]) -> Self {
        let mut checked = CheckedFiles::default();
        for one in read {
            if let (Some(entry), Some(then)) = (&one.entry, one.then) {
                checked.insert(entry.clone(), then, one.input.digest);
            }
        }
        Self(checked)
    }

    fn digest(&self, entry: &RelPath, now: Option<&Meta>) -> Option<Digest> {
        self.0.digest(entry, now?)
    }
}

impl InstalledInput {
    /// The absolute path of the file that identifies it.
    pub(crate) fn path(&self) -> &str {
        &self.input.path
    }
}

/// Installations by the path of the entry below the environment.
type Installations = BTreeMap<RelPath, Installation>;

/// The inputs of a plan for the environment at the target, open as `root`: one for each
/// distribution. `env_dir` is the target as the plan spells it; `libs` are its directories of
/// packages, if they were read already.
///
/// # Errors
/// The error of the disk.
pub(crate) fn inputs(
    target: &Target<'_>,
    root: &Dir,
    env_dir: &str,
    libs: Option<&[Lib]>,
) -> Result<Vec<InstalledInput>, FsError> {
    let fs = target.disk();
    let read = match libs {
        Some(_) => Vec::new(),
        None => Libs::read(fs, root)?.libs,
    };
    let mut inputs = Vec::new();
    each(
        fs,
        root,
        libs.unwrap_or(&read),
        &mut |lib, distribution, found| {
            let (dir, path) = (&distribution.dir, found.file);
            let bytes = found.read();
            let input = Input {
                role: roles::DISTRIBUTION.to_owned(),
                path: format!("{env_dir}/{lib}/{dir}{path}"),
                found: None,
                url: None,
                digest: Digest::of(&bytes),
                len: bytes.len() as u64,
            };
            inputs.push(InstalledInput {
                input,
                bytes,
                entry: lib.join(dir).ok(),
                then: found.meta,
            });
        },
    )?;
    Ok(inputs)
}

/// What happened to the distributions of a target since a plan for it was made.
///
/// If something else is at the target, nothing is compared: the engine reports that.
///
/// # Errors
/// The error of the disk.
pub(crate) fn changes(
    target: &Target<'_>,
    plan: &Plan,
    before: &ReadBefore,
) -> Result<Vec<DistributionChange>, FsError> {
    let now = now(target, plan, before)?;
    Ok(now.map_or_else(Vec::new, |now| between(seen_by(plan), now)))
}

/// Whether the distributions of a target are those that the plan saw and leaves alone, besides
/// those whose files it makes or removes. Only a plan for entries leaves something alone.
///
/// # Errors
/// The error of the disk.
pub(crate) fn are_as_planned(target: &Target<'_>, plan: &Plan) -> Result<bool, FsError> {
    let Some(mut now) = now(target, plan, &ReadBefore::default())? else {
        return Ok(true);
    };
    let mut then = seen_by(plan);
    let is_touched = |entry: &RelPath| {
        let mut touched = plan.operations().keys().chain(plan.retired());
        let below = format!("{entry}/");
        touched.any(|path| path == entry || path.as_str().starts_with(&below))
    };
    then.retain(|entry, _| !is_touched(entry));
    now.retain(|entry, _| !is_touched(entry));
    Ok(then == now)
}

/// The distributions of a target; none if it is not the tree that the plan saw.
fn now(
    target: &Target<'_>,
    plan: &Plan,
    before: &ReadBefore,
) -> Result<Option<Installations>, FsError> {
    let Expected::Tree { identity, .. } = &plan.observation().target else {
        return Ok(None);
    };
    let fs = target.disk();
    let place = target.place();
    let Ok(root) = fs.open_dir(place.dir, place.name) else {
        return Ok(None);
    };
    if fs.meta_of(&root)?.identity != *identity {
        return Ok(None);
    }
    let mut now = Installations::new();
    let libs = Libs::read(fs, &root)?.libs;
    each(fs, &root, &libs, &mut |lib, distribution, found| {
        if let Ok(entry) = lib.join(&distribution.dir) {
            let known = before.digest(&entry, found.meta.as_ref());
            let known = known.zip(found.meta.map(|meta| meta.len));
            let (digest, len) = known.unwrap_or_else(|| {
                let bytes = found.read();
                (Digest::of(&bytes), bytes.len() as u64)
            });
            let installation = Installation {
                distribution: distribution.clone(),
                digest,
                len,
            };
            now.insert(entry, installation);
        }
    })?;
    Ok(Some(now))
}

/// The inputs of a plan that claim to be distributions of its target and are not.
pub(crate) fn strange(plan: &Plan) -> Option<&Input> {
    let mut inputs = of_distributions(plan);
    inputs.find(|input| entry(plan.target(), &input.path).is_none())
}

fn of_distributions(plan: &Plan) -> impl Iterator<Item = &Input> {
    let inputs = plan.inputs().iter();
    inputs.filter(|input| input.role == roles::DISTRIBUTION)
}

/// The distributions that a plan saw in its target, each with the path of its entry.
pub(crate) fn seen(plan: &Plan) -> impl Iterator<Item = (RelPath, Distribution)> {
    of_distributions(plan).filter_map(|input| entry(plan.target(), &input.path))
}

fn seen_by(plan: &Plan) -> Installations {
    let seen = of_distributions(plan).filter_map(|input| {
        let (entry, distribution) = entry(plan.target(), &input.path)?;
        let installation = Installation {
            distribution,
            digest: input.digest,
            len: input.len,
        };
        Some((entry, installation))
    });
    seen.collect()
}

/// The entry of a distribution and the distribution, by the path of the file that identifies it.
fn entry(target: &str, path: &str) -> Option<(RelPath, Distribution)> {
    let below = path.strip_prefix(target)?.strip_prefix('/')?;
    let file = RelPath::new(below).ok()?;
    let of = |entry: RelPath| {
        let distribution = named(OsStr::new(entry.name()))?;
        entry.parent()?;
        Some((entry, distribution))
    };
    of(file.clone()).or_else(|| of(file.parent()?))
}

/// The differences, by distribution.
fn between(mut then: Installations, mut now: Installations) -> Vec<DistributionChange> {
    let mut changes = Vec::new();
    now.retain(|entry, to| {
        let Some(from) = then.remove(entry) else {
            return true;
        };
        if from != *to {
            changes.push(DistributionChange::Replaced {
                from: from.distribution,
                to: to.distribution.clone(),
            });
        }
        false
    });
    for (entry, from) in then {
        let from = from.distribution;
        let is_other = |(path, to): &(&RelPath, &Installation)| {
            path.parent() == entry.parent() && to.distribution.name == from.name
        };
        let other = now.iter().find(is_other).map(|(path, _)| path.clone());
        let to = other.and_then(|other| now.remove(&other));
        changes.push(match to {
            Some(to) => DistributionChange::Replaced {
                from,
                to: to.distribution,
            },
            None => DistributionChange::Uninstalled(from),
        });
    }
    let new = now.into_values().map(|new| new.distribution);
    changes.extend(new.map(DistributionChange::Installed));
    changes.sort_by(|one, other| one.distribution().cmp(other.distribution()));
    changes
}

/// The file that identifies an installation.
struct Identifying<'a> {
    fs: &'a dyn Fs,
    /// Its path below the entry of the distribution.
    file: &'static str,
    dir: Dir,
    name: &'a OsStr,
    /// What it is, as it was looked at before it is read: what changes later differs from that.
    meta: Option<Meta>,
}

impl Identifying<'_> {
    /// Its bytes. A file that cannot be read counts as empty, each time that it is looked at.
    fn read(&self) -> Vec<u8> {
        let bytes = (self.fs).read_file(&self.dir, self.name, IDENTIFYING_BYTES_MAX);
        bytes.unwrap_or_default()
    }
}

/// Visits the distributions in the order of their directories and names.
fn each(
    fs: &dyn Fs,
    root: &Dir,
    libs: &[Lib],
    visit: &mut dyn FnMut(&RelPath, &Distribution, Identifying<'_>),
) -> Result<(), FsError> {
    for lib in libs.iter().filter(|lib| !lib.distributions.is_empty()) {
        let mut dir = root.clone();
        for component in lib.path.components() {
            dir = fs.open_dir(&dir, OsStr::new(component))?;
        }
        for distribution in &lib.distributions {
            visit(&lib.path, distribution, identifying(fs, &dir, distribution));
        }
    }
    Ok(())
}

fn identifying<'a>(fs: &'a dyn Fs, lib: &Dir, distribution: &'a Distribution) -> Identifying<'a> {
    let entry = OsStr::new(&distribution.dir);
    let file = match distribution.kind {
        DistributionKind::DistInfo => Some(("/RECORD", "RECORD")),
        DistributionKind::EggInfo => Some(("/PKG-INFO", "PKG-INFO")),
        DistributionKind::EggLink => None,
    };
    let inside = file.and_then(|(path, name)| Some((path, name, fs.open_dir(lib, entry).ok()?)));
    let (file, name, dir) = match inside {
        Some((path, name, dir)) => (path, OsStr::new(name), dir),
        None => ("", entry, lib.clone()),
    };
    let meta = fs.meta(&dir, name).ok().flatten();
    Identifying {
        fs,
        file,
        dir,
        name,
        meta,
    }
}
