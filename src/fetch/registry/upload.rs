//! Blobs into a repository.
//!
//! Promises that a blob which is there is not sent, nor one that another repository of the registry
//! has and may give; that an upload that broke goes on where the registry has it; and that bytes go
//! to the registry alone. The registry compares the digest before it gives a blob its name.
//!
//! In the registry meanwhile: an upload without a name, which the registry deletes after some time.
//! The next run begins it again.
//! Read next: `manifests.rs`, which names blobs.

use std::cell::RefCell;
use std::path::Path;

use rvenv_journal::Digest;
use ureq::http::{HeaderName, Method, header};

use super::Registry;
use crate::fetch::address::Address;
use crate::fetch::client::{Exchange, Range, Reply, Sent, is_redirect};
use crate::fetch::hosts::HostRefused;
use crate::fetch::place::PlaceError;
use crate::fetch::retry::retried;

/// What is sent in one request.
const PIECE_BYTES: u64 = 8 << 20;
const OCTETS: &str = "application/octet-stream";

/// A blob to be sent.
#[derive(Clone, Copy)]
pub(in crate::fetch) struct Blob<'a> {
    pub(in crate::fetch) digest: Digest,
    pub(in crate::fetch) len: u64,
    pub(in crate::fetch) bytes: BlobBytes<'a>,
}

/// Where the bytes of a blob are.
#[derive(Clone, Copy)]
pub(in crate::fetch) enum BlobBytes<'a> {
    Memory(&'a [u8]),
    File(&'a Path),
}

/// What became of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// It was there.
    Present,
    /// Another repository of the registry gave it.
    Mounted,
    /// It was sent.
    Sent,
}

impl Blob<'_> {
    /// Some of its bytes.
    fn part(&self, range: Range) -> Sent<'_> {
        match self.bytes {
            BlobBytes::Memory(bytes) => {
                let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
                let part = bytes.get(at(range.start)..at(range.start + range.len));
                Sent::Bytes(part.unwrap_or_default())
            }
            BlobBytes::File(path) => Sent::Part(path, range),
        }
    }
}

impl Registry {
    /// Puts a blob into the repository; `from` is a repository of the same registry that may have
    /// it.
    ///
    /// # Errors
    /// See [`PlaceError`].
    ///
    /// # Crash
    /// The blob is there or not.
    pub(in crate::fetch) fn put_blob(
        &self,
        blob: &Blob<'_>,
        from: Option<&str>,
    ) -> Result<Sending, PlaceError> {
        if retried(&self.client, || self.has_blob(blob))? {
            return Ok(Sending::Present);
        }
        // What the registry has of the upload, between two attempts.
        let upload = RefCell::new(None);
        retried(&self.client, || {
            let broken = upload.borrow().clone();
            let mut current = match broken {
                Some(broken) => self.resumed(&broken, blob)?,
                None => match self.begun(blob, from)? {
                    Some(begun) => begun,
                    None => return Ok(Sending::Mounted),
                },
            };
            let sent = self.pour(&mut current, blob);
            *upload.borrow_mut() = Some(current);
            sent.map(|()| Sending::Sent)
        })
    }

    /// Whether the repository has a blob, in its right length.
    fn has_blob(&self, blob: &Blob<'_>) -> Result<bool, PlaceError> {
        let address = self.at(&format!("blobs/sha256:{}", blob.digest))?;
        let exchange = Exchange::new(Method::HEAD, Vec::new());
        let reply = self.send(&address, &exchange)?;
        // Where it redirects to matters only to those who read it.
        if is_redirect(reply.status) {
            return Ok(true);
        }
        if matches!(reply.status, 404 | 410) {
            return Ok(false);
        }
        let reply = self.accepted(&address, reply)?;
        let len = reply.header(&header::CONTENT_LENGTH);
        match len.and_then(|len| len.parse().ok()) {
            Some(len) if len != blob.len => Err(PlaceError::Size {
                shown: address.to_string(),
                len,
                expected: blob.len,
            }),
            Some(_) | None => Ok(true),
        }
    }

