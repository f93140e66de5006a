//! `direct_url.json`: where a distribution came from that was asked for by its place (PEP 610).
//!
//! Promises the bytes that pip writes for the same archive, directory or repository, without a user
//! name or a password.
//!
//! Read next: `../choose.rs`, which makes one for each of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use super::super::model::{Archive, Revision};
use crate::base::lexical_path::normal;

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectUrl {
    url: String,
    info: Info,
    subdirectory: Option<String>,
}

/// What a distribution came from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Info {
    Archive(BTreeMap<String, String>),
    Directory {
        is_editable: bool,
    },
    Repository {
        kind: String,
        commit: String,
        requested: Option<String>,
    },
}

impl DirectUrl {
    /// Where an archive comes from.
    pub(super) fn of(archive: &Archive) -> Self {
        let file = &archive.file;
        let of_path = || file.path.as_deref().map(file_url).unwrap_or_default();
        let hashes = file.hashes.checked().iter();
        Self {
            url: file.url.as_deref().map_or_else(of_path, without_login),
            info: Info::Archive(
                hashes
                    .map(|hash| (hash.algorithm.name().to_owned(), hash.digits.clone()))
                    .collect(),
            ),
            subdirectory: archive.subdirectory.clone(),
        }
    }

    /// The directory that was built.
    pub(super) fn of_directory(
        path: &Path,
        is_editable: bool,
        subdirectory: Option<&String>,
    ) -> Self {
        Self {
            url: file_url(&normal(path)),
            info: Info::Directory { is_editable },
            subdirectory: subdirectory.cloned(),
        }
    }

    /// The commit that was built.
    pub(super) fn of_repository(revision: &Revision) -> Self {
        let url = &revision.url;
        let is_path = !url.contains("://") && Path::new(url).is_absolute();
        Self {
            url: if is_path {
                file_url(Path::new(url))
            } else {
                without_login(url)
            },
            info: Info::Repository {
                kind: revision.kind.clone(),
                commit: revision.commit.clone(),
                requested: revision.requested.clone(),
            },
            subdirectory: revision.subdirectory.clone(),
        }
    }

    /// The text of the file, with spaces and keys in the order of Python's `json`.
    #[must_use]
    pub fn text(&self) -> String {
        let subdirectory = self.subdirectory.as_deref();
        let subdirectory = subdirectory.map(|one| pair("subdirectory", one));
        let url = pair("url", &self.url);
        let parts: Vec<String> = match &self.info {
            Info::Archive(hashes) => {
                let legacy = hashes.first_key_value();
                let legacy = legacy.map(|(name, digits)| pair("hash", &format!("{name}={digits}")));
                let hashes: Vec<String> = hashes.iter().map(|(one, hex)| pair(one, hex)).collect();
                let hashes = format!("\"hashes\": {{{}}}", hashes.join(", "));
                let info: Vec<String> = legacy.into_iter().chain([hashes]).collect();
                let info = format!("\"archive_info\": {{{}}}", info.join(", "));
                [Some(info), subdirectory, Some(url)]
                    .into_iter()
                    .flatten()
                    .collect()
            }
            Info::Directory { is_editable } => {
                let info = if *is_editable {
                    "\"editable\": true"
                } else {
                    ""
                };
                let info = format!("\"dir_info\": {{{info}}}");
                [Some(info), subdirectory, Some(url)]
                    .into_iter()
                    .flatten()
                    .collect()
            }
            Info::Repository {
                kind,
                commit,
                requested,
            } => {
                let requested = requested.as_deref();
                let requested = requested.map(|one| pair("requested_revision", one));
                let info = [
                    Some(pair("commit_id", commit)),
                    requested,
                    Some(pair("vcs", kind)),
                ];
                let info: Vec<String> = info.into_iter().flatten().collect();
                let info = format!("\"vcs_info\": {{{}}}", info.join(", "));
                [subdirectory, Some(url), Some(info)]
                    .into_iter()
                    .flatten()
                    .collect()
            }
        };
        format!("{{{}}}", parts.join(", "))
    }
}

fn pair(key: &str, value: &str) -> String {
    format!("{}: {}", json!(key), json!(value))
}

/// A URL without what is before the `@` of its authority.
fn without_login(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// The URL of a file on this machine.
fn file_url(path: &Path) -> String {
    let mut url = "file://".to_owned();
    let text = path.to_string_lossy();
    let text = text.replace('\\', "/");
    if !text.starts_with('/') {
        url.push('/');
    }
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~:".contains(&byte) {
            url.push(char::from(byte));
        } else {
            let _infallible = write!(url, "%{byte:02X}");
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::hashes::Hashes;
    use crate::lock::model::File;

    #[test]
    fn a_direct_url_has_the_text_of_pip_and_no_login() {
        let digits = "a".repeat(64);
        let mut hashes = Hashes::default();
        hashes.add("sha256", &digits).unwrap();
        let archive = |url: Option<&str>, path: Option<&str>| Archive {
            file: File {
                name: "demo-1-py3-none-any.whl".to_owned(),
                url: url.map(str::to_owned),
                path: path.map(Into::into),
                written_path: None,
                size: None,
                upload_time: None,
                hashes: hashes.clone(),
            },
            subdirectory: None,
        };
        let of = DirectUrl::of(&archive(Some("https://u:p@h:1/demo.whl"), None));
        let expected = format!(
            "{{\"archive_info\": {{\"hash\": \"sha256={digits}\", \"hashes\": {{\"sha256\": \
             \"{digits}\"}}}}, \"url\": \"https://h:1/demo.whl\"}}"
        );
        assert_eq!(of.text(), expected);
        let of = DirectUrl::of(&archive(None, Some("/a b/demo.whl")));
        assert!(of.text().contains("\"url\": \"file:///a%20b/demo.whl\""));
        let read: serde_json::Value = serde_json::from_str(&of.text()).unwrap();
        assert_eq!(read["archive_info"]["hashes"]["sha256"], digits);
    }

    #[test]
    fn directories_and_commits_have_the_text_of_pip() {
        let of = DirectUrl::of_directory(Path::new("/a b/../c"), true, None);
        let expected = r#"{"dir_info": {"editable": true}, "url": "file:///c"}"#;
        assert_eq!(of.text(), expected);
        let of = DirectUrl::of_directory(Path::new("/c"), false, Some(&"s".to_owned()));
        let expected = r#"{"dir_info": {}, "subdirectory": "s", "url": "file:///c"}"#;
        assert_eq!(of.text(), expected);
        let mut revision = Revision {
            kind: "git".to_owned(),
            url: "https://u:p@h/r".to_owned(),
            commit: "c".to_owned(),
            requested: Some("main".to_owned()),
            subdirectory: None,
        };
        let expected = r#"{"url": "https://h/r", "vcs_info": {"commit_id": "c", "requested_revision": "main", "vcs": "git"}}"#;
        assert_eq!(DirectUrl::of_repository(&revision).text(), expected);
        revision.url = "/r".to_owned();
        revision.requested = None;
        let expected = r#"{"url": "file:///r", "vcs_info": {"commit_id": "c", "vcs": "git"}}"#;
        assert_eq!(DirectUrl::of_repository(&revision).text(), expected);
    }
}
