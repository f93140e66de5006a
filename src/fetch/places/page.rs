//! A page with files: the request for it, and what it says.
//!
//! Promises that its size is bounded, that a silent server costs a bounded time, and that it is
//! asked for as JSON first.
//! Read next: `../index_page.rs`, which reads a page.

use crate::fetch::address::Address;
use crate::fetch::asked::Asked;
use crate::fetch::bounded;
use crate::fetch::client::{Ask, Client};
use crate::fetch::index_page::{ACCEPTED, IndexFile, PageKind, all_files};
use crate::fetch::place::PlaceError;

/// Many times the page of the project with the most files.
const PAGE_BYTES_MAX: usize = 64 << 20;

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
    let bytes = bounded::read(client, answer.reader, &shown, PAGE_BYTES_MAX)?;
    let files = all_files(kind, &bytes, &answer.address).map_err(malformed)?;
    Ok(Some(files))
}

/// The file of this name, unless the page gives it other digests.
pub(super) fn listed<'a>(files: &'a [IndexFile], asked: &Asked) -> Option<&'a IndexFile> {
    files.iter().find(|file| {
        file.name == asked.file_name() && asked.hashes().agree(&file.hashes) != Some(false)
    })
}
