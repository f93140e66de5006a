//! The arguments that several commands have, as groups that a command flattens into its own.
//!
//! Promises that an argument of a group has one name, one text and one heading in every command.
//! The groups of one argument have no doc comment, since clap would take it for the description of
//! the command.
//! Read next: `../args.rs`, the commands.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use rvenv::config_settings::ConfigSetting;

/// The headings of the options, in the order in which they are shown.
pub(super) const TARGET: &str = "Target";
pub(super) const INTERPRETER: &str = "Interpreter";
pub(super) const PACKAGES: &str = "Packages";
pub(super) const PUBLICATION: &str = "Publication";
pub(super) const OUTPUT: &str = "Output";

// The environment of a command that works on one.
#[derive(Debug, Args)]
pub(crate) struct EnvDirArg {
    /// Directory of the environment; the default is `VIRTUAL_ENV`, else the nearest `.venv` upwards
    #[arg(value_name = "ENV_DIR", value_hint = ValueHint::DirPath)]
    pub(crate) env_dir: Option<OsString>,
}

// Whether the plan is only shown.
#[derive(Debug, Args)]
pub(crate) struct DryRunArg {
    /// Show the plan and write nothing
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) dry_run: bool,

    /// With --dry-run, save the plan to this file, for `rvenv apply`; `-` is standard output
    #[arg(short, long, value_name = "FILE", requires = "dry_run", help_heading = OUTPUT)]
    pub(crate) out: Option<PathBuf>,
}

// How long a command waits for the lock of a target.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct WaitArg {
    /// Wait at most this long while another process changes the target
    #[arg(long, value_name = "SECONDS", default_value_t = 60, help_heading = PUBLICATION)]
    pub(crate) wait: u64,
}

// Whether packages may be lost.
#[derive(Debug, Default, Args)]
pub(crate) struct AllowLostArg {
    /// Change to another minor version although packages can then not be imported
    #[arg(long, help_heading = PACKAGES)]
    pub(crate) allow_lost: bool,
}

/// What happens to what is replaced, and whether the change stays.
#[derive(Debug, Args)]
pub(crate) struct ReplaceArgs {
    /// Keep what is replaced, for `rvenv rollback`; the default of upgrades, installs, uninstalls
    /// and syncs, and of a change to another Python
    #[arg(long, overrides_with = "no_keep", help_heading = PUBLICATION)]
    pub(crate) keep: bool,

    /// Delete what is replaced; the default of other changes
    #[arg(long, help_heading = PUBLICATION)]
    pub(crate) no_keep: bool,

    #[command(flatten)]
    pub(crate) checks: CheckArgs,
}

/// Which commands check a change.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Run a shell command in the environment afterwards; if it fails, the change is undone;
    /// repeatable
    #[arg(long, value_name = "CMD", help_heading = PUBLICATION)]
    pub(crate) check: Vec<String>,

    /// Let health checks run files in the environment that belong to another user
    #[arg(long, help_heading = PUBLICATION)]
    pub(crate) allow_other_owner: bool,
}

/// The options of an environment: venv's flags, and the interpreter.
#[derive(Debug, Default, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "these are the flags of `python -m venv`"
)]
pub(crate) struct VenvArgs {
    /// Replace an existing environment in one step
    #[arg(long, help_heading = TARGET)]
    pub(crate) clear: bool,

    /// Replace a directory that is not an environment, or that holds more than an environment; with
    /// --clear only
    #[arg(long, requires = "clear", help_heading = TARGET)]
    pub(crate) force: bool,

    /// Bring an existing environment to this interpreter, and keep its packages
    #[arg(long, conflicts_with = "clear", help_heading = TARGET)]
    pub(crate) upgrade: bool,

    /// Set the prompt of the activated environment; `.` is the name of the working directory
    #[arg(long, help_heading = TARGET)]
    pub(crate) prompt: Option<String>,

    /// Do not add a .gitignore file (Python 3.13 and later add one)
    #[arg(long, help_heading = TARGET)]
    pub(crate) without_scm_ignore_files: bool,

