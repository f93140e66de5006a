//! The protocol, history by history: what each verb of the engine does with each state that it may
//! find.
//!
//! All tests use the simulated disk: `cargo test -p rvenv-journal --test it recovery::` runs the
//! tests of one file. The sweep over every crash is `crash.rs`.

#![expect(
    clippy::unwrap_used,
    reason = "outside of `#[test]` functions, too, these are tests"
)]

mod alone;
mod discard;
mod entries;
mod recovery;
mod rollback;
mod strangers;
mod transaction;
mod undone;
