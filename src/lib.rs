//! Python virtual environments as filesystem transactions.

pub mod activate;
pub mod builder;
pub mod config;
pub mod environment;
pub mod interpreter;
pub mod layout;
pub mod options;
pub mod provision;
pub mod render;
pub mod wheel;