    /// Use this interpreter: a path, a name (python3.12) or a version (3.12, 3.13t, pypy3.9,
    /// >=3.9,<3.12); the default is `RVENV_PYTHON`
    #[arg(short, long, value_name = "REQUEST", help_heading = INTERPRETER)]
    pub(crate) python: Option<OsString>,

    /// Give the environment access to the packages of the interpreter's installation
    #[arg(long, help_heading = INTERPRETER)]
    pub(crate) system_site_packages: bool,

    /// Link to the interpreter; the default
    #[arg(long, conflicts_with = "copies", help_heading = INTERPRETER)]
    pub(crate) symlinks: bool,

    /// Copy the interpreter
    #[arg(long, help_heading = INTERPRETER)]
    pub(crate) copies: bool,

    /// Do not install pip
    #[arg(long, help_heading = PACKAGES)]
    pub(crate) without_pip: bool,

    /// Install the newest pip (and setuptools before Python 3.12) of the index
    #[arg(long, help_heading = PACKAGES)]
    pub(crate) upgrade_deps: bool,

    /// Compile the sources of pip (and setuptools) once for each Python; later environments share
    /// the bytecode
    #[arg(long, help_heading = PACKAGES)]
    pub(crate) compile_bytecode: bool,

    #[command(flatten)]
    pub(crate) lost: AllowLostArg,

    /// With another Python, install what the packages need there and the environment lacks
    #[arg(long, help_heading = PACKAGES)]
    pub(crate) with_deps: bool,

    #[command(flatten)]
    pub(crate) locks: LockedArgs,

    #[command(flatten)]
    pub(crate) index: IndexArgs,

    #[arg(skip)]
    pub(crate) removal: RemovalArgs,
}

/// The locks whose packages an environment gets.
#[derive(Debug, Default, Args)]
pub(crate) struct LockedArgs {
    /// Install what this lock names: pylock.toml, or a requirements file in which everything is
    /// pinned and hashed; other requirements files and pyproject.toml are resolved; repeatable
    #[arg(short = 'r', long = "requirements", alias = "requirement",
          value_name = "FILE", help_heading = PACKAGES)]
    pub(crate) files: Vec<PathBuf>,

    /// Install what meets this requirement too, and what that needs; repeatable
    #[arg(long, value_name = "REQ", help_heading = PACKAGES)]
    pub(crate) with: Vec<String>,

    /// Install this extra of the lock too; repeatable
    #[arg(long, value_name = "NAME", requires = "files", help_heading = PACKAGES)]
    pub(crate) extra: Vec<String>,

    /// Install this dependency group of the lock, in place of the default ones; repeatable
    #[arg(long, value_name = "NAME", requires = "files", help_heading = PACKAGES)]
    pub(crate) group: Vec<String>,

    #[command(flatten)]
    pub(crate) places: PlacesArgs,

    #[command(flatten)]
    pub(crate) builds: BuildArgs,

    /// Remove every package that no lock names, except pip and setuptools
    #[arg(long, requires = "files", help_heading = PACKAGES)]
    pub(crate) exact: bool,

    #[command(flatten)]
    pub(crate) resolver: ResolverArgs,

    /// Whether everything that the locks do not name stays.
    #[arg(skip)]
    pub(crate) adds: bool,

    /// Directories to install as editable; an option of `install` alone.
    #[arg(skip)]
    pub(crate) editable: Vec<String>,
}

// What may be built, and how.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct BuildArgs {
    /// Build the sources that a lock names too; what is not locked is built without this
    #[arg(long, overrides_with = "no_build", help_heading = PACKAGES)]
    pub(crate) build: bool,

    /// Build nothing: only wheels are installed
    #[arg(long, overrides_with = "build", help_heading = PACKAGES)]
    pub(crate) no_build: bool,

    #[command(flatten)]
    pub(crate) settings: ConfigSettingsArg,
}

// What build backends are told.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ConfigSettingsArg {
    /// Give this setting to the build backends of sources; a key that is repeated has a list
    #[arg(
        short = 'C', long, alias = "config-setting", value_name = "KEY=VALUE",
        help_heading = PACKAGES
    )]
    pub(crate) config_settings: Vec<ConfigSetting>,
}

