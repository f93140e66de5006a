//! Changing an environment of 50 000 files against one that holds nothing but pip: the part of
//! `create` that takes longest.
//!
//! Read next: `lab/changes.rs`.

#![cfg_attr(
    target_os = "linux",
    expect(
        clippy::disallowed_methods,
        clippy::print_stdout,
        reason = "a benchmark makes real trees, starts real commands and prints what they took"
    )
)]

#[cfg(target_os = "linux")]
mod lab;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    lab::main("upgrade")
}

/// What is measured are Linux's system calls, and its filesystems.
#[cfg(not(target_os = "linux"))]
fn main() {}
