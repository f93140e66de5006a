//! The arguments of `clone`.
//!
//! Read next: `../commands/clone.rs`.

use std::ffi::OsString;

use clap::Args;

use super::shared::{CheckArgs, DryRunArg, INTERPRETER, RunArgs};

#[derive(Debug, Args)]
#[command(mut_arg("check", |arg| arg.help(
    "Run a shell command in the clone afterwards; if it fails, the clone is removed; repeatable"
)))]
pub(crate) struct CloneArgs {
    /// Directory of the environment to clone
    #[arg(value_name = "ENV_DIR")]
    pub(crate) env_dir: OsString,

    /// Directory of the clone, at which nothing exists
    #[arg(value_name = "NEW_DIR")]
    pub(crate) new_dir: OsString,

    /// Use this interpreter; needed where only the environment names its own
    #[arg(short, long, value_name = "REQUEST", help_heading = INTERPRETER)]
    pub(crate) python: Option<OsString>,

    #[command(flatten)]
    pub(crate) run: RunArgs,

    #[command(flatten)]
    pub(crate) checks: CheckArgs,

    #[command(flatten)]
    pub(crate) output: DryRunArg,
}
