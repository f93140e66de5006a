//! Packages that a change of Python would lose: one rule for new plans and for saved plans.
//!
//! Promises that a package which can be imported now, and could not be afterwards, is named before
//! anything is done (I8), and that the permission to lose it comes from the command line of this
//! run, never from a plan (I6). Does not promise that the packages which stay can be imported.
//!
//! Read next: `../existing/python_change.rs`, how a plan changes the Python of an environment.

use std::collections::BTreeSet;

use rvenv_journal::fs::{Dir, Fs};
use rvenv_journal::{Plan, Target};

use super::{Lost, MergeError};
use crate::build::hooks::Context;
use crate::build::supply::{Supply, WheelSource};
use crate::change::carry::{Companions, LostPackage};
use crate::change::existing::{Existing, ExistingError, PythonChange, planned_distributions};
use crate::wheel::distributions::Distribution;

/// The packages that a new environment has; they never count as the user's, for any interpreter.
const SEEDS: &[&str] = &["pip", "setuptools"];

/// The distributions that do not come along to another Python: those of a new environment and of a
/// lock, which are installed anew, and those that leave.
pub(super) fn seeded(context: &Context) -> Vec<String> {
    let seeds = if context.options.with_pip { SEEDS } else { &[] };
    let seeds = seeds.iter().map(|name| (*name).to_owned());
    let leaving = context.leaving.iter().cloned();
    seeds.chain(locked(context)).chain(leaving).collect()
}

/// The names of the distributions that a lock names.
pub(super) fn locked(context: &Context) -> impl Iterator<Item = String> {
    of_locks(context).filter_map(Supply::name)
}

/// The names of the files of a lock's wheels.
pub(super) fn lock_files(context: &Context) -> BTreeSet<&str> {
    let names = of_locks(context).filter_map(|supply| supply.wheel.file_name()?.to_str());
    names.collect()
}

fn of_locks(context: &Context) -> impl Iterator<Item = &Supply> {
    let supplies = context.supplies.iter();
    supplies.filter(|supply| supply.source == WheelSource::Locked)
}

/// Whether a distribution is one of those that a new environment has.
pub(crate) fn is_seed(name: &str) -> bool {
    SEEDS.contains(&name)
}

/// Refuses a change of Python if packages would stay behind, or if nobody looked for their wheels.
pub(super) fn check_lost(
    existing: &Existing,
    companions: &Companions,
    lost: Lost,
) -> Result<(), MergeError> {
    if !companions.unresolved.is_empty() && lost == Lost::Refuse {
        let packages = companions.unresolved.iter();
        return Err(MergeError::Meanwhile {
            target: existing.path.clone(),
            packages: packages.map(|one| one.distribution.to_string()).collect(),
        });
    }
    refuse(existing, companions.lost.clone(), lost)
}

/// Refuses a saved plan if packages of the existing environment would be lost.
///
/// # Errors
/// [`MergeError::Lost`], or an environment that cannot be read.
pub(crate) fn check_lost_by(
    plan: &Plan,
    target: &Target<'_>,
    root: &Dir,
    lost: Lost,
) -> Result<(), MergeError> {
    let existing = match read(target.disk(), root, target) {
        Ok(Some(existing)) => existing,
        Ok(None) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let gone = lost_by(&existing, plan);
    let gone = gone.iter().map(LostPackage::named).collect();
    refuse(&existing, gone, lost)
}

/// The packages of an environment that could no longer be imported once this plan is published.
pub(crate) fn lost_by(existing: &Existing, plan: &Plan) -> Vec<Distribution> {
    if PythonChange::between(existing, plan).is_none() {
        return Vec::new();
    }
    let planned: Vec<String> = planned_distributions(plan)
        .into_iter()
        .map(|distribution| distribution.name)
        .collect();
    let mut seeded: Vec<&str> = planned.iter().map(String::as_str).collect();
    // A plan with pip installs the first packages anew, even if the new version starts with fewer.
    if seeded.contains(&"pip") {
        seeded.extend(SEEDS);
    }
    existing.lost_by(plan, &seeded)
}

/// The environment in an open directory; `None` if its configuration is absent or torn.
fn read(fs: &dyn Fs, root: &Dir, target: &Target<'_>) -> Result<Option<Existing>, ExistingError> {
    match Existing::read(fs, root, target.path()) {
        Ok(existing) => Ok(Some(existing)),
        Err(ExistingError::NoConfig(_) | ExistingError::Config { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn refuse(existing: &Existing, packages: Vec<LostPackage>, lost: Lost) -> Result<(), MergeError> {
    if packages.is_empty() || lost == Lost::Allow {
        return Ok(());
    }
    Err(MergeError::Lost {
        target: existing.path.clone(),
        packages,
    })
}
