//! A directory in the form of a registry (OCI image layout 1.1): blobs by their digests, for
//! machines that share a filesystem.
//!
//! Promises that a blob and the index have their names only whole and durable, and that every other
//! user may read them and none may write them, whatever the umask is. Believes nothing that it
//! reads: a blob is given as bytes that the caller copies and hashes, because its owner may change
//! it at any time.
//!
//! On disk: `oci-layout`, which a writer locks; `index.json`, where tags are;
//! `blobs/sha256/DIGEST`; `tmp-X/` with what is being written. A process that writes into `tmp-X`
//! holds a lock on it, and the next writer deletes those of dead processes.
//! Read next: `transfer.rs`, which writes here as into a registry.

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind, Read, Take};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rvenv_journal::fs::real::RealFs;
use rvenv_journal::fs::{Dir, Flush, FsError, Held, Kind, Lock, NewFile, Rename};
use rvenv_journal::raw::remove_tree;
use rvenv_journal::{Digest, Fs};
use serde_json::{Map, Value, json};

use super::asked::{Asked, Hasher, Hashes};
use super::place::{Body, Found, Place, PlaceError, Resume};
use super::places::check_size;
use super::registry::{Blob, BlobBytes, MANIFEST_BYTES_MAX, Sending};
use crate::base::regular_file;
use crate::python::shown;

const MARK: &str = "oci-layout";
const MARK_BYTES: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
const INDEX: &str = "index.json";
const BLOBS: [&str; 2] = ["blobs", "sha256"];
const TEMP_PREFIX: &str = "tmp-";
/// The annotation of an entry of the index with its tag.
const TAG: &str = "org.opencontainers.image.ref.name";
/// How long to wait for another writer, and how often to look.
const PATIENCE: Duration = Duration::from_mins(1);
const TICK: Duration = Duration::from_millis(20);

/// A directory in the form of a registry.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    path: PathBuf,
    fs: RealFs,
}

/// A directory for one file that is being written; other processes leave it alone until it is
/// dropped.
struct Temp<'a> {
    layout: &'a Layout,
    root: Dir,
    name: OsString,
    dir: Dir,
    _lock: Held,
}

