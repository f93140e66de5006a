//! The wheels that rvenv installed, as the receipt of an environment has them.
//!
//! Promises that a distribution which another installer put in the place of the published one has
//! no wheel here: its `RECORD` is another one.
//!
//! Read next: `merge/statements.rs`, what a receipt keeps.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use rvenv_journal::fs::{Dir, Fs};
use rvenv_journal::raw::{PublishedPath, Statement};
use rvenv_journal::{Digest, Receipt, RelPath};

use super::existing::Lib;
use crate::wheel::Named;
use crate::wheel::distributions::Distribution;

/// A wheel that rvenv installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedWheel {
    /// The name of its file.
    pub file: String,
    /// SHA-256 of its file.
    pub digest: Digest,
}

/// The wheels in a receipt, and the files that were published.
#[derive(Debug)]
pub(crate) struct PublishedWheels {
    receipt: Receipt,
    /// By the name and the version of the distribution.
    wheels: BTreeMap<(String, String), PublishedWheel>,
}

impl PublishedWheels {
    pub(crate) fn of(receipt: Receipt) -> Self {
        let wheel = |(digest, statement): (&Digest, &Statement)| {
            let name = Path::new(&statement.file);
            // The receipt of a checkout may have anything: a path is no name.
            let named = Named::of(name).filter(|_| name.file_name() == Some(name.as_os_str()))?;
            let wheel = PublishedWheel {
                file: statement.file.clone(),
                digest: *digest,
            };
            Some(((named.name, named.version), wheel))
        };
        let wheels = receipt.statements.iter().filter_map(wheel).collect();
        Self { receipt, wheels }
    }

    /// The wheel of a distribution whose `RECORD` was published at this path.
    pub(crate) fn of_record(
        &self,
        record: &RelPath,
        distribution: &Distribution,
    ) -> Option<&PublishedWheel> {
        self.receipt.paths.get(record)?;
        let Distribution { name, version, .. } = distribution;
        self.wheels.get(&(name.clone(), version.clone()))
    }

    /// The digest of the wheel of a distribution in an open directory of packages, if its `RECORD`
    /// is the published one.
    pub(crate) fn current(
        &self,
        fs: &dyn Fs,
        dir: &Dir,
        lib: &Lib,
        distribution: &Distribution,
    ) -> Option<Digest> {
        let record = lib.path.join(&distribution.dir).ok()?.join("RECORD").ok()?;
        let wheel = self.of_record(&record, distribution)?;
        let info = fs.open_dir(dir, OsStr::new(&distribution.dir)).ok()?;
        let found = fs.digest_file(&info, OsStr::new("RECORD")).ok()?;
        let published = self.receipt.paths.get(&record)?;
        let is_published =
            matches!(published, PublishedPath::File { digest, .. } if *digest == found);
        is_published.then_some(wheel.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_cannot_lead_to_a_file_elsewhere() {
        let file = |name: &str| Statement {
            file: name.to_owned(),
            attestation: None,
        };
        let names = [
            "a-1.0-py3-none-any.whl",
            "../b-1.0-py3-none-any.whl",
            "/x/c-1.0-py3-none-any.whl",
            "d",
        ];
        let statements = names.map(|name| (Digest::of(name.as_bytes()), file(name)));
        let receipt = Receipt {
            plan: Digest::of(b""),
            root_mode: 0o755,
            is_shared: false,
            statements: statements.into(),
            paths: BTreeMap::new(),
        };
        let wheels = PublishedWheels::of(receipt).wheels;
        let found: Vec<&str> = wheels.values().map(|wheel| &*wheel.file).collect();
        assert_eq!(found, ["a-1.0-py3-none-any.whl"]);
    }
}
