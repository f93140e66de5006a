//! Verifying an environment: compares it with what was published and with what its distributions
//! list.
//!
//! Promises to write nothing, to follow no symbolic link inside the environment, and to name every
//! path that differs from the receipt or a `RECORD`, each once. Works without a receipt too, for
//! environments that `venv` created. Does not find a change to a file if the list that contains it
//! was changed with it; the receipt is such a list. Takes no lock: a run that changes the
//! environment meanwhile shows as drift.
//!
//! Read next: `verify/distribution_record.rs`, one distribution; `rvenv_journal`'s `verify.rs`, the
//! receipt.

mod distribution_record;
mod finding;
mod open_within;
mod published_bytecode;
mod receipt_paths;
mod unlisted_paths;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;

use rvenv_journal::fs::{Dir, FsError, Kind};
use rvenv_journal::{Digest, Fs, Receipt, Target};
use thiserror::Error;

use self::distribution_record::Site;
pub use self::finding::{Change, Finding};
use self::open_within::has_lib64;
pub(crate) use self::open_within::is_bytecode;
use self::receipt_paths::{Kept, Managed, check_config, check_receipt};
use self::unlisted_paths::Known;
use crate::build::pyvenv_cfg::CONFIG_NAME;
use crate::wheel::distributions::{Distribution, distributions};

const SITE_PACKAGES: &str = "site-packages";

/// The result of verifying an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// The environment, its own symbolic link resolved.
    pub path: PathBuf,
    /// Digest of the published plan; `None` without a readable receipt.
    pub receipt: Option<Digest>,
    /// The paths that rvenv published; without a readable receipt, `pyvenv.cfg` and the receipt
    /// itself.
    pub managed: Checked,
    /// The installed distributions, by directory and name.
    pub distributions: Vec<DistributionChecked>,
    /// Paths that nothing lists, directories not counted.
    pub foreign: usize,
}

/// How many paths were checked, and those that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// How many were checked.
    pub checked: usize,
    /// The differences, by path; for a distribution that lists millions of files, the first ten
    /// thousand.
    pub drift: Vec<Finding>,
    /// How many more differ.
    pub more: usize,
}

/// The result for one distribution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistributionChecked {
    /// The distribution.
    pub distribution: Distribution,
    /// The directory that it is installed in, below the environment.
    pub site_packages: String,
    /// Its files, without those that the receipt already reports.
    pub files: Checked,
}

/// Why an environment could not be verified.
#[derive(Debug, Error)]
pub enum VerifyFailed {
    /// Nothing exists there.
    #[error("there is nothing at `{0}`")]
    Absent(PathBuf),
    /// A directory without `pyvenv.cfg` and without a receipt.
    #[error("`{0}` is not a virtual environment: it has neither a pyvenv.cfg nor a receipt")]
    NotAnEnvironment(PathBuf),
    /// A system call failed.
    #[error("cannot look at `{path}`")]
    Disk {
        /// The target.
        path: PathBuf,
        /// Why.
        #[source]
        source: FsError,
    },
}

impl Verification {
    /// Whether everything is as published and listed; foreign paths are harmless.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let mut distributions = self.distributions.iter();
        self.managed.drift.is_empty() && distributions.all(|d| d.files.drift.is_empty())
    }
}

/// Compares an environment with its receipt and with the lists of its distributions.
///
/// # Errors
/// See [`VerifyFailed`]; a difference is no error.
pub fn verify(target: &Target<'_>) -> Result<Verification, VerifyFailed> {
    let path = || target.path().to_path_buf();
    let disk = |source| VerifyFailed::Disk {
        path: path(),
        source,
    };
    let meta = target.meta().map_err(disk)?;
    if meta.is_none_or(|meta| meta.kind != Kind::Dir) {
        return Err(VerifyFailed::Absent(path()));
    }
    let (parent, name) = target.place();
    let fs = target.disk();
    let root = fs.open_dir(parent, name).map_err(disk)?;
    let receipt = receipt_paths::receipt(fs, &root);
    let config = fs.meta(&root, OsStr::new(CONFIG_NAME)).map_err(disk)?;
    if matches!(receipt, Kept::Absent) && config.is_none() {
        return Err(VerifyFailed::NotAnEnvironment(path()));
    }
    compare(fs, &root, path(), &receipt).map_err(disk)
}

