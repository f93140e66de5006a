//! `rvenv repair`: restores what rvenv published.

use std::path::Path;

use rvenv::checks;
use rvenv::environment::{self, Checker};
use rvenv::hooks::Venv;

use super::create::retention;
use super::preparing::Intent;
use crate::advice::{CliError, Exit, of_plan};
use crate::args::RepairArgs;
use crate::health_checks::may_run;
use crate::session::{Compilation, Manner, Session};

impl Session<'_> {
    pub(crate) fn repair(&self, args: &RepairArgs) -> Result<Exit, CliError> {
        let env_dir = self.world.env_dir(&args.env_dir)?;
        let context = self.prepare_repair(args, &env_dir)?;
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
            // The receipt may lead elsewhere than the interpreter that may be started.
            checks::is_of(Path::new(&env_dir), &context.interpreter)?;
            self.check_published(Path::new(&env_dir), commands)
        };
        let manner = Manner {
            retention: retention(&args.replace, Intent::Create),
            check: (!commands.is_empty()).then_some(&checker as &Checker<'_>),
            compilation: Compilation::of(context.options.compile_bytecode),
            ..Manner::default()
        };
        let outcome = self.run(&args.run, &manner, |run| {
            environment::repair(run, &Venv, &context)
        })?;
        self.tell(&outcome, &args.env_dir, "as its receipt says");
        Ok(Exit::Done)
    }
}
