//! The targets of the product. Each returns whether it accepted its input, and panics if a promise
//! is broken.

mod pyvenv;
mod wheel;

pub use pyvenv::pyvenv_cfg;
pub use wheel::wheel_read;
