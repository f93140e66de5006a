//! The caller of a change: the disk and the world of a process, and who hears what happens.
//!
//! Promises that the command and [`EnvBuilder`](crate::EnvBuilder) run a change alike: how long a busy lock is waited for,
//! what processes are told and when they are stopped is decided here, once.
//! Does not word anything for people: a [`Listener`] hears what happens, and the command has the sentences.
//! Read next: `request.rs`; `../change/environment.rs`, which carries a run out.

use std::path::Path;
use std::time::{Duration, Instant};

use rvenv_journal::raw::Unwatched;
use rvenv_journal::{Durability, Fs, LinkMode, Patience, Recovered, Retention, StageFailed, Watch};

use super::host::Host;
use crate::build::checks::{self, Check, CheckFailed, EnvAt};
use crate::change::environment::{Checker, Force, Permissions, Run};
use crate::change::merge::Lost;
use crate::python::Control;
use crate::python::bytecode::Compiler;

/// How long a busy lock is waited for where the caller says nothing.
pub const WAIT: Duration = Duration::from_mins(1);
/// How long a waiter sleeps before it tries the lock again.
const PAUSE: Duration = Duration::from_millis(20);
/// Hears what happens meanwhile, and may end it; the default bodies hear nothing and end nothing.
pub trait Listener {
    /// Whether to stop.
    fn interrupted(&self) -> bool {
        false
    }
    /// A program is started.
    fn starting(&self, program: &Path) {
        let _: &Path = program;
    }
    /// A file that has a say in the interpreter was passed over, in a sentence.
    fn warning(&self, text: &str) {
        let _: &str = text;
    }
    /// A health check is run.
    fn checking(&self, check: &Check) {
        let _: &Check = check;
    }
    /// The lock is busy; told each time it is tried again.
    fn waiting(&self, holder: &str) {
        let _: &str = holder;
    }
    /// What an earlier run left was recovered.
    fn recovered(&self, recovered: &Recovered) {
        let _: &Recovered = recovered;
    }
    /// The filesystem has no symbolic links: the plan is made again with copies.
    fn copying(&self, failed: &StageFailed) {
        let _: &StageFailed = failed;
    }
    /// Who is notified of deletions.
    fn watch(&self) -> &dyn Watch {
        &Unwatched
    }
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Listener for Silent {}

/// Who asks: the disk and the world of a process, and who hears what happens.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// The disk.
    pub fs: &'a dyn Fs,
    /// What the process was given.
    pub host: &'a Host,
    /// Hears what happens.
    pub listener: &'a dyn Listener,
}

/// How a run is to go, besides what to build.
#[derive(Clone, Copy)]
pub struct RunTerms<'a> {
    /// How much a success survives.
    pub durability: Durability,
    /// How files come out of the store.
    pub link_mode: LinkMode,
    /// How long a busy lock is waited for.
    pub wait: Duration,
    /// What is to become of what is replaced; see [`Intent::retention`].
    pub retention: Option<Retention>,
    /// What may be done.
    pub permissions: Permissions<'a>,
    /// The health check, where one is asked for.
    pub check: Option<&'a Checker<'a>>,
    /// Whether an interpreter may be started to compile what the store no longer has.
    pub compilation: Compilation,
}

impl Default for RunTerms<'_> {
    /// Durable, patient for a minute, and permitted nothing.
    fn default() -> Self {
        Self {
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
            compilation: Compilation::Refused,
        }
    }
}

/// Whether an interpreter may be started while a plan is carried out, to compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compilation {
    /// It may not.
    Refused,
    /// It may.
    Allowed,
}

impl Compilation {
    /// Allowed where bytecode is wanted.
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
    /// Does something that starts processes, which are announced and can be stopped.
    pub fn with_control<T>(&self, work: impl FnOnce(&Control<'_>) -> T) -> T {
        work(&Control {
            timeout: Control::TIMEOUT,
            interrupted: &|| self.listener.interrupted(),
            starting: &|path| self.listener.starting(path),
        })
    }

    /// An interpreter as a compiler of bytecode.
    pub(super) fn compiler<'c>(&'c self, control: &'c Control<'c>) -> Compiler<'c> {
        Compiler {
            around: &self.host.surroundings,
            control,
            workers: self.host.processors,
        }
    }

    /// Runs something that changes a target, with patience for its lock.
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
                permissions: terms.permissions,
                check: terms.check,
                owner: &format!("process {}", std::process::id()),
                pause: &pause,
                interrupted: &|| self.listener.interrupted(),
                watch: self.listener.watch(),
                recovered: &|recovered| self.listener.recovered(recovered),
                copying: &|failed| self.listener.copying(failed),
            })
        })
    }

    /// Runs health checks one after the other.
    ///
    /// # Errors
    /// The first that does not pass.
    pub fn check(&self, env: &EnvAt, checks: &[Check]) -> Result<(), CheckFailed> {
        for check in checks {
            self.listener.checking(check);
            let around = &self.host.surroundings;
            self.with_control(|control| checks::run(env, check, around, control))?;
        }
        Ok(())
    }
}
