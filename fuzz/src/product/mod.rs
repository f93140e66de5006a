//! The targets of the product. Each returns whether it accepted its input, and panics if a promise
//! is broken.

mod lock;
mod pyvenv;
mod wheel;

pub use lock::{pylock_read, requirements_read};
pub use pyvenv::pyvenv_cfg;
pub use wheel::wheel_read;
