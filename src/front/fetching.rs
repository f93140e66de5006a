//! Fetching in a request: the wheels of releases, from the sources of the command line and of pip's
//! configuration.
//!
//! Promises to write nothing to the target: wheels are fetched into the cache, or, where no cache
//! can be used, into a directory that is deleted with the answer.
//!
//! Read next: `../fetch/releases.rs`, which chooses; `../fetch/fetcher.rs`, which gets the wheels.

use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use thiserror::Error;

use super::caller::Caller;
use super::lock_request::LockRequest;
use crate::base::cache::Cache;
use crate::base::one_line::one_line;
use crate::build::hooks::Context;
use crate::fetch::{
    FetchControl, FetchFailed, FetchOptions, Fetcher, NoWheel, Offer, Releases, Settings,
    SettingsError, Wanted,
};
use crate::lock::{Environment, Kernel};
use crate::wheel::wheelhouse::WheelhouseError;
use crate::wheel::{Release, Sources};

/// The prefix of the directory of a process that can use no cache.
const DOWNLOADS_PREFIX: &str = "rvenv-downloads-";

/// Why wheels are not there.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FetchingFailed {
    /// A setting of the index is malformed.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A directory of wheels cannot be listed.
    #[error(transparent)]
    Wheelhouse(#[from] WheelhouseError),
    /// There is neither a cache nor another directory to fetch into.
    #[error("cannot make a directory to fetch wheels into")]
    NoDirectory(#[source] io::Error),
    /// No place has a wheel that fits.
    #[error(transparent)]
    NoWheel(#[from] NoWheel),
    /// A wheel cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchFailed),
}

/// Where wheels are looked for in a request.
#[derive(Clone, Copy)]
pub(super) struct Looked<'a> {
    sources: &'a Sources,
    /// Directories of wheels that are asked first.
    wheelhouses: &'a [PathBuf],
    /// More hosts that files may come from.
    allow_hosts: &'a [String],
}

impl<'a> Looked<'a> {
    /// These sources, and the directories and hosts that a request names besides.
    pub(super) fn of(sources: &'a Sources, request: &'a LockRequest) -> Self {
        Self {
            sources,
            wheelhouses: &request.wheelhouses,
            allow_hosts: &request.allow_hosts,
        }
    }

    /// These sources, and nothing else.
    pub(super) fn only(sources: &'a Sources) -> Self {
        Self {
            sources,
            wheelhouses: &[],
            allow_hosts: &[],
        }
    }

    /// Whether the caller says anything about where wheels are.
    pub(super) fn is_said(&self) -> bool {
        let listed = Sources {
            from: Vec::new(),
            ..self.sources.clone()
        };
        listed != Sources::default() || !self.wheelhouses.is_empty()
    }
}

impl Caller<'_> {
    /// A fetcher that asks these sources for an interpreter's wheels. `downloads` keeps the
    /// directory that replaces the cache.
    ///
    /// # Errors
    /// A malformed setting; no directory.
    pub(super) fn fetcher(
        &self,
        looked: Looked<'_>,
        context: &Context,
        downloads: &mut Option<TempDir>,
    ) -> Result<Fetcher, FetchingFailed> {
        let prefix = context.interpreter.executable.ancestors().nth(2);
        let options = FetchOptions {
            allow_hosts: looked.allow_hosts.to_vec(),
            prefix: prefix.map(Path::to_owned),
            keyring: None,
        };
        let settings = Settings::read(looked.sources, &options, &self.host.surroundings)?;
        let cache = self.cache_or(downloads);
        let cache = cache.map_err(FetchingFailed::NoDirectory)?;
        let fetcher = Fetcher::new(&cache, settings, looked.wheelhouses, &context.wheels);
        Ok(fetcher.at(self.host.now))
    }

    /// The cache, or a directory in its place: a cache that cannot be used is never necessary.
    fn cache_or(&self, downloads: &mut Option<TempDir>) -> io::Result<Cache> {
        let usable = self
            .host
            .cache
            .as_ref()
            .filter(|cache| cache.make().is_ok());
        if let Some(cache) = usable {
            return Ok(cache.clone());
        }
        let dir = match downloads {
            Some(dir) => dir,
            None => downloads.insert(
                tempfile::Builder::new()
                    .prefix(DOWNLOADS_PREFIX)
                    .tempdir()?,
            ),
        };
        Ok(Cache::at(dir.path().to_owned()))
    }

    /// What asks the listener whether to stop, and tells it how far the wheels are.
    pub(super) fn fetch_control<T>(&self, work: impl FnOnce(&FetchControl<'_>) -> T) -> T {
        work(&FetchControl {
            interrupted: &|| self.listener.interrupted(),
            progress: &|progress| self.listener.fetching(progress),
        })
    }

    /// Fetches the newest wheel of each name, in their order.
    ///
    /// # Errors
    /// See [`FetchingFailed`].
    pub(super) fn newest(
        &self,
        names: &[&str],
        looked: Looked<'_>,
        context: &Context,
        downloads: &mut Option<TempDir>,
    ) -> Result<Vec<PathBuf>, FetchingFailed> {
        let wanted: Vec<Wanted> = names.iter().map(|name| Wanted::newest(name)).collect();
        let houses = looked.wheelhouses;
        let fetcher = self.fetcher(looked, context, downloads)?;
        self.fetch_control(|control| {
            let found = offers(&wanted, &fetcher, houses, context, control)?;
            let found = found.into_iter().map(|one| Ok(one?.asked));
            let asked: Vec<_> = found.collect::<Result<_, FetchingFailed>>()?;
            let files = fetcher.fetch(&asked, control)?;
            Ok(files.into_iter().map(|file| file.path).collect())
        })
    }

    /// Fetches a wheel of exactly each of these releases, in their order. A release that cannot be
    /// had does not stop the others: its own reason says why, in one line.
    ///
    /// # Errors
    /// An interruption.
    pub(super) fn exactly(
        &self,
        releases: &[Release],
        looked: Looked<'_>,
        context: &Context,
        downloads: &mut Option<TempDir>,
    ) -> Result<Vec<Result<PathBuf, String>>, FetchFailed> {
        let wanted: Vec<Wanted> = releases.iter().map(Wanted::exactly).collect();
        let houses = looked.wheelhouses;
        let fetched = self
            .fetcher(looked, context, downloads)
            .and_then(|fetcher| {
                self.fetch_control(|control| {
                    let found = offers(&wanted, &fetcher, houses, context, control)?;
                    let offers = found.iter().filter_map(|one| one.as_ref().ok());
                    let asked: Vec<_> = offers.map(|offer| offer.asked.clone()).collect();
                    let mut files = fetcher.fetch_each(&asked, control)?.into_iter();
                    let each = |offer: Result<Offer, NoWheel>| {
                        offer.map_err(|why| one_line(&why))?;
                        let file = files.next().unwrap_or(Err(FetchFailed::Interrupted));
                        file.map(|file| file.path).map_err(|why| one_line(&why))
                    };
                    Ok(found.into_iter().map(each).collect())
                })
            });
        match fetched {
            Err(FetchingFailed::Fetch(FetchFailed::Interrupted)) => Err(FetchFailed::Interrupted),
            Err(why) => Ok(vec![Err(one_line(&why)); releases.len()]),
            Ok(paths) => Ok(paths),
        }
    }
}

/// A wheel for each, or the reason why there is none.
fn offers(
    wanted: &[Wanted],
    fetcher: &Fetcher,
    wheelhouses: &[PathBuf],
    context: &Context,
    control: &FetchControl<'_>,
) -> Result<Vec<Result<Offer, NoWheel>>, FetchingFailed> {
    let environment = Environment::of(&context.interpreter, &Kernel::running());
    let releases = Releases::new(&environment, fetcher, &context.wheels, wheelhouses)?;
    Ok(releases.find(wanted, control)?)
}
