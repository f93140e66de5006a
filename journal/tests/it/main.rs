//! The tests of the engine, in one program with a module for each theme.
//!
//! `cargo test -p rvenv-journal --test it recovery::` runs the tests of one file. `publication`,
//! `sweep`, `counted` and `entered` are what several themes share. libtest runs tests in the order
//! of their names: the longest, the sweep of `crash`, comes early.
//!
//! Apart is `tests/mutants.rs`: its build can drop parts of the engine, and it starts itself once
//! per part with few of these modules.

#[cfg(unix)]
mod counted;
mod entered;
mod publication;
mod sweep;

mod corpus;
mod crash;
mod everyday;
mod fs_contract;
mod laws;
mod links;
mod model;
mod protocol;
mod scale;
mod store;
mod store_crashes;
