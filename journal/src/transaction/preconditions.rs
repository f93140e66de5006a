//! Preconditions: whether a plan still fits its target and its inputs.
//!
//! Promises to report every path that differs (I4), and to write nothing. The same comparison is
//! made under the lock before anything is staged, and again right before the steps.
//! Read next: `plan/observe.rs`, which observes; `transaction/ready.rs`, which calls this.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::base::identity::Identity;
use crate::base::mutant::Safeguard;
use crate::base::path::RelPath;
use crate::base::safeguard::holds;
use crate::fs::{Dir, Fs, FsError};
use crate::place::lock::Locks;
use crate::place::target::Target;
use crate::plan::builder::Plan;
use crate::plan::content::ContentSource;
use crate::plan::node::{ENGINE_DIR, Expected, Observed, Publication};
use crate::plan::observe::observe_each;

/// A path that is not as the plan expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// The path: of the target, below it, or of an input.
    pub path: String,
    /// How it differs.
    pub why: String,
}

/// Everything in which a target and the inputs differ from what a plan expects, seen without a
/// lock: another process may change them right afterwards.
///
/// # Errors
/// When the target cannot be read.
pub fn stale(
    target: &Target<'_>,
    plan: &Plan,
    content: &dyn ContentSource,
) -> Result<Vec<Stale>, FsError> {
    let mut reasons = differences(target, plan, expected_root(plan))?;
    reasons.extend(not_target(target, plan));
    reasons.extend(stale_inputs(target.fs, plan, content));
    Ok(reasons)
}

/// The target, if it is not that of the plan: every path inside the files was written for the
/// plan's own.
pub(crate) fn not_target(target: &Target<'_>, plan: &Plan) -> Option<Stale> {
    (!target.is_at(Path::new(plan.target()))).then(|| Stale {
        path: plan.target().to_owned(),
        why: "is not the target that was locked".to_owned(),
    })
}

/// The inputs that differ from what the plan expects.
#[must_use]
pub fn stale_inputs(fs: &dyn Fs, plan: &Plan, content: &dyn ContentSource) -> Vec<Stale> {
    let mut reasons = Vec::new();
    for input in plan.inputs() {
        let why = match content.is_current(fs, input) {
            Ok(true) => continue,
            Ok(false) => format!("changed since the plan was made ({})", input.role),
            Err(error) => format!("cannot be read any more ({}): {}", input.role, error.source),
        };
        reasons.push(Stale {
            path: input.file().to_owned(),
            why,
        });
    }
    reasons
}

/// Reports that another process replaced the target after it was locked: no lock protects the new
/// one.
pub(crate) fn not_locked(locks: &Locks<'_>) -> Result<Option<Stale>, FsError> {
    let are_current = holds(Safeguard::LookAtLock, locks.are_current()?);
    Ok((!are_current).then(|| Stale {
        path: locks.target().path().display().to_string(),
        why: "is not the directory that was locked".to_owned(),
    }))
}

/// The directory that a plan expects at its target.
pub(crate) fn expected_root(plan: &Plan) -> Option<Identity> {
    match &plan.observation().target {
        Expected::Absent => None,
        Expected::Tree { identity, .. } => Some(*identity),
    }
}

/// Everything in which a target differs from what the plan expects, with the directory `root` at
/// the target.
pub(crate) fn differences(
    target: &Target<'_>,
    plan: &Plan,
    root: Option<Identity>,
) -> Result<Vec<Stale>, FsError> {
    let expected = &plan.observation().paths;
    // Paths that are as expected are not collected: a plan may have many.
    let (now, changed) = observe_each(
        target.fs,
        target.place(),
        plan.operations(),
        plan.retired(),
        |path, now| changed_path(path, expected.get(path), now.as_ref()),
    )?;
    Ok(match of_target(target, plan, root, &now) {
        Ok(reasons) => reasons.into_iter().chain(changed).collect(),
        Err(reason) => vec![reason],
    })
}

