//! The commands that plan and change: create, upgrade, plan, apply, repair, rollback.
//!
//! Promises that the permissions of a run (to delete what is no environment, to lose packages, to run health checks) come
//! from its own command line, and that every path is read before anything is done.
//! Read next: `rvenv`'s `environment.rs`, which does what is asked for here.

use std::ffi::{OsStr, OsString};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use rvenv::builder::{Context, Venv, core_dependencies};
use rvenv::bytecode::Compiler;
use rvenv::check::{self, Check, CheckFailed, EnvAt, Expectation, Expected};
use rvenv::download::download;
use rvenv::environment::{self, Checker, Force, Permissions};
use rvenv::existing::{Config, Existing, ExistingError};
use rvenv::interpreter::{self, Checkout, Control, Interpreter, Purpose};
use rvenv::merge::Lost;
use rvenv::options::{Choices, GIT, Options, Prompt};
use rvenv::provision::{self, Shelf};
use rvenv::render::escape;
use rvenv::repair::{has_published_bytecode, published_base};
use rvenv::umask::Umask;
use rvenv::wheel::Catalogue;
use rvenv_journal::fs::Dir;
use rvenv_journal::{
    Changes, Digest, Fs as _, Parents, Plan, Publication, Retention, Target, WhyKept,
};
use tempfile::TempDir;

use super::args::{
    ApplyArgs, CreateArgs, PlanArgs, RepairArgs, ReplaceArgs, RollbackArgs, VenvArgs,
};
use super::plan_file::{self, Out};
use super::{Compilation, Manner, Session, word};
use crate::error::{
    CliError, Exit, State, of_base, of_bytecode, of_download, of_existing, of_interpreter, of_plan,
    of_plan_file,
};

/// How the names of directories in the cache begin to which a process downloads.
pub(super) const DOWNLOADS_PREFIX: &str = "downloads-";

/// More than any `pyvenv.cfg`.
const CONFIG_BYTES_MAX: u64 = 1 << 16;

/// What is to become of an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    /// What the flags say.
    Create,
    /// The one that is there, with another interpreter.
    Upgrade,
}

impl Intent {
    pub(super) fn of(args: &VenvArgs) -> Self {
        if args.upgrade {
            Self::Upgrade
        } else {
            Self::Create
        }
    }
}

/// A context, and the wheels that were downloaded for it as long as it is needed.
struct Prepared {
    context: Context,
    downloads: Option<TempDir>,
}

