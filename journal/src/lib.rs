//! A transactional filesystem engine with rollback.

mod digest;
pub mod fs;
mod identity;
mod path;

pub use digest::{Digest, DigestError, Hasher};
pub use fs::Fs;
pub use identity::{Birth, Identity};
pub use path::{COMPONENT_BYTES_MAX, DEPTH_MAX, PATH_BYTES_MAX, RelPath, RelPathError};
