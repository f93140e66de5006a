//! Progress: what is shown while something takes long.
//!
//! Promises to show nothing of what lasts less than half a second, and then only to a user at a
//! terminal without `--quiet`; that the line is cleared before the next message; and that at most
//! one thing is shown at a time. A signal ends a deletion that takes long, since the rest is trash
//! that the next run deletes. The target has the new tree by then, so that is no failure.
//!
//! Read next: `announcer.rs`, which notes what happens; `screen.rs`, how it is drawn; `signals.rs`.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rvenv::fetch;
use rvenv::render::escape;
use rvenv_journal::raw::{Deletion, Watch, counted};

use crate::screen::{Part, Screen, Shown};
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
    shown: Option<Printer>,
}

/// The line, and the thread that prints it. A thread of the library would draw at once, and panic
/// where no thread can be made.
#[derive(Debug)]
struct Printer {
    line: Arc<Line>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Line {
    state: Mutex<State>,
    is_over: Condvar,
}

#[derive(Debug, Default)]
struct State {
    phase: Option<Phase>,
    /// None while nothing is visible.
    screen: Option<Screen>,
    is_over: bool,
}

/// What is going on.
#[derive(Debug)]
struct Phase {
    text: String,
    part: Option<Part>,
    since: Instant,
    /// Whether something that begins is shown in its place.
    is_background: bool,
}

impl Progress {
    pub(crate) fn new(terminal: Terminal, signals: Signals) -> Self {
        Self {
            signals,
            deleting_since: Mutex::default(),
            shown: terminal.shows_progress().then(Printer::new),
        }
    }

    /// Notes that something begins which may take long.
    pub(crate) fn begin(&self, text: impl Into<String>) {
        self.note(text.into(), None, Since::Now);
    }

    /// The same, for what is shown only until something of its own begins.
    pub(crate) fn begin_background(&self, text: impl Into<String>) {
        self.note(text.into(), None, Since::Now);
        if let Some(shown) = &self.shown
            && let Some(phase) = &mut shown.line.state().phase
        {
            phase.is_background = true;
        }
    }

    /// The same as [`Progress::begin`], unless something is going on already.
    pub(crate) fn begin_within(&self, text: impl Into<String>) {
        let is_free = |shown: &Printer| {
            let state = shown.line.state();
            state.phase.as_ref().is_none_or(|phase| phase.is_background)
        };
        if self.shown.as_ref().is_some_and(is_free) {
            self.begin(text);
        }
    }

    /// Notes how far it is.
    pub(crate) fn update(&self, text: impl Into<String>) {
        self.note(text.into(), None, Since::ItBegan);
    }

    /// Shows how far a download is.
    pub(crate) fn fetching(&self, fetched: &fetch::Progress) {
        let fetch::Progress { done, total, .. } = *fetched;
        // What is not known has no bar.
        let is_known = total > 0 && done <= total;
        let part = is_known.then_some(Part { done, total });
        self.note(line(fetched), part, Since::ItBegan);
    }

    /// Notes the end of what was going on, and clears the line, so that the next output begins on
    /// an empty one.
    pub(crate) fn clear(&self) {
        self.deleting_since().take();
        if let Some(shown) = &self.shown {
            shown.line.state().clear();
        }
    }

    fn note(&self, text: String, part: Option<Part>, since: Since) {
        let Some(shown) = &self.shown else { return };
        let mut state = shown.line.state();
        let since = match (&state.phase, since) {
            (Some(phase), Since::ItBegan) if kind(&phase.text) == kind(&text) => phase.since,
            (Some(_) | None, Since::ItBegan | Since::Now) => Instant::now(),
        };
        state.phase = Some(Phase {
            text,
            part,
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

impl Printer {
    fn new() -> Self {
        let line = Arc::new(Line::default());
        let of_thread = Arc::clone(&line);
        let thread = std::thread::Builder::new().name("progress".to_owned());
        let thread = thread.spawn(move || of_thread.print());
        Self {
            line,
            // Without a thread, work goes on unseen.
            thread: thread.ok(),
        }
    }
}

impl Drop for Printer {
    fn drop(&mut self) {
        let mut state = self.line.state();
        state.clear();
        state.is_over = true;
        drop(state);
        self.line.is_over.notify_all();
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

impl State {
    fn clear(&mut self) {
        self.phase = None;
        if let Some(screen) = self.screen.take() {
            screen.clear();
        }
    }
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints the line again and again until it is over.
    fn print(&self) {
        let mut state = self.state();
        while !state.is_over {
            let long = state
                .phase
                .as_ref()
                .filter(|phase| phase.since.elapsed() >= LONG);
            if let Some(shown) = long.map(Phase::shown) {
                state.screen.get_or_insert_with(Screen::new).draw(shown);
            }
            let waited = self.is_over.wait_timeout(state, EACH);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Phase {
    /// The text, and how long it takes so far.
    fn shown(&self) -> Shown {
        let end = match self.since.elapsed().as_secs() {
            0 => String::new(),
            seconds => format!(" {seconds} s"),
        };
        Shown {
            text: escape(&self.text),
            end,
            part: self.part,
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
