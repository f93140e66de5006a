//! The ways in: `EnvBuilder` for libraries, and what is read of the process.
//!
//! Read next: `env_builder.rs`; `host.rs`.

pub mod env_builder;
pub mod host;
