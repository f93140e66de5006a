//! The content store: sources such as wheels, unpacked once and linked into many trees.
//!
//! Promises that an object which the store hands out belongs to the user, and has the bytes, the
//! mode and the time that it was entered with. An object that changed since its bytes were known is
//! hashed first (`store/note.rs` says how that is known, and what it cannot notice). An object that
//! was edited or given to another user is entered again. A pack appears whole: it is built under a
//! temporary name, synced, and renamed. So kills, full disks and concurrent processes leave either
//! the pack or nothing that the store trusts. Anything that is not exactly a pack, or not private
//! to the user, counts as absent and is replaced.
//! Does not promise to exist: a caller that has the source can do without the store, even in the
//! middle of using it.
//!
//! On disk: `packs/SHA256/` of the source, with `manifest.json`, `files/DIGEST-MODE-MTIME`,
//! `linked` (`note.rs`) and `used`, whose modification time says when the pack was last used;
//! `packs/tmp-X` while a pack is built or deleted. The process that builds or deletes holds a lock
//! on `tmp-X`; if it died, the next builder deletes the directory.
//! Read next: `store/pack.rs` (what is handed out), `store/tend.rs` (verify, prune, clear),
//! `plan/content.rs`.

use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicUsize, Ordering};

use thiserror::Error;

use crate::base::digest::Digest;
use crate::fs::barrier::sync_trees;
use crate::fs::parallel::in_parallel;
use crate::fs::privacy::{check_private, open_private_dir};
use crate::fs::remove::{Leftovers, remove_tree};
use crate::fs::{Dir, Flush, Fs, FsError, Held, Lock, NewFile, Rename};
use crate::plan::node::Mode;

mod manifest;
mod note;
mod pack;
mod tend;

pub use pack::Pack;
pub use tend::{Audit, Fault, Flaw, Stock, Swept};

use manifest::Objects;

const PACKS: &str = "packs";
const MANIFEST: &str = "manifest.json";
const MANIFEST_BYTES_MAX: u64 = 64 << 20;
const FILES: &str = "files";
const USED: &str = "used";
/// Which objects were examined; its modification time says until when.
const LINKED: &str = "linked";
const TEMP_PREFIX: &str = "tmp-";
/// The name of a pack that is being deleted, inside a directory of its own.
const DISCARDED: &str = "discarded";
/// How many packs one sync may make durable; each has two open directories until then.
const BUILDS_MAX: usize = 64;
/// How often to try again when another process is faster.
const RACES_MAX: usize = 100;

/// An object's properties; two objects that differ in any of them are two inodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectMeta {
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// The number of bytes.
    pub len: u64,
    /// Permission bits.
    pub mode: Mode,
    /// Modification time in seconds since 1970.
    pub mtime: i64,
}

