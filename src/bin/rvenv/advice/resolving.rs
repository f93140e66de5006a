//! Advice for requirements that could not be resolved, and for sources that could not be built.

use rvenv::backend::{CheckoutFailed, HookFailed, UnpackFailed};
use rvenv::locked::{BuildFailed, BuildFault};
use rvenv::resolve::{ProjectError, ResolveFailed};
use rvenv::resolving::ResolvingFailed;

use super::{CliError, Exit, interruption};

/// Describes why there is no lock.
pub(crate) fn of_resolving(failed: &ResolvingFailed, terminated: bool) -> CliError {
    match failed {
        ResolvingFailed::Interpreter(error) => super::of_interpreter(error, terminated),
        ResolvingFailed::Project(ProjectError::Dynamic { .. }) => {
            CliError::of(Exit::Precondition, failed).hint("leave out `--no-build`")
        }
        ResolvingFailed::Build(error) => of_build(error, terminated),
        ResolvingFailed::Project(_) => CliError::of(Exit::Precondition, failed)
            .hint("name requirements, or a file of them with `-r`"),
        ResolvingFailed::Settings(_) => CliError::of(Exit::Failed, failed),
        ResolvingFailed::Resolve(error) => of_resolve(error, terminated),
    }
}

/// Describes why a wheel was not built.
pub(super) fn of_build(failed: &BuildFailed, terminated: bool) -> CliError {
    if failed.fault.is_interruption() {
        return CliError::of(interruption(terminated), failed);
    }
    let (exit, hint) = match &failed.fault {
        BuildFault::NoCache => (
            Exit::Failed,
            "name a directory for the cache with `RVENV_CACHE_DIR`",
        ),
        BuildFault::Checkout(CheckoutFailed::NoGit { .. }) => {
            (Exit::Precondition, "install git, or ask for a release")
        }
        BuildFault::Unpack(UnpackFailed::Refused { .. } | UnpackFailed::Changed { .. }) => (
            Exit::Failed,
            "do not trust this archive; ask for another version, or for wheels with `--no-build`",
        ),
        BuildFault::Hook(HookFailed::NoHook { .. }) => (
            Exit::Failed,
            "its backend is older than editable installation (PEP 660): leave out `-e`, or let \
             `build-system.requires` ask for a newer one",
        ),
        BuildFault::Hook(_) => (
            Exit::Failed,
            "its authors say what a build needs (compilers, headers, programs); with `--no-build`, \
             or with another interpreter by `--python`, a version that has a wheel is used",
        ),
        BuildFault::Requires(..)
        | BuildFault::Circle(_)
        | BuildFault::Settings(_)
        | BuildFault::Plan(_)
        | BuildFault::Create(_)
        | BuildFault::Workshop(_)
        | BuildFault::Unpack(_)
        | BuildFault::Checkout(_)
        | BuildFault::Subdirectory(_)
        | BuildFault::Project(_)
        | BuildFault::Other { .. }
        | BuildFault::Wheel(_)
        | BuildFault::Keep(_)
        | BuildFault::Interrupted => (
            Exit::Failed,
            "ask for a version that has a wheel for this interpreter, or for wheels alone with \
             `--no-build`",
        ),
    };
    CliError::of(exit, failed).hint(hint)
}

fn of_resolve(failed: &ResolveFailed, terminated: bool) -> CliError {
    let told = |exit| CliError::of(exit, failed);
    match failed {
        ResolveFailed::NotARequirement(_) => told(Exit::Usage),
        ResolveFailed::Sources(_) => told(Exit::Precondition).hint("leave out `--no-build`"),
        ResolveFailed::NoUv | ResolveFailed::OldUv { .. } => told(Exit::Precondition)
            .hint("install or upgrade uv, or leave out `--resolver`: pip can resolve too"),
        ResolveFailed::NoPip { .. } | ResolveFailed::OldPip { .. } => told(Exit::Precondition)
            .hint("install uv, or resolve for another interpreter with `--python`"),
        ResolveFailed::Interrupted { .. } => told(interruption(terminated)),
        ResolveFailed::Refused { .. } => {
            told(Exit::Failed).hint("loosen the requirements, or name another index or interpreter")
        }
        ResolveFailed::NotStarted { .. }
        | ResolveFailed::Answer { .. }
        | ResolveFailed::NoLock { .. }
        | ResolveFailed::Scratch(_) => told(Exit::Failed),
    }
}
