//! Writing into a directory in the form of a registry.
//!
//! Promises that a blob and the index have their names only whole; that, once a manifest is
//! written, it and everything that was written before it, by whatever process, is there after a
//! power cut too, and that a tag never names less than that; and that every other user may read it
//! and none may write it, whatever the umask is.
//!
//! On disk meanwhile: `tmp-X/` with what is being written. A process that writes into `tmp-X` holds
//! a lock on it, and the next writer deletes those of dead processes. `oci-layout` is what writers
//! lock.
//! Read next: `power_cuts.rs`, every moment of a push.

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rvenv_journal::fs::{Dir, Flush, FsError, Held, Kind, Lock, NewFile, Rename};
use rvenv_journal::raw::remove_tree;
use rvenv_journal::{Digest, Fs};
use serde_json::{Map, Value, json};

use super::super::asked::{Hasher, Hashes};
use super::super::place::PlaceError;
use super::super::registry::{Blob, BlobBytes, MANIFEST_BYTES_MAX, Sending};
use super::{entries, index_of, tag_of};
use crate::base::image_layout::{self, BLOBS, INDEX, MARK, MARK_BYTES, TAG};
use crate::base::regular_file;
use crate::python::shown;

const TEMP_PREFIX: &str = "tmp-";
/// Many times what any tool writes into it.
const MARK_BYTES_MAX: u64 = 1 << 16;
/// How long to wait for another writer, and how often to look.
const PATIENCE: Duration = Duration::from_mins(1);
const TICK: Duration = Duration::from_millis(20);

/// A process that writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer<'a> {
    pub(super) path: &'a Path,
    pub(super) fs: &'a dyn Fs,
}

/// The directories of a layout.
struct Dirs {
    root: Dir,
    blobs: Dir,
    sha256: Dir,
}

/// A directory for one file that is being written; other processes leave it alone until it is
/// dropped.
struct Temp<'a> {
    writer: Writer<'a>,
    root: Dir,
    name: OsString,
    dir: Dir,
    _lock: Held,
}

impl<'a> Writer<'a> {
    /// Writes a blob, unless it is there.
    ///
    /// # Crash
    /// The blob is there or not; `tmp-X` remains, which the next writer deletes.
    pub(super) fn put_blob(self, blob: &Blob<'_>) -> Result<Sending, PlaceError> {
        let dirs = self.open()?;
        self.put(&dirs, blob)
    }

    /// Writes a manifest, under a tag if there is one; its blobs must be there.
    ///
    /// # Crash
    /// The tag names this manifest or what it named before.
    pub(super) fn put_manifest(
        self,
        tag: Option<&str>,
        kind: &str,
        bytes: &[u8],
    ) -> Result<(), PlaceError> {
        let digest = Digest::of(bytes);
        let dirs = self.open()?;
        self.put(
            &dirs,
            &Blob {
                digest,
                len: bytes.len() as u64,
                bytes: BlobBytes::Memory(bytes),
            },
        )?;
        let temp = tag.map(|_| self.temp(&dirs.root)).transpose()?;
        // Until the index is exchanged no other writer may read it.
        let _lock = self.lock(&dirs.root)?;
        // A power cut may take a name without taking the tag that comes after it. Each blob was
        // durable before it got its name; the names are now, those that a dead process gave too.
        let settled = self.fs.sync_file(&dirs.root, OsStr::new(MARK));
        let settled = settled
            .and_then(|()| self.fs.sync_dir(&dirs.sha256))
            .and_then(|()| self.fs.sync_dir(&dirs.blobs))
            .and_then(|()| self.fs.sync_dir(&dirs.root));
        settled.map_err(self.failed())?;
        let (Some(tag), Some(temp)) = (tag, temp) else {
            return Ok(());
        };
        let mut index = self.index(&dirs.root)?;
        let mut kept = entries(&index);
        kept.retain(|entry| tag_of(entry) != Some(tag));
        kept.push(json!({
            "mediaType": kind,
            "digest": format!("sha256:{digest}"),
            "size": bytes.len(),
            "annotations": { TAG: tag },
        }));
        index.insert("schemaVersion".to_owned(), 2.into());
        index.insert("manifests".to_owned(), kept.into());
        let text = Value::from(index).to_string();
        temp.write(OsStr::new(INDEX), &mut text.as_bytes())?;
        temp.publish(OsStr::new(INDEX), &dirs.root)?;
        self.fs.sync_dir(&dirs.root).map_err(self.failed())
    }

