//! A base image out of a registry, or out of a directory in the form of one.
//!
//! Promises that a tag is resolved once, that every byte has the digest by which the manifest names
//! it, that no layer is fetched before the configuration says that the image is for the processors
//! of the environment, and that nothing but the cache is written: the layers are in it, so that the
//! next image fetches none of them again.
//!
//! Read next: `../pulling.rs`, an environment; `base.rs`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rvenv_journal::Digest;

use super::base::{Base, TEXT_BYTES_MAX, config_of, images_for, malformed, only, text};
use super::{BaseFault, ImageFailed};
use crate::artifact::image::{IMAGE_OR_INDEX, is_index, listed, manifest_of_base};
use crate::artifact::manifest::{Descriptor, Manifest, ManifestError};
use crate::base::regular_file;
use crate::fetch::{Asked, Reference, Transfer};
use crate::front::caller::Caller;
use crate::front::pulling::{PullFailed, asked, name_of};
use crate::front::saved_plan::WheelPlaces;

impl Caller<'_> {
    /// Fetches the image that a reference names; of an index the one for these processors.
    pub(super) fn pull_base(
        &self,
        reference: &Reference,
        from: &WheelPlaces,
        processors: &'static str,
    ) -> Result<Base, ImageFailed> {
        let given = PathBuf::from(reference.to_string());
        let fault = |source| ImageFailed::Base {
            path: given.clone(),
            source,
        };
        let manifest = self.manifest_of_base(reference, from, processors);
        let manifest = manifest.map_err(fault)?;
        let config = &manifest.config;
        let bytes = self
            .base_files(&[config], reference, from)
            .and_then(|files| {
                let path = files
                    .get(&config.digest)
                    .map_or_else(PathBuf::new, PathBuf::clone);
                text(regular_file::open(&path), &config.digest.to_string())
            });
        let bytes = bytes.map_err(fault)?;
        if Digest::of(&bytes) != config.digest {
            return Err(fault(BaseFault::Damaged(config.digest)));
        }
        let config = config_of(&manifest, &bytes, processors).map_err(fault)?;
        let layers: Vec<&Descriptor> = manifest.layers.iter().collect();
        let files = self.base_files(&layers, reference, from).map_err(fault)?;
        Ok(Base::of_files(given.clone(), manifest, config, files))
    }

    fn manifest_of_base(
        &self,
        reference: &Reference,
        from: &WheelPlaces,
        processors: &'static str,
    ) -> Result<Manifest, BaseFault> {
        let settings = self.registry_settings(from).map_err(PullFailed::from)?;
        let transfer = Transfer::out_of(settings, &reference.repository);
        let read = |name: &str| {
            let found =
                self.fetch_control(|control| transfer.manifest(name, IMAGE_OR_INDEX, control));
            found.map_err(PullFailed::from)
        };
        let name = name_of(reference);
        let mut bytes = read(&name)?.ok_or(BaseFault::Absent)?;
        if is_index(&bytes).map_err(malformed(&name))? {
            let images = listed(&bytes).map_err(malformed(&name))?;
            let digest = only(&images_for(images, processors).collect(), processors)?;
            bytes = read(&format!("sha256:{digest}"))?.ok_or(BaseFault::Lacks(digest))?;
        }
        let digest = Digest::of(&bytes).to_string();
        let manifest = manifest_of_base(&bytes).map_err(malformed(&digest))?;
        if manifest.config.len > TEXT_BYTES_MAX {
            let large = ManifestError::Large(manifest.config.len);
            return Err(malformed(&digest)(large));
        }
        Ok(manifest)
    }

    /// Fetches blobs into the cache; a base may name one twice.
    fn base_files(
        &self,
        blobs: &[&Descriptor],
        reference: &Reference,
        from: &WheelPlaces,
    ) -> Result<BTreeMap<Digest, PathBuf>, BaseFault> {
        let blobs: BTreeMap<Digest, &Descriptor> =
            blobs.iter().map(|blob| (blob.digest, *blob)).collect();
        if blobs.is_empty() {
            return Ok(BTreeMap::new());
        }
        let wanted = blobs.values();
        let wanted = wanted.map(|blob| asked(blob, &format!("{}.layer", blob.digest)));
        let wanted: Vec<Asked> = wanted.collect::<Result<_, _>>().map_err(PullFailed::from)?;
        let files = self.pull_files(&wanted, reference, from)?;
        let files = files.into_iter().map(|file| file.path);
        Ok(blobs.into_keys().zip(files).collect())
    }
}
