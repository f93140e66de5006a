//! Maintenance of the store: comparing every object with what was entered, and deleting unused
//! packs.
//!
//! Promises to delete only objects with names that the store gives, through open directories and
//! without following a link; to leave the builds of living processes alone; and that other
//! processes may use the store at the same time: if an object vanishes, they take it from its
//! source. Anything with another name is left alone and reported.
//! Does not promise that deleting frees space at once: the inodes that environments share with the
//! store remain.
//!
//! On disk meanwhile: what is deleted first moves to `packs/tmp-X`, see `Store::discard`.
//! Read next: `pack.rs`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;

use super::{
    FILES, LINKED, MANIFEST, ObjectMeta, Pack, Store, StoreError, USED, is_build, object_name,
    source,
};
use crate::base::digest::Digest;
use crate::fs::privacy::{Exposed, exposed};
use crate::fs::remove::{Leftovers, remove_tree};
use crate::fs::{Dir, FsError, Kind, Meta, NameInDir, Time};
use crate::plan::content::Owner;
use crate::plan::node::is_same_mode;

/// How much the store contains, or contained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// Unpacked sources.
    pub packs: u64,
    /// Files with content.
    pub objects: u64,
    /// Bytes of all objects.
    pub bytes: u64,
    /// Bytes of the objects that have further names elsewhere: deleting them here frees nothing.
    pub shared: u64,
}

/// The result of comparing the store with what was entered.
#[derive(Debug)]
pub struct Audit {
    /// What is in the store and is as it was entered.
    pub stock: Stock,
    /// What differs, by pack and object.
    pub faults: Vec<Fault>,
    /// Names among the packs that the store did not create.
    pub strangers: Vec<String>,
}

/// An entry that is not as it was entered.
#[derive(Debug)]
pub struct Fault {
    /// The name of the pack.
    pub pack: String,
    /// The path in the pack; `None` for the pack itself.
    pub path: Option<String>,
    /// What is wrong with it.
    pub flaw: Flaw,
    /// Why it could not be deleted, if it could not; what was deleted is entered again when it is
    /// wanted.
    pub kept: Option<FsError>,
}

/// What is wrong with an entry of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// It is not a pack: it has no readable manifest.
    Manifest,
    /// It is not a regular file.
    Kind,
    /// Its length differs.
    Length,
    /// Its bytes differ.
    Content,
    /// Its permission bits differ.
    Mode,
    /// It belongs to another user or group.
    Owner,
    /// Its modification time differs.
    Time,
    /// The manifest does not list it.
    Unlisted,
    /// It cannot be read.
    Unreadable,
}

/// What was deleted, and what was not.
#[derive(Debug, Default)]
pub struct Swept {
    /// What was deleted, including damaged packs.
    pub deleted: Stock,
    /// How many of the deleted packs were damaged.
    pub damaged: u64,
    /// How many builds of dead processes were deleted.
    pub builds: u64,
    /// How many builds were left alone because their processes may be alive.
    pub living: u64,
    /// What is still in the store.
    pub kept: Stock,
    /// Names among the packs that the store did not create.
    pub strangers: Vec<String>,
    /// What could not be deleted.
    pub leftovers: Leftovers,
}

/// What a name among the packs denotes.
enum Named {
    Pack(Digest),
    Build,
    Stranger,
}

impl Named {
    fn of(name: &OsStr) -> Self {
        match source(name) {
            Some(digest) => Self::Pack(digest),
            None if is_build(name) => Self::Build,
            None => Self::Stranger,
        }
    }
}

impl<'a> Store<'a> {
    /// Compares every object of every pack with what was entered, byte by byte, and deletes what
    /// differs.
    ///
    /// # Errors
    /// If the packs cannot be listed.
    ///
    /// # Crash
    /// A part of it is deleted; the next run finds the rest.
    pub fn verify(&self) -> Result<Audit, StoreError> {
        let mut audit = Audit {
            stock: Stock::default(),
            faults: Vec::new(),
            strangers: Vec::new(),
        };
        for name in self.fs.list(&self.packs)? {
            match Named::of(&name) {
                Named::Pack(digest) => self.verify_pack(&name, digest, &mut audit),
                Named::Build => {}
                Named::Stranger => audit.strangers.push(lossy(&name)),
            }
        }
        Ok(audit)
    }

    /// Deletes builds of dead processes, damaged packs, and packs that were not used for
    /// `unused_for` seconds and share no file with an environment.
    ///
    /// # Errors
    /// If the packs cannot be listed.
    ///
    /// # Crash
    /// A part of it is deleted; the next run deletes the rest.
    pub fn prune(&self, now: Time, unused_for: u64) -> Result<Swept, StoreError> {
        self.sweep(|pack, stock| {
            let used = pack.used().ok().flatten();
            let age = used.map_or(0, |used| now.seconds.saturating_sub(used.seconds));
            // A mark in the future comes from a wrong clock and counts as age zero.
            let is_old = u64::try_from(age.max(0)).is_ok_and(|age| age >= unused_for);
            // Deleting a pack that environments share frees next to nothing, and the next
            // environment would store it again.
            is_old && stock.shared == 0
        })
    }