impl Session<'_> {
    pub(super) fn create(&self, args: &CreateArgs, intent: Intent) -> Result<Exit, CliError> {
        let targets = self.env_dirs(&args.env_dirs)?;
        for (given, env_dir) in targets {
            // The process ends soon: to give back each piece of a plan and of what it was made from takes a millisecond.
            let purpose = if args.dry_run {
                show(&args.venv)
            } else {
                Purpose::Change
            };
            let prepared = self.prepare(&args.venv, (intent, purpose), &env_dir)?;
            let Prepared { context, downloads } = prepared;
            let context = &*ManuallyDrop::new(context);
            if args.dry_run {
                self.show(&self.make_plan(&args.venv, context)?)?;
                continue;
            }
            let checks = checks(&args.replace, intent, context);
            if !checks.is_empty() && !args.venv.clear {
                may_run(&env_dir, args.replace.allow_other_owner)?;
            }
            let checker = || self.check_all(context, &checks);
            let manner = Manner {
                retention: retention(&args.replace, intent),
                permissions: self.permissions(args.venv.force, args.venv.allow_lost),
                check: (!checks.is_empty()).then_some(&checker as &Checker<'_>),
                compilation: Compilation::of(args.venv.compile_bytecode),
            };
            let outcome = self.run(&args.run, &manner, |run| {
                environment::create(run, &Venv, context)
            })?;
            let outcome = ManuallyDrop::new(outcome);
            drop(downloads);
            let version = &context.interpreter.version.text;
            self.tell(&outcome, given, &format!("with Python {version}"));
        }
        Ok(Exit::Done)
    }

    pub(super) fn plan(&self, args: &PlanArgs) -> Result<Exit, CliError> {
        let env_dir = self.world.env_dir(&args.env_dir)?;
        let out = args.out.as_deref();
        let out = out.map(|given| Ok((given, Out::of(given)?))).transpose()?;
        let wanted = (Intent::of(&args.venv), show(&args.venv));
        let prepared = self.prepare(&args.venv, wanted, &env_dir)?;
        let plan = self.make_plan(&args.venv, &prepared.context)?;
        if let Some((given, out)) = &out {
            out.save(&plan, given, &self.signals)?;
        }
        let is_data = args.json || matches!(out, Some((_, Out::Standard)));
        if is_data || out.is_some() {
            // A plan that can be applied names the wheels that were downloaded for it.
            let _kept = prepared.downloads.map(TempDir::keep);
        }
        let shown = if is_data {
            self.terminal.json(&plan.to_json())
        } else {
            self.show(&plan)
        };
        match &out {
            None | Some((_, Out::Standard)) => shown?,
            Some((given, saved)) => {
                // A plan whose data is lost is saved all the same.
                shown.map_err(|lost| lost.leaving(State::PlanSaved))?;
                let shown = escape(&given.to_string_lossy());
                self.terminal.story(&match saved {
                    Out::Stream(_) => format!("Wrote the plan into `{shown}`"),
                    Out::File { .. } | Out::Standard => {
                        let file = word(&given.to_string_lossy());
                        format!("Saved the plan. Apply it with `rvenv apply {file}`")
                    }
                });
            }
        }
        let pending = plan.publication() != Publication::Nothing;
        Ok(if args.detailed_exitcode && pending {
            Exit::Pending
        } else {
            Exit::Done
        })
    }

    pub(super) fn apply(&self, args: &ApplyArgs) -> Result<Exit, CliError> {
        let bytes = plan_file::read(&args.plan_file, &self.signals)?;
        let plan = Plan::from_json(&bytes)
            .map_err(|error| of_plan_file(&plan_file::shown_input(&args.plan_file), &error))?;
        if let Some(pinned) = &args.digest {
            check_digest(&plan, pinned)?;
        }
        let commands = &args.replace.check;
        if !commands.is_empty() {
            may_run(plan.target(), args.replace.allow_other_owner)?;
        }
        let checker = || self.check_published(Path::new(plan.target()), commands);
        let manner = Manner {
            retention: retention(&args.replace, Intent::Create),
            permissions: self.permissions(args.force, args.allow_lost),
            check: (!commands.is_empty()).then_some(&checker as &Checker<'_>),
            compilation: Compilation::of(args.compile_bytecode),
        };
        let outcome = self.run(&args.run, &manner, |run| environment::apply(run, &plan))?;
        self.tell(&outcome, OsStr::new(plan.target()), "as planned");
        Ok(Exit::Done)
    }

    pub(super) fn repair(&self, args: &RepairArgs) -> Result<Exit, CliError> {
        let env_dir = self.world.env_dir(&args.env_dir)?;
        let context = self.prepare_repair(args, &env_dir)?;
        if args.dry_run {
            let plan = environment::plan_repair(&self.fs, &Venv, &context);
            self.show(&plan.map_err(|error| of_plan(&error))?)?;
            return Ok(Exit::Done);
        }
        let commands = &args.replace.check;
        if !commands.is_empty() {
            may_run(&env_dir, args.replace.allow_other_owner)?;
        }
        let checker = || {
            // The receipt may lead elsewhere than the interpreter that may be started.
            check::is_of(Path::new(&env_dir), &context.interpreter)?;
            self.check_published(Path::new(&env_dir), commands)
        };
        let manner = Manner {
            retention: retention(&args.replace, Intent::Create),
            check: (!commands.is_empty()).then_some(&checker as &Checker<'_>),
            compilation: Compilation::of(context.options.compile_bytecode),
            ..Manner::default()
        };
        let outcome = self.run(&args.run, &manner, |run| {
            environment::repair(run, &Venv, &context)
        })?;
        self.tell(&outcome, &args.env_dir, "as its receipt says");
        Ok(Exit::Done)
    }

    pub(super) fn rollback(&self, args: &RollbackArgs) -> Result<Exit, CliError> {
        let env_dir = self.world.env_dir(&args.env_dir)?;
        let commands = &args.check;
        if !commands.is_empty() {
            may_run(&env_dir, args.allow_other_owner)?;
        }
        let checker = || {
            // What comes back has owners of its own.
            match check::other_owner(Path::new(&env_dir)) {
                Some(other) if !args.allow_other_owner => Err(other.into()),
                Some(_) | None => self.check_published(Path::new(&env_dir), commands),
            }
        };
        let manner = Manner {
            retention: Some(Retention::Keep),
            check: (!commands.is_empty()).then_some(&checker as &Checker<'_>),
            ..Manner::default()
        };
        let changes = if args.discard_changes {
            Changes::PutAside
        } else {
            Changes::Refuse
        };
        let ending = self.run(&args.run, &manner, |run| {
            environment::rollback(run, Path::new(&env_dir), changes)
        })?;
        let shown = escape(&args.env_dir.to_string_lossy());
        let env = word(&args.env_dir.to_string_lossy());
        let number = ending.kept.as_ref().map_or(0, |kept| kept.generation);
        self.terminal.story(&format!(
            "Brought generation {number} of `{shown}` back. Go forward again with `rvenv rollback {env}`"
        ));
        let asked = |why| why == WhyKept::Asked;
        Ok(if ending.kept.is_none_or(|kept| asked(kept.why)) {
            Exit::Done
        } else {
            Exit::NeedsPerson
        })
    }

    /// Every path is read before anything is done, so that a typing error in the last one costs nothing.
    pub(super) fn env_dirs<'b>(
        &self,
        given: &'b [OsString],
    ) -> Result<Vec<(&'b OsStr, String)>, CliError> {
        given
            .iter()
            .map(|given| Ok((given.as_os_str(), self.world.env_dir(given)?)))
            .collect()
    }

    fn prepare(
        &self,
        args: &VenvArgs,
        (intent, purpose): (Intent, Purpose),
        env_dir: &str,
    ) -> Result<Prepared, CliError> {
        let (interpreter, choices) = match intent {
            Intent::Create => (
                self.interpreter(args.python.as_ref(), env_dir)?,
                typed(args, self.world.cwd_name()),
            ),
            Intent::Upgrade => {
                let existing = self.existing(env_dir)?;
                let choices = typed(args, self.world.cwd_name()).or(existing.choices());
                let interpreter = match self.asked(args.python.as_ref()) {
                    Some(_) => self.interpreter(args.python.as_ref(), env_dir)?,
                    None => self.base_of(&existing, (env_dir, purpose))?,
                };
                (interpreter, choices)
            }
        };
        let umask = Umask::at(&self.fs, Path::new(env_dir), self.world.umask);
        let options = choices.over(Options {
            clear: args.clear,
            upgrade: intent == Intent::Upgrade,
            upgrade_deps: args.upgrade_deps,
            with_pip: !args.without_pip,
            compile_bytecode: args.compile_bytecode,
            scm_ignore_files: (!args.without_scm_ignore_files)
                .then(|| GIT.to_owned())
                .into_iter()
                .collect(),
            umask: umask.bits,
            umask_is_of_acl: umask.is_of_acl,
            epoch: self.world.epoch,
            ..Options::default()
        });
        let downloads = args.upgrade_deps.then(|| self.download_dir()).transpose()?;
        let mut context = self.context(env_dir, interpreter, options)?;
        if let Some(dir) = &downloads {
            let names = core_dependencies(&context.interpreter.version);
            let around = &self.world.surroundings;
            let wheels = self.with_control(|control| {
                download(&context.interpreter, names, dir.path(), around, control)
            });
            context.dependencies =
                wheels.map_err(|error| of_download(&error, self.signals.terminated()))?;
        }
        self.compile(&mut context)?;
        Ok(Prepared { context, downloads })
    }

    /// What the environment says of itself; where it says nothing any more, what its receipt says.
    fn prepare_repair(&self, args: &RepairArgs, env_dir: &str) -> Result<Context, CliError> {
        let (root, path) = self.open_existing(env_dir)?;
        let compiled = has_published_bytecode(&self.fs, &root);
        let purpose = match (args.dry_run, compiled) {
            (false, _) => Purpose::Change,
            (true, false) => Purpose::Show,
            (true, true) => Purpose::ShowAtWork,
        };
        let read = Existing::read(&self.fs, &root, &path);
        let choices = match &read {
            Ok(existing) => existing.choices(),
            Err(ExistingError::NoConfig(_) | ExistingError::Config { .. }) => Choices::default(),
            Err(error) => return Err(of_existing(error)),
        };
        let interpreter = match (&args.python, &read) {
            (Some(_), _) => self.interpreter(args.python.as_ref(), env_dir)?,
            (None, Ok(existing)) => self.base_of(existing, (env_dir, purpose))?,
            (None, Err(error)) => {
                let named = published_base(&self.fs, &root).ok_or_else(|| of_existing(error))?;
                let around = &self.world.surroundings;
                let checkout = Checkout::of(&[Path::new(env_dir), &path], around);
                let terms = (&checkout, purpose);
                let find =
                    |control: &Control<'_>| interpreter::find_named(&named, terms, around, control);
                self.with_control(find)
                    .map_err(|error| of_interpreter(&error, self.signals.terminated()))?
            }
        };
        let umask = Umask::at(&self.fs, Path::new(env_dir), self.world.umask);
        let options = choices.over(Options {
            // What is put back is what was published.
            compile_bytecode: compiled,
            umask: umask.bits,
            umask_is_of_acl: umask.is_of_acl,
            epoch: self.world.epoch,
            ..Options::default()
        });
        let mut context = self.context(env_dir, interpreter, options)?;
        self.compile(&mut context)?;
        Ok(context)
    }

    /// Has bytecode made for what will be planned, if that is wanted.
    fn compile(&self, context: &mut Context) -> Result<(), CliError> {
        if !context.options.compile_bytecode {
            return Ok(());
        }
        let kept_at = Shelf {
            fs: &self.fs,
            cache: self.world.cache.as_ref(),
        };
        let done = self
            .with_control(|control| provision::compile(kept_at, &self.compiler(control), context));
        done.map_err(|error| of_bytecode(&error, self.signals.terminated()))
    }

    pub(super) fn compiler<'c>(&'c self, control: &'c Control<'c>) -> Compiler<'c> {
        Compiler {
            around: &self.world.surroundings,
            control,
            workers: self.world.processors,
        }
    }

    fn context(
        &self,
        env_dir: &str,
        interpreter: Interpreter,
        options: Options,
    ) -> Result<Context, CliError> {
        let made = Context::new(env_dir, interpreter, options);
        let mut context = made.map_err(|error| of_plan(&error.into()))?;
        context.wheels = Catalogue::new(self.world.cache.as_ref());
        Ok(context)
    }

    fn download_dir(&self) -> Result<TempDir, CliError> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(DOWNLOADS_PREFIX);
        let in_cache = self.world.cache.as_ref().and_then(|cache| {
            cache.make().ok()?;
            builder.tempdir_in(cache.path()).ok()
        });
        // A cache that cannot be used is never needed.
        let made = in_cache.map_or_else(|| builder.tempdir(), Ok);
        made.map_err(|error| {
            CliError::new(Exit::Failed, "cannot make a directory to download to").because(&error)
        })
    }

    fn existing(&self, env_dir: &str) -> Result<Existing, CliError> {
        let (root, path) = self.open_existing(env_dir)?;
        Existing::read(&self.fs, &root, &path).map_err(|error| of_existing(&error))
    }

    fn base_of(
        &self,
        existing: &Existing,
        (env_dir, purpose): (&str, Purpose),
    ) -> Result<Interpreter, CliError> {
        let around = &self.world.surroundings;
        let checkout = Checkout::of(&[Path::new(env_dir), &existing.path], around);
        self.with_control(|control| existing.base((&checkout, purpose), around, control))
            .map_err(|error| of_base(&error, self.signals.terminated()))
    }

    fn open_existing(&self, env_dir: &str) -> Result<(Dir, PathBuf), CliError> {
        let target = Target::open(&self.fs, Path::new(env_dir), Parents::Require)
            .map_err(|error| of_plan(&error.into()))?;
        let (parent, name) = target.place();
        match self.fs.open_dir(parent, name) {
            Ok(root) => Ok((root, target.path().to_path_buf())),
            Err(error) => Err(of_existing_absent(env_dir, &error.source)),
        }
    }

    /// What is asked of everything that starts processes.
    pub(super) fn with_control<T>(&self, work: impl FnOnce(&Control<'_>) -> T) -> T {
        work(&Control {
            timeout: Control::TIMEOUT,
            interrupted: &|| self.signals.any(),
            starting: &|path| {
                self.terminal
                    .detail(&format!("asking `{}`", escape(&path.to_string_lossy())));
            },
        })
    }

    fn interpreter(
        &self,
        typed: Option<&OsString>,
        env_dir: &str,
    ) -> Result<Interpreter, CliError> {
        self.look(typed, Path::new(env_dir), interpreter::find_wanted)
    }

    fn make_plan(&self, args: &VenvArgs, context: &Context) -> Result<Plan, CliError> {
        let permissions = self.permissions(args.force, args.allow_lost);
        environment::plan(&self.fs, &Venv, context, permissions).map_err(|error| of_plan(&error))
    }

    fn permissions(&self, force: bool, allow_lost: bool) -> Permissions<'_> {
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

    fn check_all(&self, context: &Context, checks: &[Check]) -> Result<(), CheckFailed> {
        let env = EnvAt::of(Path::new(&context.env_dir), &context.layout);
        self.check_at(&env, checks)
    }

    /// Checks what was published from a record of it: its own configuration says which Python it is.
    fn check_published(&self, env_dir: &Path, commands: &[String]) -> Result<(), CheckFailed> {
        let read = self
            .fs
            .read_path(&env_dir.join("pyvenv.cfg"), CONFIG_BYTES_MAX);
        let config = read.ok().and_then(|bytes| Config::parse(&bytes).ok());
        let version = config.and_then(|config| config.version);
        let expected = Expectation {
            version: version.map_or(Expected::Any, |version| Expected::by_config(&version)),
            modules: Vec::new(),
        };
        let checks = check::built_in_first(expected, commands);
        self.check_at(&EnvAt::in_dir(env_dir), &checks)
    }

    fn check_at(&self, env: &EnvAt, checks: &[Check]) -> Result<(), CheckFailed> {
        for check in checks {
            self.terminal.detail(&format!("running {check}"));
            self.with_control(|control| check::run(env, check, &self.world.surroundings, control))?;
        }
        Ok(())
    }
}

