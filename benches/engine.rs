//! Measures the engine alone, against other transactional engines and as plans grow: the part of
//! `create` that needs no Python.
//!
//! Read next: `lab/engine.rs`, `lab/growth.rs`.

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
    lab::main("engine")
}

/// The bench measures Linux's system calls and filesystems.
#[cfg(not(target_os = "linux"))]
fn main() {}
