//! The command line in clap's form: names, help, and nothing that acts.
//!
//! Promises that the help of each command begins with the command's own sentence, and lists its
//! options below the headings of `args/shared.rs`, in their order; `tests/it/behaviour/help.rs` has
//! every text.
//! Read next: `args/shared.rs`, what several commands have; `commands.rs`, a file for each command.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{
    ArgAction, ArgMatches, Args, CommandFactory as _, FromArgMatches, Parser, Subcommand,
    ValueEnum, ValueHint,
};

mod about;
mod cache;
mod clone;
mod image;
mod look;
mod packages;
mod past;
mod registry;
mod saved_plan;
mod shared;

pub(crate) use about::{CompletionsArgs, ExplainArgs, ManArgs, ShellArg};
pub(crate) use cache::{CacheCommand, CachePruneArgs};
pub(crate) use clone::CloneArgs;
pub(crate) use image::{FormatArg, ImageArgs};
pub(crate) use look::{ListArgs, LockChoiceArgs, LockPythonArg, StatusArgs, VerifyArgs};
pub(crate) use packages::{ChangeArgs, InstallArgs, SyncArgs, UninstallArgs};
pub(crate) use past::{GenerationsArgs, LogArgs, RemoveArgs};
pub(crate) use registry::{
    AttachArgs, AttachedArgs, CachePullArgs, CachePushArgs, ChoiceArg, PushArgs,
};
pub(crate) use saved_plan::{ApplyArgs, ShowArgs};
pub(crate) use shared::{
    CheckArgs, ConfigSettingsArg, DryRunArg, DurabilityArg, EnvDirArg, FromArg, IndexArgs,
    LinkModeArg, LockedArgs, PlacesArgs, ReplaceArgs, ResolverArg, ResolverArgs, RunArgs,
    SavedWheelsArgs, VenvArgs, WaitArg,
};
use shared::{INTERPRETER, OUTPUT, PACKAGES};

/// The position of the options of every command: after the command's own.
const LAST: usize = 1000;

/// Python virtual environments as filesystem transactions
///
/// Each change is planned, built beside the target, made durable and published by renames: after a
/// failure, a kill or a power cut, the target is the old environment or the new one. Begin with
/// `rvenv create`; `rvenv help COMMAND` explains a command.
#[derive(Debug, Parser)]
#[command(
    name = "rvenv",
    version = env!("RVENV_VERSION"),
    after_help = EXIT_CODES,
    subcommand_required = true,
    disable_help_flag = true,
    disable_version_flag = true,
    next_help_heading = OUTPUT
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Print only errors and reports; print a plan only with --json
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = LAST)]
    pub(crate) quiet: bool,

    /// Print more: every path of a plan or report, and how files and programs are used
    #[arg(short, long, global = true, display_order = LAST + 1)]
    pub(crate) verbose: bool,

    /// Print one JSON object, also when the command fails; docs/schema has its form
    #[arg(long, global = true, display_order = LAST - 1)]
    pub(crate) json: bool,

    /// Choose when to use colour
    #[arg(
        long, global = true, value_enum, value_name = "WHEN",
        default_value_t = Colour::Auto, display_order = LAST + 2
    )]
    pub(crate) color: Colour,

    /// Print version
    #[arg(short = 'V', long, action = ArgAction::Version, display_order = LAST + 3)]
    version: Option<bool>,

    /// Print help; -h prints a summary
    #[arg(short, long, global = true, action = ArgAction::Help, display_order = LAST + 4)]
    help: Option<bool>,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    success
  1    failure; the target is as it was before, or as a recovery left it
  2    wrong arguments or settings
  3    the plan is stale, or the target is not what the command needs
  4    changes are pending (plan --detailed-exitcode), or something differs (verify, cache verify)
  5    a person must decide: the evidence contradicts itself, or recovery cannot continue
  6    fsync failed; the on-disk state is unknown until reboot
  130  interrupted by SIGINT; the target is as after a failure
  143  interrupted by SIGTERM; the target is as after a failure";

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// Use colour on a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always use colour
    Always,
    /// Never use colour
    Never,
}

