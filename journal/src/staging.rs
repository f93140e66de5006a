//! Building a planned tree, or the entries of one, in a directory that no reader looks into.
//!
//! Read next: `staging/build.rs`.

pub(crate) mod build;
pub(crate) mod error;
pub(crate) mod inheritance;
pub(crate) mod links;
