//! Paths that an installed distribution lists and a wheel of a lock has with other bytes.
//!
//! Promises that such a plan is refused, with both names and the path: otherwise one of the two
//! would no longer be what its RECORD says (I8). Equal bytes are shared, as between two wheels of
//! one plan; bytecode is as its source is, whose time it has. Reads the RECORDs of other
//! distributions only if the plan writes files of a lock.
//!
//! Does not write. Read next: `retired.rs`; `../../build/hooks/pip.rs`, which compares the wheels
//! of one plan.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use rvenv_journal::fs::FsError;
use rvenv_journal::raw::{Effect, effect, paired};
use rvenv_journal::{Digest, Node, RelPath};

use super::failures::Overlap;
use super::{Looked, Merge, lock_files};
use crate::change::open_path::{Walk, lexical};
use crate::python::bytecode::path::source_of;
use crate::wheel::distributions::Distribution;
use crate::wheel::record::Hash;

/// A file of a lock that will be written.
struct Written<'a> {
    digest: Digest,
    wheel: &'a str,
}

impl Merge<'_> {
    /// Refuses to overwrite files of an installed distribution that stays; `goes` tells which ones
    /// do not stay.
    pub(super) fn check_owned(&self, goes: &dyn Fn(&Distribution) -> bool) -> Looked<()> {
        let locked = lock_files(self.context);
        if locked.is_empty() {
            return Ok(Ok(()));
        }
        let mut written = BTreeMap::new();
        for (path, operation, found) in paired(self.draft.operations(), &self.seen.paths) {
            let wheel = operation.group.as_deref();
            if let (Some(wheel), Node::File { content, .. }) = (wheel, &operation.node)
                && locked.contains(wheel)
                && !self.is_compiled(path)
                && effect(&operation.node, found) != Effect::Keep
            {
                let digest = content.digest();
                written.insert(path, Written { digest, wheel });
            }
        }
        if written.is_empty() {
            return Ok(Ok(()));
        }
        let site = &self.context.layout.lib_path;
        let installed = self.context.installed.iter();
        for distribution in installed.filter(|one| !goes(one) && !self.is_there(one)) {
            for (row, listed) in self.rows(site, distribution)? {
                let Some(path) = lexical(site, &row) else {
                    continue;
                };
                let Some(new) = written.get(&path) else {
                    continue;
                };
                let is_shared = match listed.hash {
                    Hash::Sha256(digest) => digest == new.digest,
                    Hash::Absent | Hash::Other(_) => self.has(&path, new.digest)?,
                };
                if !is_shared {
                    let overlap = Overlap {
                        target: self.target.path().to_path_buf(),
                        path,
                        distribution: distribution.clone(),
                        wheel: new.wheel.to_owned(),
                    };
                    return Ok(Err(Box::new(overlap).into()));
                }
            }
        }
        Ok(Ok(()))
    }

    /// Whether the plan has the files of a distribution, or keeps them.
    fn is_there(&self, distribution: &Distribution) -> bool {
        let site = &self.context.layout.lib_path;
        let info = site.join(&distribution.dir);
        info.is_ok_and(|info| self.draft.operations().contains_key(&info))
            || self.is_kept(distribution)
    }

    /// Whether a path is the bytecode of a planned source, which is compared itself.
    fn is_compiled(&self, path: &RelPath) -> bool {
        let source = source_of(path.as_str()).and_then(|source| RelPath::new(&source).ok());
        source.is_some_and(|source| self.draft.operations().contains_key(&source))
    }

    /// Whether a file has the bytes of a digest.
    fn has(&self, path: &RelPath, digest: Digest) -> Result<bool, FsError> {
        let found = Walk::new(self.fs, &self.root).look(path)?;
        let Some((dir, _)) = found else {
            return Ok(true);
        };
        Ok(self.fs.digest_file(&dir, OsStr::new(path.name()))? == digest)
    }
}