    /// Begins an upload; `None` if the blob came from another repository.
    fn begun(&self, blob: &Blob<'_>, from: Option<&str>) -> Result<Option<Upload>, PlaceError> {
        let mut address = self.at("blobs/uploads/")?;
        if let Some(from) = from {
            let digest = format!("sha256:{}", blob.digest);
            address = address.with_query(&[("mount", &digest), ("from", from)]);
        }
        let exchange = Exchange {
            sent: Sent::Bytes(b""),
            ..Exchange::new(Method::POST, Vec::new())
        };
        let reply = self.send(&address, &exchange)?;
        let reply = self.accepted(&address, reply)?;
        if reply.status == 201 && from.is_some() {
            return Ok(None);
        }
        Ok(Some(Upload {
            at: self.location(&address, &reply)?,
            has: 0,
        }))
    }

    /// Asks how much the registry has of an upload that broke; begins again if it has forgotten it.
    fn resumed(&self, broken: &Upload, blob: &Blob<'_>) -> Result<Upload, PlaceError> {
        let exchange = Exchange::new(Method::GET, Vec::new());
        let reply = self.send(&broken.at, &exchange)?;
        let range = reply.header(&header::RANGE).and_then(end_of);
        match range {
            Some(has) if matches!(reply.status, 200..=299) && has <= blob.len => Ok(Upload {
                at: self.location(&broken.at, &reply)?,
                has,
            }),
            Some(_) | None => {
                let begun = self.begun(blob, None)?;
                Ok(begun.expect("without another repository, nothing is mounted"))
            }
        }
    }

    /// Sends what the registry lacks, and has it compare the digest.
    fn pour(&self, upload: &mut Upload, blob: &Blob<'_>) -> Result<(), PlaceError> {
        while blob.len - upload.has > PIECE_BYTES {
            let range = Range {
                start: upload.has,
                len: PIECE_BYTES,
            };
            let end = range.start + range.len;
            let span = format!("{}-{}", range.start, end - 1);
            let exchange = Exchange {
                sent: blob.part(range),
                ..Exchange::new(
                    Method::PATCH,
                    headers(&[
                        (header::CONTENT_TYPE, OCTETS),
                        (header::CONTENT_RANGE, &span),
                    ]),
                )
            };
            let reply = self.send(&upload.at, &exchange)?;
            let reply = self.accepted(&upload.at, reply)?;
            upload.at = self.location(&upload.at, &reply)?;
            upload.has = end;
        }
        let range = Range {
            start: upload.has,
            len: blob.len - upload.has,
        };
        let digest = format!("sha256:{}", blob.digest);
        let address = upload.at.with_query(&[("digest", &digest)]);
        let exchange = Exchange {
            sent: blob.part(range),
            ..Exchange::new(Method::PUT, headers(&[(header::CONTENT_TYPE, OCTETS)]))
        };
        let reply = self.send(&address, &exchange)?;
        self.accepted(&address, reply).map(drop)
    }

    /// Where an upload goes on: nowhere but at the registry.
    fn location(&self, from: &Address, reply: &Reply) -> Result<Address, PlaceError> {
        let target = reply.header(&header::LOCATION).unwrap_or_default();
        let next = from.join(target).map_err(PlaceError::Address)?;
        self.own(next)
    }

    /// An address that the registry named, if it is its own.
    pub(super) fn own(&self, next: Address) -> Result<Address, PlaceError> {
        if next.origin() == self.repository.root().origin() {
            return Ok(next);
        }
        Err(PlaceError::Host {
            shown: next.to_string(),
            source: HostRefused::Unnamed(next.host().to_owned()),
        })
    }
}

/// An upload that the registry has begun.
#[derive(Clone)]
struct Upload {
    at: Address,
    /// How many bytes of it the registry has.
    has: u64,
}

fn headers(pairs: &[(HeaderName, &str)]) -> Vec<(HeaderName, String)> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| (name.clone(), (*value).to_owned()))
        .collect()
}

/// How many bytes `0-9` are: ten. With `0-0` a registry may have one byte or none, so that nothing
/// goes on there.
fn end_of(range: &str) -> Option<u64> {
    let range = range.trim().strip_prefix("bytes=").unwrap_or(range.trim());
    let (start, end) = range.split_once('-')?;
    let end: u64 = end.trim().parse().ok()?;
    (start.trim() == "0" && end > 0).then_some(end.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_of_an_upload_is_read() {
        for (text, expected) in [
            ("0-9", Some(10)),
            ("bytes=0-9", Some(10)),
            ("0-0", None),
            ("5-9", None),
            ("0-", None),
            ("", None),
        ] {
            assert_eq!(end_of(text), expected, "{text}");
        }
    }
}
