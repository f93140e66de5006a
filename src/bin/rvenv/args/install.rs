//! The arguments of `rvenv install` and `rvenv uninstall`, which become those of `create`.
//!
//! Read next: `sync.rs`, which changes packages as they do.

use std::ffi::OsString;

use clap::{ArgMatches, Args, FromArgMatches};

use super::CreateArgs;
use super::shared::{
    DryRunArg, INTERPRETER, IndexArgs, LockedArgs, PACKAGES, RemovalArgs, ReplaceArgs, RunArgs,
    TARGET, VenvArgs,
};
use super::sync::SyncArgs;

/// The arguments of `install`.
#[derive(Debug)]
pub(crate) struct InstallArgs(pub(crate) SyncArgs);

/// The arguments of `uninstall`.
#[derive(Debug)]
pub(crate) struct UninstallArgs(pub(crate) SyncArgs);

#[derive(Debug, Args)]
struct InstallOptions {
    /// Requirement to install: a name, a name and versions, `name @ URL`, the path of a project or
    /// an archive, or `git+URL`
    #[arg(value_name = "REQ", required_unless_present_any = ["files", "with", "editable"])]
    reqs: Vec<String>,

    /// Change this environment
    #[arg(long, value_name = "ENV_DIR", help_heading = TARGET)]
    env: Option<OsString>,

    /// Use this interpreter as the base, as for `rvenv create --python`; the default is the base of
    /// the environment
    #[arg(short, long, value_name = "REQUEST", help_heading = INTERPRETER)]
    python: Option<OsString>,

    /// Install the project in this directory so that changes in it take effect; repeatable
    #[arg(short, long, value_name = "DIR", help_heading = PACKAGES)]
    editable: Vec<String>,

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

impl FromArgMatches for InstallArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut typed = InstallOptions::from_arg_matches(matches)?;
        typed.locks.with.extend(typed.reqs);
        typed.locks.adds = true;
        typed.locks.editable = typed.editable;
        let venv = VenvArgs {
            python: typed.python,
            compile_bytecode: typed.compile_bytecode,
            locks: typed.locks,
            index: typed.index,
            ..only_packages()
        };
        Ok(Self(SyncArgs {
            env: typed.env,
            create: CreateArgs {
                env_dirs: Vec::new(),
                venv,
                run: typed.run,
                replace: typed.replace,
                output: typed.output,
            },
        }))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for InstallArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        // What is installed besides stays: `sync` removes.
        InstallOptions::augment_args(command).mut_arg("exact", |arg| arg.hide(true))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

#[derive(Debug, Args)]
struct UninstallOptions {
    /// Package to uninstall
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,

    /// Change this environment
    #[arg(long, value_name = "ENV_DIR", help_heading = TARGET)]
    env: Option<OsString>,

    /// Use this interpreter as the base, as for `rvenv create --python`; the default is the base of
    /// the environment
    #[arg(short, long, value_name = "REQUEST", help_heading = INTERPRETER)]
    python: Option<OsString>,

    /// Uninstall what only these packages need too
    #[arg(long, help_heading = PACKAGES)]
    unused: bool,

    #[command(flatten)]
    run: RunArgs,

    #[command(flatten)]
    replace: ReplaceArgs,

    #[command(flatten)]
    output: DryRunArg,
}

impl FromArgMatches for UninstallArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let typed = UninstallOptions::from_arg_matches(matches)?;
        let venv = VenvArgs {
            python: typed.python,
            removal: RemovalArgs {
                names: typed.names,
                unused: typed.unused,
            },
            ..only_packages()
        };
        Ok(Self(SyncArgs {
            env: typed.env,
            create: CreateArgs {
                env_dirs: Vec::new(),
                venv,
                run: typed.run,
                replace: typed.replace,
                output: typed.output,
            },
        }))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for UninstallArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        UninstallOptions::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

/// What an environment has besides packages stays as it is.
fn only_packages() -> VenvArgs {
    VenvArgs {
        without_pip: true,
        without_scm_ignore_files: true,
        ..VenvArgs::default()
    }
}
