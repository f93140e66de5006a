//! A disk in memory that can be killed, made to fail, and cut off from power at every step.
//!
//! A testing tool (feature `sim`), for this engine and for whoever builds on it. Promises that
//! every verb answers as Linux does, that equal calls give equal disks (numbers, names and times
//! come from counters), and that [`SimFs::for_each_image`] visits the disks that a crash may leave,
//! each once, each with its story.
//!
//! The fault model: a write survives a power cut for certain only once it was synced; until then
//! what [`Persistence`] says may happen. Sectors do not rot, and what was synced successfully is
//! never lost. Not modelled: quotas, extended attributes, groups, what directories hand down (a
//! setgid bit is a bit of a mode here), other processes' memory, devices that lie about flushes.
//!
//! Read next: `sim/log.rs` (what is not durable yet), `sim/images.rs` (what may survive),
//! `sim/verbs.rs`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Dir, FsError, Time};

mod bound;
mod disk;
mod files;
mod images;
mod layers;
mod log;
mod machine;
mod names;
mod rename;
mod step;
mod story;
mod verbs;

pub use bound::{Bound, Persistence};
pub use step::{Crashed, Fault, Reach};
pub use story::ImageStory;

use disk::{Disk, Node};
use machine::Machine;

/// A disk in memory and the one machine that uses it.
///
/// ```
/// use std::ffi::OsStr;
/// use std::path::Path;
/// use rvenv_journal::fs::sim::{Bound, Persistence, SimFs};
/// use rvenv_journal::fs::{Flush, Fs, NewFile};
///
/// let disk = SimFs::new();
/// let root = disk.open_path(Path::new("/"))?;
/// let file = NewFile { mode: 0o644, mtime: None, bytes: b"old", flush: Flush::Now };
/// disk.write_file(&root, OsStr::new("f"), &file)?;
/// let mut images = 0;
/// disk.for_each_image(Persistence::Independent, Bound::THOROUGH, |after, story| {
///     // The entry was not synced: the file is there with all its content, or it is not there.
///     assert!(after.tree(Path::new("/")).len() <= 2, "{story}");
///     images += 1;
/// });
/// assert_eq!(images, 2);
/// # Ok::<(), rvenv_journal::fs::FsError>(())
/// ```
pub struct SimFs(Mutex<Machine>);

/// What kind of filesystem and machine to simulate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether objects have a time of birth.
    pub births: Support,
    /// Whether [`Rename::Exchange`](super::Rename::Exchange) works; else it is `InvalidInput`.
    pub exchange: Support,
    /// Whether [`Rename::NoReplace`](super::Rename::NoReplace) works; else it is `InvalidInput`.
    pub no_replace: Support,
    /// Whether the system knows the call by which a rename exchanges or replaces nothing; else it
    /// is `Unsupported`, before anything is looked at.
    pub rename_flags: Support,
    /// Whether blocks can be shared; else it is `Unsupported`.
    pub reflink: Support,
    /// Whether one call makes everything durable.
    pub barrier: super::Barrier,
    /// Whether directories can be locked; files always can.
    pub directory_locks: Support,
    /// What becomes of the inode number of an object that is gone.
    pub inode_numbers: InodeNumbers,
    /// What a power cut may make of a rename between two directories, under
    /// [`Persistence::Independent`].
    pub moves: Moves,
    /// Which calls are numbered steps.
    pub steps: Steps,
    /// How many names a file may have; one more is `TooManyLinks`.
    pub links_max: u64,
}

/// Whether a filesystem can do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It can.
    Present,
    /// It cannot.
    Absent,
}

/// What becomes of the inode number of an object that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InodeNumbers {
    /// It never comes back.
    Fresh,
    /// The next object gets it, as on ext4 and tmpfs, once nothing holds the old one open.
    Reused,
}

/// What a power cut may make of a rename between two directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moves {
    /// It happened or it did not.
    Atomic,
    /// The object may also stand in both (POSIX promises no more), but never in neither.
    Split,
}

/// Which calls are numbered steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steps {
    /// Those that change something or sync.
    Changes,
    /// Those that read, too, so that they can be made to fail.
    ChangesAndReads,
}

