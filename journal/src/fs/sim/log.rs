//! Changes that are not durable yet.
//!
//! Promises that every change is on the durable disk or in the list, with the changes that it
//! depends on. No filesystem
//! - keeps a later change of an entry and loses an earlier one of the same entry,
//! - removes a directory and keeps its contents, or
//! - moves an object into a directory that it loses.
//!
//! Does not determine what survives a power cut: `images.rs` chooses that.
//!
//! A failed sync leaves what it covered in doubt forever: a later sync that succeeds proves nothing
//! about it, because the kernel has dropped the pages that it could not write.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, OnceLock};

use super::disk::{Content, Disk, Id, Inode, Layer, Name, Node, ROOT};
use super::step::roomy;
use crate::base::identity::Identity;
use crate::fs::Time;

/// The number of a mutation, from 1.
pub(super) type Seq = u64;

/// The durable disk, and the mutations that it may lack.
#[derive(Clone, Debug)]
pub(super) struct Log {
    /// What survives a power cut if entries persist independently.
    pub(super) base: Disk,
    /// In the order in which they were made.
    pub(super) pending: Vec<Mutation>,
    /// The last mutation of the namespace that survives if the namespace persists in order.
    pub(super) ordered: Seq,
    last: Seq,
    /// The last mutation of each entry.
    touched: BTreeMap<(Id, Name), Seq>,
    /// The last mutation that moved a directory to another parent.
    moved: Seq,
    /// The mutations that gave directories an upper layer.
    pub(super) raised: BTreeMap<Id, Seq>,
}

/// One change, atomic on disk.
#[derive(Clone, Debug)]
pub(super) struct Mutation {
    pub(super) seq: Seq,
    /// The step that made it.
    pub(super) step: usize,
    pub(super) change: Delta,
    /// Mutations without which this one cannot survive.
    pub(super) needs: Vec<Seq>,
    pub(super) trust: Trust,
    time: Time,
}

/// Whether a sync can still make a mutation durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    Sound,
    /// A sync that covered it failed.
    Doubtful,
}

/// What a mutation changes.
#[derive(Clone, Debug)]
pub(super) enum Delta {
    /// Entries, changed together: one, or the two of a rename.
    Names(Vec<Cell>),
    /// The mode of a directory.
    Mode(Id, u32),
    /// The layer and the identity of a directory, through an entry in its parent.
    Raise {
        /// The parent directory.
        at: Id,
        /// The directory.
        dir: Id,
        /// Its identity from now on.
        identity: Identity,
    },
    /// The content, mode and time of a file.
    Data(Id, Data),
}

/// The object that an entry names from now on.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) dir: Id,
    pub(super) name: Name,
    pub(super) child: Option<Id>,
}

/// Everything that can be written about a file.
#[derive(Clone, Debug)]
pub(super) struct Data {
    pub(super) content: Arc<Content>,
    pub(super) mode: u32,
    pub(super) mtime: Time,
    pub(super) ctime: Time,
}

/// Which step makes a change, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) step: usize,
    pub(super) time: Time,
}

/// What a sync covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Covered {
    File(Id),
    Dir(Id),
    All,
}

impl Data {
    pub(super) fn write_to(&self, inode: &mut Inode) {
        inode.mode = self.mode;
        inode.mtime = self.mtime;
        inode.ctime = self.ctime;
        inode.node = Node::File(Arc::clone(&self.content));
        inode.term = OnceLock::new();
    }
}

impl Delta {
    pub(super) fn apply(&self, disk: &mut Disk, time: Time) {
        match self {
            Self::Names(cells) => {
                for cell in cells {
                    disk.set_entry(cell.dir, &cell.name, cell.child, time);
                }
            }
            Self::Mode(dir, mode) => {
                let inode = disk.edit(*dir);
                (inode.mode, inode.ctime) = (*mode, time);
            }
            Self::Raise { dir, identity, .. } => {
                let inode = disk.edit(*dir);
                inode.identity = *identity;
                inode.layer = Layer::Merged;
            }
            Self::Data(file, data) => data.write_to(disk.edit(*file)),
        }
    }

