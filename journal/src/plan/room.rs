//! Free space: how much a plan needs, and how much the disk has.
//!
//! Promises that the estimate is no less than what the plan writes, as far as the lengths of files
//! show it; files that are linked or share blocks need less. The free space is measured after the
//! stage was deleted, so it is what the next run finds.
//! Does not promise what a quota leaves, because no call reports that for every user.
//!
//! Read next: `transaction/failures.rs`, whose errors report it.

use crate::fs::refusal::Full;
use crate::fs::{Dir, Fs, FsError, Room};
use crate::plan::builder::Plan;
use crate::plan::node::{Effect, Node, Publication};

/// Objects besides the planned ones: the stage and its slots, the engine's directory, the receipt,
/// the journal, the lock.
const OWN_OBJECTS: u64 = 6;

/// A disk that was too small for a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// The most that the plan needs.
    pub needed: Room,
    /// The free space without the stage; `None` if the system does not report it.
    pub free: Option<Room>,
    /// Whether a quota refused the write, which may leave less than the disk has.
    pub is_quota: bool,
}

/// The shortage, if the call failed because of one.
pub(crate) fn shortage(fs: &dyn Fs, dir: &Dir, plan: &Plan, failed: &FsError) -> Option<Shortage> {
    let is_quota = failed.full()? == Full::Quota;
    let free = fs.room(dir);
    let block = free.map_or(1, |free| free.block).max(1);
    Some(Shortage {
        needed: needed(plan, block),
        free,
        is_quota,
    })
}

/// The space for the objects of a plan that are created anew, in blocks of this length.
fn needed(plan: &Plan, block: u64) -> Room {
    let of_len = |len: u64| len.div_ceil(block) * block;
    let is_whole = matches!(
        plan.publication(),
        Publication::Put | Publication::Replace | Publication::Refill
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
        // The name in its directory, and the line in the receipt.
        let told = 2 * (path.as_str().len() as u64 + 64);
        needed.bytes = needed.bytes.saturating_add(len).saturating_add(told);
        needed.objects = needed.objects.map(|objects| objects + 1);
    }
    Room {
        bytes: of_len(needed.bytes),
        ..needed
    }
}
