//! The targets of the product. Each says whether it accepted what it was given, and panics if a promise is broken.

mod pyvenv;
mod wheel;

pub use pyvenv::pyvenv_cfg;
pub use wheel::wheel_read;
