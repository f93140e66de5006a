//! What refers to a manifest: SBOMs, signatures, attestations (image specification 1.1, `subject`).
//!
//! Promises one text for what is attached, so that attaching the same file twice is once; that a
//! list of another tool keeps every entry and field of it; and that bytes of a registry never cause
//! a panic.
//!
//! Read next: `manifest.rs`; `../front/attaching.rs`, which sends and reads them.

use std::collections::BTreeMap;

use rvenv_journal::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::manifest::{
    Descriptor, DescriptorDto, EMPTY, EMPTY_BYTES, INDEX, MANIFEST, ManifestError, written,
};

/// More than any manifest has; a list is read into memory.
const LISTED_MAX: usize = 10_000;

/// A file that is attached to a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// What it is attached to.
    pub subject: Descriptor,
    /// The file; its kind is that of the artifact.
    pub file: Descriptor,
}

/// What refers to a manifest, as a list has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The kind of the artifact.
    pub kind: String,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The number of bytes of its manifest.
    pub len: u64,
    /// What its author says about it.
    pub annotations: BTreeMap<String, String>,
}

/// A list of what refers to a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Referrers {
    /// The entries as they are, of other tools too.
    entries: Vec<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReferrerDto<'a> {
    schema_version: u64,
    media_type: &'a str,
    artifact_type: &'a str,
    config: DescriptorDto,
    layers: [DescriptorDto; 1],
    subject: DescriptorDto,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListDto {
    schema_version: u64,
    #[serde(default)]
    media_type: String,
    manifests: Vec<Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedDto {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    artifact_type: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

impl Referrer {
    /// The only text of its manifest.
    ///
    /// # Panics
    /// Never: strings and numbers serialize.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let config = Descriptor::new(EMPTY, Digest::of(EMPTY_BYTES), EMPTY_BYTES.len() as u64);
        let dto = ReferrerDto {
            schema_version: 2,
            media_type: MANIFEST,
            artifact_type: &self.file.kind,
            config: written(&config),
            layers: [written(&self.file)],
            subject: written(&self.subject),
        };
        serde_json::to_vec(&dto).expect("strings and numbers serialize")
    }
}

impl Referrers {
    /// Reads a list.
    ///
    /// # Errors
    /// See [`ManifestError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        let dto: ListDto = serde_json::from_slice(bytes).map_err(ManifestError::Syntax)?;
        if dto.schema_version != 2 {
            return Err(ManifestError::Version(dto.schema_version));
        }
        if !matches!(dto.media_type.as_str(), "" | INDEX) {
            return Err(ManifestError::Kind(dto.media_type));
        }
        if dto.manifests.len() > LISTED_MAX {
            return Err(ManifestError::Crowded(dto.manifests.len()));
        }
        Ok(Self {
            entries: dto.manifests,
        })
    }

    /// The text of the list.
    ///
    /// # Panics
    /// Never: JSON serializes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let dto = ListDto {
            schema_version: 2,
            media_type: INDEX.to_owned(),
            manifests: self.entries.clone(),
        };
        serde_json::to_vec(&dto).expect("JSON serializes")
    }

    /// The same with the entries of another list after its own.
    #[must_use]
    pub fn followed_by(mut self, other: Self) -> Self {
        self.entries.extend(other.entries);
        self
    }

    /// The same with one more entry at its end.
    ///
    /// # Panics
    /// Never: strings and numbers serialize.
    #[must_use]
    pub fn with(mut self, one: &Listed) -> Self {
        let dto = ListedDto {
            media_type: MANIFEST.to_owned(),
            digest: format!("sha256:{}", one.digest),
            size: one.len,
            artifact_type: one.kind.clone(),
            annotations: one.annotations.clone(),
        };
        let value = serde_json::to_value(dto).expect("strings and numbers serialize");
        self.entries.push(value);
        self
    }

    /// Whether it has the manifest with a digest.
    #[must_use]
    pub fn has(&self, digest: Digest) -> bool {
        self.listed().any(|one| one.digest == digest)
    }

    /// Its entries that rvenv understands.
    pub fn listed(&self) -> impl Iterator<Item = Listed> {
        self.entries.iter().filter_map(|entry| {
            let dto = ListedDto::deserialize(entry).ok()?;
            let digits = dto.digest.strip_prefix("sha256:")?;
            Some(Listed {
                kind: dto.artifact_type,
                digest: Digest::parse(digits).ok()?,
                len: dto.size,
                annotations: dto.annotations,
            })
        })
    }
}

