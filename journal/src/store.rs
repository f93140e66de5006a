//! The content store: sources such as wheels, unpacked once and linked out many times.
//!
//! Promises that an object which is handed out has the bytes, the mode and the time that it was entered with, as far
//! as its length, mode and time can tell; an object that somebody edited is entered again. A pack appears whole: it is
//! built under a temporary name, synced, and renamed in, so that kills, full disks and many processes at once
//! leave either the pack or nothing that is believed.
//! Does not promise to be there: whoever has the source can do without.
//!
//! On disk: `packs/SHA256/` of the source, with `manifest.json` and `files/DIGEST-MODE-MTIME`; `packs/tmp-X` while
//! a pack is built, locked by its builder, and deleted by the next one when that died.
//! Read next: `content.rs`, which the product implements with this.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::barrier::sync_tree;
use crate::content::{FILE_BYTES_MAX, Fetched, Wanted};
use crate::digest::Digest;
use crate::fs::{Dir, Flush, Fs, FsError, Held, Lock, NewFile, Rename};
use crate::node::Mode;
use crate::remove::remove_tree;

const MANIFEST: &str = "manifest.json";
const MANIFEST_FORMAT: u64 = 1;
const MANIFEST_BYTES_MAX: u64 = 64 << 20;
const FILES: &str = "files";
const TEMP_PREFIX: &str = "tmp-";
/// How often a directory may be taken away before it is locked.
const RACES_MAX: usize = 100;

/// What an object is, besides its bytes; two objects that differ in any of it are two inodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectMeta {
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// How many there are.
    pub len: u64,
    /// Permission bits.
    pub mode: Mode,
    /// Modification time in whole seconds since 1970.
    pub mtime: i64,
}

/// Something that can be unpacked into the store.
pub trait PackSource {
    /// Hands every object over, with bytes that were checked against their digest.
    ///
    /// # Errors
    /// Whatever keeps the source from being read, and whatever `visit` returns.
    #[expect(
        clippy::type_complexity,
        reason = "an alias would hide what an implementation calls"
    )]
    fn unpack(
        &self,
        visit: &mut dyn FnMut(ObjectMeta, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;
}

/// The store.
#[derive(Clone, Debug)]
pub struct Store<'a> {
    fs: &'a dyn Fs,
    packs: Dir,
}

/// One unpacked source.
#[derive(Clone, Debug)]
pub struct Pack<'a> {
    fs: &'a dyn Fs,
    packs: Dir,
    files: Dir,
    objects: BTreeMap<Digest, Vec<ObjectMeta>>,
}

/// Why the store cannot be used; never a reason for a transaction to fail.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The disk refused.
    #[error("cannot use the store")]
    Disk(#[from] FsError),
    /// The source could not be read.
    #[error("cannot unpack the source")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A manifest that is not one.
    #[error("the manifest of the pack {0} is damaged")]
    Manifest(Digest),
    /// Other processes took each attempt for one of a dead process.
    #[error("too many processes build packs at once")]
    Crowded,
}

impl<'a> Store<'a> {
    /// Opens the store in a directory of its own, and makes it there if need be.
    ///
    /// # Errors
    /// When the directory cannot be made or belongs to somebody else.
    pub fn open(fs: &'a dyn Fs, dir: &Dir) -> Result<Self, StoreError> {
        let name = OsStr::new("packs");
        match fs.make_dir(dir, name, 0o700) {
            Ok(()) => fs.sync_dir(dir)?,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
        let packs = fs.open_dir(dir, name)?;
        let owner = fs.meta_of(&packs)?.owner;
        if owner != fs.user() {
            // Somebody else could put what they like under any digest.
            let source = std::io::ErrorKind::PermissionDenied.into();
            return Err(FsError {
                verb: "trust, with another owner,",
                name: "packs".to_owned(),
                source,
            }
            .into());
        }
        Ok(Self { fs, packs })
    }

    /// The pack of a source, if it was entered.
    ///
    /// # Errors
    /// What the disk says, or a damaged manifest.
    pub fn pack(&self, source: Digest) -> Result<Option<Pack<'a>>, StoreError> {
        let dir = match self
            .fs
            .open_dir(&self.packs, OsStr::new(&source.to_string()))
        {
            Ok(dir) => dir,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let bytes = self
            .fs
            .read_file(&dir, OsStr::new(MANIFEST), MANIFEST_BYTES_MAX)?;
        let objects = read_manifest(&bytes).ok_or(StoreError::Manifest(source))?;
        let files = self.fs.open_dir(&dir, OsStr::new(FILES))?;
        Ok(Some(Pack {
            fs: self.fs,
            packs: self.packs.clone(),
            files,
            objects,
        }))
    }

    /// Enters a source, unless somebody else did meanwhile.
    ///
    /// # Errors
    /// What the source or the disk says; nothing of the attempt is believed afterwards.
    ///
    /// # Crash
    /// `packs/tmp-X` remains; the next one who enters a source deletes it.
    pub fn enter(&self, source: Digest, content: &dyn PackSource) -> Result<Pack<'a>, StoreError> {
        self.delete_dead_builds()?;
        let (name, dir, _held) = self.begin_build()?;
        let built = self
            .build(&dir, content)
            .and_then(|()| self.name_build(&name, source));
        if built.is_err() {
            let _tidied = remove_tree(self.fs, &self.packs, &name);
        }
        built?;
        self.pack(source)?.ok_or(StoreError::Manifest(source))
    }

