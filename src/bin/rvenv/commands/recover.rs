//! `rvenv recover`: finishes or undoes what a crash left.

use std::path::Path;

use rvenv::caller::RunTerms;
use rvenv::environment;
use rvenv::render::escape;
use rvenv_journal::Recovered;
use rvenv_journal::raw::{Decision, WhyKept, counted};
use serde::Serialize;

use super::generations::json_of;
use crate::advice::{self, CliError, Exit};
use crate::args::{DurabilityArg, LinkModeArg, RecoverArgs, RunArgs};
use crate::found_env::Use;
use crate::session::Session;

impl Session<'_> {
    pub(crate) fn recover(&self, args: &RecoverArgs) -> Result<Exit, CliError> {
        let mut exit = Exit::Done;
        let mut ended = Vec::new();
        let found = if args.env_dirs.is_empty() {
            vec![self.named_or_found(None, Use::Change)?]
        } else {
            Vec::new()
        };
        for (given, env_dir) in self.env_dirs(args.env_dirs.iter().chain(&found))? {
            let terms = RunArgs {
                durability: DurabilityArg::Power,
                link_mode: LinkModeArg::Auto,
                lock: args.lock,
            };
            let recovered = self.run(&terms, &RunTerms::default(), |run| {
                environment::recover(run, Path::new(&env_dir))
            });
            let recovered = match recovered {
                Ok(recovered) => recovered,
                Err(error) if ended.is_empty() => return Err(error),
                Err(error) => return Err(error.beside(&Recoveries::of(ended))),
            };
            let shown = escape(&given.to_string_lossy());
            match recovered.decision {
                Decision::Nothing if recovered.tidied == 0 && recovered.orphans.is_empty() => {
                    self.terminal
                        .story(&format!("Nothing is open at `{shown}`"));
                }
                Decision::Nothing if recovered.tidied > 0 && recovered.orphans.is_empty() => {
                    let count = counted(recovered.tidied, "leftover");
                    self.terminal
                        .story(&format!("Deleted {count} of earlier runs at `{shown}`"));
                }
                Decision::Nothing
                | Decision::DropJournal
                | Decision::Discard
                | Decision::Settle
                | Decision::Undo
                | Decision::VerifyThenSettle
                | Decision::Wait
                | Decision::Refuse(_) => self.terminal.tell_recovery(&recovered),
            }
            let kept = recovered
                .ending
                .kept
                .as_ref()
                .is_some_and(|kept| kept.why != WhyKept::Asked);
            ended.push(RecoveredJson::of(env_dir, &recovered));
            if kept || !recovered.orphans.is_empty() {
                exit = Exit::NeedsPerson;
            }
        }
        if self.json {
            self.terminal.json(&json_of(&Recoveries::of(ended)))?;
        }
        Ok(exit)
    }
}

/// What recoveries did.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Recoveries {
    /// The version of this form.
    format: u64,
    /// The environments, in the order of the command line.
    environments: Vec<RecoveredJson>,
}

impl Recoveries {
    fn of(environments: Vec<RecoveredJson>) -> Self {
        Self {
            format: 1,
            environments,
        }
    }
}

/// What a recovery did.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct RecoveredJson {
    /// The absolute path of the environment.
    path: String,
    /// Whether a transaction was open.
    was_open: bool,
    /// What happened to it, in words that may change; `null` if none was open.
    story: Option<&'static str>,
    /// The generation that has what another process changed.
    generation: Option<u32>,
    /// Names beside the target that no journal owns; they were left alone.
    orphans: Vec<String>,
    /// Those of them that rvenv created and could not delete.
    undeleted: Vec<Undeleted>,
    /// How many leftovers of earlier runs were deleted.
    tidied: u64,
}

/// A leftover that could not be deleted.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Undeleted {
    name: String,
    /// Why, in words that may change.
    why: String,
}

impl RecoveredJson {
    fn of(path: String, recovered: &Recovered) -> Self {
        let story = advice::recovered(recovered.upshot);
        let undeleted = recovered.undeleted.iter().map(|(name, why)| Undeleted {
            name: name.clone(),
            why: why.clone(),
        });
        Self {
            path,
            was_open: story.is_some(),
            story,
            generation: recovered.ending.kept.as_ref().map(|kept| kept.generation),
            orphans: recovered.orphans.clone(),
            undeleted: undeleted.collect(),
            tidied: recovered.tidied,
        }
    }
}
