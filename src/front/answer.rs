//! Answers to requests: the contexts of plans, with everything that was fetched and built for them.
//!
//! Promises to write nothing to a target: downloads and compiled files go into the cache.
//! Read next: `caller.rs`, which runs a change; `env_builder.rs`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::Path;

use rvenv_journal::fs::FsError;
use rvenv_journal::{Digest, Plan};
use tempfile::TempDir;

use super::begun::Begun;
use super::caller::{Caller, Phase};
use super::fetching::Looked;
use super::locked::LockRequest;
use super::lookups::Before;
use super::request::{EnvRequest, Intent, RequestFailed};
use super::up_to_date::Question;
use crate::base::version;
use crate::build::checks::{self, Check, EnvAt, Expectation, Expected, OtherOwner};
use crate::build::hooks::{self, Context, Hooks, core_dependencies};
use crate::build::options::GIT;
use crate::build::supply::{Extraneous, Supply, WheelSource};
use crate::change::carry::Companions;
use crate::change::existing::{Existing, ExistingError};
use crate::change::merge::{self, Unlocked};
use crate::change::provision::{self, BytecodeFailed, StoreAccess};
use crate::change::removal::{self, StillRequired};
use crate::wheel::Named;

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
    /// What an answer in the cache may be about, and the environment before.
    pub(super) asked: Option<(Question, Existing)>,
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

impl Caller<'_> {
    /// Finds the interpreter, decides the options, downloads and compiles what a plan will name.
    ///
    /// # Errors
    /// See [`RequestFailed`].
    pub fn prepare(&self, request: &EnvRequest) -> Result<Answer, RequestFailed> {
        self.prepare_begun(request, self.begin_request(request)?)
    }

    /// The same for a request that was begun.
    ///
    /// # Errors
    /// See [`RequestFailed`].
    pub fn prepare_begun(
        &self,
        request: &EnvRequest,
        begun: Begun,
    ) -> Result<Answer, RequestFailed> {
        let env_dir = Path::new(&request.env_dir);
        let Begun {
            before,
            mut context,
            question,
            ..
        } = begun;
        let mut downloads = None;
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
            asked: question.zip(before.map(|before| before.existing)),
        })
    }

    /// Keeps in the cache that there was nothing to do, so that the next run need not work it out.
    pub fn keep_up_to_date(&self, answer: &Answer, plan: &Plan) {
        if let Some((question, existing)) = &answer.asked {
            self.keep(question, existing, plan);
        }
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
