//! The caller of a change: the disk, the facts about the process, and the listener for events.
//!
//! Promises that the command and [`EnvBuilder`](crate::EnvBuilder) run a change in the same way:
//! how long to wait for a busy lock, which events are reported and when a change stops is decided
//! here, once. Has no text for users: a [`Listener`] receives the events, and the command words
//! them.
//! Read next: `request.rs`; `../change/environment.rs`, which carries out a run.

use std::path::Path;
use std::time::{Duration, Instant};

use rvenv_journal::raw::{Unwatched, Watch};
use rvenv_journal::{
    Durability, Fs, LinkMode, Patience, Recovered, Retention, StageFailed, Target,
};

use super::host::Host;
use crate::build::checks::{self, Check, CheckFailed, EnvAt};
pub use crate::change::environment::Phase;
use crate::change::environment::{Checker, Force, Permissions, Run};
use crate::change::merge::Lost;
use crate::fetch::Progress;
use crate::python::Control;
use crate::python::bytecode::Compiler;

/// How long to wait for a busy lock, unless the caller sets it.
pub const WAIT: Duration = Duration::from_mins(1);
/// How long a waiter sleeps before it tries the lock again.
const PAUSE: Duration = Duration::from_millis(20);

/// Receives the events of a run, and may end it; the default methods do nothing.
pub trait Listener {
    /// Whether to stop.
    fn interrupted(&self) -> bool {
        false
    }
    /// A program is about to start.
    fn starting(&self, program: &Path) {
        let _: &Path = program;
    }
    /// A file that could decide about the interpreter was skipped; the reason as a sentence.
    fn warning(&self, text: &str) {
        let _: &str = text;
    }
    /// A health check is about to run.
    fn checking(&self, check: &Check) {
        let _: &Check = check;
    }
    /// A wheel is about to be built of the sources of a package.
    fn building(&self, what: &str) {
        let _: &str = what;
    }
    /// Something begins that may take long.
    fn phase(&self, phase: Phase) {
        let _: Phase = phase;
    }
    /// The lock is busy; called before each new attempt.
    fn waiting(&self, holder: &str) {
        let _: &str = holder;
    }
    /// The leftovers of an earlier run were recovered.
    fn recovered(&self, recovered: &Recovered) {
        let _: &Recovered = recovered;
    }
    /// The filesystem has no symbolic links: the environment is planned again with copies.
    fn copying(&self, failed: &StageFailed) {
        let _: &StageFailed = failed;
    }
    /// Wheels arrive; called often while they do.
    fn fetching(&self, progress: &Progress) {
        let _: &Progress = progress;
    }
    /// The observer of deletions.
    fn watch(&self) -> &dyn Watch {
        &Unwatched
    }
}

/// Ignores every event.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Listener for Silent {}

/// The caller of a change: the disk, the facts about the process, and the listener for events.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// The disk.
    pub fs: &'a dyn Fs,
    /// The facts about the process.
    pub host: &'a Host,
    /// Receives the events.
    pub listener: &'a dyn Listener,
}

/// The parameters of a run, besides what to build.
#[derive(Clone, Copy)]
pub struct RunTerms<'a> {
    /// The command, for the log of the environment.
    pub command: &'a str,
    /// How much a successful commit survives.
    pub durability: Durability,
    /// How files come out of the store.
    pub link_mode: LinkMode,
    /// How long to wait for a busy lock.
    pub wait: Duration,
    /// What happens to what is replaced; see
    /// [`Intent::retention`](super::request::Intent::retention).
    pub retention: Option<Retention>,
    /// What the run may do.
    pub permissions: Permissions<'a>,
    /// The health check, if one is wanted.
    pub check: Option<&'a Checker<'a>>,
    /// Called with the target once it is locked, before it is changed.
    pub locked: Option<&'a dyn Fn(&Target<'_>)>,
    /// Whether an interpreter may be started to compile what the store no longer has.
    pub compilation: Compilation,
}

impl Default for RunTerms<'_> {
    /// Durable, waits a minute for the lock, and has no permissions.
    fn default() -> Self {
        Self {
            command: "EnvBuilder",
            durability: Durability::Power,
            link_mode: LinkMode::Auto,
            wait: WAIT,
            retention: None,
            permissions: Permissions {
                force: Force::No,
                cwd: None,
                lost: Lost::Refuse,
            },
            check: None,
            locked: None,
            compilation: Compilation::Refused,
        }
    }
}

/// Whether a run may start an interpreter to compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compilation {
    /// It may not.
    Refused,
    /// It may.
    Allowed,
}

impl Compilation {
    /// Allowed if bytecode is wanted.
    #[must_use]
    pub fn of(is_wanted: bool) -> Self {
        if is_wanted {
            Self::Allowed
        } else {
            Self::Refused
        }
    }
}

impl Caller<'_> {
    /// Does work that starts processes; the listener is notified of them and can stop them.
    pub fn with_control<T>(&self, work: impl FnOnce(&Control<'_>) -> T) -> T {
        let done = work(&Control {
            timeout: Control::TIMEOUT,
            interrupted: &|| self.listener.interrupted(),
            starting: &|path| self.listener.starting(path),
        });
        self.listener.phase(Phase::Reading);
        done
    }

    /// A compiler of bytecode that runs as this caller.
    pub(super) fn compiler<'c>(&'c self, control: &'c Control<'c>) -> Compiler<'c> {
        Compiler {
            around: &self.host.surroundings,
            control,
            workers: self.host.processors,
        }
    }

    /// Runs work that changes a target; waits for its lock.
    pub fn run<T>(&self, terms: &RunTerms<'_>, work: impl FnOnce(&Run<'_>) -> T) -> T {
        let since = Instant::now();
        let pause = |holder: &str| {
            self.listener.waiting(holder);
            std::thread::sleep(PAUSE);
            if since.elapsed() < terms.wait && !self.listener.interrupted() {
                Patience::Again
            } else {
                Patience::GiveUp
            }
        };
        let may_compile = terms.compilation == Compilation::Allowed;
        self.with_control(|control| {
            let compiler = self.compiler(control);
            work(&Run {
                fs: self.fs,
                cache: self.host.cache.as_ref(),
                now: Some(self.host.now),
                compiler: may_compile.then_some(&compiler),
                durability: terms.durability,
                link_mode: terms.link_mode,
                retention: terms.retention,
                locked: terms.locked.unwrap_or(&|_| {}),
                permissions: terms.permissions,
                check: terms.check,
                command: terms.command,
                owner: &format!("process {}", std::process::id()),
                pause: &pause,
                interrupted: &|| self.listener.interrupted(),
                watch: self.listener.watch(),
                recovered: &|recovered| self.listener.recovered(recovered),
                copying: &|failed| self.listener.copying(failed),
                phase: &|phase| self.listener.phase(phase),
            })
        })
    }

    /// Runs health checks one after the other.
    ///
    /// # Errors
    /// That of the first check that fails.
    pub fn check(&self, env: &EnvAt, checks: &[Check]) -> Result<(), CheckFailed> {
        for check in checks {
            self.listener.checking(check);
            let around = &self.host.surroundings;
            self.with_control(|control| checks::run(env, check, around, control))?;
        }
        Ok(())
    }
}
