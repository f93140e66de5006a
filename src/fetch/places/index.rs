//! A simple index (PEP 503, 691).
//!
//! Promises that the page of a project is requested once, however many threads ask. Does not choose
//! between files; the lock does.
//! Read next: `page.rs`, which gets a page; `links.rs`, the pages for all projects.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::page::{listed, page};
use super::remote::body;
use crate::fetch::address::Address;
use crate::fetch::asked::Asked;
use crate::fetch::client::Client;
use crate::fetch::index_page::IndexFile;
use crate::fetch::place::{Found, Listing, Place, PlaceError, Resume};
use crate::fetch::retry::retried;
use crate::wheel::{Named, normal_name};

/// An index: a page for each project, below its address.
pub struct SimpleIndex {
    client: Arc<Client>,
    address: Address,
    pages: Mutex<BTreeMap<String, Arc<Slot>>>,
}

/// What the index has of one project, once the page has arrived.
type Slot = Mutex<Option<Option<Arc<Vec<IndexFile>>>>>;

impl fmt::Debug for SimpleIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimpleIndex({})", self.address)
    }
}

impl SimpleIndex {
    /// The index at an address.
    pub(in crate::fetch) fn new(client: Arc<Client>, address: Address) -> Self {
        Self {
            client,
            address,
            pages: Mutex::default(),
        }
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    fn project_once(&self, name: &str) -> Result<Option<Arc<Vec<IndexFile>>>, PlaceError> {
        let name = normal_name(name);
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = Arc::clone(pages.entry(name.clone()).or_default());
        drop(pages);
        // Held while the page arrives, so that threads that need the same page wait for it.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = slot.as_ref() {
            return Ok(known.clone());
        }
        let files = page(&self.client, &self.address.below(&name))?.map(|mut files| {
            files.retain(|file| file.is_of(&name));
            Arc::new(files)
        });
        *slot = Some(files.clone());
        Ok(files)
    }
}

impl Listing for SimpleIndex {
    fn project(&self, name: &str) -> Result<Option<Arc<Vec<IndexFile>>>, PlaceError> {
        retried(&self.client, || self.project_once(name))
    }
}

impl Place for SimpleIndex {
    fn shown(&self) -> String {
        format!("`{}`", self.address)
    }

    fn find(&self, asked: &Asked, resume: &Resume) -> Result<Option<Found>, PlaceError> {
        let Some(named) = Named::of(Path::new(asked.file_name())) else {
            return Ok(None);
        };
        let Some(files) = self.project_once(&named.name)? else {
            return Ok(None);
        };
        match listed(&files, asked) {
            Some(file) => body(&self.client, &file.address, asked, resume),
            None => Ok(None),
        }
    }
}
