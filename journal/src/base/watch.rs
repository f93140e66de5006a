//! Watching: an observer of a deletion, which may stop it.
//!
//! Deletion is never part of success, but it may take long. Promises that the observer is called
//! often enough to stop a deletion within a moment. What is then left is trash, which the next run
//! deletes.
//! Does not promise from which thread the observer is called.
//!
//! Read next: `fs/remove.rs`, which calls it.

use std::fmt;

/// Whether a deletion continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It continues.
    GoOn,
    /// It stops here. The rest is trash, which the next run deletes.
    Stop,
}

/// An observer of deletions.
pub trait Watch: fmt::Debug + Sync {
    /// Called after every few objects with the number of objects that the deletion has removed so
    /// far.
    fn removed(&self, count: u64) -> Deletion;
}

/// No observer: every deletion continues to its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn removed(&self, _: u64) -> Deletion {
        Deletion::GoOn
    }
}
