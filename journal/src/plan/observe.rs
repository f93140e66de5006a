//! Observing a target: what exists there now, for a plan to expect.
//!
//! Promises to write nothing and to follow no symbolic link. The same function makes the
//! expectation of a plan and checks it again under the lock (I4).
//!
//! Read next: `plan/builder.rs`, whose `Observation` this fills.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::ErrorKind;

use crate::base::path::{RelPath, escaped};
use crate::fs::parallel::in_parallel;
use crate::fs::{Dir, Fs, FsError, Kind, Meta, NameInDir};
use crate::plan::node::{Content, Expected, Node, Observation, Observed, Operation};

/// Observes the target `name` in `parent` and every path that is planned or retired.
///
/// A target that is not a directory counts as absent here; [`Target`](crate::Target) refuses it
/// before.
///
/// # Errors
/// The error of the disk.
pub fn observe(
    fs: &dyn Fs,
    at: NameInDir<'_>,
    operations: &BTreeMap<RelPath, Operation>,
    retired: &BTreeSet<RelPath>,
) -> Result<Observation, FsError> {
    let Some((target, root)) = look_at_root(fs, at)? else {
        return Ok(Observation {
            target: Expected::Absent,
            paths: BTreeMap::new(),
        });
    };
    let wanted = wanted(operations, retired);
    let paths = look_at_all(fs, &(None, root), &wanted, found_at)?;
    Ok(Observation {
        target,
        paths: paths.into_iter().collect(),
    })
}

/// Looks at these paths below an open directory, which are in the order of a tree walk and have
/// each a value of the caller, and collects what `show` makes of what exists at each; no file is
/// read.
///
/// # Errors
/// The error of the disk.
pub fn observe_paths<V: Sync, T: Send>(
    fs: &dyn Fs,
    root: &Dir,
    paths: &[(&RelPath, V)],
    show: impl Fn(&RelPath, &V, Option<Observed>) -> Option<T> + Sync,
) -> Result<Vec<T>, FsError> {
    look_at_all(fs, &(None, root.clone()), paths, |walk, (path, value)| {
        Ok(show(path, value, walk.look(path, None)?))
    })
}

/// Looks at each of `wanted`, which are in the order of a tree walk, by `look`.
///
/// Most of the time is spent waiting for the kernel, which serves two threads at once.
fn look_at_all<W: Sync, T: Send>(
    fs: &dyn Fs,
    from: &OpenDir,
    wanted: &[W],
    look_at: impl Fn(&mut Walk<'_>, &W) -> Result<Option<T>, FsError> + Sync,
) -> Result<Vec<T>, FsError> {
    let look = |part: &[W]| -> Result<Vec<T>, FsError> {
        let mut found = Vec::new();
        let mut walk = Walk::from(fs, from.clone());
        for one in part {
            found.extend(look_at(&mut walk, one)?);
        }
        Ok(found)
    };
    if wanted.len() < PATHS_MIN {
        return look(wanted);
    }
    let (one, other) = wanted.split_at(wanted.len() / 2);
    let (one, other) = in_parallel(fs, || look(one), || look(other));
    let mut found = one?;
    found.extend(other?);
    Ok(found)
}

/// What exists at a path, with the path.
fn found_at(
    walk: &mut Walk<'_>,
    (path, node): &Wanted<'_>,
) -> Result<Option<(RelPath, Observed)>, FsError> {
    let seen = walk.look(path, *node)?;
    Ok(seen.map(|seen| ((*path).clone(), seen)))
}

/// The number of paths from which a second thread is worth starting.
const PATHS_MIN: usize = 128;

/// An open directory with its path; the target itself has none.
type OpenDir = (Option<RelPath>, Dir);

/// A path, and the node that is planned there.
type Wanted<'a> = (&'a RelPath, Option<&'a Node>);

/// Every path that is planned or retired, in the order of a tree walk.
fn wanted<'a>(
    operations: &'a BTreeMap<RelPath, Operation>,
    retired: &'a BTreeSet<RelPath>,
) -> Vec<Wanted<'a>> {
    let planned = operations
        .iter()
        .map(|(path, operation)| (path, Some(&operation.node)));
    let retired = retired
        .iter()
        .filter(|path| !operations.contains_key(*path));
    let mut wanted: Vec<Wanted<'a>> = planned.collect();
    let is_sorted = retired.clone().next().is_none();
    wanted.extend(retired.map(|path| (path, None)));
    if !is_sorted {
        wanted.sort_by_key(|(path, _)| *path);
    }
    wanted
}

/// The state of the target, and its root if that is a directory.
fn look_at_root(fs: &dyn Fs, at: NameInDir<'_>) -> Result<Option<(Expected, Dir)>, FsError> {
    let meta = fs.meta(at.dir, at.name)?;
    let Some(meta) = meta.filter(|meta| meta.kind == Kind::Dir) else {
        return Ok(None);
    };
    let root = fs.open_dir(at.dir, at.name)?;
    let names = fs.list(&root)?.iter().map(|name| escaped(name)).collect();
    let target = Expected::Tree {
        identity: meta.identity,
        names,
    };
    Ok(Some((target, root)))
}

