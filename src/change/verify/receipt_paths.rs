//! What rvenv published: the receipt, the engine's findings for it, and `pyvenv.cfg` if there is no
//! receipt.
//!
//! Promises that a damaged receipt is drift and no failure: everything that can be checked without
//! it is checked. A difference is examined a second time to describe it. If it is gone by then, it
//! is not reported; neither is bytecode that is missing or that Python wrote anew.
//!
//! Read next: `finding.rs`, the words.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;

use rvenv_journal::fs::{Dir, FsError, Kind};
use rvenv_journal::raw::{
    Difference, Drift, ENGINE_DIR, PublishedPath, RECEIPT_BYTES_MAX, RECEIPT_NAME,
};
use rvenv_journal::{Fs, Receipt, drift};

use super::finding::{Change, Finding, content, shared};
use super::open_within::{Sight, Within};
use super::published_bytecode::is_rewritten;
use crate::build::pyvenv_cfg::CONFIG_NAME;
use crate::python::bytecode::path::{is_bytecode, is_dir};

/// The most bytes of `pyvenv.cfg` that are read.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// The paths in the receipt.
#[derive(Debug, Default)]
pub(super) struct Managed<'a> {
    pub(super) paths: BTreeMap<&'a str, &'a PublishedPath>,
    /// Those that are already reported.
    pub(super) drifted: BTreeSet<&'a str>,
}

/// What exists in the place of the receipt.
#[derive(Debug)]
pub(super) enum Kept {
    Absent,
    Damaged(String),
    Whole(Receipt),
}

/// Reads the receipt of an open environment.
pub(super) fn receipt(fs: &dyn Fs, root: &Dir) -> Kept {
    let read = fs
        .open_dir(root, OsStr::new(ENGINE_DIR))
        .and_then(|inner| fs.read_file(&inner, OsStr::new(RECEIPT_NAME), RECEIPT_BYTES_MAX));
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Kept::Absent,
        Err(error) => return Kept::Damaged(format!("it cannot be read: {}", error.source)),
    };
    if bytes.is_empty() {
        return Kept::Damaged("it is empty".to_owned());
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return Kept::Damaged("it is filled with NUL bytes".to_owned());
    }
    match Receipt::from_json(&bytes) {
        Ok(receipt) => Kept::Whole(receipt),
        Err(error) => Kept::Damaged(error.to_string()),
    }
}

/// What is wrong with `pyvenv.cfg`; without a receipt, it is the only file that is known to have
/// existed.
pub(super) fn check_config(fs: &dyn Fs, root: &Dir) -> Result<Option<Finding>, FsError> {
    let name = OsStr::new(CONFIG_NAME);
    let Some(meta) = fs.meta(root, name)? else {
        return Ok(Some(Finding::missing(CONFIG_NAME)));
    };
    if meta.kind != Kind::File {
        return Ok(Some(Finding::kind(CONFIG_NAME, meta.kind, "a file")));
    }
    let bytes = match fs.read_file(root, name, CONFIG_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) => return Ok(Some(Finding::unreadable(CONFIG_NAME, &error))),
    };
    let detail = if bytes.iter().all(|byte| *byte == 0) {
        content(fs, (root, name), &meta, None)
    } else if has_home(&bytes) {
        return Ok(None);
    } else {
        "has no line `home = …`, so Python does not treat this as an environment".to_owned()
    };
    Ok(Some(Finding::new(CONFIG_NAME, Change::Content, detail)))
}

/// As Python's `site` searches for it: keys in any case, with or without spaces around `=`.
fn has_home(config: &[u8]) -> bool {
    let is_home = |line: &str| {
        line.split_once('=').is_some_and(|(key, value)| {
            key.trim().eq_ignore_ascii_case("home") && !value.trim().is_empty()
        })
    };
    std::str::from_utf8(config).is_ok_and(|text| text.lines().any(is_home))
}

