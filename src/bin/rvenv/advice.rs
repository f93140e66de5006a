//! What the command prints when it fails: the exit code, the causes, the state of the target, and
//! what to do next.
//!
//! The library's errors have the facts; advice is here and nowhere else.
//! Read next: `dispatch.rs`.

use std::io;

use rvenv::activation::quote_posix;
use rvenv::checks::CheckFailed;
use rvenv::environment::{PlanFailed, RunFailed};
use rvenv::existing::ExistingError;
use rvenv::hooks::HookError;
use rvenv::provision::BytecodeLost;
use rvenv::render::escape;
use rvenv::repair::RepairError;
use rvenv::verify::VerifyFailed;
use rvenv_journal::raw::{
    Ending, Kept, LockError, PlanReadError, PublishError, RecoverError, RemoveError, StageError,
    TargetError, WhyKept,
};
use rvenv_journal::{
    Aftermath, ContentError, PrepareError, PublishFailed, ReadyError, RollbackError, StageFailed,
};

use crate::shell_words::word;

mod attaching;
mod cache;
mod cli_error;
mod codes;
mod image;
mod interpreter;
mod merging;
mod registry;
mod request;
mod resolving;
mod saved_plan;
mod shortage;
mod state;

use self::cli_error::escape_lines;
use self::merging::of_merge;

#[cfg(test)]
pub(crate) use cli_error::FailureJson;
pub(crate) use cli_error::{CliError, forbidden};
pub(crate) use codes::{Code, Exit, Explanation};
pub(crate) use state::{Effect, Recovery, State, pending, recovered};

pub(crate) use self::attaching::{of_attach, of_described};
pub(crate) use self::image::of_image;
pub(crate) use self::interpreter::{of_base, of_interpreter};
pub(crate) use self::registry::{of_pull, of_push, of_republished};
pub(crate) use self::request::of_request;
pub(crate) use self::resolving::of_resolving;
pub(crate) use self::saved_plan::{of_rebuild, of_unsuited};
pub(crate) use cache::{chmod, of_cache, private_by};

/// The code of an interruption, by the signal that arrived.
pub(crate) fn interruption(terminated: bool) -> Code {
    if terminated {
        Code::Terminated
    } else {
        Code::Interrupted
    }
}

/// Describes why a run failed; `terminated` says which signal arrived, if that is the reason.
pub(crate) fn of_run(error: &RunFailed, terminated: bool, recovery: Recovery) -> CliError {
    let state = State::after(error, recovery);
    let mut told = of_run_anywhere(error, terminated).leaving(state);
    if state == State::InDoubt {
        told.code = Code::InDoubt;
    }
    match state.way_out() {
        Some(hint) => told.hint(hint),
        None => told,
    }
}

fn of_run_anywhere(error: &RunFailed, terminated: bool) -> CliError {
    match error {
        RunFailed::Plan(failed) => of_plan(failed),
        RunFailed::Ready(ReadyError::Lock(failed)) => of_lock(error, failed),
        RunFailed::Ready(ReadyError::Recover(failed)) => of_recovery(failed),
        RunFailed::Prepare(failed) | RunFailed::Remove(RemoveError::Prepare(failed)) => {
            of_prepare(failed)
        }
        RunFailed::Stage(failed) => of_stage(failed, terminated),
        RunFailed::Publish(failed) => {
            let code = of_publication(failed, terminated);
            CliError::of(code, error).short_of(failed.shortage.as_deref())
        }
        RunFailed::End(_) => CliError::of(Code::CleanupUnfinished, error),
        RunFailed::Undo(failed) => {
            let mut told = CliError::of(Code::UndoUnfinished, error);
            let why = failed.check.to_string();
            let why = why.split('\n').map(escape);
            told.details.extend(why);
            told
        }
        RunFailed::Interrupted { .. } => CliError::of(interruption(terminated), error),
        RunFailed::Rollback(failed) => of_rollback(error, failed, terminated),
        RunFailed::Remove(RemoveError::Absent(_)) => CliError::of(Code::NoEnvironment, error).hint(
            "`rvenv list` shows the environments below this directory; `rvenv uninstall` \
                 removes packages",
        ),
        RunFailed::Remove(RemoveError::Publish(failed)) => {
            CliError::of(of_publication(failed, terminated), error)
        }
        RunFailed::Check { source, ending, .. } => of_check(error, source, ending, terminated),
        RunFailed::Distributions { changes, .. } => {
            let mut told = CliError::of(Code::StalePlan, error);
            let changes = changes.iter();
            told.details = changes.map(|change| escape(&change.to_string())).collect();
            told.hint("make a new plan with `rvenv plan`")
        }
        RunFailed::Shared { .. } => {
            CliError::of(Code::StalePlan, error).hint("make a new plan with `rvenv plan`")
        }
        RunFailed::NotAnEnvironment { .. } => CliError::of(Code::UnsuitedPlan, error)
            .hint("a saved plan changes only environments; make a new plan with `rvenv plan`"),
    }
}

