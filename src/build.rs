//! What an environment consists of, as values: its names, its configuration, its scripts, and the
//! hooks that plan them.
//!
//! Promises that nothing here touches a disk except a health check, which starts the environment's
//! programs (I4).
//! Read next: `hooks.rs`, which plans; `layout.rs`, `pyvenv_cfg.rs` and `activation.rs`, which say
//! what is planned.

pub mod activation;
pub mod checks;
pub mod hooks;
pub mod layout;
pub mod options;
pub mod pyvenv_cfg;
pub mod roles;
pub mod scripts;
pub mod supply;
pub mod windows_programs;
