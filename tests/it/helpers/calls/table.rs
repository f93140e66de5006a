//! The system calls that change files, and where the arguments of each name the file.

use std::ffi::c_long;

use libc::{
    SYS_chmod, SYS_chown, SYS_copy_file_range, SYS_creat, SYS_fallocate, SYS_fchmod, SYS_fchmodat,
    SYS_fchmodat2, SYS_fchown, SYS_fchownat, SYS_fdatasync, SYS_flock, SYS_fremovexattr,
    SYS_fsetxattr, SYS_fsync, SYS_ftruncate, SYS_futimesat, SYS_getdents64, SYS_ioctl, SYS_lchown,
    SYS_link, SYS_linkat, SYS_lremovexattr, SYS_lsetxattr, SYS_mkdir, SYS_mkdirat, SYS_mknod,
    SYS_mknodat, SYS_newfstatat, SYS_open, SYS_openat, SYS_openat2, SYS_pread64, SYS_pwrite64,
    SYS_pwritev, SYS_pwritev2, SYS_read, SYS_readlinkat, SYS_removexattr, SYS_rename, SYS_renameat,
    SYS_renameat2, SYS_rmdir, SYS_sendfile, SYS_setxattr, SYS_statx, SYS_symlink, SYS_symlinkat,
    SYS_sync_file_range, SYS_syncfs, SYS_truncate, SYS_unlink, SYS_unlinkat, SYS_utime,
    SYS_utimensat, SYS_utimes, SYS_write, SYS_writev,
};

/// Where the arguments of a call name its file; numbers count the arguments from 0.
#[derive(Clone, Copy, Debug)]
pub(super) enum PathArgument {
    /// A path relative to the working directory.
    Path(usize),
    /// An open directory, and a path relative to it.
    At(usize, usize),
    /// An open file.
    Open(usize),
}

/// When a call changes a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changes {
    Always,
    /// The flags in this argument decide.
    ByFlags(usize),
    /// The flags at the address in this argument decide.
    ByFlagsAt(usize),
    /// It shares blocks of files.
    ByClone,
    Never,
}

/// A call by its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) number: c_long,
    pub(super) name: &'static str,
    pub(super) place: PathArgument,
    pub(super) changes: Changes,
}

const fn always(number: c_long, name: &'static str, place: PathArgument) -> Row {
    let changes = Changes::Always;
    Row {
        number,
        name,
        place,
        changes,
    }
}

const fn opens(number: c_long, name: &'static str, place: PathArgument, changes: Changes) -> Row {
    Row {
        number,
        name,
        place,
        changes,
    }
}

const fn never(number: c_long, name: &'static str, place: PathArgument) -> Row {
    let changes = Changes::Never;
    Row {
        number,
        name,
        place,
        changes,
    }
}

use PathArgument::{At, Open, Path};

/// Every call that can change a file or its name, and those that open, read and lock files.
pub(super) const TABLE: [Row; 58] = [
    opens(SYS_open, "open", Path(0), Changes::ByFlags(1)),
    opens(SYS_openat, "openat", At(0, 1), Changes::ByFlags(2)),
    opens(SYS_openat2, "openat2", At(0, 1), Changes::ByFlagsAt(2)),
    opens(SYS_ioctl, "ioctl", Open(0), Changes::ByClone),
    always(SYS_creat, "creat", Path(0)),
    always(SYS_write, "write", Open(0)),
    always(SYS_writev, "writev", Open(0)),
    always(SYS_pwrite64, "pwrite64", Open(0)),
    always(SYS_pwritev, "pwritev", Open(0)),
    always(SYS_pwritev2, "pwritev2", Open(0)),
    always(SYS_sendfile, "sendfile", Open(0)),
    always(SYS_copy_file_range, "copy_file_range", Open(2)),
    always(SYS_truncate, "truncate", Path(0)),
    always(SYS_ftruncate, "ftruncate", Open(0)),
    always(SYS_fallocate, "fallocate", Open(0)),
    always(SYS_mkdir, "mkdir", Path(0)),
    always(SYS_mkdirat, "mkdirat", At(0, 1)),
    always(SYS_mknod, "mknod", Path(0)),
    always(SYS_mknodat, "mknodat", At(0, 1)),
    always(SYS_link, "link", Path(1)),
    always(SYS_linkat, "linkat", At(2, 3)),
    always(SYS_symlink, "symlink", Path(1)),
    always(SYS_symlinkat, "symlinkat", At(1, 2)),
    always(SYS_rename, "rename", Path(1)),
    always(SYS_renameat, "renameat", At(2, 3)),
    always(SYS_renameat2, "renameat2", At(2, 3)),
    always(SYS_unlink, "unlink", Path(0)),
    always(SYS_unlinkat, "unlinkat", At(0, 1)),
    always(SYS_rmdir, "rmdir", Path(0)),
    always(SYS_chmod, "chmod", Path(0)),
    always(SYS_fchmod, "fchmod", Open(0)),
    always(SYS_fchmodat, "fchmodat", At(0, 1)),
    always(SYS_fchmodat2, "fchmodat2", At(0, 1)),
    always(SYS_chown, "chown", Path(0)),
    always(SYS_lchown, "lchown", Path(0)),
    always(SYS_fchown, "fchown", Open(0)),
    always(SYS_fchownat, "fchownat", At(0, 1)),
    always(SYS_utime, "utime", Path(0)),
    always(SYS_utimes, "utimes", Path(0)),
    always(SYS_futimesat, "futimesat", At(0, 1)),
    always(SYS_utimensat, "utimensat", At(0, 1)),
    always(SYS_setxattr, "setxattr", Path(0)),
    always(SYS_lsetxattr, "lsetxattr", Path(0)),
    always(SYS_fsetxattr, "fsetxattr", Open(0)),
    always(SYS_removexattr, "removexattr", Path(0)),
    always(SYS_lremovexattr, "lremovexattr", Path(0)),
    always(SYS_fremovexattr, "fremovexattr", Open(0)),
    always(SYS_fsync, "fsync", Open(0)),
    always(SYS_fdatasync, "fdatasync", Open(0)),
    always(SYS_syncfs, "syncfs", Open(0)),
    always(SYS_sync_file_range, "sync_file_range", Open(0)),
    never(SYS_read, "read", Open(0)),
    never(SYS_pread64, "pread64", Open(0)),
    never(SYS_getdents64, "getdents64", Open(0)),
    never(SYS_statx, "statx", At(0, 1)),
    never(SYS_newfstatat, "newfstatat", At(0, 1)),
    never(SYS_readlinkat, "readlinkat", At(0, 1)),
    never(SYS_flock, "flock", Open(0)),
];
