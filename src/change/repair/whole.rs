//! Damaged distributions, each mended as a whole: by the damaged files from the content store, or
//! by the installation of one wheel of the same version.
//!
//! Promises that every file comes from that one wheel, that what the old `RECORD` lists besides is
//! retired unless another distribution lists it, and that `INSTALLER`, `REQUESTED` and
//! `direct_url.json` stay as they are. If one distribution cannot be mended, nothing is planned at
//! all. Does not write.
//!
//! Read next: `survey.rs`, what is damaged; `stored.rs`, the store; `front/mending.rs`, which finds
//! the wheels.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rvenv_journal::fs::{Dir, FsError, Kind};
use rvenv_journal::raw::{DiskError as _, Input, Statement};
use rvenv_journal::{Content, Digest, Fs, Node, Operation, RelPath};

use super::modules::module;
use super::published::Published;
use super::stored::{Listed, Stored};
use super::survey::{Placed, Survey, open};
use super::{NoWheel, RepairError};
use crate::build::hooks::{self, Context};
use crate::change::look_failed::LookFailed;
use crate::change::merge::MergeError;
use crate::python::bytecode::path::{is_bytecode, source_of};
use crate::wheel::Release;
use crate::wheel::{WheelError, is_reserved, record};

/// More bytes than any real note of an installer has.
const NOTE_BYTES_MAX: u64 = 1 << 20;

/// What mends a damaged distribution.
#[derive(Clone, Debug)]
pub struct Found {
    /// What was looked for.
    pub release: Release,
    /// Where its files come from, or why they are nowhere.
    pub source: Result<Source, String>,
    /// What to pass to pip in order to install it again.
    pub again: Vec<String>,
}

/// Where the files of a damaged distribution come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The damaged ones, from the content store.
    Store(Stored),
    /// All of them, from a wheel.
    Wheel(PathBuf),
}

/// What replaces the damaged distributions.
#[derive(Debug, Default)]
pub(super) struct Whole {
    pub(super) operations: BTreeMap<RelPath, Operation>,
    pub(super) inputs: Vec<Input>,
    /// What the receipt keeps about the wheels.
    pub(super) statements: BTreeMap<Digest, Statement>,
    pub(super) retired: BTreeSet<RelPath>,
    /// Every path that is decided here.
    pub(super) taken: BTreeSet<RelPath>,
}

/// Where distributions are replaced.
pub(super) struct Site<'a> {
    pub(super) fs: &'a dyn Fs,
    pub(super) root: &'a Dir,
    pub(super) context: &'a Context,
    pub(super) published: Option<&'a Published>,
    pub(super) found: &'a [Found],
}

/// The release of a distribution.
pub(super) fn release(of: &Placed) -> Release {
    Release {
        name: of.distribution.name.clone(),
        version: of.distribution.version.clone(),
    }
}

