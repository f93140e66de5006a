//! Inventory: the environments below a directory.
//!
//! Promises to follow no symbolic link below the directory, to enter no environment, no directory
//! of a repository's own and nothing that rvenv keeps beside a target, to read a bounded number of
//! directories, to name what it cannot read, and to write and start nothing.
//!
//! Read next: `verify/glance.rs`, what a glance at one environment shows.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use rvenv_journal::Fs;
use rvenv_journal::fs::{Dir, FsError, Kind, Time};
use rvenv_journal::raw::{Size, counted};

use crate::build::pyvenv_cfg::CONFIG_NAME;
use crate::change::clearable::is_checkout;

/// The limit of directories that a search reads: a home directory has fewer.
pub const DIRS_MAX: u64 = 200_000;
/// The limit of directories inside each other; each is open while those in it are read.
const DEPTH_MAX: usize = 100;

/// The environments below a directory, and what could not be read.
#[derive(Debug, Default)]
pub struct Inventory {
    /// The environments, sorted by their paths.
    pub found: Vec<Found>,
    /// The directories that could not be read, each with the reason.
    pub unread: Vec<(PathBuf, String)>,
    /// Why the search ended early, if it did.
    pub ended: Option<EndedEarly>,
}

/// An environment.
#[derive(Debug)]
pub struct Found {
    /// Its path.
    pub path: PathBuf,
    /// When its `pyvenv.cfg` last changed.
    pub time: Time,
    /// How much it has, unless a part of it cannot be read.
    pub size: Result<Size, FsError>,
}

/// Why a search did not read every directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedEarly {
    /// There are more than [`DIRS_MAX`].
    TooMany,
    /// The caller asked to stop.
    Stopped,
}

/// A directory that waits to be read.
struct Waiting {
    /// The open directory that has it, and its name there; none for the first one.
    within: Option<(Dir, OsString)>,
    path: PathBuf,
    depth: usize,
}

/// Searches for environments in and below a directory; `read` is called with the number of
/// directories after each, and returns whether to go on.
pub fn search(fs: &dyn Fs, below: &Path, read: &mut dyn FnMut(u64) -> bool) -> Inventory {
    let mut inventory = Inventory::default();
    let mut waiting = vec![Waiting {
        within: None,
        path: below.to_path_buf(),
        depth: 0,
    }];
    let mut count = 0;
    while let Some(next) = waiting.pop() {
        if count >= DIRS_MAX {
            inventory.ended = Some(EndedEarly::TooMany);
            break;
        }
        count += 1;
        let seen = look(fs, &next);
        match seen {
            Ok(Seen::Environment(found)) => inventory.found.push(found),
            Ok(Seen::Directory(more)) => waiting.extend(more),
            Err(why) => inventory.unread.push((next.path, why)),
        }
        if !read(count) {
            inventory.ended = Some(EndedEarly::Stopped);
            break;
        }
    }
    inventory.found.sort_by(|one, two| one.path.cmp(&two.path));
    inventory.unread.sort();
    inventory
}

enum Seen {
    Environment(Found),
    /// The directories in it.
    Directory(Vec<Waiting>),
}

fn look(fs: &dyn Fs, at: &Waiting) -> Result<Seen, String> {
    let told = |error: FsError| error.source.to_string();
    let dir = match &at.within {
        Some((above, name)) => fs.open_dir(above, name),
        None => fs.open_path(&at.path),
    };
    let dir = dir.map_err(told)?;
    let config = fs.meta(&dir, OsStr::new(CONFIG_NAME)).map_err(told)?;
    if let Some(config) = config.filter(|config| config.kind == Kind::File) {
        return Ok(Seen::Environment(Found {
            path: at.path.clone(),
            time: config.ctime,
            size: size(fs, &dir),
        }));
    }
    if at.depth >= DEPTH_MAX {
        return Err(format!("it is below {}", counted(DEPTH_MAX, "directory")));
    }
    let names = fs
        .list_wanted(&dir, &|name| !is_skipped(name))
        .map_err(told)?;
    let mut more = Vec::new();
    for name in names {
        let meta = fs.meta(&dir, &name).map_err(told)?;
        if meta.is_some_and(|meta| meta.kind == Kind::Dir) {
            more.push(Waiting {
                path: at.path.join(&name),
                within: Some((dir.clone(), name)),
                depth: at.depth + 1,
            });
        }
    }
    Ok(Seen::Directory(more))
}

/// The directory of a repository, or what rvenv keeps beside a target: stages, generations, trash.
fn is_skipped(name: &OsStr) -> bool {
    let text = name.to_string_lossy();
    is_checkout(name) || (text.starts_with('.') && text.contains(".rvenv."))
}

fn size(fs: &dyn Fs, root: &Dir) -> Result<Size, FsError> {
    let mut size = Size::default();
    let mut waiting: Vec<(Dir, Option<OsString>)> = vec![(root.clone(), None)];
    while let Some((dir, name)) = waiting.pop() {
        let dir = match name {
            Some(name) => fs.open_dir(&dir, &name)?,
            None => dir,
        };
        for name in fs.list(&dir)? {
            let Some(meta) = fs.meta(&dir, &name)? else {
                continue;
            };
            size.entries += 1;
            match meta.kind {
                Kind::Dir => waiting.push((dir.clone(), Some(name))),
                Kind::File => size.bytes = size.bytes.saturating_add(meta.len),
                Kind::Symlink | Kind::Other => {}
            }
        }
    }
    Ok(size)
}
