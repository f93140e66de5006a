//! `rvenv show`: shows a saved plan.
//!
//! Promises to write nothing, to start nothing and to compare nothing: `apply --dry-run` does that.
//! Read next: the library's `change/render.rs`.

use rvenv_journal::Plan;

use crate::advice::{CliError, Exit, of_plan_file};
use crate::args::ShowArgs;
use crate::plan_file;
use crate::session::Session;

impl Session<'_> {
    pub(crate) fn show_saved(&self, args: &ShowArgs) -> Result<Exit, CliError> {
        let plan = self.saved_plan(&args.plan_file)?;
        if self.json {
            self.terminal.json(&plan.to_json())?;
        } else {
            self.show(&plan, None, None)?;
        }
        Ok(Exit::Done)
    }

    /// Reads a saved plan.
    pub(super) fn saved_plan(&self, given: &std::path::Path) -> Result<Plan, CliError> {
        let bytes = plan_file::read(given, &self.signals, &mut || {
            let from = plan_file::shown_input(given);
            self.terminal
                .story(&format!("Waiting for a plan from {from}"));
        })?;
        Plan::from_json(&bytes)
            .map_err(|error| of_plan_file(&plan_file::shown_input(given), &error))
    }
}
