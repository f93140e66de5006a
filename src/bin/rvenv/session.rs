//! A session: the terminal, the surroundings, the signals and the disk of one command, and how it
//! runs a change.
//!
//! Promises that the surroundings (environment, working directory, clock, terminal, signals) come
//! from here, and that data goes to standard output and messages to standard error.
//! Read next: `dispatch.rs`, which creates one; `commands.rs`.

use std::cell::{Cell, RefCell};
use std::ffi::{OsStr, OsString};
use std::sync::OnceLock;
use std::time::Duration;

use rvenv::caller::{Caller, RunTerms};
use rvenv::environment::{self, Force, Permissions, Run, RunFailed};
use rvenv::generations::Contents;
use rvenv::merge::Lost;
use rvenv::render::{self, Detail};
use rvenv::replaced::Replaced;
use rvenv_journal::fs::real::RealFs;
use rvenv_journal::{Durability, LinkMode, Plan, Publication, Retention, Target};

use crate::advice::{CliError, of_run};
use crate::announcer::Announcer;
use crate::args::{DurabilityArg, LinkModeArg, RunArgs};
use crate::progress::Progress;
use crate::signals::Signals;
use crate::terminal::{Terminal, Volume};
use crate::world::World;

/// What is shown while an environment is read.
pub(crate) const READING: &str = "Reading what exists";

pub(crate) struct Session<'a> {
    pub(crate) terminal: Terminal,
    /// Whether the report is one JSON object.
    pub(crate) json: bool,
    /// The command as it is typed, for the log of the environment that it changes.
    command: &'static str,
    pub(crate) world: &'a World,
    pub(crate) signals: Signals,
    pub(crate) fs: RealFs,
    /// What the environment had when it was locked, for the report in JSON.
    pub(crate) locked: RefCell<Option<Contents>>,
    /// Whether the library warned of anything.
    pub(crate) has_warned: Cell<bool>,
    /// Begun when something is shown for the first time.
    progress: OnceLock<Progress>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        terminal: Terminal,
        world: &'a World,
        json: bool,
        command: &'static str,
    ) -> Self {
        Self {
            terminal,
            json,
            command,
            world,
            signals: Signals::catch(),
            fs: RealFs::new(),
            locked: RefCell::default(),
            has_warned: Cell::default(),
            progress: OnceLock::new(),
        }
    }

    /// Checks every path before anything is done, so that a typing error in the last one costs
    /// nothing.
    pub(crate) fn env_dirs<'b>(
        &self,
        given: impl IntoIterator<Item = &'b OsString>,
    ) -> Result<Vec<(&'b OsStr, String)>, CliError> {
        given
            .into_iter()
            .map(|given| Ok((given.as_os_str(), self.world.env_dir(given)?)))
            .collect()
    }

    /// Shows a plan to the user, unless `--quiet` is given: programs use the exit code and
    /// `--json`. What `--durability` weakens is named if the command line has it, and that what is
    /// replaced is deleted, if it is.
    pub(crate) fn show(
        &self,
        plan: &Plan,
        durability: Option<DurabilityArg>,
        retention: Option<Retention>,
    ) -> Result<(), CliError> {
        if self.terminal.volume == Volume::Quiet {
            return Ok(());
        }
        let replaced = self.during("Counting what the plan replaces", |_| {
            environment::look_at_replaced(&self.fs, plan)
        });
        let replaced = Replaced {
            is_kept: retention == Some(Retention::Keep),
            ..replaced
        };
        let mut text = render::plan(plan, &replaced, self.detail());
        if durability == Some(DurabilityArg::Process) && plan.publication() != Publication::Nothing
        {
            text.push_str(&render::weaker(
                "a power cut may leave neither the old nor the new environment \
                 (`--durability process`)",
            ));
        }
        self.terminal.data(&text)
    }

    pub(crate) fn detail(&self) -> Detail {
        if self.terminal.volume == Volume::Verbose {
            Detail::EveryPath
        } else {
            Detail::Folded
        }
    }

    /// Does work as the library's caller; prints what happens meanwhile.
    pub(crate) fn with_caller<T>(&self, work: impl FnOnce(&Caller<'_>) -> T) -> T {
        self.with_caller_at(READING, work)
    }

    /// The same; until something begins that has a text of its own, this one is shown.
    pub(crate) fn with_caller_at<T>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Caller<'_>) -> T,
    ) -> T {
        let announcer = self.announcer(what);
        let done = work(&self.caller(&announcer));
        announcer.end();
        done
    }

    /// Does work of the command itself that may take long.
    pub(crate) fn during<T>(&self, what: &str, work: impl FnOnce(&Progress) -> T) -> T {
        let progress = self.progress();
        progress.begin(what);
        let done = work(progress);
        progress.clear();
        done
    }

    fn progress(&self) -> &Progress {
        let begin = || Progress::new(self.terminal, self.signals.clone());
        self.progress.get_or_init(begin)
    }

    fn announcer(&self, what: &'static str) -> Announcer<'_> {
        let progress = self.progress();
        let (terminal, signals) = (self.terminal, self.signals.clone());
        Announcer::new(terminal, signals, progress, &self.has_warned, what)
    }

    fn caller<'c>(&'c self, announcer: &'c Announcer<'c>) -> Caller<'c> {
        Caller {
            fs: &self.fs,
            host: self.world,
            listener: announcer,
        }
    }

    /// Runs work that changes a target, as `args` say.
    pub(crate) fn run<T>(
        &self,
        args: &RunArgs,
        terms: &RunTerms<'_>,
        work: impl FnOnce(&Run<'_>) -> Result<T, RunFailed>,
    ) -> Result<T, CliError> {
        let announcer = self.announcer(READING);
        let read = |target: &Target<'_>| {
            self.locked.replace(Contents::now(target).ok());
        };
        let terms = RunTerms {
            locked: self.json.then_some(&read as &dyn Fn(&Target<'_>)),
            command: self.command,
            durability: match args.durability {
                DurabilityArg::Power => Durability::Power,
                DurabilityArg::Process => Durability::Process,
            },
            link_mode: link_mode(args),
            wait: Duration::from_secs(args.lock.wait),
            ..*terms
        };
        let done = self.caller(&announcer).run(&terms, work);
        let recovery = announcer.end();
        done.map_err(|error| of_run(&error, self.signals.terminated(), recovery))
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

fn link_mode(args: &RunArgs) -> LinkMode {
    match args.link_mode {
        LinkModeArg::Auto => LinkMode::Auto,
        LinkModeArg::Reflink => LinkMode::Reflink,
        LinkModeArg::Hardlink => LinkMode::Hardlink,
        LinkModeArg::Copy => LinkMode::Copy,
    }
}
