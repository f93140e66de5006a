//! The terminal: data goes to standard output, the story to standard error.
//!
//! Promises that a reader who went away is no failure, and that colour is taken out where it is not wanted.

use std::io::{self, IsTerminal as _, Write};

use anstream::{AutoStream, ColorChoice};
use rvenv::render::escape;

use super::args::Colour;

/// Columns that what passes takes, so that a shorter text covers a longer one.
const PASSING_WIDTH: usize = 60;

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Volume {
    Quiet,
    Normal,
    Verbose,
}

/// Where the command speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    pub(crate) volume: Volume,
    colour: ColorChoice,
}

impl Terminal {
    pub(crate) fn new(volume: Volume, colour: Colour) -> Self {
        let colour = match colour {
            Colour::Auto => ColorChoice::Auto,
            Colour::Always => ColorChoice::Always,
            Colour::Never => ColorChoice::Never,
        };
        Self { volume, colour }
    }

    /// Data: what the command was asked for.
    pub(crate) fn data(self, text: &str) {
        let mut stream = AutoStream::new(io::stdout(), self.colour);
        // A closed pipe is a reader who has seen enough.
        let _reader = stream
            .write_all(text.as_bytes())
            .and_then(|()| stream.flush());
    }

    /// The story: how it ended, and what to type next.
    pub(crate) fn story(self, text: &str) {
        if self.volume > Volume::Quiet {
            self.error(&format!("{text}\n"));
        }
    }

    /// What the user should know though nothing fails.
    pub(crate) fn warning(self, text: &str) {
        let text = escape(text);
        self.story(&format!("\x1b[33mwarning\x1b[0m: {text}"));
    }

    /// More of the story, for those who ask.
    pub(crate) fn detail(self, text: &str) {
        if self.volume == Volume::Verbose {
            self.error(&format!("{text}\n"));
        }
    }

    /// The same, of something that is only worked out if anybody asks.
    pub(crate) fn detail_of(self, text: impl FnOnce() -> String) {
        if self.volume == Volume::Verbose {
            self.detail(&text());
        }
    }

    /// What passes: it takes the place of what passed before, and only a person at a terminal sees it.
    pub(crate) fn passing(self, text: &str) {
        if self.volume > Volume::Quiet && io::stderr().is_terminal() {
            let (width, back) = (PASSING_WIDTH, '\r');
            // The place is cleared before the next line of the story is written from its beginning.
            let clear = if text.is_empty() { "\r" } else { "" };
            self.error(&format!("{back}{text:width$}{clear}"));
        }
    }

    /// What is said in any case.
    pub(crate) fn error(self, text: &str) {
        let mut stream = AutoStream::new(io::stderr(), self.colour);
        let _reader = stream.write_all(text.as_bytes());
    }
}
