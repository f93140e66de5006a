//! Advice for environments that cannot be changed in place.

use rvenv::environment::PlanFailed;
use rvenv::merge::MergeError;

use super::{CliError, Code, of_existing, of_hook};
use crate::shell_words::arguments;

/// Describes why an environment cannot be changed in place.
pub(super) fn of_merge(failed: &PlanFailed, error: &MergeError) -> CliError {
    let told = |code, hint: &str| CliError::of(code, failed).hint(hint);
    match error {
        MergeError::Hook(hook) => of_hook(failed, hook),
        MergeError::Plan(_) | MergeError::Path(_) => CliError::of(Code::Collision, failed),
        MergeError::Disk(_) => CliError::of(Code::Disk, failed),
        MergeError::Existing(error) => of_existing(error),
        MergeError::Blocked { .. } => told(
            Code::Occupied,
            "move it away, or use `--clear` to replace the environment",
        ),
        MergeError::Overlap(overlap) => {
            let name = arguments(std::slice::from_ref(&overlap.distribution.name));
            told(
                Code::Overlap,
                &format!("only one of the two can be installed: `rvenv uninstall {name}` first"),
            )
        }
        MergeError::Occupied { .. } => told(
            Code::Occupied,
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
            told(Code::LostPackages, &hint)
        }
        MergeError::NotKept { .. } | MergeError::Meanwhile { .. } => {
            told(Code::ChangedMeanwhile, "run the same command again")
        }
        MergeError::NoEnvironment(_) => told(Code::NoEnvironment, "make one with `rvenv create`"),
    }
}