fn compare(
    fs: &dyn Fs,
    root: &Dir,
    path: PathBuf,
    receipt: &Kept,
) -> Result<Verification, FsError> {
    let mut managed = Managed::default();
    let (checked, drift) = match receipt {
        Kept::Whole(receipt) => {
            let paths = receipt.paths.iter();
            managed.paths = paths.map(|(path, node)| (path.as_str(), node)).collect();
            (managed.paths.len(), check_receipt(fs, root, receipt)?)
        }
        Kept::Damaged(why) => {
            let detail = format!("is damaged: {why}");
            let damaged = Finding::new(Receipt::path().as_str(), Change::Content, detail);
            let config = check_config(fs, root)?;
            (2, std::iter::once(damaged).chain(config).collect())
        }
        Kept::Absent => (1, check_config(fs, root)?.into_iter().collect()),
    };
    managed.drifted = drift.iter().map(|finding| finding.path.as_str()).collect();
    let (distributions, listed) = check_distributions(fs, root, &managed)?;
    let known = Known {
        fs,
        managed: &managed,
        listed: &listed,
    };
    let foreign = known.count_foreign(root)?;
    Ok(Verification {
        path,
        receipt: match receipt {
            Kept::Whole(receipt) => Some(receipt.plan),
            Kept::Absent | Kept::Damaged(_) => None,
        },
        managed: Checked {
            checked,
            drift,
            more: 0,
        },
        distributions,
        foreign,
    })
}

/// Checks every distribution, and collects the paths that they list.
fn check_distributions(
    fs: &dyn Fs,
    root: &Dir,
    managed: &Managed<'_>,
) -> Result<(Vec<DistributionChecked>, BTreeSet<String>), FsError> {
    let lib64 = has_lib64(fs, root);
    let mut checked = Vec::new();
    let mut listed = BTreeSet::new();
    for (path, dir) in site_packages(fs, root)? {
        let site = Site {
            fs,
            root,
            path: &path,
            lib64,
            managed,
        };
        for distribution in distributions(fs, &dir)? {
            let outcome = site.check(&distribution);
            checked.push(DistributionChecked {
                distribution,
                site_packages: path.clone(),
                files: Checked {
                    checked: outcome.rows,
                    drift: outcome.findings,
                    more: outcome.more,
                },
            });
            listed.extend(outcome.listed);
        }
    }
    Ok((checked, listed))
}

/// `lib*/python*/site-packages`, the same with `pypy*`, and `site-packages` at the top, where old
/// versions of `PyPy` have it.
fn site_packages(fs: &dyn Fs, root: &Dir) -> Result<Vec<(String, Dir)>, FsError> {
    let mut found = Vec::new();
    for lib in below(fs, root, &["lib"])? {
        let Some(dir) = open(fs, root, &lib)? else {
            continue;
        };
        for python in below(fs, &dir, &["python", "pypy"])? {
            let Some(dir) = open(fs, &dir, &python)? else {
                continue;
            };
            let path = format!("{lib}/{python}/{SITE_PACKAGES}");
            found.extend(open(fs, &dir, SITE_PACKAGES)?.map(|dir| (path, dir)));
        }
    }
    let own = open(fs, root, SITE_PACKAGES)?;
    found.extend(own.map(|dir| (SITE_PACKAGES.to_owned(), dir)));
    Ok(found)
}

fn below(fs: &dyn Fs, dir: &Dir, prefixes: &[&str]) -> Result<Vec<String>, FsError> {
    let names = fs.list(dir)?.into_iter();
    let names = names.filter_map(|name| name.into_string().ok());
    let wanted = |name: &String| prefixes.iter().any(|prefix| name.starts_with(prefix));
    Ok(names.filter(wanted).collect())
}

fn open(fs: &dyn Fs, at: &Dir, name: &str) -> Result<Option<Dir>, FsError> {
    let opened = fs.open_dir(at, OsStr::new(name));
    opened.map(Some).or_else(|error| {
        let is_none = matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        );
        if is_none { Ok(None) } else { Err(error) }
    })
}
