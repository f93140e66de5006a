//! What a refusal of the filesystem means: another call, smaller steps, a smaller plan, or failure.
//!
//! The engine asks these questions and does not compare error kinds itself, except for whether
//! something exists (`NotFound`, `AlreadyExists`). A filesystem that reports a refusal differently
//! gets its row here.
//!
//! | the system reports | `ErrorKind` | before the steps | for a step |
//! |---|---|---|---|
//! | `ENOSYS`, `EOPNOTSUPP` | `Unsupported` | another call | another call, then smaller steps |
//! | `EINVAL` (older kernels and FUSE, for rename flags) | `InvalidInput` | the same | the same |
//! | `EXDEV` | `CrossesDevices` | another call | smaller steps |
//! | `EPERM`, `EACCES` | `PermissionDenied` | another call (not for a reflink) | smaller steps |
//! | `EBUSY` (a mount point; its contents can move) | `ResourceBusy` | failure | smaller steps |
//! | `EROFS` (for a lock file, as `EACCES`) | `ReadOnlyFilesystem` | no lock file | failure |
//! | `EMLINK` | `TooManyLinks` | a copy of this one file | failure |
//! | `ENOSPC`, `EDQUOT` | `StorageFull`, `QuotaExceeded` | failure, with the shortage | failure |
//!
//! Without a lock file, the lock on the target itself must be enough (`place/lock.rs`).
//!
//! Before the steps, another call is: where two scratch names cannot be exchanged
//! (`fs/exchange.rs`), a take and a put instead of each exchange; instead of a reflink or a link, a
//! copy (`staging/build.rs`).
//! For a step, another call is: instead of a rename that must not replace, a link and an unlink, or
//! a check and a plain rename (`steps/renames.rs`). Smaller steps: the step fails, the steps before
//! it are taken back, and the caller may publish the plan again, entry by entry or file by file
//! (`transaction/failures.rs`).
//!
//! Read next: `fs/exchange.rs`, `steps/renames.rs`, `staging/build.rs`, `transaction/failures.rs`,
//! which use this.

use std::io::ErrorKind;

use crate::fs::FsError;

/// Which limit a write exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    Disk,
    Quota,
}

impl FsError {
    /// Whether the filesystem has no rename of this kind.
    pub(crate) fn is_no_such_rename(&self) -> bool {
        matches!(
            self.kind(),
            ErrorKind::InvalidInput | ErrorKind::Unsupported
        )
    }

    /// Whether two names cannot be exchanged here, although each object may be renamed: the
    /// filesystem has no exchange, or a filter of system calls (seccomp) denies it.
    pub(crate) fn is_no_exchange(&self) -> bool {
        self.is_unsupported_here() || self.is_forbidden()
    }

    /// Whether blocks cannot be shared between these two places, for this file or any other.
    pub(crate) fn is_no_reflink_here(&self) -> bool {
        self.is_unsupported_here()
    }

    /// Whether the filesystem has no such call, or not between these two places.
    fn is_unsupported_here(&self) -> bool {
        self.is_no_such_rename() || self.kind() == ErrorKind::CrossesDevices
    }

    /// Whether no link can be made between these two places, for this file or any other.
    pub(crate) fn is_no_link_here(&self) -> bool {
        self.is_unsupported_here() || self.is_forbidden()
    }

    /// Whether only this file cannot get another name.
    pub(crate) fn is_out_of_links(&self) -> bool {
        self.kind() == ErrorKind::TooManyLinks
    }

    /// Whether the filesystem has no symbolic links.
    pub(crate) fn is_no_symlinks(&self) -> bool {
        self.kind() == ErrorKind::Unsupported
    }

    /// Whether this user does not have permission.
    pub(crate) fn is_forbidden(&self) -> bool {
        self.kind() == ErrorKind::PermissionDenied
    }

    /// Whether the permission bits cannot be changed: the object belongs to another user, or the
    /// filesystem has no such bits.
    pub(crate) fn is_no_mode_change(&self) -> bool {
        self.is_forbidden() || self.kind() == ErrorKind::Unsupported
    }

