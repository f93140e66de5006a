//! The file descriptors that the caller left open.
//!
//! Promises that descriptors above the three standard ones, as a shell's `exec 9>file` leaves them,
//! reach no interpreter and no health check. They stay open in this process: `apply /dev/fd/9`
//! reads one. The library leaves the descriptors of its process alone, since only the program knows
//! their purpose.

/// The first descriptor that is not a standard one.
#[cfg(unix)]
const FIRST: i32 = 3;

/// Keeps inherited descriptors from the programs that this process starts.
#[cfg(unix)]
pub(crate) fn keep_to_this_process() {
    close_fds::set_fds_cloexec(FIRST, &[]);
}

/// On Windows, a child inherits only the handles that are named for it.
#[cfg(not(unix))]
pub(crate) fn keep_to_this_process() {}