fn of_existing_absent(env_dir: &str, source: &std::io::Error) -> CliError {
    let what = format!("there is no environment at `{}`", escape(env_dir));
    CliError::new(Exit::Precondition, what)
        .because(source)
        .hint("make one with `rvenv create`")
}

/// Whether health checks may run what is in an environment now.
fn may_run(env_dir: &str, allowed: bool) -> Result<(), CliError> {
    match check::other_owner(Path::new(env_dir)) {
        Some(other) if !allowed => Err(CliError::new(
            Exit::Precondition,
            escape(&other.to_string()),
        )
        .hint("run as that user, or use `--allow-other-owner` if you trust them")),
        Some(_) | None => Ok(()),
    }
}

/// What a plan that is only shown needs an interpreter for.
fn show(args: &VenvArgs) -> Purpose {
    if args.compile_bytecode || args.upgrade_deps {
        Purpose::ShowAtWork
    } else {
        Purpose::Show
    }
}

/// What was said about the things that an upgrade keeps.
fn typed(args: &VenvArgs, cwd_name: String) -> Choices {
    Choices {
        system_site_packages: args.system_site_packages.then_some(true),
        symlinks: match (args.symlinks, args.copies) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        },
        prompt: args.prompt.as_ref().map(|asked| Prompt {
            asked: asked.clone(),
            cwd_name,
        }),
    }
}

