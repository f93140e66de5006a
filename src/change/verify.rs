//! Verifying an environment: compares its frame with the receipt and with what exists, and each
//! distribution with its own list.
//!
//! Promises to write nothing, to start no program, to follow no symbolic link inside the
//! environment, and to name every path that differs from the receipt or a `RECORD`, each once.
//! Works without a receipt too, for environments that `venv`, `virtualenv` or `uv` created. What
//! another installer replaced or uninstalled is named as that, and is no drift. Does not find a
//! change to a file if the list that contains it was changed with it; the receipt is such a list.
//! Takes no lock: a run that changes the environment meanwhile shows as drift.
//!
//! Read next: `verify/distribution_record.rs`, one distribution; `rvenv_journal`'s `plan/drift.rs`,
//! the receipt.

mod departed;
mod dependencies;
mod distribution_record;
mod egg_files;
mod finding;
mod frame;
mod glance;
mod lock_proof;
mod open_within;
mod published_bytecode;
mod receipt_paths;
mod state_digest;
mod unlisted_paths;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rvenv_journal::fs::{Dir, FsError, Kind};
use rvenv_journal::raw::DiskError;
use rvenv_journal::{Digest, Fs, Receipt, RelPath, Target};
use thiserror::Error;

pub use self::departed::Departed;
use self::departed::{Departures, is_published};
pub(crate) use self::departed::{LIST_BYTES_MAX, departures};
pub use self::dependencies::Unmet;
pub(crate) use self::distribution_record::Outcome;
use self::distribution_record::Site;
pub use self::finding::{Change, Finding};
pub use self::frame::FrameChecked;
pub(crate) use self::frame::examine as examine_frame;
pub use self::glance::{Described, Glance, glance};
pub(crate) use self::lock_proof::Subject;
pub use self::lock_proof::{Extra, PackageProof, Proof, Verdict};
pub(crate) use self::open_within::{Sight, Within, has_lib64, place};
use self::receipt_paths::{Kept, Managed, check_config, check_receipt};
pub use self::state_digest::{planned_digest, state_digest};
use self::unlisted_paths::Known;
use crate::build::pyvenv_cfg::CONFIG_NAME;
use crate::change::existing::{Existing, ExistingError, Lib, Libs};
use crate::change::look_failed::LookFailed;
use crate::wheel::distributions::Distribution;
use crate::wheel::installed::Installed;

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
    /// The distributions that rvenv published and another installer replaced or uninstalled.
    pub departed: Vec<Departed>,
    /// The frame against what exists.
    pub frame: FrameChecked,
    /// Requirements that no installed distribution meets; no drift.
    pub unmet: Vec<Unmet>,
    /// Paths that nothing lists, directories not counted.
    pub foreign: usize,
}

/// Every path that a receipt has and that is another one in an environment; the receipt may be that
/// of a plan which was made elsewhere.
///
/// # Errors
/// See [`VerifyFailed`].
pub fn differences(target: &Target<'_>, receipt: &Receipt) -> Result<Vec<Finding>, VerifyFailed> {
    let disk = LookFailed::disk(target.path());
    let root = target.root().map_err(disk)?;
    Ok(check_receipt(target.disk(), &root, receipt).map_err(disk)?)
}

/// What is true of an environment as a whole; several may be, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// The base interpreter does not exist any more.
    BaseLost,
    /// The environment is at another path than it was made for.
    Moved,
    /// A file is not as the receipt or a `RECORD` says, or a script has no interpreter.
    Damaged,
    /// Distributions are in the directory of another minor version.
    LostPackages,
    /// Another installer added, replaced or uninstalled distributions since it was published.
    Changed,
    /// None of this.
    Clean,
}

