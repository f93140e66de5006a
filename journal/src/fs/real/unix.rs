//! The disk on Unix: system calls relative to a directory's descriptor.
//!
//! Promises that no call follows a symbolic link in its last component, which is the only one; that
//! no call blocks on a FIFO; that every descriptor closes on exec; and that new objects have
//! exactly the requested permission bits. Where the umask or a default ACL would change them, they
//! are set again. The umask is read once, by [`RealFs::new`]. What a directory hands down is read
//! once each time that it is opened, and again after this disk changes it. A process that changes
//! them in another way needs a new [`RealFs`].
//!
//! On disk after a failure: a failed [`write_file`](Fs::write_file) may leave a part of the file; a
//! failed [`reflink`](Fs::reflink) leaves nothing.
//! Read next: `unix/linux.rs`, `unix/apple.rs`, `unix/posix.rs`: what differs between systems.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use super::call::{self, Call};
use super::content;
use crate::base::digest::Digest;
use crate::fs::{
    Acl, Barrier, Dir, Flush, Fs, FsError, Held, Kind, Layers, Lock, Meta, NameInDir, NewFile,
    Rename, Room, Sharing,
};

mod acl;
#[cfg(target_vendor = "apple")]
mod apple;
mod calls;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux;
mod opened;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod plain;
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
mod posix;
mod sharing;
mod stat;

use acl::AclKind;
#[cfg(target_vendor = "apple")]
use apple as system;
use calls::{DIRECTORY, NEW_FILE, PASSIVE, list, list_kinds, not_empty};
#[cfg(any(target_os = "linux", target_os = "android"))]
use linux as system;
use opened::OpenDir;
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
use posix as system;

/// Length of the random part of [`Fs::make_unique_dir`]: 71 bits, so that no two transactions get
/// the same name.
const RANDOM_LEN: usize = 12;

/// The operating system's disk.
#[derive(Clone, Debug)]
pub struct RealFs {
    host: system::Host,
}

type On<'a> = Call<'a, OpenDir>;

impl RealFs {
    /// The disk of this process, with its current umask.
    #[must_use]
    pub fn new() -> Self {
        Self {
            host: system::Host::read(),
        }
    }

    /// Whether the system creates an entry with exactly this mode, without a second call.
    fn makes_exactly(&self, dir: &OpenDir, mode: u32) -> bool {
        let umask_keeps = self.host.umask().is_some_and(|umask| umask & mode == 0);
        umask_keeps
            // Some systems clear these bits when they create an object, or when an unprivileged
            // user writes to it.
            && mode & 0o7000 == 0
            && !dir.has_default_acl()
    }

    fn make_dir_in(&self, dir: &OpenDir, name: &OsStr, mode: u32) -> io::Result<()> {
        if self.makes_exactly(dir, mode) {
            return Ok(rustix::fs::mkdirat(&dir.fd, name, permissions(mode))?);
        }
        // No call sets the mode of a name without following links. So create the directory so that
        // it can be opened, then set the mode of the open directory.
        rustix::fs::mkdirat(&dir.fd, name, permissions(mode) | Mode::RWXU)?;
        let fd = rustix::fs::openat(&dir.fd, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
        sharing::set_bits(&fd, mode)
    }

    fn create_file(
        &self,
        at: NameInDir<'_>,
        new: &NewFile<'_>,
        rest: Option<&mut dyn io::Read>,
    ) -> Result<(), FsError> {
        let call = On::entry("write", at.dir, at.name)?;
        let fill = |fd| {
            let mut file = File::from(fd);
            file.write_all(new.bytes)?;
            rest.map_or(Ok(()), |rest| content::copy(rest, &mut file))?;
            self.finish(call.on, &file, new.mode, new.mtime)?;
            match new.flush {
                Flush::Later => Ok(()),
                // Not `fdatasync`, which may omit mode and time. The inode is new, so it is written
                // as a whole anyway.
                Flush::Now => system::sync(&file),
            }
        };
        rustix::fs::openat(&call.on.fd, at.name, NEW_FILE, permissions(new.mode))
            .map_err(io::Error::from)
            .and_then(fill)
            .map_err(|error| call.failed(error))
    }

    /// Sets the mode before the time, so that nothing changes the time afterwards.
    fn finish(&self, dir: &OpenDir, file: &File, mode: u32, mtime: Option<i64>) -> io::Result<()> {
        if !self.makes_exactly(dir, mode) {
            rustix::fs::fchmod(file, permissions(mode))?;
        }
        if let Some(seconds) = mtime {
            rustix::fs::futimens(file, &mtime_only(seconds))?;
        }
        Ok(())
    }
}

impl Default for RealFs {
    fn default() -> Self {
        Self::new()
    }
}

impl Fs for RealFs {
    fn open_path(&self, path: &Path) -> Result<Dir, FsError> {
        let fd = rustix::fs::open(path, DIRECTORY, Mode::empty())
            .map_err(|error| call::failed("open directory", path.as_os_str(), error))?;
        Ok(opened(fd, path.as_os_str()))
    }

