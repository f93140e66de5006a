//! Requests: the one way from what a caller wants to the context of a plan.
//!
//! The command and [`EnvBuilder`](crate::EnvBuilder) express what they want as an [`EnvRequest`].
//! Which interpreter that means, which options hold, what is downloaded and compiled, and which
//! health checks run is decided here, once.
//!
//! Promises to write nothing to a target: downloads and compiled files go into the cache.
//! Read next: `caller.rs`, which runs a change; `env_builder.rs`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use rvenv_journal::fs::{Dir, FsError};
use rvenv_journal::raw::{Statement, TargetError};
use rvenv_journal::{Digest, Parents, Retention, Target};
use tempfile::TempDir;
use thiserror::Error;

use super::caller::{Caller, Phase};
use super::fetching::{FetchingFailed, Looked};
use super::host::{Host, PYTHON_VARIABLE};
use super::locked::{LockRequest, LockedFailed};
use super::lookups::{Before, LookupFailed};
use super::unchanged;

use crate::base::early_look::EarlyLook;
use crate::base::umask::Umask;
use crate::base::version;
use crate::build::checks::{self, Check, EnvAt, Expectation, Expected, OtherOwner};
use crate::build::hooks::{self, Context, HookError, Hooks, core_dependencies};
use crate::build::options::{Choices, GIT, Options};
use crate::build::supply::{Extraneous, Supply, WheelSource};
use crate::change::carry::Companions;
use crate::change::existing::{BaseError, Existing, ExistingError};
use crate::change::merge::{self, Unlocked};
use crate::change::provision::{self, BytecodeFailed, StoreAccess};
use crate::change::removal::{self, Removal, RemovalFailed, StillRequired};
use crate::python::{
    self, Checkout, Control, Interpreter, InterpreterError, NamedByTarget, Purpose, Request,
    Surroundings, Wanted,
};
use crate::wheel::Sources;
use crate::wheel::{Catalogue, Named};

/// What to do with an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Create it as the options say.
    Create,
    /// Give the existing one another interpreter; it keeps its choices and its packages.
    Upgrade,
    /// Give the existing one the packages of locks; it keeps its interpreter and its choices.
    Sync,
}

impl Intent {
    /// What the caller wants to happen to what is replaced; for [`Intent::Create`] the change
    /// itself decides it, under the lock.
    #[must_use]
    pub fn retention(self, asked: Option<Retention>) -> Option<Retention> {
        match self {
            Self::Create => asked,
            Self::Upgrade | Self::Sync => asked.or(Some(Retention::Keep)),
        }
    }
}

/// Which interpreter is wanted, and what names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedPython {
    request: Request,
    variable: Option<&'static str>,
}

impl AskedPython {
    /// The interpreter that the caller names, else that of `RVENV_PYTHON`.
    ///
    /// # Errors
    /// A variable that names no Python.
    pub fn of(named: Request, host: &Host) -> Result<Self, InterpreterError> {
        match (&named, &host.python) {
            (Request::Default, Some(text)) => Ok(Self {
                request: Request::parse(text, &host.surroundings.cwd)?,
                variable: Some(PYTHON_VARIABLE),
            }),
            _ => Ok(Self {
                request: named,
                variable: None,
            }),
        }
    }

    /// The interpreter that the caller names, whatever the variable says.
    pub(super) fn named(named: &Request) -> Self {
        Self {
            request: named.clone(),
            variable: None,
        }
    }

    /// Whether no interpreter is named.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.request == Request::Default && self.variable.is_none()
    }
}

/// What the caller wants.
#[derive(Clone, Debug)]
pub struct EnvRequest {
    /// The absolute path of the environment, as [`Host::env_dir`] reads it.
    pub env_dir: String,
    /// What to do with it.
    pub intent: Intent,
    /// The interpreter.
    pub python: AskedPython,
    /// The options that hold where nothing else is set; the umask and the epoch are the host's.
    pub options: Options,
    /// The choices that the caller sets; an upgrade keeps the environment's own otherwise.
    pub said: Choices,
    /// Wheels for [`Hooks::post_setup`] to install.
    pub packages: Vec<PathBuf>,
    /// The locks whose packages it gets.
    pub locks: LockRequest,
    /// What is uninstalled.
    pub removal: Removal,
    /// Where wheels are downloaded from, besides what pip's configuration names.
    pub sources: Sources,
    /// Whether the plan will be carried out or shown.
    pub purpose: Purpose,
    /// Whether packages that a lock names and that are installed are left out of the plan.
    pub unchanged: Unchanged,
}

