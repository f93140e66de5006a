//! The disk on Windows: calls by path, below a directory that is held open.
//!
//! Promises that a directory is found under its current name, because every path is built from the
//! open handle; that the last component is never followed if it is a link; and that every failure
//! names the entry.
//! Does not promise what Windows lacks: no exchange of two names, no shared blocks, no locks on
//! directories, no barrier for a whole filesystem, and of the permission bits only whether a file
//! is writable. Another process may rename a directory above between building a path from a handle
//! and using it.
//!
//! Read next: `windows/system.rs`, the three system calls that std lacks; `../unix.rs`.

#![expect(
    clippy::disallowed_methods,
    reason = "the one door to the operating system's disk"
)]

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::windows::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT,
};

use super::call::{self, Call};
use super::content;
use crate::base::digest::Digest;
use crate::base::identity::{Birth, Identity};
use crate::fs::{
    Barrier, Dir, Flush, Fs, FsError, Held, Kind, Layers, Lock, Meta, NameInDir, NewFile, Rename,
    Time,
};

mod system;

/// Length of the random part of [`Fs::make_unique_dir`]: 71 bits, so that no two transactions get
/// the same name.
const RANDOM_LEN: usize = 12;
/// Opens the object at the name itself, also a directory or a link.
const ITSELF: u32 = FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT;

/// The operating system's disk.
#[derive(Clone, Debug, Default)]
pub struct RealFs;

/// An open directory; the handle keeps another directory from taking its place unnoticed.
#[derive(Debug)]
struct OpenDir(File);

type On<'a> = Call<'a, OpenDir>;

impl RealFs {
    /// The disk of this process.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl OpenDir {
    fn path(&self) -> io::Result<PathBuf> {
        system::path_of(&self.0)
    }
}

