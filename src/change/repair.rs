//! Repairing: what makes an environment whole again that is damaged, was moved, or lost its base,
//! as a draft of a plan.
//!
//! Promises:
//! - Only what is damaged, or names the old place or the old base, is touched.
//! - Every restored file has the bytes that were published, or, for files that rvenv writes itself,
//!   those that it would write now.
//! - A lost `pyvenv.cfg` is never guessed.
//! - Nothing is done if a part cannot be restored.
//! - A distribution that another installer replaced or uninstalled stays as it is, and the new
//!   receipt does not list it: files of two versions are never mixed.
//! - The packages stay, and so does the minor version of Python.
//!
//! Foreign files stay, except for the first lines of scripts that start the interpreter of the old
//! place. Does not write.
//!
//! Read next: `repair/published.rs` and `repair/frame.rs`, which plan the parts; `environment.rs`,
//! which publishes the draft; `verify.rs`, which finds what to repair.

mod config_edit;
mod frame;
mod modules;
mod needs;
mod published;
mod stored;
mod subject;
mod survey;
mod whole;

use std::path::{Path, PathBuf};

use rvenv_journal::fs::{Dir, Fs, FsError};
use rvenv_journal::raw::{DiskError as _, Effect, Observation, PlanError, PublishedPath, counted};
use rvenv_journal::{Parents, PlanBuilder, Publication, RelPath, Target, observe};
use thiserror::Error;

pub use self::needs::{Need, needs};
pub use self::stored::{Listed, Stored};
use self::subject::Subject;
pub use self::whole::{Found, Source, modules};
use crate::build::checks::CheckFailed;
use crate::build::hooks::{self, Context, Hooks};
use crate::change::existing::{Existing, Libs};
use crate::change::installed_inputs::{self, ReadBefore};
use crate::change::look_failed::LookFailed;
use crate::change::merge::{MergeError, Merged, keep_statements, receipt_in, redate};
use crate::change::verify::{Departed, Verification, departures, examine_frame, verify};
use crate::python::NamedByTarget;
use crate::python::bytecode::path::is_bytecode;
use crate::wheel::Release;
use crate::wheel::distributions::Distribution;

/// Why a repair is impossible.
#[derive(Debug, Error)]
pub enum RepairError {
    /// The environment cannot be planned.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// Operations that do not fit together.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// There is no receipt, so what was published is unknown.
    #[error("`{0}` has no readable receipt, so rvenv does not know what to restore")]
    NoReceipt(PathBuf),
    /// Files whose bytes are no longer available.
    #[error(
        "the content of {} of `{target}` is lost: {}",
        counted(paths.len(), "file"), few(paths)
    )]
    NoSource {
        /// The target.
        target: PathBuf,
        /// The files.
        paths: Vec<String>,
    },
    /// The `pyvenv.cfg` is lost, and no options that can be guessed give the one that was
    /// published.
    #[error("the pyvenv.cfg of `{0}` is lost, and with it the options that it was made with")]
    NoChoices(PathBuf),
    /// Damaged distributions of which there is no wheel.
    #[error(
        "{} of `{target}` cannot be mended:{}",
        counted(packages.len(), "package"), listed(packages)
    )]
    NoWheel {
        /// The target.
        target: PathBuf,
        /// The distributions.
        packages: Vec<NoWheel>,
    },
    /// The interpreter is of another minor version or implementation.
    #[error("`{target}` is an environment of {python}, and {found}")]
    OtherPython {
        /// The target.
        target: PathBuf,
        /// The Python of the environment.
        python: String,
        /// What the interpreter is instead, as in "it is cpython 3.12.1".
        found: String,
    },
    /// Damage that no repair can mend.
    #[error("`{target}` has damage that a repair cannot mend: {}", few(paths))]
    Left {
        /// The target.
        target: PathBuf,
        /// What is damaged, in words.
        paths: Vec<String>,
    },
    /// Directories with other modes, which no rename can change.
    #[error(
        "directories of `{target}` do not have their published modes: {}",
        few(paths)
    )]
    Modes {
        /// The target.
        target: PathBuf,
        /// The directories, each with its mode.
        paths: Vec<String>,
    },
    /// A system call failed.
    #[error(transparent)]
    Disk(#[from] LookFailed),
}