/// As [`observe`], but collects what `show` makes of what exists at each path.
///
/// # Errors
/// The error of the disk.
pub(crate) fn observe_each<T: Send>(
    fs: &dyn Fs,
    at: NameInDir<'_>,
    operations: &BTreeMap<RelPath, Operation>,
    retired: &BTreeSet<RelPath>,
    show: impl Fn(&RelPath, Option<Observed>) -> Option<T> + Sync,
) -> Result<(Expected, Vec<T>), FsError> {
    let Some((target, root)) = look_at_root(fs, at)? else {
        return Ok((Expected::Absent, Vec::new()));
    };
    let wanted = wanted(operations, retired);
    let found = look_at_all(fs, &(None, root), &wanted, |walk, (path, node)| {
        Ok(show(path, walk.look(path, *node)?))
    })?;
    Ok((target, found))
}

/// Observes again what a plan expects at and below `path`, which now has another name.
///
/// # Errors
/// The error of the disk.
pub(crate) fn observe_moved<'p>(
    fs: &dyn Fs,
    at: NameInDir<'_>,
    path: &RelPath,
    below: impl Iterator<Item = &'p RelPath>,
) -> Result<BTreeMap<RelPath, Observed>, FsError> {
    let mut found = BTreeMap::new();
    let Some(meta) = fs.meta(at.dir, at.name)? else {
        return Ok(found);
    };
    found.insert(path.clone(), observed(fs, at, &meta, None)?);
    if meta.kind != Kind::Dir {
        return Ok(found);
    }
    let from = (Some(path.clone()), fs.open_dir(at.dir, at.name)?);
    let below: Vec<Wanted<'_>> = below.map(|path| (path, None)).collect();
    found.extend(look_at_all(fs, &from, &below, found_at)?);
    Ok(found)
}

/// Walks down in the order of paths, and keeps the directories above the current path open.
struct Walk<'a> {
    fs: &'a dyn Fs,
    stack: Vec<OpenDir>,
    /// The last path at which no directory exists: nothing exists below it either.
    absent: Option<RelPath>,
}

impl<'a> Walk<'a> {
    /// Starts at an open directory.
    fn from(fs: &'a dyn Fs, dir: OpenDir) -> Self {
        Self {
            fs,
            stack: vec![dir],
            absent: None,
        }
    }

    fn look(&mut self, path: &RelPath, node: Option<&Node>) -> Result<Option<Observed>, FsError> {
        if self.absent.as_ref().is_some_and(|dir| path.is_below(dir)) {
            return Ok(None);
        }
        // Nearly always the directory above is that of the path before.
        let is_open =
            |(open, _): &OpenDir| open.as_ref().map(RelPath::as_str) == path.parent_text();
        if !self.stack.last().is_some_and(is_open) && self.enter(path.parent())?.is_none() {
            // The directory above is absent or is another kind of object, so nothing planned exists
            // below it.
            return Ok(None);
        }
        let Some((_, dir)) = self.stack.last() else {
            return Ok(None);
        };
        let name = OsStr::new(path.name());
        let Some(meta) = self.fs.meta(dir, name)? else {
            return Ok(None);
        };
        observed(self.fs, dir.at(name), &meta, node).map(Some)
    }

    /// Opens a directory of the target; `None` if it, or one above it, is not a directory.
    fn enter(&mut self, path: Option<RelPath>) -> Result<Option<Dir>, FsError> {
        let is_above = |open: &Option<RelPath>| match (open, &path) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(open), Some(path)) => path == open || path.is_below(open),
        };
        while self.stack.last().is_some_and(|(open, _)| !is_above(open)) {
            self.stack.pop();
        }
        let Some((open, dir)) = self.stack.last().cloned() else {
            return Ok(None);
        };
        let Some(path) = path.filter(|path| open.as_ref() != Some(path)) else {
            return Ok(Some(dir));
        };
        let Some(above) = self.enter(path.parent())? else {
            return Ok(None);
        };
        match self.fs.open_dir(&above, OsStr::new(path.name())) {
            Ok(dir) => {
                self.stack.push((Some(path), dir.clone()));
                Ok(Some(dir))
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                self.absent = Some(path);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

fn observed(
    fs: &dyn Fs,
    at: NameInDir<'_>,
    meta: &Meta,
    node: Option<&Node>,
) -> Result<Observed, FsError> {
    Ok(match meta.kind {
        Kind::Dir => Observed::Dir { mode: meta.mode },
        Kind::Symlink => Observed::Symlink {
            target: escaped(&fs.read_link(at.dir, at.name)?),
        },
        Kind::Other => Observed::Other,
        Kind::File => Observed::File {
            mode: meta.mode,
            len: meta.len,
            mtime_ns: i128::from(meta.mtime.seconds) * 1_000_000_000 + i128::from(meta.mtime.nanos),
            inode: meta.identity.inode,
            digest: match node {
                // Without a planned time only the bytes show whether the file is as planned.
                Some(Node::File {
                    mtime: None,
                    content,
                    ..
                }) if may_be(content, meta) => Some(fs.digest_file(at.dir, at.name)?),
                Some(_) | None => None,
            },
        },
    })
}

fn may_be(content: &Content, meta: &Meta) -> bool {
    content.len() == meta.len
}
