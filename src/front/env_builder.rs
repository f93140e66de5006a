//! `EnvBuilder`: Python's `venv.EnvBuilder`, with its options, its defaults and its `create`.
//!
//! Promises the options of the documented constructor by their names, the defaults of the API in [`Default`] and those of
//! the command line in [`EnvBuilder::command_line`], and that a builder of somebody else's differs in its [`Stages`]
//! alone: what is made is planned, staged, published in one step and durable, or the directory is as it was (I1, I2).
//! Does not empty a directory that is no environment, or more than one, whatever `clear` says; and an upgrade runs every stage.
//!
//! On disk meanwhile: what `environment.rs` says.
//! Read next: `hooks.rs`, the stages; `host.rs`, what is read of the process; `environment.rs`, for whoever wants a say
//! in locks, durability, links and progress.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::PathBuf;

use rvenv_journal::Plan;
use rvenv_journal::fs::real::RealFs;
use thiserror::Error;

use super::caller::{Caller, Compilation, RunTerms, Silent};
use super::host::{Host, HostError};
use super::request::{Answer, AskedPython, EnvRequest, Intent, RequestFailed};
use crate::build::checks::OtherOwner;
use crate::build::hooks::{Context, Stages, Venv};
use crate::build::options::{Choices, GIT, Options, Prompt};
use crate::change::environment::{
    self, Checker, Force, Outcome, Permissions, PlanFailed, RunFailed,
};
use crate::change::merge::Lost;
use crate::python::{Purpose, Request};

/// What an environment shall be; the fields are the arguments of Python's constructor, and three more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "these are the options of venv.EnvBuilder, by their names"
)]
pub struct EnvBuilder {
    /// Whether the packages of the base installation are visible; an upgrade keeps them visible in any case.
    pub system_site_packages: bool,
    /// Whether an environment that is there is replaced.
    pub clear: bool,
    /// Whether the interpreter is linked rather than copied; an upgrade keeps what the environment has.
    pub symlinks: bool,
    /// Whether an environment that is there is brought to this interpreter, its packages kept.
    pub upgrade: bool,
    /// Whether pip is installed.
    pub with_pip: bool,
    /// The prompt; without one it is the name of the directory, and `.` is the name of the working directory. An upgrade
    /// without one keeps the prompt of the environment.
    pub prompt: Option<String>,
    /// Whether pip, and setuptools before Python 3.12, are the newest that an index has.
    pub upgrade_deps: bool,
    /// Which systems of version control are told to ignore the environment; `git` is known.
    pub scm_ignore_files: BTreeSet<String>,
    /// The base interpreter; without one that of `RVENV_PYTHON`, or in an upgrade the environment's own. Python's builder
    /// takes the one that it runs in.
    pub python: Request,
    /// Wheels for [`Stages::post_setup`] to install.
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

/// An environment that was made, or was as it should be.
#[derive(Debug)]
pub struct Created {
    /// What the stages knew.
    pub context: Context,
    /// How it ended.
    pub outcome: Outcome,
}

/// Why there is no environment; the directory is as it was, unless [`RunFailed`] says otherwise.
#[derive(Debug, Error)]
pub enum CreateFailed {
    /// The process or the path rules it out.
    #[error(transparent)]
    Host(#[from] HostError),
    /// What was asked for cannot be had: an interpreter, a wheel, an environment to upgrade.
    #[error(transparent)]
    Request(#[from] RequestFailed),
    /// A health check would run what another user has put into the environment.
    #[error(transparent)]
    OtherOwner(#[from] OtherOwner),
    /// There is no plan.
    #[error(transparent)]
    Plan(#[from] PlanFailed),
    /// It was not published.
    #[error(transparent)]
    Run(#[from] RunFailed),
}

/// Makes an environment: venv's module-level function.
///
/// ```no_run
/// use rvenv::EnvBuilder;
///
/// rvenv::create(".venv", &EnvBuilder { with_pip: true, symlinks: true, ..EnvBuilder::default() })?;
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
    /// What `python -m venv` does without flags: pip, links where they are usual, and a `.gitignore`.
    #[must_use]
    pub fn command_line() -> Self {
        Self {
            symlinks: cfg!(not(windows)),
            with_pip: true,
            scm_ignore_files: BTreeSet::from([GIT.to_owned()]),
            ..Self::default()
        }
    }

    /// Makes an ordinary environment.
    ///
    /// # Errors
    /// See [`CreateFailed`].
    ///
    /// # Crash
    /// As [`environment::create`].
    pub fn create(&self, env_dir: impl AsRef<OsStr>) -> Result<Created, CreateFailed> {
        self.create_with(&Venv, env_dir)
    }

    /// Makes an environment with stages of somebody else's.
    ///
    /// # Errors
    /// See [`CreateFailed`].
    ///
    /// # Crash
    /// As [`environment::create`].
    pub fn create_with(
        &self,
        stages: &dyn Stages,
        env_dir: impl AsRef<OsStr>,
    ) -> Result<Created, CreateFailed> {
        self.create_on(&Host::read()?, stages, env_dir)
    }

    /// The same in a world that is handed in.
    ///
    /// # Errors
    /// See [`CreateFailed`].
    ///
    /// # Crash
    /// As [`environment::create`].
    pub fn create_on(
        &self,
        host: &Host,
        stages: &dyn Stages,
        env_dir: impl AsRef<OsStr>,
    ) -> Result<Created, CreateFailed> {
        let fs = RealFs::new();
        let caller = caller(&fs, host);
        let answer = self.prepare(&caller, env_dir.as_ref(), Purpose::Change)?;
        let context = &answer.context;
        let intent = self.intent();
        let mut checks = answer.checks(intent, &[]);
        checks.extend(answer.checks_of(stages)?);
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
        let outcome = caller.run(&terms, |run| environment::create(run, stages, context))?;
        Ok(Created {
            context: answer.context,
            outcome,
        })
    }

    /// Plans what [`create_on`](Self::create_on) would do, and writes nothing to the environment.
    ///
    /// Health checks are no part of a plan: whoever applies one says which programs may be started. A plan with
    /// `upgrade_deps` names wheels that were downloaded for it and are gone with this call.
    ///
    /// # Errors
    /// See [`CreateFailed`].
    pub fn plan_on(
        &self,
        host: &Host,
        stages: &dyn Stages,
        env_dir: impl AsRef<OsStr>,
    ) -> Result<Plan, CreateFailed> {
        let fs = RealFs::new();
        let answer = self.prepare(&caller(&fs, host), env_dir.as_ref(), Purpose::Show)?;
        let permissions = permissions(host);
        Ok(environment::plan(
            &fs,
            stages,
            &answer.context,
            permissions,
        )?)
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
            purpose,
        };
        Ok(caller.prepare(&request)?)
    }

    /// What is said of the things that an upgrade keeps: `false` says nothing there, nor does `symlinks` in either value,
    /// since it is part of the defaults.
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

/// A caller of whom nobody hears.
fn caller<'a>(fs: &'a RealFs, host: &'a Host) -> Caller<'a> {
    Caller {
        fs,
        host,
        listener: &Silent,
    }
}

/// What a library does without being told: it deletes nothing that is no environment, and loses no package.
fn permissions(host: &Host) -> Permissions<'_> {
    Permissions {
        force: Force::No,
        cwd: host.cwd.as_deref(),
        lost: Lost::Refuse,
    }
}
