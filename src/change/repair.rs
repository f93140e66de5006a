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
mod published;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rvenv_journal::fs::{Dir, Fs, FsError, Kind};
use rvenv_journal::raw::{
    DiskError, ENGINE_DIR, Effect, PlanError, PublishedPath, RECEIPT_NAME, counted,
};
use rvenv_journal::{
    Content, Mode, Node, Operation, Parents, PlanBuilder, Publication, RelPath, Target, observe,
};
use thiserror::Error;

use self::frame::{FrameRepair, Nodes};
use self::published::Published;
use crate::build::checks::CheckFailed;
use crate::build::hooks::{self, Context, Hooks};
use crate::build::pyvenv_cfg::CONFIG_NAME;
use crate::change::existing::{Existing, ExistingError};
use crate::change::installed_inputs;
use crate::change::look_failed::LookFailed;
use crate::change::merge::{MergeError, Merged, receipt_in, redate};
use crate::change::verify::{
    Departed, Verification, VerifyFailed, departures, doubled, examine_frame, verify,
};
use crate::python::NamedByTarget;
use crate::python::bytecode::path::is_bytecode;
use crate::wheel::distributions::{Distribution, DistributionKind};

/// The part of the plan that has what a repair writes, beside the parts of the hooks.
const PART: &str = "repair";

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
    /// A damaged distribution, with another version of it beside it.
    #[error(
        "`{target}` has two versions of a distribution, {}, and a repair would mix them",
        versions.join(" and ")
    )]
    TwoVersions {
        /// The target.
        target: PathBuf,
        /// The version that was published and the other one, each with its name.
        versions: [String; 2],
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
}

