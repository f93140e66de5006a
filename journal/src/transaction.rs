//! The transaction: lock, recover, prepare, stage, publish, settle or undo.
//!
//! Each state is a type, and each method consumes one state and returns the next, so no step can be
//! left out. Dropping a state only releases the locks: it leaves on disk what a crash would leave,
//! and the next run ends it.
//!
//! Promises I1 to I3. Of a whole tree, readers see the old one, then the new one (on a filesystem
//! without an exchange, nothing for a moment in between). Of entries, they see each one change
//! whole, one right after the other.
//!
//! ```text
//! Target ─lock─▶ Ready ─prepare─▶ Prepared ─stage─▶ Staged ─publish─▶ Published ─settle─▶ Ending
//!                                                                           └─undo─▶ Ending
//! ```
//!
//! Read next: `transaction/ready.rs`.

pub(crate) mod begun;
pub(crate) mod discard;
pub(crate) mod failures;
pub(crate) mod overlay_pins;
pub(crate) mod preconditions;
pub(crate) mod prepared;
pub(crate) mod published;
pub(crate) mod ready;
pub(crate) mod removal;
pub(crate) mod rollback;
pub(crate) mod staged;
pub(crate) mod step_facts;
pub(crate) mod terms;
