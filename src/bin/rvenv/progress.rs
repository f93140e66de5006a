//! Progress: what is shown while wheels arrive or old files are deleted, which may take long.
//!
//! Promises to show nothing unless it takes long, and then only to a user at a terminal without
//! `--quiet`. A signal ends a deletion that takes long, since the rest is trash that the next run
//! deletes. The target has the new tree by then, so that is no failure.
//!
//! Read next: `terminal.rs`, `signals.rs`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rvenv::fetch;
use rvenv_journal::raw::{Deletion, Watch, counted};

use crate::signals::Signals;
use crate::terminal::Terminal;

/// A deletion that takes longer than this takes long.
const LONG: Duration = Duration::from_secs(1);
/// How long each number is shown, so that it can be read.
const EACH: Duration = Duration::from_millis(100);

/// A download that takes longer than this is shown.
const LONG_FETCH: Duration = Duration::from_millis(250);

/// Shows what takes long, and stops a deletion that does when a signal arrives.
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

    /// Shows how far a download is.
    pub(crate) fn fetching(&self, fetched: &fetch::Progress) {
        let mut times = self.times();
        let now = Instant::now();
        if times.since(now) >= LONG_FETCH && times.is_due(now) {
            self.terminal.passing(&line(fetched));
        }
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Times {
    /// How long it takes so far.
    fn since(&mut self, now: Instant) -> Duration {
        now.duration_since(*self.begun.get_or_insert(now))
    }

    /// Whether the last number was shown for long enough; then the next one is shown now.
    fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self
            .shown
            .is_none_or(|shown| now.duration_since(shown) >= EACH);
        if is_due {
            self.shown = Some(now);
        }
        is_due
    }
}

/// How far a download is, in files and bytes; the size of some files may be unknown.
fn line(fetched: &fetch::Progress) -> String {
    let fetch::Progress {
        done,
        total,
        files_done,
        files,
    } = *fetched;
    let bytes = if done <= total {
        format!("{} of {} MB", megabytes(done), megabytes(total))
    } else {
        format!("{} MB", megabytes(done))
    };
    format!("Fetching wheels: {files_done} of {files}, {bytes}")
}

fn megabytes(bytes: u64) -> String {
    let tenths = bytes / 100_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}

impl Watch for Progress {
    fn removed(&self, count: u64) -> Deletion {
        let mut times = self.times();
        let now = Instant::now();
        if times.since(now) < LONG {
            return Deletion::GoOn;
        }
        if self.signals.any() {
            return Deletion::Stop;
        }
        if times.is_due(now) {
            self.terminal.passing(&format!(
                "Deleting what is no longer needed: {}",
                counted(count, "file")
            ));
        }
        Deletion::GoOn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_of_all_that_are_known() {
        let shown = |done, total| {
            line(&fetch::Progress {
                done,
                total,
                files_done: 1,
                files: 3,
            })
        };
        let expected = "Fetching wheels: 1 of 3, 1.2 of 34.0 MB";
        assert_eq!(shown(1_299_999, 34_000_000), expected);
        assert_eq!(shown(5_000_000, 0), "Fetching wheels: 1 of 3, 5.0 MB");
    }
}
