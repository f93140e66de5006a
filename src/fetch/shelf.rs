//! The shelf: files in the cache that were fetched, by their digests, and what is arriving.
//!
//! Promises that a file gets its name only after its bytes had the digest that was asked for, that
//! two processes do not write into one file, and that what a killed process left is continued by
//! the next one. Does not promise that a file is still as it was: its reader hashes it again, since
//! a power cut can empty it. Nothing here is synced; what is lost is fetched again.
//!
//! On disk: `<cache dir>/fetched/<digest>/<file name>`, and `<cache dir>/fetched/<digest>.part`,
//! which is locked while a process writes it.
//! Read next: `fetcher.rs`, which writes.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rvenv_journal::fs::{Dir, Kind, Rename, Time};
use rvenv_journal::raw::{check_private, open_private_dir};
use rvenv_journal::{Digest, Fs};

use super::asked::{Asked, Hashed, Hasher};
use super::place::{Found, Place, PlaceError, Resume};
use crate::base::cache::{Cache, NotUsed};

/// The directory of these files in the cache.
pub const FETCHED: &str = "fetched";
/// The suffix of a file that is arriving.
pub(super) const PART: &str = ".part";
/// How often another process's progress is looked at.
const TICK: Duration = Duration::from_millis(50);
const CHUNK_BYTES: usize = 64 << 10;
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// The fetched files of a cache.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    cache: Cache,
    now: Option<Time>,
}

