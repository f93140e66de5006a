//! Blobs and manifests into a repository and out of it, for a command that can be interrupted.
//!
//! Promises that several blobs go at once, that what names them goes last, and that the command
//! returns soon after it is asked to stop.
//!
//! In the registry, after a crash: blobs without a name, which the registry deletes at its next
//! garbage collection, or which the next run finds there; never a manifest without its blobs.
//! Read next: `registry/upload.rs`, `registry/manifests.rs`.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rvenv_journal::Digest;
use thiserror::Error;

use super::at_once::at_once;
use super::client::Client;
use super::fetcher::FetchControl;
use super::layout::Layout;
use super::oci_reference::{Hosted, Repository};
use super::place::PlaceError;
use super::registry::{Blob, BlobBytes, Purpose, Registry, Sending};
use super::settings::{Order, Settings};

/// Why a registry did not take or give something.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RegistryFailed {
    /// A blob cannot be sent.
    #[error("cannot send `{name}` to `{repository}`", name = name.escape_debug())]
    Blob {
        /// The name of its file.
        name: String,
        /// Where to.
        repository: Repository,
        /// Why.
        source: PlaceError,
    },
    /// A manifest cannot be written.
    #[error("cannot write the manifest into `{repository}`")]
    PutManifest {
        /// Where to.
        repository: Repository,
        /// Why.
        source: PlaceError,
    },
    /// A manifest cannot be read.
    #[error("cannot read `{name}` of `{repository}`")]
    GetManifest {
        /// Its tag or digest.
        name: String,
        /// Where from.
        repository: Repository,
        /// Why.
        source: PlaceError,
    },
    /// The list of what refers to a manifest cannot be read.
    #[error("cannot list what is attached to `sha256:{subject}` in `{repository}`")]
    Referrers {
        /// The digest of the manifest.
        subject: Digest,
        /// Where it is.
        repository: Repository,
        /// Why.
        source: PlaceError,
    },
    /// The system refused a thread.
    #[error("cannot start a thread for the registry")]
    Thread(#[from] io::Error),
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// A blob to be sent.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The name of its file, for messages.
    pub name: String,
    /// Its digest.
    pub digest: Digest,
    /// The number of its bytes.
    pub len: u64,
    /// Where they are.
    pub bytes: ParcelBytes,
}

/// Where the bytes of a parcel are.
#[derive(Clone, Debug)]
pub enum ParcelBytes {
    /// In memory.
    Memory(Arc<[u8]>),
    /// In a file.
    File(PathBuf),
}

/// A repository in use by a command.
#[derive(Debug)]
pub struct Transfer {
    client: Arc<Client>,
    pub(super) repository: Repository,
    pub(super) side: Arc<Side>,
}

/// The other side of a transfer.
#[derive(Debug)]
pub(super) enum Side {
    Registry {
        registry: Box<Registry>,
        /// A repository of the same registry that may have the same blobs.
        neighbour: Option<String>,
    },
    Layout(Layout),
}

impl Side {
    fn manifest(&self, name: &str, accept: &str) -> Result<Option<Vec<u8>>, PlaceError> {
        match self {
            Self::Registry { registry, .. } => registry.manifest(name, accept),
            Self::Layout(layout) => layout.manifest(name),
        }
    }

    fn put_blob(&self, blob: &Blob<'_>) -> Result<Sending, PlaceError> {
        match self {
            Self::Registry {
                registry,
                neighbour,
            } => registry.put_blob(blob, neighbour.as_deref()),
            Self::Layout(layout) => layout.put_blob(blob),
        }
    }

    fn put_manifest(&self, tag: Option<&str>, kind: &str, bytes: &[u8]) -> Result<(), PlaceError> {
        match self {
            Self::Registry { registry, .. } => registry.put_manifest(tag, kind, bytes),
            Self::Layout(layout) => layout.put_manifest(tag, kind, bytes),
        }
    }

    /// Writes a manifest with a subject; returns whether the other side lists it.
    pub(super) fn put_referrer(&self, kind: &str, bytes: &[u8]) -> Result<bool, PlaceError> {
        match self {
            Self::Registry { registry, .. } => registry.put_referrer(kind, bytes),
            Self::Layout(layout) => layout.put_manifest(None, kind, bytes).map(|()| false),
        }
    }

    /// The pages of the list of what refers to a manifest, if the other side keeps one.
    pub(super) fn referrers(
        &self,
        subject: Digest,
        accept: &str,
    ) -> Result<Option<Vec<Vec<u8>>>, PlaceError> {
        match self {
            Self::Registry { registry, .. } => registry.referrers(subject, accept),
            Self::Layout(_) => Ok(None),
        }
    }
}

impl Parcel {
    /// Bytes as a blob.
    #[must_use]
    pub fn of_bytes(name: &str, bytes: Vec<u8>) -> Self {
        Self {
            name: name.to_owned(),
            digest: Digest::of(&bytes),
            len: bytes.len() as u64,
            bytes: ParcelBytes::Memory(bytes.into()),
        }
    }

    fn blob(&self) -> Blob<'_> {
        Blob {
            digest: self.digest,
            len: self.len,
            bytes: match &self.bytes {
                ParcelBytes::Memory(bytes) => BlobBytes::Memory(bytes),
                ParcelBytes::File(path) => BlobBytes::File(path),
            },
        }
    }
}