impl On<'_> {
    /// The path of the entry, below the directory's current path.
    fn path(&self) -> io::Result<PathBuf> {
        Ok(self.on.path()?.join(self.name))
    }

    /// Runs an action on the path of the entry.
    fn run<T>(&self, verb: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, FsError> {
        self.path()
            .and_then(|path| verb(&path))
            .map_err(|error| self.failed(error))
    }

    /// Runs an action on the path of the directory itself.
    fn run_on_dir<T>(&self, verb: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, FsError> {
        self.on
            .path()
            .and_then(|path| verb(&path))
            .map_err(|error| self.failed(error))
    }
}

impl Fs for RealFs {
    fn open_path(&self, path: &Path) -> Result<Dir, FsError> {
        open(path, FILE_FLAG_BACKUP_SEMANTICS)
            .and_then(directory)
            .map(|dir| call::dir(OpenDir(dir), path.as_os_str()))
            .map_err(|error| call::failed("open directory", path.as_os_str(), error))
    }

    fn open_dir(&self, at: &Dir, name: &OsStr) -> Result<Dir, FsError> {
        let call = On::entry("open directory", at, name)?;
        let dir = call.run(|path| open(path, ITSELF).and_then(directory))?;
        Ok(call::dir(OpenDir(dir), name))
    }

    /// Ignores the mode: the read-only attribute of a directory does not affect its entries.
    fn make_dir(&self, at: &Dir, name: &OsStr, _mode: u32) -> Result<(), FsError> {
        On::entry("make directory", at, name)?.run(|path| fs::create_dir(path))
    }

    fn make_unique_dir(&self, at: &Dir, prefix: &str) -> Result<OsString, FsError> {
        const VERB: &str = "make directory";
        call::check_prefix(VERB, prefix)?;
        On::dir(VERB, at)?.run_on_dir(|path| {
            let made = tempfile::Builder::new()
                .prefix(prefix)
                .rand_bytes(RANDOM_LEN)
                .disable_cleanup(true)
                .make_in(path, |path| fs::create_dir(path))?;
            Ok(made.path().file_name().unwrap_or_default().to_owned())
        })
    }

    fn write_file(&self, at: &Dir, name: &OsStr, file: &NewFile<'_>) -> Result<(), FsError> {
        On::entry("write", at, name)?.run(|path| write_new(path, file, None))
    }

    fn write_from(
        &self,
        at: &Dir,
        name: &OsStr,
        file: &NewFile<'_>,
        rest: &mut dyn io::Read,
    ) -> Result<(), FsError> {
        On::entry("write", at, name)?.run(|path| write_new(path, file, Some(rest)))
    }

    fn make_symlink(&self, at: &Dir, name: &OsStr, target: &OsStr) -> Result<(), FsError> {
        use std::os::windows::fs::{symlink_dir, symlink_file};
        let call = On::entry("make symbolic link", at, name)?;
        let dir = call.on.path().map_err(|error| call.failed(error))?;
        // Windows has two kinds of symbolic links, for files and for directories.
        call.run(|path| {
            if dir.join(target).is_dir() {
                return symlink_dir(target, path);
            }
            symlink_file(target, path)
        })
    }

    fn link(&self, from: NameInDir<'_>, to: NameInDir<'_>) -> Result<(), FsError> {
        let source = On::entry("link", from.dir, from.name)?;
        let target = On::entry("link", to.dir, to.name)?;
        target.run(|new| fs::hard_link(source.path()?, new))
    }

    fn reflink(
        &self,
        from: NameInDir<'_>,
        to: NameInDir<'_>,
        _mode: u32,
        _mtime: Option<i64>,
    ) -> Result<(), FsError> {
        On::entry("clone", from.dir, from.name)?;
        let target = On::entry("clone", to.dir, to.name)?;
        Err(target.failed(io::ErrorKind::Unsupported))
    }

    fn read_file(&self, at: &Dir, name: &OsStr, len_max: u64) -> Result<Vec<u8>, FsError> {
        On::entry("read", at, name)?.run(|path| content::read_bounded(open(path, ITSELF)?, len_max))
    }

    fn open_file(
        &self,
        at: &Dir,
        name: &OsStr,
        len_max: u64,
    ) -> Result<Box<dyn io::Read>, FsError> {
        On::entry("read", at, name)?.run(|path| content::bounded(open(path, ITSELF)?, len_max))
    }

    fn digest_file(&self, at: &Dir, name: &OsStr) -> Result<Digest, FsError> {
        On::entry("read", at, name)?.run(|path| content::digest(open(path, ITSELF)?))
    }

    fn read_link(&self, at: &Dir, name: &OsStr) -> Result<OsString, FsError> {
        On::entry("read symbolic link", at, name)?.run(|path| {
            if !fs::symlink_metadata(path)?.is_symlink() {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            fs::read_link(path).map(PathBuf::into_os_string)
        })
    }

    fn meta(&self, at: &Dir, name: &OsStr) -> Result<Option<Meta>, FsError> {
        On::entry("look at", at, name)?.run(|path| {
            let mut seen = match look_at(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                seen => meta_of_handle(&seen?)?,
            };
            if seen.kind == Kind::Symlink {
                seen.len = fs::read_link(path)?.as_os_str().len() as u64;
            }
            Ok(Some(seen))
        })
    }

    fn meta_of(&self, dir: &Dir) -> Result<Meta, FsError> {
        let call = On::dir("look at", dir)?;
        meta_of_handle(&call.on.0).map_err(|error| call.failed(error))
    }

    fn list(&self, dir: &Dir) -> Result<Vec<OsString>, FsError> {
        On::dir("list", dir)?.run_on_dir(|path| {
            let entries = fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name()));
            let mut names = entries.collect::<io::Result<Vec<_>>>()?;
            names.sort_unstable();
            Ok(names)
        })
    }

    /// Does nothing, because [`Fs::make_dir`] ignores the mode too.
    fn set_mode_of(&self, dir: &Dir, _mode: u32) -> Result<(), FsError> {
        On::dir("set the mode of", dir).map(|_| ())
    }

    /// Only checks that the directory exists, because [`Fs::make_dir`] ignores the mode too.
    fn set_mode(&self, at: &Dir, name: &OsStr, _mode: u32) -> Result<(), FsError> {
        let call = On::entry("set the mode of", at, name)?;
        call.run(|path| directory(look_at(path)?)).map(drop)
    }

    fn pin(&self, at: &Dir, name: &OsStr) -> Result<(), FsError> {
        On::entry("copy up", at, name).map(|_| ())
    }

    fn layers(&self, _dir: &Dir) -> Layers {
        Layers::Plain
    }

    /// Opens a handle with the right to create entries, and closes it.
    fn may_write(&self, dir: &Dir) -> bool {
        On::dir("look at", dir)
            .and_then(|call| call.run_on_dir(|path| writable(path, ITSELF)))
            .is_ok()
    }

    fn rename(&self, from: NameInDir<'_>, to: NameInDir<'_>, how: Rename) -> Result<(), FsError> {
        let source = On::entry("rename", from.dir, from.name)?;
        let target = On::entry("rename to", to.dir, to.name)?;
        source.run(|old| {
            let new = target.path()?;
            match how {
                Rename::Replace => replace(old, &new),
                Rename::NoReplace => system::rename_to_free_name(old, &new),
                Rename::Exchange => Err(io::ErrorKind::Unsupported.into()),
            }
        })
    }

    fn remove_file(&self, at: &Dir, name: &OsStr) -> Result<(), FsError> {
        On::entry("remove", at, name)?.run(remove)
    }

    fn remove_dir(&self, at: &Dir, name: &OsStr) -> Result<(), FsError> {
        On::entry("remove directory", at, name)?.run(|path| {
            // Windows treats a link to a directory as a directory; the engine treats it as a link.
            if !fs::symlink_metadata(path)?.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            fs::remove_dir(path)
        })
    }

    fn sync_file(&self, at: &Dir, name: &OsStr) -> Result<(), FsError> {
        On::entry("sync", at, name)?.run(|path| {
            content::regular(look_at(path)?)?;
            writable(path, FILE_FLAG_OPEN_REPARSE_POINT)?.sync_all()
        })
    }

    /// Best effort on filesystems without a log. Windows refuses to flush a handle without write
    /// access. That is an error here too, because a barrier that failed must not count as one (I2).
    fn sync_dir(&self, dir: &Dir) -> Result<(), FsError> {
        On::dir("sync directory", dir)?.run_on_dir(|path| writable(path, ITSELF)?.sync_all())
    }

    /// Only an administrator can flush a whole volume.
    fn sync_filesystem(&self, dir: &Dir) -> Result<Barrier, FsError> {
        On::dir("sync the filesystem of", dir).map(|_| Barrier::PerObject)
    }

    fn hold_file(&self, at: &Dir, name: &OsStr) -> Result<Held, FsError> {
        let call = On::entry("hold", at, name)?;
        let file = call.run(|path| {
            if let Ok(found) = look_at(path) {
                content::regular(found)?;
            }
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            content::regular(
                options
                    .custom_flags(FILE_FLAG_OPEN_REPARSE_POINT)
                    .open(path)?,
            )
        })?;
        Ok(call::held(file, name))
    }

    fn hold_dir(&self, dir: &Dir) -> Result<Held, FsError> {
        let call = On::dir("hold directory", dir)?;
        let file = call.run_on_dir(|path| open(path, ITSELF))?;
        Ok(call::held(file, call.name))
    }

    fn try_lock(&self, held: &Held) -> Result<Lock, FsError> {
        let call = Call::held("lock", held)?;
        if call.on.metadata().is_ok_and(|found| found.is_dir()) {
            return Ok(Lock::Unsupported);
        }
        match fs4::FileExt::try_lock(call.on) {
            Ok(()) => Ok(Lock::Acquired),
            Err(fs4::TryLockError::WouldBlock) => Ok(Lock::Busy),
            Err(fs4::TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                Ok(Lock::Unsupported)
            }
            Err(fs4::TryLockError::Error(error)) => Err(call.failed(error)),
        }
    }

    fn meta_of_held(&self, held: &Held) -> Result<Meta, FsError> {
        let call = Call::held("look at", held)?;
        meta_of_handle(call.on).map_err(|error| call.failed(error))
    }

    fn write_held(&self, held: &Held, bytes: &[u8]) -> Result<(), FsError> {
        let call = Call::held("write", held)?;
        let mut file = call.on;
        // Truncate first: a concurrent reader then sees nothing or a part, but never two texts
        // mixed.
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(bytes))
            .map_err(|error| call.failed(error))
    }

    /// Unknown: no ordinary Windows call counts boots, and the time of the last boot moves with
    /// every correction of the clock. So boots cannot be told apart.
    fn boot_id(&self) -> String {
        "unknown".to_owned()
    }

    fn threads(&self) -> usize {
        // Two threads share a filesystem's work per object; more of them wait for its single
        // journal.
        2
    }

    fn user(&self) -> u32 {
        0
    }

    fn mounts_under(&self, _dir: &Dir) -> Vec<PathBuf> {
        Vec::new()
    }

    fn read_path(&self, path: &Path, len_max: u64) -> Result<Vec<u8>, FsError> {
        open(path, 0)
            .and_then(|file| content::read_bounded(file, len_max))
            .map_err(|error| call::failed("read", path.as_os_str(), error))
    }

    fn digest_path(&self, path: &Path) -> Result<(Digest, u64), FsError> {
        let digest = |file: File| {
            let len = file.metadata()?.len();
            Ok((content::digest(file)?, len))
        };
        open(path, 0)
            .and_then(digest)
            .map_err(|error| call::failed("read", path.as_os_str(), error))
    }
}

