//! The disk as a trait: the only verbs that the engine may use.
//!
//! Every verb takes a directory that is held open and the name of one entry in it, and follows no symbolic
//! link; so no other process can lead the engine elsewhere by swapping a directory for a link (I6). The one
//! look-up of a whole path is [`Fs::open_path`], at the door.
//!
//! Two implementations: `real.rs` is the operating system; `sim.rs` (feature `sim`) is a disk in
//! memory with a volatile and a durable layer. One suite, `tests/fs_contract/`, runs on both.

use std::any::Any;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::sharing::{Acl, Sharing};
use crate::base::digest::Digest;
use crate::base::identity::Identity;

/// A directory held open by the [`Fs`] that gave it out.
#[derive(Clone)]
pub struct Dir(Arc<dyn Any + Send + Sync>);

/// A file or directory held open to be locked; dropping it lets the lock go.
pub struct Held(Box<dyn Any + Send + Sync>);

impl Dir {
    /// Wraps what an implementation keeps for an open directory.
    #[must_use]
    pub fn from_handle<T: Any + Send + Sync>(handle: T) -> Self {
        Self(Arc::new(handle))
    }

    /// What the implementation keeps, if it is of that type.
    #[must_use]
    pub fn handle<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl Held {
    /// Wraps what an implementation keeps for an object held open.
    #[must_use]
    pub fn from_handle<T: Any + Send + Sync>(handle: T) -> Self {
        Self(Box::new(handle))
    }

    /// What the implementation keeps, if it is of that type.
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

/// What kind of object stands at a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file.
    File,
    /// A symbolic link, which is never followed.
    Symlink,
    /// A fifo, socket or device.
    Other,
}

/// A point in time as filesystems keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Seconds since 1970-01-01 UTC.
    pub seconds: i64,
    /// Nanoseconds within the second.
    pub nanos: u32,
}

/// What `lstat` tells of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// What kind of object it is.
    pub kind: Kind,
    /// Permission bits, 0 to 0o7777; on Windows 0o777 or 0o555.
    pub mode: u32,
    /// Length of a file in bytes; of a symbolic link's target in bytes.
    pub len: u64,
    /// Last change of the content.
    pub mtime: Time,
    /// Last change of anything about it: its content, mode, owner or number of names. No program can set it; on Windows
    /// it is `mtime`.
    pub ctime: Time,
    /// User id of the owner; 0 on Windows.
    pub owner: u32,
    /// Group id; 0 on Windows.
    pub group: u32,
    /// How many names the object has.
    pub links: u64,
    /// Which object it is.
    pub identity: Identity,
}

/// When the content of a new file reaches the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// At a later barrier, or never.
    Later,
    /// Before the verb returns; the entry in the directory is not part of it.
    Now,
}

/// A file to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewFile<'a> {
    /// Exact permission bits, whatever the umask.
    pub mode: u32,
    /// Modification time in whole seconds since 1970; `None` leaves the time of writing.
    pub mtime: Option<i64>,
    /// The whole content.
    pub bytes: &'a [u8],
    /// When it reaches the disk.
    pub flush: Flush,
}

/// How a file came to share or to copy the content of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CopyMethod {
    /// The blocks are shared until one side changes (`FICLONE`, `clonefile`).
    Reflink,
    /// The bytes were copied.
    Copy,
}

/// What a rename does about the name that it goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rename {
    /// Replaces a file, as `rename` does.
    Replace,
    /// Fails with `AlreadyExists` when the name is taken (`RENAME_NOREPLACE`, `RENAME_EXCL`).
    NoReplace,
    /// Both names must exist and change places in one step (`RENAME_EXCHANGE`, `RENAME_SWAP`).
    Exchange,
}

/// How far one call reaches that makes everything durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barrier {
    /// Everything written on this filesystem before the call is durable.
    Filesystem,
    /// This filesystem or kernel has no such call, or one that cannot report errors: sync object by object.
    PerObject,
}

