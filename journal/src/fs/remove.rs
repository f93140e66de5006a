//! Deletes a tree that is no longer needed.
//!
//! Promises to stay inside the directory that it is given: it walks by open directories, follows no
//! link, and does not touch a tree that contains a mount point. It opens directories whose mode
//! denies their own owner access. However deep or wide the tree is, few directories are open at
//! once, and nothing recurses.
//! Does not promise to succeed: what cannot be removed stays and is counted. Deletion is never part
//! of success.
//!
//! Where the disk serves several threads, as many of them delete a large tree; the report does not
//! depend on their number.
//! Read next: `recovery/settle.rs`, which only deletes what it has renamed to trash.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Scope, scope};

use crate::base::watch::{Deletion, Unwatched, Watch};
use crate::fs::{Dir, Fs, FsError, Kind, NameInDir, Rename};

/// The greatest depth of a directory that is open; deeper directories are first moved up.
const DEPTH_MAX: usize = 16;
/// How many objects one thread removes before a second thread is worth starting.
const ALONE_MAX: u64 = 512;
/// How many objects are removed between two calls to the observer.
const WATCH_EVERY: u64 = 64;

/// What could not be deleted.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// How many entries stayed.
    pub count: u64,
    /// Why the first of them in path order stayed; a directory that stays only because of its
    /// contents does not count here.
    pub first: Option<FsError>,
    /// Another user who owns the directory in which the first is, or the first itself.
    pub owner: Option<u32>,
    /// Whether the observer stopped the deletion: then there may be more, all of it trash that the
    /// next run deletes.
    pub stopped: bool,
}

impl Leftovers {
    /// Why the first entry stayed, in words: the error, and who else owns its directory or itself.
    #[must_use]
    pub fn why(&self) -> Option<String> {
        let first = self.first.as_ref()?;
        let owner = self.owner;
        let owner = owner.map_or_else(String::new, |user| {
            format!("; it, or its directory, belongs to user {user}")
        });
        Some(format!("{first}: {}{owner}", first.source))
    }
}

/// Deletes a directory and everything in it, as far as possible.
///
/// # Crash
/// What was not yet deleted keeps its name. That is a trash name, so the next run deletes it.
pub fn remove_tree(fs: &dyn Fs, parent: &Dir, name: &OsStr) -> Leftovers {
    remove_watched(fs, parent.at(name), &Unwatched)
}

/// As [`remove_tree`], with an observer.
pub(crate) fn remove_watched(fs: &dyn Fs, at: NameInDir<'_>, watch: &dyn Watch) -> Leftovers {
    let failed = |error| Leftovers {
        count: 1,
        first: Some(error),
        owner: other_owner(fs, at),
        stopped: false,
    };
    match open_to_empty(fs, at) {
        // Something is mounted there: to continue would delete on another filesystem.
        Ok(dir) if !fs.mounts_under(&dir).is_empty() => failed(FsError {
            verb: "delete",
            name: at.name.to_string_lossy().escape_debug().to_string(),
            source: ErrorKind::ResourceBusy.into(),
        }),
        Ok(_) => Removal::of(fs, at, watch).run(),
        Err(error) => failed(error),
    }
}

/// Opens a directory; if its own mode denies that, changes the mode first, since the tree is to be
/// deleted.
fn open_to_empty(fs: &dyn Fs, at: NameInDir<'_>) -> Result<Dir, FsError> {
    match fs.open_dir(at.dir, at.name) {
        Err(error) if error.is_forbidden() => {
            // If the directory belongs to another user, the first error explains why it stays.
            fs.set_mode(at.dir, at.name, 0o700).map_err(|_| error)?;
            fs.open_dir(at.dir, at.name)
        }
        opened => opened,
    }
}

/// Another user who owns the directory of an entry, or the entry itself: usually the reason why the
/// entry stays.
fn other_owner(fs: &dyn Fs, at: NameInDir<'_>) -> Option<u32> {
    let above = fs.meta_of(at.dir).ok();
    let own = fs.meta(at.dir, at.name).ok().flatten();
    let owners = [above, own].into_iter().flatten().map(|meta| meta.owner);
    owners.into_iter().find(|owner| *owner != fs.user())
}

/// A directory to empty and remove.
#[derive(Debug)]
struct Task {
    above: Arc<Above>,
    name: OsString,
}

/// An open directory that is removed as soon as it is empty.
#[derive(Debug)]
struct Above {
    /// `None` once it is about to be removed: some systems only remove directories that are not
    /// open.
    dir: Mutex<Option<Dir>>,
    /// Its place; `None` for the directory that contains the whole tree, which stays.
    at: Option<Task>,
    depth: usize,
    /// How many things it still waits for: the directories in it, and the removal of its own files.
    waits: AtomicUsize,
    /// Whether something in it stays.
    holds: AtomicBool,
}

