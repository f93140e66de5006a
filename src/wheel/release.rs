//! Releases: one version of one distribution.
//!
//! Read next: `file_name.rs`, the names of the wheels of a release.

use std::fmt;

/// One release of a distribution.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    /// The name in its normal form.
    pub name: String,
    /// The version.
    pub version: String,
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=={}", self.name, self.version)
    }
}
