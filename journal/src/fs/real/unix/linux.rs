//! What only Linux has: `statx`, `renameat2`, `FICLONE`, `syncfs`, `/proc`.
//!
//! Promises to return [`Barrier::Filesystem`] only where a failed write would have been reported,
//! and to report a call that an old kernel lacks as `Unsupported`, without guessing.
//! Read next: `../unix.rs`, which calls these functions.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags, XattrFlags};
use rustix::io::Errno;

use super::acl::AclKind;
use super::calls::NEW_FILE;
pub(super) use super::calls::{exchange, fsync as sync, rename_to_free_name};
use super::stat::{birth, kind, meta, number};
use crate::base::identity::Identity;
use crate::fs::{Acl, Barrier, Layers, Meta, Time};

/// The default ACL of a directory, which replaces the umask for new objects in it.
const DEFAULT_ACL: &str = "system.posix_acl_default";
/// The own ACL of an object.
const OWN_ACL: &str = "system.posix_acl_access";
/// The kernel's limit for an attribute, in bytes.
const ACL_BYTES_MAX: usize = 64 * 1024;
/// The first kernel whose `syncfs` reports that writeback failed.
const SYNCFS_REPORTS: (u32, u32) = (5, 8);
/// Filesystems that write to a device below them and whose failures `syncfs` reports: ext2 to ext4,
/// xfs, btrfs, f2fs, tmpfs. FUSE, network and stacked filesystems promise nothing: for most of them
/// `syncfs` does nothing.
const REPORTING: [u64; 5] = [0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010, 0x0102_1994];

/// The filesystem that stacks changes over layers. One that does the same through FUSE looks like
/// any other FUSE filesystem.
const OVERLAYFS: u64 = 0x794C_7630;

/// What is queried from the system once.
#[derive(Clone, Debug)]
pub(super) struct Host {
    umask: Option<u32>,
    syncfs_reports: bool,
}

impl Host {
    pub(super) fn read() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let release = rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned();
        Self {
            umask: umask(&status),
            syncfs_reports: version(&release).is_some_and(|found| found >= SYNCFS_REPORTS),
        }
    }

    /// The umask, if it could be read without changing it.
    pub(super) fn umask(&self) -> Option<u32> {
        self.umask
    }

    pub(super) fn sync_filesystem(&self, fd: &OwnedFd) -> io::Result<Barrier> {
        let magic: u64 = number(rustix::fs::fstatfs(fd)?.f_type);
        if !self.syncfs_reports || !REPORTING.contains(&magic) {
            return Ok(Barrier::PerObject);
        }
        rustix::fs::syncfs(fd)?;
        Ok(Barrier::Filesystem)
    }
}

/// Whether a directory hands down an ACL, so that the umask does not determine the mode of new
/// objects.
pub(super) fn has_default_acl(dir: &OwnedFd) -> bool {
    match rustix::fs::fgetxattr_query(dir, DEFAULT_ACL) {
        Ok(len) => len > 0,
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => false,
        // If this is unknown, assuming an ACL costs one more call per entry; assuming none could
        // cost a wrong mode.
        Err(_) => true,
    }
}

