//! Manifests of OCI images (image specification 1.1), as far as artifacts need them.
//!
//! Promises one text for each manifest, so that its digest is the same wherever it is made; and
//! that bytes of a registry never cause a panic: what is too long, too much or malformed is
//! refused. Fields that the specification may add are ignored.
//!
//! Read next: `../fetch/registry.rs`, where manifests are; `../front/pushing.rs`, what is in one.

use std::collections::BTreeMap;

use rvenv_journal::Digest;
use rvenv_journal::raw::{PLAN_BYTES_MAX, counted};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::wheel::WHEEL_BYTES_MAX;

/// The kind of a manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The kind of a list of manifests.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Either of them, as a request names what it takes.
pub const MANIFEST_OR_INDEX: &str =
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";
/// The kind of an artifact that is an environment.
pub const ENVIRONMENT: &str = "application/vnd.rvenv.environment.v1+json";
/// The kind of an artifact that is a set of wheels.
pub const WHEELS: &str = "application/vnd.rvenv.wheels.v1+json";
/// The kind of a blob that is the canonical form of a plan.
pub const PLAN: &str = "application/vnd.rvenv.plan.v1+json";
/// The kind of a blob with what the digest of a plan does not cover.
pub const NOTES: &str = "application/vnd.rvenv.notes.v1+json";
/// The kind of a blob that is a wheel. It is written for each wheel, and every tool knows it.
pub const WHEEL: &str = "application/zip";
/// The kind of an SBOM.
pub const SBOM: &str = "application/vnd.cyclonedx+json";
/// The kind of a blob that is the bytecode of a wheel for one build of an interpreter.
pub const BYTECODE: &str = "application/vnd.rvenv.bytecode.v1.tar+gzip";
/// The kind of a configuration that says nothing.
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// What such a configuration has.
pub const EMPTY_BYTES: &[u8] = b"{}";
/// The annotation with the name of a file, by which other tools name what they write.
const TITLE: &str = "org.opencontainers.image.title";
/// More than any environment has.
const LAYERS_MAX: usize = 20_000;
/// Many times the platforms and Pythons for which wheels are built.
pub const MANIFESTS_MAX: usize = 1_000;

/// Why bytes are not a manifest.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// It is not JSON, or lacks a field.
    #[error("it is not a manifest")]
    Syntax(#[source] serde_json::Error),
    /// The version of its form.
    #[error("its version is {0}, not 2")]
    Version(u64),
    /// It is of another kind.
    #[error("it is of the kind `{}`", .0.escape_debug())]
    Kind(String),
    /// A digest is of another algorithm, or malformed.
    #[error("`{}` is not a sha256 digest", .0.escape_debug())]
    Digest(String),
    /// More blobs than any environment has.
    #[error("it names {0} blobs, and an environment has at most {LAYERS_MAX}")]
    Crowded(usize),
    /// A blob that is larger than its kind can be.
    #[error("it names a blob of {}", counted(*.0, "byte"))]
    Large(u64),
    /// More manifests than any index has.
    #[error("it lists {0} manifests, and an index has at most {MANIFESTS_MAX}")]
    Manifests(usize),
    /// A manifest of an index that is larger than registries take.
    #[error("it lists a manifest of {}", counted(*.0, "byte"))]
    LargeManifest(u64),
    /// An index that is listed by another one.
    #[error("it lists something of the kind `{}`, not a manifest", .0.escape_debug())]
    Nested(String),
    /// A blob that must be there is not.
    #[error("it has no blob of the kind `{0}`")]
    Lacks(&'static str),
}

/// A blob that a manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Its kind.
    pub kind: String,
    /// Its digest.
    pub digest: Digest,
    /// The number of its bytes.
    pub len: u64,
    /// The name of its file.
    pub title: Option<String>,
    /// What else is said of it.
    pub annotations: BTreeMap<String, String>,
}

