//! Links that a second thread makes, after a look at each object, while the first goes on with directories.
//!
//! Promises that every link which was handed over is made or handed back when the stage is built, and that few directories are
//! held open for links that wait.
//! Does not decide what becomes of those that could not be made.
//!
//! Read next: `../stage.rs`, which hands them over.

use std::ffi::OsString;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::content::Wanted;
use crate::fs::{Dir, Fs};
use crate::path::RelPath;

/// Links that are handed over at a time: waking a thread costs more than a link.
const BATCH: usize = 16;
/// Batches that may wait; each link of them may hold a directory open.
const WAITING_MAX: usize = 4;

/// An object of a store, and the name that it shall have in the stage.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) from: (Dir, OsString),
    pub(super) to: (Dir, OsString),
    /// The planned path and content, for whoever has to bring it in another way.
    pub(super) path: RelPath,
    pub(super) wanted: Wanted,
}

/// Where links are handed over.
#[derive(Debug)]
pub(super) struct Links {
    batch: Vec<Link>,
    to: SyncSender<Vec<Link>>,
}

/// What became of all of them.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) linked: u64,
    pub(super) failed: Vec<Link>,
}

impl Links {
    /// The two ends of the way.
    pub(super) fn new() -> (Self, Receiver<Vec<Link>>) {
        let (to, links) = sync_channel(WAITING_MAX);
        let batch = Vec::with_capacity(BATCH);
        (Self { batch, to }, links)
    }

    /// Hands a link over; waits where too many do already.
    pub(super) fn add(&mut self, link: Link) {
        self.batch.push(link);
        if self.batch.len() == BATCH {
            let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
            self.send(batch);
        }
    }

    /// Hands the rest over: there will be no more.
    pub(super) fn end(mut self) {
        let batch = std::mem::take(&mut self.batch);
        self.send(batch);
    }

    fn send(&self, batch: Vec<Link>) {
        // The other end is there until this one is gone; if it panicked, that is told when it is joined.
        let _panicked = self.to.send(batch);
    }
}

/// Makes links until there are no more.
pub(super) fn make(fs: &dyn Fs, links: &Receiver<Vec<Link>>) -> Made {
    let mut made = Made::default();
    for link in links.iter().flatten() {
        let from = (&link.from.0, link.from.1.as_os_str());
        let to = (&link.to.0, link.to.1.as_os_str());
        let is_current = fs
            .meta(from.0, from.1)
            .is_ok_and(|meta| link.wanted.is_met_by(meta.as_ref()));
        // The reason why one is not made is found again by whoever brings it in another way.
        if is_current && fs.link(from, to).is_ok() {
            made.linked += 1;
        } else {
            made.failed.push(link);
        }
    }
    made
}
