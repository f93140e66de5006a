//! The end of a run in words: what was recovered, what was kept, what is left.
//!
//! Read next: `outcome.rs`, which reports the whole end of a change.

use rvenv::render::escape;
use rvenv_journal::Recovered;
use rvenv_journal::raw::{Ending, Leftovers, WhyKept, counted};

use crate::advice;
use crate::advice::forbidden;
use crate::terminal::Terminal;

/// How many entries without a journal are named.
const ORPHANS_MAX: usize = 10;

impl Terminal {
    pub(crate) fn tell_recovery(self, recovered: &Recovered) {
        if let Some(what) = advice::recovered(recovered.upshot) {
            self.story(what);
        } else if recovered.tidied > 0 {
            self.detail(&format!(
                "deleted {} of earlier runs",
                counted(recovered.tidied, "leftover")
            ));
        }
        if let Some(kept) = recovered
            .ending
            .kept
            .as_ref()
            .filter(|kept| kept.why != WhyKept::Asked)
        {
            let name = escape(&kept.name);
            let why = match kept.why {
                WhyKept::Asked => "as was asked for",
                WhyKept::Changed => {
                    "which was changed after it was published; take what you need out of it, then \
                     delete it with `rvenv generations --prune`"
                }
                WhyKept::Uncertain => {
                    "since this filesystem cannot prove that rvenv may delete it; delete it if it \
                     is not needed"
                }
            };
            self.story(&format!("Kept `{name}`, {why}"));
        }
        self.tell_stopped(&recovered.ending.leftovers);
        for orphan in recovered.orphans.iter().take(ORPHANS_MAX) {
            let shown = escape(orphan);
            self.story(&match recovered.undeleted.get(orphan) {
                Some(why) => {
                    let why = escape(why);
                    format!("Left `{shown}`, which could not be deleted: {why}")
                }
                None => format!(
                    "Left `{shown}` alone: no journal owns it; delete it if it is not needed"
                ),
            });
        }
        let more = recovered.orphans.len().saturating_sub(ORPHANS_MAX);
        if more > 0 {
            self.story(&format!("Left {more} more of this kind alone"));
        }
    }

    /// Reports that a signal ended the deletion, and nothing else.
    pub(crate) fn tell_stopped(self, leftovers: &Leftovers) {
        if leftovers.stopped {
            self.story(
                "Interrupted while deleting what is no longer needed. The next change here \
                 deletes the rest",
            );
        }
    }

    /// Reports what happened to what was replaced.
    pub(crate) fn tell_ending(self, ending: &Ending, env: &str) {
        if let Some(kept) = &ending.kept {
            let number = kept.generation;
            let why = match kept.why {
                WhyKept::Asked => "what was replaced",
                WhyKept::Changed => "what another process had changed",
                WhyKept::Uncertain => "what rvenv could not prove to be its own",
            };
            self.story(&format!(
                "Kept {why} as generation {number}. Bring it back with `rvenv rollback {env}`"
            ));
        }
        self.tell_stopped(&ending.leftovers);
        for path in &ending.emptied {
            let path = escape(path.as_str());
            self.story(&format!(
                "Left the directory `{path}`, which is empty now and could not be moved"
            ));
        }
        let leftovers = &ending.leftovers;
        if let (Some(first), Some(why)) = (&leftovers.first, leftovers.why()) {
            let count = counted(leftovers.count, "entry");
            let why = escape(&why);
            self.story(&format!(
                "{count} of what was replaced could not be deleted: {why}"
            ));
            if let Some(forbidden) = forbidden(&first.source) {
                self.story(&format!("  {forbidden}"));
            }
            self.story(&format!(
                "  Once that is fixed, `rvenv recover {env}` deletes them"
            ));
        }
    }
}