/// A damaged distribution of which there is no wheel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoWheel {
    /// Which one.
    pub release: Release,
    /// Why there is no wheel.
    pub reason: String,
    /// Whether one was looked for; if not, it was damaged since, perhaps because the recovery of an
    /// earlier run took back what had mended it.
    pub was_looked_for: bool,
    /// Whether it is an egg, which no wheel can mend.
    pub is_egg: bool,
    /// What to pass to pip in order to install it again.
    pub again: Vec<String>,
}

impl NoWheel {
    fn of_egg(egg: &Distribution) -> Self {
        let again = if egg.version.is_empty() {
            egg.name.clone()
        } else {
            format!("{}=={}", egg.name, egg.version)
        };
        Self {
            release: Release {
                name: egg.name.clone(),
                version: egg.version.clone(),
            },
            reason: "it is an egg, which has no RECORD of its files".to_owned(),
            was_looked_for: true,
            is_egg: true,
            again: vec![again],
        }
    }
}

fn listed(packages: &[NoWheel]) -> String {
    let line = |one: &NoWheel| {
        let Release { name, version } = &one.release;
        format!("\n  {name} {version}: {}", one.reason)
    };
    packages.iter().map(line).collect()
}

fn few(paths: &[String]) -> String {
    let mut text = paths.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    if paths.len() > 5 {
        text.push_str(", …");
    }
    text
}

/// The interpreter that the published links lead to, for an environment that no longer names it
/// itself.
#[must_use]
pub fn published_base(fs: &dyn Fs, root: &Dir) -> Option<NamedByTarget> {
    let receipt = receipt_in(fs, root)?;
    let bin = RelPath::new("bin").ok()?;
    let leads = |(path, published): (&RelPath, &PublishedPath)| match published {
        PublishedPath::Symlink { target } if path.is_below(&bin) => {
            NamedByTarget::new(PathBuf::from(target))
        }
        PublishedPath::Symlink { .. } | PublishedPath::Dir { .. } | PublishedPath::File { .. } => {
            None
        }
    };
    receipt.paths.iter().find_map(leads)
}

/// Whether bytecode was published, which a repair then restores.
#[must_use]
pub fn has_published_bytecode(fs: &dyn Fs, root: &Dir) -> bool {
    let receipt = receipt_in(fs, root);
    receipt.is_some_and(|receipt| receipt.paths.keys().any(|path| is_bytecode(path.as_str())))
}

/// What a repair finds, besides damaged files.
#[derive(Clone, Debug, Default)]
pub struct Symptoms {
    /// The distributions that rvenv published and that a repair leaves as another installer left
    /// them.
    pub departed: Vec<Departed>,
    /// The path that the environment was made for, if it is at another one.
    pub moved_from: Option<PathBuf>,
    /// Whether that path still exists, so that the environment is a copy.
    pub is_copy: bool,
    /// The `.pth` files, below the environment, that lead into that path and stay.
    pub moved_pth: Vec<PathBuf>,
    /// Why there is no base interpreter; `None` if there is one.
    pub base_lost: Option<String>,
    /// The distributions in the directory of another minor version.
    pub lost: Vec<Distribution>,
    /// The paths, below the environment, that pip hides while it uninstalls, and that it left.
    pub hidden: Vec<PathBuf>,
}

/// Finds what is wrong with an environment, without reading the files of its distributions.
///
/// # Errors
/// The error of the disk.
pub fn symptoms(fs: &dyn Fs, root: &Dir, path: &Path) -> Result<Symptoms, FsError> {
    let mut symptoms = Symptoms::default();
    if let Some(receipt) = receipt_in(fs, root) {
        let libs = Libs::read(fs, root)?.libs;
        symptoms.departed = departures(fs, root, &receipt, &libs)?.distributions;
    }
    // What cannot be read is damaged, and the repair itself reports that.
    let Ok(existing) = Existing::read(fs, root, path) else {
        return Ok(symptoms);
    };
    let frame = examine_frame(fs, root, &existing)?;
    if let Some(old) = &frame.moved_from {
        symptoms.is_copy = fs.open_path(old).is_ok();
        symptoms.moved_pth = frame::moved_pth(fs, root, &existing, old)?;
    }
    symptoms.hidden = survey::hidden(fs, root, &existing)?;
    symptoms.moved_from = frame.moved_from;
    symptoms.base_lost = frame.base_lost;
    symptoms.lost = frame.lost;
    Ok(symptoms)
}