    fn open_dir(&self, at: &Dir, name: &OsStr) -> Result<Dir, FsError> {
        let call = On::entry("open directory", at, name)?;
        let flags = DIRECTORY | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(&call.on.fd, name, flags, Mode::empty()).map_err(|error| {
            // For a link Linux reports "not a directory"; other systems report that they do not
            // follow it.
            call.failed(if is_link(error) { Errno::NOTDIR } else { error })
        })?;
        Ok(opened(fd, name))
    }

    fn make_dir(&self, at: &Dir, name: &OsStr, mode: u32) -> Result<(), FsError> {
        let call = On::entry("make directory", at, name)?;
        self.make_dir_in(call.on, name, mode)
            .map_err(|error| call.failed(error))
    }

    fn make_plain_dir(&self, at: &Dir, name: &OsStr) -> Result<(), FsError> {
        let call = On::entry("make directory", at, name)?;
        rustix::fs::mkdirat(&call.on.fd, name, Mode::RWXU | Mode::RWXG | Mode::RWXO)
            .map_err(|error| call.failed(error))
    }

    fn make_unique_dir(&self, at: &Dir, prefix: &str) -> Result<OsString, FsError> {
        const VERB: &str = "make directory";
        call::check_prefix(VERB, prefix)?;
        let call = On::dir(VERB, at)?;
        let last = |path: &Path| path.file_name().map(OsStr::to_owned).unwrap_or_default();
        // tempfile only chooses the names. A path from the root keeps it from reading the working
        // directory, and `disable_cleanup` keeps it from removing anything at that path.
        tempfile::Builder::new()
            .prefix(prefix)
            .rand_bytes(RANDOM_LEN)
            .disable_cleanup(true)
            .make_in("/", |path| self.make_dir_in(call.on, &last(path), 0o700))
            .map(|made| last(made.path()))
            .map_err(|error| call::failed(VERB, OsStr::new(prefix), error))
    }

    fn write_file(&self, at: &Dir, name: &OsStr, file: &NewFile<'_>) -> Result<(), FsError> {
        self.create_file(at.at(name), file, None)
    }

    fn write_from(
        &self,
        at: &Dir,
        name: &OsStr,
        file: &NewFile<'_>,
        rest: &mut dyn io::Read,
    ) -> Result<(), FsError> {
        self.create_file(at.at(name), file, Some(rest))
    }

    fn make_symlink(&self, at: &Dir, name: &OsStr, target: &OsStr) -> Result<(), FsError> {
        let call = On::entry("make symbolic link", at, name)?;
        // `EPERM` from this call means that the filesystem has no symbolic links; other systems
        // report that directly.
        let plainly = |error| match error {
            Errno::PERM => Errno::OPNOTSUPP,
            other => other,
        };
        rustix::fs::symlinkat(target, &call.on.fd, name)
            .map_err(|error| call.failed(plainly(error)))
    }

