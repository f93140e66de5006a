//! Advice for environments that cannot be changed in place.

use rvenv::environment::PlanFailed;
use rvenv::merge::MergeError;

use super::{CliError, Exit, of_existing};
use crate::shell_words::arguments;

/// Describes why an environment cannot be changed in place.
pub(super) fn of_merge(failed: &PlanFailed, error: &MergeError) -> CliError {
    let told = |exit, hint: &str| CliError::of(exit, failed).hint(hint);
    match error {
        MergeError::Hook(_) | MergeError::Plan(_) | MergeError::Path(_) | MergeError::Disk(_) => {
            CliError::of(Exit::Failed, failed)
        }
        MergeError::Existing(error) => of_existing(error),
        MergeError::Blocked { .. } => told(
            Exit::Precondition,
            "move it away, or use `--clear` to replace the environment",
        ),
        MergeError::Overlap(overlap) => {
            let name = arguments(std::slice::from_ref(&overlap.distribution.name));
            told(
                Exit::Precondition,
                &format!("only one of the two can be installed: `rvenv uninstall {name}` first"),
            )
        }
        MergeError::Occupied { .. } => told(
            Exit::Precondition,
            "name a directory that does not exist yet, or an environment; a project's own files \
             are never overwritten",
        ),
        MergeError::Lost { packages, .. } => {
            let again = packages.iter().flat_map(|one| one.install.clone());
            let again = arguments(&again.collect::<Vec<_>>());
            let hint = if packages.iter().any(|one| one.reason.is_empty()) {
                // A saved plan is applied: it has its wheels.
                format!("use `--allow-lost` and then `pip install {again}`")
            } else {
                format!(
                    "use `--find-links` or `--index-url` to name a source of their wheels, or \
                     `--allow-lost` and then `pip install {again}`"
                )
            };
            told(Exit::Precondition, &hint)
        }
        MergeError::NotKept { .. } | MergeError::Meanwhile { .. } => {
            told(Exit::Precondition, "run the same command again")
        }
        MergeError::NoEnvironment(_) => told(Exit::Precondition, "make one with `rvenv create`"),
    }
}
