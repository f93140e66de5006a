//! The ways in: what is asked for becomes a context and a run, for the command and for `EnvBuilder`.
//!
//! Read next: `request.rs`, then `caller.rs`; `host.rs`, what is read of the process.

pub mod caller;
pub mod env_builder;
pub mod host;
pub mod request;
