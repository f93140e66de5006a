//! Builds a planned tree, or single entries, in a directory that no reader uses.
//!
//! Read next: `staging/build.rs`.

pub(crate) mod build;
pub(crate) mod error;
pub(crate) mod inheritance;
pub(crate) mod link_mode;
pub(crate) mod links;
pub(crate) mod pieces;
