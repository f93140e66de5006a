//! A saved plan of a whole environment, over whatever exists at its target.
//!
//! Promises that what the plan makes stays the same, byte for byte: only what it replaces is added.
//! So a plan that was made on another machine, for a path where nothing existed, replaces the
//! environment of yesterday in one transaction, and is refused like `--clear` where something else
//! exists. Writes nothing.
//!
//! Read next: `policies.rs`, what may be replaced; the engine's `plan/builder.rs`.

use std::collections::BTreeMap;
use std::path::Path;

use rvenv_journal::raw::{DiskError, Expected, Observation, TargetError};
use rvenv_journal::{Fs, Parents, Plan, PlanBuilder, Publication, Target, observe};

use super::applied::is_applied;
use super::{PlanFailed, can_be_renamed, check_clearable};
use crate::change::environment::Permissions;
use crate::change::installed_inputs;
use crate::change::look_failed::LookFailed;

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

/// A plan that was made for an absent target, over what exists there now; the plan itself, if that
/// is what it makes.
///
/// # Errors
/// See [`PlanFailed`].
pub fn over(fs: &dyn Fs, plan: &Plan, permissions: Permissions<'_>) -> Result<Plan, PlanFailed> {
    let path = Path::new(plan.target());
    let target = match Target::open(fs, path, Parents::Require) {
        Err(TargetError::NoParent(_)) => return Ok(plan.clone()),
        target => target?,
    };
    let disk = LookFailed::disk(target.path());
    let seen = observe(fs, target.place(), plan.operations(), plan.retired()).map_err(disk)?;
    if seen.target == Expected::Absent
        || plan.publication() != Publication::Put
        || is_applied(&target, plan).map_err(disk)?
    {
        return Ok(plan.clone());
    }
    check_clearable(&target, permissions)?;
    let mut draft = PlanBuilder::new(plan.target(), plan.root_mode())?;
    for (path, operation) in plan.operations() {
        draft.add(path.clone(), operation.clone())?;
    }
    draft.set_order(plan.order().to_vec());
    let root = target.root().map_err(disk)?;
    let installed = installed_inputs::inputs(&target, &root, plan.target(), None).map_err(disk)?;
    let installed = installed.into_iter().map(|one| one.input);
    for input in plan.inputs().iter().cloned().chain(installed) {
        draft.add_input(input);
    }
    let publication = if can_be_renamed(&target).map_err(disk)? {
        Publication::Replace
    } else {
        Publication::Refill
    };
    Ok(draft.finish(seen, publication)?.with_statements_of(plan))
}
