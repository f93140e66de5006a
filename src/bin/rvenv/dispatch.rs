//! From the command line to the command that carries it out, and from its end to the exit code.
//!
//! Promises that every error is printed here, with the state of what the command may change.
//! Read next: `args.rs` for the command line, `commands.rs` for the commands.

use std::error::Error as _;
use std::ffi::OsString;

use clap::Parser as _;
use rvenv::render::escape;

use crate::advice::{CliError, Code, Effect, Exit, of_usage, private_by};
use crate::args::{CacheCommand, Cli, Colour, Command, Deferred};
use crate::commands::explain::explain;
use crate::commands::manual::{completions, man};
use crate::other_words;
use crate::session::Session;
use crate::settings;
use crate::terminal::{Terminal, Volume};
use crate::too_long;
use crate::world::World;

/// Carries out a command line.
pub(crate) fn run(typed: impl IntoIterator<Item = OsString>) -> Exit {
    let typed: Vec<OsString> = typed.into_iter().collect();
    let cli = match Cli::try_parse_from(&typed) {
        Ok(cli) => cli,
        Err(mut error) => {
            other_words::add_tip(&mut error, &typed);
            return tell_parsing(&error, &typed);
        }
    };
    let terminal = terminal(&cli);
    let done = without_world(&cli, terminal).unwrap_or_else(|| in_world(&cli, &typed));
    match done {
        Ok(exit) => exit,
        Err(error) => {
            let error = error.or_not_begun(effect(&cli.command));
            if cli.json {
                tell_json(terminal, &error);
            }
            terminal.error(&error.text());
            error.exit()
        }
    }
}

fn terminal(cli: &Cli) -> Terminal {
    let volume = match (cli.quiet, cli.verbose) {
        (true, _) => Volume::Quiet,
        (false, true) => Volume::Verbose,
        (false, false) => Volume::Normal,
    };
    Terminal::new(volume, cli.color)
}

/// Carries out a command that needs nothing of the machine.
fn without_world(cli: &Cli, terminal: Terminal) -> Option<Result<Exit, CliError>> {
    match &cli.command {
        Command::Explain(Deferred(args)) => Some(explain(terminal, cli.json, args)),
        Command::Completions(Deferred(args)) => Some(completions(terminal, cli.json, args)),
        Command::Man(Deferred(args)) => Some(man(terminal, cli.json, args)),
        Command::Create(_)
        | Command::Upgrade(_)
        | Command::Sync(_)
        | Command::Install(_)
        | Command::Uninstall(_)
        | Command::Plan(_)
        | Command::Lock(_)
        | Command::Apply(_)
        | Command::Push(_)
        | Command::Attach(_)
        | Command::Attached(_)
        | Command::Image(_)
        | Command::Show(_)
        | Command::Status(_)
        | Command::Verify(_)
        | Command::Repair(_)
        | Command::Rollback(_)
        | Command::Generations(_)
        | Command::Log(_)
        | Command::Remove(_)
        | Command::Recover(_)
        | Command::Python(_)
        | Command::Cache(_)
        | Command::Config
        | Command::List(_)
        | Command::Clone(_) => None,
    }
}

fn in_world(cli: &Cli, typed: &[OsString]) -> Result<Exit, CliError> {
    let world = World::read()?;
    let found = settings::found(&world)?;
    // Most command lines are complete as they were typed.
    let settled = match found.as_slice() {
        [] => None,
        found => Some(settings::settled(typed, found)?),
    };
    let cli = settled.as_ref().unwrap_or(cli);
    let session = Session::new(terminal(cli), &world, cli.json, name(&cli.command));
    dispatch(&session, &cli.command).map_err(|error| {
        if error.tells(&too_long::words()) {
            error.hint(too_long::hint(typed, &world.surroundings.cwd))
        } else {
            error
        }
    })
}

/// Reports what of the settings and of the cache is not used.
fn tell_unused(session: &Session<'_>, command: &Command) {
    for ignored in &session.world.surroundings.ignored {
        session.terminal.detail(ignored);
    }
    match command {
        Command::Create(_)
        | Command::Upgrade(_)
        | Command::Clone(_)
        | Command::Sync(_)
        | Command::Install(_)
        | Command::Uninstall(_)
        | Command::Plan(_)
        | Command::Apply(_)
        | Command::Push(_)
        | Command::Attach(_)
        | Command::Attached(_)
        | Command::Image(_)
        | Command::Repair(_)
        | Command::Lock(_)
        | Command::Python(_)
        | Command::Cache(CacheCommand::Dir) => tell_cache(session),
        // These need no cache, or (`cache`) report more about it themselves.
        Command::Rollback(_)
        | Command::Remove(_)
        | Command::Recover(_)
        | Command::Generations(_)
        | Command::Show(_)
        | Command::List(_)
        | Command::Log(_)
        | Command::Status(_)
        | Command::Verify(_)
        | Command::Cache(_)
        | Command::Config
        | Command::Explain(_)
        | Command::Completions(_)
        | Command::Man(_) => {}
    }
}

