//! What the command prints when it fails: the exit code, the causes, the state of the target, and
//! what to do next.
//!
//! The library's errors have the facts; advice is here and nowhere else.
//! Read next: `dispatch.rs`.

use std::error::Error;
use std::fmt::Write as _;
use std::io;

use rvenv::activation::quote_posix;
use rvenv::checks::CheckFailed;
use rvenv::environment::{PlanFailed, RunFailed};
use rvenv::existing::ExistingError;
use rvenv::hooks::HookError;
use rvenv::host::file_size_max;
use rvenv::provision::BytecodeLost;
use rvenv::render::escape;
use rvenv::repair::RepairError;
use rvenv::verify::VerifyFailed;
use rvenv_journal::raw::{
    Ending, Kept, LockError, PlanReadError, PublishError, RecoverError, StageError, TargetError,
    WhyKept, counted,
};
use rvenv_journal::{
    Aftermath, ContentError, PrepareError, PublishFailed, ReadyError, RollbackError, StageFailed,
};

use crate::shell_words::word;

mod cache;
mod interpreter;
mod merging;
mod request;
mod resolving;
mod saved_plan;
mod shortage;
mod state;

use self::merging::of_merge;

pub(crate) use state::{Effect, Recovery, State, pending, recovered};

pub(crate) use self::interpreter::{of_base, of_interpreter};
pub(crate) use self::request::of_request;
pub(crate) use self::resolving::of_resolving;
pub(crate) use self::saved_plan::{of_rebuild, of_unsuited};
pub(crate) use cache::{chmod, of_cache, private_by};

/// How the command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Precondition = 3,
    Pending = 4,
    NeedsPerson = 5,
    InDoubt = 6,
    Interrupted = 130,
    Terminated = 143,
}

/// A failure in the form in which it is printed.
#[derive(Debug)]
pub(crate) struct CliError {
    pub(crate) exit: Exit,
    message: String,
    causes: Vec<String>,
    details: Vec<String>,
    state: Option<State>,
    /// Whether only a search failed, which could not change anything.
    is_search: bool,
    hint: Option<String>,
}

