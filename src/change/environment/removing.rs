//! Removing an environment.
//!
//! Promises that it is gone as a whole or still there, that a directory which is no environment, or
//! more than one, is removed only by force, and that what is kept can be rolled back.
//!
//! Read next: the engine's `transaction/removal.rs`.

use std::path::Path;

use rvenv_journal::raw::{DiskError, Ending, Form, check_removal};
use rvenv_journal::{Parents, Retention, Target, Terms, generations};

use super::policies::check_clearable;
use super::publishing::{decide, verdict};
use super::{Force, LookFailed, Phase, PlanFailed, Run, RunFailed, take_lock};
use crate::base::one_line::one_line;
use crate::change::generations::Contents;
use crate::change::prune::{self, Pruned};

/// What was removed.
#[derive(Debug)]
pub struct Removed {
    /// The Python and the distributions that it had.
    pub contents: Contents,
    /// What happened to it.
    pub ending: Ending,
    /// The generations beside it, which went too unless it was kept.
    pub pruned: Pruned,
}

/// Looks at what [`remove`] would remove; writes nothing.
///
/// # Errors
/// See [`RunFailed`]; an environment that must not or cannot be removed is refused here as there.
pub fn look_at_removed(run: &Run<'_>, path: &Path) -> Result<Contents, RunFailed> {
    let target = Target::open(run.fs, path, Parents::Require).map_err(PlanFailed::from)?;
    check_removal(&target)?;
    Ok(removable(run, &target)?)
}

/// Removes an environment in one rename, and then deletes or keeps it.
///
/// # Errors
/// See [`RunFailed`].
///
/// # Crash
/// It is whole, or gone: then the next run deletes or keeps it. Generations beside it may remain if
/// the crash came between the two.
pub fn remove(run: &Run<'_>, path: &Path) -> Result<Removed, RunFailed> {
    let open = |path| Target::open(run.fs, path, Parents::Require).map_err(PlanFailed::from);
    let (ready, recovered) = take_lock(run, open(path)?)?;
    (run.recovered)(&recovered);
    // A link that leads to it leads nowhere afterwards.
    let home = ready.target().path().to_path_buf();
    let contents = removable(run, ready.target())?;
    let disk = LookFailed::disk(path);
    let beside = generations(ready.target()).map_err(disk)?.into_iter();
    let beside = beside.filter(|one| one.form == Form::Tree);
    let beside: Vec<u32> = beside.map(|one| one.number).collect();
    // The removal is one rename, so this is the last moment before it.
    if (run.interrupted)() {
        return Err(RunFailed::Interrupted { path: home });
    }
    let retention = run.retention.unwrap_or_default();
    let terms = Terms {
        durability: run.durability,
        retention,
        verdict: verdict(run),
        ..Terms::default()
    };
    (run.phase)(Phase::Publishing);
    let ending = decide(run, path, ready.remove(terms)?)?;
    let mut pruned = Pruned::default();
    if retention == Retention::Discard && !beside.is_empty() {
        // The environment is gone, whatever happens to them.
        let prune = || -> Result<Pruned, RunFailed> {
            let (ready, _) = take_lock(run, open(&home)?)?;
            Ok(prune::prune(&ready, prune::Terms::default()).map_err(disk)?)
        };
        pruned = prune().unwrap_or_else(|failed| {
            let why = one_line(&failed);
            let failed = beside.iter().map(|number| (*number, why.clone()));
            Pruned {
                failed: failed.collect(),
                ..Pruned::default()
            }
        });
    }
    Ok(Removed {
        contents,
        ending,
        pruned,
    })
}

/// What an environment has, if it may be removed.
fn removable(run: &Run<'_>, target: &Target<'_>) -> Result<Contents, PlanFailed> {
    if let Some(link) = target.link()
        && run.permissions.force == Force::No
    {
        return Err(PlanFailed::Link {
            link: link.to_path_buf(),
            path: target.path().to_path_buf(),
            why: "would go while the link stays and then leads nowhere".to_owned(),
        });
    }
    check_clearable(target, run.permissions)?;
    let disk = LookFailed::disk(target.path());
    Ok(Contents::now(target).map_err(disk)?)
}
