//! The model of a lock, which is that of `pylock.toml` (PEP 751).
//!
//! Promises what its readers check: names are in their normal form, versions are versions, each
//! file has a name and a hash that can be checked, and each package has one kind of source.
//!
//! Read next: `pylock.rs` and `requirements.rs`, which read one; `choose.rs`, which uses it.

use std::path::PathBuf;

use super::hashes::Hashes;
use crate::base::version::Specifiers;
use crate::wheel::Marker;

/// Packages and the files that they are installed from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// The file that it was read from.
    pub path: PathBuf,
    /// The kind of file.
    pub format: Format,
    /// Which tool wrote it.
    pub created_by: String,
    /// The versions of Python that it is for.
    pub requires_python: Option<Specifiers>,
    /// The environments that it is for: one of these markers must hold.
    pub environments: Option<Vec<Marker>>,
    /// The extras that may be asked for, in their normal form.
    pub extras: Vec<String>,
    /// The dependency groups that may be asked for.
    pub groups: Vec<String>,
    /// The groups that are installed unless others are asked for.
    pub default_groups: Vec<String>,
    /// The packages, in the order of the file.
    pub packages: Vec<Package>,
    /// Limits on what `packages` may have, which ask for nothing themselves.
    pub constraints: Vec<Constraint>,
    /// What a requirements file says about indexes.
    pub indexes: IndexOptions,
    /// What a reader should know, as sentences: keys of a newer version of the format.
    pub warnings: Vec<String>,
}

/// What kind of file a lock was read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `pylock.toml`, whose markers may ask for extras and groups.
    #[default]
    Pylock,
    /// A requirements file.
    Requirements,
}

/// One package, for the environments in which its marker holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The name in its normal form.
    pub name: String,
    /// The version; absent where the source decides.
    pub version: Option<String>,
    /// For which environments it is.
    pub marker: Option<Marker>,
    /// The versions of Python that it works with.
    pub requires_python: Option<Specifiers>,
    /// The index that it was found on.
    pub index: Option<String>,
    /// What it is installed from.
    pub source: Source,
    /// Where the lock has it: `packages[3]` or `line 7`.
    pub place: String,
}

/// What a package is installed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Files of an index.
    Files {
        /// Its wheels, of which the interpreter's tags choose one.
        wheels: Vec<File>,
        /// Its source distribution.
        sdist: Option<File>,
    },
    /// The release of an index whose files are not listed: a line `name==version --hash=…`.
    Release {
        /// A file must match one of these.
        hashes: Hashes,
    },
    /// One file at a place of its own: a wheel, or a source tree in an archive.
    Archive(Archive),
    /// A directory, of which a wheel has to be built.
    Directory {
        /// Where it is.
        path: PathBuf,
        /// Whether it is installed so that changes in it take effect.
        is_editable: bool,
        /// The part of it that is the project.
        subdirectory: Option<String>,
    },
    /// A commit of a repository, of which a wheel has to be built.
    Repository(Revision),
}

/// A commit of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The kind, such as `git`.
    pub kind: String,
    /// Where it is: a URL or a path.
    pub url: String,
    /// The commit.
    pub commit: String,
    /// What was asked for: a branch, a tag.
    pub requested: Option<String>,
    /// The part of it that is the project.
    pub subdirectory: Option<String>,
}

/// A file that was asked for by its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The file.
    pub file: File,
    /// The part of a source tree that is the project.
    pub subdirectory: Option<String>,
}

/// A file and what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The name of the file.
    pub name: String,
    /// Where it can be downloaded.
    pub url: Option<String>,
    /// Where it is on this machine: absolute, if the path of the lock is.
    pub path: Option<PathBuf>,
    /// The path as the lock spells it.
    pub written_path: Option<String>,
    /// How many bytes it has.
    pub size: Option<u64>,
    /// When it was published, as RFC 3339.
    pub upload_time: Option<String>,
    /// What its bytes must be.
    pub hashes: Hashes,
}

/// A limit on a package: a line of a constraints file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    /// The name in its normal form.
    pub name: String,
    /// The versions that it allows.
    pub versions: Option<Specifiers>,
    /// The hashes that it allows; if there are none, it allows every file.
    pub hashes: Hashes,
    /// For which environments it is.
    pub marker: Option<Marker>,
    /// Where it is: a file and a line.
    pub place: String,
}

/// What a requirements file says about indexes, in the order of the lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexOptions {
    /// `--index-url`: the last one counts.
    pub index_url: Option<String>,
    /// `--extra-index-url`.
    pub extra_index_urls: Vec<String>,
    /// `--find-links`: directories are relative to the file; URLs are as they were written.
    pub find_links: Vec<String>,
    /// `--no-index`.
    pub no_index: bool,
    /// `--trusted-host`.
    pub trusted_hosts: Vec<String>,
    /// `--no-binary`: the packages that must not come from a wheel, or `:all:`.
    pub no_binary: Vec<String>,
}
