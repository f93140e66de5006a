//! The fetcher: gets files by their digests from the first place that has them.
//!
//! Promises that every file that it returns has a digest that was asked for; that no file is in
//! memory as a whole; that several arrive at once, the largest first; that a broken download
//! continues where it broke, in this run or in the next one; that each wait is bounded; and that it
//! returns soon after the caller asks to stop. What arrived until then stays for the next run.
//!
//! On disk: what `shelf.rs` says.
//! Read next: `download.rs`, which gets one file.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rvenv_journal::fs::Time;

use super::asked::Asked;
use super::at_once::at_once;
use super::client::Client;
use super::download::{Fetched, Run, Shared};
use super::ending::Ending;
use super::failure::FetchFailed;
use super::index_page::IndexFile;
use super::layout::Layout;
use super::oci_reference::Repository;
use super::place::{Listing, Place};
use super::places::{Directory, Linked, LocalFile, Remote, SimpleIndex, is_wheel, links_place};
use super::registry::{Purpose, Registry};
use super::settings::{Links, Order, Settings};
use super::shelf::Shelf;
use crate::base::cache::Cache;
use crate::base::regular_file;
use crate::wheel::Catalogue;

/// More than any METADATA has.
const METADATA_BYTES_MAX: u64 = 8 << 20;
/// The most bytes that one run fetches, unless the caller says otherwise.
const TOTAL_BYTES_MAX: u64 = 32 << 30;

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

/// What becomes of a run if a file cannot be had.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnFailure {
    /// It ends.
    End,
    /// It gets the others; only an interruption ends it.
    Note,
}

impl OnFailure {
    fn ends(self, failed: &FetchFailed) -> bool {
        self == Self::End || matches!(failed, FetchFailed::Interrupted)
    }
}

/// The places of each kind.
struct Kinds {
    wheelhouses: Vec<Box<dyn Place>>,
    named: Vec<Box<dyn Place>>,
    indexes: Vec<Box<dyn Place>>,
}

impl Kinds {
    fn new(client: &Arc<Client>, wheelhouses: &[PathBuf]) -> Self {
        let directory = |path: &PathBuf| Box::new(Directory(path.clone())) as Box<dyn Place>;
        Self {
            wheelhouses: wheelhouses.iter().map(directory).collect(),
            named: vec![Box::new(LocalFile), Box::new(Remote(Arc::clone(client)))],
            indexes: Vec::new(),
        }
    }

    /// Adds what `find-links` names and the indexes; returns those that list what they have.
    fn add_indexes(&mut self, client: &Arc<Client>) -> Vec<Arc<dyn Listing>> {
        let mut listings: Vec<Arc<dyn Listing>> = Vec::new();
        for links in &client.settings().find_links {
            match links_place(links, client) {
                Linked::Files(place) => self.indexes.push(place),
                Linked::Page(page) => listings.push(page),
            }
        }
        for address in client.settings().indexes.iter().cloned() {
            listings.push(Arc::new(SimpleIndex::new(Arc::clone(client), address)));
        }
        for listing in &listings {
            self.indexes.push(Box::new(Arc::clone(listing)));
        }
        listings
    }

    /// All places: first those that the caller put into an order.
    fn in_order(mut self, client: &Arc<Client>) -> Vec<Box<dyn Place>> {
        let mut places: Vec<Box<dyn Place>> = Vec::new();
        for order in &client.settings().from {
            match order {
                Order::Repository(Repository::Hosted(hosted)) => {
                    let (client, hosted) = (Arc::clone(client), hosted.clone());
                    places.push(Box::new(Registry::new(client, hosted, &Purpose::Read)));
                }
                Order::Repository(Repository::Layout(dir)) => {
                    places.push(Box::new(Layout::new(dir)));
                }
                Order::Wheelhouses => places.append(&mut self.wheelhouses),
                Order::Named => places.append(&mut self.named),
                Order::Indexes => places.append(&mut self.indexes),
            }
        }
        places.append(&mut self.wheelhouses);
        places.append(&mut self.named);
        places.append(&mut self.indexes);
        places
    }
}

/// Gets files by their digests.
#[derive(Debug)]
pub struct Fetcher {
    shared: Arc<Shared>,
    listings: Vec<Arc<dyn Listing>>,
}

