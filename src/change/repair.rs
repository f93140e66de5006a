//! Repairing: restoring managed paths to what the receipt says, as a draft of a plan.
//!
//! Promises:
//! - Only what differs from the receipt is touched.
//! - Every restored file has the bytes that were published, or, for files that rvenv writes itself,
//!   those that it would write now.
//! - A lost `pyvenv.cfg` is never guessed.
//! - Nothing is done if a part cannot be restored.
//! - A distribution that another installer replaced or uninstalled stays as it is, and the new
//!   receipt
//!   does not list it: files of two versions are never mixed.
//!
//! Files that were never published stay. Does not write.
//!
//! Read next: `environment.rs`, which publishes the draft; `verify.rs`, which finds what to repair.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use rvenv_journal::fs::{Dir, Fs, FsError};
use rvenv_journal::raw::{Difference, DiskError, ModeError, PlanError, PublishedPath, counted};
use rvenv_journal::{
    Content, Digest, Mode, Node, Operation, PlanBuilder, Publication, Receipt, RelPath, Target,
    drift, observe,
};
use thiserror::Error;

use crate::build::hooks::{self, Context, Hooks};
use crate::build::options::{GIT, Options};
use crate::build::pyvenv_cfg::{self, CONFIG_NAME};
use crate::change::existing::{Existing, ExistingError};
use crate::change::installed_inputs;
use crate::change::look_failed::LookFailed;
use crate::change::merge::{MergeError, Merged, receipt_in, redate};
use crate::change::verify::{Departed, departures, doubled};
use crate::python::NamedByTarget;
use crate::python::bytecode::path::is_bytecode;

/// The name in place of a hook's for paths that are in the plan only to stay.
const PART: &str = "receipt";

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

/// The distributions that rvenv published and that a repair leaves as another installer left them.
///
/// # Errors
/// The error of the disk.
pub fn left_alone(fs: &dyn Fs, root: &Dir) -> Result<Vec<Departed>, FsError> {
    let Some(receipt) = receipt_in(fs, root) else {
        return Ok(Vec::new());
    };
    Ok(departures(fs, root, &receipt)?.distributions)
}

/// Plans the restoration of the environment at the target where it differs from its receipt.
///
/// # Errors
/// See [`RepairError`].
pub fn repair(
    target: &Target<'_>,
    hooks: &dyn Hooks,
    context: &Context,
) -> Result<Merged, RepairError> {
    let path = || target.path().to_path_buf();
    let disk = LookFailed::disk(target.path());
    let root = target.root().map_err(disk)?;
    let mut receipt =
        receipt_in(target.disk(), &root).ok_or_else(|| RepairError::NoReceipt(path()))?;
    // They belong to the distributions that are there instead.
    let departures = departures(target.disk(), &root, &receipt).map_err(disk)?;
    receipt
        .paths
        .retain(|path, _| !departures.paths.contains(path));
    let drifted: BTreeMap<String, Difference> = drift(target.disk(), &root, &receipt)
        .map_err(disk)?
        .into_iter()
        .filter(|drift| drift.difference != Difference::Foreign)
        .map(|drift| (drift.path, drift.difference))
        .collect();
    if !drifted.is_empty()
        && let Some(two) = doubled(target.disk(), &root, &receipt).map_err(disk)?.pop()
    {
        let other = two.replacement.as_ref().map(ToString::to_string);
        return Err(RepairError::TwoVersions {
            target: path(),
            versions: [two.published.to_string(), other.unwrap_or_default()],
        });
    }
    let modes = modes(&receipt, &drifted);
    if !modes.is_empty() {
        return Err(RepairError::Modes {
            target: path(),
            paths: modes,
        });
    }
    let context = &with_published_pip(context, &receipt);
    let mut fresh = hooks::build(hooks, context).map_err(MergeError::from)?;
    if drifted.contains_key(CONFIG_NAME) {
        restore_config((target, &root), context, &receipt, &mut fresh)?;
    }
    let mut draft = draft(target, context, &receipt, &fresh, &drifted)?;
    let installed = installed_inputs::inputs(target, &root, &context.env_dir, None);
    for input in installed.map_err(disk)? {
        draft.add_input(input);
    }
    let seen = observe(
        target.disk(),
        target.place(),
        draft.operations(),
        draft.retired(),
    )
    .map_err(disk)?;
    redate(target.disk(), &root, &mut draft, &seen).map_err(disk)?;
    let publication = if drifted.is_empty() {
        Publication::Nothing
    } else {
        Publication::Merge
    };
    Ok(Merged {
        draft,
        seen,
        publication,
    })
}

/// Plans everything that the receipt lists: newly planned content for what differs, the rest as it
/// is.
fn draft(
    target: &Target<'_>,
    context: &Context,
    receipt: &Receipt,
    fresh: &PlanBuilder,
    drifted: &BTreeMap<String, Difference>,
) -> Result<PlanBuilder, RepairError> {
    let mut lost = Vec::new();
    let mut draft = PlanBuilder::new(&context.env_dir, mode(receipt.root_mode)?)?;
    for input in fresh.inputs() {
        draft.add_input(input.clone());
    }
    draft.set_order(fresh.order().to_vec());
    if receipt.is_shared {
        draft.share();
    }
    for (path, published) in &receipt.paths {
        let planned = fresh.operations().get(path);
        let Some((part, node)) = node(published, planned, drifted.get(path.as_str()).copied())?
        else {
            // Bytecode that this Python no longer gives belongs to Python from now on.
            if !is_bytecode(path.as_str()) {
                lost.push(path.to_string());
            }
            continue;
        };
        let operation = Operation {
            part,
            // Files are restored one by one, whatever group they came with.
            group: None,
            node,
        };
        draft.add(path.clone(), operation)?;
    }
    if lost.is_empty() {
        return Ok(draft);
    }
    Err(RepairError::NoSource {
        target: target.path().to_path_buf(),
        paths: lost,
    })
}

