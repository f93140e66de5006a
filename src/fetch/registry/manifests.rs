//! The manifests of a repository: what a tag or a digest names.
//!
//! Promises that what is read by a digest has it, and that a manifest is never larger in memory
//! than a registry takes.
//! Read next: `../../artifact/manifest.rs`, what is in one.

use rvenv_journal::Digest;
use ureq::http::{Method, header};

use super::Registry;
use crate::fetch::bounded;
use crate::fetch::client::{Ask, Exchange, Sent};
use crate::fetch::place::PlaceError;
use crate::fetch::retry::retried;

/// As much as registries take.
pub(in crate::fetch) const MANIFEST_BYTES_MAX: usize = 4 << 20;

impl Registry {
    /// The bytes of a manifest, by its tag or as `sha256:…`; `None` if there is none.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub(in crate::fetch) fn manifest(
        &self,
        name: &str,
        accept: &str,
    ) -> Result<Option<Vec<u8>>, PlaceError> {
        let address = self.at(&format!("manifests/{name}"))?;
        let ask = Ask {
            accept: Some(accept),
            from: None,
        };
        retried(&self.client, || {
            let Some(answer) = self.get(&address, ask)? else {
                return Ok(None);
            };
            let shown = answer.address.to_string();
            let max = MANIFEST_BYTES_MAX;
            let bytes = bounded::read(&self.client, answer.reader, &shown, max)?;
            let found = Digest::of(&bytes);
            match name.strip_prefix("sha256:") {
                Some(wanted) if found.to_string() != wanted => Err(PlaceError::Hash {
                    shown,
                    found: found.to_string(),
                }),
                Some(_) | None => Ok(Some(bytes)),
            }
        })
    }

    /// Writes a manifest under a tag, or under its own digest; what it names must be there.
    ///
    /// # Errors
    /// See [`PlaceError`].
    ///
    /// # Crash
    /// The manifest is there or not: a registry writes its link to it last.
    pub(in crate::fetch) fn put_manifest(
        &self,
        tag: Option<&str>,
        kind: &str,
        bytes: &[u8],
    ) -> Result<(), PlaceError> {
        let digest = format!("sha256:{}", Digest::of(bytes));
        let address = self.at(&format!("manifests/{}", tag.unwrap_or(&digest)))?;
        let exchange = Exchange {
            sent: Sent::Bytes(bytes),
            ..Exchange::new(Method::PUT, vec![(header::CONTENT_TYPE, kind.to_owned())])
        };
        retried(&self.client, || {
            let reply = self.send(&address, &exchange)?;
            self.accepted(&address, reply).map(drop)
        })
    }
}