impl Fetcher {
    /// A fetcher that asks the cache, the places of `--from`, and of these kinds the ones that it
    /// does not have: these directories, the path and the URL of each file, what `find-links` names
    /// and the indexes, in this order. Starts and reads nothing yet.
    #[must_use]
    pub fn new(
        cache: &Cache,
        settings: Settings,
        wheelhouses: &[PathBuf],
        catalogue: &Catalogue,
    ) -> Self {
        let settings = Arc::new(settings);
        let client = Arc::new(Client::new(Arc::clone(&settings)));
        let mut kinds = Kinds::new(&client, wheelhouses);
        let listings = kinds.add_indexes(&client);
        let shared = Shared {
            shelf: Shelf::new(cache),
            places: kinds.in_order(&client),
            catalogue: catalogue.clone(),
            client,
            settings,
            total_max: TOTAL_BYTES_MAX,
        };
        Self {
            shared: Arc::new(shared),
            listings,
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

    /// The same fetcher, which asks one more place, before the others.
    #[must_use]
    pub fn with_place(self, place: Box<dyn Place>) -> Self {
        self.changed(|shared| shared.places.insert(0, place))
    }

    fn changed(mut self, change: impl FnOnce(&mut Shared)) -> Self {
        let shared = Arc::get_mut(&mut self.shared);
        change(shared.expect("no thread exists between two runs of a fetcher that is not shared"));
        self
    }

    /// The pages of `find-links` and the indexes, for what is asked for by its name.
    #[must_use]
    pub fn listings(&self) -> &[Arc<dyn Listing>] {
        &self.listings
    }

    /// The directories and wheels of this machine that `find-links` names.
    pub(super) fn linked(&self) -> impl Iterator<Item = &Path> {
        let links = self.shared.settings.find_links.iter();
        links.filter_map(|links| match links {
            Links::Local(path) if path.is_dir() || is_wheel(path) => Some(path.as_path()),
            Links::Local(_) | Links::Page(_) => None,
        })
    }

    /// The METADATA of a file on a page, if that can be had by itself and has the digest that the
    /// page names (PEP 658). It is kept in the cache as a wheel is.
    pub(super) fn metadata(&self, file: &IndexFile, control: &FetchControl<'_>) -> Option<String> {
        let hashes = file.metadata.clone().filter(|hashes| !hashes.is_empty())?;
        let asked = Asked::new(&format!("{}.metadata", file.name), hashes).ok()?;
        let asked = asked.at_url(file.metadata_address()?);
        let fetched = self.fetch(&[asked], control).ok()?.pop()?;
        let mut text = String::new();
        let read = regular_file::open(&fetched.path).ok()?;
        read.take(METADATA_BYTES_MAX)
            .read_to_string(&mut text)
            .ok()?;
        Some(text)
    }

    /// What asks servers.
    pub(super) fn client(&self) -> &Arc<Client> {
        &self.shared.client
    }

    /// Ends what waits for a server.
    pub(super) fn stop(&self) {
        self.shared.client.stop();
    }

    /// Gets these files, and returns them in the same order.
    ///
    /// # Errors
    /// See [`FetchFailed`]. Of several files that cannot be had, it is the first one in the order
    /// of `asked`, whichever answer comes first: files before it are waited for, others are not.
    ///
    /// # Crash
    /// What arrived stays in the cache; the next run continues it.
    pub fn fetch(
        &self,
        asked: &[Asked],
        control: &FetchControl<'_>,
    ) -> Result<Vec<Fetched>, FetchFailed> {
        self.run(asked, control, OnFailure::End)?
            .into_iter()
            .collect()
    }

    /// Gets as many of these files as there are, and says for each of them, in the same order, why
    /// it cannot be had.
    ///
    /// # Errors
    /// An interruption.
    ///
    /// # Crash
    /// As for [`Self::fetch`].
    pub fn fetch_each(
        &self,
        asked: &[Asked],
        control: &FetchControl<'_>,
    ) -> Result<Vec<Result<Fetched, FetchFailed>>, FetchFailed> {
        self.run(asked, control, OnFailure::Note)
    }

    /// Gets files.
    fn run(
        &self,
        asked: &[Asked],
        control: &FetchControl<'_>,
        on_failure: OnFailure,
    ) -> Result<Vec<Result<Fetched, FetchFailed>>, FetchFailed> {
        let run = Arc::new(Run::default());
        let mut results: BTreeMap<usize, Result<Fetched, FetchFailed>> = BTreeMap::new();
        let mut queue = Vec::new();
        for (at, one) in asked.iter().enumerate() {
            if (control.interrupted)() {
                return Err(FetchFailed::Interrupted);
            }
            match self.shared.cached(&run, one) {
                Some(file) => drop(results.insert(at, Ok(file))),
                None => queue.push((at, one.clone())),
            }
        }
        // A file of unknown size may be the largest.
        queue.sort_by_key(|(_, one)| std::cmp::Reverse(one.size.unwrap_or(u64::MAX)));
        let mut progress = Progress {
            files: queue.len(),
            total: queue.iter().filter_map(|(_, one)| one.size).sum(),
            ..Progress::default()
        };
        let (shared, own) = (Arc::clone(&self.shared), Arc::clone(&run));
        let mut ending = Ending::of(queue.iter().map(|(at, _)| *at));
        let last_needed = ending.last_needed();
        let get = move |(at, asked): (usize, Asked)| {
            if last_needed.is_before(at) {
                return (at, Err(FetchFailed::Interrupted));
            }
            (at, shared.get(&own, &asked))
        };
        at_once(queue, &run.stopped, get, |done| {
            match done {
                Some((at, Err(failed))) if on_failure.ends(&failed) => ending.failed(at, failed)?,
                Some((at, result)) => {
                    progress.files_done += 1;
                    results.insert(at, result);
                    ending.arrived(at)?;
                }
                None => {}
            }
            if (control.interrupted)() {
                self.stop();
                return Err(FetchFailed::Interrupted);
            }
            progress.done = run.done.load(Ordering::Relaxed);
            (control.progress)(&progress);
            Ok(())
        })?;
        Ok(results.into_values().collect())
    }
}
