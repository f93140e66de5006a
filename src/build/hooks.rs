//! Hooks: the steps of Python's `venv.EnvBuilder`, in its order, each of which plans operations.
//!
//! Promises that a hook touches no disk: it receives the [`Context`] and adds to the [`Draft`], and
//! can do nothing else (I4). One context gives one plan, byte for byte. Everything is written for
//! the environment's final path; no path of a staging directory exists here that could leak.
//!
//! The hooks: directories → configuration → python → pip → scripts → `post_setup` → dependencies.
//! To override one, implement [`Hooks`], whose default bodies do what venv does. Unlike in venv,
//! an upgrade runs all of them.
//! Read next: `hooks/draft.rs`, `hooks/pip.rs`; `layout.rs` for names; `pyvenv_cfg.rs`,
//! `activation.rs`, `wheel.rs` for contents.

use rvenv_journal::raw::{Input, PlanError, RelPathError};
use rvenv_journal::{Content, Mode, Node, PlanBuilder, RelPath};
use thiserror::Error;

use crate::build::activation::{self, Activation};
use crate::build::checks::Check;
use crate::build::layout::LayoutError;
use crate::build::options::{GIT, TextError};
use crate::build::pyvenv_cfg;
use crate::build::roles;
use crate::build::scripts::ScriptTree;
use crate::python::Interpreter;
use crate::wheel::{self, InstallError};

mod context;
mod draft;
mod pip;
mod windows_python;

pub use context::Context;
pub use draft::Draft;
pub use pip::{
    core_dependencies, kept_distributions, plan_locked, plan_wheel, refit, replaced_distributions,
    wanted_wheels,
};

