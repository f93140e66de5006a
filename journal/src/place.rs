//! The target, and all that the engine keeps beside it while something is open.
//!
//! Read next: `place/names.rs` (the names), `place/record.rs` (what a journal says).

pub(crate) mod journal_file;
pub(crate) mod lock;
pub(crate) mod names;
pub(crate) mod record;
pub(crate) mod record_json;
pub(crate) mod stage_claim;
pub(crate) mod target;
pub(crate) mod transaction_dir;