    /// Whether a sync of that object alone makes this durable (POSIX promises no more).
    fn is_of(&self, covered: Covered) -> bool {
        match (covered, self) {
            (Covered::All, _) => true,
            (Covered::File(file), Self::Data(changed, _)) => *changed == file,
            (Covered::Dir(dir), Self::Mode(changed, _)) => *changed == dir,
            (Covered::Dir(synced), Self::Raise { at, dir, .. }) => [*at, *dir].contains(&synced),
            (Covered::Dir(dir), Self::Names(cells)) => cells.iter().any(|cell| cell.dir == dir),
            (Covered::File(_), Self::Mode(..) | Self::Raise { .. } | Self::Names(_))
            | (Covered::Dir(_), Self::Data(..)) => false,
        }
    }

    /// Whether a sync of that object commits the namespace journal up to this change: its own entry
    /// counts too.
    fn is_journalled_with(&self, covered: Covered) -> bool {
        let leads_to = |id| match self {
            Self::Names(cells) => cells.iter().any(|cell| cell.child == Some(id)),
            Self::Mode(..) | Self::Raise { .. } | Self::Data(..) => false,
        };
        self.is_of(covered)
            || match covered {
                Covered::File(id) | Covered::Dir(id) => leads_to(id),
                Covered::All => true,
            }
    }
}

impl Mutation {
    pub(super) fn apply(&self, disk: &mut Disk) {
        self.change.apply(disk, self.time);
    }
}

impl Log {
    /// A log for a disk that is durable as it is.
    pub(super) fn new(base: Disk) -> Self {
        Self {
            base,
            pending: Vec::new(),
            ordered: 0,
            last: 0,
            touched: BTreeMap::new(),
            moved: 0,
            raised: BTreeMap::new(),
        }
    }

    /// The number that the next mutation will have.
    pub(super) fn next(&self) -> Seq {
        self.last + 1
    }

