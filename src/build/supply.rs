//! Supplies: the wheels that a plan may install, in one list, and where each of them comes from.
//!
//! Has the differences between the sources of wheels as methods of [`WheelSource`], except what
//! only one hook of `hooks/pip.rs` does: `setup` fails if nothing is bundled, `upgrade` if a
//! download is absent, and the bundled pip decides about launchers and `REQUESTED`.
//!
//! A new source of packages needs:
//! 1. a [`WheelSource`]: the compiler asks for its answer in every method;
//! 2. what requests it: a field of `Options` or of `EnvRequest` (`front/request.rs`), of
//!    `EnvBuilder`, and of the command's `VenvArgs` (`args/shared.rs`, read in
//!    `commands/asking.rs`). `pyvenv_cfg.rs` writes the options that venv has too, and
//!    `published_config` of `change/repair/published.rs` tries each of them;
//! 3. its files, as [`Supply`] in `Context::supplies`: from `Context::new` if the interpreter has
//!    them, otherwise from `Caller::prepare` in `front/request.rs` or from `front/lookups.rs`;
//! 4. what plans them: a function of `hooks/pip.rs`, called by a method of `Hooks` (which `draft`
//!    in `hooks.rs` calls in order) or of `Draft`, or by `change/carry.rs`. If it is forgotten,
//!    nothing is installed, yet `replaced_distributions` reports installed distributions of the
//!    same names as replaced, unless `WheelSource::is_optional`;
//! 5. the place of its part in a plan that is shown: `parts` of `change/render.rs`;
//! 6. if a new environment has its distributions, so that they are not the user's: `SEEDS` of
//!    `change/merge/lost_packages.rs`, and `is_not_asked_for` of `change/merge.rs`.
//!
//! Read next: `hooks/pip.rs`, which plans them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rvenv_journal::Digest;
use rvenv_journal::raw::Attestation;

use crate::build::options::Options;
use crate::wheel::Named;
use crate::wheel::Release;

/// A wheel that may be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supply {
    /// Its file.
    pub wheel: PathBuf,
    /// Where it came from.
    pub source: WheelSource,
    /// The text of its `direct_url.json`, if it was asked for by its place.
    pub direct_url: Option<Arc<str>>,
    /// A URL that has it, without anything secret.
    pub url: Option<String>,
    /// Its attestation, if the index has one.
    pub attestation: Option<Attestation>,
    /// Whether it is needed only by others, so that nobody asked for it itself.
    pub is_dependency: bool,
    /// Its digest, if the environment has it already: then no file was looked for, and the path
    /// of the wheel is only its name. The plan keeps what is installed.
    pub installed: Option<Digest>,
}

/// Where a wheel comes from, and so what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WheelSource {
    /// It is bundled with the interpreter, for `ensurepip`.
    Bundled,
    /// It was fetched for `upgrade_deps`.
    Upgrade,
    /// It was looked up to replace the same version of a distribution that does not fit a new
    /// Python.
    Refit,
    /// A lock names it.
    Locked,
    /// The caller gave it, for [`post_setup`](super::hooks::Hooks::post_setup) to install.
    Given,
}

impl WheelSource {
    /// Whether the options want such wheels.
    pub(super) fn is_wanted(self, options: &Options) -> bool {
        match self {
            Self::Bundled => options.with_pip,
            Self::Upgrade => options.upgrade_deps,
            Self::Refit | Self::Locked | Self::Given => true,
        }
    }

    /// Whether it is planned only if a hook or the change of Python installs it.
    pub(super) fn is_optional(self) -> bool {
        match self {
            Self::Refit | Self::Given => true,
            Self::Bundled | Self::Upgrade | Self::Locked => false,
        }
    }

    /// Whether it is installed although a newer version is: a lock says exactly what is installed.
    pub(super) fn is_exact(self) -> bool {
        match self {
            Self::Locked => true,
            Self::Bundled | Self::Upgrade | Self::Refit | Self::Given => false,
        }
    }

    /// Whether it replaces another wheel of the same name.
    fn displaces(self, other: Self) -> bool {
        match (self, other) {
            (Self::Upgrade, Self::Bundled) | (Self::Locked, Self::Bundled | Self::Upgrade) => true,
            (Self::Upgrade, Self::Upgrade | Self::Refit | Self::Locked | Self::Given)
            | (Self::Locked, Self::Refit | Self::Locked | Self::Given)
            | (
                Self::Bundled | Self::Refit | Self::Given,
                Self::Bundled | Self::Upgrade | Self::Refit | Self::Locked | Self::Given,
            ) => false,
        }
    }

    /// The part of the plan that has its files, unless a hook installs it.
    pub(super) fn part(self) -> &'static str {
        match self {
            Self::Bundled => "pip",
            Self::Upgrade => "dependencies",
            Self::Refit | Self::Locked => "packages",
            Self::Given => "post_setup",
        }
    }
}

/// What happens to installed distributions that no lock names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extraneous {
    /// They stay: there is no lock.
    #[default]
    Stay,
    /// Those that an earlier lock brought go; what another installer installed stays.
    OfLocksGo,
    /// All go, except pip and setuptools.
    Go,
}

/// What a search for the wheel of one release found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookedUp {
    /// The release.
    pub release: Release,
    /// The wheel, or why there is none, as a clause.
    pub found: Result<PathBuf, String>,
}

impl Supply {
    /// The supplies of one kind.
    pub fn from_source(wheels: &[PathBuf], source: WheelSource) -> impl Iterator<Item = Self> {
        let supply = move |wheel: &PathBuf| Self {
            wheel: wheel.clone(),
            source,
            direct_url: None,
            url: None,
            attestation: None,
            is_dependency: false,
            installed: None,
        };
        wheels.iter().map(supply)
    }

    /// The name of its distribution, if the name of the file has one.
    pub(crate) fn name(&self) -> Option<String> {
        Named::of(&self.wheel).map(|wheel| wheel.name)
    }
}

/// The wheels that may be installed under these options: those that are wanted and that no other
/// replaces.
pub(super) fn wanted<'s>(
    supplies: &'s [Supply],
    options: &'s Options,
) -> impl Iterator<Item = &'s Supply> {
    let wanted = |supply: &&Supply| supply.source.is_wanted(options);
    let is_displaced = move |supply: &Supply| {
        let others = supplies.iter().filter(wanted);
        let mut above = others.filter(|other| other.source.displaces(supply.source));
        supply.name().is_some() && above.any(|other| other.name() == supply.name())
    };
    let all = supplies
        .iter()
        .filter(move |supply| supply.source.is_wanted(options));
    all.filter(move |supply| !is_displaced(supply))
}

/// The supply of this kind whose file is at `path`.
pub(super) fn of<'s>(
    supplies: &'s [Supply],
    source: WheelSource,
    path: &Path,
) -> Option<&'s Supply> {
    let mut supplies = supplies.iter();
    supplies.find(|supply| supply.source == source && supply.wheel == path)
}
