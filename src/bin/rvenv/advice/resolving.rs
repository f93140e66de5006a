//! Advice for requirements that could not be resolved, and for sources that could not be built.

use rvenv::backend::{CheckoutFailed, HookFailed, UnpackFailed};
use rvenv::locked::{BuildFailed, BuildFault};
use rvenv::resolve::{ProjectError, ResolveFailed};
use rvenv::resolving::ResolvingFailed;

use super::{CliError, Code, interruption};

/// Describes why there is no lock.
pub(crate) fn of_resolving(failed: &ResolvingFailed, terminated: bool) -> CliError {
    match failed {
        ResolvingFailed::Interpreter(error) => super::of_interpreter(error, terminated),
        ResolvingFailed::Project(ProjectError::Dynamic { .. }) => {
            CliError::of(Code::NeedsBuild, failed).hint("leave out `--no-build`")
        }
        ResolvingFailed::Build(error) => of_build(error, terminated),
        ResolvingFailed::Project(_) => CliError::of(Code::BadProject, failed)
            .hint("name requirements, or a file of them with `-r`"),
        ResolvingFailed::Settings(_) => CliError::of(Code::BadSetting, failed),
        ResolvingFailed::Resolve(error) => of_resolve(error, terminated),
    }
}

/// Describes why a wheel was not built.
pub(super) fn of_build(failed: &BuildFailed, terminated: bool) -> CliError {
    if failed.fault.is_interruption() {
        return CliError::of(interruption(terminated), failed);
    }
    let (code, hint) = match &failed.fault {
        BuildFault::NoCache => (
            Code::NoCache,
            "name a directory for the cache with `RVENV_CACHE_DIR`",
        ),
        BuildFault::Checkout(CheckoutFailed::NoGit { .. }) => {
            (Code::NoGit, "install git, or ask for a release")
        }
        BuildFault::Unpack(UnpackFailed::Refused { .. } | UnpackFailed::Changed { .. }) => (
            Code::BadArchive,
            "do not trust this archive; ask for another version, or for wheels with `--no-build`",
        ),
        BuildFault::Hook(HookFailed::NoHook { .. }) => (
            Code::BuildFailed,
            "its backend is older than editable installation (PEP 660): leave out `-e`, or let \
             `build-system.requires` ask for a newer one",
        ),
        BuildFault::Hook(_) => (
            Code::BuildFailed,
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
            Code::BuildFailed,
            "ask for a version that has a wheel for this interpreter, or for wheels alone with \
             `--no-build`",
        ),
    };
    CliError::of(code, failed).hint(hint)
}

fn of_resolve(failed: &ResolveFailed, terminated: bool) -> CliError {
    let told = |code| CliError::of(code, failed);
    match failed {
        ResolveFailed::NotARequirement(_) => told(Code::BadRequirement),
        ResolveFailed::Sources(_) => told(Code::NeedsBuild).hint("leave out `--no-build`"),
        ResolveFailed::NoUv | ResolveFailed::OldUv { .. } => told(Code::NoResolver)
            .hint("install or upgrade uv, or leave out `--resolver`: pip can resolve too"),
        ResolveFailed::NoPip { .. } | ResolveFailed::OldPip { .. } => told(Code::NoResolver)
            .hint("install uv, or resolve for another interpreter with `--python`"),
        ResolveFailed::Interrupted { .. } => told(interruption(terminated)),
        ResolveFailed::Refused { .. } => told(Code::Unresolvable)
            .hint("check the names, loosen the requirements, or name another index or interpreter"),
        ResolveFailed::NotStarted { .. }
        | ResolveFailed::Answer { .. }
        | ResolveFailed::NoLock { .. }
        | ResolveFailed::Scratch(_) => told(Code::ResolverFailed),
    }
}
