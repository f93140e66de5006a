//! Layers, as on an overlayfs: the lower layer is never changed, but copied to the upper one.
//!
//! Promises that an object of the lower layer changes its identity exactly once, when it is copied:
//! a file or link when it is pinned, moved, linked or opened for writing; a directory when it or
//! anything in it changes, together with all directories above it. A copy is complete at once, but
//! becomes durable like a change of an entry. A directory of the lower layer is never moved, copied
//! or not. Not modelled: the whiteouts and the opaque marks of the upper layer, which no call of
//! [`Fs`](crate::fs::Fs) shows.
//!
//! Read next: `rename.rs`, which calls this.

use std::io;
use std::sync::{Arc, OnceLock};

use super::disk::{Id, Inode, Layer, Name, ROOT};
use super::log::{Cell, Delta, Log};
use super::machine::Machine;
use super::rename::Side;
use super::step::Need;
use crate::base::identity::Identity;
use crate::fs::{Kind, Layers, Rename};

impl Machine {
    /// Makes everything the lower layer: durable, and never changed again.
    pub(super) fn seal_lower(&mut self) {
        self.layers = Layers::Overlay;
        for id in self.live.ids() {
            // The upper layer begins with its own root.
            let layer = if id == ROOT {
                Layer::Merged
            } else {
                Layer::Lower
            };
            self.live.edit(id).layer = layer;
        }
        self.log = Log::new(self.live.clone());
    }

    /// The object of an entry in the upper layer; copied there in a numbered step if necessary.
    pub(super) fn raise(&mut self, at: Side<'_>) -> io::Result<Id> {
        let id = self.existing(at.dir.id, at.name)?;
        let inode = self.live.get(id);
        if inode.layer != Layer::Lower {
            return Ok(id);
        }
        let kind = inode.kind();
        self.step("copy up", at.dir.entry(at.name), Need::Space)?;
        if kind == Kind::Dir {
            self.raise_dir(id);
            return Ok(id);
        }
        let (identity, needs) = self.new_identity();
        let copy = Inode {
            identity,
            names: 0,
            layer: Layer::Upper,
            term: OnceLock::new(),
            ..self.live.get(id).clone()
        };
        let copy = self.add(Arc::new(copy));
        let cell = Cell {
            dir: at.dir.id,
            name: Name::from(at.name),
            child: Some(copy),
        };
        self.change(Delta::Names(vec![cell]), &needs);
        Ok(copy)
    }

    /// Gives a directory of the lower layer an upper one, after the directories above it; this is
    /// part of the step that needs it.
    pub(super) fn raise_dir(&mut self, dir: Id) {
        let inode = self.live.get(dir);
        let parent = inode.folder().map(|folder| folder.parent);
        let (Layer::Lower, Some(at)) = (inode.layer, parent) else {
            return;
        };
        let inode = inode.identity.inode;
        self.raise_dir(at);
        let birth = self.new_birth();
        let identity = Identity { inode, birth };
        let above = self.log.raised.get(&at).copied();
        self.change(Delta::Raise { at, dir, identity }, above.as_slice());
    }

    /// Fails for a directory of the lower layer, which cannot be moved.
    pub(super) fn check_layers(
        &self,
        moved: Id,
        target: Option<Id>,
        how: Rename,
    ) -> io::Result<()> {
        let is_fixed = |id: Id| {
            let inode = self.live.get(id);
            inode.kind() == Kind::Dir && inode.layer != Layer::Upper
        };
        if is_fixed(moved) || how == Rename::Exchange && target.is_some_and(is_fixed) {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        Ok(())
    }
}
