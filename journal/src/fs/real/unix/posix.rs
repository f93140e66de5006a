//! All other Unix systems: no conditional rename, no clones, no barrier, no birth times.
//!
//! Promises to report `Unsupported` for what is missing; the engine then plans without it.
//! Does not promise to distinguish a journal of this boot from one of an earlier boot.
//! Read next: `../unix.rs`, which calls these functions.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;

use super::acl::AclKind;
use super::calls::fsync;
use super::stat::meta;
use crate::fs::{Acl, Barrier, Kind, Layers, Meta};

/// What is queried from the system once.
#[derive(Debug)]
pub(super) struct Host;

impl Host {
    pub(super) fn read() -> Self {
        Self
    }

    /// Unknown: reading the umask would mean changing it, which other threads would notice.
    #[expect(clippy::unused_self, reason = "one interface for all systems")]
    pub(super) fn umask(&self) -> Option<u32> {
        None
    }

    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "one interface for all systems"
    )]
    pub(super) fn sync_filesystem(&self, _: &OwnedFd) -> io::Result<Barrier> {
        Ok(Barrier::PerObject)
    }
}

/// `false`: these systems inherit ACLs by themselves, and a mode that is set later does not reduce
/// them.
pub(super) fn has_default_acl(_: &OwnedFd) -> bool {
    false
}

#[expect(clippy::unnecessary_wraps, reason = "one interface for all systems")]
pub(super) fn acl(_: &OwnedFd, _: AclKind) -> rustix::io::Result<Option<Acl>> {
    Ok(None)
}

#[expect(clippy::unnecessary_wraps, reason = "one interface for all systems")]
pub(super) fn set_acl(_: &OwnedFd, _: AclKind, _: Option<&Acl>) -> rustix::io::Result<()> {
    Ok(())
}

pub(super) fn meta_at(dir: &OwnedFd, name: &OsStr) -> rustix::io::Result<Meta> {
    rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| meta(&stat, None))
}

pub(super) fn meta_of(fd: impl AsFd) -> rustix::io::Result<Meta> {
    rustix::fs::fstat(fd).map(|stat| meta(&stat, None))
}

pub(super) fn layers(_: &OwnedFd) -> Layers {
    Layers::Plain
}

/// Between the two calls another process may replace the entry; even then no link is followed.
pub(super) fn set_mode(dir: &OwnedFd, name: &OsStr, mode: Mode) -> io::Result<()> {
    if meta_at(dir, name)?.kind != Kind::Dir {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(rustix::fs::chmodat(
        dir,
        name,
        mode,
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

/// As [`set_mode`], for a file.
pub(super) fn set_mode_of_file(dir: &OwnedFd, name: &OsStr, mode: Mode) -> io::Result<()> {
    Ok(rustix::fs::chmodat(
        dir,
        name,
        mode,
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

pub(super) fn rename_to_free_name(
    _: &OwnedFd,
    _: &OsStr,
    _: &OwnedFd,
    _: &OsStr,
) -> rustix::io::Result<()> {
    Err(Errno::NOSYS)
}

pub(super) fn exchange(_: &OwnedFd, _: &OsStr, _: &OwnedFd, _: &OsStr) -> rustix::io::Result<()> {
    Err(Errno::NOSYS)
}

pub(super) fn clone_file(_: impl AsFd, _: &OwnedFd, _: &OsStr, _: Mode) -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn sync(fd: impl AsFd) -> io::Result<()> {
    Ok(fsync(fd)?)
}

pub(super) fn boot_id() -> String {
    "unknown".to_owned()
}

pub(super) fn lock_holder(_: &impl AsFd) -> Option<String> {
    None
}

pub(super) fn mounts_under(_dir: &OwnedFd) -> Vec<PathBuf> {
    Vec::new()
}
