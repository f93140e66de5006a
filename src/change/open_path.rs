//! Walking to paths of an environment through open directories.
//!
//! Promises to follow no link, and that only the directories on the path to the last requested
//! entry stay open, however many there are.
//!
//! Read next: `merge.rs`, `carry/files.rs`.

use std::ffi::OsStr;
use std::io::ErrorKind;

use rvenv_journal::fs::{Dir, FsError, Kind};
use rvenv_journal::raw::PublishedPath;
use rvenv_journal::{Fs, RelPath};

/// Whether a path still has what was published there.
pub(crate) fn is_as_published(
    walk: &mut Walk<'_>,
    path: &RelPath,
    published: &PublishedPath,
) -> Result<bool, FsError> {
    let Some((dir, kind)) = walk.look(path)? else {
        return Ok(false);
    };
    let name = OsStr::new(path.name());
    Ok(match (published, kind) {
        (PublishedPath::Dir { .. }, Kind::Dir) => true,
        (PublishedPath::File { digest, len, .. }, Kind::File) => {
            let found = walk.fs.meta(&dir, name)?;
            found.is_some_and(|found| found.len == *len)
                && walk.fs.digest_file(&dir, name)? == *digest
        }
        (PublishedPath::Symlink { target }, Kind::Symlink) => {
            walk.fs.read_link(&dir, name)? == OsStr::new(target)
        }
        (
            PublishedPath::Dir { .. } | PublishedPath::File { .. } | PublishedPath::Symlink { .. },
            _,
        ) => false,
    })
}

/// A row of a RECORD as a path of the environment; ignores rows that lead out of it.
pub(crate) fn lexical(site: &RelPath, row: &str) -> Option<RelPath> {
    let mut at: Vec<&str> = site.components().collect();
    if row.starts_with('/') {
        return None;
    }
    for component in row.split('/') {
        match component {
            ".." => drop(at.pop()?),
            "." | "" => {}
            name => at.push(name),
        }
    }
    RelPath::new(&at.join("/")).ok()
}

/// Opens nested directories of the environment without following links; only those on the path to
/// the last requested entry stay open.
pub(crate) struct Walk<'a> {
    fs: &'a dyn Fs,
    root: Dir,
    way: Vec<(RelPath, Option<Dir>)>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(fs: &'a dyn Fs, root: &Dir) -> Self {
        Self {
            fs,
            root: root.clone(),
            way: Vec::new(),
        }
    }

    pub(crate) fn open(&mut self, path: &RelPath) -> Result<Option<Dir>, FsError> {
        let is_on_the_way = |open: &RelPath| path == open || path.is_below(open);
        while self
            .way
            .last()
            .is_some_and(|(open, _)| !is_on_the_way(open))
        {
            self.way.pop();
        }
        if let Some((_, known)) = self.way.last().filter(|(open, _)| open == path) {
            return Ok(known.clone());
        }
        let above = match path.parent() {
            None => Some(self.root.clone()),
            Some(above) => self.open(&above)?,
        };
        let opened = match above.map(|dir| self.fs.open_dir(&dir, OsStr::new(path.name()))) {
            None => None,
            Some(Ok(dir)) => Some(dir),
            Some(Err(error))
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                None
            }
            Some(Err(error)) => return Err(error),
        };
        self.way.push((path.clone(), opened.clone()));
        Ok(opened)
    }

    /// The directory that holds a path.
    pub(crate) fn above(&mut self, path: &RelPath) -> Result<Option<Dir>, FsError> {
        match path.parent() {
            None => Ok(Some(self.root.clone())),
            Some(above) => self.open(&above),
        }
    }

    /// The directory that holds a path, and the type of the entry there.
    pub(crate) fn look(&mut self, path: &RelPath) -> Result<Option<(Dir, Kind)>, FsError> {
        let Some(dir) = self.above(path)? else {
            return Ok(None);
        };
        let meta = self.fs.meta(&dir, OsStr::new(path.name()))?;
        Ok(meta.map(|meta| (dir, meta.kind)))
    }
}
