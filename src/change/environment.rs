//! Environments: the verbs that plan, publish, roll back and recover through the engine.
//!
//! Promises that `plan`, `create` and `apply` build and use the same [`Plan`] (I4), that a plan is
//! made under the lock of its target, and that `apply` checks every policy itself: a saved plan is
//! a program, and its permissions come from the user who applies it (I6).
//!
//! On disk meanwhile: what the engine documents, beside the target and nowhere else, and the store
//! of `provision.rs`.
//! Read next: `rvenv_journal`'s `transaction.rs`.

use std::path::{Path, PathBuf};

use rvenv_journal::fs::{FsError, Time};
use rvenv_journal::raw::{
    DiskError, Ending, Expected, LockError, Observation, StageCounts, Step, TargetError, Watch,
    in_parallel, stale, stale_inputs,
};
use rvenv_journal::{
    Durability, Fs, LinkMode, Mode, Parents, Patience, Plan, PlanBuilder, PrepareError,
    Publication, Ready, ReadyError, Recovered, Retention, StageFailed, Target, observe,
};

mod applied;
mod cloning;
mod deploying;
mod failures;
mod other_owner;
mod phase;
mod policies;
mod publishing;
mod removing;
mod rolling_back;

use self::applied::is_applied;
pub(crate) use self::cloning::draft as draft_clone;
pub use self::cloning::{clone, plan_clone};
use self::deploying::nothing;
pub use self::deploying::{deploy, over, put};
pub use self::failures::{PlanFailed, RunFailed, UndoFailed, UnfitPlan};
pub use self::other_owner::receiver;
pub use self::phase::Phase;
use self::policies::{check_clearable, check_distributions, check_fit, check_mergeable};
use self::publishing::{Planned, publish};
pub use self::removing::{Removed, look_at_removed, remove};
pub use self::rolling_back::{RolledBack, rollback};
pub use super::look_failed::LookFailed;
use crate::base::cache::Cache;
use crate::build::checks::CheckFailed;
use crate::build::hooks::{self, Context, Hooks};
use crate::change::generations::Contents;
use crate::change::installed_inputs::{self, InstalledInput, ReadBefore};
use crate::change::log::{self, Entry, Event};
use crate::change::merge::{self, Lost, MergeError};
use crate::change::provision::{Known, Provision, StoreAccess};
use crate::change::prune::{self, Pruned};
use crate::change::repair::{self, Found};
use crate::change::replaced::{self, Replaced};
use crate::change::whole;
use crate::python::bytecode::Compiler;
use crate::wheel::Catalogue;

/// Whether a directory that is not an environment may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// It must not be replaced.
    No,
    /// It may be replaced: this run's command line allows it.
    Yes,
}

/// What a run may do that a plan cannot request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions<'a> {
    /// Whether a directory that is not an environment may be replaced.
    pub force: Force,
    /// The working directory, which a clear through a symbolic link must not delete.
    pub cwd: Option<&'a Path>,
    /// Whether packages may become impossible to import.
    pub lost: Lost,
}

/// Checks the published environment before it is settled.
pub type Checker<'a> = dyn Fn() -> Result<(), CheckFailed> + 'a;

/// All parameters of a run except what to build.
pub struct Run<'a> {
    /// The disk.
    pub fs: &'a dyn Fs,
    /// The cache directory, which may have the content store.
    pub cache: Option<&'a Cache>,
    /// The current time, which the store records as its last use; `None` records nothing.
    pub now: Option<Time>,
    /// Compiles bytecode that the store no longer has; without it, such a plan fails.
    pub compiler: Option<&'a Compiler<'a>>,
    /// How much a successful commit survives.
    pub durability: Durability,
    /// How files come out of the store.
    pub link_mode: LinkMode,
    /// What happens to what is replaced. If it is not set, a change to another Python keeps it.
    /// Entries that changed after their publication are always kept.
    pub retention: Option<Retention>,
    /// What the run may do.
    pub permissions: Permissions<'a>,
    /// The health check, if one is wanted.
    pub check: Option<&'a Checker<'a>>,
    /// The command, for the log of the environment.
    pub command: &'a str,
    /// A description of this process, for processes that wait for it.
    pub owner: &'a str,
    /// Called with the holder each time the lock is busy; it waits, and decides whether to go on.
    pub pause: &'a dyn Fn(&str) -> Patience,
    /// Whether the user asked to stop.
    pub interrupted: &'a dyn Fn() -> bool,
    /// Observes deletions, which may take long, and can stop them.
    pub watch: &'a dyn Watch,
    /// Called with the target once it is locked and recovered, before it is changed; again if the
    /// lock was taken again.
    pub locked: &'a dyn Fn(&Target<'_>),
    /// Called with what a recovery did, before anything else happens.
    pub recovered: &'a dyn Fn(&Recovered),
    /// Called when a plan is made again with copies, because the filesystem has no symbolic links.
    pub copying: &'a dyn Fn(&StageFailed),
    /// Called when something begins that may take long.
    pub phase: &'a dyn Fn(Phase),
}

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// Everything already was as in this plan.
    NoChanges(Box<Plan>),
    /// The plan was published.
    Published(Box<Report>),
}