/// The tag of the list where a registry keeps none itself (distribution specification 1.1).
#[must_use]
pub fn tag_of(subject: Digest) -> String {
    format!("sha256-{subject}")
}

/// Whether a text is a media type: `TYPE/SUBTYPE` (RFC 6838).
#[must_use]
pub fn is_media_type(text: &str) -> bool {
    let is_word = |word: &str| {
        let mut letters = word.bytes();
        let begins = letters
            .next()
            .is_some_and(|letter| letter.is_ascii_alphanumeric());
        begins
            && word.len() <= 127
            && letters
                .all(|letter| letter.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&letter))
    };
    text.split_once('/')
        .is_some_and(|(kind, sub)| is_word(kind) && is_word(sub))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(byte: &[u8]) -> Listed {
        Listed {
            kind: "application/x".to_owned(),
            digest: Digest::of(byte),
            len: 3,
            annotations: BTreeMap::new(),
        }
    }

    #[test]
    fn what_is_attached_has_one_text() {
        let referrer = Referrer {
            subject: Descriptor::new(MANIFEST, Digest::of(b"subject"), 7),
            file: Descriptor::titled("application/x", Digest::of(b"file"), 4, "a.sig"),
        };
        let golden = format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"{MANIFEST}\",\"artifactType\":\"application/x\",\
             \"config\":{{\"mediaType\":\"{EMPTY}\",\"digest\":\"sha256:{}\",\"size\":2}},\
             \"layers\":[{{\"mediaType\":\"application/x\",\"digest\":\"sha256:{}\",\"size\":4,\
             \"annotations\":{{\"org.opencontainers.image.title\":\"a.sig\"}}}}],\
             \"subject\":{{\"mediaType\":\"{MANIFEST}\",\"digest\":\"sha256:{}\",\"size\":7}}}}",
            Digest::of(b"{}"),
            Digest::of(b"file"),
            Digest::of(b"subject"),
        );
        let bytes = referrer.to_bytes();
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), golden);
        let read = super::super::manifest::Manifest::from_bytes(&bytes).unwrap();
        assert_eq!(read.artifact, "application/x");
        assert_eq!(read.layers, [referrer.file]);
    }

    #[test]
    fn a_list_of_another_tool_keeps_what_it_has() {
        let strange = "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"m\",\"digest\":\
                       \"sha512:1\",\"size\":9,\"data\":\"eA==\",\"more\":{\"a\":[1]}}]}";
        let list = Referrers::from_bytes(strange.as_bytes()).unwrap();
        assert_eq!(list.listed().count(), 0);
        let more = list.with(&listed(b"one"));
        let read = Referrers::from_bytes(&more.to_bytes()).unwrap();
        assert_eq!(read, more);
        assert!(read.has(Digest::of(b"one")));
        assert!(!read.has(Digest::of(b"two")));
        let text = String::from_utf8(more.to_bytes()).unwrap();
        for part in ["\"data\":\"eA==\"", "\"more\":{\"a\":[1]}", "sha512:1"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn numbers_of_another_tool_stay_as_they_are() {
        for number in ["1152921504251660921504606846976", "0.1", "-1.5e-300", "7"] {
            let text = format!("{{\"schemaVersion\":2,\"manifests\":[{{\"size\":{number}}}]}}");
            let list = Referrers::from_bytes(text.as_bytes()).unwrap();
            let again = Referrers::from_bytes(&list.to_bytes()).unwrap();
            assert_eq!(again, list, "{number}");
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for (text, expected) in [
            ("[]", "it is not a manifest"),
            ("{\"schemaVersion\":1,\"manifests\":[]}", "its version is 1"),
            (
                "{\"schemaVersion\":2,\"mediaType\":\"x\",\"manifests\":[]}",
                "it is of the kind `x`",
            ),
            ("{\"schemaVersion\":2}", "it is not a manifest"),
        ] {
            let refused = Referrers::from_bytes(text.as_bytes()).unwrap_err();
            assert!(refused.to_string().contains(expected), "{refused}");
        }
    }

    #[test]
    fn a_media_type_has_two_words() {
        for right in ["application/vnd.cyclonedx+json", "text/plain", "a/b"] {
            assert!(is_media_type(right), "{right}");
        }
        for wrong in ["", "a", "a/", "/b", "a/b/c", "a/b c", "a/b;c=d", "a/\u{e9}"] {
            assert!(!is_media_type(wrong), "{wrong}");
        }
    }
}