    /// Deletes everything except the builds of living processes.
    ///
    /// # Errors
    /// If the packs cannot be listed.
    ///
    /// # Crash
    /// A part of it is deleted; the next run deletes the rest.
    pub fn clear(&self) -> Result<Swept, StoreError> {
        self.sweep(|_, _| true)
    }

    fn sweep(&self, is_waste: impl Fn(&Pack<'a>, &Stock) -> bool) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        for name in self.fs.list(&self.packs)? {
            match Named::of(&name) {
                Named::Build => self.sweep_build(&name, &mut swept),
                Named::Stranger => swept.strangers.push(lossy(&name)),
                Named::Pack(digest) => {
                    let stock = self.stock_of(&name);
                    match self.pack(digest).ok().flatten() {
                        Some(pack) if !is_waste(&pack, &stock) => swept.kept.add(&stock),
                        pack => {
                            let deleted = self.sweep_pack(&name, &stock, &mut swept);
                            swept.damaged += if pack.is_none() { deleted } else { 0 };
                        }
                    }
                }
            }
        }
        Ok(swept)
    }

    /// Deletes a pack, or whatever has its name; returns how many packs that were.
    fn sweep_pack(&self, name: &OsStr, stock: &Stock, swept: &mut Swept) -> u64 {
        match self.fs.meta(&self.packs, name) {
            // Another process was faster.
            Ok(None) => return 0,
            Ok(Some(_)) => {}
            Err(error) => {
                note(&mut swept.leftovers, error);
                return 0;
            }
        }
        match self.discard(name) {
            Ok(left) => {
                merge(&mut swept.leftovers, left);
                swept.deleted.add(stock);
                1
            }
            Err(error) => {
                note(&mut swept.leftovers, disk_error(error, name));
                swept.kept.add(stock);
                0
            }
        }
    }

