//! The entries that cover the files of distributions that go aside: whole directories where
//! everything in them goes, single files otherwise.
//!
//! Promises never to move a directory of the environment itself, one with an entry of the
//! generation in it, or one with a file that stays; bytecode that Python writes again goes with its
//! directory. Writes nothing.
//!
//! Read next: `../rollback.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use rvenv_journal::RelPath;
use rvenv_journal::fs::{Dir, Fs, FsError, Kind};

use crate::python::bytecode::path::is_bytecode;

/// Directories that every environment has.
const FRAME: [&str; 4] = ["bin", "include", "lib", "lib64"];

pub(super) struct Cover<'a> {
    pub(super) fs: &'a dyn Fs,
    pub(super) root: Dir,
    /// The entries of the generation.
    pub(super) entries: &'a BTreeMap<RelPath, bool>,
    /// What goes.
    pub(super) files: &'a BTreeSet<RelPath>,
    /// The directories of packages.
    pub(super) sites: BTreeSet<RelPath>,
    /// Which directories go as a whole, as far as that is known.
    pub(super) known: BTreeMap<RelPath, bool>,
}

impl Cover<'_> {
    /// The entries, none of them below another.
    pub(super) fn entries(mut self) -> Result<BTreeSet<RelPath>, FsError> {
        let mut found = BTreeSet::new();
        for file in self.files {
            let mut above = Vec::new();
            let mut at = file.parent();
            while let Some(dir) = at {
                at = dir.parent();
                above.push(dir);
            }
            let mut entry = file.clone();
            for dir in above.into_iter().rev() {
                if self.is_whole(&dir)? {
                    entry = dir;
                    break;
                }
            }
            found.insert(entry);
        }
        Ok(found)
    }

    fn is_whole(&mut self, path: &RelPath) -> Result<bool, FsError> {
        if let Some(known) = self.known.get(path) {
            return Ok(*known);
        }
        let is_frame = FRAME.contains(&path.as_str())
            || self
                .sites
                .iter()
                .any(|site| site == path || site.is_below(path));
        let mut entries = self.entries.range(path.clone()..).map(|(entry, _)| entry);
        let has_entry = entries.next().is_some_and(|entry| entry.is_below(path));
        let is_whole = !is_frame && !has_entry && {
            let dir = open(self.fs, &self.root, path)?;
            self.all_go(&dir, path)?
        };
        self.known.insert(path.clone(), is_whole);
        Ok(is_whole)
    }

    fn all_go(&self, dir: &Dir, path: &RelPath) -> Result<bool, FsError> {
        for name in self.fs.list(dir)? {
            let Some(inner) = name.to_str().and_then(|name| path.join(name).ok()) else {
                return Ok(false);
            };
            if self.files.contains(&inner) || is_bytecode(inner.as_str()) {
                continue;
            }
            let is_dir = self
                .fs
                .meta(dir, &name)?
                .is_some_and(|meta| meta.kind == Kind::Dir);
            if !is_dir || !self.all_go(&self.fs.open_dir(dir, &name)?, &inner)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The files at or below a path, as paths.
pub(super) fn files_below(fs: &dyn Fs, root: &Dir, path: &RelPath) -> Result<Vec<String>, FsError> {
    let above = match path.parent() {
        Some(above) => open(fs, root, &above)?,
        None => root.clone(),
    };
    let mut open = vec![(above, path.clone())];
    let mut found = Vec::new();
    while let Some((above, path)) = open.pop() {
        let name = OsStr::new(path.name());
        if fs
            .meta(&above, name)?
            .is_none_or(|meta| meta.kind != Kind::Dir)
        {
            found.push(path.to_string());
            continue;
        }
        let dir = fs.open_dir(&above, name)?;
        for name in fs.list(&dir)? {
            let inner = name.to_str().and_then(|name| path.join(name).ok());
            open.extend(inner.map(|inner| (dir.clone(), inner)));
        }
    }
    Ok(found)
}

fn open(fs: &dyn Fs, root: &Dir, path: &RelPath) -> Result<Dir, FsError> {
    let mut dir = root.clone();
    for component in path.components() {
        dir = fs.open_dir(&dir, OsStr::new(component))?;
    }
    Ok(dir)
}
