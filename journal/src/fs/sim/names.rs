//! Looking up names: what is a valid name, who has permission, and where a path leads.
//!
//! Promises Linux's errors in Linux's order: an invalid name, a directory without search
//! permission, an entry that is absent or already exists, a directory without write permission. Not
//! modelled: the sticky bit, groups (the bits of others apply instead), access control lists.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::disk::{Id, Name, Node, ROOT};
use super::machine::{Machine, is_root};
use crate::base::path::COMPONENT_BYTES_MAX;

/// How many symbolic links one lookup follows.
const LINKS_FOLLOWED_MAX: usize = 40;

/// Permission to read, in any digit of a mode.
pub(super) const READ: u32 = 0o4;
/// Permission to write.
pub(super) const WRITE: u32 = 0o2;
/// Permission to look up names in a directory.
pub(super) const SEARCH: u32 = 0o1;

impl Machine {
    /// The object of an entry; `None` if there is none.
    pub(super) fn lookup(&self, dir: Id, name: &OsStr) -> io::Result<Option<Id>> {
        check_name(name)?;
        self.permit(dir, SEARCH)?;
        Ok(self.live.child(dir, name))
    }

    /// The object of an existing entry.
    pub(super) fn existing(&self, dir: Id, name: &OsStr) -> io::Result<Id> {
        self.lookup(dir, name)?
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Fails unless an entry can be created.
    pub(super) fn vacant(&self, dir: Id, name: &OsStr) -> io::Result<()> {
        if self.lookup(dir, name)?.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.changeable(dir)
    }

    /// Fails unless entries of a directory can be changed.
    pub(super) fn changeable(&self, dir: Id) -> io::Result<()> {
        if self.live.get(dir).names == 0 {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.permit(dir, WRITE | SEARCH)
    }

    /// Fails unless the user has this permission for an object.
    pub(super) fn permit(&self, id: Id, wanted: u32) -> io::Result<()> {
        let inode = self.live.get(id);
        let digit = if inode.owner == self.user {
            inode.mode >> 6
        } else {
            inode.mode
        };
        if self.user == 0 || digit & wanted == wanted {
            return Ok(());
        }
        Err(io::ErrorKind::PermissionDenied.into())
    }

    /// Follows a path and the links in it to a directory.
    pub(super) fn walk(&self, path: &Path) -> io::Result<Id> {
        let mut open: VecDeque<OsString> = VecDeque::new();
        prepend(&mut open, path);
        let (mut at, mut followed) = (ROOT, 0);
        while let Some(component) = open.pop_front() {
            let folder = self.live.get(at).folder();
            let folder = folder.ok_or(io::ErrorKind::NotADirectory)?;
            at = if component == "/" {
                ROOT
            } else if component == ".." {
                folder.parent
            } else {
                let child = self.existing(at, &component)?;
                if let Node::Symlink(target) = &self.live.get(child).node {
                    followed += 1;
                    if followed > LINKS_FOLLOWED_MAX {
                        return Err(io::Error::other("too many levels of symbolic links"));
                    }
                    prepend(&mut open, Path::new(&**target));
                    at
                } else {
                    child
                }
            };
        }
        match self.live.get(at).folder() {
            Some(_) => Ok(at),
            None => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// The object at a path; follows no link and needs no permission.
    pub(super) fn find(&self, path: &Path) -> Option<Id> {
        let names = path.components().filter_map(|component| match component {
            Component::Normal(name) => Some(name),
            Component::RootDir
            | Component::CurDir
            | Component::ParentDir
            | Component::Prefix(_) => None,
        });
        names
            .into_iter()
            .try_fold(ROOT, |at, name| self.live.child(at, name))
    }

    /// Fails if an entry is a mount point, which can neither be moved nor removed.
    pub(super) fn check_mount(&self, dir: Id, name: &OsStr) -> io::Result<()> {
        if !self.mounts.is_empty() && self.mounts.contains(&self.path_of(dir).join(name)) {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        Ok(())
    }

    /// Fails if two directories are on different mounts.
    pub(super) fn check_one_mount(&self, one: Id, other: Id) -> io::Result<()> {
        if one == other || self.mounts.is_empty() {
            return Ok(());
        }
        let mount_of = |id| {
            let path = self.path_of(id);
            let above = self.mounts.iter().filter(|mount| path.starts_with(mount));
            above.max_by_key(|mount| mount.as_os_str().len())
        };
        if mount_of(one) == mount_of(other) {
            return Ok(());
        }
        Err(io::ErrorKind::CrossesDevices.into())
    }

    /// Whether a directory is another one or is below it.
    pub(super) fn is_within(&self, dir: Id, other: Id) -> bool {
        self.ancestors(dir).any(|id| id == other)
    }

    /// A directory and those above it.
    fn ancestors(&self, dir: Id) -> impl Iterator<Item = Id> {
        std::iter::successors(Some(dir), |id| {
            let folder = self.live.get(*id).folder();
            folder.map(|folder| folder.parent).filter(|_| !is_root(*id))
        })
    }

    pub(super) fn path_of(&self, dir: Id) -> PathBuf {
        let mut names: Vec<Name> = Vec::new();
        let mut below = dir;
        for id in self.ancestors(dir).skip(1) {
            let entries = self.live.get(id).folder().map_or(&[][..], |f| &f.entries);
            let entry = entries.iter().find(|(_, child)| *child == below);
            names.extend(entry.map(|(name, _)| Name::clone(name)));
            below = id;
        }
        names
            .iter()
            .rev()
            .fold(PathBuf::from("/"), |path, name| path.join(&**name))
    }
}

/// Fails unless a name is one component.
pub(super) fn check_name(name: &OsStr) -> io::Result<()> {
    let bytes = name.as_encoded_bytes();
    if bytes.is_empty() || bytes == b"." || bytes == b".." {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    if bytes.contains(&b'/') || bytes.contains(&0) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    if bytes.len() > COMPONENT_BYTES_MAX {
        return Err(io::ErrorKind::InvalidFilename.into());
    }
    Ok(())
}

/// A path as stories show it: a plan for Windows names a drive, and this disk has none.
pub(super) fn without_drive(path: &Path) -> String {
    let text = path.to_string_lossy();
    let drive = match path.components().next() {
        Some(Component::Prefix(drive)) => drive.as_os_str().to_string_lossy(),
        _ => return text.into_owned(),
    };
    text.strip_prefix(&*drive).unwrap_or(&text).to_owned()
}

/// Puts the components of a path before those that are still to be followed.
fn prepend(open: &mut VecDeque<OsString>, path: &Path) {
    for component in path.components().rev() {
        match component {
            // Windows spells its root differently; this disk has one root on every machine.
            Component::RootDir => open.push_front(OsString::from("/")),
            Component::ParentDir | Component::Normal(_) => {
                open.push_front(component.as_os_str().to_owned());
            }
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
}
