//! Measures environments of packages that locks name: new ones, changed ones and unchanged ones,
//! out of a warm store and out of an index, against uv and pip.
//!
//! Read next: `lab/locked.rs`.

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
    lab::main("packages")
}

/// The bench measures Linux's system calls and filesystems.
#[cfg(not(target_os = "linux"))]
fn main() {}
