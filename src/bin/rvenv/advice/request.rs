//! What the command reports when a request has no answer: no wheel, no bytecode, no environment.
//!
//! Read next: `../advice.rs`.

use rvenv::bytecode::CompileFailed;
use rvenv::fetch::FetchFailed;
use rvenv::fetching::FetchingFailed;
use rvenv::lock::{ChoiceFault, LockFault};
use rvenv::locked::{Builds, LockedFailed};
use rvenv::provision::BytecodeFailed;
use rvenv::removal::RemovalFailed;
use rvenv::render::escape;
use rvenv::request::RequestFailed;

use super::{
    CliError, Code, interruption, of_base, of_existing, of_interpreter, of_plan, of_resolving,
};

/// Describes why a request failed.
pub(crate) fn of_request(failed: RequestFailed, terminated: bool) -> CliError {
    match failed {
        RequestFailed::Interpreter(error) => of_interpreter(&error, terminated),
        RequestFailed::Base(error) => of_base(&error, terminated),
        RequestFailed::Hook(error) => of_plan(&error.into()),
        RequestFailed::Target(error) => of_plan(&error.into()),
        RequestFailed::Existing(error) => of_existing(&error),
        RequestFailed::NoEnvironment { path, source } => {
            let shown = escape(&path.to_string_lossy());
            CliError::new(
                Code::NoEnvironment,
                format!("there is no environment at `{shown}`"),
            )
            .because(&source)
            .hint("make one with `rvenv create`")
        }
        RequestFailed::Fetching(error) => of_fetching(
            &error,
            terminated,
            "check that the index can be reached, or leave out `--upgrade-deps`",
        ),
        RequestFailed::Locked(error) => of_locked(&error, terminated),
        RequestFailed::Removal(error) => of_removal(&error),
        RequestFailed::Bytecode(error) => of_bytecode(&error, terminated),
    }
}

/// Describes why wheels are not there; `hint` is the way out if no place has one.
fn of_fetching(failed: &FetchingFailed, terminated: bool, hint: &str) -> CliError {
    match failed {
        FetchingFailed::Fetch(FetchFailed::Interrupted) => {
            CliError::of(interruption(terminated), failed)
        }
        FetchingFailed::Settings(_) | FetchingFailed::Wheelhouse(_) => {
            CliError::of(Code::BadSetting, failed)
        }
        FetchingFailed::NoDirectory(_) => CliError::of(Code::NoCache, failed)
            .hint("name a directory for the cache with `RVENV_CACHE_DIR`"),
        FetchingFailed::Fetch(FetchFailed::Nowhere { tried, .. }) if tried.is_empty() => {
            CliError::of(Code::NoWheel, failed).hint(hint)
        }
        FetchingFailed::NoWheel(_) => CliError::of(Code::NoWheel, failed).hint(hint),
        FetchingFailed::Fetch(_) => CliError::of(Code::FetchFailed, failed).hint(hint),
        _ => CliError::of(Code::FetchFailed, failed),
    }
}

/// Describes why the packages of a lock are not there.
fn of_locked(failed: &LockedFailed, terminated: bool) -> CliError {
    match failed {
        LockedFailed::Lock(error) => of_lock_file(failed, &error.fault),
        LockedFailed::Choice(error) => {
            let told = CliError::of(Code::UnsuitedLock, failed);
            match &error.fault {
                ChoiceFault::Python { .. } | ChoiceFault::Environments { .. } => {
                    told.hint("name another interpreter with `--python`, or lock for this one too")
                }
                ChoiceFault::NoWheel { .. } => told.hint(
                    "lock a version that has a wheel for this interpreter, or name another one \
                     with `--python`",
                ),
                ChoiceFault::Ambiguous { .. }
                | ChoiceFault::Constrained { .. }
                | ChoiceFault::Unhashed { .. }
                | ChoiceFault::Marker { .. } => told.hint("lock again"),
                ChoiceFault::Extra { .. } | ChoiceFault::Group { .. } => told,
            }
        }
        LockedFailed::Unbuilt { builds, .. } => {
            CliError::of(Code::NeedsBuild, failed).hint(match builds {
                Builds::Nothing => {
                    "leave out `--no-build`, or ask for a version that has a wheel for this \
                     interpreter"
                }
                Builds::Unlocked | Builds::All => {
                    "`--build` builds what a lock names by its sources; the backends of these \
                     sources run as you"
                }
            })
        }
        LockedFailed::Build(error) => super::resolving::of_build(error, terminated),
        LockedFailed::Resolving(error) => of_resolving(error, terminated),
        LockedFailed::Asked(_) => CliError::of(Code::BadRequirement, failed),
        LockedFailed::Fetching(error) => of_fetching(
            error,
            terminated,
            "name a directory that has the wheel with `--wheelhouse`, a registry with `--from`, or \
             another index with `--index-url`",
        ),
    }
}

/// Describes why something cannot be uninstalled.
fn of_removal(failed: &RemovalFailed) -> CliError {
    let told = CliError::of(
        match failed {
            RemovalFailed::NotInstalled { .. } => Code::NotInstalled,
            RemovalFailed::Unlisted { .. } | RemovalFailed::Disk { .. } => Code::NoRecord,
        },
        failed,
    );
    match failed {
        RemovalFailed::NotInstalled { .. } => {
            told.hint("`rvenv status -v` lists what is installed")
        }
        RemovalFailed::Unlisted { distribution, .. } => told.hint(format!(
            "install it again with `pip install --force-reinstall {}`, then it lists its files",
            distribution.name
        )),
        RemovalFailed::Disk { .. } => told,
    }
}

/// Describes why a file is no lock.
fn of_lock_file(failed: &LockedFailed, fault: &LockFault) -> CliError {
    let told = CliError::of(Code::BadLock, failed);
    let is_unresolved = matches!(
        fault,
        LockFault::Unpinned(_) | LockFault::Unhashed(_) | LockFault::Name
    );
    if is_unresolved {
        return told.hint(
            "a lock is needed here: write one with `rvenv lock`, \
             `uv export --format pylock.toml` or `uv pip compile --generate-hashes`",
        );
    }
    if matches!(fault, LockFault::Disk(_)) {
        return told.hint("name a file that you may read; `rvenv lock` writes a `pylock.toml`");
    }
    if matches!(fault, LockFault::Unlocked { .. }) {
        return told.hint(
            "a file with hashes is a lock, which names archives: build a wheel of it, and name \
             that with its `--hash`; a file without hashes is resolved and built",
        );
    }
    told
}

/// Describes why there is no bytecode.
fn of_bytecode(failed: &BytecodeFailed, terminated: bool) -> CliError {
    match failed {
        BytecodeFailed::Compile(CompileFailed::Interrupted { .. }) => {
            CliError::of(interruption(terminated), failed)
        }
        BytecodeFailed::Compile(_) => CliError::of(Code::CompileFailed, failed)
            .hint("leave out `--compile-bytecode`: Python compiles what it imports"),
        BytecodeFailed::Wheel(_) => CliError::of(Code::BadWheel, failed)
            .hint("reinstall that Python, name another with `--python`, or use `--without-pip`"),
    }
}
