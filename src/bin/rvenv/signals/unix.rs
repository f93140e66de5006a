//! Signal dispositions that another program left to this one.
//!
//! Promises to change that of SIGCHLD alone, and only from one under which no child can be waited for.
#![expect(
    unsafe_code,
    reason = "no crate queries or resets a disposition in safe form"
)]

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr;

use signal_hook::consts::SIGCHLD;

/// Whether the caller had this signal ignored, as `nohup` does and shells in the background.
pub(super) fn is_ignored(signal: c_int) -> bool {
    disposition(signal).is_some_and(|found| found.sa_sigaction == libc::SIG_IGN)
}

/// Sets SIGCHLD to its default where the caller had it ignored: the system then forgets how a child ended.
pub(super) fn wait_for_children() {
    if is_ignored(SIGCHLD) {
        // SAFETY: the default disposition runs no code of this process.
        let _ignored = unsafe { libc::signal(SIGCHLD, libc::SIG_DFL) };
    }
}

fn disposition(signal: c_int) -> Option<libc::sigaction> {
    let mut found = MaybeUninit::uninit();
    // SAFETY: without a new action nothing is changed, and `found` has room for the present one.
    let status = unsafe { libc::sigaction(signal, ptr::null(), found.as_mut_ptr()) };
    // SAFETY: a call that succeeded has filled it in.
    (status == 0).then(|| unsafe { found.assume_init() })
}
