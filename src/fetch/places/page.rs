//! A page with files: the request for it, and what it says.
//!
//! Promises that its size is bounded, that a silent server costs a bounded time, and that it is
//! asked for as JSON first.
//! Read next: `../index_page.rs`, which reads a page.

use std::io::{self, Read};

use crate::fetch::address::Address;
use crate::fetch::asked::Asked;
use crate::fetch::client::{Ask, Client, broken};
use crate::fetch::index_page::{ACCEPTED, IndexFile, PageKind, all_files};
use crate::fetch::pace::Pace;
use crate::fetch::place::PlaceError;

/// Many times the page of the project with the most files.
const PAGE_BYTES_MAX: usize = 64 << 20;
const CHUNK_BYTES: usize = 64 << 10;

/// The files of every project on the page at an address; `None` if there is no page.
pub(super) fn page(client: &Client, at: &Address) -> Result<Option<Vec<IndexFile>>, PlaceError> {
    let ask = Ask {
        accept: Some(ACCEPTED),
        from: None,
    };
    let Some(answer) = client.get(at, ask)? else {
        return Ok(None);
    };
    let shown = answer.address.to_string();
    let malformed = |source| PlaceError::Page {
        shown: shown.clone(),
        source,
    };
    let kind = answer.header("content-type").unwrap_or("text/html");
    let kind = PageKind::of(kind).map_err(malformed)?;
    let bytes = read(client, answer.reader, &shown)?;
    let files = all_files(kind, &bytes, &answer.address).map_err(malformed)?;
    Ok(Some(files))
}

/// Asks again if an error passes.
pub(super) fn retried<T>(
    client: &Client,
    ask: impl Fn() -> Result<T, PlaceError>,
) -> Result<T, PlaceError> {
    let mut attempts = 0;
    loop {
        let error = match ask() {
            Err(error) => error,
            done => return done,
        };
        let Some(wait) = client.wait(&error, attempts) else {
            return Err(error);
        };
        client.pause(wait, &|| false)?;
        attempts += 1;
    }
}

/// The file of this name, unless the page gives it other digests.
pub(super) fn listed<'a>(files: &'a [IndexFile], asked: &Asked) -> Option<&'a IndexFile> {
    files.iter().find(|file| {
        file.name == asked.file_name() && asked.hashes().agree(&file.hashes) != Some(false)
    })
}

fn read(
    client: &Client,
    mut reader: Box<dyn Read + Send>,
    shown: &str,
) -> Result<Vec<u8>, PlaceError> {
    let (mut bytes, mut chunk) = (Vec::new(), vec![0; CHUNK_BYTES]);
    let mut pace = Pace::new(client.timeout(), 0);
    loop {
        if client.is_stopped() {
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
