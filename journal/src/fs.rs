//! The disk: a trait with the only calls that the engine may use, and functions built on them.
//!
//! There are two implementations: `fs/real.rs` is the operating system; `fs/sim.rs` (feature `sim`)
//! is a disk in memory with a volatile and a durable layer. Read next: `fs/interface.rs`, the
//! trait.

pub(crate) mod barrier;
pub(crate) mod error_place;
pub(crate) mod exchange;
mod inherited_mode;
mod interface;
mod meta;
pub(crate) mod named_sync;
pub(crate) mod parallel;
pub(crate) mod privacy;
pub mod real;
pub(crate) mod refusal;
pub(crate) mod remove;
mod sharing;
#[cfg(feature = "sim")]
pub mod sim;

pub use inherited_mode::left_by_acl;
pub use interface::{
    Barrier, CopyMethod, Dir, Flush, Fs, FsError, Held, Layers, Lock, NameInDir, NewFile, Rename,
    Room,
};
pub use meta::{Kind, Meta, Time};
pub use sharing::{Acl, Sharing};
