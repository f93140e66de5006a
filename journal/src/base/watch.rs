//! Watching: somebody who is told how a deletion goes, and may stop it.
//!
//! Deletion is never part of success, but it may take long. Promises that whoever watches is asked often enough to stop
//! within a moment, and that what is then left is trash which the next run deletes.
//! Does not promise from which thread it is asked.
//!
//! Read next: `fs/remove.rs`, which asks.

use std::fmt;

/// Whether a deletion goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It goes on.
    GoOn,
    /// It ends here; the rest is trash, which the next run deletes.
    Stop,
}

/// Somebody who watches deletions.
pub trait Watch: fmt::Debug + Sync {
    /// Told, every few objects, how many a deletion has removed so far.
    fn removed(&self, count: u64) -> Deletion;
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn removed(&self, _: u64) -> Deletion {
        Deletion::GoOn
    }
}
