//! Files that refer to a manifest in a registry: SBOMs, signatures, attestations of any tool.
//!
//! Promises that a file is there before what names it; that attaching the same file twice is once;
//! that the entries of other tools stay in a list; and that what comes back has the digest by which
//! its manifest names it. Does not promise that a signature is right: its own tool checks that.
//!
//! A registry with the API of the distribution specification 1.1 lists what refers to a manifest
//! itself. For the others a client reads a list under the tag `sha256-DIGEST`, and writes it again
//! with one more entry. Two clients that do so at once may lose an entry, since the last one to
//! write wins: what was written is read back, and written again if it is gone.
//!
//! In the registry, after a crash: the attached file, perhaps in no list. The next run of the same
//! command lists it.
//! Read next: `../artifact/referrer.rs`; `pushing.rs`.

use std::path::PathBuf;

use rvenv_journal::Digest;
use rvenv_journal::fs::FsError;
use thiserror::Error;

use super::caller::Caller;
use super::pulling::{PullFailed, asked, name_of};
use super::saved_plan::WheelPlaces;
use crate::artifact::manifest::{
    Descriptor, EMPTY_BYTES, INDEX, MANIFEST, MANIFEST_OR_INDEX, Manifest, ManifestError, kind_of,
};
use crate::artifact::referrer::{Listed, Referrer, Referrers, is_media_type, tag_of};
use crate::fetch::{
    FetchControl, Parcel, ParcelBytes, Reference, RegistryFailed, SettingsError, Transfer,
};

/// How often a list is written again that another client has replaced meanwhile.
const ATTEMPTS_MAX: usize = 5;

/// Why something cannot be attached, or what is attached cannot be had.
#[derive(Debug, Error)]
pub enum AttachFailed {
    /// Nothing has this tag or digest.
    #[error("`{0}` does not exist")]
    Absent(Reference),
    /// The type of the file.
    #[error("`{}` is not a media type", .0.escape_debug())]
    MediaType(String),
    /// The file has no name.
    #[error("`{}` is not the name of a file", crate::python::shown(.0))]
    Name(PathBuf),
    /// The file cannot be read.
    #[error("cannot read `{}`", crate::python::shown(path))]
    File {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: FsError,
    },
    /// A manifest or a list in the registry is none.
    #[error("cannot read what is attached to `{reference}`")]
    List {
        /// What it is attached to.
        reference: Reference,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// Other clients replaced the list each time.
    #[error("other clients replaced the list of what is attached to `{0}` again and again")]
    Raced(Reference),
    /// A setting is malformed.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The registry did not take or give something.
    #[error(transparent)]
    Registry(#[from] RegistryFailed),
    /// A file that is attached cannot be fetched.
    #[error(transparent)]
    Pull(#[from] PullFailed),
}

/// A file to be attached.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// Its media type, which becomes the type of the artifact.
    pub kind: String,
    /// The file.
    pub parcel: Parcel,
}

/// What is attached now.
#[derive(Clone, Debug)]
pub struct Attached {
    /// The digest of what it is attached to.
    pub subject: Digest,
    /// The digest of the manifest that names the file.
    pub manifest: Digest,
    /// Who lists it.
    pub lister: Lister,
}

/// Who lists what refers to a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lister {
    /// The registry.
    Registry,
    /// A list under a tag, which clients write.
    Tag,
}

/// What refers to a manifest.
#[derive(Clone, Debug)]
pub struct AllAttached {
    /// The digest of what it refers to.
    pub subject: Digest,
    /// Each, in the order of the list.
    pub listed: Vec<Listed>,
}

/// A file that was attached, in the cache.
#[derive(Clone, Debug)]
pub struct AttachedFile {
    /// The digest of the manifest that names it.
    pub manifest: Digest,
    /// Its name; its digest if it has none.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// A repository, and a manifest in it.
struct Place<'a> {
    transfer: Transfer,
    reference: &'a Reference,
    subject: Descriptor,
}

impl Caller<'_> {
    /// A file of this machine, to be attached with a media type.
    ///
    /// # Errors
    /// See [`AttachFailed`].
    pub fn attachment(&self, kind: &str, path: PathBuf) -> Result<Attachment, AttachFailed> {
        if !is_media_type(kind) {
            return Err(AttachFailed::MediaType(kind.to_owned()));
        }
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(name) = name.map(str::to_owned) else {
            return Err(AttachFailed::Name(path));
        };
        let digested = self.fs.digest_path(&path);
        let (digest, len) = digested.map_err(|source| AttachFailed::File {
            path: path.clone(),
            source,
        })?;
        Ok(Attachment {
            kind: kind.to_owned(),
            parcel: Parcel {
                name,
                digest,
                len,
                bytes: ParcelBytes::File(path),
            },
        })
    }

    /// Attaches a file to what a reference names.
    ///
    /// # Errors
    /// See [`AttachFailed`].
    ///
    /// # Crash
    /// The file is there or not; in no list, or in one.
    pub fn attach(
        &self,
        to: &Reference,
        attachment: &Attachment,
        from: &WheelPlaces,
    ) -> Result<Attached, AttachFailed> {
        let transfer = Transfer::into(self.registry_settings(from)?, &to.repository);
        self.fetch_control(|control| {
            let place = Place::find(transfer, to, control)?;
            place.attach(attachment, control)
        })
    }

    /// Lists what is attached to what a reference names.
    ///
    /// # Errors
    /// See [`AttachFailed`].
    pub fn attached(
        &self,
        to: &Reference,
        from: &WheelPlaces,
    ) -> Result<AllAttached, AttachFailed> {
        let transfer = Transfer::out_of(self.registry_settings(from)?, &to.repository);
        self.fetch_control(|control| {
            let place = Place::find(transfer, to, control)?;
            let (list, _) = place.list(control)?;
            Ok(AllAttached {
                subject: place.subject.digest,
                listed: list.listed().collect(),
            })
        })
    }

