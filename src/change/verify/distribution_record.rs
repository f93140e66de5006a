//! Compares one distribution with its `RECORD`: every file that it lists (PEP 376, PEP 627).
//!
//! Promises that a row which leads out of the environment is never followed, and is reported
//! unless it is bytecode; that an unusable row does not hide the others; and that paths of the
//! receipt are not read or reported a second time. A list that is empty or full of NUL bytes is
//! what a power cut leaves, and is reported as such. Does not check files without a hash:
//! bytecode, and `RECORD` itself. With a hash other than SHA-256, only the length counts.
//!
//! Read next: `wheel/record.rs`, the format of the list.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Read;

use rvenv_journal::Fs;
use rvenv_journal::fs::{Dir, FsError, Kind, Meta};
use rvenv_journal::raw::{FILE_BYTES_MAX, PublishedPath};

use super::departed::LIST_BYTES_MAX;
use super::finding::{Change, Finding, article, content, is_nul};
use super::open_within::{Sight, Within, place};
use super::receipt_paths::Managed;
use crate::python::bytecode::path::{is_bytecode, is_dir};
use crate::wheel::distributions::{Distribution, DistributionKind};
use crate::wheel::record::{Hash, Row, rows};

/// How many findings of one distribution are kept; the others are counted.
const FINDINGS_MAX: usize = 10_000;

/// The place where the distributions of one `site-packages` directory are checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'a> {
    pub(super) fs: &'a dyn Fs,
    pub(super) root: &'a Dir,
    /// The directory, below the environment.
    pub(super) path: &'a str,
    /// Whether `lib64` means `lib`.
    pub(super) lib64: bool,
    pub(super) managed: &'a Managed<'a>,
}

/// The result for one distribution.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// How many rows of its list name a path in the environment.
    pub(crate) rows: usize,
    /// The listed paths that exist.
    pub(crate) listed: BTreeSet<String>,
    /// The differences, sorted: the first [`FINDINGS_MAX`] paths.
    pub(crate) findings: Vec<Finding>,
    /// How many more rows differ.
    pub(crate) more: usize,
}

impl Outcome {
    pub(super) fn find(&mut self, found: &mut BTreeSet<Finding>, finding: Finding) {
        if found.len() < FINDINGS_MAX {
            found.insert(finding);
        } else if !found.contains(&finding) {
            self.more += 1;
        }
    }
}

