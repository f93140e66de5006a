//! Staging: builds the planned tree beside its target.
//!
//! Promises that every object is created with its final bytes, mode and time; that each is what the
//! plan says when staging returns; that each has the group and the ACL that it would have if it
//! were created at its final place; and that after the barrier all of it survives a power cut.
//! Does not promise anything to readers: none of them uses the stage.
//!
//! On disk meanwhile: `new-I-B`, mode 0700, whose name contains its identity from before its first
//! entry.
//! Read next: `transaction/ready.rs`.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::panic::resume_unwind;
use std::thread;

use crate::base::digest::Digest;
use crate::base::path::RelPath;
use crate::fs::error_place::DiskError;
use crate::fs::{Barrier, Dir, Flush, Fs, FsError, Meta, NameInDir, NewFile};
use crate::plan::builder::Plan;
use crate::plan::content::{ContentError, ContentSource, FILE_BYTES_MAX, Fetched, Wanted};
use crate::plan::node::{Content, ENGINE_DIR, Mode, Node, Operation, RECEIPT_NAME};
use crate::plan::receipt::Receipt;
use crate::staging::error::{StageError, check_bytes, content_error, gone};
use crate::staging::inheritance::{Given, Ground, Slots, Unlinked, finish_root, take_over};
use crate::staging::link_mode::{LinkMode, Rungs};
use crate::staging::links::{self, Link, Links, NextFile};
use crate::staging::pieces::{self, is_long};

/// The number of stored files from which a second thread is worth starting.
const LINKS_MIN: usize = 64;

/// How many files were staged in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageCounts {
    /// Written from bytes in the plan or from a source.
    pub written: u64,
    /// Files that share blocks with an object of the store.
    pub reflinked: u64,
    /// Files that share the inode of an object of the store.
    pub linked: u64,
    /// Copied from an object of the store.
    pub copied: u64,
    /// Why files were not linked although the store has them.
    pub unlinked: Option<Unlinked>,
    /// How the stage was made durable, if that was requested.
    pub barrier: Option<Barrier>,
}

/// What staging needs in addition to the plan.
pub struct StageOptions<'a> {
    /// Provides the bytes.
    pub content: &'a dyn ContentSource,
    /// How files are taken out of a store.
    pub link_mode: LinkMode,
    /// Called before each object; `true` stops staging.
    pub interrupted: &'a dyn Fn() -> bool,
}

/// Returns the text of the receipt; another thread may create it while objects are staged.
pub(crate) type ReceiptText<'a> = dyn Fn() -> &'a str + Sync + 'a;

/// What is built: the planned objects, and the receipt that lists them.
#[derive(Clone, Copy)]
pub(crate) struct PlanWithReceipt<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) receipt: &'a ReceiptText<'a>,
}

/// Builds every planned object and the receipt in the empty directory of `ground`.
///
/// That directory first takes over what the target hands down, if there is a target. When this
/// returns, it is shared as the target is.
///
/// # Errors
/// See [`StageError`]; what was built remains, and the caller discards it.
///
/// # Crash
/// A part of the tree remains; the name of its root proves that the engine created it.
pub(crate) fn build(
    fs: &dyn Fs,
    ground: &Ground<'_>,
    planned: PlanWithReceipt<'_>,
    options: &StageOptions<'_>,
) -> Result<StageCounts, StageError> {
    let PlanWithReceipt { plan, receipt } = planned;
    let root = ground.root;
    let refused = |source: FsError| {
        let path = plan.target().to_owned();
        if source.is_forbidden() {
            StageError::Sharing { path, source }
        } else {
            StageError::Disk { path, source }
        }
    };
    let kept = ground.target.map(|old| take_over(fs, root, old));
    let kept = kept.transpose().map_err(refused)?;
    let mut stage = Stage::new(fs, ground, options);
    if let Some(kept) = &kept {
        stage.given = Given::by(kept, ground.made);
    }
    stage.build(planned, |stage| {
        stage.below(None, root, plan.operations().iter())?;
        stage.write_receipt_in(root, plan, receipt())
    })?;
    finish_root(fs, ground, plan.root_mode(), kept.as_ref()).map_err(refused)?;
    Ok(stage.counts)
}

/// A slot, and what to build in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotFilling<'a> {
    pub(crate) slot: u32,
    pub(crate) filling: Filling<'a>,
}

/// What to build in a slot.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Filling<'a> {
    /// The planned object at this path, and everything below it.
    Planned(&'a RelPath),
    /// The receipt.
    Receipt,
}

