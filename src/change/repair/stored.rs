//! Damaged distributions whose bytes the content store has: only the damaged files are written, and
//! the others are already what the `RECORD` lists.
//!
//! Promises that the result is one whole distribution, the one of its `RECORD`: the store must
//! have every damaged file by the digest in the list, and each of its bytes is hashed. Nothing
//! comes from the store if the list itself is damaged, lists a damaged file without a digest, or
//! lists it twice with different ones. Does not write: the engine links or copies the objects
//! later.
//!
//! Read next: `whole.rs`, which uses this; `../provision.rs`, which passes the bytes on.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::ErrorKind;

use rvenv_journal::fs::{Dir, FsError, Kind};
use rvenv_journal::raw::{Input, Pack};
use rvenv_journal::{
    Content, Digest, Fetched, Fs, Mode, Node, ObjectMeta, Operation, RelPath, Wanted,
};

use super::modules::module;
use super::survey::{Placed, open};
use crate::build::hooks::Context;
use crate::build::roles;
use crate::change::provision::StoreAccess;
use crate::change::verify::{LIST_BYTES_MAX, has_lib64, place};
use crate::wheel::program_mode;
use crate::wheel::record::{self, Hash};

/// The part of the plan that has what comes from the store.
const PART: &str = "store";

/// What the list of a distribution says of a file: its digest, and its length if it has one.
type Sum = (Digest, Option<u64>);

/// The damaged files of a distribution, as its list has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    sums: BTreeMap<RelPath, Sum>,
    /// The list itself, which stays as it is.
    list: (RelPath, Node),
    /// The modules and packages at the top of the distribution.
    modules: BTreeSet<String>,
}

/// The damaged files of a distribution, as objects of the store.
#[derive(Clone, Debug)]
pub struct Stored {
    files: BTreeMap<RelPath, StoredFile>,
    pub(super) modules: BTreeSet<String>,
}

/// What is planned of a distribution.
#[derive(Debug, Default)]
pub(super) struct Restored {
    pub(super) operations: BTreeMap<RelPath, Operation>,
    /// The packs.
    pub(super) inputs: Vec<Input>,
}

#[derive(Clone, Debug)]
struct StoredFile {
    pack: Input,
    object: ObjectMeta,
}

impl Listed {
    /// What the list says of each damaged file; `None` if it does not give the digest of each.
    pub(super) fn of(fs: &dyn Fs, root: &Dir, damaged: &Placed) -> Result<Option<Self>, FsError> {
        let (Some(info), true) = (damaged.info(), damaged.has_every_path) else {
            return Ok(None);
        };
        let own = info.join("RECORD").ok();
        let Some(own) = own.filter(|own| !damaged.damaged.contains(own)) else {
            return Ok(None);
        };
        let dir = open(fs, root, &info)?;
        let name = OsStr::new("RECORD");
        let list = fs.read_file(&dir, name, LIST_BYTES_MAX)?;
        let mode = fs.meta(&dir, name)?.map_or(0o644, |meta| meta.mode & 0o777);
        let Ok(mode) = Mode::new(mode) else {
            return Ok(None);
        };
        let node = Node::File {
            mode,
            mtime: None,
            content: Content::Object {
                digest: Digest::of(&list),
                len: list.len() as u64,
            },
        };
        let lib64 = has_lib64(fs, root);
        let mut sums: BTreeMap<RelPath, Sum> = BTreeMap::new();
        for (text, row) in record::rows(list.as_slice()).flatten() {
            let path = place(damaged.site.as_str(), &text, lib64);
            let path = path.ok().and_then(|path| RelPath::new(&path).ok());
            let (Some(path), Hash::Sha256(digest)) = (path, row.hash) else {
                continue;
            };
            let sum = (digest, row.len);
            if damaged.damaged.contains(&path)
                && sums.insert(path, sum).is_some_and(|other| other != sum)
            {
                return Ok(None);
            }
        }
        let below = |path: &RelPath| {
            let below = path.as_str().strip_prefix(damaged.site.as_str())?;
            module(below.strip_prefix('/')?).map(str::to_owned)
        };
        let all = damaged.listed.iter().chain(&damaged.damaged);
        let modules = all.filter_map(below).collect();
        let is_whole = sums.len() == damaged.damaged.len();
        let list = (own, node);
        Ok(is_whole.then_some(Self {
            sums,
            list,
            modules,
        }))
    }

