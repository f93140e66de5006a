//! The beginning of a request: what it means here, before any package is looked for.
//!
//! That is the environment that exists, the interpreter and the options; and, if an earlier run
//! found nothing to do for the same request, that there still is nothing to do.
//!
//! Promises to write nothing. Read next: `answer.rs`, which goes on; `up_to_date.rs`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rvenv_journal::fs::Dir;
use rvenv_journal::raw::Statement;
use rvenv_journal::{Digest, Parents, Target};

use super::caller::Caller;
use super::lookups::Before;
use super::request::{AskedPython, EnvRequest, Intent, RequestFailed, Unchanged, at_work};
use super::unchanged;
use super::up_to_date::{Known, Question};
use crate::base::early_look::EarlyLook;
use crate::base::umask::Umask;
use crate::build::hooks::Context;
use crate::build::options::{Choices, Options};
use crate::change::existing::{BaseError, Existing};
use crate::change::removal;
use crate::python::{
    self, Checkout, Control, Interpreter, InterpreterError, NamedByTarget, Purpose, Surroundings,
    Wanted,
};
use crate::wheel::Catalogue;

/// A request of which it is known what it means here.
pub struct Begun {
    pub(super) before: Option<Before>,
    pub(super) context: Context,
    /// What an answer in the cache may be about.
    pub(super) question: Option<Question>,
}

/// What the cache says about a request.
pub enum Recalled {
    /// There is nothing to do, as an earlier run found out.
    UpToDate,
    /// What there is to do must be worked out.
    Unknown(Box<Begun>),
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
    /// Finds the interpreter, and decides the options.
    ///
    /// # Errors
    /// See [`RequestFailed`].
    pub fn begin_request(&self, request: &EnvRequest) -> Result<Begun, RequestFailed> {
        let before = self.before(request, Path::new(&request.env_dir))?;
        let early = self.early(request, before.as_ref());
        let context = self.context_of(request, before.as_ref())?;
        self.begun(request, before, context, early)
    }

    /// The same, unless the cache says that there is nothing to do.
    ///
    /// # Errors
    /// See [`RequestFailed`].
    pub fn recall(&self, request: &EnvRequest) -> Result<Recalled, RequestFailed> {
        let opened = self.open_existing(Path::new(&request.env_dir)).ok();
        let (Some(asked), Some((_, path))) = (self.asked_by(request), opened) else {
            let begun = self.begin_request(request)?;
            return Ok(Recalled::Unknown(Box::new(begun)));
        };
        let known = self.known(&path, &asked);
        let holds = |known: &&Known| self.still_holds(known, &path);
        // Which interpreter a sync uses is in the environment, and so among what is looked at.
        let is_own = request.intent == Intent::Sync && request.python.is_default();
        let by_own = known
            .as_ref()
            .filter(|known| is_own && known.has_same_interpreter());
        if by_own.is_some_and(|known| holds(&known)) {
            return Ok(Recalled::UpToDate);
        }
        let before = self.before(request, Path::new(&request.env_dir))?;
        let known = known.filter(|_| !is_own);
        let early = || self.early(request, before.as_ref());
        // While an answer may hold, there is nothing to look at.
        let begun_early = known.is_none().then(early);
        let context = self.context_of(request, before.as_ref())?;
        let question = Question::of(path.clone(), asked, &context);
        let by_found = known.as_ref().filter(|known| known.is_about(&question));
        if by_found.is_some_and(|known| holds(&known)) {
            return Ok(Recalled::UpToDate);
        }
        let early = begun_early.unwrap_or_else(early);
        let mut begun = self.begun(request, before, context, early)?;
        begun.question = Some(question);
        Ok(Recalled::Unknown(Box::new(begun)))
    }

    fn begun(
        &self,
        request: &EnvRequest,
        before: Option<Before>,
        mut context: Context,
        early: EarlyLook,
    ) -> Result<Begun, RequestFailed> {
        if let Some(before) = &before {
            context.installed = before.existing.installed(&context.layout);
            let removed = removal::names(self.fs, &before.root, &context, &request.removal);
            context.removed = removed.map_err(Box::new)?;
            context.keepable = keepable(&early, &context);
            context.early = early;
        }
        Ok(Begun {
            before,
            context,
            question: None,
        })
    }

    /// The interpreter that a request means, and its options.
    fn context_of(
        &self,
        request: &EnvRequest,
        before: Option<&Before>,
    ) -> Result<Context, RequestFailed> {
        let (interpreter, said) = self.interpreter_of(request, before)?;
        let options = said.over(Options {
            upgrade: request.intent != Intent::Create,
            ..request.options.clone()
        });
        self.context(&request.env_dir, interpreter, options)
    }

    /// The interpreter that a request means, and the choices of its caller or of the environment.
    fn interpreter_of(
        &self,
        request: &EnvRequest,
        before: Option<&Before>,
    ) -> Result<(Interpreter, Choices), RequestFailed> {
        let (env_dir, asked) = (Path::new(&request.env_dir), &request.python);
        let Some(Before { existing, .. }) = before.filter(|_| request.intent != Intent::Create)
        else {
            return Ok((self.find(asked, env_dir)?, request.said.clone()));
        };
        let said = request.said.clone().or(existing.choices());
        if !asked.is_default() {
            return Ok((self.find(asked, env_dir)?, said));
        }
        let is_at_work = request.options.compile_bytecode
            || request.options.upgrade_deps
            || self.may_start_python(&request.locks);
        let purpose = at_work(request.purpose, is_at_work);
        Ok((self.base_of(existing, env_dir, purpose)?, said))
    }

    /// Begins to look at an environment of which something may be kept.
    fn early(&self, request: &EnvRequest, before: Option<&Before>) -> EarlyLook {
        let is_wanted = request.unchanged == Unchanged::Kept && request.intent != Intent::Upgrade;
        let before = before.filter(|_| is_wanted);
        before.map_or_else(EarlyLook::default, |before| {
            EarlyLook::begin(self.fs, &before.root, &before.existing.path)
        })
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
}
