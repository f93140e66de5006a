//! `rvenv repair`: makes an environment whole again.
//!
//! Promises that every repair ends with the built-in health check, and tells what was found besides
//! damaged files: another place, another base, and what stays as it is.
//!
//! Read next: the library's `repair.rs`, which plans it.

use std::ffi::OsStr;
use std::path::Path;

use rvenv::caller::{Caller, Compilation, RunTerms};
use rvenv::environment::{self, Checker, Outcome, PlanFailed, RunFailed};
use rvenv::hooks::{Context, Venv};
use rvenv::mending::RepairAnswer;
use rvenv::python::Purpose;
use rvenv::render::escape;
use rvenv::repair::{self, Found, RepairError, Symptoms};
use rvenv_journal::Fs as _;
use rvenv_journal::raw::counted;
use tempfile::TempDir;

use super::asking::{retention, sources};
use super::plan::Saving;
use crate::advice::{CliError, Exit, of_plan};
use crate::args::RepairArgs;
use crate::found_env::Use;
use crate::health_checks::may_run;
use crate::session::{READING, Session};
use crate::shell_words::word;

impl Session<'_> {
    pub(crate) fn repair(&self, args: &RepairArgs) -> Result<Exit, CliError> {
        let to = if args.output.dry_run {
            Use::Look
        } else {
            Use::change(args.replace.checks.allow_other_owner)
        };
        let given = self.env_of(&args.target, to)?;
        let env_dir = self.world.env_dir(&given)?;
        let named = self.typed_python(args.python.as_ref());
        let named = named.map_err(|error| self.not_found(&error, None))?;
        let purpose = if args.output.dry_run {
            Purpose::Show
        } else {
            Purpose::Change
        };
        let is_data = self.json && args.output.dry_run;
        let durability = Some(args.run.durability);
        let saving = Saving::of(args.output.out.as_ref(), is_data, durability)?;
        let sources = sources(&args.index, &args.from);
        let prepare =
            |caller: &Caller<'_>| caller.prepare_repair(&env_dir, &named, purpose, &sources);
        let answer = self.with_caller(prepare);
        let answer = answer.map_err(|failed| self.unanswered(failed, args.python.as_ref()))?;
        let RepairAnswer {
            context,
            found,
            downloads,
        } = answer;
        let symptoms = self.symptoms(&env_dir);
        if args.output.dry_run {
            self.show_repair(&context, &found, &saving)?;
            if saving.is_kept() {
                let _kept = downloads.map(TempDir::keep);
            }
            self.tell_symptoms(&symptoms, &context, &given);
            return Ok(Exit::Done);
        }
        let checks = &args.replace.checks;
        may_run(&env_dir, checks.allow_other_owner)?;
        let commands = &checks.check;
        // A wheel that cannot be read is refused when it is planned.
        let modules = repair::modules(&context, &found).unwrap_or_default();
        let checker = || {
            // The receipt may lead to another interpreter than the one that may be started.
            rvenv::checks::is_of(Path::new(&env_dir), &context.interpreter)?;
            self.check_repaired(Path::new(&env_dir), &modules, commands)
        };
        let terms = RunTerms {
            retention: retention(&args.replace),
            check: Some(&checker as &Checker<'_>),
            compilation: Compilation::of(context.options.compile_bytecode),
            ..RunTerms::default()
        };
        let before = self.before(&env_dir);
        let outcome = self.run(&args.run, &terms, |run| {
            let ended = environment::repair(run, &Venv, &context, &found);
            if !ended.as_ref().is_err_and(is_damaged_since) {
                return ended;
            }
            // The recovery under the lock took back what an earlier repair had mended.
            match self.with_caller(prepare) {
                Ok(again) => environment::repair(run, &Venv, &again.context, &again.found),
                Err(_) => ended,
            }
        })?;
        drop(downloads);
        self.tell_repair(&outcome, &given);
        self.tell_symptoms(&symptoms, &context, &given);
        let changed = before.map(|before| self.changed(before, &outcome));
        self.report(changed.into_iter().collect())?;
        Ok(Exit::Done)
    }

    /// Saves or shows the plan of a repair.
    fn show_repair(
        &self,
        context: &Context,
        found: &[Found],
        saving: &Saving<'_>,
    ) -> Result<(), CliError> {
        let plan = || environment::plan_repair(&self.fs, &Venv, context, found);
        let plan = self.during(READING, |_| plan());
        let plan = plan.map_err(|error| of_plan(&error))?;
        self.save_or_show_plan(&plan, saving)
    }

    /// Tells what was found besides damaged files.
    fn tell_symptoms(&self, symptoms: &Symptoms, context: &Context, given: &OsStr) {
        let env = word(&given.to_string_lossy());
        for line in stories(symptoms, context, &env) {
            self.terminal.story(&line);
        }
    }

    fn tell_repair(&self, outcome: &Outcome, given: &OsStr) {
        let Outcome::NoChanges(_) = outcome else {
            return self.tell(outcome, given, "so that it is whole again");
        };
        let shown = escape(&given.to_string_lossy());
        self.terminal
            .story(&format!("Nothing in `{shown}` is damaged: no changes"));
    }

    /// What a repair will find; nothing if that cannot be seen, which the repair itself reports.
    fn symptoms(&self, env_dir: &str) -> Symptoms {
        let path = Path::new(env_dir);
        let root = self.fs.open_path(path);
        let read = |root| self.during(READING, |_| repair::symptoms(&self.fs, &root, path));
        let found = root.and_then(read);
        found.unwrap_or_default()
    }
}