/// Finds what is wrong with an environment, without reading the files of its distributions.
///
/// # Errors
/// The error of the disk.
pub fn symptoms(fs: &dyn Fs, root: &Dir, path: &Path) -> Result<Symptoms, FsError> {
    let mut symptoms = Symptoms::default();
    if let Some(receipt) = receipt_in(fs, root) {
        symptoms.departed = departures(fs, root, &receipt)?.distributions;
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
) -> Result<Merged, RepairError> {
    let disk = LookFailed::disk(target.path());
    let fs = target.disk();
    let root = target.root().map_err(disk)?;
    let mut sick = Sick::read(target, root)?;
    sick.check(context)?;
    let receipt = sick.published.as_ref().map(|published| &published.receipt);
    let context = &published::with_published_pip(context, receipt);
    let mut fresh = hooks::build(hooks, context).map_err(MergeError::from)?;
    let nodes = sick.nodes(context, &mut fresh)?;
    let mut draft = sick.start(context, &fresh)?;
    if let Some(published) = &sick.published {
        published.plan(target, (&fresh, &nodes), &mut draft)?;
    }
    for (path, node) in nodes {
        sick.add(context, &mut draft, (path, node))?;
    }
    if sick.published.is_none() && !draft.operations().is_empty() {
        sick.add_distributions(context, &mut draft)?;
    }
    let installed = installed_inputs::inputs(target, &sick.root, &context.env_dir, None);
    for input in installed.map_err(disk)? {
        draft.add_input(input);
    }
    let seen = observe(fs, target.place(), draft.operations(), draft.retired()).map_err(disk)?;
    redate(fs, &sick.root, &mut draft, &seen).map_err(disk)?;
    let is_changed = draft
        .effects(&seen)
        .any(|(_, effect)| effect != Effect::Keep);
    let has_drift = sick
        .published
        .as_ref()
        .is_some_and(|p| !p.drifted.is_empty());
    if !is_changed && !has_drift {
        sick.nothing_left(target)?;
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

/// An environment to repair, as it is.
struct Sick<'a> {
    fs: &'a dyn Fs,
    root: Dir,
    path: PathBuf,
    /// What rvenv published; `None` if another tool made the environment.
    published: Option<Published>,
    /// What the environment says about itself; `None` if its `pyvenv.cfg` is damaged.
    existing: Option<Existing>,
    found: Verification,
}

impl<'a> Sick<'a> {
    fn read(target: &Target<'a>, root: Dir) -> Result<Self, RepairError> {
        let fs = target.disk();
        let path = target.path().to_path_buf();
        let disk = LookFailed::disk(target.path());
        let found = verify(target).map_err(|error| match error {
            VerifyFailed::Disk(failed) => RepairError::Disk(failed),
            VerifyFailed::Absent(path) | VerifyFailed::NotAnEnvironment(path) => {
                MergeError::NoEnvironment(path).into()
            }
        })?;
        let receipt = receipt_in(fs, &root);
        if receipt.is_none() && has_receipt(fs, &root) {
            return Err(RepairError::NoReceipt(path));
        }
        let published = receipt.map(|receipt| Published::read(fs, &root, receipt));
        let published = published.transpose().map_err(disk)?;
        let existing = match Existing::read(fs, &root, &path) {
            Ok(existing) => Some(existing),
            Err(ExistingError::NoConfig(_) | ExistingError::Config { .. })
                if published.is_some() =>
            {
                None
            }
            Err(error) => return Err(MergeError::from(error).into()),
        };
        Ok(Self {
            fs,
            root,
            path,
            published,
            existing,
            found,
        })
    }

    /// Refuses what a repair cannot do.
    fn check(&self, context: &Context) -> Result<(), RepairError> {
        let target = || self.path.clone();
        let refused = self
            .existing
            .as_ref()
            .and_then(|e| e.refuses(&context.interpreter));
        if let Some(found) = refused {
            let flavour = self.existing.as_ref().and_then(Existing::flavour);
            return Err(RepairError::OtherPython {
                target: target(),
                python: flavour
                    .map(|flavour| flavour.to_string())
                    .unwrap_or_default(),
                found,
            });
        }
        let Some(published) = self.published.as_ref().filter(|p| !p.drifted.is_empty()) else {
            return Ok(());
        };
        let two = doubled(self.fs, &self.root, &published.receipt);
        if let Some(two) = two.map_err(|source| self.disk(source))?.pop() {
            let other = two.replacement.as_ref().map(ToString::to_string);
            return Err(RepairError::TwoVersions {
                target: target(),
                versions: [two.published.to_string(), other.unwrap_or_default()],
            });
        }
        let modes = published::modes(&published.receipt, &published.drifted);
        if modes.is_empty() {
            return Ok(());
        }
        Err(RepairError::Modes {
            target: target(),
            paths: modes,
        })
    }

    /// What changes in the frame, and in the scripts and lists of the distributions.
    fn nodes(&mut self, context: &Context, fresh: &mut PlanBuilder) -> Result<Nodes, RepairError> {
        let (none, nothing) = (BTreeSet::new(), BTreeMap::new());
        if let Some(published) = &mut self.published {
            published.renew(fresh);
        }
        let published = self.published.as_ref();
        let is_config_damaged = published.is_some_and(|p| p.drifted.contains_key(CONFIG_NAME));
        if let Some(published) = published.filter(|_| is_config_damaged) {
            let old = self
                .found
                .frame
                .moved_from
                .as_ref()
                .and_then(|old| old.to_str());
            let old = old.map(|old| Context {
                env_dir: old.to_owned(),
                ..context.clone()
            });
            let contexts: Vec<&Context> = std::iter::once(context).chain(&old).collect();
            let is_lost = self.existing.is_none();
            if !published::restore_config(&contexts, &published.receipt, fresh) && is_lost {
                return Err(RepairError::NoChoices(self.path.clone()));
            }
        }
        let Some(existing) = &self.existing else {
            return Ok(Nodes::new());
        };
        let repair = FrameRepair {
            fs: self.fs,
            root: &self.root,
            existing,
            frame: &self.found.frame,
            context,
            fresh,
            has_new_base: frame::needs_base(&self.found.frame)
                && !published.is_some_and(Published::has_base),
            restored: published.map_or(&nothing, |published| &published.drifted),
            taken: published.map_or(&none, |published| &published.renewed),
        };
        let mut nodes = repair.nodes().map_err(|source| self.disk(source))?;
        if is_config_damaged && let Ok(path) = RelPath::new(CONFIG_NAME) {
            nodes.remove(&path);
            let restored = published::inline(fresh, &path).map(|text| repair.edited(text));
            if let Some(text) = restored {
                fresh.adopt_content(&path, text.into_bytes());
            }
        }
        Ok(nodes)
    }

    /// A plan for the existing directory, with nothing in it.
    fn start(&self, context: &Context, fresh: &PlanBuilder) -> Result<PlanBuilder, RepairError> {
        let root = match &self.published {
            Some(published) => published.receipt.root_mode,
            None => self.fs.meta_of(&self.root).map_err(|e| self.disk(e))?.mode & 0o777,
        };
        let mut draft = PlanBuilder::new(&context.env_dir, published::mode(root)?)?;
        for input in fresh.inputs() {
            draft.add_input(input.clone());
        }
        draft.set_order(fresh.order().to_vec());
        if self.published.as_ref().is_some_and(|p| p.receipt.is_shared) {
            draft.share();
        }
        Ok(draft)
    }

    /// Plans a path, and the directories above it as they are.
    fn add(
        &self,
        context: &Context,
        draft: &mut PlanBuilder,
        (path, node): (RelPath, Node),
    ) -> Result<(), RepairError> {
        let mut dir = Some(self.root.clone());
        let components: Vec<&str> = path.components().collect();
        let above = components.len().saturating_sub(1);
        for depth in 1..=above {
            let at = RelPath::new(&components.get(..depth).unwrap_or_default().join("/"));
            let at = at.map_err(MergeError::from)?;
            let opened = dir.and_then(|dir| self.fs.open_dir(&dir, OsStr::new(at.name())).ok());
            if !draft.operations().contains_key(&at) {
                let meta = opened.as_ref().map(|dir| self.fs.meta_of(dir)).transpose();
                let meta = meta.map_err(|source| self.disk(source))?;
                let mode = match meta {
                    Some(meta) => published::mode(meta.mode & 0o777)?,
                    None => context.dir_mode(),
                };
                draft.add(at, operation(Node::Dir { mode }))?;
            }
            dir = opened;
        }
        Ok(draft.add(path, operation(node))?)
    }

    /// Plans the list of every distribution to stay, so that the first receipt of an environment
    /// that another tool made has them all.
    fn add_distributions(
        &self,
        context: &Context,
        draft: &mut PlanBuilder,
    ) -> Result<(), RepairError> {
        let libs = self.existing.iter().flat_map(|existing| &existing.libs);
        for lib in libs {
            for distribution in &lib.distributions {
                let info = lib.path.join(&distribution.dir).map_err(MergeError::from)?;
                let list = match distribution.kind {
                    DistributionKind::DistInfo => info.join("RECORD").map_err(MergeError::from)?,
                    DistributionKind::EggInfo | DistributionKind::EggLink => info,
                };
                if draft.operations().contains_key(&list) {
                    continue;
                }
                let node = kept(self.fs, &self.root, &list).map_err(|e| self.disk(e))?;
                if let Some(node) = node {
                    self.add(context, draft, (list, node))?;
                }
            }
        }
        Ok(())
    }

    /// Refuses to call an environment repaired that is not.
    fn nothing_left(&self, target: &Target<'_>) -> Result<(), RepairError> {
        let what = damage(&self.found);
        if what.is_empty() {
            return Ok(());
        }
        Err(RepairError::Left {
            target: target.path().to_path_buf(),
            paths: what,
        })
    }

    fn disk(&self, source: FsError) -> RepairError {
        LookFailed::of_disk(&self.path, source).into()
    }
}

fn operation(node: Node) -> Operation {
    Operation {
        part: PART.into(),
        // Files are mended one by one, whatever group they came with.
        group: None,
        node,
    }
}

/// A file or directory as it is; `None` for anything else.
fn kept(fs: &dyn Fs, root: &Dir, path: &RelPath) -> Result<Option<Node>, FsError> {
    let mut dir = root.clone();
    if let Some(above) = path.parent() {
        for component in above.components() {
            dir = fs.open_dir(&dir, OsStr::new(component))?;
        }
    }
    let name = OsStr::new(path.name());
    let meta = fs.meta(&dir, name)?;
    let with_mode = meta.and_then(|meta| Some((Mode::new(meta.mode & 0o777).ok()?, meta)));
    Ok(match with_mode {
        Some((mode, meta)) if meta.kind == Kind::File => Some(Node::File {
            mode,
            mtime: None,
            content: Content::Object {
                digest: fs.digest_file(&dir, name)?,
                len: meta.len,
            },
        }),
        Some((mode, meta)) if meta.kind == Kind::Dir => Some(Node::Dir { mode }),
        Some(_) | None => None,
    })
}

/// Whether something is in the place of a receipt.
fn has_receipt(fs: &dyn Fs, root: &Dir) -> bool {
    let inner = fs.open_dir(root, OsStr::new(ENGINE_DIR));
    let receipt = inner.and_then(|inner| fs.meta(&inner, OsStr::new(RECEIPT_NAME)));
    receipt.is_ok_and(|receipt| receipt.is_some())
}
