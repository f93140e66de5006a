//! What a plan is made of: the interpreter, the options, the wheels.
//!
//! Read next: `rvenv`'s `environment.rs`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rvenv::download::download;
use rvenv::environment;
use rvenv::existing::{Existing, ExistingError};
use rvenv::hooks::{Context, Venv, core_dependencies};
use rvenv::options::{Choices, GIT, Options, Prompt};
use rvenv::provision::{self, Shelf};
use rvenv::python::{self, Checkout, Control, Interpreter, Purpose};
use rvenv::render::escape;
use rvenv::repair::{has_published_bytecode, published_base};
use rvenv::umask::Umask;
use rvenv::wheel::Catalogue;
use rvenv_journal::fs::Dir;
use rvenv_journal::{Fs as _, Parents, Plan, Target};
use tempfile::TempDir;

use crate::advice::{
    CliError, Exit, of_base, of_bytecode, of_download, of_existing, of_interpreter, of_plan,
};
use crate::args::{RepairArgs, VenvArgs};
use crate::session::Session;

/// How the names of directories in the cache begin to which a process downloads.
pub(crate) const DOWNLOADS_PREFIX: &str = "downloads-";

/// What is to become of an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// What the flags say.
    Create,
    /// The one that is there, with another interpreter.
    Upgrade,
}

impl Intent {
    pub(crate) fn of(args: &VenvArgs) -> Self {
        if args.upgrade {
            Self::Upgrade
        } else {
            Self::Create
        }
    }
}

/// A context, and the wheels that were downloaded for it as long as it is needed.
pub(crate) struct Prepared {
    pub(crate) context: Context,
    pub(crate) downloads: Option<TempDir>,
}

impl Session<'_> {
    pub(crate) fn prepare(
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
    pub(crate) fn prepare_repair(
        &self,
        args: &RepairArgs,
        env_dir: &str,
    ) -> Result<Context, CliError> {
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
                    |control: &Control<'_>| python::find_named(&named, terms, around, control);
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

    fn interpreter(
        &self,
        typed: Option<&OsString>,
        env_dir: &str,
    ) -> Result<Interpreter, CliError> {
        self.look(typed, Path::new(env_dir), python::find_wanted)
    }

    pub(crate) fn make_plan(&self, args: &VenvArgs, context: &Context) -> Result<Plan, CliError> {
        let permissions = self.permissions(args.force, args.allow_lost);
        environment::plan(&self.fs, &Venv, context, permissions).map_err(|error| of_plan(&error))
    }
}

fn of_existing_absent(env_dir: &str, source: &std::io::Error) -> CliError {
    let what = format!("there is no environment at `{}`", escape(env_dir));
    CliError::new(Exit::Precondition, what)
        .because(source)
        .hint("make one with `rvenv create`")
}

/// What a plan that is only shown needs an interpreter for.
pub(crate) fn show(args: &VenvArgs) -> Purpose {
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
