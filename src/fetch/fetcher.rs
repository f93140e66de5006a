//! The fetcher: gets files by their digests from the first place that has them.
//!
//! Promises that every file that it returns has a digest that was asked for; that no file is in
//! memory as a whole; that several arrive at once, the largest first; that a broken download
//! continues where it broke, in this run or in the next one; that each wait is bounded; and that it
//! returns soon after the caller asks to stop. What arrived until then stays for the next run.
//!
//! On disk: what `shelf.rs` says.
//! Read next: `download.rs`, which gets one file.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rvenv_journal::fs::Time;

use super::asked::Asked;
use super::client::Client;
use super::download::{Fetched, Run, Shared};
use super::failure::FetchFailed;
use super::place::{Found, Place, PlaceError, Resume};
use super::places::{Directory, LocalFile, Remote, SimpleIndex, links_place};
use super::settings::Settings;
use super::shelf::Shelf;
use crate::base::cache::Cache;
use crate::wheel::Catalogue;

/// How many files arrive at once; a small wheel is mostly a wait for the server.
const WORKERS_MAX: usize = 16;
/// The most bytes that one run fetches, unless the caller says otherwise.
const TOTAL_BYTES_MAX: u64 = 32 << 30;
/// How often the caller is asked whether to stop.
const TICK: Duration = Duration::from_millis(50);

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The bytes that have arrived.
    pub done: u64,
    /// The bytes that there are, of the files whose size is known.
    pub total: u64,
    /// The files that are complete.
    pub files_done: usize,
    /// The files that were not in the cache.
    pub files: usize,
}

/// How a caller controls a run.
pub struct FetchControl<'a> {
    /// Polled while waiting; `true` ends the run.
    pub interrupted: &'a dyn Fn() -> bool,
    /// Called while files arrive.
    pub progress: &'a dyn Fn(&Progress),
}

impl Default for FetchControl<'_> {
    /// Never interrupted, silent.
    fn default() -> Self {
        Self {
            interrupted: &|| false,
            progress: &|_| {},
        }
    }
}

/// Gets files by their digests.
#[derive(Debug)]
pub struct Fetcher {
    shared: Arc<Shared>,
    indexes: Vec<Arc<SimpleIndex>>,
}

impl Place for Arc<SimpleIndex> {
    fn shown(&self) -> String {
        self.as_ref().shown()
    }

    fn find(&self, asked: &Asked, resume: &Resume) -> Result<Option<Found>, PlaceError> {
        self.as_ref().find(asked, resume)
    }
}

impl Fetcher {
    /// A fetcher that asks the cache, these directories, the path and the URL of each file, what
    /// `find-links` names, and the indexes, in this order. Starts and reads nothing yet.
    #[must_use]
    pub fn new(
        cache: &Cache,
        settings: Settings,
        wheelhouses: &[PathBuf],
        catalogue: &Catalogue,
    ) -> Self {
        let settings = Arc::new(settings);
        let client = Arc::new(Client::new(Arc::clone(&settings)));
        let mut places: Vec<Box<dyn Place>> = Vec::new();
        for wheelhouse in wheelhouses {
            places.push(Box::new(Directory(wheelhouse.clone())));
        }
        places.push(Box::new(LocalFile));
        places.push(Box::new(Remote(Arc::clone(&client))));
        places.extend(
            settings
                .find_links
                .iter()
                .map(|links| links_place(links, &client)),
        );
        let index = |address| Arc::new(SimpleIndex::new(Arc::clone(&client), address));
        let indexes: Vec<_> = settings.indexes.iter().cloned().map(index).collect();
        for index in &indexes {
            places.push(Box::new(Arc::clone(index)));
        }
        let shared = Shared {
            shelf: Shelf::new(cache),
            places,
            catalogue: catalogue.clone(),
            client,
            settings,
            total_max: TOTAL_BYTES_MAX,
        };
        Self {
            shared: Arc::new(shared),
            indexes,
        }
    }

    /// The same fetcher, which notes in the cache that files were used at this time.
    #[must_use]
    pub fn at(self, now: Time) -> Self {
        self.changed(|shared| shared.shelf = shared.shelf.at(now))
    }

    /// The same fetcher with another limit on all bytes of one run.
    #[must_use]
    pub fn limited(self, total_max: u64) -> Self {
        self.changed(|shared| shared.total_max = total_max)
    }

