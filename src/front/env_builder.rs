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
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rvenv_journal::fs::FsError;
use rvenv_journal::fs::real::RealFs;
use rvenv_journal::{
    Durability, Fs as _, LinkMode, Parents, Patience, Plan, Retention, Target, TargetError,
    Unwatched,
};
use tempfile::TempDir;
use thiserror::Error;

use crate::base::umask::Umask;
use crate::build::checks::{self, CheckFailed, EnvAt, OtherOwner};
use crate::build::hooks::{self, Context, StageError, Stages, Venv, core_dependencies};
use crate::build::options::{GIT, Options, Prompt};
use crate::change::environment::{
    self, Checker, Force, Outcome, Permissions, PlanFailed, Run, RunFailed,
};
use crate::change::existing::{BaseError, Existing, ExistingError};
use crate::change::merge::Lost;
use crate::front::host::{Host, HostError};
use crate::python::{
    self, Checkout, Control, Interpreter, InterpreterError, Purpose, Request, Wanted,
};
use crate::wheel::Catalogue;
use crate::wheel::download::{DownloadFailed, download};

/// How long is waited between two looks at a lock that somebody else holds.
const PAUSE: Duration = Duration::from_millis(50);
/// How often is looked: a minute long.
const PAUSES_MAX: u32 = 1200;

