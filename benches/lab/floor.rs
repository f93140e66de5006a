//! The floor: only the system calls that are necessary to make the tree that rvenv publishes.
//!
//! The bench reads a tree once into a script. A separate process replays it: it makes each
//! directory, links each file that shares an inode with the store, makes each symbolic link, writes
//! the other files, and syncs once, in the order of the tree, relative to open directories, with no
//! lock, no journal, no checks, no switch and no clean-up. Does not promise that the floor is safe:
//! a crash leaves half of it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

/// The kinds of records in a script; fields end with a NUL.
const STORE: u8 = b'S';
const DIR: u8 = b'D';
const UP: u8 = b'U';
const LINK: u8 = b'L';
const HARD: u8 = b'H';
const FILE: u8 = b'F';

/// The script that makes a tree again.
#[derive(Debug, Default)]
pub(crate) struct Script {
    bytes: Vec<u8>,
    pub(crate) linked: usize,
    pub(crate) written: usize,
    stores: Vec<PathBuf>,
}

impl Script {
    /// Reads a tree; its files may be hard links into a cache.
    pub(crate) fn of(tree: &Path, cache: &Path) -> std::io::Result<Self> {
        let mut stored = BTreeMap::new();
        collect_inodes(cache, &mut stored)?;
        let mut script = Self::default();
        script.add_dir(tree, &stored)?;
        Ok(script)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn add(&mut self, kind: u8, fields: &[&[u8]]) {
        self.bytes.push(kind);
        for field in fields {
            self.bytes.extend_from_slice(field);
            self.bytes.push(0);
        }
    }

    fn add_dir(&mut self, dir: &Path, stored: &BTreeMap<u64, PathBuf>) -> std::io::Result<()> {
        let mut entries: Vec<_> = fs::read_dir(dir)?.collect::<Result<_, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, name) = (entry.path(), entry.file_name());
            let meta = fs::symlink_metadata(&path)?;
            let mode = (meta.permissions().mode() & 0o7777).to_string();
            if meta.is_dir() {
                self.add(DIR, &[name.as_bytes(), mode.as_bytes()]);
                self.add_dir(&path, stored)?;
                self.add(UP, &[]);
            } else if meta.is_symlink() {
                let leads_to = fs::read_link(&path)?;
                self.add(LINK, &[name.as_bytes(), leads_to.as_os_str().as_bytes()]);
            } else if let Some(from) = stored.get(&meta.ino()) {
                self.add_hard(name.as_bytes(), from);
            } else {
                let bytes = fs::read(&path)?;
                let len = bytes.len().to_string();
                self.add(FILE, &[name.as_bytes(), mode.as_bytes(), len.as_bytes()]);
                self.bytes.extend_from_slice(&bytes);
                self.written += 1;
            }
        }
        Ok(())
    }

    fn add_hard(&mut self, name: &[u8], from: &Path) {
        let (Some(store), Some(object)) = (from.parent(), from.file_name()) else {
            return;
        };
        let known = self.stores.iter().position(|known| known == store);
        let number = known.unwrap_or(self.stores.len());
        if known.is_none() {
            self.stores.push(store.to_path_buf());
            self.add(STORE, &[store.as_os_str().as_bytes()]);
        }
        self.add(
            HARD,
            &[name, number.to_string().as_bytes(), object.as_bytes()],
        );
        self.linked += 1;
    }
}

fn collect_inodes(dir: &Path, into: &mut BTreeMap<u64, PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let meta = fs::symlink_metadata(&path)?;
        if meta.is_dir() {
            collect_inodes(&path, into)?;
        } else if meta.is_file() && meta.nlink() > 1 {
            into.insert(meta.ino(), path);
        }
    }
    Ok(())
}

/// Makes the tree of a script: the arguments are the script, the target, and how to sync.
pub(crate) fn replay(words: &[String]) -> Result<String, String> {
    let [script, target, sync] = words else {
        return Err("floor SCRIPT TARGET syncfs|fsync".to_owned());
    };
    let bytes = fs::read(script).map_err(|error| error.to_string())?;
    let target = Path::new(target);
    let parent = target.parent().ok_or("a target has a parent")?;
    replay_in(&bytes, target).map_err(|error| error.to_string())?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = rustix::fs::open(parent, flags, Mode::empty());
    let parent = parent.map_err(|error| error.to_string())?;
    let synced = match sync.as_str() {
        "syncfs" => rustix::fs::syncfs(&parent),
        _ => rustix::fs::fsync(&parent),
    };
    synced.map_err(|error| error.to_string())?;
    Ok(String::new())
}

fn replay_in(bytes: &[u8], target: &Path) -> Result<(), Fault> {
    let at = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::mkdirat(CWD, target, Mode::from_raw_mode(0o755))?;
    let mut open = vec![rustix::fs::openat(CWD, target, at, Mode::empty())?];
    let mut stores: Vec<OwnedFd> = Vec::new();
    let mut rest = Reader(bytes);
    while let Some(kind) = rest.kind() {
        let here = open.last().ok_or(Fault::Script)?;
        match kind {
            STORE => stores.push(rustix::fs::openat(CWD, rest.field()?, at, Mode::empty())?),
            DIR => {
                let (name, mode) = (rest.field()?, rest.mode()?);
                rustix::fs::mkdirat(here, name, mode)?;
                let below = rustix::fs::openat(here, name, at, Mode::empty())?;
                open.push(below);
            }
            UP => drop(open.pop()),
            LINK => {
                let (name, leads_to) = (rest.field()?, rest.field()?);
                rustix::fs::symlinkat(leads_to, here, name)?;
            }
            HARD => {
                let (name, store) = (rest.field()?, rest.number()?);
                let object = rest.field()?;
                let store = stores.get(store).ok_or(Fault::Script)?;
                rustix::fs::linkat(store, object, here, name, AtFlags::empty())?;
            }
            FILE => {
                let (name, mode) = (rest.field()?, rest.mode()?);
                let len = rest.number()?;
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let file = rustix::fs::openat(here, name, flags, mode)?;
                fs::File::from(file).write_all(rest.bytes(len)?)?;
            }
            _ => return Err(Fault::Script),
        }
    }
    Ok(())
}

/// Why a script could not be replayed.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("the script is none")]
    Script,
    #[error(transparent)]
    Disk(#[from] rustix::io::Errno),
    #[error(transparent)]
    Write(#[from] std::io::Error),
}

/// The unread rest of a script.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn kind(&mut self) -> Option<u8> {
        let (kind, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*kind)
    }

    fn field(&mut self) -> Result<&'a [u8], Fault> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let end = end.ok_or(Fault::Script)?;
        let field = self.bytes(end)?;
        self.bytes(1)?;
        Ok(field)
    }

    fn number(&mut self) -> Result<usize, Fault> {
        let text = std::str::from_utf8(self.field()?);
        text.ok()
            .and_then(|text| text.parse().ok())
            .ok_or(Fault::Script)
    }

    fn mode(&mut self) -> Result<Mode, Fault> {
        let bits = u32::try_from(self.number()?).map_err(|_| Fault::Script)?;
        Ok(Mode::from_raw_mode(bits))
    }

    fn bytes(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Fault::Script)?;
        self.0 = rest;
        Ok(bytes)
    }
}
