//! `rvenv rollback`: brings back what the last change replaced.

use std::path::Path;

use rvenv::caller::RunTerms;
use rvenv::checks;
use rvenv::environment::{self, Checker};
use rvenv::render::escape;
use rvenv_journal::Retention;
use rvenv_journal::raw::{Changes, WhyKept};

use crate::advice::{CliError, Exit};
use crate::args::RollbackArgs;
use crate::health_checks::may_run;
use crate::session::Session;
use crate::shell_words::word;

impl Session<'_> {
    pub(crate) fn rollback(&self, args: &RollbackArgs) -> Result<Exit, CliError> {
        let env_dir = self.world.env_dir(&args.target.env_dir)?;
        let commands = &args.checks.check;
        if !commands.is_empty() {
            may_run(&env_dir, args.checks.allow_other_owner)?;
        }
        let checker = || {
            // The restored files may have other owners.
            match checks::other_owner(Path::new(&env_dir)) {
                Some(other) if !args.checks.allow_other_owner => Err(other.into()),
                Some(_) | None => self.check_named_by_record(Path::new(&env_dir), commands),
            }
        };
        let terms = RunTerms {
            retention: Some(Retention::Keep),
            check: (!commands.is_empty()).then_some(&checker as &Checker<'_>),
            ..RunTerms::default()
        };
        let changes = if args.discard_changes {
            Changes::PutAside
        } else {
            Changes::Refuse
        };
        let ending = self.run(&args.run, &terms, |run| {
            environment::rollback(run, Path::new(&env_dir), changes)
        })?;
        let shown = escape(&args.target.env_dir.to_string_lossy());
        let env = word(&args.target.env_dir.to_string_lossy());
        let number = ending.kept.as_ref().map_or(0, |kept| kept.generation);
        self.terminal.story(&format!(
            "Brought generation {number} of `{shown}` back. Go forward again with `rvenv \
             rollback {env}`"
        ));
        let asked = |why| why == WhyKept::Asked;
        Ok(if ending.kept.is_none_or(|kept| asked(kept.why)) {
            Exit::Done
        } else {
            Exit::NeedsPerson
        })
    }
}
