//! Publishing a plan that was made under the lock, and settling it.
//!
//! Promises that if a filesystem refuses a rename, the same plan is published by smaller entries,
//! each time under a lock and planned again; that what fails its health check is undone; and
//! that what changed since its publication is always kept, whatever the caller asked for.
//!
//! Read next: `../environment.rs`; `rvenv_journal`'s `transaction.rs`.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::path::Path;

use rvenv_journal::fs::{Dir, FsError};
use rvenv_journal::raw::{
    DiskError, Effect, Ending, Grain, Observed, PublishError, PublishedPath, Stale,
};
use rvenv_journal::{
    Digest, Fs, Plan, PrepareError, Publication, PublishFailed, Published, Ready, RelPath,
    Retention, StageOptions, Target, Terms, Verdict,
};

use super::{
    LookFailed, Outcome, Phase, Report, Run, RunFailed, UndoFailed, lock, note, other_owner,
};
use crate::change::generations::Contents;
use crate::change::installed_inputs::{self, ReadBefore};
use crate::change::log::Event;
use crate::change::merge;
use crate::change::provision::{Known, Provision, StoreAccess};
use crate::change::replaced::{self, Replaced};

/// A plan to publish, or one that changes nothing.
pub(super) enum Planned {
    /// It changes nothing.
    Nothing(Plan),
    /// It was made under the lock that the publication takes, after these files were read.
    Fresh(Plan, ReadBefore),
    /// The same, and what it replaces is kept, unless the caller asked for something else.
    Deployed(Plan, ReadBefore),
    /// As [`Planned::Fresh`], and it may only be published as one tree.
    Whole(Plan),
    /// It was made before.
    Saved(Plan),
}

impl Planned {
    fn plan(&self) -> &Plan {
        match self {
            Self::Nothing(plan)
            | Self::Fresh(plan, _)
            | Self::Deployed(plan, _)
            | Self::Whole(plan)
            | Self::Saved(plan) => plan,
        }
    }

    fn into_parts(self) -> (Plan, ReadBefore) {
        match self {
            Self::Fresh(plan, read) | Self::Deployed(plan, read) => (plan, read),
            Self::Nothing(plan) | Self::Whole(plan) | Self::Saved(plan) => {
                (plan, ReadBefore::default())
            }
        }
    }
}

/// Plans under the lock and publishes, if there is anything to do; if the filesystem refuses a
/// rename, tries again by smaller entries.
pub(super) fn publish(
    run: &Run<'_>,
    path: &Path,
    known: Known<'_>,
    plan: &mut dyn FnMut(&mut Ready<'_>) -> Result<Planned, RunFailed>,
) -> Result<Outcome, RunFailed> {
    let mut entry_size = EntrySize::AsPlanned;
    loop {
        let mut ready = lock(run, path)?;
        let planned = match (plan(&mut ready)?, entry_size) {
            (Planned::Nothing(plan), _) => return Ok(Outcome::NoChanges(Box::new(plan))),
            (planned @ Planned::Whole(_), _) | (planned, EntrySize::AsPlanned) => planned,
            (Planned::Fresh(plan, read), _) => Planned::Fresh(plan.by_entries(), read),
            (Planned::Deployed(plan, read), _) => Planned::Deployed(plan.by_entries(), read),
            (Planned::Saved(plan), _) => Planned::Saved(plan.by_entries()),
        };
        if matches!(planned, Planned::Whole(_)) {
            return publish_once(run, ready, planned, entry_size, known);
        }
        let by_entries = planned.plan().publication().is_by_entries();
        match publish_once(run, ready, planned, entry_size, known) {
            Err(RunFailed::Stage(failed)) if failed.may_go_by_entries() && !by_entries => {
                entry_size = EntrySize::Packages;
            }
            Err(RunFailed::Publish(failed)) if failed.may_go_by_smaller_steps() => {
                let next = if by_entries {
                    EntrySize::Files
                } else {
                    EntrySize::Packages
                };
                if next == entry_size {
                    return Err(failed.into());
                }
                entry_size = next;
            }
            ended => return ended,
        }
    }
}

/// How a plan is published: as planned, or by smaller entries after the filesystem refused that.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EntrySize {
    AsPlanned,
    Packages,
    Files,
}

impl EntrySize {
    fn grain(self) -> Grain {
        match self {
            Self::AsPlanned | Self::Packages => Grain::Packages,
            Self::Files => Grain::Files,
        }
    }
}