/// An object of a tree, as [`SimFs::tree`] shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SimEntry {
    /// A directory.
    Dir {
        /// Permission bits.
        mode: u32,
    },
    /// A regular file.
    File {
        /// Permission bits.
        mode: u32,
        /// Last change of the content.
        mtime: Time,
        /// The content.
        bytes: Arc<[u8]>,
    },
    /// A symbolic link.
    Symlink {
        /// Where it leads.
        target: PathBuf,
    },
    /// A fifo.
    Other {
        /// Permission bits.
        mode: u32,
    },
}

impl Default for Options {
    /// A modern local filesystem without shared blocks: what ext4 can do.
    fn default() -> Self {
        Self {
            births: Support::Present,
            exchange: Support::Present,
            no_replace: Support::Present,
            rename_flags: Support::Present,
            reflink: Support::Absent,
            barrier: super::Barrier::Filesystem,
            directory_locks: Support::Present,
            inode_numbers: InodeNumbers::Fresh,
            moves: Moves::Atomic,
            steps: Steps::Changes,
            links_max: 65_000,
        }
    }
}

impl SimFs {
    /// An empty disk with the default [`Options`]; its root belongs to user 1000.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    /// An empty disk of a certain kind.
    #[must_use]
    pub fn with(options: Options) -> Self {
        Self::from_machine(Machine::new(options))
    }

    fn from_machine(machine: Machine) -> Self {
        Self(Mutex::new(machine))
    }

    /// A panic while the lock is held leaves at worst a half-made verb of a failing test.
    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `steps` more steps succeed; at the one after them the process dies, and every later
    /// call fails with [`Crashed`]. A write that is under way when the process dies leaves half of
    /// its bytes.
    pub fn crash_after(&self, steps: usize) {
        self.machine().steps.crash_after(steps);
    }

    /// Keeps, at each step from now on, the disk of a process that dies there.
    ///
    /// One run then gives what one run for each [`crash_after`](Self::crash_after) would give.
    pub fn keep_crashes(&self) {
        self.machine().keep_crashes();
    }

    /// The disks that were kept, in the order of the steps, and no more are.
    #[must_use]
    pub fn take_crashes(&self) -> Vec<Self> {
        let crashes = self.machine().take_crashes();
        crashes.into_iter().map(Self::from_machine).collect()
    }