fn open(path: &Path, flags: u32) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Opens an object only to query its metadata, which needs no right to read.
fn look_at(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .access_mode(0)
        .custom_flags(ITSELF)
        .open(path)
}

/// Opens an object to flush it, for which Windows requires write access; a read-only file is made
/// writable meanwhile.
fn writable(path: &Path, flags: u32) -> io::Result<File> {
    let open = || {
        OpenOptions::new()
            .write(true)
            .custom_flags(flags)
            .open(path)
    };
    match open() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let Some(permissions) = unlock_read_only(path)? else {
                return Err(error);
            };
            let file = open();
            fs::set_permissions(path, permissions)?;
            file
        }
        opened => opened,
    }
}

/// Makes a read-only file writable and returns its former permissions.
fn unlock_read_only(path: &Path) -> io::Result<Option<fs::Permissions>> {
    let found = fs::symlink_metadata(path)?;
    if !found.is_file() || !found.permissions().readonly() {
        return Ok(None);
    }
    let mut changed = found.permissions();
    #[expect(
        clippy::permissions_set_readonly_false,
        reason = "on Windows this is one attribute of the file, not a permission for everybody"
    )]
    changed.set_readonly(false);
    fs::set_permissions(path, changed)?;
    Ok(Some(found.permissions()))
}

