//! The places that rvenv knows.
//!
//! Promises that each gives what it has without checking its bytes, and that none writes.
//! Read next: `places/directory.rs`, `places/remote.rs`, `places/index.rs`.

mod directory;
mod index;
mod remote;

pub use directory::{Directory, LocalFile};
pub use index::SimpleIndex;
pub(super) use index::{Linked, is_wheel, links_place};
pub use remote::Remote;