    /// The same fetcher, which asks one more place, after the directories and before the others.
    #[must_use]
    pub fn with_place(self, place: Box<dyn Place>) -> Self {
        self.changed(|shared| shared.places.insert(0, place))
    }

    fn changed(mut self, change: impl FnOnce(&mut Shared)) -> Self {
        let shared = Arc::get_mut(&mut self.shared);
        change(shared.expect("no thread exists between two runs of a fetcher that is not shared"));
        self
    }

    /// The indexes, for what is asked for by name and version.
    #[must_use]
    pub fn indexes(&self) -> &[Arc<SimpleIndex>] {
        &self.indexes
    }

    /// Gets these files, and returns them in the same order.
    ///
    /// # Errors
    /// See [`FetchFailed`]; the first failure ends the run.
    ///
    /// # Panics
    /// Never: a run without a failure has every file.
    ///
    /// # Crash
    /// What arrived stays in the cache; the next run continues it.
    pub fn fetch(
        &self,
        asked: &[Asked],
        control: &FetchControl<'_>,
    ) -> Result<Vec<Fetched>, FetchFailed> {
        let run = Arc::new(Run::default());
        let mut fetched: Vec<Option<Fetched>> = Vec::with_capacity(asked.len());
        for one in asked {
            if (control.interrupted)() {
                return Err(FetchFailed::Interrupted);
            }
            fetched.push(self.shared.cached(&run, one));
        }
        let missing = fetched
            .iter()
            .enumerate()
            .filter(|(_, file)| file.is_none());
        let mut queue: Vec<(usize, Asked)> = missing
            .filter_map(|(index, _)| Some((index, asked.get(index)?.clone())))
            .collect();
        // A file of unknown size may be the largest.
        queue.sort_by_key(|(_, one)| std::cmp::Reverse(one.size.unwrap_or(u64::MAX)));
        if !queue.is_empty() {
            for (index, file) in self.arriving(&run, queue, control)? {
                if let Some(slot) = fetched.get_mut(index) {
                    *slot = Some(file);
                }
            }
        }
        let all: Option<Vec<Fetched>> = fetched.into_iter().collect();
        Ok(all.expect("a run without a failure has every file"))
    }

    /// Gets files in threads, which may outlive this call if it fails: a thread that waits for a
    /// server ends when its time limit does.
    fn arriving(
        &self,
        run: &Arc<Run>,
        queue: Vec<(usize, Asked)>,
        control: &FetchControl<'_>,
    ) -> Result<Vec<(usize, Fetched)>, FetchFailed> {
        let mut progress = Progress {
            files: queue.len(),
            total: queue.iter().filter_map(|(_, one)| one.size).sum(),
            ..Progress::default()
        };
        let workers = queue.len().min(WORKERS_MAX);
        let queue = Arc::new(Mutex::new(VecDeque::from(queue)));
        let (sender, results) = mpsc::channel();
        for _ in 0..workers {
            let (shared, own) = (Arc::clone(&self.shared), Arc::clone(run));
            let (queue, sender) = (Arc::clone(&queue), sender.clone());
            let work = move || {
                while let Some((index, asked)) = next(&own, &queue) {
                    let result = shared.get(&own, &asked);
                    if sender.send(result.map(|file| (index, file))).is_err() {
                        return;
                    }
                }
            };
            let started = thread::Builder::new().spawn(work);
            if let Err(error) = started {
                run.stopped.store(true, Ordering::SeqCst);
                return Err(FetchFailed::Thread(error));
            }
        }
        drop(sender);
        let mut files = Vec::new();
        while files.len() < progress.files {
            match results.recv_timeout(TICK) {
                Ok(Ok(file)) => files.push(file),
                Ok(Err(failed)) => {
                    run.stopped.store(true, Ordering::SeqCst);
                    return Err(failed);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(FetchFailed::Interrupted),
            }
            if (control.interrupted)() {
                run.stopped.store(true, Ordering::SeqCst);
                self.shared.client.stop();
                return Err(FetchFailed::Interrupted);
            }
            progress.done = run.done.load(Ordering::Relaxed);
            progress.files_done = files.len();
            (control.progress)(&progress);
        }
        Ok(files)
    }
}

/// The next file, unless the run was stopped.
fn next(run: &Run, queue: &Mutex<VecDeque<(usize, Asked)>>) -> Option<(usize, Asked)> {
    if run.stopped.load(Ordering::SeqCst) {
        return None;
    }
    queue
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .pop_front()
}
