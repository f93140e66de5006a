//! What refers to a manifest, in a registry: the API of the distribution specification 1.1.
//!
//! Promises that a list is followed over its pages at the registry alone, a bounded number of them.
//! Most registries have no such API: the caller then keeps a list under a tag.
//! Read next: `../attaching.rs`.

use rvenv_journal::Digest;
use ureq::http::{HeaderName, Method, header};

use super::Registry;
use crate::fetch::address::Address;
use crate::fetch::bounded;
use crate::fetch::client::{Ask, Exchange, Sent};
use crate::fetch::place::PlaceError;
use crate::fetch::retry::retried;

/// As much as registries take for a manifest.
const LIST_BYTES_MAX: usize = 4 << 20;
/// A page usually has hundreds of entries.
const PAGES_MAX: usize = 100;
/// What a registry says if it lists what it took.
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

impl Registry {
    /// Writes a manifest with a subject under its own digest; returns whether the registry lists
    /// it.
    ///
    /// # Errors
    /// See [`PlaceError`].
    ///
    /// # Crash
    /// The manifest is there or not.
    pub(in crate::fetch) fn put_referrer(
        &self,
        kind: &str,
        bytes: &[u8],
    ) -> Result<bool, PlaceError> {
        let address = self.at(&format!("manifests/sha256:{}", Digest::of(bytes)))?;
        let exchange = Exchange {
            sent: Sent::Bytes(bytes),
            ..Exchange::new(Method::PUT, vec![(header::CONTENT_TYPE, kind.to_owned())])
        };
        retried(&self.client, || {
            let reply = self.send(&address, &exchange)?;
            let reply = self.accepted(&address, reply)?;
            Ok(reply.header(&SUBJECT).is_some())
        })
    }

    /// The pages of the list of what refers to a manifest; `None` if the registry keeps none.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub(in crate::fetch) fn referrers(
        &self,
        subject: Digest,
        accept: &str,
    ) -> Result<Option<Vec<Vec<u8>>>, PlaceError> {
        let ask = Ask {
            accept: Some(accept),
            from: None,
        };
        let mut next = Some(self.at(&format!("referrers/sha256:{subject}"))?);
        let mut pages = Vec::new();
        while let Some(address) = next.take() {
            if pages.len() == PAGES_MAX {
                return Err(PlaceError::Redirects(address.to_string()));
            }
            let page = retried(&self.client, || {
                let Some(answer) = self.get(&address, ask)? else {
                    return Ok(None);
                };
                let follows = answer.header("link").and_then(next_of).map(str::to_owned);
                let shown = answer.address.to_string();
                let bytes = bounded::read(&self.client, answer.reader, &shown, LIST_BYTES_MAX)?;
                Ok(Some((bytes, follows)))
            })?;
            let Some((bytes, follows)) = page else {
                return Ok(None);
            };
            pages.push(bytes);
            next = match follows {
                Some(target) => Some(self.beside(&address, &target)?),
                None => None,
            };
        }
        Ok(Some(pages))
    }

    /// An address that a page names: nowhere but at the registry.
    fn beside(&self, page: &Address, target: &str) -> Result<Address, PlaceError> {
        let next = page.join(target).map_err(PlaceError::Address)?;
        self.own(next)
    }
}

/// The address in `<ADDRESS>; rel="next"`.
fn next_of(link: &str) -> Option<&str> {
    let (address, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
    let is_next = rest.split(';').any(|part| {
        let part = part.trim();
        part == "rel=next" || part == "rel=\"next\""
    });
    is_next.then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_the_one_that_a_link_names() {
        for (link, expected) in [
            (
                "</v2/a/referrers/x?last=1>; rel=\"next\"",
                Some("/v2/a/referrers/x?last=1"),
            ),
            ("<x>;rel=next", Some("x")),
            ("<x>; rel=\"prev\"", None),
            ("x; rel=\"next\"", None),
            ("", None),
        ] {
            assert_eq!(next_of(link), expected, "{link}");
        }
    }
}
