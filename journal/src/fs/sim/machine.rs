//! A machine: the disk that programs see, the durable part of it, and the open objects.
//!
//! Promises that a change reaches both the live disk and the log together, so that no call can
//! forget one of them; and that a machine created from another's disk shares no handle and no lock
//! with it.
//!
//! Read next: `names.rs` (lookup and permission), `files.rs` and `verbs.rs` (the calls).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};

use super::disk::{Disk, Folder, Id, Inode, Layer, Name, Node, ROOT};
use super::log::{Cell, Covered, Delta, Log, Moment, Seq};
use super::step::{Need, Schedule, Spot, Step};
use super::{InodeNumbers, Options, Steps, Support};
use crate::base::identity::{Birth, Identity};
use crate::fs::{Dir, Held, Layers, Time};

/// The first second of every simulated clock.
const EPOCH_SECONDS: i64 = 1_700_000_000;
/// The inode number of the root, as on ext4.
const ROOT_NUMBER: u64 = 2;

/// The state of a simulated machine.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) options: Options,
    /// The disk that programs see.
    pub(super) live: Disk,
    pub(super) log: Log,
    pub(super) steps: Schedule,
    pub(super) user: u32,
    pub(super) mounts: Vec<PathBuf>,
    pub(super) layers: Layers,
    /// The holder of an object's lock: the handle, while it exists.
    pub(super) locks: BTreeMap<Id, Weak<Open>>,
    /// How often the power was cut.
    pub(super) boots: u64,
    pub(super) unique: u64,
    /// The name of files of which only the existence counts.
    pub(super) courtesy: Option<Name>,
    /// A token that all handles of this machine share.
    token: Arc<()>,
    clock: i64,
    born: u64,
    number_last: u64,
    freed: Vec<Freed>,
    opens: Vec<(Id, Weak<Open>)>,
    /// The machines that result if the process dies at a step, for each step since this was
    /// requested.
    crashes: Option<Vec<Machine>>,
}

/// An object held open.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) id: Id,
    /// The path by which it was opened, for stories.
    pub(super) path: Arc<str>,
    token: Arc<()>,
}

/// An inode number that may be reused.
#[derive(Clone, Debug)]
struct Freed {
    number: u64,
    /// The object that had it, if it may still be open.
    id: Option<Id>,
    /// The removal that freed the number.
    by: Seq,
}

impl Machine {
    pub(super) fn new(options: Options) -> Self {
        let user = 1000;
        let root = Inode {
            identity: Identity {
                inode: ROOT_NUMBER,
                birth: birth(&options, 0),
            },
            owner: user,
            mode: 0o755,
            mtime: time(0),
            ctime: time(0),
            names: 1,
            node: Node::Dir(Folder::default()),
            layer: Layer::Upper,
            is_courtesy: false,
            term: OnceLock::new(),
        };
        let live = Disk::new(root);
        Self {
            options,
            log: Log::new(live.clone()),
            live,
            steps: Schedule::default(),
            user,
            mounts: Vec::new(),
            layers: Layers::Plain,
            locks: BTreeMap::new(),
            boots: 0,
            unique: 0,
            courtesy: None,
            token: Arc::new(()),
            clock: 0,
            born: 0,
            number_last: ROOT_NUMBER,
            freed: Vec::new(),
            opens: Vec::new(),
            crashes: None,
        }
    }

    /// Keeps the machine of a process that dies, at each step from now on.
    pub(super) fn keep_crashes(&mut self) {
        self.crashes = Some(Vec::new());
    }

    /// The machines that were kept, in the order of steps.
    pub(super) fn take_crashes(&mut self) -> Vec<Self> {
        self.crashes.take().unwrap_or_default()
    }

    /// The machine of a process that died at the current step, if it is kept.
    pub(super) fn dying(&mut self) -> Option<&mut Self> {
        self.crashes.as_mut().and_then(|crashes| crashes.last_mut())
    }

    /// Keeps the machine of a process that dies at a step.
    fn keep_crash(&mut self, step: &Step) {
        let Some(mut crashes) = self.crashes.take() else {
            return;
        };
        let mut dead = self.clone();
        dead.steps.die_at(step.clone());
        crashes.push(dead);
        self.crashes = Some(crashes);
    }

    /// The machine after the process was killed: everything that it wrote exists, and is no more
    /// durable than before.
    pub(super) fn killed(&self) -> Self {
        let mut machine = self.started(self.live.clone(), self.log.clone());
        for mutation in &mut machine.log.pending {
            mutation.step = 0;
        }
        machine.freed.clone_from(&self.freed);
        machine
    }

