//! A saved plan of a whole environment, over whatever exists at its target.
//!
//! Promises that what the plan makes stays the same, byte for byte: only what it replaces is added.
//! So a plan that was made on another machine, for a path where nothing existed, replaces the
//! environment of yesterday in one transaction, and is refused like `--clear` where something else
//! exists. What is replaced is looked at under the lock, so that another process cannot make the
//! plan stale.
//!
//! Read next: `policies.rs`, what may be replaced; the engine's `plan/builder.rs`.

use std::collections::BTreeMap;
use std::path::Path;

use rvenv_journal::raw::{DiskError, Expected, Observation, TargetError};
use rvenv_journal::{Fs, Parents, Plan, PlanBuilder, Publication, Target, observe};

use super::applied::is_applied;
use super::policies::{check_clearable, check_fit};
use super::publishing::{Planned, publish};
use super::{Outcome, Permissions, PlanFailed, Run, RunFailed};
use super::{can_be_renamed, check_policies, check_target};
use crate::change::installed_inputs::{self, ReadBefore};
use crate::change::look_failed::LookFailed;
use crate::change::provision::Known;
use crate::wheel::Catalogue;

/// What a draft makes where nothing exists.
///
/// # Errors
/// See [`PlanFailed`].
pub fn put(draft: PlanBuilder) -> Result<Plan, PlanFailed> {
    Ok(draft.finish(nothing(), Publication::Put)?)
}

/// What is seen where nothing exists.
pub(super) fn nothing() -> Observation {
    Observation {
        target: Expected::Absent,
        paths: BTreeMap::new(),
    }
}

/// What a saved plan becomes at its target.
enum Deployed {
    /// The target is what it makes.
    IsApplied,
    /// It replaces what exists; these files were read for it.
    Over(Box<Plan>, ReadBefore),
    /// It needs no change.
    AsItIs,
}

/// A plan that was made for an absent target, over what exists there now; the plan itself, if that
/// is what it makes. Writes nothing.
///
/// # Errors
/// See [`PlanFailed`].
pub fn over(fs: &dyn Fs, plan: &Plan, permissions: Permissions<'_>) -> Result<Plan, PlanFailed> {
    let target = match Target::open(fs, Path::new(plan.target()), Parents::Require) {
        Err(TargetError::NoParent(_)) => return Ok(plan.clone()),
        target => target?,
    };
    Ok(match over_at(&target, plan, permissions)? {
        Deployed::Over(plan, _) => *plan,
        Deployed::IsApplied | Deployed::AsItIs => plan.clone(),
    })
}

/// Publishes what a saved plan makes over whatever exists at its target, which it keeps; where it
/// was applied already, and nothing has changed since, there is nothing to do.
///
/// # Errors
/// See [`RunFailed`].
///
/// # Crash
/// As [`create`](super::create).
pub fn deploy(run: &Run<'_>, plan: &Plan) -> Result<Outcome, RunFailed> {
    let path = Path::new(plan.target());
    check_target(plan)?;
    let wheels = Catalogue::new(run.cache);
    let known = Known::of_saved(&wheels, run.compiler);
    publish(run, path, known, &mut |ready| {
        let target = ready.target();
        Ok(match over_at(target, plan, run.permissions)? {
            Deployed::IsApplied => Planned::Nothing(plan.clone()),
            Deployed::Over(plan, read) => {
                check_fit(target, &plan)?;
                Planned::Deployed(*plan, read)
            }
            Deployed::AsItIs => {
                check_policies(target, plan, run.permissions)?;
                Planned::Saved(plan.clone())
            }
        })
    })
}

fn over_at(
    target: &Target<'_>,
    plan: &Plan,
    permissions: Permissions<'_>,
) -> Result<Deployed, PlanFailed> {
    let (fs, disk) = (target.disk(), LookFailed::disk(target.path()));
    // Every file is read for it, so it comes first: most runs of a timer end here.
    if is_applied(target, plan).map_err(disk)? {
        return Ok(Deployed::IsApplied);
    }
    let seen = observe(fs, target.place(), plan.operations(), plan.retired()).map_err(disk)?;
    if seen.target == Expected::Absent || plan.publication() != Publication::Put {
        return Ok(Deployed::AsItIs);
    }
    check_clearable(target, permissions)?;
    let mut draft = PlanBuilder::new(plan.target(), plan.root_mode())?;
    for (path, operation) in plan.operations() {
        draft.add(path.clone(), operation.clone())?;
    }
    draft.set_order(plan.order().to_vec());
    let root = target.root().map_err(disk)?;
    let installed = installed_inputs::inputs(target, &root, plan.target(), None).map_err(disk)?;
    let read = ReadBefore::of(&installed);
    let installed = installed.into_iter().map(|one| one.input);
    for input in plan.inputs().iter().cloned().chain(installed) {
        draft.add_input(input);
    }
    let publication = if can_be_renamed(target).map_err(disk)? {
        Publication::Replace
    } else {
        Publication::Refill
    };
    let plan = draft.finish(seen, publication)?.with_statements_of(plan);
    Ok(Deployed::Over(Box::new(plan), read))
}