    /// Whether this user cannot create anything in this directory.
    pub(crate) fn is_closed_to_writes(&self) -> bool {
        self.is_forbidden() || self.kind() == ErrorKind::ReadOnlyFilesystem
    }

    /// Whether smaller steps may succeed where this one was refused: a directory cannot be renamed,
    /// but its contents may be.
    pub(crate) fn may_pass_by_smaller_steps(&self) -> bool {
        self.is_no_link_here() || self.kind() == ErrorKind::ResourceBusy
    }

    /// The limit that was exceeded, if one was.
    pub(crate) fn full(&self) -> Option<Full> {
        let kind = self.kind();
        let is_full = kind == ErrorKind::StorageFull;
        let is_quota = kind == ErrorKind::QuotaExceeded;
        match (is_full, is_quota) {
            (_, true) => Some(Full::Quota),
            (true, false) => Some(Full::Disk),
            (false, false) => None,
        }
    }

    /// Whether another object has the name that a directory should get.
    pub(crate) fn is_name_occupied(&self) -> bool {
        matches!(
            self.kind(),
            ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory
        )
    }

    /// Whether there is no object of the expected form: none at all, or one of another kind.
    pub(crate) fn is_no_such_file(&self) -> bool {
        matches!(
            self.kind(),
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidInput
        )
    }

    /// Whether there is no such file that can be trusted: as above, or it belongs to another user,
    /// or it is longer than what was written.
    pub(crate) fn is_no_trusted_file(&self) -> bool {
        self.is_no_such_file() || self.is_forbidden() || self.kind() == ErrorKind::FileTooLarge
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: ErrorKind) -> FsError {
        FsError {
            verb: "rename",
            name: "a".to_owned(),
            source: kind.into(),
        }
    }

    /// The codes of the table, as the standard library reads them.
    #[cfg(unix)]
    #[test]
    fn every_error_code_of_the_table_has_its_kind() {
        use rustix::io::Errno;
        let table = [
            (Errno::NOSYS, ErrorKind::Unsupported),
            (Errno::OPNOTSUPP, ErrorKind::Unsupported),
            (Errno::INVAL, ErrorKind::InvalidInput),
            (Errno::XDEV, ErrorKind::CrossesDevices),
            (Errno::PERM, ErrorKind::PermissionDenied),
            (Errno::ACCESS, ErrorKind::PermissionDenied),
            (Errno::BUSY, ErrorKind::ResourceBusy),
            (Errno::ROFS, ErrorKind::ReadOnlyFilesystem),
            (Errno::MLINK, ErrorKind::TooManyLinks),
            (Errno::NOSPC, ErrorKind::StorageFull),
            (Errno::DQUOT, ErrorKind::QuotaExceeded),
        ];
        for (code, kind) in table {
            let found = std::io::Error::from_raw_os_error(code.raw_os_error());
            assert_eq!(found.kind(), kind, "{code:?}");
        }
    }

    #[test]
    fn a_mount_point_is_passed_by_smaller_steps_and_not_by_another_rename() {
        let busy = error(ErrorKind::ResourceBusy);
        assert!(busy.may_pass_by_smaller_steps());
        assert!(!busy.is_no_such_rename());
        assert!(!busy.is_no_link_here());
    }

    #[test]
    fn a_busy_or_full_disk_is_no_disk_without_an_exchange() {
        for kind in [
            ErrorKind::ResourceBusy,
            ErrorKind::StorageFull,
            ErrorKind::Other,
        ] {
            assert!(!error(kind).is_no_exchange(), "{kind:?}");
        }
        for kind in [
            ErrorKind::InvalidInput,
            ErrorKind::Unsupported,
            ErrorKind::PermissionDenied,
        ] {
            assert!(error(kind).is_no_exchange(), "{kind:?}");
        }
    }

    #[test]
    fn a_full_disk_is_passed_by_nothing() {
        for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded] {
            let full = error(kind);
            assert!(full.full().is_some());
            assert!(!full.may_pass_by_smaller_steps());
            assert!(!full.is_no_link_here());
        }
    }

    #[test]
    fn one_file_with_too_many_names_forbids_no_other_link() {
        let error = error(ErrorKind::TooManyLinks);
        assert!(error.is_out_of_links());
        assert!(!error.is_no_link_here());
    }
}
