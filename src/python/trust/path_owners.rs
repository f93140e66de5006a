//! The way to a file: every directory and every link that has a say in where a path leads.
//!
//! Promises that a way which is walked to its end can be changed by no one but root and the user: each directory, each link
//! and the file itself belong to one of them, and no one else may write them. A directory that all may write counts where
//! it is sticky, as `/tmp` is, since what others put there is theirs. A group may write if the user is its only member.
//! Does not promise anything where the system has no owners and modes: there no way is walked to its end.
//!
//! Read next: `../trust.rs`, which asks for it.

use std::path::{Path, PathBuf};

/// A way that only root and the user can change.
pub(super) struct Way {
    /// The file.
    pub(super) real: PathBuf,
    /// Every directory that was passed, without links.
    pub(super) passed: Vec<PathBuf>,
}

/// Walks an absolute path, or says who else can change where it leads.
#[cfg(unix)]
pub(super) fn walk(path: &Path) -> Result<Way, String> {
    unix::walk(path)
}

/// Says that nothing is known of who may write.
#[cfg(not(unix))]
pub(super) fn walk(_path: &Path) -> Result<Way, String> {
    Err("this system does not tell who can write it".to_owned())
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsString;
    use std::fs::{self, Metadata};
    use std::io;
    use std::os::unix::fs::MetadataExt;
    use std::path::{Component, Path, PathBuf};

    use super::Way;
    use crate::python::error::shown;

    /// As many links as the kernel follows.
    const LINKS_MAX: usize = 40;
    const BY_OTHERS: u32 = 0o002;
    const BY_GROUP: u32 = 0o020;
    const STICKY: u32 = 0o1000;

    pub(super) fn walk(path: &Path) -> Result<Way, String> {
        let unseen =
            |at: &Path, error: io::Error| format!("`{}` cannot be seen: {error}", shown(at));
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
        // The mode of a link means nothing, and of a sticky directory only what is in it counts.
        if meta.is_symlink() || (meta.is_dir() && meta.mode() & STICKY != 0) {
            return Ok(());
        }
        let by_others = meta.mode() & BY_OTHERS != 0;
        let by_group = meta.mode() & BY_GROUP != 0 && !is_own_group(user, meta.gid());
        if by_others || by_group {
            return Err(format!("others can write `{}`", shown(path)));
        }
        Ok(())
    }

    /// Whether a group has no member but the user: many systems give each user one.
    fn is_own_group(user: u32, group: u32) -> bool {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        is_alone(&read("/etc/passwd"), &read("/etc/group"), user, group)
    }

    fn is_alone(users: &str, groups: &str, user: u32, group: u32) -> bool {
        let (user, group) = (user.to_string(), group.to_string());
        let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        let at = |fields: &[String], index: usize| fields.get(index).cloned().unwrap_or_default();
        let users: Vec<_> = users.lines().map(fields).collect();
        let mut of_group = users.iter().filter(|fields| at(fields, 3) == group);
        let Some(own) = of_group.next().filter(|fields| at(fields, 2) == user) else {
            return false;
        };
        let name = at(own, 0);
        let mut found = groups
            .lines()
            .map(fields)
            .filter(|fields| at(fields, 2) == group);
        let alone = |fields: Vec<String>| {
            let members = at(&fields, 3);
            members
                .split(',')
                .all(|member| member.is_empty() || member == name)
        };
        of_group.next().is_none() && found.next().is_some_and(alone) && found.next().is_none()
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
                assert_eq!(said(), format!("others can write `{}`", place.display()));
                set(below, 0o1777);
                let is_file = below.ends_with("file");
                assert_eq!(said().is_empty(), !is_file, "{below}");
                set(below, 0o755);
            }
            assert_eq!(said(), "");
        }

        #[test]
        fn a_group_is_the_users_own_if_the_user_is_its_only_member() {
            let users =
                "root:x:0:0::/root:/bin/sh\nu:x:1000:1000:::\nv:x:1001:1001:::\nw:x:1002:1001:::\n";
            let groups = "root:x:0:\nu:x:1000:u\nv:x:1001:\nshared:x:2000:u,v\nmixed:x:1003:w\n";
            let check = |user, group, expect| {
                assert_eq!(
                    is_alone(users, groups, user, group),
                    expect,
                    "{user} {group}"
                );
            };
            check(1000, 1000, true);
            check(0, 0, true);
            check(1001, 1001, false);
            check(1000, 2000, false);
            check(1000, 0, false);
            check(1000, 1003, false);
            assert!(!is_alone(users, "u:x:1000:v\n", 1000, 1000));
            assert!(!is_alone(users, "", 1000, 1000));
        }
    }
}
