//! What no plan may do without permission, whatever its source: checked when a plan is made, and
//! again when it is applied (I6).
//!
//! Promises that every permission comes from the command line of this run: to clear more than an
//! environment, and to lose packages. Writes nothing.
//!
//! Read next: `../clearable.rs`, `../merge/lost_packages.rs`.

use std::ffi::OsStr;
use std::path::Path;

use rvenv_journal::fs::Meta;
use rvenv_journal::raw::{DiskError, Effect, Observed};
use rvenv_journal::{Fs, Plan, Publication, RelPath, Target};

use super::{Force, LookFailed, Permissions, PlanFailed, RunFailed, UnfitPlan};
use crate::build::pyvenv_cfg::CONFIG_NAME;
use crate::change::clearable::{Clearable, clearable, is_checkout};
use crate::change::installed_inputs::{self, ReadBefore};
use crate::change::merge::{self, Lost, is_environment};

/// The names at the top of an environment: venv's, pip's, and those on Windows.
const TOP_NAMES: [&str; 13] = [
    "bin",
    "include",
    "lib",
    "lib64",
    "share",
    "etc",
    "man",
    CONFIG_NAME,
    ".gitignore",
    "Scripts",
    "Include",
    "Lib",
    "doc",
];

/// Refuses a saved plan that does what `create` would never do: a plan may only create or change
/// environments.
///
/// This is no protection against a plan that creates an environment with a malicious program in it,
/// only against one with a target of another kind.
pub(super) fn check_fit(target: &Target<'_>, plan: &Plan) -> Result<(), RunFailed> {
    let refused = |why| {
        let path = target.path().to_path_buf();
        Err(RunFailed::NotAnEnvironment { path, why })
    };
    let planned = plan.operations().keys().chain(plan.retired());
    let is_of_checkout = |path: &&RelPath| {
        let mut names = path.as_str().split('/');
        names.any(|name| is_checkout(OsStr::new(name)))
    };
    if let Some(path) = planned.clone().find(is_of_checkout) {
        return refused(UnfitPlan::Checkout(path.to_string()));
    }
    let is_config = |path: &RelPath| path.as_str() == CONFIG_NAME;
    if plan.operations().keys().any(is_config) {
        return Ok(());
    }
    let root = target.root();
    let keeps = match plan.publication() {
        // If nothing exists there, the engine reports that the plan is stale.
        Publication::Merge | Publication::Nothing => {
            root.is_err()
                || root.is_ok_and(|root| is_environment(target.disk(), &root).unwrap_or(true))
        }
        Publication::Put | Publication::Replace | Publication::Refill => false,
    };
    let retires = plan.retired().iter().any(is_config);
    if keeps && !retires {
        return Ok(());
    }
    refused(UnfitPlan::NoEnvironment)
}

/// Refuses a saved plan if another installer was at work in the target since it was made.
pub(super) fn check_distributions(target: &Target<'_>, plan: &Plan) -> Result<(), RunFailed> {
    let path = target.path().to_path_buf();
    if let Some(strange) = installed_inputs::strange(plan) {
        let why = UnfitPlan::Distribution(strange.path.escape_debug().to_string());
        return Err(RunFailed::NotAnEnvironment { path, why });
    }
    match installed_inputs::changes(target, plan, &ReadBefore::default()) {
        Ok(changes) if changes.is_empty() => Ok(()),
        Ok(changes) => Err(RunFailed::Distributions { path, changes }),
        Err(source) => Err(LookFailed::of_disk(&path, source).into()),
    }
}

/// The first path of a plan that no environment has, by its first component.
fn stranger(plan: &Plan) -> Option<&RelPath> {
    let mut paths = plan.operations().keys();
    paths.find(|path| {
        let top = path.as_str().split('/').next().unwrap_or_default();
        !TOP_NAMES.contains(&top)
    })
}

/// Checks that a saved plan changes only environments and loses no package without permission;
/// elsewhere it may only add.
pub(super) fn check_mergeable(
    target: &Target<'_>,
    plan: &Plan,
    lost: Lost,
) -> Result<(), RunFailed> {
    let path = || target.path().to_path_buf();
    let disk = LookFailed::disk(target.path());
    let root = match target.root() {
        Ok(root) => root,
        // The plan is stale; the engine reports it with the reason.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(disk(error).into()),
    };
    let receipt = merge::receipt_in(target.disk(), &root);
    if !plan.is_shared()
        && merge::is_shared(target.disk(), &root, receipt.as_ref()).map_err(disk)?
    {
        return Err(RunFailed::Shared { path: path() });
    }
    merge::check_lost_by(plan, target, &root, lost).map_err(PlanFailed::from)?;
    let adds_only = plan.retired().is_empty()
        && plan.effects().all(|(path, _, effect)| {
            let seen = plan.observation().paths.get(path);
            effect != Effect::Change || matches!(seen, Some(Observed::Dir { .. }))
        });
    let why = match stranger(plan) {
        _ if is_environment(target.disk(), &root).map_err(disk)? => return Ok(()),
        _ if !adds_only => UnfitPlan::Changes,
        Some(path) if plan.is_shared() => UnfitPlan::Stranger(path.to_string()),
        Some(_) | None => return Ok(()),
    };
    Err(RunFailed::NotAnEnvironment { path: path(), why })
}

/// Checks that the target may be cleared: an environment, an empty directory, or anything with the
/// command line's permission.
///
/// The user typed a link for its name, not for the place that a checkout makes it lead to. So the
/// directory behind a link must also belong to the user, and must not contain the working
/// directory.
pub(super) fn check_clearable(
    target: &Target<'_>,
    permissions: Permissions<'_>,
) -> Result<(), PlanFailed> {
    let path = || target.path().to_path_buf();
    let disk = LookFailed::disk(target.path());
    let Some(meta) = target.meta().map_err(disk)? else {
        return Ok(());
    };
    if permissions.force == Force::Yes {
        return Ok(());
    }
    if let Some(link) = target.link()
        && let Some(why) = objection(target.disk(), &meta, permissions.cwd)
    {
        return Err(PlanFailed::Link {
            link: link.to_path_buf(),
            path: path(),
            why,
        });
    }
    let root = target.root().map_err(disk)?;
    match clearable(target.disk(), &root).map_err(disk)? {
        Clearable::Yes => Ok(()),
        Clearable::NoEnvironment => Err(PlanFailed::NotAnEnvironment { path: path() }),
        Clearable::More(found) => Err(PlanFailed::MoreThanAnEnvironment {
            path: path(),
            found,
        }),
    }
}

/// Why a directory behind a link may not be cleared, if it may not.
fn objection(fs: &dyn Fs, meta: &Meta, cwd: Option<&Path>) -> Option<String> {
    if meta.owner != fs.user() {
        return Some(format!("belongs to user {}", meta.owner));
    }
    // Compared by identity, since a link may contain any form of the path.
    let is_it = |dir: &Path| {
        let found = fs.open_path(dir).and_then(|dir| fs.meta_of(&dir));
        found.is_ok_and(|found| found.identity == meta.identity)
    };
    let holds_cwd = cwd.is_some_and(|cwd| cwd.ancestors().any(is_it));
    holds_cwd.then(|| "is the working directory or above it".to_owned())
}
