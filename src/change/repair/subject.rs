//! An environment to repair: what was found of it, and what each part of a plan makes of that.
//!
//! Promises to read everything once, under the lock. Does not write.
//!
//! Read next: `../repair.rs`, which puts the parts together.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::PathBuf;

use rvenv_journal::fs::{Dir, Fs, FsError, Kind};
use rvenv_journal::raw::{DiskError as _, ENGINE_DIR, RECEIPT_NAME};
use rvenv_journal::{Content, Mode, Node, Operation, PlanBuilder, RelPath, Target};

use super::frame::{self, FrameRepair, Nodes};
use super::published::{self, Published};
use super::survey::{Placed, Survey, survey};
use super::whole::{Found, Site, Whole};
use super::{RepairError, damage};
use crate::build::hooks::Context;
use crate::build::pyvenv_cfg::CONFIG_NAME;
use crate::change::existing::{Existing, ExistingError};
use crate::change::look_failed::LookFailed;
use crate::change::merge::{MergeError, receipt_in};
use crate::change::verify::{Verification, VerifyFailed, verify};
use crate::wheel::distributions::DistributionKind;

/// The part of the plan that has what a repair writes, beside the parts of the hooks.
const PART: &str = "repair";

/// An environment to repair, as it is.
pub(super) struct Subject<'a> {
    pub(super) fs: &'a dyn Fs,
    pub(super) root: Dir,
    pub(super) path: PathBuf,
    /// What rvenv published; `None` if another tool made the environment.
    pub(super) published: Option<Published>,
    /// What the environment says about itself; `None` if its `pyvenv.cfg` is damaged.
    pub(super) existing: Option<Existing>,
    pub(super) found: Verification,
}

impl<'a> Subject<'a> {
    pub(super) fn read(target: &Target<'a>, root: Dir) -> Result<Self, RepairError> {
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
    pub(super) fn check(&self, context: &Context) -> Result<(), RepairError> {
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
        let modes = published::modes(&published.receipt, &published.drifted);
        if modes.is_empty() {
            return Ok(());
        }
        Err(RepairError::Modes {
            target: target(),
            paths: modes,
        })
    }

    /// The damaged distributions; none if nothing is damaged.
    pub(super) fn survey(&self) -> Result<Survey, RepairError> {
        let Some(existing) = self.existing.as_ref().filter(|_| !self.found.is_clean()) else {
            return Ok(Survey::default());
        };
        survey(self.fs, &self.root, existing).map_err(|source| self.disk(source))
    }

    /// What replaces the damaged distributions, except those that are restored as they were
    /// published.
    pub(super) fn whole(
        &self,
        context: &Context,
        fresh: &PlanBuilder,
        survey: &Survey,
        found: &[Found],
    ) -> Result<Whole, RepairError> {
        let published = self.published.as_ref();
        let site = Site {
            fs: self.fs,
            root: &self.root,
            context,
            published,
            found,
        };
        let is_restored = |one: &Placed| {
            let list = one.info().and_then(|info| info.join("RECORD").ok());
            let of_receipt =
                |list: &RelPath| published.is_some_and(|p| p.receipt.paths.contains_key(list));
            list.is_some_and(|list| of_receipt(&list) && fresh.operations().contains_key(&list))
        };
        site.plan(survey, &is_restored)
    }

    /// Plans what replaces damaged distributions.
    pub(super) fn add_whole(
        &self,
        draft: &mut PlanBuilder,
        whole: &Whole,
    ) -> Result<(), RepairError> {
        for input in &whole.inputs {
            draft.add_input(input.clone());
        }
        for (path, operation) in &whole.operations {
            let mut operation = operation.clone();
            if let Node::Dir { mode } = &mut operation.node
                && let Some(Node::Dir { mode: own }) =
                    kept(self.fs, &self.root, path).map_err(|e| self.disk(e))?
            {
                *mode = own;
            }
            draft.add(path.clone(), operation)?;
        }
        Ok(())
    }

    /// What changes in the frame, and in the scripts and lists of the distributions.
    pub(super) fn nodes(
        &self,
        context: &Context,
        fresh: &mut PlanBuilder,
        taken: &BTreeSet<RelPath>,
    ) -> Result<Nodes, RepairError> {
        let nothing = BTreeMap::new();
        let mut taken = taken.clone();
        taken.extend(
            self.published
                .iter()
                .flat_map(|p| p.renewed.iter().cloned()),
        );
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
            taken: &taken,
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
    pub(super) fn start(
        &self,
        context: &Context,
        fresh: &PlanBuilder,
    ) -> Result<PlanBuilder, RepairError> {
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
    pub(super) fn add(
        &self,
        context: &Context,
        draft: &mut PlanBuilder,
        path: RelPath,
        node: Node,
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
    pub(super) fn add_distributions(
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
                    self.add(context, draft, list, node)?;
                }
            }
        }
        Ok(())
    }

    /// Refuses to call an environment repaired that is not.
    pub(super) fn nothing_left(&self, target: &Target<'_>) -> Result<(), RepairError> {
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
            dir = match fs.open_dir(&dir, OsStr::new(component)) {
                Ok(dir) => dir,
                Err(error) if is_absent(&error) => return Ok(None),
                Err(error) => return Err(error),
            };
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

fn is_absent(error: &FsError) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
    )
}

/// Whether something is in the place of a receipt.
fn has_receipt(fs: &dyn Fs, root: &Dir) -> bool {
    let inner = fs.open_dir(root, OsStr::new(ENGINE_DIR));
    let receipt = inner.and_then(|inner| fs.meta(&inner, OsStr::new(RECEIPT_NAME)));
    receipt.is_ok_and(|receipt| receipt.is_some())
}
