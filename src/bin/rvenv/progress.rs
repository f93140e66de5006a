//! Progress: what is shown while something that nobody needs any more is deleted, which may take long.
//!
//! Promises to show nothing unless it takes long, and then only to a person at a terminal who did not ask for quiet; and
//! that a signal ends a deletion that takes long, since what is left is trash which the next run deletes. The target has
//! the new tree by then, so that is no failure.
//!
//! Read next: `terminal.rs`, `signals.rs`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rvenv_journal::Watch;
use rvenv_journal::raw::{Deletion, counted};

use crate::signals::Signals;
use crate::terminal::Terminal;

/// What takes longer is long.
const LONG: Duration = Duration::from_secs(1);
/// How long a number stands, so that it can be read.
const EACH: Duration = Duration::from_millis(100);

/// Shows a deletion that takes long, and stops it when a signal comes.
#[derive(Debug)]
pub(crate) struct Progress {
    terminal: Terminal,
    signals: Signals,
    times: Mutex<Times>,
}

#[derive(Debug, Default)]
struct Times {
    begun: Option<Instant>,
    shown: Option<Instant>,
}

impl Progress {
    pub(crate) fn new(terminal: Terminal, signals: Signals) -> Self {
        Self {
            terminal,
            signals,
            times: Mutex::default(),
        }
    }

    /// Takes away what is shown: what comes next begins on an empty line, and its time is its own.
    pub(crate) fn clear(&self) {
        if std::mem::take(&mut *self.times()).shown.is_some() {
            self.terminal.passing("");
        }
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch for Progress {
    fn removed(&self, count: u64) -> Deletion {
        let mut times = self.times();
        let now = Instant::now();
        if now.duration_since(*times.begun.get_or_insert(now)) < LONG {
            return Deletion::GoOn;
        }
        if self.signals.any() {
            return Deletion::Stop;
        }
        if times
            .shown
            .is_none_or(|shown| now.duration_since(shown) >= EACH)
        {
            times.shown = Some(now);
            self.terminal.passing(&format!(
                "Deleting what is no longer needed: {}",
                counted(count, "file")
            ));
        }
        Deletion::GoOn
    }
}
