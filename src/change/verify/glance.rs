//! A glance at an environment: what its frame shows without comparing a file.
//!
//! Promises the same states as `verify` for the base, the place and the directories of packages,
//! and to read only `pyvenv.cfg`, the activation script, the first lines of the scripts and the
//! names of the distributions. Does not promise that anything else is whole: `verify` compares
//! every file. Starts no program and writes nothing.
//!
//! Read next: `frame.rs`.

use rvenv_journal::fs::Dir;
use rvenv_journal::raw::DiskError as _;
use rvenv_journal::{Digest, Target};

use super::{FrameChecked, State, VerifyFailed, frame};
use crate::change::existing::{Config, Existing, ExistingError, Lib, Libs};
use crate::change::generations::Contents;
use crate::change::look_failed::LookFailed;
use crate::change::merge::receipt_in;
use crate::change::published_wheels::PublishedWheels;
use crate::wheel::distributions::Distribution;
use crate::wheel::installed::{Installed, Licence};

/// What a glance shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glance {
    /// Its configuration, if that can be read.
    pub config: Option<Config>,
    /// Why the configuration cannot be read.
    pub fault: Option<String>,
    /// The frame against what exists.
    pub frame: FrameChecked,
    /// Its directories of packages.
    pub libs: Vec<Lib>,
}

/// A distribution, and what an inventory says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Which one, and where it comes from.
    pub installed: Installed,
    /// Its licence, if its metadata names one.
    pub licence: Option<Licence>,
    /// The digest of the wheel that rvenv installed, unless something was installed over it.
    pub wheel: Option<Digest>,
}

impl Glance {
    /// Its version of Python and its distributions.
    #[must_use]
    pub fn contents(&self) -> Contents {
        let python = self.config.as_ref();
        Contents::of_libs(python.and_then(|config| config.version.clone()), &self.libs)
    }

    /// Every distribution with what its directory says, each with its directory of packages.
    ///
    /// # Errors
    /// [`VerifyFailed::Disk`].
    pub fn installed(&self, target: &Target<'_>) -> Result<Vec<(String, Installed)>, VerifyFailed> {
        self.each(target, |dir, lib, distribution| {
            let installed = Installed::read(target.disk(), dir, distribution.clone());
            (lib.path.to_string(), installed)
        })
    }

    /// Every distribution with its origin and its licence.
    ///
    /// # Errors
    /// [`VerifyFailed::Disk`].
    pub fn described(&self, target: &Target<'_>) -> Result<Vec<Described>, VerifyFailed> {
        let fs = target.disk();
        let root = target.root().map_err(LookFailed::disk(target.path()))?;
        let published = receipt_in(fs, &root).map(PublishedWheels::of);
        self.each(target, |dir, lib, distribution| Described {
            installed: Installed::read(fs, dir, distribution.clone()),
            licence: Licence::read(fs, dir, distribution),
            wheel: published
                .as_ref()
                .and_then(|published| published.current(fs, dir, lib, distribution)),
        })
    }

    fn each<T>(
        &self,
        target: &Target<'_>,
        read: impl Fn(&Dir, &Lib, &Distribution) -> T,
    ) -> Result<Vec<T>, VerifyFailed> {
        let disk = LookFailed::disk(target.path());
        let fs = target.disk();
        let mut within = super::Within::new(fs, target.root().map_err(disk)?);
        let mut found = Vec::new();
        for lib in &self.libs {
            let Some(dir) = within.open(lib.path.as_str()).map_err(disk)? else {
                continue;
            };
            let distributions = lib.distributions.iter();
            found.extend(distributions.map(|distribution| read(&dir, lib, distribution)));
        }
        Ok(found)
    }

    /// What is true of the frame, the worst first; [`State::Clean`] only alone.
    #[must_use]
    pub fn states(&self) -> Vec<State> {
        let states = [
            (self.frame.base_lost.is_some(), State::BaseLost),
            (self.frame.moved_from.is_some(), State::Moved),
            (
                self.fault.is_some() || !self.frame.drift.is_empty(),
                State::Damaged,
            ),
            (!self.frame.lost.is_empty(), State::LostPackages),
        ];
        let found = states.into_iter().filter(|(is_so, _)| *is_so);
        let mut found: Vec<State> = found.map(|(_, state)| state).collect();
        if found.is_empty() {
            found.push(State::Clean);
        }
        found
    }
}

/// Glances at the environment at a target.
///
/// # Errors
/// [`VerifyFailed::Disk`].
pub fn glance(target: &Target<'_>) -> Result<Glance, VerifyFailed> {
    let disk = LookFailed::disk(target.path());
    let fs = target.disk();
    let root = target.root().map_err(disk)?;
    let seen = Libs::read(fs, &root).map_err(disk)?;
    match Existing::with_libs(fs, &root, target.path(), seen.libs.clone()) {
        Ok(existing) => Ok(Glance {
            frame: frame::examine(fs, &root, &existing).map_err(disk)?,
            config: Some(existing.frame.config),
            fault: None,
            libs: existing.libs,
        }),
        Err(ExistingError::Disk { source, .. }) => Err(disk(source).into()),
        Err(error) => Ok(Glance {
            config: None,
            fault: Some(error.to_string()),
            frame: FrameChecked::default(),
            libs: seen.libs,
        }),
    }
}
