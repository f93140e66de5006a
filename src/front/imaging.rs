//! An environment as an image: for container engines as an OCI layout, for clusters as one file
//! with a filesystem.
//!
//! Promises that the same plan gives the same bytes, for every user and on every machine: of the
//! machine, only the versions of rvenv and of the tools that write filesystems count. Times are
//! those of the plan, and one fixed time for the rest. Every byte has the digest that the plan has
//! for it. A file of more than a mebibyte is never in memory as a whole.
//!
//! Does not promise that an image has an interpreter: an environment links to one, and the base has
//! it, or the machine that mounts the image.
//!
//! On disk meanwhile: a private directory beside the image. What a crash leaves, besides the old
//! image or none, after
//!
//! - the creation of `.rvenv-image-…`, every write into it and every fsync of it: that directory,
//!   which may be deleted; the next run makes another one;
//! - the rename, or the exchange with the old image: the new image in place of the old one, and
//!   that directory, which is empty or has the old image;
//! - the fsync of the directory above: the new image, also after a power cut.
//!
//! Where the filesystem cannot exchange two names, a layout that is replaced is first renamed into
//! that directory: after a crash right then it is there, and nothing has its name.
//!
//! Read next: `imaging/place.rs`, then `imaging/layout.rs` and `imaging/filesystem.rs`;
//! `../artifact/layers.rs`, what is in which layer.

pub mod base;
mod base_files;
mod base_pull;
mod bytes;
mod filesystem;
mod layer;
mod layout;
mod place;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use rvenv_journal::fs::FsError;
use rvenv_journal::raw::{ENGINE_DIR, Input};
use rvenv_journal::{
    Content, ContentError, Digest, Mode, Node, Operation, Plan, Publication, Receipt, RelPath,
};
use thiserror::Error;

use self::base::Base;
use self::bytes::Bytes;
use self::place::Place;
use super::caller::{Caller, Compilation};
use super::plan_note::{interpreter_of, wheels_of};
use super::pulling::PullFailed;
use super::saved_plan::WheelPlaces;
use crate::artifact::image::{WrittenLayer, architecture};
use crate::artifact::layers::{BASE_LAYERS_MAX, Tree};
use crate::artifact::manifest::ManifestError;
use crate::build::roles;
use crate::change::provision::{Known, Provision, StoreAccess};
use crate::fetch::Reference;
use crate::python::{Lines, shown};
use crate::wheel::Catalogue;

/// 1980-01-01, which a wheel gives to files without a time.
const TIME: i64 = 315_532_800;

/// The form of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An OCI layout: a directory, or a tar archive of one.
    OciLayout,
    /// A compressed filesystem in one file, read by every Linux of today.
    Squashfs,
    /// A compressed filesystem in one file, which needs less memory to read.
    Erofs,
}

/// Whether an image may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// It may not.
    Refuse,
    /// It may, if it is of the form of the new one.
    Allow,
}

/// What image to make, and where.
#[derive(Clone, Debug)]
pub struct ImageRequest {
    /// Its path.
    pub out: PathBuf,
    /// Its form.
    pub format: Format,
    /// Whether what has its path may be replaced.
    pub replace: Replace,
    /// The image to put the environment on.
    pub base: Option<BaseImage>,
    /// Whether the interpreter of the plan may be started to compile what the store no longer has.
    pub compilation: Compilation,
}

/// Where the image is that an environment is put on.
#[derive(Clone, Debug)]
pub enum BaseImage {
    /// In a layout: `PATH`, or `PATH:TAG`.
    Layout(PathBuf),
    /// In a registry.
    Hosted {
        /// What names it, or an index that lists it.
        reference: Reference,
        /// The settings for registries.
        from: Box<WheelPlaces>,
    },
}

/// An image that was made.
#[derive(Clone, Debug)]
pub struct Imaged {
    /// The digest of its manifest, or of the file.
    pub digest: Digest,
    /// The number of its bytes.
    pub len: u64,
    /// The processors that it is for, as images name them.
    pub architecture: &'static str,
    /// How many layers come from the base.
    pub base_layers: usize,
    /// The layers that were written; none for a filesystem.
    pub layers: Vec<WrittenLayer>,
}

