//! SIGINT and SIGTERM as flags that the engine polls.
//!
//! Promises that a signal, or a second one, never ends the process between two steps: it is looked at where stopping
//! leaves the target as it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Which signals came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signals {
    interrupted: Arc<AtomicBool>,
    terminated: Arc<AtomicBool>,
}

impl Signals {
    /// Takes the signals over. Where that fails they end the process as ever, which recovery copes with.
    pub(crate) fn catch() -> Self {
        let signals = Self::default();
        let flags = [
            (signal_hook::consts::SIGINT, &signals.interrupted),
            (signal_hook::consts::SIGTERM, &signals.terminated),
        ];
        for (signal, flag) in flags {
            let _caught = signal_hook::flag::register(signal, Arc::clone(flag));
        }
        signals
    }

    /// Whether any came.
    pub(crate) fn any(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed) || self.terminated()
    }

    /// Whether SIGTERM came.
    pub(crate) fn terminated(&self) -> bool {
        self.terminated.load(Ordering::Relaxed)
    }
}
