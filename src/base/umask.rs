//! The umask that rules at a place: the process's, or a default ACL in its stead.
//!
//! Promises that a plan has the permission bits which the system would leave to what `mkdir` and `open` make there, so
//! that what is published is what is planned, and a plan made again has nothing to change.
//! Does not promise anything of directories inside an environment whose default ACL is another than that of its root.
//!
//! Read next: `options.rs`; the engine's `staging/inheritance.rs`, by which the ACL itself is handed down.

use std::path::Path;

use rvenv_journal::Fs;
use rvenv_journal::fs::left_by_acl;

/// The permission bits that new objects do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Umask {
    /// The bits.
    pub bits: u32,
    /// Whether a default ACL says so rather than the process.
    pub is_of_acl: bool,
}

impl Umask {
    /// What rules for an environment at this path: it inherits from itself where it exists, else from the nearest directory
    /// above that does.
    ///
    /// Where nothing can be read that is the process's umask: whoever opens the path next says what is wrong with it.
    #[must_use]
    pub fn at(fs: &dyn Fs, env_dir: &Path, process: u32) -> Self {
        let of_process = Self {
            bits: process,
            is_of_acl: false,
        };
        let Some(dir) = env_dir.ancestors().find_map(|dir| fs.open_path(dir).ok()) else {
            return of_process;
        };
        left_by_acl(fs, &dir).map_or(of_process, |bits| Self {
            bits: !bits & 0o777,
            is_of_acl: true,
        })
    }
}
