//! Paths that rvenv published, as their receipt has them: restored where they differ, planned to
//! stay where they do not.
//!
//! Promises that every restored file has the bytes that were published, or, for files that rvenv
//! writes itself, those that it would write now; that what stays is in the receipt as it was; and
//! that a lost `pyvenv.cfg` is never guessed.
//! Does not write.
//!
//! Read next: `../repair.rs`, which uses this.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use rvenv_journal::fs::{Dir, Fs, FsError};
use rvenv_journal::raw::{
    Difference, Effect, ModeError, Observation, Observed, PlanError, PublishedPath, effect, paired,
};
use rvenv_journal::{
    Content, Digest, Mode, Node, Operation, PlanBuilder, Receipt, RelPath, Target, drift,
};

use super::RepairError;
use crate::build::hooks::Context;
use crate::build::options::{GIT, Options};
use crate::build::pyvenv_cfg::{self, CONFIG_NAME};
use crate::change::existing::Libs;
use crate::change::verify::departures;
use crate::python::bytecode::path::is_bytecode;

/// The name in place of a hook's for paths that are in the plan only to stay.
const PART: &str = "receipt";

/// The receipt of an environment, and how the environment differs from it.
#[derive(Debug)]
pub(super) struct Published {
    /// The receipt, without the paths of distributions that another installer changed.
    pub(super) receipt: Receipt,
    /// The paths that differ, `""` for the environment itself.
    pub(super) drifted: BTreeMap<String, Difference>,
    /// The paths of the damaged distributions, which are planned anew as a whole.
    pub(super) renewed: BTreeSet<RelPath>,
}

impl Published {
    /// Compares an environment with its receipt.
    pub(super) fn read(fs: &dyn Fs, root: &Dir, mut receipt: Receipt) -> Result<Self, FsError> {
        // They belong to the distributions that are there instead.
        let libs = Libs::read(fs, root)?.libs;
        let departures = departures(fs, root, &receipt, &libs)?;
        receipt
            .paths
            .retain(|path, _| !departures.paths.contains(path));
        let drifted = drift(fs, root, &receipt)?
            .into_iter()
            .filter(|drift| drift.difference != Difference::Foreign)
            .map(|drift| (drift.path, drift.difference))
            .collect();
        Ok(Self {
            receipt,
            drifted,
            renewed: BTreeSet::new(),
        })
    }

    /// Marks every path of the distributions with a difference: they are restored from one wheel.
    pub(super) fn renew(&mut self, fresh: &PlanBuilder) {
        let group = |path: &str| {
            let path = RelPath::new(path).ok()?;
            fresh.operations().get(&path)?.group.clone()
        };
        let damaged: BTreeSet<Arc<str>> =
            self.drifted.keys().filter_map(|path| group(path)).collect();
        let all = fresh.operations().iter();
        let all = all.filter(|(_, of)| of.group.as_ref().is_some_and(|g| damaged.contains(g)));
        self.renewed = all.map(|(path, _)| path.clone()).collect();
    }

    /// Whether the interpreter that the published links lead to exists, and something else exists
    /// in their place: the links are damaged then, and their base is not lost.
    pub(super) fn has_base(&self) -> bool {
        let is_link = |(path, node): (&RelPath, &PublishedPath)| match node {
            PublishedPath::Symlink { target } if self.drifted.contains_key(path.as_str()) => {
                Path::new(target).is_absolute() && Path::new(target).exists()
            }
            PublishedPath::Symlink { .. }
            | PublishedPath::Dir { .. }
            | PublishedPath::File { .. } => false,
        };
        self.drifted.contains_key(CONFIG_NAME) || self.receipt.paths.iter().any(is_link)
    }

