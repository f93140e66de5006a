//! The path to a cache: who owns each directory and each symbolic link on it.
//!
//! Promises to follow links as the system does, and to name the first component that another user
//! controls (one that belongs to them, or a directory above the cache that they may write), or else
//! the nearest directory that exists. Does not keep open what it checked: the directories belong to
//! the user and to root, who do not race against themselves. On Windows it checks no owner.
//!
//! Read next: `../cache.rs`.

use std::ffi::OsString;
#[cfg(unix)]
use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::path::Path;
#[cfg(unix)]
use std::path::{Component, PathBuf};

use super::{NotUsed, Way};
#[cfg(unix)]
use crate::base::owners::{everyone_writes, others_write};

/// As many as Linux follows.
#[cfg(unix)]
const LINKS_MAX: usize = 40;

/// Walks to a directory, whether or not it exists.
#[cfg(unix)]
pub(super) fn walk(path: &Path, user: u32) -> Result<Way, NotUsed> {
    walk_past(path, user, &|dir, found| others_write(dir, found, user))
}

/// Walks in the same way, with `is_open` as the rule for which directories other users may write.
#[cfg(unix)]
fn walk_past(
    path: &Path,
    user: u32,
    is_open: &dyn Fn(&Path, &Metadata) -> bool,
) -> Result<Way, NotUsed> {
    use std::os::unix::fs::MetadataExt;
    let mut nearest = PathBuf::from("/");
    let top = std::fs::metadata(&nearest).map_err(|error| failed(&nearest, error))?;
    check(&nearest, &top, is_open)?;
    // The system's root user, whose id is not 0 inside a user namespace without root.
    let system = top.uid();
    let mut left = components(path);
    let mut links = 0;
    while let Some(name) = left.pop() {
        if name == ".." {
            nearest.pop();
            continue;
        }
        let at = nearest.join(&name);
        let found = match std::fs::symlink_metadata(&at) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                left.push(name);
                left.reverse();
                if left.iter().any(|name| name == "..") {
                    return Err(failed(&at, error));
                }
                return Ok(Way {
                    nearest,
                    rest: left,
                });
            }
            Err(error) => return Err(failed(&at, error)),
        };
        let owner = found.uid();
        if owner != user && owner != 0 && owner != system {
            return Err(NotUsed::Foreign { path: at, owner });
        }
        if found.is_symlink() {
            links += 1;
            if links > LINKS_MAX {
                return Err(failed(&at, ErrorKind::InvalidInput.into()));
            }
            let target = std::fs::read_link(&at).map_err(|error| failed(&at, error))?;
            if target.is_absolute() {
                nearest = PathBuf::from("/");
            }
            left.extend(components(&target));
        } else if found.is_dir() {
            // The last one is the cache itself, which `Cache` checks more strictly.
            if !left.is_empty() {
                check(&at, &found, is_open)?;
            }
            nearest = at;
        } else {
            return Err(failed(&at, ErrorKind::NotADirectory.into()));
        }
    }
    Ok(Way {
        nearest,
        rest: Vec::new(),
    })
}

/// Finds the first directory or link on the path to a directory through which a user who shares no
/// group with this one could exchange it; the directory itself, if it belongs to another user.
#[cfg(unix)]
pub(crate) fn changeable_above(dir: &Path) -> Option<NotUsed> {
    let user = rustix::process::geteuid().as_raw();
    walk_past(dir, user, &|_, found| everyone_writes(found)).err()
}

/// Checks nothing: owners are unknown here.
#[cfg(not(unix))]
pub(crate) fn changeable_above(_dir: &Path) -> Option<NotUsed> {
    None
}

/// Checks that no other user may put something else into a directory.
#[cfg(unix)]
fn check(
    dir: &Path,
    found: &Metadata,
    is_open: &dyn Fn(&Path, &Metadata) -> bool,
) -> Result<(), NotUsed> {
    use std::os::unix::fs::MetadataExt;
    if is_open(dir, found) {
        let (path, mode) = (dir.to_owned(), found.mode() & 0o7777);
        return Err(NotUsed::Above { path, mode });
    }
    Ok(())
}

/// The components of a path, the first one last.
#[cfg(unix)]
fn components(path: &Path) -> Vec<OsString> {
    let named = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    });
    let mut named: Vec<_> = named.collect();
    named.reverse();
    named
}

/// Finds the nearest directory that exists.
#[cfg(not(unix))]
pub(super) fn walk(path: &Path, _user: u32) -> Result<Way, NotUsed> {
    let mut nearest = path;
    let mut rest: Vec<OsString> = Vec::new();
    while let Err(error) = std::fs::metadata(nearest) {
        match (error.kind(), nearest.parent(), nearest.file_name()) {
            (ErrorKind::NotFound, Some(above), Some(name)) => {
                rest.insert(0, name.to_owned());
                nearest = above;
            }
            _ => return Err(failed(nearest, error)),
        }
    }
    let nearest = nearest.to_owned();
    Ok(Way { nearest, rest })
}

fn failed(path: &Path, source: io::Error) -> NotUsed {
    let path = path.to_owned();
    NotUsed::Disk { path, source }
}

#[cfg(all(test, unix))]
#[expect(
    clippy::disallowed_methods,
    reason = "the test makes the directories that are walked"
)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn user() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    #[test]
    fn the_way_leads_through_links_to_what_exists() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        symlink("a/b/..", root.join("relative")).unwrap();
        symlink(root.join("a"), root.join("absolute")).unwrap();
        symlink("round", root.join("round")).unwrap();
        std::fs::write(root.join("file"), "").unwrap();
        let check = |path: &str, nearest: &str, rest: &[&str]| {
            let way = walk(&root.join(path), user()).unwrap();
            assert_eq!(way.nearest, root.join(nearest), "{path}");
            assert_eq!(way.rest, rest, "{path}");
        };
        check("a/b", "a/b", &[]);
        check("relative", "a", &[]);
        check("relative/b/c/d", "a/b", &["c", "d"]);
        check("absolute/x", "a", &["x"]);
        check("a/./b/../x", "a", &["x"]);
        let set = |mode| {
            std::fs::set_permissions(root.join("a"), std::fs::Permissions::from_mode(mode))
                .unwrap();
        };
        for (mode, is_refused) in [(0o777, true), (0o1777, false), (0o755, false)] {
            set(mode);
            for path in ["a/b", "a/x/y", "relative/b", "absolute/b"] {
                let refused = walk(&root.join(path), user()).err();
                let is_above = matches!(refused, Some(NotUsed::Above { .. }));
                assert_eq!(is_above, is_refused, "{mode:o} {path}");
            }
        }
        for path in ["round/x", "file/x", "absent/../x"] {
            let refused = walk(&root.join(path), user()).unwrap_err();
            assert!(matches!(refused, NotUsed::Disk { .. }), "{refused}");
        }
    }
}
