//! `rvenv create`: plans and applies in one step.
//!
//! Promises that the permissions of a run (to delete what is not an environment, to lose packages,
//! to run health checks) come from its own command line, and that every path is checked before
//! anything is done.
//! Read next: the library's `environment.rs`, which carries it out.

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::mem::ManuallyDrop;

use rvenv::answer::Answer;
use rvenv::begun::{Begun, Recalled};
use rvenv::caller::{Compilation, RunTerms};
use rvenv::carry::Companions;
use rvenv::checks::CheckFailed;
use rvenv::environment::{self, Checker, Outcome, PlanFailed, RunFailed};
use rvenv::hooks::Venv;
use rvenv::merge::MergeError;
use rvenv::python::Purpose;
use rvenv::render::escape;
use rvenv::request::{EnvRequest, Intent, Unchanged};
use tempfile::TempDir;

use super::asking::{intent, retention};
use super::done::{Changed, Changes};
use super::plan::Saving;
use crate::advice::{CliError, Code, Exit};
use crate::args::CreateArgs;
use crate::companions::Tense;
use crate::found_env::{ENV_NAME, Use};
use crate::health_checks::allow;
use crate::session::Session;
use crate::shell_words::arguments;

impl Session<'_> {
    pub(crate) fn create(&self, args: &CreateArgs) -> Result<Exit, CliError> {
        let intent = intent(&args.venv);
        if args.env_dirs.is_empty() && intent == Intent::Create {
            return self.create_or_upgrade(&[ENV_NAME.into()], args, intent);
        }
        self.create_or_upgrade_found(args, intent)
    }

    /// Works on the environments that are named, else on the one that is found.
    pub(crate) fn create_or_upgrade_found(
        &self,
        args: &CreateArgs,
        intent: Intent,
    ) -> Result<Exit, CliError> {
        if !args.env_dirs.is_empty() {
            return self.create_or_upgrade(&args.env_dirs, args, intent);
        }
        let to = if args.output.dry_run {
            Use::Look
        } else {
            Use::change(args.replace.checks.allow_other_owner)
        };
        let found = self.named_or_found(None, to)?;
        self.create_or_upgrade(&[found], args, intent)
    }

    pub(crate) fn create_or_upgrade(
        &self,
        env_dirs: &[OsString],
        args: &CreateArgs,
        intent: Intent,
    ) -> Result<Exit, CliError> {
        let targets = self.env_dirs(env_dirs)?;
        let is_shown = args.output.dry_run;
        let durability = Some(args.run.durability);
        let saving = Saving::of(args.output.out.as_ref(), self.json && is_shown, durability)?;
        let saving = saving.with_retention(retention(&args.replace));
        if saving.is_kept() && targets.len() > 1 {
            let what = "a file, or a JSON object, holds the plan of one environment";
            return Err(CliError::new(Code::Usage, what).hint("name one environment"));
        }
        let mut changed = Vec::new();
        for (given, env_dir) in targets {
            let request = self.request(&args.venv, intent, &env_dir);
            let made = request.and_then(|request| {
                if is_shown {
                    self.show_change(args, &request, &saving).map(|()| None)
                } else {
                    self.change(args, request, given)
                }
            });
            match made {
                Ok(made) => changed.extend(made),
                Err(error) if changed.is_empty() => return Err(error),
                Err(error) => return Err(error.beside(&Changes::of(changed))),
            }
        }
        if !is_shown {
            self.report(changed)?;
        }
        Ok(Exit::Done)
    }

    /// Carries out a request, and again if something that it was to keep has changed.
    fn change(
        &self,
        args: &CreateArgs,
        request: EnvRequest,
        given: &OsStr,
    ) -> Result<Option<Changed>, CliError> {
        let before = self.before(&request.env_dir);
        let mut request = EnvRequest {
            purpose: Purpose::Change,
            unchanged: Unchanged::Kept,
            ..request
        };
        // A report in JSON has the digest of the plan, and checks are for what is planned.
        let may_recall = before.is_none() && args.replace.checks.check.is_empty();
        let mut begun = if may_recall {
            match self.recall(args, &request)? {
                Recalled::UpToDate => {
                    self.tell_up_to_date(given);
                    return Ok(None);
                }
                Recalled::Unknown(begun) => Some(*begun),
            }
        } else {
            None
        };
        let outcome = loop {
            match self.attempt(args, &request, begun.take(), given)? {
                Some(outcome) => break outcome,
                None => request.unchanged = Unchanged::Planned,
            }
        };
        Ok(before.map(|before| self.changed(before, &outcome)))
    }

    fn recall(&self, args: &CreateArgs, request: &EnvRequest) -> Result<Recalled, CliError> {
        let recalled = self.with_caller(|caller| caller.recall(request));
        recalled.map_err(|failed| self.unanswered(failed, args.venv.python.as_ref()))
    }

    fn show_change(
        &self,
        args: &CreateArgs,
        request: &EnvRequest,
        saving: &Saving<'_>,
    ) -> Result<(), CliError> {
        let mut answer = self.answer(args, request, None)?;
        let downloads = answer.downloads.take();
        if saving.is_kept() {
            let _kept = downloads.map(TempDir::keep);
        }
        let made = self.make_plan(&args.venv, &answer.context)?;
        self.save_or_show(made, &answer, saving)
    }

    /// Carries out a request; `None` if something that it was to keep has changed.
    fn attempt(
        &self,
        args: &CreateArgs,
        request: &EnvRequest,
        begun: Option<Begun>,
        given: &OsStr,
    ) -> Result<Option<ManuallyDrop<Outcome>>, CliError> {
        let intent = request.intent;
        let mut answer = self.answer(args, request, begun)?;
        let downloads = answer.downloads.take();
        let answer: &Answer = &answer;
        let outcome = self.carry_out(args, intent, answer)?;
        drop(downloads);
        let Some(outcome) = outcome.map(ManuallyDrop::new) else {
            return Ok(None);
        };
        let version = &answer.context.interpreter.version.text;
        match intent {
            Intent::Sync => self.tell_change(&outcome, given),
            Intent::Upgrade if matches!(*outcome, Outcome::NoChanges(_)) => {
                self.tell_current(given, &answer.context.interpreter);
            }
            Intent::Create | Intent::Upgrade => {
                self.tell(&outcome, given, &format!("with Python {version}"));
            }
        }
        if matches!(*outcome, Outcome::Published(_)) {
            self.tell_companions(&answer.companions, Tense::Has);
        }
        self.tell_packages(answer, outcome.plan(), Tense::Has);
        // What was said has to be said again the next time.
        if let Outcome::NoChanges(plan) = &*outcome
            && Self::has_no_news(answer, plan)
            && !self.has_warned.get()
        {
            self.with_caller(|caller| caller.keep_up_to_date(answer, plan));
        }
        Ok(Some(outcome))
    }

    /// What a request comes to. The process ends soon; freeing every part of a plan and its context
    /// would take a millisecond.
    fn answer(
        &self,
        args: &CreateArgs,
        request: &EnvRequest,
        begun: Option<Begun>,
    ) -> Result<ManuallyDrop<Answer>, CliError> {
        let answer = self.with_caller(|caller| match begun {
            Some(begun) => caller.prepare_begun(request, begun),
            None => caller.prepare(request),
        });
        let answer = answer.map_err(|failed| self.unanswered(failed, args.venv.python.as_ref()))?;
        Ok(ManuallyDrop::new(answer))
    }

    /// Publishes the change. If packages that come along cannot be imported afterwards, and could
    /// not before either, that is no reason to undo it. `None` if something has changed that was to
    /// be kept.
    fn carry_out(
        &self,
        args: &CreateArgs,
        intent: Intent,
        answer: &Answer,
    ) -> Result<Option<Outcome>, CliError> {
        let commands = &args.replace.checks.check;
        if !answer.checks(intent, commands, &[]).is_empty() {
            allow(answer.other_owner(), args.replace.checks.allow_other_owner)?;
        }
        let env = answer.env_at();
        let without = RefCell::new(Vec::new());
        let stopped_by = RefCell::new(Vec::new());
        let checks = || answer.checks(intent, commands, &without.borrow());
        let has_checks = !checks().is_empty();
        let checker = || self.with_caller(|caller| caller.check(&env, &checks()));
        let terms = RunTerms {
            retention: intent.retention(retention(&args.replace)),
            permissions: self.permissions(args.venv.force, args.venv.lost.allow_lost),
            check: has_checks.then_some(&checker as &Checker<'_>),
            compilation: Compilation::of(args.venv.compile_bytecode),
            ..RunTerms::default()
        };
        let context = &answer.context;
        let outcome = self.run(&args.run, &terms, |run| {
            let ended = match environment::create(run, &Venv, context) {
                Err(RunFailed::Plan(PlanFailed::Merge(MergeError::NotKept { .. }))) => {
                    return Ok(None);
                }
                ended => ended.map(Some),
            };
            let Err(RunFailed::Check {
                source: CheckFailed::Imports { modules, .. },
                ..
            }) = &ended
            else {
                return ended;
            };
            let before = self.not_importable(&env.dir, modules);
            let mut newly = modules.clone();
            newly.retain(|name| !before.contains(name));
            if !newly.is_empty() && !args.venv.lost.allow_lost {
                stopped_by.replace(newly);
                return ended;
            }
            for (names, since) in [
                (&before, "could not be imported before either"),
                (&newly, "cannot be imported by the new Python"),
            ] {
                if !names.is_empty() {
                    let names = escape(&names.join(", "));
                    self.terminal.story(&format!("{names} {since}"));
                }
            }
            without.replace(modules.clone());
            environment::create(run, &Venv, context).map(Some)
        });
        let stopped_by = &*stopped_by.borrow();
        outcome.map_err(|error| match way_out(&answer.companions, stopped_by) {
            Some(hint) => error.hint(hint),
            None => error,
        })
    }
}

/// What makes modules importable that came along and are not.
fn way_out(companions: &Companions, modules: &[String]) -> Option<String> {
    let has = |module: &String| modules.contains(module);
    let carried = companions.carried.iter();
    let broken = carried.filter(|one| one.modules.iter().any(has));
    let broken: Vec<_> = broken.map(|one| &one.distribution).collect();
    let is_broken = |by: &String| broken.iter().any(|one| one.to_string() == *by);
    let missing = companions.needs.missing.iter();
    let missing = missing.filter(|(_, by)| is_broken(by));
    let missing: Vec<_> = missing.map(|(what, _)| what.as_str()).collect();
    if !missing.is_empty() {
        let missing = escape(&missing.join(", "));
        return Some(format!(
            "`--with-deps` installs what they need for this Python: {missing}"
        ));
    }
    let names: Vec<String> = broken.iter().map(|one| one.name.clone()).collect();
    (!names.is_empty()).then(|| {
        let names = arguments(&names);
        format!(
            "`pip install --upgrade {names}` in the environment may bring versions that the new \
             Python can import; with `--allow-lost` the change goes on without"
        )
    })
}
