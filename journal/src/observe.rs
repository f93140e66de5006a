//! Looking at a target: what stands there now, for a plan to expect.
//!
//! Promises to write nothing and to follow no symbolic link. The same function makes the expectation of a
//! plan and checks it again under the lock (I4).
//!
//! Read next: `plan.rs`, whose `Observation` this fills.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use crate::fs::{Dir, Fs, FsError, Kind, Meta};
use crate::node::{Content, Expected, Node, Observation, Observed, Operation};
use crate::path::RelPath;

/// Looks at the target `name` in `parent` and at every path that the operations touch.
///
/// A target that is not a directory counts as absent here; [`Target`](crate::Target) refuses it before.
///
/// # Errors
/// What the disk says.
pub fn observe(
    fs: &dyn Fs,
    at: (&Dir, &OsStr),
    operations: &BTreeMap<RelPath, Operation>,
) -> Result<Observation, FsError> {
    let (parent, name) = at;
    let meta = fs.meta(parent, name)?;
    let Some(meta) = meta.filter(|meta| meta.kind == Kind::Dir) else {
        return Ok(Observation {
            target: Expected::Absent,
            paths: BTreeMap::new(),
        });
    };
    let root = fs.open_dir(parent, name)?;
    let names = fs.list(&root)?.iter().map(|name| escaped(name)).collect();
    let mut walk = Walk {
        fs,
        stack: vec![(String::new(), root)],
    };
    let mut paths = BTreeMap::new();
    for (path, operation) in operations {
        if let Some(seen) = walk.look(path, &operation.node)? {
            paths.insert(path.clone(), seen);
        }
    }
    Ok(Observation {
        target: Expected::Tree {
            identity: meta.identity,
            names,
        },
        paths,
    })
}

/// A name as text: bytes that are not UTF-8 are escaped, and so is the escape itself.
#[must_use]
pub fn escaped(name: &OsStr) -> String {
    match name.to_str() {
        Some(text) if !text.contains('\\') => text.to_owned(),
        _ => name.as_encoded_bytes().escape_ascii().to_string(),
    }
}

/// Walks down in the order of the plan, keeping the directories above the current path open.
struct Walk<'a> {
    fs: &'a dyn Fs,
    stack: Vec<(String, Dir)>,
}

impl Walk<'_> {
    fn look(&mut self, path: &RelPath, node: &Node) -> Result<Option<Observed>, FsError> {
        let parent = path
            .parent()
            .map_or_else(String::new, |parent| parent.to_string());
        while self
            .stack
            .last()
            .is_some_and(|(open, _)| !is_at_or_above(open, &parent))
        {
            self.stack.pop();
        }
        let Some((open, dir)) = self.stack.last() else {
            return Ok(None);
        };
        if *open != parent {
            // The directory above was absent or is something else, so nothing of ours stands below it.
            return Ok(None);
        }
        let name = OsStr::new(path.name());
        let Some(meta) = self.fs.meta(dir, name)? else {
            return Ok(None);
        };
        let seen = observed(self.fs, (dir, name), &meta, node)?;
        if meta.kind == Kind::Dir && matches!(node, Node::Dir { .. }) {
            let below = self.fs.open_dir(dir, name)?;
            self.stack.push((path.to_string(), below));
        }
        Ok(Some(seen))
    }
}

fn is_at_or_above(open: &str, path: &str) -> bool {
    open.is_empty()
        || path == open
        || path
            .strip_prefix(open)
            .is_some_and(|rest| rest.starts_with('/'))
}

fn observed(
    fs: &dyn Fs,
    at: (&Dir, &OsStr),
    meta: &Meta,
    node: &Node,
) -> Result<Observed, FsError> {
    Ok(match meta.kind {
        Kind::Dir => Observed::Dir { mode: meta.mode },
        Kind::Symlink => Observed::Symlink {
            target: escaped(&fs.read_link(at.0, at.1)?),
        },
        Kind::Other => Observed::Other,
        Kind::File => Observed::File {
            mode: meta.mode,
            len: meta.len,
            mtime_ns: i128::from(meta.mtime.seconds) * 1_000_000_000 + i128::from(meta.mtime.nanos),
            inode: meta.identity.inode,
            digest: match node {
                // Without a planned time only the bytes can tell whether the file is as planned.
                Node::File {
                    mtime: None,
                    content,
                    ..
                } if may_be(content, meta) => Some(fs.digest_file(at.0, at.1)?),
                Node::File { .. } | Node::Dir { .. } | Node::Symlink { .. } => None,
            },
        },
    })
}

fn may_be(content: &Content, meta: &Meta) -> bool {
    content.len() == meta.len
}
