//! The types of a plan: what can exist at a path, and what was observed there.
//!
//! Plain values without behaviour of their own. Promises only that a [`Mode`] has no bit above
//! 0777.
//!
//! Read next: `plan/builder.rs`, which combines them and refuses those that contradict each other.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::base::digest::Digest;
use crate::base::identity::Identity;
use crate::base::path::{RelPath, escaped};

/// The engine's own directory in a tree that it published.
pub const ENGINE_DIR: &str = ".rvenv";
/// Maximum length of a symbolic link's target in bytes.
pub const LINK_BYTES_MAX: usize = 4095;

/// The receipt's name in the engine's directory.
pub const RECEIPT_NAME: &str = "receipt.json";

/// The bits of a directory's mode that can be planned; a setgid bit comes from the parent
/// directory.
pub(crate) const DIR_MODE_MASK: u32 = 0o777;

/// Permission bits from 0 to 0777: no setuid, setgid or sticky bit can be written in a plan.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mode(u32);

/// What was published at one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishedPath {
    /// A directory.
    Dir {
        /// Its permission bits.
        mode: u32,
    },
    /// A regular file.
    File {
        /// Its permission bits.
        mode: u32,
        /// SHA-256 of its bytes.
        digest: Digest,
        /// The number of bytes.
        len: u64,
        /// Its modification time in seconds since 1970, if the plan had one.
        mtime: Option<i64>,
    },
    /// A symbolic link.
    Symlink {
        /// The text of the link.
        target: String,
    },
}

/// Whether two modes are equal, as far as the system stores modes: Windows only knows whether a
/// file is writable.
#[must_use]
pub fn is_same_mode(asked: u32, seen: u32) -> bool {
    let kept = if cfg!(windows) { 0o200 } else { u32::MAX };
    (asked ^ seen) & kept == 0
}

/// Permission bits that no plan may ask for.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("mode {0:05o} has bits above 0777")]
pub struct ModeError(pub u32);

impl Mode {
    /// Checks permission bits.
    ///
    /// # Errors
    /// Bits above 0777.
    pub fn new(bits: u32) -> Result<Self, ModeError> {
        if bits > 0o777 {
            Err(ModeError(bits))
        } else {
            Ok(Self(bits))
        }
    }

    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The bits that remain after applying a umask.
    #[must_use]
    pub const fn masked(self, umask: u32) -> Self {
        Self(self.0 & !umask)
    }

    /// The bits for a file that replaces one with the bits `old`: no wider for the group and for
    /// others than those.
    ///
    /// A user who could use the old file in any way may also execute the new one, if it is a
    /// program.
    #[must_use]
    pub const fn no_wider_than(self, old: u32) -> Self {
        let mut bits = self.0;
        let mut shift = 0;
        while shift <= 3 {
            let class = (old >> shift) & 0o7;
            let allowed = if class == 0 { 0 } else { class | 0o1 };
            bits &= !((0o7 & !allowed) << shift);
            shift += 3;
        }
        Self(bits)
    }

    /// 0755: a directory or a program that all users may use.
    pub const SHARED_DIR: Self = Self(0o755);
    /// 0644: a file that all users may read.
    pub const SHARED_FILE: Self = Self(0o644);
    /// 0777, to be reduced by a umask.
    pub const ALL: Self = Self(0o777);
    /// 0666, to be reduced by a umask.
    pub const ALL_DATA: Self = Self(0o666);
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where the bytes of a file come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The plan contains them.
    Inline(Vec<u8>),
    /// A [`ContentSource`](crate::ContentSource) provides them by digest.
    Object {
        /// SHA-256 of the bytes.
        digest: Digest,
        /// The number of bytes.
        len: u64,
    },
    /// A file of this machine contains them; it is refused if it has changed.
    Local {
        /// Absolute path of that file; symbolic links are followed.
        path: String,
        /// SHA-256 of the bytes.
        digest: Digest,
        /// The number of bytes.
        len: u64,
    },
}

impl Content {
    /// SHA-256 of the bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match self {
            Self::Inline(bytes) => Digest::of(bytes),
            Self::Object { digest, .. } | Self::Local { digest, .. } => *digest,
        }
    }

    /// The number of bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Object { len, .. } | Self::Local { len, .. } => *len,
        }
    }

    /// Whether the content is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What is to exist at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Dir {
        /// Its permission bits.
        mode: Mode,
    },
    /// A regular file.
    File {
        /// Its permission bits.
        mode: Mode,
        /// Modification time in seconds since 1970; `None` keeps the time of writing.
        mtime: Option<i64>,
        /// Its bytes.
        content: Content,
    },
    /// A symbolic link.
    Symlink {
        /// The text of the link, relative to the link's directory or absolute.
        target: String,
    },
}

