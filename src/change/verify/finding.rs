//! Findings: how one path differs, as a word for programs and as text for users.
//!
//! Promises to distinguish what a power cut leaves (an empty file, a file of NUL bytes) from what
//! an edit leaves, and to report that a file has several names, since an edit through one of them
//! shows under all. Does not find out who made the change.
//!
//! Read next: `open_within.rs`, the walk to a path.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read as _};

use rvenv_journal::Fs;
use rvenv_journal::fs::{Dir, FsError, Kind, Meta};
use rvenv_journal::raw::counted;

/// The largest file that is read to find out whether all its bytes are NUL.
const LOOK_BYTES_MAX: u64 = 64 << 20;

/// How a path differs from what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It is gone.
    Missing,
    /// It has another type, or is behind a file or link that is not a directory.
    Kind,
    /// It has other permission bits.
    Mode,
    /// It belongs to another user than the environment.
    Owner,
    /// It has different content.
    Content,
    /// It leads elsewhere.
    LinkTarget,
    /// Its list cannot be used: the row leads out of the environment, or is malformed.
    Listing,
    /// It cannot be read.
    Unreadable,
    /// It is a script whose interpreter does not exist.
    Interpreter,
}

impl Change {
    /// Every kind of change, in order.
    pub const ALL: [Self; 9] = [
        Self::Missing,
        Self::Kind,
        Self::Mode,
        Self::Owner,
        Self::Content,
        Self::LinkTarget,
        Self::Listing,
        Self::Unreadable,
        Self::Interpreter,
    ];

    /// The word for programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Kind => "kind",
            Self::Mode => "mode",
            Self::Owner => "owner",
            Self::Content => "content",
            Self::LinkTarget => "link-target",
            Self::Listing => "listing",
            Self::Unreadable => "unreadable",
            Self::Interpreter => "interpreter",
        }
    }
}

/// One path that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The path below the environment, `.` for the environment itself; for an unusable row, the
    /// row's own text.
    pub path: String,
    /// How it differs.
    pub difference: Change,
    /// The same in words that follow the path, as in "is empty".
    pub detail: String,
}

impl Finding {
    pub(super) fn new(path: &str, difference: Change, detail: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            difference,
            detail: detail.into(),
        }
    }

    pub(super) fn missing(path: &str) -> Self {
        Self::new(path, Change::Missing, "is missing")
    }

    pub(super) fn kind(path: &str, found: Kind, expected: &str) -> Self {
        let detail = format!("is {}, not {expected}", article(found));
        Self::new(path, Change::Kind, detail)
    }

    pub(super) fn unreadable(path: &str, error: &FsError) -> Self {
        let detail = format!("cannot be read: {}", error.source);
        Self::new(path, Change::Unreadable, detail)
    }
}

/// A file type as users call it.
pub(super) fn article(kind: Kind) -> &'static str {
    match kind {
        Kind::Dir => "a directory",
        Kind::File => "a file",
        Kind::Symlink => "a symbolic link",
        Kind::Other => "a fifo, socket or device",
    }
}

/// Describes a file that has different content than it should have.
pub(super) fn content(
    fs: &dyn Fs,
    at: (&Dir, &OsStr),
    meta: &Meta,
    expected: Option<u64>,
) -> String {
    let mut text = match expected {
        _ if meta.len == 0 => "is empty".to_owned(),
        _ if is_nul(fs, at, meta) => "is filled with NUL bytes".to_owned(),
        Some(expected) if expected != meta.len => {
            format!("has different content ({}, not {expected})", meta.len)
        }
        Some(_) | None => "has different content".to_owned(),
    };
    shared(&mut text, meta);
    text
}

/// Adds that a file has other names, through which it may have been changed.
pub(super) fn shared(text: &mut String, meta: &Meta) {
    let others = meta.links.saturating_sub(1);
    if others == 0 || meta.kind != Kind::File {
        return;
    }
    let others = counted(others, "other name");
    let _infallible = write!(
        text,
        ", and shares its inode with {others}: changed through one of them, perhaps in another \
         environment"
    );
}

/// Whether all bytes of a file are NUL; reads only up to the first that is not.
pub(super) fn is_nul(fs: &dyn Fs, at: (&Dir, &OsStr), meta: &Meta) -> bool {
    if meta.len > LOOK_BYTES_MAX {
        return false;
    }
    let Ok(mut file) = fs.open_file(at.0, at.1, LOOK_BYTES_MAX) else {
        return false;
    };
    let mut piece = [0; 16 * 1024];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return true,
            Ok(len) if piece.iter().take(len).all(|byte| *byte == 0) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => return false,
        }
    }
}
