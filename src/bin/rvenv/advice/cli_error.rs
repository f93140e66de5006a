//! A failure in the form in which it is printed: for people, and as JSON for programs.
//!
//! Promises that both say the same: the code, the message, the causes, the state and the hint.
//! Read next: `../advice.rs`, which describes each failure of the library.

use std::error::Error;
use std::fmt::Write as _;
use std::io;

use rvenv::host::file_size_max;
use rvenv::render::escape;
use rvenv_journal::raw::counted;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Code, Effect, Exit, State};

/// The object that a command prints with `--json` when it fails.
///
/// A command that did a part of its work before has that part beside the error.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct FailureJson<'a> {
    /// The version of this form.
    format: u64,
    error: ErrorJson<'a>,
    #[serde(flatten)]
    #[cfg_attr(test, schemars(skip))]
    done: Option<&'a Map<String, Value>>,
}

/// An error.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ErrorJson<'a> {
    /// One of the codes that `rvenv explain` lists; it never changes its meaning.
    code: &'static str,
    /// The exit code of the command.
    exit: u8,
    /// What failed, in words that may change.
    message: &'a str,
    /// Why, the outermost reason first.
    causes: &'a [String],
    /// More lines about it, such as what has changed since a plan was made.
    details: &'a [String],
    /// The state of the target, the cache or the file; `null` where the command changes nothing.
    state: Option<&'static str>,
    /// What to do next, where that is known.
    hint: Option<&'a str>,
}

/// A failure in the form in which it is printed.
#[derive(Debug)]
pub(crate) struct CliError {
    pub(crate) code: Code,
    pub(super) message: String,
    pub(super) causes: Vec<String>,
    pub(super) details: Vec<String>,
    pub(super) state: Option<State>,
    /// Whether only a search failed, which could not change anything.
    is_search: bool,
    hint: Option<String>,
    /// What the command did before, as the fields of a JSON object.
    done: Option<Box<Map<String, Value>>>,
}

