//! The commands: what is typed becomes plans and runs, and their ends become words and exit codes.
//!
//! Promises that the world (environment, working directory, clock, terminal, signals) is read here and in the files
//! below, and handed down; that data goes to standard output and the story to standard error.
//! Read next: `cli/args.rs` for what can be typed, `error.rs` for what is said on failure.

mod args;
mod cache;
mod change;
mod length;
mod plan_file;
mod progress;
mod python;
mod signals;
mod status;
mod terminal;
mod verify;
mod world;

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Parser as _;
use rvenv::cache::NotUsed;
use rvenv::environment::{self, Checker, Force, Outcome, Permissions, Report, Run};
use rvenv::merge::Lost;
use rvenv::render::{self, Detail, escape};
use rvenv_journal::fs::Barrier;
use rvenv_journal::fs::real::RealFs;
use rvenv_journal::{
    Act, Decision, Durability, Ending, Fs, Leftovers, LinkMode, Patience, Plan, Publication,
    Recovered, Retention, Unlinked, WhyKept, counted,
};

use self::args::{
    CacheCommand, Cli, Colour, Command, Deferred, DurabilityArg, LinkModeArg, RecoverArgs, RunArgs,
    UpgradeArgs, VerifyArgs,
};
use self::change::Intent;
use self::progress::Progress;
use self::signals::Signals;
use self::terminal::{Terminal, Volume};
use self::world::World;
use crate::error::{self, CliError, Effect, Exit, Recovery, of_run};

/// How long a waiter sleeps before it tries the lock again.
const PAUSE: Duration = Duration::from_millis(20);

/// Carries out what was typed.
pub(crate) fn run(typed: impl IntoIterator<Item = OsString>) -> Exit {
    let typed: Vec<OsString> = typed.into_iter().collect();
    let cli = match Cli::try_parse_from(&typed) {
        Ok(cli) => cli,
        Err(error) => return tell_parsing(&error),
    };
    let volume = match (cli.quiet, cli.verbose) {
        (true, _) => Volume::Quiet,
        (false, true) => Volume::Verbose,
        (false, false) => Volume::Normal,
    };
    let terminal = Terminal::new(volume, cli.color);
    let done = World::read().and_then(|world| {
        let done = Session::new(terminal, &world).dispatch(&cli.command);
        done.map_err(|error| {
            if error.tells(&length::words()) {
                error.hint(length::hint(&typed, &world.surroundings.cwd))
            } else {
                error
            }
        })
    });
    match done {
        Ok(exit) => exit,
        Err(error) => {
            let error = error.or_not_begun(effect(&cli.command));
            terminal.error(&error.text());
            error.exit
        }
    }
}

/// What a command may change; all that it does is known here.
fn effect(command: &Command) -> Effect {
    match command {
        Command::Create(Deferred(args)) if args.dry_run => Effect::Nothing,
        Command::Upgrade(Deferred(args)) if args.0.dry_run => Effect::Nothing,
        Command::Repair(Deferred(args)) if args.dry_run => Effect::Nothing,
        Command::Create(_)
        | Command::Upgrade(_)
        | Command::Apply(_)
        | Command::Repair(_)
        | Command::Rollback(_)
        | Command::Recover(_) => Effect::Target,
        Command::Plan(_)
        | Command::Status(_)
        | Command::Verify(_)
        | Command::Python(_)
        | Command::Cache(CacheCommand::Dir) => Effect::Nothing,
        Command::Cache(
            CacheCommand::Verify(_) | CacheCommand::Prune(_) | CacheCommand::Clear(_),
        ) => Effect::Cache,
    }
}

/// Help and version are data; everything else that clap says is a usage error.
fn tell_parsing(said: &clap::Error) -> Exit {
    let terminal = Terminal::new(Volume::Normal, Colour::Auto);
    let text = said.render().ansi().to_string();
    if said.use_stderr() {
        terminal.error(&text);
        return Exit::Usage;
    }
    match terminal.data(&text) {
        Ok(()) => Exit::Done,
        Err(error) => {
            terminal.error(&error.text());
            error.exit
        }
    }
}