    /// A number that is equal for logs from which the same may survive.
    pub(super) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.base.digest(&self.base.reached()).hash(&mut hasher);
        for mutation in &self.pending {
            (mutation.seq <= self.ordered).hash(&mut hasher);
            (mutation.seq, mutation.trust == Trust::Sound).hash(&mut hasher);
            mutation.needs.hash(&mut hasher);
            match &mutation.change {
                Delta::Names(cells) => {
                    for cell in cells {
                        (cell.dir, &cell.name, cell.child).hash(&mut hasher);
                    }
                }
                Delta::Mode(dir, mode) => (dir, mode).hash(&mut hasher),
                Delta::Raise { at, dir, identity } => {
                    (at, dir, identity.inode).hash(&mut hasher);
                }
                Delta::Data(file, data) => {
                    (file, data.mode, &data.content.bytes).hash(&mut hasher);
                    (data.mtime.seconds, data.mtime.nanos).hash(&mut hasher);
                }
            }
        }
        hasher.finish()
    }

    /// Records a mutation of `live`, the disk that programs see, before it is applied there.
    pub(super) fn record(
        &mut self,
        live: &Disk,
        change: Delta,
        moment: Moment,
        needs: &[Seq],
    ) -> Seq {
        let mut needs = needs.to_vec();
        match &change {
            Delta::Names(cells) => self.needs_of(live, cells, &mut needs),
            Delta::Mode(dir, _) => needs.extend(self.raised.get(dir)),
            Delta::Raise { .. } | Delta::Data(..) => {}
        }
        needs.retain(|seq| self.is_pending(*seq));
        self.last += 1;
        if let Delta::Raise { dir, .. } = &change {
            self.raised.insert(*dir, self.last);
        }
        if let Delta::Names(cells) = &change {
            for cell in cells {
                let entry = (cell.dir, Name::clone(&cell.name));
                self.touched.insert(entry, self.last);
            }
            if moves_folder(live, cells) {
                self.moved = self.last;
            }
        }
        roomy(&mut self.pending).push(Mutation {
            seq: self.last,
            step: moment.step,
            change,
            needs,
            trust: Trust::Sound,
            time: moment.time,
        });
        self.last
    }

    /// Replaces the pending data of a file that is still being written, so that it counts as one
    /// choice; returns false if none of its data is pending.
    pub(super) fn amend(&mut self, file: Id, data: &Data) -> bool {
        let last = self.pending.iter_mut().rev();
        for mutation in last {
            if let Delta::Data(of, old) = &mut mutation.change
                && *of == file
            {
                *old = data.clone();
                return true;
            }
        }
        false
    }

    /// Makes everything durable that a sync covers.
    pub(super) fn sync(&mut self, covered: Covered) {
        let journalled = |m: &&Mutation| m.change.is_journalled_with(covered);
        if let Some(last) = self.pending.iter().rfind(journalled) {
            self.ordered = self.ordered.max(last.seq);
        }
        let mut due = BTreeSet::new();
        for mutation in self.pending.iter().rev() {
            let is_own = mutation.trust == Trust::Sound && mutation.change.is_of(covered);
            if is_own || due.contains(&mutation.seq) {
                due.insert(mutation.seq);
                due.extend(&mutation.needs);
            }
        }
        let mut written = BTreeMap::new();
        for mutation in &self.pending {
            if due.contains(&mutation.seq) {
                mutation.apply(&mut self.base);
                if let Delta::Data(file, _) = mutation.change {
                    written.insert(file, mutation.seq);
                }
            }
        }
        self.pending.retain(|mutation| match &mutation.change {
            // Overwritten data cannot come back, even if it was in doubt.
            Delta::Data(file, _) => written.get(file).is_none_or(|seq| mutation.seq > *seq),
            Delta::Names(_) | Delta::Mode(..) | Delta::Raise { .. } => !due.contains(&mutation.seq),
        });
    }

    /// Puts everything in doubt that a failed sync covered.
    pub(super) fn sync_failed(&mut self, covered: Covered) {
        for mutation in &mut self.pending {
            if mutation.change.is_of(covered) {
                mutation.trust = Trust::Doubtful;
            }
        }
    }

    /// The mutation that last changed an entry, if that is not durable yet.
    fn last_of(&self, dir: Id, name: &Name) -> Option<Seq> {
        let seq = *self.touched.get(&(dir, Name::clone(name)))?;
        self.is_pending(seq).then_some(seq)
    }

    fn is_pending(&self, seq: Seq) -> bool {
        self.pending.binary_search_by_key(&seq, |m| m.seq).is_ok()
    }

    /// The mutations that a change of entries depends on.
    fn needs_of(&self, live: &Disk, cells: &[Cell], needs: &mut Vec<Seq>) {
        for cell in cells {
            // An entry of the upper layer is in a directory of the upper layer.
            needs.extend(self.raised.get(&cell.dir));
            // The history of one entry survives as a prefix.
            needs.extend(self.last_of(cell.dir, &cell.name));
            // A removed directory was emptied first.
            if let Some(gone) = live.child(cell.dir, &cell.name) {
                let is_moved = cells.iter().any(|other| other.child == Some(gone));
                let gone_inode = live.get(gone);
                if !is_moved && gone_inode.names <= 1 && gone_inode.folder().is_some() {
                    let start = (gone, Name::from(OsStr::new("")));
                    let entries = self.touched.range(start..);
                    let own = entries.take_while(|((dir, _), _)| *dir == gone);
                    needs.extend(own.map(|(_, seq)| *seq));
                }
            }
        }
        if cells.len() > 1 {
            // An object from another directory may have been durable there: it must not vanish with
            // a directory that was not. Under another name in the same directory it vanishes with
            // it as before.
            let comes = |cell: &&Cell| {
                cell.child.is_some() && cells.iter().any(|other| other.dir != cell.dir)
            };
            for cell in cells.iter().filter(comes) {
                needs.extend(made(live, cell.dir));
            }
        }
        if moves_folder(live, cells) {
            // Otherwise two such moves could put two directories into each other.
            needs.push(self.moved);
        }
    }
}

/// The mutations that created a directory and those above it.
pub(super) fn made(live: &Disk, dir: Id) -> impl Iterator<Item = Seq> {
    let above = |id: &Id| {
        let parent = live.get(*id).folder().map(|folder| folder.parent);
        parent.filter(|_| *id != ROOT)
    };
    std::iter::successors(Some(dir), above)
        .filter_map(|id| live.get(id).folder().map(|folder| folder.made))
}

/// Whether a directory is moved to another parent.
fn moves_folder(live: &Disk, cells: &[Cell]) -> bool {
    let is_moved = |cell: &Cell| {
        let child = cell.child.map(|child| live.get(child));
        let moved = child.filter(|inode| inode.names > 0);
        moved
            .and_then(Inode::folder)
            .is_some_and(|folder| folder.parent != cell.dir)
    };
    cells.iter().any(is_moved)
}
