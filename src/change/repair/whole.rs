//! Damaged distributions, each replaced as a whole by the installation of one wheel of the same
//! version.
//!
//! Promises that every file comes from that one wheel, that what the old `RECORD` lists besides is
//! retired unless another distribution lists it, and that `INSTALLER`, `REQUESTED` and
//! `direct_url.json` stay as they are. If one distribution has no wheel, nothing is planned at all.
//! Does not write.
//!
//! Read next: `survey.rs`, what is damaged; `front/mending.rs`, which finds the wheels.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rvenv_journal::fs::{Dir, FsError, Kind};
use rvenv_journal::raw::{DiskError as _, Input};
use rvenv_journal::{Content, Digest, Fs, Node, Operation, RelPath};

use super::published::Published;
use super::survey::{Placed, Survey, open};
use super::{NoWheel, RepairError};
use crate::build::hooks::{self, Context};
use crate::change::look_failed::LookFailed;
use crate::change::merge::MergeError;
use crate::python::bytecode::path::{is_bytecode, source_of};
use crate::wheel::download::Release;
use crate::wheel::{WheelError, is_reserved, record};

/// More bytes than any real note of an installer has.
const NOTE_BYTES_MAX: u64 = 1 << 20;

/// A wheel for a damaged distribution.
#[derive(Clone, Debug)]
pub struct Found {
    /// What was looked for.
    pub release: Release,
    /// The wheel, or why there is none.
    pub wheel: Result<PathBuf, String>,
    /// What to pass to pip in order to install it again.
    pub again: Vec<String>,
}

/// What replaces the damaged distributions.
#[derive(Debug, Default)]
pub(super) struct Whole {
    pub(super) operations: BTreeMap<RelPath, Operation>,
    pub(super) inputs: Vec<Input>,
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
        for damaged in &survey.damaged {
            if is_restored(damaged) {
                continue;
            }
            let release = release(damaged);
            let found = self.found.iter().find(|found| found.release == release);
            match found {
                Some(Found {
                    wheel: Ok(wheel), ..
                }) => self.replace(damaged, wheel, &mut whole)?,
                Some(found) => lost.push(NoWheel {
                    reason: found.wheel.clone().err().unwrap_or_default(),
                    again: found.again.clone(),
                    was_looked_for: true,
                    release,
                }),
                None => lost.push(NoWheel {
                    reason: "it was damaged while wheels were looked for".to_owned(),
                    again: vec![release.to_string()],
                    was_looked_for: false,
                    release,
                }),
            }
        }
        if !lost.is_empty() {
            return Err(RepairError::NoWheel {
                target: PathBuf::from(&self.context.env_dir),
                packages: lost,
            });
        }
        let old = survey.damaged.iter().chain(&survey.leftovers);
        for old in old.filter(|old| !is_restored(old)) {
            self.retire(old, survey, &mut whole);
        }
        Ok(whole)
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
            let kept = note(self.fs, self.root, (&info, name)).map_err(disk)?;
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
    fn retire(&self, old: &Placed, survey: &Survey, whole: &mut Whole) {
        let bin = &self.context.layout.bin_name;
        let is_old = |path: &RelPath| {
            old.listed.contains(path) || old.info().is_some_and(|info| path.is_below(&info))
        };
        for path in &old.listed {
            let stays = whole.operations.contains_key(path)
                || survey.kept.contains(path)
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

/// The modules and packages at the top of the wheels that were found.
///
/// # Errors
/// A wheel that is damaged or hostile.
pub fn modules(context: &Context, found: &[Found]) -> Result<BTreeSet<String>, WheelError> {
    let mut modules = BTreeSet::new();
    for wheel in found.iter().filter_map(|found| found.wheel.as_ref().ok()) {
        let wheel = context.wheels.open_uncached(wheel)?;
        let paths = wheel.members().iter().map(|member| member.path.as_str());
        modules.extend(paths.filter_map(module).map(str::to_owned));
    }
    Ok(modules)
}

/// The module that a file at the top of a wheel is.
fn module(path: &str) -> Option<&str> {
    let name = match path.split_once('/') {
        Some((package, "__init__.py")) => package,
        Some(_) => return None,
        None => {
            let (name, end) = path.split_once('.')?;
            let is_compiled = end.rsplit('.').next().is_some_and(|end| end == "so");
            (end == "py" || is_compiled).then_some(name)?
        }
    };
    let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    is_name.then_some(name)
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
pub(super) fn note(
    fs: &dyn Fs,
    root: &Dir,
    (info, name): (&RelPath, &str),
) -> Result<Option<Vec<u8>>, FsError> {
    let dir = open(fs, root, info)?;
    let name = OsStr::new(name);
    let meta = fs.meta(&dir, name)?;
    if meta.is_none_or(|meta| meta.kind != Kind::File || meta.len > NOTE_BYTES_MAX) {
        return Ok(None);
    }
    fs.read_file(&dir, name, NOTE_BYTES_MAX).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_a_package_or_a_file_at_the_top() {
        let check =
            |path: &str, expected: Option<&str>| assert_eq!(module(path), expected, "{path}");
        check("a/__init__.py", Some("a"));
        check("six.py", Some("six"));
        check("_x.cpython-312-x86_64-linux-gnu.so", Some("_x"));
        check("_x.abi3.so", Some("_x"));
        check("a/b.py", None);
        check("a/b/__init__.py", None);
        check("a-1.dist-info/METADATA", None);
        check("a-b.py", None);
        check("note.txt", None);
        check("easy.pth", None);
    }
}
