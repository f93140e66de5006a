//! An environment out of a registry: the plan that a manifest names.
//!
//! Promises that a tag is resolved once, that every byte has the digest by which the manifest names
//! it, and that nothing but the cache is written. The wheels are fetched as for any saved plan, by
//! their digests; the repository is one more place for them.
//!
//! Read next: `choosing.rs`, which manifest of an index; `deriving.rs`, a plan that need not be
//! fetched; `saved_plan.rs`, which finds the wheels;
//! `pushing.rs`, the way in.

use std::io;
use std::path::PathBuf;

use rvenv_journal::raw::{PlanNotes, PlanReadError, counted};
use rvenv_journal::{Digest, Plan};
use thiserror::Error;

use super::caller::Caller;
use super::choosing::{ChoiceFailed, Chosen};
use super::deriving::Wanted;
use super::plan_note::interpreter_of;
use super::rebuilding::NoteState;
use super::saved_plan::{UnsuitedPlan, WheelPlaces};
use crate::artifact::index::Named;
use crate::artifact::manifest::{
    BYTECODE, Descriptor, ENVIRONMENT, MANIFEST, MANIFEST_OR_INDEX, Manifest, ManifestError, NOTES,
    WHEEL, WHEELS,
};
use crate::base::regular_file;
use crate::change::provision::NotEntered;
use crate::fetch::{
    Asked, AskedError, FetchFailed, Fetched, Fetcher, Hashes, Reference, RegistryFailed,
    SettingsError, Transfer, cached_bytes, keep_bytes,
};
use crate::python::Request;
use crate::wheel::{Catalogue, Sources};

/// What is asked for if a reference names neither a tag nor a digest.
const USUAL_TAG: &str = "latest";
const PLAN_NAME: &str = "plan.json";
const NOTES_NAME: &str = "notes.json";
const MANIFEST_NAME: &str = "manifest.json";