fn publish_once(
    run: &Run<'_>,
    ready: Ready<'_>,
    planned: Planned,
    entry_size: EntrySize,
    known: Known<'_>,
) -> Result<Outcome, RunFailed> {
    let store_access = StoreAccess {
        fs: run.fs,
        cache: run.cache,
    };
    let is_deployed = matches!(planned, Planned::Deployed(..));
    let is_fresh = is_deployed || matches!(planned, Planned::Fresh(..) | Planned::Whole(_));
    let usual = is_deployed.then_some(Retention::Keep);
    let wanted = run.retention.or(usual);
    let (plan, read_before) = planned.into_parts();
    let content = Provision::new(store_access, &plan, known).at(run.now);
    let target = ready.target().clone();
    let path = target.path().to_path_buf();
    let replaced = replaced::replaced(ready.target(), &plan);
    let retention = retention(run.fs, wanted, ready.target(), &plan, &replaced);
    let terms = Terms {
        durability: run.durability,
        retention: retention.map_err(LookFailed::disk(&path))?,
        verdict: verdict(run),
        grain: entry_size.grain(),
    };
    let prepared = if is_fresh {
        ready.prepare_fresh(&plan, terms, &content)
    } else {
        ready.prepare(&plan, terms, &content)
    };
    let prepared = match prepared {
        Err(PrepareError::NothingToDo(_)) => {
            return Ok(Outcome::NoChanges(Box::new(plan.clone())));
        }
        prepared => prepared?,
    };
    (run.phase)(Phase::Unpacking);
    content.enter_missing(&plan, run.interrupted);
    let options = StageOptions {
        content: &content,
        link_mode: other_owner::link_mode(run.link_mode, run.fs.user(), &path),
        interrupted: run.interrupted,
    };
    (run.phase)(Phase::Building);
    let staged = prepared.stage(&options)?;
    (run.phase)(Phase::Publishing);
    // A tree that is published as a whole has no log: the same plan gives the same bytes.
    let is_by_entries = plan.publication().is_by_entries();
    let before = is_by_entries.then(|| Contents::seen_by(&plan, &target).unwrap_or_default());
    let late = RefCell::new(None);
    let stop = || (run.interrupted)() || late_change(&target, &plan, &read_before, &late);
    let published = staged.publish(&stop).map_err(|failed| PublishFailed {
        source: late.take().unwrap_or(failed.source),
        ..failed
    })?;
    let counts = published.counts();
    let steps = published.steps().to_vec();
    let ending = decide(run, &path, published)?;
    if let Some(before) = before {
        note(run, &target, Event::Changed, &before);
    }
    content.note_examined();
    drop(content);
    Ok(Outcome::Published(Box::new(Report {
        plan,
        replaced,
        counts,
        steps,
        ending,
    })))
}

/// Whether another installer was at work while the new tree was built; the engine looks only at the
/// paths of the plan.
fn late_change(
    target: &Target<'_>,
    plan: &Plan,
    before: &ReadBefore,
    late: &RefCell<Option<PublishError>>,
) -> bool {
    let found = match installed_inputs::changes(target, plan, before) {
        Ok(changes) => changes.into_iter().next().map(|change| {
            PublishError::Changed(Stale {
                path: change.distribution().to_string(),
                why: change.what(),
            })
        }),
        Err(source) => Some(PublishError::Disk(source)),
    };
    late.replace(found);
    late.borrow().is_some()
}

pub(super) fn verdict(run: &Run<'_>) -> Verdict {
    match run.check {
        Some(_) => Verdict::Awaited,
        None => Verdict::BySteps,
    }
}

/// Settles the publication if the environment passes its check, and undoes it otherwise.
pub(super) fn decide(
    run: &Run<'_>,
    path: &Path,
    published: Published<'_>,
) -> Result<Ending, RunFailed> {
    (run.phase)(Phase::Other);
    match run.check.map_or(Ok(()), |check| check()) {
        Ok(()) => {
            (run.phase)(Phase::Settling);
            Ok(published.settle()?)
        }
        Err(check) => Err(match published.undo() {
            Ok(ending) => RunFailed::Check {
                path: path.to_path_buf(),
                source: check,
                ending: Box::new(ending),
            },
            Err(source) => RunFailed::Undo(Box::new(UndoFailed {
                path: path.to_path_buf(),
                check,
                source,
            })),
        }),
    }
}

/// Decides what happens to what is replaced: what the caller asked for, else whether there is a
/// reason to go back. Content that changed since its publication is never deleted: the generation
/// that removes it is kept.
fn retention(
    fs: &dyn Fs,
    wanted: Option<Retention>,
    target: &Target<'_>,
    plan: &Plan,
    replaced: &Replaced,
) -> Result<Retention, FsError> {
    let is_merge = plan.publication() == Publication::Merge;
    let retention = wanted.unwrap_or(match replaced.python {
        Some(_) if is_merge => Retention::Keep,
        Some(_) | None => Retention::Discard,
    });
    if retention == Retention::Keep || !is_merge {
        return Ok(retention);
    }
    let root = target.root()?;
    let receipt = merge::receipt_in(fs, &root);
    let changed = plan
        .effects()
        .filter(|(_, _, effect)| *effect == Effect::Change)
        .map(|(path, _, _)| path);
    for path in changed.chain(plan.retired()) {
        let published = receipt.as_ref().and_then(|receipt| receipt.paths.get(path));
        let seen = plan.observation().paths.get(path);
        let is_as_published = match (seen, published) {
            (None | Some(Observed::Dir { .. }), _) => true,
            (Some(seen @ Observed::Symlink { .. }), Some(PublishedPath::Symlink { target })) => {
                seen.is_link_to(target)
            }
            (
                Some(Observed::File { len: seen, .. }),
                Some(PublishedPath::File { digest, len, .. }),
            ) => {
                // What can no longer be read differs from what was published; the engine then
                // reports a stale plan.
                let found = digest_at(fs, &root, path);
                seen == len && found.is_ok_and(|found| found == *digest)
            }
            (Some(_), _) => false,
        };
        if !is_as_published {
            return Ok(Retention::Keep);
        }
    }
    Ok(retention)
}

fn digest_at(fs: &dyn Fs, root: &Dir, path: &RelPath) -> Result<Digest, FsError> {
    let mut dir = root.clone();
    if let Some(above) = path.parent() {
        for component in above.components() {
            dir = fs.open_dir(&dir, OsStr::new(component))?;
        }
    }
    fs.digest_file(&dir, OsStr::new(path.name()))
}