    fn put(self, dirs: &Dirs, blob: &Blob<'_>) -> Result<Sending, PlaceError> {
        let name = OsString::from(blob.digest.to_string());
        let there = self.fs.meta(&dirs.sha256, &name).map_err(self.failed())?;
        if there.is_some_and(|meta| meta.kind == Kind::File && meta.len == blob.len) {
            return Ok(Sending::Present);
        }
        let temp = self.temp(&dirs.root)?;
        let found = match blob.bytes {
            BlobBytes::Memory(bytes) => temp.write(&name, &mut &*bytes)?,
            BlobBytes::File(path) => {
                let file = regular_file::open(path);
                let mut file = file.map_err(|source| PlaceError::Local {
                    path: path.to_owned(),
                    source,
                })?;
                temp.write(&name, &mut file)?
            }
        };
        if found != blob.digest {
            return Err(PlaceError::Hash {
                shown: shown(&image_layout::blob(self.path, blob.digest)),
                found: found.to_string(),
            });
        }
        temp.publish(&name, &dirs.sha256)?;
        Ok(Sending::Sent)
    }

    fn index(self, root: &Dir) -> Result<Map<String, Value>, PlaceError> {
        let path = || self.path.join(INDEX);
        match self
            .fs
            .read_file(root, OsStr::new(INDEX), MANIFEST_BYTES_MAX as u64)
        {
            Ok(bytes) => index_of(&path(), &bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Map::new()),
            Err(error) if error.kind() == ErrorKind::FileTooLarge => Err(PlaceError::TooLarge {
                shown: shown(&path()),
                max: MANIFEST_BYTES_MAX as u64,
            }),
            Err(error) => Err(PlaceError::Local {
                path: path(),
                source: error.source,
            }),
        }
    }

    /// Opens the directories, and makes those that do not exist.
    fn open(self) -> Result<Dirs, PlaceError> {
        let opened = || {
            let (at, name) = self.above();
            let root = self.fs.open_path(self.path).or_else(|error| {
                if error.kind() != ErrorKind::NotFound {
                    return Err(error);
                }
                self.ensure_dir(&self.fs.open_path(at)?, name)
            })?;
            self.mark(&root)?;
            let [blobs, sha256] = BLOBS;
            let blobs = self.ensure_dir(&root, OsStr::new(blobs))?;
            let sha256 = self.ensure_dir(&blobs, OsStr::new(sha256))?;
            Ok(Dirs {
                root,
                blobs,
                sha256,
            })
        };
        opened().map_err(self.failed())
    }

    /// The directory above it, and its name there.
    fn above(self) -> (&'a Path, &'a OsStr) {
        let above = self.path.parent();
        let above = above.filter(|above| !above.as_os_str().is_empty());
        let name = self.path.file_name().unwrap_or_default();
        (above.unwrap_or(Path::new(".")), name)
    }

