//! What a plan replaces, for display: which Python, distributions and names are removed, and how
//! many entries.
//!
//! Promises to write nothing, to follow no symbolic link, and to stop counting at a limit: the time
//! does not depend on how much there is. Nothing of it is in a plan, whose bytes depend on its
//! inputs (I4). Does not promise that the removed entries are still the same when the plan is
//! published; what must not change is in the plan.
//!
//! Read next: `render.rs`, which shows it; `clearable.rs`, what may be removed at all.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

use rvenv_journal::fs::{Dir, Fs, FsError, Kind};
use rvenv_journal::raw::{ENGINE_DIR, Effect};
use rvenv_journal::{Plan, Publication, RelPath, Target};

use crate::build::pyvenv_cfg::CONFIG_NAME;
use crate::change::existing::{Existing, PythonChange, planned_distributions};
use crate::change::installed_inputs;
use crate::change::merge::lost_by;
use crate::wheel::distributions::Distribution;

/// The limit of the count: more entries than fifteen environments with pip have, counted in a
/// hundredth of a second.
const ENTRIES_MAX: usize = 10_000;

/// What is removed, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replaced {
    /// The real path of the target, if it is a symbolic link.
    pub link: Option<PathBuf>,
    /// The change of Python, if there is one.
    pub python: Option<PythonChange>,
    /// The distributions that the new environment does not have in this version, or cannot import,
    /// in words.
    pub distributions: Vec<String>,
    /// Those of them that it has in no version.
    pub missing: Vec<String>,
    /// Those of a cleared environment that it has in another version, with that one.
    pub instead: Vec<String>,
    /// How many entries are removed, if that was counted.
    pub entries: Option<Count>,
    /// Whether all of it will be kept for a rollback.
    pub is_kept: bool,
}

/// How many entries are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Exactly this many.
    Exactly(usize),
    /// More than this; the count stopped, or a directory could not be read.
    MoreThan(usize),
}

/// Finds what a plan replaces, by name.
///
/// What cannot be read is not named: this is additional information, and decides nothing.
#[must_use]
pub fn replaced(target: &Target<'_>, plan: &Plan) -> Replaced {
    let link = target.link().map(|_| target.path().to_owned());
    let unnamed = Replaced {
        link,
        ..Replaced::default()
    };
    // A change of Python always changes the version in the configuration.
    if !is_cleared(plan) && !changes_config(plan) {
        return unnamed;
    }
    let existing = target
        .root()
        .ok()
        .and_then(|root| Existing::read(target.disk(), &root, target.path()).ok());
    let Some(existing) = existing else {
        return unnamed;
    };
    let gone = gone(&existing, plan);
    let planned = planned_distributions(plan);
    let planned_as = |gone: &Distribution| planned.iter().find(|one| one.name == gone.name);
    let missing = gone.iter().filter(|gone| planned_as(gone).is_none());
    let instead = gone.iter().filter(|_| is_cleared(plan));
    let instead =
        instead.filter_map(|gone| Some(format!("{gone} ({} instead)", planned_as(gone)?)));
    Replaced {
        python: PythonChange::between(&existing, plan),
        missing: missing.map(ToString::to_string).collect(),
        instead: instead.collect(),
        distributions: gone.iter().map(ToString::to_string).collect(),
        ..unnamed
    }
}

/// A distribution that a plan replaces by another version of it, in the same directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherVersion {
    /// The one that the plan saw.
    pub from: Distribution,
    /// The one that it installs.
    pub to: Distribution,
}

impl fmt::Display for OtherVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {}", self.from, self.to.version)
    }
}

/// The distributions that a plan which changes an environment replaces by another version: those of
/// a lock, and an older pip.
///
/// The plan alone decides, so that it is the same when the plan is made, carried out and applied
/// later. For a cleared environment, [`Replaced::instead`] has them.
#[must_use]
pub fn other_versions(plan: &Plan) -> Vec<OtherVersion> {
    if plan.publication() != Publication::Merge {
        return Vec::new();
    }
    let planned = planned_distributions(plan);
    let mut all = Vec::new();
    for (entry, from) in installed_inputs::seen(plan) {
        let is_planned = |to: &&Distribution| {
            let place = entry.parent().and_then(|lib| lib.join(&to.dir).ok());
            place.is_some_and(|place| plan.operations().contains_key(&place))
        };
        let mut of_name = planned.iter().filter(|to| to.name == from.name);
        if let Some(to) = of_name.find(is_planned)
            && to.version != from.version
        {
            let to = to.clone();
            all.push(OtherVersion { from, to });
        }
    }
    all
}

