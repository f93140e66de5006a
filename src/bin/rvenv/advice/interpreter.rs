//! What the command prints when there is no interpreter, or none that it may start.
//!
//! Read next: `../advice.rs`, which this is a part of.

use std::path::Path;

use rvenv::activation::quote_posix;
use rvenv::existing::BaseError;
use rvenv::python::{InterpreterError, Tried};
use rvenv::render::escape;

use super::{CliError, Code, escape_lines, interruption};

/// How many broken interpreters a failed search names with the reason.
const BROKEN_MAX: usize = 3;

/// Describes why no interpreter was found.
pub(crate) fn of_interpreter(failed: &InterpreterError, terminated: bool) -> CliError {
    match failed {
        InterpreterError::Interrupted { .. } => CliError::of(interruption(terminated), failed),
        InterpreterError::Untrusted { path, .. } => {
            CliError::of(Code::UntrustedPython, failed).hint(trusting(path, None))
        }
        InterpreterError::BadRequest { .. } => CliError::of(Code::BadPythonRequest, failed),
        InterpreterError::BadPin(_) => CliError::of(Code::BadPythonPin, failed)
            .hint("write a version such as `3.12` there, or name an interpreter with `--python`"),
        // For a path, nothing is searched.
        InterpreterError::NotFound {
            request,
            tried,
            searched,
        } if !searched.is_empty() => of_search(request, tried),
        InterpreterError::NotFound { .. } => {
            CliError::of(Code::NoPython, failed).hint("name an interpreter with `--python PATH`")
        }
        InterpreterError::TooOld { .. }
        | InterpreterError::Crashed { .. }
        | InterpreterError::NotPython { .. } => CliError::of(Code::BrokenPython, failed)
            .hint("name an interpreter with `--python PATH`"),
        // Observed with a free-threaded interpreter at low priority, which had 0.4 s of work on a
        // busy machine.
        InterpreterError::TimedOut { .. } => CliError::of(Code::BrokenPython, failed).hint(
            "try again when the machine is less busy, or name another interpreter with `--python \
             PATH`",
        ),
        _ => CliError::of(Code::BrokenPython, failed),
    }
}

/// Reports that no interpreter matches; in three lines, if none of them is broken.
fn of_search(request: &str, tried: &[Tried]) -> CliError {
    let message = format!("found no usable interpreter for {request}");
    let mut told = CliError::new(Code::NoPython, escape_lines(&message));
    let mut seen = Vec::new();
    for tried in tried.iter().filter(|tried| tried.is_broken) {
        if seen.len() < BROKEN_MAX && !seen.contains(&&tried.path) {
            seen.push(&tried.path);
            let path = escape(&tried.path.to_string_lossy());
            let why = escape_lines(&tried.reason);
            told.details.push(format!("`{path}`: {why}"));
        }
    }
    told.hint(
        "install another, for example with apt, `uv python install` or `pyenv install`, or name \
         one by its path; \
         `-v` says where rvenv looked",
    )
}

/// Describes why the base of an environment was not found.
pub(crate) fn of_base(failed: &BaseError, terminated: bool) -> CliError {
    match failed {
        BaseError::Interrupted(_) => CliError::of(interruption(terminated), failed)
            .hint("name the interpreter with `--python`"),
        BaseError::Untrusted {
            version, source, ..
        } => {
            let own = source.path().unwrap_or(Path::new("PATH"));
            CliError::of(Code::UntrustedPython, failed).hint(trusting(own, version.as_deref()))
        }
        BaseError::Gone { .. } => {
            CliError::of(Code::BaseGone, failed).hint("name the interpreter with `--python`")
        }
        _ => CliError::of(Code::BaseGone, failed),
    }
}

/// What to type for an interpreter that only an environment names.
fn trusting(own: &Path, version: Option<&str>) -> String {
    let own = escape(&quote_posix(&own.to_string_lossy()));
    let installed = version.map_or_else(String::new, |version| {
        format!("use `--python {version}` for an installed one, or ")
    });
    format!("{installed}if you trust it `--python {own}`")
}