fn dispatch(session: &Session<'_>, command: &Command) -> Result<Exit, CliError> {
    tell_unused(session, command);
    match command {
        Command::Create(Deferred(args)) => session.create(args),
        Command::Upgrade(Deferred(args)) => session.upgrade(args),
        Command::Clone(Deferred(args)) => session.clone_env(args),
        Command::Sync(Deferred(args)) => session.sync(&args.change),
        Command::Install(Deferred(args)) => session.sync(&args.change),
        Command::Uninstall(Deferred(args)) => session.sync(&args.change),
        Command::Plan(Deferred(args)) => session.plan(args),
        Command::Lock(Deferred(args)) => session.lock(args),
        Command::Show(Deferred(args)) => session.show_saved(args),
        Command::Apply(Deferred(args)) => session.apply(args),
        Command::Push(Deferred(args)) => session.push(args),
        Command::Attach(Deferred(args)) => session.attach(args),
        Command::Attached(Deferred(args)) => session.attached(args),
        Command::Image(Deferred(args)) => session.image(args),
        Command::Repair(Deferred(args)) => session.repair(args),
        Command::Rollback(Deferred(args)) => session.rollback(args),
        Command::Log(Deferred(args)) => session.log(args),
        Command::Remove(Deferred(args)) => session.remove(args),
        Command::Recover(Deferred(args)) => session.recover(args),
        Command::Generations(Deferred(args)) => session.generations(args),
        Command::List(Deferred(args)) => session.list(args),
        Command::Status(Deferred(args)) if args.sbom => session.sbom(args),
        Command::Status(Deferred(args)) => session.status(args),
        Command::Verify(Deferred(args)) if !args.files.is_empty() => session.prove(args),
        Command::Verify(Deferred(args)) => match &args.against {
            Some(against) => session.verify_against(args, against),
            None => session.verify(args),
        },
        Command::Python(command) => session.python(command),
        Command::Cache(command) => session.cache(command),
        Command::Config => session.config(),
        Command::Explain(Deferred(args)) => explain(session.terminal, session.json, args),
        Command::Completions(Deferred(args)) => completions(session.terminal, session.json, args),
        Command::Man(Deferred(args)) => man(session.terminal, session.json, args),
    }
}

/// Reports why the default cache is not used, if it is not private to the user; a cache that the
/// user named has been refused before.
fn tell_cache(session: &Session<'_>) {
    let Some(cache) = &session.world.cache else {
        return;
    };
    let Err(why) = cache.dir() else { return };
    let shown = escape(&why.to_string());
    let Some(mend) = private_by(&why) else {
        let why = why
            .source()
            .map(|cause| format!(": {}", escape(&cause.to_string())));
        let text = format!("no cache is used: {shown}{}", why.unwrap_or_default());
        if session.world.names_cache() {
            session.terminal.escaped_warning(&text);
        } else {
            // An example is root with the home of another user: nothing is wrong there.
            session.terminal.detail(&text);
        }
        return;
    };
    session.terminal.escaped_warning(&format!(
        "no cache is used: {shown}. Make it private with `{mend}`"
    ));
}

/// The command as it is typed, for the log of the environment that it changes.
fn name(command: &Command) -> &'static str {
    match command {
        Command::Create(_) => "rvenv create",
        Command::Clone(_) => "rvenv clone",
        Command::Upgrade(_) => "rvenv upgrade",
        Command::Sync(_) => "rvenv sync",
        Command::Install(_) => "rvenv install",
        Command::Uninstall(_) => "rvenv uninstall",
        Command::Apply(_) => "rvenv apply",
        Command::Repair(_) => "rvenv repair",
        Command::Rollback(_) => "rvenv rollback",
        Command::Recover(_) => "rvenv recover",
        Command::Generations(_) => "rvenv generations",
        Command::Remove(_) => "rvenv remove",
        // These change no environment.
        Command::Plan(_)
        | Command::Push(_)
        | Command::Attach(_)
        | Command::Attached(_)
        | Command::Image(_)
        | Command::Lock(_)
        | Command::Log(_)
        | Command::Show(_)
        | Command::List(_)
        | Command::Status(_)
        | Command::Verify(_)
        | Command::Python(_)
        | Command::Cache(_)
        | Command::Config
        | Command::Explain(_)
        | Command::Completions(_)
        | Command::Man(_) => "rvenv",
    }
}

