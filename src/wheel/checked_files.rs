//! Files of an environment that this process has hashed.
//!
//! Promises to give a digest only while nothing about the file has changed: its length, times,
//! owner, mode, names and inode number are those of the moment when it was hashed.
//!
//! Read next: `change/carry/files.rs`, which hashes them; `change/provision.rs`, which links them.

use std::collections::BTreeMap;

use rvenv_journal::fs::Meta;
use rvenv_journal::{Digest, RelPath};

/// The digests of files below one environment, by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckedFiles {
    by_path: BTreeMap<RelPath, (Meta, Digest)>,
}

impl CheckedFiles {
    /// The digest of a file that has this metadata now; `None` if it is not known.
    #[must_use]
    pub fn digest(&self, path: &RelPath, now: &Meta) -> Option<Digest> {
        let (then, digest) = self.by_path.get(path)?;
        (then == now).then_some(*digest)
    }

    /// The metadata that a file had when it was hashed; `None` if it was not.
    #[must_use]
    pub fn meta(&self, path: &RelPath) -> Option<&Meta> {
        self.by_path.get(path).map(|(then, _)| then)
    }

    /// Notes the digest of a file that had this metadata when it was hashed.
    pub fn insert(&mut self, path: RelPath, then: Meta, digest: Digest) {
        self.by_path.insert(path, (then, digest));
    }

    /// Adds everything that `other` knows.
    pub fn extend(&mut self, other: Self) {
        self.by_path.extend(other.by_path);
    }
}
