//! The path to a file: every directory and every link on it, and who can change them.
//!
//! Promises that only root and the user can change a path that was walked to its end: each
//! directory, each link and the file itself belong to one of them, and no one else may write them.
//! A directory that all users may write passes if it is sticky, as `/tmp` is, since there each user
//! can change only their own files. A group may write if the user is its only member. On a system
//! without owners and modes no path passes.
//!
//! Read next: `../trust.rs`, which uses it.

use std::path::{Path, PathBuf};

/// A path that only root and the user can change.
pub(super) struct Way {
    /// The file.
    pub(super) real: PathBuf,
    /// Every directory and link on it, and the file itself.
    pub(super) passed: Vec<PathBuf>,
}

/// Walks an absolute path, or names what another user can change on it.
#[cfg(unix)]
pub(super) fn walk(path: &Path) -> Result<Way, String> {
    unix::walk(path)
}

/// Always fails: who may write is unknown here.
#[cfg(not(unix))]
pub(super) fn walk(_path: &Path) -> Result<Way, String> {
    Err("rvenv cannot tell on this system who can write to it".to_owned())
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsString;
    use std::fs::{self, Metadata};
    use std::io;
    use std::os::unix::fs::MetadataExt;
    use std::path::{Component, Path, PathBuf};

    use super::Way;
    use crate::base::owners::others_write;
    use crate::python::error::shown;

    /// As many links as the kernel follows.
    const LINKS_MAX: usize = 40;

    pub(super) fn walk(path: &Path) -> Result<Way, String> {
        let unseen =
            |at: &Path, error: io::Error| format!("cannot look at `{}`: {error}", shown(at));
        let mut at = PathBuf::from("/");
        let mut left = parts(path);
        let mut passed = Vec::new();
        let mut links = 0;
        let meta = fs::symlink_metadata(&at).map_err(|error| unseen(&at, error))?;
        check(&at, &meta)?;
        while let Some(part) = left.pop() {
            if part == ".." {
                at.pop();
                continue;
            }
            let next = at.join(part);
            let meta = fs::symlink_metadata(&next).map_err(|error| unseen(&next, error))?;
            check(&next, &meta)?;
            if !meta.is_symlink() {
                passed.push(next.clone());
                at = next;
                continue;
            }
            links += 1;
            if links > LINKS_MAX {
                return Err(format!("`{}` leads through too many links", shown(path)));
            }
            let target = fs::read_link(&next).map_err(|error| unseen(&next, error))?;
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            passed.push(next);
            left.extend(parts(&target));
        }
        Ok(Way { real: at, passed })
    }

    /// The parts of a path, the first one last.
    fn parts(path: &Path) -> Vec<OsString> {
        let parts = path.components().rev();
        let parts =
            parts.filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
        parts.map(|part| part.as_os_str().to_owned()).collect()
    }

    fn check(path: &Path, meta: &Metadata) -> Result<(), String> {
        let user = rustix::process::geteuid().as_raw();
        if meta.uid() != user && meta.uid() != 0 {
            return Err(format!("`{}` belongs to user {}", shown(path), meta.uid()));
        }
        if others_write(path, meta, user) {
            return Err(format!("other users can write to `{}`", shown(path)));
        }
        Ok(())
    }

    #[cfg(test)]
    #[expect(
        clippy::disallowed_methods,
        reason = "the tests make what others would"
    )]
    mod tests {
        use std::os::unix::fs::{PermissionsExt, symlink};

        use super::*;

        #[test]
        fn a_way_that_others_can_change_is_refused_at_the_place_where_they_can() {
            let place = tempfile::tempdir().unwrap();
            let root = place.path().canonicalize().unwrap();
            fs::create_dir_all(root.join("a/b")).unwrap();
            fs::write(root.join("a/b/file"), "").unwrap();
            symlink("../a/b", root.join("a/link")).unwrap();
            let path = root.join("a/link/file");
            let set = |below: &str, mode: u32| {
                fs::set_permissions(root.join(below), fs::Permissions::from_mode(mode)).unwrap();
            };
            let said = || walk(&path).err().unwrap_or_default();
            for below in ["", "a", "a/b", "a/b/file"] {
                set(below, 0o755);
            }
            let way = walk(&path).unwrap();
            assert_eq!(way.real, root.join("a/b/file"));
            assert!(way.passed.contains(&root.join("a/link")));
            for below in ["a", "a/b", "a/b/file"] {
                set(below, 0o757);
                let place = root.join(below);
                assert_eq!(
                    said(),
                    format!("other users can write to `{}`", place.display())
                );
                set(below, 0o1777);
                let is_file = below.ends_with("file");
                assert_eq!(said().is_empty(), !is_file, "{below}");
                set(below, 0o755);
            }
            assert_eq!(said(), "");
        }
    }
}
