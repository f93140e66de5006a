//! Advice for requirements that could not be resolved.

use rvenv::resolve::ResolveFailed;
use rvenv::resolving::ResolvingFailed;

use super::{CliError, Exit, interruption};

/// Describes why there is no lock.
pub(crate) fn of_resolving(failed: &ResolvingFailed, terminated: bool) -> CliError {
    match failed {
        ResolvingFailed::Interpreter(error) => super::of_interpreter(error, terminated),
        ResolvingFailed::Project(_) => CliError::of(Exit::Precondition, failed)
            .hint("name requirements, or a file of them with `-r`"),
        ResolvingFailed::Settings(_) => CliError::of(Exit::Failed, failed),
        ResolvingFailed::Resolve(error) => of_resolve(error, terminated),
    }
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
