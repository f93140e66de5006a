//! The faults that a wheel can have.
//!
//! Promises that every fault names the member at fault, escaped so that it cannot forge lines of
//! output, and that [`WheelError`] names the wheel.
//! Read next: `archive.rs`, which finds most of them.

use std::io;

use rvenv_journal::Digest;
use rvenv_journal::raw::{RelPathError, counted};
use thiserror::Error;
use zip::result::ZipError;

use super::taken_paths::Collision;

/// A wheel that cannot be used, and why.
#[derive(Debug, Error)]
#[error("cannot use the wheel `{wheel}`")]
pub struct WheelError {
    /// The wheel, as the caller named it.
    pub wheel: String,
    /// What is wrong with it.
    #[source]
    pub fault: Box<WheelFault>,
}

/// What is wrong with a wheel.
#[derive(Debug, Error)]
pub enum WheelFault {
    /// The operating system cannot read it.
    #[error("its bytes cannot be read")]
    Read(#[source] io::Error),
    /// A directory, a FIFO or a device.
    #[error("it is not a regular file")]
    NotAFile,
    /// More bytes than a wheel may have.
    #[error("it is larger than {}", counted(*.0, "byte"))]
    TooLarge(u64),
    /// Other bytes than those that were read before.
    #[error("the file changed while it was read")]
    Changed,
    /// A name that does not describe the content, or contradicts it.
    #[error("its file name is not `name-version[-build]-python-abi-platform.whl`: {0}")]
    FileName(&'static str),
    /// A file that is truncated, damaged, or not a zip archive.
    #[error("it is not a complete and consistent zip archive")]
    Archive(#[source] ZipError),
    /// More entries than a wheel may have.
    #[error("it has {}, too many", counted(*.0, "entry"))]
    TooManyEntries(usize),
    /// Entries that would share a name when unpacked.
    #[error("two entries have the same name")]
    Duplicate,
    /// A name that is not UTF-8.
    #[error("the entry `{0}` has a name that is not UTF-8")]
    NotUtf8Name(String),
    /// A name that could lead out of the environment.
    #[error("an entry has a name that cannot be installed")]
    Name(#[source] RelPathError),
    /// A symbolic link, a device, or a directory with the name of a file.
    #[error("the entry `{0}` is neither a regular file nor an empty directory entry")]
    Kind(String),
    /// An entry that only a password opens.
    #[error("the entry `{0}` is encrypted")]
    Encrypted(String),
    /// Entries that some filesystems store under one name.
    #[error("its entries collide")]
    Collision(#[source] Collision),
    /// An entry above the limit for one file.
    #[error("the entry `{member}` would unpack to {}, too many", counted(*len, "byte"))]
    MemberTooLarge {
        /// The entry.
        member: String,
        /// Its declared length.
        len: u64,
    },
    /// Entries above the limit for all files.
    #[error("its entries would unpack to more than {}", counted(*.0, "byte"))]
    TotalTooLarge(u64),
    /// Contents that do not unpack.
    #[error("the entry `{member}` cannot be unpacked")]
    Unpack {
        /// The entry.
        member: String,
        /// The error of the decoder.
        #[source]
        source: ZipError,
    },
    /// Contents longer or shorter than declared.
    #[error(
        "the entry `{member}` does not unpack to the {} that it declares",
        counted(*len, "byte")
    )]
    Length {
        /// The entry.
        member: String,
        /// Its declared length.
        len: u64,
    },
    /// Contents that differ from `RECORD`.
    #[error("the entry `{member}` has the SHA-256 {found}, but RECORD says {expected}")]
    Content {
        /// The entry.
        member: String,
        /// The hash in `RECORD`.
        expected: Digest,
        /// The hash of the bytes.
        found: Digest,
    },
    /// No metadata directory.
    #[error("it has no `*.dist-info` directory")]
    NoDistInfo,
    /// More than one metadata directory.
    #[error("it has two metadata directories, `{0}` and `{1}`")]
    SeveralDistInfo(String, String),
    /// Metadata of another distribution.
    #[error("its file name says `{expected}`, but {place} says `{found}`")]
    Identity {
        /// Where the other name or version was found.
        place: String,
        /// The name and version in the file name.
        expected: String,
        /// The other name or version.
        found: String,
    },
    /// A required metadata file is missing.
    #[error("it has no `{0}`")]
    Missing(String),
    /// A metadata file that is not text.
    #[error("`{0}` is not UTF-8")]
    NotText(String),
    /// A required header is missing.
    #[error("`{member}` has no `{header}` header")]
    Header {
        /// The metadata file.
        member: String,
        /// The header.
        header: &'static str,
    },
    /// A newer format.
    #[error("its Wheel-Version `{0}` is not 1.x")]
    WheelVersion(String),
    /// `RECORD` cannot be parsed.
    #[error("its RECORD is not valid CSV")]
    Record(#[source] csv::Error),
    /// A row of `RECORD` that is not usable.
    #[error("row {row} of its RECORD is malformed: {reason}")]
    RecordRow {
        /// The row, counted from one.
        row: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An entry that `RECORD` does not list.
    #[error("the entry `{0}` is not listed in RECORD")]
    Unlisted(String),
    /// An entry that `RECORD` lists without a hash.
    #[error("RECORD lists `{0}` without a hash")]
    Unhashed(String),
    /// A hash that rvenv does not check.
    #[error(
        "RECORD lists `{member}` with the hash algorithm `{algorithm}`; only sha256 is supported"
    )]
    Algorithm {
        /// The entry.
        member: String,
        /// The name of the algorithm.
        algorithm: String,
    },
    /// A length in `RECORD` that the archive contradicts.
    #[error(
        "RECORD says that `{member}` has {}, the archive says {declared}",
        counted(*listed, "byte")
    )]
    RecordLength {
        /// The entry.
        member: String,
        /// The length in `RECORD`.
        listed: u64,
        /// The length in the archive.
        declared: u64,
    },
    /// A file that `RECORD` lists and the archive does not have.
    #[error("RECORD lists `{0}`, which the archive does not have")]
    Promised(String),
}

/// A foreign text, escaped and of bounded length.
pub(super) fn shown(text: &str) -> String {
    text.chars()
        .take(120)
        .collect::<String>()
        .escape_debug()
        .to_string()
}
