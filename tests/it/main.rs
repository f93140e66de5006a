//! The tests of the command and the library, in one program with a module for each theme.
//!
//! `cargo test --test it merge::` runs the tests of one theme. One program shares what the tests
//! need (it queries the interpreters of the machine once), is linked once, and keeps all processors
//! busy until its end. libtest runs tests in the order of their names.
//!
//! `tests/tidy`, which reads the sources, is separate: it must compile in seconds, and also when
//! the product does not compile.

#[cfg(unix)]
mod helpers;
#[cfg(target_os = "linux")]
use helpers::places;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
use helpers::{actions, calls};
#[cfg(unix)]
use helpers::{
    answers, locked, machine, mounts, packages, refused, registry, relay, sandbox, server, strace,
    switched, trees, warm, wheels,
};

mod activate_cmd;
mod at_once;
mod attacks;
mod attacks_packages;
mod behaviour;
mod book;
mod cache_kills;
mod catalogue;
mod corpus;
mod cpython;
mod faults;
mod fetching;
mod fleet;
mod histories;
mod image;
mod kill;
mod kill_moments;
mod parity;
mod powercut;
mod real;
mod strangers;