impl Outcome {
    /// The plan, carried out or already true.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        match self {
            Self::NoChanges(plan) => plan,
            Self::Published(report) => &report.plan,
        }
    }
}

/// What was published.
#[derive(Debug)]
pub struct Report {
    /// The plan.
    pub plan: Plan,
    /// What it replaced.
    pub replaced: Replaced,
    /// How the files came into the tree.
    pub counts: StageCounts,
    /// The steps that were taken.
    pub steps: Vec<Step>,
    /// What happened to what was replaced.
    pub ending: Ending,
}

/// Plans an environment from the current state of its target; writes nothing.
///
/// # Errors
/// See [`PlanFailed`].
pub fn plan(
    fs: &dyn Fs,
    hooks: &dyn Hooks,
    context: &Context,
    permissions: Permissions<'_>,
) -> Result<Plan, PlanFailed> {
    match Target::open(fs, Path::new(&context.env_dir), Parents::Require) {
        Ok(target) => Ok(plan_at(&target, hooks, context, permissions, None)?.0),
        // The directories above are created when the plan is applied.
        Err(TargetError::NoParent(_)) => {
            Ok(hooks::build(hooks, context)?.finish(nothing(), Publication::Put)?)
        }
        Err(error) => Err(error.into()),
    }
}

/// Finds and counts what a plan replaces, for display: the target may change until it is applied.
#[must_use]
pub fn look_at_replaced(fs: &dyn Fs, plan: &Plan) -> Replaced {
    match Target::open(fs, Path::new(plan.target()), Parents::Require) {
        Ok(target) => Replaced {
            entries: Some(replaced::count(&target, plan)),
            ..replaced::replaced(&target, plan)
        },
        Err(_) => Replaced::default(),
    }
}

/// Plans an environment under the lock of its target and publishes it.
///
/// Only trying shows that a filesystem has no symbolic links; then it is planned again with copies.
///
/// # Errors
/// See [`RunFailed`].
///
/// # Crash
/// The next run, or [`recover`], finishes what this one left unfinished: the target is the old tree
/// or the new one.
pub fn create(run: &Run<'_>, hooks: &dyn Hooks, context: &Context) -> Result<Outcome, RunFailed> {
    let path = Path::new(&context.env_dir);
    let create = |context: &Context| {
        // A plan that cannot be made must not leave even an empty directory above the target.
        let mut draft = if context.options.upgrade || has_parent(run.fs, path) {
            None
        } else {
            Some(hooks::build(hooks, context).map_err(PlanFailed::from)?)
        };
        publish(run, path, known(run, context), &mut |ready| {
            let draft = match draft.take() {
                // Another run may have created it meanwhile, so the current state decides.
                None if is_put(ready.target(), context)? => {
                    Some(draft_and_claim(run, hooks, context, ready)?)
                }
                draft => draft,
            };
            let target = ready.target();
            let (plan, read) = plan_at(target, hooks, context, run.permissions, draft)?;
            Ok(if context.as_whole {
                Planned::Whole(plan)
            } else {
                fresh(plan, read)
            })
        })
    };
    match create(context) {
        Err(RunFailed::Stage(failed)) if failed.may_go_without_symlinks() => {
            (run.copying)(&failed);
            create(&context.without_symlinks())
        }
        ended => ended,
    }
}

