//! The tables of a `pylock.toml`, as they are written.
//!
//! Promises that a value of another type is found with its line. Nothing else is checked here;
//! `../pylock.rs` does that. `tool` and `dependencies` are only known to exist.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::value::Datetime;

/// A table whose content has no effect.
type Ignored = BTreeMap<String, IgnoredAny>;

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
    #[derive(Deserialize)]
    struct Keys {
        #[serde(default)]
        packages: Vec<Ignored>,
    }
    let all: Ignored = toml::from_str(text).unwrap_or_default();
    let mut found: Vec<String> = all
        .into_keys()
        .filter(|key| !top.contains(&key.as_str()))
        .collect();
    let packages = toml::from_str(text).map_or(Vec::new(), |keys: Keys| keys.packages);
    let keys = packages.into_iter().flat_map(BTreeMap::into_keys);
    let unknown = keys.filter(|key| !of_package.contains(&key.as_str()));
    found.extend(unknown.map(|key| format!("packages.{key}")));
    found.sort();
    found.dedup();
    found
}
