//! Compares changes of an environment of 50 000 files with changes of one that holds only pip: the
//! slowest part of the `create` bench.
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

/// The bench measures Linux's system calls and filesystems.
#[cfg(not(target_os = "linux"))]
fn main() {}