/// Builds single entries, each in its slot, in the empty directory of `ground`, as if each were
/// created at its final place.
///
/// # Errors
/// See [`StageError`]; what was built remains, and the caller discards it.
///
/// # Crash
/// As [`build`].
pub(crate) fn build_entries(
    fs: &dyn Fs,
    ground: &Ground<'_>,
    planned: PlanWithReceipt<'_>,
    fillings: &[SlotFilling<'_>],
    options: &StageOptions<'_>,
) -> Result<StageCounts, StageError> {
    let mut stage = Stage::new(fs, ground, options);
    stage.build(planned, |stage| stage.fill(*ground, planned, fillings))?;
    Ok(stage.counts)
}

struct Stage<'a> {
    fs: &'a dyn Fs,
    options: &'a StageOptions<'a>,
    rungs: Rungs,
    given: Given,
    counts: StageCounts,
    /// The way to the second thread, while there is one.
    links: Option<Links<'a>>,
}

impl<'s> Stage<'s> {
    fn new(fs: &'s dyn Fs, ground: &Ground<'_>, options: &'s StageOptions<'s>) -> Self {
        Self {
            fs,
            options,
            rungs: Rungs::of(options.link_mode),
            given: Given::as_made(fs, ground),
            counts: StageCounts::default(),
            links: None,
        }
    }

    /// Builds with a second thread for the receipt and the files, if there are many links and the
    /// disk serves two threads.
    ///
    /// The second thread has always ended when this returns: a stage that is given up must not grow
    /// any more.
    fn build(
        &mut self,
        planned: PlanWithReceipt<'_>,
        steps: impl FnOnce(&mut Self) -> Result<(), StageError>,
    ) -> Result<(), StageError> {
        let PlanWithReceipt { plan, receipt } = planned;
        let objects = plan.operations().values().filter(|operation| {
            matches!(
                &operation.node,
                Node::File {
                    content: Content::Object { .. },
                    ..
                }
            )
        });
        if self.fs.threads() < 2 || objects.take(LINKS_MIN).count() < LINKS_MIN {
            return steps(self);
        }
        let fs = self.fs;
        let (built, mut made) = thread::scope(|scope| {
            let (links, handed) = Links::new(fs);
            let second = scope.spawn(move || {
                // The receipt is the longest independent piece of work, and nothing waits for it
                // before the end.
                receipt();
                links::make(fs, &handed)
            });
            // A separate value, so that a panic drops its end of the channel, and the other thread
            // ends too.
            let mut first = Stage {
                links: Some(links),
                ..*self
            };
            let built = steps(&mut first);
            let here = first.links.take().map(Links::end).unwrap_or_default();
            (self.rungs, self.counts) = (first.rungs, first.counts);
            let there = second.join();
            (
                built,
                [here, there.unwrap_or_else(|panic| resume_unwind(panic))],
            )
        });
        built?;
        if let Some((path, source)) = made.iter_mut().find_map(|made| made.unwritten.take()) {
            return Err(StageError::disk(path.as_str())(source));
        }
        self.counts.linked += made.iter().map(|made| made.linked).sum::<u64>();
        for link in made.into_iter().flat_map(|made| made.failed) {
            let at = link.to.0.at(&link.to.1);
            self.bring(at, &link.path, &link.wanted)?;
        }
        Ok(())
    }

