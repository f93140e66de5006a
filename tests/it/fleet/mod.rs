//! Registries: a real one on loopback, and a proxy before it that lies.
//!
//! Wheels made here; nothing leaves this machine.
//! Read next: `../helpers/registry.rs`; `places.rs`.

#![cfg(unix)]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests start real programs, and read and damage what they made"
)]

mod places;
