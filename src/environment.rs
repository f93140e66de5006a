//! Environments: plans meet the engine.
//!
//! Promises that `plan`, `create` and `apply` build and use the same [`Plan`] (I4), that a plan is made under the lock
//! of the target that it is for, and that `apply` checks every policy itself: a saved plan is a program, and its
//! permissions come from whoever applies it (I6).
//!
//! On disk meanwhile: what the engine says, beside the target and nowhere else, and the store of `provision.rs`.
//! Read next: `rvenv_journal`'s `transaction.rs`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rvenv_journal::fs::{FsError, Kind};
use rvenv_journal::{
    Aftermath, Durability, ENGINE_DIR, Effect, EndFailed, Ending, Expected, Fs, LinkMode,
    LockError, Observation, Parents, Patience, Plan, PlanBuilder, PlanError, PrepareError,
    Publication, PublishFailed, RECEIPT_NAME, Ready, ReadyError, Recovered, RelPath, Retention,
    StageCounts, StageFailed, StageOptions, Step, Target, TargetError, Terms, Verdict, observe,
};
use thiserror::Error;

use crate::builder::{self, Context, StageError, Stages};
use crate::config::CONFIG_NAME;
use crate::interpreter::Witness;
use crate::provision::Provision;

/// Whether a directory that is not an environment may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// It may not.
    No,
    /// It may: somebody said so on the command line of this very run.
    Yes,
}

/// Everything that a run is told besides what to build.
pub struct Run<'a> {
    /// The disk.
    pub fs: &'a dyn Fs,
    /// Where the content store may be.
    pub cache: Option<&'a Path>,
    /// What success survives.
    pub durability: Durability,
    /// How files come out of the store.
    pub link_mode: LinkMode,
    /// Whether a directory that is not an environment may be replaced.
    pub force: Force,
    /// Who this is, for those who wait.
    pub owner: &'a str,
    /// Asked, with the holder, each time the lock is busy; it waits, and says whether to go on.
    pub pause: &'a dyn Fn(&str) -> Patience,
    /// Whether somebody asked to stop.
    pub interrupted: &'a dyn Fn() -> bool,
    /// Told what a recovery did before anything else happens.
    pub recovered: &'a dyn Fn(&Recovered),
}

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// Everything was as planned already.
    NoChanges,
    /// The plan was published.
    Published(Box<Report>),
}

/// What was published.
#[derive(Debug)]
pub struct Report {
    /// The plan.
    pub plan: Plan,
    /// How the files came into the tree.
    pub counts: StageCounts,
    /// The steps that were taken.
    pub steps: Vec<Step>,
    /// What became of what was replaced.
    pub ending: Ending,
}

/// Why there is no plan.
#[derive(Debug, Error)]
pub enum PlanFailed {
    /// A stage could not plan.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The target cannot be one.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Operations and target do not fit.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The disk refused.
    #[error("cannot look at `{path}`")]
    Disk {
        /// The target.
        path: PathBuf,
        /// Why.
        #[source]
        source: FsError,
    },
    /// The target exists, differs, and is not to be cleared.
    #[error("`{path}` exists and is not what was asked for")]
    Differs {
        /// The target.
        path: PathBuf,
        /// Some of the paths that differ.
        examples: Vec<String>,
        /// How many differ.
        count: usize,
    },
    /// The target is a directory that is not an environment.
    #[error("`{path}` is a directory that is not a virtual environment")]
    Occupied {
        /// The target.
        path: PathBuf,
    },
    /// The target is to be cleared and is not an environment.
    #[error("`{path}` is not a virtual environment, so clearing it could delete something else")]
    NotAnEnvironment {
        /// The target.
        path: PathBuf,
    },
}