/// The names in which the target itself differs; an error if it is another directory, whose paths
/// mean nothing.
fn of_target(
    target: &Target<'_>,
    plan: &Plan,
    root: Option<Identity>,
    now: &Expected,
) -> Result<Vec<Stale>, Stale> {
    let of_target = |why: &str| {
        Err(Stale {
            path: target.path().display().to_string(),
            why: why.to_owned(),
        })
    };
    let names = match (&plan.observation().target, now) {
        (Expected::Absent, Expected::Absent) => return Ok(Vec::new()),
        (Expected::Absent, Expected::Tree { .. }) => {
            return of_target("did not exist, and exists now");
        }
        (Expected::Tree { .. }, Expected::Absent) => {
            return of_target("existed, and is gone now");
        }
        (Expected::Tree { .. }, Expected::Tree { identity: now, .. }) if root != Some(*now) => {
            return of_target("is not the same directory as when the plan was made");
        }
        (Expected::Tree { names: then, .. }, Expected::Tree { names: now, .. }) => (then, now),
    };
    let (then, there) = names;
    let then: BTreeSet<&String> = then.iter().collect();
    // If other names stay, they may appear and disappear.
    let there: BTreeSet<&String> = if plan.publication() == Publication::Merge {
        BTreeSet::new()
    } else {
        there.iter().collect()
    };
    // The run itself creates the engine's own directory before it checks again.
    let is_engine_dir = |name: &str| plan.publication().is_by_entries() && name == ENGINE_DIR;
    let appeared = there
        .difference(&then)
        .filter(|name| !is_engine_dir(name))
        .map(|name| (name, "appeared"));
    let vanished = then.difference(&there).map(|name| (name, "vanished"));
    let reason = |(name, why): (&&String, &str)| Stale {
        path: (*name).clone(),
        why: format!("{why} since the plan was made"),
    };
    Ok(appeared.chain(vanished).map(reason).collect())
}

/// How a planned or retired path differs from what was expected there.
fn changed_path(path: &RelPath, then: Option<&Observed>, now: Option<&Observed>) -> Option<Stale> {
    let why = match (then, now) {
        (Some(then), Some(now)) if then != now && !is_same_unread(then, now) => "changed",
        (Some(_), None) => "vanished",
        (None, Some(_)) => "appeared",
        (Some(_), Some(_)) | (None, None) => return None,
    };
    Some(Stale {
        path: path.to_string(),
        why: format!("{why} since the plan was made"),
    })
}

/// Whether a file whose bytes the planner knew, and which is not read again, is otherwise the same.
fn is_same_unread(then: &Observed, now: &Observed) -> bool {
    let Observed::File { digest: None, .. } = now else {
        return false;
    };
    let mut then = then.clone();
    if let Observed::File { digest, .. } = &mut then {
        *digest = None;
    }
    then == *now
}

/// A mount point at or below the target: it cannot be renamed, or would move with the target.
pub(crate) fn mounted(target: &Target<'_>) -> Result<Option<PathBuf>, FsError> {
    match target.fs.open_dir(&target.parent, &target.name) {
        Ok(dir) => Ok(target.fs.mounts_under(&dir).into_iter().next()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A mount point that prevents the rename of an entry: above it inside the target, at it, or below
/// it.
pub(crate) fn mounted_entries<'p>(
    target: &Target<'_>,
    moved: impl Iterator<Item = &'p RelPath>,
) -> Result<Option<PathBuf>, FsError> {
    let fs = target.fs;
    let root = fs.open_dir(&target.parent, &target.name)?;
    let mounts = fs.mounts_under(&root);
    if mounts.is_empty() {
        return Ok(None);
    }
    for path in moved {
        let mut dir = root.clone();
        let mut at: Option<RelPath> = None;
        for component in path.components() {
            let Ok(below) = fs.open_dir(&dir, component.as_ref()) else {
                break;
            };
            dir = below;
            let here = match &at {
                Some(at) => at.join(component).ok(),
                None => RelPath::new(component).ok(),
            };
            let Some(here) = here else { break };
            let found = if here == *path {
                fs.mounts_under(&dir).into_iter().next()
            } else {
                mount_at(target, &dir, &here)
            };
            if found.is_some() {
                return Ok(found);
            }
            at = Some(here);
        }
    }
    Ok(None)
}

/// The mount point at a directory above an entry, if it is one.
fn mount_at(target: &Target<'_>, dir: &Dir, path: &RelPath) -> Option<PathBuf> {
    let mounts = target.fs.mounts_under(dir).into_iter();
    let mut at = mounts.filter(|mount| mount.ends_with(path.as_str()));
    at.next()
}
