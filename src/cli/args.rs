//! The command line as clap sees it: names, help, and nothing that does anything.
//!
//! Read next: `cli.rs`, where each command is carried out.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgMatches, Args, FromArgMatches, Parser, Subcommand, ValueEnum};

/// Python virtual environments as filesystem transactions
#[derive(Debug, Parser)]
#[command(name = "rvenv", version, about, after_help = EXIT_CODES, subcommand_required = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Print only errors and the data that was asked for; a plan is data as JSON only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Print more: every path of a plan or of what differs, what was linked, what was started
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,

    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto)]
    pub(crate) color: Colour,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed; the target is as it was
  2    usage
  3    the plan is stale, or the target is not what the command needs
  4    changes are pending (plan --detailed-exitcode), or something differs (verify, cache verify)
  5    needs a person: evidence that fits no history, or a recovery that is stuck
  6    in doubt: the disk did not confirm what was written to it
  130  interrupted by SIGINT; the target is as it was
  143  interrupted by SIGTERM; the target is as it was";

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The arguments of a command, which are put together only when it is the one that was typed.
///
/// Each run would otherwise put together those of all of them: a third of the time that it takes to start.
#[derive(Debug)]
pub(crate) struct Deferred<T>(pub(crate) T);

impl<T: FromArgMatches> FromArgMatches for Deferred<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        T::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl<T: Args> Args for Deferred<T> {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.defer(T::augment_args)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        command.defer(T::augment_args_for_update)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create environments: plan and apply in one go
    ///
    /// Each environment appears whole or not at all. An existing directory keeps the files that nobody planned: an
    /// environment is changed entry by entry, anything else only gets what is absent in it. With `--clear` it is replaced
    /// in one switch. See also `rvenv plan`, `rvenv upgrade`.
    Create(Deferred<CreateArgs>),
    /// Show what `create` would do, and save it for `apply`
    ///
    /// Writes nothing but the file named by `--out`. Equal inputs give equal plans, byte for byte.
    Plan(Deferred<PlanArgs>),
    /// Apply a saved plan, unless something it depends on has changed
    Apply(Deferred<ApplyArgs>),
    /// Bring environments to another Python, or to the same one after it changed
    ///
    /// As `create --upgrade`: links, names and configuration follow, packages stay, missing scripts come back. Prompt,
    /// system-site-packages and links or copies stay as they are unless told otherwise. What is replaced is kept, and
    /// `rvenv rollback` brings it back.
    Upgrade(Deferred<CreateArgs>),
    /// Put back what was changed or lost, as the receipt says
    Repair(Deferred<RepairArgs>),
    /// Bring back what the last change replaced; run again, go forward
    Rollback(Deferred<RollbackArgs>),
    /// Finish or undo what a crash left
    ///
    /// Every changing command does the same before anything else. See also `rvenv status`.
    Recover(Deferred<RecoverArgs>),
    /// Show what stands at a target: environment, open transaction, generations
    Status(Deferred<StatusArgs>),
    /// Compare an environment with what was published and what its packages list
    ///
    /// Writes nothing. Every path that rvenv published is held against the receipt, and every file that an installed
    /// distribution lists in its RECORD against that list; bytecode and files that nobody lists are no drift. Works
    /// without a receipt too, for environments that `python -m venv` made. Exits with 4 when something differs.
    Verify(Deferred<VerifyArgs>),
    /// Find interpreters: those that there are, and the one that a request means
    ///
    /// Looks at the base of the active environment, on PATH, among the versions of pyenv and uv, at what is registered with
    /// `update-alternatives`, and on Windows in the registry. `rvenv create --python REQUEST` takes what `find` finds.
    #[command(subcommand)]
    Python(PythonCommand),
    /// Look after the cache: unpacked wheels, and notes on interpreters and wheels
    ///
    /// No environment needs the cache: what is deleted from it is made again when it is wanted, also by commands that run
    /// at the same time. Environments keep the files that they share with it.
    #[command(subcommand)]
    Cache(CacheCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum PythonCommand {
    /// List interpreters, each of them once, with all paths that lead to it
    ///
    /// With a request, those that fit. What does not work is told, and ends nothing.
    List(PythonArgs),
    /// Print the path of the interpreter that a request means
    ///
    /// Without a request: what `RVENV_PYTHON` asks for, else the nearest `.python-version`; else the first that satisfies
    /// `requires-python` of `pyproject.toml`, looked for as `python3` or `python` on PATH, then among installations.
    Find(PythonArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PythonArgs {
    /// A version (3.12, 3.13t, pypy3.9, cpython@3.12, >=3.9,<3.12), a name (python3) or a path
    #[arg(value_name = "REQUEST")]
    pub(crate) request: Option<OsString>,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Print the directory of the cache: `RVENV_CACHE_DIR`, or `rvenv` in the user's own
    Dir,
    /// Compare every unpacked file with what was unpacked, to the byte, and delete what differs
    ///
    /// What is deleted is unpacked again when it is next wanted. Exits with 4 when something differed.
    Verify(CacheJsonArgs),
    /// Delete what nobody needs
    ///
    /// That is: what dead processes were unpacking, what is damaged, notes on interpreters and wheels that are gone or have
    /// changed, and wheels that nobody has used for a while and of which no environment shares a file: deleting those
    /// would free next to nothing. Environments on another filesystem, or made with `--link-mode copy`, share none.
    Prune(CachePruneArgs),
    /// Delete everything, but for what another process is unpacking now
    Clear(CacheJsonArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CacheJsonArgs {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CachePruneArgs {
    /// Keep wheels that were used within so many days; 0 keeps only those that environments share files of
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    pub(crate) unused_for: u32,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Directories to create environments in, left to right; the first failure stops
    #[arg(required = true, value_name = "ENV_DIR")]
    pub(crate) env_dirs: Vec<OsString>,

    #[command(flatten)]
    pub(crate) venv: VenvArgs,

    #[command(flatten)]
    pub(crate) run: RunArgs,

    #[command(flatten)]
    pub(crate) replace: ReplaceArgs,

    /// Show the plan and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// The directory to plan an environment in
    #[arg(value_name = "ENV_DIR")]
    pub(crate) env_dir: OsString,

    #[command(flatten)]
    pub(crate) venv: VenvArgs,

    /// Save the plan to a file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,

    /// Print the plan as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Exit with 4 when changes are pending
    #[arg(long)]
    pub(crate) detailed_exitcode: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// The file that `rvenv plan --out` wrote
    #[arg(value_name = "PLAN_FILE")]
    pub(crate) plan_file: PathBuf,

    #[command(flatten)]
    pub(crate) run: RunArgs,

    #[command(flatten)]
    pub(crate) replace: ReplaceArgs,

    /// Replace a directory that is not an environment, or more than one
    #[arg(long)]
    pub(crate) force: bool,

    /// Let packages stop being importable, where the minor version of Python changes
    #[arg(long)]
    pub(crate) allow_lost: bool,

    /// Let the interpreter that the plan names compile bytecode that is not kept any more
    #[arg(long)]
    pub(crate) compile_bytecode: bool,

    /// Refuse the plan unless it has this digest
    #[arg(long, value_name = "SHA256")]
    pub(crate) digest: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RepairArgs {
    /// The environment
    #[arg(value_name = "ENV_DIR")]
    pub(crate) env_dir: OsString,

    #[command(flatten)]
    pub(crate) run: RunArgs,

    #[command(flatten)]
    pub(crate) replace: ReplaceArgs,

    /// Show the plan and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The environment
    #[arg(value_name = "ENV_DIR")]
    pub(crate) env_dir: OsString,

    #[command(flatten)]
    pub(crate) run: RunArgs,

    /// A health check: a command for the shell that must succeed; repeatable
    #[arg(long, value_name = "CMD")]
    pub(crate) check: Vec<String>,

    /// Put changes that were made meanwhile aside with everything else that goes
    #[arg(long)]
    pub(crate) discard_changes: bool,
}

/// What becomes of what is replaced, and whether the change stays.
#[derive(Debug, Args)]
pub(crate) struct ReplaceArgs {
    /// Keep what is replaced, for `rvenv rollback` (the default of upgrades, and of changes to another Python)
    #[arg(long, overrides_with = "no_keep")]
    pub(crate) keep: bool,

    /// Delete what is replaced
    #[arg(long)]
    pub(crate) no_keep: bool,

    /// A health check: a command for the shell that must succeed, or what was there comes back; repeatable
    #[arg(long, value_name = "CMD")]
    pub(crate) check: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RecoverArgs {
    /// The targets
    #[arg(required = true, value_name = "ENV_DIR")]
    pub(crate) env_dirs: Vec<OsString>,

    /// Wait this long for the lock
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) wait: u64,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The target
    #[arg(value_name = "ENV_DIR")]
    pub(crate) env_dir: OsString,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The environment
    #[arg(value_name = "ENV_DIR")]
    pub(crate) env_dir: OsString,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// What the environment shall be: venv's flags, and the interpreter.
#[derive(Debug, Default, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "these are the flags of `python -m venv`"
)]
pub(crate) struct VenvArgs {
    /// The interpreter: a path, a name (python3.12) or a version (3.12, 3.13t, pypy3.9, >=3.9,<3.12) [env: `RVENV_PYTHON`]
    #[arg(short, long, value_name = "REQUEST")]
    pub(crate) python: Option<OsString>,

    /// Give the environment access to the base installation's packages
    #[arg(long)]
    pub(crate) system_site_packages: bool,

    /// Link to the interpreter (the default)
    #[arg(long, conflicts_with = "copies")]
    pub(crate) symlinks: bool,

    /// Copy the interpreter
    #[arg(long)]
    pub(crate) copies: bool,

    /// Replace an existing environment, in one switch
    #[arg(long)]
    pub(crate) clear: bool,

    /// Bring an existing environment to this interpreter, its packages kept
    #[arg(long, conflicts_with = "clear")]
    pub(crate) upgrade: bool,

    /// Install the newest pip (and setuptools before Python 3.12), downloaded by pip
    #[arg(long)]
    pub(crate) upgrade_deps: bool,

    /// Let packages stop being importable, where the minor version of Python changes
    #[arg(long)]
    pub(crate) allow_lost: bool,

    /// With --clear: replace a directory that is not an environment, or more than one
    #[arg(long, requires = "clear")]
    pub(crate) force: bool,

    /// Compile the sources of pip (and setuptools), once for each Python; later environments link what is kept
    #[arg(long)]
    pub(crate) compile_bytecode: bool,

    /// Do not install pip
    #[arg(long)]
    pub(crate) without_pip: bool,

    /// The prompt of the activated environment; `.` is the name of the working directory
    #[arg(long)]
    pub(crate) prompt: Option<String>,

    /// Do not add a .gitignore file (Python 3.13 and later add one)
    #[arg(long)]
    pub(crate) without_scm_ignore_files: bool,
}

/// How a plan is carried out.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// What success survives: a power cut, or the death of the process
    #[arg(long, value_enum, default_value_t = DurabilityArg::Power)]
    pub(crate) durability: DurabilityArg,

    /// How files come out of the store
    #[arg(long, value_enum, default_value_t = LinkModeArg::Auto)]
    pub(crate) link_mode: LinkModeArg,

    /// Wait this long for the lock
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) wait: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DurabilityArg {
    /// Success survives a power cut
    Power,
    /// Success survives a kill; a power cut may leave neither the old nor the new environment
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
    /// Copy, so that edits in place stay in one environment
    Copy,
}
