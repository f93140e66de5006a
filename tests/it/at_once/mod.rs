//! Many processes at once: creators, readers and writers, and a soak.
//!
//! The soak takes its time however quick the machine is. libtest runs tests in the order of their
//! names, so that it starts early here and no processor waits for it at the end.

#![cfg(unix)]

mod concurrency;
mod readers;
mod soak;
