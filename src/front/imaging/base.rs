//! The image that an environment is put on: one of a layout on this machine.
//!
//! Promises that each text has the digest by which it is named, that no more of it is read than one
//! may have, and that the image is for the processors of the environment. Reads only.
//!
//! Read next: `layout.rs`, which copies its layers; `../../artifact/image.rs`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use rvenv_journal::Digest;
use rvenv_journal::raw::Input;

use super::base_files::BaseFiles;
use super::{BaseFault, ImageFailed};
use crate::artifact::image::{Config, Listed, listed};
use crate::artifact::layers::BASE_LAYERS_MAX;
use crate::artifact::manifest::{Descriptor, MANIFESTS_MAX, Manifest, ManifestError};
use crate::base::image_layout::{INDEX, blob};
use crate::base::regular_file;

/// More than any manifest or configuration has.
const TEXT_BYTES_MAX: u64 = 16 << 20;

/// A base image.
#[derive(Debug)]
pub struct Base {
    given: PathBuf,
    layout: PathBuf,
    /// Its layers, of which none has more bytes than is said here once it was copied.
    pub layers: Vec<Descriptor>,
    /// Its configuration.
    pub config: Config,
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
        let mut base = Self {
            given: given.to_owned(),
            layout,
            layers: Vec::new(),
            config: Config::default(),
        };
        let manifest = base.manifest(tag, architecture);
        let manifest = manifest.map_err(|why| base.fault(why))?;
        let config = base.config_of(&manifest, architecture);
        base.config = config.map_err(|why| base.fault(why))?;
        base.layers = manifest.layers;
        Ok(base)
    }

    /// Opens a blob.
    pub(super) fn open(&self, digest: Digest) -> Result<File, ImageFailed> {
        let opened = regular_file::open(&blob(&self.layout, digest));
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

    fn manifest(&self, tag: Option<&str>, processors: &'static str) -> Result<Manifest, BaseFault> {
        let index = text(&self.layout.join(INDEX), INDEX)?;
        let found = listed(&index).map_err(malformed(INDEX))?;
        let is_tagged = |one: &Listed| tag.is_none() || one.tag.as_deref() == tag;
        let is_for = |one: &Listed| {
            let own = one.architecture.as_deref();
            !one.is_index && own.is_none_or(|own| own == processors)
        };
        // One image may have several names.
        let (mut indexes, mut images) = (BTreeSet::new(), BTreeSet::new());
        for one in found.into_iter().filter(is_tagged) {
            if is_for(&one) {
                images.insert(one.digest);
            } else if one.is_index && indexes.insert(one.digest) {
                let name = one.digest.to_string();
                let inner = listed(&self.blob(one.digest)?).map_err(malformed(&name))?;
                let inner = inner.into_iter().filter(is_for);
                images.extend(inner.map(|inner| inner.digest));
            }
            if images.len() > MANIFESTS_MAX {
                break;
            }
        }
        match (images.first(), images.len()) {
            (None, _) => Err(BaseFault::None(processors)),
            (Some(digest), 1) => {
                let name = digest.to_string();
                Manifest::from_bytes(&self.blob(*digest)?).map_err(malformed(&name))
            }
            (Some(_), several) => Err(BaseFault::Several(several, processors)),
        }
    }

    fn config_of(
        &self,
        manifest: &Manifest,
        processors: &'static str,
    ) -> Result<Config, BaseFault> {
        let digest = manifest.config.digest;
        let config = Config::from_bytes(&self.blob(digest)?);
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

    fn blob(&self, digest: Digest) -> Result<Vec<u8>, BaseFault> {
        let name = digest.to_string();
        let bytes = text(&blob(&self.layout, digest), &name)?;
        if Digest::of(&bytes) == digest {
            Ok(bytes)
        } else {
            Err(BaseFault::Damaged(digest))
        }
    }
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

fn text(path: &Path, name: &str) -> Result<Vec<u8>, BaseFault> {
    let read = || {
        let mut bytes = Vec::new();
        let file = regular_file::open(path)?;
        file.take(TEXT_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|source| BaseFault::Read {
        name: name.to_owned(),
        source,
    })
}

fn malformed(name: &str) -> impl FnOnce(ManifestError) -> BaseFault {
    let name = name.to_owned();
    |source| BaseFault::Malformed { name, source }
}
