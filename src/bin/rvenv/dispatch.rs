//! From the command line to the command that carries it out, and from its end to the exit code.
//!
//! Promises that every error is printed here, with the state of what the command may change.
//! Read next: `args.rs` for the command line, `commands.rs` for the commands.

use std::ffi::OsString;

use clap::Parser as _;
use rvenv::render::escape;

use crate::advice::{CliError, Effect, Exit, private_by};
use crate::args::{CacheCommand, Cli, Colour, Command, Deferred};
use crate::session::Session;
use crate::terminal::{Terminal, Volume};
use crate::too_long;
use crate::world::World;

/// Carries out a command line.
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
        let done = dispatch(&Session::new(terminal, &world), &cli.command);
        done.map_err(|error| {
            if error.tells(&too_long::words()) {
                error.hint(too_long::hint(&typed, &world.surroundings.cwd))
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

fn dispatch(session: &Session<'_>, command: &Command) -> Result<Exit, CliError> {
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
        | Command::Repair(_)
        | Command::Lock(_)
        | Command::Python(_) => tell_cache(session),
        // These need no cache, or (`cache`) report more about it themselves.
        Command::Rollback(_)
        | Command::Recover(_)
        | Command::Generations(_)
        | Command::Show(_)
        | Command::List(_)
        | Command::Status(_)
        | Command::Verify(_)
        | Command::Cache(_) => {}
    }
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
        Command::Repair(Deferred(args)) => session.repair(args),
        Command::Rollback(Deferred(args)) => session.rollback(args),
        Command::Recover(Deferred(args)) => session.recover(args),
        Command::Generations(Deferred(args)) => session.generations(args),
        Command::List(Deferred(args)) => session.list(args),
        Command::Status(Deferred(args)) if args.sbom => session.sbom(args),
        Command::Status(Deferred(args)) => session.status(args),
        Command::Verify(Deferred(args)) if !args.files.is_empty() => session.prove(args),
        Command::Verify(Deferred(args)) => session.verify(args),
        Command::Python(command) => session.python(command),
        Command::Cache(command) => session.cache(command),
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
        // An example is root with the home of another user: nothing is wrong there.
        session
            .terminal
            .detail(&format!("no cache is used: {shown}"));
        return;
    };
    session.terminal.escaped_warning(&format!(
        "no cache is used: {shown}. Make it private with `{mend}`"
    ));
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
        | Command::Generations(_)
        | Command::Recover(_) => Effect::Target,
        Command::Plan(_)
        | Command::Lock(_)
        | Command::Show(_)
        | Command::List(_)
        | Command::Status(_)
        | Command::Verify(_)
        | Command::Python(_)
        | Command::Cache(CacheCommand::Dir) => Effect::Nothing,
        Command::Cache(
            CacheCommand::Verify(_) | CacheCommand::Prune(_) | CacheCommand::Clear(_),
        ) => Effect::Cache,
    }
}

/// Help and version are data; every other output of clap is a usage error.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::State;

    /// The state that is printed under an error of a command that had not begun anything.
    #[test]
    fn each_command_says_of_what_it_may_change_that_it_did_not() {
        let cases: [(&[&str], Option<State>); 31] = [
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
            (&["show", "p"], None),
            (&["list"], None),
            (&["rollback", "E"], Some(State::AsBefore)),
            (&["recover", "E"], Some(State::AsBefore)),
            (&["plan", "E"], None),
            (&["plan", "E", "-o", "p"], None),
            (&["plan", "E", "--json"], None),
            (&["lock"], None),
            (&["status", "E"], None),
            (&["generations", "E"], None),
            (&["generations", "E", "--prune", "--dry-run"], None),
            (&["generations", "E", "--prune"], Some(State::AsBefore)),
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
