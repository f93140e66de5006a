//! Signal dispositions that this process inherited.
//!
//! Promises to change only that of SIGCHLD, and only if it prevents waiting for children.
#![expect(
    unsafe_code,
    reason = "no crate queries or resets a disposition in safe form"
)]

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr;

use signal_hook::consts::SIGCHLD;

/// Whether the caller ignored this signal, as `nohup` does and shells do for background processes.
pub(super) fn is_ignored(signal: c_int) -> bool {
    disposition(signal).is_some_and(|found| found.sa_sigaction == libc::SIG_IGN)
}

/// Resets SIGCHLD if the caller ignored it: the system would then forget how a child ended.
pub(super) fn wait_for_children() {
    if is_ignored(SIGCHLD) {
        // SAFETY: the default disposition runs no code of this process.
        let _ignored = unsafe { libc::signal(SIGCHLD, libc::SIG_DFL) };
    }
}

fn disposition(signal: c_int) -> Option<libc::sigaction> {
    let mut found = MaybeUninit::uninit();
    // SAFETY: without a new action nothing changes, and `found` has room for the current one.
    let status = unsafe { libc::sigaction(signal, ptr::null(), found.as_mut_ptr()) };
    // SAFETY: a successful call has filled it in.
    (status == 0).then(|| unsafe { found.assume_init() })
}
