//! Registries: a real one on loopback, and a proxy before it that lies.
//!
//! Wheels made here; nothing leaves this machine.
//! Read next: `../helpers/registry.rs`; `artifacts.rs`, `indexes.rs`, `hosts.rs`.

#![cfg(unix)]
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests start real programs, read and damage what they made, and report what they skip"
)]

mod artifacts;
mod attachments;
mod breaks;
mod bytecode;
mod company;
#[cfg(target_os = "linux")]
mod hosts;
mod indexes;
#[cfg(target_os = "linux")]
mod kills;
mod layouts;
mod oci_client;
mod oras;
mod places;
mod plans;
mod pushes;
mod tools;

#[cfg(target_os = "linux")]
use std::process::Command;

/// The same command under a program that is its first word.
#[cfg(target_os = "linux")]
fn under(mut program: Command, command: &Command) -> Command {
    program.arg(command.get_program()).args(command.get_args());
    program.env_clear();
    let pairs = command.get_envs();
    program.envs(pairs.filter_map(|(name, value)| Some((name, value?))));
    if let Some(dir) = command.get_current_dir() {
        program.current_dir(dir);
    }
    program
}
