//! Compares a tree with its receipt.
//!
//! Promises to report every managed path that is not as it was published, and every path that was
//! not published, and to write nothing. It reads every byte of every managed file. Bytecode that
//! Python writes (`__pycache__/*.pyc`) and that was not published is not drift. Published bytecode
//! is compared like any other file; a caller that only wants changes made by people filters it out.
//!
//! Read next: `plan/receipt.rs`.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use crate::base::path::{RelPath, escaped};
use crate::fs::{Dir, Fs, FsError, Kind, NameInDir};
use crate::plan::node::{DIR_MODE_MASK, ENGINE_DIR, PublishedPath, is_same_mode};
use crate::plan::receipt::Receipt;

/// How a path differs from what was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// It is gone.
    Missing,
    /// It is another kind of object.
    Kind,
    /// Its permission bits differ.
    Mode,
    /// Its bytes differ.
    Content,
    /// It has another target.
    LinkTarget,
    /// It was not published.
    Foreign,
}

/// A path that is not as it was published.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drift {
    /// The path below the root; bytes that are not UTF-8 are escaped. Empty for the root itself.
    pub path: String,
    /// How it differs.
    pub difference: Difference,
}

impl Drift {
    /// Whether only bytecode is missing or rewritten, which Python does by itself.
    #[must_use]
    pub fn is_of_bytecode(&self) -> bool {
        let mut parts = self.path.rsplit('/');
        let (name, above) = (parts.next().unwrap_or_default(), parts.next());
        let is_compiled = Path::new(name).extension() == Some(OsStr::new("pyc"));
        let is_bytecode = is_compiled && above == Some("__pycache__");
        match self.difference {
            Difference::Missing => is_bytecode || name == "__pycache__",
            Difference::Content | Difference::Mode => is_bytecode,
            Difference::Kind | Difference::LinkTarget | Difference::Foreign => false,
        }
    }
}

/// Every path in the tree `root` that differs from the receipt.
///
/// # Errors
/// The error of the disk.
pub fn drift(fs: &dyn Fs, root: &Dir, receipt: &Receipt) -> Result<Vec<Drift>, FsError> {
    let mut found = Vec::new();
    let root_mode = fs.meta_of(root)?.mode & DIR_MODE_MASK;
    if !is_same_mode(receipt.root_mode, root_mode) {
        found.push(Drift {
            path: String::new(),
            difference: Difference::Mode,
        });
    }
    let mut seen = BTreeSet::new();
    let mut verifier = Verifier {
        fs,
        receipt,
        seen: &mut seen,
        found: &mut found,
    };
    verifier.walk(root, None)?;
    for path in receipt.paths.keys().filter(|path| !seen.contains(*path)) {
        found.push(Drift {
            path: path.to_string(),
            difference: Difference::Missing,
        });
    }
    found.sort();
    Ok(found)
}

/// Every path at and below one entry, wherever it is now, that differs from what the receipt has
/// for `path`.
///
/// # Errors
/// The error of the disk.
pub(crate) fn drift_at(
    fs: &dyn Fs,
    at: NameInDir<'_>,
    path: &RelPath,
    receipt: &Receipt,
) -> Result<Vec<Drift>, FsError> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut verifier = Verifier {
        fs,
        receipt,
        seen: &mut seen,
        found: &mut found,
    };
    match receipt.paths.get(path) {
        Some(published) => verifier.compare(at, path.clone(), published)?,
        None => verifier.foreign(at, path.to_string(), Some(path.clone()))?,
    }
    // The paths below a path come directly after it.
    let below = receipt.paths.range(path.clone()..).map(|(path, _)| path);
    let below = below.take_while(|other| *other == path || other.is_below(path));
    for path in below.filter(|path| !seen.contains(*path)) {
        found.push(Drift {
            path: path.to_string(),
            difference: Difference::Missing,
        });
    }
    found.sort();
    Ok(found)
}

struct Verifier<'a> {
    fs: &'a dyn Fs,
    receipt: &'a Receipt,
    seen: &'a mut BTreeSet<RelPath>,
    found: &'a mut Vec<Drift>,
}

impl Verifier<'_> {
    fn walk(&mut self, dir: &Dir, at: Option<&RelPath>) -> Result<(), FsError> {
        for name in self.fs.list(dir)? {
            if at.is_none() && name == OsStr::new(ENGINE_DIR) {
                continue;
            }
            let shown = at.map_or_else(|| escaped(&name), |at| format!("{at}/{}", escaped(&name)));
            let path = name.to_str().and_then(|name| match at {
                Some(at) => at.join(name).ok(),
                None => RelPath::new(name).ok(),
            });
            let published = path.as_ref().and_then(|path| self.receipt.paths.get(path));
            match (path, published) {
                (Some(path), Some(published)) => self.compare(dir.at(&name), path, published)?,
                (path, _) => self.foreign(dir.at(&name), shown, path)?,
            }
        }
        Ok(())
    }

    fn compare(
        &mut self,
        at: NameInDir<'_>,
        path: RelPath,
        published: &PublishedPath,
    ) -> Result<(), FsError> {
        let Some(meta) = self.fs.meta(at.dir, at.name)? else {
            return Ok(());
        };
        let difference = match (published, meta.kind) {
            (PublishedPath::Dir { mode }, Kind::Dir) => {
                (!is_same_mode(*mode, meta.mode & DIR_MODE_MASK)).then_some(Difference::Mode)
            }
            (
                PublishedPath::File {
                    mode, digest, len, ..
                },
                Kind::File,
            ) => {
                if *len != meta.len || self.fs.digest_file(at.dir, at.name)? != *digest {
                    Some(Difference::Content)
                } else {
                    (!is_same_mode(*mode, meta.mode)).then_some(Difference::Mode)
                }
            }
            (PublishedPath::Symlink { target }, Kind::Symlink) => {
                let same = self.fs.read_link(at.dir, at.name)? == OsStr::new(target);
                (!same).then_some(Difference::LinkTarget)
            }
            (
                PublishedPath::Dir { .. }
                | PublishedPath::File { .. }
                | PublishedPath::Symlink { .. },
                _,
            ) => Some(Difference::Kind),
        };
        if let Some(difference) = difference {
            self.found.push(Drift {
                path: path.to_string(),
                difference,
            });
        }
        if meta.kind == Kind::Dir {
            self.walk(&self.fs.open_dir(at.dir, at.name)?, Some(&path))?;
        }
        self.seen.insert(path);
        Ok(())
    }

    fn foreign(
        &mut self,
        at: NameInDir<'_>,
        shown: String,
        path: Option<RelPath>,
    ) -> Result<(), FsError> {
        let is_dir = self
            .fs
            .meta(at.dir, at.name)?
            .is_some_and(|meta| meta.kind == Kind::Dir);
        if is_dir
            && at.name == OsStr::new("__pycache__")
            && let Some(path) = path
        {
            return self.walk(&self.fs.open_dir(at.dir, at.name)?, Some(&path));
        }
        let is_compiled = Path::new(at.name).extension() == Some(OsStr::new("pyc"));
        let is_bytecode = is_compiled && shown.rsplit('/').nth(1) == Some("__pycache__");
        if !is_bytecode || is_dir {
            self.found.push(Drift {
                path: shown,
                difference: Difference::Foreign,
            });
        }
        Ok(())
    }
}
