//! Sources: what a caller says about where packages are looked for.
//!
//! Read next: `../fetch/settings.rs`, which adds pip's configuration.

use std::ffi::OsString;

/// Where packages are looked for, besides what the user's configuration names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Directories, files and pages with wheels: `--find-links`.
    pub find_links: Vec<OsString>,
    /// The index in place of the configured one: `--index-url`.
    pub index_url: Option<OsString>,
    /// More indexes: `--extra-index-url`.
    pub extra_index_urls: Vec<OsString>,
    /// Whether no index is used at all: `--no-index`.
    pub no_index: bool,
    /// The places by digest in the order in which they are asked: `--from`.
    pub from: Vec<String>,
    /// Hosts whose certificates are not verified: `--trusted-host`, a line of requirements files.
    pub trusted_hosts: Vec<String>,
}