/// Publishes a saved plan if it still fits the target; where it was applied already, and nothing
/// has changed since, there is nothing to do.
///
/// # Errors
/// See [`RunFailed`]; a plan that no longer fits is
/// [`PrepareError::Stale`](rvenv_journal::PrepareError::Stale).
///
/// # Crash
/// As [`create`].
pub fn apply(run: &Run<'_>, plan: &Plan) -> Result<Outcome, RunFailed> {
    let path = Path::new(plan.target());
    check_target(plan)?;
    let wheels = Catalogue::new(run.cache);
    let known = Known::of_saved(&wheels, run.compiler);
    publish(run, path, known, &mut |ready| {
        let target = ready.target();
        if is_applied(target, plan).map_err(LookFailed::disk(path))? {
            return Ok(Planned::Nothing(plan.clone()));
        }
        check_policies(target, plan, run.permissions)?;
        Ok(Planned::Saved(plan.clone()))
    })
}

/// How a saved plan and its target are related, if the plan is not stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It could be applied.
    Fits,
    /// The target is what it makes.
    IsApplied,
}

/// Whether a saved plan could be applied now; writes nothing.
///
/// Takes no lock, so that another process may change the target meanwhile; `apply` looks again.
///
/// # Errors
/// As [`apply`], before it writes.
pub fn check_saved(
    fs: &dyn Fs,
    cache: Option<&Cache>,
    plan: &Plan,
    permissions: Permissions<'_>,
) -> Result<Fit, RunFailed> {
    check_target(plan)?;
    let path = Path::new(plan.target());
    let wheels = Catalogue::new(cache);
    let known = Known::of_saved(&wheels, None);
    let content = Provision::new(StoreAccess { fs, cache }, plan, known);
    let reasons = match Target::open(fs, path, Parents::Require) {
        Ok(target) => {
            if is_applied(&target, plan).map_err(LookFailed::disk(path))? {
                return Ok(Fit::IsApplied);
            }
            check_policies(&target, plan, permissions)?;
            stale(&target, plan, &content).map_err(LookFailed::disk(path))?
        }
        // The directories above are created when the plan is applied.
        Err(TargetError::NoParent(_)) if plan.observation().target == Expected::Absent => {
            stale_inputs(fs, plan, &content)
        }
        Err(error) => return Err(PlanFailed::from(error).into()),
    };
    if reasons.is_empty() {
        return Ok(Fit::Fits);
    }
    let target = path.to_path_buf();
    Err(PrepareError::Stale { target, reasons }.into())
}

fn check_target(plan: &Plan) -> Result<(), PlanFailed> {
    let checked = crate::build::options::check_path(plan.target());
    checked.map_err(|error| PlanFailed::Hook(error.into()))
}

/// What a saved plan may not do without permission.
fn check_policies(
    target: &Target<'_>,
    plan: &Plan,
    permissions: Permissions<'_>,
) -> Result<(), RunFailed> {
    check_fit(target, plan)?;
    check_distributions(target, plan)?;
    match plan.publication() {
        Publication::Replace | Publication::Refill => check_clearable(target, permissions)?,
        Publication::Merge => check_mergeable(target, plan, permissions.lost)?,
        Publication::Nothing | Publication::Put => {}
    }
    Ok(())
}

/// Plans the repair of an environment; writes nothing.
///
/// # Errors
/// See [`PlanFailed`].
pub fn plan_repair(
    fs: &dyn Fs,
    hooks: &dyn Hooks,
    context: &Context,
    found: &[Found],
) -> Result<Plan, PlanFailed> {
    let target = Target::open(fs, Path::new(&context.env_dir), Parents::Require)?;
    repair_at(&target, hooks, context, found)
}

/// Repairs an environment; if it is still damaged then, or the check fails, undoes the repair.
///
/// # Errors
/// See [`RunFailed`].
///
/// # Crash
/// As [`create`].
pub fn repair(
    run: &Run<'_>,
    hooks: &dyn Hooks,
    context: &Context,
    found: &[Found],
) -> Result<Outcome, RunFailed> {
    let path = Path::new(&context.env_dir);
    // Whatever was planned, the result decides: a repair that leaves damage is undone.
    let checker = || {
        repair::check_repaired(run.fs, path)?;
        run.check.map_or(Ok(()), |check| check())
    };
    let run = &Run {
        check: Some(&checker),
        ..*run
    };
    publish(run, path, known(run, context), &mut |ready| {
        let plan = repair_at(ready.target(), hooks, context, found)?;
        Ok(fresh(plan, ReadBefore::default()))
    })
}