/// The whole command line, with the arguments of every command.
pub(crate) fn command() -> clap::Command {
    let mut command = Cli::command();
    command.build();
    command
}

/// The arguments of a command, built only if this command was typed.
///
/// Otherwise each run would build those of all commands, which is a third of its start time.
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
        command.defer(|command| as_command(command, T::augment_args))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        command.defer(|command| as_command(command, T::augment_args_for_update))
    }
}

/// Adds the arguments of a command, and restores the command's own description.
///
/// The doc comment of a flattened group would become the description of the command. The options of
/// every command are in the list before the command's own, which are added late; they move to the
/// end, since headings follow the list.
fn as_command(
    command: clap::Command,
    augment: impl FnOnce(clap::Command) -> clap::Command,
) -> clap::Command {
    let about = command.get_about().cloned();
    let long_about = command.get_long_about().cloned();
    let global: Vec<clap::Id> = command
        .get_arguments()
        .map(|arg| arg.get_id().clone())
        .collect();
    let command = augment(command)
        .about(Resettable::from(about))
        .long_about(Resettable::from(long_about));
    global
        .iter()
        .fold(command, |command, id| command.mut_arg(id, |arg| arg))
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create environments
    ///
    /// Plans and applies in one step; each environment appears whole or not at all. In an existing
    /// directory, files that are not planned stay: an environment is changed entry by entry, any
    /// other directory only gets the entries that it lacks. With --clear the directory is replaced
    /// in one step. `rvenv plan` shows the changes first, `rvenv upgrade` changes the Python of
    /// an environment.
    Create(Deferred<CreateArgs>),
    /// Bring environments to another Python, or to a Python that changed
    ///
    /// Links, names, configuration, scripts and packages follow the interpreter. A package that
    /// does not fit it is replaced by a wheel of the same version, which pip looks for; when
    /// there is none, the upgrade is refused. Prompt, system-site-packages, and links or copies
    /// stay unless an option changes them. What is replaced is kept: `rvenv rollback` brings it
    /// back. `rvenv create --upgrade` is the same command.
    Upgrade(Deferred<UpgradeArgs>),
    /// Make an environment with the packages of another one
    ///
    /// The same packages, Python and options at another path, in one transaction: scripts start the
    /// clone's interpreter, editable projects stay editable. Works for environments of any tool,
    /// whatever was installed since. Files of no package are named, and not copied. The environment
    /// that is cloned is only read.
    Clone(Deferred<CloneArgs>),
    /// Bring the packages of an environment to what locks name
    ///
    /// Packages of earlier locks that these do not name are removed; what another installer
    /// installed stays, unless --exact is given. What is replaced is kept: `rvenv rollback`
    /// brings it back. Without --env, the environment is `VIRTUAL_ENV`, else the nearest `.venv`
    /// upwards. `rvenv create -r` also makes an environment that does not exist.
    Sync(Deferred<SyncArgs>),
    /// Install packages into an environment
    ///
    /// Asks uv if it is on PATH, else pip, which versions meet the requirements, fetches their
    /// wheels, and installs them in one transaction; everything else stays, also an older version
    /// that meets the requirements: ask for `NAME>=VERSION` to replace it. What is replaced is
    /// kept: `rvenv rollback` brings it back. The environment is that of --env, else
    /// `VIRTUAL_ENV`, else the nearest `.venv` upwards. `rvenv sync` installs exactly what a lock
    /// names.
    Install(Deferred<InstallArgs>),
    /// Uninstall packages from an environment
    ///
    /// Packages of any installer can go: their files are those that they list. With --unused, what
    /// only they need goes too. What goes is kept: `rvenv rollback` brings it back.
    Uninstall(Deferred<UninstallArgs>),
    /// Show what `create` would do, and save it for `apply`
    ///
    /// Writes nothing but the file of --out. Paths that do not change are counted only; -v shows
    /// them. Equal inputs give equal plans, byte for byte. `rvenv apply` applies a saved plan;
    /// `rvenv create`, `upgrade` and `repair` show their own plans with --dry-run.
    Plan(Deferred<PlanArgs>),
    /// Resolve requirements into a lock (pylock.toml)
    ///
    /// Asks uv if it is on PATH, else pip, and writes what either answers with the hash of every
    /// file. Only wheels are considered. The versions of an existing lock stay where the
    /// requirements allow it; the lock is replaced whole or not at all.
    Lock(Deferred<LockArgs>),
    /// Show a saved plan
    ///
    /// The plan as `rvenv plan` showed it; -v shows every path. What it replaces is counted as it
    /// is now. Writes nothing, starts nothing. `rvenv apply --dry-run` shows a plan and whether it
    /// still fits, `rvenv apply` applies it.
    Show(Deferred<ShowArgs>),
    /// Apply a saved plan
    ///
    /// Applies exactly the plan that `rvenv plan --out` saved. When anything that the plan depends
    /// on has changed, the plan is stale: the command names the path, changes nothing, and exits
    /// with 3. Where the environment is what the plan makes, there is nothing to do, and the exit
    /// code is 0. Wheels are found by their digests: where the plan found them, in the cache, in a
    /// --wheelhouse, at the URL in the plan if its host is the index's or allowed, or in an index.
    /// A plan may also be in a registry, with its wheels: `oci://HOST/REPOSITORY@sha256:DIGEST`, as
    /// `rvenv push` prints it, or with a tag. Of several environments under one name, the one whose
    /// interpreter this machine has is applied; --python chooses if it has more than one.
    Apply(Deferred<ApplyArgs>),
    /// Push an environment into a registry
    ///
    /// The wheels, the plan, and last the manifest that names them: a repository of an OCI registry
    /// then has everything that `rvenv apply` needs on another machine. What is there is not sent.
    /// An environment must be what its wheels make. Prints the reference with the digest, which
    /// names the same for ever; a tag names what was pushed last.
    ///
    /// Several environments for different systems or Pythons get an index, which `rvenv apply`
    /// chooses from. What another machine pushed into the same repository is named by its
    /// reference; one reference alone gets another tag.
    Push(Deferred<PushArgs>),
    /// Attach a file to what is in a registry, such as a signature or an SBOM
    ///
    /// The file becomes an artifact that refers to the manifest: its referrer, which cosign, oras
    /// and other tools find by the digest of the manifest and by the media type. Where a registry
    /// does not list referrers itself, the list is under the tag `sha256-DIGEST`; two clients that
    /// write it at once may lose an entry, and the same command adds it again. Prints the
    /// reference with the digest. rvenv neither makes nor checks signatures.
    Attach(Deferred<AttachArgs>),
    /// List what is attached to something in a registry
    ///
    /// SBOMs, signatures and whatever else refers to it, by any tool: the reference and the media
    /// type of each. --out writes the files; each has the digest by which its manifest names it.
    Attached(Deferred<AttachedArgs>),
    /// Make an image of an environment
    ///
    /// For container engines: an OCI layout with layers that have the environment at its path, for
    /// `skopeo copy` or `podman load`. For clusters: a filesystem in one file, which is mounted at
    /// that path. The same plan gives the same bytes everywhere. An image is there whole, or not
    /// at all. Prints its digest. The interpreter is not in it: --base names an image that has it.
    Image(Deferred<ImageArgs>),
    /// List the environments below a directory
    ///
    /// Python, number of packages, size, age and health of each, of any tool; health is what a
    /// glance shows, as in `rvenv status`. Files that are shared with the cache count too. Follows
    /// no link, enters no environment and no `.git`, names what it cannot read, and starts nothing.
    List(Deferred<ListArgs>),
    /// Show the state of a target: environment, open transaction, generations
    ///
    /// Python, base, prompt and the number of packages; -v lists these. Writes nothing, starts
    /// nothing and compares no file: `rvenv verify` does that. `rvenv recover` ends an open
    /// transaction, `rvenv generations` measures and deletes generations, `rvenv rollback` brings
    /// the last one back. --sbom prints the same bytes for the same environment; a time is in them
    /// only if `SOURCE_DATE_EPOCH` is set. Only --lock may start the base interpreter, as `rvenv
    /// verify --lock` does.
    Status(Deferred<StatusArgs>),
    /// Compare an environment with its receipt and its packages
    ///
    /// Writes nothing. Each path that rvenv published is compared with the receipt, and each file
    /// that an installed distribution lists in its RECORD with that list; bytecode and files that
    /// no list names are no difference. Works without a receipt too, for environments of
    /// `python -m venv`. Exits with 4 when something is damaged, moved or lost; `rvenv repair`
    /// mends it.
    ///
    /// With --lock, each file of each package that the lock names is compared with the wheel, whose
    /// hash must be in the lock, and with the package's RECORD. Wheels come from the cache and from
    /// --wheelhouse, nothing is fetched. Exits with 4 when a package is absent, differs, or has no
    /// wheel on this machine. A script must be the one that rvenv writes; bytecode is not compared.
    Verify(Deferred<VerifyArgs>),
    /// Mend what is damaged, moved, or has lost its base
    ///
    /// Restores what rvenv published, and replaces each damaged package by a wheel of the same
    /// version, also one that another tool installed. Makes an environment work that was moved or
    /// copied, and gives it another base of the same minor version if its own is gone. What other
    /// installers changed without damage stays. `rvenv verify` shows what is wrong; what a repair
    /// replaces is kept if it was edited.
    Repair(Deferred<RepairArgs>),
    /// Bring back what the last change replaced
    ///
    /// Upgrades, installs, uninstalls and syncs keep what they replace, and so does a change to
    /// another Python; other changes do so with --keep. `rvenv generations` lists what is kept.
    /// What was installed or written since goes aside, and each package is named. A second
    /// rollback goes forward again, and brings that back.
    Rollback(Deferred<RollbackArgs>),
    /// List the generations of an environment, or delete some
    ///
    /// A generation is what a change replaced and kept. Each is listed with its age, its size and
    /// what a return to it would change: - goes, + comes, ~ has another version. --prune deletes
    /// them, the oldest first; `rvenv rollback` brings the last one back.
    Generations(Deferred<GenerationsArgs>),
    /// Show what was done to an environment, when, and by which command
    ///
    /// The newest change comes first; -v lists every package. The log is in the environment, beside
    /// the generations, and in no plan or digest. An environment that was created or replaced as a
    /// whole begins without one.
    Log(Deferred<LogArgs>),
    /// Remove an environment, whole
    ///
    /// One rename takes it away: after a crash it is there, or gone. With --keep it becomes a
    /// generation, which `rvenv rollback` brings back; without, the generations that were kept of
    /// it go too. A directory that is something else, or more than an environment, is removed with
    /// --force only.
    Remove(Deferred<RemoveArgs>),
    /// Finish or undo what a crash left
    ///
    /// Each command that changes a target does the same first. `rvenv status` shows whether a
    /// transaction is open.
    Recover(Deferred<RecoverArgs>),
    /// Find Python interpreters
    ///
    /// Looks at the base of the active environment, PATH, the versions of pyenv and uv, the
    /// alternatives of `update-alternatives`, and on Windows the registry.
    /// `rvenv create --python REQUEST` takes what `find` finds.
    #[command(subcommand)]
    Python(PythonCommand),
    /// Manage the cache: unpacked wheels, bytecode, and notes on interpreters
    ///
    /// No environment needs the cache: what is deleted is made again when it is needed, also by
    /// commands that run at the same time. Environments keep the files that they share with it.
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Show the settings, and where each comes from
    ///
    /// An option that is not typed has its value from `RVENV_*`, such as `RVENV_LINK_MODE`; else
    /// from the nearest `rvenv.toml` or `[tool.rvenv]` of a `pyproject.toml` upwards; else from
    /// `rvenv/rvenv.toml` in the user's configuration directory. The keys are the names of the
    /// options.
    Config,
    /// Explain the code of an error
    ///
    /// Says what the code means, in which state the target is, and what to do. Without a code,
    /// lists all of them. A code keeps its name and its meaning.
    Explain(Deferred<ExplainArgs>),
    /// Print the completions of a shell
    ///
    /// A script for the shell to read at its start. `rvenv help` and the manual pages that `rvenv
    /// man` writes describe the same commands and options.
    Completions(Deferred<CompletionsArgs>),
    /// Write manual pages into a directory
    ///
    /// One page for each command, in the section 1. Pages of the same names are replaced.
    Man(Deferred<ManArgs>),
}

