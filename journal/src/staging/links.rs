//! Links that a second thread makes, after a look at each object, while the first goes on with directories.
//!
//! Promises that every link which was handed over is made or handed back when the stage is built, that few directories are
//! held open for links that wait, and that neither thread waits for the other before the end.
//! Does not decide what becomes of those that could not be made.
//!
//! Read next: `staging/build.rs`, which hands them over.

use std::ffi::OsString;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use crate::base::path::RelPath;
use crate::fs::{Dir, Fs, Meta};
use crate::plan::content::{Custody, Wanted};
use crate::staging::inheritance::Given;

/// Links that are handed over at a time: waking a thread costs about as much as a link.
const BATCH: usize = 8;
/// Batches that may wait: the first thread has nothing to do while the last ones are made.
const WAITING_MAX: usize = 2;

/// An object of a store, and the name that it shall have in the stage.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) from: (Dir, OsString),
    pub(super) to: (Dir, OsString),
    /// The planned path and content, for whoever has to bring it in another way.
    pub(super) path: RelPath,
    pub(super) wanted: Wanted,
    pub(super) given: Given,
    pub(super) custody: Option<Custody>,
}

/// Where links are handed over.
pub(super) struct Links<'a> {
    fs: &'a dyn Fs,
    batch: Vec<Link>,
    to: SyncSender<Vec<Link>>,
    made: Made,
}

/// What became of all of them.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) linked: u64,
    pub(super) failed: Vec<Link>,
}

impl<'a> Links<'a> {
    /// The two ends of the way.
    pub(super) fn new(fs: &'a dyn Fs) -> (Self, Receiver<Vec<Link>>) {
        let (to, links) = sync_channel(WAITING_MAX);
        let links_here = Self {
            fs,
            batch: Vec::with_capacity(BATCH),
            to,
            made: Made::default(),
        };
        (links_here, links)
    }

    /// Hands a link over; where too many wait already, this thread makes a batch itself.
    pub(super) fn add(&mut self, link: Link) {
        self.batch.push(link);
        if self.batch.len() == BATCH {
            self.send();
        }
    }

    /// Hands the rest over: there will be no more. What became of those that were made here comes back.
    pub(super) fn end(mut self) -> Made {
        self.send();
        self.made
    }

    fn send(&mut self) {
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        // The other end is there until this one is gone; if it panicked, that is told when it is joined.
        if let Err(TrySendError::Full(batch)) = self.to.try_send(batch) {
            self.made.make(self.fs, batch);
        }
    }
}

/// Makes links until there are no more.
pub(super) fn make(fs: &dyn Fs, links: &Receiver<Vec<Link>>) -> Made {
    let mut made = Made::default();
    for batch in links {
        made.make(fs, batch);
    }
    made
}

impl Made {
    fn make(&mut self, fs: &dyn Fs, batch: Vec<Link>) {
        for link in batch {
            let from = (&link.from.0, link.from.1.as_os_str());
            let to = (&link.to.0, link.to.1.as_os_str());
            let met = link.wanted.met(fs, from, link.custody.as_ref());
            let may_be_linked = |meta: &Meta| link.given.is_group_of(meta);
            let is_current = met.is_ok_and(|meta| meta.as_ref().is_some_and(may_be_linked));
            // The reason why one is not made is found again by whoever brings it in another way.
            if is_current && fs.link(from, to).is_ok() {
                self.linked += 1;
            } else {
                self.failed.push(link);
            }
        }
    }
}
