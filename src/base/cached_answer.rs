//! Cached answers: small files of the cache, each of which saves finding an answer about one path
//! again.
//!
//! Promises that an answer is read whole or not at all, since a rename replaces it, and that no
//! answer counts which another user may have written. Does not promise that an answer exists or
//! that it still holds: the reader decides that by fingerprints. Failing to write an answer is no
//! failure of the command.
//!
//! On disk: `<cache dir>/<kind>/<sha256 of the path>.json`, mode 0600 in directories of mode 0700.
//! Read next: `cache.rs`, which opens the directories; `python/probe_cache.rs` and
//! `wheel/catalogue.rs`, which keep answers.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use rvenv_journal::Digest;
use rvenv_journal::fs::{Flush, NewFile, Rename};

use crate::base::cache::Cache;

/// The prefix of the name of an answer that is being written.
const DRAFT_PREFIX: &str = ".tmp";

/// The file of one answer.
#[derive(Clone, Debug)]
pub(crate) struct CachedAnswer {
    cache: Cache,
    kind: &'static str,
    name: OsString,
}

impl CachedAnswer {
    /// The file of the answer of this kind about a path.
    pub(crate) fn about(path: &Path, kind: &'static str, cache: &Cache) -> Self {
        let name = Digest::of(path.as_os_str().as_encoded_bytes());
        Self {
            cache: cache.clone(),
            kind,
            name: format!("{name}.json").into(),
        }
    }

    /// The bytes of the answer, if they are at most `len_max`.
    pub(crate) fn read(&self, len_max: u64) -> Option<Vec<u8>> {
        self.cache.read(self.kind, &self.name, len_max)
    }

    /// Replaces the answer.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let made = self.cache.make_kind(self.kind);
        let (fs, dir) = made.map_err(io::Error::other)?;
        let file = NewFile {
            mode: 0o600,
            mtime: None,
            bytes,
            flush: Flush::Later,
        };
        // `tempfile` only invents the name; the file is created in the open directory.
        let draft = tempfile::Builder::new()
            .prefix(DRAFT_PREFIX)
            .disable_cleanup(true)
            .make_in("/", |path| {
                let written = fs.write_file(&dir, last(path), &file);
                written.map_err(|error| error.source)
            })?;
        let draft = last(draft.path());
        let renamed = fs.rename(dir.at(draft), dir.at(&self.name), Rename::Replace);
        renamed.map_err(|error| {
            let _is_swept_later = fs.remove_file(&dir, draft);
            error.source
        })
    }
}

fn last(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
}
