//! `rvenv create`: plans and applies in one step.
//!
//! Promises that the permissions of a run (to delete what is no environment, to lose packages, to run health checks) come
//! from its own command line, and that every path is read before anything is done.
//! Read next: `rvenv`'s `environment.rs`, which does what is asked for here.

use std::mem::ManuallyDrop;
use std::path::Path;

use rvenv::checks::{self, Check, Expectation, Expected};
use rvenv::environment::{self, Checker};
use rvenv::hooks::{Context, Venv};
use rvenv::python::Purpose;
use rvenv_journal::Retention;

use super::preparing::{Intent, Prepared, show};
use crate::advice::{CliError, Exit};
use crate::args::{CreateArgs, ReplaceArgs};
use crate::health_checks::allow;
use crate::session::{Compilation, Manner, Session};

impl Session<'_> {
    pub(crate) fn create(&self, args: &CreateArgs) -> Result<Exit, CliError> {
        self.create_or_upgrade(args, Intent::of(&args.venv))
    }

    pub(crate) fn create_or_upgrade(
        &self,
        args: &CreateArgs,
        intent: Intent,
    ) -> Result<Exit, CliError> {
        let targets = self.env_dirs(&args.env_dirs)?;
        for (given, env_dir) in targets {
            // The process ends soon: to give back each piece of a plan and of what it was made from takes a millisecond.
            let purpose = if args.dry_run {
                show(&args.venv)
            } else {
                Purpose::Change
            };
            let prepared = self.prepare(&args.venv, (intent, purpose), &env_dir)?;
            let Prepared { context, downloads } = prepared;
            let context = &*ManuallyDrop::new(context);
            if args.dry_run {
                self.show(&self.make_plan(&args.venv, context)?)?;
                continue;
            }
            let checks = checks(&args.replace, intent, context);
            if !checks.is_empty() {
                let other = if args.venv.clear {
                    checks::other_owner_above(Path::new(&env_dir))
                } else {
                    checks::other_owner(Path::new(&env_dir))
                };
                allow(other, args.replace.allow_other_owner)?;
            }
            let checker = || self.check_all(context, &checks);
            let manner = Manner {
                retention: retention(&args.replace, intent),
                permissions: self.permissions(args.venv.force, args.venv.allow_lost),
                check: (!checks.is_empty()).then_some(&checker as &Checker<'_>),
                compilation: Compilation::of(args.venv.compile_bytecode),
            };
            let outcome = self.run(&args.run, &manner, |run| {
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

/// What is asked to become of what is replaced; for a `create` the change itself decides, which is known under the lock.
pub(crate) fn retention(args: &ReplaceArgs, intent: Intent) -> Option<Retention> {
    match (args.keep, args.no_keep, intent) {
        (true, _, _) | (false, false, Intent::Upgrade) => Some(Retention::Keep),
        (false, true, _) => Some(Retention::Discard),
        (false, false, Intent::Create) => None,
    }
}

/// What is asked for, after whether the environment works at all; that is asked of every upgrade.
fn checks(args: &ReplaceArgs, intent: Intent, context: &Context) -> Vec<Check> {
    if intent == Intent::Create && args.check.is_empty() {
        return Vec::new();
    }
    let has_pip = context.options.with_pip;
    let expected = Expectation {
        version: Expected::Version(context.interpreter.version.clone()),
        modules: has_pip.then(|| "pip".to_owned()).into_iter().collect(),
    };
    checks::built_in_first(expected, &args.check)
}
