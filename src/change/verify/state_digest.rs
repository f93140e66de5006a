//! The digest of what is published in an environment: a key for caches.
//!
//! Promises that two environments at the same path whose receipts list the same paths with the
//! same bytes and modes, and whose other distributions have the same lists, have the same digest:
//! no time, inode number, owner or plan is part of it. A plan has the digest that the environment
//! has once it is published. Does not compare the files with the lists; `verify.rs` does.
//!
//! Read next: `../installed_inputs.rs`, the file that identifies a distribution.

use std::collections::BTreeMap;
use std::path::Path;

use rvenv_journal::raw::{DiskError, PublishedPath};
use rvenv_journal::{Digest, Plan, Publication, Receipt, RelPath, Target};

use super::VerifyFailed;
use super::receipt_paths::{self, Kept};
use crate::change::installed_inputs::{self, InstalledInput};
use crate::change::look_failed::LookFailed;

/// The digest of what is published at a target; `None` without a readable receipt.
///
/// # Errors
/// The error of the disk.
pub fn state_digest(target: &Target<'_>) -> Result<Option<Digest>, VerifyFailed> {
    let disk = LookFailed::disk(target.path());
    let root = target.root().map_err(disk)?;
    let Kept::Whole(receipt) = receipt_paths::receipt(target.disk(), &root) else {
        return Ok(None);
    };
    let inputs = installed_inputs::inputs(target, &root, "", None).map_err(disk)?;
    let listed = |one: &InstalledInput| {
        let path = RelPath::new(one.path().trim_start_matches('/')).ok()?;
        Some((path, one.input.digest))
    };
    Ok(Some(digest(
        receipt,
        inputs.iter().filter_map(listed).collect(),
    )))
}

/// The digest that an environment has once a plan is published.
#[must_use]
pub fn planned_digest(plan: &Plan) -> Digest {
    let stays = match plan.publication() {
        Publication::Nothing | Publication::Merge => true,
        Publication::Put | Publication::Replace | Publication::Refill => false,
    };
    let inputs = plan.inputs().iter().filter(|_| stays);
    let listed = inputs.filter_map(|input| {
        let below = Path::new(&input.path).strip_prefix(plan.target()).ok()?;
        let path = RelPath::new(below.to_str()?).ok()?;
        Some((path, input.digest))
    });
    let listed = listed.filter(|(path, _)| !plan.retired().contains(path));
    digest(Receipt::of(plan), listed.collect())
}

/// The digest of a receipt, and of the lists of the distributions that it does not have.
fn digest(receipt: Receipt, lists: BTreeMap<RelPath, Digest>) -> Digest {
    let others = lists
        .into_iter()
        .filter(|(path, _)| !receipt.paths.contains_key(path));
    let lines: Vec<String> = others
        .map(|(path, digest)| format!("{digest} {path}\n"))
        .collect();
    let mut paths = receipt.paths;
    for published in paths.values_mut() {
        // A source may get a later time, so that older bytecode does not count as its own.
        if let PublishedPath::File { mtime, .. } = published {
            *mtime = None;
        }
    }
    let receipt = Receipt {
        // Different plans may make the same tree.
        plan: Digest::of(b""),
        // What an index says about a wheel may change, and the wheel does not.
        statements: BTreeMap::new(),
        paths,
        ..receipt
    };
    Digest::of((receipt.to_json() + &lines.concat()).as_bytes())
}
