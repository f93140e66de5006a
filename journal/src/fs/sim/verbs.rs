//! The calls of a simulated disk.
//!
//! Promises that each call checks first and changes afterwards, with one numbered step for each
//! change that a crash can separate from the next: a file is created (private and empty), written,
//! given its mode and time, and synced.
//!
//! Read next: `files.rs` and `rename.rs`, which do the longer ones, and `tests/it/fs_contract/`,
//! where the real disk and this one give the same answers.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Folder, Node};
use super::log::Covered;
use super::machine::Machine;
use super::names::{READ, WRITE, check_name, without_drive};
use super::rename::Side;
use super::step::Need;
use super::{SimFs, Support};
use crate::base::digest::Digest;
use crate::fs::{
    Barrier, Dir, Flush, Fs, FsError, Held, Kind, Layers, Lock, Meta, NameInDir, NewFile, Rename,
};

impl SimFs {
    /// Runs an action on the machine if the process is alive, and names it in the error.
    pub(super) fn act<T>(
        &self,
        verb: &'static str,
        name: &OsStr,
        act: impl FnOnce(&mut Machine) -> io::Result<T>,
    ) -> Result<T, FsError> {
        let mut machine = self.machine();
        let done = machine.steps.check().and_then(|()| act(&mut machine));
        done.map_err(|source| FsError {
            verb,
            name: name.to_string_lossy().escape_debug().to_string(),
            source,
        })
    }
}

impl Fs for SimFs {
    fn open_path(&self, path: &Path) -> Result<Dir, FsError> {
        self.act("open", path.as_os_str(), |machine| {
            let id = machine.walk(path)?;
            machine.permit(id, READ)?;
            let open = machine.open(id, &without_drive(path));
            machine.read_step("open", open.place())?;
            Ok(Dir::from_handle(open))
        })
    }

    fn open_dir(&self, at: &Dir, name: &OsStr) -> Result<Dir, FsError> {
        self.act("open", name, |machine| {
            let at = machine.opened(at)?;
            let id = machine.existing(at.id, name)?;
            if machine.live.get(id).kind() != Kind::Dir {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            machine.permit(id, READ)?;
            machine.read_step("open", at.entry(name))?;
            let path = at.entry(name).to_string();
            Ok(Dir::from_handle(machine.open(id, &path)))
        })
    }

    fn make_dir(&self, at: &Dir, name: &OsStr, mode: u32) -> Result<(), FsError> {
        let node = || (mode, Node::Dir(Folder::default()));
        self.act("make directory", name, |machine| {
            machine.make(at, name, "make directory", node)
        })
    }

    fn make_unique_dir(&self, at: &Dir, prefix: &str) -> Result<OsString, FsError> {
        let node = || (0o700, Node::Dir(Folder::default()));
        self.act("make directory", OsStr::new(prefix), |machine| {
            loop {
                machine.unique += 1;
                let name = OsString::from(format!("{prefix}{:06}", machine.unique));
                match machine.make(at, &name, "make directory", node) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    made => return made.map(|()| name),
                }
            }
        })
    }

    fn write_file(&self, at: &Dir, name: &OsStr, file: &NewFile<'_>) -> Result<(), FsError> {
        self.act("write", name, |machine| {
            let at = machine.opened(at)?;
            let id = machine.make_file(at, name)?;
            if !file.bytes.is_empty() {
                machine.write(id, file.bytes, at.entry(name))?;
            }
            machine.set(id, file.mode, file.mtime, at.entry(name))?;
            match file.flush {
                Flush::Later => Ok(()),
                Flush::Now => machine.sync(Covered::File(id), "sync", at.entry(name)),
            }
        })
    }

    fn make_symlink(&self, at: &Dir, name: &OsStr, target: &OsStr) -> Result<(), FsError> {
        self.act("make link", name, |machine| {
            if target.is_empty() {
                return Err(io::ErrorKind::NotFound.into());
            }
            machine.make(at, name, "make link", || {
                (0o777, Node::Symlink(target.into()))
            })
        })
    }

