//! The arguments of the commands that look at environments: `list`, `status` and `verify`.
//!
//! Read next: `../commands/status.rs`, `../commands/sbom.rs`, `../commands/verify.rs`,
//! `../commands/proof.rs`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::shared::{EnvDirArg, INTERPRETER, OUTPUT, PACKAGES};

/// The arguments of `list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Directory to search; the default is the working directory
    #[arg(value_name = "DIR")]
    pub(crate) dir: Option<OsString>,
}

/// The arguments of `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) target: EnvDirArg,

    #[command(flatten)]
    pub(crate) python: LockPythonArg,

    /// With --sbom, take the hashes of packages from this lock too; repeatable
    #[arg(long = "lock", value_name = "FILE", requires = "sbom", help_heading = PACKAGES)]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) choice: LockChoiceArgs,

    /// Print an SBOM in the JSON of `CycloneDX` 1.6: packages, hashes, licences, origins
    #[arg(long, conflicts_with = "json", help_heading = OUTPUT)]
    pub(crate) sbom: bool,
}

// The interpreter of a lock that an environment is compared with.
#[derive(Debug, Args)]
pub(crate) struct LockPythonArg {
    /// With --lock, choose from the lock for this interpreter; needed where only the environment
    /// names its own
    #[arg(short, long, value_name = "REQUEST", requires = "files", help_heading = INTERPRETER)]
    pub(crate) python: Option<OsString>,
}

/// What is chosen from locks that an environment is compared with, and where their wheels are.
#[derive(Debug, Args)]
pub(crate) struct LockChoiceArgs {
    /// Expect this extra of the lock too; repeatable
    #[arg(long, value_name = "NAME", requires = "files", help_heading = PACKAGES)]
    pub(crate) extra: Vec<String>,

    /// Expect this dependency group of the lock, in place of the default ones; repeatable
    #[arg(long, value_name = "NAME", requires = "files", help_heading = PACKAGES)]
    pub(crate) group: Vec<String>,

    /// Look for the wheels of the lock in this directory, and in the cache; repeatable
    #[arg(long, value_name = "DIR", requires = "files", help_heading = PACKAGES)]
    pub(crate) wheelhouse: Vec<PathBuf>,
}

/// The arguments of `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) target: EnvDirArg,

    #[command(flatten)]
    pub(crate) python: LockPythonArg,

    /// Prove that what this lock names is installed, file by file: pylock.toml, or a requirements
    /// file in which everything is pinned and hashed; repeatable
    #[arg(long = "lock", value_name = "FILE", help_heading = PACKAGES)]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) choice: LockChoiceArgs,

    /// Prove that every file is as in a registry: `oci://HOST/REPOSITORY@sha256:DIGEST`
    #[arg(long, value_name = "REFERENCE", conflicts_with_all = ["files", "digest"],
          help_heading = PACKAGES)]
    pub(crate) against: Option<String>,

    /// Count packages that no lock names as a difference, except pip and setuptools
    #[arg(long, requires = "files", help_heading = PACKAGES)]
    pub(crate) exact: bool,

    /// Print only a digest of what is published, as a key of a cache
    ///
    /// It covers what the receipt lists and the `RECORD` of every distribution, and no times. An
    /// environment that is damaged, moved or lost has none.
    #[arg(long, conflicts_with_all = ["json", "files"], help_heading = OUTPUT)]
    pub(crate) digest: bool,
}
