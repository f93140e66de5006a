//! The operating system as a disk.
//!
//! Promises that every call of [`Fs`](super::Fs) works on an open directory and on one name in it,
//! that no symbolic link is followed, and that every failure names the call, the entry and the
//! cause (I6).
//! Does not promise atomicity beyond one system call: a file that could not be written completely
//! remains, and the caller that writes a journal handles it.
//!
//! Read next: `real/unix.rs` and `real/windows.rs`, which have the same interface; `real/call.rs`
//! and `real/content.rs`, which both use.

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
