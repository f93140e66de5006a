//! Signals: SIGINT and SIGTERM as flags that the engine polls, and the caller's dispositions of the
//! others.
//!
//! Promises that one or several signals never end the process between two steps: the flags are
//! polled where stopping leaves the target as it was. A signal that the caller ignored stays
//! ignored, here and in children. Children can be waited for, and a write beyond the file size
//! limit fails instead of ending the process. Does not promise any of this to a process that uses
//! the library: that process owns its dispositions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(unix)]
mod unix;

/// Which signals arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signals {
    interrupted: Arc<AtomicBool>,
    terminated: Arc<AtomicBool>,
}

impl Signals {
    /// Catches the signals, except those that the caller ignored. If that fails they end the
    /// process, and recovery handles it.
    pub(crate) fn catch() -> Self {
        let signals = Self::default();
        let flags = [
            (signal_hook::consts::SIGINT, &signals.interrupted),
            (signal_hook::consts::SIGTERM, &signals.terminated),
        ];
        for (signal, flag) in flags {
            if !is_ignored(signal) {
                let _caught = signal_hook::flag::register(signal, Arc::clone(flag));
            }
        }
        #[cfg(unix)]
        {
            unix::wait_for_children();
            // Caught, not ignored: children get the default again, and the write still fails.
            let unread = Arc::default();
            let _caught = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, unread);
        }
        signals
    }

    /// Whether any arrived.
    pub(crate) fn any(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed) || self.terminated()
    }

    /// Whether SIGTERM arrived.
    pub(crate) fn terminated(&self) -> bool {
        self.terminated.load(Ordering::Relaxed)
    }
}

#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    unix::is_ignored(signal)
}

#[cfg(not(unix))]
fn is_ignored(_signal: i32) -> bool {
    false
}
