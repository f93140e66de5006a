//! Whether a saved plan is applied already: the target is exactly what it makes.
//!
//! Promises that whatever differs from the plan, a distribution that was installed since included,
//! counts as not applied. Writes nothing.
//!
//! Read next: `../installed_inputs.rs`, the distributions that a plan saw.

use std::collections::BTreeMap;

use rvenv_journal::fs::FsError;
use rvenv_journal::raw::{Difference, ENGINE_DIR, Observed};
use rvenv_journal::{Plan, Publication, Receipt, Target, drift, observe};

use crate::change::installed_inputs;
use crate::change::merge::receipt_bytes;

/// Whether the tree at the target is that of the plan: the receipt is the plan's, every path is as
/// it was published, nothing that the plan removes exists, and there are no other distributions.
pub(super) fn is_applied(target: &Target<'_>, plan: &Plan) -> Result<bool, FsError> {
    let fs = target.disk();
    let Ok(root) = target.root() else {
        return Ok(false);
    };
    if receipt_bytes(fs, &root).is_none_or(|bytes| bytes != Receipt::json_of(plan).as_bytes()) {
        return Ok(false);
    }
    let retired = observe(fs, target.place(), &BTreeMap::new(), plan.retired())?.paths;
    let stays = |seen: &Observed| !matches!(seen, Observed::Dir { .. });
    if retired.values().any(stays) {
        return Ok(false);
    }
    let may_have_more = plan.publication() == Publication::Merge;
    let found = drift(fs, &root, &Receipt::of(plan))?.into_iter();
    let mut differing = found.filter(|drift| {
        let is_foreign = drift.difference == Difference::Foreign;
        !drift.is_of_bytecode() && drift.path != ENGINE_DIR && !(is_foreign && may_have_more)
    });
    Ok(differing.next().is_none() && installed_inputs::are_as_planned(target, plan)?)
}