/// If no pip was published, a repair needs none, and the interpreter need not have one.
fn with_published_pip(context: &Context, receipt: &Receipt) -> Context {
    let is_pip =
        |path: &RelPath| path.name().starts_with("pip-") && path.name().ends_with(".dist-info");
    let options = Options {
        with_pip: receipt.paths.keys().any(is_pip),
        upgrade: false,
        ..context.options.clone()
    };
    Context {
        options,
        ..context.clone()
    }
}

/// Finds the published `pyvenv.cfg`, byte for byte: it depends on the options, and only the right
/// ones give its digest.
fn published_config(context: &Context, receipt: &Receipt) -> Option<(RelPath, String)> {
    let path = RelPath::new(CONFIG_NAME).ok()?;
    let Some(PublishedPath::File { digest, .. }) = receipt.paths.get(&path) else {
        return None;
    };
    let texts = (0..1 << 6).map(|bits: u32| {
        let is = |bit: u32| bits & 1 << bit != 0;
        let options = Options {
            system_site_packages: is(0),
            upgrade: is(1),
            with_pip: is(2),
            clear: is(3),
            upgrade_deps: is(4),
            scm_ignore_files: is(5).then(|| GIT.to_owned()).into_iter().collect(),
            ..context.options.clone()
        };
        let Context {
            interpreter,
            layout,
            env_dir,
            ..
        } = context;
        pyvenv_cfg::render(interpreter, layout, &options, env_dir)
    });
    let mut texts = texts.filter(|text| Digest::of(text.as_bytes()) == *digest);
    texts.next().map(|text| (path, text))
}

/// Plans the published `pyvenv.cfg`; if its bytes are not found, the one with the options that it
/// has now.
fn restore_config(
    at: (&Target<'_>, &Dir),
    context: &Context,
    receipt: &Receipt,
    fresh: &mut PlanBuilder,
) -> Result<(), RepairError> {
    match published_config(context, receipt) {
        Some((path, text)) => fresh.adopt_content(&path, text.into_bytes()),
        None if is_config_lost(at.0, at.1) => {
            return Err(RepairError::NoChoices(at.0.path().to_path_buf()));
        }
        None => {}
    }
    Ok(())
}

/// Whether nothing can be read from the existing `pyvenv.cfg`.
fn is_config_lost(target: &Target<'_>, root: &Dir) -> bool {
    let read = Existing::read(target.disk(), root, target.path());
    matches!(
        read,
        Err(ExistingError::NoConfig(_) | ExistingError::Config { .. })
    )
}

/// The directories with other modes than were published.
fn modes(receipt: &Receipt, drifted: &BTreeMap<String, Difference>) -> Vec<String> {
    let of = |path: &str| match RelPath::new(path).ok() {
        None => Some(receipt.root_mode),
        Some(path) => match receipt.paths.get(&path) {
            Some(PublishedPath::Dir { mode }) => Some(*mode),
            Some(PublishedPath::File { .. } | PublishedPath::Symlink { .. }) | None => None,
        },
    };
    let changed = drifted
        .iter()
        .filter(|(_, difference)| **difference == Difference::Mode);
    let shown = changed.filter_map(|(path, _)| {
        let name = if path.is_empty() { "." } else { path };
        of(path).map(|mode| format!("{name} (published with {mode:04o})"))
    });
    shown.collect()
}

fn mode(bits: u32) -> Result<Mode, PlanError> {
    Mode::new(bits).map_err(|error: ModeError| error.into())
}

/// What to restore at a path; `None` if its bytes are not available.
fn node(
    published: &PublishedPath,
    planned: Option<&Operation>,
    drifted: Option<Difference>,
) -> Result<Option<(Arc<str>, Node)>, PlanError> {
    let part = planned.map_or_else(|| PART.into(), |planned| Arc::clone(&planned.part));
    let (bits, digest, len) = match published {
        PublishedPath::Dir { mode: bits } => {
            let mode = mode(*bits)?;
            return Ok(Some((part, Node::Dir { mode })));
        }
        PublishedPath::Symlink { target } => {
            let target = target.clone();
            return Ok(Some((part, Node::Symlink { target })));
        }
        PublishedPath::File { mode, digest, len } => (*mode, *digest, *len),
    };
    let source = match planned.map(|planned| &planned.node) {
        Some(Node::File { mtime, content, .. }) => Some((*mtime, content)),
        Some(Node::Dir { .. } | Node::Symlink { .. }) | None => None,
    };
    let same = source.filter(|(_, content)| content.digest() == digest);
    let ours = source.filter(|(_, content)| matches!(content, Content::Inline(_)));
    let (mtime, content) = match (drifted, same.or(ours)) {
        // It stays, and is compared by its bytes.
        (None, _) => (None, Content::Object { digest, len }),
        (Some(Difference::Missing), Some((mtime, content))) => (mtime, content.clone()),
        // The bytes may have changed while length and time did not, so those prove nothing here.
        (Some(_), Some((_, content))) => (None, content.clone()),
        (Some(_), None) => return Ok(None),
    };
    let mode = mode(bits)?;
    Ok(Some((
        part,
        Node::File {
            mode,
            mtime,
            content,
        },
    )))
}
