//! Pages: what indexes and pages of links say about some projects, all asked for at once.
//!
//! Promises that the failure of one page is known, and no other page waits for it.
//! Read next: `places/page.rs`, which gets one page; `releases.rs`, which chooses.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::at_once::at_once;
use super::failure::FetchFailed;
use super::fetcher::{FetchControl, Fetcher};
use super::index_page::IndexFile;
use super::place::{Listing, PlaceError};

/// The files of a project in one listing, if that has the project.
pub(super) type Page = Result<Option<Arc<Vec<IndexFile>>>, Arc<PlaceError>>;

/// The pages of some projects, in the order of the listings.
#[derive(Debug, Default)]
pub(super) struct Pages(BTreeMap<String, BTreeMap<usize, Page>>);

impl Pages {
    /// What the listings say about a project.
    pub(super) fn of(&self, name: &str) -> impl Iterator<Item = &Page> {
        self.0.get(name).into_iter().flat_map(BTreeMap::values)
    }
}

impl Fetcher {
    /// Asks every listing for these projects.
    ///
    /// # Errors
    /// An interruption.
    pub(super) fn pages(
        &self,
        names: BTreeSet<String>,
        control: &FetchControl<'_>,
    ) -> Result<Pages, FetchFailed> {
        let listings = self.listings();
        let jobs = names.into_iter().flat_map(|name| {
            let asked = move |(at, listing)| (at, Arc::clone(listing), name.clone());
            listings.iter().enumerate().map(asked)
        });
        let mut pages = Pages::default();
        let stopped = Arc::new(AtomicBool::new(false));
        at_once(
            jobs.collect(),
            &stopped,
            |(at, listing, name): (usize, Arc<dyn Listing>, String)| {
                let page = listing.project(&name).map_err(Arc::new);
                (at, name, page)
            },
            |done| {
                if (control.interrupted)() {
                    self.stop();
                    return Err(FetchFailed::Interrupted);
                }
                if let Some((at, name, page)) = done {
                    pages.0.entry(name).or_default().insert(at, page);
                }
                Ok(())
            },
        )?;
        Ok(pages)
    }
}
