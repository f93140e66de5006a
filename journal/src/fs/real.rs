//! The operating system as a disk.
//!
//! Promises that every verb of [`Fs`](super::Fs) works on a directory held open and on one name in it, that no
//! symbolic link is followed, and that every failure names the verb, the entry and the cause (I6).
//! Does not promise atomicity beyond one call of the system: a file that could not be written to its end stays
//! where it is, and whoever writes a journal knows about it.
//!
//! Read next: `real/unix.rs` and `real/windows.rs`, which have one interface; `real/call.rs` and `real/content.rs`, what they share.

mod call;
mod content;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::RealFs;
#[cfg(windows)]
pub use windows::RealFs;