struct Session<'a> {
    terminal: Terminal,
    world: &'a World,
    signals: Signals,
    fs: RealFs,
}

impl<'a> Session<'a> {
    fn new(terminal: Terminal, world: &'a World) -> Self {
        Self {
            terminal,
            world,
            signals: Signals::catch(),
            fs: RealFs::new(),
        }
    }

    fn dispatch(&self, command: &Command) -> Result<Exit, CliError> {
        for ignored in &self.world.surroundings.ignored {
            self.terminal.detail(ignored);
        }
        match command {
            Command::Create(_)
            | Command::Upgrade(_)
            | Command::Plan(_)
            | Command::Apply(_)
            | Command::Repair(_)
            | Command::Python(_) => self.tell_cache(),
            // They need none, or say more of it themselves.
            Command::Rollback(_)
            | Command::Recover(_)
            | Command::Status(_)
            | Command::Verify(_)
            | Command::Cache(_) => {}
        }
        match command {
            Command::Create(Deferred(args)) => self.create(args, Intent::of(&args.venv)),
            Command::Upgrade(Deferred(UpgradeArgs(args))) => self.create(args, Intent::Upgrade),
            Command::Plan(Deferred(args)) => self.plan(args),
            Command::Apply(Deferred(args)) => self.apply(args),
            Command::Repair(Deferred(args)) => self.repair(args),
            Command::Rollback(Deferred(args)) => self.rollback(args),
            Command::Recover(Deferred(args)) => self.recover(args),
            Command::Status(Deferred(args)) => {
                let path = self.world.env_dir(&args.env_dir)?;
                let text = status::status(&self.fs, Path::new(&path), args.json)?;
                if args.json {
                    self.terminal.json(&text)?;
                } else {
                    self.terminal.data(&text)?;
                }
                Ok(Exit::Done)
            }
            Command::Verify(Deferred(args)) => self.verify(args),
            Command::Python(command) => self.python(command),
            Command::Cache(command) => self.cache(command),
        }
    }

    /// Says why the usual cache is not used, if it is not private to the user; one that was named is refused before.
    fn tell_cache(&self) {
        let Some(cache) = &self.world.cache else {
            return;
        };
        let Err(why) = cache.dir() else { return };
        let shown = escape(&why.to_string());
        let NotUsed::Writable { path, .. } = &why else {
            // As for root in the home of another user: nothing is wrong there.
            self.terminal.detail(&format!("no cache is used: {shown}"));
            return;
        };
        let quoted = escape(&rvenv::activate::quote_posix(&path.to_string_lossy()));
        self.terminal.story(&format!(
            "Warning: no cache is used: {shown}. Make it private with `chmod -R go-w {quoted}`"
        ));
    }

    fn recover(&self, args: &RecoverArgs) -> Result<Exit, CliError> {
        let mut exit = Exit::Done;
        for (given, env_dir) in self.env_dirs(&args.env_dirs)? {
            let terms = RunArgs {
                durability: DurabilityArg::Power,
                link_mode: LinkModeArg::Auto,
                wait: args.wait,
            };
            let recovered = self.run(&terms, &Manner::default(), |run| {
                environment::recover(run, Path::new(&env_dir))
            })?;
            let shown = escape(&given.to_string_lossy());
            match recovered.decision {
                Decision::Nothing if recovered.tidied == 0 && recovered.orphans.is_empty() => {
                    self.terminal
                        .story(&format!("Nothing is open at `{shown}`"));
                }
                Decision::Nothing
                | Decision::DropJournal
                | Decision::Discard
                | Decision::Settle
                | Decision::Undo
                | Decision::VerifyThenSettle
                | Decision::Wait
                | Decision::Refuse(_) => self.tell_recovery(&recovered),
            }
            let kept = recovered
                .ending
                .kept
                .as_ref()
                .is_some_and(|kept| kept.why != WhyKept::Asked);
            if kept || !recovered.orphans.is_empty() {
                exit = Exit::NeedsPerson;
            }
        }
        Ok(exit)
    }

