//! Precedence: what decides which interpreter is wanted, and what comes first.
//!
//! Promises one order: what the caller asks for (`--python`, else `RVENV_PYTHON`); else the nearest
//! `.python-version`; else any interpreter that the project's `requires-python` admits, the usual
//! one first.
//!
//! Promises to report what it skips: a line that names no Python, a `pyproject.toml` that cannot be
//! read, and a requested interpreter that the project does not work with. A `.python-version`
//! without any usable line is an error if nothing else was requested: taking another Python would
//! hide the mistake.
//!
//! Read next: `version_file.rs` and `requires_python.rs`, which read the files; `discover.rs`,
//! which searches.

use std::path::Path;

use super::error::{InterpreterError, shown};
use super::release::Release;
use super::request::Request;
use super::requires_python::{self, Requirement};
use super::surroundings::Surroundings;
use super::version_file;

/// Which interpreter is wanted, and for which target.
pub struct Wanted<'a> {
    /// What the caller asks for.
    pub request: &'a Request,
    /// The environment variable that asks for it, if the caller typed nothing.
    pub variable: Option<&'a str>,
    /// The environment that it is for, whose project may decide; `None` reads no project.
    pub target: Option<&'a Path>,
    /// Receives one sentence for each thing that is skipped.
    pub warning: &'a dyn Fn(&str),
}

/// The resulting request, and where it comes from.
pub(super) struct Resolved {
    pub(super) request: Request,
    /// The file or the variable that asks for it, if the caller typed nothing.
    asked_in: Option<String>,
    requirement: Option<Requirement>,
}

impl Wanted<'_> {
    /// Reads the files that may decide.
    ///
    /// # Errors
    /// [`InterpreterError::BadPin`] for a `.python-version` that names no Python, if nothing else
    /// was requested.
    pub(super) fn resolve(&self, around: &Surroundings) -> Result<Resolved, InterpreterError> {
        let is_asked = *self.request != Request::Default;
        let mut resolved = Resolved {
            request: self.request.clone(),
            asked_in: self.variable.map(str::to_owned),
            requirement: self.requirement(),
        };
        if is_asked && self.target.is_none() {
            return Ok(resolved);
        }
        let mut pinned = version_file::pinned(around);
        let instead = match &pinned.request {
            _ if is_asked => format!("{}, which was asked for,", self.request),
            Some((request, line)) => format!("{request} in line {line}"),
            None => match pinned.unread.pop() {
                Some(unread) => return Err(InterpreterError::BadPin(Box::new(unread))),
                None => return Ok(resolved),
            },
        };
        for unread in &pinned.unread {
            (self.warning)(&format!("{unread}; {instead} is used instead"));
        }
        if let Some((request, _)) = pinned.request.filter(|_| !is_asked) {
            if request != Request::Default {
                resolved.asked_in = Some(shown(&pinned.file));
            }
            resolved.request = request;
        }
        Ok(resolved)
    }

    fn requirement(&self) -> Option<Requirement> {
        match requires_python::requirement(self.target?) {
            Ok(found) => found,
            Err(unread) => {
                (self.warning)(&format!("{unread}; its `requires-python` is ignored"));
                None
            }
        }
    }

    /// Warns of a requested interpreter that the project does not work with.
    pub(super) fn compare(&self, resolved: &Resolved, found: &Release) {
        let Some(requirement) = &resolved.requirement else {
            return;
        };
        if requirement.admits(found) {
            return;
        }
        let why = match &resolved.asked_in {
            Some(file) => format!("`{file}` asks for it"),
            None => "it was asked for".to_owned(),
        };
        (self.warning)(&format!(
            "{found} does not satisfy {requirement}; it is used because {why}"
        ));
    }
}

impl Resolved {
    /// Why an interpreter does not match, if it does not.
    pub(super) fn objection(&self, found: &Release) -> Option<String> {
        let admitted = match (&self.request, &self.requirement) {
            (Request::Default, Some(requirement)) => requirement.admits(found),
            _ => true,
        };
        let refused = (!admitted).then(|| format!("it is {found}"));
        self.request.objection(found).or(refused)
    }

    /// The request in words, and the file or variable that it comes from.
    pub(super) fn in_words(&self) -> String {
        match (&self.request, &self.requirement, &self.asked_in) {
            (request, _, Some(file)) => format!("{request}, which `{file}` asks for"),
            (Request::Default, Some(requirement), None) => requirement.to_string(),
            (request, _, None) => request.to_string(),
        }
    }
}
