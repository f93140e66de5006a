//! The operating system's disk, which counts each call and can refuse to remove one name.

#![expect(clippy::unwrap_used, reason = "tests unwrap")]
#![expect(unreachable_pub, reason = "a part of a test binary")]

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rvenv_journal::Digest;
use rvenv_journal::fs::real::RealFs;
use rvenv_journal::fs::{
    Acl, Barrier, Dir, Fs, FsError, Held, Layers, Lock, Meta, NameInDir, NewFile, Rename, Room,
    Sharing,
};

/// How often each verb was called.
pub type Calls = BTreeMap<&'static str, u64>;

#[derive(Debug)]
pub struct Counted {
    disk: RealFs,
    calls: Mutex<Calls>,
    /// A file of this name cannot be removed.
    pub stays: Option<&'static str>,
}

impl Counted {
    pub fn new() -> Self {
        Self {
            disk: RealFs::new(),
            calls: Mutex::default(),
            stays: None,
        }
    }

    /// The calls since the last `take`.
    pub fn take(&self) -> Calls {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    fn count(&self, verb: &'static str) {
        *self.calls.lock().unwrap().entry(verb).or_default() += 1;
    }
}

macro_rules! through {
    ($(fn $verb:ident(&self $(, $word:ident: $kind:ty)*) -> $answer:ty;)*) => {
        $(fn $verb(&self $(, $word: $kind)*) -> $answer {
            self.count(stringify!($verb));
            self.disk.$verb($($word),*)
        })*
    };
}

impl Fs for Counted {
    fn remove_file(&self, at: &Dir, name: &OsStr) -> Result<(), FsError> {
        self.count("remove_file");
        if self.stays.is_some_and(|stays| OsStr::new(stays) == name) {
            return Err(FsError {
                verb: "remove",
                name: name.to_string_lossy().into_owned(),
                source: ErrorKind::PermissionDenied.into(),
            });
        }
        self.disk.remove_file(at, name)
    }

    fn threads(&self) -> usize {
        self.disk.threads()
    }

    through! {
        fn open_path(&self, path: &Path) -> Result<Dir, FsError>;
        fn open_dir(&self, at: &Dir, name: &OsStr) -> Result<Dir, FsError>;
        fn make_dir(&self, at: &Dir, name: &OsStr, mode: u32) -> Result<(), FsError>;
        fn make_unique_dir(&self, at: &Dir, prefix: &str) -> Result<OsString, FsError>;
        fn write_file(&self, at: &Dir, name: &OsStr, file: &NewFile<'_>) -> Result<(), FsError>;
        fn make_symlink(&self, at: &Dir, name: &OsStr, target: &OsStr) -> Result<(), FsError>;
        fn link(&self, from: NameInDir<'_>, to: NameInDir<'_>) -> Result<(), FsError>;
        fn reflink(
            &self, from: NameInDir<'_>, to: NameInDir<'_>, mode: u32, mtime: Option<i64>
        ) -> Result<(), FsError>;
        fn read_file(&self, at: &Dir, name: &OsStr, len_max: u64) -> Result<Vec<u8>, FsError>;
        fn open_file(&self, at: &Dir, name: &OsStr, len_max: u64) -> Result<Box<dyn Read>, FsError>;
        fn digest_file(&self, at: &Dir, name: &OsStr) -> Result<Digest, FsError>;
        fn read_link(&self, at: &Dir, name: &OsStr) -> Result<OsString, FsError>;
        fn meta(&self, at: &Dir, name: &OsStr) -> Result<Option<Meta>, FsError>;
        fn meta_of(&self, dir: &Dir) -> Result<Meta, FsError>;
        fn list(&self, dir: &Dir) -> Result<Vec<OsString>, FsError>;
        fn set_mode_of(&self, dir: &Dir, mode: u32) -> Result<(), FsError>;
        fn set_mode(&self, at: &Dir, name: &OsStr, mode: u32) -> Result<(), FsError>;
        fn pin(&self, at: &Dir, name: &OsStr) -> Result<(), FsError>;
        fn layers(&self, dir: &Dir) -> Layers;
        fn may_write(&self, dir: &Dir) -> bool;
        fn rename(
            &self, from: NameInDir<'_>, to: NameInDir<'_>, how: Rename
        ) -> Result<(), FsError>;
        fn remove_dir(&self, at: &Dir, name: &OsStr) -> Result<(), FsError>;
        fn sync_file(&self, at: &Dir, name: &OsStr) -> Result<(), FsError>;
        fn sync_dir(&self, dir: &Dir) -> Result<(), FsError>;
        fn sync_filesystem(&self, dir: &Dir) -> Result<Barrier, FsError>;
        fn hold_file(&self, at: &Dir, name: &OsStr) -> Result<Held, FsError>;
        fn hold_dir(&self, dir: &Dir) -> Result<Held, FsError>;
        fn try_lock(&self, held: &Held) -> Result<Lock, FsError>;
        fn meta_of_held(&self, held: &Held) -> Result<Meta, FsError>;
        fn write_held(&self, held: &Held, bytes: &[u8]) -> Result<(), FsError>;
        fn make_plain_dir(&self, at: &Dir, name: &OsStr) -> Result<(), FsError>;
        fn has_default_acl(&self, dir: &Dir) -> bool;
        fn sharing(&self, dir: &Dir) -> Result<Sharing, FsError>;
        fn hand_down(&self, dir: &Dir, sharing: &Sharing) -> Result<(), FsError>;
        fn set_acl_of(&self, dir: &Dir, acl: Option<&Acl>) -> Result<(), FsError>;
        fn room(&self, dir: &Dir) -> Option<Room>;
        fn boot_id(&self) -> String;
        fn user(&self) -> u32;
        fn mounts_under(&self, dir: &Dir) -> Vec<PathBuf>;
        fn read_path(&self, path: &Path, len_max: u64) -> Result<Vec<u8>, FsError>;
        fn digest_path(&self, path: &Path) -> Result<(Digest, u64), FsError>;
    }
}