/// Whether a distribution is damaged for which no wheel was looked for.
fn is_damaged_since(failed: &RunFailed) -> bool {
    let RunFailed::Plan(PlanFailed::Repair(RepairError::NoWheel { packages, .. })) = failed else {
        return false;
    };
    packages.iter().any(|one| !one.was_looked_for)
}

fn stories(symptoms: &Symptoms, context: &Context, env: &str) -> Vec<String> {
    let shown = |path: &Path| escape(&path.display().to_string());
    let mut lines = Vec::new();
    if let Some(old) = &symptoms.moved_from {
        let old = shown(old);
        let place = escape(&context.env_dir);
        lines.push(if symptoms.is_copy {
            format!("It is a copy of `{old}`, which is not touched; it works at `{place}` now")
        } else {
            format!("It was made for `{old}`, and works at `{place}` now")
        });
    }
    for pth in &symptoms.moved_pth {
        lines.push(format!(
            "Left `{}` as it is: it leads to the old place; install the project again",
            shown(pth)
        ));
    }
    if let Some(why) = &symptoms.base_lost {
        let version = escape(&context.interpreter.version.text);
        let python = shown(&context.interpreter.executable);
        let why = escape(why);
        lines.push(format!(
            "Its base is Python {version} at `{python}` now: {why}"
        ));
    }
    for hidden in &symptoms.hidden {
        lines.push(format!(
            "Left `{}`: an interrupted pip left it, and nothing imports it",
            shown(hidden)
        ));
    }
    for departed in &symptoms.departed {
        let published = escape(&departed.published.to_string());
        lines.push(match &departed.replacement {
            Some(by) => {
                let by = escape(&by.to_string());
                format!("Left {by} as it is: another installer put it in place of {published}")
            }
            None => format!("Did not restore {published}: another installer uninstalled it"),
        });
    }
    if !symptoms.lost.is_empty() {
        let names = symptoms.lost.iter().map(|lost| escape(&lost.to_string()));
        let names: Vec<String> = names.collect();
        lines.push(format!(
            "{} for another minor version of Python: {}; `rvenv upgrade {env}` brings them along",
            counted(names.len(), "package"),
            names.join(", ")
        ));
    }
    lines
}