/// What a command may have changed when it fails; decides which state is printed.
fn effect(command: &Command) -> Effect {
    match command {
        Command::Create(Deferred(args)) if args.output.dry_run => Effect::Nothing,
        Command::Upgrade(Deferred(args)) if args.0.output.dry_run => Effect::Nothing,
        Command::Clone(Deferred(args)) if args.output.dry_run => Effect::Nothing,
        Command::Sync(Deferred(args)) if args.change.create.output.dry_run => Effect::Nothing,
        Command::Install(Deferred(args)) if args.change.create.output.dry_run => Effect::Nothing,
        Command::Uninstall(Deferred(args)) if args.change.create.output.dry_run => Effect::Nothing,
        Command::Apply(Deferred(args)) if args.dry_run => Effect::Nothing,
        Command::Repair(Deferred(args)) if args.output.dry_run => Effect::Nothing,
        Command::Remove(Deferred(args)) if args.dry_run => Effect::Nothing,
        Command::Generations(Deferred(args)) if args.dry_run || !args.prune => Effect::Nothing,
        Command::Create(_)
        | Command::Upgrade(_)
        | Command::Clone(_)
        | Command::Sync(_)
        | Command::Install(_)
        | Command::Uninstall(_)
        | Command::Apply(_)
        | Command::Repair(_)
        | Command::Rollback(_)
        | Command::Remove(_)
        | Command::Generations(_)
        | Command::Recover(_) => Effect::Target,
        Command::Plan(_)
        | Command::Push(_)
        | Command::Attach(_)
        | Command::Attached(_)
        | Command::Image(_)
        | Command::Lock(_)
        | Command::Show(_)
        | Command::List(_)
        | Command::Log(_)
        | Command::Status(_)
        | Command::Verify(_)
        | Command::Python(_)
        | Command::Config
        | Command::Explain(_)
        | Command::Completions(_)
        | Command::Man(_)
        | Command::Cache(CacheCommand::Dir | CacheCommand::Push(_) | CacheCommand::Pull(_)) => {
            Effect::Nothing
        }
        Command::Cache(CacheCommand::Verify | CacheCommand::Prune(_) | CacheCommand::Clear) => {
            Effect::Cache
        }
    }
}

/// Prints an error as JSON. If standard output takes nothing, the text on standard error has all.
fn tell_json(terminal: Terminal, error: &CliError) {
    let _lost = terminal.json(&format!("{}\n", error.json()));
}

/// Help and version are data; every other output of clap is a usage error.
fn tell_parsing(said: &clap::Error, typed: &[OsString]) -> Exit {
    let terminal = Terminal::new(Volume::Normal, Colour::Auto);
    let text = said.render().ansi().to_string();
    if said.use_stderr() {
        let mut options = typed.iter().take_while(|word| *word != "--");
        if options.any(|word| word == "--json") {
            tell_json(terminal, &of_usage(&said.render().to_string()));
        }
        terminal.error(&text.replacen("error:", &format!("error[{}]:", Code::Usage.name()), 1));
        return Exit::Usage;
    }
    match terminal.data(&text) {
        Ok(()) => Exit::Done,
        Err(error) => {
            terminal.error(&error.text());
            error.exit()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::State;

    /// The state that is printed under an error of a command that had not begun anything.
    #[test]
    fn each_command_says_of_what_it_may_change_that_it_did_not() {
        let cases: [(&[&str], Option<State>); 42] = [
            (&["create", "E"], Some(State::AsBefore)),
            (&["create", "E", "--dry-run"], None),
            (&["upgrade", "E"], Some(State::AsBefore)),
            (&["upgrade", "E", "--dry-run"], None),
            (&["clone", "E", "F"], Some(State::AsBefore)),
            (&["clone", "E", "F", "--dry-run"], None),
            (&["repair", "E"], Some(State::AsBefore)),
            (&["repair", "E", "--dry-run"], None),
            (&["apply", "p"], Some(State::AsBefore)),
            (&["apply", "p", "--dry-run"], None),
            (&["push", "p", "oci://h/r"], None),
            (&["attach", "oci://h/r", "f", "--type", "a/b"], None),
            (&["attached", "oci://h/r"], None),
            (&["image", "p", "-o", "i"], None),
            (&["cache", "push", "oci://h/r"], None),
            (&["cache", "pull", "oci://h/r"], None),
            (&["show", "p"], None),
            (&["list"], None),
            (&["rollback", "E"], Some(State::AsBefore)),
            (&["remove", "E"], Some(State::AsBefore)),
            (&["remove", "E", "--dry-run"], None),
            (&["recover", "E"], Some(State::AsBefore)),
            (&["plan", "E"], None),
            (&["plan", "E", "-o", "p"], None),
            (&["plan", "E", "--json"], None),
            (&["lock"], None),
            (&["status", "E"], None),
            (&["log", "E"], None),
            (&["generations", "E"], None),
            (&["generations", "E", "--prune", "--dry-run"], None),
            (&["generations", "E", "--prune"], Some(State::AsBefore)),
            (&["verify", "E"], None),
            (&["python", "list"], None),
            (&["python", "find"], None),
            (&["cache", "dir"], None),
            (&["explain"], None),
            (&["config"], None),
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