    /// Makes `tmp-X` and locks it; the lock is held until it has its name: an unlocked one is one whose builder died.
    fn begin_build(&self) -> Result<(OsString, Dir, Held), StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let name = self.fs.make_unique_dir(&self.packs, TEMP_PREFIX)?;
            match self.lock_build(&name) {
                Ok(Some((dir, held))) => return Ok((name, dir, held)),
                // Another process took it for that of a dead builder before it was locked.
                Ok(None) if tries < RACES_MAX => {}
                Ok(None) => return Err(StoreError::Crowded),
                Err(error) => {
                    let _tidied = self.fs.remove_dir(&self.packs, &name);
                    return Err(error.into());
                }
            }
        }
    }

    fn lock_build(&self, name: &OsStr) -> Result<Option<(Dir, Held)>, FsError> {
        let dir = match self.fs.open_dir(&self.packs, name) {
            Ok(dir) => dir,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let held = self.fs.hold_dir(&dir)?;
        if self.fs.try_lock(&held)? == Lock::Busy {
            return Ok(None);
        }
        let named = self.fs.meta(&self.packs, name)?.map(|meta| meta.identity);
        let ours = self.fs.meta_of(&dir)?.identity;
        Ok((named == Some(ours)).then_some((dir, held)))
    }

    fn build(&self, dir: &Dir, content: &dyn PackSource) -> Result<(), StoreError> {
        self.fs.make_dir(dir, OsStr::new(FILES), 0o700)?;
        let files = self.fs.open_dir(dir, OsStr::new(FILES))?;
        let mut objects: BTreeMap<Digest, Vec<ObjectMeta>> = BTreeMap::new();
        content.unpack(&mut |object, bytes| {
            let known = objects.entry(object.digest).or_default();
            if !known.contains(&object) {
                write_object(self.fs, &files, object, bytes)?;
                known.push(object);
            }
            Ok(())
        })?;
        let manifest = write_manifest(&objects);
        let file = NewFile {
            mode: 0o600,
            mtime: None,
            bytes: manifest.as_bytes(),
            flush: Flush::Later,
        };
        self.fs.write_file(dir, OsStr::new(MANIFEST), &file)?;
        // A pack is believed for ever: it must be on the disk before it has its name.
        sync_tree(self.fs, dir)?;
        Ok(())
    }

    fn name_build(&self, name: &OsString, source: Digest) -> Result<(), StoreError> {
        let named = OsString::from(source.to_string());
        match self
            .fs
            .rename((&self.packs, name), (&self.packs, &named), Rename::Replace)
        {
            Ok(()) => Ok(self.fs.sync_dir(&self.packs)?),
            // Another process entered the same source first; both have the same content.
            Err(error) if is_taken(error.kind()) => {
                let _tidied = remove_tree(self.fs, &self.packs, name);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn delete_dead_builds(&self) -> Result<(), StoreError> {
        let names = self.fs.list(&self.packs)?;
        for name in names
            .iter()
            .filter(|name| name.to_string_lossy().starts_with(TEMP_PREFIX))
        {
            let held = self
                .fs
                .open_dir(&self.packs, name)
                .and_then(|dir| self.fs.hold_dir(&dir));
            if let Ok(held) = held
                && self
                    .fs
                    .try_lock(&held)
                    .is_ok_and(|lock| lock == Lock::Acquired)
            {
                let _tidied = remove_tree(self.fs, &self.packs, name);
            }
        }
        Ok(())
    }
}

impl Pack<'_> {
    /// An object with the wanted bytes, mode and time; or its bytes, when only its mode or time differs.
    ///
    /// `None` when the pack has no such bytes, or somebody edited the object since.
    ///
    /// # Errors
    /// What the disk says.
    pub fn fetch(&self, wanted: &Wanted) -> Result<Option<Fetched>, StoreError> {
        let Some(objects) = self.objects.get(&wanted.digest) else {
            return Ok(None);
        };
        let fits =
            |object: &&ObjectMeta| object.mode == wanted.mode && Some(object.mtime) == wanted.mtime;
        let Some(object) = objects.iter().find(fits).or_else(|| objects.first()) else {
            return Ok(None);
        };
        let name = object_name(object);
        if !self.is_unchanged(object, &name)? {
            return Ok(None);
        }
        if fits(&object) {
            return Ok(Some(Fetched::Stored {
                dir: self.files.clone(),
                name,
            }));
        }
        let bytes = self.fs.read_file(&self.files, &name, FILE_BYTES_MAX)?;
        // An edit may keep length and time, as a loss of power does: then the source has to be asked again.
        let is_whole = Digest::of(&bytes) == wanted.digest;
        Ok(is_whole.then_some(Fetched::Bytes(bytes)))
    }

    /// Enters an object again that somebody edited through a link, under a new inode.
    ///
    /// # Errors
    /// What the disk says.
    ///
    /// # Crash
    /// `packs/tmp-X` may remain; the object is the old one or the new one.
    pub fn enter_again(&self, object: ObjectMeta, bytes: &[u8]) -> Result<(), StoreError> {
        let name = object_name(&object);
        // Beside the packs, where the next one who enters a source looks for what dead builders left.
        let build = self.fs.make_unique_dir(&self.packs, TEMP_PREFIX)?;
        let dir = self.fs.open_dir(&self.packs, &build)?;
        let held = self.fs.hold_dir(&dir)?;
        let _locked = self.fs.try_lock(&held)?;
        let file = new_object(&object, bytes, Flush::Now);
        let written = self.fs.write_file(&dir, &name, &file).and_then(|()| {
            self.fs
                .rename((&dir, &name), (&self.files, &name), Rename::Replace)
        });
        let _tidied = remove_tree(self.fs, &self.packs, &build);
        written?;
        Ok(self.fs.sync_dir(&self.files)?)
    }

    /// What the pack was entered with under a digest.
    #[must_use]
    pub fn entered(&self, digest: Digest) -> &[ObjectMeta] {
        self.objects.get(&digest).map_or(&[], Vec::as_slice)
    }

    fn is_unchanged(&self, object: &ObjectMeta, name: &OsStr) -> Result<bool, FsError> {
        let Some(meta) = self.fs.meta(&self.files, name)? else {
            return Ok(false);
        };
        Ok(meta.len == object.len
            && meta.mode == object.mode.bits()
            && meta.mtime.seconds == object.mtime
            && meta.mtime.nanos == 0)
    }
}

/// Opens a directory by its path, making it and those above it when they are absent.
///
/// # Errors
/// What the disk says.
pub fn open_or_make(fs: &dyn Fs, path: &Path) -> Result<Dir, FsError> {
    match fs.open_path(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return fs.open_path(path);
    };
    let dir = open_or_make(fs, above)?;
    match fs.make_dir(&dir, name, 0o700) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    fs.open_path(path)
}

fn is_taken(kind: std::io::ErrorKind) -> bool {
    matches!(
        kind,
        std::io::ErrorKind::AlreadyExists | std::io::ErrorKind::DirectoryNotEmpty
    )
}

fn object_name(object: &ObjectMeta) -> OsString {
    OsString::from(format!(
        "{}-{}-{}",
        object.digest, object.mode, object.mtime
    ))
}

fn new_object<'a>(object: &ObjectMeta, bytes: &'a [u8], flush: Flush) -> NewFile<'a> {
    NewFile {
        mode: object.mode.bits(),
        mtime: Some(object.mtime),
        bytes,
        flush,
    }
}

