//! Archives of sources: a `.tar.gz` or a `.zip` becomes a directory.
//!
//! Promises (I6):
//! - Every member is a regular file, a directory or a link, below the directory.
//! - A link is created after all files, so that nothing is written through one. `..` may only be at
//!   the start of its target and must not lead above the directory; so no chain of links leads out.
//! - What is unpacked is bounded in bytes, entries and memory.
//!
//! Does not keep owners or permission bits, except whether a file can be executed, as Python's
//! filter `data` does (PEP 706, 721).
//!
//! On disk: the directory that the caller gives; after a failure, part of the sources.
//! Read next: `archive/tar.rs` and `archive/zip.rs`, which list the members.

mod tar;
mod zip;

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::iter::successors;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rvenv_journal::raw::{Hasher, RelPathError, counted};
use rvenv_journal::{Digest, RelPath};
use thiserror::Error;

use crate::base::regular_file;
use crate::python::{printable, shown};

/// The ends of the names of archives that can be unpacked.
const ARCHIVES: [&str; 3] = [".tar.gz", ".tgz", ".zip"];

/// More than any real archive of sources has.
const ENTRIES_MAX: usize = 500_000;
/// How many bytes any archive may unpack to.
const BYTES_FREE: u64 = 64 << 20;
/// How many times its own size an archive may unpack to beyond that.
const RATIO_MAX: u64 = 200;
/// How many bytes no archive may unpack to.
const BYTES_MAX: u64 = 16 << 30;
/// The longest target of a link.
const TARGET_MAX: usize = 4096;
const CHUNK_BYTES: usize = 64 << 10;

/// Why an archive is not unpacked.
#[derive(Debug, Error)]
pub enum UnpackFailed {
    /// It, or its directory, cannot be read or written.
    #[error("cannot unpack `{}`", shown(archive))]
    Disk {
        /// The archive.
        archive: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what was fetched.
    #[error("`{}` changed after it was fetched", shown(archive))]
    Changed {
        /// The archive.
        archive: PathBuf,
    },
    /// It is not an archive of sources, or a hostile one.
    #[error("`{}` {why}", shown(archive))]
    Refused {
        /// The archive.
        archive: PathBuf,
        /// Why, as a clause.
        why: String,
    },
    /// The caller asked to stop.
    #[error("interrupted while unpacking `{}`", shown(archive))]
    Interrupted {
        /// The archive.
        archive: PathBuf,
    },
}

/// What was unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// The directory of the sources: the only one at the top of the archive, if there is one.
    pub root: PathBuf,
    /// The time of the newest member, in seconds since 1970.
    pub newest: Option<i64>,
}

