//! Indexes of OCI images: one environment for several systems and Pythons.
//!
//! Promises one text for each set of manifests, in whatever order they are given; and, as for
//! manifests, that bytes of a registry never cause a panic. An index lists manifests alone: one
//! that lists another index is refused, so that nothing is followed farther than one step.
//!
//! Read next: `demands.rs`; `../front/indexing.rs`, which writes one.

use std::collections::BTreeMap;

use rvenv_journal::Digest;
use serde::{Deserialize, Serialize};

use super::demands::{Demands, Platform};
use super::manifest::{
    ENVIRONMENT, INDEX, MANIFEST, MANIFESTS_MAX, Manifest, ManifestError, digest_of, kind_of,
};

/// What the names of the annotations begin with that an index repeats.
const OWN: &str = "rvenv.";
/// As much as registries take.
const MANIFEST_BYTES_MAX: u64 = 4 << 20;

/// A list of manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The kind of the artifact.
    pub artifact: String,
    /// What it lists.
    pub entries: Vec<IndexEntry>,
}

/// A manifest that an index lists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexEntry {
    /// Its digest.
    pub digest: Digest,
    /// The number of its bytes.
    pub len: u64,
    /// The system and the processor, as other tools see them.
    pub platform: Option<Platform>,
    /// What other tools may show, and what it demands.
    pub annotations: BTreeMap<String, String>,
}

/// What a tag or a digest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// A manifest.
    Manifest(Manifest),
    /// A list of manifests.
    Index(Index),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexDto {
    schema_version: u64,
    media_type: String,
    #[serde(default)]
    artifact_type: String,
    manifests: Vec<EntryDto>,
}

/// Without the kind of the artifact, which the index has: tools that forget it when they copy an
/// index would change its digest.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryDto {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    platform: Option<PlatformDto>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct PlatformDto {
    architecture: String,
    os: String,
}

impl Named {
    /// Reads a manifest or an index.
    ///
    /// # Errors
    /// See [`ManifestError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        if kind_of(bytes)? == INDEX {
            return Index::from_bytes(bytes).map(Self::Index);
        }
        Manifest::from_bytes(bytes).map(Self::Manifest)
    }
}

impl IndexEntry {
    /// The entry of a manifest of an environment, if that says what it demands.
    #[must_use]
    pub fn of(manifest: &Manifest, bytes: &[u8]) -> Option<Self> {
        let demands = Demands::of(manifest)?;
        let own = manifest.annotations.iter();
        let own = own.filter(|(name, _)| name.starts_with(OWN));
        Some(Self {
            digest: Digest::of(bytes),
            len: bytes.len() as u64,
            platform: Some(demands.platform),
            annotations: own
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        })
    }

    /// What it demands of a machine.
    #[must_use]
    pub fn demands(&self) -> Option<Demands> {
        let demands = Demands::read(&self.annotations)?;
        (self.platform.as_ref() == Some(&demands.platform)).then_some(demands)
    }
}

impl Index {
    /// The index of environments.
    #[must_use]
    pub fn of(mut entries: Vec<IndexEntry>) -> Self {
        let order = |entry: &IndexEntry| {
            let demands = entry.demands();
            (demands.map(|demands| demands.order()), entry.clone())
        };
        entries.sort_by_cached_key(order);
        entries.dedup();
        Self {
            artifact: ENVIRONMENT.to_owned(),
            entries,
        }
    }

    /// The only text of an index.
    ///
    /// # Panics
    /// Never: strings and numbers serialize.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let entry = |entry: &IndexEntry| EntryDto {
            media_type: MANIFEST.to_owned(),
            digest: format!("sha256:{}", entry.digest),
            size: entry.len,
            platform: entry.platform.clone().map(|platform| PlatformDto {
                architecture: platform.architecture,
                os: platform.os,
            }),
            annotations: entry.annotations.clone(),
        };
        let dto = IndexDto {
            schema_version: 2,
            media_type: INDEX.to_owned(),
            artifact_type: self.artifact.clone(),
            manifests: self.entries.iter().map(entry).collect(),
        };
        serde_json::to_vec(&dto).expect("strings and numbers serialize")
    }

    /// Reads an index.
    ///
    /// # Errors
    /// See [`ManifestError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        let kind = kind_of(bytes)?;
        if kind != INDEX {
            return Err(ManifestError::Kind(kind));
        }
        let dto: IndexDto = serde_json::from_slice(bytes).map_err(ManifestError::Syntax)?;
        if dto.manifests.len() > MANIFESTS_MAX {
            return Err(ManifestError::Manifests(dto.manifests.len()));
        }
        Ok(Self {
            artifact: dto.artifact_type,
            entries: dto
                .manifests
                .into_iter()
                .map(read)
                .collect::<Result<_, _>>()?,
        })
    }

    /// Checks that it is of environments.
    ///
    /// # Errors
    /// [`ManifestError::Kind`].
    pub fn must_be_of_environments(&self) -> Result<(), ManifestError> {
        if self.artifact == ENVIRONMENT {
            return Ok(());
        }
        let kind = if self.artifact.is_empty() {
            INDEX
        } else {
            &self.artifact
        };
        Err(ManifestError::Kind(kind.to_owned()))
    }
}

