//! The builder: stages, in the order of Python's `venv`, that emit planned operations.
//!
//! Promises that a stage touches no disk: it receives the [`Context`] and adds operations to the plan, which is all
//! that a stage can do (I4). One context gives one plan, byte for byte. Everything is written for the
//! environment's final path; no path of a staging directory exists here that could leak.
//!
//! Stages: directories → configuration → python → pip → scripts → `post_setup` → dependencies; whoever overrides one
//! implements [`Stages`], whose default bodies are venv's behaviour.
//! Read next: `builder/pip.rs`; `layout.rs` for names, `config.rs`, `activate.rs`, `wheel.rs` for contents.

use std::path::PathBuf;

use rvenv_journal::{
    Content, Input, Mode, Node, Operation, PlanBuilder, PlanError, RelPath, RelPathError,
};
use thiserror::Error;

use crate::activate::{self, Activation};
use crate::bytecode::Bytecode;
use crate::config;
use crate::installed::Distribution;
use crate::interpreter::Interpreter;
use crate::layout::{Layout, LayoutError};
use crate::options::{Options, TextError, check_path, check_prompt};
use crate::wheel::{self, Catalogue, InstallError};

mod pip;

pub use pip::{
    BYTECODE_ROLE, core_dependencies, kept_distributions, planned_wheels, replaced_distributions,
};

/// Everything that a stage may know: venv's context, as values.
#[derive(Clone, Debug)]
pub struct Context {
    /// The environment's absolute path.
    pub env_dir: String,
    /// The last component of that path.
    pub env_name: String,
    /// The prompt, without parentheses.
    pub prompt: String,
    /// The base interpreter.
    pub interpreter: Interpreter,
    /// Names and places in the environment.
    pub layout: Layout,
    /// What was asked for.
    pub options: Options,
    /// What is installed in the layout's own directory of packages; nothing in a new environment.
    pub installed: Vec<Distribution>,
    /// Wheels that were downloaded for `upgrade_deps`.
    pub dependencies: Vec<PathBuf>,
    /// What was compiled for `compile_bytecode`.
    pub bytecode: Bytecode,
    /// What wheels were found to hold, so that none is read twice.
    pub wheels: Catalogue,
}

