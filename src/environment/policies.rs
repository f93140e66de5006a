//! What no plan may do unasked, whoever made it: checked when one is made, and again when one is applied (I6).
//!
//! Promises that every permission comes from the command line of this run: to clear what is more than an environment,
//! and to lose packages. Writes nothing.
//!
//! Read next: `../clearable.rs`, `../merge/lost.rs`.

use rvenv_journal::{Effect, Observed, Plan, Target};

use super::{Force, PlanFailed, RunFailed};
use crate::clearable::{Clearable, clearable};
use crate::merge::{self, Lost, is_environment};

/// A saved plan changes only environments, of which it loses no package unasked; elsewhere it may only add.
pub(super) fn check_mergeable(
    target: &Target<'_>,
    plan: &Plan,
    lost: Lost,
) -> Result<(), RunFailed> {
    let path = || target.path().to_path_buf();
    let disk = |source| PlanFailed::Disk {
        path: path(),
        source,
    };
    let (parent, name) = target.place();
    let root = match target.disk().open_dir(parent, name) {
        Ok(root) => root,
        // The plan is stale, which the engine says with its reason.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(disk(error).into()),
    };
    let receipt = merge::receipt_in(target.disk(), &root);
    if !plan.is_shared()
        && merge::is_shared(target.disk(), &root, receipt.as_ref()).map_err(disk)?
    {
        return Err(RunFailed::Shared { path: path() });
    }
    merge::check_lost_by(plan, (target, &root), lost).map_err(PlanFailed::from)?;
    let adds_only = plan.retired().is_empty()
        && plan.effects().all(|(path, _, effect)| {
            let seen = plan.observation().paths.get(path);
            effect != Effect::Change || matches!(seen, Some(Observed::Dir { .. }))
        });
    if adds_only || is_environment(target.disk(), &root).map_err(disk)? {
        return Ok(());
    }
    Err(RunFailed::NotAnEnvironment { path: path() })
}

/// What may be cleared: an environment, an empty directory, or what the command line of this run forces.
pub(super) fn check_clearable(target: &Target<'_>, force: Force) -> Result<(), PlanFailed> {
    let path = || target.path().to_path_buf();
    let disk = |source| PlanFailed::Disk {
        path: path(),
        source,
    };
    if target.meta().map_err(disk)?.is_none() || force == Force::Yes {
        return Ok(());
    }
    let (parent, name) = target.place();
    let root = target.disk().open_dir(parent, name).map_err(disk)?;
    match clearable(target.disk(), &root).map_err(disk)? {
        Clearable::Yes => Ok(()),
        Clearable::NoEnvironment => Err(PlanFailed::NotAnEnvironment { path: path() }),
        Clearable::More(found) => Err(PlanFailed::MoreThanAnEnvironment {
            path: path(),
            found,
        }),
    }
}
