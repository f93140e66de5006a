//! Proving that what is installed is what a lock names: each file of a distribution against the
//! wheel, and against the row of its `RECORD`.
//!
//! Promises that a distribution counts as proved only if every file that rvenv would install from
//! the wheel has these bytes, if `RECORD` lists each of them with the same digest and length, if it
//! lists nothing that the wheel does not have, and if every other file in it is as it says. Follows
//! no symbolic link. Does not compare bytecode, nor the notes of the installer (`INSTALLER`,
//! `REQUESTED`, `direct_url.json`), which no wheel decides. A script is compared with the one that
//! rvenv writes.
//!
//! Read next: `distribution_record.rs`; `front/proving.rs`, which finds the wheels.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::PathBuf;

use rvenv_journal::fs::{Dir, FsError, Kind, Meta};
use rvenv_journal::raw::FILE_BYTES_MAX;
use rvenv_journal::{Content, Digest, Fs, Node, PlanBuilder};

use super::departed::LIST_BYTES_MAX;
use super::distribution_record::blocked;
use super::finding::{Change, Finding, content};
use super::open_within::{Sight, Within, has_lib64, place};
use super::{Checked, check_distribution};
use crate::python::bytecode::path::is_bytecode;
use crate::wheel::distributions::Distribution;
use crate::wheel::record::{Hash, Row, rows};

/// What the installer writes about a distribution; no wheel decides it.
const NOTES: [&str; 4] = ["INSTALLER", "RECORD", "REQUESTED", "direct_url.json"];

/// The result of comparing an environment with locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The environment, its own symbolic link resolved.
    pub path: PathBuf,
    /// What the locks name, by name.
    pub packages: Vec<PackageProof>,
    /// What is installed and no lock names, by directory and name.
    pub extraneous: Vec<Extra>,
}

/// A distribution that no lock names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    /// Which one.
    pub distribution: Distribution,
    /// Whether a new environment has it: pip and setuptools.
    pub is_seed: bool,
}

/// The result for one package of a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageProof {
    /// Its name in the normal form.
    pub name: String,
    /// The version in the lock.
    pub version: String,
    /// Where the lock names it.
    pub place: String,
    /// What was found.
    pub verdict: Verdict,
}

/// What was found for one package of a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing of that name is installed.
    Absent,
    /// These versions are installed, and not only the one in the lock.
    OtherVersion(Vec<String>),
    /// There is no wheel to compare with; the reason, as a clause.
    NotProvable(String),
    /// The lock names its sources: it has no hash of what was built of them.
    OfSources,
    /// It was compared with a wheel that has a hash of the lock.
    Compared {
        /// The wheel.
        wheel: PathBuf,
        /// Its digest.
        sha256: Digest,
        /// Its files, and those that differ.
        files: Checked,
    },
}

impl Verdict {
    /// Whether the installed files are those of the wheel.
    #[must_use]
    pub fn is_proved(&self) -> bool {
        match self {
            Self::Compared { files, .. } => files.drift.is_empty() && files.more == 0,
            Self::Absent | Self::OtherVersion(_) | Self::NotProvable(_) | Self::OfSources => false,
        }
    }

    /// The word for programs.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::OtherVersion(_) => "other-version",
            Self::NotProvable(_) | Self::OfSources => "not-provable",
            Self::Compared { .. } if self.is_proved() => "proved",
            Self::Compared { .. } => "differs",
        }
    }
}

impl Proof {
    /// Whether every package of the locks is proved.
    #[must_use]
    pub fn is_proved(&self) -> bool {
        self.packages.iter().all(|one| one.verdict.is_proved())
    }

    /// Whether nothing is installed that no lock names, except what a new environment has.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.extraneous.iter().all(|extra| extra.is_seed)
    }
}

/// An installed distribution that is compared with a wheel.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) fs: &'a dyn Fs,
    pub(crate) root: &'a Dir,
    /// Its directory of packages, below the environment.
    pub(crate) site_packages: &'a str,
    pub(crate) distribution: &'a Distribution,
}

/// What a wheel has at a path.
struct Wanted {
    len: BTreeSet<u64>,
    digests: BTreeSet<Digest>,
    is_written: bool,
}

impl Wanted {
    fn is(&self, digest: Digest, len: Option<u64>) -> bool {
        self.digests.contains(&digest) && len.is_none_or(|len| self.len.contains(&len))
    }
}

