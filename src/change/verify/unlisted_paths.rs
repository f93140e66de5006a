//! Foreign paths: those that neither the receipt nor any distribution lists.
//!
//! Promises to count and to change nothing. Directories do not count, only their entries; nor does
//! bytecode that Python writes. A directory that cannot be read, or is too deep, counts as one
//! path.
//!
//! Read next: `verify.rs`.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;

use rvenv_journal::Fs;
use rvenv_journal::fs::{Dir, FsError, Kind};
use rvenv_journal::raw::{DEPTH_MAX, ENGINE_DIR, PublishedPath, escaped};

use super::receipt_paths::Managed;
use crate::python::bytecode::path::is_bytecode;

/// The paths of an environment that are accounted for.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) fs: &'a dyn Fs,
    pub(super) managed: &'a Managed<'a>,
    pub(super) listed: &'a BTreeSet<String>,
}

impl Known<'_> {
    /// How many paths in the tree `root` are not listed.
    pub(super) fn count_foreign(&self, root: &Dir) -> Result<usize, FsError> {
        let mut path = String::new();
        self.walk(root, &mut path, 1)
    }

    fn walk(&self, dir: &Dir, path: &mut String, depth: usize) -> Result<usize, FsError> {
        let mut count = 0;
        let above = path.len();
        for name in self.fs.list(dir)? {
            if above == 0 && name == OsStr::new(ENGINE_DIR) {
                continue;
            }
            if above > 0 {
                path.push('/');
            }
            path.push_str(&escaped(&name));
            count += self.entry(dir, &name, path, depth)?;
            path.truncate(above);
        }
        Ok(count)
    }

    fn entry(
        &self,
        dir: &Dir,
        name: &OsStr,
        path: &mut String,
        depth: usize,
    ) -> Result<usize, FsError> {
        let is_dir = match self.managed.paths.get(path.as_str()) {
            Some(PublishedPath::File { .. } | PublishedPath::Symlink { .. }) => return Ok(0),
            // If it has another type by now, that is reported as drift.
            Some(PublishedPath::Dir { .. }) => true,
            None if self.listed.contains(path.as_str()) => return Ok(0),
            None => match self.fs.meta(dir, name)? {
                None => return Ok(0),
                Some(meta) => meta.kind == Kind::Dir,
            },
        };
        if !is_dir {
            return Ok(usize::from(!is_bytecode(path)));
        }
        if depth == DEPTH_MAX {
            return Ok(1);
        }
        let error = match self.fs.open_dir(dir, name) {
            Ok(below) => return self.walk(&below, path, depth + 1),
            Err(error) => error,
        };
        let kind = error.kind();
        if matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
            return Ok(0);
        }
        if kind == io::ErrorKind::PermissionDenied {
            return Ok(1);
        }
        Err(error)
    }
}
