//! The arguments of commands that put something into a registry, or take it out.
//!
//! Read next: `../commands/push.rs`, `../commands/cache/transfer.rs`.

use std::path::PathBuf;

use clap::Args;

use super::shared::{IndexArgs, PlacesArgs};

#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// Environment, or file or pipe with a saved plan of a whole environment; `-` is standard input
    #[arg(value_name = "ENV_OR_PLAN")]
    pub(crate) what: PathBuf,

    /// Where to: `oci://HOST/REPOSITORY:TAG`; without a tag, only the digest names it
    #[arg(value_name = "REFERENCE")]
    pub(crate) reference: String,

    #[command(flatten)]
    pub(crate) places: PlacesArgs,

    #[command(flatten)]
    pub(crate) index: IndexArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CachePushArgs {
    /// Where to: `oci://HOST/REPOSITORY:TAG`; without a tag, only the digest names it
    #[arg(value_name = "REFERENCE")]
    pub(crate) reference: String,

    #[command(flatten)]
    pub(crate) places: PlacesArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CachePullArgs {
    /// Where from: `oci://HOST/REPOSITORY@sha256:DIGEST`, or with a tag; the default is `latest`
    #[arg(value_name = "REFERENCE")]
    pub(crate) reference: String,
}
