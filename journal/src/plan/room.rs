//! Room on a disk: what a plan takes, and what there is.
//!
//! Promises that what a plan takes is no less than what is written of it, as far as the lengths of files tell; files that
//! are linked or share blocks take less. What there is is asked after the stage was given up: it is what the next run finds.
//! Does not promise what a quota leaves, which no call tells that works for every user.
//!
//! Read next: `transaction/failures.rs`, whose errors tell of it.

use std::io::ErrorKind;

use crate::fs::{Dir, Fs, FsError, Room};
use crate::plan::builder::Plan;
use crate::plan::node::{Effect, Node, Publication};

/// Objects beside what is planned: the stage and its slots, the engine's directory, the receipt, the journal, the lock.
const OWN_OBJECTS: u64 = 6;

/// A disk that was too small for a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// What the plan takes at most.
    pub needed: Room,
    /// What there is, without what was staged; `None` where the system does not tell.
    pub free: Option<Room>,
    /// Whether it was a quota that refused, which may leave less than the disk has.
    pub is_quota: bool,
}

/// What is short, if that is why a verb failed.
pub(crate) fn shortage(fs: &dyn Fs, dir: &Dir, plan: &Plan, failed: &FsError) -> Option<Shortage> {
    let is_quota = failed.kind() == ErrorKind::QuotaExceeded;
    if !is_quota && failed.kind() != ErrorKind::StorageFull {
        return None;
    }
    let free = fs.room(dir);
    let block = free.map_or(1, |free| free.block).max(1);
    Some(Shortage {
        needed: needed(plan, block),
        free,
        is_quota,
    })
}

/// What the objects of a plan take that are made anew, in blocks of this length.
fn needed(plan: &Plan, block: u64) -> Room {
    let of_len = |len: u64| len.div_ceil(block) * block;
    let is_whole = matches!(
        plan.publication(),
        Publication::Put | Publication::Swap | Publication::Refill
    );
    let mut needed = Room {
        bytes: OWN_OBJECTS * block,
        objects: Some(OWN_OBJECTS),
        block,
    };
    for (path, operation, effect) in plan.effects() {
        if effect == Effect::Keep && !is_whole {
            continue;
        }
        let len = match &operation.node {
            Node::File { content, .. } => of_len(content.len()),
            Node::Dir { .. } => block,
            Node::Symlink { .. } => 0,
        };
        // The name in a directory and the line in the receipt.
        let told = 2 * (path.as_str().len() as u64 + 64);
        needed.bytes = needed.bytes.saturating_add(len).saturating_add(told);
        needed.objects = needed.objects.map(|objects| objects + 1);
    }
    Room {
        bytes: of_len(needed.bytes),
        ..needed
    }
}