/// Why the cache cannot take a file.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// The cache cannot be used.
    #[error("cannot keep downloads")]
    NotUsed(#[source] NotUsed),
    /// Writing failed.
    #[error("cannot write `{}`", crate::python::shown(path))]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Whether the directory of a fetched file has this name.
#[must_use]
pub fn is_fetched(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    let (algorithm, hex) = name.split_once('-').unwrap_or(("sha256", name));
    let digits = match algorithm {
        "sha256" | "any" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    hex.len() == digits && hex.bytes().all(is_digit)
}

/// The digest of the file in a directory of this name, if the name is a SHA-256 digest.
#[must_use]
pub fn fetched_digest(name: &OsStr) -> Option<Digest> {
    Digest::parse(name.to_str()?).ok()
}

/// Whether a file that is arriving has this name.
#[must_use]
pub fn is_part(name: &OsStr) -> bool {
    let stem = name.to_str().and_then(|name| name.strip_suffix(PART));
    stem.is_some_and(|stem| is_fetched(OsStr::new(stem)))
}

/// A file that is arriving, locked; it is hashed as it arrives.
pub(super) struct Part {
    file: File,
    path: PathBuf,
    pub(super) len: u64,
    state: Box<Hasher>,
}

/// What became of the attempt to write a file.
pub(super) enum Taken {
    /// This process may write it.
    Part(Part),
    /// Another process has completed it meanwhile.
    Done(PathBuf),
    /// The caller stopped waiting for another process.
    Stopped,
}

impl Place for Shelf {
    fn shown(&self) -> String {
        "the cache".to_owned()
    }

    fn find(&self, asked: &Asked, _: &Resume) -> Result<Option<Found>, PlaceError> {
        Ok(self.path_of(asked).map(Found::File))
    }
}

impl Shelf {
    pub(super) fn new(cache: &Cache) -> Self {
        Self {
            cache: cache.clone(),
            now: None,
        }
    }

    /// The same shelf, which notes when its files were used.
    pub(super) fn at(&self, now: Time) -> Self {
        Self {
            cache: self.cache.clone(),
            now: Some(now),
        }
    }

    /// The path of a file that was fetched; checks only that no other user can have written it.
    pub(super) fn path_of(&self, asked: &Asked) -> Option<PathBuf> {
        let (fs, top) = self.cache.open_kind(FETCHED)?;
        let key = asked.key();
        let dir = open_private_dir(fs, &top, OsStr::new(&key)).ok()?;
        let meta = fs.meta(&dir, OsStr::new(asked.file_name())).ok()??;
        if meta.kind != Kind::File || asked.size.is_some_and(|size| size != meta.len) {
            return None;
        }
        let path = self.folder().join(key);
        self.mark_used(&path);
        Some(path.join(asked.file_name()))
    }

    /// Notes in the time of the directory that its file was used, once a day: pruning spares it.
    fn mark_used(&self, dir: &Path) {
        let Some(now) = self.now else { return };
        let marked = || -> io::Result<()> {
            let dir = File::open(dir)?;
            let last = dir.metadata()?.modified()?;
            let now = std::time::UNIX_EPOCH
                + Duration::from_secs(u64::try_from(now.seconds).unwrap_or_default());
            let age = now.duration_since(last).unwrap_or(Duration::MAX);
            if age.as_secs() > DAY_SECONDS.unsigned_abs() {
                dir.set_modified(now)?;
            }
            Ok(())
        };
        let _costs_only_a_later_download = marked();
    }

    fn folder(&self) -> PathBuf {
        self.cache.path().join(FETCHED)
    }

    fn part_path(&self, asked: &Asked) -> PathBuf {
        self.folder().join(format!("{}{PART}", asked.key()))
    }

    fn make(&self) -> Result<(&dyn Fs, Dir), ShelfError> {
        self.cache.make_kind(FETCHED).map_err(ShelfError::NotUsed)
    }

    /// How many bytes of a file an earlier attempt left.
    pub(super) fn part_len(&self, asked: &Asked) -> u64 {
        let meta = std::fs::symlink_metadata(self.part_path(asked));
        meta.ok()
            .filter(std::fs::Metadata::is_file)
            .map_or(0, |meta| meta.len())
    }

    /// Opens and locks the file that is arriving; waits while another process writes it.
    ///
    /// # Crash
    /// An empty file exists.
    pub(super) fn take(
        &self,
        asked: &Asked,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<Taken, ShelfError> {
        self.make()?;
        let path = self.part_path(asked);
        let failed = |source| ShelfError::Write {
            path: path.clone(),
            source,
        };
        loop {
            if is_stopped() {
                return Ok(Taken::Stopped);
            }
            let file = open_part(&path).map_err(failed)?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => {
                    if let Some(path) = self.path_of(asked) {
                        return Ok(Taken::Done(path));
                    }
                    thread::sleep(TICK);
                    continue;
                }
                // A filesystem without locks: two processes would write the same bytes, and the
                // digest is checked in any case.
                Ok(()) | Err(TryLockError::Error(_)) => {}
            }
            // Another process may have completed, and so renamed, the file that was opened.
            let meta = file.metadata().map_err(failed)?;
            if is_named(&path, &meta) {
                return Ok(Taken::Part(Part {
                    len: meta.len(),
                    file,
                    path,
                    state: Box::new(Hasher::for_(asked.hashes())),
                }));
            }
            if let Some(path) = self.path_of(asked) {
                return Ok(Taken::Done(path));
            }
        }
    }

    /// Gives a file its name.
    ///
    /// # Crash
    /// The file has the one name or the other, and its bytes may be lost.
    pub(super) fn finish(
        &self,
        part: Part,
        asked: &Asked,
        hashed: &Hashed,
    ) -> Result<PathBuf, ShelfError> {
        let (fs, top) = self.make()?;
        let key = asked.key_of(hashed);
        let path = self.folder().join(&key).join(asked.file_name());
        let failed = |error: rvenv_journal::fs::FsError| ShelfError::Write {
            path: path.clone(),
            source: error.source,
        };
        match fs.make_dir(&top, OsStr::new(&key), 0o700) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            Ok(()) | Err(_) => {}
        }
        let dir = fs.open_dir(&top, OsStr::new(&key)).map_err(failed)?;
        check_private(fs, &dir).map_err(failed)?;
        let name = format!("{}{PART}", asked.key());
        let (from, to) = (top.at(&name), dir.at(asked.file_name()));
        fs.rename(from, to, Rename::Replace).map_err(failed)?;
        drop(part);
        Ok(path)
    }

    /// Deletes a file whose bytes are of no use.
    pub(super) fn discard(&self, part: Part, asked: &Asked) {
        if let Ok((fs, top)) = self.make() {
            let name = format!("{}{PART}", asked.key());
            let _pruned_later = fs.remove_file(&top, OsStr::new(&name));
        }
        drop(part);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // A lock outlives the close while a process that another thread starts has a duplicate of
        // the descriptor. Where the unlock fails, the close must do.
        let _closed_next = self.file.unlock();
    }
}

impl Part {
    fn failed(&self, source: io::Error) -> ShelfError {
        ShelfError::Write {
            path: self.path.clone(),
            source,
        }
    }

    /// Keeps the first bytes only, and hashes them: once, before anything is written.
    pub(super) fn rewind(&mut self, len: u64) -> Result<(), ShelfError> {
        let file = &mut self.file;
        let kept = file
            .set_len(len)
            .and_then(|()| file.seek(SeekFrom::Start(0)));
        let hashed = kept.and_then(|_| hash(file, &mut self.state, &|| false));
        hashed.map_err(|source| self.failed(source))?;
        self.len = self.state.len();
        Ok(())
    }

    /// Appends bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), ShelfError> {
        let written = self.file.write_all(bytes);
        written.map_err(|source| self.failed(source))?;
        self.state.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// What its bytes are.
    pub(super) fn hashed(&self) -> Hashed {
        Hasher::clone(&self.state).finish()
    }
}

/// Hashes what a reader has; returns whether it was not stopped.
pub(super) fn hash(
    reader: &mut impl Read,
    state: &mut Hasher,
    is_stopped: &dyn Fn() -> bool,
) -> io::Result<bool> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        if is_stopped() {
            return Ok(false);
        }
        match reader.read(&mut chunk) {
            Ok(0) => return Ok(true),
            Ok(len) => state.update(chunk.get(..len).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Opens a file in the shelf, whose directories no other user can change.
#[cfg(unix)]
fn open_part(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    options.custom_flags(flags.bits().cast_signed());
    let file = options.open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if meta.permissions().mode() & 0o777 != 0o600 {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

#[cfg(not(unix))]
fn open_part(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

/// Whether a path still names the file that was opened.
#[cfg(unix)]
fn is_named(path: &Path, opened: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let named = std::fs::symlink_metadata(path);
    named.is_ok_and(|named| named.ino() == opened.ino() && named.dev() == opened.dev())
}

#[cfg(not(unix))]
fn is_named(path: &Path, _opened: &std::fs::Metadata) -> bool {
    path.exists()
}
