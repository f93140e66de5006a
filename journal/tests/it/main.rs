//! The tests of the engine, in one program with a module for each theme.
//!
//! `cargo test -p rvenv-journal --test it recovery::` runs the tests of one file. Several themes
//! share `publication`, `sweep`, `counted` and `entered`. libtest runs tests in the order of their
//! names, so the longest one, the sweep of `crash`, starts early.
//!
//! `tests/mutants.rs` is a program of its own: its build can drop parts of the engine, and it
//! starts itself once per part with few of these modules.

#[cfg(unix)]
mod counted;
mod entered;
mod publication;
mod sweep;

mod corpus;
mod crash;
mod everyday;
mod examples;
mod fs_contract;
mod laws;
mod links;
mod model;
mod protocol;
mod scale;
mod store;
mod store_crashes;
