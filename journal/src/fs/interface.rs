//! The disk as a trait: the only calls that the engine may use.
//!
//! Every call takes an open directory and the name of one entry in it, and follows no symbolic
//! link. So no other process can lead the engine elsewhere by replacing a directory with a link
//! (I6). The only lookup of a whole path to a directory is [`Fs::open_path`], which opens the first
//! one.
//!
//! There are two implementations: `real.rs` is the operating system; `sim.rs` (feature `sim`) is a
//! disk in memory with a volatile and a durable layer. One suite, `tests/it/fs_contract/`, runs on
//! both.

use std::any::Any;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::meta::{Kind, Meta};
use super::sharing::{Acl, Sharing};
use crate::base::digest::Digest;

/// A directory held open by the [`Fs`] that returned it.
#[derive(Clone)]
pub struct Dir(Arc<dyn Any + Send + Sync>);

/// A name in an open directory, whether or not an object has it: where a call works.
#[derive(Clone, Copy, Debug)]
pub struct NameInDir<'a> {
    /// The directory.
    pub dir: &'a Dir,
    /// The name of one entry, without a separator.
    pub name: &'a OsStr,
}

/// A file or directory held open for locking; dropping it releases the lock.
pub struct Held(Box<dyn Any + Send + Sync>);

impl Dir {
    /// Wraps the implementation's handle of an open directory.
    #[must_use]
    pub fn from_handle<T: Any + Send + Sync>(handle: T) -> Self {
        Self(Arc::new(handle))
    }

    /// The implementation's handle, if it has that type.
    #[must_use]
    pub fn handle<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }

    /// A name in this directory.
    #[must_use]
    pub fn at<'a>(&'a self, name: &'a (impl AsRef<OsStr> + ?Sized)) -> NameInDir<'a> {
        let name = name.as_ref();
        NameInDir { dir: self, name }
    }
}

impl Held {
    /// Wraps the implementation's handle of an object held open.
    #[must_use]
    pub fn from_handle<T: Any + Send + Sync>(handle: T) -> Self {
        Self(Box::new(handle))
    }

    /// The implementation's handle, if it has that type.
    #[must_use]
    pub fn handle<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for Dir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dir")
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

/// When the content of a new file reaches the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// At a later barrier, or never.
    Later,
    /// Before the call returns; this does not include the entry in the directory.
    Now,
}

/// A file to write.
#[derive(Clone, Copy, Debug)]
pub struct NewFile<'a> {
    /// Exact permission bits, whatever the umask.
    pub mode: u32,
    /// Modification time in seconds since 1970; `None` keeps the time of writing.
    pub mtime: Option<i64>,
    /// The whole content.
    pub bytes: &'a [u8],
    /// When the content reaches the disk.
    pub flush: Flush,
}

/// How a file came to share or to copy the content of another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CopyMethod {
    /// The blocks are shared until one side changes (`FICLONE`, `clonefile`).
    Reflink,
    /// The bytes were copied.
    Copy,
}

/// What a rename does about its target name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rename {
    /// Replaces a file, as `rename` does.
    Replace,
    /// Fails with `AlreadyExists` if the name exists (`RENAME_NOREPLACE`, `RENAME_EXCL`).
    NoReplace,
    /// Both names must exist, and are exchanged in one step (`RENAME_EXCHANGE`, `RENAME_SWAP`).
    Exchange,
}

/// How far one sync call for everything reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barrier {
    /// Everything written on this filesystem before the call is durable.
    Filesystem,
    /// This filesystem or kernel has no such call, or one that does not report errors: sync object
    /// by object.
    PerObject,
}

/// Whether a filesystem stacks changes over lower layers that it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layers {
    /// There is one layer, or the system cannot report layers.
    Plain,
    /// It is an overlayfs. An object of a lower layer becomes another object at its first change,
    /// and a directory of a lower layer may never be renamed ([`Rename`] then fails with
    /// `CrossesDevices`).
    Overlay,
}

/// Free space on a filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// The number of free bytes.
    pub bytes: u64,
    /// The number of objects that can still be created; `None` if it has no limit.
    pub objects: Option<u64>,
    /// The least space that a file takes, unless it is empty.
    pub block: u64,
}

/// The result of [`Fs::try_lock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// The lock is held until the handle is dropped.
    Acquired,
    /// Another process holds the lock.
    Busy,
    /// This filesystem cannot lock such an object.
    Unsupported,
}

/// A disk call that failed.
#[derive(Debug, Error)]
#[error("cannot {verb} `{name}`")]
pub struct FsError {
    /// What the call was to do, as in "cannot {verb}".
    pub verb: &'static str,
    /// The entry that the call worked on.
    pub name: String,
    /// The error of the operating system.
    #[source]
    pub source: io::Error,
}