/// One planned object: which part of the planner added it, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The part of the planner that added it, such as a hook of venv.
    pub part: Arc<str>,
    /// The group that it belongs to, such as the name of a wheel; used to fold long lists.
    pub group: Option<Arc<str>>,
    /// What is to exist there.
    pub node: Node,
}

/// A file outside the target that the plan was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its role in the plan, such as `interpreter` or `wheel`.
    pub role: String,
    /// Its absolute path; symbolic links are followed. Only its name, if the plan does not depend
    /// on where the file is.
    pub path: String,
    /// Where a file of which the plan only has the name was found: a hint, which is not part of the
    /// plan's digest.
    pub found: Option<String>,
    /// A URL that had the same bytes: a hint for other machines, which is not part of the digest
    /// either.
    pub url: Option<String>,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// The number of bytes.
    pub len: u64,
}

/// What a receipt keeps about a file that the tree was made from, such as an archive, under the
/// digest of that file. No digest of a plan covers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The name of the file.
    pub file: String,
    /// What its publisher states about its origin, if that was looked up.
    pub attestation: Option<Attestation>,
}

/// A statement about the origin of a file, by its place and the digest of its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// Where the statement was.
    pub url: String,
    /// SHA-256 of its text.
    pub digest: Digest,
}

impl Input {
    /// The path at which the file was when the plan was made.
    #[must_use]
    pub fn file(&self) -> &str {
        self.found.as_deref().unwrap_or(&self.path)
    }
}

/// How the plan is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publication {
    /// Everything is already as planned: nothing is written.
    Nothing,
    /// The target is absent: one `Put` of the tree.
    Put,
    /// The target is replaced as a whole: one `Exchange`, or a `Take` and a `Put` where the
    /// filesystem has no exchange.
    Replace,
    /// Entry by entry: planned entries are put or exchanged, retired ones are taken, and everything
    /// else stays.
    Merge,
    /// Entry by entry, for a target that cannot be renamed: everything that is not planned is
    /// taken.
    Refill,
}

impl Publication {
    /// Whether the target's directory stays and entries in it are the steps.
    #[must_use]
    pub fn is_by_entries(self) -> bool {
        match self {
            Self::Merge | Self::Refill => true,
            Self::Nothing | Self::Put | Self::Replace => false,
        }
    }
}

/// What must exist at the target when the plan is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Absent,
    /// A certain directory with certain entries.
    Tree {
        /// The identity of the directory.
        identity: Identity,
        /// The names directly in it, sorted, bytes that are not UTF-8 escaped; empty if other names
        /// may appear and disappear.
        names: Vec<String>,
    },
}

/// What existed at a planned or retired path when the plan was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// A directory.
    Dir {
        /// Permission bits, up to 07777.
        mode: u32,
    },
    /// A regular file.
    File {
        /// Permission bits, up to 07777.
        mode: u32,
        /// The number of bytes.
        len: u64,
        /// When the content was last modified, in nanoseconds since 1970.
        mtime_ns: i128,
        /// Its inode number.
        inode: u64,
        /// SHA-256 of the bytes, if only they can show whether the file is as planned.
        digest: Option<Digest>,
    },
    /// A symbolic link.
    Symlink {
        /// The text of the link. If it is not UTF-8 or contains a backslash, every backslash and
        /// every byte that is not printable ASCII is escaped.
        target: String,
    },
    /// A FIFO, socket or device.
    Other,
}

impl Observed {
    /// Whether this is a symbolic link with this very text.
    #[must_use]
    pub fn is_link_to(&self, text: &str) -> bool {
        match self {
            Self::Symlink { target } => *target == escaped(OsStr::new(text)),
            Self::Dir { .. } | Self::File { .. } | Self::Other => false,
        }
    }
}

/// Everything that a plan expects of its target; [`observe`](crate::observe()) makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The state of the target.
    pub target: Expected,
    /// What exists at the planned and retired paths; an absent path has no entry here.
    pub paths: BTreeMap<RelPath, Observed>,
}

/// What an operation does to its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Nothing exists there.
    Create,
    /// Something else exists there.
    Change,
    /// It already exists as planned.
    Keep,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of a link may contain a backslash, as every one on Windows does, or look like an
    /// escape.
    #[test]
    fn a_link_is_known_by_its_text_whatever_is_in_it() {
        let texts = ["plain", "a\\b", "a\\\\b", "é", "é\\", "\\xc3\\xa9\\\\"];
        for text in texts {
            let target = escaped(OsStr::new(text));
            let seen = Observed::Symlink { target };
            for other in texts {
                assert_eq!(seen.is_link_to(other), text == other, "{text} {other}");
            }
        }
        assert!(!Observed::Other.is_link_to("plain"));
    }
}