    /// Whether the process has died, so that a sweep knows that the run did not come to its end.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.machine().steps.has_crashed()
    }

    /// Makes a step fail that is still to come; several faults may wait.
    pub fn fail(&self, fault: Fault) {
        self.machine().steps.fail(fault);
    }

    /// How many steps were made since boot.
    #[must_use]
    pub fn step_count(&self) -> usize {
        self.machine().steps.made.len()
    }

    /// The steps since boot, one line each.
    #[must_use]
    pub fn steps(&self) -> Vec<String> {
        let machine = self.machine();
        machine.steps.made.iter().map(ToString::to_string).collect()
    }

    /// Visits every disk that may be found after a crash right now, equal ones once; returns how
    /// many.
    ///
    /// Each is freshly booted: nothing is locked, no handle of this disk works on it, no fault
    /// waits. After a power cut all that it shows is durable. Up to `bound` the visit is
    /// exhaustive; see [`Bound`] for the rest.
    pub fn for_each_image(
        &self,
        model: Persistence,
        bound: Bound,
        mut visit: impl FnMut(SimFs, &ImageStory<'_>),
    ) -> usize {
        self.for_each_new_image(
            model,
            bound,
            |_| true,
            |_, image, story| visit(image, story),
        )
    }

    /// As [`for_each_image`](Self::for_each_image), but makes only those images whose
    /// [`state_digest`](Self::state_digest) is new to the caller; the visitor learns which of all
    /// images it is.
    pub fn for_each_new_image(
        &self,
        model: Persistence,
        bound: Bound,
        mut is_new: impl FnMut(u64) -> bool,
        mut visit: impl FnMut(usize, SimFs, &ImageStory<'_>),
    ) -> usize {
        // The visitor may use this disk: it must not be locked meanwhile.
        let machine = self.machine().clone();
        let visitor = &mut images::Visitor {
            is_new: &mut is_new,
            visit: &mut |nth, machine, story| visit(nth, Self::from_machine(machine), story),
        };
        images::for_each(&machine, model, bound, visitor)
    }

    /// The disk as another process finds it when this one is killed now: the one image of
    /// [`Persistence::Kill`].
    #[must_use]
    pub fn killed(&self) -> SimFs {
        Self::from_machine(self.machine().killed())
    }

    /// What stands at a path and below it, by path relative to it; the object itself has the empty
    /// path.
    ///
    /// Empty when nothing stands there. No step, and it works on a dead machine. Links in `path`
    /// are not followed.
    #[must_use]
    pub fn tree(&self, path: &Path) -> BTreeMap<String, SimEntry> {
        let machine = self.machine();
        let mut tree = BTreeMap::new();
        if let Some(id) = machine.find(path) {
            let mut open = vec![(String::new(), id)];
            while let Some((path, id)) = open.pop() {
                for (name, child) in machine
                    .live
                    .get(id)
                    .folder()
                    .map_or(&[][..], |f| &f.entries)
                {
                    let separator = if path.is_empty() { "" } else { "/" };
                    let below = format!("{path}{separator}{}", name.display());
                    open.push((below, *child));
                }
                tree.insert(path, entry(&machine.live, id));
            }
        }
        tree
    }

    /// A number that is equal for disks that no verb can tell apart (locks, clocks and counters
    /// aside).
    #[must_use]
    pub fn state_digest(&self) -> u64 {
        let machine = self.machine();
        machine.live.digest(&machine.live.reached())
    }

    /// A number that is equal for disks of which the same may survive the next crash,
    /// [`state_digest`](Self::state_digest) aside.
    #[must_use]
    pub fn durable_digest(&self) -> u64 {
        let machine = self.machine();
        machine.log.digest() ^ machine.freed_digest()
    }

    /// Files of this name count only as being there: what is written to them, when, and which
    /// objects they are makes no other image and no other digest. For what every run makes anew and
    /// nobody reads, as a lock file.
    pub fn set_courtesy(&self, name: &OsStr) {
        self.machine().courtesy = Some(name.into());
    }

    /// Changes whom the process runs as; 0 may do everything.
    pub fn set_user(&self, user: u32) {
        self.machine().user = user;
    }

    /// Changes what [`Fs::mounts_under`](super::Fs::mounts_under) says, and with it what is
    /// `ResourceBusy` (a mount point that is renamed or removed) and `CrossesDevices` (a rename
    /// from one mount into another).
    pub fn set_mount_points(&self, paths: Vec<PathBuf>) {
        self.machine().mounts = paths;
    }

    /// Makes all that there is the lower layer of an overlayfs, as if it had been there, durable,
    /// before it was mounted.
    ///
    /// From now on [`Fs::layers`](super::Fs::layers) says `Overlay`; a file or link that is there
    /// now gets another identity when it is first changed or moved, a directory when anything in it
    /// changes; and no directory that is there now can be moved (`CrossesDevices`). What a crash
    /// leaves keeps all this.
    pub fn seal_lower(&self) {
        self.machine().seal_lower();
    }

    /// Writes over a file that is there, as no verb of [`Fs`](super::Fs) does: it keeps its
    /// identity and its mode.
    ///
    /// # Errors
    /// What stands there must be a file.
    pub fn overwrite(&self, at: &Dir, name: &OsStr, bytes: &[u8]) -> Result<(), FsError> {
        self.act("write", name, |machine| machine.overwrite(at, name, bytes))
    }

    /// Makes a fifo: something that is no file, directory or link.
    ///
    /// # Errors
    /// As [`Fs::make_symlink`](super::Fs::make_symlink).
    pub fn make_other(&self, at: &Dir, name: &OsStr, mode: u32) -> Result<(), FsError> {
        let node = || (mode, Node::Other);
        self.act("make fifo", name, |machine| {
            machine.make(at, name, "mkfifo", node)
        })
    }
}

impl Default for SimFs {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SimFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimFs")
    }
}

fn entry(disk: &Disk, id: disk::Id) -> SimEntry {
    let inode = disk.get(id);
    let mode = inode.mode;
    match &inode.node {
        Node::Dir(_) => SimEntry::Dir { mode },
        Node::File(content) => SimEntry::File {
            mode,
            mtime: inode.mtime,
            bytes: Arc::clone(&content.bytes),
        },
        Node::Symlink(target) => SimEntry::Symlink {
            target: PathBuf::from(&**target),
        },
        Node::Other => SimEntry::Other { mode },
    }
}

#[cfg(test)]
mod tests;