// The places by digest in their order.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct FromArg {
    /// Look for files here first: a repository of a registry (`oci://HOST/REPO`), a directory in
    /// the form of one (`oci:DIR`), or the word `wheelhouse`, `lock` (the paths and URLs in the
    /// lock or plan) or `index`; repeatable, asked in this order, before the places that are not
    /// named
    #[arg(long, value_name = "PLACE", help_heading = PACKAGES)]
    pub(crate) from: Vec<String>,
}

/// Where wheels are looked for by their digests.
#[derive(Debug, Default, Args)]
pub(crate) struct PlacesArgs {
    #[command(flatten)]
    pub(crate) from: FromArg,

    /// Look for wheels in this directory first; repeatable
    #[arg(long, value_name = "DIR", help_heading = PACKAGES)]
    pub(crate) wheelhouse: Vec<PathBuf>,

    /// Let wheels come from this host too, besides those of the index; repeatable
    #[arg(long, value_name = "HOST", help_heading = PACKAGES)]
    pub(crate) allow_host: Vec<String>,
}

/// What a saved plan needs on this machine: its wheels, and the bytecode of their modules.
#[derive(Debug, Args)]
pub(crate) struct SavedWheelsArgs {
    /// Let the interpreter of the plan compile bytecode that the cache no longer has
    #[arg(long, help_heading = PACKAGES)]
    pub(crate) compile_bytecode: bool,

    #[command(flatten)]
    pub(crate) places: PlacesArgs,

    #[command(flatten)]
    pub(crate) index: IndexArgs,
}

/// What is uninstalled; an option of no command but `uninstall`.
#[derive(Clone, Debug, Default)]
pub(crate) struct RemovalArgs {
    pub(crate) names: Vec<String>,
    pub(crate) unused: bool,
}

/// Where pip looks for wheels, besides what its own configuration names.
#[derive(Debug, Default, Args)]
pub(crate) struct IndexArgs {
    /// Look for wheels in this directory or on this page too; repeatable
    #[arg(long, value_name = "PATH_OR_URL", help_heading = PACKAGES)]
    pub(crate) find_links: Vec<OsString>,

    /// Download from this index; the default is that of pip's configuration
    #[arg(long, value_name = "URL", help_heading = PACKAGES)]
    pub(crate) index_url: Option<OsString>,

    /// Download from this index too; repeatable
    #[arg(long, value_name = "URL", help_heading = PACKAGES)]
    pub(crate) extra_index_url: Vec<OsString>,

    /// Download from no index: only --find-links and the pages of pip's configuration count
    #[arg(long, help_heading = PACKAGES)]
    pub(crate) no_index: bool,
}

// Who resolves requirements.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct ResolverArgs {
    /// Choose who resolves what is not locked
    #[arg(
        long, value_enum, value_name = "PROGRAM",
        default_value_t = ResolverArg::Auto, help_heading = PACKAGES
    )]
    pub(crate) resolver: ResolverArg,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ResolverArg {
    /// uv if it is on PATH and new enough, else pip
    #[default]
    Auto,
    /// uv
    Uv,
    /// The pip that is bundled with the interpreter
    Pip,
}

/// How a plan is carried out.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Choose what a successful change survives
    #[arg(
        long, value_enum, value_name = "LEVEL",
        default_value_t = DurabilityArg::Power, help_heading = PUBLICATION
    )]
    pub(crate) durability: DurabilityArg,

    /// Choose how files are taken from the cache
    #[arg(
        long, value_enum, value_name = "MODE",
        default_value_t = LinkModeArg::Auto, help_heading = PUBLICATION
    )]
    pub(crate) link_mode: LinkModeArg,

    #[command(flatten)]
    pub(crate) lock: WaitArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DurabilityArg {
    /// Survive a power cut
    Power,
    /// Survive a kill; a power cut may leave neither the old nor the new environment
    Process,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LinkModeArg {
    /// Share blocks, else link, else copy
    Auto,
    /// Share blocks, else copy
    Reflink,
    /// Link, else copy
    Hardlink,
    /// Copy; an edit in place then changes one environment only
    Copy,
}
