//! The page of a project in an index: which files it has (PEP 691 as JSON, PEP 503 as HTML).
//!
//! Promises that every file has a name that is one component of a path and, if it is a wheel, the
//! name of the project that the page is for, whatever the page says; others are left out, as in
//! pip. Promises that any bytes are read or refused, in memory that is proportional to them. Does
//! not promise that the addresses may be used; `client.rs` checks each before a request.
//!
//! Read next: `places/page.rs`, which gets pages.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;
use thiserror::Error;

use super::address::{Address, is_file_name};
use super::asked::{Asked, AskedError, Hashes};
use super::html_links::{Link, links};
use crate::wheel::{Named, normal_name};

/// What the index sends as JSON (PEP 691).
pub(super) const JSON: &str = "application/vnd.pypi.simple.v1+json";
/// What the index may send: JSON rather than HTML.
pub(super) const ACCEPTED: &str = "application/vnd.pypi.simple.v1+json, \
     application/vnd.pypi.simple.v1+html; q=0.2, text/html; q=0.01";

/// Why a page cannot be used.
#[derive(Debug, Error)]
pub enum PageError {
    /// Neither JSON nor HTML.
    #[error("it is neither JSON nor HTML")]
    Kind,
    /// JSON of another form.
    #[error("it is not a page of PEP 691")]
    Json(#[source] serde_json::Error),
    /// A version that rvenv does not know.
    #[error("it has the version `{}` of the format, which rvenv does not know", .0.escape_debug())]
    Version(String),
}

/// A file of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexFile {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub address: Address,
    /// Its digests.
    pub hashes: Hashes,
    /// Its size.
    pub size: Option<u64>,
    /// The versions of Python that it is for.
    pub requires_python: Option<String>,
    /// Why it should not be installed any more, if it should not (PEP 592); may be empty.
    pub yanked: Option<String>,
    /// When it was uploaded.
    pub upload_time: Option<String>,
    /// The digests of its metadata, if that can be had by itself (PEP 658); may be empty.
    pub metadata: Option<Hashes>,
    /// Where its attestations are (PEP 740).
    pub provenance: Option<String>,
}

impl IndexFile {
    /// Asks for this file; its digests are those that the caller wants and the page does not deny,
    /// or, if the caller wants none, those of the page.
    ///
    /// # Errors
    /// A file that has none of the digests that are wanted.
    pub fn ask(&self, wanted: &Hashes) -> Result<Asked, AskedError> {
        let asked = match (wanted.is_empty(), self.hashes.is_empty()) {
            (true, true) => Asked::without_hashes(&self.name)?,
            (true, false) => Asked::new(&self.name, self.hashes.clone())?,
            (false, _) => Asked::new(&self.name, wanted.common(&self.hashes))?,
        };
        let mut asked = asked.sized(self.size).at_url(self.address.clone());
        let provenance = self.provenance.as_deref();
        // A malformed one is as good as none.
        asked.provenance = provenance.and_then(|url| Address::parse(url).ok());
        Ok(asked)
    }

    /// Whether it is of a project, whose name has its normal form; for a file that is no wheel,
    /// the caller finds that out.
    pub(super) fn is_of(&self, project: &str) -> bool {
        let is_wheel = self.name.to_ascii_lowercase().ends_with(".whl");
        let named = Named::of(Path::new(&self.name));
        !is_wheel || named.is_some_and(|named| named.name == project)
    }

    /// Where its metadata can be had by itself (PEP 658).
    #[must_use]
    pub fn metadata_address(&self) -> Option<Address> {
        self.metadata.as_ref()?;
        self.address.beside(".metadata")
    }
}

/// How the index sent a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageKind {
    /// PEP 691.
    Json,
    /// PEP 503, or any page of links.
    Html,
}

impl PageKind {
    /// The kind that a header `Content-Type` names.
    ///
    /// # Errors
    /// [`PageError::Kind`].
    pub fn of(content_type: &str) -> Result<Self, PageError> {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        match kind.to_ascii_lowercase().as_str() {
            JSON | "application/json" => Ok(Self::Json),
            "application/vnd.pypi.simple.v1+html" | "text/html" | "application/xhtml+xml" => {
                Ok(Self::Html)
            }
            _ => Err(PageError::Kind),
        }
    }
}

/// The files that a page names for a project; `at` is its address.
///
/// # Errors
/// See [`PageError`].
pub fn files(
    kind: PageKind,
    bytes: &[u8],
    at: &Address,
    project: &str,
) -> Result<Vec<IndexFile>, PageError> {
    let project = normal_name(project);
    let mut files = all_files(kind, bytes, at)?;
    files.retain(|file| file.is_of(&project));
    Ok(files)
}

