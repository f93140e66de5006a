//! A pack: one unpacked source, and the objects that it hands out.
//!
//! Promises to hand out an object only while it is a file with the owner, length, mode and time
//! that it was entered with, and to report since when its bytes are known. A pack that vanishes
//! meanwhile, because another process cleared the store, has nothing to hand out; that is not a
//! failure.
//! Does not promise that a caller can still link the object a moment later: it then asks again and
//! gets nothing.
//!
//! Read next: `tend.rs`, which compares the bytes too.

use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::manifest::{self, Objects};
use super::note::{self, Note};
use super::{
    FILES, LINKED, MANIFEST, MANIFEST_BYTES_MAX, ObjectMeta, Store, StoreError, USED, new_object,
    object_name,
};
use crate::base::digest::Digest;
use crate::fs::privacy::{open_private_dir, read_private_file};
use crate::fs::remove::remove_tree;
use crate::fs::{Dir, Flush, FsError, Rename, Time};
use crate::plan::content::{
    Custody, Examined, FILE_BYTES_MAX, Fetched, Owner, WHOLE_BYTES_MAX, Wanted, WriteContent,
};

/// How long a mark of use counts as current.
const USED_FOR_SECONDS: i64 = 24 * 60 * 60;

/// One unpacked source.
#[derive(Clone, Debug)]
pub struct Pack<'a> {
    store: Store<'a>,
    name: OsString,
    pub(super) dir: Dir,
    pub(super) files: Dir,
    pub(super) objects: Objects,
    /// User and group of every object.
    pub(super) owner: Owner,
    /// When all objects had been written.
    entered: Time,
    /// The note of the last run that linked objects.
    note: Option<Note>,
    /// Which objects this run examines.
    examined: Arc<[AtomicBool]>,
}

impl<'a> Pack<'a> {
    /// Opens what exists at a name, if it is a pack; another process may replace or delete it at
    /// the same time.
    pub(super) fn open(store: &Store<'a>, name: OsString) -> Result<Option<Self>, FsError> {
        let fs = store.fs;
        let Some(dir) = if_there(open_private_dir(fs, &store.packs, &name))? else {
            return Ok(None);
        };
        let at = dir.at(MANIFEST);
        let Some((bytes, manifest)) = if_there(read_private_file(fs, at, MANIFEST_BYTES_MAX))?
        else {
            return Ok(None);
        };
        let Some(objects) = manifest::read(&bytes) else {
            return Ok(None);
        };
        let Some(files) = if_there(open_private_dir(fs, &dir, OsStr::new(FILES)))? else {
            return Ok(None);
        };
        let own = fs.meta_of(&files)?;
        let count = objects.values().map(|same| same.all.len()).sum();
        // Every valid text is shorter than this limit.
        let linked = read_private_file(fs, dir.at(LINKED), count as u64 + 64);
        let note = linked
            .ok()
            .and_then(|(bytes, meta)| Note::read(&bytes, count, meta.mtime));
        Ok(Some(Self {
            store: store.clone(),
            name,
            dir,
            files,
            objects,
            owner: Owner::of(&own),
            entered: manifest.mtime,
            note,
            examined: note::list(count),
        }))
    }

    /// Returns an object with the wanted bytes, mode and time; or its bytes, if only its mode or
    /// time differs.
    ///
    /// `None` if the pack does not have such bytes, if the object was edited since, and if the pack
    /// is gone.
    ///
    /// # Errors
    /// The error of the disk.
    pub fn fetch(&self, wanted: &Wanted) -> Result<Option<Fetched>, StoreError> {
        if let Some((object, custody)) = self.fitting(wanted) {
            let name = object_name(object);
            let at = self.files.at(&name);
            let met = wanted.met(self.store.fs, at, Some(&custody))?;
            return Ok(met.map(|_| self.stored(name, custody)));
        }
        let Some(object) = self.entered(wanted.digest).first() else {
            return Ok(None);
        };
        if object.len > WHOLE_BYTES_MAX {
            return Ok(self.long(wanted.digest).map(|_| Fetched::Pieces));
        }
        let name = object_name(object);
        let bytes = match self.store.fs.read_file(&self.files, &name, FILE_BYTES_MAX) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        // An edit may keep length and time, and so may a power cut: then the source must provide
        // the bytes again.
        let is_whole = Digest::of(&bytes) == wanted.digest;
        Ok(is_whole.then_some(Fetched::Bytes(bytes)))
    }

    /// As [`Pack::fetch`], but does not check an object that can be linked: the caller that links
    /// it does.
    ///
    /// # Errors
    /// The error of the disk.
    pub fn locate(&self, wanted: &Wanted) -> Result<Option<Fetched>, StoreError> {
        match self.fitting(wanted) {
            Some((object, custody)) => Ok(Some(self.stored(object_name(object), custody))),
            None => self.fetch(wanted),
        }
    }

    /// The name of a whole object with these bytes, whatever its mode and time are; one that cannot
    /// be read counts as absent.
    fn long(&self, digest: Digest) -> Option<OsString> {
        let mut names = self.entered(digest).iter().map(object_name);
        let fs = self.store.fs;
        names.find(|name| matches!(fs.digest_file(&self.files, name), Ok(found) if found == digest))
    }

    /// Passes the bytes of an object to `write`, in pieces, after they were hashed; returns whether
    /// the pack has such an object.
    ///
    /// # Errors
    /// The error of the disk, or that of `write`.
    pub fn pour(&self, digest: Digest, write: &mut WriteContent<'_>) -> Result<bool, FsError> {
        let Some(name) = self.long(digest) else {
            return Ok(false);
        };
        let fs = self.store.fs;
        write(&mut fs.open_file(&self.files, &name, FILE_BYTES_MAX)?)?;
        Ok(true)
    }