fn of_publication(failed: &PublishFailed, terminated: bool) -> Code {
    match failed.source {
        PublishError::Interrupted => interruption(terminated),
        PublishError::Changed(_) => Code::ChangedMeanwhile,
        // A step may remain taken: "failed" would promise that the target is as it was.
        PublishError::Disk(_) | PublishError::Step { .. } | PublishError::Moved
            if failed.aftermath == Aftermath::NeedsRecovery =>
        {
            Code::PublishUnfinished
        }
        PublishError::Disk(_)
        | PublishError::Step { .. }
        | PublishError::Moved
        | PublishError::Doubt(_) => Code::PublishFailed,
    }
}

fn of_rollback(error: &RunFailed, failed: &RollbackError, terminated: bool) -> CliError {
    match failed {
        RollbackError::NoGeneration(_) => CliError::of(Code::NoGeneration, error).hint(
            "`--keep` makes a change keep what it replaces; upgrades, installs, uninstalls and \
                 syncs keep it by default",
        ),
        RollbackError::OnlyUndone { .. } => CliError::of(Code::NoGeneration, error)
            .hint("take what you need out of it, then delete it with `rvenv generations --prune`"),
        RollbackError::NoRecord { .. } => CliError::of(Code::BadGeneration, error)
            .hint("run as the user who made it, or look at what is named above"),
        RollbackError::Mounted { .. } => {
            CliError::of(Code::Mounted, error).hint("unmount it, then run the command again")
        }
        RollbackError::Disk { .. } => CliError::of(Code::Disk, error),
        RollbackError::Publish(failed) => {
            let told = CliError::of(of_publication(failed, terminated), error);
            if failed.may_go_by_smaller_steps() {
                told.hint(
                    "this filesystem cannot rename what is named above; upgrade to the previous \
                     interpreter instead",
                )
            } else {
                told
            }
        }
    }
}

fn of_check(
    error: &RunFailed,
    failed: &CheckFailed,
    ending: &Ending,
    terminated: bool,
) -> CliError {
    let code = match failed {
        CheckFailed::Interrupted { .. } => interruption(terminated),
        CheckFailed::Imports { .. } => Code::ImportFailed,
        CheckFailed::Failed { .. } | CheckFailed::TimedOut { .. } | _ => Code::CheckFailed,
    };
    let mut told = CliError::of(code, error);
    if let CheckFailed::NotStarted { source, .. } = failed
        && source.kind() == io::ErrorKind::PermissionDenied
    {
        told = told.hint(
            "a filesystem that is mounted with `noexec` starts no program: name a directory on \
             another one",
        );
    }
    if let CheckFailed::Imports { .. } = failed {
        told = told.hint(
            "these modules do not work with the new Python: install another version of their \
             packages, or uninstall them, and upgrade again",
        );
    }
    let changed = |kept: &&Kept| kept.why == WhyKept::Changed;
    if let Some(kept) = ending.kept.as_ref().filter(changed) {
        told.code = Code::ChangedWhileChecked;
        told.details.push(format!(
            "another process changed the new files meanwhile; they are kept as generation {}",
            kept.generation
        ));
    }
    told
}

