//! The arguments of commands that put something into a registry, or take it out.
//!
//! Read next: `../commands/push.rs`, `../commands/attach.rs`, `../commands/cache/transfer.rs`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::shared::{INTERPRETER, OUTPUT, PUBLICATION, PlacesArgs, SavedWheelsArgs};

// Which environment of an index.
#[derive(Debug, Args)]
pub(crate) struct ChoiceArg {
    /// Of several environments under one tag, take the one with this Python: a version, a name or
    /// a path
    #[arg(short, long, value_name = "PYTHON", help_heading = INTERPRETER)]
    pub(crate) python: Option<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// Environment, or file or pipe with a saved plan of a whole environment; `-` is standard
    /// input; `oci://HOST/REPOSITORY@sha256:DIGEST` is what was pushed into the same repository
    ///
    /// Several of them, for different systems or Pythons, are listed by an index, of which `rvenv
    /// apply` chooses the one for its machine.
    #[arg(value_name = "SOURCE", required = true)]
    pub(crate) sources: Vec<PathBuf>,

    /// Where to: `oci://HOST/REPOSITORY:TAG`, or a directory that is shared, `oci:DIR:TAG`; without
    /// a tag, only the digest names it
    #[arg(value_name = "REFERENCE")]
    pub(crate) reference: String,

    #[command(flatten)]
    pub(crate) wheels: SavedWheelsArgs,

    /// Attach an SBOM to each environment, as `rvenv status --sbom` prints it
    #[arg(long, help_heading = PUBLICATION)]
    pub(crate) sbom: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    /// What to attach it to: `oci://HOST/REPOSITORY@sha256:DIGEST`, or with a tag
    #[arg(value_name = "REFERENCE")]
    pub(crate) reference: String,

    /// File to attach, such as a signature
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Its media type, by which other tools find it: `application/vnd.cyclonedx+json`
    #[arg(long = "type", value_name = "MEDIA_TYPE", help_heading = PUBLICATION)]
    pub(crate) kind: String,
}

#[derive(Debug, Args)]
pub(crate) struct AttachedArgs {
    /// What it is attached to: `oci://HOST/REPOSITORY@sha256:DIGEST`, or with a tag
    #[arg(value_name = "REFERENCE")]
    pub(crate) reference: String,

    /// Only what has this media type
    #[arg(long = "type", value_name = "MEDIA_TYPE", help_heading = OUTPUT)]
    pub(crate) kind: Option<String>,

    /// Write the files into this directory; no file there is replaced
    #[arg(short, long, value_name = "DIR", help_heading = OUTPUT)]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CachePushArgs {
    /// Where to: `oci://HOST/REPOSITORY:TAG`, or a directory that is shared, `oci:DIR:TAG`; without
    /// a tag, only the digest names it
    #[arg(value_name = "REFERENCE")]
    pub(crate) reference: String,

    #[command(flatten)]
    pub(crate) places: PlacesArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CachePullArgs {
    /// Where from: `oci://HOST/REPOSITORY@sha256:DIGEST` or `oci:DIR@sha256:DIGEST`, or with a tag;
    /// the default is `latest`
    #[arg(value_name = "REFERENCE")]
    pub(crate) reference: String,

    #[command(flatten)]
    pub(crate) choice: ChoiceArg,
}
