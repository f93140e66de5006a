//! Attestations of wheels (PEP 740): where an index has them, and the digest of what it has.
//!
//! Promises that nothing fails for want of them, and that the index is asked once for each: the
//! answer is cached. Does not verify a signature; what is kept shows later what the index stated
//! when the wheel was installed.
//!
//! On disk: answers, `<cache dir>/attested/<sha256 of the URL>.json`.
//! Read next: `index_page.rs`, which knows the URLs.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rvenv_journal::Digest;
use rvenv_journal::raw::Attestation;
use serde::{Deserialize, Serialize};

use super::address::Address;
use super::asked::Asked;
use super::at_once::at_once;
use super::client::{Ask, Client};
use super::download::Fetched;
use super::failure::FetchFailed;
use super::fetcher::{FetchControl, Fetcher};
use crate::base::cache::Cache;
use crate::base::cached_answer::CachedAnswer;

/// The directory of the answers in the cache.
pub const ATTESTED: &str = "attested";
/// What an index sends (PEP 740).
const KIND: &str = "application/vnd.pypi.integrity.v1+json";
/// Many times what a wheel with several attestations has.
const BYTES_MAX: u64 = 4 << 20;
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// An answer about one URL; it holds while the cache has the wheel.
#[derive(Serialize, Deserialize)]
struct Answer {
    wheel: String,
    sha256: String,
    statement: String,
}

impl Fetcher {
    /// What the index states about files that were fetched; in the order of the files.
    ///
    /// # Errors
    /// An interruption.
    pub fn attestations(
        &self,
        files: &[(&Asked, &Fetched)],
        cache: Option<&Cache>,
        control: &FetchControl<'_>,
    ) -> Result<Vec<Option<Attestation>>, FetchFailed> {
        let mut found: BTreeMap<usize, Digest> = BTreeMap::new();
        let mut jobs = Vec::new();
        for (at, (asked, file)) in files.iter().enumerate() {
            // What cannot be written down is not asked for.
            let Some(url) = asked
                .provenance
                .as_ref()
                .filter(|url| url.public().is_some())
            else {
                continue;
            };
            match recall(url, file, cache) {
                Some(known) => drop(found.insert(at, known)),
                None => jobs.push((at, url.clone())),
            }
        }
        let client = Arc::clone(self.client());
        let stopped = Arc::new(AtomicBool::new(false));
        let fetch = move |(at, url)| (at, statement(&client, &url));
        at_once(
            jobs,
            &stopped,
            fetch,
            |done: Option<(usize, Option<Digest>)>| {
                if (control.interrupted)() {
                    self.stop();
                    return Err(FetchFailed::Interrupted);
                }
                if let Some((at, Some(digest))) = done {
                    found.insert(at, digest);
                }
                Ok(())
            },
        )?;
        let each = files.iter().enumerate().map(|(at, (asked, file))| {
            let (url, digest) = (asked.provenance.as_ref()?, *found.get(&at)?);
            remember(url, asked, file, digest, cache);
            let url = url.public()?;
            Some(Attestation { url, digest })
        });
        Ok(each.collect())
    }
}

/// The digest of what is at a URL; `None` for any failure.
fn statement(client: &Client, url: &Address) -> Option<Digest> {
    let ask = Ask {
        accept: Some(KIND),
        from: None,
    };
    let answer = client.get(url, ask).ok()??;
    let mut bytes = Vec::new();
    answer
        .reader
        .take(BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .ok()?;
    let is_json = serde_json::from_slice::<serde_json::Value>(&bytes).is_ok();
    (is_json && bytes.len() as u64 <= BYTES_MAX).then(|| Digest::of(&bytes))
}

fn answer_about(url: &Address, cache: Option<&Cache>) -> Option<CachedAnswer> {
    Some(CachedAnswer::about(
        Path::new(&url.public()?),
        ATTESTED,
        cache?,
    ))
}

fn recall(url: &Address, file: &Fetched, cache: Option<&Cache>) -> Option<Digest> {
    let bytes = answer_about(url, cache)?.read(ANSWER_BYTES_MAX)?;
    let answer: Answer = serde_json::from_slice(&bytes).ok()?;
    let is_of_it = answer.sha256 == file.sha256.to_string();
    is_of_it
        .then(|| Digest::parse(&answer.statement).ok())
        .flatten()
}

/// Caches an answer; a failure only costs asking again.
fn remember(url: &Address, asked: &Asked, file: &Fetched, digest: Digest, cache: Option<&Cache>) {
    let answer = Answer {
        wheel: asked.file_name().to_owned(),
        sha256: file.sha256.to_string(),
        statement: digest.to_string(),
    };
    if let (Some(to), Ok(bytes)) = (answer_about(url, cache), serde_json::to_vec(&answer))
        && to.read(ANSWER_BYTES_MAX).as_deref() != Some(&bytes)
    {
        drop(to.write(&bytes));
    }
}
