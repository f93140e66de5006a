//! Where a distribution was installed from, as its `direct_url.json` says (PEP 610).
//!
//! Promises that a distribution whose file cannot be read does not count as one from an index,
//! which may have another distribution of that name; and that no password leaves this file.
//!
//! Read next: `installed.rs`, which reads the file.

use std::path::{Path, PathBuf};

use rvenv_journal::Digest;
use serde_json::Value;

use crate::python::without_passwords;

/// Where a distribution was installed from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// An index, or a directory of wheels that was used as one.
    #[default]
    Index,
    /// A wheel or a source archive.
    Archive {
        /// Its URL.
        url: String,
        /// Its SHA-256, if the installer noted it.
        digest: Option<Digest>,
    },
    /// A directory.
    Directory {
        /// Its URL.
        url: String,
        /// Whether the environment uses the sources in it.
        is_editable: bool,
    },
    /// A repository.
    Repository {
        /// Its URL.
        url: String,
        /// The form that pip takes: `git+https://…@commit`.
        requirement: String,
    },
    /// Its file says something that is not understood.
    Unknown,
}

impl Origin {
    /// Reads the text of a `direct_url.json`.
    pub(crate) fn of(text: &[u8]) -> Self {
        let value = serde_json::from_slice(text).ok();
        let origin = value.as_ref().and_then(Self::of_value);
        origin.unwrap_or(Self::Unknown)
    }

    fn of_value(value: &Value) -> Option<Self> {
        let url = value.get("url")?.as_str().map(without_passwords)?;
        if let Some(vcs) = value.get("vcs_info") {
            let word = |key: &str| vcs.get(key).and_then(Value::as_str);
            let name = word("vcs").unwrap_or("git");
            let commit = word("commit_id").map_or_else(String::new, |id| format!("@{id}"));
            let requirement = format!("{name}+{url}{commit}");
            return Some(Self::Repository { url, requirement });
        }
        if let Some(dir) = value.get("dir_info") {
            let is_editable = dir.get("editable").and_then(Value::as_bool) == Some(true);
            return Some(Self::Directory { url, is_editable });
        }
        let archive = value.get("archive_info");
        let hashes = archive.and_then(|of| of.get("hashes")?.get("sha256")?.as_str());
        let hash = archive.and_then(|of| of.get("hash")?.as_str()?.strip_prefix("sha256="));
        let digest = hashes.or(hash).and_then(|text| Digest::parse(text).ok());
        Some(Self::Archive { url, digest })
    }

    /// The URL, without a password; `None` for an index.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::Archive { url, .. }
            | Self::Directory { url, .. }
            | Self::Repository { url, .. } => Some(url),
            Self::Index | Self::Unknown => None,
        }
    }

    /// The path that the URL means, if it means one.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        self.url().and_then(path_of).map(PathBuf::from)
    }

    /// Whether it is a wheel.
    #[must_use]
    pub fn is_wheel(&self) -> bool {
        let is_named = |url: &str| Path::new(url).extension().is_some_and(|end| end == "whl");
        matches!(self, Self::Archive { url, .. } if is_named(url))
    }

    /// The arguments with which pip installs the same again; `None` if the name and a version are
    /// all that there is.
    #[must_use]
    pub fn again(&self) -> Option<Vec<String>> {
        match self {
            Self::Index | Self::Unknown => None,
            Self::Archive { url, .. } => Some(vec![url.clone()]),
            Self::Repository { requirement, .. } => Some(vec![requirement.clone()]),
            Self::Directory { url, is_editable } => {
                let path = path_of(url).unwrap_or_else(|| url.clone());
                let option = is_editable.then(|| "-e".to_owned());
                Some(option.into_iter().chain([path]).collect())
            }
        }
    }
}

/// The path in a `file:` URL; `None` for any other URL.
fn path_of(url: &str) -> Option<String> {
    let text = url.strip_prefix("file://")?;
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &Origin, again: &[&str]) {
        let read = Origin::of(text.as_bytes());
        assert_eq!(read, *expected, "{text}");
        assert_eq!(read.again().unwrap_or_default(), again, "{text}");
    }

    #[test]
    fn an_archive_may_have_a_digest() {
        let digest = Digest::of(b"");
        let url = "file:///my%20w/a-1-py3-none-any.whl";
        let archive = |digest| Origin::Archive {
            url: url.to_owned(),
            digest,
        };
        for info in [
            format!(r#"{{"hashes": {{"sha256": "{digest}"}}}}"#),
            format!(r#"{{"hash": "sha256={digest}"}}"#),
        ] {
            let text = format!(r#"{{"url": "{url}", "archive_info": {info}}}"#);
            check(&text, &archive(Some(digest)), &[url]);
        }
        let text = format!(r#"{{"url": "{url}", "archive_info": {{}}}}"#);
        check(&text, &archive(None), &[url]);
        let wheel = archive(None);
        assert!(wheel.is_wheel());
        assert_eq!(wheel.path(), Some("/my w/a-1-py3-none-any.whl".into()));
        let source = Origin::of(br#"{"url": "https://x/a-1.tar.gz"}"#);
        assert!(!source.is_wheel());
        assert_eq!(source.path(), None);
    }

    #[test]
    fn an_origin_is_what_pip_takes_again() {
        let dir = |url: &str, is_editable| Origin::Directory {
            url: url.to_owned(),
            is_editable,
        };
        check(
            r#"{"url": "file:///src/a%20b", "dir_info": {"editable": true}}"#,
            &dir("file:///src/a%20b", true),
            &["-e", "/src/a b"],
        );
        check(
            r#"{"url": "file:///src/app", "dir_info": {}}"#,
            &dir("file:///src/app", false),
            &["/src/app"],
        );
        check(
            r#"{"url": "file:///src/%", "dir_info": {}}"#,
            &dir("file:///src/%", false),
            &["file:///src/%"],
        );
        check(
            r#"{"url": "https://x/r", "vcs_info": {"vcs": "git", "commit_id": "abc"}}"#,
            &Origin::Repository {
                url: "https://x/r".to_owned(),
                requirement: "git+https://x/r@abc".to_owned(),
            },
            &["git+https://x/r@abc"],
        );
    }

    #[test]
    fn what_is_not_understood_is_no_index() {
        for text in ["", "\0\0\0", "{}", "[]", r#"{"url": 1}"#] {
            check(text, &Origin::Unknown, &[]);
        }
    }

    #[test]
    fn a_password_is_not_kept() {
        let read = Origin::of(br#"{"url": "https://u:p@x/a.whl", "archive_info": {}}"#);
        assert_eq!(read.url(), Some("https://****@x/a.whl"));
    }
}