/// What happens with packages that a lock names and that are installed as they were published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unchanged {
    /// They are planned like the others, with every file.
    Planned,
    /// They are kept without an operation, and no file of theirs is looked for. A plan that finds
    /// one changed fails with [`MergeError::NotKept`](merge::MergeError::NotKept), and is to be
    /// made again with [`Unchanged::Planned`].
    Kept,
}

/// The context of a plan, and the wheels that were downloaded for it, which must exist as long as
/// the plan is used.
#[derive(Debug)]
pub struct Answer {
    /// Everything that a hook may know.
    pub context: Context,
    /// What comes along to another Python.
    pub companions: Companions,
    /// What is installed and no lock names, if there are locks.
    pub unlocked: Unlocked,
    /// What the distributions that stay require of those that go.
    pub still_required: Vec<StillRequired>,
    /// The directory of the fetched wheels if there is no cache; it is deleted with this value.
    pub downloads: Option<TempDir>,
}

/// Why there is no context.
#[derive(Debug, Error)]
pub enum RequestFailed {
    /// No interpreter was found.
    #[error(transparent)]
    Interpreter(#[from] InterpreterError),
    /// A path or a prompt that no environment can have, or an interpreter without a layout.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// The environment cannot be read.
    #[error(transparent)]
    Existing(#[from] ExistingError),
    /// The environment does not exist.
    #[error("there is no environment at `{}`", path.display().to_string().escape_debug())]
    NoEnvironment {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The target is not valid.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The environment's base interpreter was not found.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// Wheels that no lock names are not there.
    #[error(transparent)]
    Fetching(#[from] Box<FetchingFailed>),
    /// What is to be uninstalled cannot be.
    #[error(transparent)]
    Removal(#[from] Box<RemovalFailed>),
    /// The wheels of a lock are not there.
    #[error(transparent)]
    Locked(#[from] Box<LockedFailed>),
    /// The compilation failed.
    #[error(transparent)]
    Bytecode(#[from] BytecodeFailed),
}

impl From<LookupFailed> for RequestFailed {
    fn from(failed: LookupFailed) -> Self {
        match failed {
            LookupFailed::Existing(error) => Self::Existing(error),
            LookupFailed::Interrupted(error) => Self::Fetching(Box::new(error.into())),
        }
    }
}

impl Answer {
    /// The health checks: the built-in one for every upgrade, where packages come along to another
    /// Python, and before any command. It imports what comes along, except the modules in
    /// `without`.
    #[must_use]
    pub fn checks(&self, intent: Intent, commands: &[String], without: &[String]) -> Vec<Check> {
        let mut imports = self.companions.modules();
        if intent != Intent::Upgrade && commands.is_empty() && imports.is_empty() {
            return Vec::new();
        }
        imports.retain(|module| !without.contains(module));
        let has_pip = self.context.options.with_pip;
        let expected = Expectation {
            version: Expected::Version(self.context.interpreter.version.clone()),
            modules: has_pip.then(|| "pip".to_owned()).into_iter().collect(),
            imports,
        };
        checks::built_in_first(expected, commands)
    }

    /// The health checks that the hooks request; to find them, the hooks plan.
    ///
    /// # Errors
    /// The error of the hook that could not plan.
    pub fn checks_of(&self, hooks: &dyn Hooks) -> Result<Vec<Check>, RequestFailed> {
        // Whether there is a pip to upgrade is known only after the environment has been read.
        let mut context = self.context.clone();
        context.options.upgrade_deps = false;
        Ok(hooks::checks(hooks, &context)?)
    }

    /// A part of the environment that another user owns, so that health checks would run that
    /// user's files. If the environment is cleared, only the directories above it count.
    #[must_use]
    pub fn other_owner(&self) -> Option<OtherOwner> {
        let env_dir = Path::new(&self.context.env_dir);
        if self.context.options.clear {
            checks::other_owner_above(env_dir)
        } else {
            checks::other_owner(env_dir)
        }
    }

    /// Where the environment will be.
    #[must_use]
    pub fn env_at(&self) -> EnvAt {
        EnvAt::of(Path::new(&self.context.env_dir), &self.context.layout)
    }
}

/// The wheels of which no file is looked for. Bytecode and a time for generated files may differ
/// from what was published, so then every file is planned.
fn keepable(early: &EarlyLook, context: &Context) -> BTreeMap<Digest, Statement> {
    let Options {
        compile_bytecode,
        epoch,
        upgrade_deps,
        ..
    } = context.options;
    if compile_bytecode || upgrade_deps || epoch.is_some() {
        return BTreeMap::new();
    }
    unchanged::of_releases(early.statements(), |named| {
        let mut installed = context.installed.iter();
        installed.any(|one| one.name == named.name && one.version == named.version)
    })
}

impl Caller<'_> {
    /// Finds the interpreter, decides the options, downloads and compiles what a plan will name.
    ///
    /// # Errors
    /// See [`RequestFailed`].
    pub fn prepare(&self, request: &EnvRequest) -> Result<Answer, RequestFailed> {
        let env_dir = Path::new(&request.env_dir);
        let asked = &request.python;
        let is_at_work = request.options.compile_bytecode
            || request.options.upgrade_deps
            || self.may_start_python(&request.locks);
        let before = self.before(request, env_dir)?;
        let early = self.early(request, before.as_ref());
        let (interpreter, said) = match (request.intent, &before) {
            (Intent::Upgrade | Intent::Sync, Some(Before { existing, .. })) => {
                let said = request.said.clone().or(existing.choices());
                let interpreter = if asked.is_default() {
                    let purpose = at_work(request.purpose, is_at_work);
                    self.base_of(existing, env_dir, purpose)?
                } else {
                    self.find(asked, env_dir)?
                };
                (interpreter, said)
            }
            (Intent::Create | Intent::Upgrade | Intent::Sync, _) => {
                (self.find(asked, env_dir)?, request.said.clone())
            }
        };
        let options = said.over(Options {
            upgrade: request.intent != Intent::Create,
            ..request.options.clone()
        });
        let mut downloads = None;
        let mut context = self.context(&request.env_dir, interpreter, options)?;
        if let Some(before) = &before {
            context.installed = before.existing.installed(&context.layout);
            let removed = removal::names(self.fs, &before.root, &context, &request.removal);
            context.removed = removed.map_err(Box::new)?;
            context.keepable = keepable(&early, &context);
            context.early = early;
        }
        if let (Intent::Sync, Some(before)) = (request.intent, &before) {
            let planned = self.stay_as_created(before, env_dir, &mut context);
            planned.map_err(|source| ExistingError::Disk {
                path: before.existing.path.clone(),
                source,
            })?;
        }
        self.supply(request, &mut downloads, &mut context)?;
        let companions = match &before {
            Some(before) => self.companions_of(before, request, &mut downloads, &mut context)?,
            None => Companions::default(),
        };
        let (unlocked, still_required) = match &before {
            Some(before) => self.leaves(before, &context)?,
            None => Default::default(),
        };
        self.compile(&mut context)?;
        Ok(Answer {
            context,
            companions,
            unlocked,
            still_required,
            downloads,
        })
    }

    /// Begins to look at an environment of which something may be kept.
    fn early(&self, request: &EnvRequest, before: Option<&Before>) -> EarlyLook {
        let is_wanted = request.unchanged == Unchanged::Kept && request.intent != Intent::Upgrade;
        let before = before.filter(|_| is_wanted);
        before.map_or_else(EarlyLook::default, |before| {
            EarlyLook::begin(self.fs, &before.root)
        })
    }

    /// What comes along; adds what it needs for another Python, if the request has `with_deps`.
    fn companions_of(
        &self,
        before: &Before,
        request: &EnvRequest,
        downloads: &mut Option<TempDir>,
        context: &mut Context,
    ) -> Result<Companions, RequestFailed> {
        let looked = Looked::of(&request.sources, &request.locks);
        let found = self.accompany(before, looked, context, downloads)?;
        let missing = found.needs.missing.iter();
        let requirements: Vec<String> = missing.map(|(what, _)| what.clone()).collect();
        if !request.locks.with_deps || requirements.is_empty() {
            return Ok(found);
        }
        let needed = LockRequest {
            files: Vec::new(),
            places: Vec::new(),
            requirements,
            ..request.locks.clone()
        };
        let known = context.supplies.len();
        let supplied = self.supply_locked(&needed, &request.sources, downloads, context);
        supplied.map_err(Box::new)?;
        for supply in context.supplies.iter_mut().skip(known) {
            supply.is_dependency = true;
        }
        Ok(self.companions(before, context)?)
    }

    /// Adds the wheels that the request asks for: the newest pip, those of locks, and given ones.
    fn supply(
        &self,
        request: &EnvRequest,
        downloads: &mut Option<TempDir>,
        context: &mut Context,
    ) -> Result<(), RequestFailed> {
        if context.options.upgrade_deps {
            let names = core_dependencies(&context.interpreter.version);
            let looked = Looked::of(&request.sources, &request.locks);
            let newest = self.newest(names, looked, context, downloads);
            let wheels = newest.map_err(Box::new)?;
            let supplies = Supply::from_source(&wheels, WheelSource::Upgrade);
            context.supplies.extend(supplies);
        }
        let locked = self.supply_locked(&request.locks, &request.sources, downloads, context);
        locked.map_err(Box::new)?;
        let given = Supply::from_source(&request.packages, WheelSource::Given);
        context.supplies.extend(given);
        Ok(())
    }

    /// What no lock names, and what still requires those that go.
    fn leaves(
        &self,
        before: &Before,
        context: &Context,
    ) -> Result<(Unlocked, Vec<StillRequired>), ExistingError> {
        if context.extraneous == Extraneous::Stay && context.removed.is_empty() {
            return Ok(Default::default());
        }
        let disk = |source| ExistingError::Disk {
            path: before.existing.path.clone(),
            source,
        };
        let root = &before.root;
        let unlocked = merge::unlocked(self.fs, root, context).map_err(disk)?;
        let required = removal::still_required(self.fs, root, context, &unlocked.go);
        Ok((unlocked, required.map_err(disk)?))
    }

    /// The environment that may get another Python; `None` if there is none, or if it is cleared.
    fn before(
        &self,
        request: &EnvRequest,
        env_dir: &Path,
    ) -> Result<Option<Before>, RequestFailed> {
        let is_new = || request.options.clear || self.fs.open_path(env_dir).is_err();
        if request.intent == Intent::Create && is_new() {
            return Ok(None);
        }
        let (root, path) = self.open_existing(env_dir)?;
        match Existing::read(self.fs, &root, &path) {
            Ok(existing) => Ok(Some(Before { root, existing })),
            // What cannot be read is reported under the lock, if it matters then.
            Err(_) if request.intent == Intent::Create => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Searches for the wanted interpreter; the project of `target` may decide.
    ///
    /// # Errors
    /// Those of `find`.
    pub fn look<T>(
        &self,
        asked: &AskedPython,
        target: &Path,
        find: impl FnOnce(&Wanted<'_>, &Surroundings, &Control<'_>) -> Result<T, InterpreterError>,
    ) -> Result<T, InterpreterError> {
        let wanted = Wanted {
            request: &asked.request,
            variable: asked.variable,
            target: Some(target),
            warning: &|text| self.listener.warning(text),
        };
        self.with_control(|control| find(&wanted, &self.host.surroundings, control))
    }

    pub(super) fn find(
        &self,
        asked: &AskedPython,
        target: &Path,
    ) -> Result<Interpreter, InterpreterError> {
        self.look(asked, target, python::find_wanted)
    }

    pub(super) fn base_of(
        &self,
        existing: &Existing,
        env_dir: &Path,
        purpose: Purpose,
    ) -> Result<Interpreter, BaseError> {
        let around = &self.host.surroundings;
        let checkout = Checkout::of(&[env_dir, &existing.path], around);
        self.with_control(|control| existing.base(&checkout, purpose, around, control))
    }

    /// The interpreter that a receipt names.
    pub(super) fn find_published(
        &self,
        base: &NamedByTarget,
        targets: [&Path; 2],
        purpose: Purpose,
    ) -> Result<Interpreter, InterpreterError> {
        let around = &self.host.surroundings;
        let checkout = Checkout::of(&targets, around);
        self.with_control(|control| python::find_named(base, &checkout, purpose, around, control))
    }

    pub(super) fn open_existing(&self, env_dir: &Path) -> Result<(Dir, PathBuf), RequestFailed> {
        let target = Target::open(self.fs, env_dir, Parents::Require)?;
        let root = target
            .root()
            .map_err(|error| RequestFailed::NoEnvironment {
                path: env_dir.to_owned(),
                source: error.source,
            })?;
        Ok((root, target.path().to_path_buf()))
    }

    pub(super) fn context(
        &self,
        env_dir: &str,
        interpreter: Interpreter,
        options: Options,
    ) -> Result<Context, RequestFailed> {
        let umask = Umask::at(self.fs, Path::new(env_dir), self.host.umask);
        let options = Options {
            umask: umask.bits,
            umask_is_of_acl: umask.is_of_acl,
            epoch: self.host.epoch,
            ..options
        };
        let mut context = Context::new(env_dir, interpreter, options)?;
        context.wheels = Catalogue::new(self.host.cache.as_ref());
        Ok(context)
    }

    /// Plans what the environment has besides packages again, so that it stays in the receipt: the
    /// first packages, unless the user removed one, has an older one or had another installer
    /// install it, and the ignore file.
    fn stay_as_created(
        &self,
        before: &Before,
        env_dir: &Path,
        context: &mut Context,
    ) -> Result<(), FsError> {
        let installed = before.existing.installed(&context.layout);
        let site = &context.layout.lib_path;
        let bundled = context.interpreter.bundled.wheels();
        let mut is_kept = !bundled.is_empty();
        for wheel in bundled.iter().filter_map(|path| Named::of(path)) {
            let found = installed.iter().find(|found| found.name == wheel.name);
            is_kept &= match found {
                Some(_) if context.removed.contains(&wheel.name) => false,
                Some(found) => match version::compare(&found.version, &wheel.version) {
                    Ordering::Less => false,
                    Ordering::Equal => merge::is_own_seed(self.fs, &before.root, site, found)?,
                    Ordering::Greater => true,
                },
                None => false,
            };
        }
        context.options.with_pip = is_kept;
        if env_dir.join(".gitignore").is_file() {
            context.options.scm_ignore_files = [GIT.to_owned()].into();
        }
        Ok(())
    }

    /// Compiles bytecode for what will be planned, if it is wanted.
    pub(super) fn compile(&self, context: &mut Context) -> Result<(), BytecodeFailed> {
        self.compile_or_take(context, &BTreeMap::new())
    }

    /// As [`Caller::compile`], but takes what is kept under the names that a plan vouches for.
    pub(super) fn compile_or_take(
        &self,
        context: &mut Context,
        names: &BTreeMap<Digest, Digest>,
    ) -> Result<(), BytecodeFailed> {
        if !context.options.compile_bytecode {
            return Ok(());
        }
        let kept_at = StoreAccess {
            fs: self.fs,
            cache: self.host.cache.as_ref(),
        };
        self.listener.phase(Phase::Compiling);
        self.with_control(|control| {
            provision::compile(kept_at, &self.compiler(control), context, names)
        })
    }
}

/// A plan that is only shown still needs an interpreter at work if wheels are downloaded, built or
/// compiled for it.
pub(super) fn at_work(purpose: Purpose, is_at_work: bool) -> Purpose {
    match purpose {
        Purpose::Show if is_at_work => Purpose::ShowAtWork,
        Purpose::Show | Purpose::ShowAtWork | Purpose::Change => purpose,
    }
}
