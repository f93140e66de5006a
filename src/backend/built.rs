//! Notes on wheels that were built: which one was made of which sources, so that they are not built
//! again.
//!
//! Promises that a note is only about sources that cannot change: an archive by its digest, a
//! repository by its commit. A note is advice: the wheel counts by its digest, and what is not
//! there any more is built again.
//!
//! On disk: `<cache dir>/built/<sha256 of the key>.json`.
//! Read next: `../base/cached_answer.rs`, the file.

use std::path::Path;

use rvenv_journal::Digest;
use serde::{Deserialize, Serialize};

use crate::base::cache::Cache;
use crate::base::cached_answer::CachedAnswer;
use crate::wheel::Named;

/// The directory of these notes in the cache.
pub const BUILT: &str = "built";
const FORMAT: u64 = 1;
/// More than any real note has.
const BYTES_MAX: u64 = 1 << 20;

/// A wheel that was built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Built {
    format: u64,
    /// Which sources, and for which interpreters.
    pub(crate) key: String,
    /// The name of the file.
    pub(crate) wheel: String,
    /// Its digest.
    sha256: String,
    /// The backend that made it.
    pub(crate) backend: String,
    /// What was installed for it: `name==version sha256:DIGITS`.
    pub(crate) requires: Vec<String>,
}

impl Built {
    pub(crate) fn new(key: String, wheel: String, sha256: Digest) -> Self {
        Self {
            format: FORMAT,
            key,
            wheel,
            sha256: sha256.to_string(),
            backend: String::new(),
            requires: Vec::new(),
        }
    }

    /// The digest of the wheel.
    pub(crate) fn digest(&self) -> Option<Digest> {
        Digest::parse(&self.sha256).ok()
    }

    /// What is noted under a key.
    pub(crate) fn find(cache: &Cache, key: &str) -> Option<Self> {
        let answer = CachedAnswer::about(Path::new(key), BUILT, cache);
        let found: Self = serde_json::from_slice(&answer.read(BYTES_MAX)?).ok()?;
        let is_usable = found.format == FORMAT
            && found.key == key
            && Named::of(Path::new(&found.wheel)).is_some()
            && found.digest().is_some();
        is_usable.then_some(found)
    }

    /// Writes the note. If that fails, the same is built again.
    ///
    /// # Crash
    /// The note is whole or absent.
    pub(crate) fn note(&self, cache: &Cache) {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        let _costs_another_build =
            CachedAnswer::about(Path::new(&self.key), BUILT, cache).write(&bytes);
    }
}
