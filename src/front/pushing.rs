//! An environment into a registry: its wheels, its plan, and the manifest that names them.
//!
//! Promises that the manifest is written last, so that a name in the registry has all of its
//! environment; that what the registry has is not sent; and that nothing which is sent names a
//! place on this machine or has a secret in it. The same plan has the same manifest, wherever it is
//! pushed from.
//!
//! Read next: `indexing.rs`, several of them under one tag; `pulling.rs`, the way back;
//! `../artifact/manifest.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

use rvenv_journal::fs::FsError;
use rvenv_journal::{ContentError, Digest, Plan, Publication};
use thiserror::Error;

use super::caller::{Caller, Compilation};
use super::plan_note::{demands_of, interpreter_of, wheels_of};
use super::saved_plan::WheelPlaces;
use crate::artifact::demands::{Demands, PYTHON};
use crate::artifact::manifest::{
    Descriptor, EMPTY, EMPTY_BYTES, ENVIRONMENT, MANIFEST, Manifest, ManifestError, NOTES, PLAN,
    WHEEL, WHEELS,
};
use crate::base::cache::NotUsed;
use crate::fetch::{
    FetchOptions, Parcel, ParcelBytes, Reference, RegistryFailed, Repository, Sending, Settings,
    SettingsError, Transfer, fetched_wheels,
};

/// The annotations of an environment, for people and other tools; rvenv believes none of them.
pub(super) const TARGET: &str = "rvenv.target";
const PUBLISHES: &str = "rvenv.publishes";
/// The names of the blobs that are no wheels.
const PLAN_NAME: &str = "plan.json";
const NOTES_NAME: &str = "notes.json";

