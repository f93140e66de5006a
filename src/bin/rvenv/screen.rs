//! The screen: one line of the user's terminal, which a library draws and clears.
//!
//! Promises that a line never wraps on a terminal of at least ten columns, and that a terminal
//! which takes nothing (`EIO`, `EAGAIN`) loses the line and disturbs nothing else. Does not promise
//! that a line is cleared whole after the user has made the terminal narrower.
//!
//! Read next: `progress.rs`, which decides what is shown, and when.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

/// The least columns of a bar.
const BAR_MIN: usize = 10;
/// What is in front of a bar, and behind it.
const FRAME: usize = " []".len();

/// What a line shows.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) text: String,
    /// At the end of the line, whatever fits in front.
    pub(crate) end: String,
    pub(crate) part: Option<Part>,
}

/// How much is done, for a bar.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Part {
    pub(crate) done: u64,
    pub(crate) total: u64,
}

/// A line at a terminal.
#[derive(Debug)]
pub(crate) struct Screen {
    bar: ProgressBar,
}

impl Screen {
    pub(crate) fn new() -> Self {
        // What the user typed meanwhile may be in the line.
        let _lost = Term::stderr().clear_line();
        let target = ProgressDrawTarget::term_like(Box::new(Lossy::new()));
        Self {
            bar: ProgressBar::with_draw_target(None, target),
        }
    }

    /// Draws the line again.
    pub(crate) fn draw(&self, shown: Shown) {
        let template = template(&shown, usize::from(columns()));
        let style = ProgressStyle::with_template(template);
        let style = style.expect("the layouts are constants");
        let bar = self.bar.clone().with_style(style.progress_chars("=> "));
        // These do not draw; the update does.
        let bar = bar.with_message(shown.text).with_prefix(shown.end);
        bar.update(|state| {
            let part = shown.part.unwrap_or_default();
            state.set_pos(part.done);
            state.set_len(part.total);
        });
    }

    /// Clears the line for what comes next.
    pub(crate) fn clear(self) {
        self.bar.finish_and_clear();
    }
}

/// The layout of a line: with a bar if there is room for one, without one as far as it fits.
fn template(shown: &Shown, columns: usize) -> &'static str {
    let others = shown.text.len() + FRAME + shown.end.len();
    match shown.part {
        Some(_) if others + BAR_MIN <= columns => "{msg} [{wide_bar}]{prefix}",
        Some(_) | None => "{wide_msg}{prefix}",
    }
}

/// The columns of a line; 79 where the terminal does not know. The last column stays empty, since
/// some terminals begin the next line once it is written; and a letter may take two.
fn columns() -> u16 {
    let (_, columns) = Term::stderr().size();
    columns.saturating_sub(1).max(2)
}

/// A terminal whose failures are no failures of the work that is shown.
#[derive(Debug)]
struct Lossy(Mutex<Term>);

impl Lossy {
    fn new() -> Self {
        Self(Mutex::new(Term::buffered_stderr()))
    }

    fn term(&self) -> MutexGuard<'_, Term> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TermLike for Lossy {
    fn width(&self) -> u16 {
        columns()
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        self.term().move_cursor_up(lines)
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        self.term().move_cursor_down(lines)
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        self.term().move_cursor_right(columns)
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        self.term().move_cursor_left(columns)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.term().write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.term().write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.term().clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        let mut term = self.term();
        if term.flush().is_err() {
            // What the terminal did not take must not grow in memory while it takes nothing.
            *term = Term::buffered_stderr();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_drawn_where_it_has_room() {
        let shown = |part| Shown {
            text: "Fetching wheels: 1 of 3, 1.2 of 34.0 MB".to_owned(),
            end: " 12 s".to_owned(),
            part,
        };
        let part = Some(Part { done: 1, total: 3 });
        let bar = "{msg} [{wide_bar}]{prefix}";
        assert_eq!(template(&shown(part), 57), bar);
        assert_eq!(template(&shown(part), 56), "{wide_msg}{prefix}");
        assert_eq!(template(&shown(None), 200), "{wide_msg}{prefix}");
    }
}
