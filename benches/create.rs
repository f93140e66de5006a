//! Measures everything that has a budget, interleaved in one run, then prints each budget with the
//! value reached.
//!
//! `cargo bench --bench create -- --write-docs` also writes tables and plots into `README.md` and
//! `docs/`; `--strict` fails when a budget is missed or could not be measured; `--quick` only
//! checks that everything runs. `lab/` does the work.
//!
//! Read next: `docs/performance.md`, `lab/mod.rs`.

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
    lab::main("create")
}

/// The bench measures Linux's system calls and filesystems.
#[cfg(not(target_os = "linux"))]
fn main() {}
