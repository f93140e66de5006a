//! Measures hosts that get one environment at once out of a registry, against uv and an index.
//!
//! Read next: `lab/fleet.rs`.

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
    lab::main("fleet")
}

/// The bench measures Linux's system calls and filesystems.
#[cfg(not(target_os = "linux"))]
fn main() {}
