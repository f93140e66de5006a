//! Several environments under one tag: an index of their manifests.
//!
//! Promises that the index is written last, so that whatever it lists is in the registry whole;
//! that the same set of environments has the same index; and that no two of them are for the same
//! interpreter, between which no machine could choose. A manifest that another machine pushed into
//! the repository is listed by its digest; nothing of it is fetched but the manifest.
//!
//! Read next: `pushing.rs`, one of them; `choosing.rs`, the way back.

use std::collections::BTreeSet;

use rvenv_journal::{Digest, Plan};

use super::caller::{Caller, Compilation};
use super::pulling::name_of;
use super::pushing::{PushFailed, Pushed, PushedBlob};
use super::saved_plan::WheelPlaces;
use crate::artifact::index::{Index, IndexEntry, Named};
use crate::artifact::manifest::{ENVIRONMENT, INDEX, MANIFEST, MANIFEST_OR_INDEX, Manifest};
use crate::fetch::{Parcel, Reference, RegistryFailed, Transfer};

/// An environment for an index.
#[derive(Clone, Debug)]
pub enum Source {
    /// A plan whose wheels are files.
    Plan {
        /// What was named.
        name: String,
        /// The plan.
        plan: Box<Plan>,
    },
    /// What the repository has.
    There(Reference),
}

/// An index that is in the registry now.
#[derive(Clone, Debug)]
pub struct PushedIndex {
    /// The digest of the index, and every blob.
    pub pushed: Pushed,
    /// What the index lists.
    pub entries: Vec<IndexEntry>,
    /// The digest of the manifest of each source, in their order.
    pub sources: Vec<Digest>,
}

/// An environment that an index is to list.
struct Listed {
    /// What was named.
    name: String,
    entry: IndexEntry,
    /// The text of its manifest, unless the registry has it.
    manifest: Option<Vec<u8>>,
}

impl Source {
    /// What was named.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Plan { name, .. } => name.clone(),
            Self::There(reference) => reference.to_string(),
        }
    }
}

impl Caller<'_> {
    /// Pushes several environments, and an index that lists them.
    ///
    /// # Errors
    /// See [`PushFailed`].
    ///
    /// # Crash
    /// The registry may have some of the blobs and of the manifests; the tag is as it was, or names
    /// all of it.
    pub fn push_index(
        &self,
        sources: &[Source],
        to: &Reference,
        from: &WheelPlaces,
        compilation: Compilation,
    ) -> Result<PushedIndex, PushFailed> {
        let transfer = self.transfer_into(to, from)?;
        let (mut all, mut parcels) = (Vec::new(), Vec::new());
        for source in sources {
            let name = source.name();
            let (manifest, bytes, is_new) = match source {
                Source::Plan { plan, .. } => {
                    let (own, manifest) = self.artifact_of(plan, compilation)?;
                    parcels.extend(own);
                    let bytes = manifest.to_bytes();
                    (manifest, bytes, true)
                }
                Source::There(reference) => {
                    let bytes = self.there(&transfer, reference, to)?;
                    let manifest = Manifest::from_bytes(&bytes);
                    let manifest = manifest.map_err(|source| PushFailed::Manifest {
                        of: reference.clone(),
                        source,
                    })?;
                    (manifest, bytes, false)
                }
            };
            let entry = IndexEntry::of(&manifest, &bytes);
            all.push(Listed {
                entry: entry.ok_or_else(|| PushFailed::NoDemands(name.clone()))?,
                name,
                manifest: is_new.then_some(bytes),
            });
        }
        must_differ(&all)?;
        let mut seen = BTreeSet::new();
        parcels.retain(|parcel: &Parcel| seen.insert(parcel.digest));
        let index = Index::of(all.iter().map(|one| one.entry.clone()).collect());
        let bytes = index.to_bytes();
        let sent = self.fetch_control(|control| {
            let sent = transfer.send(&parcels, control)?;
            for manifest in all.iter().filter_map(|one| one.manifest.as_ref()) {
                transfer.name(None, MANIFEST, manifest, control)?;
            }
            transfer.name(to.tag.as_deref(), INDEX, &bytes, control)?;
            Ok::<_, RegistryFailed>(sent)
        })?;
        Ok(PushedIndex {
            pushed: Pushed {
                manifest: Digest::of(&bytes),
                blobs: PushedBlob::all(&parcels, sent),
            },
            entries: index.entries,
            sources: all.iter().map(|one| one.entry.digest).collect(),
        })
    }

    /// Gives what the repository has another tag.
    ///
    /// # Errors
    /// See [`PushFailed`].
    ///
    /// # Crash
    /// The tag is as it was, or names it.
    pub fn push_again(
        &self,
        of: &Reference,
        to: &Reference,
        from: &WheelPlaces,
    ) -> Result<Pushed, PushFailed> {
        let transfer = self.transfer_into(to, from)?;
        let bytes = self.there(&transfer, of, to)?;
        let named = Named::from_bytes(&bytes).and_then(|named| match named {
            Named::Manifest(manifest) => manifest.must_be(&[ENVIRONMENT]).map(|()| MANIFEST),
            Named::Index(index) => index.must_be_of_environments().map(|()| INDEX),
        });
        let kind = named.map_err(|source| PushFailed::Manifest {
            of: of.clone(),
            source,
        })?;
        self.fetch_control(|control| transfer.name(to.tag.as_deref(), kind, &bytes, control))?;
        Ok(Pushed {
            manifest: Digest::of(&bytes),
            blobs: Vec::new(),
        })
    }

    /// The text of what the repository has.
    fn there(
        &self,
        transfer: &Transfer,
        of: &Reference,
        to: &Reference,
    ) -> Result<Vec<u8>, PushFailed> {
        if of.repository != to.repository {
            return Err(PushFailed::Elsewhere {
                of: of.clone(),
                to: to.repository.clone(),
            });
        }
        let (name, accept) = (name_of(of), MANIFEST_OR_INDEX);
        let found = self.fetch_control(|control| transfer.manifest(&name, accept, control))?;
        found.ok_or_else(|| PushFailed::Absent(of.clone()))
    }
}

/// Checks that a machine can choose between all of them.
fn must_differ(all: &[Listed]) -> Result<(), PushFailed> {
    for (at, one) in all.iter().enumerate() {
        for other in all.iter().skip(at + 1) {
            let (Some(own), Some(others)) = (one.entry.demands(), other.entry.demands()) else {
                continue;
            };
            if one.entry != other.entry && own.is_for_the_same(&others) {
                return Err(PushFailed::Twice {
                    first: one.name.clone(),
                    second: other.name.clone(),
                    demands: Box::new(own),
                });
            }
        }
    }
    Ok(())
}
