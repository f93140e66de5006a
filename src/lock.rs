//! Locks: which packages, in which files, an environment was resolved to.
//!
//! Reads `pylock.toml` (PEP 751) and requirements files in which everything is pinned and hashed,
//! as one model; chooses what one interpreter installs of it; writes `pylock.toml`.
//!
//! Promises that nothing here writes to a disk, opens a connection or starts a process; that one
//! lock and one interpreter give one choice, which does not depend on what is available; and that
//! foreign bytes are read within limits and never cause a panic (I6). Whatever a lock does not say
//! clearly is refused, with the file and the place (I7). Does not promise to resolve: a requirement
//! without a version and a hash is refused.
//!
//! Read next: `lock/model.rs`, the [`Lock`]; `lock/pylock.rs` and `lock/requirements.rs`, which
//! read it; `lock/choose.rs`, which chooses.

mod choose;
mod error;
mod hashes;
mod markers;
mod model;
mod pylock;
mod requirements;
mod sdist;
mod write;

pub use choose::{
    ChoiceError, ChoiceFault, Chosen, ChosenSource, DirectUrl, Selection, SourceTree, choose, join,
};
pub use error::{LockError, LockFault, Place};
pub use hashes::{Algorithm, Hash, Hashes};
pub use markers::{Environment, Kernel};
pub use model::{Archive, Constraint, File, Format, IndexOptions, Lock, Package, Revision, Source};
pub(crate) use pylock::name_in_url;
pub use pylock::{is_pylock_name, read as read_pylock};
pub(crate) use requirements::file_path as path_in_url;
pub use requirements::{
    Files, read as read_requirements, read_config_settings, read_index_options, refuse_sources,
};
pub use sdist::sdist_version;
pub use write::{Unwritable, write};

#[cfg(test)]
mod fixtures;
#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the test asks a library that is written in Python"
)]
mod peers;

/// More than any real lock has: one with a thousand packages has some five million bytes.
pub const BYTES_MAX: u64 = 64 << 20;
