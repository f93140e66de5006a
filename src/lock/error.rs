//! Why a file is no lock that can be used.
//!
//! Promises that the text names the file and the place in it, and has no password of a URL and no
//! control character.
//!
//! Read next: `pylock.rs` and `requirements.rs`, where each fault is found.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::python::shown;

/// Why a file is no lock that can be used.
#[derive(Debug)]
pub struct LockError {
    /// The file.
    pub path: PathBuf,
    /// Where in the file.
    pub place: Place,
    /// What is wrong.
    pub fault: LockFault,
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`{}: {}", shown(&self.path), self.place, self.fault)
    }
}

impl std::error::Error for LockError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.fault.source()
    }
}

/// Where in a file a fault is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In all of it.
    File,
    /// In a line, counted from 1.
    Line(usize),
    /// In a table of a `pylock.toml`, such as `packages[3]`, with the name of the package.
    Table(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => Ok(()),
            Self::Line(number) => write!(f, ", line {number}"),
            Self::Table(table) => write!(f, ", {table}"),
        }
    }
}

/// What is wrong with a lock.
#[derive(Debug, Error)]
pub enum LockFault {
    /// It cannot be read.
    #[error("it cannot be read")]
    Disk(#[source] io::Error),
    /// It has too many bytes.
    #[error("it is larger than {} MiB", super::BYTES_MAX >> 20)]
    Large,
    /// It is not UTF-8.
    #[error("it is not UTF-8")]
    NotText,
    /// It is not TOML, or a value has another type.
    #[error("{0}")]
    Toml(String),
    /// Its name is not that of a lock.
    #[error("the name of a lock is `pylock.toml` or `pylock.NAME.toml`, where NAME has no dot")]
    Name,
    /// A key is missing.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// The format is newer than rvenv knows.
    #[error("its format is version {0}; versions from 1.0 to before 2.0 can be read")]
    Format(String),
    /// A value is not what its key demands.
    #[error("`{key}` is `{value}`, which is not {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it should be, with an article.
        expected: &'static str,
    },
    /// A package has sources of two kinds, or none.
    #[error("{0}")]
    Sources(&'static str),
    /// A file has no hash that can be checked.
    #[error("`{file}` has no hash of sha256, sha384 or sha512 (it has {found})")]
    Hashless {
        /// The file.
        file: String,
        /// The algorithms that it has hashes of.
        found: String,
    },
    /// A hash is malformed.
    #[error("the {algorithm} hash of `{of}` is malformed: {why}")]
    Hash {
        /// The algorithm.
        algorithm: String,
        /// What it is a hash of.
        of: String,
        /// Why, as a clause.
        why: &'static str,
    },
    /// The name of a file says another package or version.
    #[error("the file `{0}` is not of this package and version")]
    OtherFile(String),
    /// A requirement cannot be read.
    #[error("`{0}` is no requirement")]
    Requirement(String),
    /// A requirement has no version.
    #[error("`{0}` has no version with `==`")]
    Unpinned(String),
    /// A requirement has no hash.
    #[error("`{0}` has no `--hash`")]
    Unhashed(String),
    /// A requirement would have to be built.
    #[error("`{what}` is {kind}, which has to be built and has no hash")]
    Unlocked {
        /// What was asked for.
        what: String,
        /// The kind, with an article.
        kind: &'static str,
    },
    /// A constraint that is a URL.
    #[error("`{0}` limits a package to a URL, which the line of the requirement has to do")]
    ConstraintUrl(String),
    /// An option that requirements files do not have.
    #[error("requirements files have no option `{0}`")]
    Option(String),
    /// An option without its value, or with one too many.
    #[error("the option `{0}` {1}")]
    OptionValue(String, &'static str),
    /// A quotation mark is not closed.
    #[error("a quotation mark is not closed")]
    Quote,
    /// Another file is only there by URL.
    #[error("`{0}` is a URL; only files are read")]
    Remote(String),
    /// Files name each other too deeply, or in a circle.
    #[error("files are nested more than {0} deep, or in a circle")]
    Nested(usize),
    /// They name more files than any real ones do.
    #[error("more than {0} of them are named")]
    Files(usize),
}

impl LockFault {
    /// Whether it is about one line, and not because that line names sources.
    pub(super) fn is_of_a_line(&self) -> bool {
        match self {
            Self::Toml(_)
            | Self::Missing(_)
            | Self::Format(_)
            | Self::Value { .. }
            | Self::Sources(_)
            | Self::Hashless { .. }
            | Self::Hash { .. }
            | Self::OtherFile(_)
            | Self::Requirement(_)
            | Self::Unpinned(_)
            | Self::Unhashed(_)
            | Self::ConstraintUrl(_)
            | Self::Option(_)
            | Self::OptionValue(..)
            | Self::Remote(_) => true,
            Self::Disk(_)
            | Self::Large
            | Self::NotText
            | Self::Name
            | Self::Unlocked { .. }
            | Self::Quote
            | Self::Nested(_)
            | Self::Files(_) => false,
        }
    }
}