    /// Plans everything that the receipt lists, except what is planned elsewhere: newly planned
    /// content for what differs, the rest as it is.
    pub(super) fn plan(
        &self,
        target: &Target<'_>,
        fresh: &PlanBuilder,
        is_elsewhere: &dyn Fn(&RelPath) -> bool,
        draft: &mut PlanBuilder,
    ) -> Result<(), RepairError> {
        let mut lost = Vec::new();
        for (path, published) in &self.receipt.paths {
            if is_elsewhere(path) {
                continue;
            }
            let planned = fresh.operations().get(path);
            let drifted = self.drifted.get(path.as_str()).copied();
            let is_renewed = self.renewed.contains(path);
            let Some((part, node)) = node(published, planned, drifted, is_renewed)? else {
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
            if !draft.operations().contains_key(path) {
                draft.add(path.clone(), operation)?;
            }
        }
        if lost.is_empty() {
            return Ok(());
        }
        Err(RepairError::NoSource {
            target: target.path().to_path_buf(),
            paths: lost,
        })
    }

    /// Keeps the published times of files that stay and still have them: by its time, a later plan
    /// sees that a file is unchanged.
    pub(super) fn keep_times(&self, draft: &mut PlanBuilder, seen: &Observation) {
        let mut dated = Vec::new();
        for (path, operation, found) in paired(draft.operations(), &seen.paths) {
            if let Some(PublishedPath::File {
                mtime: Some(seconds),
                ..
            }) = self.receipt.paths.get(path)
                && let Some(Observed::File { mtime_ns, .. }) = found
                && *mtime_ns == i128::from(*seconds) * 1_000_000_000
                && effect(&operation.node, found) == Effect::Keep
            {
                dated.push((path.clone(), *seconds));
            }
        }
        for (path, seconds) in dated {
            draft.adopt_time(&path, seconds);
        }
    }
}

/// If no pip was published, a repair needs none, and the interpreter need not have one.
pub(super) fn with_published_pip(context: &Context, receipt: Option<&Receipt>) -> Context {
    let is_pip =
        |path: &RelPath| path.name().starts_with("pip-") && path.name().ends_with(".dist-info");
    let options = Options {
        with_pip: receipt.is_some_and(|receipt| receipt.paths.keys().any(is_pip)),
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

/// Plans the published `pyvenv.cfg`, with the first of the contexts that gives its bytes; if none
/// does, the plan keeps the one with the options that the environment has now.
pub(super) fn restore_config(
    contexts: &[&Context],
    receipt: &Receipt,
    fresh: &mut PlanBuilder,
) -> bool {
    let mut found = contexts
        .iter()
        .filter_map(|context| published_config(context, receipt));
    let Some((path, text)) = found.next() else {
        return false;
    };
    fresh.adopt_content(&path, text.into_bytes());
    true
}

/// The planned text of a file that rvenv writes itself.
pub(super) fn inline<'a>(fresh: &'a PlanBuilder, path: &RelPath) -> Option<&'a str> {
    match &fresh.operations().get(path)?.node {
        Node::File {
            content: Content::Inline(bytes),
            ..
        } => std::str::from_utf8(bytes).ok(),
        Node::File { .. } | Node::Dir { .. } | Node::Symlink { .. } => None,
    }
}

/// The directories with other modes than were published.
pub(super) fn modes(receipt: &Receipt, drifted: &BTreeMap<String, Difference>) -> Vec<String> {
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

pub(super) fn mode(bits: u32) -> Result<Mode, PlanError> {
    Mode::new(bits).map_err(|error: ModeError| error.into())
}

/// What to restore at a path; `None` if its bytes are not available.
fn node(
    published: &PublishedPath,
    planned: Option<&Operation>,
    drifted: Option<Difference>,
    is_renewed: bool,
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
        PublishedPath::File {
            mode, digest, len, ..
        } => (*mode, *digest, *len),
    };
    let source = match planned.map(|planned| &planned.node) {
        Some(Node::File { mtime, content, .. }) => Some((*mtime, content)),
        Some(Node::Dir { .. } | Node::Symlink { .. }) | None => None,
    };
    let same = source.filter(|(_, content)| content.digest() == digest);
    let ours = source.filter(|(_, content)| matches!(content, Content::Inline(_)));
    let (mtime, content) = match (drifted, same.or(ours)) {
        (None, Some((_, content))) if is_renewed => (None, content.clone()),
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
