//! Owners: which users besides the caller may write a file or a directory.
//!
//! Promises that a file passes only if its permission bits let no one else write it. A directory
//! must pass the same check unless it is sticky, as `/tmp` is: there, each user can change only
//! their own files. A group may write if the user is its only member and there is no ACL: with an
//! ACL the group bits are its mask, which other users may use too. Does not look at databases of
//! users other than `/etc/passwd` and `/etc/group`.
//!
//! Read next: `cache/path_owners.rs` and `../python/trust/path_owners.rs`, which walk along the
//! paths that must belong to the user.
#![cfg(unix)]

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const BY_OTHERS: u32 = 0o002;
const BY_GROUP: u32 = 0o020;
const STICKY: u32 = 0o1000;

/// Whether users other than `user` and root may write the file or directory at `path`.
pub(crate) fn others_write(path: &Path, meta: &Metadata, user: u32) -> bool {
    let is_for_group = has_own_mode(meta) && meta.mode() & BY_GROUP != 0;
    everyone_writes(meta) || (is_for_group && (!is_own_group(user, meta.gid()) || has_acl(path)))
}

/// Whether an ACL has more entries than the permission bits; the group bits are then its mask.
#[cfg(target_os = "linux")]
fn has_acl(path: &Path) -> bool {
    use rustix::io::Errno;
    let mut list = [0_u8; 64];
    let found = rustix::fs::lgetxattr(path, "system.posix_acl_access", &mut list);
    !matches!(found, Err(Errno::NODATA | Errno::NOTSUP))
}

#[cfg(not(target_os = "linux"))]
fn has_acl(_path: &Path) -> bool {
    false
}

/// Whether users who share no group with the owner may write this file or directory.
pub(crate) fn everyone_writes(meta: &Metadata) -> bool {
    has_own_mode(meta) && meta.mode() & BY_OTHERS != 0
}

/// Whether the mode says who may write. The mode of a link means nothing, and in a sticky directory
/// only the modes of its entries count.
fn has_own_mode(meta: &Metadata) -> bool {
    let is_sticky_dir = meta.is_dir() && meta.mode() & STICKY != 0;
    !meta.is_symlink() && !is_sticky_dir
}

/// Whether the user is the only member of a group; many systems give each user a group of their
/// own.
fn is_own_group(user: u32, group: u32) -> bool {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    is_alone(&read("/etc/passwd"), &read("/etc/group"), user, group)
}

fn is_alone(users: &str, groups: &str, user: u32, group: u32) -> bool {
    let (user, group) = (user.to_string(), group.to_string());
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let at = |fields: &[String], index: usize| fields.get(index).cloned().unwrap_or_default();
    let users: Vec<_> = users.lines().map(fields).collect();
    let name = users.iter().find(|fields| at(fields, 2) == user);
    let name = name.map(|fields| at(fields, 0));
    let mut of_group = users.iter().filter(|fields| at(fields, 3) == group);
    let mut found = groups
        .lines()
        .map(fields)
        .filter(|fields| at(fields, 2) == group);
    let alone = |fields: Vec<String>| {
        let members = at(&fields, 3);
        members
            .split(',')
            .all(|member| member.is_empty() || name.as_deref() == Some(member))
    };
    if name.is_none() {
        // The user comes from a directory service, which gives each user a group of the same
        // number.
        return user == group && of_group.next().is_none() && found.all(alone);
    }
    let is_primary = of_group.next().is_some_and(|own| at(own, 2) == user);
    is_primary
        && of_group.next().is_none()
        && found.next().is_some_and(alone)
        && found.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

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