/// Why there is no image.
#[derive(Debug, Error)]
pub enum ImageFailed {
    /// The plan changes what exists.
    #[error("the plan changes what exists at `{}`, which is on this machine only", .0.escape_debug())]
    OfExisting(String),
    /// The environment is not one for Linux.
    #[error("the wheel `{}` is not for Linux, and images are", .0.escape_debug())]
    OtherSystem(String),
    /// A layer cannot have the file.
    #[error("a layer cannot have the file `{0}`: its name means that another one is deleted")]
    Whiteout(RelPath),
    /// Bytes of the plan cannot be had.
    #[error("cannot get the bytes of `{path}`")]
    Content {
        /// The path in the environment.
        path: RelPath,
        /// Why.
        source: ContentError,
    },
    /// The path of the image is no name of a file.
    #[error("`{}` does not name a file in a directory", shown(.0))]
    NoName(PathBuf),
    /// Something has the path of the image.
    #[error("`{}` exists", shown(.0))]
    Exists(PathBuf),
    /// Something has the path of the image, and is no image of this form.
    #[error("`{}` is not {expected}, and is not replaced", shown(path))]
    Foreign {
        /// The path.
        path: PathBuf,
        /// What could be replaced.
        expected: &'static str,
    },
    /// The disk refused something.
    #[error("cannot write the image beside `{}`", shown(path))]
    Disk {
        /// The path of the image.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The image has its path, and the directory could not be synced.
    #[error("cannot make the name `{}` durable", shown(path))]
    Doubt {
        /// The path of the image.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The program that makes the filesystem is not there.
    #[error("there is no `{program}` in the directories of PATH")]
    NoTool {
        /// Its name.
        program: &'static str,
        /// The package that usually has it.
        package: &'static str,
    },
    /// The program that makes the filesystem failed.
    #[error("`{program}` failed: {how}{}", Lines(said))]
    Tool {
        /// Its name.
        program: &'static str,
        /// How it ended.
        how: String,
        /// The end of what it said.
        said: Vec<String>,
    },
    /// A filesystem has no base.
    #[error("only an OCI layout has a base")]
    BaseOfFilesystem,
    /// The base cannot be read.
    #[error("cannot read the base image `{}`", shown(path))]
    Base {
        /// The layout.
        path: PathBuf,
        /// Why.
        source: BaseFault,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// What is wrong with a base image.
#[derive(Debug, Error)]
pub enum BaseFault {
    /// A file of it cannot be read.
    #[error("cannot read `{name}`")]
    Read {
        /// The file.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A file of it is malformed.
    #[error("`{name}` is malformed")]
    Malformed {
        /// The file.
        name: String,
        /// Why.
        source: ManifestError,
    },
    /// A blob has other bytes.
    #[error("the blob {0} is damaged")]
    Damaged(Digest),
    /// Nothing has this tag or digest.
    #[error("it does not exist")]
    Absent,
    /// The index lists an image that is not there.
    #[error("it lists the manifest `sha256:{0}`, which does not exist")]
    Lacks(Digest),
    /// It cannot be had.
    #[error(transparent)]
    Pull(Box<PullFailed>),
    /// It has no image for these processors.
    #[error("it has no image for {0}")]
    None(&'static str),
    /// It has several images.
    #[error("it has {0} images for {1}")]
    Several(usize, &'static str),
    /// Its manifest and its configuration do not agree.
    #[error("its manifest has {manifest} layers, its configuration {config}")]
    Layers {
        /// The number in the manifest.
        manifest: usize,
        /// The number in the configuration.
        config: usize,
    },
    /// It has no interpreter for the environment.
    #[error("it does not have the interpreter of the plan at `{}`", .0.escape_debug())]
    NoInterpreter(String),
    /// It has so many layers that the environment cannot have its own.
    #[error("it has {0} layers, and a base may have {BASE_LAYERS_MAX}")]
    Crowded(usize),
}

impl From<PullFailed> for BaseFault {
    fn from(failed: PullFailed) -> Self {
        Self::Pull(Box::new(failed))
    }
}

impl Caller<'_> {
    /// Makes an image of a plan whose wheels are files, as [`Caller::find_wheels`] finds them.
    ///
    /// # Errors
    /// See [`ImageFailed`]; what had the path of the image has it still.
    ///
    /// # Crash
    /// As the head of this file says.
    pub fn image(&self, plan: &Plan, request: &ImageRequest) -> Result<Imaged, ImageFailed> {
        if plan.publication() != Publication::Put {
            return Err(ImageFailed::OfExisting(plan.target().to_owned()));
        }
        if request.base.is_some() && request.format != Format::OciLayout {
            return Err(ImageFailed::BaseOfFilesystem);
        }
        let wheels = wheels_of(plan).map(|input| input.path.as_str());
        let architecture = architecture(wheels);
        let architecture =
            architecture.map_err(|wheel| ImageFailed::OtherSystem(wheel.to_owned()))?;
        let place = Place::open(self.fs, request)?;
        let base = match &request.base {
            Some(BaseImage::Layout(path)) => Some(Base::read(path, architecture)?),
            Some(BaseImage::Hosted { reference, from }) => {
                Some(self.pull_base(reference, from, architecture)?)
            }
            None => None,
        };
        let wheels = Catalogue::new(self.host.cache.as_ref());
        self.with_control(|control| {
            let compiler = self.compiler(control);
            let may_compile = request.compilation == Compilation::Allowed;
            let known = Known::of_saved(&wheels, may_compile.then_some(&compiler));
            let mut inputs = plan.inputs().iter();
            let has_bytecode = inputs.any(|input| input.role == roles::BYTECODE);
            let store_access = StoreAccess {
                fs: self.fs,
                // Only bytecode is nowhere else; a wheel is read once, which needs no copy of it.
                cache: self.host.cache.as_ref().filter(|_| has_bytecode),
            };
            let subject = Subject {
                target: plan.target(),
                interpreter: interpreter_of(plan),
                root_mode: plan.root_mode(),
                tree: tree(plan),
                architecture,
                time: self.host.epoch.unwrap_or(TIME),
                outcome: plan.outcome(),
                bytes: Bytes {
                    fs: self.fs,
                    source: Provision::new(store_access, plan, known),
                    interrupted: &|| self.listener.interrupted(),
                },
            };
            let imaged = match request.format {
                Format::OciLayout => layout::make(&subject, &place, base.as_ref()),
                Format::Squashfs | Format::Erofs => {
                    let around = &self.host.surroundings;
                    let tool = filesystem::Tool::of(request.format, around)?;
                    tool.make(&subject, &place, control)
                }
            };
            let imaged = imaged.map_err(|failed| {
                // A reader that was stopped looks like a disk that failed.
                if self.listener.interrupted() {
                    ImageFailed::Interrupted
                } else {
                    failed
                }
            })?;
            place.publish()?;
            Ok(imaged)
        })
    }
}

/// What an image is made of.
struct Subject<'a> {
    target: &'a str,
    interpreter: Option<&'a Input>,
    root_mode: Mode,
    tree: Tree,
    architecture: &'static str,
    /// The time of everything that has none in the plan.
    time: i64,
    /// The digest of what the plan makes.
    outcome: Digest,
    bytes: Bytes<'a>,
}

/// Every path of the environment, the receipt included, as the engine publishes it.
fn tree(plan: &Plan) -> Tree {
    let operations = plan.operations().iter();
    let mut tree: BTreeMap<RelPath, Operation> = operations
        .map(|(path, operation)| (path.clone(), operation.clone()))
        .collect();
    let own = |node| Operation {
        part: ENGINE_DIR.into(),
        group: None,
        node,
    };
    let path = Receipt::path();
    if let Some(dir) = path.parent() {
        let mode = plan.root_mode();
        tree.insert(dir, own(Node::Dir { mode }));
    }
    let receipt = Node::File {
        mode: plan.root_mode().masked(0o111),
        mtime: None,
        content: Content::Inline(Receipt::json_of(plan).into_bytes()),
    };
    tree.insert(path, own(receipt));
    tree
}

/// An error of the disk.
fn disk(out: &Path) -> impl Fn(io::Error) -> ImageFailed + Copy {
    |source| ImageFailed::Disk {
        path: out.to_owned(),
        source,
    }
}

/// An error of the disk, without what the call was to do.
fn of_fs(out: &Path) -> impl Fn(FsError) -> ImageFailed + Copy {
    |error| disk(out)(error.source)
}