/// Whether a filesystem lays changes over layers that it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layers {
    /// There is one layer, or the system cannot tell.
    Plain,
    /// It is an overlayfs: what a lower layer gave becomes another object when it is first changed, and a directory
    /// of a lower layer may never be renamed ([`Rename`] then says `CrossesDevices`).
    Overlay,
}

/// Room on a filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// How many bytes.
    pub bytes: u64,
    /// How many objects; `None` where their number has no bound.
    pub objects: Option<u64>,
    /// What a file takes at least, unless it is empty.
    pub block: u64,
}

/// The answer to [`Fs::try_lock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// The lock is held until the handle is dropped.
    Acquired,
    /// Another process has it.
    Busy,
    /// This filesystem cannot lock such an object.
    Unsupported,
}

/// A verb of the disk that failed.
#[derive(Debug, Error)]
#[error("cannot {verb} `{name}`")]
pub struct FsError {
    /// What was to be done, as in "cannot {verb}".
    pub verb: &'static str,
    /// The entry that it was to be done to.
    pub name: String,
    /// What the operating system said.
    #[source]
    pub source: io::Error,
}

impl FsError {
    /// The kind of failure, by which the engine decides.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// The verbs of a disk.
///
/// A name is one component: no separator, not empty, not `.` or `..`; implementations refuse anything else with
/// `InvalidInput`. Verbs that make something make it with exactly the permission bits that are asked for; its group, the
/// setgid bit of a directory and its ACL are what the directory hands down.
pub trait Fs: fmt::Debug + Send + Sync {
    /// Opens a directory by its path, following symbolic links.
    ///
    /// # Errors
    /// When it is absent, not a directory or not readable.
    fn open_path(&self, path: &Path) -> Result<Dir, FsError>;

    /// Opens a directory entry that is itself a directory; a symbolic link is refused.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory` (also for a link), or what the system says.
    fn open_dir(&self, at: &Dir, name: &OsStr) -> Result<Dir, FsError>;

    /// Makes an empty directory.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken, or what the system says.
    fn make_dir(&self, at: &Dir, name: &OsStr, mode: u32) -> Result<(), FsError>;

    /// Makes an empty directory as a program does that names no mode: with what the umask, or a default ACL, leaves of 0777.
    ///
    /// # Errors
    /// As [`Fs::make_dir`].
    fn make_plain_dir(&self, at: &Dir, name: &OsStr) -> Result<(), FsError> {
        self.make_dir(at, name, 0o755)
    }

    /// Makes an empty directory of mode 0700 named `prefix` and a random part, and returns its name.
    ///
    /// # Errors
    /// What the system says; a taken name is tried again with another random part.
    fn make_unique_dir(&self, at: &Dir, prefix: &str) -> Result<OsString, FsError>;

