//! Cached answers: small files of the cache, each of which saves the work of finding an answer about one path again.
//!
//! Promises that an answer is read whole or not at all, since it is replaced by rename, and that none is believed that
//! another user can have written.
//! Does not promise that there is one, or that it still holds: the reader decides, by fingerprints. An answer that
//! cannot be written is no failure.
//!
//! On disk: `<cache dir>/<kind>/<sha256 of the path>.json`, mode 0600 in directories of mode 0700.
//! Read next: `cache.rs`, the door; `python/probe_cache.rs`, `wheel/catalogue.rs`.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use rvenv_journal::Digest;
use rvenv_journal::fs::{Flush, NewFile, Rename};

use crate::base::cache::Cache;

/// How the names of answers begin that are being written.
const DRAFT_PREFIX: &str = ".tmp";

/// The place of one answer.
#[derive(Clone, Debug)]
pub(crate) struct CachedAnswer {
    cache: Cache,
    kind: &'static str,
    name: OsString,
}

impl CachedAnswer {
    /// The place of the answer of this kind about a path.
    pub(crate) fn about(path: &Path, kind: &'static str, cache: &Cache) -> Self {
        let name = Digest::of(path.as_os_str().as_encoded_bytes());
        Self {
            cache: cache.clone(),
            kind,
            name: format!("{name}.json").into(),
        }
    }

    /// What was written, if it has at most `len_max` bytes.
    pub(crate) fn read(&self, len_max: u64) -> Option<Vec<u8>> {
        self.cache.read(self.kind, &self.name, len_max)
    }

    /// Replaces what was written.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let made = self.cache.make_kind(self.kind);
        let (fs, dir) = made.map_err(io::Error::other)?;
        let file = NewFile {
            mode: 0o600,
            mtime: None,
            bytes,
            flush: Flush::Later,
        };
        // `tempfile` invents names; the file is made in the open directory.
        let draft = tempfile::Builder::new()
            .prefix(DRAFT_PREFIX)
            .disable_cleanup(true)
            .make_in("/", |path| {
                let written = fs.write_file(&dir, last(path), &file);
                written.map_err(|error| error.source)
            })?;
        let draft = last(draft.path());
        let renamed = fs.rename((&dir, draft), (&dir, &self.name), Rename::Replace);
        renamed.map_err(|error| {
            let _is_swept_later = fs.remove_file(&dir, draft);
            error.source
        })
    }
}

fn last(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
}
