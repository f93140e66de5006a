//! `rvenv plan`: shows or saves what `create` would do.

use std::path::{Path, PathBuf};

use rvenv::answer::Answer;
use rvenv::render::escape;
use rvenv::request::Intent;
use rvenv::verify::planned_digest;
use rvenv_journal::{Plan, Publication, Retention};
use tempfile::TempDir;

use super::asking::{MadePlan, intent};
use crate::advice::{CliError, Exit, State};
use crate::args::{DurabilityArg, PlanArgs};
use crate::companions::Tense;
use crate::found_env::{ENV_NAME, Use};
use crate::plan_file::{Document, Out};
use crate::session::Session;
use crate::shell_words::word;

/// What is done with a plan that is not carried out.
pub(super) struct Saving<'a> {
    /// The file that it is saved to.
    out: Option<(&'a Path, Out)>,
    /// Whether it is printed as JSON.
    json: bool,
    /// How durable the change would be, if the command line says that.
    durability: Option<DurabilityArg>,
    /// What would happen to what is replaced, if the command line says that.
    retention: Option<Retention>,
}

impl<'a> Saving<'a> {
    /// Finds out where the file leads.
    pub(super) fn of(
        out: Option<&'a PathBuf>,
        json: bool,
        durability: Option<DurabilityArg>,
    ) -> Result<Self, CliError> {
        let out = out.map(|given| Ok((given.as_path(), Out::of(given)?)));
        let out = out.transpose()?;
        Ok(Self {
            out,
            json,
            durability,
            retention: None,
        })
    }

    /// The same for a command line that says what happens to what is replaced.
    pub(super) fn with_retention(self, retention: Option<Retention>) -> Self {
        Self { retention, ..self }
    }

    /// Whether nothing but the plan is printed.
    fn is_data(&self) -> bool {
        self.json || matches!(self.out, Some((_, Out::Standard)))
    }

    /// Whether the plan can be carried out later, and so the wheels that it names must stay.
    pub(super) fn is_kept(&self) -> bool {
        self.is_data() || self.out.is_some()
    }
}

impl Session<'_> {
    pub(crate) fn plan(&self, args: &PlanArgs) -> Result<Exit, CliError> {
        let env_dir = self.plan_dir(args)?;
        let saving = Saving::of(args.out.as_ref(), self.json, None)?;
        let request = self.request(&args.venv, intent(&args.venv), &env_dir)?;
        let answer = self.with_caller(|caller| caller.prepare(&request));
        let mut answer =
            answer.map_err(|failed| self.unanswered(failed, args.venv.python.as_ref()))?;
        if saving.is_kept() {
            let _kept = answer.downloads.take().map(TempDir::keep);
        }
        let made = self.make_plan(&args.venv, &answer.context)?;
        let pending = made.plan.publication() != Publication::Nothing;
        if args.digest {
            let digest = planned_digest(&made.plan);
            self.terminal.data(&format!("{digest}\n"))?;
            made.refused.map_or(Ok(()), Err)?;
        } else {
            self.save_or_show(made, &answer, &saving)?;
        }
        Ok(if args.detailed_exitcode && pending {
            Exit::Pending
        } else {
            Exit::Done
        })
    }

    /// The target of a plan: as for `create` or, with `--upgrade`, for `upgrade`.
    fn plan_dir(&self, args: &PlanArgs) -> Result<String, CliError> {
        let given = match (&args.env_dir, intent(&args.venv)) {
            (None, Intent::Create) => ENV_NAME.into(),
            (named, _) => self.named_or_found(named.as_ref(), Use::Look)?,
        };
        self.world.env_dir(&given)
    }

    /// Saves a plan, or shows it; one that would be refused is shown before the refusal, and not
    /// saved.
    pub(super) fn save_or_show(
        &self,
        made: MadePlan,
        answer: &Answer,
        saving: &Saving<'_>,
    ) -> Result<(), CliError> {
        let MadePlan { plan, refused } = made;
        if let Some(refused) = refused {
            if self.json {
                return Err(refused);
            }
            self.print_plan(&answer.noted(plan), saving)?;
            self.tell_companions(&answer.companions, Tense::Would);
            return Err(refused);
        }
        let plan = answer.noted(plan);
        self.save_or_show_plan(&plan, saving)?;
        self.tell_companions(&answer.companions, Tense::Will);
        self.tell_packages(answer, &plan, Tense::Will);
        Ok(())
    }

    /// Saves a plan, or shows it.
    pub(super) fn save_or_show_plan(
        &self,
        plan: &Plan,
        saving: &Saving<'_>,
    ) -> Result<(), CliError> {
        if let Some((given, out)) = &saving.out {
            out.save(Document::Plan(plan), given, &self.signals)?;
        }
        let shown = self.print_plan(plan, saving);
        match &saving.out {
            None | Some((_, Out::Standard)) => shown,
            Some((given, saved)) => {
                // If its output is lost, the plan is still saved.
                shown.map_err(|lost| lost.leaving(State::PlanSaved))?;
                self.tell_saved(given, saved);
                Ok(())
            }
        }
    }

    fn print_plan(&self, plan: &Plan, saving: &Saving<'_>) -> Result<(), CliError> {
        if saving.is_data() {
            self.terminal.json(&plan.to_json())
        } else {
            self.show(plan, saving.durability, saving.retention)
        }
    }

    fn tell_saved(&self, given: &Path, saved: &Out) {
        let shown = escape(&given.to_string_lossy());
        self.terminal.story(&match saved {
            Out::Stream(_) => format!("Wrote the plan into `{shown}`"),
            Out::File { .. } | Out::Standard => {
                let file = word(&given.to_string_lossy());
                format!("Saved the plan. Apply it with `rvenv apply {file}`")
            }
        });
    }
}
