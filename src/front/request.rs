//! Requests: what a caller wants, as a value.
//!
//! The command and [`EnvBuilder`](crate::EnvBuilder) express it as an [`EnvRequest`], and there is
//! one way from there to the context of a plan.
//!
//! Read next: `begun.rs`, which decides what a request means here; `answer.rs`, which fetches and
//! builds what it takes.

use std::io;
use std::path::PathBuf;

use rvenv_journal::Retention;
use rvenv_journal::raw::TargetError;
use thiserror::Error;

use super::fetching::FetchingFailed;
use super::host::{Host, PYTHON_VARIABLE};
use super::locked::{LockRequest, LockedFailed};
use super::lookups::LookupFailed;
use crate::build::hooks::HookError;
use crate::build::options::{Choices, Options};
use crate::change::existing::{BaseError, ExistingError};
use crate::change::provision::BytecodeFailed;
use crate::change::removal::{Removal, RemovalFailed};
use crate::python::{InterpreterError, Purpose, Request};
use crate::wheel::Sources;

/// What to do with an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Create it as the options say.
    Create,
    /// Give the existing one another interpreter; it keeps its choices and its packages.
    Upgrade,
    /// Give the existing one the packages of locks; it keeps its interpreter and its choices.
    Sync,
}

impl Intent {
    /// What the caller wants to happen to what is replaced; for [`Intent::Create`] the change
    /// itself decides it, under the lock.
    #[must_use]
    pub fn retention(self, asked: Option<Retention>) -> Option<Retention> {
        match self {
            Self::Create => asked,
            Self::Upgrade | Self::Sync => asked.or(Some(Retention::Keep)),
        }
    }
}

/// Which interpreter is wanted, and what names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedPython {
    pub(super) request: Request,
    pub(super) variable: Option<&'static str>,
}

impl AskedPython {
    /// The interpreter that the caller names, else that of `RVENV_PYTHON`.
    ///
    /// # Errors
    /// A variable that names no Python.
    pub fn of(named: Request, host: &Host) -> Result<Self, InterpreterError> {
        match (&named, &host.python) {
            (Request::Default, Some(text)) => Ok(Self {
                request: Request::parse(text, &host.surroundings.cwd)?,
                variable: Some(PYTHON_VARIABLE),
            }),
            _ => Ok(Self {
                request: named,
                variable: None,
            }),
        }
    }

    /// The interpreter that the caller names, whatever the variable says.
    pub(super) fn named(named: &Request) -> Self {
        Self {
            request: named.clone(),
            variable: None,
        }
    }

    /// Whether no interpreter is named.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.request == Request::Default && self.variable.is_none()
    }
}

/// What the caller wants.
#[derive(Clone, Debug)]
pub struct EnvRequest {
    /// The absolute path of the environment, as [`Host::env_dir`] reads it.
    pub env_dir: String,
    /// What to do with it.
    pub intent: Intent,
    /// The interpreter.
    pub python: AskedPython,
    /// The options that hold where nothing else is set; the umask and the epoch are the host's.
    pub options: Options,
    /// The choices that the caller sets; an upgrade keeps the environment's own otherwise.
    pub said: Choices,
    /// Wheels for [`Hooks::post_setup`](crate::Hooks::post_setup) to install.
    pub packages: Vec<PathBuf>,
    /// The locks whose packages it gets.
    pub locks: LockRequest,
    /// What is uninstalled.
    pub removal: Removal,
    /// Where wheels are downloaded from, besides what pip's configuration names.
    pub sources: Sources,
    /// Whether the plan will be carried out or shown.
    pub purpose: Purpose,
    /// Whether packages that a lock names and that are installed are left out of the plan.
    pub unchanged: Unchanged,
}

/// What happens with packages that a lock names and that are installed as they were published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unchanged {
    /// They are planned like the others, with every file.
    Planned,
    /// They are kept without an operation, and no file of theirs is looked for. A plan that finds
    /// one changed fails with [`MergeError::NotKept`](crate::merge::MergeError::NotKept), and is to
    /// be made again with [`Unchanged::Planned`].
    Kept,
}

/// Why there is no context.
#[derive(Debug, Error)]
pub enum RequestFailed {
    /// No interpreter was found.
    #[error(transparent)]
    Interpreter(#[from] InterpreterError),
    /// A path or a prompt that no environment can have, or an interpreter without a layout.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// The environment cannot be read.
    #[error(transparent)]
    Existing(#[from] ExistingError),
    /// The environment does not exist.
    #[error("there is no environment at `{}`", path.display().to_string().escape_debug())]
    NoEnvironment {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The target is not valid.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The environment's base interpreter was not found.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// Wheels that no lock names are not there.
    #[error(transparent)]
    Fetching(#[from] Box<FetchingFailed>),
    /// What is to be uninstalled cannot be.
    #[error(transparent)]
    Removal(#[from] Box<RemovalFailed>),
    /// The wheels of a lock are not there.
    #[error(transparent)]
    Locked(#[from] Box<LockedFailed>),
    /// The compilation failed.
    #[error(transparent)]
    Bytecode(#[from] BytecodeFailed),
}

impl From<LookupFailed> for RequestFailed {
    fn from(failed: LookupFailed) -> Self {
        match failed {
            LookupFailed::Existing(error) => Self::Existing(error),
            LookupFailed::Interrupted(error) => Self::Fetching(Box::new(error.into())),
        }
    }
}

/// A plan that is only shown still needs an interpreter at work if wheels are downloaded, built or
/// compiled for it.
pub(super) fn at_work(purpose: Purpose, is_at_work: bool) -> Purpose {
    match purpose {
        Purpose::Show if is_at_work => Purpose::ShowAtWork,
        Purpose::Show | Purpose::ShowAtWork | Purpose::Change => purpose,
    }
}