impl Transfer {
    /// Reads from a repository.
    #[must_use]
    pub fn out_of(settings: Settings, repository: &Repository) -> Self {
        Self::new(settings, repository, |client, hosted| Side::Registry {
            registry: Box::new(Registry::new(client, hosted.clone(), &Purpose::Read)),
            neighbour: None,
        })
    }

    /// Writes into a repository. A repository of `--from` in the same registry gives what it has.
    #[must_use]
    pub fn into(settings: Settings, repository: &Repository) -> Self {
        Self::new(settings, repository, |client, hosted| {
            let mut from = client.settings().from.iter();
            let neighbour = from.find_map(|order| match order {
                Order::Repository(Repository::Hosted(other))
                    if other.is_beside(hosted) && other != hosted =>
                {
                    Some(other.name().to_owned())
                }
                Order::Repository(_) | Order::Wheelhouses | Order::Named | Order::Indexes => None,
            });
            let purpose = Purpose::Write {
                neighbour: neighbour.as_deref(),
            };
            Side::Registry {
                registry: Box::new(Registry::new(client, hosted.clone(), &purpose)),
                neighbour,
            }
        })
    }

    fn new(
        settings: Settings,
        repository: &Repository,
        registry: impl FnOnce(Arc<Client>, &Hosted) -> Side,
    ) -> Self {
        let client = Arc::new(Client::new(Arc::new(settings)));
        let side = match repository {
            Repository::Hosted(hosted) => registry(Arc::clone(&client), hosted),
            Repository::Layout(dir) => Side::Layout(Layout::new(dir)),
        };
        Self {
            client,
            repository: repository.clone(),
            side: Arc::new(side),
        }
    }

    /// The bytes of a manifest, by its tag or as `sha256:…`; `None` if there is none.
    ///
    /// # Errors
    /// See [`RegistryFailed`].
    pub fn manifest(
        &self,
        name: &str,
        accept: &'static str,
        control: &FetchControl<'_>,
    ) -> Result<Option<Vec<u8>>, RegistryFailed> {
        let (side, wanted) = (Arc::clone(&self.side), name.to_owned());
        let mut all = self.each(vec![wanted], control, move |wanted: String| {
            side.manifest(&wanted, accept)
        })?;
        match all.pop() {
            Some(Ok(found)) => Ok(found),
            Some(Err(PlaceError::Interrupted)) | None => Err(RegistryFailed::Interrupted),
            Some(Err(source)) => Err(RegistryFailed::GetManifest {
                name: name.to_owned(),
                repository: self.repository.clone(),
                source,
            }),
        }
    }

    /// Sends what the repository lacks; says what became of each, in the same order.
    ///
    /// # Errors
    /// See [`RegistryFailed`].
    ///
    /// # Crash
    /// Some blobs are there; none of them is half there.
    pub fn send(
        &self,
        parcels: &[Parcel],
        control: &FetchControl<'_>,
    ) -> Result<Vec<Sending>, RegistryFailed> {
        let side = Arc::clone(&self.side);
        let put = move |parcel: Parcel| side.put_blob(&parcel.blob());
        let sent = self.each(parcels.to_vec(), control, put)?;
        let both = parcels.iter().zip(sent);
        both.map(|(parcel, sent)| match sent {
            Ok(sending) => Ok(sending),
            Err(PlaceError::Interrupted) => Err(RegistryFailed::Interrupted),
            Err(source) => Err(RegistryFailed::Blob {
                name: parcel.name.clone(),
                repository: self.repository.clone(),
                source,
            }),
        })
        .collect()
    }

    /// Writes a manifest under a tag, or under its digest alone; its blobs must be there.
    ///
    /// # Errors
    /// See [`RegistryFailed`].
    ///
    /// # Crash
    /// The manifest is there or not.
    pub fn name(
        &self,
        tag: Option<&str>,
        kind: &'static str,
        manifest: &[u8],
        control: &FetchControl<'_>,
    ) -> Result<(), RegistryFailed> {
        let (side, tag) = (Arc::clone(&self.side), tag.map(str::to_owned));
        let put = move |bytes: Vec<u8>| side.put_manifest(tag.as_deref(), kind, &bytes);
        let mut all = self.each(vec![manifest.to_vec()], control, put)?;
        match all.pop() {
            Some(Ok(())) => Ok(()),
            Some(Err(PlaceError::Interrupted)) | None => Err(RegistryFailed::Interrupted),
            Some(Err(source)) => Err(RegistryFailed::PutManifest {
                repository: self.repository.clone(),
                source,
            }),
        }
    }

    /// Does jobs that wait for the registry; their results are in the order of the jobs.
    pub(super) fn each<Job: Send + 'static, Done: Send + 'static>(
        &self,
        jobs: Vec<Job>,
        control: &FetchControl<'_>,
        work: impl Fn(Job) -> Done + Send + Sync + 'static,
    ) -> Result<Vec<Done>, RegistryFailed> {
        let stopped = Arc::new(AtomicBool::new(false));
        let mut done = std::collections::BTreeMap::new();
        let jobs: Vec<(usize, Job)> = jobs.into_iter().enumerate().collect();
        let work = move |(at, job): (usize, Job)| (at, work(job));
        at_once(jobs, &stopped, work, |result| {
            if (control.interrupted)() {
                self.client.stop();
                return Err(RegistryFailed::Interrupted);
            }
            done.extend(result);
            Ok(())
        })?;
        Ok(done.into_values().collect())
    }
}