    fn link(&self, from: NameInDir<'_>, to: NameInDir<'_>) -> Result<(), FsError> {
        let source = On::entry("link", from.dir, from.name)?;
        let target = On::entry("link", to.dir, to.name)?;
        let (old, new) = (&source.on.fd, &target.on.fd);
        rustix::fs::linkat(old, source.name, new, target.name, AtFlags::empty())
            .map_err(|error| target.failed(error))
    }

    fn reflink(
        &self,
        from: NameInDir<'_>,
        to: NameInDir<'_>,
        mode: u32,
        mtime: Option<i64>,
    ) -> Result<(), FsError> {
        let source = On::entry("clone", from.dir, from.name)?;
        let target = On::entry("clone", to.dir, to.name)?;
        let file = open_to_read(&source)
            .and_then(content::regular)
            .map_err(|error| source.failed(error))?;
        let clone = system::clone_file(&file, &target.on.fd, target.name, permissions(mode))
            .map_err(|error| target.failed(error))?;
        self.finish(target.on, &clone.into(), mode, mtime)
            .map_err(|error| {
                // The caller falls back to copying, which needs the name to be free. The first
                // error explains more than an error of the removal would.
                let _ = rustix::fs::unlinkat(&target.on.fd, target.name, AtFlags::empty());
                target.failed(error)
            })
    }

    fn read_file(&self, at: &Dir, name: &OsStr, len_max: u64) -> Result<Vec<u8>, FsError> {
        let call = On::entry("read", at, name)?;
        open_to_read(&call)
            .and_then(|file| content::read_bounded(file, len_max))
            .map_err(|error| call.failed(error))
    }

    fn open_file(
        &self,
        at: &Dir,
        name: &OsStr,
        len_max: u64,
    ) -> Result<Box<dyn io::Read>, FsError> {
        let call = On::entry("read", at, name)?;
        open_to_read(&call)
            .and_then(|file| content::bounded(file, len_max))
            .map_err(|error| call.failed(error))
    }

    fn digest_file(&self, at: &Dir, name: &OsStr) -> Result<Digest, FsError> {
        let call = On::entry("read", at, name)?;
        open_to_read(&call)
            .and_then(content::digest)
            .map_err(|error| call.failed(error))
    }

    fn read_link(&self, at: &Dir, name: &OsStr) -> Result<OsString, FsError> {
        let call = On::entry("read symbolic link", at, name)?;
        rustix::fs::readlinkat(&call.on.fd, name, Vec::new())
            .map(|target| OsString::from_vec(target.into_bytes()))
            .map_err(|error| call.failed(error))
    }

