//! `rvenv repair`: restores what rvenv published.

use std::path::Path;

use rvenv::caller::{Compilation, RunTerms};
use rvenv::checks;
use rvenv::environment::{self, Checker};
use rvenv::hooks::Venv;
use rvenv::python::Purpose;

use super::asking::retention;
use crate::advice::{CliError, Exit, of_plan};
use crate::args::RepairArgs;
use crate::health_checks::may_run;
use crate::session::Session;

impl Session<'_> {
    pub(crate) fn repair(&self, args: &RepairArgs) -> Result<Exit, CliError> {
        let env_dir = self.world.env_dir(&args.env_dir)?;
        let named = self.typed_python(args.python.as_ref());
        let named = named.map_err(|error| self.not_found(&error, None))?;
        let purpose = if args.dry_run {
            Purpose::Show
        } else {
            Purpose::Change
        };
        let context = self.with_caller(|caller| caller.prepare_repair(&env_dir, &named, purpose));
        let context = context.map_err(|failed| self.unanswered(failed, args.python.as_ref()))?;
        if args.dry_run {
            let plan = environment::plan_repair(&self.fs, &Venv, &context);
            self.show(&plan.map_err(|error| of_plan(&error))?)?;
            return Ok(Exit::Done);
        }
        let commands = &args.replace.check;
        if !commands.is_empty() {
            may_run(&env_dir, args.replace.allow_other_owner)?;
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
        self.tell(&outcome, &args.env_dir, "as its receipt says");
        Ok(Exit::Done)
    }
}