/// Why a member is not unpacked.
#[derive(Debug)]
enum Fault {
    Disk(io::Error),
    Refused(String),
    Interrupted,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// Unpacks an archive with this digest into an empty directory.
///
/// # Errors
/// See [`UnpackFailed`].
///
/// # Crash
/// Part of the sources exists.
pub fn unpack(
    archive: &Path,
    expected: Digest,
    into: &Path,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Unpacked, UnpackFailed> {
    let failed = |fault| match fault {
        Fault::Disk(source) => UnpackFailed::Disk {
            archive: archive.to_owned(),
            source,
        },
        Fault::Refused(why) => UnpackFailed::Refused {
            archive: archive.to_owned(),
            why,
        },
        Fault::Interrupted => UnpackFailed::Interrupted {
            archive: archive.to_owned(),
        },
    };
    let mut file = regular_file::open(archive).map_err(|error| failed(error.into()))?;
    let len = file.metadata().map_err(|error| failed(error.into()))?.len();
    let found = digest(&mut file, is_stopped).map_err(failed)?;
    if found != expected {
        return Err(UnpackFailed::Changed {
            archive: archive.to_owned(),
        });
    }
    let mut tree = Tree {
        into,
        left: BYTES_FREE.max(len.saturating_mul(RATIO_MAX)).min(BYTES_MAX),
        entries: 0,
        files: BTreeSet::new(),
        links: Vec::new(),
        newest: None,
        is_stopped,
    };
    let name = archive.to_string_lossy();
    let listed = if name.ends_with(".zip") {
        zip::list(file, &mut tree)
    } else if ARCHIVES.iter().any(|end| name.ends_with(end)) {
        tar::list(file, &mut tree)
    } else {
        let kinds = ARCHIVES.join(", ");
        Err(Fault::Refused(format!(
            "is no archive of a kind that is unpacked ({kinds})"
        )))
    };
    listed.and_then(|()| tree.finish()).map_err(failed)
}

/// The digest of a file, which is rewound.
fn digest(file: &mut File, is_stopped: &dyn Fn() -> bool) -> Result<Digest, Fault> {
    let mut state = Hasher::default();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        if is_stopped() {
            return Err(Fault::Interrupted);
        }
        let len = read(file, &mut chunk)?;
        if len == 0 {
            file.seek(SeekFrom::Start(0))?;
            return Ok(state.finish());
        }
        state.update(chunk.get(..len).unwrap_or_default());
    }
}

fn read(from: &mut impl Read, chunk: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// A regular file in an archive.
struct Member {
    path: RelPath,
    is_executable: bool,
    mtime: Option<i64>,
}

/// The directory that is being filled.
struct Tree<'a> {
    into: &'a Path,
    /// How many bytes may still be unpacked.
    left: u64,
    entries: usize,
    files: BTreeSet<RelPath>,
    /// Links with their targets, which are created last.
    links: Vec<(RelPath, String)>,
    newest: Option<i64>,
    is_stopped: &'a dyn Fn() -> bool,
}

impl Tree<'_> {
    /// Reads the name of a member; `None` for the directory itself.
    fn path(&mut self, name: &[u8]) -> Result<Option<RelPath>, Fault> {
        self.entries += 1;
        if self.entries > ENTRIES_MAX {
            let limit = counted(ENTRIES_MAX, "member");
            return Err(Fault::Refused(format!("has more than {limit}")));
        }
        if (self.is_stopped)() {
            return Err(Fault::Interrupted);
        }
        let text = text(name)?;
        let refused = |why: &dyn std::fmt::Display| {
            let member = printable(&text);
            Fault::Refused(format!("has a member `{member}`: {why}"))
        };
        if text.starts_with(['/', '\\']) {
            return Err(refused(&"its path is absolute"));
        }
        if cfg!(windows) && text.contains(['\\', ':']) {
            return Err(refused(&"its path is one of another system"));
        }
        let parts: Vec<&str> = text
            .split('/')
            .filter(|part| !matches!(*part, "" | "."))
            .collect();
        if parts.contains(&"..") {
            return Err(refused(&"its path leads out with `..`"));
        }
        if parts.is_empty() {
            return Ok(None);
        }
        let path = RelPath::new(&parts.join("/"));
        path.map(Some).map_err(|why: RelPathError| refused(&why))
    }

    fn directory(&mut self, path: &RelPath) -> Result<(), Fault> {
        Ok(make_dirs(&self.into.join(path.as_str()))?)
    }

