//! Progress: what is shown while something takes long.
//!
//! Promises to show nothing of what lasts less than half a second, and then only to a user at a
//! terminal without `--quiet`; that the line is cleared before the next message; and that at most
//! one thing is shown at a time. A signal ends a deletion that takes long, since the rest is trash
//! that the next run deletes. The target has the new tree by then, so that is no failure.
//!
//! Read next: `announcer.rs`, which notes what happens; `terminal.rs`, `signals.rs`.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rvenv::fetch;
use rvenv::render::escape;
use rvenv_journal::raw::{Deletion, Watch, counted};

use crate::signals::Signals;
use crate::terminal::Terminal;

/// What takes longer than this is shown.
const LONG: Duration = Duration::from_millis(500);
/// How long each line is shown, so that it can be read.
const EACH: Duration = Duration::from_millis(100);
/// From when on a signal stops a deletion.
const LONG_DELETION: Duration = Duration::from_secs(1);

/// Shows what takes long, and stops a deletion that does when a signal arrives.
#[derive(Debug)]
pub(crate) struct Progress {
    signals: Signals,
    deleting_since: Mutex<Option<Instant>>,
    /// None where nobody would see it.
    shown: Option<Shown>,
}

/// The line, and the thread that prints it.
#[derive(Debug)]
struct Shown {
    line: Arc<Line>,
    printer: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Line {
    terminal: Terminal,
    state: Mutex<State>,
    is_over: Condvar,
}

#[derive(Debug, Default)]
struct State {
    phase: Option<Phase>,
    is_visible: bool,
    is_over: bool,
}

/// What is going on.
#[derive(Debug)]
struct Phase {
    text: String,
    since: Instant,
    /// Whether something that begins is shown in its place.
    is_background: bool,
}

impl Progress {
    pub(crate) fn new(terminal: Terminal, signals: Signals) -> Self {
        Self {
            signals,
            deleting_since: Mutex::default(),
            shown: terminal.shows_progress().then(|| Shown::new(terminal)),
        }
    }

    /// Notes that something begins which may take long.
    pub(crate) fn begin(&self, text: impl Into<String>) {
        self.note(text.into(), Since::Now);
    }

    /// The same, for what is shown only until something of its own begins.
    pub(crate) fn begin_background(&self, text: impl Into<String>) {
        self.note(text.into(), Since::Now);
        if let Some(shown) = &self.shown
            && let Some(phase) = &mut shown.line.state().phase
        {
            phase.is_background = true;
        }
    }

    /// The same as [`Progress::begin`], unless something is going on already.
    pub(crate) fn begin_within(&self, text: impl Into<String>) {
        let is_free = |shown: &Shown| {
            let state = shown.line.state();
            state.phase.as_ref().is_none_or(|phase| phase.is_background)
        };
        if self.shown.as_ref().is_some_and(is_free) {
            self.begin(text);
        }
    }

    /// Notes how far it is.
    pub(crate) fn update(&self, text: impl Into<String>) {
        self.note(text.into(), Since::ItBegan);
    }

    /// Shows how far a download is.
    pub(crate) fn fetching(&self, fetched: &fetch::Progress) {
        self.update(line(fetched));
    }

    /// Notes the end of what was going on, and clears the line, so that the next output begins on
    /// an empty one.
    pub(crate) fn clear(&self) {
        self.deleting_since().take();
        if let Some(shown) = &self.shown {
            shown.line.clear(&mut shown.line.state());
        }
    }

    fn note(&self, text: String, since: Since) {
        let Some(shown) = &self.shown else { return };
        let mut state = shown.line.state();
        let since = match (&state.phase, since) {
            (Some(phase), Since::ItBegan) if kind(&phase.text) == kind(&text) => phase.since,
            (Some(_) | None, Since::ItBegan | Since::Now) => Instant::now(),
        };
        state.phase = Some(Phase {
            text,
            since,
            is_background: false,
        });
    }

    fn deleting_since(&self) -> MutexGuard<'_, Option<Instant>> {
        let since = self.deleting_since.lock();
        since.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Since when something is going on.
#[derive(Clone, Copy)]
enum Since {
    Now,
    /// Since the first text of its kind.
    ItBegan,
}

/// The part of a text that stays the same while something goes on.
fn kind(text: &str) -> &str {
    text.split(':').next().unwrap_or_default()
}

impl Shown {
    fn new(terminal: Terminal) -> Self {
        let line = Arc::new(Line {
            terminal,
            state: Mutex::default(),
            is_over: Condvar::new(),
        });
        let of_thread = Arc::clone(&line);
        let thread = std::thread::Builder::new().name("progress".to_owned());
        let printer = thread.spawn(move || of_thread.print());
        Self {
            line,
            // Without a thread, work goes on unseen.
            printer: printer.ok(),
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let mut state = self.line.state();
        self.line.clear(&mut state);
        state.is_over = true;
        drop(state);
        self.line.is_over.notify_all();
        let _ended = self.printer.take().map(JoinHandle::join);
    }
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clear(&self, state: &mut State) {
        state.phase = None;
        if std::mem::take(&mut state.is_visible) {
            self.terminal.passing("");
        }
    }

    /// Prints the line again and again until it is over.
    fn print(&self) {
        let mut state = self.state();
        while !state.is_over {
            if let Some(phase) = &state.phase
                && phase.since.elapsed() >= LONG
            {
                self.terminal.passing(&phase.shown());
                state.is_visible = true;
            }
            let waited = self.is_over.wait_timeout(state, EACH);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Phase {
    /// The text, and how long it takes so far.
    fn shown(&self) -> String {
        let text = escape(&self.text);
        match self.since.elapsed().as_secs() {
            0 => text,
            seconds => format!("{text} ({seconds} s)"),
        }
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
        let mut since = self.deleting_since();
        let since = *since.get_or_insert_with(Instant::now);
        if self.shown.is_some() {
            let count = counted(count, "file");
            self.update(format!("Deleting what is no longer needed: {count}"));
        }
        if since.elapsed() >= LONG_DELETION && self.signals.any() {
            return Deletion::Stop;
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
