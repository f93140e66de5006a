//! The announcer: prints what the library does meanwhile, and passes signals on to it.
//!
//! Promises that a waiting user reads only once which process holds the lock, and that the result
//! of a recovery is known if the run then fails.
//! Read next: the library's `caller.rs`, which notifies it; `progress.rs`.

use std::cell::Cell;
use std::path::Path;

use rvenv::caller::{Listener, Phase};
use rvenv::checks::Check;
use rvenv::fetch;
use rvenv::render::escape;
use rvenv_journal::raw::Watch;
use rvenv_journal::{Recovered, StageFailed};

use crate::advice::Recovery;
use crate::progress::Progress;
use crate::signals::Signals;
use crate::terminal::{Terminal, Volume};

pub(crate) struct Announcer<'a> {
    terminal: Terminal,
    signals: Signals,
    progress: &'a Progress,
    /// What is shown of work that has no event of its own.
    background: &'static str,
    recovery: Cell<Recovery>,
    has_warned: &'a Cell<bool>,
    has_told_waiting: Cell<bool>,
}

impl<'a> Announcer<'a> {
    pub(crate) fn new(
        terminal: Terminal,
        signals: Signals,
        progress: &'a Progress,
        has_warned: &'a Cell<bool>,
        background: &'static str,
    ) -> Self {
        progress.begin_background(background);
        Self {
            terminal,
            signals,
            progress,
            background,
            recovery: Cell::default(),
            has_warned,
            has_told_waiting: Cell::default(),
        }
    }

    /// Clears the progress line, and returns what a recovery did.
    pub(crate) fn end(&self) -> Recovery {
        self.progress.clear();
        self.recovery.get()
    }
}

impl Announcer<'_> {
    /// Prints a message in place of the progress line, which then begins again.
    fn say(&self, print: impl FnOnce()) {
        self.progress.clear();
        print();
        self.progress.begin_background(self.background);
    }
}

impl Listener for Announcer<'_> {
    fn interrupted(&self) -> bool {
        self.signals.any()
    }

    fn starting(&self, program: &Path) {
        let shown = program.to_string_lossy();
        if self.terminal.volume == Volume::Verbose {
            self.progress.clear();
            self.terminal
                .detail(&format!("asking `{}`", escape(&shown)));
        }
        self.progress.begin_within(format!("Running `{shown}`"));
    }

    fn warning(&self, text: &str) {
        self.has_warned.set(true);
        self.say(|| self.terminal.warning(text));
    }

    fn checking(&self, check: &Check) {
        self.progress.clear();
        self.terminal.detail(&format!("running {check}"));
        self.progress.begin(format!("Running {check}"));
    }

    fn phase(&self, phase: Phase) {
        match phase {
            Phase::Reading => self.progress.begin_background(self.background),
            Phase::Resolving => self.progress.begin("Resolving requirements"),
            Phase::Compiling => self.progress.begin("Compiling bytecode"),
            Phase::Unpacking => self.progress.begin("Unpacking wheels"),
            Phase::Building => self.progress.begin("Building what changes"),
            Phase::Publishing => self.progress.begin("Publishing"),
            Phase::Settling => self.progress.begin("Finishing"),
            Phase::Other => self.progress.clear(),
        }
    }

    fn building(&self, what: &str) {
        self.progress.clear();
        self.terminal.story(&format!("Building {what}"));
        self.progress.begin(format!("Building {what}"));
    }

    fn waiting(&self, holder: &str) {
        if !self.has_told_waiting.replace(true) {
            self.progress.clear();
            self.terminal.story(&format!("Waiting for {holder}"));
        }
        self.progress.update(format!("Waiting for {holder}"));
    }

    fn recovered(&self, recovered: &Recovered) {
        self.recovery.set(Recovery::of(recovered));
        self.say(|| self.terminal.tell_recovery(recovered));
    }

    fn copying(&self, failed: &StageFailed) {
        let shown = escape(&failed.target.to_string_lossy());
        self.say(|| {
            self.terminal.story(&format!(
                "The filesystem of `{shown}` has no symbolic links: planning again with copies"
            ));
        });
    }

    fn fetching(&self, progress: &fetch::Progress) {
        self.progress.fetching(progress);
    }

    fn watch(&self) -> &dyn Watch {
        self.progress
    }
}