    fn meta(&self, at: &Dir, name: &OsStr) -> Result<Option<Meta>, FsError> {
        let call = On::entry("look at", at, name)?;
        match system::meta_at(&call.on.fd, name) {
            Ok(meta) => Ok(Some(meta)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(call.failed(error)),
        }
    }

    fn meta_of(&self, dir: &Dir) -> Result<Meta, FsError> {
        let call = On::dir("look at", dir)?;
        system::meta_of(&call.on.fd).map_err(|error| call.failed(error))
    }

    fn list(&self, dir: &Dir) -> Result<Vec<OsString>, FsError> {
        let call = On::dir("list", dir)?;
        list(&call.on.fd, &|_| true).map_err(|error| call.failed(error))
    }

    fn list_wanted(
        &self,
        dir: &Dir,
        wanted: &dyn Fn(&OsStr) -> bool,
    ) -> Result<Vec<OsString>, FsError> {
        let call = On::dir("list", dir)?;
        list(&call.on.fd, wanted).map_err(|error| call.failed(error))
    }

    fn list_kinds(
        &self,
        dir: &Dir,
        wanted: &dyn Fn(&OsStr) -> bool,
    ) -> Result<Vec<(OsString, Kind)>, FsError> {
        let call = On::dir("list", dir)?;
        let look = |name: &OsStr| system::meta_at(&call.on.fd, name);
        list_kinds(&call.on.fd, wanted, &look).map_err(|error| call.failed(error))
    }

    fn set_mode_of(&self, dir: &Dir, mode: u32) -> Result<(), FsError> {
        let call = On::dir("set the mode of", dir)?;
        rustix::fs::fchmod(&call.on.fd, permissions(mode)).map_err(|error| call.failed(error))
    }

    fn set_mode(&self, at: &Dir, name: &OsStr, mode: u32) -> Result<(), FsError> {
        let call = On::entry("set the mode of", at, name)?;
        system::set_mode(&call.on.fd, name, permissions(mode)).map_err(|error| call.failed(error))
    }

    fn drop_set_id(&self, at: &Dir, name: &OsStr) -> Result<(), FsError> {
        let call = On::entry("take the set-id bits of", at, name)?;
        let done = system::meta_at(&call.on.fd, name)
            .map_err(io::Error::from)
            .and_then(|meta| match meta.kind {
                Kind::File => {
                    system::set_mode_of_file(&call.on.fd, name, permissions(meta.mode & 0o1777))
                }
                Kind::Dir | Kind::Symlink | Kind::Other => Ok(()),
            });
        done.map_err(|error| call.failed(error))
    }

    fn has_default_acl(&self, dir: &Dir) -> bool {
        On::dir("look at", dir).is_ok_and(|call| call.on.has_default_acl())
    }

    fn sharing(&self, dir: &Dir) -> Result<Sharing, FsError> {
        let call = On::dir("look at", dir)?;
        sharing::of(&call.on.fd).map_err(|error| call.failed(error))
    }

    fn hand_down(&self, dir: &Dir, sharing: &Sharing) -> Result<(), FsError> {
        let call = On::dir("share", dir)?;
        let done = sharing::hand_down(&call.on.fd, sharing);
        call.on.forget_acl();
        done.map_err(|error| call.failed(error))
    }

    fn set_acl_of(&self, dir: &Dir, acl: Option<&Acl>) -> Result<(), FsError> {
        let call = On::dir("set the ACL of", dir)?;
        system::set_acl(&call.on.fd, AclKind::Own, acl).map_err(|error| call.failed(error))
    }

    fn room(&self, dir: &Dir) -> Option<Room> {
        let call = On::dir("look at", dir).ok()?;
        let found = rustix::fs::fstatvfs(&call.on.fd).ok()?;
        Some(Room {
            bytes: found.f_bavail.saturating_mul(found.f_frsize),
            // btrfs and some others report no number of inodes.
            objects: (found.f_files != 0).then_some(found.f_favail),
            block: found.f_frsize,
        })
    }

    fn pin(&self, at: &Dir, name: &OsStr) -> Result<(), FsError> {
        let call = On::entry("copy up", at, name)?;
        match call.on.layers() {
            Layers::Plain => Ok(()),
            Layers::Overlay => copy_up(&call.on.fd, name).map_err(|error| call.failed(error)),
        }
    }

    fn layers(&self, dir: &Dir) -> Layers {
        match On::dir("look at", dir) {
            Ok(call) => call.on.layers(),
            Err(_) => Layers::Plain,
        }
    }

    fn may_write(&self, dir: &Dir) -> bool {
        let asked = Access::WRITE_OK | Access::EXEC_OK;
        // Check as the effective user, who may differ from the user who started the process.
        On::dir("look at", dir).is_ok_and(|call| {
            rustix::fs::accessat(&call.on.fd, ".", asked, AtFlags::EACCESS).is_ok()
        })
    }

    fn rename(&self, from: NameInDir<'_>, to: NameInDir<'_>, how: Rename) -> Result<(), FsError> {
        let source = On::entry("rename", from.dir, from.name)?;
        let target = On::entry("rename to", to.dir, to.name)?;
        let (from, old) = (&source.on.fd, source.name);
        let (to, new) = (&target.on.fd, target.name);
        let done = match how {
            Rename::Replace => rustix::fs::renameat(from, old, to, new).map_err(not_empty),
            Rename::NoReplace => system::rename_to_free_name(from, old, to, new),
            Rename::Exchange => system::exchange(from, old, to, new),
        };
        done.map_err(|error| source.failed(error))
    }

    fn remove_file(&self, at: &Dir, name: &OsStr) -> Result<(), FsError> {
        let call = On::entry("remove", at, name)?;
        rustix::fs::unlinkat(&call.on.fd, name, AtFlags::empty())
            .map_err(|error| call.failed(error))
    }

    fn remove_dir(&self, at: &Dir, name: &OsStr) -> Result<(), FsError> {
        let call = On::entry("remove directory", at, name)?;
        rustix::fs::unlinkat(&call.on.fd, name, AtFlags::REMOVEDIR)
            .map_err(|error| call.failed(not_empty(error)))
    }

    fn sync_file(&self, at: &Dir, name: &OsStr) -> Result<(), FsError> {
        let call = On::entry("sync", at, name)?;
        open_to_read(&call)
            .and_then(content::regular)
            .and_then(|file| system::sync(&file))
            .map_err(|error| call.failed(error))
    }

    fn sync_dir(&self, dir: &Dir) -> Result<(), FsError> {
        let call = On::dir("sync directory", dir)?;
        system::sync(&call.on.fd).map_err(|error| call.failed(error))
    }

    fn sync_filesystem(&self, dir: &Dir) -> Result<Barrier, FsError> {
        let call = On::dir("sync the filesystem of", dir)?;
        self.host
            .sync_filesystem(&call.on.fd)
            .map_err(|error| call.failed(error))
    }

    fn hold_file(&self, at: &Dir, name: &OsStr) -> Result<Held, FsError> {
        let call = On::entry("hold", at, name)?;
        let flags = OFlags::RDWR | OFlags::CREATE | PASSIVE;
        rustix::fs::openat(&call.on.fd, name, flags, permissions(0o600))
            .map_err(regular_expected)
            .and_then(|fd| content::regular(fd.into()))
            .map(|file| call::held(file, name))
            .map_err(|error| call.failed(error))
    }

    fn hold_dir(&self, dir: &Dir) -> Result<Held, FsError> {
        let call = On::dir("hold directory", dir)?;
        // A lock belongs to an open file description, and a duplicate of the descriptor would share
        // it.
        let fd = rustix::fs::openat(&call.on.fd, ".", DIRECTORY, Mode::empty())
            .map_err(|error| call.failed(error))?;
        Ok(call::held(File::from(fd), call.name))
    }

    fn try_lock(&self, held: &Held) -> Result<Lock, FsError> {
        let call = Call::held("lock", held)?;
        match fs4::FileExt::try_lock(call.on) {
            Ok(()) => Ok(Lock::Acquired),
            Err(fs4::TryLockError::WouldBlock) => Ok(Lock::Busy),
            Err(fs4::TryLockError::Error(error)) => match Errno::from_io_error(&error) {
                // On NFS a lock is a byte range, for which a directory cannot be opened, or there
                // is no lock server.
                Some(Errno::BADF | Errno::NOLCK | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    Ok(Lock::Unsupported)
                }
                Some(_) | None => Err(call.failed(error)),
            },
        }
    }

    fn lock_holder(&self, held: &Held) -> Option<String> {
        system::lock_holder(Call::held("look at", held).ok()?.on)
    }

    fn meta_of_held(&self, held: &Held) -> Result<Meta, FsError> {
        let call = Call::held("look at", held)?;
        system::meta_of(call.on).map_err(|error| call.failed(error))
    }

    fn write_held(&self, held: &Held, bytes: &[u8]) -> Result<(), FsError> {
        let call = Call::held("write", held)?;
        // Truncate first: a concurrent reader then sees nothing or a part, but never the end of a
        // longer text. Skip this for a file that is empty or of the same length: ext4 takes a
        // truncation for a replacement, and flushes the text to the disk on close.
        let cut = || match call.on.metadata()?.len() {
            0 => Ok(()),
            len if len == bytes.len() as u64 => Ok(()),
            _ => call.on.set_len(0),
        };
        cut()
            .and_then(|()| call.on.write_all_at(bytes, 0))
            .map_err(|error| call.failed(error))
    }

    fn boot_id(&self) -> String {
        system::boot_id()
    }

    fn threads(&self) -> usize {
        // Two share a filesystem's work per object; more of them wait for its single journal.
        2
    }

    fn share(&self) -> Option<Box<dyn Fs>> {
        Some(Box::new(self.clone()))
    }

    fn user(&self) -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn mounts_under(&self, dir: &Dir) -> Vec<PathBuf> {
        match On::dir("look at", dir) {
            Ok(call) => system::mounts_under(&call.on.fd),
            Err(_) => Vec::new(),
        }
    }

    fn read_path(&self, path: &Path, len_max: u64) -> Result<Vec<u8>, FsError> {
        open_input(path)
            .and_then(|file| content::read_bounded(file, len_max))
            .map_err(|error| call::failed("read", path.as_os_str(), error))
    }

    fn digest_path(&self, path: &Path) -> Result<(Digest, u64), FsError> {
        let digest = |file: File| {
            let len = file.metadata()?.len();
            Ok((content::digest(file)?, len))
        };
        open_input(path)
            .and_then(digest)
            .map_err(|error| call::failed("read", path.as_os_str(), error))
    }
}

/// Opens an input of a plan: links are followed, and a FIFO does not block.
fn open_input(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

fn opened(fd: OwnedFd, name: &OsStr) -> Dir {
    call::dir(OpenDir::new(fd), name)
}

fn permissions(mode: u32) -> Mode {
    Mode::from_raw_mode(stat::number(mode & 0o7777))
}

fn mtime_only(seconds: i64) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: seconds,
            tv_nsec: 0,
        },
    }
}

