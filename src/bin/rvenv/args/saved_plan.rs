//! The arguments of the commands that read a saved plan: `show` and `apply`.
//!
//! Read next: `../commands/show.rs`, `../commands/apply.rs`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::registry::ChoiceArg;
use super::shared::{
    AllowLostArg, OUTPUT, PUBLICATION, ReplaceArgs, RunArgs, SavedWheelsArgs, TARGET,
};

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// File or pipe with what `rvenv plan --out` saved; `-` is standard input
    #[arg(value_name = "PLAN_FILE")]
    pub(crate) plan_file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// File or pipe with what `rvenv plan --out` saved; `-` is standard input;
    /// `oci://HOST/REPOSITORY@sha256:DIGEST` is what `rvenv push` put there
    #[arg(value_name = "PLAN_FILE")]
    pub(crate) plan_file: PathBuf,

    /// As --at
    #[arg(value_name = "DIR", conflicts_with = "at")]
    pub(crate) dir: Option<OsString>,

    /// Make the plan again for this path, by what it says was asked for, and apply that
    ///
    /// Only for plans of whole environments. Planning again for the plan's own path must give what
    /// the plan makes, so that --digest pins the plan for every path.
    #[arg(long, value_name = "DIR", help_heading = TARGET)]
    pub(crate) at: Option<OsString>,

    /// Replace a directory that is not an environment, or that holds more than an environment
    #[arg(long, help_heading = TARGET)]
    pub(crate) force: bool,

    #[command(flatten)]
    pub(crate) choice: ChoiceArg,

    #[command(flatten)]
    pub(crate) lost: AllowLostArg,

    #[command(flatten)]
    pub(crate) wheels: SavedWheelsArgs,

    /// Refuse the plan unless it, or the manifest or the index that names it in a registry, has
    /// this digest
    #[arg(long, value_name = "SHA256", help_heading = PUBLICATION)]
    pub(crate) digest: Option<String>,

    #[command(flatten)]
    pub(crate) run: RunArgs,

    #[command(flatten)]
    pub(crate) replace: ReplaceArgs,

    /// Show the plan and whether it still fits, and write nothing; exit with 3 when it is stale
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) dry_run: bool,
}
