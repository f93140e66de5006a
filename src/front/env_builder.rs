//! `EnvBuilder`: Python's `venv.EnvBuilder`, with its options, its defaults and its `create`.
//!
//! Promises the options of the documented constructor under their names, the defaults of the API in
//! [`Default`] and those of the command line in [`EnvBuilder::command_line`], and that a custom
//! builder differs only in its [`Hooks`]: an environment is planned, staged, published in one step
//! and durable, or the directory is as it was (I1, I2). Whatever `clear` says, it does not empty a
//! directory that is not an environment, or is more than one. An upgrade runs every hook.
//!
//! On disk meanwhile: what `environment.rs` documents.
//! Read next: `hooks.rs`, the hooks; `host.rs`, what is read from the process; `environment.rs`, to
//! choose locks, durability, links and progress.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::PathBuf;

use rvenv_journal::Plan;
use rvenv_journal::fs::real::RealFs;
use thiserror::Error;

use super::answer::Answer;
use super::caller::{Caller, Compilation, RunTerms, Silent};
use super::host::{Host, HostError};
use super::locked::LockRequest;
use super::request::{AskedPython, EnvRequest, Intent, RequestFailed, Unchanged};
use crate::build::checks::OtherOwner;
use crate::build::hooks::{Context, Hooks, Venv};
use crate::build::options::{Choices, GIT, Options, Prompt};
use crate::change::environment::{
    self, Checker, Force, Outcome, Permissions, PlanFailed, RunFailed,
};
use crate::change::merge::Lost;
use crate::change::removal::Removal;
use crate::python::{Purpose, Request};
use crate::wheel::Sources;

/// The options of an environment; the fields are the arguments of Python's constructor, and three
/// more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "these are the options of venv.EnvBuilder, by their names"
)]
pub struct EnvBuilder {
    /// Whether the packages of the base installation are visible; an upgrade never hides visible
    /// ones.
    pub system_site_packages: bool,
    /// Whether an existing environment is replaced.
    pub clear: bool,
    /// Whether the interpreter is linked rather than copied; an upgrade keeps what the environment
    /// has.
    pub symlinks: bool,
    /// Whether an existing environment gets this interpreter and keeps its packages.
    pub upgrade: bool,
    /// Whether pip is installed.
    pub with_pip: bool,
    /// The prompt; the default is the name of the directory, and `.` means the name of the working
    /// directory. An upgrade without a prompt keeps the environment's own.
    pub prompt: Option<String>,
    /// Whether pip, and setuptools before Python 3.12, are the newest in the index.
    pub upgrade_deps: bool,
    /// The version control systems that are to ignore the environment; only `git` is known.
    pub scm_ignore_files: BTreeSet<String>,
    /// The base interpreter; the default is that of `RVENV_PYTHON`, or in an upgrade the
    /// environment's own. Python's builder uses the one that it runs in.
    pub python: Request,
    /// Wheels for [`Hooks::post_setup`] to install.
    pub packages: Vec<PathBuf>,
    /// Whether the sources of wheels get bytecode.
    pub compile_bytecode: bool,
}

impl Default for EnvBuilder {
    /// The defaults of Python's constructor: no pip, no links, no ignore file.
    fn default() -> Self {
        Self {
            system_site_packages: false,
            clear: false,
            symlinks: false,
            upgrade: false,
            with_pip: false,
            prompt: None,
            upgrade_deps: false,
            scm_ignore_files: BTreeSet::new(),
            python: Request::Default,
            packages: Vec::new(),
            compile_bytecode: false,
        }
    }
}

/// An environment that was created, or needed no change.
#[derive(Debug)]
pub struct Created {
    /// The context that the hooks received.
    pub context: Context,
    /// How it ended.
    pub outcome: Outcome,
}

