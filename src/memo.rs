//! Memos: small files of the cache, each of which saves the work of finding an answer about one path again.
//!
//! Promises that a memo is read whole or not at all, since it is replaced by rename, and that none is believed or written
//! in a directory of another user.
//! Does not promise that there is one, that it is ours, or that it still holds: whoever reads it decides, by witnesses.
//! Whether writing works matters to nobody.
//!
//! On disk: `<cache dir>/<kind>/<sha256 of the path>.json`.
//! Read next: `interpreter/cache.rs`, `wheel/catalogue.rs`.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rvenv_journal::Digest;

/// The place of one memo.
#[derive(Clone, Debug)]
pub(crate) struct Memo {
    file: PathBuf,
}

impl Memo {
    /// The place of the memo of this kind about a path; none in a directory of somebody else, who could write what they
    /// like into it, and would find files there that are not theirs.
    pub(crate) fn about(path: &Path, kind: &str, cache_dir: &Path) -> Option<Self> {
        if !may_be_ours(cache_dir) {
            return None;
        }
        let name = Digest::of(path.as_os_str().as_encoded_bytes());
        let file = cache_dir.join(kind).join(format!("{name}.json"));
        Some(Self { file })
    }

    /// What was written, if it has at most `len_max` bytes.
    pub(crate) fn read(&self, len_max: u64) -> Option<Vec<u8>> {
        let file = fs::File::open(&self.file).ok()?;
        let len = file.metadata().ok()?.len();
        if len > len_max {
            return None;
        }
        let mut bytes = Vec::with_capacity(usize::try_from(len + 1).ok()?);
        file.take(len_max).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Replaces what was written.
    #[expect(
        clippy::disallowed_methods,
        reason = "a plain cache outside every environment, not a tree of the engine"
    )]
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let directory = self.file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(bytes)?;
        file.persist(&self.file)?;
        Ok(())
    }
}

/// Whether a directory is absent or belongs to this user.
#[cfg(unix)]
fn may_be_ours(directory: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let found = fs::metadata(directory);
    found.map_or(true, |found| {
        found.uid() == rustix::process::geteuid().as_raw()
    })
}

#[cfg(not(unix))]
fn may_be_ours(_directory: &Path) -> bool {
    true
}