fn repair_at(
    target: &Target<'_>,
    hooks: &dyn Hooks,
    context: &Context,
    found: &[Found],
) -> Result<Plan, PlanFailed> {
    Ok(repair::repair(target, hooks, context, found)?.finish()?)
}

/// Deletes kept generations.
///
/// # Errors
/// See [`RunFailed`]; a generation that cannot be deleted is in the result.
///
/// # Crash
/// Each generation is whole, or the next run deletes the rest of it.
pub fn prune(run: &Run<'_>, path: &Path, terms: prune::Terms) -> Result<Pruned, RunFailed> {
    let target = Target::open(run.fs, path, Parents::Require).map_err(PlanFailed::from)?;
    let (ready, recovered) = take_lock(run, target)?;
    (run.recovered)(&recovered);
    let disk = LookFailed::disk(ready.target().path());
    prune::prune(&ready, terms).map_err(|source| PlanFailed::from(disk(source)).into())
}

/// Finishes what an earlier run left unfinished.
///
/// # Errors
/// See [`RunFailed`].
///
/// # Crash
/// Another run continues it.
pub fn recover(run: &Run<'_>, path: &Path) -> Result<Recovered, RunFailed> {
    let target = Target::open(run.fs, path, Parents::Require).map_err(PlanFailed::from)?;
    let (_ready, recovered) = take_lock(run, target)?;
    Ok(recovered)
}

fn lock<'a>(run: &Run<'a>, path: &Path) -> Result<Ready<'a>, RunFailed> {
    let target = Target::open(run.fs, path, Parents::Make).map_err(PlanFailed::from)?;
    let (ready, recovered) = take_lock(run, target)?;
    (run.recovered)(&recovered);
    Ok(ready)
}

/// Notes a change in the log of its environment, if its packages can be read now.
fn note(run: &Run<'_>, target: &Target<'_>, event: Event, before: &Contents) {
    if let Ok(after) = Contents::now(target) {
        let entry = Entry::of(run.command, event, before, &after);
        log::add(target, run.now, entry);
    }
}

fn take_lock<'a>(run: &Run<'a>, target: Target<'a>) -> Result<(Ready<'a>, Recovered), RunFailed> {
    let path = target.path().to_path_buf();
    let locked = target
        .watched(run.watch)
        .lock(run.owner, &mut |holder| (run.pause)(holder));
    if let Ok((ready, recovered)) = &locked
        && let Some(entry) = Entry::of_recovery(run.command, recovered)
    {
        log::add(ready.target(), run.now, entry);
    }
    // The wait for the lock is over.
    (run.phase)(Phase::Reading);
    if let Ok((ready, _)) = &locked {
        (run.locked)(ready.target());
    }
    locked.map_err(|error| {
        let busy = matches!(error, ReadyError::Lock(LockError::Busy { .. }));
        if busy && (run.interrupted)() {
            RunFailed::Interrupted { path }
        } else {
            error.into()
        }
    })
}

/// Whether the directory that would contain the target exists.
fn has_parent(fs: &dyn Fs, path: &Path) -> bool {
    !matches!(
        Target::open(fs, path, Parents::Require),
        Err(TargetError::NoParent(_))
    )
}

/// Whether the plan will put a tree at the target, since nothing exists there.
fn is_put(target: &Target<'_>, context: &Context) -> Result<bool, PlanFailed> {
    let seen = target.meta().map_err(LookFailed::disk(target.path()))?;
    Ok(seen.is_none() && !context.options.upgrade)
}

/// Plans a new environment while a thread creates its stage: one needs the processor, one the disk.
fn draft_and_claim(
    run: &Run<'_>,
    hooks: &dyn Hooks,
    context: &Context,
    ready: &mut Ready<'_>,
) -> Result<PlanBuilder, PlanFailed> {
    let durability = run.durability;
    let claim = || ready.claim(durability);
    let ((), draft) = in_parallel(run.fs, claim, || hooks::build(hooks, context));
    Ok(draft?)
}

