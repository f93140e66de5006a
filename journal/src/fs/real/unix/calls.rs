//! System calls whose errors, or whose effects on a descriptor, need an explanation.
//!
//! Read next: `../unix.rs`.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::stat::listed_kind;
use crate::fs::{Kind, Meta};

pub(super) const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);
/// Follows no link, and does not block on a FIFO.
pub(super) const PASSIVE: OFlags = OFlags::NOFOLLOW
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);
pub(super) const NEW_FILE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// POSIX allows either error for a directory that is not empty; xfs and some others report
/// `EEXIST`.
pub(super) fn not_empty(error: Errno) -> Errno {
    match error {
        Errno::EXIST => Errno::NOTEMPTY,
        other => other,
    }
}

/// Lists through a descriptor of its own: the position in a directory belongs to the open file
/// description, which other threads may be using.
pub(super) fn list(
    fd: &OwnedFd,
    wanted: &dyn Fn(&OsStr) -> bool,
) -> rustix::io::Result<Vec<OsString>> {
    let entries = list_types(fd, wanted)?;
    Ok(entries.into_iter().map(|(name, _)| name).collect())
}

/// As [`list`], with the kind of each entry, which is looked at only if the listing does not say
/// it; what is gone meanwhile is left out.
pub(super) fn list_kinds(
    fd: &OwnedFd,
    wanted: &dyn Fn(&OsStr) -> bool,
    look: &dyn Fn(&OsStr) -> rustix::io::Result<Meta>,
) -> rustix::io::Result<Vec<(OsString, Kind)>> {
    let mut kinds = Vec::new();
    for (name, listed) in list_types(fd, wanted)? {
        let kind = match listed_kind(listed) {
            Some(kind) => kind,
            None => match look(&name) {
                Ok(meta) => meta.kind,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error),
            },
        };
        kinds.push((name, kind));
    }
    Ok(kinds)
}

fn list_types(
    fd: &OwnedFd,
    wanted: &dyn Fn(&OsStr) -> bool,
) -> rustix::io::Result<Vec<(OsString, FileType)>> {
    let own = rustix::fs::openat(fd, ".", DIRECTORY, Mode::empty())?;
    let mut entries = Vec::new();
    for entry in rustix::fs::Dir::new(own)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        let is_entry = !matches!(name, b"." | b"..");
        let name = OsStr::from_bytes(name);
        if is_entry && wanted(name) {
            entries.push((name.to_owned(), entry.file_type()));
        }
    }
    entries.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    Ok(entries)
}

/// Retries `fsync` only after a signal. After an error the kernel marks the pages clean, so a retry
/// would prove nothing.
pub(super) fn fsync(fd: impl AsFd) -> io::Result<()> {
    Ok(rustix::io::retry_on_intr(|| rustix::fs::fsync(fd.as_fd()))?)
}

/// Fails if the new name exists.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub(super) fn rename_to_free_name(
    from: &OwnedFd,
    old: &OsStr,
    to: &OwnedFd,
    new: &OsStr,
) -> rustix::io::Result<()> {
    rustix::fs::renameat_with(from, old, to, new, rustix::fs::RenameFlags::NOREPLACE)
}

/// Exchanges two names, which must both exist.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub(super) fn exchange(
    from: &OwnedFd,
    old: &OsStr,
    to: &OwnedFd,
    new: &OsStr,
) -> rustix::io::Result<()> {
    rustix::fs::renameat_with(from, old, to, new, rustix::fs::RenameFlags::EXCHANGE)
}
