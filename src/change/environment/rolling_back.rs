//! Bringing a generation back.
//!
//! Promises that what changed since goes into the generation, and comes back with the next
//! rollback.
//!
//! Read next: `../rollback.rs`, which distributions go and stay; the engine's
//! `transaction/rollback.rs`.

use std::path::Path;

use rvenv_journal::raw::{Ending, Form};
use rvenv_journal::{Parents, RollbackError, RollbackTerms, Target, generations};

use super::publishing::{decide, verdict};
use super::{Phase, PlanFailed, Run, RunFailed, note, take_lock};
use crate::change::generations::Contents;
use crate::change::log::Event;
use crate::change::rollback::{self, Turn};

/// What a rollback did.
#[derive(Debug)]
pub struct RolledBack {
    /// What went aside and what came back.
    pub turn: Turn,
    /// What happened to what was replaced.
    pub ending: Ending,
}

/// Publishes the newest generation again, and puts aside what changed since; a second run goes
/// forward again.
///
/// # Errors
/// See [`RunFailed`].
///
/// # Crash
/// As [`create`](super::create).
pub fn rollback(run: &Run<'_>, path: &Path) -> Result<RolledBack, RunFailed> {
    let target = Target::open(run.fs, path, Parents::Require).map_err(PlanFailed::from)?;
    let (ready, recovered) = take_lock(run, target)?;
    (run.recovered)(&recovered);
    let disk = |source| RollbackError::Disk {
        target: ready.target().path().to_path_buf(),
        source,
    };
    // The engine passes over what an undo kept, and refuses a generation whose record does not
    // count.
    let newest = generations(ready.target()).map_err(disk)?;
    let newest = newest.into_iter().rfind(|one| !one.is_undone);
    let newest = newest.filter(|newest| newest.fault.is_none());
    let form = newest.as_ref().map(|newest| newest.form);
    let turn = newest.map(|newest| rollback::turn(ready.target(), &newest));
    let turn = turn.transpose().map_err(disk)?.unwrap_or_default();
    // Nothing is built here, so this is the last moment before anything happens.
    if (run.interrupted)() {
        return Err(RunFailed::Interrupted {
            path: ready.target().path().to_path_buf(),
        });
    }
    let terms = RollbackTerms {
        aside: turn.aside.clone(),
        stay: turn.stay.clone(),
        ..RollbackTerms::of(run.durability, verdict(run))
    };
    let target = ready.target().clone();
    // A tree that comes back as a whole has a log of its own.
    let before = (form == Some(Form::Entries)).then(|| Contents::now(&target).unwrap_or_default());
    (run.phase)(Phase::Publishing);
    let published = ready.rollback(&terms)?;
    let ending = decide(run, path, published)?;
    if let Some(before) = before {
        note(run, &target, Event::RolledBack, &before);
    }
    Ok(RolledBack { turn, ending })
}
