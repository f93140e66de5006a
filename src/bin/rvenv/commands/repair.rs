//! `rvenv repair`: restores what rvenv published.

use std::ffi::OsStr;
use std::path::Path;

use rvenv::caller::{Compilation, RunTerms};
use rvenv::checks;
use rvenv::environment::{self, Checker, Outcome};
use rvenv::hooks::Venv;
use rvenv::python::Purpose;
use rvenv::render::escape;
use rvenv::repair;
use rvenv::verify::Departed;
use rvenv_journal::Fs as _;

use super::asking::retention;
use crate::advice::{CliError, Exit, of_plan};
use crate::args::RepairArgs;
use crate::health_checks::may_run;
use crate::session::Session;
use crate::shell_words::word;

impl Session<'_> {
    pub(crate) fn repair(&self, args: &RepairArgs) -> Result<Exit, CliError> {
        let env_dir = self.world.env_dir(&args.target.env_dir)?;
        let named = self.typed_python(args.python.as_ref());
        let named = named.map_err(|error| self.not_found(&error, None))?;
        let purpose = if args.output.dry_run {
            Purpose::Show
        } else {
            Purpose::Change
        };
        let context = self.with_caller(|caller| caller.prepare_repair(&env_dir, &named, purpose));
        let context = context.map_err(|failed| self.unanswered(failed, args.python.as_ref()))?;
        if args.output.dry_run {
            let plan = environment::plan_repair(&self.fs, &Venv, &context);
            self.show(&plan.map_err(|error| of_plan(&error))?)?;
            return Ok(Exit::Done);
        }
        let departed = self.left_alone(&env_dir);
        let commands = &args.replace.checks.check;
        if !commands.is_empty() {
            may_run(&env_dir, args.replace.checks.allow_other_owner)?;
        }
        let checker = || {
            // The receipt may lead to another interpreter than the one that may be started.
            checks::is_of(Path::new(&env_dir), &context.interpreter)?;
            self.check_published(Path::new(&env_dir), commands)
        };
        let terms = RunTerms {
            retention: retention(&args.replace),
            check: (!commands.is_empty()).then_some(&checker as &Checker<'_>),
            compilation: Compilation::of(context.options.compile_bytecode),
            ..RunTerms::default()
        };
        let outcome = self.run(&args.run, &terms, |run| {
            environment::repair(run, &Venv, &context)
        })?;
        self.tell_repair(&outcome, &args.target.env_dir);
        for departed in departed {
            let published = escape(&departed.published.to_string());
            self.terminal.story(&match &departed.replacement {
                Some(by) => {
                    let by = escape(&by.to_string());
                    format!("Left {by} as it is: another installer put it in place of {published}")
                }
                None => format!("Did not restore {published}: another installer uninstalled it"),
            });
        }
        Ok(Exit::Done)
    }

    /// A repair restores what rvenv published, which is not all that an environment consists of.
    fn tell_repair(&self, outcome: &Outcome, given: &OsStr) {
        let Outcome::NoChanges(_) = outcome else {
            return self.tell(outcome, given, "as its receipt says");
        };
        let given = given.to_string_lossy();
        let (shown, env) = (escape(&given), word(&given));
        self.terminal.story(&format!(
            "What rvenv published in `{shown}` is as it was: no changes; `rvenv verify {env}` \
             checks the rest too"
        ));
    }

    /// What a repair will not touch; nothing if that cannot be seen, which the repair itself
    /// reports.
    fn left_alone(&self, env_dir: &str) -> Vec<Departed> {
        let root = self.fs.open_path(Path::new(env_dir));
        let found = root.and_then(|root| repair::left_alone(&self.fs, &root));
        found.unwrap_or_default()
    }
}
