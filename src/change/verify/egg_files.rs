//! Checks the files of one egg: it has no `RECORD`, and so no hashes.
//!
//! Promises to report what an egg cannot be without: its metadata, and each file that its
//! `installed-files.txt` lists, if it has that list; and files of NUL bytes, as a power cut leaves
//! them. Does not find an edited file, since no digest is known. Ignores rows that lead out of the
//! environment.
//!
//! Read next: `distribution_record.rs`, distributions with a `RECORD`.

use std::collections::BTreeSet;

use rvenv_journal::fs::Kind;

use super::departed::LIST_BYTES_MAX;
use super::distribution_record::{Outcome, Site, blocked};
use super::finding::{Change, Finding, content, is_nul};
use super::open_within::{Sight, Within, place};
use crate::python::bytecode::path::{is_compiled, is_dir};
use crate::wheel::distributions::Distribution;

/// The list that pip wrote beside the metadata.
const LIST: &str = "installed-files.txt";

impl Site<'_> {
    /// Checks an egg in a directory of its own; one that is a single file has nothing to check.
    pub(super) fn check_egg(&self, distribution: &Distribution) -> Outcome {
        let mut within = Within::new(self.fs, self.root.clone());
        let mut outcome = Outcome::default();
        let egg = format!("{}/{}", self.path, distribution.dir);
        let is_there = |dir| matches!(dir, Ok(Some(_)));
        if !is_there(within.open(&egg)) {
            outcome.listed.insert(egg);
            return outcome;
        }
        let mut found = BTreeSet::new();
        let list = format!("{egg}/{LIST}");
        let mut paths = BTreeSet::from([format!("{egg}/PKG-INFO")]);
        if let Some(text) = self.text(&mut within, &list) {
            paths.insert(list);
            let rows = text.split(|byte| *byte == b'\n');
            let rows = rows.filter_map(|row| std::str::from_utf8(row).ok());
            let rows = rows.map(str::trim_end).filter(|row| !row.is_empty());
            paths.extend(rows.filter_map(|row| place(&egg, row, self.lib64).ok()));
        }
        outcome.rows = paths.len();
        for path in paths {
            let is_managed = self.managed.paths.contains_key(path.as_str());
            if is_compiled(&path) || is_dir(&path) || is_managed {
                continue;
            }
            if let Some(finding) = self.look_at(&mut within, &path, &mut outcome.listed) {
                outcome.find(&mut found, finding);
            }
        }
        outcome.findings = found.into_iter().collect();
        outcome
    }

    /// The bytes of a list; `None` if there is none that can be read.
    fn text(&self, within: &mut Within<'_>, list: &str) -> Option<Vec<u8>> {
        match within.look(list) {
            Ok(Sight::There(dir, name, meta)) if meta.kind == Kind::File => {
                self.fs.read_file(&dir, name, LIST_BYTES_MAX).ok()
            }
            Ok(_) | Err(_) => None,
        }
    }

    fn look_at(
        &self,
        within: &mut Within<'_>,
        path: &str,
        listed: &mut BTreeSet<String>,
    ) -> Option<Finding> {
        match within.look(path) {
            Ok(Sight::There(dir, name, meta)) => {
                listed.insert(path.to_owned());
                let at = (&dir, name);
                let is_lost = meta.kind == Kind::File && meta.len > 0 && is_nul(self.fs, at, &meta);
                is_lost.then(|| {
                    let detail = content(self.fs, at, &meta, None);
                    Finding::new(path, Change::Content, detail)
                })
            }
            Ok(Sight::Absent) => Some(Finding::missing(path)),
            Ok(Sight::Blocked(by, kind)) => Some(blocked(path, &by, kind)),
            Err(error) => Some(Finding::unreadable(path, &error)),
        }
    }
}
