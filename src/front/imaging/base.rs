//! The image that an environment is put on: one of a layout on this machine, or one whose blobs are
//! files already.
//!
//! Promises that each text has the digest by which it is named, that no more of it is read than one
//! may have, and that the image is for the processors of the environment. Reads only.
//!
//! Read next: `base_pull.rs`, out of a registry; `layout.rs`, which copies its layers;
//! `../../artifact/image.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use rvenv_journal::Digest;
use rvenv_journal::raw::Input;

use super::base_files::BaseFiles;
use super::{BaseFault, ImageFailed};
use crate::artifact::image::{Config, Listed, listed, manifest_of_base};
use crate::artifact::layers::BASE_LAYERS_MAX;
use crate::artifact::manifest::{Descriptor, MANIFESTS_MAX, Manifest, ManifestError};
use crate::base::image_layout::{INDEX, blob};
use crate::base::regular_file;

/// More than any manifest or configuration has.
pub(super) const TEXT_BYTES_MAX: u64 = 16 << 20;

/// A base image.
#[derive(Debug)]
pub struct Base {
    given: PathBuf,
    blobs: Blobs,
    /// Its layers, of which none has more bytes than is said here once it was copied.
    pub layers: Vec<Descriptor>,
    /// Its configuration.
    pub config: Config,
}

/// Where the blobs of a base are.
#[derive(Debug)]
pub(super) enum Blobs {
    /// In a layout.
    Layout(PathBuf),
    /// In files, by their digests.
    Files(BTreeMap<Digest, PathBuf>),
}

impl Base {
    /// Reads the image of a layout for these processors: `PATH`, or `PATH:TAG`.
    ///
    /// # Errors
    /// [`ImageFailed::Base`].
    pub fn read(given: &Path, architecture: &'static str) -> Result<Self, ImageFailed> {
        let text = given.to_string_lossy();
        let (layout, tag) = match text.rsplit_once(':') {
            Some((path, tag)) if !given.is_dir() => (PathBuf::from(path), Some(tag)),
            Some(_) | None => (given.to_owned(), None),
        };
        let blobs = Blobs::Layout(layout.clone());
        let read = || {
            let manifest = manifest(&layout, &blobs, tag, architecture)?;
            let config = blobs.text(manifest.config.digest)?;
            let config = config_of(&manifest, &config, architecture)?;
            Ok((manifest, config))
        };
        match read() {
            Ok((manifest, config)) => Ok(Self {
                given: given.to_owned(),
                blobs,
                layers: manifest.layers,
                config,
            }),
            Err(source) => Err(ImageFailed::Base {
                path: given.to_owned(),
                source,
            }),
        }
    }

    /// The image of a manifest whose layers are in these files.
    pub(super) fn of_files(
        given: PathBuf,
        manifest: Manifest,
        config: Config,
        files: BTreeMap<Digest, PathBuf>,
    ) -> Self {
        Self {
            given,
            blobs: Blobs::Files(files),
            layers: manifest.layers,
            config,
        }
    }

    /// Opens a blob.
    pub(super) fn open(&self, digest: Digest) -> Result<File, ImageFailed> {
        let opened = self.blobs.open(digest);
        opened.map_err(|source| self.unread(digest, source))
    }

    /// Checks that it has an interpreter, as far as its layers can be read.
    ///
    /// # Errors
    /// [`ImageFailed::Base`], and [`ImageFailed::Interrupted`].
    pub fn must_have(
        &self,
        interpreter: &Input,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<(), ImageFailed> {
        let mut files = BaseFiles::new(interpreter);
        for layer in &self.layers {
            let reader = BufReader::new(self.open(layer.digest)?);
            let reader = Stoppable {
                reader,
                interrupted,
            };
            let added = files.add(&layer.kind, reader);
            let is_read = added.map_err(|source| self.unread(layer.digest, source))?;
            if !is_read {
                return Ok(());
            }
        }
        if interrupted() {
            return Err(ImageFailed::Interrupted);
        }
        if files.has_interpreter() {
            return Ok(());
        }
        Err(self.fault(BaseFault::NoInterpreter(interpreter.path.clone())))
    }

    /// A blob that cannot be read.
    pub(super) fn unread(&self, digest: Digest, source: io::Error) -> ImageFailed {
        let name = digest.to_string();
        self.fault(BaseFault::Read { name, source })
    }

    /// What is wrong with it.
    pub(super) fn fault(&self, source: BaseFault) -> ImageFailed {
        let path = self.given.clone();
        ImageFailed::Base { path, source }
    }
}

impl Blobs {
    fn open(&self, digest: Digest) -> io::Result<File> {
        match self {
            Self::Layout(layout) => regular_file::open(&blob(layout, digest)),
            Self::Files(files) => match files.get(&digest) {
                Some(path) => regular_file::open(path),
                None => Err(io::ErrorKind::NotFound.into()),
            },
        }
    }