#[derive(Debug, Subcommand)]
pub(crate) enum PythonCommand {
    /// List interpreters, each once, with every path to it
    ///
    /// A request limits the list to interpreters that fit. An interpreter that does not work is
    /// named with the reason. `rvenv python find` prints one path.
    List(PythonArgs),
    /// Print the path of the interpreter that `create` would use
    ///
    /// Without a request: what `RVENV_PYTHON` asks for, else the nearest `.python-version`; else
    /// the first that satisfies `requires-python` of `pyproject.toml`, looked for as `python3` or
    /// `python` on PATH, then among installations. `rvenv python list` shows all interpreters.
    Find(PythonArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PythonArgs {
    /// A version (3.12, 3.13t, pypy3.9, cpython@3.12, >=3.9,<3.12), a name (python3) or a path
    #[arg(value_name = "REQUEST")]
    pub(crate) request: Option<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Directories of the environments, changed from left to right until one fails; the default is
    /// `.venv`
    #[arg(value_name = "ENV_DIR", value_hint = ValueHint::DirPath)]
    pub(crate) env_dirs: Vec<OsString>,

    #[command(flatten)]
    pub(crate) venv: VenvArgs,

    #[command(flatten)]
    pub(crate) run: RunArgs,

    #[command(flatten)]
    pub(crate) replace: ReplaceArgs,

    #[command(flatten)]
    pub(crate) output: DryRunArg,
}

/// The arguments of `create`, except those that replace an environment.
#[derive(Debug)]
pub(crate) struct UpgradeArgs(pub(crate) CreateArgs);

/// Options that make no sense for an upgrade: those that delete what it keeps, and `--upgrade`
/// itself.
const NOT_FOR_UPGRADE: [&str; 3] = ["clear", "force", "upgrade"];

impl FromArgMatches for UpgradeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let args = CreateArgs::from_arg_matches(matches)?;
        if args.venv.clear {
            let why = "`upgrade` keeps the packages, and `--clear` deletes them; \
                       `rvenv create --clear` creates the environment again";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, why));
        }
        Ok(Self(args))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for UpgradeArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        let command = CreateArgs::augment_args(command);
        let command = NOT_FOR_UPGRADE.iter().fold(command, |command, id| {
            command.mut_arg(id, |arg| arg.hide(true))
        });
        command.mut_arg("env_dirs", |arg| {
            arg.help(
                "Directories of the environments, changed from left to right until one fails; \
                 the default is `VIRTUAL_ENV`, else the nearest `.venv` upwards",
            )
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Directory of the environment; the default is `.venv`
    #[arg(value_name = "ENV_DIR", value_hint = ValueHint::DirPath)]
    pub(crate) env_dir: Option<OsString>,

    #[command(flatten)]
    pub(crate) venv: VenvArgs,

    /// Save the plan to a file, for `rvenv apply`; `-` is standard output
    ///
    /// A regular file is replaced whole, also at the end of a link; a pipe or a device is written
    /// into. With `-`, nothing but the plan is printed, as with `--json`.
    #[arg(short, long, value_name = "FILE", help_heading = OUTPUT)]
    pub(crate) out: Option<PathBuf>,

    /// Print only a digest of what will be published, as a key of a cache
    ///
    /// `rvenv verify --digest` prints it for the environment that the plan makes. The same lock,
    /// path and interpreter give the same digest, whatever the cache, the wheelhouse, the home
    /// directory, the umask or the user.
    #[arg(long, conflicts_with_all = ["json", "out"], help_heading = OUTPUT)]
    pub(crate) digest: bool,

    /// Exit with 4 when changes are pending, 0 when there are none
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) detailed_exitcode: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    /// Requirement to resolve: a name, a name and versions, `name @ URL`, the path of a project or
    /// an archive, or `git+URL`; without any, the dependencies of ./pyproject.toml
    #[arg(value_name = "REQ")]
    pub(crate) reqs: Vec<String>,

    /// Resolve for this interpreter; a request as for `rvenv create --python`
    #[arg(short, long, value_name = "REQUEST", help_heading = INTERPRETER)]
    pub(crate) python: Option<OsString>,

    /// Resolve the lines of a requirements file, or the dependencies of a pyproject.toml;
    /// repeatable
    #[arg(short, long, value_name = "FILE", help_heading = PACKAGES)]
    pub(crate) requirements: Vec<PathBuf>,

    /// Add the dependencies of this extra of the pyproject.toml; repeatable
    #[arg(long, value_name = "NAME", help_heading = PACKAGES)]
    pub(crate) extra: Vec<String>,

    /// Build nothing: only wheels are locked
    #[arg(long, help_heading = PACKAGES)]
    pub(crate) no_build: bool,

    #[command(flatten)]
    pub(crate) settings: ConfigSettingsArg,

    #[command(flatten)]
    pub(crate) resolver: ResolverArgs,

    #[command(flatten)]
    pub(crate) index: IndexArgs,

    /// Write the lock to this file, the default is pylock.toml; `-` is standard output
    #[arg(short, long, value_name = "FILE", help_heading = OUTPUT)]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RepairArgs {
    #[command(flatten)]
    pub(crate) target: EnvDirArg,

    /// Use this interpreter; needed where only the environment names its own
    #[arg(short, long, value_name = "REQUEST", help_heading = INTERPRETER)]
    pub(crate) python: Option<OsString>,

    #[command(flatten)]
    pub(crate) from: FromArg,

    #[command(flatten)]
    pub(crate) index: IndexArgs,

    #[command(flatten)]
    pub(crate) run: RunArgs,

    #[command(flatten)]
    pub(crate) replace: ReplaceArgs,

    #[command(flatten)]
    pub(crate) output: DryRunArg,
}

// No check is built in here, since the command does not know which Python comes back.
#[derive(Debug, Args)]
#[command(
    mut_arg("check", |arg| arg.help(
        "Run a shell command in the environment afterwards; if it fails, the rollback is undone; \
         repeatable"
    )),
    mut_arg("allow_other_owner", |arg| arg.help(
        "Let --check run files in the environment that belong to another user"
    ))
)]
pub(crate) struct RollbackArgs {
    #[command(flatten)]
    pub(crate) target: EnvDirArg,

    #[command(flatten)]
    pub(crate) run: RunArgs,

    #[command(flatten)]
    pub(crate) checks: CheckArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RecoverArgs {
    /// Directories of the environments; the default is `VIRTUAL_ENV`, else the nearest `.venv`
    /// upwards
    #[arg(value_name = "ENV_DIR", value_hint = ValueHint::DirPath)]
    pub(crate) env_dirs: Vec<OsString>,

    #[command(flatten)]
    pub(crate) lock: WaitArg,
}
