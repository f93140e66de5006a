//! Objects and the entries that name them: one state of a simulated disk.
//!
//! Promises that a copy is cheap (two copies share every object until one of them changes it) and
//! that two disks with the same digest look the same to every call.
//! Does not promise that every object has a name: an object without a name is dropped only at the
//! next boot.
//!
//! Read next: `log.rs`, which turns a running disk into a durable one.

use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, OnceLock};

use crate::base::digest::Digest;
use crate::base::identity::Identity;
use crate::fs::{Kind, Time};

/// The position of an object on a disk; unlike an inode number it is never reused.
pub(super) type Id = usize;
/// One component of a path.
pub(super) type Name = Arc<OsStr>;

/// The position of the root directory.
pub(super) const ROOT: Id = 0;

/// All objects of a disk, by position.
#[derive(Clone, Debug)]
pub(super) struct Disk(Arc<Vec<Option<Arc<Inode>>>>);

/// One object.
#[derive(Clone, Debug)]
pub(super) struct Inode {
    pub(super) identity: Identity,
    pub(super) owner: u32,
    pub(super) mode: u32,
    pub(super) mtime: Time,
    /// When anything about it last changed; like the clock, not part of [`Disk::digest`].
    pub(super) ctime: Time,
    /// How many entries name this object.
    pub(super) names: u64,
    pub(super) node: Node,
    pub(super) layer: Layer,
    /// Whether only its existence counts.
    pub(super) is_courtesy: bool,
    /// Its part of [`Disk::digest`], cached for all disks that share the object unchanged.
    pub(super) term: OnceLock<u64>,
}

/// Which layer contains an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Layer {
    /// The layer that receives changes.
    Upper,
    /// The lower layer, which never changes: a copy is made first.
    Lower,
    /// Both: a directory whose entries of both layers appear in one listing.
    Merged,
}

/// What an object is.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Dir(Folder),
    File(Arc<Content>),
    Symlink(Name),
    Other,
}

/// The entries of a directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Folder {
    /// Sorted by name; a vector, because directories are small and are copied more often than
    /// changed.
    pub(super) entries: Vec<(Name, Id)>,
    /// The directory that contains this one.
    pub(super) parent: Id,
    /// The mutation that created it; 0 for a directory that existed at boot.
    pub(super) made: u64,
}

/// The bytes of a file, and their cached digests.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) bytes: Arc<[u8]>,
    hash: u64,
    sha256: OnceLock<Digest>,
}

impl Content {
    pub(super) fn new(bytes: &[u8]) -> Arc<Self> {
        let mut hasher = DefaultHasher::new();
        hasher.write(bytes);
        Arc::new(Self {
            bytes: bytes.into(),
            hash: hasher.finish(),
            sha256: OnceLock::new(),
        })
    }

    /// The digest, computed once for all disks that share these bytes.
    pub(super) fn sha256(&self) -> Digest {
        *self.sha256.get_or_init(|| Digest::of(&self.bytes))
    }

    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }
}

impl Inode {
    pub(super) fn kind(&self) -> Kind {
        match &self.node {
            Node::Dir(_) => Kind::Dir,
            Node::File(_) => Kind::File,
            Node::Symlink(_) => Kind::Symlink,
            Node::Other => Kind::Other,
        }
    }

    pub(super) fn folder(&self) -> Option<&Folder> {
        match &self.node {
            Node::Dir(folder) => Some(folder),
            Node::File(_) | Node::Symlink(_) | Node::Other => None,
        }
    }

    pub(super) fn content(&self) -> Option<&Arc<Content>> {
        match &self.node {
            Node::File(content) => Some(content),
            Node::Dir(_) | Node::Symlink(_) | Node::Other => None,
        }
    }
}

impl Folder {
    pub(super) fn child(&self, name: &OsStr) -> Option<Id> {
        let at = self.position(name).ok()?;
        self.entries.get(at).map(|(_, child)| *child)
    }

    fn position(&self, name: &OsStr) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|(known, _)| (**known).cmp(name))
    }

    fn set(&mut self, name: &Name, child: Option<Id>) {
        match (self.position(name), child) {
            (Ok(at), Some(child)) => {
                if let Some(entry) = self.entries.get_mut(at) {
                    entry.1 = child;
                }
            }
            (Ok(at), None) => drop(self.entries.remove(at)),
            (Err(at), Some(child)) => self.entries.insert(at, (Name::clone(name), child)),
            (Err(_), None) => {}
        }
    }
}

impl Disk {
    /// A disk with only its root directory.
    pub(super) fn new(mut root: Inode) -> Self {
        root.names = 1;
        Self(Arc::new(vec![Some(Arc::new(root))]))
    }

    /// Adds an object without a name.
    pub(super) fn add(&mut self, inode: Arc<Inode>) -> Id {
        let all = Arc::make_mut(&mut self.0);
        all.push(Some(inode));
        all.len() - 1
    }

    pub(super) fn get(&self, id: Id) -> &Inode {
        self.0
            .get(id)
            .and_then(Option::as_deref)
            .expect("positions are dropped at boot only, when no handle and no mutation is left")
    }