/// Why an artifact cannot be had.
#[derive(Debug, Error)]
pub enum PullFailed {
    /// Nothing has this tag or digest.
    #[error("`{0}` does not exist")]
    Absent(Reference),
    /// It is no artifact of rvenv.
    #[error("`{reference}` is not an environment of rvenv")]
    Manifest {
        /// What was read.
        reference: Reference,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// No environment of an index is for this machine, or more than one.
    #[error("no environment of `{reference}` can be chosen")]
    Choice {
        /// What was read.
        reference: Reference,
        /// Why not.
        source: Box<ChoiceFailed>,
    },
    /// An index lists a manifest that does not exist.
    #[error("`{reference}` lists the manifest `sha256:{manifest}`, which does not exist")]
    Unlisted {
        /// What was read.
        reference: Reference,
        /// The digest of the manifest.
        manifest: Digest,
    },
    /// An index says another length of a manifest.
    #[error(
        "`{reference}` lists the manifest `sha256:{manifest}` with {}, and it has {}",
        counted(*listed, "byte"),
        counted(*found, "byte")
    )]
    Length {
        /// What was read.
        reference: Box<Reference>,
        /// The digest of the manifest.
        manifest: Digest,
        /// What the index says.
        listed: u64,
        /// What it has.
        found: u64,
    },
    /// An index says another interpreter than the plan.
    #[error(
        "`{reference}` lists the manifest `sha256:{manifest}` for another interpreter than its plan"
    )]
    Interpreter {
        /// What was read.
        reference: Reference,
        /// The digest of the manifest.
        manifest: Digest,
    },
    /// The plan in it is none.
    #[error("the plan of `{reference}` cannot be applied")]
    Plan {
        /// What was read.
        reference: Reference,
        /// What is wrong with it.
        source: Box<PlanReadError>,
    },
    /// Bytecode is not what the plan names.
    #[error("the bytecode of `{}` in `{reference}` cannot be used", wheel.escape_debug())]
    Bytecode {
        /// What was read.
        reference: Reference,
        /// The name of the wheel.
        wheel: String,
        /// What is wrong with it.
        source: Box<NotEntered>,
    },
    /// A file that was fetched cannot be read.
    #[error("cannot read `{}`", crate::python::shown(path))]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no cache to fetch into.
    #[error("there is no cache directory to fetch into")]
    NoCache,
    /// The name of a wheel is not the name of a file.
    #[error(transparent)]
    Asked(#[from] AskedError),
    /// A setting is malformed.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The registry did not give the manifest.
    #[error(transparent)]
    Registry(#[from] RegistryFailed),
    /// A blob could not be had.
    #[error(transparent)]
    Fetch(#[from] FetchFailed),
    /// A wheel could not be had.
    #[error(transparent)]
    Wheel(#[from] Box<UnsuitedPlan>),
}

/// A plan that a registry has.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// The plan; its wheels are where it was pushed from.
    pub plan: Plan,
    /// Whether it was made on this machine by its note; then its interpreter is checked too.
    pub note_state: NoteState,
    /// The digest of the manifest.
    pub manifest: Digest,
    /// How it was chosen, if an index lists it.
    pub chosen: Option<Chosen>,
    /// The blobs with its bytecode.
    pub(super) bytecode: Vec<Descriptor>,
}

/// The wheels that a registry has.
#[derive(Debug)]
pub struct PulledWheels {
    /// Where they are now.
    pub files: Vec<Fetched>,
    /// The digest of the manifest.
    pub manifest: Digest,
    /// How it was chosen, if an index lists it.
    pub chosen: Option<Chosen>,
}

/// What a reference names, at the end of the way.
struct Found {
    manifest: Manifest,
    digest: Digest,
    chosen: Option<Chosen>,
}

impl Caller<'_> {
    /// Finds the plan that a reference names; of an index that of the environment for this machine,
    /// and for a Python if one is asked for. It is fetched unless this machine can make it.
    ///
    /// # Errors
    /// See [`PullFailed`].
    pub fn pull_plan(
        &self,
        reference: &Reference,
        from: &WheelPlaces,
        python: Option<&Request>,
        wanted: Wanted,
    ) -> Result<Pulled, PullFailed> {
        let Found {
            manifest,
            digest,
            chosen,
        } = self.pull_manifest(reference, from, python)?;
        let malformed = |source| PullFailed::Manifest {
            reference: reference.clone(),
            source,
        };
        manifest.must_be(&[ENVIRONMENT]).map_err(malformed)?;
        let notes = manifest.of_kind(NOTES).next();
        let notes = notes.ok_or_else(|| malformed(ManifestError::Lacks(NOTES)))?;
        let of_plan = |source| PullFailed::Plan {
            reference: reference.clone(),
            source: Box::new(source),
        };
        let notes = self.pull_bytes(asked(notes, NOTES_NAME)?, reference, from)?;
        let notes = PlanNotes::from_bytes(&notes).map_err(of_plan)?;
        let places = from.with_repository(&reference.repository);
        let derived = self.derived(&manifest, &notes, &places, wanted);
        let derived = derived.map_err(Box::new)?;
        let made = derived.as_ref().map(|_| NoteState::Proved);
        let plan = if let Some(plan) = derived {
            plan
        } else {
            let config = asked(&manifest.config, PLAN_NAME)?;
            let bytes = self.pull_bytes(config, reference, from)?;
            let plan = Plan::from_canonical(&bytes).map_err(of_plan)?;
            plan.with_notes(&notes)
        };
        if let Some(Chosen { demands, .. }) = &chosen {
            let own = interpreter_of(&plan);
            if own.is_none_or(|own| own.path != demands.python || own.digest != demands.sha256) {
                return Err(PullFailed::Interpreter {
                    reference: reference.clone(),
                    manifest: digest,
                });
            }
        }
        Ok(Pulled {
            plan,
            note_state: made.unwrap_or(NoteState::Unproved),
            manifest: digest,
            chosen,
            bytecode: manifest.of_kind(BYTECODE).cloned().collect(),
        })
    }

    /// Fetches every wheel of an artifact into the cache; of an index as [`Caller::pull_plan`].
    ///
    /// # Errors
    /// See [`PullFailed`].
    pub fn pull_wheels(
        &self,
        reference: &Reference,
        from: &WheelPlaces,
        python: Option<&Request>,
    ) -> Result<PulledWheels, PullFailed> {
        let Found {
            manifest,
            digest,
            chosen,
        } = self.pull_manifest(reference, from, python)?;
        let kinds = manifest.must_be(&[ENVIRONMENT, WHEELS]);
        kinds.map_err(|source| PullFailed::Manifest {
            reference: reference.clone(),
            source,
        })?;
        let wheels = manifest.of_kind(WHEEL);
        let wheels = wheels.map(|wheel| asked(wheel, wheel.title.as_deref().unwrap_or_default()));
        let wheels: Vec<Asked> = wheels.collect::<Result<_, _>>()?;
        let files = self.pull_files(&wheels, reference, from)?;
        Ok(PulledWheels {
            files,
            manifest: digest,
            chosen,
        })
    }

    /// The manifest that a reference names, or the one for this machine in the index that it names.
    fn pull_manifest(
        &self,
        reference: &Reference,
        from: &WheelPlaces,
        python: Option<&Request>,
    ) -> Result<Found, PullFailed> {
        let settings = self.registry_settings(from)?;
        let transfer = Transfer::out_of(settings, &reference.repository);
        let read = |name: &str, accept: &'static str| self.manifest(&transfer, name, accept);
        let malformed =
            |reference: Reference| move |source| PullFailed::Manifest { reference, source };
        let found = read(&name_of(reference), MANIFEST_OR_INDEX)?;
        let bytes = found.ok_or_else(|| PullFailed::Absent(reference.clone()))?;
        let named = Named::from_bytes(&bytes).map_err(malformed(reference.clone()))?;
        let digest = Digest::of(&bytes);
        let index = match named {
            Named::Manifest(manifest) => {
                return Ok(Found {
                    manifest,
                    digest,
                    chosen: None,
                });
            }
            Named::Index(index) => index,
        };
        let is_ours = index.must_be_of_environments();
        is_ours.map_err(malformed(reference.clone()))?;
        let chosen = self.entry_for_this_machine(&index, python);
        let (entry, demands) = chosen.map_err(|source| PullFailed::Choice {
            reference: reference.clone(),
            source: Box::new(source),
        })?;
        let found = read(&format!("sha256:{}", entry.digest), MANIFEST)?;
        let bytes = found.ok_or_else(|| PullFailed::Unlisted {
            reference: reference.clone(),
            manifest: entry.digest,
        })?;
        if bytes.len() as u64 != entry.len {
            return Err(PullFailed::Length {
                reference: Box::new(reference.clone()),
                manifest: entry.digest,
                listed: entry.len,
                found: bytes.len() as u64,
            });
        }
        let manifest = Manifest::from_bytes(&bytes);
        Ok(Found {
            manifest: manifest.map_err(malformed(reference.at(entry.digest)))?,
            digest: entry.digest,
            chosen: Some(Chosen {
                index: digest,
                demands,
            }),
        })
    }

    /// The bytes of a manifest, by its tag or as `sha256:…`. Those of a digest never change, so the
    /// registry is asked for them once.
    fn manifest(
        &self,
        transfer: &Transfer,
        name: &str,
        accept: &'static str,
    ) -> Result<Option<Vec<u8>>, PullFailed> {
        let digits = name.strip_prefix("sha256:");
        let pinned =
            digits.map(|digits| Asked::new(MANIFEST_NAME, Hashes::of([("sha256", digits)])));
        let cached = self.host.cache.as_ref().zip(pinned.transpose()?);
        if let Some((cache, asked)) = &cached
            && let Some(bytes) = cached_bytes(cache, asked)
        {
            return Ok(Some(bytes));
        }
        let found = self.fetch_control(|control| transfer.manifest(name, accept, control))?;
        if let (Some((cache, asked)), Some(bytes)) = (&cached, &found) {
            keep_bytes(cache, asked, bytes);
        }
        Ok(found)
    }

    /// The bytes of a blob of a repository, which the cache then has.
    fn pull_bytes(
        &self,
        blob: Asked,
        reference: &Reference,
        from: &WheelPlaces,
    ) -> Result<Vec<u8>, PullFailed> {
        let mut files = self.pull_files(&[blob], reference, from)?;
        let file = files
            .pop()
            .expect("one file was asked for, and a fetch without an error has it");
        regular_file::read(&file.path).map_err(|source| PullFailed::Read {
            path: file.path,
            source,
        })
    }

    /// Fetches blobs of a repository into the cache.
    pub(super) fn pull_files(
        &self,
        asked: &[Asked],
        reference: &Reference,
        from: &WheelPlaces,
    ) -> Result<Vec<Fetched>, PullFailed> {
        let cache = self.host.cache.as_ref().ok_or(PullFailed::NoCache)?;
        let alone = WheelPlaces {
            sources: Sources {
                from: vec![reference.repository.to_string()],
                no_index: true,
                ..Sources::default()
            },
            ..from.clone()
        };
        let settings = self.registry_settings(&alone)?;
        let catalogue = Catalogue::new(Some(cache));
        let fetcher = Fetcher::new(cache, settings, &[], &catalogue).at(self.host.now);
        Ok(self.fetch_control(|control| fetcher.fetch(asked, control))?)
    }
}

/// What a reference names, in the words of a request.
pub(super) fn name_of(reference: &Reference) -> String {
    let pinned = reference.digest.map(|digest| format!("sha256:{digest}"));
    let name = pinned.or_else(|| reference.tag.clone());
    name.unwrap_or_else(|| USUAL_TAG.to_owned())
}

pub(super) fn asked(blob: &Descriptor, name: &str) -> Result<Asked, AskedError> {
    let digits = blob.digest.to_string();
    let asked = Asked::new(name, Hashes::of([("sha256", digits.as_str())]))?;
    Ok(asked.sized(Some(blob.len)))
}
