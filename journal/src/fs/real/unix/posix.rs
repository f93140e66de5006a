//! All other Unix systems: no conditional rename, no clones, no barrier, no birth times.
//!
//! Promises to report `Unsupported` for what is missing; the engine then plans without it.
//! Does not promise to distinguish a journal of this boot from one of an earlier boot.
//! Read next: `../unix.rs`, which calls these functions.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;

pub(super) use super::calls::fsync as sync;
pub(super) use super::plain::{
    Host, acl, has_default_acl, layers, lock_holder, mounts_under, set_acl, set_mode,
    set_mode_of_file,
};
use super::stat::meta;
use crate::fs::Meta;

pub(super) fn meta_at(dir: &OwnedFd, name: &OsStr) -> rustix::io::Result<Meta> {
    rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| meta(&stat, None))
}

pub(super) fn meta_of(fd: impl AsFd) -> rustix::io::Result<Meta> {
    rustix::fs::fstat(fd).map(|stat| meta(&stat, None))
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

pub(super) fn boot_id() -> String {
    "unknown".to_owned()
}