impl Above {
    fn new(dir: &Dir, at: Option<Task>) -> Arc<Self> {
        Arc::new(Self {
            dir: Mutex::new(Some(dir.clone())),
            depth: at.as_ref().map_or(0, |task| task.above.depth + 1),
            at,
            waits: AtomicUsize::new(1),
            holds: AtomicBool::new(false),
        })
    }
}

impl Task {
    /// The open directory that contains it.
    fn dir(&self) -> Result<Dir, FsError> {
        let dir = locked(&self.above.dir).clone();
        dir.ok_or_else(|| FsError {
            verb: "find the directory of",
            name: self.name.to_string_lossy().escape_debug().to_string(),
            source: ErrorKind::NotFound.into(),
        })
    }

    /// The names that lead here, outermost first.
    fn path(&self) -> Vec<OsString> {
        let mut path = vec![self.name.clone()];
        let mut above = &self.above;
        while let Some(task) = &above.at {
            path.push(task.name.clone());
            above = &task.above;
        }
        path.reverse();
        path
    }
}

/// The state that all threads share.
struct Removal<'a> {
    fs: &'a dyn Fs,
    watch: &'a dyn Watch,
    queue: Mutex<Queue>,
    changed: Condvar,
    removed: AtomicU64,
    moved_up: AtomicU64,
    stopped: AtomicBool,
    left: Mutex<Left>,
}

#[derive(Default)]
struct Queue {
    tasks: Vec<Task>,
    /// Directories that were moved up. They come last, so that the directories above their old
    /// places close first.
    later: Vec<Task>,
    /// How many tasks are taken but not done.
    in_hand: usize,
    is_shared: bool,
}

#[derive(Default)]
struct Left {
    count: u64,
    first: Option<(Vec<OsString>, FsError)>,
    owner: Option<u32>,
}

