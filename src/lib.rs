//! Python virtual environments as filesystem transactions.