    /// The machine after a power cut that left this disk.
    pub(super) fn booted(&self, disk: Disk) -> Self {
        let mut machine = self.started(disk.clone(), Log::new(disk));
        machine.boots += 1;
        if self.options.inode_numbers == InodeNumbers::Reused {
            let used: BTreeSet<u64> = machine.live.numbers().collect();
            let free = (ROOT_NUMBER..=self.number_last).filter(|number| !used.contains(number));
            machine.freed = free.map(Freed::at_boot).collect();
        }
        machine
    }

    fn started(&self, live: Disk, log: Log) -> Self {
        Self {
            options: self.options.clone(),
            live,
            log,
            steps: Schedule::default(),
            user: self.user,
            mounts: self.mounts.clone(),
            layers: self.layers,
            locks: BTreeMap::new(),
            boots: self.boots,
            unique: self.unique,
            courtesy: self.courtesy.clone(),
            token: Arc::new(()),
            clock: self.clock,
            born: self.born,
            number_last: self.number_last,
            freed: Vec::new(),
            opens: Vec::new(),
            crashes: None,
        }
    }

    /// Opens an object.
    pub(super) fn open(&mut self, id: Id, path: &str) -> Arc<Open> {
        let open = Arc::new(Open {
            id,
            path: path.into(),
            token: Arc::clone(&self.token),
        });
        if self.options.inode_numbers == InodeNumbers::Reused {
            self.opens.retain(|(_, open)| open.strong_count() > 0);
            self.opens.push((id, Arc::downgrade(&open)));
        }
        open
    }

