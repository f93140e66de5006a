//! A transactional filesystem engine with rollback.

mod digest;
mod path;

pub use digest::{Digest, DigestError, Hasher};
pub use path::{COMPONENT_BYTES_MAX, DEPTH_MAX, PATH_BYTES_MAX, RelPath, RelPathError};