    /// Writes the mark if there is none: it says that the directory has a durable name, whichever
    /// process made it.
    fn mark(self, root: &Dir) -> Result<(), FsError> {
        if self.fs.meta(root, OsStr::new(MARK))?.is_some() {
            return Ok(());
        }
        self.fs.sync_dir(&self.fs.open_path(self.above().0)?)?;
        let mark = NewFile {
            mode: 0o644,
            mtime: None,
            bytes: MARK_BYTES,
            flush: Flush::Later,
        };
        match self.fs.write_file(root, OsStr::new(MARK), &mark) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn ensure_dir(self, at: &Dir, name: &OsStr) -> Result<Dir, FsError> {
        match self.fs.make_dir(at, name, 0o755) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        self.fs.open_dir(at, name)
    }

    /// Locks the directory against other writers.
    fn lock(self, root: &Dir) -> Result<Held, PlaceError> {
        let held = self.fs.hold_file(root, OsStr::new(MARK));
        let held = held.map_err(self.failed())?;
        let begun = Instant::now();
        loop {
            let why = match self.fs.try_lock(&held).map_err(self.failed())? {
                Lock::Acquired => {
                    self.heal_mark(root, &held).map_err(self.failed())?;
                    return Ok(held);
                }
                Lock::Unsupported => ErrorKind::Unsupported,
                Lock::Busy if begun.elapsed() > PATIENCE => ErrorKind::TimedOut,
                Lock::Busy => {
                    thread::sleep(TICK);
                    continue;
                }
            };
            return Err(self.failed()(FsError {
                verb: "lock",
                name: MARK.to_owned(),
                source: why.into(),
            }));
        }
    }

    /// Writes the mark again if a writer died between its creation and its last byte: other tools
    /// refuse such a directory.
    fn heal_mark(self, root: &Dir, held: &Held) -> Result<(), FsError> {
        let found = self.fs.read_file(root, OsStr::new(MARK), MARK_BYTES_MAX)?;
        match serde_json::from_slice::<Value>(&found) {
            Ok(_) => Ok(()),
            Err(_) => self.fs.write_held(held, MARK_BYTES),
        }
    }

    /// A new directory to write into; deletes those of dead processes.
    fn temp(self, root: &Dir) -> Result<Temp<'a>, PlaceError> {
        let _lock = self.lock(root)?;
        self.tidy(root);
        let make = || {
            let name = self.fs.make_unique_dir(root, TEMP_PREFIX)?;
            let dir = self.fs.open_dir(root, &name)?;
            let held = self.fs.hold_dir(&dir)?;
            self.fs.try_lock(&held)?;
            Ok(Temp {
                writer: self,
                root: root.clone(),
                name,
                dir,
                _lock: held,
            })
        };
        make().map_err(self.failed())
    }

    /// Deletes what dead processes left; what cannot be deleted stays for the next writer.
    fn tidy(self, root: &Dir) {
        let is_temp = |name: &OsStr| name.to_string_lossy().starts_with(TEMP_PREFIX);
        for name in self.fs.list_wanted(root, &is_temp).unwrap_or_default() {
            let held = self.fs.open_dir(root, &name);
            let held = held.and_then(|dir| self.fs.hold_dir(&dir));
            let is_dead = held.and_then(|held| self.fs.try_lock(&held));
            if matches!(is_dead, Ok(Lock::Acquired)) {
                remove_tree(self.fs, root, &name);
            }
        }
    }

    fn failed(self) -> impl Fn(FsError) -> PlaceError {
        let path = self.path.to_owned();
        move |source| PlaceError::Write {
            path: path.clone(),
            source: Box::new(source),
        }
    }
}

impl Temp<'_> {
    /// Writes a file for all readers, durable; the digest of what was written.
    fn write(&self, name: &OsStr, from: &mut dyn Read) -> Result<Digest, PlaceError> {
        let file = NewFile {
            mode: 0o644,
            mtime: None,
            bytes: b"",
            flush: Flush::Now,
        };
        let mut from = Hashing {
            from,
            state: Hasher::for_(&Hashes::default()),
        };
        let written = self.writer.fs.write_from(&self.dir, name, &file, &mut from);
        written.map_err(self.writer.failed())?;
        Ok(from.state.finish().sha256)
    }

    /// Gives a file its name.
    fn publish(&self, name: &OsStr, to: &Dir) -> Result<(), PlaceError> {
        let fs = self.writer.fs;
        let renamed = fs.rename(self.dir.at(name), to.at(name), Rename::Replace);
        renamed.map_err(self.writer.failed())
    }
}

impl Drop for Temp<'_> {
    fn drop(&mut self) {
        remove_tree(self.writer.fs, &self.root, &self.name);
    }
}

/// Bytes that are hashed as they are read.
struct Hashing<'a> {
    from: &'a mut dyn Read,
    state: Hasher,
}

impl Read for Hashing<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.from.read(buf)?;
        self.state.update(buf.get(..len).unwrap_or_default());
        Ok(len)
    }
}
