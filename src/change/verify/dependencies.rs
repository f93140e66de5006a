//! What installed distributions require of each other, as `pip check` reports it.
//!
//! Promises to report each requirement that holds for this Python and platform and that no
//! installed version meets. This is no drift: the environment is as an installer left it. Does not
//! promise anything about distributions of the base installation: where the environment sees them,
//! a requirement that is absent here may be met there, and is not reported.
//!
//! Read next: `wheel/requirement.rs`, the form of a requirement.

use std::collections::BTreeMap;

use rvenv_journal::Fs;
use rvenv_journal::fs::{Dir, FsError};

use super::open_within::Within;
use crate::change::existing::Existing;
use crate::wheel::distributions::Distribution;
use crate::wheel::installed::requirements;
use crate::wheel::requirement::Requirement;

/// A requirement that is not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// The distribution that requires it.
    pub distribution: Distribution,
    /// The requirement, as it is written.
    pub requirement: String,
    /// What is installed under the name; `None` if nothing is.
    pub installed: Option<Distribution>,
}

/// The requirements of an environment that are not met.
///
/// # Errors
/// The error of the disk.
pub(super) fn unmet(fs: &dyn Fs, root: &Dir, existing: &Existing) -> Result<Vec<Unmet>, FsError> {
    let Some(flavour) = existing.flavour() else {
        return Ok(Vec::new());
    };
    let is_own = |of: &Option<_>| of.as_ref().is_none_or(|of| *of == flavour);
    let libs = existing.libs.iter().filter(|lib| is_own(&lib.flavour));
    let libs: Vec<_> = libs.collect();
    let all = libs.iter().flat_map(|lib| &lib.distributions);
    let all: BTreeMap<&str, &Distribution> = all.map(|one| (one.name.as_str(), one)).collect();
    let variables = existing.variables(flavour.minor);
    let mut within = Within::new(fs, root.clone());
    let mut found = Vec::new();
    for lib in libs {
        let Some(dir) = within.open(lib.path.as_str())? else {
            continue;
        };
        for distribution in &lib.distributions {
            for text in requirements(fs, &dir, distribution) {
                let read = Requirement::parse(&text, &variables);
                let Some(required) = read.filter(|required| required.holds) else {
                    continue;
                };
                let installed = all.get(required.name.as_str()).copied();
                let is_met = match installed {
                    None => existing.frame.config.system_site_packages,
                    // A version that nothing says is no conflict.
                    Some(one) => required
                        .versions
                        .as_ref()
                        .is_none_or(|range| one.version.is_empty() || range.include(&one.version)),
                };
                if !is_met {
                    found.push(Unmet {
                        distribution: distribution.clone(),
                        requirement: text,
                        installed: installed.cloned(),
                    });
                }
            }
        }
    }
    Ok(found)
}
