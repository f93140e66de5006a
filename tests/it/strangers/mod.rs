//! Strangers: another user of the machine, the author of a checkout, and input without bounds (I6).
//!
//! Each attack that `docs/security.md` lists has a test, with two users where that matters. Tests
//! that need root are skipped with the reason. Read next: `tests/it/attacks.rs`, which races the
//! command.

#![cfg(target_os = "linux")]
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test starts real programs, plants files, and reports what it skips"
)]

mod attributes;
mod bounds;
mod checks;
mod children;
mod credentials;
mod given_away;
mod links;
mod locks;
mod modes;
mod numbers;
mod plans;
mod planted;
mod programs;
mod races;
mod special_files;
mod swapped_wheels;
mod text;
mod users;
