//! `direct_url.json`: where a distribution came from that was asked for by its place (PEP 610).
//!
//! Promises the bytes that pip writes for the same archive, without a user name or a password.
//!
//! Read next: `../choose.rs`, which makes one for each archive.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use super::super::model::Archive;

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectUrl {
    url: String,
    hashes: BTreeMap<String, String>,
    subdirectory: Option<String>,
}

impl DirectUrl {
    /// Where an archive comes from.
    pub(super) fn of(archive: &Archive) -> Self {
        let file = &archive.file;
        let of_path = || file.path.as_deref().map(file_url).unwrap_or_default();
        let url = file.url.as_deref().map_or_else(of_path, without_login);
        let hashes = file.hashes.checked().iter();
        Self {
            url,
            hashes: hashes
                .map(|hash| (hash.algorithm.name().to_owned(), hash.digits.clone()))
                .collect(),
            subdirectory: archive.subdirectory.clone(),
        }
    }

    /// The text of the file, with spaces and keys in the order of Python's `json`.
    #[must_use]
    pub fn text(&self) -> String {
        let quoted = |text: &str| json!(text).to_string();
        let mut hashes = String::new();
        for (at, (name, digits)) in self.hashes.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            let _infallible = write!(hashes, "{comma}{}: {}", quoted(name), quoted(digits));
        }
        let legacy = self.hashes.first_key_value().map(|(name, digits)| {
            let hash = format!("{name}={digits}");
            format!("\"hash\": {}, ", quoted(&hash))
        });
        let info = format!("{}\"hashes\": {{{hashes}}}", legacy.unwrap_or_default());
        let subdirectory = self
            .subdirectory
            .as_deref()
            .map(|subdirectory| format!("\"subdirectory\": {}, ", quoted(subdirectory)));
        format!(
            "{{\"archive_info\": {{{info}}}, {}\"url\": {}}}",
            subdirectory.unwrap_or_default(),
            quoted(&self.url)
        )
    }
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
}
