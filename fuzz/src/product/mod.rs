//! The targets of the product. Each returns whether it accepted its input, and panics if a promise
//! is broken.

mod base;
mod choices;
mod index;
mod lock;
mod manifest;
mod pack;
mod pyvenv;
mod sources;
mod wheel;

pub use base::base_read;
pub use index::index_page;
pub use lock::{pylock_read, requirements_read};
pub use manifest::manifest_read;
pub use pack::pack_read;
pub use pyvenv::pyvenv_cfg;
pub use sources::sources_unpack;
pub use wheel::wheel_read;
