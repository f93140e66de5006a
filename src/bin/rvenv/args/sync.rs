//! The arguments of `rvenv sync`, which become those of `create`.
//!
//! Read next: `../commands/sync.rs`, which finds the environment.

use std::ffi::OsString;

use clap::{ArgMatches, Args, FromArgMatches};

use super::CreateArgs;
use super::shared::{
    DryRunArg, INTERPRETER, IndexArgs, LockedArgs, PACKAGES, ReplaceArgs, RunArgs, TARGET, VenvArgs,
};

/// The arguments of `sync`: those of `create` that matter for packages.
#[derive(Debug)]
pub(crate) struct SyncArgs {
    /// The environment, if it is named.
    pub(crate) env: Option<OsString>,
    /// What `create` would get, without the directory of the environment.
    pub(crate) create: CreateArgs,
}

impl FromArgMatches for SyncArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let typed = SyncOptions::from_arg_matches(matches)?;
        let create = CreateArgs {
            env_dirs: Vec::new(),
            venv: VenvArgs {
                // What the environment has besides packages stays as it is.
                without_pip: true,
                without_scm_ignore_files: true,
                python: typed.python,
                compile_bytecode: typed.compile_bytecode,
                locks: typed.locks,
                index: typed.index,
                ..VenvArgs::default()
            },
            run: typed.run,
            replace: typed.replace,
            output: typed.output,
        };
        let env = typed.env;
        Ok(Self { env, create })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for SyncArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        SyncOptions::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

#[derive(Debug, Args)]
#[command(mut_arg("files", |arg| arg.required(true)))]
struct SyncOptions {
    /// Change this environment
    #[arg(long, value_name = "ENV_DIR", help_heading = TARGET)]
    env: Option<OsString>,

    /// Use this interpreter as the base, as for `rvenv create --python`; the default is the base of
    /// the environment
    #[arg(short, long, value_name = "REQUEST", help_heading = INTERPRETER)]
    python: Option<OsString>,

    #[command(flatten)]
    locks: LockedArgs,

    #[command(flatten)]
    index: IndexArgs,

    /// Compile the sources of the packages once for each Python; later environments share the
    /// bytecode
    #[arg(long, help_heading = PACKAGES)]
    compile_bytecode: bool,

    #[command(flatten)]
    run: RunArgs,

    #[command(flatten)]
    replace: ReplaceArgs,

    #[command(flatten)]
    output: DryRunArg,
}
