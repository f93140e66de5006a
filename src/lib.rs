//! Python virtual environments as filesystem transactions.

pub mod activate;
