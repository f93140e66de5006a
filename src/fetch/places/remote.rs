//! The URL that a lock names.
//!
//! Promises that bytes continue those that the caller has only if the server says so: any other
//! answer is the whole file.
//! Read next: `../client.rs`, which requests it.

use std::sync::Arc;

use super::directory::check_size;
use crate::fetch::address::{Address, Scheme};
use crate::fetch::asked::Asked;
use crate::fetch::client::{Answer, Ask, Client};
use crate::fetch::place::{Body, Found, Place, PlaceError, Resume};

/// The URL that is asked for.
#[derive(Clone, Debug)]
pub struct Remote(pub(in crate::fetch) Arc<Client>);

impl Place for Remote {
    fn shown(&self) -> String {
        "its URL".to_owned()
    }

    fn find(&self, asked: &Asked, resume: &Resume) -> Result<Option<Found>, PlaceError> {
        match asked.url() {
            Some(url) if url.scheme() != Scheme::File => body(&self.0, url, asked, resume),
            Some(_) | None => Ok(None),
        }
    }
}

/// The bytes of a file at an address.
pub(super) fn body(
    client: &Client,
    url: &Address,
    asked: &Asked,
    resume: &Resume,
) -> Result<Option<Found>, PlaceError> {
    body_by(&|ask| client.get(url, ask), asked, resume)
}

/// The bytes of a file that is requested in this way.
pub(in crate::fetch) fn body_by(
    get: &dyn Fn(Ask<'_>) -> Result<Option<Answer>, PlaceError>,
    asked: &Asked,
    resume: &Resume,
) -> Result<Option<Found>, PlaceError> {
    let from = (resume.len > 0).then_some((resume.len, resume.version.as_deref()));
    let got = match get(Ask { accept: None, from }) {
        // What the caller has is longer than the file, or exactly as long.
        Err(PlaceError::Status { status: 416, .. }) if from.is_some() => get(Ask::default()),
        got => got,
    };
    let Some(answer) = got? else { return Ok(None) };
    let start = start_of(&answer, resume.len)?;
    let len = match start {
        0 => answer
            .header("content-length")
            .and_then(|len| len.parse().ok()),
        _ => range_of(&answer).and_then(|range| range.total),
    };
    if let Some(len) = len {
        check_size(asked, len, &answer.address.to_string())?;
    }
    let version = answer.header("etag").filter(|tag| !tag.starts_with("W/"));
    let version = version.or_else(|| answer.header("last-modified"));
    Ok(Some(Found::Body(Body {
        start,
        len,
        version: version.map(str::to_owned),
        shown: answer.address.to_string(),
        reader: answer.reader,
    })))
}

/// Where the bytes begin.
fn start_of(answer: &Answer, wanted: u64) -> Result<u64, PlaceError> {
    if answer.status != 206 {
        return Ok(0);
    }
    match range_of(answer) {
        Some(range) if wanted > 0 && range.start == wanted => Ok(wanted),
        Some(_) | None => Err(PlaceError::Connection {
            shown: answer.address.to_string(),
            why: "it sent another range than the requested one".to_owned(),
        }),
    }
}

struct Range {
    start: u64,
    total: Option<u64>,
}

/// Reads `Content-Range: bytes 10-19/20`.
fn range_of(answer: &Answer) -> Option<Range> {
    let range = answer
        .header("content-range")?
        .trim()
        .strip_prefix("bytes")?;
    let (range, total) = range.trim().split_once('/')?;
    Some(Range {
        start: range.split('-').next()?.trim().parse().ok()?,
        total: total.trim().parse().ok(),
    })
}
