//! Python virtual environments as filesystem transactions.

pub mod activate;
pub mod interpreter;
pub mod layout;
pub mod wheel;
