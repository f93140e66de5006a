//! What only Apple systems have: `renamex_np`, `fclonefileat`, `F_FULLFSYNC`.
//!
//! Promises that synced data has left the drive's cache, wherever the drive supports this.
//! Does not promise anything about mount points, which these systems do not list in a file.
//! Read next: `../unix.rs`, which calls these functions.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{
    AtFlags, CloneFlags, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT,
};
use rustix::io::Errno;

use super::calls::{PASSIVE, fsync};
pub(super) use super::calls::{exchange, rename_to_free_name};
pub(super) use super::plain::{
    Host, acl, has_default_acl, layers, lock_holder, mounts_under, set_acl, set_mode,
    set_mode_of_file,
};
use super::stat::{birth, meta, number};
use crate::fs::Meta;

pub(super) fn meta_at(dir: &OwnedFd, name: &OsStr) -> rustix::io::Result<Meta> {
    rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| with_birth(&stat))
}

pub(super) fn meta_of(fd: impl AsFd) -> rustix::io::Result<Meta> {
    rustix::fs::fstat(fd).map(|stat| with_birth(&stat))
}

fn with_birth(stat: &Stat) -> Meta {
    let nanos = number(stat.st_birthtime_nsec);
    meta(stat, birth(stat.st_birthtime, nanos))
}

/// Creates a file that shares the blocks of another.
pub(super) fn clone_file(
    file: impl AsFd,
    dir: &OwnedFd,
    name: &OsStr,
    _: Mode,
) -> io::Result<OwnedFd> {
    let flags = CloneFlags::NOFOLLOW | CloneFlags::NOOWNERCOPY;
    rustix::fs::fclonefileat(file, dir, name, flags).map_err(|error| match error {
        Errno::NOTSUP | Errno::INVAL | Errno::NOSYS => {
            io::Error::new(io::ErrorKind::Unsupported, error)
        }
        other => other.into(),
    })?;
    // A clone keeps the times of its source; here it counts as written now.
    let now = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        },
    };
    let made = rustix::fs::openat(dir, name, OFlags::RDONLY | PASSIVE, Mode::empty());
    made.and_then(|fd| rustix::fs::futimens(&fd, &now).map(|()| fd))
        .map_err(|error| {
            // The caller falls back to another way of creating the file, which needs the name to be
            // free.
            let _ = rustix::fs::unlinkat(dir, name, AtFlags::empty());
            error.into()
        })
}

/// Uses `F_FULLFSYNC`, because `fsync` alone leaves the data in the drive's cache. Some volumes do
/// not support it; there `fsync` is the most that is possible.
pub(super) fn sync(fd: impl AsFd) -> io::Result<()> {
    match rustix::io::retry_on_intr(|| rustix::fs::fcntl_fullfsync(fd.as_fd())) {
        Err(Errno::NOTSUP | Errno::INVAL | Errno::NOTTY) => fsync(fd),
        told => Ok(told?),
    }
}

/// A UUID that the kernel chooses at boot.
pub(super) fn boot_id() -> String {
    session_uuid().unwrap_or_else(|| "unknown".to_owned())
}

#[expect(unsafe_code, reason = "no crate has this `sysctl` in safe form")]
fn session_uuid() -> Option<String> {
    const NAME: &CStr = c"kern.bootsessionuuid";
    let mut buffer = [0_u8; 64];
    let mut len = buffer.len();
    // SAFETY: the name ends with NUL, and `len` is the length of the buffer, which the call does
    // not exceed.
    let status = unsafe {
        libc::sysctlbyname(
            NAME.as_ptr(),
            buffer.as_mut_ptr().cast(),
            &raw mut len,
            std::ptr::null_mut(),
            0,
        )
    };
    let text = CStr::from_bytes_until_nul(&buffer).ok()?.to_str().ok()?;
    (status == 0 && !text.is_empty()).then(|| text.to_owned())
}