fn directory(file: File) -> io::Result<File> {
    if file.metadata()?.is_dir() {
        return Ok(file);
    }
    Err(io::ErrorKind::NotADirectory.into())
}

fn write_new(path: &Path, new: &NewFile<'_>, rest: Option<&mut dyn io::Read>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(new.bytes)?;
    rest.map_or(Ok(()), |rest| content::copy(rest, &mut file))?;
    if let Some(seconds) = new.mtime {
        file.set_modified(time(seconds)?)?;
    }
    if new.mode & 0o200 == 0 {
        let mut permissions = file.metadata()?.permissions();
        permissions.set_readonly(true);
        file.set_permissions(permissions)?;
    }
    match new.flush {
        Flush::Later => Ok(()),
        Flush::Now => file.sync_all(),
    }
}

fn time(seconds: i64) -> io::Result<SystemTime> {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    time.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Compares the kinds first, because Windows would let a directory replace a file. Another process
/// may change either name in between; then the system's own rules apply.
fn replace(old: &Path, new: &Path) -> io::Result<()> {
    let moved = fs::symlink_metadata(old)?;
    match fs::symlink_metadata(new) {
        Ok(found) if found.is_dir() && !moved.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if moved.is_dir() && !found.is_dir() => Err(io::ErrorKind::NotADirectory.into()),
        Ok(_) | Err(_) => fs::rename(old, new),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    let is_link = |found: &Metadata| found.is_symlink();
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            if unlock_read_only(path)?.is_some() {
                return fs::remove_file(path);
            }
            // A link to a directory is removed like a directory.
            if fs::symlink_metadata(path).as_ref().is_ok_and(is_link) {
                return fs::remove_dir(path);
            }
            Err(error)
        }
        told => told,
    }
}

fn meta_of_handle(file: &File) -> io::Result<Meta> {
    let found = file.metadata()?;
    let system = system::information(file)?;
    let kind = if found.is_symlink() {
        Kind::Symlink
    } else if found.is_dir() {
        Kind::Dir
    } else {
        Kind::File
    };
    let read_only = kind == Kind::File && found.permissions().readonly();
    let (seconds, nanos) = system.written;
    let (born, born_nanos) = system.born;
    Ok(Meta {
        kind,
        mode: if read_only { 0o555 } else { 0o777 },
        len: found.len(),
        mtime: Time { seconds, nanos },
        ctime: Time { seconds, nanos },
        owner: 0,
        group: 0,
        links: system.links,
        identity: Identity {
            inode: system.index,
            birth: Some(Birth {
                seconds: born,
                nanos: born_nanos,
            }),
        },
    })
}
