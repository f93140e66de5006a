//! The arguments of commands about what an environment was: its generations, its log, its removal.

use std::ffi::OsString;

use clap::Args;

use super::shared::{EnvDirArg, OUTPUT, PUBLICATION, TARGET, WaitArg};

#[derive(Debug, Args)]
pub(crate) struct GenerationsArgs {
    #[command(flatten)]
    pub(crate) target: EnvDirArg,

    /// Delete all generations, or those that --keep and --older-than leave over
    #[arg(long, help_heading = TARGET)]
    pub(crate) prune: bool,

    /// Keep so many of the newest generations
    #[arg(long, value_name = "N", requires = "prune", help_heading = TARGET)]
    pub(crate) keep: Option<usize>,

    /// Delete only generations that were replaced more than so many days ago
    #[arg(long, value_name = "DAYS", requires = "prune", help_heading = TARGET)]
    pub(crate) older_than: Option<u32>,

    #[command(flatten)]
    pub(crate) lock: WaitArg,

    /// Show what --prune would delete, and write nothing
    #[arg(long, requires = "prune", help_heading = OUTPUT)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    #[command(flatten)]
    pub(crate) target: EnvDirArg,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Directories of the environments
    #[arg(required = true, value_name = "ENV_DIR")]
    pub(crate) env_dirs: Vec<OsString>,

    /// Remove a directory that is not an environment, or that holds more than an environment
    #[arg(long, help_heading = TARGET)]
    pub(crate) force: bool,

    /// Keep it, for `rvenv rollback`
    #[arg(long, help_heading = PUBLICATION)]
    pub(crate) keep: bool,

    #[command(flatten)]
    pub(crate) lock: WaitArg,

    /// Show what would be removed, and write nothing
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) dry_run: bool,
}
