//! The result of `stat` as the engine's [`Meta`]: the same on every Unix.
//!
//! Promises that a birth time which the filesystem does not know is reported as unknown, never as
//! zero.
//! Read next: `linux.rs`, `apple.rs`, `posix.rs`, which query each system in its own way.

use rustix::fs::{FileType, RawMode, Stat};

use crate::base::identity::{Birth, Identity};
use crate::fs::{Kind, Meta, Time};

pub(super) fn kind(mode: RawMode) -> Kind {
    listed_kind(FileType::from_raw_mode(mode)).unwrap_or(Kind::Other)
}

/// The kind that a listing gives an entry; `None` where the filesystem does not say it.
pub(super) fn listed_kind(listed: FileType) -> Option<Kind> {
    Some(match listed {
        FileType::Directory => Kind::Dir,
        FileType::RegularFile => Kind::File,
        FileType::Symlink => Kind::Symlink,
        FileType::Fifo | FileType::Socket | FileType::CharacterDevice | FileType::BlockDevice => {
            Kind::Other
        }
        FileType::Unknown => return None,
    })
}

/// Converts the result of `stat`, and a birth time, which each system reports in another field or
/// not at all.
pub(super) fn meta(stat: &Stat, birth: Option<Birth>) -> Meta {
    Meta {
        kind: kind(stat.st_mode),
        mode: number::<_, u32>(stat.st_mode) & 0o7777,
        len: number(stat.st_size),
        mtime: Time {
            seconds: number(stat.st_mtime),
            nanos: number(stat.st_mtime_nsec),
        },
        ctime: Time {
            seconds: number(stat.st_ctime),
            nanos: number(stat.st_ctime_nsec),
        },
        owner: stat.st_uid,
        group: stat.st_gid,
        links: number(stat.st_nlink),
        identity: Identity {
            inode: number(stat.st_ino),
            birth,
        },
    }
}

/// A birth time; `None` for zero, which filesystems report for an inode older than their record of
/// birth times.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub(super) fn birth(seconds: i64, nanos: u32) -> Option<Birth> {
    ((seconds, nanos) != (0, 0)).then_some(Birth { seconds, nanos })
}

/// Converts a field of `stat`. Its width and sign differ between systems, but every real value
/// fits.
pub(super) fn number<A, B: TryFrom<A> + Default>(value: A) -> B {
    B::try_from(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    #[test]
    fn a_birth_at_zero_is_no_knowledge_of_it() {
        assert_eq!(birth(0, 0), None);
        let (seconds, nanos) = (0, 1);
        assert_eq!(birth(0, 1), Some(Birth { seconds, nanos }));
    }
}
