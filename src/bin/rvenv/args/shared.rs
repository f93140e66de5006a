//! The options that several commands share: how a plan is carried out, and where pip looks for
//! wheels.
//!
//! Read next: `../args.rs`, the commands.

use std::ffi::OsString;

use clap::{Args, ValueEnum};

use super::{PACKAGES, PUBLICATION};

/// Where pip looks for wheels, besides what its own configuration names.
#[derive(Debug, Default, Args)]
pub(crate) struct IndexArgs {
    /// Look for wheels in this directory or on this page too; repeatable
    #[arg(long, value_name = "PATH_OR_URL", help_heading = PACKAGES)]
    pub(crate) find_links: Vec<OsString>,

    /// Download from this index; the default is that of pip's configuration
    #[arg(long, value_name = "URL", help_heading = PACKAGES)]
    pub(crate) index_url: Option<OsString>,

    /// Download from this index too; repeatable
    #[arg(long, value_name = "URL", help_heading = PACKAGES)]
    pub(crate) extra_index_url: Vec<OsString>,

    /// Download from no index: only --find-links and the pages of pip's configuration count
    #[arg(long, help_heading = PACKAGES)]
    pub(crate) no_index: bool,
}

/// How a plan is carried out.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Choose what a successful change survives
    #[arg(
        long, value_enum, value_name = "LEVEL",
        default_value_t = DurabilityArg::Power, help_heading = PUBLICATION
    )]
    pub(crate) durability: DurabilityArg,

    /// Choose how files are taken from the cache
    #[arg(
        long, value_enum, value_name = "MODE",
        default_value_t = LinkModeArg::Auto, help_heading = PUBLICATION
    )]
    pub(crate) link_mode: LinkModeArg,

    /// Wait at most this long while another process changes the target
    #[arg(long, value_name = "SECONDS", default_value_t = 60, help_heading = PUBLICATION)]
    pub(crate) wait: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DurabilityArg {
    /// Survive a power cut
    Power,
    /// Survive a kill; a power cut may leave neither the old nor the new environment
    Process,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LinkModeArg {
    /// Share blocks, else link, else copy
    Auto,
    /// Share blocks, else copy
    Reflink,
    /// Link, else copy
    Hardlink,
    /// Copy; an edit in place then changes one environment only
    Copy,
}