    /// The object of a directory handle.
    pub(super) fn opened<'a>(&self, dir: &'a Dir) -> io::Result<&'a Arc<Open>> {
        self.own(dir.handle::<Arc<Open>>())
    }

    /// The object of a handle for locking.
    pub(super) fn held<'a>(&self, held: &'a Held) -> io::Result<&'a Arc<Open>> {
        self.own(held.handle::<Arc<Open>>())
    }

    fn own<'a>(&self, open: Option<&'a Arc<Open>>) -> io::Result<&'a Arc<Open>> {
        let is_own = |open: &&Arc<Open>| Arc::ptr_eq(&open.token, &self.token);
        let foreign = || {
            let why = "the handle is of another disk or another boot";
            io::Error::new(io::ErrorKind::InvalidInput, why)
        };
        open.filter(is_own).ok_or_else(foreign)
    }

    /// A numbered step that changes something.
    pub(super) fn step(&mut self, verb: &'static str, at: Spot, need: Need) -> io::Result<()> {
        self.step_to(verb, at, None, need)
    }

    /// A numbered step from one place to another.
    pub(super) fn step_to(
        &mut self,
        verb: &'static str,
        at: Spot,
        to: Option<Spot>,
        need: Need,
    ) -> io::Result<()> {
        self.clock += 1;
        let step = Step {
            verb,
            at,
            to,
            failed: None,
        };
        self.keep_crash(&step);
        self.steps.make(step, need)
    }

    /// A step that only reads, if such steps are numbered.
    pub(super) fn read_step(&mut self, verb: &'static str, at: Spot) -> io::Result<()> {
        match self.options.steps {
            Steps::Changes => Ok(()),
            Steps::ChangesAndReads => self.step(verb, at, Need::Nothing),
        }
    }

    /// Makes a change, on the live disk and in the log, in directories of the upper layer.
    pub(super) fn change(&mut self, change: Delta, needs: &[Seq]) -> Seq {
        match &change {
            Delta::Names(cells) => cells.iter().for_each(|cell| self.raise_dir(cell.dir)),
            Delta::Mode(dir, _) => self.raise_dir(*dir),
            Delta::Raise { .. } | Delta::Data(..) => {}
        }
        let moment = Moment {
            step: self.steps.made.len(),
            time: self.now(),
        };
        let seq = self.log.record(&self.live, change, moment, needs);
        if let Some(mutation) = self.log.pending.last() {
            mutation.apply(&mut self.live);
        }
        seq
    }

    /// Adds an object and its entry.
    pub(super) fn put_new(&mut self, dir: Id, name: &OsStr, mode: u32, mut node: Node) -> Id {
        // This comes before the number of the mutation that creates the object is known.
        self.raise_dir(dir);
        let (identity, needs) = self.new_identity();
        if let Node::Dir(folder) = &mut node {
            folder.parent = dir;
            folder.made = self.log.next();
        }
        let inode = Arc::new(Inode {
            identity,
            owner: self.user,
            mode,
            mtime: self.now(),
            ctime: self.now(),
            names: 0,
            node,
            layer: Layer::Upper,
            is_courtesy: self.courtesy.as_deref() == Some(name),
            term: OnceLock::new(),
        });
        let id = self.add(inode);
        let cell = Cell {
            dir,
            name: Name::from(name),
            child: Some(id),
        };
        self.change(Delta::Names(vec![cell]), &needs);
        id
    }

    /// Adds an object without a name.
    pub(super) fn add(&mut self, inode: Arc<Inode>) -> Id {
        let id = self.live.add(Arc::clone(&inode));
        let durable = self.log.base.add(inode);
        debug_assert_eq!(id, durable, "an object has one position in both disks");
        id
    }

    /// Gives an object one more name.
    pub(super) fn put(&mut self, dir: Id, name: &OsStr, child: Id) {
        let cell = Cell {
            dir,
            name: Name::from(name),
            child: Some(child),
        };
        self.change(Delta::Names(vec![cell]), &[]);
    }

    /// Removes an entry, and frees the inode number with the last name.
    pub(super) fn clear(&mut self, dir: Id, name: &OsStr) {
        let gone = self.live.child(dir, name);
        let cell = Cell {
            dir,
            name: Name::from(name),
            child: None,
        };
        let by = self.change(Delta::Names(vec![cell]), &[]);
        if let Some(gone) = gone {
            self.free(gone, by);
        }
    }

    /// Frees the inode number of an object without a name.
    pub(super) fn free(&mut self, id: Id, by: Seq) {
        let inode = self.live.get(id);
        if inode.names == 0 {
            let number = inode.identity.inode;
            let id = Some(id);
            self.freed.push(Freed { number, id, by });
        }
    }

    /// A number that is equal for machines that reuse the same inode numbers.
    pub(super) fn freed_digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for freed in &self.freed {
            (freed.number, freed.by).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Makes everything durable that a sync covers, or puts it in doubt.
    pub(super) fn sync(
        &mut self,
        covered: Covered,
        verb: &'static str,
        at: Spot,
    ) -> io::Result<()> {
        let outcome = self.step(verb, at, Need::Nothing);
        if outcome.is_ok() {
            self.log.sync(covered);
        } else if !self.steps.has_crashed() {
            self.log.sync_failed(covered);
        }
        outcome
    }

    pub(super) fn now(&self) -> Time {
        time(self.clock)
    }

    /// The identity of a new object, and the removals that freed its number.
    pub(super) fn new_identity(&mut self) -> (Identity, Vec<Seq>) {
        let (inode, needs) = self.new_number();
        let birth = self.new_birth();
        (Identity { inode, birth }, needs)
    }

    /// The birth time of an object that is created now.
    pub(super) fn new_birth(&mut self) -> Option<Birth> {
        self.born += 1;
        birth(&self.options, self.born)
    }

    /// An inode number, and the removals that freed it.
    fn new_number(&mut self) -> (u64, Vec<Seq>) {
        if self.options.inode_numbers == InodeNumbers::Reused {
            let opens = &self.opens;
            let is_open = |id| {
                let mut open = opens.iter().filter(|(open, _)| *open == id);
                open.any(|(_, handle)| handle.strong_count() > 0)
            };
            let is_free = |freed: &Freed| !freed.id.is_some_and(is_open);
            if let Some(at) = self.freed.iter().position(is_free) {
                let freed = self.freed.remove(at);
                return (freed.number, vec![freed.by]);
            }
        }
        self.number_last += 1;
        (self.number_last, Vec::new())
    }
}

impl Freed {
    fn at_boot(number: u64) -> Self {
        Self {
            number,
            id: None,
            by: 0,
        }
    }
}

impl Open {
    /// The object itself, for stories.
    pub(super) fn place(&self) -> Spot {
        Spot {
            dir: Arc::clone(&self.path),
            name: None,
        }
    }

    /// An entry in it.
    pub(super) fn entry(&self, name: &OsStr) -> Spot {
        Spot {
            dir: Arc::clone(&self.path),
            name: Some(Name::from(name)),
        }
    }
}

fn time(clock: i64) -> Time {
    Time {
        seconds: EPOCH_SECONDS + clock,
        nanos: 0,
    }
}

fn birth(options: &Options, born: u64) -> Option<Birth> {
    match options.births {
        Support::Present => Some(Birth {
            seconds: EPOCH_SECONDS.saturating_add_unsigned(born),
            nanos: 0,
        }),
        Support::Absent => None,
    }
}

/// Whether a position is the root, which has no name of its own.
pub(super) fn is_root(id: Id) -> bool {
    id == ROOT
}
