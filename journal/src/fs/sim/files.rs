//! Creating objects, writing files, and the metadata that `lstat` reports.
//!
//! Promises that a file is created as the kernel does it: empty and private, then written, then
//! given its mode and time, so that a sweep covers a crash between these steps. A write that fails
//! leaves half of the bytes.

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;

use super::disk::{Content, Id, Inode, Node};
use super::log::{Data, Delta};
use super::machine::{Machine, Open};
use super::names::READ;
use super::rename::Side;
use super::step::{Need, Spot};
use crate::fs::{Dir, Kind, Meta, Time};

/// The mode of a new file until it is complete.
const PRIVATE: u32 = 0o600;

impl Machine {
    /// Creates an object that is complete at once.
    pub(super) fn make(
        &mut self,
        at: &Dir,
        name: &OsStr,
        verb: &'static str,
        node: impl FnOnce() -> (u32, Node),
    ) -> io::Result<()> {
        let at = self.opened(at)?;
        self.vacant(at.id, name)?;
        self.step(verb, at.entry(name), Need::Space)?;
        let (mode, node) = node();
        self.put_new(at.id, name, mode & 0o7777, node);
        Ok(())
    }

    /// Creates an empty file that no other user may read.
    pub(super) fn make_file(&mut self, at: &Open, name: &OsStr) -> io::Result<Id> {
        self.vacant(at.id, name)?;
        self.step("make file", at.entry(name), Need::Space)?;
        let empty = Node::File(Content::new(&[]));
        Ok(self.put_new(at.id, name, PRIVATE, empty))
    }

    /// Writes the whole content of a file; a write that fails leaves half of it.
    pub(super) fn write(&mut self, file: Id, bytes: &[u8], at: Spot) -> io::Result<()> {
        let outcome = self.step("write", at, Need::Space);
        let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
        if let Some(dead) = self.dying() {
            dead.write_data(file, half);
        }
        let written = if outcome.is_ok() { bytes } else { half };
        self.write_data(file, written);
        outcome
    }

    fn write_data(&mut self, file: Id, bytes: &[u8]) {
        let data = Data {
            content: Content::new(bytes),
            mode: self.live.get(file).mode,
            mtime: self.now(),
            ctime: self.now(),
        };
        if self.live.get(file).is_courtesy {
            data.write_to(self.live.edit(file));
            data.write_to(self.log.base.edit(file));
            return;
        }
        self.change(Delta::Data(file, data), &[]);
    }

    /// Overwrites an existing file; on layers it is first copied up.
    pub(super) fn overwrite(&mut self, at: &Dir, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
        let dir = Arc::clone(self.opened(at)?);
        let file = self.raise(Side { dir: &dir, name })?;
        if self.live.get(file).kind() != Kind::File {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.write(file, bytes, dir.entry(name))
    }

    /// Replaces the pending data of a file that is still being written.
    fn amend(&mut self, file: Id, data: Data) {
        if self.log.amend(file, &data) {
            data.write_to(self.live.edit(file));
        } else {
            self.change(Delta::Data(file, data), &[]);
        }
    }

    /// Gives a new file its mode and time, if they differ from those that it was created with.
    pub(super) fn set(
        &mut self,
        file: Id,
        mode: u32,
        mtime: Option<i64>,
        at: Spot,
    ) -> io::Result<()> {
        if mode == PRIVATE && mtime.is_none() {
            return Ok(());
        }
        self.step("set mode and time", at, Need::Nothing)?;
        let inode = self.live.get(file);
        let content = inode.content().ok_or(io::ErrorKind::InvalidInput)?;
        let set_time = |seconds| Time { seconds, nanos: 0 };
        let data = Data {
            content: Arc::clone(content),
            mode: mode & 0o7777,
            mtime: mtime.map_or(inode.mtime, set_time),
            ctime: self.now(),
        };
        self.amend(file, data);
        Ok(())
    }

    /// Sets the mode of a directory.
    pub(super) fn set_mode(&mut self, dir: Id, mode: u32, at: Spot) -> io::Result<()> {
        if self.user != 0 && self.user != self.live.get(dir).owner {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.step("set mode", at, Need::Nothing)?;
        self.change(Delta::Mode(dir, mode & 0o7777), &[]);
        Ok(())
    }

    /// Gives a new file the content of another file.
    pub(super) fn share(&mut self, file: Id, content: Arc<Content>, at: Spot) -> io::Result<()> {
        self.step("share blocks", at, Need::Space)?;
        let data = Data {
            content,
            mode: PRIVATE,
            mtime: self.now(),
            ctime: self.now(),
        };
        self.change(Delta::Data(file, data), &[]);
        Ok(())
    }

    /// A regular file that the user may read.
    pub(super) fn readable(&self, at: &Open, name: &OsStr) -> io::Result<(Id, &Arc<Content>)> {
        let id = self.existing(at.id, name)?;
        let content = self.live.get(id).content();
        let content = content.ok_or(io::ErrorKind::InvalidInput)?;
        self.permit(id, READ)?;
        Ok((id, content))
    }

    pub(super) fn meta(&self, id: Id) -> Meta {
        let inode = self.live.get(id);
        let len = match &inode.node {
            Node::File(content) => content.len(),
            Node::Symlink(target) => target.len() as u64,
            Node::Dir(_) | Node::Other => 0,
        };
        Meta {
            kind: inode.kind(),
            mode: inode.mode,
            len,
            mtime: inode.mtime,
            ctime: inode.ctime,
            owner: inode.owner,
            group: 0,
            links: self.links(inode),
            identity: inode.identity,
        }
    }

    /// A directory's links are its entry, its own `.` and the `..` of each directory in it.
    fn links(&self, inode: &Inode) -> u64 {
        let Some(folder) = inode.folder().filter(|_| inode.names > 0) else {
            return inode.names;
        };
        let is_dir = |(_, id): &&(_, Id)| self.live.get(*id).kind() == Kind::Dir;
        2 + folder.entries.iter().filter(is_dir).count() as u64
    }
}
