//! Cloning: a new environment with the packages of another one.
//!
//! Promises that the plan is one for an absent target: what exists there is refused. The RECORD of
//! each package of the source is an input, so that a plan is stale if a package of the source
//! changed; the bytes of its files are hashed when they are copied. The source is not locked.
//!
//! Read next: `../carry/copied.rs`, what is copied.

use std::path::Path;

use rvenv_journal::{Plan, PlanBuilder, Publication};

use super::publishing::{Planned, publish};
use super::{Context, Hooks, Outcome, PlanFailed, Run, RunFailed, hooks, known, nothing};
use crate::build::hooks::HookError;
use crate::change::carry::{self, Companions};

/// Plans a clone; writes nothing.
///
/// # Errors
/// See [`PlanFailed`].
pub fn plan_clone(
    hooks: &dyn Hooks,
    context: &Context,
    companions: &Companions,
) -> Result<Plan, PlanFailed> {
    Ok(draft(hooks, context, companions)?.finish(nothing(), Publication::Put)?)
}

/// Plans a clone under the lock of its target and publishes it.
///
/// # Errors
/// See [`RunFailed`].
///
/// # Crash
/// As [`create`](super::create).
pub fn clone(
    run: &Run<'_>,
    hooks: &dyn Hooks,
    context: &Context,
    companions: &Companions,
) -> Result<Outcome, RunFailed> {
    let path = Path::new(&context.env_dir);
    let plan = plan_clone(hooks, context, companions)?;
    publish(run, path, known(run, context), &mut |_| {
        // As a saved plan: it was made before the lock, so that the target is compared.
        Ok(Planned::Saved(plan.clone()))
    })
}

/// The operations of a clone.
///
/// # Errors
/// Those of the hooks, and operations that contradict each other.
pub(crate) fn draft(
    hooks: &dyn Hooks,
    context: &Context,
    companions: &Companions,
) -> Result<PlanBuilder, HookError> {
    let mut draft = hooks::build(hooks, context)?;
    carry::add(companions, context, &mut draft)?;
    Ok(draft)
}
