//! `rvenv create`: plans and applies in one step.
//!
//! Promises that the permissions of a run (to delete what is not an environment, to lose packages,
//! to run health checks) come from its own command line, and that every path is checked before
//! anything is done.
//! Read next: the library's `environment.rs`, which carries it out.

use std::mem::ManuallyDrop;

use rvenv::caller::{Compilation, RunTerms};
use rvenv::environment::{self, Checker};
use rvenv::hooks::Venv;
use rvenv::python::Purpose;
use rvenv::request::{Answer, EnvRequest, Intent};

use super::asking::{intent, retention};
use crate::advice::{CliError, Exit};
use crate::args::CreateArgs;
use crate::health_checks::allow;
use crate::session::Session;

impl Session<'_> {
    pub(crate) fn create(&self, args: &CreateArgs) -> Result<Exit, CliError> {
        self.create_or_upgrade(args, intent(&args.venv))
    }

    pub(crate) fn create_or_upgrade(
        &self,
        args: &CreateArgs,
        intent: Intent,
    ) -> Result<Exit, CliError> {
        let targets = self.env_dirs(&args.env_dirs)?;
        for (given, env_dir) in targets {
            let purpose = if args.output.dry_run {
                Purpose::Show
            } else {
                Purpose::Change
            };
            let request = EnvRequest {
                purpose,
                ..self.request(&args.venv, intent, &env_dir)?
            };
            let answer = self.with_caller(|caller| caller.prepare(&request));
            // The process ends soon; freeing every part of a plan and its context would take a
            // millisecond.
            let mut answer = ManuallyDrop::new(
                answer.map_err(|failed| self.unanswered(failed, args.venv.python.as_ref()))?,
            );
            let downloads = answer.downloads.take();
            let answer: &Answer = &answer;
            let context = &answer.context;
            if args.output.dry_run {
                self.show(&self.make_plan(&args.venv, context)?)?;
                continue;
            }
            let checks = answer.checks(intent, &args.replace.checks.check);
            if !checks.is_empty() {
                allow(answer.other_owner(), args.replace.checks.allow_other_owner)?;
            }
            let env = answer.env_at();
            let checker = || self.with_caller(|caller| caller.check(&env, &checks));
            let terms = RunTerms {
                retention: intent.retention(retention(&args.replace)),
                permissions: self.permissions(args.venv.force, args.venv.lost.allow_lost),
                check: (!checks.is_empty()).then_some(&checker as &Checker<'_>),
                compilation: Compilation::of(args.venv.compile_bytecode),
                ..RunTerms::default()
            };
            let outcome = self.run(&args.run, &terms, |run| {
                environment::create(run, &Venv, context)
            })?;
            let outcome = ManuallyDrop::new(outcome);
            drop(downloads);
            let version = &context.interpreter.version.text;
            self.tell(&outcome, given, &format!("with Python {version}"));
        }
        Ok(Exit::Done)
    }
}