impl Layout {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            fs: RealFs::new(),
        }
    }

    fn blob_path(&self, digest: Digest) -> PathBuf {
        let [blobs, sha256] = BLOBS;
        self.path.join(blobs).join(sha256).join(digest.to_string())
    }

    /// Opens a file; `None` if it does not exist in a directory that does.
    fn open(&self, path: PathBuf) -> Result<Option<std::fs::File>, PlaceError> {
        let absent = |error: &io::Error| error.kind() == ErrorKind::NotFound;
        match regular_file::open(&path) {
            Ok(file) => Ok(Some(file)),
            // A mount that is missing is not an empty one.
            Err(error) if absent(&error) && self.path.join(MARK).exists() => Ok(None),
            Err(error) if absent(&error) => Err(PlaceError::NoLayout(self.path.clone())),
            Err(source) => Err(PlaceError::Local { path, source }),
        }
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, PlaceError> {
        let Some(file) = self.open(path.to_owned())? else {
            return Ok(None);
        };
        let max = MANIFEST_BYTES_MAX as u64;
        let mut bytes = Vec::new();
        let mut some: Take<_> = file.take(max + 1);
        let read = some.read_to_end(&mut bytes);
        read.map_err(|source| PlaceError::Local {
            path: path.to_owned(),
            source,
        })?;
        if bytes.len() as u64 > max {
            let shown = shown(path);
            return Err(PlaceError::TooLarge { shown, max });
        }
        Ok(Some(bytes))
    }

    /// The bytes of a manifest, by its tag or as `sha256:…`; `None` if there is none.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub(super) fn manifest(&self, name: &str) -> Result<Option<Vec<u8>>, PlaceError> {
        let pinned = name.strip_prefix("sha256:").map(str::to_owned);
        let Some(digits) = pinned.map_or_else(|| self.tagged(name), |digits| Ok(Some(digits)))?
        else {
            return Ok(None);
        };
        let Ok(digest) = Digest::parse(&digits) else {
            return Ok(None);
        };
        let path = self.blob_path(digest);
        let Some(bytes) = self.read(&path)? else {
            return Ok(None);
        };
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(PlaceError::Hash {
                shown: shown(&path),
                found: found.to_string(),
            });
        }
        Ok(Some(bytes))
    }

    /// The digits of what has a tag.
    fn tagged(&self, tag: &str) -> Result<Option<String>, PlaceError> {
        let entries = entries(&self.index()?);
        let found = entries.into_iter().find(|entry| tag_of(entry) == Some(tag));
        let digest = found.and_then(|entry| entry.get("digest")?.as_str().map(str::to_owned));
        Ok(digest.and_then(|digest| digest.strip_prefix("sha256:").map(str::to_owned)))
    }

    fn index(&self) -> Result<Map<String, Value>, PlaceError> {
        let path = self.path.join(INDEX);
        let Some(bytes) = self.read(&path)? else {
            return Ok(Map::new());
        };
        serde_json::from_slice(&bytes).map_err(|why| PlaceError::Local {
            path,
            source: why.into(),
        })
    }

    /// Writes a blob, unless it is there.
    ///
    /// # Errors
    /// See [`PlaceError`].
    ///
    /// # Crash
    /// The blob is there or not; `tmp-X` remains, which the next writer deletes.
    pub(super) fn put_blob(&self, blob: &Blob<'_>) -> Result<Sending, PlaceError> {
        let root = self.make()?;
        let name = OsString::from(blob.digest.to_string());
        let blobs = self.blobs(&root).map_err(self.failed())?;
        let there = self.fs.meta(&blobs, &name).map_err(self.failed())?;
        if there.is_some_and(|meta| meta.kind == Kind::File && meta.len == blob.len) {
            return Ok(Sending::Present);
        }
        let temp = self.temp(&root)?;
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
                shown: shown(&self.blob_path(blob.digest)),
                found: found.to_string(),
            });
        }
        temp.publish(&name, &blobs)?;
        Ok(Sending::Sent)
    }

    /// Writes a manifest, under a tag if there is one.
    ///
    /// # Errors
    /// See [`PlaceError`].
    ///
    /// # Crash
    /// The tag names this manifest or what it named before.
    pub(super) fn put_manifest(
        &self,
        tag: Option<&str>,
        kind: &str,
        bytes: &[u8],
    ) -> Result<(), PlaceError> {
        let digest = Digest::of(bytes);
        self.put_blob(&Blob {
            digest,
            len: bytes.len() as u64,
            bytes: BlobBytes::Memory(bytes),
        })?;
        let Some(tag) = tag else { return Ok(()) };
        let root = self.make()?;
        let temp = self.temp(&root)?;
        // Until the index is exchanged no other writer may read it.
        let _lock = self.lock(&root)?;
        let mut index = self.index()?;
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
        temp.publish(OsStr::new(INDEX), &root)
    }

    /// Opens the directory, and makes it if it does not exist.
    fn make(&self) -> Result<Dir, PlaceError> {
        let made = || {
            let above = self
                .path
                .parent()
                .filter(|above| !above.as_os_str().is_empty());
            let name = self.path.file_name().unwrap_or_default();
            let above = self.fs.open_path(above.unwrap_or(Path::new(".")))?;
            self.ensure_dir(&above, name)
        };
        let root = self.fs.open_path(&self.path).or_else(|error| {
            let is_absent = error.kind() == ErrorKind::NotFound;
            if is_absent { made() } else { Err(error) }
        });
        let root = root.map_err(self.failed())?;
        let mark = NewFile {
            mode: 0o644,
            mtime: None,
            bytes: MARK_BYTES,
            flush: Flush::Now,
        };
        match self.fs.write_file(&root, OsStr::new(MARK), &mark) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(self.failed()(error)),
            Ok(()) | Err(_) => Ok(root),
        }
    }

    fn ensure_dir(&self, at: &Dir, name: &OsStr) -> Result<Dir, FsError> {
        match self.fs.make_dir(at, name, 0o755) {
            Ok(()) => self.fs.sync_dir(at)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        self.fs.open_dir(at, name)
    }

    fn blobs(&self, root: &Dir) -> Result<Dir, FsError> {
        let [blobs, sha256] = BLOBS;
        let blobs = self.ensure_dir(root, OsStr::new(blobs))?;
        self.ensure_dir(&blobs, OsStr::new(sha256))
    }

    /// Locks the directory against other writers.
    fn lock(&self, root: &Dir) -> Result<Held, PlaceError> {
        let held = self.fs.hold_file(root, OsStr::new(MARK));
        let held = held.map_err(self.failed())?;
        let begun = Instant::now();
        loop {
            let why = match self.fs.try_lock(&held).map_err(self.failed())? {
                Lock::Acquired => {
                    self.heal_mark(&held).map_err(self.failed())?;
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

    /// Writes the mark again if a writer died between its creation and its bytes: other tools
    /// refuse an empty one.
    fn heal_mark(&self, mark: &Held) -> Result<(), FsError> {
        if self.fs.meta_of_held(mark)?.len > 0 {
            return Ok(());
        }
        self.fs.write_held(mark, MARK_BYTES)
    }

    /// A new directory to write into; deletes those of dead processes.
    fn temp(&self, root: &Dir) -> Result<Temp<'_>, PlaceError> {
        let _lock = self.lock(root)?;
        self.tidy(root);
        let make = || {
            let name = self.fs.make_unique_dir(root, TEMP_PREFIX)?;
            let dir = self.fs.open_dir(root, &name)?;
            let held = self.fs.hold_dir(&dir)?;
            self.fs.try_lock(&held)?;
            Ok(Temp {
                layout: self,
                root: root.clone(),
                name,
                dir,
                _lock: held,
            })
        };
        make().map_err(self.failed())
    }

    /// Deletes what dead processes left; what cannot be deleted stays for the next writer.
    fn tidy(&self, root: &Dir) {
        let is_temp = |name: &OsStr| name.to_string_lossy().starts_with(TEMP_PREFIX);
        for name in self.fs.list_wanted(root, &is_temp).unwrap_or_default() {
            let held = self.fs.open_dir(root, &name);
            let held = held.and_then(|dir| self.fs.hold_dir(&dir));
            let is_dead = held.and_then(|held| self.fs.try_lock(&held));
            if matches!(is_dead, Ok(Lock::Acquired)) {
                remove_tree(&self.fs, root, &name);
            }
        }
    }

    fn failed(&self) -> impl Fn(FsError) -> PlaceError {
        let path = self.path.clone();
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
        let written = self.layout.fs.write_from(&self.dir, name, &file, &mut from);
        written.map_err(self.layout.failed())?;
        Ok(from.state.finish().sha256)
    }

    /// Gives a file its name, durable.
    fn publish(&self, name: &OsStr, to: &Dir) -> Result<(), PlaceError> {
        let fs = &self.layout.fs;
        let renamed = fs.rename(self.dir.at(name), to.at(name), Rename::Replace);
        let synced = renamed.and_then(|()| fs.sync_dir(to));
        synced.map_err(self.layout.failed())
    }
}

impl Drop for Temp<'_> {
    fn drop(&mut self) {
        remove_tree(&self.layout.fs, &self.root, &self.name);
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

fn entries(index: &Map<String, Value>) -> Vec<Value> {
    let entries = index.get("manifests").and_then(Value::as_array);
    entries.cloned().unwrap_or_default()
}

fn tag_of(entry: &Value) -> Option<&str> {
    entry.get("annotations")?.get(TAG)?.as_str()
}

impl Place for Layout {
    fn shown(&self) -> String {
        format!("the layout `{}`", shown(&self.path))
    }

    fn find(&self, asked: &Asked, _: &Resume) -> Result<Option<Found>, PlaceError> {
        let Some(digest) = asked.hashes().sha256() else {
            return Ok(None);
        };
        let path = self.blob_path(digest);
        let Some(file) = self.open(path.clone())? else {
            return Ok(None);
        };
        let meta = file.metadata();
        let meta = meta.map_err(|source| PlaceError::Local {
            path: path.clone(),
            source,
        })?;
        let shown = shown(&path);
        check_size(asked, meta.len(), &shown)?;
        Ok(Some(Found::Body(Body {
            start: 0,
            len: Some(meta.len()),
            version: None,
            shown,
            reader: Box::new(file),
        })))
    }
}