impl Site<'_> {
    /// Plans the damaged distributions of a survey, except those that `is_restored` accepts.
    pub(super) fn plan(
        &self,
        survey: &Survey,
        is_restored: &dyn Fn(&Placed) -> bool,
    ) -> Result<Whole, RepairError> {
        let mut whole = Whole::default();
        let mut lost = Vec::new();
        let mut kept = survey.kept.clone();
        let mut replaced: Vec<&Placed> = Vec::new();
        for damaged in &survey.damaged {
            if is_restored(damaged) {
                continue;
            }
            let release = release(damaged);
            let found = self.found.iter().find(|found| found.release == release);
            let is_mended = match found.map(|found| &found.source) {
                Some(Ok(Source::Wheel(wheel))) => {
                    self.replace(damaged, wheel, &mut whole)?;
                    replaced.push(damaged);
                    continue;
                }
                Some(Ok(Source::Store(stored))) => self.restore(damaged, stored, &mut whole)?,
                Some(Err(_)) | None => false,
            };
            if is_mended {
                kept.extend(damaged.listed.iter().cloned());
                continue;
            }
            let reason = found.and_then(|found| found.source.as_ref().err());
            lost.push(NoWheel {
                was_looked_for: reason.is_some(),
                is_egg: false,
                reason: reason
                    .cloned()
                    .unwrap_or_else(|| "it was damaged while wheels were looked for".to_owned()),
                again: found.map_or_else(|| vec![release.to_string()], |found| found.again.clone()),
                release,
            });
        }
        lost.extend(survey.eggs.iter().map(NoWheel::of_egg));
        if !lost.is_empty() {
            return Err(RepairError::NoWheel {
                target: PathBuf::from(&self.context.env_dir),
                packages: lost,
            });
        }
        let left = survey.leftovers.iter();
        let left = left.filter(|old| !is_restored(old));
        for old in replaced.into_iter().chain(left) {
            self.retire(old, &kept, &mut whole);
        }
        Ok(whole)
    }

    /// Plans the damaged files from the store; `false` if more are damaged than were looked up.
    fn restore(
        &self,
        damaged: &Placed,
        stored: &Stored,
        whole: &mut Whole,
    ) -> Result<bool, RepairError> {
        let disk = LookFailed::disk(Path::new(&self.context.env_dir));
        let listed = Listed::of(self.fs, self.root, damaged).map_err(disk)?;
        let Some(listed) = listed.filter(|listed| stored.has(listed)) else {
            return Ok(false);
        };
        let restored = stored.plan(self.fs, self.root, self.context, &listed);
        let restored = restored.map_err(disk)?;
        whole.inputs.extend(restored.inputs);
        for (path, operation) in restored.operations {
            if !matches!(operation.node, Node::Dir { .. }) {
                whole.taken.insert(path.clone());
            }
            whole.operations.entry(path).or_insert(operation);
        }
        Ok(true)
    }

    fn replace(
        &self,
        damaged: &Placed,
        wheel: &Path,
        whole: &mut Whole,
    ) -> Result<(), RepairError> {
        let planned = hooks::plan_wheel(self.context, wheel).map_err(MergeError::from)?;
        let inputs = planned.inputs().iter().cloned();
        whole.inputs.extend(inputs);
        let statements = planned.statements().iter();
        let statements = statements.map(|(of, statement)| (*of, statement.clone()));
        whole.statements.extend(statements);
        let mut operations = planned.operations().clone();
        for (path, operation) in &mut operations {
            // A directory that others share is no package, and is not exchanged.
            if !path.is_below(&damaged.site) {
                operation.group = None;
            }
            // Length and time may be as they were, so those prove nothing here.
            if let Node::File { mtime, .. } = &mut operation.node
                && damaged.damaged.contains(path)
            {
                *mtime = None;
            }
        }
        self.keep_notes(damaged, &mut operations)?;
        let taken = operations.iter();
        let taken = taken.filter(|(_, of)| !matches!(of.node, Node::Dir { .. }));
        whole.taken.extend(taken.map(|(path, _)| path.clone()));
        whole.operations.extend(operations);
        Ok(())
    }

    /// Keeps what the installer noted, and lists it.
    fn keep_notes(
        &self,
        damaged: &Placed,
        operations: &mut BTreeMap<RelPath, Operation>,
    ) -> Result<(), RepairError> {
        let disk = LookFailed::disk(Path::new(&self.context.env_dir));
        let Some(info) = damaged.info() else {
            return Ok(());
        };
        let path = |name: &str| info.join(name).map_err(MergeError::from);
        let record = path("RECORD")?;
        let Some(list) = operations.get(&record).cloned() else {
            return Ok(());
        };
        let mut rows = match &list.node {
            Node::File {
                content: Content::Inline(bytes),
                ..
            } => record::sums(bytes),
            Node::File { .. } | Node::Dir { .. } | Node::Symlink { .. } => return Ok(()),
        };
        for name in ["INSTALLER", "REQUESTED", "direct_url.json"] {
            let path = path(name)?;
            let row = format!("{}/{name}", damaged.distribution.dir);
            let kept = note(self.fs, self.root, &info, name).map_err(disk)?;
            // A note that is damaged itself is not kept.
            let kept = kept.filter(|_| !damaged.damaged.contains(&path));
            match kept {
                Some(bytes) => {
                    rows.insert(row, Some((Digest::of(&bytes), bytes.len() as u64)));
                    let node = with_bytes(&list.node, bytes);
                    operations.insert(
                        path,
                        Operation {
                            node,
                            ..list.clone()
                        },
                    );
                }
                None if name == "INSTALLER" => {}
                None => {
                    rows.remove(&row);
                    operations.remove(&path);
                }
            }
        }
        if let Some(list) = operations.get_mut(&record) {
            list.node = with_bytes(&list.node, record::write(&rows));
        }
        Ok(())
    }

    /// Retires what an old list has besides, and what rvenv published of it.
    fn retire(&self, old: &Placed, kept: &BTreeSet<RelPath>, whole: &mut Whole) {
        let bin = &self.context.layout.bin_name;
        let is_old = |path: &RelPath| {
            old.listed.contains(path) || old.info().is_some_and(|info| path.is_below(&info))
        };
        for path in &old.listed {
            let stays = whole.operations.contains_key(path)
                || kept.contains(path)
                || is_reserved(path, bin);
            if stays {
                continue;
            }
            whole.retired.insert(path.clone());
            let mut above = path.parent();
            while let Some(dir) = above.filter(|dir| dir.is_below(&old.site)) {
                above = dir.parent();
                if !whole.operations.contains_key(&dir) {
                    whole.retired.insert(dir);
                }
            }
        }
        whole.taken.extend(whole.retired.iter().cloned());
        let published = self.published.iter().flat_map(|p| p.receipt.paths.keys());
        for path in published {
            let source = Some(path.as_str()).filter(|path| is_bytecode(path));
            let source = source
                .and_then(source_of)
                .and_then(|s| RelPath::new(&s).ok());
            if is_old(path) || source.is_some_and(|source| is_old(&source)) {
                whole.taken.insert(path.clone());
            }
        }
    }
}

