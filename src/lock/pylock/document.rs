//! The tables of a `pylock.toml`, as they are written.
//!
//! Promises that a value of another type is found with its line. Nothing else is checked here;
//! `../pylock.rs` does that. `tool` and `dependencies` are only known to exist.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use toml::value::Datetime;

/// A table whose content has no effect.
struct Ignored {
    keys: Vec<String>,
}

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Keys)
    }
}

/// Reads the keys of a table.
struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = Ignored;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ignored, A::Error> {
        let mut keys = Vec::new();
        while let Some((key, _)) = map.next_entry::<String, IgnoredAny>()? {
            keys.push(key);
        }
        Ok(Ignored { keys })
    }
}

/// The version of any version of the format.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Format {
    lock_version: Option<String>,
}

/// The packages of any version of the format.
#[derive(Deserialize)]
struct Packages {
    #[serde(default)]
    packages: Vec<Ignored>,
}

/// The whole file.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Document {
    pub(super) lock_version: Option<String>,
    pub(super) environments: Option<Vec<String>>,
    pub(super) requires_python: Option<String>,
    pub(super) extras: Option<Vec<String>>,
    pub(super) dependency_groups: Option<Vec<String>>,
    pub(super) default_groups: Option<Vec<String>>,
    pub(super) created_by: Option<String>,
    pub(super) packages: Vec<PackageTable>,
    #[serde(rename = "tool")]
    _tool: Option<Ignored>,
}

/// One of `packages`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct PackageTable {
    pub(super) name: Option<String>,
    pub(super) version: Option<String>,
    pub(super) marker: Option<String>,
    pub(super) requires_python: Option<String>,
    #[serde(rename = "dependencies")]
    _dependencies: Option<Vec<Ignored>>,
    pub(super) vcs: Option<VcsTable>,
    pub(super) directory: Option<DirectoryTable>,
    pub(super) archive: Option<ArchiveTable>,
    pub(super) index: Option<String>,
    pub(super) sdist: Option<FileTable>,
    pub(super) wheels: Option<Vec<FileTable>>,
    pub(super) attestation_identities: Option<Vec<Identity>>,
    #[serde(rename = "tool")]
    _tool: Option<Ignored>,
}

/// Whose attestations a package has.
#[derive(Deserialize)]
pub(super) struct Identity {
    pub(super) kind: Option<String>,
}

/// `packages.vcs`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct VcsTable {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) url: Option<String>,
    pub(super) path: Option<String>,
    pub(super) requested_revision: Option<String>,
    pub(super) commit_id: Option<String>,
    pub(super) subdirectory: Option<String>,
}

/// `packages.directory`.
#[derive(Deserialize)]
pub(super) struct DirectoryTable {
    pub(super) path: Option<String>,
    pub(super) editable: Option<bool>,
    pub(super) subdirectory: Option<String>,
}

/// `packages.archive`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ArchiveTable {
    pub(super) url: Option<String>,
    pub(super) path: Option<String>,
    pub(super) size: Option<u64>,
    pub(super) upload_time: Option<Datetime>,
    pub(super) hashes: Option<BTreeMap<String, String>>,
    pub(super) subdirectory: Option<String>,
}

/// `packages.sdist`, and one of `packages.wheels`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct FileTable {
    pub(super) name: Option<String>,
    pub(super) url: Option<String>,
    pub(super) path: Option<String>,
    pub(super) size: Option<u64>,
    pub(super) upload_time: Option<Datetime>,
    pub(super) hashes: Option<BTreeMap<String, String>>,
}

/// The version of the format, whatever else the file has.
pub(super) fn format(text: &str) -> Option<String> {
    let format: Format = toml::from_str(text).ok()?;
    format.lock_version
}

/// The keys that version 1.0 does not have, of the file and of its packages.
pub(super) fn unknown_keys(text: &str) -> Vec<String> {
    let top = [
        "lock-version",
        "environments",
        "requires-python",
        "extras",
        "dependency-groups",
        "default-groups",
        "created-by",
        "packages",
        "tool",
    ];
    let of_package = [
        "name",
        "version",
        "marker",
        "requires-python",
        "dependencies",
        "vcs",
        "directory",
        "archive",
        "index",
        "sdist",
        "wheels",
        "attestation-identities",
        "tool",
    ];
    let all = toml::from_str(text).map_or(Vec::new(), |all: Ignored| all.keys);
    let unknown = all.into_iter().filter(|key| !top.contains(&key.as_str()));
    let mut found: Vec<String> = unknown.collect();
    let packages = toml::from_str(text).map_or(Vec::new(), |all: Packages| all.packages);
    let keys = packages.into_iter().flat_map(|package| package.keys);
    let unknown = keys.filter(|key| !of_package.contains(&key.as_str()));
    found.extend(unknown.map(|key| format!("packages.{key}")));
    found.sort();
    found.dedup();
    found
}
