//! What the command reports when a registry does not take or give something.
//!
//! Read next: `../advice.rs`.

use rvenv::choosing::ChoiceFailed;
use rvenv::fetch::{FetchFailed, PlaceError, RegistryFailed, Repository};
use rvenv::pulling::PullFailed;
use rvenv::pushing::PushFailed;
use rvenv::render::escape;
use rvenv::republishing::RepublishFailed;

use super::{CliError, Code, State, interruption, of_cache, of_plan, of_request, of_unsuited};

/// How many environments of an index are shown.
const OFFERS_SHOWN_MAX: usize = 20;
/// What may be wrong with a directory in the form of a registry, and with a registry.
const DIRECTORY: &str = "check the directory: whether it is mounted, and who may read and write it";
const LOGIN: &str = "check the host, and the credentials in Docker's configuration: `docker login \
                     HOST` writes them";

/// What to do when a registry does not take or give something.
pub(super) fn way_out(failed: &RegistryFailed) -> &'static str {
    match failed {
        RegistryFailed::Blob {
            repository, source, ..
        }
        | RegistryFailed::PutManifest { repository, source }
        | RegistryFailed::GetManifest {
            repository, source, ..
        }
        | RegistryFailed::Referrers {
            repository, source, ..
        } => match repository {
            Repository::Layout(_) => DIRECTORY,
            Repository::Hosted(_) => way_out_of(Some(source)),
        },
        RegistryFailed::Thread(_) | RegistryFailed::Interrupted | _ => LOGIN,
    }
}

/// The same by the cause.
fn way_out_of(cause: Option<&PlaceError>) -> &'static str {
    match cause {
        Some(PlaceError::Status { status: 405, .. } | PlaceError::Refused { status: 405, .. }) => {
            "the registry takes nothing, as while it is maintained: try again later, or name \
             another one"
        }
        Some(
            PlaceError::Status {
                status: 429 | 500..=599,
                ..
            }
            | PlaceError::Refused {
                status: 429 | 500..=599,
                ..
            }
            | PlaceError::Silent(_),
        ) => {
            "the registry is busy or broken, or its disk is full: try again later; `PIP_RETRIES` \
             says how often a request is repeated"
        }
        Some(PlaceError::Size { .. } | PlaceError::Hash { .. } | PlaceError::TooLarge { .. }) => {
            "the registry, or what is between it and this machine, changed the bytes: restore its \
             storage, or delete there what the message names, and push it again"
        }
        Some(PlaceError::Connection { why, .. }) if why.contains("certificate") => {
            "name the certificate of its authority with `SSL_CERT_FILE` or `PIP_CERT`"
        }
        Some(PlaceError::Connection { .. } | PlaceError::Proxy(_)) => {
            "check the host, and the proxy in `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`"
        }
        _ => LOGIN,
    }
}

/// Describes why something could not be pushed.
pub(crate) fn of_push(failed: PushFailed, terminated: bool) -> CliError {
    match failed {
        PushFailed::OfExisting(_) => CliError::of(Code::UnsuitedPlan, &failed)
            .hint("make a plan for a path where nothing exists with `rvenv plan -o FILE`"),
        PushFailed::Pinned(_) => {
            CliError::of(Code::BadReference, &failed).hint("name a tag, or the repository alone")
        }
        PushFailed::Elsewhere { .. } => CliError::of(Code::BadReference, &failed).hint(
            "copy it there first, or push all of them into one repository: an index lists what is \
             beside it",
        ),
        PushFailed::Absent(_) => CliError::of(Code::FetchFailed, &failed)
            .hint("`rvenv push` prints the reference of what it pushed"),
        PushFailed::Manifest { .. } => CliError::of(Code::BadPlanFile, &failed)
            .hint("name manifests that `rvenv push` put there, each by its digest"),
        PushFailed::NoDemands(_) => CliError::of(Code::UnsuitedPlan, &failed)
            .hint("make the plan again with `rvenv plan -o FILE`, and push that"),
        PushFailed::Twice { .. } => CliError::of(Code::UnsuitedPlan, &failed)
            .hint("leave one of them out, or push it under a tag of its own"),
        PushFailed::Bytecode(_) => CliError::of(Code::UnsuitedPlan, &failed).hint(
            "let the interpreter of the plan compile it with `--compile-bytecode`, or make the \
             plan again",
        ),
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
                .hint(way_out(why))
        }
    }
}

/// Describes why something could not be pulled.
pub(crate) fn of_pull(failed: &PullFailed, terminated: bool) -> CliError {
    match failed {
        PullFailed::Absent(_) => CliError::of(Code::FetchFailed, failed)
            .hint("`rvenv push` prints the reference of what it pushed"),
        PullFailed::Choice { source, .. } => of_choice(failed, source),
        PullFailed::Unlisted { .. } | PullFailed::Length { .. } => {
            CliError::of(Code::FetchFailed, failed)
                .hint("push the index again: the registry lacks a part of it")
        }
        PullFailed::Manifest { .. }
        | PullFailed::Bytecode { .. }
        | PullFailed::Interpreter { .. }
        | PullFailed::Plan { .. }
        | PullFailed::Asked(_) => CliError::of(Code::BadPlanFile, failed)
            .hint("name what `rvenv push` or `rvenv cache push` put there"),
        PullFailed::Read { .. } => CliError::of(Code::Disk, failed),
        PullFailed::NoCache => CliError::of(Code::NoCache, failed)
            .hint("name a directory for it with `RVENV_CACHE_DIR`"),
        PullFailed::Settings(_) => CliError::of(Code::BadSetting, failed),
        PullFailed::Registry(RegistryFailed::Interrupted)
        | PullFailed::Fetch(FetchFailed::Interrupted) => {
            CliError::of(interruption(terminated), failed)
        }
        PullFailed::Registry(why) => CliError::of(Code::FetchFailed, failed).hint(way_out(why)),
        PullFailed::Wheel(why) => of_unsuited(why, terminated),
        PullFailed::Fetch(why) => {
            let cause = match why {
                FetchFailed::Nowhere { tried, .. } => tried.first().map(|(_, cause)| cause),
                FetchFailed::Shelf { .. }
                | FetchFailed::TotalTooLarge(_)
                | FetchFailed::Thread(_)
                | FetchFailed::Interrupted
                | _ => None,
            };
            CliError::of(Code::FetchFailed, failed).hint(way_out_of(cause))
        }
    }
}

/// Describes why no environment of an index was chosen, and lists them.
fn of_choice(failed: &PullFailed, why: &ChoiceFailed) -> CliError {
    let (offers, hint) = match why {
        ChoiceFailed::None { offers, .. } => (
            offers,
            "push an environment for this machine too, or install the interpreter that one of \
             them names",
        ),
        ChoiceFailed::Several { offers, .. } => (
            offers,
            "choose one with `--python`, or name its digest in place of that of the index",
        ),
    };
    let shown = offers.iter().take(OFFERS_SHOWN_MAX);
    let mut told = CliError::of(Code::UnsuitedPlan, failed).hint(hint);
    told.details
        .extend(shown.map(|offer| escape(&offer.to_string())));
    if offers.len() > OFFERS_SHOWN_MAX {
        let more = offers.len() - OFFERS_SHOWN_MAX;
        told.details.push(format!("and {more} more"));
    }
    told
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