/// A plan that was made under this very lock; if it changes nothing, the run is done.
fn fresh(plan: Plan, read: ReadBefore) -> Planned {
    match plan.publication() {
        Publication::Nothing => Planned::Nothing(plan),
        Publication::Put | Publication::Replace | Publication::Merge | Publication::Refill => {
            Planned::Fresh(plan, read)
        }
    }
}

fn known<'a>(run: &Run<'a>, context: &'a Context) -> Known<'a> {
    Known {
        checked: Some(&context.checked),
        witnesses: &context.interpreter.witnesses,
        wheels: &context.wheels,
        bytecode: Some(&context.bytecode),
        compiler: run.compiler,
    }
}

/// Chooses the publication by what exists at the target; `draft` was made for an absent target.
/// What was read for the plan comes with it.
fn plan_at(
    target: &Target<'_>,
    hooks: &dyn Hooks,
    context: &Context,
    permissions: Permissions<'_>,
    draft: Option<PlanBuilder>,
) -> Result<(Plan, ReadBefore), PlanFailed> {
    let disk = LookFailed::disk(target.path());
    if target.meta().map_err(disk)?.is_some() && !context.options.clear {
        let mut merged = merge::merge(target, hooks, context, permissions.lost)?;
        let read = std::mem::take(&mut merged.read);
        let plan = if context.as_whole {
            whole::as_whole(target, merged, can_be_renamed(target).map_err(disk)?)?
        } else {
            merged.finish()?
        };
        return Ok((plan, read));
    }
    if context.options.upgrade && target.meta().map_err(disk)?.is_none() {
        return Err(MergeError::NoEnvironment(target.path().to_path_buf()).into());
    }
    let mut draft = match draft {
        Some(draft) => draft,
        None => hooks::build(hooks, context)?,
    };
    let seen = look(target, &draft).map_err(disk)?;
    if seen.target == Expected::Absent {
        return Ok((draft.finish(seen, Publication::Put)?, ReadBefore::default()));
    }
    check_clearable(target, permissions)?;
    let installed = installed(target, context).map_err(disk)?;
    let read = ReadBefore::of(&installed);
    for one in installed {
        draft.add_input(one.input);
    }
    let publication = if can_be_renamed(target).map_err(disk)? {
        Publication::Replace
    } else if context.as_whole {
        return Err(whole::stays(target).into());
    } else {
        Publication::Refill
    };
    // The directory keeps its mode, whether it stays or another one replaces it.
    let meta = target.meta().map_err(disk)?;
    if let Some(Ok(mode)) = meta.map(|meta| Mode::new(meta.mode & 0o777))
        // No plan creates a directory that its owner cannot use.
        && (publication == Publication::Refill || mode.bits() & 0o700 == 0o700)
    {
        draft.adopt_root_mode(mode);
    }
    Ok((draft.finish(seen, publication)?, read))
}

/// The distributions in a target that is cleared, as inputs.
fn installed(target: &Target<'_>, context: &Context) -> Result<Vec<InstalledInput>, FsError> {
    let place = target.place();
    let root = target.disk().open_dir(place.dir, place.name)?;
    installed_inputs::inputs(target, &root, &context.env_dir, None)
}

fn look(target: &Target<'_>, draft: &PlanBuilder) -> Result<Observation, FsError> {
    observe(
        target.disk(),
        target.place(),
        draft.operations(),
        draft.retired(),
    )
}

/// What the system can tell in advance: a mount point cannot be renamed, nor can an entry of a
/// directory that this process may not write. Only trying shows whether a layered filesystem
/// renames a directory.
fn can_be_renamed(target: &Target<'_>) -> Result<bool, FsError> {
    let (fs, place) = (target.disk(), target.place());
    let root = target.root()?;
    let is_mount = |mount: &PathBuf| mount.file_name() == Some(place.name);
    let mounts = fs.mounts_under(&root);
    let shortest = mounts.iter().min_by_key(|mount| mount.components().count());
    Ok(fs.may_write(place.dir) && !shortest.is_some_and(is_mount))
}