/// The modules and packages at the top of the distributions that are mended.
///
/// # Errors
/// A wheel that is damaged or hostile.
pub fn modules(context: &Context, found: &[Found]) -> Result<BTreeSet<String>, WheelError> {
    let mut modules = BTreeSet::new();
    for source in found.iter().filter_map(|found| found.source.as_ref().ok()) {
        match source {
            Source::Store(stored) => modules.extend(stored.modules.iter().cloned()),
            Source::Wheel(wheel) => {
                let wheel = context.wheels.open(wheel)?;
                let paths = wheel.members().iter().map(|member| member.path.as_str());
                modules.extend(paths.filter_map(module).map(str::to_owned));
            }
        }
    }
    Ok(modules)
}

/// A file like this one with other bytes.
fn with_bytes(like: &Node, bytes: Vec<u8>) -> Node {
    match like {
        Node::File { mode, mtime, .. } => Node::File {
            mode: *mode,
            mtime: *mtime,
            content: Content::Inline(bytes),
        },
        other @ (Node::Dir { .. } | Node::Symlink { .. }) => other.clone(),
    }
}

/// A small file of an installer, if there is one.
fn note(fs: &dyn Fs, root: &Dir, info: &RelPath, name: &str) -> Result<Option<Vec<u8>>, FsError> {
    let dir = open(fs, root, info)?;
    let name = OsStr::new(name);
    let meta = fs.meta(&dir, name)?;
    if meta.is_none_or(|meta| meta.kind != Kind::File || meta.len > NOTE_BYTES_MAX) {
        return Ok(None);
    }
    fs.read_file(&dir, name, NOTE_BYTES_MAX).map(Some)
}