impl State {
    /// The words for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BaseLost => "base lost",
            Self::Moved => "moved",
            Self::Damaged => "damaged",
            Self::LostPackages => "lost packages",
            Self::Changed => "changed by another installer",
            Self::Clean => "clean",
        }
    }
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
    /// Which one, and what its directory says.
    pub installed: Installed,
    /// Whether rvenv did not publish it, while there is a receipt of what rvenv published.
    pub is_added: bool,
    /// The directory that it is installed in, below the environment.
    pub site_packages: String,
    /// Its files, without those that the receipt already reports.
    pub files: Checked,
}

/// Why an environment could not be verified.
#[derive(Debug, Error)]
pub enum VerifyFailed {
    /// Nothing exists there.
    #[error("`{0}` does not exist")]
    Absent(PathBuf),
    /// A directory without `pyvenv.cfg` and without a receipt.
    #[error("`{0}` is not a virtual environment: it has neither a pyvenv.cfg nor a receipt")]
    NotAnEnvironment(PathBuf),
    /// A system call failed.
    #[error(transparent)]
    Disk(#[from] LookFailed),
}

impl Verification {
    /// Whether nothing is damaged, moved or lost. What other installers changed does no harm, and
    /// neither do foreign paths.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let mut states = self.states().into_iter();
        states.all(|state| matches!(state, State::Clean | State::Changed))
    }

    /// What is true of the environment, the worst first; [`State::Clean`] only alone.
    #[must_use]
    pub fn states(&self) -> Vec<State> {
        let mut distributions = self.distributions.iter();
        let is_damaged = !self.managed.drift.is_empty()
            || !self.frame.drift.is_empty()
            || distributions.any(|d| !d.files.drift.is_empty());
        let is_changed = !self.departed.is_empty() || self.distributions.iter().any(|d| d.is_added);
        let states = [
            (self.frame.base_lost.is_some(), State::BaseLost),
            (self.frame.moved_from.is_some(), State::Moved),
            (is_damaged, State::Damaged),
            (!self.frame.lost.is_empty(), State::LostPackages),
            (is_changed, State::Changed),
        ];
        let states = states.into_iter().filter(|(is_so, _)| *is_so);
        let mut states: Vec<State> = states.map(|(_, state)| state).collect();
        if states.is_empty() {
            states.push(State::Clean);
        }
        states
    }
}

/// Compares an environment with its receipt and with the lists of its distributions.
///
/// # Errors
/// See [`VerifyFailed`]; a difference is no error.
pub fn verify(target: &Target<'_>) -> Result<Verification, VerifyFailed> {
    let path = || target.path().to_path_buf();
    let disk = LookFailed::disk(target.path());
    let meta = target.meta().map_err(disk)?;
    if meta.is_none_or(|meta| meta.kind != Kind::Dir) {
        return Err(VerifyFailed::Absent(path()));
    }
    let fs = target.disk();
    let root = target.root().map_err(disk)?;
    let receipt = receipt_paths::receipt(fs, &root);
    let config = fs.meta(&root, OsStr::new(CONFIG_NAME)).map_err(disk)?;
    if matches!(receipt, Kept::Absent) && config.is_none() {
        return Err(VerifyFailed::NotAnEnvironment(path()));
    }
    Ok(compare(fs, &root, path(), &receipt).map_err(disk)?)
}

