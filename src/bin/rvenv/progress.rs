//! Progress: what is shown while old files are deleted, which may take long.
//!
//! Promises to show nothing unless it takes long, and then only to a user at a terminal without
//! `--quiet`. A signal ends a deletion that takes long, since the rest is trash that the next run
//! deletes. The target has the new tree by then, so that is no failure.
//!
//! Read next: `terminal.rs`, `signals.rs`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rvenv_journal::raw::{Deletion, Watch, counted};

use crate::signals::Signals;
use crate::terminal::Terminal;

/// A deletion that takes longer than this takes long.
const LONG: Duration = Duration::from_secs(1);
/// How long each number is shown, so that it can be read.
const EACH: Duration = Duration::from_millis(100);

/// Shows a deletion that takes long, and stops it when a signal arrives.
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

    /// Clears the progress line, so that the next output begins on an empty line, and resets the
    /// time.
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