impl Subject<'_> {
    /// Compares the distribution with what rvenv would install from its wheel: one plan for each
    /// path by which the environment may have been created.
    pub(crate) fn compare(&self, plans: &[PlanBuilder]) -> Result<Checked, FsError> {
        let mut found: BTreeMap<String, Finding> = BTreeMap::new();
        let list = self.list()?;
        let wanted = self.wanted(plans);
        let mut within = Within::new(self.fs, self.root.clone());
        for (path, wanted) in &wanted {
            let finding = match self.compare_file(&mut within, path, wanted)? {
                None => compare_row(path, list.get(path), wanted),
                some => some,
            };
            found.extend(finding.map(|finding| (path.clone(), finding)));
        }
        for path in list.keys() {
            if !wanted.contains_key(path) && !is_bytecode(path) && !self.is_note(path) {
                let detail = "is listed in its RECORD, and the wheel does not have it";
                let finding = Finding::new(path, Change::Listing, detail);
                found.entry(path.clone()).or_insert(finding);
            }
        }
        let own = check_distribution(self.fs, self.root, self.site_packages, self.distribution);
        for finding in own.findings {
            found.entry(finding.path.clone()).or_insert(finding);
        }
        Ok(Checked {
            checked: wanted.len(),
            drift: found.into_values().collect(),
            more: own.more,
        })
    }

    /// Whether the installer wrote a path, by its place.
    fn is_note(&self, path: &str) -> bool {
        let info = format!("{}/{}/", self.site_packages, self.distribution.dir);
        path.strip_prefix(&info)
            .is_some_and(|name| NOTES.contains(&name))
    }

    fn wanted(&self, plans: &[PlanBuilder]) -> BTreeMap<String, Wanted> {
        let mut all: BTreeMap<String, Wanted> = BTreeMap::new();
        for (path, operation) in plans.iter().flat_map(PlanBuilder::operations) {
            let Node::File { content, .. } = &operation.node else {
                continue;
            };
            if self.is_note(path.as_str()) {
                continue;
            }
            let wanted = all.entry(path.to_string()).or_insert_with(|| Wanted {
                len: BTreeSet::new(),
                digests: BTreeSet::new(),
                is_written: matches!(content, Content::Inline(_)),
            });
            wanted.len.insert(content.len());
            wanted.digests.insert(content.digest());
        }
        all
    }

    /// The rows of its `RECORD` by path; none if there is none, which is reported elsewhere.
    fn list(&self) -> Result<BTreeMap<String, Row>, FsError> {
        let mut within = Within::new(self.fs, self.root.clone());
        let path = format!("{}/{}/RECORD", self.site_packages, self.distribution.dir);
        let Sight::There(dir, name, meta) = within.look(&path)? else {
            return Ok(BTreeMap::new());
        };
        if meta.kind != Kind::File {
            return Ok(BTreeMap::new());
        }
        let file = self.fs.open_file(&dir, name, LIST_BYTES_MAX)?;
        let lib64 = has_lib64(self.fs, self.root);
        let usable = rows(file).filter_map(Result::ok);
        let placed = usable.filter_map(|(text, row)| {
            let path = place(self.site_packages, &text, lib64).ok()?;
            Some((path, row))
        });
        Ok(placed.collect())
    }

    fn compare_file(
        &self,
        within: &mut Within<'_>,
        path: &str,
        wanted: &Wanted,
    ) -> Result<Option<Finding>, FsError> {
        let (dir, name, meta) = match within.look(path)? {
            Sight::There(dir, name, meta) => (dir, name, meta),
            Sight::Absent => return Ok(Some(Finding::missing(path))),
            Sight::Blocked(by, kind) => return Ok(Some(blocked(path, &by, kind))),
        };
        if meta.kind != Kind::File {
            return Ok(Some(Finding::kind(path, meta.kind, "a file")));
        }
        if meta.len <= FILE_BYTES_MAX && wanted.len.contains(&meta.len) {
            match self.fs.digest_file(&dir, name) {
                Ok(digest) if wanted.digests.contains(&digest) => return Ok(None),
                Ok(_) => {}
                Err(error) => return Ok(Some(Finding::unreadable(path, &error))),
            }
        }
        let detail = self.differing((&dir, name), &meta, wanted);
        Ok(Some(Finding::new(path, Change::Content, detail)))
    }

    fn differing(&self, at: (&Dir, &OsStr), meta: &Meta, wanted: &Wanted) -> String {
        let detail = content(self.fs, at, meta, wanted.len.first().copied());
        if wanted.is_written {
            return format!("{detail}: it is not the script that rvenv writes for this wheel");
        }
        detail
    }
}

/// Compares the row of a file with the wheel; the file itself is as in the wheel.
fn compare_row(path: &str, row: Option<&Row>, wanted: &Wanted) -> Option<Finding> {
    let detail = match row {
        Some(Row {
            hash: Hash::Sha256(digest),
            len,
        }) if wanted.is(*digest, *len) => return None,
        Some(_) => "is as in the wheel, and its row in RECORD is not",
        None => "is as in the wheel, and RECORD does not list it",
    };
    Some(Finding::new(path, Change::Listing, detail))
}