fn of_stage(failed: &StageFailed, terminated: bool) -> CliError {
    let lost = lost_bytecode(&failed.source);
    let interrupted = matches!(failed.source, StageError::Interrupted { .. })
        || matches!(lost, Some(BytecodeLost::Interrupted));
    let code = match (&failed.source, &lost) {
        _ if interrupted => interruption(terminated),
        (_, Some(BytecodeLost::OtherPython)) => Code::StalePlan,
        (_, Some(_)) => Code::CompileFailed,
        (StageError::Content { .. }, None) => Code::Content,
        (
            StageError::Disk { .. }
            | StageError::NoSymlinks { .. }
            | StageError::Sharing { .. }
            | StageError::Interrupted { .. },
            None,
        ) => Code::Disk,
    };
    let told = CliError::of(code, failed).short_of(failed.shortage.as_deref());
    if failed.may_go_without_symlinks() {
        return told
            .hint("`rvenv create` plans again with copies where there are no symbolic links");
    }
    match lost {
        Some(BytecodeLost::NoCompiler) => told.hint(
            "with `--compile-bytecode` the interpreter that the plan names may compile it again",
        ),
        Some(BytecodeLost::OtherPython) => told.hint("make a new plan with `rvenv plan`"),
        Some(BytecodeLost::Interrupted | BytecodeLost::Failed(_)) | None => told,
    }
}

fn lost_bytecode(failed: &StageError) -> Option<&BytecodeLost> {
    let StageError::Content { source, .. } = failed else {
        return None;
    };
    match source {
        ContentError::Read { source, .. } => source.downcast_ref(),
        ContentError::Unknown(_) | ContentError::Damaged { .. } => None,
    }
}

/// Describes why there is no plan.
pub(crate) fn of_plan(failed: &PlanFailed) -> CliError {
    match failed {
        PlanFailed::Hook(hook) => of_hook(failed, hook),
        PlanFailed::Plan(_) => CliError::of(Code::Collision, failed),
        PlanFailed::Disk(_) => CliError::of(Code::Disk, failed),
        PlanFailed::Target(target) => of_target(failed, target),
        PlanFailed::Merge(error) => of_merge(failed, error),
        PlanFailed::Repair(error) => of_repair(failed, error),
        PlanFailed::NotAnEnvironment { .. } => CliError::of(Code::UnsafeClear, failed)
            .hint("add `--force` if everything in it may be deleted"),
        PlanFailed::MoreThanAnEnvironment { .. } => CliError::of(Code::UnsafeClear, failed)
            .hint("use `--force` if all of it may be deleted, or delete by hand what may go"),
        PlanFailed::Whole(_) => CliError::of(Code::Occupied, failed),
        PlanFailed::Link { .. } => CliError::of(Code::UnsafeClear, failed)
            .hint("name the directory itself, or use `--force` if all of it may be deleted"),
    }
}

/// Describes why a hook could not plan.
fn of_hook(failed: &PlanFailed, hook: &HookError) -> CliError {
    match hook {
        HookError::Text(_) => {
            CliError::of(Code::BadText, failed).hint("choose a text without that character")
        }
        HookError::NoPip { minor, .. } => CliError::of(Code::NoPip, failed).hint(format!(
            "install its bundled wheels (on Debian: `apt install python3.{minor}-venv`), or use \
             `--without-pip`"
        )),
        HookError::Owned { .. } | HookError::Collides { first: Some(_), .. } => {
            CliError::of(Code::Collision, failed)
                .hint("only one of the two can be installed: lock without the other")
        }
        HookError::Locked(_) | HookError::Collides { .. } => CliError::of(Code::BadWheel, failed)
            .hint("a wheel that is published so cannot be installed: choose another version"),
        HookError::Wheel(_) | HookError::Install(_) => CliError::of(Code::BadWheel, failed)
            .hint("reinstall that Python, name another with `--python`, or use `--without-pip`"),
        HookError::Plan(_) | HookError::Path(_) => CliError::of(Code::Collision, failed),
        HookError::Layout(_)
        | HookError::NothingToUpgrade(_)
        | HookError::NotCompiled(_)
        | HookError::NotDownloaded(_)
        | HookError::NotGiven(_)
        | HookError::NoProgram(_)
        | HookError::NoLauncher(_)
        | HookError::UnknownScm(_)
        | HookError::Other(_) => CliError::of(Code::BrokenPython, failed),
    }
}