/// Why something cannot be pushed.
#[derive(Debug, Error)]
pub enum PushFailed {
    /// The plan changes what exists.
    #[error("the plan changes what exists at `{}`, which is on this machine only", .0.escape_debug())]
    OfExisting(String),
    /// The reference names a digest, which only the manifest can have.
    #[error("`{0}` has a digest: what is pushed gets its own")]
    Pinned(Reference),
    /// The cache has no wheel.
    #[error("the cache has no wheel that could be pushed")]
    NoWheels,
    /// There is no cache.
    #[error("there is no cache directory")]
    NoCache,
    /// The cache cannot be read.
    #[error("cannot list the wheels of the cache")]
    Cache(#[source] io::Error),
    /// The cache cannot be used.
    #[error(transparent)]
    NotUsed(#[from] NotUsed),
    /// Bytecode is neither in the cache nor compiled.
    #[error("there is no bytecode to push")]
    Bytecode(#[source] ContentError),
    /// A wheel cannot be read.
    #[error("cannot read the wheel `{}`", crate::python::shown(path))]
    Wheel {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: FsError,
    },
    /// Nothing has the tag or the digest of a source.
    #[error("`{0}` does not exist")]
    Absent(Reference),
    /// A source is in another repository.
    #[error("`{of}` is in another repository than `{to}`")]
    Elsewhere {
        /// The source.
        of: Reference,
        /// Where to.
        to: Repository,
    },
    /// A source is no environment.
    #[error("`{of}` is not an environment of rvenv")]
    Manifest {
        /// The source.
        of: Reference,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// A source does not say for which machine it is.
    #[error("`{}` does not say for which machine it is", .0.escape_debug())]
    NoDemands(String),
    /// No machine could choose between two sources.
    #[error(
        "`{}` and `{}` are for the same interpreter: {demands}",
        first.escape_debug(),
        second.escape_debug()
    )]
    Twice {
        /// A source.
        first: String,
        /// Another one.
        second: String,
        /// What both demand.
        demands: Box<Demands>,
    },
    /// A setting is malformed.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The registry took not all of it.
    #[error(transparent)]
    Registry(#[from] RegistryFailed),
}

/// What is in the registry now.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// The digest of the manifest.
    pub manifest: Digest,
    /// Every blob, and what became of it.
    pub blobs: Vec<PushedBlob>,
}

/// A blob that is in the registry now.
#[derive(Clone, Debug)]
pub struct PushedBlob {
    /// The name of its file.
    pub name: String,
    /// Its digest.
    pub digest: Digest,
    /// The number of its bytes.
    pub len: u64,
    /// What became of it.
    pub sending: Sending,
}

impl PushedBlob {
    pub(super) fn all(parcels: &[Parcel], sent: Vec<Sending>) -> Vec<Self> {
        let both = parcels.iter().zip(sent);
        both.map(|(parcel, sending)| Self {
            name: parcel.name.clone(),
            digest: parcel.digest,
            len: parcel.len,
            sending,
        })
        .collect()
    }
}

impl Caller<'_> {
    /// Pushes a plan whose wheels are files, as [`Caller::find_wheels`] finds them. Its bytecode
    /// comes from the cache, and is compiled again if an interpreter may be started.
    ///
    /// # Errors
    /// See [`PushFailed`].
    ///
    /// # Crash
    /// The registry may have some of the blobs; the tag is as it was, or names all of it.
    pub fn push_plan(
        &self,
        plan: &Plan,
        to: &Reference,
        from: &WheelPlaces,
        compilation: Compilation,
    ) -> Result<Pushed, PushFailed> {
        let (parcels, manifest) = self.artifact_of(plan, compilation)?;
        self.push(&parcels, &manifest, to, from)
    }

    /// Pushes every wheel that was fetched into the cache.
    ///
    /// # Errors
    /// See [`PushFailed`].
    ///
    /// # Crash
    /// As for [`Caller::push_plan`].
    pub fn push_cache(&self, to: &Reference, from: &WheelPlaces) -> Result<Pushed, PushFailed> {
        let cache = self.host.cache.as_ref().ok_or(PushFailed::NoCache)?;
        cache.dir()?;
        let mut wheels = Vec::new();
        for (name, path) in fetched_wheels(cache).map_err(PushFailed::Cache)? {
            // A power cut can have emptied it: only what has its digest is sent.
            let (digest, len) = self.fs.digest_path(&path).map_err(|source| {
                let path = path.clone();
                PushFailed::Wheel { path, source }
            })?;
            let above = path.parent().and_then(|dir| dir.file_name());
            if above.is_some_and(|named| named.to_string_lossy() == digest.to_string()) {
                wheels.push(Parcel {
                    name,
                    digest,
                    len,
                    bytes: ParcelBytes::File(path),
                });
            }
        }
        if wheels.is_empty() {
            return Err(PushFailed::NoWheels);
        }
        let empty = Parcel::of_bytes("", EMPTY_BYTES.to_vec());
        let manifest = Manifest {
            artifact: WHEELS.to_owned(),
            config: Descriptor::new(EMPTY, empty.digest, empty.len),
            layers: wheels.iter().map(|wheel| titled(WHEEL, wheel)).collect(),
            annotations: BTreeMap::new(),
        };
        let parcels: Vec<Parcel> = [empty].into_iter().chain(wheels).collect();
        self.push(&parcels, &manifest, to, from)
    }

    /// Sends the blobs, and then what names them.
    fn push(
        &self,
        parcels: &[Parcel],
        manifest: &Manifest,
        to: &Reference,
        from: &WheelPlaces,
    ) -> Result<Pushed, PushFailed> {
        let transfer = self.transfer_into(to, from)?;
        let bytes = manifest.to_bytes();
        let sent = self.fetch_control(|control| {
            let sent = transfer.send(parcels, control)?;
            transfer.name(to.tag.as_deref(), MANIFEST, &bytes, control)?;
            Ok::<_, RegistryFailed>(sent)
        })?;
        Ok(Pushed {
            manifest: Digest::of(&bytes),
            blobs: PushedBlob::all(parcels, sent),
        })
    }

    /// The repository that something goes to.
    pub(super) fn transfer_into(
        &self,
        to: &Reference,
        from: &WheelPlaces,
    ) -> Result<Transfer, PushFailed> {
        if to.digest.is_some() {
            return Err(PushFailed::Pinned(to.clone()));
        }
        let settings = self.registry_settings(from)?;
        Ok(Transfer::into(settings, &to.repository))
    }

    /// What a plan puts into a registry: the files, and the manifest that names them.
    pub(super) fn artifact_of(
        &self,
        plan: &Plan,
        compilation: Compilation,
    ) -> Result<(Vec<Parcel>, Manifest), PushFailed> {
        let (mut parcels, mut manifest) = artifact_of(plan)?;
        let layers = self.bytecode_layers(plan, compilation);
        for (layer, parcel) in layers.map_err(PushFailed::Bytecode)? {
            manifest.layers.push(layer);
            parcels.push(parcel);
        }
        Ok((parcels, manifest))
    }

    /// The settings for a registry: credentials, proxies and certificates.
    pub(super) fn registry_settings(&self, from: &WheelPlaces) -> Result<Settings, SettingsError> {
        let options = FetchOptions {
            allow_hosts: from.allow_hosts.clone(),
            ..FetchOptions::default()
        };
        Settings::read(&from.sources, &options, &self.host.surroundings)
    }
}

/// The same without bytecode.
fn artifact_of(plan: &Plan) -> Result<(Vec<Parcel>, Manifest), PushFailed> {
    if plan.publication() != Publication::Put {
        return Err(PushFailed::OfExisting(plan.target().to_owned()));
    }
    let config = Parcel::of_bytes(PLAN_NAME, plan.canonical());
    let notes = Parcel::of_bytes(NOTES_NAME, plan.notes());
    let mut seen = BTreeSet::new();
    let wheels = wheels_of(plan).filter(|input| seen.insert(input.digest));
    let wheels = wheels.map(|input| Parcel {
        name: input.path.clone(),
        digest: input.digest,
        len: input.len,
        bytes: ParcelBytes::File(PathBuf::from(input.file())),
    });
    let wheels: Vec<Parcel> = wheels.collect();
    let interpreter = interpreter_of(plan).map(|input| input.path.clone());
    let annotations = [
        Some((TARGET.to_owned(), plan.target().to_owned())),
        Some((PUBLISHES.to_owned(), plan.outcome().to_string())),
        interpreter.map(|path| (PYTHON.to_owned(), path)),
    ];
    let demands = demands_of(plan).map(|demands| demands.annotations());
    let annotations = annotations.into_iter().flatten();
    let layers = [titled(NOTES, &notes)];
    let manifest = Manifest {
        artifact: ENVIRONMENT.to_owned(),
        config: Descriptor::new(PLAN, config.digest, config.len),
        layers: layers
            .into_iter()
            .chain(wheels.iter().map(|wheel| titled(WHEEL, wheel)))
            .collect(),
        annotations: annotations.chain(demands.into_iter().flatten()).collect(),
    };
    let parcels: Vec<Parcel> = [config, notes].into_iter().chain(wheels).collect();
    Ok((parcels, manifest))
}

fn titled(kind: &str, parcel: &Parcel) -> Descriptor {
    Descriptor::titled(kind, parcel.digest, parcel.len, &parcel.name)
}