impl Site<'_> {
    /// Checks every file that a distribution lists; one without a list has none.
    pub(super) fn check(&self, distribution: &Distribution) -> Outcome {
        let mut outcome = Outcome::default();
        match distribution.kind {
            DistributionKind::EggInfo => return self.check_egg(distribution),
            DistributionKind::EggLink => return outcome,
            DistributionKind::DistInfo => {}
        }
        let mut within = Within::new(self.fs, self.root.clone());
        let list = format!("{}/{}/RECORD", self.path, distribution.dir);
        match self.open(&mut within, &list) {
            Ok(rows) => self.check_rows(&mut within, rows, &mut outcome),
            // The receipt's check has reported it.
            Err(_) if self.managed.drifted.contains(list.as_str()) => {}
            Err(finding) => outcome.findings.push(finding),
        }
        outcome
    }

    fn open(&self, within: &mut Within<'_>, list: &str) -> Result<Box<dyn Read>, Finding> {
        let failed = |error: FsError| Finding::unreadable(list, &error);
        let (dir, name, meta) = match within.look(list).map_err(failed)? {
            Sight::There(dir, name, meta) => (dir, name, meta),
            Sight::Absent => return Err(Finding::missing(list)),
            Sight::Blocked(by, kind) => return Err(blocked(list, &by, kind)),
        };
        if meta.kind != Kind::File {
            return Err(Finding::kind(list, meta.kind, "a file"));
        }
        let file = self.fs.open_file(&dir, name, LIST_BYTES_MAX);
        let file = file.map_err(failed)?;
        if is_nul(self.fs, (&dir, name), &meta) {
            let detail = content(self.fs, (&dir, name), &meta, None);
            return Err(Finding::new(list, Change::Content, detail));
        }
        Ok(file)
    }

    /// Checks row by row, so that a list of millions of rows takes no more memory than the files
    /// that exist.
    fn check_rows(&self, within: &mut Within<'_>, list: impl Read, outcome: &mut Outcome) {
        // One file may have several rows.
        let mut found = BTreeSet::new();
        for row in rows(list) {
            let finding = match row {
                Ok((text, row)) => match place(self.path, &text, self.lib64) {
                    Ok(path) => {
                        outcome.rows += 1;
                        self.compare(within, path, &row, &mut outcome.listed)
                    }
                    Err(_) if row.is_cache(&text) => None,
                    Err(stray) => Some(Finding::new(&text, Change::Listing, stray.detail())),
                },
                Err(unusable) => {
                    let detail = format!("is listed in an invalid row: {}", unusable.reason);
                    Some(Finding::new(&unusable.path, Change::Listing, detail))
                }
            };
            if let Some(finding) = finding {
                outcome.find(&mut found, finding);
            }
        }
        outcome.findings = found.into_iter().collect();
    }

    fn compare(
        &self,
        within: &mut Within<'_>,
        path: String,
        row: &Row,
        listed: &mut BTreeSet<String>,
    ) -> Option<Finding> {
        if is_bytecode(&path) || self.managed.drifted.contains(path.as_str()) {
            return None;
        }
        if let Some(published) = self.managed.paths.get(path.as_str()) {
            return compare_published(&path, row, published);
        }
        match within.look(&path) {
            Ok(Sight::There(dir, name, meta)) => {
                let finding = self.compare_file((&dir, name), &meta, &path, row);
                listed.insert(path);
                finding
            }
            Ok(Sight::Absent) if may_be_absent(&path, row) => None,
            Ok(Sight::Absent) => Some(Finding::missing(&path)),
            Ok(Sight::Blocked(by, kind)) => Some(blocked(&path, &by, kind)),
            Err(error) => Some(Finding::unreadable(&path, &error)),
        }
    }

    fn compare_file(
        &self,
        at: (&Dir, &OsStr),
        meta: &Meta,
        path: &str,
        row: &Row,
    ) -> Option<Finding> {
        if row.hash == Hash::Absent {
            return None;
        }
        if meta.kind != Kind::File {
            return Some(Finding::kind(path, meta.kind, "a file"));
        }
        // If the row has no length, reading a sparse file could take for ever.
        let same = row
            .len
            .map_or(meta.len <= FILE_BYTES_MAX, |len| len == meta.len)
            && match &row.hash {
                Hash::Sha256(digest) => match self.fs.digest_file(at.0, at.1) {
                    Ok(found) => found == *digest,
                    Err(error) => return Some(Finding::unreadable(path, &error)),
                },
                Hash::Absent | Hash::Other(_) => true,
            };
        if same {
            return None;
        }
        let detail = content(self.fs, at, meta, row.len);
        Some(Finding::new(path, Change::Content, detail))
    }
}

/// Whether an environment is whole without a file that a distribution lists: bytecode, the
/// directories of bytecode that virtualenv lists where there are none, and the mark of a
/// distribution that the user asked for.
fn may_be_absent(path: &str, row: &Row) -> bool {
    let is_mark = path.ends_with(".dist-info/REQUESTED");
    is_mark || row.is_cache(path) || row.hash == Hash::Absent && is_dir(path)
}

/// A path that matches the receipt may still differ from the list of another distribution.
fn compare_published(path: &str, row: &Row, published: &PublishedPath) -> Option<Finding> {
    let hash = match &row.hash {
        Hash::Absent => return None,
        Hash::Sha256(digest) => Some(*digest),
        Hash::Other(_) => None,
    };
    match published {
        PublishedPath::File { digest, len, .. } => {
            let same =
                row.len.is_none_or(|listed| listed == *len) && hash.is_none_or(|h| h == *digest);
            let detail = "matches the receipt, but not its row here";
            (!same).then(|| Finding::new(path, Change::Content, detail))
        }
        PublishedPath::Dir { .. } => Some(Finding::kind(path, Kind::Dir, "a file")),
        PublishedPath::Symlink { .. } => Some(Finding::kind(path, Kind::Symlink, "a file")),
    }
}

pub(super) fn blocked(path: &str, by: &str, kind: Kind) -> Finding {
    let kind = article(kind);
    let detail = format!("is behind `{by}`, {kind}, which is not followed");
    Finding::new(path, Change::Kind, detail)
}
