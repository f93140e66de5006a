//! Two things at once, where the disk serves two threads.
//!
//! Promises that both are over when [`both`] returns, and that a disk which wants the same order of calls each time gets
//! it. Read next: `fs.rs`, [`Fs::threads`].

use std::panic::resume_unwind;
use std::thread;

use crate::fs::Fs;

/// Does `aside` in a second thread while this one does `here`; one after the other where a second thread gains nothing.
///
/// What is done aside should need the processor while the other waits for the disk: a thread costs some 50 µs.
pub fn both<A: Send, B>(
    fs: &dyn Fs,
    aside: impl FnOnce() -> A + Send,
    here: impl FnOnce() -> B,
) -> (A, B) {
    if fs.threads() < 2 {
        return (aside(), here());
    }
    thread::scope(|scope| {
        let aside = scope.spawn(aside);
        let here = here();
        let aside = aside.join().unwrap_or_else(|panic| resume_unwind(panic));
        (aside, here)
    })
}
