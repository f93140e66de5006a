//! The `rvenv` command.
fn main() {}
