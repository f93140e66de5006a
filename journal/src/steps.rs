//! The steps of a publication: which there are, both places of each, and the renames.
//!
//! Read next: `steps/entry_cover.rs` (which entries), `steps/renames.rs` (the rename of each).

pub(crate) mod entry_cover;
pub(crate) mod entry_steps;
pub(crate) mod renames;
pub(crate) mod step_places;
