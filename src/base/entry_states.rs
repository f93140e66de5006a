//! The states of many entries below a directory as one digest, by one `lstat` for each.
//!
//! Promises that the digest differs once an entry came, went or got another kind, mode, size, time,
//! inode number or, as long as it has a single name, ctime: a link to a file in another environment
//! changes that too. Does not notice a change within the same tick of the filesystem's clock, which
//! is why a caller can demand that everything is older than a time.
//!
//! Read next: `../front/up_to_date.rs`, which keeps such digests.

use std::path::Path;

use rvenv_journal::Digest;
#[cfg(unix)]
use rvenv_journal::raw::Hasher;

/// The paths of entries below a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntryPaths(String);

impl EntryPaths {
    /// These paths; `None` if one of them cannot be a line.
    pub(crate) fn of<'a>(paths: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut lines = String::new();
        for path in paths {
            if path.contains(['\n', '\0']) {
                return None;
            }
            lines.push_str(path);
            lines.push('\n');
        }
        Some(Self(lines))
    }

    /// The paths as lines.
    pub(crate) fn into_lines(self) -> String {
        self.0
    }

    /// The paths in lines.
    pub(crate) fn of_lines(lines: String) -> Self {
        Self(lines)
    }

    /// The digest of the states of all; `None` if the directory cannot be opened, or if one of
    /// them changed at or after `settled_ns`, in nanoseconds since 1970.
    #[cfg(unix)]
    pub(crate) fn states(&self, below: &Path, settled_ns: Option<i128>) -> Option<Digest> {
        use std::ffi::CStr;

        use rustix::fs::{AtFlags, Mode, OFlags, open, statat};

        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = open(below, flags, Mode::empty()).ok()?;
        let mut names = self.0.clone().into_bytes();
        for byte in &mut names {
            if *byte == b'\n' {
                *byte = 0;
            }
        }
        let mut hasher = Hasher::default();
        for name in names.split_inclusive(|byte| *byte == 0) {
            let name = CStr::from_bytes_with_nul(name).ok()?;
            let Ok(found) = statat(&root, name, AtFlags::SYMLINK_NOFOLLOW) else {
                hasher.update(b"none");
                continue;
            };
            let ns = |seconds, rest| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
            let written = ns(found.st_mtime, found.st_mtime_nsec);
            let has_other_links = found.st_nlink > 1 && found.st_mode & 0o170_000 != 0o040_000;
            let changed = if has_other_links {
                written
            } else {
                ns(found.st_ctime, found.st_ctime_nsec)
            };
            if settled_ns.is_some_and(|settled| changed >= settled) {
                return None;
            }
            let state = [
                i128::from(found.st_mode),
                i128::from(found.st_size),
                written,
                changed,
                i128::from(found.st_ino),
            ];
            hasher.update(state.map(i128::to_le_bytes).as_flattened());
        }
        Some(hasher.finish())
    }

    /// No system but POSIX has times that no program can set back.
    #[cfg(not(unix))]
    pub(crate) fn states(&self, _below: &Path, _settled_ns: Option<i128>) -> Option<Digest> {
        None
    }
}