    fn sweep_build(&self, name: &OsStr, swept: &mut Swept) {
        match self.lock_dead(name) {
            Ok(Some((dir, _held))) => {
                let mut stock = Stock::default();
                self.count_below(&dir, &mut stock);
                let left = remove_tree(self.fs, &self.packs, name);
                if left.count == 0 {
                    swept.builds += 1;
                    swept.deleted.add(&stock);
                }
                merge(&mut swept.leftovers, left);
            }
            Ok(None) => swept.living += 1,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                swept.strangers.push(lossy(name));
            }
            Err(error) => note(&mut swept.leftovers, error),
        }
    }

    fn verify_pack(&self, name: &OsStr, digest: Digest, audit: &mut Audit) {
        let flaw = match self.pack(digest) {
            Ok(Some(pack)) => return self.verify_objects(&pack, name, audit),
            Ok(None) => Flaw::Manifest,
            Err(_) => Flaw::Unreadable,
        };
        let flaw = match self.fs.meta(&self.packs, name) {
            Ok(None) => return,
            Ok(Some(meta)) => match exposed(self.fs, &meta) {
                Some(Exposed::Owner(_)) => Flaw::Owner,
                Some(Exposed::Mode(_)) if meta.kind == Kind::Dir => Flaw::Mode,
                Some(Exposed::Mode(_)) | None => flaw,
            },
            Err(_) => flaw,
        };
        let kept = match self.discard(name) {
            Ok(left) => left.first,
            Err(error) => Some(disk_error(error, name)),
        };
        audit.faults.push(Fault {
            pack: lossy(name),
            path: None,
            flaw,
            kept,
        });
    }

    fn verify_objects(&self, pack: &Pack<'a>, name: &OsStr, audit: &mut Audit) {
        audit.stock.packs += 1;
        let entered = pack.objects.values().flat_map(|same| &same.all);
        let entered = entered.map(|object| (object_name(object), *object));
        let entered: BTreeMap<OsString, ObjectMeta> = entered.collect();
        let mut found = Vec::new();
        for (dir, at) in [(&pack.dir, None), (&pack.files, Some(FILES))] {
            // If a directory cannot be listed, the objects are still checked below, one by one.
            for entry in self.fs.list(dir).unwrap_or_default() {
                let flaw = match at {
                    None if [MANIFEST, FILES, USED, LINKED]
                        .map(OsStr::new)
                        .contains(&&*entry) =>
                    {
                        None
                    }
                    None => Some(Flaw::Unlisted),
                    Some(_) => {
                        let object = entered.get(&entry);
                        self.examine(dir.at(&entry), object, pack.owner, &mut audit.stock)
                    }
                };
                if let Some(flaw) = flaw {
                    let path = at.map_or_else(String::new, |at| format!("{at}/"));
                    let path = path + &lossy(&entry);
                    found.push((path, flaw, self.drop_entry(dir, &entry)));
                }
            }
        }
        audit
            .faults
            .extend(found.into_iter().map(|(path, flaw, kept)| Fault {
                pack: lossy(name),
                path: Some(path),
                flaw,
                kept,
            }));
    }

    /// What is wrong with an entry among the objects; a correct one is counted.
    fn examine(
        &self,
        at: NameInDir<'_>,
        entered: Option<&ObjectMeta>,
        owner: Owner,
        stock: &mut Stock,
    ) -> Option<Flaw> {
        let meta = match self.fs.meta(at.dir, at.name) {
            Ok(Some(meta)) => meta,
            // Another process was faster.
            Ok(None) => return None,
            Err(_) => return Some(Flaw::Unreadable),
        };
        let Some(object) = entered else {
            return Some(Flaw::Unlisted);
        };
        let digest = || match self.fs.digest_file(at.dir, at.name) {
            Ok(digest) => (digest != object.digest).then_some(Flaw::Content),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(_) => Some(Flaw::Unreadable),
        };
        let flaw = if meta.kind != Kind::File {
            Some(Flaw::Kind)
        } else if Owner::of(&meta) != owner {
            Some(Flaw::Owner)
        } else if meta.len != object.len {
            Some(Flaw::Length)
        } else if let Some(flaw) = digest() {
            Some(flaw)
        } else if !is_same_mode(object.mode.bits(), meta.mode) {
            Some(Flaw::Mode)
        } else if (meta.mtime.seconds, meta.mtime.nanos) != (object.mtime, 0) {
            Some(Flaw::Time)
        } else {
            None
        };
        if flaw.is_none() {
            stock.count(&meta);
        }
        flaw
    }

    fn drop_entry(&self, dir: &Dir, name: &OsStr) -> Option<FsError> {
        let kind = self.fs.meta(dir, name).ok().flatten().map(|meta| meta.kind);
        if kind == Some(Kind::Dir) {
            return remove_tree(self.fs, dir, name).first;
        }
        let removed = self.fs.remove_file(dir, name).err();
        removed.filter(|error| error.kind() != ErrorKind::NotFound)
    }

    /// How much a pack contains; also works for a damaged one.
    fn stock_of(&self, name: &OsStr) -> Stock {
        let mut stock = Stock {
            packs: 1,
            ..Stock::default()
        };
        let files = self.fs.open_dir(&self.packs, name);
        if let Ok(files) = files.and_then(|dir| self.fs.open_dir(&dir, OsStr::new(FILES))) {
            self.count_below(&files, &mut stock);
        }
        stock
    }

    /// Counts as far as possible: the numbers are only shown to people.
    fn count_below(&self, dir: &Dir, stock: &mut Stock) {
        for name in self.fs.list(dir).unwrap_or_default() {
            match self.fs.meta(dir, &name) {
                Ok(Some(meta)) if meta.kind == Kind::Dir => {
                    if let Ok(below) = self.fs.open_dir(dir, &name) {
                        self.count_below(&below, stock);
                    }
                }
                Ok(Some(meta)) if meta.kind == Kind::File && name != MANIFEST => stock.count(&meta),
                Ok(_) | Err(_) => {}
            }
        }
    }
}

impl Stock {
    fn count(&mut self, meta: &Meta) {
        self.objects += 1;
        self.bytes += meta.len;
        if meta.links > 1 {
            self.shared += meta.len;
        }
    }

    fn add(&mut self, other: &Self) {
        self.packs += other.packs;
        self.objects += other.objects;
        self.bytes += other.bytes;
        self.shared += other.shared;
    }
}

fn note(leftovers: &mut Leftovers, error: FsError) {
    leftovers.count += 1;
    leftovers.first.get_or_insert(error);
}

fn merge(leftovers: &mut Leftovers, more: Leftovers) {
    leftovers.count += more.count;
    if let Some(first) = more.first {
        leftovers.first.get_or_insert(first);
    }
}

fn disk_error(error: StoreError, name: &OsStr) -> FsError {
    match error {
        StoreError::Disk(error) => error,
        StoreError::Source(_) | StoreError::Manifest(_) | StoreError::Crowded => FsError {
            verb: "delete, with so many other processes at it,",
            name: lossy(name),
            source: ErrorKind::ResourceBusy.into(),
        },
    }
}

fn lossy(name: &OsStr) -> String {
    name.to_string_lossy().into_owned()
}
