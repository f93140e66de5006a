//! What an earlier run left, what recovery does about it, and how every publication ends.
//!
//! Read next: `recovery/decide.rs` (the table), `recovery/recover.rs` (the run).

pub(crate) mod as_published;
pub(crate) mod closed;
pub(crate) mod decide;
pub(crate) mod discard;
pub(crate) mod ending;
pub(crate) mod evidence;
pub(crate) mod generation;
pub(crate) mod recover;
pub(crate) mod settle;
