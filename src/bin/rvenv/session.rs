//! A session: the terminal, the world, the signals and the disk of one command, and how it runs a change.
//!
//! Promises that the world (environment, working directory, clock, terminal, signals) comes from here, and that data goes
//! to standard output and the story to standard error.
//! Read next: `dispatch.rs`, which makes one; `commands.rs`.

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::time::{Duration, Instant};

use rvenv::bytecode::Compiler;
use rvenv::environment::{self, Checker, Force, Permissions, Run};
use rvenv::merge::Lost;
use rvenv::python::Control;
use rvenv::render::{self, Detail, escape};
use rvenv_journal::fs::real::RealFs;
use rvenv_journal::{Durability, LinkMode, Patience, Plan, Retention};

use crate::advice::{CliError, Recovery, of_run};
use crate::args::{DurabilityArg, LinkModeArg, RunArgs};
use crate::progress::Progress;
use crate::signals::Signals;
use crate::terminal::{Terminal, Volume};
use crate::world::World;

/// How long a waiter sleeps before it tries the lock again.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) struct Session<'a> {
    pub(crate) terminal: Terminal,
    pub(crate) world: &'a World,
    pub(crate) signals: Signals,
    pub(crate) fs: RealFs,
}

impl<'a> Session<'a> {
    pub(crate) fn new(terminal: Terminal, world: &'a World) -> Self {
        Self {
            terminal,
            world,
            signals: Signals::catch(),
            fs: RealFs::new(),
        }
    }

    /// Every path is read before anything is done, so that a typing error in the last one costs nothing.
    pub(crate) fn env_dirs<'b>(
        &self,
        given: &'b [OsString],
    ) -> Result<Vec<(&'b OsStr, String)>, CliError> {
        given
            .iter()
            .map(|given| Ok((given.as_os_str(), self.world.env_dir(given)?)))
            .collect()
    }

    /// Shows a plan to people, unless they asked for quiet: the exit code and `--json` are there for programs.
    pub(crate) fn show(&self, plan: &Plan) -> Result<(), CliError> {
        if self.terminal.volume == Volume::Quiet {
            return Ok(());
        }
        let replaced = environment::look_at_replaced(&self.fs, plan);
        self.terminal
            .data(&render::plan(plan, &replaced, self.detail()))
    }

    pub(crate) fn detail(&self) -> Detail {
        if self.terminal.volume == Volume::Verbose {
            Detail::EveryPath
        } else {
            Detail::Folded
        }
    }

    /// Runs something that changes a target, with patience for its lock.
    pub(crate) fn run<T>(
        &self,
        args: &RunArgs,
        manner: &Manner<'_>,
        work: impl FnOnce(&Run<'_>) -> Result<T, environment::RunFailed>,
    ) -> Result<T, CliError> {
        let since = Instant::now();
        let told = Cell::new(false);
        let pause = |holder: &str| {
            if !told.replace(true) {
                self.terminal.story(&format!("Waiting for {holder}"));
            }
            std::thread::sleep(PAUSE);
            let patient = since.elapsed() < Duration::from_secs(args.wait) && !self.signals.any();
            if patient {
                Patience::Again
            } else {
                Patience::GiveUp
            }
        };
        let progress = Progress::new(self.terminal, self.signals.clone());
        let recovery = Cell::new(Recovery::default());
        let may_compile = manner.compilation == Compilation::Allowed;
        let done = self.with_control(|control| {
            let compiler = self.compiler(control);
        let run = Run {
            fs: &self.fs,
            cache: self.world.cache.as_ref(),
            now: Some(self.world.now),
            compiler: may_compile.then_some(&compiler),
            durability: match args.durability {
                DurabilityArg::Power => Durability::Power,
                DurabilityArg::Process => Durability::Process,
            },
            link_mode: link_mode(args),
            retention: manner.retention,
            permissions: manner.permissions,
            check: manner.check,
            owner: &format!("process {}", std::process::id()),
            pause: &pause,
            interrupted: &|| self.signals.any(),
            watch: &progress,
            recovered: &|recovered| {
                progress.clear();
                recovery.set(Recovery::of(recovered));
                self.terminal.tell_recovery(recovered);
            },
            copying: &|failed| {
                let shown = escape(&failed.target.to_string_lossy());
                self.terminal.story(&format!(
                    "There are no symbolic links on the filesystem of `{shown}`: planning again with copies"
                ));
            },
        };
            work(&run)
        });
        progress.clear();
        done.map_err(|error| of_run(&error, self.signals.terminated(), recovery.get()))
    }

    /// What is asked of everything that starts processes.
    pub(crate) fn with_control<T>(&self, work: impl FnOnce(&Control<'_>) -> T) -> T {
        work(&Control {
            timeout: Control::TIMEOUT,
            interrupted: &|| self.signals.any(),
            starting: &|path| {
                self.terminal
                    .detail(&format!("asking `{}`", escape(&path.to_string_lossy())));
            },
        })
    }

    pub(crate) fn compiler<'c>(&'c self, control: &'c Control<'c>) -> Compiler<'c> {
        Compiler {
            around: &self.world.surroundings,
            control,
            workers: self.world.processors,
        }
    }

    pub(crate) fn permissions(&self, force: bool, allow_lost: bool) -> Permissions<'_> {
        Permissions {
            force: if force { Force::Yes } else { Force::No },
            cwd: self.world.cwd.as_deref(),
            lost: if allow_lost {
                Lost::Allow
            } else {
                Lost::Refuse
            },
        }
    }
}

/// What a run may do beyond what was planned, and how it is looked at.
pub(crate) struct Manner<'a> {
    pub(crate) retention: Option<Retention>,
    pub(crate) permissions: Permissions<'a>,
    pub(crate) check: Option<&'a Checker<'a>>,
    pub(crate) compilation: Compilation,
}

/// Whether an interpreter may be started while a plan is carried out, to compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compilation {
    Refused,
    Allowed,
}

impl Compilation {
    pub(crate) fn of(asked: bool) -> Self {
        if asked { Self::Allowed } else { Self::Refused }
    }
}

impl Default for Manner<'_> {
    fn default() -> Self {
        Self {
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

fn link_mode(args: &RunArgs) -> LinkMode {
    match args.link_mode {
        LinkModeArg::Auto => LinkMode::Auto,
        LinkModeArg::Reflink => LinkMode::Reflink,
        LinkModeArg::Hardlink => LinkMode::Hardlink,
        LinkModeArg::Copy => LinkMode::Copy,
    }
}