/// Why a stage could not plan.
#[derive(Debug, Error)]
pub enum StageError {
    /// A path or prompt that would break the environment.
    #[error(transparent)]
    Text(#[from] TextError),
    /// An interpreter whose environments are not known.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Operations that cannot stand together.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A name that cannot be a path.
    #[error(transparent)]
    Path(#[from] RelPathError),
    /// A bundled wheel that cannot be read.
    #[error(transparent)]
    Wheel(#[from] wheel::WheelError),
    /// A bundled wheel that cannot be installed.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// The interpreter has no wheels to install pip from.
    #[error("`{python}` cannot install pip: {reason}")]
    NoPip {
        /// The base executable.
        python: String,
        /// Why not, in the words of the interpreter.
        reason: String,
        /// The minor version, for the name of the package that is missing.
        minor: u32,
    },
    /// Pip is to be upgraded where there is none.
    #[error("there is no pip in `{0}` to upgrade, and none is to be installed")]
    NothingToUpgrade(String),
    /// Bytecode is wanted, and was not made.
    #[error("the sources of `{0}` were not compiled")]
    NotCompiled(String),
    /// A distribution is to be upgraded and no wheel of it is at hand.
    #[error("no wheel of {0} was downloaded")]
    NotDownloaded(&'static str),
}

impl Context {
    /// The context for a new environment at `env_dir`, an absolute path in its normal form.
    ///
    /// # Errors
    /// Paths and prompts that are refused, and interpreters without a layout.
    pub fn new(
        env_dir: &str,
        interpreter: Interpreter,
        options: Options,
    ) -> Result<Self, StageError> {
        check_path(env_dir)?;
        let layout = Layout::of(&interpreter)?;
        let env_name = env_dir.rsplit('/').next().unwrap_or(env_dir).to_owned();
        let asked = options.prompt_for(&interpreter.version);
        let prompt = asked.unwrap_or(&env_name).to_owned();
        check_prompt(&prompt)?;
        Ok(Self {
            env_dir: env_dir.to_owned(),
            env_name,
            prompt,
            interpreter,
            layout,
            options,
            installed: Vec::new(),
            dependencies: Vec::new(),
            bytecode: Bytecode::default(),
            wheels: Catalogue::default(),
        })
    }

    /// The absolute path of something in the environment.
    #[must_use]
    pub fn absolute(&self, path: &RelPath) -> String {
        format!("{}/{path}", self.env_dir.trim_end_matches('/'))
    }

    /// The same for a filesystem without symbolic links: the interpreter is copied, and nothing leads to `lib`.
    #[must_use]
    pub fn without_symlinks(&self) -> Self {
        let mut context = self.clone();
        context.options.symlinks = false;
        context.layout.lib64_link = false;
        context
    }

    fn dir_mode(&self) -> Mode {
        Mode::ALL.masked(self.options.umask)
    }

    fn data_mode(&self) -> Mode {
        Mode::ALL_DATA.masked(self.options.umask)
    }

    /// A file that is written for this environment.
    fn text(&self, text: impl Into<Vec<u8>>, mode: Mode) -> Node {
        let content = Content::Inline(text.into());
        Node::File {
            mode,
            mtime: self.options.epoch,
            content,
        }
    }
}

/// The stages of an environment; the default bodies do what Python's `venv` does.
pub trait Stages {
    /// Plans the directories: `bin`, `include`, `lib`, and `lib64` where the version has it.
    ///
    /// # Errors
    /// Operations that cannot stand together.
    fn ensure_directories(
        &self,
        context: &Context,
        plan: &mut PlanBuilder,
    ) -> Result<(), StageError> {
        let stage = "directories";
        for path in &context.layout.directories {
            plan.add_parents(path, (stage, None), context.dir_mode())?;
            let mode = context.dir_mode();
            add(plan, stage, path.clone(), Node::Dir { mode })?;
        }
        if context.layout.lib64_link {
            let target = "lib".to_owned();
            add(
                plan,
                stage,
                RelPath::new("lib64")?,
                Node::Symlink { target },
            )?;
        }
        Ok(())
    }

    /// Plans `.gitignore`, which keeps the environment out of version control (Python 3.13 and later).
    ///
    /// # Errors
    /// Operations that cannot stand together.
    fn create_git_ignore_file(
        &self,
        context: &Context,
        plan: &mut PlanBuilder,
    ) -> Result<(), StageError> {
        let wanted = context.options.scm_ignore_files;
        if !wanted || !context.interpreter.version.at_least(3, 13) {
            return Ok(());
        }
        let text = "# Made by rvenv: an environment is built, not versioned.\n*\n";
        let node = context.text(text, context.data_mode());
        add(plan, "directories", RelPath::new(".gitignore")?, node)
    }

    /// Plans `pyvenv.cfg`.
    ///
    /// # Errors
    /// Operations that cannot stand together.
    fn create_configuration(
        &self,
        context: &Context,
        plan: &mut PlanBuilder,
    ) -> Result<(), StageError> {
        let Context {
            interpreter,
            layout,
            options,
            env_dir,
            ..
        } = context;
        let text = config::render(interpreter, layout, options, env_dir);
        let node = context.text(text, context.data_mode());
        add(
            plan,
            "configuration",
            RelPath::new(config::CONFIG_NAME)?,
            node,
        )
    }

    /// Plans the interpreter and its other names, as links or as copies.
    ///
    /// # Errors
    /// Operations that cannot stand together.
    fn setup_python(&self, context: &Context, plan: &mut PlanBuilder) -> Result<(), StageError> {
        let stage = "python";
        let Interpreter {
            executable,
            executable_digest: digest,
            executable_len: len,
            ..
        } = &context.interpreter;
        let path = executable.to_string_lossy().into_owned();
        plan.add_input(Input {
            role: "interpreter".to_owned(),
            path: path.clone(),
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
            // venv sets 0755 whatever the umask: an interpreter that the group cannot run is of no use.
            let content = Content::Local {
                path,
                digest: *digest,
                len: *len,
            };
            let copy = Node::File {
                mode: Mode::SHARED_DIR,
                mtime: context.options.epoch,
                content,
            };
            (copy.clone(), copy)
        };
        add(plan, stage, context.layout.env_exe.clone(), python)?;
        for name in &context.layout.names {
            add(plan, stage, name.clone(), other.clone())?;
        }
        Ok(())
    }

    /// Plans what `ensurepip --upgrade --default-pip` would install, from the interpreter's own wheels.
    ///
    /// # Errors
    /// An interpreter without wheels, and wheels that are damaged or hostile.
    fn setup_pip(&self, context: &Context, plan: &mut PlanBuilder) -> Result<(), StageError> {
        pip::setup(context, plan)
    }

    /// Plans the activation scripts.
    ///
    /// # Errors
    /// Operations that cannot stand together.
    fn setup_scripts(&self, context: &Context, plan: &mut PlanBuilder) -> Result<(), StageError> {
        let bin = &context.layout.bin_name;
        let packages = [context.layout.lib_path.to_string()];
        let activation = Activation {
            env_dir: &context.env_dir,
            prompt: &context.prompt,
            bin_name: bin.as_str(),
            site_packages: &packages,
        };
        for script in activate::scripts(&activation) {
            // As venv's: 0644 whatever the umask, since a script is read and not run.
            let node = context.text(script.text, Mode::SHARED_FILE);
            add(plan, "scripts", bin.join(script.name)?, node)?;
        }
        Ok(())
    }

    /// Plans the newest pip, and setuptools where it is [`core_dependencies`]', from wheels that were downloaded.
    ///
    /// # Errors
    /// Wheels that are absent, damaged or hostile, and an environment that would have no pip to upgrade.
    fn upgrade_dependencies(
        &self,
        context: &Context,
        plan: &mut PlanBuilder,
    ) -> Result<(), StageError> {
        pip::upgrade(context, plan)
    }

    /// Plans what comes after the scripts; nothing, unless somebody overrides it.
    ///
    /// # Errors
    /// Whatever the override says.
    fn post_setup(&self, context: &Context, plan: &mut PlanBuilder) -> Result<(), StageError> {
        let (_, _) = (context, plan);
        Ok(())
    }
}

/// The stages of an ordinary environment.
#[derive(Clone, Copy, Debug, Default)]
pub struct EnvBuilder;

impl Stages for EnvBuilder {}

/// Runs every stage, in venv's order, into one plan.
///
/// # Errors
/// The stage that could not plan.
pub fn build(stages: &dyn Stages, context: &Context) -> Result<PlanBuilder, StageError> {
    let mut plan = PlanBuilder::new(&context.env_dir, context.dir_mode())?;
    stages.ensure_directories(context, &mut plan)?;
    stages.create_git_ignore_file(context, &mut plan)?;
    stages.create_configuration(context, &mut plan)?;
    stages.setup_python(context, &mut plan)?;
    if context.options.with_pip {
        stages.setup_pip(context, &mut plan)?;
    }
    stages.setup_scripts(context, &mut plan)?;
    stages.post_setup(context, &mut plan)?;
    if context.options.upgrade_deps {
        stages.upgrade_dependencies(context, &mut plan)?;
    }
    // There is never an interpreter without its configuration; its other names lead to the first.
    let layout = &context.layout;
    let names = std::iter::once(&layout.env_exe).chain(&layout.names);
    let config = RelPath::new(config::CONFIG_NAME)?;
    plan.set_order(std::iter::once(&config).chain(names).cloned().collect());
    Ok(plan)
}

fn add(plan: &mut PlanBuilder, stage: &str, path: RelPath, node: Node) -> Result<(), StageError> {
    let operation = Operation {
        stage: stage.into(),
        group: None,
        node,
    };
    Ok(plan.add(path, operation)?)
}