/// Reads an ACL of an open directory; `None` if it has none, or the filesystem does not support
/// ACLs.
pub(super) fn acl(dir: &OwnedFd, which: AclKind) -> rustix::io::Result<Option<Acl>> {
    let mut bytes = vec![0; ACL_BYTES_MAX];
    match rustix::fs::fgetxattr(dir, which.name(), &mut *bytes) {
        Ok(len) => {
            bytes.truncate(len);
            Ok(Acl::new(bytes))
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sets or removes an ACL of an open directory.
pub(super) fn set_acl(dir: &OwnedFd, which: AclKind, acl: Option<&Acl>) -> rustix::io::Result<()> {
    if let Some(acl) = acl {
        return rustix::fs::fsetxattr(dir, which.name(), acl.bytes(), XattrFlags::empty());
    }
    match rustix::fs::fremovexattr(dir, which.name()) {
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        told => told,
    }
}

impl AclKind {
    fn name(self) -> &'static str {
        match self {
            Self::Own => OWN_ACL,
            Self::Default => DEFAULT_ACL,
        }
    }
}

pub(super) fn meta_at(dir: &OwnedFd, name: &OsStr) -> rustix::io::Result<Meta> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    one_of_two(
        &HAS_STATX,
        || statx(dir, name, flags),
        || rustix::fs::statat(dir, name, flags).map(|stat| meta(&stat, None)),
    )
}

pub(super) fn meta_of(fd: impl AsFd) -> rustix::io::Result<Meta> {
    let fd = fd.as_fd();
    one_of_two(
        &HAS_STATX,
        || statx(fd, OsStr::new(""), AtFlags::EMPTY_PATH),
        || rustix::fs::fstat(fd).map(|stat| meta(&stat, None)),
    )
}

/// Whether the kernel has `statx`, as the first call showed.
static HAS_STATX: OnceLock<bool> = OnceLock::new();

/// Calls `statx`, or the older call on a kernel without it, but the same one for all objects.
///
/// Only `statx` reports birth times. With both calls in use, an object whose birth time was just
/// reported would look like another object.
fn one_of_two<T>(
    has_statx: &OnceLock<bool>,
    statx: impl FnOnce() -> rustix::io::Result<T>,
    older: impl FnOnce() -> rustix::io::Result<T>,
) -> rustix::io::Result<T> {
    if has_statx.get() == Some(&false) {
        return older();
    }
    let told = statx();
    let is_there = !matches!(told, Err(Errno::NOSYS));
    if *has_statx.get_or_init(|| is_there) {
        told
    } else {
        older()
    }
}

fn statx(fd: impl AsFd, name: &OsStr, flags: AtFlags) -> rustix::io::Result<Meta> {
    let mask = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    let stat = rustix::fs::statx(fd, name, flags, mask)?;
    let knows_birth = stat.stx_mask & StatxFlags::BTIME.bits() != 0;
    let born = stat.stx_btime;
    Ok(Meta {
        kind: kind(stat.stx_mode.into()),
        mode: u32::from(stat.stx_mode) & 0o7777,
        len: stat.stx_size,
        mtime: Time {
            seconds: stat.stx_mtime.tv_sec,
            nanos: stat.stx_mtime.tv_nsec,
        },
        ctime: Time {
            seconds: stat.stx_ctime.tv_sec,
            nanos: stat.stx_ctime.tv_nsec,
        },
        owner: stat.stx_uid,
        group: stat.stx_gid,
        links: stat.stx_nlink.into(),
        identity: Identity {
            inode: stat.stx_ino,
            birth: birth(born.tv_sec, born.tv_nsec).filter(|_| knows_birth),
        },
    })
}

pub(super) fn layers(dir: &OwnedFd) -> Layers {
    match rustix::fs::fstatfs(dir) {
        Ok(found) if number::<_, u64>(found.f_type) == OVERLAYFS => Layers::Overlay,
        Ok(_) | Err(_) => Layers::Plain,
    }
}

/// A directory without its own read bit can be opened with `O_PATH` only; its mode is set through
/// its path in `/proc`.
pub(super) fn set_mode(dir: &OwnedFd, name: &OsStr, mode: Mode) -> io::Result<()> {
    set_mode_of(dir, name, OFlags::DIRECTORY, mode)
}

/// As [`set_mode`], for a file, which its owner need not be able to read.
pub(super) fn set_mode_of_file(dir: &OwnedFd, name: &OsStr, mode: Mode) -> io::Result<()> {
    set_mode_of(dir, name, OFlags::empty(), mode)
}

fn set_mode_of(dir: &OwnedFd, name: &OsStr, kind: OFlags, mode: Mode) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC | kind;
    let place = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    let through = format!("/proc/self/fd/{}", place.as_raw_fd());
    rustix::fs::chmod(through, mode).map_err(|error| match error {
        // The entry existed a moment ago, so it is `/proc` that is absent.
        Errno::NOENT => io::ErrorKind::Unsupported.into(),
        other => other.into(),
    })
}

/// Creates a file that shares the blocks of another.
pub(super) fn clone_file(
    file: impl AsFd,
    dir: &OwnedFd,
    name: &OsStr,
    mode: Mode,
) -> io::Result<OwnedFd> {
    let clone = rustix::fs::openat(dir, name, NEW_FILE, mode)?;
    match rustix::fs::ioctl_ficlone(&clone, file) {
        Ok(()) => Ok(clone),
        Err(error) => {
            // The caller falls back to another way of creating the file, which needs the name to be
            // free.
            rustix::fs::unlinkat(dir, name, AtFlags::empty())?;
            Err(match error {
                // The errors of filesystems that cannot share blocks at all, or not between these
                // two files.
                Errno::OPNOTSUPP | Errno::NOTTY | Errno::INVAL | Errno::NOSYS => {
                    io::Error::new(io::ErrorKind::Unsupported, error)
                }
                other => other.into(),
            })
        }
    }
}

