//! A change of an existing environment as one tree: everything that it has comes along into the new
//! one.
//!
//! A caller whose own code changes the environment before it is settled needs this: only a whole
//! tree is taken back with everything that was changed in it meanwhile.
//!
//! Promises that each file, link and directory which the merge would leave alone is in the plan,
//! with its mode and the seconds of its time. Refuses what it could not carry or take back: a
//! directory that has entries older than its environment, a mount point, special files and names
//! that no plan has. Does not write.
//!
//! Read next: `merge.rs`, which decides about everything that is planned.

use std::path::PathBuf;

use rvenv_journal::fs::{Dir, Kind, Meta, NameInDir};
use rvenv_journal::raw::{DiskError, ENGINE_DIR, PlanError, RelPathError};
use rvenv_journal::{
    Content, Fs, Mode, Node, Operation, Plan, PlanBuilder, Publication, RelPath, Target, observe,
};
use thiserror::Error;

use crate::change::look_failed::LookFailed;
use crate::change::merge::{self, Merged};

/// The part of a plan that comes along unchanged.
const PART: &str = "existing";

/// Why an environment cannot be changed as one tree.
#[derive(Debug, Error)]
pub enum WholeError {
    /// The directory itself must stay.
    #[error("`{}` {why}, so what a builder's own code changes there could not be taken back",
        path.display().to_string().escape_debug())]
    Stays {
        /// The directory.
        path: PathBuf,
        /// Why it must stay, as a clause.
        why: &'static str,
    },
    /// An entry cannot be carried into another tree.
    #[error("`{}` is {what}, which cannot be carried into a new tree",
        path.display().to_string().escape_debug())]
    Entry {
        /// The entry.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A name that no plan has.
    #[error("`{}` has a name that cannot be in a plan", path.display().to_string().escape_debug())]
    Name {
        /// The entry.
        path: PathBuf,
        /// What is wrong with it.
        source: RelPathError,
    },
    /// The entries contradict the plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A system call failed.
    #[error(transparent)]
    Disk(#[from] LookFailed),
}

/// The error for a target that cannot be renamed.
pub(crate) fn stays(target: &Target<'_>) -> WholeError {
    WholeError::Stays {
        path: target.path().to_path_buf(),
        why: "cannot be renamed",
    }
}

/// The plan that replaces the target by what a merge would make of it.
///
/// # Errors
/// See [`WholeError`].
pub(crate) fn as_whole(
    target: &Target<'_>,
    merged: Merged,
    can_be_renamed: bool,
) -> Result<Plan, WholeError> {
    let fs = target.disk();
    let disk = LookFailed::disk(target.path());
    let root = target.root().map_err(disk)?;
    if !can_be_renamed {
        return Err(stays(target));
    }
    let receipt = merge::receipt_in(fs, &root);
    if merge::is_shared(fs, &root, receipt.as_ref()).map_err(disk)? {
        let why = "has entries that are older than its environment";
        let path = target.path().to_path_buf();
        return Err(WholeError::Stays { path, why });
    }
    let Merged { mut draft, .. } = merged;
    let mut carrying = Carrying {
        fs,
        target,
        draft: &mut draft,
    };
    carrying.dir(&root, None)?;
    draft.clear_retired();
    let seen = observe(fs, target.place(), draft.operations(), draft.retired());
    Ok(draft.finish(seen.map_err(disk)?, Publication::Replace)?)
}

/// Adds what exists to a draft.
struct Carrying<'a> {
    fs: &'a dyn Fs,
    target: &'a Target<'a>,
    draft: &'a mut PlanBuilder,
}

impl Carrying<'_> {
    fn dir(&mut self, dir: &Dir, at: Option<&RelPath>) -> Result<(), WholeError> {
        let disk = LookFailed::disk(self.target.path());
        for name in self.fs.list(dir).map_err(disk)? {
            if at.is_none() && name == ENGINE_DIR {
                continue;
            }
            let shown = match at {
                Some(at) => self.target.path().join(at.as_str()).join(&name),
                None => self.target.path().join(&name),
            };
            let text = name.to_str().ok_or_else(|| WholeError::Entry {
                path: shown.clone(),
                what: "a name that is not UTF-8",
            })?;
            let path = match at {
                Some(at) => at.join(text),
                None => RelPath::new(text),
            };
            let path = path.map_err(|source| WholeError::Name {
                path: shown.clone(),
                source,
            })?;
            let Some(meta) = self.fs.meta(dir, &name).map_err(disk)? else {
                continue;
            };
            if !self.is_decided(&path) {
                let node = self.node(dir.at(&name), &path, &meta)?;
                let operation = Operation {
                    part: PART.into(),
                    group: None,
                    node,
                };
                self.draft.add(path.clone(), operation)?;
            }
            if meta.kind == Kind::Dir && !self.draft.retired().contains(&path) {
                let inner = self.fs.open_dir(dir, &name).map_err(disk)?;
                self.dir(&inner, Some(&path))?;
            }
        }
        Ok(())
    }

    /// Whether the merge decided about a path: it is planned, or it goes.
    fn is_decided(&self, path: &RelPath) -> bool {
        self.draft.operations().contains_key(path) || self.draft.retired().contains(path)
    }

    /// What exists at a name, as it is planned again at `path`.
    fn node(
        &self,
        NameInDir { dir, name }: NameInDir<'_>,
        path: &RelPath,
        meta: &Meta,
    ) -> Result<Node, WholeError> {
        let disk = LookFailed::disk(self.target.path());
        let entry = |what| WholeError::Entry {
            path: self.target.path().join(path.as_str()),
            what,
        };
        let mode = Mode::new(meta.mode & 0o777);
        let mode = mode.map_err(|_| entry("a file with bits that no plan has"))?;
        Ok(match meta.kind {
            Kind::Dir => Node::Dir { mode },
            Kind::Symlink => {
                let text = self.fs.read_link(dir, name).map_err(disk)?;
                let target = text.to_str().map(str::to_owned);
                let target = target.ok_or_else(|| entry("a link that is not UTF-8"))?;
                Node::Symlink { target }
            }
            Kind::File if meta.mode & 0o7000 != 0 => return Err(entry("a set-id program")),
            Kind::File => Node::File {
                mode,
                mtime: Some(meta.mtime.seconds),
                content: Content::Local {
                    path: format!("{}/{path}", self.target.path().display()),
                    digest: self.fs.digest_file(dir, name).map_err(disk)?,
                    len: meta.len,
                },
            },
            Kind::Other => return Err(entry("a special file")),
        })
    }
}
