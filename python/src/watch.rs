//! Ctrl-C during native work.
//!
//! Promises to ask Python for pending signals at most every few hundredths of a second, and to keep
//! the exception that a handler raised: the run stops as after an interruption, and the exception
//! is raised then. Only Python's main thread runs handlers; in another thread nothing is found.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use rvenv::caller::Listener;

/// How often signals are looked at: what a person does not notice.
const EVERY: Duration = Duration::from_millis(40);

/// Listens for signals, and for nothing else.
pub(crate) struct Watcher {
    last: Cell<Instant>,
    pub(crate) raised: RefCell<Option<PyErr>>,
}

impl Watcher {
    pub(crate) fn new() -> Self {
        Self {
            last: Cell::new(Instant::now()),
            raised: RefCell::new(None),
        }
    }
}

impl Listener for Watcher {
    fn interrupted(&self) -> bool {
        if self.raised.borrow().is_some() {
            return true;
        }
        if self.last.get().elapsed() < EVERY {
            return false;
        }
        self.last.set(Instant::now());
        if let Err(raised) = Python::attach(pending) {
            *self.raised.borrow_mut() = Some(raised);
            return true;
        }
        false
    }
}

/// Runs the handlers of pending signals.
fn pending(py: Python<'_>) -> PyResult<()> {
    py.check_signals()
}
