//! Paths by their text alone, as Python's `os.path.abspath` reads them.
//!
//! Promises not to look at the disk: `link/../E` is beside `link`, wherever the link leads. `venv`
//! reads its arguments in this way.

use std::path::{Component, Path, PathBuf};

/// An absolute path without `.` and `..`.
#[must_use]
pub fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => normal.push(part),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_by_its_text() {
        let check =
            |path: &str, expected: &str| assert_eq!(normal(Path::new(path)), Path::new(expected));
        check("/a/./b/../c/", "/a/c");
        check("/a/../../b", "/b");
        check("/", "/");
    }
}
