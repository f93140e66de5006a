//! Python virtual environments as filesystem transactions.
//!
//! - To create an environment: [`EnvBuilder`], whose fields are the arguments of Python's
//!   `venv.EnvBuilder`.
//! - To build environments of another kind: implement [`Hooks`] and override the hooks that
//!   differ; `examples/` has builders that do real work. A hook adds to the
//!   [`Draft`](hooks::Draft); it has no access to the disk.
//! - To choose locks, durability, links and progress: [`environment::create`] with an
//!   [`environment::Run`].
//! - To see what a creation would do: [`environment::plan`]; a [`Plan`](rvenv_journal::Plan) can be
//!   saved, compared and given to [`environment::apply`] elsewhere.
//! - To compare an environment with what was published and with what its packages list:
//!   [`verify::verify`].
//! - To publish trees that have nothing to do with Python: the engine, [`rvenv_journal`].
//!
//! This crate keeps the engine's promises: the target is the old tree or the new one, and success
//! is durable. The process's environment, working directory, umask and clock are read by
//! [`host::Host::read`] alone, for [`EnvBuilder::create`]; everything else gets them as arguments.
//!
//! # A builder of your own
//!
//! ```
//! use rvenv::hooks::{Context, Draft};
//! use rvenv::checks::Check;
//! use rvenv::scripts::{Folder, ScriptTree};
//! use rvenv::{EnvBuilder, HookError, Hooks};
//!
//! /// Environments that record which project they are for.
//! struct ForProject {
//!     scripts: ScriptTree,
//! }
//!
//! impl Hooks for ForProject {
//!     fn post_setup(&self, context: &Context, draft: &mut Draft) -> Result<(), HookError> {
//!         draft.file("project.txt", format!("project = {}\n", context.env_name))?;
//!         self.install_scripts(context, &self.scripts, draft)?;
//!         // If this fails, the previous environment comes back.
//!         draft.check(Check::Command("test -f \"$VIRTUAL_ENV/project.txt\"".to_owned()));
//!         Ok(())
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let scripts = ScriptTree::default().with(Folder::Posix, "where.sh", "echo __VENV_DIR__\n")?;
//! let builder = EnvBuilder { symlinks: true, ..EnvBuilder::default() };
//! # let place = tempfile::tempdir()?;
//! # let env_dir = place.path().join("env");
//! builder.create_with(&ForProject { scripts }, &env_dir)?;
//! # assert_eq!(std::fs::read_to_string(env_dir.join("project.txt"))?, "project = env\n");
//! # Ok(())
//! # }
//! ```
//!
//! Read next: `env_builder.rs` for the options, `hooks.rs` for the hooks, `environment.rs` for how
//! a plan reaches the disk.

pub mod artifact;
pub mod backend;
mod base;
mod build;
mod change;
pub mod fetch;
mod front;
pub mod lock;
pub mod python;
pub mod resolve;
pub mod wheel;

pub use base::{cache, config_settings, fingerprint, lexical_path, timestamp, umask, version};
pub use build::hooks::{HookError, Hooks};
pub use build::{
    activation, checks, hooks, layout, options, pyvenv_cfg, roles, scripts, supply,
    windows_programs,
};
pub use change::{
    carry, environment, existing, generations, installed_inputs, inventory, log, merge, provision,
    prune, removal, render, repair, replaced, rollback, verify,
};
pub use front::env_builder::{CreateFailed, Created, EnvBuilder, create};
pub use front::{
    answer, attaching, begun, caller, choosing, cloning, deriving, describing, env_builder,
    fetching, host, imaging, indexing, locked, locking, machine, mending, proving, pulling,
    pushing, rebuilding, republishing, request, resolving, saved_plan, up_to_date,
};
pub use python::bytecode;
pub use wheel::{Release, Sources, distributions, wheelhouse};

/// The program in the book's chapter on the engine.
#[cfg(doctest)]
#[doc = include_str!("../docs/engine.md")]
struct EngineChapter;
