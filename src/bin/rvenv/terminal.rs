//! The terminal: data goes to standard output, messages to standard error.
//!
//! Promises that data which cannot be written is an error, unless its reader has closed the pipe,
//! and that colour is removed where it is not wanted. Does not promise that messages arrive: there
//! is no other stream on which to report that.

use std::io::{self, ErrorKind, IsTerminal as _, Write};

use anstream::{AutoStream, ColorChoice};
#[cfg(unix)]
use rustix::event::{PollFd, PollFlags, poll};
use rvenv::render::escape;

use rvenv::render::escape_json;

use crate::advice::{CliError, of_output};
use crate::args::Colour;

/// How much is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Volume {
    Quiet,
    Normal,
    Verbose,
}

/// The output streams of the command.
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

    /// Prints data: what the user asked the command for.
    ///
    /// # Errors
    /// What the stream reports, except that its reader is gone.
    #[must_use = "data that is lost is a failure of the command"]
    pub(crate) fn data(self, text: &str) -> Result<(), CliError> {
        let colour = match self.colour {
            ColorChoice::Auto => AutoStream::choice(&io::stdout()),
            chosen @ (ColorChoice::Always | ColorChoice::AlwaysAnsi | ColorChoice::Never) => chosen,
        };
        let written = standard_output().and_then(|stream| {
            let mut stream = AutoStream::new(stream, colour);
            stream.write_all(text.as_bytes())?;
            stream.flush()
        });
        match written {
            // The reader has read enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(|error| of_output(&error)),
        }
    }

    /// Prints data as JSON, escaped so that it cannot control a terminal.
    ///
    /// # Errors
    /// As [`Terminal::data`].
    #[must_use = "data that is lost is a failure of the command"]
    pub(crate) fn json(self, text: &str) -> Result<(), CliError> {
        self.data(&escape_json(text))
    }

    /// Prints a message: how a command ended, and what to type next.
    pub(crate) fn story(self, text: &str) {
        if self.volume > Volume::Quiet {
            self.error(&format!("{text}\n"));
        }
    }

    /// Prints what the user should know although nothing failed.
    pub(crate) fn warning(self, text: &str) {
        self.escaped_warning(&escape(text));
    }

    /// The same, for a text whose quotes are escaped already.
    pub(crate) fn escaped_warning(self, text: &str) {
        self.story(&format!("\x1b[33mwarning\x1b[0m: {text}"));
    }

    /// Prints a message with `--verbose` only.
    pub(crate) fn detail(self, text: &str) {
        if self.volume == Volume::Verbose {
            self.error(&format!("{text}\n"));
        }
    }

    /// The same, for a text that is computed only if it is printed.
    pub(crate) fn detail_of(self, text: impl FnOnce() -> String) {
        if self.volume == Volume::Verbose {
            self.detail(&text());
        }
    }

    /// Whether a progress line is seen: by a user at a terminal that can clear a line, unless
    /// `--quiet` is given.
    pub(crate) fn shows_progress(self) -> bool {
        self.volume > Volume::Quiet && io::stderr().is_terminal() && !console::is_dumb()
    }

    /// Prints in any case.
    pub(crate) fn error(self, text: &str) {
        let mut stream = AutoStream::new(io::stderr(), self.colour);
        let _reader = stream.write_all(text.as_bytes());
    }
}

/// Standard output itself. The standard library's stream silently drops output if its descriptor is
/// not open for writing.
#[cfg(unix)]
fn standard_output() -> io::Result<Box<dyn Write>> {
    use std::os::fd::AsFd as _;
    let own = io::stdout().as_fd().try_clone_to_owned()?;
    Ok(Box::new(Patient(own.into())))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "one interface for all systems")]
fn standard_output() -> io::Result<Box<dyn Write>> {
    Ok(Box::new(io::stdout()))
}

/// A stream that waits even if the parent process made it nonblocking.
#[cfg(unix)]
struct Patient(std::fs::File);

#[cfg(unix)]
impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let mut ready = [PollFd::new(&self.0, PollFlags::OUT)];
                    poll(&mut ready, None)?;
                }
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