impl CliError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            causes: Vec::new(),
            details: Vec::new(),
            state: None,
            is_search: false,
            hint: None,
            done: None,
        }
    }

    pub(crate) fn of(code: Code, error: &dyn Error) -> Self {
        let mut told = Self::new(code, escape_lines(&error.to_string()));
        let mut next = error.source();
        while let Some(cause) = next {
            told.add_cause(cause, escape_lines(&cause.to_string()));
            next = cause.source();
        }
        told
    }

    fn add_cause(&mut self, error: &(dyn Error + 'static), text: String) {
        self.causes.push(text);
        let error = error.downcast_ref::<io::Error>();
        if let Some(hint) = error.and_then(closed) {
            self.hint = Some(hint.to_owned());
        }
        let limit = error.and_then(|error| exceeded(error).or(forbidden(error)));
        if let Some(limit) = limit.filter(|limit| !self.details.contains(limit)) {
            self.details.push(limit);
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The state that the failure leaves.
    pub(crate) fn leaving(mut self, state: State) -> Self {
        self.state = Some(state);
        self
    }

    /// The innermost cause, else the message.
    pub(crate) fn reason(&self) -> String {
        self.causes.last().unwrap_or(&self.message).clone()
    }

    /// Whether the failure contains these words of the system.
    pub(crate) fn tells(&self, words: &str) -> bool {
        let mut texts = self.causes.iter().chain(&self.details);
        self.message.contains(words) || texts.any(|text| text.contains(words))
    }

    /// What exists in place of what was searched for; printed instead of the state, since a search
    /// changes nothing.
    pub(crate) fn instead(mut self, what: &str) -> Self {
        self.details.insert(0, escape(what));
        self.is_search = true;
        self
    }

    /// The state of something that the command had not begun to change, unless more is known.
    pub(crate) fn or_not_begun(mut self, effect: Effect) -> Self {
        if !self.is_search {
            self.state = self.state.or(effect.not_begun());
        }
        self
    }

    pub(crate) fn because(mut self, error: &(dyn Error + 'static)) -> Self {
        self.add_cause(error, escape_lines(&error.to_string()));
        self
    }

    /// Adds what the command did before it failed, for `--json`.
    pub(crate) fn beside(mut self, done: &impl Serialize) -> Self {
        if let Ok(Value::Object(mut done)) = serde_json::to_value(done) {
            // The failure has one of its own.
            done.remove("format");
            self.done = Some(Box::new(done));
        }
        self
    }

    /// The object of `--json`, which begins with its form and the error.
    pub(crate) fn json(&self) -> String {
        let failure = FailureJson {
            format: 1,
            error: ErrorJson {
                code: self.code.name(),
                exit: self.exit() as u8,
                message: &self.message,
                causes: &self.causes,
                details: &self.details,
                state: self.state.map(State::sentence),
                hint: self.hint.as_deref(),
            },
            done: self.done.as_deref(),
        };
        serde_json::to_string_pretty(&failure).unwrap_or_default()
    }

    /// How the command ends.
    pub(crate) fn exit(&self) -> Exit {
        self.code.exit()
    }

    /// The whole text, for standard error.
    pub(crate) fn text(&self) -> String {
        let code = self.code.name();
        let mut text = format!("\x1b[31merror[{code}]\x1b[0m: {}\n", self.message);
        for cause in &self.causes {
            let _infallible = writeln!(text, "  caused by: {cause}");
        }
        for detail in &self.details {
            let _infallible = writeln!(text, "  {detail}");
        }
        if let Some(state) = self.state {
            let _infallible = writeln!(text, "  {}", state.sentence());
        }
        if let Some(hint) = &self.hint {
            let _infallible = writeln!(text, "\x1b[36mhint\x1b[0m: {hint}");
        }
        text
    }
}

/// The limit that a write exceeded, if this process has one.
fn exceeded(error: &io::Error) -> Option<String> {
    if error.kind() != io::ErrorKind::FileTooLarge {
        return None;
    }
    let limit = counted(file_size_max()?, "byte");
    Some(format!(
        "no file of this process may exceed {limit} (`ulimit -f`)"
    ))
}

/// What to do where the system refuses this user or every write; a failure that knows more has a
/// hint of its own.
fn closed(error: &io::Error) -> Option<&'static str> {
    if error.kind() == io::ErrorKind::ReadOnlyFilesystem {
        return Some("mount that filesystem for writing, then run the command again");
    }
    let is_denied = error.kind() == io::ErrorKind::PermissionDenied && forbidden(error).is_none();
    is_denied.then_some("run as the owner of what is named above, or change its permissions")
}

/// What can stop even root from changing an entry, if the system can show it.
#[cfg(target_os = "linux")]
pub(crate) fn forbidden(error: &io::Error) -> Option<String> {
    let is_it = error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error());
    is_it.then(|| {
        "`lsattr -d` shows whether the entry, or the directory that it is in, is immutable (`i`) \
         or append-only (`a`)"
            .to_owned()
    })
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn forbidden(_error: &io::Error) -> Option<String> {
    None
}

/// Escapes a message of rvenv's own, which may have several lines; quoted text was escaped where it
/// was quoted.
pub(super) fn escape_lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(escape).collect();
    lines.join("\n")
}

#[cfg(all(test, unix))]
mod tests {
    use rustix::io::Errno;

    use super::*;

    fn text_of(errno: Errno) -> String {
        let error = io::Error::from(errno);
        CliError::new(Code::Disk, "no").because(&error).text()
    }

    #[test]
    fn who_may_not_write_learns_what_to_do() {
        let said = text_of(Errno::ACCESS);
        assert!(said.contains("run as the owner of what"), "{said}");
        let said = text_of(Errno::ROFS);
        assert!(said.contains("mount that filesystem"), "{said}");
        let error = io::Error::from(Errno::ROFS);
        let told = CliError::new(Code::Disk, "no").because(&error);
        assert!(told.hint("other").text().ends_with(": other\n"));
        assert!(!text_of(Errno::IO).contains("hint"));
    }
}
