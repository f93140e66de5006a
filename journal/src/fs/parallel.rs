//! Runs two tasks at once, where the disk serves two threads.
//!
//! Promises that both tasks have ended when [`in_parallel`] returns, and that a disk which needs
//! the same order of calls each time gets it. Read next: `fs.rs`, [`Fs::threads`].

use std::panic::resume_unwind;
use std::thread;

use crate::fs::Fs;

/// Runs `other` in a second thread while this thread runs `here`; runs one after the other where a
/// second thread gains nothing.
///
/// `other` should need the processor while `here` waits for the disk: starting a thread costs about
/// 50 µs.
pub fn in_parallel<A: Send, B>(
    fs: &dyn Fs,
    other: impl FnOnce() -> A + Send,
    here: impl FnOnce() -> B,
) -> (A, B) {
    if fs.threads() < 2 {
        return (other(), here());
    }
    thread::scope(|scope| {
        let other = scope.spawn(other);
        let here = here();
        let other = other.join().unwrap_or_else(|panic| resume_unwind(panic));
        (other, here)
    })
}
