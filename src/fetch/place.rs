//! Places: where the bytes of a file can be had by their digest.
//!
//! A place promises nothing about the bytes that it gives: `fetcher.rs` hashes them, and asks the
//! next place if they are others.
//!
//! Read next: `places/` and `registry.rs`, the implementations; `fetcher.rs`, which asks them.

use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rvenv_journal::FsError;
use rvenv_journal::raw::counted;
use thiserror::Error;

use super::address::AddressError;
use super::asked::Asked;
use super::hosts::HostRefused;
use super::index_page::{IndexFile, PageError};

/// Where bytes can be had by their digest.
pub trait Place: fmt::Debug + Send + Sync {
    /// Its name in messages, without what is secret in an address.
    fn shown(&self) -> String;

    /// Finds a file; `None` if it is not here. `resume` is what the caller has of it already.
    ///
    /// # Errors
    /// See [`PlaceError`]; [`PlaceError::wait`] tells whether to try again.
    fn find(&self, asked: &Asked, resume: &Resume) -> Result<Option<Found>, PlaceError>;
}

/// A place that says which files of a project it has.
pub trait Listing: Place {
    /// The files of a project; `None` if it does not have the project. Tries again if an error
    /// passes.
    ///
    /// # Errors
    /// See [`PlaceError`].
    fn project(&self, name: &str) -> Result<Option<Arc<Vec<IndexFile>>>, PlaceError>;
}

impl<P: Place + ?Sized> Place for Arc<P> {
    fn shown(&self) -> String {
        self.as_ref().shown()
    }

    fn find(&self, asked: &Asked, resume: &Resume) -> Result<Option<Found>, PlaceError> {
        self.as_ref().find(asked, resume)
    }
}

/// How much of a file the caller has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// How many bytes from its beginning.
    pub len: u64,
    /// The version of the file that they are from, as the server named it.
    pub version: Option<String>,
}

/// What a place has.
pub enum Found {
    /// A file on this machine, which is used where it is.
    File(PathBuf),
    /// Bytes as they arrive.
    Body(Body),
}

/// Bytes as they arrive.
pub struct Body {
    /// The offset in the file at which they begin: 0, or what the caller has.
    pub start: u64,
    /// The length of the whole file, if the place names it.
    pub len: Option<u64>,
    /// The version of the file.
    pub version: Option<String>,
    /// Where they come from, for messages.
    pub shown: String,
    /// The bytes.
    pub reader: Box<dyn Read + Send>,
}

/// Why a place does not give a file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// An address is malformed.
    #[error("an address is malformed")]
    Address(#[source] AddressError),
    /// The host is not allowed.
    #[error("refused to read from `{shown}`")]
    Host {
        /// The address.
        shown: String,
        /// Why.
        source: HostRefused,
    },
    /// Redirects without an end.
    #[error("`{0}` has too many redirects")]
    Redirects(String),
    /// The server answered with an error.
    #[error("`{shown}` answered with status {status}")]
    Status {
        /// The address.
        shown: String,
        /// The status.
        status: u16,
        /// How long the server asks to wait.
        wait: Option<Duration>,
    },
    /// The server wants other credentials.
    #[error("`{shown}` refused the credentials, or the lack of them (status {status})")]
    Login {
        /// The address.
        shown: String,
        /// The status.
        status: u16,
    },
    /// The server was silent, or slower than any real one.
    #[error("`{0}` sent nothing for too long")]
    Silent(String),
    /// The connection failed or broke.
    #[error("the connection to `{shown}` failed: {why}")]
    Connection {
        /// The address.
        shown: String,
        /// Why, without passwords.
        why: String,
    },
    /// The proxy's address is malformed, or of a kind that rvenv does not speak.
    #[error("cannot use the configured proxy for `{0}`")]
    Proxy(String),
    /// The certificates cannot be read.
    #[error("cannot read the certificates in `{}`", crate::python::shown(path))]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The credentials of registries cannot be read.
    #[error(
        "cannot read the credentials of registries in `{}`",
        crate::python::shown(path)
    )]
    Logins {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A registry refused a request, and said why.
    #[error("`{shown}` answered with status {status}: {why}")]
    Refused {
        /// The address.
        shown: String,
        /// The status.
        status: u16,
        /// Why, in the words of the registry.
        why: String,
    },
    /// A page for several files was asked for before, in vain.
    #[error(transparent)]
    Earlier(Arc<PlaceError>),
    /// The page of an index is malformed.
    #[error("cannot read the page `{shown}`")]
    Page {
        /// The address.
        shown: String,
        /// Why.
        source: PageError,
    },
    /// A file of this machine cannot be read.
    #[error("cannot read `{}`", crate::python::shown(path))]
    Local {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory is not in the form of a registry, or not there.
    #[error("`{}` has no `oci-layout`", crate::python::shown(.0))]
    NoLayout(PathBuf),
    /// A directory in the form of a registry cannot be written.
    #[error("cannot write into `{}`", crate::python::shown(path))]
    Write {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: Box<FsError>,
    },
    /// More bytes than the file may have.
    #[error("`{shown}` has more than {}, which is the limit", counted(*max, "byte"))]
    TooLarge {
        /// The address or path.
        shown: String,
        /// The limit.
        max: u64,
    },
    /// Another size than the one that is asked for.
    #[error("`{shown}` has {}, not {expected}", counted(*len, "byte"))]
    Size {
        /// The address or path.
        shown: String,
        /// Its size.
        len: u64,
        /// The size that is asked for.
        expected: u64,
    },
    /// Other bytes than those that are asked for.
    #[error("`{shown}` has the sha256 digest {found}, which is not the expected one")]
    Hash {
        /// The address or path.
        shown: String,
        /// Its digest.
        found: String,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl PlaceError {
    /// How long to wait before the place is asked again; `None` if that is of no use.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::Status { status, wait, .. } => {
                let passes = matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504);
                passes.then(|| wait.unwrap_or_default())
            }
            Self::Silent(_) | Self::Connection { .. } => Some(Duration::ZERO),
            Self::Address(_)
            | Self::Host { .. }
            | Self::Redirects(_)
            | Self::Login { .. }
            | Self::Proxy(_)
            | Self::Certificates { .. }
            | Self::Logins { .. }
            | Self::Refused { .. }
            | Self::Earlier(_)
            | Self::Page { .. }
            | Self::Local { .. }
            | Self::NoLayout(_)
            | Self::Write { .. }
            | Self::TooLarge { .. }
            | Self::Size { .. }
            | Self::Hash { .. }
            | Self::Interrupted => None,
        }
    }
}
