//! What the command reports when a saved plan cannot be applied on this machine, or for this path.
//!
//! Read next: `../advice.rs`.

use rvenv::fetch::FetchFailed;
use rvenv::rebuilding::RebuildFailed;
use rvenv::saved_plan::UnsuitedPlan;

use super::{CliError, Code, interruption, of_plan, of_request};

/// Describes why a saved plan cannot be applied on this machine.
pub(crate) fn of_unsuited(failed: &UnsuitedPlan, terminated: bool) -> CliError {
    match failed {
        UnsuitedPlan::Interpreter { .. } => CliError::of(Code::UnsuitedPlan, failed).hint(
            "install that Python at this path, or make a plan for one of this machine with \
             `rvenv plan -o FILE`",
        ),
        UnsuitedPlan::Wheel { .. } => CliError::of(Code::UnsuitedPlan, failed).hint(
            "name a directory that has it with `--wheelhouse`, a registry with `--from`, a page with \
             `--find-links` or an index with `--index-url`, or allow the host of its URL with \
             `--allow-host`",
        ),
        UnsuitedPlan::Fetch(FetchFailed::Interrupted) => {
            CliError::of(interruption(terminated), failed)
        }
        UnsuitedPlan::Fetch(_) => CliError::of(Code::FetchFailed, failed),
        UnsuitedPlan::NoCache => CliError::of(Code::NoCache, failed)
            .hint("name a directory for it with `RVENV_CACHE_DIR`"),
        UnsuitedPlan::Settings(_) | UnsuitedPlan::Asked(_) => {
            CliError::of(Code::BadSetting, failed)
        }
    }
}

/// Describes why a saved plan cannot be made for another path.
pub(crate) fn of_rebuild(failed: RebuildFailed, terminated: bool) -> CliError {
    let hint = match failed {
        RebuildFailed::Request(failed) => return of_request(*failed, terminated),
        RebuildFailed::Plan(failed) => return of_plan(&failed),
        RebuildFailed::OfExisting(_) => {
            "only a plan that makes a whole environment has another path; make one for a path \
             where nothing exists"
        }
        RebuildFailed::Exists(_) => {
            "name a path where nothing exists, or make the plan with `--clear`"
        }
        RebuildFailed::NoRequest
        | RebuildFailed::OtherOutcome { .. }
        | RebuildFailed::Interpreter { .. } => "make a new plan with `rvenv plan -o FILE`",
    };
    CliError::of(Code::UnsuitedPlan, &failed).hint(hint)
}
