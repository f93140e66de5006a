//! An environment out of a registry: the plan that a manifest names.
//!
//! Promises that a tag is resolved once, that every byte has the digest by which the manifest names
//! it, and that nothing but the cache is written. The wheels are fetched as for any saved plan, by
//! their digests; the repository is one more place for them.
//!
//! Read next: `saved_plan.rs`, which finds the wheels; `pushing.rs`, the way in.

use std::io;
use std::path::PathBuf;

use rvenv_journal::raw::PlanReadError;
use rvenv_journal::{Digest, Plan};
use thiserror::Error;

use super::caller::Caller;
use super::saved_plan::WheelPlaces;
use crate::artifact::manifest::{
    Descriptor, ENVIRONMENT, MANIFEST, Manifest, ManifestError, NOTES, WHEEL, WHEELS,
};
use crate::base::regular_file;
use crate::fetch::{
    Asked, AskedError, FetchFailed, Fetched, Fetcher, Hashes, Reference, RegistryFailed,
    SettingsError, Transfer,
};
use crate::wheel::{Catalogue, Sources};

/// What is asked for if a reference names neither a tag nor a digest.
const USUAL_TAG: &str = "latest";
const PLAN_NAME: &str = "plan.json";
const NOTES_NAME: &str = "notes.json";

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
    /// The plan in it is none.
    #[error("the plan of `{reference}` cannot be applied")]
    Plan {
        /// What was read.
        reference: Reference,
        /// What is wrong with it.
        source: Box<PlanReadError>,
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
}

/// A plan that a registry has.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// The plan; its wheels are where it was pushed from.
    pub plan: Plan,
    /// The digest of the manifest.
    pub manifest: Digest,
}

impl Caller<'_> {
    /// Reads the plan that a reference names.
    ///
    /// # Errors
    /// See [`PullFailed`].
    pub fn pull_plan(
        &self,
        reference: &Reference,
        from: &WheelPlaces,
    ) -> Result<Pulled, PullFailed> {
        let (manifest, digest) = self.pull_manifest(reference, from)?;
        let malformed = |source| PullFailed::Manifest {
            reference: reference.clone(),
            source,
        };
        manifest.must_be(&[ENVIRONMENT]).map_err(malformed)?;
        let notes = manifest.of_kind(NOTES).next();
        let notes = notes.ok_or_else(|| malformed(ManifestError::Lacks(NOTES)))?;
        let asked = [
            asked(&manifest.config, PLAN_NAME)?,
            asked(notes, NOTES_NAME)?,
        ];
        let files = self.pull_files(&asked, reference, from)?;
        let mut parts = Vec::new();
        for file in &files {
            let bytes = regular_file::read(&file.path);
            parts.push(bytes.map_err(|source| PullFailed::Read {
                path: file.path.clone(),
                source,
            })?);
        }
        let [plan, notes] = parts.as_slice() else {
            unreachable!("two files were asked for, and a fetch without an error has both")
        };
        let plan = Plan::from_parts(plan, notes).map_err(|source| PullFailed::Plan {
            reference: reference.clone(),
            source: Box::new(source),
        })?;
        Ok(Pulled {
            plan,
            manifest: digest,
        })
    }

    /// Fetches every wheel of an artifact into the cache.
    ///
    /// # Errors
    /// See [`PullFailed`].
    pub fn pull_wheels(
        &self,
        reference: &Reference,
        from: &WheelPlaces,
    ) -> Result<(Vec<Fetched>, Digest), PullFailed> {
        let (manifest, digest) = self.pull_manifest(reference, from)?;
        let kinds = manifest.must_be(&[ENVIRONMENT, WHEELS]);
        kinds.map_err(|source| PullFailed::Manifest {
            reference: reference.clone(),
            source,
        })?;
        let wheels = manifest.of_kind(WHEEL);
        let wheels = wheels.map(|wheel| asked(wheel, wheel.title.as_deref().unwrap_or_default()));
        let wheels: Vec<Asked> = wheels.collect::<Result<_, _>>()?;
        let files = self.pull_files(&wheels, reference, from)?;
        Ok((files, digest))
    }

    /// The manifest that a reference names, and its digest.
    fn pull_manifest(
        &self,
        reference: &Reference,
        from: &WheelPlaces,
    ) -> Result<(Manifest, Digest), PullFailed> {
        let settings = self.registry_settings(from)?;
        let transfer = Transfer::out_of(settings, &reference.repository);
        let pinned = reference.digest.map(|digest| format!("sha256:{digest}"));
        let name = pinned.as_deref().or(reference.tag.as_deref());
        let name = name.unwrap_or(USUAL_TAG);
        let found = self.fetch_control(|control| transfer.manifest(name, MANIFEST, control))?;
        let bytes = found.ok_or_else(|| PullFailed::Absent(reference.clone()))?;
        let manifest = Manifest::from_bytes(&bytes).map_err(|source| PullFailed::Manifest {
            reference: reference.clone(),
            source,
        })?;
        Ok((manifest, Digest::of(&bytes)))
    }

    /// Fetches blobs of a repository into the cache.
    fn pull_files(
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

fn asked(blob: &Descriptor, name: &str) -> Result<Asked, AskedError> {
    let digits = blob.digest.to_string();
    let asked = Asked::new(name, Hashes::of([("sha256", digits.as_str())]))?;
    Ok(asked.sized(Some(blob.len)))
}
