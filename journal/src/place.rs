//! The target, and everything that the engine keeps beside it during a transaction.
//!
//! Read next: `place/names.rs` (the names), `place/record.rs` (the contents of a journal).

pub(crate) mod journal_file;
pub(crate) mod lock;
pub(crate) mod names;
pub(crate) mod record;
pub(crate) mod record_json;
pub(crate) mod stage_claim;
pub(crate) mod target;
pub(crate) mod transaction_dir;
