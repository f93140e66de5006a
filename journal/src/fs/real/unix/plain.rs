//! What Apple systems and all Unix systems but Linux have in common: no ACLs that the engine sets,
//! no barrier, no layers, and no file that lists mount points or locks.
//!
//! Promises one interface with `linux.rs`, so that callers do not distinguish between systems.
//! Read next: `apple.rs`, `posix.rs`, which re-export these functions.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{AtFlags, Mode};

use super::acl::AclKind;
use super::stat::kind;
use crate::fs::{Acl, Barrier, Kind, Layers};

/// What is queried from the system once.
#[derive(Clone, Debug)]
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

pub(super) fn layers(_: &OwnedFd) -> Layers {
    Layers::Plain
}

/// Between the two calls another process may replace the entry; even then no link is followed.
pub(super) fn set_mode(dir: &OwnedFd, name: &OsStr, mode: Mode) -> io::Result<()> {
    let found = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if kind(found.st_mode) != Kind::Dir {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    set_mode_of_file(dir, name, mode)
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

pub(super) fn lock_holder(_: &impl AsFd) -> Option<String> {
    None
}

pub(super) fn mounts_under(_dir: &OwnedFd) -> Vec<PathBuf> {
    Vec::new()
}
