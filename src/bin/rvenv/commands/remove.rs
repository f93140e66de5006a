//! `rvenv remove`: takes an environment away, whole.

use std::ffi::OsStr;
use std::path::Path;

use rvenv::caller::RunTerms;
use rvenv::environment::{self, Removed};
use rvenv::generations::Contents;
use rvenv::render::escape;
use rvenv_journal::Retention;
use rvenv_journal::raw::{Ending, counted};

use super::done::{Changed, Changes, Kind};
use super::generations::json_of;
use crate::advice::{CliError, Exit};
use crate::args::{DurabilityArg, LinkModeArg, RemoveArgs, RunArgs};
use crate::session::Session;
use crate::shell_words::word;

impl Session<'_> {
    pub(crate) fn remove(&self, args: &RemoveArgs) -> Result<Exit, CliError> {
        let mut exit = Exit::Done;
        let mut changed = Vec::new();
        for (given, env_dir) in self.env_dirs(&args.env_dirs)? {
            match self.remove_one(args, given, &env_dir) {
                Ok((ended, done)) => {
                    changed.extend(done);
                    if ended != Exit::Done {
                        exit = ended;
                    }
                }
                Err(error) if changed.is_empty() => return Err(error),
                Err(error) => return Err(error.beside(&Changes::of(changed))),
            }
        }
        if self.json {
            self.terminal.json(&json_of(&Changes::of(changed)))?;
        }
        Ok(exit)
    }

    /// Removes an environment, or says what would be removed.
    fn remove_one(
        &self,
        args: &RemoveArgs,
        given: &OsStr,
        env_dir: &str,
    ) -> Result<(Exit, Option<Changed>), CliError> {
        let path = Path::new(env_dir);
        let shown = escape(&given.to_string_lossy());
        let run = RunArgs {
            durability: DurabilityArg::Power,
            link_mode: LinkModeArg::Auto,
            lock: args.lock,
        };
        let terms = RunTerms {
            retention: args.keep.then_some(Retention::Keep),
            permissions: self.permissions(args.force, false),
            ..RunTerms::default()
        };
        let before = self.before(env_dir);
        if args.dry_run {
            let contents = self.run(&run, &terms, |run| environment::look_at_removed(run, path))?;
            let done = if args.keep {
                "remove and keep"
            } else {
                "remove"
            };
            self.terminal
                .story(&format!("Would {done} `{shown}`{}", of_what(&contents)));
            let nothing = Ending::default();
            let of = |before| self.since(before, Kind::WouldBeRemoved, &nothing);
            return Ok((Exit::Done, before.map(of)));
        }
        let removed = self.run(&run, &terms, |run| environment::remove(run, path))?;
        let ended = self.tell_removed(&removed, &shown, &word(&given.to_string_lossy()));
        let of = |before| self.since(before, Kind::Removed, &removed.ending);
        Ok((ended, before.map(of)))
    }

    fn tell_removed(&self, removed: &Removed, shown: &str, env: &str) -> Exit {
        let Removed {
            contents,
            ending,
            pruned,
        } = removed;
        self.terminal
            .story(&format!("Removed `{shown}`{}", of_what(contents)));
        self.terminal.tell_ending(ending, env);
        if !pruned.deleted.is_empty() {
            let count = counted(pruned.deleted.len(), "generation");
            self.terminal.story(&format!("Deleted {count} of it"));
        }
        for (number, why) in &pruned.failed {
            self.terminal
                .warning(&format!("generation {number} stays: {why}"));
        }
        if pruned.failed.is_empty() {
            Exit::Done
        } else {
            Exit::NeedsPerson
        }
    }
}

/// The Python and the packages, in parentheses.
fn of_what(contents: &Contents) -> String {
    let packages = counted(contents.in_use().len(), "package");
    match &contents.python {
        Some(version) => format!(" (Python {}, {packages})", escape(version)),
        None => String::new(),
    }
}