    fn verify(&self, args: &VerifyArgs) -> Result<Exit, CliError> {
        let path = self.world.env_dir(&args.env_dir)?;
        let given = args.env_dir.to_string_lossy();
        let (found, said) = verify::verify(&self.fs, Path::new(&path), &given, self.detail())?;
        if let Some(warning) = &said.warning {
            self.terminal.error(warning);
        }
        if args.json {
            self.terminal.json(&verify::json(&found))?;
        } else {
            self.terminal.data(&said.data)?;
            for line in &said.advice {
                self.terminal.story(line);
            }
        }
        Ok(if said.is_clean {
            Exit::Done
        } else {
            Exit::Pending
        })
    }

    /// Shows a plan to people, unless they asked for quiet: the exit code and `--json` are there for programs.
    fn show(&self, plan: &Plan) -> Result<(), CliError> {
        if self.terminal.volume == Volume::Quiet {
            return Ok(());
        }
        let replaced = environment::look_at_replaced(&self.fs, plan);
        self.terminal
            .data(&render::plan(plan, &replaced, self.detail()))
    }

    fn detail(&self) -> Detail {
        if self.terminal.volume == Volume::Verbose {
            Detail::EveryPath
        } else {
            Detail::Folded
        }
    }

    /// Runs something that changes a target, with patience for its lock.
    fn run<T>(
        &self,
        args: &RunArgs,
        manner: &Manner<'_>,
        work: impl FnOnce(&Run<'_>) -> Result<T, environment::RunFailed>,
    ) -> Result<T, CliError> {
        let since = Instant::now();
        let told = Cell::new(false);
        let pause = |holder: &str| {
            if !told.replace(true) {
                self.terminal.story(&format!("Waiting for {holder}"));
            }
            std::thread::sleep(PAUSE);
            let patient = since.elapsed() < Duration::from_secs(args.wait) && !self.signals.any();
            if patient {
                Patience::Again
            } else {
                Patience::GiveUp
            }
        };
        let progress = Progress::new(self.terminal, self.signals.clone());
        let recovery = Cell::new(Recovery::default());
        let may_compile = manner.compilation == Compilation::Allowed;
        let done = self.with_control(|control| {
            let compiler = self.compiler(control);
        let run = Run {
            fs: &self.fs,
            cache: self.world.cache.as_ref(),
            now: Some(self.world.now),
            compiler: may_compile.then_some(&compiler),
            durability: match args.durability {
                DurabilityArg::Power => Durability::Power,
                DurabilityArg::Process => Durability::Process,
            },
            link_mode: link_mode(args),
            retention: manner.retention,
            permissions: manner.permissions,
            check: manner.check,
            owner: &format!("process {}", std::process::id()),
            pause: &pause,
            interrupted: &|| self.signals.any(),
            watch: &progress,
            recovered: &|recovered| {
                progress.clear();
                recovery.set(Recovery::of(recovered));
                self.tell_recovery(recovered);
            },
            copying: &|failed| {
                let shown = escape(&failed.target.to_string_lossy());
                self.terminal.story(&format!(
                    "There are no symbolic links on the filesystem of `{shown}`: planning again with copies"
                ));
            },
        };
            work(&run)
        });
        progress.clear();
        done.map_err(|error| of_run(&error, self.signals.terminated(), recovery.get()))
    }

    fn tell_recovery(&self, recovered: &Recovered) {
        if let Some(what) = error::recovered(recovered.upshot) {
            self.terminal.story(what);
        } else if recovered.tidied > 0 {
            self.terminal.detail(&format!(
                "deleted {} of earlier runs",
                counted(recovered.tidied, "leftover")
            ));
        }
        if let Some(kept) = recovered
            .ending
            .kept
            .as_ref()
            .filter(|kept| kept.why != WhyKept::Asked)
        {
            let name = escape(&kept.name);
            let why = match kept.why {
                WhyKept::Asked => "as was asked for",
                WhyKept::Changed => "which somebody changed after it was published",
                WhyKept::Uncertain => {
                    "since this filesystem cannot prove that it is what may be deleted; delete it if nobody needs it"
                }
            };
            self.terminal.story(&format!("Kept `{name}`, {why}"));
        }
        self.tell_stopped(&recovered.ending.leftovers);
        for orphan in &recovered.orphans {
            let orphan = escape(orphan);
            self.terminal.story(&format!(
                "Left `{orphan}` alone: no journal owns it; delete it if nobody needs it"
            ));
        }
    }

    /// A signal ended the deletion and nothing else.
    fn tell_stopped(&self, leftovers: &Leftovers) {
        if leftovers.stopped {
            self.terminal.story(
                "Interrupted while deleting what is no longer needed. The next change here deletes the rest",
            );
        }
    }

    /// What became of what was replaced.
    fn tell_ending(&self, ending: &Ending, env: &str) {
        if let Some(kept) = &ending.kept {
            let number = kept.generation;
            let why = match kept.why {
                WhyKept::Asked => "what was replaced",
                WhyKept::Changed => "what somebody had changed",
                WhyKept::Uncertain => "what could not be proved to be replaceable",
            };
            self.terminal.story(&format!(
                "Kept {why} as generation {number}. Bring it back with `rvenv rollback {env}`"
            ));
        }
        self.tell_stopped(&ending.leftovers);
        for path in &ending.emptied {
            let path = escape(path.as_str());
            self.terminal.story(&format!(
                "Left the directory `{path}`, which is empty now and could not be moved"
            ));
        }
        if let Some(why) = &ending.leftovers.first {
            let count = counted(ending.leftovers.count, "entry");
            self.terminal.story(&format!(
                "{count} of what was replaced could not be deleted: {why}"
            ));
        }
    }

    /// Says why files were copied for an environment that may be given to another user.
    fn tell_receiver(&self, report: &Report) {
        let target = Path::new(report.plan.target());
        if report.counts.copied > 0
            && let Some((dir, owner)) = environment::receiver(self.fs.user(), target)
        {
            let shown = escape(&dir.to_string_lossy());
            self.terminal.story(&format!(
                "The files are copied, not linked: `{shown}` belongs to user {owner}, who may be given them"
            ));
        }
    }

    fn tell(&self, outcome: &Outcome, given: &OsStr, how: &str) {
        let shown = escape(&given.to_string_lossy());
        match outcome {
            Outcome::NoChanges(_) => self
                .terminal
                .story(&format!("`{shown}` is up to date: no changes")),
            Outcome::Published(report) => {
                let activate = escape(&quoted_activate(&given.to_string_lossy()));
                let done = match report.plan.publication() {
                    Publication::Swap | Publication::Refill => "Replaced",
                    Publication::Merge => "Changed",
                    Publication::Put | Publication::Nothing => "Created",
                };
                let change = render::python_change(&report.plan, &report.replaced);
                let how = change.unwrap_or_else(|| how.to_owned());
                // The digest of a large plan takes a while.
                self.terminal.detail_of(|| counts(report));
                let target = render::target(&given.to_string_lossy(), &report.replaced);
                self.terminal.story(&format!(
                    "{done} {target} {how}. Activate it with `{activate}`"
                ));
                self.tell_receiver(report);
                if let Some(loss) = render::loss(&report.plan, &report.replaced) {
                    self.terminal.story(&loss);
                }
                self.tell_ending(&report.ending, &word(&given.to_string_lossy()));
                let is_swap = report.plan.publication() == Publication::Swap;
                if is_swap && self.world.is_in(report.plan.target()) {
                    self.terminal.story(
                        "The working directory was replaced. Enter the new one with `cd \"$PWD\"`",
                    );
                }
            }
        }
    }
}

/// What a run may do beyond what was planned, and how it is looked at.
struct Manner<'a> {
    retention: Option<Retention>,
    permissions: Permissions<'a>,
    check: Option<&'a Checker<'a>>,
    compilation: Compilation,
}