fn read(dto: EntryDto) -> Result<IndexEntry, ManifestError> {
    if dto.media_type != MANIFEST {
        return Err(ManifestError::Nested(dto.media_type));
    }
    if dto.size > MANIFEST_BYTES_MAX {
        return Err(ManifestError::LargeManifest(dto.size));
    }
    Ok(IndexEntry {
        digest: digest_of(&dto.digest)?,
        len: dto.size,
        platform: dto.platform.map(|platform| Platform {
            os: platform.os,
            architecture: platform.architecture,
        }),
        annotations: dto.annotations,
    })
}

#[cfg(test)]
mod tests {
    use super::super::demands::sample;
    use super::super::manifest::{Descriptor, PLAN};
    use super::*;

    fn entries() -> Vec<IndexEntry> {
        let demands = [
            ("linux/amd64", "cpython 3.9.18"),
            ("linux/amd64", "cpython 3.13.0"),
            ("linux/arm64", "cpython 3.13.0"),
            ("darwin/arm64", "cpython 3.13.0"),
        ];
        let demands = demands.map(|(platform, release)| sample(platform, release));
        let entry = |own: Demands| {
            let config = Descriptor::new(PLAN, Digest::of(b"plan"), 4);
            let manifest = Manifest {
                artifact: ENVIRONMENT.to_owned(),
                config,
                layers: Vec::new(),
                annotations: own.annotations(),
            };
            IndexEntry::of(&manifest, &manifest.to_bytes()).unwrap()
        };
        demands.into_iter().map(entry).collect()
    }

    #[test]
    fn the_same_set_has_the_same_text_in_every_order() {
        let index = Index::of(entries());
        let mut turned = entries();
        turned.rotate_left(2);
        turned.extend(entries());
        assert_eq!(Index::of(turned).to_bytes(), index.to_bytes());
        let order: Vec<_> = index
            .entries
            .iter()
            .map(|one| one.demands().unwrap())
            .collect();
        let order: Vec<_> = order
            .iter()
            .map(|one| format!("{} {}", one.platform, one.release.version))
            .collect();
        assert_eq!(
            order,
            [
                "darwin/arm64 3.13.0",
                "linux/amd64 3.9.18",
                "linux/amd64 3.13.0",
                "linux/arm64 3.13.0"
            ]
        );
    }

    #[test]
    fn an_index_is_read_as_it_is_written() {
        let index = Index::of(entries());
        assert_eq!(Index::from_bytes(&index.to_bytes()).unwrap(), index);
        index.must_be_of_environments().unwrap();
    }

    #[test]
    fn what_is_no_index_of_environments_is_refused() {
        let text = String::from_utf8(Index::of(entries()).to_bytes()).unwrap();
        for (from, to, expected) in [
            (
                "\"schemaVersion\":2",
                "\"schemaVersion\":1",
                "its version is 1",
            ),
            (INDEX, MANIFEST, "it is of the kind"),
            (MANIFEST, INDEX, "it lists something of the kind"),
            ("sha256:", "sha512:", "is not a sha256 digest"),
            ("\"manifests\"", "\"other\"", "it is not a manifest"),
            ("\"size\":", "\"size\":9999999", "it lists a manifest of"),
            ("\"size\":", "\"size\":-", "it is not a manifest"),
        ] {
            let changed = text.replacen(from, to, 1);
            let refused = Index::from_bytes(changed.as_bytes()).unwrap_err();
            assert!(refused.to_string().contains(expected), "{refused}");
        }
        let of_image = text.replace(ENVIRONMENT, "x");
        let read = Index::from_bytes(of_image.as_bytes()).unwrap();
        assert!(read.must_be_of_environments().is_err());
        let many = Index {
            entries: vec![entries().remove(0); MANIFESTS_MAX + 1],
            ..read
        };
        let refused = Index::from_bytes(&many.to_bytes()).unwrap_err();
        assert!(
            refused.to_string().contains("it lists 1001 manifests"),
            "{refused}"
        );
    }

    #[test]
    fn what_other_tools_see_must_be_what_is_demanded() {
        let entry = entries().remove(0);
        let platform = Platform::parse("linux/arm64");
        assert!(entry.demands().is_some());
        assert_eq!(IndexEntry { platform, ..entry }.demands(), None);
    }
}