/// What is asked to become of what is replaced; for a `create` the change itself decides, which is known under the lock.
fn retention(args: &ReplaceArgs, intent: Intent) -> Option<Retention> {
    match (args.keep, args.no_keep, intent) {
        (true, _, _) | (false, false, Intent::Upgrade) => Some(Retention::Keep),
        (false, true, _) => Some(Retention::Discard),
        (false, false, Intent::Create) => None,
    }
}

/// What is asked for, after whether the environment works at all; that is asked of every upgrade.
fn checks(args: &ReplaceArgs, intent: Intent, context: &Context) -> Vec<Check> {
    if intent == Intent::Create && args.check.is_empty() {
        return Vec::new();
    }
    let has_pip = context.options.with_pip;
    let expected = Expectation {
        version: Expected::Version(context.interpreter.version.clone()),
        modules: has_pip.then(|| "pip".to_owned()).into_iter().collect(),
    };
    check::built_in_first(expected, &args.check)
}

fn check_digest(plan: &Plan, pinned: &str) -> Result<(), CliError> {
    let digest = Digest::parse(pinned)
        .map_err(|error| CliError::new(Exit::Usage, escape(&error.to_string())))
        .map_err(|error| error.hint("`rvenv plan` prints the digest of a plan"))?;
    if plan.digest() == digest {
        return Ok(());
    }
    let what = format!(
        "the plan has the digest {}, not the one that was asked for",
        plan.digest()
    );
    Err(CliError::new(Exit::Precondition, what).hint("look at the plan again before you apply it"))
}
