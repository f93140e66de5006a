//! Deleting kept generations of an environment, the oldest first.
//!
//! Promises that each is deleted in one transaction under the lock: after a crash it is whole, or
//! the next run deletes the rest of it. One that cannot be deleted is named, and the others are
//! deleted all the same.
//!
//! Read next: the engine's `transaction/discard.rs`.

use rvenv_journal::raw::{Generation, Size};
use rvenv_journal::{FsError, Ready, generations};

use crate::base::one_line::one_line;

/// What was deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The deleted generations, each with its size if that could be read.
    pub deleted: Vec<(u32, Option<Size>)>,
    /// The generations that stay although they were to go, each with the reason.
    pub failed: Vec<(u32, String)>,
    /// How many entries of deleted generations are left as trash, which the next change deletes.
    pub leftovers: u64,
}

/// Which generations go: all but the newest, and of these only old ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// How many of the newest stay.
    pub keep: usize,
    /// Only those that were replaced before this time, in seconds since 1970.
    pub before: Option<i64>,
}

impl Terms {
    /// The generations that go, the oldest first. One that stays keeps all newer ones: older ones
    /// come back through them. One whose time is not known does not count as old.
    #[must_use]
    pub fn choose<'g>(&self, found: &'g [Generation]) -> Vec<&'g Generation> {
        let older = found.len().saturating_sub(self.keep);
        let is_old = |generation: &Generation| match (self.before, generation.time) {
            (None, _) => true,
            (Some(before), Some(time)) => time.seconds < before,
            // Nothing comes back through it, so it is no reason to keep newer ones.
            (Some(_), None) => generation.fault.is_some(),
        };
        let oldest = found.iter().take(older);
        oldest.take_while(|generation| is_old(generation)).collect()
    }
}

/// Deletes the generations that the terms name.
pub(crate) fn prune(ready: &Ready<'_>, terms: Terms) -> Result<Pruned, FsError> {
    let found = generations(ready.target())?;
    let mut pruned = Pruned::default();
    for generation in terms.choose(&found) {
        let number = generation.number;
        let size = generation.size(ready.target()).ok();
        match ready.discard_generation(number) {
            Ok(leftovers) => {
                pruned.deleted.push((number, size));
                pruned.leftovers += leftovers.count;
            }
            Err(error) => pruned.failed.push((number, one_line(&error))),
        }
    }
    Ok(pruned)
}