/// Opens a file for reading that should be a regular one.
fn open_to_read(call: &On<'_>) -> io::Result<File> {
    let flags = OFlags::RDONLY | PASSIVE;
    rustix::fs::openat(&call.on.fd, call.name, flags, Mode::empty())
        .map_err(regular_expected)
        .map(File::from)
}

/// Translates the errors of objects that cannot even be opened: links, sockets, and directories
/// opened for writing.
fn regular_expected(error: Errno) -> io::Error {
    if is_link(error) || matches!(error, Errno::NXIO | Errno::ISDIR) {
        return content::not_regular();
    }
    error.into()
}

/// Whether this is the error for a link that the call was told not to follow.
fn is_link(error: Errno) -> bool {
    matches!(error, Errno::LOOP | Errno::MLINK)
}

/// Makes an overlayfs copy an object to its upper layer, as it does before the object's first
/// change.
fn copy_up(dir: &OwnedFd, name: &OsStr) -> rustix::io::Result<()> {
    // A `chown` without a new owner counts as a change for every kind of object, but it clears the
    // setuid bit and the capabilities of a file. For a file it is enough to open it for writing,
    // which changes nothing.
    if system::meta_at(dir, name)?.kind == Kind::File
        && rustix::fs::openat(dir, name, OFlags::WRONLY | PASSIVE, Mode::empty()).is_ok()
    {
        return Ok(());
    }
    rustix::fs::chownat(dir, name, None, None, AtFlags::SYMLINK_NOFOLLOW)
}
