//! Counts the files of a created environment, so that no racer wins by making less.

use std::fs;
use std::path::Path;

/// How many entries of each kind exist, without the root.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Made {
    pub(crate) files: usize,
    /// Of the files.
    pub(crate) bytecode: usize,
    pub(crate) dirs: usize,
    pub(crate) links: usize,
}

impl Made {
    pub(crate) fn at(target: &Path) -> Self {
        let mut made = Self::default();
        made.add(target);
        made
    }

    fn add(&mut self, dir: &Path) {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() {
                self.dirs += 1;
                self.add(&path);
            } else if kind.is_symlink() {
                self.links += 1;
            } else {
                self.files += 1;
                self.bytecode += usize::from(path.extension().is_some_and(|last| last == "pyc"));
            }
        }
    }
}
