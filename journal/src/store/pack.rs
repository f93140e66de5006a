//! A pack: one unpacked source, and what it hands out.
//!
//! Promises that an object is handed out only while it is a file of the length, mode and time that it was entered with;
//! and that a pack which vanishes meanwhile, because somebody cleared the store, has nothing to hand out, which is no
//! failure.
//! Does not promise that what was handed out can still be linked a moment later: ask again then, and get nothing.
//!
//! Read next: `tend.rs`, which compares the bytes too.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;

use super::manifest::{self, Objects};
use super::{
    FILES, MANIFEST, MANIFEST_BYTES_MAX, ObjectMeta, Store, StoreError, USED, new_object,
    object_name,
};
use crate::content::{FILE_BYTES_MAX, Fetched, Wanted};
use crate::digest::Digest;
use crate::fs::{Dir, Flush, FsError, Rename, Time};
use crate::remove::remove_tree;

/// How long a note of use is true enough.
const USED_FOR_SECONDS: i64 = 24 * 60 * 60;

/// One unpacked source.
#[derive(Clone, Debug)]
pub struct Pack<'a> {
    store: Store<'a>,
    name: OsString,
    pub(super) dir: Dir,
    pub(super) files: Dir,
    pub(super) objects: Objects,
}

impl<'a> Pack<'a> {
    /// What stands at a name, if it is a pack; another process may replace or delete it at the same time.
    pub(super) fn open(store: &Store<'a>, name: OsString) -> Result<Option<Self>, FsError> {
        let fs = store.fs;
        let Some(dir) = if_there(fs.open_dir(&store.packs, &name))? else {
            return Ok(None);
        };
        let manifest = fs.read_file(&dir, OsStr::new(MANIFEST), MANIFEST_BYTES_MAX);
        let manifest = if_there(manifest)?;
        let Some(objects) = manifest.and_then(|bytes| manifest::read(&bytes)) else {
            return Ok(None);
        };
        let files = if_there(fs.open_dir(&dir, OsStr::new(FILES)))?;
        Ok(files.map(|files| Self {
            store: store.clone(),
            name,
            dir,
            files,
            objects,
        }))
    }

    /// An object with the wanted bytes, mode and time; or its bytes, when only its mode or time differs.
    ///
    /// `None` when the pack has no such bytes, when somebody edited the object since, and when the pack is gone.
    ///
    /// # Errors
    /// What the disk says.
    pub fn fetch(&self, wanted: &Wanted) -> Result<Option<Fetched>, StoreError> {
        let Some(objects) = self.objects.get(&wanted.digest) else {
            return Ok(None);
        };
        if let Some(object) = objects.iter().find(|object| fits(object, wanted)) {
            let name = object_name(object);
            let meta = self.store.fs.meta(&self.files, &name)?;
            return Ok(wanted.is_met_by(meta.as_ref()).then(|| self.stored(object)));
        }
        let Some(object) = objects.first() else {
            return Ok(None);
        };
        let name = object_name(object);
        let bytes = match self.store.fs.read_file(&self.files, &name, FILE_BYTES_MAX) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        // An edit may keep length and time, as a loss of power does: then the source has to be asked again.
        let is_whole = Digest::of(&bytes) == wanted.digest;
        Ok(is_whole.then_some(Fetched::Bytes(bytes)))
    }

    /// As [`Pack::fetch`], and does not look at an object that can be linked: whoever links it does.
    ///
    /// # Errors
    /// What the disk says.
    pub fn locate(&self, wanted: &Wanted) -> Result<Option<Fetched>, StoreError> {
        let mut objects = self.entered(wanted.digest).iter();
        match objects.find(|object| fits(object, wanted)) {
            Some(object) => Ok(Some(self.stored(object))),
            None => self.fetch(wanted),
        }
    }

    fn stored(&self, object: &ObjectMeta) -> Fetched {
        Fetched::Stored {
            dir: self.files.clone(),
            name: object_name(object),
        }
    }

    /// Enters an object again that somebody edited through a link, under a new inode.
    ///
    /// # Errors
    /// What the disk says; `NotFound` once the pack is gone, and then nothing is made.
    ///
    /// # Crash
    /// `packs/tmp-X` may remain; the object is the old one or the new one.
    pub fn enter_again(&self, object: ObjectMeta, bytes: &[u8]) -> Result<(), StoreError> {
        let fs = self.store.fs;
        self.check_named()?;
        let name = object_name(&object);
        // Beside the packs, where the next one who enters a source looks for what dead builders left.
        let build = self.store.begin_build()?;
        let file = new_object(&object, bytes, Flush::Now);
        let written = fs
            .write_file(&build.dir, &name, &file)
            .and_then(|()| fs.rename((&build.dir, &name), (&self.files, &name), Rename::Replace));
        let _tidied = remove_tree(fs, &self.store.packs, &build.name);
        written?;
        Ok(fs.sync_dir(&self.files)?)
    }

    /// Notes that the pack is in use, so that it is not pruned; once a day is enough.
    ///
    /// # Errors
    /// What the disk says, which matters to nobody else.
    pub fn mark_used(&self, now: Time) -> Result<(), StoreError> {
        let fs = self.store.fs;
        let name = OsStr::new(USED);
        let noted = fs.meta(&self.dir, name)?.map(|meta| meta.mtime.seconds);
        // A note of a time to come was made by a clock that was wrong.
        let age = noted.and_then(|noted| now.seconds.checked_sub(noted));
        if age.is_some_and(|age| (0..USED_FOR_SECONDS).contains(&age)) {
            return Ok(());
        }
        // Only its time counts, so it may be torn, and is never synced.
        let held = fs.hold_file(&self.dir, name)?;
        Ok(fs.write_held(&held, b"used\n")?)
    }

    /// When the pack was last wanted or entered.
    pub(super) fn used(&self) -> Result<Option<Time>, FsError> {
        let mut last = None;
        for name in [USED, MANIFEST] {
            let meta = self.store.fs.meta(&self.dir, OsStr::new(name))?;
            last = last.max(meta.map(|meta| meta.mtime));
        }
        Ok(last)
    }

    /// What the pack was entered with under a digest.
    #[must_use]
    pub fn entered(&self, digest: Digest) -> &[ObjectMeta] {
        self.objects.get(&digest).map_or(&[], Vec::as_slice)
    }

    /// Another process may have discarded the pack: what is entered into it then is lost, at a price.
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

/// What is absent, or something else than what was asked for, is not there.
fn if_there<T>(found: Result<T, FsError>) -> Result<Option<T>, FsError> {
    let is_absent = |kind| {
        matches!(
            kind,
            ErrorKind::NotFound
                | ErrorKind::NotADirectory
                | ErrorKind::InvalidInput
                | ErrorKind::FileTooLarge
        )
    };
    match found {
        Err(error) if !is_absent(error.kind()) => Err(error),
        found => Ok(found.ok()),
    }
}
