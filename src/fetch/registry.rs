//! A repository of a registry (OCI distribution 1.1): blobs by their digests.
//!
//! Promises that a blob is a place by digest like any other: what arrives is hashed by the caller.
//! Credentials go to the registry and to its server of tokens only; most registries keep blobs at
//! another host and redirect to it, and that host gets none. A connection with TLS never becomes
//! one without.
//!
//! These are a few requests over the client that downloads use anyway. The crate `oci-client` does
//! the same with an asynchronous runtime and a second client for HTTP: more than the whole command
//! may grow.
//!
//! Read next: `registry/login.rs`; `transfer.rs`, which writes; `oci_reference.rs`, the addresses.

use std::fmt;
use std::sync::Arc;

use rvenv_journal::Digest;
use serde::Deserialize;
use ureq::http::{Method, header};

mod challenge;
mod login;
mod manifests;
mod referrers;
mod upload;

use self::challenge::challenges;
use self::login::Login;
pub(super) use self::manifests::MANIFEST_BYTES_MAX;
pub use self::upload::Sending;
pub(super) use self::upload::{Blob, BlobBytes};
use super::address::Address;
use super::asked::Asked;
use super::bounded;
use super::client::{Answer, Ask, Client, Exchange, REDIRECTS_MAX, Reply, answer, is_redirect};
use super::hosts::check_scheme;
use super::oci_reference::Hosted;
use super::place::{Found, Place, PlaceError, Resume};
use super::places::body_by;
use crate::python::{printable, without_passwords};

/// The most of an error that is read.
const ERROR_BYTES_MAX: usize = 64 << 10;
/// The most of an error that is shown.
const WHY_CHARS_MAX: usize = 200;

/// A repository of a registry.
pub struct Registry {
    client: Arc<Client>,
    repository: Hosted,
    login: Login,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registry({})", self.repository)
    }
}

/// What a registry says about an error.
#[derive(Deserialize)]
struct Errors {
    errors: Vec<OneError>,
}

#[derive(Deserialize)]
struct OneError {
    code: String,
    #[serde(default)]
    message: String,
}

/// What a repository is asked for, which a token must allow.
pub(super) enum Purpose<'a> {
    Read,
    /// To write, also what another repository of the same registry gives.
    Write {
        neighbour: Option<&'a str>,
    },
}

impl Registry {
    /// A repository for a purpose.
    pub(super) fn new(client: Arc<Client>, repository: Hosted, purpose: &Purpose<'_>) -> Self {
        let scope = |name: &str, actions: &str| format!("repository:{name}:{actions}");
        let own = repository.name();
        let scopes = match purpose {
            Purpose::Read => vec![scope(own, "pull")],
            Purpose::Write { neighbour } => {
                let other = neighbour.map(|name| scope(name, "pull"));
                [scope(own, "pull,push")].into_iter().chain(other).collect()
            }
        };
        Self {
            login: Login::new(&repository, scopes),
            client,
            repository,
        }
    }

    /// The address of something in the repository.
    fn at(&self, below: &str) -> Result<Address, PlaceError> {
        let path = format!("/v2/{}/{below}", self.repository.name());
        let address = self.repository.root().join(&path);
        address.map_err(PlaceError::Address)
    }

    /// Sends a request; to the registry itself with what it wants to see.
    fn send(&self, address: &Address, exchange: &Exchange<'_>) -> Result<Reply, PlaceError> {
        if address.origin() != self.repository.root().origin() {
            return self.client.exchange(address, exchange, None);
        }
        let known = self.login.known();
        let reply = self.client.exchange(address, exchange, known.as_deref())?;
        if reply.status != 401 {
            return Ok(reply);
        }
        let wanted = challenges(&reply.headers);
        match self
            .login
            .renewed(&self.client, &wanted, known.as_deref())?
        {
            Some(header) => self.client.exchange(address, exchange, Some(&header)),
            None => Ok(reply),
        }
    }

    /// Requests something, also from where the registry redirects to; `None` if it is absent.
    fn get(&self, address: &Address, ask: Ask<'_>) -> Result<Option<Answer>, PlaceError> {
        let exchange = Exchange::new(Method::GET, ask.headers());
        let mut address = address.clone();
        for _ in 0..REDIRECTS_MAX {
            let reply = self.send(&address, &exchange)?;
            if is_redirect(reply.status) {
                let target = reply.header(&header::LOCATION).unwrap_or_default();
                let next = address.join(target).map_err(PlaceError::Address)?;
                check_scheme(&address, &next).map_err(|source| PlaceError::Host {
                    shown: next.to_string(),
                    source,
                })?;
                address = next;
                continue;
            }
            return match reply.status {
                400..=499 if !matches!(reply.status, 404 | 410 | 416) => {
                    Err(self.refusal(&address, reply))
                }
                _ => answer(address, reply),
            };
        }
        Err(PlaceError::Redirects(address.to_string()))
    }

    /// The error of a reply, with what the registry says about it.
    fn refusal(&self, address: &Address, reply: Reply) -> PlaceError {
        let shown = address.to_string();
        let status = reply.status;
        let refusal = reply.refusal(shown.clone());
        if let Some(passing) = refusal.filter(|refusal| refusal.wait().is_some()) {
            return passing;
        }
        let body = bounded::read(&self.client, reply.reader, &shown, ERROR_BYTES_MAX);
        let errors: Option<Errors> = body
            .ok()
            .and_then(|body| serde_json::from_slice(&body).ok());
        let first = errors.and_then(|errors| errors.errors.into_iter().next());
        match first {
            Some(OneError { code, message }) => PlaceError::Refused {
                shown,
                status,
                why: said(&code, &message),
            },
            None if matches!(status, 401 | 403 | 407) => PlaceError::Login { shown, status },
            None => PlaceError::Status {
                shown,
                status,
                wait: None,
            },
        }
    }

    /// A reply of success.
    fn accepted(&self, address: &Address, reply: Reply) -> Result<Reply, PlaceError> {
        match reply.status {
            200..=299 => Ok(reply),
            _ => Err(self.refusal(address, reply)),
        }
    }

    fn blob(&self, digest: Digest, ask: Ask<'_>) -> Result<Option<Answer>, PlaceError> {
        self.get(&self.at(&format!("blobs/sha256:{digest}"))?, ask)
    }
}

/// The words of a registry, which may be of any length and content.
fn said(code: &str, message: &str) -> String {
    let both = if message.is_empty() {
        code.to_owned()
    } else {
        format!("{code}, {message}")
    };
    let shown: String = both.chars().take(WHY_CHARS_MAX).collect();
    printable(&without_passwords(&shown))
}

impl Place for Registry {
    fn shown(&self) -> String {
        format!("`{}`", self.repository)
    }

    fn find(&self, asked: &Asked, resume: &Resume) -> Result<Option<Found>, PlaceError> {
        match asked.hashes().sha256() {
            Some(digest) => body_by(&|ask| self.blob(digest, ask), asked, resume),
            None => Ok(None),
        }
    }
}