/// Plans the repair of the environment at the target.
///
/// # Errors
/// See [`RepairError`].
pub fn repair(
    target: &Target<'_>,
    hooks: &dyn Hooks,
    context: &Context,
    found: &[Found],
) -> Result<Merged, RepairError> {
    let disk = LookFailed::disk(target.path());
    let fs = target.disk();
    let root = target.root().map_err(disk)?;
    let mut subject = Subject::read(target, root)?;
    subject.check(context)?;
    let survey = subject.survey()?;
    let receipt = subject
        .published
        .as_ref()
        .map(|published| &published.receipt);
    let context = &published::with_published_pip(context, receipt);
    let mut fresh = hooks::build(hooks, context).map_err(MergeError::from)?;
    if let Some(published) = &mut subject.published {
        published.renew(&fresh);
    }
    let whole = subject.whole(context, &fresh, &survey, found)?;
    let nodes = subject.nodes(context, &mut fresh, &whole.taken)?;
    let mut draft = subject.start(context, &fresh)?;
    subject.add_whole(&mut draft, &whole)?;
    if let Some(published) = &subject.published {
        let is_elsewhere = |path: &RelPath| nodes.contains_key(path) || whole.taken.contains(path);
        published.plan(target, &fresh, &is_elsewhere, &mut draft)?;
    }
    for (path, node) in nodes {
        subject.add(context, &mut draft, path, node)?;
    }
    if subject.published.is_none() && !draft.operations().is_empty() {
        subject.add_distributions(context, &mut draft)?;
    }
    for path in &whole.retired {
        if !draft.operations().contains_key(path) {
            draft.retire(path.clone())?;
        }
    }
    let installed = installed_inputs::inputs(target, &subject.root, &context.env_dir, None);
    let installed = installed.map_err(disk)?;
    let paths: Vec<String> = installed.iter().map(|one| one.path().to_owned()).collect();
    for one in installed {
        draft.add_input(one.input);
    }
    for (of, statement) in whole.statements {
        draft.state(of, statement);
    }
    let published = subject.published.as_ref();
    keep_statements(published.map(|it| &it.receipt), &paths, &mut draft);
    let seen = observe(fs, target.place(), draft.operations(), draft.retired()).map_err(disk)?;
    if let Some(published) = &subject.published {
        published.keep_times(&mut draft, &seen);
    }
    redate(fs, &subject.root, &mut draft, &seen).map_err(disk)?;
    decide(target, &subject, draft, seen)
}

/// Decides whether there is anything to publish.
fn decide(
    target: &Target<'_>,
    subject: &Subject<'_>,
    draft: PlanBuilder,
    seen: Observation,
) -> Result<Merged, RepairError> {
    let is_changed = draft
        .effects(&seen)
        .any(|(_, effect)| effect != Effect::Keep)
        || draft
            .retired()
            .iter()
            .any(|path| seen.paths.contains_key(path));
    let has_drift = subject
        .published
        .as_ref()
        .is_some_and(|p| !p.drifted.is_empty());
    if !is_changed && !has_drift {
        subject.nothing_left(target)?;
    }
    let publication = if is_changed || has_drift {
        Publication::Merge
    } else {
        Publication::Nothing
    };
    Ok(Merged {
        draft,
        seen,
        publication,
        read: ReadBefore::default(),
    })
}

/// Checks that an environment which was repaired is not damaged any more.
///
/// # Errors
/// [`CheckFailed::StillDamaged`].
pub fn check_repaired(fs: &dyn Fs, path: &Path) -> Result<(), CheckFailed> {
    let failed = |what: String| CheckFailed::StillDamaged {
        path: path.to_owned(),
        what: vec![what],
    };
    let target = Target::open(fs, path, Parents::Require).map_err(|e| failed(e.to_string()))?;
    let found = verify(&target).map_err(|e| failed(e.to_string()))?;
    let what = damage(&found);
    if what.is_empty() {
        return Ok(());
    }
    Err(CheckFailed::StillDamaged {
        path: path.to_owned(),
        what,
    })
}

/// What a repair has to mend, in words; lost packages are an upgrade's business.
fn damage(found: &Verification) -> Vec<String> {
    let mut all = Vec::new();
    all.extend(
        found
            .frame
            .base_lost
            .iter()
            .map(|why| format!("its base is lost: {why}")),
    );
    let moved = found.frame.moved_from.iter();
    all.extend(moved.map(|from| format!("it was made for `{}`", from.display())));
    let of_distributions = found.distributions.iter().map(|d| &d.files.drift);
    let mut drift = vec![&found.managed.drift, &found.frame.drift];
    drift.extend(of_distributions);
    let drift = drift.into_iter().flatten();
    all.extend(drift.map(|found| format!("{} {}", found.path, found.detail)));
    all
}
