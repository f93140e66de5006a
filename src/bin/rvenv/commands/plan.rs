//! `rvenv plan`: shows or saves what `create` would do.

use rvenv::render::escape;
use rvenv_journal::Publication;
use tempfile::TempDir;

use super::asking::{MadePlan, intent};
use crate::advice::{CliError, Exit, State};
use crate::args::PlanArgs;
use crate::companions::Tense;
use crate::plan_file::{Document, Out};
use crate::session::Session;
use crate::shell_words::word;

impl Session<'_> {
    pub(crate) fn plan(&self, args: &PlanArgs) -> Result<Exit, CliError> {
        let env_dir = self.world.env_dir(&args.target.env_dir)?;
        let out = args.out.as_deref();
        let out = out.map(|given| Ok((given, Out::of(given)?))).transpose()?;
        let request = self.request(&args.venv, intent(&args.venv), &env_dir)?;
        let answer = self.with_caller(|caller| caller.prepare(&request));
        let mut answer =
            answer.map_err(|failed| self.unanswered(failed, args.venv.python.as_ref()))?;
        let MadePlan { plan, refused } = self.make_plan(&args.venv, &answer.context)?;
        if let Some((given, out)) = &out
            && refused.is_none()
        {
            out.save(Document::Plan(&plan), given, &self.signals)?;
        }
        let is_data = args.json || matches!(out, Some((_, Out::Standard)));
        if is_data || out.is_some() {
            // A saved plan names the downloaded wheels, so they must stay.
            let _kept = answer.downloads.take().map(TempDir::keep);
        }
        let shown = if is_data {
            self.terminal.json(&plan.to_json())
        } else {
            self.show(&plan)
        };
        if let Some(refused) = refused {
            shown?;
            self.tell_companions(&answer.companions, Tense::Would);
            return Err(refused);
        }
        match &out {
            None | Some((_, Out::Standard)) => shown?,
            Some((given, saved)) => {
                // If its output is lost, the plan is still saved.
                shown.map_err(|lost| lost.leaving(State::PlanSaved))?;
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
        self.tell_companions(&answer.companions, Tense::Will);
        self.tell_packages(&answer, Tense::Will);
        let pending = plan.publication() != Publication::Nothing;
        Ok(if args.detailed_exitcode && pending {
            Exit::Pending
        } else {
            Exit::Done
        })
    }
}
