//! What a directory in the form of the OCI image layout (1.1) has, and where.
//!
//! Read next: `../fetch/layout.rs`, one that is a registry; `../front/imaging/`, one that is an
//! image.

use std::path::{Path, PathBuf};

use rvenv_journal::Digest;

/// The file that marks it.
pub(crate) const MARK: &str = "oci-layout";
/// What that file has.
pub(crate) const MARK_BYTES: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// The file that names what is in it.
pub(crate) const INDEX: &str = "index.json";
/// The annotation of an entry of the index with its tag.
pub(crate) const TAG: &str = "org.opencontainers.image.ref.name";
/// The directories of blobs, one in the other.
pub(crate) const BLOBS: [&str; 2] = ["blobs", "sha256"];

/// The directory of the blobs of a layout.
pub(crate) fn blobs(layout: &Path) -> PathBuf {
    let [blobs, sha256] = BLOBS;
    layout.join(blobs).join(sha256)
}

/// The path of a blob of a layout.
pub(crate) fn blob(layout: &Path, digest: Digest) -> PathBuf {
    blobs(layout).join(digest.to_string())
}
