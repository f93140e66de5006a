//! The commands: what is typed becomes plans and runs, and their ends become words and exit codes.
//!
//! Promises that the world (environment, working directory, clock, terminal, signals) is read here and in the files
//! below, and handed down; that data goes to standard output and the story to standard error.
//! Read next: `cli/args.rs` for what can be typed, `error.rs` for what is said on failure.

mod args;
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
use rvenv::builder::{Context, EnvBuilder};
use rvenv::environment::{self, Force, Outcome, Report, Run};
use rvenv::interpreter::{self, Control, Interpreter, Request};
use rvenv::options::{Options, Prompt};
use rvenv::render::{self, Detail, escape};
use rvenv_journal::fs::real::RealFs;
use rvenv_journal::{
    Decision, Digest, Durability, LinkMode, PLAN_BYTES_MAX, Patience, Plan, Publication, Recovered,
    Step, WhyKept,
};

use self::args::{
    ApplyArgs, Cli, Command, CreateArgs, DurabilityArg, LinkModeArg, PlanArgs, RecoverArgs,
    RunArgs, VenvArgs, VerifyArgs,
};
use self::signals::Signals;
use self::terminal::{Terminal, Volume};
use self::world::World;
use crate::error::{CliError, Exit, of_interpreter, of_plan, of_plan_file, of_run};

/// How long a waiter sleeps before it tries the lock again.
const PAUSE: Duration = Duration::from_millis(20);