    pub(super) fn edit(&mut self, id: Id) -> &mut Inode {
        let all = Arc::make_mut(&mut self.0);
        let inode = all
            .get_mut(id)
            .and_then(Option::as_mut)
            .map(Arc::make_mut)
            .expect("positions are dropped at boot only, when no handle and no mutation is left");
        inode.term = OnceLock::new();
        inode
    }

    /// The object of an entry.
    pub(super) fn child(&self, dir: Id, name: &OsStr) -> Option<Id> {
        self.get(dir).folder()?.child(name)
    }

    /// Makes an entry name another object, or removes it.
    pub(super) fn set_entry(&mut self, dir: Id, name: &Name, child: Option<Id>, now: Time) {
        if let Some(before) = self.child(dir, name) {
            let inode = self.edit(before);
            inode.names = inode.names.saturating_sub(1);
            inode.ctime = now;
        }
        if let Some(child) = child {
            let inode = self.edit(child);
            inode.names += 1;
            inode.ctime = now;
            if let Node::Dir(folder) = &mut inode.node {
                folder.parent = dir;
            }
        }
        let parent = self.edit(dir);
        (parent.mtime, parent.ctime) = (now, now);
        if let Node::Dir(folder) = &mut parent.node {
            folder.set(name, child);
        }
    }

    /// How many entries name each object, from the root down: 0 for lost objects.
    pub(super) fn reached(&self) -> Vec<u64> {
        let mut names = vec![0; self.0.len()];
        let mut open = vec![ROOT];
        if let Some(root) = names.get_mut(ROOT) {
            *root = 1;
        }
        while let Some(folder) = open.pop().and_then(|id| self.get(id).folder()) {
            for (_, child) in &folder.entries {
                let Some(count) = names.get_mut(*child) else {
                    continue;
                };
                *count += 1;
                if *count == 1 && self.get(*child).kind() == Kind::Dir {
                    open.push(*child);
                }
            }
        }
        names
    }

    /// The disk after a boot: without objects that no entry names.
    pub(super) fn pruned(&self, reached: &[u64]) -> Self {
        let keep = |(inode, names): (&Option<Arc<Inode>>, &u64)| {
            let mut inode = inode.clone().filter(|_| *names > 0)?;
            let is_made = inode.folder().is_some_and(|folder| folder.made != 0);
            if inode.names != *names || is_made {
                let inode = Arc::make_mut(&mut inode);
                inode.names = *names;
                if let Node::Dir(folder) = &mut inode.node {
                    folder.made = 0;
                }
            }
            Some(inode)
        };
        Self(Arc::new(self.0.iter().zip(reached).map(keep).collect()))
    }

    /// Everything that calls can see of the reachable objects, as one number.
    ///
    /// It is a sum over objects, so that a change of one object is a difference of two terms.
    pub(super) fn digest(&self, reached: &[u64]) -> u64 {
        let is_reached = |(_, names): &(_, &u64)| **names > 0;
        let ids = (0..self.0.len()).zip(reached).filter(is_reached);
        ids.fold(0, |sum: u64, (id, _)| {
            sum.wrapping_add(self.term(self.get(id)))
        })
    }

    /// The part of one object in [`Disk::digest`]; times of directories change with every entry and
    /// are left out.
    pub(super) fn term(&self, inode: &Inode) -> u64 {
        *inode.term.get_or_init(|| self.compute_term(inode))
    }

    fn compute_term(&self, inode: &Inode) -> u64 {
        let mut hasher = DefaultHasher::new();
        if inode.is_courtesy {
            inode.mode.hash(&mut hasher);
            return hasher.finish();
        }
        (inode.identity.inode, inode.owner, inode.mode).hash(&mut hasher);
        inode.layer.hash(&mut hasher);
        if let Some(birth) = inode.identity.birth {
            (birth.seconds, birth.nanos).hash(&mut hasher);
        }
        match &inode.node {
            Node::Dir(folder) => {
                for (name, child) in &folder.entries {
                    name.hash(&mut hasher);
                    let child = self.get(*child);
                    if !child.is_courtesy {
                        child.identity.inode.hash(&mut hasher);
                    }
                }
            }
            Node::File(content) => {
                let time = (inode.mtime.seconds, inode.mtime.nanos);
                (1_u8, content.hash, content.len(), time).hash(&mut hasher);
            }
            Node::Symlink(target) => (2_u8, target).hash(&mut hasher),
            Node::Other => 3_u8.hash(&mut hasher),
        }
        hasher.finish()
    }

    /// All positions with an object.
    pub(super) fn ids(&self) -> Vec<Id> {
        let there = |(id, inode): (Id, &Option<Arc<Inode>>)| inode.as_ref().map(|_| id);
        self.0.iter().enumerate().filter_map(there).collect()
    }

    /// The inode numbers in use, whether or not the objects have names.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.0.iter().flatten().map(|inode| inode.identity.inode)
    }
}