impl FsError {
    /// The kind of the failure, by which the engine decides what to do.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// The calls of a disk.
///
/// A name is one component: without a separator, not empty, not `.` or `..`. Implementations refuse
/// anything else with `InvalidInput`. Calls that create an object give it exactly the requested
/// permission bits. Its group, the setgid bit of a directory and its ACL are inherited from the
/// parent directory.
pub trait Fs: fmt::Debug + Send + Sync {
    /// Opens a directory by its path, following symbolic links.
    ///
    /// # Errors
    /// If it is absent, not a directory or not readable.
    fn open_path(&self, path: &Path) -> Result<Dir, FsError>;

    /// Opens a directory entry that is itself a directory; a symbolic link is refused.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory` (also for a link), or the error of the system.
    fn open_dir(&self, at: &Dir, name: &OsStr) -> Result<Dir, FsError>;

    /// Creates an empty directory.
    ///
    /// # Errors
    /// `AlreadyExists` if the name exists, or the error of the system.
    fn make_dir(&self, at: &Dir, name: &OsStr, mode: u32) -> Result<(), FsError>;

    /// Creates an empty directory as a program without a mode of its own does: 0777 reduced by the
    /// umask or by a default ACL.
    ///
    /// # Errors
    /// As [`Fs::make_dir`].
    fn make_plain_dir(&self, at: &Dir, name: &OsStr) -> Result<(), FsError> {
        self.make_dir(at, name, 0o755)
    }

    /// Creates an empty directory of mode 0700 named `prefix` plus a random part, and returns its
    /// name.
    ///
    /// # Errors
    /// The error of the system. If a name exists, the call tries another random part.
    fn make_unique_dir(&self, at: &Dir, prefix: &str) -> Result<OsString, FsError>;