impl CliError {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            causes: Vec::new(),
            details: Vec::new(),
            state: None,
            is_search: false,
            hint: None,
        }
    }

    pub(crate) fn of(exit: Exit, error: &dyn Error) -> Self {
        let mut told = Self::new(exit, escape_lines(&error.to_string()));
        let mut next = error.source();
        while let Some(cause) = next {
            told.add_cause(cause, escape_lines(&cause.to_string()));
            next = cause.source();
        }
        told
    }

    fn add_cause(&mut self, error: &(dyn Error + 'static), text: String) {
        self.causes.push(text);
        let error = error.downcast_ref::<io::Error>();
        let limit = error.and_then(|error| exceeded(error).or(forbidden(error)));
        if let Some(limit) = limit.filter(|limit| !self.details.contains(limit)) {
            self.details.push(limit);
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The state that the failure leaves.
    pub(crate) fn leaving(mut self, state: State) -> Self {
        self.state = Some(state);
        self
    }

    /// Whether the failure contains these words of the system.
    pub(crate) fn tells(&self, words: &str) -> bool {
        let mut texts = self.causes.iter().chain(&self.details);
        self.message.contains(words) || texts.any(|text| text.contains(words))
    }

    /// What exists in place of what was searched for; printed instead of the state, since a search
    /// changes nothing.
    pub(crate) fn instead(mut self, what: &str) -> Self {
        self.details.insert(0, escape(what));
        self.is_search = true;
        self
    }

    /// The state of something that the command had not begun to change, unless more is known.
    pub(crate) fn or_not_begun(mut self, effect: Effect) -> Self {
        if !self.is_search {
            self.state = self.state.or(effect.not_begun());
        }
        self
    }

    pub(crate) fn because(mut self, error: &(dyn Error + 'static)) -> Self {
        self.add_cause(error, escape_lines(&error.to_string()));
        self
    }

    /// The whole text, for standard error.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("\x1b[31merror\x1b[0m: {}\n", self.message);
        for cause in &self.causes {
            let _infallible = writeln!(text, "  caused by: {cause}");
        }
        for detail in &self.details {
            let _infallible = writeln!(text, "  {detail}");
        }
        if let Some(state) = self.state {
            let _infallible = writeln!(text, "  {}", state.sentence());
        }
        if let Some(hint) = &self.hint {
            let _infallible = writeln!(text, "\x1b[36mhint\x1b[0m: {hint}");
        }
        text
    }
}

/// The limit that a write exceeded, if this process has one.
fn exceeded(error: &io::Error) -> Option<String> {
    if error.kind() != io::ErrorKind::FileTooLarge {
        return None;
    }
    let limit = counted(file_size_max()?, "byte");
    Some(format!(
        "no file of this process may exceed {limit} (`ulimit -f`)"
    ))
}

/// What can stop even root from changing an entry, if the system can show it.
#[cfg(target_os = "linux")]
pub(crate) fn forbidden(error: &io::Error) -> Option<String> {
    let is_it = error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error());
    is_it.then(|| {
        "`lsattr -d` shows whether the entry, or the directory that it is in, is immutable (`i`) \
         or append-only (`a`)"
            .to_owned()
    })
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn forbidden(_error: &io::Error) -> Option<String> {
    None
}

/// Escapes a message of rvenv's own, which may have several lines; quoted text was escaped where it
/// was quoted.
fn escape_lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(escape).collect();
    lines.join("\n")
}

/// The exit code of an interruption, by the signal that arrived.
pub(crate) fn interruption(terminated: bool) -> Exit {
    if terminated {
        Exit::Terminated
    } else {
        Exit::Interrupted
    }
}

/// Describes why a run failed; `terminated` says which signal arrived, if that is the reason.
pub(crate) fn of_run(error: &RunFailed, terminated: bool, recovery: Recovery) -> CliError {
    let state = State::after(error, recovery);
    let mut told = of_run_anywhere(error, terminated).leaving(state);
    if state == State::InDoubt {
        told.exit = Exit::InDoubt;
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
        RunFailed::Prepare(failed) => of_prepare(failed),
        RunFailed::Stage(failed) => of_stage(failed, terminated),
        RunFailed::Publish(failed) => {
            let exit = of_publication(failed, terminated);
            CliError::of(exit, error).short_of(failed.shortage.as_deref())
        }
        RunFailed::End(_) => CliError::of(Exit::NeedsPerson, error),
        RunFailed::Undo(failed) => {
            let mut told = CliError::of(Exit::NeedsPerson, error);
            let why = failed.check.to_string();
            let why = why.split('\n').map(escape);
            told.details.extend(why);
            told
        }
        RunFailed::Interrupted { .. } => CliError::of(interruption(terminated), error),
        RunFailed::Rollback(failed) => of_rollback(error, failed, terminated),
        RunFailed::Check { source, ending, .. } => of_check(error, source, ending, terminated),
        RunFailed::Distributions { changes, .. } => {
            let mut told = CliError::of(Exit::Precondition, error);
            let changes = changes.iter();
            told.details = changes.map(|change| escape(&change.to_string())).collect();
            told.hint("make a new plan with `rvenv plan`")
        }
        RunFailed::Shared { .. } => {
            CliError::of(Exit::Precondition, error).hint("make a new plan with `rvenv plan`")
        }
        RunFailed::NotAnEnvironment { .. } => CliError::of(Exit::Precondition, error)
            .hint("a saved plan changes only environments; make a new plan with `rvenv plan`"),
    }
}

fn of_publication(failed: &PublishFailed, terminated: bool) -> Exit {
    match failed.source {
        PublishError::Interrupted => interruption(terminated),
        PublishError::Changed(_) => Exit::Precondition,
        // A step may remain taken: "failed" would promise that the target is as it was.
        PublishError::Disk(_) | PublishError::Step { .. } | PublishError::Moved
            if failed.aftermath == Aftermath::NeedsRecovery =>
        {
            Exit::NeedsPerson
        }
        PublishError::Disk(_)
        | PublishError::Step { .. }
        | PublishError::Moved
        | PublishError::Doubt(_) => Exit::Failed,
    }
}

fn of_rollback(error: &RunFailed, failed: &RollbackError, terminated: bool) -> CliError {
    match failed {
        RollbackError::NoGeneration(_) => CliError::of(Exit::Precondition, error)
            .hint("`--keep` makes a change keep what it replaces; upgrades keep it by default"),
        RollbackError::NoRecord { .. } => {
            CliError::of(Exit::NeedsPerson, error).hint("look at what is named above")
        }
        RollbackError::Mounted { .. } => {
            CliError::of(Exit::Precondition, error).hint("unmount it, then run the command again")
        }
        RollbackError::Disk { .. } => CliError::of(Exit::Failed, error),
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
    let exit = if matches!(failed, CheckFailed::Interrupted { .. }) {
        interruption(terminated)
    } else {
        Exit::Failed
    };
    let mut told = CliError::of(exit, error);
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
        told.exit = Exit::NeedsPerson;
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
    let exit = if interrupted {
        interruption(terminated)
    } else {
        Exit::Failed
    };
    let told = CliError::of(exit, failed).short_of(failed.shortage.as_deref());
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
        PlanFailed::Hook(HookError::Text(_)) => {
            CliError::of(Exit::Usage, failed).hint("choose a text without that character")
        }
        PlanFailed::Hook(HookError::NoPip { minor, .. }) => CliError::of(Exit::Failed, failed)
            .hint(format!(
                "install its bundled wheels (on Debian: `apt install python3.{minor}-venv`), \
                 or use `--without-pip`"
            )),
        PlanFailed::Hook(HookError::Owned { .. } | HookError::Collides { first: Some(_), .. }) => {
            CliError::of(Exit::Failed, failed)
                .hint("only one of the two can be installed: lock without the other")
        }
        PlanFailed::Hook(HookError::Locked(_) | HookError::Collides { .. }) => {
            CliError::of(Exit::Failed, failed)
                .hint("a wheel that is published so cannot be installed: lock another version")
        }
        PlanFailed::Hook(HookError::Wheel(_) | HookError::Install(_)) => {
            CliError::of(Exit::Failed, failed)
                .hint("reinstall that Python, name another with `--python`, or use `--without-pip`")
        }
        PlanFailed::Hook(_) | PlanFailed::Plan(_) | PlanFailed::Disk(_) => {
            CliError::of(Exit::Failed, failed)
        }
        PlanFailed::Target(target) => of_target(failed, target),
        PlanFailed::Merge(error) => of_merge(failed, error),
        PlanFailed::Repair(error) => of_repair(failed, error),
        PlanFailed::NotAnEnvironment { .. } => CliError::of(Exit::Precondition, failed)
            .hint("use `--force` with `--clear` if everything in it may be deleted"),
        PlanFailed::MoreThanAnEnvironment { .. } => CliError::of(Exit::Precondition, failed)
            .hint("use `--force` if all of it may be deleted, or delete by hand what may go"),
        PlanFailed::Whole(_) => CliError::of(Exit::Precondition, failed),
        PlanFailed::Link { .. } => CliError::of(Exit::Precondition, failed)
            .hint("name the directory itself, or use `--force` if all of it may be deleted"),
    }
}

fn of_repair(failed: &PlanFailed, error: &RepairError) -> CliError {
    match error {
        RepairError::Merge(error) => of_merge(failed, error),
        RepairError::Disk(_) | RepairError::Plan(_) => CliError::of(Exit::Failed, failed),
        RepairError::NoReceipt(_) => CliError::of(Exit::Precondition, failed).hint(
            "bring it under management with `rvenv upgrade`, or replace it with `rvenv \
             create --clear`",
        ),
        RepairError::NoSource { .. } => CliError::of(Exit::Failed, failed).hint(
            "the base Python may have changed: `rvenv upgrade` brings the environment to \
             what it is now",
        ),
        RepairError::NoChoices(_) => CliError::of(Exit::Failed, failed).hint(
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
            CliError::of(Exit::Precondition, failed).hint(if may_find {
                format!("name where wheels are with `--find-links` or `--index-url`, or {command}")
            } else {
                command
            })
        }
        RepairError::OtherPython { .. } => CliError::of(Exit::Precondition, failed).hint(
            "a repair keeps the minor version, and with it the packages: `rvenv upgrade` changes \
             it",
        ),
        RepairError::Left { .. } => CliError::of(Exit::Failed, failed)
            .hint("`rvenv verify` names all of it; what it names must be mended by hand"),
        RepairError::Modes { .. } => CliError::of(Exit::Failed, failed)
            .hint("give the directories their modes with `chmod`, then repair again"),
    }
}

/// Describes why an existing environment cannot be used.
pub(crate) fn of_existing(failed: &ExistingError) -> CliError {
    let hint = match failed {
        ExistingError::NoConfig(_) => "name an environment, or make one with `rvenv create`",
        ExistingError::Config { .. } | ExistingError::Link(_) | ExistingError::Disk { .. } | _ => {
            "replace it with `rvenv create --clear`, or name another environment"
        }
    };
    CliError::of(Exit::Precondition, failed).hint(hint)
}

/// Describes why an environment could not be verified.
pub(crate) fn of_verify(failed: &VerifyFailed) -> CliError {
    match failed {
        VerifyFailed::Absent(_) | VerifyFailed::NotAnEnvironment(_) => {
            CliError::of(Exit::Precondition, failed)
                .hint("name a virtual environment, or make one with `rvenv create`")
        }
        VerifyFailed::Disk(_) => CliError::of(Exit::Failed, failed)
            .hint("run as a user who may read all of the environment"),
    }
}

/// Describes why a path leads to nothing that could be verified.
pub(crate) fn of_verify_target(failed: TargetError) -> CliError {
    of_plan(&PlanFailed::Target(failed))
}

fn of_target(failed: &PlanFailed, target: &TargetError) -> CliError {
    match target {
        TargetError::Disk { .. } => CliError::of(Exit::Failed, failed)
            .hint("the directory above the target must be one that you may read and write"),
        TargetError::NoParent(_) => CliError::of(Exit::Precondition, failed)
            .hint("make that directory, or name another target"),
        TargetError::NoName(_)
        | TargetError::NotUtf8(_)
        | TargetError::NotADirectory(_)
        | TargetError::Dangling { .. }
        | TargetError::Chain { .. } => CliError::of(Exit::Precondition, failed)
            .hint("name another directory, or move away what is in the way"),
    }
}

fn of_lock(error: &RunFailed, failed: &LockError) -> CliError {
    let told = CliError::of(Exit::Failed, error);
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
    let (exit, hint) = match failed {
        RecoverError::Doubt { .. } => (
            Exit::InDoubt,
            "check the disk, reboot, then run `rvenv recover` on the target",
        ),
        RecoverError::End { .. } | RecoverError::Disk { .. } => (
            Exit::NeedsPerson,
            "fix the cause named above, then run `rvenv recover` on the target again",
        ),
        RecoverError::Foreign { .. }
        | RecoverError::Several { .. }
        | RecoverError::Refused { .. } => (
            Exit::NeedsPerson,
            "look at what is named above, move it away, then run `rvenv recover` on the target \
             again",
        ),
    };
    CliError::of(exit, failed).hint(hint)
}

fn of_prepare(failed: &PrepareError) -> CliError {
    match failed {
        PrepareError::Stale { reasons, .. } => {
            let mut told = CliError::of(Exit::Precondition, failed);
            told.details = reasons
                .iter()
                .map(|stale| escape(&format!("`{}` {}", stale.path, stale.why)))
                .collect();
            told.hint("make a new plan with `rvenv plan`")
        }
        PrepareError::Mounted { .. } => CliError::of(Exit::Precondition, failed)
            .hint("unmount it, or build the environment elsewhere"),
        PrepareError::Unnumbered { .. } => CliError::of(Exit::Precondition, failed).hint(
            "move away or delete what is named above: rvenv counts from 1 and did not create it",
        ),
        PrepareError::Cover { .. } => CliError::of(Exit::Precondition, failed)
            .hint("move it away, or use `--clear` to replace the environment"),
        PrepareError::NothingToDo(_) | PrepareError::Disk { .. } => {
            CliError::of(Exit::Failed, failed)
        }
    }
}

/// Reports that data could not be written to standard output.
pub(crate) fn of_output(failed: &io::Error) -> CliError {
    CliError::new(Exit::Failed, "cannot write to standard output")
        .because(failed)
        .hint("send standard output elsewhere, then run the command again")
}

/// Describes why a plan file was refused.
pub(crate) fn of_plan_file(shown: &str, failed: &PlanReadError) -> CliError {
    let told = CliError::of(Exit::Failed, failed);
    let message = format!("{shown} is not a plan that can be applied");
    let mut causes = vec![told.message];
    causes.extend(told.causes);
    CliError {
        message,
        causes,
        ..CliError::new(Exit::Failed, "")
    }
    .hint("make a new plan with `rvenv plan -o FILE`")
}