/// The distributions that the new environment does not have in this version; for a merge, those of
/// another Python, which stay.
fn gone(existing: &Existing, plan: &Plan) -> Vec<Distribution> {
    if !is_cleared(plan) {
        return lost_by(existing, plan);
    }
    let planned = planned_distributions(plan);
    let is_same = |one: &Distribution, two: &Distribution| {
        (&one.name, &one.version) == (&two.name, &two.version)
    };
    let all = existing.libs.iter().flat_map(|lib| &lib.distributions);
    let mut gone: Vec<Distribution> = all
        .filter(|found| planned.iter().all(|planned| !is_same(found, planned)))
        .cloned()
        .collect();
    gone.sort();
    gone.dedup_by(|one, two| is_same(one, two));
    gone
}

/// Counts the entries that a plan removes.
#[must_use]
pub fn count(target: &Target<'_>, plan: &Plan) -> Count {
    if !is_cleared(plan) {
        let seen = &plan.observation().paths;
        let retired = plan.retired().iter();
        return Count::Exactly(retired.filter(|path| seen.contains_key(*path)).count());
    }
    let place = target.place();
    let mut open = vec![(place.dir.clone(), place.name.to_owned(), At::Root)];
    let mut gone = 0;
    let mut is_all = true;
    // The directory of an entry stays open until its last entry is counted; as many are open as the
    // tree is deep.
    while let Some((dir, name, at)) = open.pop() {
        let Ok((dir, names)) = list(target.disk(), &dir, &name) else {
            is_all = false;
            continue;
        };
        for name in names {
            if gone > ENTRIES_MAX {
                return Count::MoreThan(ENTRIES_MAX);
            }
            let at = at.join(&name);
            if at.is_receipts() {
                continue;
            }
            gone += usize::from(!at.is_planned(plan));
            let meta = target.disk().meta(&dir, &name);
            if meta.is_ok_and(|meta| meta.is_some_and(|meta| meta.kind == Kind::Dir)) {
                open.push((dir.clone(), name, at));
            }
        }
    }
    if is_all {
        Count::Exactly(gone)
    } else {
        Count::MoreThan(gone)
    }
}

fn list(fs: &dyn Fs, at: &Dir, name: &OsStr) -> Result<(Dir, Vec<OsString>), FsError> {
    let dir = fs.open_dir(at, name)?;
    let names = fs.list(&dir)?;
    Ok((dir, names))
}

/// Whether everything is removed that is not planned.
fn is_cleared(plan: &Plan) -> bool {
    match plan.publication() {
        Publication::Replace | Publication::Refill => true,
        Publication::Nothing | Publication::Put | Publication::Merge => false,
    }
}

fn changes_config(plan: &Plan) -> bool {
    let is_change = |effect| effect == Effect::Change;
    plan.effects()
        .any(|(path, _, effect)| path.as_str() == CONFIG_NAME && is_change(effect))
}

/// The path of an entry, as far as a plan could contain it.
enum At {
    Root,
    Path(RelPath),
    /// A path that no plan can contain, nor anything below it.
    Nowhere,
}

impl At {
    fn join(&self, name: &OsStr) -> Self {
        let path = match (self, name.to_str()) {
            (Self::Root, Some(name)) => RelPath::new(name).ok(),
            (Self::Path(path), Some(name)) => path.join(name).ok(),
            (Self::Nowhere, _) | (_, None) => None,
        };
        path.map_or(Self::Nowhere, Self::Path)
    }

    fn is_planned(&self, plan: &Plan) -> bool {
        match self {
            Self::Path(path) => plan.operations().contains_key(path),
            Self::Root | Self::Nowhere => false,
        }
    }

    /// Whether it is the directory of the receipt, which the new tree has as well.
    fn is_receipts(&self) -> bool {
        matches!(self, Self::Path(path) if path.as_str() == ENGINE_DIR)
    }
}