/// A manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The kind of the artifact; empty for an image.
    pub artifact: String,
    /// What describes it.
    pub config: Descriptor,
    /// What it consists of.
    pub layers: Vec<Descriptor>,
    /// What other tools may show.
    pub annotations: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestDto {
    schema_version: u64,
    #[serde(default)]
    media_type: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    artifact_type: String,
    config: DescriptorDto,
    layers: Vec<DescriptorDto>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DescriptorDto {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

/// What every kind of manifest has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KindDto {
    schema_version: u64,
    #[serde(default)]
    media_type: String,
}

/// The kind of a manifest or an index; empty if it does not say it.
pub(crate) fn kind_of(bytes: &[u8]) -> Result<String, ManifestError> {
    let kind: KindDto = serde_json::from_slice(bytes).map_err(ManifestError::Syntax)?;
    match kind.schema_version {
        2 => Ok(kind.media_type),
        other => Err(ManifestError::Version(other)),
    }
}

/// Reads `sha256:` and digits.
pub(super) fn digest_of(text: &str) -> Result<Digest, ManifestError> {
    let digits = text.strip_prefix("sha256:");
    let digest = digits.and_then(|digits| Digest::parse(digits).ok());
    digest.ok_or_else(|| ManifestError::Digest(text.to_owned()))
}

impl Descriptor {
    /// A blob with the name of a file.
    #[must_use]
    pub fn titled(kind: &str, digest: Digest, len: u64, title: &str) -> Self {
        Self {
            title: Some(title.to_owned()),
            ..Self::new(kind, digest, len)
        }
    }

    /// A blob.
    #[must_use]
    pub fn new(kind: &str, digest: Digest, len: u64) -> Self {
        Self {
            kind: kind.to_owned(),
            digest,
            len,
            title: None,
            annotations: BTreeMap::new(),
        }
    }
}

impl Manifest {
    /// The only text of a manifest.
    ///
    /// # Panics
    /// Never: strings and numbers serialize.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let dto = ManifestDto {
            schema_version: 2,
            media_type: MANIFEST.to_owned(),
            artifact_type: self.artifact.clone(),
            config: written(&self.config),
            layers: self.layers.iter().map(written).collect(),
            annotations: self.annotations.clone(),
        };
        serde_json::to_vec(&dto).expect("strings and numbers serialize")
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// See [`ManifestError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        Self::of_kinds(bytes, &[MANIFEST])
    }

    /// Reads a manifest that is of one of these kinds, or does not say its kind.
    pub(super) fn of_kinds(bytes: &[u8], kinds: &[&str]) -> Result<Self, ManifestError> {
        let kind = kind_of(bytes)?;
        if !kind.is_empty() && !kinds.contains(&kind.as_str()) {
            return Err(ManifestError::Kind(kind));
        }
        let dto: ManifestDto = serde_json::from_slice(bytes).map_err(ManifestError::Syntax)?;
        if dto.layers.len() > LAYERS_MAX {
            return Err(ManifestError::Crowded(dto.layers.len()));
        }
        Ok(Self {
            artifact: dto.artifact_type,
            config: read(dto.config)?,
            layers: dto.layers.into_iter().map(read).collect::<Result<_, _>>()?,
            annotations: dto.annotations,
        })
    }

    /// Checks that the artifact is of a kind.
    ///
    /// # Errors
    /// [`ManifestError::Kind`].
    pub fn must_be(&self, kinds: &[&str]) -> Result<(), ManifestError> {
        if kinds.contains(&self.artifact.as_str()) {
            return Ok(());
        }
        let kind = if self.artifact.is_empty() {
            &self.config.kind
        } else {
            &self.artifact
        };
        Err(ManifestError::Kind(kind.clone()))
    }

    /// The blobs of a kind.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Descriptor> {
        self.layers.iter().filter(move |layer| layer.kind == kind)
    }
}

pub(super) fn written(descriptor: &Descriptor) -> DescriptorDto {
    let title = descriptor.title.clone();
    let title = title.map(|title| (TITLE.to_owned(), title));
    let annotations = descriptor.annotations.clone().into_iter();
    DescriptorDto {
        media_type: descriptor.kind.clone(),
        digest: format!("sha256:{}", descriptor.digest),
        size: descriptor.len,
        annotations: annotations.chain(title).collect(),
    }
}

fn read(mut dto: DescriptorDto) -> Result<Descriptor, ManifestError> {
    let digest = digest_of(&dto.digest)?;
    let max = match dto.media_type.as_str() {
        PLAN | NOTES => PLAN_BYTES_MAX,
        _ => WHEEL_BYTES_MAX,
    };
    if dto.size > max {
        return Err(ManifestError::Large(dto.size));
    }
    Ok(Descriptor {
        kind: dto.media_type,
        digest,
        len: dto.size,
        title: dto.annotations.remove(TITLE),
        annotations: dto.annotations,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            artifact: ENVIRONMENT.to_owned(),
            config: Descriptor::new(PLAN, Digest::of(b"plan"), 4),
            layers: vec![Descriptor::titled(
                WHEEL,
                Digest::of(b"wheel"),
                5,
                "a-1-py3-none-any.whl",
            )],
            annotations: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
        }
    }

    #[test]
    fn a_manifest_has_one_text_which_is_read_back() {
        let bytes = manifest().to_bytes();
        assert_eq!(Manifest::from_bytes(&bytes).unwrap(), manifest());
        let golden = format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"{MANIFEST}\",\"artifactType\":\"{ENVIRONMENT}\",\
             \"config\":{{\"mediaType\":\"{PLAN}\",\"digest\":\"sha256:{}\",\"size\":4}},\
             \"layers\":[{{\"mediaType\":\"{WHEEL}\",\"digest\":\"sha256:{}\",\"size\":5,\
             \"annotations\":{{\"{TITLE}\":\"a-1-py3-none-any.whl\"}}}}],\"annotations\":{{\"k\":\"v\"}}}}",
            Digest::of(b"plan"),
            Digest::of(b"wheel")
        );
        assert_eq!(String::from_utf8(bytes).unwrap(), golden);
    }

    #[test]
    fn what_is_no_manifest_of_an_environment_is_refused() {
        let text = String::from_utf8(manifest().to_bytes()).unwrap();
        for (from, to, expected) in [
            (
                "\"schemaVersion\":2",
                "\"schemaVersion\":1",
                "its version is 1",
            ),
            (MANIFEST, INDEX, "it is of the kind"),
            ("sha256:", "sha512:", "is not a sha256 digest"),
            ("\"size\":4", "\"size\":-4", "it is not a manifest"),
            ("\"layers\"", "\"other\"", "it is not a manifest"),
            ("\"size\":4", "\"size\":999999999999", "it names a blob of"),
        ] {
            let changed = text.replacen(from, to, 1);
            let refused = Manifest::from_bytes(changed.as_bytes()).unwrap_err();
            assert!(refused.to_string().contains(expected), "{refused}");
        }
        let of_image = text.replace(ENVIRONMENT, "x");
        let read = Manifest::from_bytes(of_image.as_bytes()).unwrap();
        assert!(read.must_be(&[ENVIRONMENT]).is_err());
    }
}