    /// Writes a file.
    fn file(&mut self, member: &Member, from: &mut impl Read) -> Result<(), Fault> {
        let at = self.into.join(member.path.as_str());
        if let Some(above) = at.parent() {
            make_dirs(above)?;
        }
        let shown = || printable(member.path.as_str());
        let mut file = create(&at, member.is_executable).map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                return Fault::Refused(format!("has two members `{}`", shown()));
            }
            Fault::Disk(error)
        })?;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            if (self.is_stopped)() {
                return Err(Fault::Interrupted);
            }
            let len = read(from, &mut chunk).map_err(|error| broken(&error))?;
            if len == 0 {
                break;
            }
            self.take(len)?;
            file.write_all(chunk.get(..len).unwrap_or_default())?;
        }
        if let Some(seconds) = member.mtime {
            self.newest = self.newest.max(Some(seconds));
            let since = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
            // A time that no filesystem has is of no importance.
            let _unset = file.set_modified(UNIX_EPOCH + since);
        }
        self.files.insert(member.path.clone());
        Ok(())
    }

    /// Counts bytes that are unpacked.
    fn take(&mut self, len: usize) -> Result<(), Fault> {
        let left = self.left.checked_sub(len as u64);
        self.left = left.ok_or_else(|| {
            Fault::Refused("unpacks to far more bytes than an archive of its size may".to_owned())
        })?;
        Ok(())
    }

    fn link(&mut self, path: RelPath, target: &[u8]) -> Result<(), Fault> {
        let target = text(target)?;
        let shown = printable(&target);
        let fault = |why: &str| {
            let member = printable(path.as_str());
            Fault::Refused(format!("has a link `{member}` to `{shown}`, {why}"))
        };
        if target.is_empty() || target.len() > TARGET_MAX {
            return Err(fault("which no link can have"));
        }
        if target.starts_with('/') {
            return Err(fault("which is absolute"));
        }
        let is_up = |part: &&str| *part == "..";
        let parts = target.split('/').filter(|part| !matches!(*part, "" | "."));
        let up = parts.clone().take_while(is_up).count();
        if parts.clone().skip(up).any(|part| part == "..") {
            return Err(fault("with `..` after a name"));
        }
        let depth = path.as_str().split('/').count() - 1;
        if up > depth {
            return Err(fault("which leads out"));
        }
        self.links.push((path, target));
        Ok(())
    }

    /// Copies a file that was unpacked before, in place of a hard link to it.
    fn again(&mut self, member: &Member, first: &RelPath) -> Result<(), Fault> {
        if !self.files.contains(first) {
            let (member, first) = (printable(member.path.as_str()), printable(first.as_str()));
            return Err(Fault::Refused(format!(
                "has a link `{member}` to `{first}`, which is no file before it"
            )));
        }
        let mut from = File::open(self.into.join(first.as_str()))?;
        self.file(member, &mut from)
    }

    /// Creates the links, and finds the root.
    fn finish(self) -> Result<Unpacked, Fault> {
        for (path, target) in &self.links {
            if self.is_behind_link(path) {
                let shown = printable(path.as_str());
                return Err(Fault::Refused(format!(
                    "has a link `{shown}` below another link, through which it could lead out"
                )));
            }
            let at = self.into.join(path.as_str());
            if let Some(above) = at.parent() {
                make_dirs(above)?;
            }
            symlink(target, &at).map_err(|error| {
                if error.kind() == io::ErrorKind::AlreadyExists {
                    let shown = printable(path.as_str());
                    return Fault::Refused(format!("has two members `{shown}`"));
                }
                Fault::Disk(error)
            })?;
        }
        let entries = std::fs::read_dir(self.into)?.collect::<io::Result<Vec<_>>>()?;
        let root = match entries.as_slice() {
            [only] if only.file_type()?.is_dir() => only.path(),
            _ => self.into.to_owned(),
        };
        Ok(Unpacked {
            root,
            newest: self.newest,
        })
    }
}

impl Tree<'_> {
    /// Whether a directory above a path is a link: the path then is elsewhere, and what counts as
    /// inside for it may be outside there.
    fn is_behind_link(&self, path: &RelPath) -> bool {
        let mut above = successors(path.parent(), RelPath::parent);
        above.any(|dir| self.into.join(dir.as_str()).is_symlink())
    }
}

/// Creates directories, none of which is behind a link: links are created last.
#[expect(
    clippy::disallowed_methods,
    reason = "sources are in a private directory of the cache, not in a target"
)]
fn make_dirs(at: &Path) -> io::Result<()> {
    std::fs::create_dir_all(at)
}

fn create(at: &Path, is_executable: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(
        &mut options,
        if is_executable { 0o755 } else { 0o644 },
    );
    #[cfg(not(unix))]
    let _: bool = is_executable;
    options.open(at)
}

#[cfg(unix)]
fn symlink(target: &str, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, at)
}

#[cfg(not(unix))]
fn symlink(_target: &str, _at: &Path) -> io::Result<()> {
    Err(io::Error::other("links in archives need Unix"))
}

/// The text of a name.
fn text(name: &[u8]) -> Result<String, Fault> {
    let text = std::str::from_utf8(name).ok();
    let text = text.filter(|text| !text.contains('\0'));
    text.map(str::to_owned).ok_or_else(|| {
        let shown = printable(&String::from_utf8_lossy(name));
        Fault::Refused(format!("has a name `{shown}` that is not UTF-8"))
    })
}

/// What is wrong with an archive that cannot be decoded.
fn broken(error: &io::Error) -> Fault {
    Fault::Refused(format!("is damaged: {}", printable(&error.to_string())))
}

#[cfg(test)]
mod tests;
