//! Which interpreter the user wants, and what is printed if there is none.
//!
//! Read next: the library's `discover.rs`, which searches for it.

use std::ffi::OsString;
use std::time::Duration;

use rvenv::host::PYTHON_VARIABLE;
use rvenv::python::{self, Control, InterpreterError, Listing, Request};

use crate::advice::{CliError, of_interpreter};
use crate::session::Session;

/// The time limit of an interpreter in the list of what exists.
const LISTING_TIMEOUT: Duration = Duration::from_secs(3);

impl Session<'_> {
    /// Reads the interpreter that the user typed.
    pub(crate) fn typed_python(
        &self,
        typed: Option<&OsString>,
    ) -> Result<Request, InterpreterError> {
        let cwd = &self.world.surroundings.cwd;
        typed.map_or(Ok(Request::Default), |text| Request::parse(text, cwd))
    }

    /// The environment variable that names an interpreter, if the user typed none.
    pub(crate) fn variable(&self, typed: Option<&OsString>) -> Option<&'static str> {
        (typed.is_none() && self.world.python.is_some()).then_some(PYTHON_VARIABLE)
    }

    /// Describes why there is no interpreter; if one of another version is wanted, names those that
    /// exist.
    pub(crate) fn not_found(&self, error: &InterpreterError, variable: Option<&str>) -> CliError {
        let told = of_interpreter(error, self.signals.terminated());
        match (error, variable) {
            (InterpreterError::NotFound { searched, .. }, _) if !searched.is_empty() => {
                self.terminal.detail_of(|| error.to_string());
                let around = &self.world.surroundings;
                let listing = self.with_caller(|caller| {
                    caller.with_control(|control| {
                        let brief = Control {
                            timeout: LISTING_TIMEOUT,
                            ..*control
                        };
                        python::list(&Request::Default, around, &brief)
                    })
                });
                match listing {
                    Ok(listing) => told.instead(&there_is(&listing)),
                    Err(error) => of_interpreter(&error, self.signals.terminated()),
                }
            }
            (InterpreterError::BadRequest { .. }, Some(variable)) => {
                told.hint(format!("correct or unset `{variable}`, which asks for it"))
            }
            _ => told,
        }
    }
}

/// The releases of a listing, each once.
fn there_is(listing: &Listing) -> String {
    let mut releases: Vec<String> = Vec::new();
    for listed in &listing.found {
        let release = listed.located.release.to_string();
        if !releases.contains(&release) {
            releases.push(release);
        }
    }
    match releases.as_slice() {
        [] => "no interpreter is installed".to_owned(),
        [one] => format!("installed: {one}"),
        [others @ .., last] => format!("installed: {} and {last}", others.join(", ")),
    }
}
