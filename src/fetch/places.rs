//! The places that rvenv knows.
//!
//! Promises that each gives what it has without checking its bytes, and that none writes.
//! Read next: `places/directory.rs`, `places/remote.rs`, `places/index.rs`,
//! `places/links.rs`.

mod directory;
mod index;
mod links;
mod page;
mod remote;

pub(super) use directory::check_size;
pub use directory::{Directory, LocalFile};
pub use index::SimpleIndex;
pub(super) use links::{Linked, is_wheel, links_place};
pub use remote::Remote;
pub(super) use remote::body_by;
