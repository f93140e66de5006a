//! The file descriptors of a child: the three standard ones, and none that the caller left open.
//!
//! Promises that descriptors which rvenv inherited without the close-on-exec flag, as a shell's `exec 9>file` leaves them,
//! end with rvenv; no program that it starts can read or write what they lead to.
//!
//! Read next: `process.rs`.
#![expect(
    unsafe_code,
    reason = "no crate lets a child change its descriptors in safe form"
)]

use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// The first descriptor that is not a standard one.
const FIRST: i32 = 3;

/// Makes a command start with the three standard descriptors alone.
///
/// They get the close-on-exec flag instead of being closed: one of them tells the parent why a program cannot be started.
pub(super) fn close_others(command: &mut Command) {
    // SAFETY: what runs between fork and exec makes system calls only; it takes no lock and allocates nothing.
    unsafe {
        command.pre_exec(|| {
            close_fds::set_fds_cloexec(FIRST, &[]);
            Ok(())
        });
    }
}