/// A random id that the kernel chooses at boot.
pub(super) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| "unknown".to_owned(), |id| id.trim().to_owned())
}

/// The holder of a lock on an open file, from the kernel's list of locks: `process 12 (bash)`.
///
/// It finds nothing on a filesystem whose `stat` reports another device than the kernel's list
/// (btrfs), and nothing about a process in another PID namespace.
pub(super) fn lock_holder(file: &impl AsFd) -> Option<String> {
    let found = rustix::fs::fstat(file).ok()?;
    let (major, minor) = (
        rustix::fs::major(found.st_dev),
        rustix::fs::minor(found.st_dev),
    );
    let object = format!("{major:02x}:{minor:02x}:{}", found.st_ino);
    let table = std::fs::read_to_string("/proc/locks").ok()?;
    let holder = table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields.as_slice() {
            // The line of a waiting process has an arrow in place of the lock's kind, so it does
            // not match.
            [_, "FLOCK", _, _, pid, of, ..] if *of == object => pid.parse::<u32>().ok(),
            _ => None,
        }
    })?;
    let command = std::fs::read(format!("/proc/{holder}/comm")).unwrap_or_default();
    let command = String::from_utf8_lossy(&command)
        .trim()
        .escape_debug()
        .to_string();
    Some(if command.is_empty() {
        format!("process {holder}")
    } else {
        format!("process {holder} ({command})")
    })
}

pub(super) fn mounts_under(dir: &OwnedFd) -> Vec<PathBuf> {
    let link = format!("/proc/self/fd/{}", dir.as_raw_fd());
    // The current path of the directory, with all links resolved; without it no mount can be
    // matched.
    let Ok(below) = std::fs::read_link(link) else {
        return Vec::new();
    };
    let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    table
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(|field| PathBuf::from(OsString::from_vec(unescape(field))))
        .filter(|mount| mount.starts_with(&below))
        .collect()
}

/// Decodes spaces, newlines and backslashes, which the kernel writes as `\` and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, after @ ..] = rest {
        rest = after;
        if let (
            b'\\',
            [
                a @ b'0'..=b'3',
                b @ b'0'..=b'7',
                c @ b'0'..=b'7',
                after @ ..,
            ],
        ) = (first, after)
        {
            bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
            rest = after;
        } else {
            bytes.push(*first);
        }
    }
    bytes
}

/// The umask from `/proc/self/status` (since Linux 4.7); the system call for it would change it.
fn umask(status: &str) -> Option<u32> {
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(value.trim(), 8).ok()
}

/// Major and minor version of a kernel release such as `6.1.0-13-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?.parse().ok()?;
    Some((major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_release_is_ordered_by_its_numbers() {
        assert_eq!(version("6.1.0-13-amd64"), Some((6, 1)));
        assert_eq!(version("5.10+"), Some((5, 10)));
        assert!(version("5.10.0") >= Some(SYNCFS_REPORTS));
        assert!(version("5.7.19") < Some(SYNCFS_REPORTS));
        assert_eq!(version("rolling"), None);
        assert_eq!(version("6"), None);
    }

    #[test]
    fn one_run_asks_one_of_two_calls_for_all_objects() {
        let older = || Ok("older");
        let missing = || Err(Errno::NOSYS);
        let new_kernel = OnceLock::new();
        let told = one_of_two(&new_kernel, || Ok("statx"), older);
        assert_eq!(told, Ok("statx"));
        assert_eq!(one_of_two(&new_kernel, missing, older), Err(Errno::NOSYS));
        let old_kernel = OnceLock::new();
        assert_eq!(one_of_two(&old_kernel, missing, older), Ok("older"));
        let told = one_of_two(&old_kernel, || Ok("statx"), older);
        assert_eq!(told, Ok("older"));
    }

    #[test]
    fn the_umask_is_read_in_octal() {
        assert_eq!(umask("Name:\tx\nUmask:\t0027\nState:\tR\n"), Some(0o27));
        assert_eq!(umask("Name:\tx\n"), None);
        assert_eq!(umask("Umask:\t9\n"), None);
    }

    #[test]
    fn escapes_of_the_mount_table_are_undone() {
        assert_eq!(unescape(br"/mnt/a\040b\134c\011"), b"/mnt/a b\\c\t");
        assert_eq!(unescape(br"/plain\x\04"), br"/plain\x\04");
        assert_eq!(unescape(br"\777"), br"\777");
        assert_eq!(unescape(b""), b"");
    }
}