fn write_object(
    fs: &dyn Fs,
    files: &Dir,
    object: ObjectMeta,
    bytes: &[u8],
) -> Result<(), StoreError> {
    Ok(fs.write_file(
        files,
        &object_name(&object),
        &new_object(&object, bytes, Flush::Later),
    )?)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestDto {
    format: u64,
    objects: Vec<(String, u64, u32, i64)>,
}

fn write_manifest(objects: &BTreeMap<Digest, Vec<ObjectMeta>>) -> String {
    let row = |object: &ObjectMeta| {
        (
            object.digest.to_string(),
            object.len,
            object.mode.bits(),
            object.mtime,
        )
    };
    let dto = ManifestDto {
        format: MANIFEST_FORMAT,
        objects: objects.values().flatten().map(row).collect(),
    };
    serde_json::to_string(&dto).expect("strings and numbers serialize")
}

/// Nothing that is not exactly a manifest is read as one; the pack is then as good as absent.
fn read_manifest(bytes: &[u8]) -> Option<BTreeMap<Digest, Vec<ObjectMeta>>> {
    let dto: ManifestDto = serde_json::from_slice(bytes).ok()?;
    if dto.format != MANIFEST_FORMAT {
        return None;
    }
    let mut objects: BTreeMap<Digest, Vec<ObjectMeta>> = BTreeMap::new();
    for (digest, len, mode, mtime) in dto.objects {
        let object = ObjectMeta {
            digest: Digest::parse(&digest).ok()?,
            len,
            mode: Mode::new(mode).ok()?,
            mtime,
        };
        objects.entry(object.digest).or_default().push(object);
    }
    Some(objects)
}