    /// Creates a file that must not exist yet, and writes its whole content.
    ///
    /// # Errors
    /// `AlreadyExists` if the name exists, or the error of the system. A partly written file may
    /// remain.
    fn write_file(&self, at: &Dir, name: &OsStr, file: &NewFile<'_>) -> Result<(), FsError>;

    /// As [`Fs::write_file`], and writes what a reader has after the bytes of the file, in pieces.
    ///
    /// A disk that is in memory anyway keeps the default form of this call.
    ///
    /// # Errors
    /// As [`Fs::write_file`], and the error of the reader.
    fn write_from(
        &self,
        at: &Dir,
        name: &OsStr,
        file: &NewFile<'_>,
        rest: &mut dyn io::Read,
    ) -> Result<(), FsError> {
        let mut bytes = file.bytes.to_vec();
        rest.read_to_end(&mut bytes).map_err(|source| FsError {
            verb: "write",
            name: name.to_string_lossy().into_owned(),
            source,
        })?;
        let bytes = &bytes;
        self.write_file(at, name, &NewFile { bytes, ..*file })
    }

    /// Creates a symbolic link.
    ///
    /// # Errors
    /// `AlreadyExists`, or the error of the system; `Unsupported` if the filesystem has no symbolic
    /// links.
    fn make_symlink(&self, at: &Dir, name: &OsStr, target: &OsStr) -> Result<(), FsError>;

    /// Gives a file a second name (a hard link); a symbolic link is not followed.
    ///
    /// # Errors
    /// `CrossesDevices`, `TooManyLinks`, `PermissionDenied`, `Unsupported`, `AlreadyExists`, or the
    /// error of the system.
    fn link(&self, from: NameInDir<'_>, to: NameInDir<'_>) -> Result<(), FsError>;

    /// Creates a file that shares the blocks of another file but has a mode and a modification time
    /// of its own.
    ///
    /// # Errors
    /// `Unsupported` or `CrossesDevices` if the blocks cannot be shared. Nothing is then left at
    /// the new name.
    fn reflink(
        &self,
        from: NameInDir<'_>,
        to: NameInDir<'_>,
        mode: u32,
        mtime: Option<i64>,
    ) -> Result<(), FsError>;

    /// Whether new objects in an open directory inherit an ACL; `true` if the system cannot tell.
    ///
    /// A disk without ACLs keeps the default form of this call and of the three after it: its
    /// directories hand nothing down.
    fn has_default_acl(&self, _dir: &Dir) -> bool {
        false
    }

    /// With which users an open directory is shared.
    ///
    /// # Errors
    /// The error of the system.
    fn sharing(&self, _dir: &Dir) -> Result<Sharing, FsError> {
        Ok(Sharing::default())
    }

    /// Sets what an open directory hands down: its group, its setgid bit, and its default ACL or
    /// none. Its own ACL stays.
    ///
    /// # Errors
    /// `PermissionDenied` for a group that the user is not in, or the error of the system.
    fn hand_down(&self, _dir: &Dir, _sharing: &Sharing) -> Result<(), FsError> {
        Ok(())
    }

    /// Sets or removes the own ACL of an open directory; its permission bits may change with it.
    ///
    /// # Errors
    /// The error of the system.
    fn set_acl_of(&self, _dir: &Dir, _acl: Option<&Acl>) -> Result<(), FsError> {
        Ok(())
    }

    /// The free space that this user has on the filesystem of an open directory; `None` if the
    /// system does not report it.
    fn room(&self, _dir: &Dir) -> Option<Room> {
        None
    }

    /// Reads a whole regular file of at most `len_max` bytes.
    ///
    /// # Errors
    /// `InvalidInput` if it is not a regular file, `FileTooLarge` if it is longer, or the error of
    /// the system.
    fn read_file(&self, at: &Dir, name: &OsStr, len_max: u64) -> Result<Vec<u8>, FsError>;

    /// Opens a regular file of at most `len_max` bytes, to read it in pieces.
    ///
    /// The reader fails with `FileTooLarge` when the file has more than `len_max` bytes. So a file
    /// that grows meanwhile is bounded too.
    ///
    /// # Errors
    /// As [`Fs::read_file`].
    fn open_file(&self, at: &Dir, name: &OsStr, len_max: u64)
    -> Result<Box<dyn io::Read>, FsError>;

    /// The digest of a regular file's content, read in pieces.
    ///
    /// # Errors
    /// `InvalidInput` if it is not a regular file, or the error of the system.
    fn digest_file(&self, at: &Dir, name: &OsStr) -> Result<Digest, FsError>;

    /// The target of a symbolic link.
    ///
    /// # Errors
    /// `InvalidInput` if it is not a symbolic link, or the error of the system.
    fn read_link(&self, at: &Dir, name: &OsStr) -> Result<OsString, FsError>;

    /// The metadata of the object at a name; `None` if nothing exists there.
    ///
    /// # Errors
    /// The error of the system, except that the name is absent.
    fn meta(&self, at: &Dir, name: &OsStr) -> Result<Option<Meta>, FsError>;

    /// The metadata of an open directory, whatever its name is now.
    ///
    /// # Errors
    /// The error of the system.
    fn meta_of(&self, dir: &Dir) -> Result<Meta, FsError>;

    /// The names in a directory, sorted, without `.` and `..`.
    ///
    /// # Errors
    /// The error of the system.
    fn list(&self, dir: &Dir) -> Result<Vec<OsString>, FsError>;

    /// As [`Fs::list`], but only the names that `wanted` accepts, so that a directory of millions
    /// of names needs memory for these only.
    ///
    /// # Errors
    /// The error of the system.
    fn list_wanted(
        &self,
        dir: &Dir,
        wanted: &dyn Fn(&OsStr) -> bool,
    ) -> Result<Vec<OsString>, FsError> {
        let mut names = self.list(dir)?;
        names.retain(|name| wanted(name));
        Ok(names)
    }

    /// As [`Fs::list_wanted`], with the kind of each entry; most filesystems say it in the listing,
    /// without a look at each entry.
    ///
    /// # Errors
    /// The error of the system.
    fn list_kinds(
        &self,
        dir: &Dir,
        wanted: &dyn Fn(&OsStr) -> bool,
    ) -> Result<Vec<(OsString, Kind)>, FsError> {
        let mut kinds = Vec::new();
        for name in self.list_wanted(dir, wanted)? {
            // What is gone meanwhile is not in the directory.
            if let Some(meta) = self.meta(dir, &name)? {
                kinds.push((name, meta.kind));
            }
        }
        Ok(kinds)
    }

    /// Sets the permission bits of an open directory.
    ///
    /// # Errors
    /// The error of the system.
    fn set_mode_of(&self, dir: &Dir, mode: u32) -> Result<(), FsError>;

    /// Sets the permission bits of a directory entry that is itself a directory, which need not be
    /// readable.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory` (also for a link), or the error of the system.
    fn set_mode(&self, at: &Dir, name: &OsStr, mode: u32) -> Result<(), FsError>;

    /// Clears the set-id bits of a regular file, if the system has such bits; a link is not
    /// followed.
    ///
    /// # Errors
    /// `PermissionDenied` for a file of another user, or the error of the system.
    fn drop_set_id(&self, _at: &Dir, _name: &OsStr) -> Result<(), FsError> {
        Ok(())
    }

    /// Makes sure that the object has the identity that a rename keeps.
    ///
    /// On an overlayfs an object of a lower layer gets another identity at its first change, and so
    /// do all directories above it. This call causes that copy-up now, and changes nothing else of
    /// the object. On other filesystems it does nothing.
    ///
    /// # Errors
    /// On an overlayfs `NotFound`, `StorageFull`, or the error of the system.
    fn pin(&self, at: &Dir, name: &OsStr) -> Result<(), FsError>;

    /// Whether the filesystem of an open directory has layers.
    fn layers(&self, dir: &Dir) -> Layers;

    /// Whether entries can be created, renamed and removed in an open directory, as far as the
    /// system reports it beforehand.
    fn may_write(&self, dir: &Dir) -> bool;

    /// Renames an entry: the only call by which readers see a change.
    ///
    /// # Errors
    /// `AlreadyExists` or `DirectoryNotEmpty` under [`Rename::NoReplace`]; `InvalidInput` or
    /// `Unsupported` if the filesystem has no such rename; `CrossesDevices`, `ResourceBusy`, or the
    /// error of the system.
    fn rename(&self, from: NameInDir<'_>, to: NameInDir<'_>, how: Rename) -> Result<(), FsError>;

    /// Removes a name that is not a directory.
    ///
    /// # Errors
    /// The error of the system.
    fn remove_file(&self, at: &Dir, name: &OsStr) -> Result<(), FsError>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `DirectoryNotEmpty`, or the error of the system.
    fn remove_dir(&self, at: &Dir, name: &OsStr) -> Result<(), FsError>;

    /// Makes a file's content durable.
    ///
    /// # Errors
    /// The error of the system. After a failure the content must not be trusted, even if a second
    /// sync succeeds.
    fn sync_file(&self, at: &Dir, name: &OsStr) -> Result<(), FsError>;

    /// Makes a directory's entries durable.
    ///
    /// # Errors
    /// As [`Fs::sync_file`].
    fn sync_dir(&self, dir: &Dir) -> Result<(), FsError>;

    /// Makes everything durable that was written on the filesystem of `dir`.
    ///
    /// `dir` must have been opened before the first of these writes. Otherwise the system may not
    /// report the errors of the earlier ones.
    ///
    /// # Errors
    /// As [`Fs::sync_file`].
    fn sync_filesystem(&self, dir: &Dir) -> Result<Barrier, FsError>;

    /// Opens a file for locking, and creates it with mode 0600 if it is absent; a link or a FIFO is
    /// refused.
    ///
    /// # Errors
    /// `InvalidInput` if it is not a regular file, or the error of the system.
    fn hold_file(&self, at: &Dir, name: &OsStr) -> Result<Held, FsError>;

    /// Opens a directory a second time, for locking.
    ///
    /// # Errors
    /// The error of the system.
    fn hold_dir(&self, dir: &Dir) -> Result<Held, FsError>;

    /// Tries to take an exclusive lock, without waiting.
    ///
    /// # Errors
    /// The error of the system, except that another process holds the lock.
    fn try_lock(&self, held: &Held) -> Result<Lock, FsError>;

    /// Describes the process that holds a lock which [`Fs::try_lock`] found busy; `None` if the
    /// system does not report it.
    fn lock_holder(&self, _held: &Held) -> Option<String> {
        None
    }

    /// The metadata of an object held open, whatever its name is now; `links` is 0 if it has no
    /// name left.
    ///
    /// # Errors
    /// The error of the system.
    fn meta_of_held(&self, held: &Held) -> Result<Meta, FsError>;

    /// Replaces the content of a file held open: it names the lock's holder, for other processes to
    /// read.
    ///
    /// # Errors
    /// The error of the system.
    fn write_held(&self, held: &Held, bytes: &[u8]) -> Result<(), FsError>;

    /// An id that changes at every boot, so that a record of an earlier boot is recognised.
    fn boot_id(&self) -> String;

    /// The number of threads that can use this disk at once with a gain; 1 if the order of calls
    /// must be the same each time.
    fn threads(&self) -> usize;

    /// The same disk for a thread that may outlive this value; `None` if the calls must come in one
    /// order.
    fn share(&self) -> Option<Box<dyn Fs>> {
        None
    }

    /// The user who owns the files that this process creates.
    fn user(&self) -> u32;

    /// Mount points at or below an open directory; empty if the system cannot report them.
    fn mounts_under(&self, dir: &Dir) -> Vec<PathBuf>;

    /// Reads a whole regular file of at most `len_max` bytes by its path, following symbolic links:
    /// an input.
    ///
    /// # Errors
    /// As [`Fs::read_file`].
    fn read_path(&self, path: &Path, len_max: u64) -> Result<Vec<u8>, FsError>;

    /// The digest and the length of a regular file by its path, following symbolic links: an input.
    ///
    /// # Errors
    /// As [`Fs::digest_file`].
    fn digest_path(&self, path: &Path) -> Result<(Digest, u64), FsError>;
}
