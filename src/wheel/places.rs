//! Which paths of one tree are taken, and by what.
//!
//! Promises that no two files share a path, that no file stands where a directory must, and that nothing
//! changes its meaning on a filesystem that ignores case (I6).
//! Read next: `archive.rs` and `install.rs`, which ask.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use rvenv_journal::RelPath;
use thiserror::Error;

/// Two paths that cannot stand in one tree.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Collision {
    /// Two files in one place.
    #[error("two files want the path `{0}`")]
    Twice(RelPath),
    /// One path, spelled with other letters.
    #[error("`{0}` and `{1}` are one path where case is ignored")]
    Case(RelPath, RelPath),
    /// A path both a file and a directory.
    #[error("`{0}` is a file and a directory")]
    FileAndDirectory(RelPath),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
}

/// The paths taken so far, by the name that they have where case is ignored.
#[derive(Default)]
pub(super) struct Places {
    taken: BTreeMap<String, (RelPath, Kind)>,
    /// Archives list siblings together, so the parent is nearly always the one before.
    parent: Option<RelPath>,
}

impl Places {
    /// Takes a path for a file.
    pub(super) fn file(&mut self, path: &RelPath) -> Result<(), Collision> {
        self.take(path, Kind::File)
    }

    /// Takes a path for a directory; a directory may be taken many times.
    pub(super) fn directory(&mut self, path: &RelPath) -> Result<(), Collision> {
        self.take(path, Kind::Directory)
    }

    fn take(&mut self, path: &RelPath, kind: Kind) -> Result<(), Collision> {
        self.take_parents(path)?;
        self.take_one(path.clone(), kind)
    }

    fn take_parents(&mut self, path: &RelPath) -> Result<(), Collision> {
        let parent = path.parent();
        if parent == self.parent {
            return Ok(());
        }
        let mut above = parent.clone();
        while let Some(directory) = above {
            above = directory.parent();
            self.take_one(directory, Kind::Directory)?;
        }
        self.parent = parent;
        Ok(())
    }

    fn take_one(&mut self, path: RelPath, kind: Kind) -> Result<(), Collision> {
        let slot = match self.taken.entry(path.folded()) {
            Entry::Occupied(slot) => slot,
            Entry::Vacant(slot) => {
                slot.insert((path, kind));
                return Ok(());
            }
        };
        let (other, before) = slot.get();
        if *other != path {
            return Err(Collision::Case(other.clone(), path));
        }
        match (before, kind) {
            (Kind::Directory, Kind::Directory) => Ok(()),
            (Kind::File, Kind::File) => Err(Collision::Twice(path)),
            (Kind::File, Kind::Directory) | (Kind::Directory, Kind::File) => {
                Err(Collision::FileAndDirectory(path))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(paths: &[&str], accepted: bool) {
        let mut places = Places::default();
        let result = paths
            .iter()
            .try_for_each(|path| match path.strip_suffix('/') {
                Some(directory) => places.directory(&RelPath::new(directory).unwrap()),
                None => places.file(&RelPath::new(path).unwrap()),
            });
        assert_eq!(result.is_ok(), accepted, "{paths:?}: {result:?}");
    }

    #[test]
    fn two_paths_in_one_place_are_refused() {
        check(&["a/b", "a/c", "b/b", "a/d"], true);
        check(&["a/", "a/b", "a/", "a"], false);
        check(&["a/b", "a/", "a/c"], true);
        check(&["a/b", "a/b"], false);
        check(&["a/b", "a/B"], false);
        check(&["a/b", "A/c"], false);
        check(&["a", "a/b"], false);
        check(&["a/b/c", "a/b"], false);
        check(&["ä", "Ä"], false);
    }
}
