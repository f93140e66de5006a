//! The safeguards: checks, effects and orders without which a crash or another user could do
//! damage. Each is called by its name.
//!
//! A name is what the mutation check drops. Without the feature `mutants` a check is its condition,
//! an effect takes place, and an order is kept. Promises that no other file asks what is dropped;
//! `fs/named_sync.rs` calls the syncs through this file.
//!
//! Read next: `mutant.rs` (the names), `journal/tests/mutants.rs`.

use crate::base::mutant::{Safeguard, drops};

/// Whether a condition holds without which the engine must not continue; a dropped check passes.
pub(crate) fn holds(named: Safeguard, condition: bool) -> bool {
    condition || drops(named)
}

/// What a check found that is a reason not to continue; a dropped check finds nothing.
pub(crate) fn finding<T>(named: Safeguard, found: Option<T>) -> Option<T> {
    found.filter(|_| !drops(named))
}

/// Does what a later crash, or another user, makes necessary.
pub(crate) fn perform<E>(
    named: Safeguard,
    effect: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    perform_or(named, Ok(()), effect)
}

/// As [`perform`], with what the caller gets if the effect is dropped.
pub(crate) fn perform_or<T>(named: Safeguard, dropped: T, effect: impl FnOnce() -> T) -> T {
    if drops(named) { dropped } else { effect() }
}

/// Does two things in the order that a crash between them makes necessary.
pub(crate) fn in_order<E>(
    named: Safeguard,
    first: impl FnOnce() -> Result<(), E>,
    second: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    if drops(named) {
        second()?;
        return first();
    }
    first()?;
    second()
}