/// Why there is no environment; the directory is as it was, unless [`RunFailed`] says otherwise.
#[derive(Debug, Error)]
pub enum CreateFailed {
    /// The process's settings or the path are not usable.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The request cannot be satisfied: there is no such interpreter, wheel, or environment to
    /// upgrade.
    #[error(transparent)]
    Request(#[from] RequestFailed),
    /// A health check would run files that another user put into the environment.
    #[error(transparent)]
    OtherOwner(#[from] OtherOwner),
    /// There is no plan.
    #[error(transparent)]
    Plan(#[from] PlanFailed),
    /// It was not published.
    #[error(transparent)]
    Run(#[from] RunFailed),
}

/// Creates an environment: venv's module-level function.
///
/// ```no_run
/// use rvenv::EnvBuilder;
///
/// let builder = EnvBuilder { with_pip: true, symlinks: true, ..EnvBuilder::default() };
/// rvenv::create(".venv", &builder)?;
/// # Ok::<(), rvenv::CreateFailed>(())
/// ```
///
/// # Errors
/// See [`CreateFailed`].
///
/// # Crash
/// As [`environment::create`].
pub fn create(env_dir: impl AsRef<OsStr>, builder: &EnvBuilder) -> Result<Created, CreateFailed> {
    builder.create(env_dir)
}

impl EnvBuilder {
    /// The defaults of `python -m venv` without flags: pip, links where the platform uses them, and
    /// a `.gitignore`.
    #[must_use]
    pub fn command_line() -> Self {
        Self {
            symlinks: cfg!(not(windows)),
            with_pip: true,
            scm_ignore_files: BTreeSet::from([GIT.to_owned()]),
            ..Self::default()
        }
    }

    /// Creates an ordinary environment.
    ///
    /// # Errors
    /// See [`CreateFailed`].
    ///
    /// # Crash
    /// As [`environment::create`].
    pub fn create(&self, env_dir: impl AsRef<OsStr>) -> Result<Created, CreateFailed> {
        self.create_with(&Venv, env_dir)
    }

    /// Creates an environment with custom hooks.
    ///
    /// # Errors
    /// See [`CreateFailed`].
    ///
    /// # Crash
    /// As [`environment::create`].
    pub fn create_with(
        &self,
        hooks: &dyn Hooks,
        env_dir: impl AsRef<OsStr>,
    ) -> Result<Created, CreateFailed> {
        self.create_on(&Host::read()?, hooks, env_dir)
    }

    /// Creates an environment with custom hooks and the given facts about the process.
    ///
    /// # Errors
    /// See [`CreateFailed`].
    ///
    /// # Crash
    /// As [`environment::create`].
    pub fn create_on(
        &self,
        host: &Host,
        hooks: &dyn Hooks,
        env_dir: impl AsRef<OsStr>,
    ) -> Result<Created, CreateFailed> {
        let fs = RealFs::new();
        let caller = caller(&fs, host);
        let answer = self.prepare(&caller, env_dir.as_ref(), Purpose::Change)?;
        let context = &answer.context;
        let intent = self.intent();
        let mut checks = answer.checks(intent, &[], &[]);
        checks.extend(answer.checks_of(hooks)?);
        if !checks.is_empty() {
            answer.other_owner().map_or(Ok(()), Err)?;
        }
        let env = answer.env_at();
        let checker = || caller.check(&env, &checks);
        let terms = RunTerms {
            retention: intent.retention(None),
            permissions: permissions(host),
            check: (!checks.is_empty()).then_some(&checker as &Checker<'_>),
            compilation: Compilation::of(self.compile_bytecode),
            ..RunTerms::default()
        };
        let outcome = caller.run(&terms, |run| environment::create(run, hooks, context))?;
        Ok(Created {
            context: answer.context,
            outcome,
        })
    }

    /// Plans what [`create_on`](Self::create_on) would do; writes nothing to the environment.
    ///
    /// Health checks are not part of a plan: the user who applies one decides which programs may
    /// start. A plan with `upgrade_deps` names downloaded wheels that are deleted when this call
    /// returns.
    ///
    /// # Errors
    /// See [`CreateFailed`].
    pub fn plan_on(
        &self,
        host: &Host,
        hooks: &dyn Hooks,
        env_dir: impl AsRef<OsStr>,
    ) -> Result<Plan, CreateFailed> {
        let fs = RealFs::new();
        let answer = self.prepare(&caller(&fs, host), env_dir.as_ref(), Purpose::Show)?;
        let permissions = permissions(host);
        Ok(environment::plan(&fs, hooks, &answer.context, permissions)?)
    }

    fn intent(&self) -> Intent {
        if self.upgrade {
            Intent::Upgrade
        } else {
            Intent::Create
        }
    }

    fn prepare(
        &self,
        caller: &Caller<'_>,
        env_dir: &OsStr,
        purpose: Purpose,
    ) -> Result<Answer, CreateFailed> {
        let host = caller.host;
        let python = AskedPython::of(self.python.clone(), host);
        let request = EnvRequest {
            env_dir: host.env_dir(env_dir)?,
            intent: self.intent(),
            python: python.map_err(RequestFailed::from)?,
            options: self.options(),
            said: self.said(host),
            packages: self.packages.clone(),
            removal: Removal::default(),
            locks: LockRequest::default(),
            sources: Sources::default(),
            purpose,
            unchanged: Unchanged::Planned,
        };
        Ok(caller.prepare(&request)?)
    }

    /// The caller's choices among those that an upgrade otherwise keeps. `false` sets nothing
    /// there, nor does `symlinks` with either value, since it is part of the defaults.
    fn said(&self, host: &Host) -> Choices {
        Choices {
            system_site_packages: self.system_site_packages.then_some(true),
            symlinks: (!self.upgrade).then_some(self.symlinks),
            prompt: self.prompt.as_ref().map(|asked| Prompt {
                asked: asked.clone(),
                cwd_name: host.cwd_name(),
            }),
        }
    }

    fn options(&self) -> Options {
        let lower = self.scm_ignore_files.iter().map(|scm| scm.to_lowercase());
        Options {
            system_site_packages: self.system_site_packages,
            clear: self.clear,
            upgrade_deps: self.upgrade_deps,
            symlinks: self.symlinks,
            with_pip: self.with_pip,
            scm_ignore_files: lower.collect(),
            compile_bytecode: self.compile_bytecode,
            ..Options::default()
        }
    }
}

/// A caller without a listener.
fn caller<'a>(fs: &'a RealFs, host: &'a Host) -> Caller<'a> {
    Caller {
        fs,
        host,
        listener: &Silent,
    }
}

/// The permissions of the library: it deletes nothing but environments, and loses no package.
fn permissions(host: &Host) -> Permissions<'_> {
    Permissions {
        force: Force::No,
        cwd: host.cwd.as_deref(),
        lost: Lost::Refuse,
    }
}