/// Carries out what was typed.
pub(crate) fn run(typed: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(typed) {
        Ok(cli) => cli,
        Err(error) => {
            let _reader = error.print();
            return if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
        }
    };
    let volume = match (cli.quiet, cli.verbose) {
        (true, _) => Volume::Quiet,
        (false, true) => Volume::Verbose,
        (false, false) => Volume::Normal,
    };
    let terminal = Terminal::new(volume, cli.color);
    match World::read().and_then(|world| Session::new(terminal, &world).dispatch(&cli.command)) {
        Ok(exit) => exit,
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
        match command {
            Command::Create(args) if args.dry_run => self.dry_run(args),
            Command::Create(args) => self.create(args),
            Command::Plan(args) => self.plan(args),
            Command::Apply(args) => self.apply(args),
            Command::Recover(args) => self.recover(args),
            Command::Status(args) => {
                let path = self.world.env_dir(&args.env_dir)?;
                let text = status::status(&self.fs, Path::new(&path), args.json)?;
                self.terminal.data(&text);
                Ok(Exit::Done)
            }
            Command::Verify(args) => self.verify(args),
        }
    }

    fn create(&self, args: &CreateArgs) -> Result<Exit, CliError> {
        let targets = self.env_dirs(&args.env_dirs)?;
        let interpreter = self.interpreter(&args.venv)?;
        for (given, env_dir) in targets {
            let context = self.context(&args.venv, &interpreter, &env_dir)?;
            let outcome = self.run(&args.run, force(args.venv.force), |run| {
                environment::create(run, &EnvBuilder, &context)
            })?;
            let version = &context.interpreter.version.text;
            self.tell(&outcome, given, &format!("with Python {version}"));
        }
        Ok(Exit::Done)
    }

    fn dry_run(&self, args: &CreateArgs) -> Result<Exit, CliError> {
        let targets = self.env_dirs(&args.env_dirs)?;
        let interpreter = self.interpreter(&args.venv)?;
        for (_, env_dir) in targets {
            let plan = self.make_plan(&args.venv, &interpreter, &env_dir)?;
            self.show(&plan);
        }
        Ok(Exit::Done)
    }

    fn plan(&self, args: &PlanArgs) -> Result<Exit, CliError> {
        let env_dir = self.world.env_dir(&args.env_dir)?;
        let interpreter = self.interpreter(&args.venv)?;
        let plan = self.make_plan(&args.venv, &interpreter, &env_dir)?;
        if args.json {
            self.terminal.data(&plan.to_json());
        } else {
            self.show(&plan);
        }
        if let Some(file) = &args.out {
            save(&plan, file)?;
            let shown = escape(&file.to_string_lossy());
            self.terminal.story(&format!(
                "Saved the plan. Apply it with `rvenv apply {shown}`"
            ));
        }
        let pending = plan.publication() != Publication::Nothing;
        Ok(if args.detailed_exitcode && pending {
            Exit::Pending
        } else {
            Exit::Done
        })
    }

    fn apply(&self, args: &ApplyArgs) -> Result<Exit, CliError> {
        let shown = args.plan_file.to_string_lossy();
        let read = rvenv_journal::Fs::read_path(&self.fs, &args.plan_file, PLAN_BYTES_MAX);
        let bytes = read.map_err(|error| {
            CliError::new(
                Exit::Failed,
                format!("cannot read the plan `{}`", escape(&shown)),
            )
            .because(&error.source)
            .hint("make one with `rvenv plan -o FILE`")
        })?;
        let plan = Plan::from_json(&bytes).map_err(|error| of_plan_file(&shown, &error))?;
        if let Some(pinned) = &args.digest {
            check_digest(&plan, pinned)?;
        }
        let target = plan.target().to_owned();
        let outcome = self.run(&args.run, force(args.force), |run| {
            environment::apply(run, plan)
        })?;
        self.tell(&outcome, OsStr::new(&target), "as planned");
        Ok(Exit::Done)
    }

    fn recover(&self, args: &RecoverArgs) -> Result<Exit, CliError> {
        let mut exit = Exit::Done;
        for (given, env_dir) in self.env_dirs(&args.env_dirs)? {
            let terms = RunArgs {
                durability: DurabilityArg::Power,
                link_mode: LinkModeArg::Auto,
                wait: args.wait,
            };
            let recovered = self.run(&terms, Force::No, |run| {
                environment::recover(run, Path::new(&env_dir))
            })?;
            let shown = escape(&given.to_string_lossy());
            match recovered.decision {
                Decision::Nothing if recovered.tidied == 0 => {
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
            self.terminal.data(&verify::json(&found));
        } else {
            self.terminal.data(&said.data);
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

    /// Every path is read before anything is done, so that a typing error in the last one costs nothing.
    fn env_dirs<'b>(&self, given: &'b [OsString]) -> Result<Vec<(&'b OsStr, String)>, CliError> {
        given
            .iter()
            .map(|given| Ok((given.as_os_str(), self.world.env_dir(given)?)))
            .collect()
    }

    fn interpreter(&self, args: &VenvArgs) -> Result<Interpreter, CliError> {
        let surroundings = &self.world.surroundings;
        let failed = |error| of_interpreter(&error, self.signals.terminated());
        let request = match &args.python {
            None => Request::Default,
            Some(text) => Request::parse(text, &surroundings.cwd).map_err(failed)?,
        };
        let control = Control {
            timeout: Control::TIMEOUT,
            interrupted: &|| self.signals.any(),
            starting: &|path| {
                self.terminal
                    .detail(&format!("asking `{}`", escape(&path.to_string_lossy())));
            },
        };
        interpreter::find(&request, surroundings, &control).map_err(failed)
    }

    fn context(
        &self,
        args: &VenvArgs,
        interpreter: &Interpreter,
        env_dir: &str,
    ) -> Result<Context, CliError> {
        let prompt = args.prompt.as_ref().map(|asked| Prompt {
            asked: asked.clone(),
            cwd_name: self.world.cwd_name(),
        });
        let options = Options {
            system_site_packages: args.system_site_packages,
            clear: args.clear,
            upgrade: false,
            upgrade_deps: false,
            symlinks: !args.copies,
            with_pip: !args.without_pip,
            prompt,
            scm_ignore_files: !args.without_scm_ignore_files,
            umask: self.world.umask,
            epoch: self.world.epoch,
        };
        Context::new(env_dir, interpreter.clone(), options).map_err(|error| of_plan(&error.into()))
    }

    fn make_plan(
        &self,
        args: &VenvArgs,
        interpreter: &Interpreter,
        env_dir: &str,
    ) -> Result<Plan, CliError> {
        let context = self.context(args, interpreter, env_dir)?;
        environment::plan(&self.fs, &EnvBuilder, &context, force(args.force))
            .map_err(|error| of_plan(&error))
    }

    fn show(&self, plan: &Plan) {
        self.terminal.data(&render::plan(plan, self.detail()));
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
        force: Force,
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
        let run = Run {
            fs: &self.fs,
            cache: self.world.cache.as_deref(),
            durability: match args.durability {
                DurabilityArg::Power => Durability::Power,
                DurabilityArg::Process => Durability::Process,
            },
            link_mode: match args.link_mode {
                LinkModeArg::Auto => LinkMode::Auto,
                LinkModeArg::Reflink => LinkMode::Reflink,
                LinkModeArg::Hardlink => LinkMode::Hardlink,
                LinkModeArg::Copy => LinkMode::Copy,
            },
            force,
            owner: &format!("process {}", std::process::id()),
            pause: &pause,
            interrupted: &|| self.signals.any(),
            recovered: &|recovered| self.tell_recovery(recovered),
        };
        work(&run).map_err(|error| of_run(&error, self.signals.terminated()))
    }

    fn tell_recovery(&self, recovered: &Recovered) {
        let what = match recovered.decision {
            Decision::Nothing | Decision::Wait | Decision::Refuse(_) => None,
            Decision::DropJournal | Decision::Discard => {
                Some("An earlier run died while building; its stage is gone")
            }
            Decision::Settle | Decision::VerifyThenSettle => {
                Some("An earlier run died after publishing; its environment stays")
            }
            Decision::Undo => {
                Some("An earlier run died while publishing; the environment before it is back")
            }
        };
        if let Some(what) = what {
            self.terminal.story(what);
        } else if recovered.tidied > 0 {
            self.terminal.detail(&format!(
                "deleted {} leftovers of earlier runs",
                recovered.tidied
            ));
        }
        if let Some(kept) = recovered
            .ending
            .kept
            .as_ref()
            .filter(|kept| kept.why != WhyKept::Asked)
        {
            let name = escape(&kept.name);
            self.terminal.story(&format!(
                "Kept `{name}`, which somebody changed after it was published"
            ));
        }
        for orphan in &recovered.orphans {
            let orphan = escape(orphan);
            self.terminal.story(&format!(
                "Left `{orphan}` alone: no journal owns it; delete it if nobody needs it"
            ));
        }
    }

    fn tell(&self, outcome: &Outcome, given: &OsStr, how: &str) {
        let shown = escape(&given.to_string_lossy());
        match outcome {
            Outcome::NoChanges => self
                .terminal
                .story(&format!("`{shown}` is up to date: no changes")),
            Outcome::Published(report) => {
                let activate = escape(&quoted_activate(&given.to_string_lossy()));
                let done = if report.plan.publication() == Publication::Swap {
                    "Replaced"
                } else {
                    "Created"
                };
                self.terminal.detail(&counts(report));
                self.terminal.story(&format!(
                    "{done} `{shown}` {how}. Activate it with `{activate}`"
                ));
                if let Some(why) = &report.ending.leftovers.first {
                    let count = report.ending.leftovers.count;
                    self.terminal.story(&format!(
                        "{count} entries of the old tree could not be deleted: {why}"
                    ));
                }
            }
        }
    }
}

fn force(forced: bool) -> Force {
    if forced { Force::Yes } else { Force::No }
}

fn quoted_activate(env_dir: &str) -> String {
    format!(
        "source {}",
        rvenv::activate::quote_posix(&format!("{env_dir}/bin/activate"))
    )
}

fn counts(report: &Report) -> String {
    let c = report.counts;
    let way = match report.steps.as_slice() {
        [Step::Swap { .. }] => "one exchange",
        [Step::Take { .. }, ..] => "take and put: this filesystem has no exchange",
        _ => "one rename",
    };
    format!(
        "{} files linked, {} shared, {} copied, {} written; published by {way}; digest {}",
        c.linked,
        c.reflinked,
        c.copied,
        c.written,
        report.plan.digest()
    )
}

fn check_digest(plan: &Plan, pinned: &str) -> Result<(), CliError> {
    let digest = Digest::parse(pinned)
        .map_err(|error| CliError::new(Exit::Usage, escape(&error.to_string())))
        .map_err(|error| error.hint("`rvenv plan` prints the digest of a plan"))?;
    if plan.digest() == digest {
        return Ok(());
    }
    let what = format!(
        "the plan has the digest {}, not the one that was asked for",
        plan.digest()
    );
    Err(CliError::new(Exit::Precondition, what).hint("look at the plan again before you apply it"))
}

/// Saves a plan whole or not at all: somebody may be about to apply the former one.
fn save(plan: &Plan, file: &Path) -> Result<(), CliError> {
    use std::io::Write as _;
    let above = match file.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        Some(_) | None => Path::new("."),
    };
    let saved = tempfile::NamedTempFile::new_in(above).and_then(|mut temp| {
        temp.write_all(plan.to_json().as_bytes())?;
        temp.as_file().sync_all()?;
        temp.persist(file).map(drop).map_err(|error| error.error)
    });
    saved.map_err(|error| {
        let shown = escape(&file.to_string_lossy());
        CliError::new(Exit::Failed, format!("cannot save the plan to `{shown}`"))
            .because(&error)
            .hint("name a file in a directory that is there and writable")
    })
}
