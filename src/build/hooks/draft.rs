//! The draft: what the hooks have planned so far, and everything that a hook can do.
//!
//! Promises that nothing here changes a disk: operations go into the plan, wheels are those that
//! were given beforehand, and health checks are recorded for the publisher to run (I4). Directories
//! above a planned path are planned with it. Does not run the checks, nor put them into a saved
//! plan: a plan from elsewhere must not start programs (I6).
//!
//! Read next: `../hooks.rs`, the hooks; `pip.rs`, how a wheel is planned.

use std::path::Path;

use rvenv_journal::{Content, Mode, Node, Operation, PlanBuilder, RelPath};

use super::{Context, HookError, pip};
use crate::build::checks::Check;
use crate::build::scripts::{ScriptTree, Values};

/// What the hooks have planned so far.
#[derive(Debug)]
pub struct Draft {
    plan: PlanBuilder,
    checks: Vec<Check>,
    part: &'static str,
    dir_mode: Mode,
    data_mode: Mode,
    mtime: Option<i64>,
}

impl Draft {
    /// An empty draft for the environment of a context.
    ///
    /// # Errors
    /// A path that no plan can have.
    pub fn new(context: &Context) -> Result<Self, HookError> {
        Ok(Self {
            plan: PlanBuilder::new(&context.env_dir, context.dir_mode())?,
            checks: Vec::new(),
            part: "directories",
            dir_mode: context.dir_mode(),
            data_mode: context.data_mode(),
            mtime: context.options.epoch,
        })
    }

    /// Plans a directory; planning it twice has no further effect.
    ///
    /// # Errors
    /// A path that leaves the environment or is taken by something else.
    pub fn dir(&mut self, path: &str) -> Result<(), HookError> {
        let mode = self.dir_mode;
        self.node(RelPath::new(path)?, Node::Dir { mode })
    }

    /// Plans a file to be read.
    ///
    /// # Errors
    /// A path that leaves the environment or is taken.
    pub fn file(&mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Result<(), HookError> {
        self.file_with_mode(path, bytes, self.data_mode)
    }

    /// Plans a file to be run.
    ///
    /// # Errors
    /// A path that leaves the environment or is taken.
    pub fn program(&mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Result<(), HookError> {
        self.file_with_mode(path, bytes, self.dir_mode)
    }

    /// Plans a file with these permissions, whatever the umask.
    ///
    /// # Errors
    /// A path that leaves the environment or is taken.
    pub fn file_with_mode(
        &mut self,
        path: &str,
        bytes: impl Into<Vec<u8>>,
        mode: Mode,
    ) -> Result<(), HookError> {
        let node = Node::File {
            mode,
            mtime: self.mtime,
            content: Content::Inline(bytes.into()),
        };
        self.node(RelPath::new(path)?, node)
    }

    /// Plans a symbolic link.
    ///
    /// # Errors
    /// A path that leaves the environment or is taken; an empty target.
    pub fn symlink(&mut self, path: &str, target: &str) -> Result<(), HookError> {
        let target = target.to_owned();
        self.node(RelPath::new(path)?, Node::Symlink { target })
    }

    /// Plans the installation of a given wheel of [`Context::supplies`], without its dependencies.
    ///
    /// As in pip, an installed newer version stays; an older one is replaced.
    ///
    /// # Errors
    /// A wheel that was not given beforehand, is damaged or hostile, or has files where others are
    /// planned.
    pub fn install(&mut self, context: &Context, wheel: &Path) -> Result<(), HookError> {
        pip::install(context, &mut self.plan, wheel, self.part)
    }

    /// Plans the scripts of a tree into the directory of executables: venv's `install_scripts`.
    ///
    /// A script with the name of an activation script replaces it.
    ///
    /// # Errors
    /// A path that is taken by something other than a script.
    pub fn install_scripts(
        &mut self,
        context: &Context,
        scripts: &ScriptTree,
    ) -> Result<(), HookError> {
        let python = context.env_exe();
        let values = Values {
            dir: &context.env_dir,
            name: &context.env_name,
            prompt: &context.prompt,
            bin_name: context.bin_name(),
            python: &python,
        };
        let bin = &context.layout.bin_name;
        for (name, script) in scripts.scripts(&context.interpreter) {
            let path = bin.join(name.as_str())?;
            let former = self.plan.operations().get(&path);
            if former.is_some_and(|former| &*former.part == "scripts") {
                self.plan.leave(&path);
            }
            let bytes = values.fill(name, &script.bytes);
            self.file_with_mode(path.as_str(), bytes, context.fixed_mode(script.mode))?;
        }
        Ok(())
    }

    /// Requests a health check: if it fails, the publication is undone.
    pub fn check(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// The plan itself, for operations that have no method here.
    pub fn plan(&mut self) -> &mut PlanBuilder {
        &mut self.plan
    }

    /// The plan and the health checks.
    #[must_use]
    pub fn into_parts(self) -> (PlanBuilder, Vec<Check>) {
        (self.plan, self.checks)
    }

    /// Starts a hook: the operations that follow belong to it.
    pub(super) fn enter(&mut self, part: &'static str) -> &mut Self {
        self.part = part;
        self
    }

    pub(super) fn node(&mut self, path: RelPath, node: Node) -> Result<(), HookError> {
        self.plan
            .add_parents(&path, self.part, None, self.dir_mode)?;
        let operation = Operation {
            part: self.part.into(),
            group: None,
            node,
        };
        Ok(self.plan.add(path, operation)?)
    }
}