/// Whether an interpreter may be started while a plan is carried out, to compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compilation {
    Refused,
    Allowed,
}

impl Compilation {
    fn of(asked: bool) -> Self {
        if asked { Self::Allowed } else { Self::Refused }
    }
}

impl Default for Manner<'_> {
    fn default() -> Self {
        Self {
            retention: None,
            permissions: Permissions {
                force: Force::No,
                cwd: None,
                lost: Lost::Refuse,
            },
            check: None,
            compilation: Compilation::Refused,
        }
    }
}

fn link_mode(args: &RunArgs) -> LinkMode {
    match args.link_mode {
        LinkModeArg::Auto => LinkMode::Auto,
        LinkModeArg::Reflink => LinkMode::Reflink,
        LinkModeArg::Hardlink => LinkMode::Hardlink,
        LinkModeArg::Copy => LinkMode::Copy,
    }
}

/// A path as a word of a command that a message offers: quoted for the shell, and no option.
fn word(path: &str) -> String {
    let plain = if path.starts_with('-') {
        format!("./{path}")
    } else {
        path.to_owned()
    };
    escape(&rvenv::activate::quote_posix(&plain))
}

fn quoted_activate(env_dir: &str) -> String {
    format!("source {}", word(&format!("{env_dir}/bin/activate")))
}

