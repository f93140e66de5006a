//! The wheels that a repair needs: one for each damaged distribution that is not restored from what
//! rvenv published.
//!
//! Promises to write nothing and to start no program.
//!
//! Read next: `../../front/mending.rs`, which finds them.

use std::path::{Path, PathBuf};

use rvenv_journal::fs::{Dir, FsError};
use rvenv_journal::{Digest, Fs};
use serde_json::Value;

use super::stored::Listed;
use super::survey::{Placed, survey};
use super::whole::{note, release};
use crate::change::existing::Existing;
use crate::change::merge::receipt_in;
use crate::python::{Bundled, Interpreter, without_passwords};
use crate::wheel::Named;
use crate::wheel::download::Release;
use crate::wheel::installed::path_of;

/// A wheel that a repair needs.
#[derive(Clone, Debug)]
pub struct Need {
    /// The distribution and its version.
    pub release: Release,
    /// Where it was installed from.
    pub origin: Origin,
    /// What to pass to pip in order to install it again.
    pub again: Vec<String>,
    /// Its damaged files, if its list has the digest of each.
    pub listed: Option<Listed>,
}

/// Where a distribution was installed from (PEP 610).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An index, or a directory of wheels that was used as one.
    Index,
    /// A wheel, by its URL.
    File {
        /// The URL.
        url: String,
        /// The same as a path, if it is one.
        path: Option<PathBuf>,
        /// The SHA-256 of the wheel, if it was noted.
        digest: Option<Digest>,
    },
    /// A directory, a repository or a source archive, by its URL.
    Elsewhere(String),
}

/// Finds the damaged distributions of an environment for which a wheel is needed.
///
/// # Errors
/// The error of the disk.
pub fn needs(
    fs: &dyn Fs,
    root: &Dir,
    existing: &Existing,
    interpreter: &Interpreter,
) -> Result<Vec<Need>, FsError> {
    let survey = survey(fs, root, existing)?;
    let receipt = receipt_in(fs, root);
    let is_bundled = |one: &Placed| {
        let bundled = match &interpreter.bundled {
            Bundled::Wheels(wheels) => wheels.as_slice(),
            Bundled::Missing { .. } => &[],
        };
        let mut named = bundled.iter().filter_map(|path| Named::of(path));
        let own = &one.distribution;
        named.any(|named| named.name == own.name && named.version == own.version)
    };
    let is_published = |one: &Placed| {
        let list = one.info().and_then(|info| info.join("RECORD").ok());
        let paths = receipt.as_ref().map(|receipt| &receipt.paths);
        list.is_some_and(|list| paths.is_some_and(|paths| paths.contains_key(&list)))
    };
    let mut needs = Vec::new();
    for damaged in survey.damaged {
        if is_published(&damaged) && is_bundled(&damaged) {
            continue;
        }
        let info = damaged.info();
        let note = info.map(|info| note(fs, root, (&info, "direct_url.json")));
        let origin = note.transpose()?.flatten();
        let origin = origin.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let release = release(&damaged);
        let (origin, again) = origin
            .as_ref()
            .and_then(read)
            .unwrap_or_else(|| (Origin::Index, vec![release.to_string()]));
        needs.push(Need {
            release,
            origin,
            again,
            listed: Listed::of(fs, root, &damaged)?,
        });
    }
    Ok(needs)
}

/// Reads a `direct_url.json`: where the distribution comes from, and what pip takes for it.
fn read(value: &Value) -> Option<(Origin, Vec<String>)> {
    let url = value.get("url")?.as_str().map(without_passwords)?;
    let path = path_of(&url).map(PathBuf::from);
    if let Some(vcs) = value.get("vcs_info") {
        let word = |key: &str| vcs.get(key).and_then(Value::as_str);
        let commit = word("commit_id").map_or_else(String::new, |id| format!("@{id}"));
        let again = format!("{}+{url}{commit}", word("vcs").unwrap_or("git"));
        return Some((Origin::Elsewhere(url), vec![again]));
    }
    if let Some(dir) = value.get("dir_info") {
        let is_editable = dir.get("editable").and_then(Value::as_bool) == Some(true);
        let shown = path.map_or_else(|| url.clone(), |path| path.to_string_lossy().into_owned());
        let option = is_editable.then(|| "-e".to_owned());
        let again = option.into_iter().chain([shown]).collect();
        return Some((Origin::Elsewhere(url), again));
    }
    let archive = value.get("archive_info");
    let hashes = archive.and_then(|of| of.get("hashes")?.get("sha256")?.as_str());
    let hash = archive.and_then(|of| of.get("hash")?.as_str()?.strip_prefix("sha256="));
    let digest = hashes.or(hash).and_then(|text| Digest::parse(text).ok());
    let again = vec![url.clone()];
    if Path::new(&url).extension().is_none_or(|end| end != "whl") {
        return Some((Origin::Elsewhere(url), again));
    }
    Some((Origin::File { url, path, digest }, again))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, origin: Origin, again: &[&str]) {
        let value = serde_json::from_str(text).unwrap();
        let again = again.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(read(&value), Some((origin, again)), "{text}");
    }

    #[test]
    fn a_wheel_is_a_file_and_everything_else_is_named() {
        let digest = Digest::of(b"");
        let hash = digest.to_string();
        let file = |digest| Origin::File {
            url: "file:///my%20w/a-1-py3-none-any.whl".to_owned(),
            path: Some("/my w/a-1-py3-none-any.whl".into()),
            digest,
        };
        let url = "file:///my%20w/a-1-py3-none-any.whl";
        for info in [
            format!(r#"{{"hashes": {{"sha256": "{hash}"}}}}"#),
            format!(r#"{{"hash": "sha256={hash}"}}"#),
        ] {
            let text = format!(r#"{{"url": "{url}", "archive_info": {info}}}"#);
            check(&text, file(Some(digest)), &[url]);
        }
        let text = format!(r#"{{"url": "{url}", "archive_info": {{}}}}"#);
        check(&text, file(None), &[url]);
        let elsewhere = |url: &str| Origin::Elsewhere(url.to_owned());
        check(
            r#"{"url": "file:///src/a%20b", "dir_info": {"editable": true}}"#,
            elsewhere("file:///src/a%20b"),
            &["-e", "/src/a b"],
        );
        check(
            r#"{"url": "https://x/r", "vcs_info": {"vcs": "git", "commit_id": "abc"}}"#,
            elsewhere("https://x/r"),
            &["git+https://x/r@abc"],
        );
        check(
            r#"{"url": "https://x/a-1.tar.gz", "archive_info": {}}"#,
            elsewhere("https://x/a-1.tar.gz"),
            &["https://x/a-1.tar.gz"],
        );
        assert_eq!(read(&serde_json::json!([])), None);
    }
}