    /// Makes a file that must not exist and writes all of it.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken, or what the system says; a file that was begun may remain.
    fn write_file(&self, at: &Dir, name: &OsStr, file: &NewFile<'_>) -> Result<(), FsError>;

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// `AlreadyExists`, or what the system says; `Unsupported` where there are no links.
    fn make_symlink(&self, at: &Dir, name: &OsStr, target: &OsStr) -> Result<(), FsError>;

    /// Gives a file a second name; a symbolic link is not followed.
    ///
    /// # Errors
    /// `CrossesDevices`, `TooManyLinks`, `PermissionDenied`, `Unsupported`, `AlreadyExists`, or what the system says.
    fn link(&self, from: (&Dir, &OsStr), to: (&Dir, &OsStr)) -> Result<(), FsError>;

    /// Shares the blocks of a file under a new name, with its own mode and time.
    ///
    /// # Errors
    /// `Unsupported` or `CrossesDevices` where blocks cannot be shared, after which nothing is left at the new name.
    fn reflink(
        &self,
        from: (&Dir, &OsStr),
        to: (&Dir, &OsStr),
        meta: (u32, Option<i64>),
    ) -> Result<(), FsError>;

    /// Whether new objects in an open directory get an ACL; where the system does not tell, they do.
    ///
    /// A disk without ACLs keeps this and the three verbs after it as they are here: it hands nothing down.
    fn has_default_acl(&self, _dir: &Dir) -> bool {
        false
    }

    /// With whom an open directory is shared.
    ///
    /// # Errors
    /// What the system says.
    fn sharing(&self, _dir: &Dir) -> Result<Sharing, FsError> {
        Ok(Sharing::default())
    }

    /// Gives an open directory a group, the setgid bit or none, and a default ACL or none; its own ACL stays.
    ///
    /// # Errors
    /// `PermissionDenied` for a group that the user is not in, or what the system says.
    fn hand_down(&self, _dir: &Dir, _sharing: &Sharing) -> Result<(), FsError> {
        Ok(())
    }

    /// Gives an open directory its own ACL, or none; its permission bits may change with it.
    ///
    /// # Errors
    /// What the system says.
    fn set_acl_of(&self, _dir: &Dir, _acl: Option<&Acl>) -> Result<(), FsError> {
        Ok(())
    }

    /// The room that this user has on the filesystem of an open directory; `None` where the system does not tell.
    fn room(&self, _dir: &Dir) -> Option<Room> {
        None
    }

    /// Reads a whole regular file of at most `len_max` bytes.
    ///
    /// # Errors
    /// `InvalidInput` when it is no regular file, `FileTooLarge` when it is longer, or what the system says.
    fn read_file(&self, at: &Dir, name: &OsStr, len_max: u64) -> Result<Vec<u8>, FsError>;

    /// Opens a regular file of at most `len_max` bytes, to be read in pieces.
    ///
    /// The reader fails with `FileTooLarge` once it has given `len_max` bytes and there are more, so that a file which
    /// grows meanwhile is bounded too.
    ///
    /// # Errors
    /// As [`Fs::read_file`].
    fn open_file(&self, at: &Dir, name: &OsStr, len_max: u64)
    -> Result<Box<dyn io::Read>, FsError>;

    /// The digest of a regular file's content, read in pieces.
    ///
    /// # Errors
    /// `InvalidInput` when it is no regular file, or what the system says.
    fn digest_file(&self, at: &Dir, name: &OsStr) -> Result<Digest, FsError>;

    /// The target of a symbolic link.
    ///
    /// # Errors
    /// `InvalidInput` when it is no link, or what the system says.
    fn read_link(&self, at: &Dir, name: &OsStr) -> Result<OsString, FsError>;

    /// What stands at a name; `None` when nothing does.
    ///
    /// # Errors
    /// What the system says, other than that the name is absent.
    fn meta(&self, at: &Dir, name: &OsStr) -> Result<Option<Meta>, FsError>;

    /// What an open directory is, whatever name it has by now.
    ///
    /// # Errors
    /// What the system says.
    fn meta_of(&self, dir: &Dir) -> Result<Meta, FsError>;

    /// The names in a directory, sorted, without `.` and `..`.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self, dir: &Dir) -> Result<Vec<OsString>, FsError>;

    /// The same, of the names that are wanted; a directory of millions takes the memory of these alone.
    ///
    /// # Errors
    /// What the system says.
    fn list_wanted(
        &self,
        dir: &Dir,
        wanted: &dyn Fn(&OsStr) -> bool,
    ) -> Result<Vec<OsString>, FsError> {
        let mut names = self.list(dir)?;
        names.retain(|name| wanted(name));
        Ok(names)
    }

    /// Sets the permission bits of an open directory.
    ///
    /// # Errors
    /// What the system says.
    fn set_mode_of(&self, dir: &Dir, mode: u32) -> Result<(), FsError>;

    /// Sets the permission bits of a directory entry that is itself a directory, which need not be readable.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory` (also for a link), or what the system says.
    fn set_mode(&self, at: &Dir, name: &OsStr, mode: u32) -> Result<(), FsError>;

    /// Takes the set-id bits from a regular file, where the system has such bits; a link is not followed.
    ///
    /// # Errors
    /// The file of another user, or what the disk says.
    fn drop_set_id(&self, _at: &Dir, _name: &OsStr) -> Result<(), FsError> {
        Ok(())
    }

    /// Makes sure that the object's identity is the one that a rename keeps.
    ///
    /// On an overlayfs an object of a lower layer gets another identity when it is first changed, and so do all
    /// directories above it; this brings that about now, and changes nothing else of it. Elsewhere nothing is done.
    ///
    /// # Errors
    /// On an overlayfs `NotFound`, `StorageFull`, or what the system says.
    fn pin(&self, at: &Dir, name: &OsStr) -> Result<(), FsError>;

    /// Whether the filesystem of an open directory has layers.
    fn layers(&self, dir: &Dir) -> Layers;

    /// Whether entries can be made, renamed and removed in an open directory, as far as the system tells beforehand.
    fn may_write(&self, dir: &Dir) -> bool;

    /// Moves an entry: the one verb by which readers see a change.
    ///
    /// # Errors
    /// `AlreadyExists` or `DirectoryNotEmpty` under [`Rename::NoReplace`]; `InvalidInput` or `Unsupported` where
    /// the filesystem has no such rename; `CrossesDevices`, `ResourceBusy`, or what the system says.
    fn rename(&self, from: (&Dir, &OsStr), to: (&Dir, &OsStr), how: Rename) -> Result<(), FsError>;

    /// Removes a name that is not a directory.
    ///
    /// # Errors
    /// What the system says.
    fn remove_file(&self, at: &Dir, name: &OsStr) -> Result<(), FsError>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `DirectoryNotEmpty`, or what the system says.
    fn remove_dir(&self, at: &Dir, name: &OsStr) -> Result<(), FsError>;

    /// Makes a file's content durable.
    ///
    /// # Errors
    /// What the system says; after a failure the content must not be believed, whatever a second try says.
    fn sync_file(&self, at: &Dir, name: &OsStr) -> Result<(), FsError>;

    /// Makes a directory's entries durable.
    ///
    /// # Errors
    /// As [`Fs::sync_file`].
    fn sync_dir(&self, dir: &Dir) -> Result<(), FsError>;

    /// Makes durable all that was written on the filesystem of `dir`, which must have been opened before the
    /// first write that counts, so that the errors of all of them are reported.
    ///
    /// # Errors
    /// As [`Fs::sync_file`].
    fn sync_filesystem(&self, dir: &Dir) -> Result<Barrier, FsError>;

    /// Opens a file to be locked, making it with mode 0600 when it is absent; a link or a fifo is refused.
    ///
    /// # Errors
    /// `InvalidInput` when it is not a regular file, or what the system says.
    fn hold_file(&self, at: &Dir, name: &OsStr) -> Result<Held, FsError>;

    /// Opens a directory a second time, to be locked.
    ///
    /// # Errors
    /// What the system says.
    fn hold_dir(&self, dir: &Dir) -> Result<Held, FsError>;

    /// Tries to lock for this process alone, without waiting.
    ///
    /// # Errors
    /// What the system says, other than that another process has the lock.
    fn try_lock(&self, held: &Held) -> Result<Lock, FsError>;

    /// The process that has the lock which [`Fs::try_lock`] found busy, in words; `None` where the system does not tell.
    fn lock_holder(&self, _held: &Held) -> Option<String> {
        None
    }

    /// What an object held open is, whatever name it has by now; `links` is 0 once it has none.
    ///
    /// # Errors
    /// What the system says.
    fn meta_of_held(&self, held: &Held) -> Result<Meta, FsError>;

    /// Replaces the content of a file held open: who has the lock, for others to read.
    ///
    /// # Errors
    /// What the system says.
    fn write_held(&self, held: &Held, bytes: &[u8]) -> Result<(), FsError>;

    /// What changes when the machine starts anew, so that a record of another start is recognised.
    fn boot_id(&self) -> String;

    /// How many threads may use this disk at once with a gain; one where the order of calls is to be the same each time.
    fn threads(&self) -> usize;

    /// The user whom files made now belong to.
    fn user(&self) -> u32;

    /// Mount points at or below an open directory; empty where the system cannot tell.
    fn mounts_under(&self, dir: &Dir) -> Vec<PathBuf>;

    /// Reads a whole regular file of at most `len_max` bytes by its path, following symbolic links: an input.
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