fn compare(
    fs: &dyn Fs,
    root: &Dir,
    path: PathBuf,
    receipt: &Kept,
) -> Result<Verification, FsError> {
    let seen = Libs::read(fs, root)?;
    let departures = match receipt {
        Kept::Whole(receipt) => departures(fs, root, receipt, &seen.libs)?,
        Kept::Damaged(_) | Kept::Absent => Departures::default(),
    };
    let mut managed = Managed::default();
    let (checked, mut drift) = match receipt {
        Kept::Whole(receipt) => {
            let paths = receipt.paths.iter();
            let paths = paths.filter(|(path, _)| !departures.paths.contains(*path));
            managed.paths = paths.map(|(path, node)| (path.as_str(), node)).collect();
            let mut drift = check_receipt(fs, root, receipt)?;
            drift.retain(|found| found.path == "." || managed.paths.contains_key(&*found.path));
            (managed.paths.len(), drift)
        }
        Kept::Damaged(why) => {
            let detail = format!("is damaged: {why}");
            let damaged = Finding::new(Receipt::path().as_str(), Change::Content, detail);
            let config = check_config(fs, root)?;
            (2, std::iter::once(damaged).chain(config).collect())
        }
        Kept::Absent => (1, check_config(fs, root)?.into_iter().collect()),
    };
    drift.sort();
    let (mut frame, unmet) = examine(fs, root, &path, &seen)?;
    // What the receipt reports is not reported again.
    let is_new = |finding: &Finding| drift.iter().all(|other| other.path != finding.path);
    frame.drift.retain(is_new);
    managed.drifted = drift.iter().map(|finding| finding.path.as_str()).collect();
    let receipt = match receipt {
        Kept::Whole(receipt) => Some(receipt),
        Kept::Absent | Kept::Damaged(_) => None,
    };
    let (distributions, listed) = check_distributions(fs, root, &seen.libs, &managed, receipt)?;
    let known = Known {
        fs,
        managed: &managed,
        listed: &listed,
    };
    let foreign = known.count_foreign(root)?;
    Ok(Verification {
        path,
        receipt: receipt.map(|receipt| receipt.plan),
        managed: Checked {
            checked,
            drift,
            more: 0,
        },
        distributions,
        departed: departures.distributions,
        frame,
        unmet,
        foreign,
    })
}

/// Compares the frame with what exists, and requirements with what is installed.
fn examine(
    fs: &dyn Fs,
    root: &Dir,
    path: &Path,
    seen: &Libs,
) -> Result<(FrameChecked, Vec<Unmet>), FsError> {
    let (mut frame, unmet) = match Existing::with_libs(fs, root, path, seen.libs.clone()) {
        Ok(existing) => (
            frame::examine(fs, root, &existing)?,
            dependencies::unmet(fs, root, &existing)?,
        ),
        Err(ExistingError::Disk { source, .. }) => return Err(source),
        // What `pyvenv.cfg` lacks is reported.
        Err(_) => Default::default(),
    };
    let link = |link: &RelPath| {
        let detail = "is a symbolic link, and packages behind it are not looked at";
        Finding::new(link.as_str(), Change::Kind, detail)
    };
    frame.drift.extend(seen.links.iter().map(link));
    Ok((frame, unmet))
}

/// Checks every distribution, and collects the paths that they list.
fn check_distributions(
    fs: &dyn Fs,
    root: &Dir,
    libs: &[Lib],
    managed: &Managed<'_>,
    receipt: Option<&Receipt>,
) -> Result<(Vec<DistributionChecked>, BTreeSet<String>), FsError> {
    let lib64 = has_lib64(fs, root);
    let mut checked = Vec::new();
    let mut listed = BTreeSet::new();
    let mut within = Within::new(fs, root.clone());
    for lib in libs {
        let path = lib.path.as_str();
        let Some(dir) = within.open(path)? else {
            continue;
        };
        let site = Site {
            fs,
            root,
            path,
            lib64,
            managed,
        };
        for distribution in &lib.distributions {
            let outcome = site.check(distribution);
            let installed = Installed::read(fs, &dir, distribution.clone());
            // An earlier plan of rvenv may have brought it: a receipt lists what the last one asks
            // for.
            let is_own = installed.installer.as_deref() == Some(crate::wheel::INSTALLER);
            let is_added = !is_own
                && receipt.is_some_and(|receipt| !is_published(receipt, path, distribution));
            checked.push(DistributionChecked {
                installed,
                is_added,
                site_packages: path.to_owned(),
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

/// Compares one distribution with its own list alone, whatever the receipt says.
pub(crate) fn check_distribution(
    fs: &dyn Fs,
    root: &Dir,
    site_packages: &str,
    distribution: &Distribution,
) -> Outcome {
    let site = Site {
        fs,
        root,
        path: site_packages,
        lib64: has_lib64(fs, root),
        managed: &Managed::default(),
    };
    site.check(distribution)
}
