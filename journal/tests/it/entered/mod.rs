//! A small source for a content store, and what the store must hand out after it entered it.

#![expect(clippy::unwrap_used, reason = "tests unwrap")]

use std::ffi::OsStr;

use rvenv_journal::fs::{Dir, Fs};
use rvenv_journal::raw::Pack;
use rvenv_journal::{Digest, Fetched, Mode, ObjectMeta, PackSource, StoreError, Wanted};

/// Two objects with the same bytes and different modes, and another.
pub(crate) struct Source;

pub(crate) const MTIME: i64 = 1_700_000_000;

pub(crate) fn objects() -> Vec<(ObjectMeta, &'static [u8])> {
    let object = |bytes: &'static [u8], mode| {
        let meta = ObjectMeta {
            digest: Digest::of(bytes),
            len: bytes.len() as u64,
            mode,
            mtime: MTIME,
        };
        (meta, bytes)
    };
    vec![
        object(b"print()", Mode::SHARED_FILE),
        object(b"print()", Mode::SHARED_DIR),
        object(b"data", Mode::SHARED_FILE),
    ]
}

impl PackSource for Source {
    fn unpack(
        &self,
        visit: &mut dyn FnMut(ObjectMeta, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        // An object that is given twice is entered once.
        let all = objects().into_iter().chain(objects());
        all.into_iter()
            .try_for_each(|(meta, bytes)| visit(meta, bytes))
    }
}

pub(crate) fn key() -> Digest {
    Digest::of(b"a wheel")
}

pub(crate) fn wanted(object: &ObjectMeta) -> Wanted {
    Wanted {
        digest: object.digest,
        len: object.len,
        mode: object.mode,
        mtime: Some(object.mtime),
    }
}

/// Every object is handed out with its bytes, mode and time.
#[track_caller]
pub(crate) fn assert_whole(fs: &dyn Fs, pack: &Pack<'_>) {
    for (object, bytes) in objects() {
        match pack.fetch(&wanted(&object)).unwrap() {
            Some(Fetched::Stored { dir, name, .. }) => {
                assert_eq!(fs.read_file(&dir, &name, 100).unwrap(), bytes);
                let meta = fs.meta(&dir, &name).unwrap().unwrap();
                assert_eq!(meta.mode, object.mode.bits());
                assert_eq!((meta.mtime.seconds, meta.mtime.nanos), (MTIME, 0));
            }
            Some(Fetched::Bytes(_) | Fetched::Pieces) | None => {
                panic!("{object:?} is not handed out")
            }
        }
    }
}

pub(crate) fn names(fs: &dyn Fs, dir: &Dir) -> Vec<String> {
    let packs = fs.open_dir(dir, OsStr::new("packs")).unwrap();
    let names = fs.list(&packs).unwrap();
    names
        .iter()
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

/// Checks that every object that is handed out is right, and enters the source again where one is
/// missing, as a caller with the source does.
#[track_caller]
pub(crate) fn mend(fs: &dyn Fs, pack: &Pack<'_>) {
    for (object, bytes) in objects() {
        match pack.fetch(&wanted(&object)).unwrap() {
            Some(Fetched::Stored { dir, name, .. }) => {
                assert_eq!(fs.read_file(&dir, &name, 100).unwrap(), bytes);
            }
            Some(Fetched::Bytes(found)) => assert_eq!(found, bytes),
            Some(Fetched::Pieces) => panic!("{object:?} is short"),
            None => pack.enter_again(object, bytes).unwrap(),
        }
    }
}

/// The directory of the pack.
pub(crate) fn pack_dir(fs: &dyn Fs, dir: &Dir) -> Dir {
    let packs = fs.open_dir(dir, OsStr::new("packs")).unwrap();
    fs.open_dir(&packs, OsStr::new(&key().to_string())).unwrap()
}

/// The directory with the objects.
pub(crate) fn files_dir(fs: &dyn Fs, dir: &Dir) -> Dir {
    fs.open_dir(&pack_dir(fs, dir), OsStr::new("files"))
        .unwrap()
}

/// The name of an object.
pub(crate) fn name_of(object: &ObjectMeta) -> String {
    format!("{}-{}-{}", object.digest, object.mode, object.mtime)
}