    fn link(&self, from: NameInDir<'_>, to: NameInDir<'_>) -> Result<(), FsError> {
        self.act("link", to.name, |machine| {
            let (from_dir, to_dir) = (machine.opened(from.dir)?, machine.opened(to.dir)?);
            let id = machine.existing(from_dir.id, from.name)?;
            machine.vacant(to_dir.id, to.name)?;
            machine.check_one_mount(from_dir.id, to_dir.id)?;
            let inode = machine.live.get(id);
            if inode.kind() == Kind::Dir {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            if inode.names >= machine.options.links_max {
                return Err(io::ErrorKind::TooManyLinks.into());
            }
            let name = from.name;
            let id = machine.raise(Side {
                dir: from_dir,
                name,
            })?;
            let to_place = Some(to_dir.entry(to.name));
            machine.step_to("link", from_dir.entry(from.name), to_place, Need::Space)?;
            machine.put(to_dir.id, to.name, id);
            Ok(())
        })
    }

    fn reflink(
        &self,
        from: NameInDir<'_>,
        to: NameInDir<'_>,
        mode: u32,
        mtime: Option<i64>,
    ) -> Result<(), FsError> {
        self.act("share blocks of", to.name, |machine| {
            let from_dir = machine.opened(from.dir)?;
            let content = Arc::clone(machine.readable(from_dir, from.name)?.1);
            let to_dir = machine.opened(to.dir)?;
            machine.vacant(to_dir.id, to.name)?;
            machine.check_one_mount(from_dir.id, to_dir.id)?;
            if machine.options.reflink == Support::Absent {
                return Err(io::ErrorKind::Unsupported.into());
            }
            let id = machine.make_file(to_dir, to.name)?;
            let shared = machine.share(id, content, to_dir.entry(to.name));
            if let Err(error) = shared {
                machine.steps.check()?;
                machine.step("remove", to_dir.entry(to.name), Need::Nothing)?;
                machine.clear(to_dir.id, to.name);
                return Err(error);
            }
            machine.set(id, mode, mtime, to_dir.entry(to.name))
        })
    }

    fn read_file(&self, at: &Dir, name: &OsStr, len_max: u64) -> Result<Vec<u8>, FsError> {
        self.act("read", name, |machine| {
            let at = machine.opened(at)?;
            machine.read_step("read", at.entry(name))?;
            let (_, content) = machine.readable(at, name)?;
            if content.len() > len_max {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            Ok(content.bytes.to_vec())
        })
    }

    fn open_file(
        &self,
        at: &Dir,
        name: &OsStr,
        len_max: u64,
    ) -> Result<Box<dyn io::Read>, FsError> {
        let bytes = self.read_file(at, name, len_max)?;
        Ok(Box::new(io::Cursor::new(bytes)))
    }

    fn digest_file(&self, at: &Dir, name: &OsStr) -> Result<Digest, FsError> {
        self.act("read", name, |machine| {
            let at = machine.opened(at)?;
            machine.read_step("read", at.entry(name))?;
            Ok(machine.readable(at, name)?.1.sha256())
        })
    }

    fn read_link(&self, at: &Dir, name: &OsStr) -> Result<OsString, FsError> {
        self.act("read link", name, |machine| {
            let at = machine.opened(at)?;
            machine.read_step("read link", at.entry(name))?;
            let id = machine.existing(at.id, name)?;
            match &machine.live.get(id).node {
                Node::Symlink(target) => Ok(target.to_os_string()),
                Node::Dir(_) | Node::File(_) | Node::Other => {
                    Err(io::ErrorKind::InvalidInput.into())
                }
            }
        })
    }

    fn meta(&self, at: &Dir, name: &OsStr) -> Result<Option<Meta>, FsError> {
        self.act("look at", name, |machine| {
            let at = machine.opened(at)?;
            machine.read_step("look at", at.entry(name))?;
            let id = machine.lookup(at.id, name)?;
            Ok(id.map(|id| machine.meta(id)))
        })
    }

    fn meta_of(&self, dir: &Dir) -> Result<Meta, FsError> {
        self.act("look at", OsStr::new("."), |machine| {
            let dir = machine.opened(dir)?;
            machine.read_step("look at", dir.place())?;
            Ok(machine.meta(dir.id))
        })
    }

    fn list(&self, dir: &Dir) -> Result<Vec<OsString>, FsError> {
        self.act("list", OsStr::new("."), |machine| {
            let dir = machine.opened(dir)?;
            machine.read_step("list", dir.place())?;
            let entries = machine.live.get(dir.id).folder().map(|f| &f.entries);
            let entries = entries.into_iter().flatten();
            Ok(entries.map(|(name, _)| name.to_os_string()).collect())
        })
    }

    fn set_mode_of(&self, dir: &Dir, mode: u32) -> Result<(), FsError> {
        self.act("set the mode of", OsStr::new("."), |machine| {
            let dir = machine.opened(dir)?;
            machine.set_mode(dir.id, mode, dir.place())
        })
    }

    fn set_mode(&self, at: &Dir, name: &OsStr, mode: u32) -> Result<(), FsError> {
        self.act("set the mode of", name, |machine| {
            let at = machine.opened(at)?;
            let id = machine.existing(at.id, name)?;
            if machine.live.get(id).kind() != Kind::Dir {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            machine.set_mode(id, mode, at.entry(name))
        })
    }

    fn pin(&self, at: &Dir, name: &OsStr) -> Result<(), FsError> {
        self.act("copy up", name, |machine| {
            let dir = machine.opened(at)?;
            check_name(name)?;
            match machine.layers {
                Layers::Plain => Ok(()),
                Layers::Overlay => machine.raise(Side { dir, name }).map(drop),
            }
        })
    }

    fn layers(&self, _dir: &Dir) -> Layers {
        self.machine().layers
    }

    fn may_write(&self, dir: &Dir) -> bool {
        let machine = self.machine();
        let dir = machine.opened(dir);
        dir.is_ok_and(|dir| machine.changeable(dir.id).is_ok())
    }

    fn rename(&self, from: NameInDir<'_>, to: NameInDir<'_>, how: Rename) -> Result<(), FsError> {
        self.act("rename", from.name, |machine| {
            let (from_dir, to_dir) = (machine.opened(from.dir)?, machine.opened(to.dir)?);
            let side = |dir, name| Side { dir, name };
            machine.rename(side(from_dir, from.name), side(to_dir, to.name), how)
        })
    }

    fn remove_file(&self, at: &Dir, name: &OsStr) -> Result<(), FsError> {
        self.act("remove", name, |machine| {
            let at = machine.opened(at)?;
            let id = machine.existing(at.id, name)?;
            machine.changeable(at.id)?;
            machine.check_mount(at.id, name)?;
            if machine.live.get(id).kind() == Kind::Dir {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            machine.step("remove", at.entry(name), Need::Nothing)?;
            machine.clear(at.id, name);
            Ok(())
        })
    }

    fn remove_dir(&self, at: &Dir, name: &OsStr) -> Result<(), FsError> {
        self.act("remove", name, |machine| {
            let at = machine.opened(at)?;
            let id = machine.existing(at.id, name)?;
            machine.changeable(at.id)?;
            machine.check_mount(at.id, name)?;
            match machine.live.get(id).folder() {
                None => return Err(io::ErrorKind::NotADirectory.into()),
                Some(folder) if !folder.entries.is_empty() => {
                    return Err(io::ErrorKind::DirectoryNotEmpty.into());
                }
                Some(_) => {}
            }
            machine.step("remove", at.entry(name), Need::Nothing)?;
            machine.clear(at.id, name);
            Ok(())
        })
    }

    fn sync_file(&self, at: &Dir, name: &OsStr) -> Result<(), FsError> {
        self.act("sync", name, |machine| {
            let at = machine.opened(at)?;
            let (id, _) = machine.readable(at, name)?;
            machine.sync(Covered::File(id), "sync", at.entry(name))
        })
    }

    fn sync_dir(&self, dir: &Dir) -> Result<(), FsError> {
        self.act("sync", OsStr::new("."), |machine| {
            let dir = machine.opened(dir)?;
            machine.sync(Covered::Dir(dir.id), "sync", dir.place())
        })
    }

    fn sync_filesystem(&self, dir: &Dir) -> Result<Barrier, FsError> {
        self.act("sync the filesystem of", OsStr::new("."), |machine| {
            let dir = machine.opened(dir)?;
            match machine.options.barrier {
                Barrier::PerObject => {}
                Barrier::Filesystem => {
                    machine.sync(Covered::All, "sync the filesystem of", dir.place())?;
                }
            }
            Ok(machine.options.barrier)
        })
    }

    fn hold_file(&self, at: &Dir, name: &OsStr) -> Result<Held, FsError> {
        self.act("open", name, |machine| {
            let at = machine.opened(at)?;
            let id = match machine.lookup(at.id, name)? {
                None => machine.make_file(at, name)?,
                Some(id) => {
                    if machine.live.get(id).kind() != Kind::File {
                        return Err(io::ErrorKind::InvalidInput.into());
                    }
                    machine.permit(id, READ | WRITE)?;
                    machine.read_step("open", at.entry(name))?;
                    machine.raise(Side { dir: at, name })?
                }
            };
            let path = at.entry(name).to_string();
            Ok(Held::from_handle(machine.open(id, &path)))
        })
    }

    fn hold_dir(&self, dir: &Dir) -> Result<Held, FsError> {
        self.act("open", OsStr::new("."), |machine| {
            let dir = machine.opened(dir)?;
            machine.permit(dir.id, READ)?;
            machine.read_step("open", dir.place())?;
            Ok(Held::from_handle(machine.open(dir.id, &dir.path)))
        })
    }

    fn try_lock(&self, held: &Held) -> Result<Lock, FsError> {
        self.act("lock", OsStr::new("."), |machine| {
            let held = machine.held(held)?;
            machine.read_step("lock", held.place())?;
            let is_dir = machine.live.get(held.id).kind() == Kind::Dir;
            if is_dir && machine.options.directory_locks == Support::Absent {
                return Ok(Lock::Unsupported);
            }
            let owner = machine
                .locks
                .get(&held.id)
                .and_then(std::sync::Weak::upgrade);
            if owner.is_some_and(|owner| !Arc::ptr_eq(&owner, held)) {
                return Ok(Lock::Busy);
            }
            machine.locks.insert(held.id, Arc::downgrade(held));
            Ok(Lock::Acquired)
        })
    }

    fn meta_of_held(&self, held: &Held) -> Result<Meta, FsError> {
        self.act("look at", OsStr::new("."), |machine| {
            let held = machine.held(held)?;
            machine.read_step("look at", held.place())?;
            Ok(machine.meta(held.id))
        })
    }

    fn write_held(&self, held: &Held, bytes: &[u8]) -> Result<(), FsError> {
        self.act("write", OsStr::new("."), |machine| {
            let held = machine.held(held)?;
            if machine.live.get(held.id).kind() != Kind::File {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            machine.write(held.id, bytes, held.place())
        })
    }

    fn boot_id(&self) -> String {
        format!("00000000-0000-4000-8000-{:012}", self.machine().boots)
    }

    fn threads(&self) -> usize {
        1
    }

    fn user(&self) -> u32 {
        self.machine().user
    }

    fn mounts_under(&self, dir: &Dir) -> Vec<PathBuf> {
        let machine = self.machine();
        let Ok(open) = machine.opened(dir) else {
            return Vec::new();
        };
        let below = machine.path_of(open.id);
        let mounts = machine
            .mounts
            .iter()
            .filter(|mount| mount.starts_with(&below));
        mounts.cloned().collect()
    }

    fn read_path(&self, path: &Path, len_max: u64) -> Result<Vec<u8>, FsError> {
        let (dir, name) = self.split(path)?;
        self.read_file(&dir, name, len_max)
    }

    fn digest_path(&self, path: &Path) -> Result<(Digest, u64), FsError> {
        let bytes = self.read_path(path, u64::MAX)?;
        Ok((Digest::of(&bytes), bytes.len() as u64))
    }
}

impl SimFs {
    /// The directory that contains an input, and its name there; inputs of tests are not links.
    fn split<'a>(&self, path: &'a Path) -> Result<(Dir, &'a OsStr), FsError> {
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(FsError {
                verb: "read",
                name: path.display().to_string(),
                source: io::ErrorKind::InvalidInput.into(),
            });
        };
        Ok((self.open_path(above)?, name))
    }
}