fn of_repair(failed: &PlanFailed, error: &RepairError) -> CliError {
    match error {
        RepairError::Merge(error) => of_merge(failed, error),
        RepairError::Disk(_) | RepairError::Plan(_) => CliError::of(Code::Disk, failed),
        RepairError::NoReceipt(_) => CliError::of(Code::Unpublished, failed).hint(
            "bring it under management with `rvenv upgrade`, or replace it with `rvenv \
             create --clear`",
        ),
        RepairError::NoSource { .. } => CliError::of(Code::NoSource, failed).hint(
            "the base Python may have changed: `rvenv upgrade` brings the environment to \
             what it is now",
        ),
        RepairError::NoChoices(_) => CliError::of(Code::NoSource, failed).hint(
            "`rvenv create` with the options that you want writes it again, and keeps everything \
             else",
        ),
        RepairError::NoWheel { target, packages } => {
            let again = packages.iter().flat_map(|one| &one.again);
            let words: Vec<String> = again.map(|again| escape(&quote_posix(again))).collect();
            let python = word(&target.join("bin/python").to_string_lossy());
            let command = format!(
                "run `{python} -m pip install --force-reinstall --no-deps {}`",
                words.join(" ")
            );
            let may_find = packages.iter().any(|one| !one.is_egg);
            CliError::of(Code::NoReplacement, failed).hint(if may_find {
                format!("name where wheels are with `--find-links` or `--index-url`, or {command}")
            } else {
                command
            })
        }
        RepairError::OtherPython { .. } => CliError::of(Code::OtherPython, failed).hint(
            "a repair keeps the minor version, and with it the packages: `rvenv upgrade` changes \
             it",
        ),
        RepairError::Left { .. } => CliError::of(Code::NoSource, failed)
            .hint("`rvenv verify` names all of it; what it names must be mended by hand"),
        RepairError::Modes { .. } => CliError::of(Code::ClosedDirectories, failed)
            .hint("give the directories their modes with `chmod`, then repair again"),
    }
}

/// Describes why an existing environment cannot be used.
pub(crate) fn of_existing(failed: &ExistingError) -> CliError {
    let (code, hint) = match failed {
        ExistingError::NoConfig(_) => (
            Code::NoEnvironment,
            "name an environment, or make one with `rvenv create`",
        ),
        ExistingError::Config { .. } | ExistingError::Link(_) | ExistingError::Disk { .. } | _ => (
            Code::BadEnvironment,
            "replace it with `rvenv create --clear`, or name another environment",
        ),
    };
    CliError::of(code, failed).hint(hint)
}

/// Describes why an environment could not be verified.
pub(crate) fn of_verify(failed: &VerifyFailed) -> CliError {
    match failed {
        VerifyFailed::Absent(_) | VerifyFailed::NotAnEnvironment(_) => {
            CliError::of(Code::NoEnvironment, failed)
                .hint("name a virtual environment, or make one with `rvenv create`")
        }
        VerifyFailed::Disk(_) => CliError::of(Code::Disk, failed)
            .hint("run as a user who may read all of the environment"),
    }
}

/// Describes why a path leads to nothing that could be verified.
pub(crate) fn of_verify_target(failed: TargetError) -> CliError {
    of_plan(&PlanFailed::Target(failed))
}

