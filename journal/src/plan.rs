//! Plans: what is to exist, what exists, and what was published, as values.
//!
//! Only `observe`, `drift`, `content` and `room` read a disk; nothing here changes one.
//! Read next: `plan/node.rs` (the types), `plan/builder.rs`.

pub(crate) mod builder;
pub(crate) mod content;
pub(crate) mod drift;
pub(crate) mod error;
pub(crate) mod json;
pub(crate) mod kept;
pub(crate) mod node;
pub(crate) mod observe;
pub(crate) mod operations;
pub(crate) mod receipt;
pub(crate) mod room;
pub(crate) mod statements;
