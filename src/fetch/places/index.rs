//! A simple index (PEP 503, 691), and any page of links.
//!
//! Promises that a page is requested once, however many threads ask, that its size is bounded, and
//! that it is asked for as JSON first. Does not choose between files; the lock does.
//! Read next: `../index_page.rs`, which reads a page.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::directory::{Directory, regular};
use super::remote::body;
use crate::base::regular_file;
use crate::fetch::address::{Address, Scheme};
use crate::fetch::asked::Asked;
use crate::fetch::client::{Ask, Client, broken};
use crate::fetch::index_page::{ACCEPTED, IndexFile, PageKind, files};
use crate::fetch::pace::Pace;
use crate::fetch::place::{Found, Listing, Place, PlaceError, Resume};
use crate::fetch::settings::Links;
use crate::wheel::{Named, normal_name};

/// Many times the page of the project with the most files.
const PAGE_BYTES_MAX: usize = 64 << 20;
const CHUNK_BYTES: usize = 64 << 10;

/// An index, or a page of links for all projects.
pub struct SimpleIndex {
    client: Arc<Client>,
    address: Address,
    kind: Kind,
    pages: Mutex<BTreeMap<String, Arc<Slot>>>,
}

/// The page of one project, once it has arrived.
type Slot = Mutex<Option<Arc<Vec<IndexFile>>>>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One page for each project, below the address.
    PagePerProject,
    /// One page with files of any project.
    OnePage,
}

impl fmt::Debug for SimpleIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimpleIndex({})", self.address)
    }
}

impl SimpleIndex {
    /// The index at an address.
    pub(in crate::fetch) fn new(client: Arc<Client>, address: Address) -> Self {
        Self::of_kind(client, address, Kind::PagePerProject)
    }

    fn of_kind(client: Arc<Client>, address: Address, kind: Kind) -> Self {
        Self {
            client,
            address,
            kind,
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
            return Ok(Some(Arc::clone(known)));
        }
        let address = match self.kind {
            Kind::PagePerProject => self.address.below(&name),
            Kind::OnePage => self.address.clone(),
        };
        let Some((kind, bytes, at)) = self.page(&address)? else {
            return Ok(None);
        };
        let read = files(kind, &bytes, &at, &name).map_err(|source| PlaceError::Page {
            shown: at.to_string(),
            source,
        })?;
        let read = Arc::new(read);
        *slot = Some(Arc::clone(&read));
        Ok(Some(read))
    }

    fn page(&self, at: &Address) -> Result<Option<(PageKind, Vec<u8>, Address)>, PlaceError> {
        let ask = Ask {
            accept: Some(ACCEPTED),
            from: None,
        };
        let Some(answer) = self.client.get(at, ask)? else {
            return Ok(None);
        };
        let shown = answer.address.to_string();
        let kind = answer.header("content-type").unwrap_or("text/html");
        let kind = PageKind::of(kind).map_err(|source| PlaceError::Page {
            shown: shown.clone(),
            source,
        })?;
        let bytes = self.read(answer.reader, &shown)?;
        Ok(Some((kind, bytes, answer.address)))
    }

    fn read(&self, mut reader: Box<dyn Read + Send>, shown: &str) -> Result<Vec<u8>, PlaceError> {
        let (mut bytes, mut chunk) = (Vec::new(), vec![0; CHUNK_BYTES]);
        let mut pace = Pace::new(self.client.timeout(), 0);
        loop {
            if self.client.is_stopped() {
                return Err(PlaceError::Interrupted);
            }
            let len = match reader.read(&mut chunk) {
                Ok(0) => return Ok(bytes),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(broken(shown.to_owned(), &error)),
            };
            bytes.extend(chunk.iter().take(len));
            if bytes.len() > PAGE_BYTES_MAX {
                return Err(PlaceError::TooLarge {
                    shown: shown.to_owned(),
                    max: PAGE_BYTES_MAX as u64,
                });
            }
            if pace.is_silent(bytes.len() as u64) {
                return Err(PlaceError::Silent(shown.to_owned()));
            }
        }
    }
}

impl Listing for SimpleIndex {
    fn project(&self, name: &str) -> Result<Option<Arc<Vec<IndexFile>>>, PlaceError> {
        let mut attempts = 0;
        loop {
            let error = match self.project_once(name) {
                Err(error) => error,
                done => return done,
            };
            let Some(wait) = self.client.wait(&error, attempts) else {
                return Err(error);
            };
            self.client.pause(wait, &|| false)?;
            attempts += 1;
        }
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

/// The file of this name, unless the page gives it other digests.
fn listed<'a>(files: &'a [IndexFile], asked: &Asked) -> Option<&'a IndexFile> {
    files.iter().find(|file| {
        file.name == asked.file_name() && asked.hashes().agree(&file.hashes) != Some(false)
    })
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
            let client = Arc::clone(client);
            let page = SimpleIndex::of_kind(client, address.clone(), Kind::OnePage);
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