/// The files of every project on a page.
///
/// # Errors
/// As for [`files`].
pub(super) fn all_files(
    kind: PageKind,
    bytes: &[u8],
    at: &Address,
) -> Result<Vec<IndexFile>, PageError> {
    match kind {
        PageKind::Json => json_files(bytes, at),
        PageKind::Html => html_files(bytes, at),
    }
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    meta: Meta,
    files: Vec<PageFile>,
}

#[derive(Default, Deserialize)]
struct Meta {
    #[serde(rename = "api-version")]
    api_version: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PageFile {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: BTreeMap<String, serde_json::Value>,
    size: Option<u64>,
    requires_python: Option<String>,
    #[serde(default)]
    yanked: Flag,
    upload_time: Option<String>,
    core_metadata: Option<Metadata>,
    dist_info_metadata: Option<Metadata>,
    provenance: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Flag {
    Switch(bool),
    Reason(String),
    Other(IgnoredAny),
}

impl Default for Flag {
    fn default() -> Self {
        Self::Switch(false)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Metadata {
    Switch(bool),
    Hashes(BTreeMap<String, String>),
    Other(IgnoredAny),
}

impl Metadata {
    fn hashes(&self) -> Option<Hashes> {
        match self {
            Self::Switch(true) => Some(Hashes::default()),
            Self::Hashes(all) => Some(Hashes::of(
                all.iter().map(|(k, v)| (k.as_str(), v.as_str())),
            )),
            Self::Switch(false) | Self::Other(_) => None,
        }
    }
}

fn json_files(bytes: &[u8], at: &Address) -> Result<Vec<IndexFile>, PageError> {
    let page: Page = serde_json::from_slice(bytes).map_err(PageError::Json)?;
    check_version(page.meta.api_version.as_deref())?;
    Ok(page
        .files
        .into_iter()
        .filter_map(|file| file.read(at))
        .collect())
}

/// Another major version may mean anything (PEP 629).
fn check_version(version: Option<&str>) -> Result<(), PageError> {
    match version {
        Some(version) if version.split('.').next() != Some("1") => {
            Err(PageError::Version(version.chars().take(20).collect()))
        }
        Some(_) | None => Ok(()),
    }
}

impl PageFile {
    fn read(self, at: &Address) -> Option<IndexFile> {
        if !is_file_name(&self.filename) {
            return None;
        }
        let hashes = self.hashes.iter();
        let hashes = hashes.filter_map(|(name, hex)| Some((name.as_str(), hex.as_str()?)));
        let metadata = self.core_metadata.or(self.dist_info_metadata);
        Some(IndexFile {
            address: at.join(&self.url).ok()?,
            hashes: Hashes::of(hashes),
            name: self.filename,
            size: self.size,
            requires_python: self.requires_python,
            yanked: match self.yanked {
                Flag::Switch(true) => Some(String::new()),
                Flag::Reason(reason) => Some(reason),
                Flag::Switch(false) | Flag::Other(_) => None,
            },
            upload_time: self.upload_time,
            metadata: metadata.and_then(|metadata| metadata.hashes()),
            provenance: self.provenance,
        })
    }
}

fn html_files(bytes: &[u8], at: &Address) -> Result<Vec<IndexFile>, PageError> {
    let text = String::from_utf8_lossy(bytes);
    let page = links(&text);
    check_version(page.version.as_deref())?;
    let base = page.base.as_deref().and_then(|base| at.join(base).ok());
    let base = base.as_ref().unwrap_or(at);
    Ok(page
        .all
        .iter()
        .filter_map(|link| html_file(link, base))
        .collect())
}

fn html_file(link: &Link, base: &Address) -> Option<IndexFile> {
    let address = base.join(link.attribute("href")?).ok()?;
    let digest = |text: &str| {
        let pair = text.split('&').find_map(|pair| pair.split_once('='));
        Hashes::of(pair)
    };
    let data = ["data-core-metadata", "data-dist-info-metadata"];
    let metadata = data.iter().find_map(|name| link.attribute(name));
    Some(IndexFile {
        // The text of the link could lie; the name in the address is the one that is requested.
        name: address.file_name()?,
        hashes: address.fragment().map(digest).unwrap_or_default(),
        size: None,
        requires_python: link.attribute("data-requires-python").map(str::to_owned),
        yanked: link.attribute("data-yanked").map(str::to_owned),
        upload_time: None,
        metadata: metadata.filter(|text| *text != "false").map(digest),
        provenance: link.attribute("data-provenance").map(str::to_owned),
        address,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Address {
        Address::parse("https://i.example/simple/demo/").unwrap()
    }

    fn names(kind: PageKind, text: &str) -> Vec<String> {
        let files = files(kind, text.as_bytes(), &at(), "Demo").unwrap();
        files.into_iter().map(|file| file.name).collect()
    }

    #[test]
    fn a_page_of_json_has_all_that_the_choice_needs() {
        let sha = "ab".repeat(32);
        let text = format!(
            r#"{{"meta": {{"api-version": "1.1"}}, "name": "demo", "files": [
            {{"filename": "demo-1-py3-none-any.whl", "url": "../../f/demo-1-py3-none-any.whl",
              "hashes": {{"sha256": "{sha}", "md5": "0"}}, "size": 7, "requires-python": ">=3.9",
              "yanked": "broken", "upload-time": "2026-01-01T00:00:00Z",
              "core-metadata": {{"sha256": "{sha}"}}, "unknown": [1]}},
            {{"filename": "demo-1.tar.gz", "url": "https://cdn.example/d", "hashes": {{}},
              "yanked": true, "dist-info-metadata": true}}]}}"#
        );
        let files = files(PageKind::Json, text.as_bytes(), &at(), "demo").unwrap();
        let [wheel, sdist] = files.as_slice() else {
            panic!("{files:?}")
        };
        let shown = wheel.address.to_string();
        assert_eq!(shown, "https://i.example/f/demo-1-py3-none-any.whl");
        assert_eq!(wheel.size, Some(7));
        assert_eq!(wheel.hashes.sha256().unwrap().to_string(), sha);
        assert_eq!(wheel.yanked.as_deref(), Some("broken"));
        let metadata = wheel.metadata_address().unwrap().to_string();
        assert_eq!(metadata, format!("{shown}.metadata"));
        assert_eq!(sdist.yanked.as_deref(), Some(""));
        assert!(sdist.hashes.is_empty());
        assert!(sdist.metadata.is_some());
    }

    #[test]
    fn a_page_of_html_has_what_its_links_say() {
        let sha = "cd".repeat(32);
        let text = format!(
            "<!DOCTYPE html><html><head><meta name='pypi:repository-version' content='1.0'>\
             <base href='/files/'></head><body><!-- <a href='evil-1-py3-none-any.whl'>x</a> -->\
             <A HREF=\"demo-1-py3-none-any.whl#sha256={sha}\" data-requires-python='&gt;=3.9' \
             data-yanked data-core-metadata='sha256={sha}'>lies.whl</A>\
             <a href=demo-2-py3-none-any.whl?token=1>x</a><a name=y>no link</a></body>"
        );
        let files = files(PageKind::Html, text.as_bytes(), &at(), "demo").unwrap();
        let [one, two] = files.as_slice() else {
            panic!("{files:?}")
        };
        assert_eq!(one.name, "demo-1-py3-none-any.whl");
        assert_eq!(
            one.address.to_string(),
            "https://i.example/files/demo-1-py3-none-any.whl"
        );
        assert_eq!(one.hashes.sha256().unwrap().to_string(), sha);
        assert_eq!(one.requires_python.as_deref(), Some(">=3.9"));
        assert_eq!(one.yanked.as_deref(), Some(""));
        assert!(one.metadata.as_ref().unwrap().sha256().is_some());
        assert_eq!(two.name, "demo-2-py3-none-any.whl");
        assert!(!format!("{two:?}").contains("token"));
    }

    #[test]
    fn names_that_lie_are_left_out() {
        let file =
            |name: &str, url: &str| serde_json::json!({"filename": name, "url": url, "hashes": {}});
        let page = serde_json::json!({"files": [
            file("../demo-1-py3-none-any.whl", "x"),
            file("/etc/passwd", "x"),
            file("other-1-py3-none-any.whl", "x"),
            file("demo-1-py3-none.whl", "x"),
            file("demo-1-py3-none-any.whl", "javascript:x"),
            file("demo-2-py3-none-any.whl", "../../../../x"),
            file("demo-3-py3-none-any.whl", "file:///etc/passwd"),
        ]});
        let found = names(PageKind::Json, &page.to_string());
        // The client refuses the last one.
        assert_eq!(
            found,
            ["demo-2-py3-none-any.whl", "demo-3-py3-none-any.whl"]
        );
        let html = "<a href='..%2fdemo-1-py3-none-any.whl'>x</a><a href='other-1-py3-none-any.whl'>\
                    x</a><a href='demo-1-py3-none-any.whl'>x</a>";
        assert_eq!(names(PageKind::Html, html), ["demo-1-py3-none-any.whl"]);
    }

    #[test]
    fn other_pages_are_refused() {
        let read = |text: &str| files(PageKind::Json, text.as_bytes(), &at(), "demo");
        assert!(matches!(read("[]"), Err(PageError::Json(_))));
        assert!(matches!(read("{}"), Err(PageError::Json(_))));
        let later = r#"{"meta": {"api-version": "2.0"}, "files": []}"#;
        assert!(matches!(read(later), Err(PageError::Version(_))));
        let html = "<meta name=pypi:repository-version content=2.0>";
        let read = files(PageKind::Html, html.as_bytes(), &at(), "demo");
        assert!(matches!(read, Err(PageError::Version(_))));
        assert!(PageKind::of("text/plain").is_err());
        assert_eq!(
            PageKind::of("Text/HTML; charset=x").unwrap(),
            PageKind::Html
        );
    }
}
