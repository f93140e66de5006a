//! A directory in the form of a registry (OCI image layout 1.1): blobs by their digests, for
//! machines that share a filesystem.
//!
//! Believes nothing that it reads: a blob is given as bytes that the caller copies and hashes,
//! because its owner may change it at any time.
//!
//! On disk: `oci-layout`, `index.json`, where tags are, and `blobs/sha256/DIGEST`.
//! Read next: `layout/writing.rs`; `transfer.rs`, which reads and writes here as in a registry.

#[cfg(test)]
mod power_cuts;
mod writing;

use std::io::{self, ErrorKind, Read, Take};
use std::path::{Path, PathBuf};

use rvenv_journal::Digest;
use rvenv_journal::fs::real::RealFs;
use serde_json::{Map, Value};

use self::writing::Writer;
use super::asked::Asked;
use super::place::{Body, Found, Place, PlaceError, Resume};
use super::places::check_size;
use super::registry::{Blob, MANIFEST_BYTES_MAX, Sending};
use crate::base::image_layout::{INDEX, MARK, TAG, blob};
use crate::base::regular_file;
use crate::python::shown;

/// A directory in the form of a registry.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    path: PathBuf,
    fs: RealFs,
}

impl Layout {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            fs: RealFs::new(),
        }
    }

    /// Opens a file; `None` if it does not exist in a directory that does.
    fn open(&self, path: PathBuf) -> Result<Option<std::fs::File>, PlaceError> {
        let absent = |error: &io::Error| error.kind() == ErrorKind::NotFound;
        match regular_file::open(&path) {
            Ok(file) => Ok(Some(file)),
            // A mount that is missing is not an empty one.
            Err(error) if absent(&error) && self.path.join(MARK).exists() => Ok(None),
            Err(error) if absent(&error) => Err(PlaceError::NoLayout(self.path.clone())),
            Err(source) => Err(PlaceError::Local { path, source }),
        }
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, PlaceError> {
        let Some(file) = self.open(path.to_owned())? else {
            return Ok(None);
        };
        let max = MANIFEST_BYTES_MAX as u64;
        let mut bytes = Vec::new();
        let mut some: Take<_> = file.take(max + 1);
        let read = some.read_to_end(&mut bytes);
        read.map_err(|source| PlaceError::Local {
            path: path.to_owned(),
            source,
        })?;
        if bytes.len() as u64 > max {
            let shown = shown(path);
            return Err(PlaceError::TooLarge { shown, max });
        }
        Ok(Some(bytes))
    }

    /// The bytes of a manifest, by its tag or as `sha256:…`; `None` if there is none.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub(super) fn manifest(&self, name: &str) -> Result<Option<Vec<u8>>, PlaceError> {
        let pinned = name.strip_prefix("sha256:").map(str::to_owned);
        let Some(digits) = pinned.map_or_else(|| self.tagged(name), |digits| Ok(Some(digits)))?
        else {
            return Ok(None);
        };
        let Ok(digest) = Digest::parse(&digits) else {
            return Ok(None);
        };
        let path = blob(&self.path, digest);
        let Some(bytes) = self.read(&path)? else {
            return Ok(None);
        };
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(PlaceError::Hash {
                shown: shown(&path),
                found: found.to_string(),
            });
        }
        Ok(Some(bytes))
    }

    /// The digits of what has a tag.
    fn tagged(&self, tag: &str) -> Result<Option<String>, PlaceError> {
        let entries = entries(&self.index()?);
        let found = entries.into_iter().find(|entry| tag_of(entry) == Some(tag));
        let digest = found.and_then(|entry| entry.get("digest")?.as_str().map(str::to_owned));
        Ok(digest.and_then(|digest| digest.strip_prefix("sha256:").map(str::to_owned)))
    }

    fn index(&self) -> Result<Map<String, Value>, PlaceError> {
        let path = self.path.join(INDEX);
        match self.read(&path)? {
            Some(bytes) => index_of(&path, &bytes),
            None => Ok(Map::new()),
        }
    }

    /// Writes a blob, unless it is there.
    ///
    /// # Errors
    /// See [`PlaceError`].
    ///
    /// # Crash
    /// The blob is there or not.
    pub(super) fn put_blob(&self, blob: &Blob<'_>) -> Result<Sending, PlaceError> {
        self.writer().put_blob(blob)
    }

    /// Writes a manifest, under a tag if there is one; its blobs must be there.
    ///
    /// # Errors
    /// See [`PlaceError`].
    ///
    /// # Crash
    /// The tag names this manifest or what it named before.
    pub(super) fn put_manifest(
        &self,
        tag: Option<&str>,
        kind: &str,
        bytes: &[u8],
    ) -> Result<(), PlaceError> {
        self.writer().put_manifest(tag, kind, bytes)
    }

    fn writer(&self) -> Writer<'_> {
        Writer {
            path: &self.path,
            fs: &self.fs,
        }
    }
}

fn index_of(path: &Path, bytes: &[u8]) -> Result<Map<String, Value>, PlaceError> {
    serde_json::from_slice(bytes).map_err(|why| PlaceError::Local {
        path: path.to_owned(),
        source: why.into(),
    })
}

fn entries(index: &Map<String, Value>) -> Vec<Value> {
    let entries = index.get("manifests").and_then(Value::as_array);
    entries.cloned().unwrap_or_default()
}

fn tag_of(entry: &Value) -> Option<&str> {
    entry.get("annotations")?.get(TAG)?.as_str()
}

impl Place for Layout {
    fn shown(&self) -> String {
        format!("the layout `{}`", shown(&self.path))
    }

    fn find(&self, asked: &Asked, _: &Resume) -> Result<Option<Found>, PlaceError> {
        let Some(digest) = asked.hashes().sha256() else {
            return Ok(None);
        };
        let path = blob(&self.path, digest);
        let Some(file) = self.open(path.clone())? else {
            return Ok(None);
        };
        let meta = file.metadata();
        let meta = meta.map_err(|source| PlaceError::Local {
            path: path.clone(),
            source,
        })?;
        let shown = shown(&path);
        check_size(asked, meta.len(), &shown)?;
        Ok(Some(Found::Body(Body {
            start: 0,
            len: Some(meta.len()),
            version: None,
            shown,
            reader: Box::new(file),
        })))
    }
}