fn counts(report: &Report) -> String {
    let c = report.counts;
    let acts: Vec<Act> = report.steps.iter().map(|step| step.act).collect();
    let way = match acts.as_slice() {
        _ if report.plan.publication().is_by_entries() => counted(acts.len(), "rename"),
        [Act::Swap { .. }] => "one exchange".to_owned(),
        [Act::Take { .. }, ..] => "take and put: this filesystem has no exchange".to_owned(),
        _ => "one rename".to_owned(),
    };
    let barrier = match c.barrier {
        Some(Barrier::Filesystem) => "made durable by one sync of the filesystem",
        Some(Barrier::PerObject) => "made durable file by file",
        None => "not synced",
    };
    let unlinked = c.unlinked.map_or("", |why| match why {
        Unlinked::Group => ", not linked: a link would have another group than its directory gives",
        Unlinked::Acl => ", not linked: a link would have another ACL than its directory gives",
    });
    format!(
        "{} linked, {} shared, {} copied, {} written{unlinked}; {barrier}; published by {way}; digest {}",
        counted(c.linked, "file"),
        c.reflinked,
        c.copied,
        c.written,
        report.plan.digest()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::State;

    /// What stands under an error of a command that had not begun anything.
    #[test]
    fn each_command_says_of_what_it_may_change_that_it_did_not() {
        let cases: [(&[&str], Option<State>); 22] = [
            (&["create", "E"], Some(State::AsBefore)),
            (&["create", "E", "--dry-run"], None),
            (&["upgrade", "E"], Some(State::AsBefore)),
            (&["upgrade", "E", "--dry-run"], None),
            (&["repair", "E"], Some(State::AsBefore)),
            (&["repair", "E", "--dry-run"], None),
            (&["apply", "p"], Some(State::AsBefore)),
            (&["rollback", "E"], Some(State::AsBefore)),
            (&["recover", "E"], Some(State::AsBefore)),
            (&["plan", "E"], None),
            (&["plan", "E", "-o", "p"], None),
            (&["plan", "E", "--json"], None),
            (&["status", "E"], None),
            (&["verify", "E"], None),
            (&["python", "list"], None),
            (&["python", "find"], None),
            (&["cache", "dir"], None),
            (&["cache", "verify"], Some(State::CacheAsBefore)),
            (&["cache", "prune"], Some(State::CacheAsBefore)),
            (&["cache", "clear"], Some(State::CacheAsBefore)),
            (&["create", "E", "F", "--dry-run"], None),
            (&["create", "E", "F"], Some(State::AsBefore)),
        ];
        for (words, expected) in cases {
            let cli = Cli::try_parse_from([&["rvenv"], words].concat()).unwrap();
            assert_eq!(effect(&cli.command).not_begun(), expected, "{words:?}");
        }
    }
}
