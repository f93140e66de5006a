//! What `find-links` names: a page of links, a directory, or one file.
//!
//! Promises that a page is requested once for all projects, however many threads ask, its retries
//! included: if it cannot be had, each project has the same reason.
//! Read next: `page.rs`, which gets a page; `directory.rs`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::directory::{Directory, regular};
use super::page::{listed, page};
use super::remote::body;
use crate::base::regular_file;
use crate::fetch::address::{Address, Scheme};
use crate::fetch::asked::Asked;
use crate::fetch::client::Client;
use crate::fetch::index_page::{IndexFile, PageKind, files};
use crate::fetch::place::{Found, Listing, Place, PlaceError, Resume};
use crate::fetch::retry::retried;
use crate::fetch::settings::Links;
use crate::wheel::{Named, normal_name};

/// A page with files of any project.
struct LinksPage {
    client: Arc<Client>,
    address: Address,
    answer: Mutex<Option<Answer>>,
}

/// The files on a page, if there is one, or why it cannot be had.
type Answer = Result<Option<Arc<Vec<IndexFile>>>, Arc<PlaceError>>;

impl fmt::Debug for LinksPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinksPage({})", self.address)
    }
}

impl LinksPage {
    fn new(client: Arc<Client>, address: Address) -> Self {
        Self {
            client,
            address,
            answer: Mutex::default(),
        }
    }

    fn files(&self) -> Result<Option<Arc<Vec<IndexFile>>>, PlaceError> {
        // Held until the last attempt is over: the other threads would ask the same.
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        if self.client.is_stopped() {
            return Err(PlaceError::Interrupted);
        }
        let answer = answer.get_or_insert_with(|| {
            let files = retried(&self.client, || page(&self.client, &self.address));
            files.map(|files| files.map(Arc::new)).map_err(Arc::new)
        });
        match answer {
            Ok(files) => Ok(files.clone()),
            Err(error) => Err(PlaceError::Earlier(Arc::clone(error))),
        }
    }
}

impl Listing for LinksPage {
    fn project(&self, name: &str) -> Result<Option<Arc<Vec<IndexFile>>>, PlaceError> {
        let name = normal_name(name);
        let Some(files) = self.files()? else {
            return Ok(None);
        };
        let files = files.iter().filter(|file| file.is_of(&name));
        Ok(Some(Arc::new(files.cloned().collect())))
    }
}

impl Place for LinksPage {
    fn shown(&self) -> String {
        format!("`{}`", self.address)
    }

    fn find(&self, asked: &Asked, resume: &Resume) -> Result<Option<Found>, PlaceError> {
        let files = self.files()?;
        match files.as_ref().and_then(|files| listed(files, asked)) {
            Some(file) => body(&self.client, &file.address, asked, resume),
            None => Ok(None),
        }
    }
}

/// A page of links on this machine.
#[derive(Debug)]
struct LocalPage(PathBuf);

impl Place for LocalPage {
    fn shown(&self) -> String {
        format!("the page `{}`", crate::python::shown(&self.0))
    }

    fn find(&self, asked: &Asked, _: &Resume) -> Result<Option<Found>, PlaceError> {
        let Some(named) = Named::of(Path::new(asked.file_name())) else {
            return Ok(None);
        };
        let files = self.files(&named.name)?;
        match listed(&files, asked).and_then(|file| file.address.file_path()) {
            Some(path) => regular(path, asked),
            None => Ok(None),
        }
    }
}

impl Listing for LocalPage {
    fn project(&self, name: &str) -> Result<Option<Arc<Vec<IndexFile>>>, PlaceError> {
        Ok(Some(Arc::new(self.files(&normal_name(name))?)))
    }
}

impl LocalPage {
    /// The files of a project on this machine: a page of this machine names no server.
    fn files(&self, name: &str) -> Result<Vec<IndexFile>, PlaceError> {
        let bytes = regular_file::read(&self.0).map_err(|source| PlaceError::Local {
            path: self.0.clone(),
            source,
        })?;
        let at = format!("file://{}", self.0.to_string_lossy().replace('%', "%25"));
        let at = Address::parse(&at).map_err(PlaceError::Address)?;
        let read = files(PageKind::Html, &bytes, &at, name);
        let mut read = read.map_err(|source| PlaceError::Page {
            shown: at.to_string(),
            source,
        })?;
        read.retain(|file| file.address.scheme() == Scheme::File);
        Ok(read)
    }
}

/// The directory that holds one file, which `--find-links` names itself.
#[derive(Debug)]
struct OneFile(PathBuf);

impl Place for OneFile {
    fn shown(&self) -> String {
        format!("`{}`", crate::python::shown(&self.0))
    }

    fn find(&self, asked: &Asked, _: &Resume) -> Result<Option<Found>, PlaceError> {
        let is_it = self
            .0
            .file_name()
            .is_some_and(|name| name == asked.file_name());
        if is_it {
            regular(self.0.clone(), asked)
        } else {
            Ok(None)
        }
    }
}

/// What `--find-links` names.
pub(in crate::fetch) enum Linked {
    /// Files on this machine.
    Files(Box<dyn Place>),
    /// A page of links.
    Page(Arc<dyn Listing>),
}

/// The place that `--find-links` names.
pub(in crate::fetch) fn links_place(links: &Links, client: &Arc<Client>) -> Linked {
    match links {
        Links::Page(address) => {
            let page = LinksPage::new(Arc::clone(client), address.clone());
            Linked::Page(Arc::new(page))
        }
        Links::Local(path) if is_wheel(path) => Linked::Files(Box::new(OneFile(path.clone()))),
        Links::Local(path) if has_extension(path, &["html", "htm"]) => {
            Linked::Page(Arc::new(LocalPage(path.clone())))
        }
        Links::Local(path) => Linked::Files(Box::new(Directory(path.clone()))),
    }
}

/// Whether a path has the name of a wheel.
pub(in crate::fetch) fn is_wheel(path: &Path) -> bool {
    has_extension(path, &["whl"])
}

fn has_extension(path: &Path, wanted: &[&str]) -> bool {
    let found = path.extension().and_then(|extension| extension.to_str());
    found.is_some_and(|found| wanted.iter().any(|one| found.eq_ignore_ascii_case(one)))
}
