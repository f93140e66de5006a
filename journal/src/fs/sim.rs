//! A disk in memory that can be killed, made to fail, and cut off from power at every step.
//!
//! A testing tool (feature `sim`), for this engine and for crates that use it. Promises that every
//! call answers as Linux does, that equal calls give equal disks (numbers, names and times come
//! from counters), and that [`SimFs::for_each_image`] visits the disks that a crash may leave, each
//! once, each with its story.
//!
//! The fault model: a write is certain to survive a power cut only after it was synced; until then
//! anything that [`Persistence`] describes may happen. Sectors do not rot, and synced data is never
//! lost. Not modelled: quotas, extended attributes, groups, what directories hand down (a setgid
//! bit is only a bit of a mode here), other processes' memory, devices that lie about flushes.
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

/// The kind of filesystem and machine to simulate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether objects have a birth time.
    pub births: Support,
    /// Whether [`Rename::Exchange`](super::Rename::Exchange) works; if not, it fails with
    /// `InvalidInput`.
    pub exchange: Support,
    /// Whether [`Rename::NoReplace`](super::Rename::NoReplace) works; if not, it fails with
    /// `InvalidInput`.
    pub no_replace: Support,
    /// Whether the system has the call for renames with flags; if not, they fail with `Unsupported`
    /// before any other check.
    pub rename_flags: Support,
    /// Whether blocks can be shared; if not, this fails with `Unsupported`.
    pub reflink: Support,
    /// Whether one call makes everything durable.
    pub barrier: super::Barrier,
    /// Whether directories can be locked; files always can.
    pub directory_locks: Support,
    /// What happens to the inode number of a deleted object.
    pub inode_numbers: InodeNumbers,
    /// What a power cut may do to a rename between two directories, under
    /// [`Persistence::Independent`].
    pub moves: Moves,
    /// Which calls are numbered steps.
    pub steps: Steps,
    /// How many names a file may have; one more fails with `TooManyLinks`.
    pub links_max: u64,
}

/// Whether a filesystem supports something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It does.
    Present,
    /// It does not.
    Absent,
}

/// What happens to the inode number of a deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InodeNumbers {
    /// It is never reused.
    Fresh,
    /// The next object gets it, as on ext4 and tmpfs, once the old object is no longer open.
    Reused,
}

/// What a power cut may do to a rename between two directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moves {
    /// It happened or it did not.
    Atomic,
    /// The object may also be in both (POSIX promises no more), but never in neither.
    Split,
}

/// Which calls are numbered steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steps {
    /// Those that change something or sync.
    Changes,
    /// Also those that read, so that they can be made to fail.
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
        /// When the content was last modified.
        mtime: Time,
        /// The content.
        bytes: Arc<[u8]>,
    },
    /// A symbolic link.
    Symlink {
        /// Its target.
        target: PathBuf,
    },
    /// A FIFO.
    Other {
        /// Permission bits.
        mode: u32,
    },
}

impl Default for Options {
    /// A modern local filesystem without shared blocks: what ext4 supports.
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

    /// An empty disk with these options.
    #[must_use]
    pub fn with(options: Options) -> Self {
        Self::from_machine(Machine::new(options))
    }

    fn from_machine(machine: Machine) -> Self {
        Self(Mutex::new(machine))
    }

    /// A panic while the lock is held leaves at most a half-executed call of a failing test.
    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `steps` more steps succeed; at the next one the process dies, and every later call
    /// fails with [`Crashed`]. If the process dies during a write, half of the bytes are written.
    pub fn crash_after(&self, steps: usize) {
        self.machine().steps.crash_after(steps);
    }

    /// Keeps, at each step from now on, the disk of a process that dies there.
    ///
    /// One run then gives what one run per [`crash_after`](Self::crash_after) would give.
    pub fn keep_crashes(&self) {
        self.machine().keep_crashes();
    }

    /// Returns the kept disks in the order of the steps, and stops keeping more.
    #[must_use]
    pub fn take_crashes(&self) -> Vec<Self> {
        let crashes = self.machine().take_crashes();
        crashes.into_iter().map(Self::from_machine).collect()
    }