    /// Finds all of these files in the store; `None` if one is not there with its very bytes.
    #[must_use]
    pub fn find(&self, access: StoreAccess<'_>) -> Option<Stored> {
        let store = access.find()?;
        let mut missing = self.sums.clone();
        let mut files = BTreeMap::new();
        for source in store.sources().ok()? {
            if missing.is_empty() {
                break;
            }
            // A pack that is damaged or gone has nothing.
            let Ok(Some(pack)) = store.pack(source) else {
                continue;
            };
            let input = Input {
                role: roles::PACK.to_owned(),
                path: format!("packs/{source}"),
                found: None,
                url: None,
                digest: source,
                len: 0,
            };
            missing.retain(|path, sum| {
                let Some(object) = whole_object(&pack, *sum) else {
                    return true;
                };
                let pack = input.clone();
                files.insert(path.clone(), StoredFile { pack, object });
                false
            });
        }
        let modules = self.modules.clone();
        missing.is_empty().then_some(Stored { files, modules })
    }
}

/// The object of a pack with these bytes, which are read.
fn whole_object(pack: &Pack<'_>, (digest, len): Sum) -> Option<ObjectMeta> {
    let object = *pack.entered(digest).first()?;
    let wanted = Wanted {
        digest,
        len: object.len,
        mode: object.mode,
        // Any time fits, so that the bytes are read and hashed.
        mtime: None,
    };
    let is_as_long = len.is_none_or(|len| len == object.len);
    let fetched = if is_as_long {
        pack.fetch(&wanted).ok()?
    } else {
        None
    };
    matches!(fetched, Some(Fetched::Bytes(_))).then_some(object)
}

impl Stored {
    /// Whether this has each of the files, as they are listed now.
    pub(super) fn has(&self, listed: &Listed) -> bool {
        let has = |(path, (digest, _)): (&RelPath, &Sum)| {
            let file = self.files.get(path);
            file.is_some_and(|file| file.object.digest == *digest)
        };
        listed.sums.iter().all(has)
    }

    /// Plans the damaged files, the directories above them, and the list as it is, so that the
    /// receipt says which installation they belong to.
    pub(super) fn plan(
        &self,
        fs: &dyn Fs,
        root: &Dir,
        context: &Context,
        listed: &Listed,
    ) -> Result<Restored, FsError> {
        let mut restored = Restored::default();
        for path in listed.sums.keys() {
            let Some(StoredFile { pack, object }) = self.files.get(path) else {
                continue;
            };
            let umask = context.options.umask;
            let is_program = object.mode.bits() & 0o111 != 0;
            let mode = if is_program {
                program_mode(umask)
            } else {
                Mode::ALL_DATA.masked(umask)
            };
            let node = Node::File {
                mode,
                // Length and time may be as they were, so those prove nothing about what exists.
                mtime: is_absent(fs, root, path)?.then_some(object.mtime),
                content: Content::Object {
                    digest: object.digest,
                    len: object.len,
                },
            };
            restored.add(context, path, node);
            if !restored.inputs.contains(pack) {
                restored.inputs.push(pack.clone());
            }
        }
        let (path, node) = &listed.list;
        restored.add(context, path, node.clone());
        Ok(restored)
    }
}

impl Restored {
    /// Plans a file and the directories above it.
    fn add(&mut self, context: &Context, path: &RelPath, node: Node) {
        let mut above = path.parent();
        while let Some(dir) = above {
            above = dir.parent();
            let node = Node::Dir {
                mode: context.dir_mode(),
            };
            self.operations.entry(dir).or_insert(operation(node));
        }
        self.operations.insert(path.clone(), operation(node));
    }
}

fn operation(node: Node) -> Operation {
    Operation {
        part: PART.into(),
        // Files are mended one by one: those around them are whole.
        group: None,
        node,
    }
}

fn is_absent(fs: &dyn Fs, root: &Dir, path: &RelPath) -> Result<bool, FsError> {
    let dir = match path.parent() {
        Some(above) => match open(fs, root, &above) {
            Ok(dir) => dir,
            // Something else is in the place of a directory, and goes with what is below it.
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(true);
            }
            Err(error) => return Err(error),
        },
        None => root.clone(),
    };
    let meta = fs.meta(&dir, OsStr::new(path.name()))?;
    Ok(meta.is_none_or(|meta| meta.kind != Kind::File))
}