/// A thread that panicked must not make another thread panic while it deletes.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Removal<'a> {
    fn of(fs: &'a dyn Fs, at: NameInDir<'_>, watch: &'a dyn Watch) -> Self {
        let task = Task {
            above: Above::new(at.dir, None),
            name: at.name.to_owned(),
        };
        Self {
            fs,
            watch,
            queue: Mutex::new(Queue {
                tasks: vec![task],
                ..Queue::default()
            }),
            changed: Condvar::new(),
            removed: AtomicU64::new(0),
            moved_up: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            left: Mutex::default(),
        }
    }

    fn run(self) -> Leftovers {
        scope(|scope| self.work(scope));
        let Left {
            count,
            first,
            owner,
        } = self
            .left
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        Leftovers {
            count,
            first: first.map(|(_, error)| error),
            owner,
            stopped: self.stopped.into_inner(),
        }
    }

    fn work<'s>(&'s self, scope: &'s Scope<'s, '_>) {
        while let Some(task) = self.next() {
            self.empty(task);
            self.done();
            self.share(scope);
        }
    }

    /// The newest task, so that few directories are open; waits while other threads may still add
    /// tasks.
    fn next(&self) -> Option<Task> {
        let mut queue = locked(&self.queue);
        loop {
            if self.stopped.load(Ordering::Relaxed) {
                return None;
            }
            let next = queue.tasks.pop();
            if let Some(task) = next.or_else(|| queue.later.pop()) {
                queue.in_hand += 1;
                return Some(task);
            }
            if queue.in_hand == 0 {
                return None;
            }
            let woken = self.changed.wait(queue);
            queue = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn done(&self) {
        let mut queue = locked(&self.queue);
        queue.in_hand -= 1;
        if queue.is_shared {
            self.changed.notify_all();
        }
    }

    /// Starts the other threads once the tree has turned out to be large.
    fn share<'s>(&'s self, scope: &'s Scope<'s, '_>) {
        if self.removed.load(Ordering::Relaxed) < ALONE_MAX {
            return;
        }
        let mut queue = locked(&self.queue);
        if queue.is_shared || queue.tasks.is_empty() {
            return;
        }
        queue.is_shared = true;
        drop(queue);
        for number in 1..self.fs.threads() {
            let name = format!("delete-{number}");
            let builder = std::thread::Builder::new().name(name);
            // If no thread can be started, this one does all the work.
            let _started = builder.spawn_scoped(scope, move || self.work(scope));
        }
    }

    fn empty(&self, task: Task) {
        let dir = match self.open(&task) {
            Ok(dir) => dir,
            Err(error) => {
                let fate = self.failed(&task, error);
                return self.ended(task.above, fate);
            }
        };
        if task.above.depth >= DEPTH_MAX
            && let Some(moved) = self.move_up(&task)
        {
            locked(&self.queue).later.push(moved);
            return self.ended(task.above, Fate::Goes);
        }
        let above = Above::new(&dir, Some(task));
        let fate = match self.fs.list(&dir) {
            Ok(names) => self.remove_files(&above, &dir, names),
            Err(error) => match &above.at {
                Some(task) => self.failed(task, error),
                None => Fate::Stays,
            },
        };
        drop(dir);
        self.ended(above, fate);
    }

    /// Removes everything that is not a directory, and adds the directories as tasks.
    fn remove_files(&self, above: &Arc<Above>, dir: &Dir, names: Vec<OsString>) -> Fate {
        let mut fate = Fate::Goes;
        let mut dirs = Vec::new();
        for name in names {
            if self.stopped.load(Ordering::Relaxed) {
                return Fate::Stays;
            }
            let found = self.remove_file(dir, &name);
            let task = |name| Task {
                above: Arc::clone(above),
                name,
            };
            match found {
                Ok(Found::Removed) => {}
                Ok(Found::Dir) => dirs.push(task(name)),
                Err(error) => fate = self.failed(&task(name), error),
            }
        }
        self.add(above, dirs);
        fate
    }

    /// Opens a directory so that it can be emptied and moved.
    fn open(&self, task: &Task) -> Result<Dir, FsError> {
        let dir = open_to_empty(self.fs, task.dir()?.at(&task.name))?;
        // It could be opened, but without its owner's w and x bits it can be neither emptied nor
        // moved.
        if let Ok(meta) = self.fs.meta_of(&dir)
            && meta.mode & 0o700 != 0o700
        {
            let _tried = self.fs.set_mode_of(&dir, 0o700);
        }
        Ok(dir)
    }

    /// Moves a directory to the top of the tree, so that the directories above it can be closed.
    /// The whole tree is to be deleted anyway.
    ///
    /// `None` if the name exists, or if the filesystem does not rename directories: then the
    /// directory is emptied in its place.
    fn move_up(&self, task: &Task) -> Option<Task> {
        let mut in_top = task;
        while in_top.above.depth > 1 {
            in_top = in_top.above.at.as_ref()?;
        }
        let number = self.moved_up.fetch_add(1, Ordering::Relaxed);
        let name = OsString::from(format!(".rvenv.deep-{number}"));
        let (from, to) = (task.dir().ok()?, in_top.dir().ok()?);
        let moved = self
            .fs
            .rename(from.at(&task.name), to.at(&name), Rename::Replace);
        moved.ok()?;
        let above = Arc::clone(&in_top.above);
        above.waits.fetch_add(1, Ordering::Relaxed);
        Some(Task { above, name })
    }

    /// Removes an entry that is not a directory. Most are not, so the call does not check
    /// beforehand.
    fn remove_file(&self, dir: &Dir, name: &OsStr) -> Result<Found, FsError> {
        let Err(error) = self.fs.remove_file(dir, name) else {
            self.count();
            return Ok(Found::Removed);
        };
        if error.kind() == ErrorKind::IsADirectory {
            return Ok(Found::Dir);
        }
        // Not every system returns that error for a directory.
        match self.fs.meta(dir, name) {
            Ok(Some(meta)) if meta.kind == Kind::Dir => Ok(Found::Dir),
            Ok(Some(_)) | Err(_) => Err(error),
            Ok(None) => Ok(Found::Removed),
        }
    }

    fn add(&self, above: &Above, dirs: Vec<Task>) {
        if dirs.is_empty() {
            return;
        }
        above.waits.fetch_add(dirs.len(), Ordering::Relaxed);
        let mut queue = locked(&self.queue);
        // Tasks are taken from the end, so the reversed order starts with the first directory.
        queue.tasks.extend(dirs.into_iter().rev());
        if queue.is_shared {
            self.changed.notify_all();
        }
    }

    /// Counts down what a directory waits for. After the last one it removes the directory, and
    /// then those above it that wait for nothing else.
    fn ended(&self, above: Arc<Above>, mut fate: Fate) {
        let mut above = above;
        loop {
            if fate == Fate::Stays {
                above.holds.store(true, Ordering::Relaxed);
            }
            // `AcqRel`: what other threads did to the contents happens before the removal.
            if above.waits.fetch_sub(1, Ordering::AcqRel) != 1 {
                return;
            }
            let Some(task) = &above.at else { return };
            drop(locked(&above.dir).take());
            fate = if above.holds.load(Ordering::Relaxed) {
                locked(&self.left).count += 1;
                Fate::Stays
            } else {
                let removed = task
                    .dir()
                    .and_then(|dir| self.fs.remove_dir(&dir, &task.name));
                match removed {
                    Ok(()) => {
                        self.count();
                        Fate::Goes
                    }
                    Err(error) => self.failed(task, error),
                }
            };
            above = Arc::clone(&task.above);
        }
    }

    /// Records what stays and why. What is already gone needs no record, since it was to be
    /// deleted.
    fn failed(&self, task: &Task, error: FsError) -> Fate {
        if error.kind() == ErrorKind::NotFound {
            return Fate::Goes;
        }
        let path = task.path();
        let mut left = locked(&self.left);
        left.count += 1;
        if left.first.as_ref().is_none_or(|(first, _)| path < *first) {
            left.first = Some((path, error));
            let dir = task.dir().ok();
            left.owner = dir.and_then(|dir| other_owner(self.fs, dir.at(&task.name)));
        }
        Fate::Stays
    }

    fn count(&self) {
        let count = self.removed.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_multiple_of(WATCH_EVERY) && self.watch.removed(count) == Deletion::Stop {
            self.stopped.store(true, Ordering::Relaxed);
            drop(locked(&self.queue));
            self.changed.notify_all();
        }
    }
}