fn of_target(failed: &PlanFailed, target: &TargetError) -> CliError {
    match target {
        TargetError::Disk { .. } => CliError::of(Code::Disk, failed)
            .hint("the directory above the target must be one that you may read and write"),
        TargetError::NoParent(_) => CliError::of(Code::BadTarget, failed)
            .hint("make that directory, or name another target"),
        TargetError::NoName(_)
        | TargetError::NotUtf8(_)
        | TargetError::NotADirectory(_)
        | TargetError::Dangling { .. }
        | TargetError::Chain { .. } => CliError::of(Code::BadTarget, failed)
            .hint("name another directory, or move away what is in the way"),
    }
}

fn of_lock(error: &RunFailed, failed: &LockError) -> CliError {
    let code = match failed {
        LockError::Busy { .. } => Code::TargetBusy,
        LockError::Foreign { .. }
        | LockError::Linked(_)
        | LockError::Disk { .. }
        | LockError::NoLocks(_) => Code::TargetLock,
    };
    let told = CliError::of(code, error);
    match failed {
        LockError::Busy { .. } => told.hint("wait for it, or wait longer with `--wait SECONDS`"),
        LockError::Foreign { .. } => {
            told.hint("run as that user, or delete the lock file if no process uses it")
        }
        LockError::Linked(_) => told.hint("delete the lock file if no process uses it"),
        LockError::Disk { .. } | LockError::NoLocks(_) => {
            told.hint("the directory above the target must be writable, on a filesystem with locks")
        }
    }
}

fn of_recovery(failed: &RecoverError) -> CliError {
    let (code, hint) = match failed {
        RecoverError::Doubt { .. } => (
            Code::InDoubt,
            "check the disk, reboot, then run `rvenv recover` on the target",
        ),
        RecoverError::End { .. } | RecoverError::Disk { .. } => (
            Code::RecoveryUnfinished,
            "fix the cause named above, then run `rvenv recover` on the target again",
        ),
        RecoverError::Foreign { .. }
        | RecoverError::Several { .. }
        | RecoverError::Refused { .. } => (
            Code::RecoveryRefused,
            "look at what is named above, move it away, then run `rvenv recover` on the target \
             again",
        ),
    };
    CliError::of(code, failed).hint(hint)
}

fn of_prepare(failed: &PrepareError) -> CliError {
    match failed {
        PrepareError::Stale { reasons, .. } => {
            let mut told = CliError::of(Code::StalePlan, failed);
            told.details = reasons
                .iter()
                .map(|stale| escape(&format!("`{}` {}", stale.path, stale.why)))
                .collect();
            told.hint("make a new plan with `rvenv plan`")
        }
        PrepareError::Mounted { .. } => {
            CliError::of(Code::Mounted, failed).hint("unmount it, or name another directory")
        }
        PrepareError::Unnumbered { .. } => CliError::of(Code::Occupied, failed).hint(
            "move away or delete what is named above: rvenv counts from 1 and did not create it",
        ),
        PrepareError::Cover { .. } => CliError::of(Code::Occupied, failed)
            .hint("move it away, or use `--clear` to replace the environment"),
        PrepareError::NothingToDo(_) | PrepareError::Disk { .. } => {
            CliError::of(Code::Disk, failed)
        }
    }
}

/// Describes a command line that clap refused, from its text.
pub(crate) fn of_usage(text: &str) -> CliError {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let message = first.strip_prefix("error: ").unwrap_or(first);
    let mut told = CliError::new(Code::Usage, escape(message));
    told.details = lines.map(escape).collect();
    told
}

/// Reports that data could not be written to standard output.
pub(crate) fn of_output(failed: &io::Error) -> CliError {
    CliError::new(Code::OutputLost, "cannot write to standard output")
        .because(failed)
        .hint("send standard output elsewhere, then run the command again")
}

/// Describes why a plan file was refused.
pub(crate) fn of_plan_file(shown: &str, failed: &PlanReadError) -> CliError {
    let mut told = CliError::of(Code::BadPlanFile, failed);
    let message = format!("{shown} is not a plan that can be applied");
    let reason = std::mem::replace(&mut told.message, message);
    told.causes.insert(0, reason);
    told.hint("make a new plan with `rvenv plan -o FILE`")
}
