//! The arguments of `image`.
//!
//! Read next: `../commands/image.rs`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::registry::ChoiceArg;
use super::shared::{OUTPUT, SavedWheelsArgs, TARGET};

#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    /// Environment, or file or pipe with a saved plan of a whole environment, or
    /// `oci://HOST/REPOSITORY@sha256:DIGEST` as `rvenv push` prints it; `-` is standard input
    #[arg(value_name = "SOURCE")]
    pub(crate) source: PathBuf,

    /// Make the plan again for this path, at which the image has the environment
    #[arg(long, value_name = "DIR", help_heading = TARGET)]
    pub(crate) at: Option<OsString>,

    /// Put the environment on this image, which has the interpreter
    ///
    /// `oci://HOST/REPOSITORY:TAG` or `oci://HOST/REPOSITORY@sha256:DIGEST` is fetched from a
    /// registry; of an index that lists images for several platforms, the one for the wheels of the
    /// environment is taken. `DIR` or `DIR:TAG` is an OCI layout, as `skopeo copy
    /// docker://python:3.13-slim oci:base` writes it. The layers and the configuration of the base
    /// become those of the image. Without a base, the image has the environment alone.
    #[arg(long, value_name = "IMAGE", help_heading = TARGET)]
    pub(crate) base: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) choice: ChoiceArg,

    #[command(flatten)]
    pub(crate) wheels: SavedWheelsArgs,

    /// Where to: a directory or a file whose name ends with `.tar` for oci-layout, else a file
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::AnyPath, help_heading = OUTPUT)]
    pub(crate) out: PathBuf,

    /// The form of the image
    #[arg(long, value_enum, value_name = "FORM", default_value_t, help_heading = OUTPUT)]
    pub(crate) format: FormatArg,

    /// Replace an image of the same form
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) force: bool,
}

/// The form of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// Layers for container engines
    #[default]
    OciLayout,
    /// One file to mount, by `mksquashfs`
    Squashfs,
    /// One file to mount, by `mkfs.erofs`
    Erofs,
}
