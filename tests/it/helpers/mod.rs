//! What the tests share: the machine, scratch directories, trees, disks, and intercepted system
//! calls.
//!
//! `machine` and `sandbox` are for tests of the command line, `trees` for tests that compare whole
//! trees; the heads of the others say what they are for. `tests/it/main.rs` re-exports their names,
//! so that a theme writes `use crate::machine::Scratch`.

#![cfg(unix)]
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests start real programs, read and damage what they made, and report what they skip"
)]

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) mod actions;
pub(crate) mod answers;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) mod calls;
pub(crate) mod locked;
pub(crate) mod machine;
pub(crate) mod mounts;
pub(crate) mod packages;
#[cfg(target_os = "linux")]
pub(crate) mod places;
pub(crate) mod refused;
pub(crate) mod registry;
pub(crate) mod relay;
pub(crate) mod sandbox;
pub(crate) mod server;
pub(crate) mod strace;
pub(crate) mod switched;
pub(crate) mod trees;
pub(crate) mod warm;
pub(crate) mod wheels;