/// Why a hook could not plan.
#[derive(Debug, Error)]
pub enum HookError {
    /// A path or prompt that would break the environment.
    #[error(transparent)]
    Text(#[from] TextError),
    /// An interpreter without a known layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Operations that contradict each other.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A name that is not a valid path.
    #[error(transparent)]
    Path(#[from] RelPathError),
    /// A wheel that cannot be read.
    #[error(transparent)]
    Wheel(#[from] wheel::WheelError),
    /// A wheel that cannot be installed.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// The interpreter has no wheels to install pip from.
    #[error("`{python}` cannot install pip: {reason}")]
    NoPip {
        /// The base executable.
        python: String,
        /// Why not, as the interpreter puts it.
        reason: String,
        /// The minor version, for the name of the package that is missing.
        minor: u32,
    },
    /// Pip is to be upgraded, but there is none.
    #[error("`{0}` has no pip to upgrade, and the options install none")]
    NothingToUpgrade(String),
    /// Bytecode is wanted, but was not compiled.
    #[error("the sources of `{0}` were not compiled")]
    NotCompiled(String),
    /// A distribution is to be upgraded, but none of its wheels was downloaded.
    #[error("no wheel of {0} was downloaded")]
    NotDownloaded(&'static str),
    /// A hook wants to install a wheel that is not among the given packages.
    #[error("the wheel `{0}` was not among the packages that were given")]
    NotGiven(String),
    /// The installation on Windows has no program that an environment can start.
    #[error("the installation of `{0}` has no program to copy into an environment")]
    NoProgram(String),
    /// The programs of a package on Windows need a launcher, and the bundled pip has none.
    #[error("there is no launcher for the programs of `{0}`: the interpreter's pip has none")]
    NoLauncher(String),
    /// Version control is to ignore the environment, but for this system the file to write is
    /// unknown.
    #[error("rvenv knows no ignore file for `{0}`")]
    UnknownScm(String),
    /// A wheel of a lock cannot be installed.
    #[error("cannot install what a lock names")]
    Locked(#[source] Box<HookError>),
    /// Two distributions own one path, with different bytes.
    #[error("`{first}` and `{second}` both have `{path}`, with different contents")]
    Owned {
        /// The path in the environment.
        path: RelPath,
        /// The wheel that was planned first.
        first: String,
        /// The other wheel.
        second: String,
    },
    /// A file of a wheel cannot be beside what is planned already.
    #[error("`{wheel}` has `{path}`, which collides with `{other}` of {}", owner(first.as_deref()))]
    Collides {
        /// The wheel.
        wheel: String,
        /// The path of its file in the environment.
        path: RelPath,
        /// The path that was planned first.
        other: RelPath,
        /// The wheel that has that; `None` for the environment itself.
        first: Option<String>,
    },
    /// An error of a hook outside this crate.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

fn owner(wheel: Option<&str>) -> String {
    let wheel = wheel.map(|wheel| format!("`{wheel}`"));
    wheel.unwrap_or_else(|| "the environment itself".to_owned())
}

/// The hooks of an environment; the default bodies do what Python's `venv` does.
pub trait Hooks {
    /// Plans the directories: `bin`, `include`, `lib`, and `lib64` if the version has it.
    ///
    /// # Errors
    /// Operations that contradict each other.
    fn ensure_directories(&self, context: &Context, draft: &mut Draft) -> Result<(), HookError> {
        for path in &context.layout.directories {
            draft.dir(path.as_str())?;
        }
        if context.layout.lib64_link {
            draft.symlink("lib64", "lib")?;
        }
        Ok(())
    }

    /// Plans the file that makes one version control system ignore the environment; only `git` is
    /// known.
    ///
    /// # Errors
    /// An unknown system, and operations that contradict each other.
    fn create_scm_ignore_file(
        &self,
        scm: &str,
        context: &Context,
        draft: &mut Draft,
    ) -> Result<(), HookError> {
        match scm {
            GIT => self.create_git_ignore_file(context, draft),
            _ => Err(HookError::UnknownScm(scm.escape_debug().to_string())),
        }
    }

    /// Plans `.gitignore`, which makes git ignore the environment (Python 3.13 and later).
    ///
    /// # Errors
    /// Operations that contradict each other.
    fn create_git_ignore_file(
        &self,
        context: &Context,
        draft: &mut Draft,
    ) -> Result<(), HookError> {
        if !context.interpreter.version.at_least(3, 13) {
            return Ok(());
        }
        let text = "# Made by rvenv: an environment is built, not versioned.\n*\n";
        draft.file(".gitignore", text)
    }

    /// Plans `pyvenv.cfg`.
    ///
    /// # Errors
    /// Operations that contradict each other.
    fn create_configuration(&self, context: &Context, draft: &mut Draft) -> Result<(), HookError> {
        let Context {
            interpreter,
            layout,
            options,
            env_dir,
            ..
        } = context;
        let text = pyvenv_cfg::render(interpreter, layout, options, env_dir);
        draft.file(pyvenv_cfg::CONFIG_NAME, text)
    }

    /// Plans the interpreter and its other names, as links or as copies.
    ///
    /// # Errors
    /// Operations that contradict each other.
    fn setup_python(&self, context: &Context, draft: &mut Draft) -> Result<(), HookError> {
        if context.interpreter.platform.os_name == "nt" {
            return windows_python::setup_python(context, draft);
        }
        let Interpreter {
            executable,
            executable_digest: digest,
            executable_len: len,
            ..
        } = &context.interpreter;
        let path = executable.to_string_lossy().into_owned();
        draft.plan().add_input(Input {
            role: roles::INTERPRETER.to_owned(),
            path: path.clone(),
            found: None,
            url: None,
            digest: *digest,
            len: *len,
        });
        let (python, other) = if context.options.symlinks {
            let other = context.layout.env_exe.name().to_owned();
            (
                Node::Symlink { target: path },
                Node::Symlink { target: other },
            )
        } else {
            // venv sets 0755 whatever the umask: an interpreter that the group cannot run is
            // useless.
            let content = Content::Local {
                path,
                digest: *digest,
                len: *len,
            };
            let copy = Node::File {
                mode: context.fixed_mode(Mode::SHARED_DIR),
                mtime: context.options.epoch,
                content,
            };
            (copy.clone(), copy)
        };
        draft.node(context.layout.env_exe.clone(), python)?;
        for name in &context.layout.names {
            draft.node(name.clone(), other.clone())?;
        }
        Ok(())
    }

    /// Plans what `ensurepip --upgrade --default-pip` would install, from the interpreter's own
    /// wheels.
    ///
    /// # Errors
    /// An interpreter without wheels, and wheels that are damaged or hostile.
    fn setup_pip(&self, context: &Context, draft: &mut Draft) -> Result<(), HookError> {
        pip::setup(context, draft.plan())
    }

    /// Plans the activation scripts.
    ///
    /// # Errors
    /// Operations that contradict each other.
    fn setup_scripts(&self, context: &Context, draft: &mut Draft) -> Result<(), HookError> {
        let bin = &context.layout.bin_name;
        let packages = [context.layout.lib_path.to_string()];
        let activation = Activation {
            env_dir: &context.env_dir,
            prompt: &context.prompt,
            bin_name: bin.as_str(),
            site_packages: &packages,
        };
        let scripts = if context.interpreter.platform.os_name == "nt" {
            activation::windows_scripts(&activation)
        } else {
            activation::scripts(&activation)
        };
        for script in scripts {
            // As in venv, 0644 whatever the umask, since a script is read and not run.
            let path = bin.join(script.name)?;
            let mode = context.fixed_mode(Mode::SHARED_FILE);
            draft.file_with_mode(path.as_str(), script.text, mode)?;
        }
        Ok(())
    }

    /// Plans a tree of scripts with their placeholders replaced; call it from an override of
    /// [`setup_scripts`](Self::setup_scripts) or [`post_setup`](Self::post_setup).
    ///
    /// # Errors
    /// A path that is taken by something other than a script.
    fn install_scripts(
        &self,
        context: &Context,
        scripts: &ScriptTree,
        draft: &mut Draft,
    ) -> Result<(), HookError> {
        draft.install_scripts(context, scripts)
    }

    /// Plans the newest pip, and setuptools if it is one of the [`core_dependencies`], from wheels
    /// that were downloaded.
    ///
    /// # Errors
    /// Wheels that are missing, damaged or hostile, and an environment that would have no pip to
    /// upgrade.
    fn upgrade_dependencies(&self, context: &Context, draft: &mut Draft) -> Result<(), HookError> {
        pip::upgrade(context, draft.plan())
    }

    /// Plans what comes after the scripts; nothing, unless it is overridden.
    ///
    /// # Errors
    /// Those of the override.
    fn post_setup(&self, context: &Context, draft: &mut Draft) -> Result<(), HookError> {
        let (_, _) = (context, draft);
        Ok(())
    }
}

/// The hooks of an ordinary environment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Venv;

impl Hooks for Venv {}

/// Runs every hook, in venv's order, into one plan.
///
/// # Errors
/// The error of the hook that could not plan.
pub fn build(hooks: &dyn Hooks, context: &Context) -> Result<PlanBuilder, HookError> {
    Ok(draft(hooks, context)?.into_parts().0)
}

/// The health checks that the hooks request.
///
/// # Errors
/// The error of the hook that could not plan.
pub fn checks(hooks: &dyn Hooks, context: &Context) -> Result<Vec<Check>, HookError> {
    Ok(draft(hooks, context)?.into_parts().1)
}

fn draft(hooks: &dyn Hooks, context: &Context) -> Result<Draft, HookError> {
    let options = &context.options;
    let mut draft = Draft::new(context)?;
    hooks.ensure_directories(context, draft.enter("directories"))?;
    for scm in &options.scm_ignore_files {
        hooks.create_scm_ignore_file(scm, context, &mut draft)?;
    }
    hooks.create_configuration(context, draft.enter("configuration"))?;
    hooks.setup_python(context, draft.enter("python"))?;
    if options.with_pip {
        hooks.setup_pip(context, draft.enter("pip"))?;
    }
    pip::locked(context, draft.enter("packages").plan())?;
    hooks.setup_scripts(context, draft.enter("scripts"))?;
    hooks.post_setup(context, draft.enter("post_setup"))?;
    if options.upgrade_deps {
        hooks.upgrade_dependencies(context, draft.enter("dependencies"))?;
    }
    // An interpreter never exists without its configuration; its other names lead to the first.
    let layout = &context.layout;
    let names = std::iter::once(&layout.env_exe).chain(&layout.names);
    let config = RelPath::new(pyvenv_cfg::CONFIG_NAME)?;
    let order = std::iter::once(&config).chain(names).cloned().collect();
    draft.plan().set_order(order);
    Ok(draft)
}
