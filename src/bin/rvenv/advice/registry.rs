//! What the command reports when a registry does not take or give something.
//!
//! Read next: `../advice.rs`.

use rvenv::fetch::{FetchFailed, RegistryFailed};
use rvenv::pulling::PullFailed;
use rvenv::pushing::PushFailed;
use rvenv::republishing::RepublishFailed;

use super::{CliError, Code, State, interruption, of_cache, of_plan, of_request};

/// What may be wrong with a registry.
const LOGIN: &str = "check the host, and the credentials in Docker's configuration: `docker login \
                     HOST` writes them";

/// Describes why something could not be pushed.
pub(crate) fn of_push(failed: PushFailed, terminated: bool) -> CliError {
    match failed {
        PushFailed::OfExisting(_) => CliError::of(Code::UnsuitedPlan, &failed)
            .hint("make a plan for a path where nothing exists with `rvenv plan -o FILE`"),
        PushFailed::Pinned(_) => {
            CliError::of(Code::BadReference, &failed).hint("name a tag, or the repository alone")
        }
        PushFailed::NoWheels => CliError::of(Code::NoWheel, &failed)
            .hint("the cache keeps wheels that were fetched, as by `rvenv sync`"),
        PushFailed::NoCache => CliError::of(Code::NoCache, &failed)
            .hint("name a directory for it with `RVENV_CACHE_DIR`"),
        PushFailed::NotUsed(why) => of_cache(&why),
        PushFailed::Cache(_) | PushFailed::Wheel { .. } => CliError::of(Code::Disk, &failed),
        PushFailed::Settings(_) => CliError::of(Code::BadSetting, &failed),
        PushFailed::Registry(RegistryFailed::Interrupted) => {
            CliError::of(interruption(terminated), &failed)
        }
        PushFailed::Registry(ref why) => {
            let state = match why {
                RegistryFailed::PutManifest { .. } => State::TagInDoubt,
                RegistryFailed::Blob { .. }
                | RegistryFailed::GetManifest { .. }
                | RegistryFailed::Thread(_)
                | RegistryFailed::Interrupted
                | _ => State::TagAsBefore,
            };
            CliError::of(Code::PushFailed, &failed)
                .leaving(state)
                .hint(LOGIN)
        }
    }
}

/// Describes why something could not be pulled.
pub(crate) fn of_pull(failed: &PullFailed, terminated: bool) -> CliError {
    match failed {
        PullFailed::Absent(_) => CliError::of(Code::FetchFailed, failed)
            .hint("`rvenv push` prints the reference of what it pushed"),
        PullFailed::Manifest { .. } | PullFailed::Plan { .. } | PullFailed::Asked(_) => {
            CliError::of(Code::BadPlanFile, failed)
                .hint("name what `rvenv push` or `rvenv cache push` put there")
        }
        PullFailed::Read { .. } => CliError::of(Code::Disk, failed),
        PullFailed::NoCache => CliError::of(Code::NoCache, failed)
            .hint("name a directory for it with `RVENV_CACHE_DIR`"),
        PullFailed::Settings(_) => CliError::of(Code::BadSetting, failed),
        PullFailed::Registry(RegistryFailed::Interrupted)
        | PullFailed::Fetch(FetchFailed::Interrupted) => {
            CliError::of(interruption(terminated), failed)
        }
        PullFailed::Registry(_) | PullFailed::Fetch(_) => {
            CliError::of(Code::FetchFailed, failed).hint(LOGIN)
        }
    }
}

/// Describes why an environment has no plan that could be pushed.
pub(crate) fn of_republished(failed: RepublishFailed, terminated: bool) -> CliError {
    match failed {
        RepublishFailed::Request(failed) => of_request(*failed, terminated),
        RepublishFailed::Plan(failed) => of_plan(&failed),
        RepublishFailed::NoReceipt(_) => CliError::of(Code::Unpublished, &failed)
            .hint("push a plan instead: `rvenv plan -o FILE` makes one"),
        RepublishFailed::Differs(_) => CliError::of(Code::UnsuitedPlan, &failed)
            .hint("push the plan of a lock instead: `rvenv plan -r LOCK -o FILE` makes one"),
        RepublishFailed::NoCache => CliError::of(Code::NoCache, &failed)
            .hint("name a directory for it with `RVENV_CACHE_DIR`"),
        RepublishFailed::Fetch(FetchFailed::Interrupted) => {
            CliError::of(interruption(terminated), &failed)
        }
        RepublishFailed::Fetch(_) => CliError::of(Code::FetchFailed, &failed).hint(
            "name a directory that has the wheel with `--wheelhouse`, or another index with \
             `--index-url`",
        ),
        RepublishFailed::Asked(_) | RepublishFailed::Settings(_) => {
            CliError::of(Code::BadSetting, &failed)
        }
    }
}