    /// The object that can be linked for what is wanted, and what is known about it.
    fn fitting(&self, wanted: &Wanted) -> Option<(&ObjectMeta, Custody)> {
        let same = self.objects.get(&wanted.digest)?;
        let numbers = same.first..;
        let mut all = numbers.zip(&same.all);
        let (number, object) = all.find(|(_, object)| fits(object, wanted))?;
        let noted = self.note.as_ref().and_then(|note| note.of(number));
        let custody = Custody {
            owner: self.owner,
            known_until: noted.unwrap_or(self.entered),
            examined: Examined::new(&self.examined, number),
        };
        Some((object, custody))
    }

    fn stored(&self, name: OsString, custody: Custody) -> Fetched {
        Fetched::Stored {
            dir: self.files.clone(),
            name,
            custody: Some(custody),
        }
    }

    /// Notes which objects were examined and handed out; call it after the last link to them was
    /// created or removed.
    ///
    /// # Errors
    /// The error of the disk; without a note these objects are hashed when they are next wanted.
    ///
    /// # Crash
    /// The note is the old one, the new one, or none.
    pub fn note_examined(&self) -> Result<(), StoreError> {
        let Some(text) = note::write(&self.examined) else {
            return Ok(());
        };
        let fs = self.store.fs;
        let held = fs.hold_file(&self.dir, OsStr::new(LINKED))?;
        Ok(fs.write_held(&held, text.as_bytes())?)
    }

    /// Enters an edited object again, as a new inode.
    ///
    /// # Errors
    /// The error of the disk; `NotFound` if the pack is gone, and then nothing is created.
    ///
    /// # Crash
    /// `packs/tmp-X` may remain; the object is the old one or the new one.
    pub fn enter_again(&self, object: ObjectMeta, bytes: &[u8]) -> Result<(), StoreError> {
        self.enter_again_from(object, &mut &*bytes)
    }

    /// As [`Pack::enter_again`], with a reader, which fails at its end unless the bytes have the
    /// digest.
    ///
    /// # Errors
    /// As [`Pack::enter_again`], or the error of the reader.
    ///
    /// # Crash
    /// As [`Pack::enter_again`].
    pub fn enter_again_from(
        &self,
        object: ObjectMeta,
        bytes: &mut dyn Read,
    ) -> Result<(), StoreError> {
        let fs = self.store.fs;
        self.check_named()?;
        let name = object_name(&object);
        // Beside the packs, where the next process that enters a source looks for directories of
        // dead builders.
        let build = self.store.begin_build()?;
        let file = new_object(&object, &[], Flush::Now);
        let written = fs
            .write_from(&build.dir, &name, &file, bytes)
            .and_then(|()| fs.rename(build.dir.at(&name), self.files.at(&name), Rename::Replace));
        let _tidied = remove_tree(fs, &self.store.packs, &build.name);
        written?;
        Ok(fs.sync_dir(&self.files)?)
    }

    /// Marks the pack as used, so that it is not pruned; once a day is enough.
    ///
    /// # Errors
    /// The error of the disk, which affects nothing else.
    pub fn mark_used(&self, now: Time) -> Result<(), StoreError> {
        let fs = self.store.fs;
        let name = OsStr::new(USED);
        let noted = fs.meta(&self.dir, name)?.map(|meta| meta.mtime.seconds);
        // A mark in the future comes from a wrong clock.
        let age = noted.and_then(|noted| now.seconds.checked_sub(noted));
        if age.is_some_and(|age| (0..USED_FOR_SECONDS).contains(&age)) {
            return Ok(());
        }
        // Only its time counts, so it may be torn, and is never synced.
        let held = fs.hold_file(&self.dir, name)?;
        Ok(fs.write_held(&held, b"used\n")?)
    }

    /// When the pack was last used or entered.
    pub(super) fn used(&self) -> Result<Option<Time>, FsError> {
        let mut last = None;
        for name in [USED, MANIFEST] {
            let meta = self.store.fs.meta(&self.dir, OsStr::new(name))?;
            last = last.max(meta.map(|meta| meta.mtime));
        }
        Ok(last)
    }

    /// The objects that the pack was entered with under a digest.
    #[must_use]
    pub fn entered(&self, digest: Digest) -> &[ObjectMeta] {
        self.objects.get(&digest).map_or(&[], |same| &same.all)
    }

    /// Checks that the pack still has its name: what is entered into a discarded pack is lost.
    fn check_named(&self) -> Result<(), FsError> {
        let fs = self.store.fs;
        let named = fs.meta(&self.store.packs, &self.name)?;
        let ours = fs.meta_of(&self.dir)?.identity;
        if named.is_some_and(|meta| meta.identity == ours) {
            return Ok(());
        }
        Err(FsError {
            verb: "enter into the pack",
            name: self.name.to_string_lossy().into_owned(),
            source: ErrorKind::NotFound.into(),
        })
    }
}

/// Whether an object can be linked for what is wanted.
fn fits(object: &ObjectMeta, wanted: &Wanted) -> bool {
    object.mode == wanted.mode && Some(object.mtime) == wanted.mtime
}

/// Treats a missing object, or one of another form, as absent.
fn if_there<T>(found: Result<T, FsError>) -> Result<Option<T>, FsError> {
    match found {
        // `PermissionDenied` means that the object is not private to the user, who could read an
        // object of their own. It then counts as absent.
        Err(error) if !error.is_no_trusted_file() => Err(error),
        found => Ok(found.ok()),
    }
}
