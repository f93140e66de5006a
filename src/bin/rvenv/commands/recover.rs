//! `rvenv recover`: finishes or undoes what a crash left.

use std::path::Path;

use rvenv::caller::RunTerms;
use rvenv::environment;
use rvenv::render::escape;
use rvenv_journal::raw::{Decision, WhyKept};

use crate::advice::{CliError, Exit};
use crate::args::{DurabilityArg, LinkModeArg, RecoverArgs, RunArgs};
use crate::found_env::Use;
use crate::session::Session;

impl Session<'_> {
    pub(crate) fn recover(&self, args: &RecoverArgs) -> Result<Exit, CliError> {
        let mut exit = Exit::Done;
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
            })?;
            let shown = escape(&given.to_string_lossy());
            match recovered.decision {
                Decision::Nothing if recovered.tidied == 0 && recovered.orphans.is_empty() => {
                    self.terminal
                        .story(&format!("Nothing is open at `{shown}`"));
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
            if kept || !recovered.orphans.is_empty() {
                exit = Exit::NeedsPerson;
            }
        }
        Ok(exit)
    }
}