    /// A blob that is a text.
    fn text(&self, digest: Digest) -> Result<Vec<u8>, BaseFault> {
        let bytes = text(self.open(digest), &digest.to_string())?;
        if Digest::of(&bytes) == digest {
            Ok(bytes)
        } else {
            Err(BaseFault::Damaged(digest))
        }
    }
}

/// The manifest of the image of a layout.
fn manifest(
    layout: &Path,
    blobs: &Blobs,
    tag: Option<&str>,
    processors: &'static str,
) -> Result<Manifest, BaseFault> {
    let index = text(regular_file::open(&layout.join(INDEX)), INDEX)?;
    let found = listed(&index).map_err(malformed(INDEX))?;
    let is_tagged = |one: &Listed| tag.is_none() || one.tag.as_deref() == tag;
    // One image may have several names.
    let (mut indexes, mut images) = (BTreeSet::new(), BTreeSet::new());
    for one in found.into_iter().filter(is_tagged) {
        if is_image_for(&one, processors) {
            images.insert(one.digest);
        } else if one.is_index && indexes.insert(one.digest) {
            let name = one.digest.to_string();
            let inner = listed(&blobs.text(one.digest)?).map_err(malformed(&name))?;
            images.extend(images_for(inner, processors));
        }
        if images.len() > MANIFESTS_MAX {
            break;
        }
    }
    let digest = only(&images, processors)?;
    let bytes = blobs.text(digest)?;
    manifest_of_base(&bytes).map_err(malformed(&digest.to_string()))
}

fn is_image_for(one: &Listed, processors: &str) -> bool {
    let own = one.architecture.as_deref();
    !one.is_index && own.is_none_or(|own| own == processors)
}

/// The images of a list that are for these processors, as far as it says it.
pub(super) fn images_for(
    listed: Vec<Listed>,
    processors: &'static str,
) -> impl Iterator<Item = Digest> {
    let all = listed.into_iter();
    let all = all.filter(move |one| is_image_for(one, processors));
    all.map(|one| one.digest)
}

/// The only one of these images.
pub(super) fn only(
    images: &BTreeSet<Digest>,
    processors: &'static str,
) -> Result<Digest, BaseFault> {
    match (images.first(), images.len()) {
        (None, _) => Err(BaseFault::None(processors)),
        (Some(digest), 1) => Ok(*digest),
        (Some(_), several) => Err(BaseFault::Several(several, processors)),
    }
}

/// The configuration that belongs to a manifest.
pub(super) fn config_of(
    manifest: &Manifest,
    config: &[u8],
    processors: &'static str,
) -> Result<Config, BaseFault> {
    let digest = manifest.config.digest;
    let config = Config::from_bytes(config);
    let config = config.map_err(malformed(&digest.to_string()))?;
    let (of_manifest, of_config) = (manifest.layers.len(), config.layer_count());
    if of_manifest != of_config {
        return Err(BaseFault::Layers {
            manifest: of_manifest,
            config: of_config,
        });
    }
    if of_manifest > BASE_LAYERS_MAX {
        return Err(BaseFault::Crowded(of_manifest));
    }
    if config.architecture() != Some(processors) {
        return Err(BaseFault::None(processors));
    }
    Ok(config)
}

/// A reader that ends with an error when the caller asks to stop.
struct Stoppable<'a> {
    reader: BufReader<File>,
    interrupted: &'a dyn Fn() -> bool,
}

impl Read for Stoppable<'_> {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        if (self.interrupted)() {
            // Not of the kind `Interrupted`, after which the read would be tried again.
            return Err(io::Error::other("interrupted"));
        }
        self.reader.read(piece)
    }
}

/// A text in a file, up to more than any has.
pub(super) fn text(opened: io::Result<File>, name: &str) -> Result<Vec<u8>, BaseFault> {
    let read = || {
        let mut bytes = Vec::new();
        opened?.take(TEXT_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|source| BaseFault::Read {
        name: name.to_owned(),
        source,
    })
}

pub(super) fn malformed(name: &str) -> impl FnOnce(ManifestError) -> BaseFault {
    let name = name.to_owned();
    |source| BaseFault::Malformed { name, source }
}