    /// Whether the process has died, so that a sweep knows that the run did not complete.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.machine().steps.has_crashed()
    }

    /// Makes a future step fail; several faults may be pending.
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

    /// Visits every disk that a crash right now may leave, equal ones once; returns how many.
    ///
    /// Each disk is freshly booted: nothing is locked, no handle of this disk works on it, no fault
    /// is pending. After a power cut everything on it is durable. Up to `bound` the visit is
    /// exhaustive; see [`Bound`] for larger numbers.
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

    /// As [`for_each_image`](Self::for_each_image), but creates only the images whose
    /// [`state_digest`](Self::state_digest) is new to the caller; the visitor gets the image's
    /// number among all images.
    pub fn for_each_new_image(
        &self,
        model: Persistence,
        bound: Bound,
        mut is_new: impl FnMut(u64) -> bool,
        mut visit: impl FnMut(usize, SimFs, &ImageStory<'_>),
    ) -> usize {
        // The visitor may use this disk, so it must not be locked meanwhile.
        let machine = self.machine().clone();
        let visitor = &mut images::Visitor {
            is_new: &mut is_new,
            visit: &mut |nth, machine, story| visit(nth, Self::from_machine(machine), story),
        };
        images::for_each(&machine, model, bound, visitor)
    }

    /// The disk as another process finds it if this one is killed now: the only image of
    /// [`Persistence::Kill`].
    #[must_use]
    pub fn killed(&self) -> SimFs {
        Self::from_machine(self.machine().killed())
    }

    /// The objects at a path and below it, by relative path; the object itself has the empty path.
    ///
    /// Empty if nothing exists there. This is not a step, and works on a dead machine. Links in
    /// `path` are not followed.
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

    /// A number that is equal for disks that no call can distinguish (apart from locks, clocks and
    /// counters).
    #[must_use]
    pub fn state_digest(&self) -> u64 {
        let machine = self.machine();
        machine.live.digest(&machine.live.reached())
    }

    /// A number that is equal for disks from which the next crash may leave the same images, apart
    /// from what [`state_digest`](Self::state_digest) covers.
    #[must_use]
    pub fn durable_digest(&self) -> u64 {
        let machine = self.machine();
        machine.log.digest() ^ machine.freed_digest()
    }

    /// Ignores everything about files with this name except that they exist: their content, times
    /// and identities make no other image and no other digest. Use this for a file that every run
    /// creates anew and that is not read, such as a lock file.
    pub fn set_courtesy(&self, name: &OsStr) {
        self.machine().courtesy = Some(name.into());
    }

    /// Changes the user that the process runs as; 0 may do everything.
    pub fn set_user(&self, user: u32) {
        self.machine().user = user;
    }

    /// Changes the result of [`Fs::mounts_under`](super::Fs::mounts_under), and which calls fail
    /// with `ResourceBusy` (renaming or removing a mount point) and `CrossesDevices` (a rename from
    /// one mount to another).
    pub fn set_mount_points(&self, paths: Vec<PathBuf>) {
        self.machine().mounts = paths;
    }

    /// Makes everything on the disk the lower layer of an overlayfs, as if it had been durable
    /// before the overlayfs was mounted.
    ///
    /// From now on [`Fs::layers`](super::Fs::layers) returns `Overlay`. A file or link that exists
    /// now gets another identity when it is first changed or moved, a directory when anything in it
    /// changes. No directory that exists now can be moved (`CrossesDevices`). All this survives a
    /// crash.
    pub fn seal_lower(&self) {
        self.machine().seal_lower();
    }

    /// Overwrites an existing file, which no call of [`Fs`](super::Fs) does: it keeps its identity
    /// and its mode.
    ///
    /// # Errors
    /// If the object there is not a file.
    pub fn overwrite(&self, at: &Dir, name: &OsStr, bytes: &[u8]) -> Result<(), FsError> {
        self.act("write", name, |machine| machine.overwrite(at, name, bytes))
    }

    /// Creates a FIFO: an object that is not a file, directory or link.
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