/// Why a run failed.
#[derive(Debug, Error)]
pub enum RunFailed {
    /// There is no plan.
    #[error(transparent)]
    Plan(#[from] PlanFailed),
    /// The target could not be made ready.
    #[error(transparent)]
    Ready(#[from] ReadyError),
    /// The plan does not fit.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The new tree could not be built.
    #[error(transparent)]
    Stage(#[from] StageFailed),
    /// The new tree could not be published.
    #[error(transparent)]
    Publish(#[from] PublishFailed),
    /// The publication could not be ended.
    #[error(transparent)]
    End(#[from] EndFailed),
    /// Somebody asked to stop while the target was locked by another.
    #[error("interrupted while waiting for `{path}`")]
    Interrupted {
        /// The target.
        path: PathBuf,
    },
}

impl RunFailed {
    /// In which state the failure left the target.
    #[must_use]
    pub fn aftermath(&self) -> Aftermath {
        match self {
            Self::Plan(_)
            | Self::Prepare(_)
            | Self::Interrupted { .. }
            | Self::Ready(ReadyError::Lock(_)) => Aftermath::Unchanged,
            Self::Ready(ReadyError::Recover(_)) => Aftermath::NeedsRecovery,
            Self::Stage(failed) => failed.aftermath,
            Self::Publish(failed) => failed.aftermath,
            Self::End(failed) => failed.aftermath,
        }
    }
}

/// Plans an environment as its target is now, and writes nothing.
///
/// # Errors
/// See [`PlanFailed`].
pub fn plan(
    fs: &dyn Fs,
    stages: &dyn Stages,
    context: &Context,
    force: Force,
) -> Result<Plan, PlanFailed> {
    let draft = builder::build(stages, context)?;
    match Target::open(fs, Path::new(&context.env_dir), Parents::Require) {
        Ok(target) => finish(&target, draft, (stages, context), force),
        // The directories above are made when the plan is applied.
        Err(TargetError::NoParent(_)) => Ok(draft.finish(nothing(), Publication::Put)?),
        Err(error) => Err(error.into()),
    }
}

/// Plans an environment under the lock of its target and publishes it.
///
/// # Errors
/// See [`RunFailed`].
///
/// # Crash
/// The next run, or [`recover`], ends what this one left open: the target is the old tree or the new one.
pub fn create(run: &Run<'_>, stages: &dyn Stages, context: &Context) -> Result<Outcome, RunFailed> {
    let draft = builder::build(stages, context).map_err(PlanFailed::from)?;
    let ready = lock(run, Path::new(&context.env_dir))?;
    // Another run may have built it while this one waited: what is there now decides.
    let plan = finish(ready.target(), draft, (stages, context), run.force)?;
    publish(run, ready, plan, &context.interpreter.witnesses)
}

/// Publishes a saved plan, if it still fits.
///
/// # Errors
/// See [`RunFailed`]; a plan that no longer fits is [`PrepareError::Stale`].
///
/// # Crash
/// As [`create`].
pub fn apply(run: &Run<'_>, plan: Plan) -> Result<Outcome, RunFailed> {
    let path = Path::new(plan.target());
    crate::options::check_path(plan.target()).map_err(|error| PlanFailed::Stage(error.into()))?;
    let ready = lock(run, path)?;
    if plan.publication() == Publication::Swap {
        check_clearable(ready.target(), run.force)?;
    }
    publish(run, ready, plan, &[])
}

/// Ends what an earlier run left open.
///
/// # Errors
/// See [`RunFailed`].
///
/// # Crash
/// Running it again goes on.
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

fn take_lock<'a>(run: &Run<'a>, target: Target<'a>) -> Result<(Ready<'a>, Recovered), RunFailed> {
    let path = target.path().to_path_buf();
    let locked = target.lock(run.owner, &mut |holder| (run.pause)(holder));
    locked.map_err(|error| {
        let busy = matches!(error, ReadyError::Lock(LockError::Busy { .. }));
        if busy && (run.interrupted)() {
            RunFailed::Interrupted { path }
        } else {
            error.into()
        }
    })
}

fn publish(
    run: &Run<'_>,
    ready: Ready<'_>,
    plan: Plan,
    witnesses: &[Witness],
) -> Result<Outcome, RunFailed> {
    let content = Provision::new(run.fs, &plan, run.cache, witnesses);
    let terms = Terms {
        durability: run.durability,
        retention: Retention::Discard,
        verdict: Verdict::Taken,
    };
    let prepared = match ready.prepare(&plan, terms, &content) {
        Err(PrepareError::NothingToDo(_)) => return Ok(Outcome::NoChanges),
        prepared => prepared?,
    };
    let options = StageOptions {
        content: &content,
        link_mode: run.link_mode,
        interrupted: run.interrupted,
    };
    let published = prepared.stage(&options)?.publish(run.interrupted)?;
    let counts = published.counts();
    let steps = published.steps().to_vec();
    let ending = published.settle()?;
    drop(content);
    Ok(Outcome::Published(Box::new(Report {
        plan,
        counts,
        steps,
        ending,
    })))
}

/// Decides the publication by what stands at the target.
fn finish(
    target: &Target<'_>,
    draft: PlanBuilder,
    of: (&dyn Stages, &Context),
    force: Force,
) -> Result<Plan, PlanFailed> {
    let (_, context) = of;
    let disk = |source| PlanFailed::Disk {
        path: target.path().to_path_buf(),
        source,
    };
    let seen = observe(target.disk(), target.place(), draft.operations()).map_err(disk)?;
    if seen.target == Expected::Absent {
        return Ok(draft.finish(seen, Publication::Put)?);
    }
    if context.options.clear {
        check_clearable(target, force)?;
        return Ok(draft.finish(seen, Publication::Swap)?);
    }
    up_to_date(target, draft, seen, of)
}

/// A plan without changes, if the target is what was asked for.
fn up_to_date(
    target: &Target<'_>,
    draft: PlanBuilder,
    seen: Observation,
    (stages, context): (&dyn Stages, &Context),
) -> Result<Plan, PlanFailed> {
    let differing = differences(&draft, &seen);
    let disk = |source| PlanFailed::Disk {
        path: target.path().to_path_buf(),
        source,
    };
    let ours = has_receipt(target).map_err(disk)?;
    if ours && differing.is_empty() {
        return Ok(draft.finish(seen, Publication::Nothing)?);
    }
    if ours && differing == [CONFIG_NAME] && !context.options.clear {
        // The `command` of an environment that was made with `--clear` says so; it is the same environment.
        let mut cleared = context.clone();
        cleared.options.clear = true;
        let draft = builder::build(stages, &cleared)?;
        let seen = observe(target.disk(), target.place(), draft.operations()).map_err(disk)?;
        if differences(&draft, &seen).is_empty() {
            return Ok(draft.finish(seen, Publication::Nothing)?);
        }
    }
    if !is_environment(target).map_err(disk)? {
        return Err(PlanFailed::Occupied {
            path: target.path().to_path_buf(),
        });
    }
    let mut examples = differing;
    let count = examples.len();
    examples.truncate(5);
    Err(PlanFailed::Differs {
        path: target.path().to_path_buf(),
        examples,
        count,
    })
}

fn differences(draft: &PlanBuilder, seen: &Observation) -> Vec<String> {
    let differs = |(path, effect): (&RelPath, Effect)| match effect {
        Effect::Keep => None,
        Effect::Create | Effect::Change => Some(path.to_string()),
    };
    draft.effects(seen).filter_map(differs).collect()
}

/// What may be cleared: an environment, an empty directory, or what somebody forces.
fn check_clearable(target: &Target<'_>, force: Force) -> Result<(), PlanFailed> {
    let path = || target.path().to_path_buf();
    let disk = |source| PlanFailed::Disk {
        path: path(),
        source,
    };
    if target.meta().map_err(disk)?.is_none() || force == Force::Yes {
        return Ok(());
    }
    if is_environment(target).map_err(disk)? || is_empty(target).map_err(disk)? {
        return Ok(());
    }
    Err(PlanFailed::NotAnEnvironment { path: path() })
}

fn is_environment(target: &Target<'_>) -> Result<bool, FsError> {
    let (parent, name) = target.place();
    let root = target.disk().open_dir(parent, name)?;
    let config = target.disk().meta(&root, OsStr::new(CONFIG_NAME))?;
    Ok(config.is_some_and(|meta| meta.kind == Kind::File))
}

fn is_empty(target: &Target<'_>) -> Result<bool, FsError> {
    let (parent, name) = target.place();
    let root = target.disk().open_dir(parent, name)?;
    Ok(target.disk().list(&root)?.is_empty())
}

fn has_receipt(target: &Target<'_>) -> Result<bool, FsError> {
    let fs = target.disk();
    let (parent, name) = target.place();
    let root = fs.open_dir(parent, name)?;
    let Ok(inner) = fs.open_dir(&root, OsStr::new(ENGINE_DIR)) else {
        return Ok(false);
    };
    Ok(fs.meta(&inner, OsStr::new(RECEIPT_NAME))?.is_some())
}

fn nothing() -> Observation {
    Observation {
        target: Expected::Absent,
        paths: std::collections::BTreeMap::new(),
    }
}
