//! Links that a second thread creates, after it checked each object, while the first thread goes on
//! with directories.
//!
//! Promises that every link is either created or returned as failed when the stage is built, that
//! few directories stay open for waiting links, and that neither thread waits for the other before
//! the end. Does not decide what happens to links that could not be created.
//!
//! Read next: `staging/build.rs`, which sends them.

use std::ffi::OsString;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use crate::base::path::RelPath;
use crate::fs::{Dir, Fs, Meta};
use crate::plan::content::{Custody, Wanted};
use crate::staging::inheritance::Given;

/// Links per batch: waking a thread costs about as much as a link.
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

/// The sending side.
pub(super) struct Links<'a> {
    fs: &'a dyn Fs,
    batch: Vec<Link>,
    to: SyncSender<Vec<Link>>,
    made: Made,
}

/// The result for all links.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) linked: u64,
    pub(super) failed: Vec<Link>,
}

impl<'a> Links<'a> {
    /// Creates both ends of the channel.
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

    /// Sends a link; if too many batches wait, this thread processes a batch itself.
    pub(super) fn add(&mut self, link: Link) {
        self.batch.push(link);
        if self.batch.len() == BATCH {
            self.send();
        }
    }

    /// Sends the last links, and returns the result for those that this thread created.
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

/// Creates links until the sender is dropped.
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
    }
}