    fn fill(
        &mut self,
        ground: Ground<'_>,
        planned: PlanWithReceipt<'_>,
        fillings: &[SlotFilling<'_>],
    ) -> Result<(), StageError> {
        let PlanWithReceipt { plan, receipt } = planned;
        let mut slots = None;
        for SlotFilling { slot, filling } in fillings {
            let name = slot.to_string();
            let at = ground.root.at(&name);
            let place = match filling {
                Filling::Receipt => &Receipt::path(),
                Filling::Planned(path) => *path,
            };
            let slots = match &mut slots {
                Some(slots) => slots,
                none => none
                    .insert(Slots::new(self.fs, ground).map_err(StageError::disk(place.as_str()))?),
            };
            let given = slots
                .ready_for(place)
                .map_err(StageError::disk(place.as_str()))?;
            self.given = given.unwrap_or(self.given);
            match filling {
                Filling::Receipt => self.write_receipt(at, plan, receipt())?,
                Filling::Planned(path) => {
                    let Some(operation) = plan.operations().get(*path) else {
                        continue;
                    };
                    self.check_interrupted(path)?;
                    if let Some(dir) = self.make(at, path, &operation.node)? {
                        let below = plan.operations().range((*path).clone()..).skip(1);
                        let below = below.take_while(|(other, _)| other.is_below(path));
                        self.below(Some((*path).clone()), &dir, below)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn check_interrupted(&self, path: &RelPath) -> Result<(), StageError> {
        if (self.options.interrupted)() {
            return Err(StageError::Interrupted {
                path: path.to_string(),
            });
        }
        Ok(())
    }

    /// Creates objects below an open directory, in the order of a tree walk.
    fn below<'p>(
        &mut self,
        at: Option<RelPath>,
        dir: &Dir,
        operations: impl Iterator<Item = (&'p RelPath, &'p Operation)>,
    ) -> Result<(), StageError> {
        let mut stack: Vec<(Option<RelPath>, Dir)> = vec![(at, dir.clone())];
        for (path, operation) in operations {
            self.check_interrupted(path)?;
            let parent = path.parent();
            while stack.last().is_some_and(|(open, _)| *open != parent) {
                stack.pop();
            }
            let (_, dir) = stack
                .last()
                .expect("a plan has the parent of each path, and sorts it before");
            let at = dir.at(path.name());
            // The directory is one of the stage, so what it hands down to new files stays the same,
            // unlike the directory of the slots: its files are created here.
            if let Some(links) = &mut self.links
                && links.takes(at, path, &operation.node)
            {
                self.counts.written += 1;
                continue;
            }
            let made = self.make(at, path, &operation.node)?;
            if let Some(below) = made {
                stack.push((Some(path.clone()), below));
            }
        }
        Ok(())
    }

    /// Creates one object, and opens it if it is a directory.
    fn make(
        &mut self,
        at: NameInDir<'_>,
        path: &RelPath,
        node: &Node,
    ) -> Result<Option<Dir>, StageError> {
        let disk = StageError::disk(path.as_str());
        match node {
            Node::Dir { mode } => {
                self.fs
                    .make_dir(at.dir, at.name, mode.bits())
                    .map_err(disk)?;
                return self.fs.open_dir(at.dir, at.name).map_err(disk).map(Some);
            }
            Node::Symlink { target } => self
                .fs
                .make_symlink(at.dir, at.name, OsStr::new(target))
                .map_err(|source| {
                if source.is_no_symlinks() {
                    StageError::NoSymlinks {
                        path: path.to_string(),
                        source,
                    }
                } else {
                    disk(source)
                }
            })?,
            Node::File {
                mode,
                mtime,
                content: Content::Inline(bytes),
            } => {
                self.write(at, bytes, *mode, *mtime).map_err(disk)?;
            }
            Node::File {
                mode,
                mtime,
                content:
                    Content::Local {
                        path: local,
                        digest,
                        len,
                    },
            } => {
                let bytes = self
                    .read_local(local, *digest, *len)
                    .map_err(|source| content_error(path, source))?;
                self.write(at, &bytes, *mode, *mtime).map_err(disk)?;
            }
            Node::File {
                mode,
                mtime,
                content: Content::Object { digest, len },
            } => {
                let wanted = Wanted {
                    digest: *digest,
                    len: *len,
                    mode: *mode,
                    mtime: *mtime,
                };
                self.bring(at, path, &wanted)?;
            }
        }
        Ok(None)
    }

    fn write(
        &mut self,
        at: NameInDir<'_>,
        bytes: &[u8],
        mode: Mode,
        mtime: Option<i64>,
    ) -> Result<(), FsError> {
        self.counts.written += 1;
        self.write_new(at, bytes, mode, mtime)
    }

    fn write_new(
        &self,
        at: NameInDir<'_>,
        bytes: &[u8],
        mode: Mode,
        mtime: Option<i64>,
    ) -> Result<(), FsError> {
        let file = NewFile {
            mode: mode.bits(),
            mtime,
            bytes,
            flush: Flush::Later,
        };
        self.fs.write_file(at.dir, at.name, &file)
    }

    fn read_local(&self, local: &str, digest: Digest, len: u64) -> Result<Vec<u8>, ContentError> {
        let read = self
            .fs
            .read_path(std::path::Path::new(local), FILE_BYTES_MAX);
        let bytes = read.map_err(|source| ContentError::Read {
            what: local.to_owned(),
            source: source.into(),
        })?;
        check_bytes(&bytes, digest, len, local)?;
        Ok(bytes)
    }

    /// Stages content from a source: shares its blocks, links it or copies it, in the first way
    /// that works.
    fn bring(
        &mut self,
        at: NameInDir<'_>,
        path: &RelPath,
        wanted: &Wanted,
    ) -> Result<(), StageError> {
        let failed = |source| content_error(path, source);
        let disk = StageError::disk(path.as_str());
        if self.rungs.link && self.given.has_acl() {
            // This counts even if the source has no object that could be linked.
            self.counts.unlinked = Some(Unlinked::Acl);
        }
        let (dir, name, custody) = match self.options.content.fetch(wanted).map_err(failed)? {
            Fetched::Bytes(bytes) => {
                check_bytes(&bytes, wanted.digest, wanted.len, path.as_str()).map_err(failed)?;
                return self
                    .write(at, &bytes, wanted.mode, wanted.mtime)
                    .map_err(disk);
            }
            Fetched::Pieces => {
                self.counts.written += 1;
                return pieces::pour(self.fs, self.options.content, at, path, wanted);
            }
            Fetched::Stored { dir, name, custody } => (dir, name, custody),
        };
        // The first link shows that links work here; the second thread creates the others.
        if !self.rungs.reflink
            && self.rungs.link
            && self.counts.linked > 0
            && self.given.refuses_all_of(self.fs, &dir).is_none()
            && let Some(links) = &mut self.links
        {
            links.add(NextFile::Link(Link {
                from: (dir, name),
                to: (at.dir.clone(), at.name.to_owned()),
                path: path.clone(),
                wanted: *wanted,
                given: self.given,
                custody,
            }));
            return Ok(());
        }
        let from = dir.at(&name);
        let shared = match wanted.met(self.fs, from, custody.as_ref()) {
            Ok(Some(meta)) => match self.share(from, &meta, at, wanted) {
                Ok(true) => return Ok(()),
                Ok(false) if is_long(wanted) => {
                    self.counts.copied += 1;
                    return pieces::copy(self.fs, from, at, path, wanted);
                }
                Ok(false) => self.fs.read_file(from.dir, from.name, FILE_BYTES_MAX),
                Err(error) => Err(error),
            },
            // Another process edited it through a link, changed its owner, or cleared the store.
            Ok(None) => Err(gone(&name)),
            Err(error) => Err(error),
        };
        let (bytes, count) = match shared {
            Ok(bytes) => (bytes, &mut self.counts.copied),
            Err(error) if error.kind() == ErrorKind::NotFound && is_long(wanted) => {
                self.counts.written += 1;
                return pieces::pour(self.fs, self.options.content, at, path, wanted);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let bytes = self.options.content.fetch_bytes(wanted);
                (bytes.map_err(failed)?, &mut self.counts.written)
            }
            Err(error) => return Err(disk(error)),
        };
        *count += 1;
        check_bytes(&bytes, wanted.digest, wanted.len, path.as_str()).map_err(failed)?;
        self.write_new(at, &bytes, wanted.mode, wanted.mtime)
            .map_err(disk)
    }

    /// Shares an object of the store; returns whether it could be shared.
    fn share(
        &mut self,
        from: NameInDir<'_>,
        object: &Meta,
        at: NameInDir<'_>,
        wanted: &Wanted,
    ) -> Result<bool, FsError> {
        if self.rungs.reflink && self.try_reflink(from, at, wanted)? {
            return Ok(true);
        }
        if self.rungs.link {
            match self.given.refuses(self.fs, from.dir, object) {
                None if self.try_link(from, at)? => return Ok(true),
                None => {}
                why => self.counts.unlinked = why,
            }
        }
        Ok(false)
    }

    fn try_reflink(
        &mut self,
        from: NameInDir<'_>,
        at: NameInDir<'_>,
        wanted: &Wanted,
    ) -> Result<bool, FsError> {
        match self.fs.reflink(from, at, wanted.mode.bits(), wanted.mtime) {
            Ok(()) => {
                self.counts.reflinked += 1;
                Ok(true)
            }
            // This filesystem shares no blocks, or the store is on another one: other files will
            // fail in the same way.
            Err(error) if error.is_no_reflink_here() => {
                self.rungs.reflink = false;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn try_link(&mut self, from: NameInDir<'_>, at: NameInDir<'_>) -> Result<bool, FsError> {
        match self.fs.link(from, at) {
            Ok(()) => {
                self.counts.linked += 1;
                Ok(true)
            }
            // Only this object has reached its maximum number of names.
            Err(error) if error.is_out_of_links() => Ok(false),
            Err(error) if error.is_no_link_here() => {
                self.rungs.link = false;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn write_receipt_in(&self, root: &Dir, plan: &Plan, receipt: &str) -> Result<(), StageError> {
        let path = Receipt::path();
        let disk = StageError::disk(path.as_str());
        let name = OsStr::new(ENGINE_DIR);
        let dir = match self.fs.open_dir(root, name) {
            Ok(dir) => dir,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.fs
                    .make_dir(root, name, self.given.dir_mode(plan.root_mode()).bits())
                    .map_err(disk)?;
                self.fs.open_dir(root, name).map_err(disk)?
            }
            Err(source) => return Err(disk(source)),
        };
        self.write_receipt(dir.at(RECEIPT_NAME), plan, receipt)
    }

    fn write_receipt(
        &self,
        at: NameInDir<'_>,
        plan: &Plan,
        receipt: &str,
    ) -> Result<(), StageError> {
        let file = NewFile {
            mode: self.given.dir_mode(plan.root_mode()).masked(0o111).bits(),
            mtime: None,
            bytes: receipt.as_bytes(),
            flush: Flush::Later,
        };
        let written = self.fs.write_file(at.dir, at.name, &file);
        written.map_err(|source| StageError::Disk {
            path: Receipt::path().to_string(),
            source,
        })
    }
}