    /// Fetches files that are attached into the cache.
    ///
    /// # Errors
    /// See [`AttachFailed`].
    pub fn fetch_attached(
        &self,
        to: &Reference,
        listed: &[Listed],
        from: &WheelPlaces,
    ) -> Result<Vec<AttachedFile>, AttachFailed> {
        let transfer = Transfer::out_of(self.registry_settings(from)?, &to.repository);
        let mut files = Vec::new();
        for one in listed {
            let reference = to.at(one.digest);
            let name = format!("sha256:{}", one.digest);
            let found =
                self.fetch_control(|control| transfer.manifest(&name, MANIFEST_OR_INDEX, control))?;
            let bytes = found.ok_or_else(|| AttachFailed::Absent(reference.clone()))?;
            let manifest = Manifest::from_bytes(&bytes);
            let manifest = manifest.map_err(|source| AttachFailed::List { reference, source })?;
            let mut wanted = Vec::new();
            for layer in &manifest.layers {
                let digest = layer.digest.to_string();
                let name = layer.title.as_deref().unwrap_or(&digest);
                wanted.push(asked(layer, name).map_err(PullFailed::Asked)?);
            }
            let fetched = self.pull_files(&wanted, to, from)?;
            files.extend(
                wanted
                    .iter()
                    .zip(fetched)
                    .map(|(wanted, fetched)| AttachedFile {
                        manifest: one.digest,
                        name: wanted.file_name().to_owned(),
                        path: fetched.path,
                    }),
            );
        }
        Ok(files)
    }
}

impl<'a> Place<'a> {
    /// Resolves a reference once.
    fn find(
        transfer: Transfer,
        reference: &'a Reference,
        control: &FetchControl<'_>,
    ) -> Result<Self, AttachFailed> {
        let name = name_of(reference);
        let found = transfer.manifest(&name, MANIFEST_OR_INDEX, control)?;
        let bytes = found.ok_or_else(|| AttachFailed::Absent(reference.clone()))?;
        let malformed = |source| AttachFailed::List {
            reference: reference.clone(),
            source,
        };
        let kind = match kind_of(&bytes).map_err(malformed)? {
            unsaid if unsaid.is_empty() => MANIFEST.to_owned(),
            kind if kind == MANIFEST || kind == INDEX => kind,
            other => return Err(malformed(ManifestError::Kind(other))),
        };
        Ok(Self {
            transfer,
            reference,
            subject: Descriptor::new(&kind, Digest::of(&bytes), bytes.len() as u64),
        })
    }

    fn attach(
        &self,
        attachment: &Attachment,
        control: &FetchControl<'_>,
    ) -> Result<Attached, AttachFailed> {
        let Attachment { kind, parcel } = attachment;
        let empty = Parcel::of_bytes("", EMPTY_BYTES.to_vec());
        self.transfer.send(&[empty, parcel.clone()], control)?;
        let referrer = Referrer {
            subject: self.subject.clone(),
            file: Descriptor::titled(kind, parcel.digest, parcel.len, &parcel.name),
        };
        let bytes = referrer.to_bytes();
        let one = Listed {
            kind: kind.clone(),
            digest: Digest::of(&bytes),
            len: bytes.len() as u64,
            annotations: std::collections::BTreeMap::new(),
        };
        let is_listed = self.transfer.refer(MANIFEST, &bytes, control)?;
        let lister = if is_listed {
            Lister::Registry
        } else {
            self.list_under_tag(&one, control)?;
            Lister::Tag
        };
        Ok(Attached {
            subject: self.subject.digest,
            manifest: one.digest,
            lister,
        })
    }

    /// Adds an entry to the list under a tag, until it is there.
    fn list_under_tag(&self, one: &Listed, control: &FetchControl<'_>) -> Result<(), AttachFailed> {
        let tag = tag_of(self.subject.digest);
        for _ in 0..ATTEMPTS_MAX {
            let list = self.list_of_tag(control)?;
            if list.has(one.digest) {
                return Ok(());
            }
            let bytes = list.with(one).to_bytes();
            self.transfer.name(Some(&tag), INDEX, &bytes, control)?;
        }
        if self.list_of_tag(control)?.has(one.digest) {
            return Ok(());
        }
        Err(AttachFailed::Raced(self.reference.clone()))
    }

    /// What refers to the manifest, and who lists it.
    fn list(&self, control: &FetchControl<'_>) -> Result<(Referrers, Lister), AttachFailed> {
        let subject = self.subject.digest;
        let Some(pages) = self.transfer.referrers(subject, INDEX, control)? else {
            return Ok((self.list_of_tag(control)?, Lister::Tag));
        };
        let mut all = Referrers::default();
        for page in &pages {
            all = all.followed_by(self.read(page)?);
        }
        Ok((all, Lister::Registry))
    }

    fn list_of_tag(&self, control: &FetchControl<'_>) -> Result<Referrers, AttachFailed> {
        let tag = tag_of(self.subject.digest);
        match self.transfer.manifest(&tag, INDEX, control)? {
            Some(bytes) => self.read(&bytes),
            None => Ok(Referrers::default()),
        }
    }

    fn read(&self, bytes: &[u8]) -> Result<Referrers, AttachFailed> {
        Referrers::from_bytes(bytes).map_err(|source| AttachFailed::List {
            reference: self.reference.clone(),
            source,
        })
    }
}