/// A source that can be unpacked into the store.
pub trait PackSource {
    /// Passes every object to `visit`, with bytes that were checked against their digest.
    ///
    /// # Errors
    /// If the source cannot be read, or the error of `visit`.
    #[expect(
        clippy::type_complexity,
        reason = "an alias would hide what an implementation calls"
    )]
    fn unpack(
        &self,
        visit: &mut dyn FnMut(ObjectMeta, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// Passes every object that is too long for [`unpack`](Self::unpack) to the visitor, with a
    /// reader that fails at its end unless the bytes have the digest. By default there is none.
    ///
    /// # Errors
    /// As [`unpack`](Self::unpack).
    fn unpack_long(
        &self,
        _visit: &mut dyn FnMut(ObjectMeta, &mut dyn Read) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A source to enter.
#[derive(Clone, Copy)]
pub struct NewPack<'c> {
    /// Its digest, the name of the pack.
    pub source: Digest,
    /// Its objects.
    pub content: &'c (dyn PackSource + Sync),
}

/// The store.
#[derive(Clone, Debug)]
pub struct Store<'a> {
    fs: &'a dyn Fs,
    packs: Dir,
}

/// Why the store cannot be used; this never makes a transaction fail.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A call of the disk failed.
    #[error("cannot use the store")]
    Disk(#[from] FsError),
    /// The source could not be read.
    #[error("cannot unpack the source")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The manifest is not valid.
    #[error("the manifest of the pack {0} is damaged")]
    Manifest(Digest),
    /// Other processes took every attempt for the build of a dead process.
    #[error("too many processes build packs at once")]
    Crowded,
}

impl<'a> Store<'a> {
    /// Opens the store in a directory of its own, and creates it there if it is absent.
    ///
    /// # Errors
    /// If the directory cannot be created, or is not private to the user.
    pub fn open(fs: &'a dyn Fs, dir: &Dir) -> Result<Self, StoreError> {
        if let Some(store) = Self::find(fs, dir)? {
            return Ok(store);
        }
        // A directory that root creates in another user's cache would keep that user from using and
        // deleting it.
        check_private(fs, dir)?;
        match fs.make_dir(dir, OsStr::new(PACKS), 0o700) {
            Ok(()) => fs.sync_dir(dir)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
        let packs = open_private_dir(fs, dir, OsStr::new(PACKS))?;
        Ok(Self { fs, packs })
    }

    /// Opens the store in a directory of its own, if it exists; creates nothing.
    ///
    /// # Errors
    /// If the store cannot be opened, or is not private to the user.
    pub fn find(fs: &'a dyn Fs, dir: &Dir) -> Result<Option<Self>, StoreError> {
        // In a shared directory another user could place any content under any digest.
        match open_private_dir(fs, dir, OsStr::new(PACKS)) {
            Ok(packs) => Ok(Some(Self { fs, packs })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The sources that were entered, by their digests; a pack may be damaged or gone by the time
    /// it is asked for.
    ///
    /// # Errors
    /// If the packs cannot be listed.
    pub fn sources(&self) -> Result<Vec<Digest>, StoreError> {
        let names = self.fs.list(&self.packs)?;
        let mut sources: Vec<Digest> = names.iter().filter_map(|name| source(name)).collect();
        sources.sort();
        Ok(sources)
    }

    /// The pack of a source, if it was entered; anything that is not exactly a pack counts as
    /// absent.
    ///
    /// # Errors
    /// The error of the disk.
    pub fn pack(&self, source: Digest) -> Result<Option<Pack<'a>>, StoreError> {
        Ok(Pack::open(self, OsString::from(source.to_string()))?)
    }

    /// Enters a source, unless another process does so meanwhile; replaces anything under that name
    /// that is not exactly a pack.
    ///
    /// # Errors
    /// The error of the source or of the disk; the store trusts nothing of a failed attempt.
    ///
    /// # Crash
    /// `packs/tmp-X` remains; the next process that enters a source deletes it.
    pub fn enter(
        &self,
        source: Digest,
        content: &(dyn PackSource + Sync),
    ) -> Result<Pack<'a>, StoreError> {
        let entered = self.enter_all(&[NewPack { source, content }])?.pop();
        entered.unwrap_or(Err(StoreError::Manifest(source)))
    }

    /// As [`Store::enter`], for several sources: they share the syncs, which take most of the time,
    /// and two of them are unpacked at once. The results have the order of the sources.
    ///
    /// # Errors
    /// Those of a sync, and of looking for dead builders; each source has a result of its own.
    ///
    /// # Crash
    /// A pack is whole or absent; one `packs/tmp-X` for each of the others may remain.
    pub fn enter_all(
        &self,
        new: &[NewPack<'_>],
    ) -> Result<Vec<Result<Pack<'a>, StoreError>>, StoreError> {
        self.delete_dead_builds()?;
        let mut entered = Vec::new();
        for some in new.chunks(BUILDS_MAX) {
            let builds = self.build_all(some);
            let named = self.name_all(some, &builds);
            for (index, build) in builds.iter().enumerate() {
                let is_named =
                    matches!(&named, Ok(named) if matches!(named.get(index), Some(Ok(()))));
                if let (false, Ok(build)) = (is_named, build) {
                    let _tidied = remove_tree(self.fs, &self.packs, &build.name);
                }
            }
            let all = some.iter().zip(builds).zip(named?);
            entered.extend(all.map(|((new, build), named)| {
                let _locked_until_here = build?;
                named?;
                let pack = self.pack(new.source)?;
                pack.ok_or(StoreError::Manifest(new.source))
            }));
        }
        Ok(entered)
    }

    /// Makes packs durable, then gives each that was built its name.
    fn name_all(
        &self,
        new: &[NewPack<'_>],
        builds: &[Result<Build, StoreError>],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        sync_trees(self.fs, builds.iter().flatten().map(|build| &build.dir))?;
        let named = new.iter().zip(builds).map(|(new, build)| match build {
            Ok(build) => self.name_build(&build.name, new.source),
            Err(_) => Ok(()),
        });
        let named = named.collect();
        self.fs.sync_dir(&self.packs)?;
        Ok(named)
    }

    /// Builds packs, two at once where that is faster; nothing of one that fails remains.
    fn build_all(&self, new: &[NewPack<'_>]) -> Vec<Result<Build, StoreError>> {
        let next = AtomicUsize::new(0);
        // Their sizes differ a lot, so each thread takes the next one.
        let take_all = || {
            let mut built = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(new) = new.get(index) else {
                    return built;
                };
                built.push((index, self.build_one(new.content)));
            }
        };
        let mut built = if new.len() < 2 {
            take_all()
        } else {
            let (mut one, other) = in_parallel(self.fs, take_all, take_all);
            one.extend(other);
            one
        };
        built.sort_by_key(|(index, _)| *index);
        built.into_iter().map(|(_, build)| build).collect()
    }

    fn build_one(&self, content: &dyn PackSource) -> Result<Build, StoreError> {
        let build = self.begin_build()?;
        if let Err(error) = self.fill(&build.dir, content) {
            let _tidied = remove_tree(self.fs, &self.packs, &build.name);
            return Err(error);
        }
        Ok(build)
    }

    /// Creates `tmp-X` and locks it, until it has its final name; an unlocked one belongs to a dead
    /// builder.
    fn begin_build(&self) -> Result<Build, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let name = self.fs.make_unique_dir(&self.packs, TEMP_PREFIX)?;
            match self.lock_build(&name) {
                Ok(Some((dir, held))) => {
                    return Ok(Build {
                        name,
                        dir,
                        _held: held,
                    });
                }
                // Another process took it for a dead builder's before it was locked.
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
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
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

    /// Writes a pack, which is not durable yet.
    fn fill(&self, dir: &Dir, content: &dyn PackSource) -> Result<(), StoreError> {
        self.fs.make_dir(dir, OsStr::new(FILES), 0o700)?;
        let files = self.fs.open_dir(dir, OsStr::new(FILES))?;
        let mut objects = Objects::new();
        content.unpack(&mut |object, bytes| {
            let known = &mut objects.entry(object.digest).or_default().all;
            if !known.contains(&object) {
                let file = new_object(&object, bytes, Flush::Later);
                self.fs.write_file(&files, &object_name(&object), &file)?;
                known.push(object);
            }
            Ok(())
        })?;
        content.unpack_long(&mut |object, reader| {
            let known = &mut objects.entry(object.digest).or_default().all;
            if !known.contains(&object) {
                let (name, file) = (object_name(&object), new_object(&object, &[], Flush::Later));
                self.fs.write_from(&files, &name, &file, reader)?;
                known.push(object);
            }
            Ok(())
        })?;
        let manifest = manifest::write(&objects);
        let file = NewFile {
            mode: 0o600,
            mtime: None,
            bytes: manifest.as_bytes(),
            flush: Flush::Later,
        };
        self.fs.write_file(dir, OsStr::new(MANIFEST), &file)?;
        Ok(())
    }

    /// Gives a pack its name. The store trusts it forever from then on, so it must be durable
    /// before.
    fn name_build(&self, name: &OsStr, source: Digest) -> Result<(), StoreError> {
        let named = OsString::from(source.to_string());
        for _ in 0..RACES_MAX {
            let (from, to) = (self.packs.at(name), self.packs.at(&named));
            match self.fs.rename(from, to, Rename::Replace) {
                Ok(()) => return Ok(()),
                Err(error) if !error.is_name_occupied() => return Err(error.into()),
                Err(_) => {}
            }
            if self.pack(source)?.is_some() {
                // Another process entered the same source first; both packs have the same content.
                let _tidied = remove_tree(self.fs, &self.packs, name);
                return Ok(());
            }
            self.discard(&named)?;
        }
        Err(StoreError::Crowded)
    }

    /// Moves what exists at a name into `tmp-X` in one rename, and deletes it there.
    ///
    /// # Crash
    /// It is deleted, or it is in `packs/tmp-X`, which the next builder deletes. A power cut may
    /// also leave a pack at its name without some of its files, which are then entered again one by
    /// one, or without its manifest: then it is not a pack.
    fn discard(&self, name: &OsStr) -> Result<Leftovers, StoreError> {
        // Move it into the locked directory, not over it: the deleting process holds the lock until
        // it is gone.
        let build = self.begin_build()?;
        let to = build.dir.at(DISCARDED);
        let rename = || self.fs.rename(self.packs.at(name), to, Rename::Replace);
        let moved = match rename() {
            Err(error) if error.is_forbidden() => {
                // A directory that its owner may not write cannot move to another one, so change
                // its mode first.
                let changed = self.fs.set_mode(&self.packs, name, 0o700);
                changed.map_err(|_| error).and_then(|()| rename())
            }
            moved => moved,
        };
        let mut left = remove_tree(self.fs, &self.packs, &build.name);
        if left.count > 0 {
            // A process that had the pack open may have created one more file in it.
            left = remove_tree(self.fs, &self.packs, &build.name);
        }
        match moved {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => Ok(left),
        }
    }

    fn delete_dead_builds(&self) -> Result<(), StoreError> {
        for name in self.fs.list(&self.packs)? {
            if is_build(&name)
                && let Ok(Some(_held)) = self.lock_dead(&name)
            {
                let _tidied = remove_tree(self.fs, &self.packs, &name);
            }
        }
        Ok(())
    }

    /// Locks the build of a dead process; `None` if the process may be alive.
    fn lock_dead(&self, name: &OsStr) -> Result<Option<(Dir, Held)>, FsError> {
        let dir = self.fs.open_dir(&self.packs, name)?;
        let held = self.fs.hold_dir(&dir)?;
        let is_dead = self.fs.try_lock(&held)? == Lock::Acquired;
        Ok(is_dead.then_some((dir, held)))
    }
}

/// A locked directory among the packs, in which a pack is built or deleted.
struct Build {
    name: OsString,
    dir: Dir,
    _held: Held,
}

/// The source that a name among the packs means, in the store's own spelling of a digest.
fn source(name: &OsStr) -> Option<Digest> {
    let digest = Digest::parse(name.to_str()?).ok()?;
    (OsStr::new(&digest.to_string()) == name).then_some(digest)
}

fn is_build(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with(TEMP_PREFIX)
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
