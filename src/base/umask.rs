//! The umask that applies at a path: the process's, or a default ACL in its stead.
//!
//! Promises that a plan has the permission bits which the system would give to what `mkdir` and
//! `open` create there, so that the published environment equals the plan, and planning again finds
//! nothing to change. Does not cover directories inside an environment whose default ACL differs
//! from that of its root.
//!
//! Read next: `options.rs`; the engine's `staging/inheritance.rs`, which hands down the ACL itself.

use std::path::Path;

use rvenv_journal::Fs;
use rvenv_journal::fs::left_by_acl;

/// The permission bits that new files and directories do not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Umask {
    /// The bits.
    pub bits: u32,
    /// Whether the bits come from a default ACL rather than from the process.
    pub is_of_acl: bool,
}

impl Umask {
    /// Finds what applies to an environment at this path: an environment that exists inherits from
    /// itself, a new one from the nearest directory above it.
    ///
    /// Where no ACL can be read, that is the process's umask: the next step that opens the path
    /// reports what is wrong with it.
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