/// Every managed path that is not as it was published, in words.
pub(super) fn check_receipt(
    fs: &dyn Fs,
    root: &Dir,
    receipt: &Receipt,
) -> Result<Vec<Finding>, FsError> {
    let paths = receipt.paths.iter();
    let paths: BTreeMap<_, _> = paths.map(|(path, node)| (path.as_str(), node)).collect();
    let mut within = Within::new(fs, root.clone());
    let mut found = Vec::new();
    for drift in drift(fs, root, receipt)? {
        let finding = match paths.get(drift.path.as_str()) {
            Some(published) => describe(fs, &mut within, &drift, published)?,
            None if drift.path.is_empty() => Some(describe_root(fs, root, receipt)?),
            // rvenv did not publish it: it is counted, not listed.
            None => None,
        };
        found.extend(finding);
    }
    let foreign = check_owners(fs, root, paths.keys().copied())?;
    if !foreign.is_empty() {
        let reported: BTreeSet<String> = found.iter().map(|found| found.path.clone()).collect();
        let is_new = |foreign: &Finding| !reported.contains(&foreign.path);
        found.extend(foreign.into_iter().filter(is_new));
        found.sort();
    }
    Ok(found)
}

/// Managed paths that belong to another user than the environment's directory; that user can change
/// them at any time.
fn check_owners<'p>(
    fs: &dyn Fs,
    root: &Dir,
    paths: impl Iterator<Item = &'p str>,
) -> Result<Vec<Finding>, FsError> {
    let owner = fs.meta_of(root)?.owner;
    let mut within = Within::new(fs, root.clone());
    let mut found = Vec::new();
    for path in paths {
        if let Sight::There(_, _, meta) = within.look(path)?
            && meta.owner != owner
        {
            let detail = format!(
                "belongs to user {}, not to user {owner} as the environment does",
                meta.owner
            );
            found.push(Finding::new(path, Change::Owner, detail));
        }
    }
    Ok(found)
}

fn describe_root(fs: &dyn Fs, root: &Dir, receipt: &Receipt) -> Result<Finding, FsError> {
    let mode = fs.meta_of(root)?.mode;
    let detail = format!("has mode {mode:04o}, not {:04o}", receipt.root_mode);
    Ok(Finding::new(".", Change::Mode, detail))
}

fn describe(
    fs: &dyn Fs,
    within: &mut Within<'_>,
    drift: &Drift,
    published: &PublishedPath,
) -> Result<Option<Finding>, FsError> {
    let path = drift.path.as_str();
    let (dir, name, meta) = match within.look(path)? {
        Sight::There(dir, name, meta) => (dir, name, meta),
        Sight::Absent | Sight::Blocked(..) if is_bytecode(path) || is_dir(path) => {
            return Ok(None);
        }
        Sight::Absent | Sight::Blocked(..) => return Ok(Some(Finding::missing(path))),
    };
    if drift.difference == Difference::Content
        && is_bytecode(path)
        && is_rewritten(fs, within, path, &dir, &meta)?
    {
        return Ok(None);
    }
    let (change, detail) = match (drift.difference, published) {
        (Difference::Content, PublishedPath::File { len, .. }) => (
            Change::Content,
            content(fs, (&dir, name), &meta, Some(*len)),
        ),
        (Difference::Mode, PublishedPath::Dir { mode } | PublishedPath::File { mode, .. }) => {
            let mut text = format!("has mode {:04o}, not {mode:04o}", meta.mode);
            shared(&mut text, &meta);
            (Change::Mode, text)
        }
        (Difference::LinkTarget, PublishedPath::Symlink { target }) => {
            let found = fs.read_link(&dir, name)?;
            let text = format!("leads to `{}`, not `{target}`", found.to_string_lossy());
            (Change::LinkTarget, text)
        }
        (Difference::Kind, published) => {
            return Ok(Some(Finding::kind(path, meta.kind, expected(published))));
        }
        // It was absent a moment ago, or the engine's finding does not apply to such a path.
        (
            Difference::Missing
            | Difference::Foreign
            | Difference::Content
            | Difference::Mode
            | Difference::LinkTarget,
            _,
        ) => return Ok(None),
    };
    Ok(Some(Finding::new(path, change, detail)))
}

fn expected(published: &PublishedPath) -> &'static str {
    match published {
        PublishedPath::Dir { .. } => "a directory",
        PublishedPath::File { .. } => "a file",
        PublishedPath::Symlink { .. } => "a symbolic link",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_one_that_says_where_python_is() {
        assert!(has_home(b"home = /usr/bin\nversion = 3.12.1\n"));
        assert!(has_home(b"version=3\r\nHome=/usr/bin\r\n"));
        assert!(!has_home(b"home =\n"));
        assert!(!has_home(b"homes = /usr/bin\n"));
        assert!(!has_home(b"home = /usr/bin\xff\n"));
    }
}
