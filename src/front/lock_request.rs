//! What a caller wants to install: locks, requirements and places, and what may be built.
//!
//! Promises nothing but its meaning.
//! Read next: `locked.rs`, which finds the wheels.

use std::path::PathBuf;

use crate::base::config_settings::ConfigSettings;
use crate::build::supply::Extraneous;
use crate::lock::Selection;
use crate::resolve::{AskedPlace, Resolver, SourceUse};

/// What may be built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Builds {
    /// What a resolver answers; the sources that a lock names are refused.
    #[default]
    Unlocked,
    /// The sources that a lock names too.
    All,
    /// Nothing.
    Nothing,
}

/// Locks whose packages an environment gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockRequest {
    /// The locks: `pylock.toml` or hashed requirements files.
    pub files: Vec<PathBuf>,
    /// The extras and dependency groups.
    pub selection: Selection,
    /// Directories of wheels that are asked first.
    pub wheelhouses: Vec<PathBuf>,
    /// What happens to other distributions.
    pub extraneous: Extraneous,
    /// More hosts that files may come from.
    pub allow_hosts: Vec<String>,
    /// Requirements that are resolved first, with the lines of files that are no locks.
    pub requirements: Vec<String>,
    /// Directories, archives and repositories that are resolved with them.
    pub places: Vec<AskedPlace>,
    /// Whether what the packages need for another Python, and the environment lacks, is resolved
    /// and added.
    pub with_deps: bool,
    /// Who resolves them.
    pub resolver: Resolver,
    /// What may be built.
    pub builds: Builds,
    /// What the backends of sources get besides what pip's configuration has for them.
    pub config_settings: ConfigSettings,
    /// The packages whose builds need this, from the first on; a build that needs one of them again
    /// is refused.
    pub for_build_of: Vec<String>,
}

impl LockRequest {
    /// Whether nothing is asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.requirements.is_empty() && self.places.is_empty()
    }

    /// Whether a resolver may answer with sources, and may build to learn what they need.
    pub(super) fn resolved_sources(&self) -> SourceUse {
        match self.builds {
            Builds::Unlocked | Builds::All => SourceUse::Build,
            Builds::Nothing => SourceUse::Refuse,
        }
    }
}
