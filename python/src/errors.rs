//! Errors as exceptions: the classes of `rvenv._errors`, by the kind of the failure.
//!
//! Promises one line of text: each fact of the chain of causes once; and `errno` and `filename`
//! where the system refused something, so that `OSError` means what it does elsewhere.

use std::error::Error;
use std::io;
use std::path::Path;

use pyo3::prelude::*;
use rvenv::environment::{PlanFailed, RunFailed};
use rvenv::request::RequestFailed;
use rvenv::{CreateFailed, HookError};
use rvenv_journal::fs::FsError;
use rvenv_journal::raw::{LockError, TargetError};
use rvenv_journal::{PrepareError, ReadyError};

/// The causes of an error, the error first.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// All facts in one line.
pub(crate) fn text(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for cause in chain(error) {
        let fact = cause.to_string();
        // A transparent error repeats its cause.
        if text.ends_with(&fact) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&fact);
    }
    text
}

/// The number that the system gave, if it refused something.
fn errno(error: &(dyn Error + 'static)) -> Option<i32> {
    chain(error).find_map(|cause| {
        let io = cause.downcast_ref::<io::Error>();
        let number = io.and_then(io::Error::raw_os_error);
        number.or_else(|| {
            let fs = cause.downcast_ref::<FsError>()?;
            let source = fs.source()?.downcast_ref::<io::Error>()?;
            source.raw_os_error()
        })
    })
}

/// The class of a plan that was not made.
fn of_plan(failed: &PlanFailed) -> &'static str {
    match failed {
        PlanFailed::Hook(failed) => of_hook(failed),
        PlanFailed::Plan(_) => "PlanError",
        PlanFailed::Disk(_) => "DiskError",
        PlanFailed::Target(_)
        | PlanFailed::Merge(_)
        | PlanFailed::Repair(_)
        | PlanFailed::Whole(_)
        | PlanFailed::NotAnEnvironment { .. }
        | PlanFailed::MoreThanAnEnvironment { .. }
        | PlanFailed::Link { .. } => "TargetError",
    }
}

fn of_hook(failed: &HookError) -> &'static str {
    match failed {
        HookError::Text(_) | HookError::Path(_) => "RequestError",
        HookError::Layout(_) => "InterpreterError",
        _ => "PlanError",
    }
}

fn of_request(failed: &RequestFailed) -> &'static str {
    match failed {
        RequestFailed::Interpreter(_) | RequestFailed::Base(_) => "InterpreterError",
        RequestFailed::Hook(failed) => of_hook(failed),
        RequestFailed::Existing(_)
        | RequestFailed::NoEnvironment { .. }
        | RequestFailed::Target(_) => "TargetError",
        RequestFailed::Fetching(_)
        | RequestFailed::Removal(_)
        | RequestFailed::Locked(_)
        | RequestFailed::Bytecode(_) => "PlanError",
    }
}

fn of_run(failed: &RunFailed) -> &'static str {
    match failed {
        RunFailed::Plan(failed) => of_plan(failed),
        RunFailed::Ready(ReadyError::Lock(LockError::Busy { .. })) => "BusyError",
        RunFailed::Prepare(PrepareError::Stale { .. }) | RunFailed::Distributions { .. } => {
            "StaleError"
        }
        RunFailed::NotAnEnvironment { .. } | RunFailed::Shared { .. } => "TargetError",
        RunFailed::Check { .. } => "CheckError",
        RunFailed::Undo(_) | RunFailed::End(_) => "UndoError",
        _ => "Error",
    }
}

/// The class of the exception for a creation that failed.
fn class(failed: &CreateFailed) -> &'static str {
    match failed {
        CreateFailed::Host(_) => "RequestError",
        CreateFailed::Request(failed) => of_request(failed),
        CreateFailed::OtherOwner(_) => "CheckError",
        CreateFailed::Plan(failed) => of_plan(failed),
        CreateFailed::Run(failed) => of_run(failed),
    }
}

/// The exception of a class for an error. Where nothing says more, a number of the system makes it
/// a `DiskError`.
pub(crate) fn raise(
    py: Python<'_>,
    class: &str,
    error: &(dyn Error + 'static),
    path: Option<&str>,
) -> PyErr {
    let made = || -> PyResult<Bound<'_, PyAny>> {
        let module = py.import("rvenv._errors")?;
        module
            .getattr("make")?
            .call1((class, text(error), errno(error), path))
    };
    match made() {
        Ok(exception) => PyErr::from_value(exception),
        Err(failed) => failed,
    }
}

/// The exception for a creation that failed.
pub(crate) fn of_create(py: Python<'_>, failed: &CreateFailed, path: &str) -> PyErr {
    // As in venv, a parent that is a file is an error of the system, and a target that is one is a
    // wrong value.
    if let Some(TargetError::NotADirectory(file)) = target(failed)
        && file != Path::new(path)
    {
        return raise(py, "ParentError", failed, Some(path));
    }
    raise(py, class(failed), failed, Some(path))
}

/// The target of a failure, if it has one.
fn target(failed: &CreateFailed) -> Option<&TargetError> {
    match failed {
        CreateFailed::Request(RequestFailed::Target(error))
        | CreateFailed::Plan(PlanFailed::Target(error))
        | CreateFailed::Run(RunFailed::Plan(PlanFailed::Target(error))) => Some(error),
        _ => None,
    }
}
