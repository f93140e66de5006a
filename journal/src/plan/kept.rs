//! What a plan keeps of what an earlier one published, without operations.
//!
//! Promises that nothing of it is planned or retired, that it collides with nothing that is
//! planned, and that each path has its directory. What is kept was published together, so no two
//! of its paths are compared. Does not promise that the disk still has it.
//!
//! Read next: `plan/builder.rs`; `plan/receipt.rs`, which lists what is kept with what is planned.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::path::{RelPath, paired};
use crate::plan::error::PlanError;
use crate::plan::node::{Node, PublishedPath};
use crate::plan::operations::{Operations, is_reserved};

/// Checks that what is kept fits what is planned and retired.
pub(super) fn check(
    kept: &BTreeMap<RelPath, PublishedPath>,
    operations: &Operations,
    retired: &BTreeSet<RelPath>,
) -> Result<(), PlanError> {
    let planned = &operations.by_path;
    // Nearly always the parent is that of the path before, or that path itself.
    let mut last: Option<&RelPath> = None;
    for (path, published, operation) in paired(kept, planned) {
        if is_reserved(path) {
            return Err(PlanError::Reserved(path.clone()));
        }
        if operation.is_some() || retired.contains(path) {
            return Err(PlanError::Kept(path.clone()));
        }
        if let Some(first) = operations.other_spelling(path) {
            let second = path.clone();
            return Err(PlanError::CaseCollision { first, second });
        }
        if path.parent_text() != last.map(RelPath::as_str) {
            last = match path.parent() {
                None => None,
                Some(parent) => match (planned.get_key_value(&parent), kept.get_key_value(&parent))
                {
                    (Some((at, of)), _) if matches!(of.node, Node::Dir { .. }) => Some(at),
                    (None, Some((at, PublishedPath::Dir { .. }))) => Some(at),
                    _ => return Err(PlanError::NoParent(path.clone())),
                },
            };
        }
        if matches!(published, PublishedPath::Dir { .. }) {
            last = Some(path);
        }
    }
    Ok(())
}
