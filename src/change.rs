//! The current state of an environment, what a plan does to it, and how the plan reaches the disk.
//!
//! Read next: `environment.rs`, the verbs; `existing.rs` and `verify.rs`, the current state;
//! `merge.rs` and `repair.rs`, what stays and what is restored; `generations.rs` and `rollback.rs`,
//! what is kept and how it comes back; `carry.rs`, what comes along to another Python;
//! `provision.rs`, where the bytes come from; `render.rs`, plans as text.

pub mod carry;
mod clearable;
pub mod environment;
pub mod existing;
pub mod generations;
pub mod installed_inputs;
pub mod inventory;
pub mod log;
mod look_failed;
pub mod merge;
mod open_path;
pub mod provision;
pub mod prune;
mod published_wheels;
pub mod removal;
pub mod render;
pub mod repair;
pub mod replaced;
pub mod rollback;
pub mod verify;
mod whole;
