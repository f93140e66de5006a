//! Which interpreter is asked for, and what is said when there is none.
//!
//! Read next: the library's `discover.rs`, which looks for it.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use rvenv::python::{self, Control, InterpreterError, Listing, Request, Surroundings, Wanted};

use crate::advice::{CliError, of_interpreter};
use crate::session::Session;

/// How long an interpreter may take to answer for the list of what there is.
const LISTING_TIMEOUT: Duration = Duration::from_secs(3);

impl Session<'_> {
    /// What is asked for: what was typed, else what `RVENV_PYTHON` says.
    pub(crate) fn asked<'t>(&'t self, typed: Option<&'t OsString>) -> Option<&'t OsString> {
        typed.or(self.world.python.as_ref())
    }

    /// Looks for the interpreter that is asked for, or that the project of `target` wants where nothing is.
    pub(crate) fn look<T>(
        &self,
        typed: Option<&OsString>,
        target: &Path,
        find: impl FnOnce(&Wanted<'_>, &Surroundings, &Control<'_>) -> Result<T, InterpreterError>,
    ) -> Result<T, CliError> {
        let around = &self.world.surroundings;
        let variable = (typed.is_none() && self.world.python.is_some()).then_some("RVENV_PYTHON");
        let asked = self.asked(typed);
        let request = asked.map_or(Ok(Request::Default), |text| {
            Request::parse(text, &around.cwd)
        });
        let found = request.and_then(|request| {
            let wanted = Wanted {
                request: &request,
                variable,
                target: Some(target),
                warning: &|text| self.terminal.warning(text),
            };
            self.with_control(|control| find(&wanted, around, control))
        });
        found.map_err(|error| self.not_found(&error, variable))
    }

    /// Why there is no interpreter, and where one of another version is wanted, which there are.
    fn not_found(&self, error: &InterpreterError, variable: Option<&str>) -> CliError {
        let told = of_interpreter(error, self.signals.terminated());
        match (error, variable) {
            (InterpreterError::NotFound { searched, .. }, _) if !searched.is_empty() => {
                self.terminal.detail_of(|| error.to_string());
                let around = &self.world.surroundings;
                let listing = self.with_control(|control| {
                    let brief = Control {
                        timeout: LISTING_TIMEOUT,
                        ..*control
                    };
                    python::list(&Request::Default, around, &brief)
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
        [] => "there is no interpreter".to_owned(),
        [one] => format!("there is {one}"),
        [others @ .., last] => format!("there are {} and {last}", others.join(", ")),
    }
}
