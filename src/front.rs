//! The two front ends' common part: turns what the command or `EnvBuilder` wants into a context and
//! a run.
//!
//! Read next: `request.rs`, then `caller.rs`; `host.rs`, what is read from the process.

pub mod answer;
pub mod attaching;
pub mod begun;
mod building;
mod bytecode_layers;
pub mod caller;
pub mod choosing;
pub mod cloning;
pub mod deriving;
pub mod describing;
pub mod env_builder;
pub mod fetching;
pub mod host;
pub mod imaging;
pub mod indexing;
mod lock_request;
pub mod locked;
mod locked_failed;
pub mod locking;
mod lookups;
pub mod machine;
pub mod mending;
mod plan_note;
mod project_needs;
pub mod proving;
pub mod pulling;
pub mod pushing;
pub mod rebuilding;
pub mod republishing;
pub mod request;
pub mod resolving;
pub mod saved_plan;
mod unchanged;
pub mod up_to_date;
