//! Why the packages of locks are not there, why requirements were not resolved, and why a wheel was
//! not built. All are in one file, because each may need the others: a build needs packages, which
//! may have to be built, and a project may have to be built before its needs are known.
//!
//! Read next: `locked.rs` and `building.rs`, which fail.

use std::error::Error;

use thiserror::Error;

use super::fetching::FetchingFailed;
use super::lock_request::Builds;
use crate::backend::{CheckoutFailed, HookFailed, ProjectFault, UnpackFailed, WorkshopFailed};
use crate::change::environment::RunFailed;
use crate::fetch::{AskedError, FetchFailed, SettingsError, ShelfError};
use crate::lock::{ChoiceError, Chosen, LockError};
use crate::python::{InterpreterError, printable};
use crate::resolve::{ProjectError, ResolveFailed};
use crate::wheel::WheelError;

/// Why the wheels of locks are not there.
#[derive(Debug, Error)]
pub enum LockedFailed {
    /// A file is no lock that can be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The interpreter cannot install a lock.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// A file cannot be asked for.
    #[error(transparent)]
    Asked(#[from] AskedError),
    /// A file is not there.
    #[error(transparent)]
    Fetching(#[from] FetchingFailed),
    /// Sources may not be built.
    #[error("{of} has to be built from the sources at {place}")]
    Unbuilt {
        /// The package, and its version if that is known.
        of: String,
        /// Where it was asked for.
        place: String,
        /// What may be built.
        builds: Builds,
    },
    /// Sources cannot be built.
    #[error(transparent)]
    Build(#[from] Box<BuildFailed>),
    /// What is not locked cannot be resolved.
    #[error(transparent)]
    Resolving(#[from] Box<ResolvingFailed>),
}

impl LockedFailed {
    /// Whether the caller asked to stop.
    pub(super) fn is_interruption(&self) -> bool {
        match self {
            Self::Fetching(failed) => {
                matches!(failed, FetchingFailed::Fetch(FetchFailed::Interrupted))
            }
            Self::Build(failed) => failed.fault.is_interruption(),
            Self::Resolving(failed) => match &**failed {
                ResolvingFailed::Resolve(failed) => {
                    matches!(failed, ResolveFailed::Interrupted { .. })
                }
                ResolvingFailed::Build(failed) => failed.fault.is_interruption(),
                ResolvingFailed::Interpreter(_)
                | ResolvingFailed::Project(_)
                | ResolvingFailed::Settings(_) => false,
            },
            Self::Lock(_) | Self::Choice(_) | Self::Asked(_) | Self::Unbuilt { .. } => false,
        }
    }
}

/// Why there is no lock.
#[derive(Debug, Error)]
pub enum ResolvingFailed {
    /// There is no interpreter.
    #[error(transparent)]
    Interpreter(#[from] Box<InterpreterError>),
    /// The dependencies of a project are not known.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// The build tool of a project does not say what it depends on.
    #[error(transparent)]
    Build(#[from] Box<BuildFailed>),
    /// A setting of the index is malformed.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The resolver failed.
    #[error(transparent)]
    Resolve(#[from] ResolveFailed),
}

/// Why a wheel was not built.
#[derive(Debug, Error)]
#[error("cannot build {what}")]
pub struct BuildFailed {
    /// The package, and its version if that is known.
    pub what: String,
    /// Why.
    #[source]
    pub fault: BuildFault,
}

/// What keeps sources from becoming a wheel.
#[derive(Debug, Error)]
pub enum BuildFault {
    /// There is no cache to build in.
    #[error("there is no cache directory to build in")]
    NoCache,
    /// A setting in pip's configuration is malformed.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// There is no place in the cache.
    #[error(transparent)]
    Workshop(#[from] WorkshopFailed),
    /// The archive cannot be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackFailed),
    /// The commit cannot be checked out.
    #[error(transparent)]
    Checkout(#[from] CheckoutFailed),
    /// The part of the sources that is the project is not there.
    #[error("the sources have no directory `{0}`")]
    Subdirectory(String),
    /// It is not known how the project is built.
    #[error(transparent)]
    Project(#[from] ProjectFault),
    /// What the backend needs is not to be had.
    #[error("what its backend needs cannot be installed: {0}")]
    Requires(String, #[source] Box<LockedFailed>),
    /// A build needs the package that it builds.
    #[error("its own build needs it: {0}")]
    Circle(String),
    /// The environment for the build cannot be planned.
    #[error("there is no environment to build it in")]
    Plan(#[source] Box<dyn Error + Send + Sync>),
    /// The environment for the build cannot be created.
    #[error("there is no environment to build it in")]
    Create(#[source] Box<RunFailed>),
    /// The backend failed.
    #[error(transparent)]
    Hook(#[from] HookFailed),
    /// The backend made another wheel than the sources promise.
    #[error("its backend made `{wheel}`, which {why}")]
    Other {
        /// The wheel.
        wheel: String,
        /// What is wrong with it, as a clause.
        why: String,
    },
    /// The backend made a wheel that cannot be installed.
    #[error(transparent)]
    Wheel(#[from] WheelError),
    /// The wheel cannot be kept.
    #[error(transparent)]
    Keep(#[from] ShelfError),
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl BuildFault {
    /// Whether the caller asked to stop.
    #[must_use]
    pub fn is_interruption(&self) -> bool {
        match self {
            Self::Interrupted
            | Self::Workshop(WorkshopFailed::Interrupted)
            | Self::Unpack(UnpackFailed::Interrupted { .. })
            | Self::Checkout(CheckoutFailed::Interrupted { .. })
            | Self::Hook(HookFailed::Interrupted { .. }) => true,
            Self::Requires(_, failed) => failed.is_interruption(),
            Self::Create(failed) => matches!(**failed, RunFailed::Interrupted { .. }),
            Self::NoCache
            | Self::Settings(_)
            | Self::Workshop(_)
            | Self::Unpack(_)
            | Self::Checkout(_)
            | Self::Subdirectory(_)
            | Self::Project(_)
            | Self::Circle(_)
            | Self::Plan(_)
            | Self::Hook(_)
            | Self::Other { .. }
            | Self::Wheel(_)
            | Self::Keep(_) => false,
        }
    }
}

/// What has to be built, and must not be.
pub(super) fn unbuilt(one: &Chosen, builds: Builds) -> LockedFailed {
    let of = match one.version.as_str() {
        "" => format!("`{}`", one.name),
        version => format!("`{}` {}", one.name, printable(version)),
    };
    let place = one.place.clone();
    LockedFailed::Unbuilt { of, place, builds }
}