/// What an environment shall be; the fields are the arguments of Python's constructor, and two more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "these are the options of venv.EnvBuilder, by their names"
)]
pub struct EnvBuilder {
    /// Whether the packages of the base installation are visible.
    pub system_site_packages: bool,
    /// Whether an environment that is there is replaced.
    pub clear: bool,
    /// Whether the interpreter is linked rather than copied.
    pub symlinks: bool,
    /// Whether an environment that is there is brought to this interpreter, its packages kept.
    pub upgrade: bool,
    /// Whether pip is installed.
    pub with_pip: bool,
    /// The prompt; without one it is the name of the directory, and `.` is the name of the working directory.
    pub prompt: Option<String>,
    /// Whether pip, and setuptools before Python 3.12, are the newest that an index has.
    pub upgrade_deps: bool,
    /// Which systems of version control are told to ignore the environment; `git` is known.
    pub scm_ignore_files: BTreeSet<String>,
    /// The base interpreter; Python's builder takes the one that it runs in.
    pub python: Request,
    /// Wheels for [`Stages::post_setup`] to install.
    pub packages: Vec<PathBuf>,
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
    /// No interpreter.
    #[error(transparent)]
    Interpreter(#[from] InterpreterError),
    /// A stage could not plan.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The environment that is to be upgraded cannot be read.
    #[error(transparent)]
    Existing(#[from] ExistingError),
    /// The environment that is to be upgraded is not there.
    #[error("there is no environment at `{}`", path.display().to_string().escape_debug())]
    NoEnvironment {
        /// Where it would be.
        path: PathBuf,
        /// Why not.
        source: FsError,
    },
    /// The target cannot be one.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The environment that is to be upgraded has no interpreter any more.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// There is no directory to download to.
    #[error("cannot make a directory to download to")]
    NoDownloads(#[source] io::Error),
    /// Nothing was downloaded.
    #[error(transparent)]
    Download(#[from] DownloadFailed),
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
        let control = Control::default();
        let wanted = (env_dir.as_ref(), Purpose::Change);
        let (context, _downloads) = self.prepare(&fs, host, wanted, &control)?;
        let checks = asked_checks(stages, &context)?;
        if !checks.is_empty() {
            let env_dir = Path::new(&context.env_dir);
            let other = if self.clear {
                checks::other_owner_above(env_dir)
            } else {
                checks::other_owner(env_dir)
            };
            other.map_or(Ok(()), Err)?;
        }
        let env = EnvAt::of(Path::new(&context.env_dir), &context.layout);
        let checker = || -> Result<(), CheckFailed> {
            for check in &checks {
                checks::run(&env, check, &host.surroundings, &control)?;
            }
            Ok(())
        };
        let pauses = std::cell::Cell::new(0);
        let run = Run {
            fs: &fs,
            cache: host.cache.as_ref(),
            now: Some(host.now),
            compiler: None,
            durability: Durability::Power,
            link_mode: LinkMode::Auto,
            retention: self.upgrade.then_some(Retention::Keep),
            permissions: permissions(host),
            check: (!checks.is_empty()).then_some(&checker as &Checker<'_>),
            owner: &format!("process {}", std::process::id()),
            pause: &|_holder| {
                std::thread::sleep(PAUSE);
                pauses.set(pauses.get() + 1);
                if pauses.get() < PAUSES_MAX {
                    Patience::Again
                } else {
                    Patience::GiveUp
                }
            },
            interrupted: &|| false,
            watch: &Unwatched,
            recovered: &|_recovered| {},
            copying: &|_failed| {},
        };
        let outcome = environment::create(&run, stages, &context)?;
        Ok(Created { context, outcome })
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
        let control = Control::default();
        let purpose = if self.upgrade_deps {
            Purpose::ShowAtWork
        } else {
            Purpose::Show
        };
        let wanted = (env_dir.as_ref(), purpose);
        let (context, _downloads) = self.prepare(&fs, host, wanted, &control)?;
        Ok(environment::plan(&fs, stages, &context, permissions(host))?)
    }

    /// The context, and the wheels that were downloaded for it as long as it is needed.
    fn prepare(
        &self,
        fs: &RealFs,
        host: &Host,
        (env_dir, purpose): (&OsStr, Purpose),
        control: &Control<'_>,
    ) -> Result<(Context, Option<TempDir>), CreateFailed> {
        let env_dir = host.env_dir(env_dir)?;
        let around = &host.surroundings;
        let interpreter = if self.upgrade && self.python == Request::Default {
            base_of((fs, host), (Path::new(&env_dir), purpose), control)?
        } else {
            let wanted = Wanted {
                request: &self.python,
                variable: None,
                target: Some(Path::new(&env_dir)),
                warning: &|_| {},
            };
            python::find_wanted(&wanted, around, control)?
        };
        let downloads = if self.upgrade_deps {
            Some(tempfile::tempdir().map_err(CreateFailed::NoDownloads)?)
        } else {
            None
        };
        let umask = Umask::at(fs, Path::new(&env_dir), host.umask);
        let mut context = Context::new(&env_dir, interpreter, self.options(host, umask))?;
        context.wheels = Catalogue::new(host.cache.as_ref());
        context.packages.clone_from(&self.packages);
        if let Some(dir) = &downloads {
            let names = core_dependencies(&context.interpreter.version);
            context.dependencies =
                download(&context.interpreter, names, dir.path(), around, control)?;
        }
        Ok((context, downloads))
    }

    fn options(&self, host: &Host, umask: Umask) -> Options {
        let lower = self.scm_ignore_files.iter().map(|scm| scm.to_lowercase());
        Options {
            system_site_packages: self.system_site_packages,
            clear: self.clear,
            upgrade: self.upgrade,
            upgrade_deps: self.upgrade_deps,
            symlinks: self.symlinks,
            with_pip: self.with_pip,
            prompt: self.prompt.as_ref().map(|asked| Prompt {
                asked: asked.clone(),
                cwd_name: host.cwd_name(),
            }),
            scm_ignore_files: lower.collect(),
            compile_bytecode: false,
            umask: umask.bits,
            umask_is_of_acl: umask.is_of_acl,
            epoch: host.epoch,
        }
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

/// The interpreter that an environment was made for.
fn base_of(
    (fs, host): (&RealFs, &Host),
    (env_dir, purpose): (&Path, Purpose),
    control: &Control<'_>,
) -> Result<Interpreter, CreateFailed> {
    let target = Target::open(fs, env_dir, Parents::Require)?;
    let (parent, name) = target.place();
    let root = fs.open_dir(parent, name).map_err(|source| {
        let path = env_dir.to_owned();
        CreateFailed::NoEnvironment { path, source }
    })?;
    let existing = Existing::read(fs, &root, target.path())?;
    let around = &host.surroundings;
    let checkout = Checkout::of(&[env_dir, target.path()], around);
    Ok(existing.base((&checkout, purpose), around, control)?)
}

/// The health checks of the stages. Whether there is a pip to upgrade is known when the environment has been looked at.
fn asked_checks(
    stages: &dyn Stages,
    context: &Context,
) -> Result<Vec<checks::Check>, CreateFailed> {
    let mut context = context.clone();
    context.options.upgrade_deps = false;
    Ok(hooks::checks(stages, &context)?)
}
