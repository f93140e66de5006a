//! The rename: the only call by which readers see a change.
//!
//! Promises the checks of Linux's `renameat2` in their order: two mounts, absent or existing names,
//! a directory moved into itself, one object at both names (nothing happens), permissions, mount
//! points, kinds, and last what the filesystem itself does not support. On layers, the moved object
//! is first copied up, in a separate step.

use std::ffi::OsStr;
use std::io;

use super::disk::{Id, Name};
use super::log::{Cell, Delta, made};
use super::machine::{Machine, Open};
use super::names::WRITE;
use super::step::Need;
use super::{Moves, Support};
use crate::fs::{Kind, Rename};

/// One side of a rename.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) dir: &'a Open,
    pub(super) name: &'a OsStr,
}

/// The objects at both names of a rename, before it.
#[derive(Clone, Copy)]
struct Renamed {
    moved: Id,
    /// `None` if the new name is free.
    target: Option<Id>,
}

impl Machine {
    /// Moves an entry.
    pub(super) fn rename(&mut self, from: Side<'_>, to: Side<'_>, how: Rename) -> io::Result<()> {
        let has_flags = how != Rename::Replace;
        if has_flags && self.options.rename_flags == Support::Absent {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.check_one_mount(from.dir.id, to.dir.id)?;
        let moved = self.existing(from.dir.id, from.name)?;
        let target = self.lookup(to.dir.id, to.name)?;
        match (how, target) {
            (Rename::NoReplace, Some(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Rename::Exchange, None) => return Err(io::ErrorKind::NotFound.into()),
            (Rename::Exchange | Rename::Replace, Some(_))
            | (Rename::NoReplace | Rename::Replace, None) => {}
        }
        self.check_loop(from, to, Renamed { moved, target }, how)?;
        if target == Some(moved) {
            return Ok(());
        }
        self.check_change(from, moved, to.dir.id)?;
        self.changeable(to.dir.id)?;
        if let Some(target) = target {
            self.check_mount(to.dir.id, to.name)?;
            match how {
                Rename::Exchange => self.check_change(to, target, from.dir.id)?,
                Rename::Replace | Rename::NoReplace => self.check_replaced(moved, target)?,
            }
        }
        self.check_support(how)?;
        self.check_layers(moved, target, how)?;
        let moved = self.raise(from)?;
        let target = match how {
            Rename::Exchange => Some(self.raise(to)?),
            Rename::Replace | Rename::NoReplace => target,
        };
        let verb = match how {
            Rename::Replace | Rename::NoReplace => "rename",
            Rename::Exchange => "exchange",
        };
        let to_place = Some(to.dir.entry(to.name));
        self.step_to(verb, from.dir.entry(from.name), to_place, Need::Nothing)?;
        self.switch(from, to, Renamed { moved, target }, how);
        Ok(())
    }

    /// Fails if a directory would be moved into itself.
    fn check_loop(
        &self,
        from: Side<'_>,
        to: Side<'_>,
        found: Renamed,
        how: Rename,
    ) -> io::Result<()> {
        if self.is_within(to.dir.id, found.moved) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let is_within_target = found
            .target
            .is_some_and(|target| self.is_within(from.dir.id, target));
        if is_within_target {
            return Err(match how {
                Rename::Exchange => io::ErrorKind::InvalidInput.into(),
                Rename::Replace | Rename::NoReplace => io::ErrorKind::DirectoryNotEmpty.into(),
            });
        }
        Ok(())
    }

    /// Fails unless an object may move from its directory to another.
    fn check_change(&self, from: Side<'_>, moved: Id, to: Id) -> io::Result<()> {
        self.changeable(from.dir.id)?;
        self.check_mount(from.dir.id, from.name)?;
        if from.dir.id != to && self.live.get(moved).kind() == Kind::Dir {
            // The rename changes its own `..`.
            self.permit(moved, WRITE)?;
        }
        Ok(())
    }

    /// Fails unless one object may replace another.
    fn check_replaced(&self, moved: Id, target: Id) -> io::Result<()> {
        let is_folder = self.live.get(moved).folder().is_some();
        match (is_folder, self.live.get(target).folder()) {
            (true, None) => Err(io::ErrorKind::NotADirectory.into()),
            (false, Some(_)) => Err(io::ErrorKind::IsADirectory.into()),
            (true, Some(folder)) if !folder.entries.is_empty() => {
                Err(io::ErrorKind::DirectoryNotEmpty.into())
            }
            (true, Some(_)) | (false, None) => Ok(()),
        }
    }

    fn check_support(&self, how: Rename) -> io::Result<()> {
        let support = match how {
            Rename::Replace => Support::Present,
            Rename::NoReplace => self.options.no_replace,
            Rename::Exchange => self.options.exchange,
        };
        match support {
            Support::Present => Ok(()),
            Support::Absent => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn switch(&mut self, from: Side<'_>, to: Side<'_>, found: Renamed, how: Rename) {
        let Renamed { moved, target } = found;
        let cell = |side: Side<'_>, child| Cell {
            dir: side.dir.id,
            name: Name::from(side.name),
            child,
        };
        let (left, replaced) = match how {
            Rename::Exchange => (target, None),
            Rename::Replace | Rename::NoReplace => (None, target),
        };
        let (there, here) = (cell(to, Some(moved)), cell(from, left));
        let is_split = self.options.moves == Moves::Split
            && how != Rename::Exchange
            && from.dir.id != to.dir.id;
        let by = if is_split {
            let needs: Vec<_> = made(&self.live, to.dir.id).collect();
            let put = self.change(Delta::Names(vec![there]), &needs);
            self.change(Delta::Names(vec![here]), &[put])
        } else {
            self.change(Delta::Names(vec![there, here]), &[])
        };
        if let Some(replaced) = replaced {
            self.free(replaced, by);
        }
    }
}
