//! Files that a second thread creates while the first thread goes on with directories: links, after
//! it checked each object, and files whose bytes are in the plan.
//!
//! Promises that every link is either created or returned as failed when the stage is built, and
//! every other file created unless an error is returned; that few directories stay open for waiting
//! files, and that neither thread waits for the other before the end. Does not decide what happens
//! to links that could not be created.
//!
//! Read next: `staging/build.rs`, which sends them.

use std::ffi::OsString;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use crate::base::path::RelPath;
use crate::fs::{Dir, Flush, Fs, FsError, Meta, NameInDir, NewFile};
use crate::plan::content::{Custody, Wanted};
use crate::plan::node::{Content, Mode, Node};
use crate::staging::inheritance::Given;

/// Files per batch: waking a thread costs about as much as a link.
const BATCH: usize = 8;
/// Batches that may wait: the first thread is idle while the last ones are processed.
const WAITING_MAX: usize = 2;

/// An object of a store, and its name in the stage.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) from: (Dir, OsString),
    pub(super) to: (Dir, OsString),
    /// The planned path and content, for the fallback.
    pub(super) path: RelPath,
    pub(super) wanted: Wanted,
    pub(super) given: Given,
    pub(super) custody: Option<Custody>,
}

/// A file whose bytes are in the plan, and its name in the stage.
#[derive(Debug)]
pub(super) struct Inline {
    pub(super) to: (Dir, OsString),
    /// The planned path.
    pub(super) path: RelPath,
    pub(super) mode: Mode,
    pub(super) mtime: Option<i64>,
    pub(super) bytes: Vec<u8>,
}

/// A file to create.
#[derive(Debug)]
pub(super) enum NextFile {
    Link(Link),
    Inline(Inline),
}

/// The sending side.
pub(super) struct Links<'a> {
    fs: &'a dyn Fs,
    batch: Vec<NextFile>,
    to: SyncSender<Vec<NextFile>>,
    made: Made,
}

/// The result for all files.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) linked: u64,
    pub(super) failed: Vec<Link>,
    /// The first file that could not be written.
    pub(super) unwritten: Option<(RelPath, FsError)>,
}

impl<'a> Links<'a> {
    /// Creates both ends of the channel.
    pub(super) fn new(fs: &'a dyn Fs) -> (Self, Receiver<Vec<NextFile>>) {
        let (to, links) = sync_channel(WAITING_MAX);
        let links_here = Self {
            fs,
            batch: Vec::with_capacity(BATCH),
            to,
            made: Made::default(),
        };
        (links_here, links)
    }

    /// Sends a file; if too many batches wait, this thread processes a batch itself.
    pub(super) fn add(&mut self, file: NextFile) {
        self.batch.push(file);
        if self.batch.len() == BATCH {
            self.send();
        }
    }

    /// Sends a file whose bytes are in the plan; any other object is left to the caller.
    pub(super) fn takes(&mut self, at: NameInDir<'_>, path: &RelPath, node: &Node) -> bool {
        let Node::File {
            mode,
            mtime,
            content: Content::Inline(bytes),
        } = node
        else {
            return false;
        };
        self.add(NextFile::Inline(Inline {
            to: (at.dir.clone(), at.name.to_owned()),
            path: path.clone(),
            mode: *mode,
            mtime: *mtime,
            bytes: bytes.clone(),
        }));
        true
    }

    /// Sends the last files, and returns the result for those that this thread created.
    pub(super) fn end(mut self) -> Made {
        self.send();
        self.made
    }

    fn send(&mut self) {
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        // The other end exists as long as this one; if that thread panicked, joining it reports the
        // panic.
        if let Err(TrySendError::Full(batch)) = self.to.try_send(batch) {
            self.made.make(self.fs, batch);
        }
    }
}

/// Creates files until the sender is dropped.
pub(super) fn make(fs: &dyn Fs, files: &Receiver<Vec<NextFile>>) -> Made {
    let mut made = Made::default();
    for batch in files {
        made.make(fs, batch);
    }
    made
}

impl Made {
    fn make(&mut self, fs: &dyn Fs, batch: Vec<NextFile>) {
        for file in batch {
            match file {
                NextFile::Link(link) => self.link(fs, link),
                NextFile::Inline(file) => self.write(fs, file),
            }
        }
    }

    fn link(&mut self, fs: &dyn Fs, link: Link) {
        let from = link.from.0.at(&link.from.1);
        let to = link.to.0.at(&link.to.1);
        let met = link.wanted.met(fs, from, link.custody.as_ref());
        let may_be_linked = |meta: &Meta| link.given.is_group_of(meta);
        let is_current = met.is_ok_and(|meta| meta.as_ref().is_some_and(may_be_linked));
        // The fallback finds again why a link could not be created.
        if is_current && fs.link(from, to).is_ok() {
            self.linked += 1;
        } else {
            self.failed.push(link);
        }
    }

    /// Nothing more is written after the first error: the stage is given up.
    fn write(&mut self, fs: &dyn Fs, file: Inline) {
        if self.unwritten.is_some() {
            return;
        }
        let new = NewFile {
            mode: file.mode.bits(),
            mtime: file.mtime,
            bytes: &file.bytes,
            flush: Flush::Later,
        };
        if let Err(error) = fs.write_file(&file.to.0, &file.to.1, &new) {
            self.unwritten = Some((file.path, error));
        }
    }
}
