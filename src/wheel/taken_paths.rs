//! Which paths of one tree are taken, and whether two of them collide.
//!
//! Promises that no two files share a path, that no file has the path of a directory, and that the
//! tree means the same on a filesystem that ignores case (I6).
//! Read next: `archive.rs` and `install.rs`, which use this.

use rvenv_journal::RelPath;
use thiserror::Error;

/// Two paths that cannot be in one tree.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Collision {
    /// Two files with one path.
    #[error("two files have the path `{0}`")]
    Twice(RelPath),
    /// One path in two spellings that differ in case.
    #[error("`{0}` and `{1}` are the same path where case is ignored")]
    Case(RelPath, RelPath),
    /// A path of both a file and a directory.
    #[error("`{0}` is both a file and a directory")]
    FileAndDirectory(RelPath),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
}

/// The paths of one tree.
#[derive(Default)]
pub(super) struct Places {
    taken: Vec<TakenPath>,
}

struct TakenPath {
    /// The path as a filesystem that ignores case compares it.
    folded: RelPath,
    path: RelPath,
    kind: Kind,
}

impl Places {
    /// Adds the path of a file.
    pub(super) fn file(&mut self, path: &RelPath) {
        self.take(path, Kind::File);
    }

    /// Adds the path of a directory, which may be added many times.
    pub(super) fn directory(&mut self, path: &RelPath) {
        self.take(path, Kind::Directory);
    }

    fn take(&mut self, path: &RelPath, kind: Kind) {
        let folded = path.folded_to_another().unwrap_or_else(|| path.clone());
        let path = path.clone();
        self.taken.push(TakenPath { folded, path, kind });
    }

    /// Finds paths that cannot be in one tree. After sorting they are neighbours; archives list
    /// them nearly in this order.
    pub(super) fn check(mut self) -> Result<(), Collision> {
        self.taken.sort_by(|one, next| one.folded.cmp(&next.folded));
        self.taken.windows(2).try_for_each(|pair| match pair {
            [one, next] => one.check(next),
            _ => Ok(()),
        })
    }
}

impl TakenPath {
    /// Compares a path with the next one in the order.
    fn check(&self, next: &Self) -> Result<(), Collision> {
        if let Some((one, other)) = self.spelled_otherwise(next) {
            return Err(Collision::Case(one, other));
        }
        let path = || self.path.clone();
        if self.folded != next.folded {
            if self.kind == Kind::File && next.folded.is_below(&self.folded) {
                return Err(Collision::FileAndDirectory(path()));
            }
            return Ok(());
        }
        match (self.kind, next.kind) {
            (Kind::Directory, Kind::Directory) => Ok(()),
            (Kind::File, Kind::File) => Err(Collision::Twice(path())),
            (Kind::File, Kind::Directory) | (Kind::Directory, Kind::File) => {
                Err(Collision::FileAndDirectory(path()))
            }
        }
    }

    /// The prefix that both paths share but spell in two ways.
    fn spelled_otherwise(&self, next: &Self) -> Option<(RelPath, RelPath)> {
        if self.path == self.folded && next.path == next.folded {
            return None;
        }
        let folded = self.folded.components().zip(next.folded.components());
        let shared = folded.take_while(|(one, other)| one == other).count();
        let is_same = |(one, other): (&str, &str)| one == other;
        let mut spelled = self.path.components().zip(next.path.components());
        let at = spelled.position(|pair| !is_same(pair))?;
        let way = |place: &Self| {
            let way: Vec<_> = place.path.components().take(at + 1).collect();
            RelPath::new(&way.join("/")).ok()
        };
        (at < shared).then(|| way(self).zip(way(next))).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(paths: &[&str], accepted: bool) {
        let mut places = Places::default();
        for path in paths {
            match path.strip_suffix('/') {
                Some(directory) => places.directory(&RelPath::new(directory).unwrap()),
                None => places.file(&RelPath::new(path).unwrap()),
            }
        }
        let result = places.check();
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
        check(&["a/b/c", "a/b/d", "a/b-c", "A.b", "a-b/c"], true);
        check(&["x", "a/b/c", "y", "a-b", "a/B/d"], false);
        check(&["A/b", "A/c", "A/b/d"], false);
        check(&["A/b", "A/c", "A/d/e", "A/d/"], true);
        check(&["a/b/c", "d", "a/B"], false);
    }

    #[test]
    fn a_collision_names_what_is_spelled_in_two_ways() {
        let mut places = Places::default();
        for path in ["a/Lib/x", "a/lib/y"] {
            places.file(&RelPath::new(path).unwrap());
        }
        let collision = places.check().unwrap_err().to_string();
        let expect = "`a/Lib` and `a/lib` are the same path where case is ignored";
        assert_eq!(collision, expect);
    }
}