/// What an attempt to remove a file found.
enum Found {
    /// The entry is gone.
    Removed,
    /// A directory, which still exists.
    Dir,
}

/// What happens to an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Goes,
    Stays,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::fs::real::RealFs;
    use crate::fs::sim::SimFs;
    use crate::fs::{Flush, NewFile};

    /// A directory `tree` with `dir`, which contains `inner`, which contains a file; the disk's
    /// user is not root.
    fn tree() -> (SimFs, Dir, Dir) {
        let disk = SimFs::new();
        let root = disk.open_path(Path::new("/")).unwrap();
        let mut at = root.clone();
        let mut dirs = Vec::new();
        for name in ["tree", "dir", "inner"].map(OsStr::new) {
            disk.make_dir(&at, name, 0o755).unwrap();
            at = disk.open_dir(&at, name).unwrap();
            dirs.push(at.clone());
        }
        let file = NewFile {
            mode: 0o400,
            mtime: None,
            bytes: b"x",
            flush: Flush::Later,
        };
        disk.write_file(&at, OsStr::new("file"), &file).unwrap();
        (disk, root, dirs.swap_remove(1))
    }

    #[test]
    fn directories_closed_to_their_own_owner_are_deleted() {
        for mode in [0o000, 0o100, 0o300, 0o400, 0o500, 0o077] {
            for closed in ["tree", "dir", "inner"] {
                let (disk, root, middle) = tree();
                if closed == "inner" {
                    disk.set_mode(&middle, OsStr::new(closed), mode).unwrap();
                } else if closed == "dir" {
                    disk.set_mode_of(&middle, mode).unwrap();
                } else {
                    disk.set_mode(&root, OsStr::new(closed), mode).unwrap();
                }
                let left = remove_tree(&disk, &root, OsStr::new("tree"));
                assert_eq!(left.count, 0, "{closed} of mode {mode:o}: {:?}", left.first);
                assert!(disk.list(&root).unwrap().is_empty());
            }
        }
    }

    /// I6: what belongs to another user stays, and the first failure in path order is the reason.
    #[test]
    fn a_closed_directory_of_another_user_stays() {
        let (disk, root, middle) = tree();
        disk.set_mode(&middle, OsStr::new("inner"), 0).unwrap();
        disk.set_user(7);
        let left = remove_tree(&disk, &root, OsStr::new("tree"));
        assert!(left.count > 0);
        let first = left.first.unwrap();
        assert_eq!(first.kind(), ErrorKind::PermissionDenied);
        assert_eq!((first.verb, first.name.as_str()), ("open", "inner"));
        assert_eq!(disk.tree(Path::new("/tree")).len(), 4);
    }

    /// A directory on the operating system's disk, and in it a tree to delete.
    fn place() -> (tempfile::TempDir, RealFs, Dir) {
        let place = tempfile::tempdir().unwrap();
        let disk = RealFs::new();
        let parent = disk.open_path(place.path()).unwrap();
        disk.make_dir(&parent, OsStr::new("tree"), 0o700).unwrap();
        (place, disk, parent)
    }

    fn write(disk: &RealFs, dir: &Dir, name: &str) {
        let file = NewFile {
            mode: 0o600,
            mtime: None,
            bytes: b"",
            flush: Flush::Later,
        };
        disk.write_file(dir, OsStr::new(name), &file).unwrap();
    }

    /// Makes nested directories, each with a file, and a file with the first name that a moved
    /// directory would get.
    #[cfg(unix)]
    fn make_deep(disk: &RealFs, parent: &Dir, depth: usize) {
        let mut at = disk.open_dir(parent, OsStr::new("tree")).unwrap();
        write(disk, &at, ".rvenv.deep-0");
        disk.make_dir(&at, OsStr::new(".rvenv.deep-1"), 0o700)
            .unwrap();
        for _ in 0..depth {
            write(disk, &at, "file");
            disk.make_dir(&at, OsStr::new("dir"), 0o700).unwrap();
            at = disk.open_dir(&at, OsStr::new("dir")).unwrap();
        }
    }

    /// Not on Windows, where everything goes by path and such a tree cannot be created.
    #[cfg(unix)]
    #[test]
    fn a_tree_that_is_deeper_than_any_path_is_deleted() {
        let (place, disk, parent) = place();
        make_deep(&disk, &parent, 2_000);
        let left = remove_tree(&disk, &parent, OsStr::new("tree"));
        assert_eq!(left.count, 0, "{:?}", left.first);
        assert!(disk.list(&parent).unwrap().is_empty());
        drop(place);
    }

    /// Makes a tree that is worth a second thread: 40 directories with 50 files and 2 directories
    /// of 5 files each.
    fn make_wide(disk: &RealFs, parent: &Dir) {
        let tree = disk.open_dir(parent, OsStr::new("tree")).unwrap();
        for dir in 0..40 {
            let name = format!("dir-{dir:02}");
            disk.make_dir(&tree, OsStr::new(&name), 0o700).unwrap();
            let dir = disk.open_dir(&tree, OsStr::new(&name)).unwrap();
            (0..50).for_each(|file| write(disk, &dir, &file.to_string()));
            for name in ["one", "two"] {
                disk.make_dir(&dir, OsStr::new(name), 0o700).unwrap();
                let dir = disk.open_dir(&dir, OsStr::new(name)).unwrap();
                (0..5).for_each(|file| write(disk, &dir, &file.to_string()));
            }
        }
    }

    #[derive(Debug)]
    struct Watcher {
        stop_at: u64,
        told: AtomicU64,
        threads: Mutex<std::collections::BTreeSet<String>>,
    }

    impl Watcher {
        fn new(stop_at: u64) -> Self {
            let (told, threads) = (AtomicU64::new(0), Mutex::default());
            Self {
                stop_at,
                told,
                threads,
            }
        }
    }

    impl Watch for Watcher {
        fn removed(&self, count: u64) -> Deletion {
            self.told.fetch_max(count, Ordering::Relaxed);
            let thread = format!("{:?}", std::thread::current().id());
            locked(&self.threads).insert(thread);
            if count >= self.stop_at {
                Deletion::Stop
            } else {
                Deletion::GoOn
            }
        }
    }

    #[test]
    fn a_large_tree_is_deleted_whole_and_its_watcher_is_notified() {
        let (_place, disk, parent) = place();
        make_wide(&disk, &parent);
        let watcher = Watcher::new(u64::MAX);
        let left = remove_watched(&disk, parent.at("tree"), &watcher);
        assert_eq!((left.count, left.stopped), (0, false), "{:?}", left.first);
        assert!(disk.list(&parent).unwrap().is_empty());
        // 40 * (50 + 2 * (5 + 1) + 1) + 1 objects.
        assert_eq!(watcher.told.into_inner(), 2521 / WATCH_EVERY * WATCH_EVERY);
        assert!(locked(&watcher.threads).len() <= disk.threads());
    }

    #[test]
    fn a_deletion_that_is_stopped_leaves_the_rest_where_it_is() {
        let (_place, disk, parent) = place();
        make_wide(&disk, &parent);
        let watcher = Watcher::new(1);
        let left = remove_watched(&disk, parent.at("tree"), &watcher);
        assert!(left.stopped);
        assert_eq!(watcher.told.into_inner(), WATCH_EVERY);
        let tree = disk.open_dir(&parent, OsStr::new("tree")).unwrap();
        assert!(disk.list(&tree).unwrap().len() > 30);
        // On Windows a directory keeps its name for as long as a handle to it is open.
        drop(tree);
        let left = remove_tree(&disk, &parent, OsStr::new("tree"));
        assert_eq!((left.count, left.stopped), (0, false), "{:?}", left.first);
        assert!(disk.list(&parent).unwrap().is_empty());
    }
}
