//! `rvenv image`: makes an image of an environment, for container engines or to be mounted.
//!
//! Promises to print the digest of the image on standard output, and nothing else there.
//! Read next: the library's `front/imaging.rs`.

use rvenv::caller::Compilation;
use rvenv::fetch::is_reference;
use rvenv::imaging::{BaseImage, Format, ImageRequest, Imaged, Replace};
use rvenv::rebuilding::NoteState;
use rvenv::render::{escape, shown_size};
use rvenv::saved_plan::Need;
use rvenv_journal::Plan;
use rvenv_journal::raw::counted;
use serde::Serialize;

use super::choice::not_an_index;
use super::generations::json_of;
use super::push::{places_of, reference};
use crate::advice::{CliError, Exit, of_image, of_rebuild, of_unsuited};
use crate::args::{FormatArg, ImageArgs};
use crate::session::Session;
use crate::shell_words::word;

/// An image that was made.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ImageJson {
    /// The version of this form.
    format: u64,
    /// Where it is.
    path: String,
    form: FormJson,
    /// The digest of the manifest of an OCI layout, else of the file.
    sha256: String,
    /// The number of its bytes.
    size: u64,
    /// The path of the environment in the image; that at which a filesystem is to be mounted.
    target: String,
    /// The digest of what the plan makes, which `rvenv status --json` has as `receipt.plan`.
    publishes: String,
    /// The processors, as images name them.
    architecture: &'static str,
    /// How many layers come from the base.
    base_layers: usize,
    /// The layers of the environment; none for a filesystem.
    layers: Vec<LayerJson>,
}

/// A layer of an image.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct LayerJson {
    /// What is in it.
    what: String,
    sha256: String,
    size: u64,
    /// The digest of what it unpacks to.
    diff_id: String,
}

/// The form of an image.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
enum FormJson {
    OciLayout,
    Squashfs,
    Erofs,
}

impl Session<'_> {
    pub(crate) fn image(&self, args: &ImageArgs) -> Result<Exit, CliError> {
        let plan = self.to_image(args)?;
        let request = ImageRequest {
            out: args.out.clone(),
            format: match args.format {
                FormatArg::OciLayout => Format::OciLayout,
                FormatArg::Squashfs => Format::Squashfs,
                FormatArg::Erofs => Format::Erofs,
            },
            replace: if args.force {
                Replace::Allow
            } else {
                Replace::Refuse
            },
            base: base(args)?,
            compilation: Compilation::of(args.wheels.compile_bytecode),
        };
        let what = "Writing the image";
        let made = self.with_caller_at(what, |caller| caller.image(&plan, &request));
        let made = made.map_err(|failed| of_image(&failed, self.signals.terminated()))?;
        self.tell_image(args, &made, &plan)?;
        Ok(Exit::Done)
    }

    /// The plan of the image, whose wheels are files.
    fn to_image(&self, args: &ImageArgs) -> Result<Plan, CliError> {
        let mut from = places_of(&args.wheels);
        let (plan, note_state) = if args.source.is_dir() {
            if let Some(python) = self.wanted_of_index(&args.choice)? {
                let given = args.source.to_string_lossy();
                return Err(not_an_index(&escape(&given), &python));
            }
            (self.to_push(&args.source, &from)?, NoteState::Unproved)
        } else {
            let read = self.read_plan(&args.source, &args.choice, &mut from)?;
            self.take_bytecode(&read, &from)?;
            (read.plan().clone(), read.note_state())
        };
        let found = self.with_caller(|caller| caller.find_wheels(&plan, &from, Need::Files));
        let plan = found.map_err(|failed| of_unsuited(&failed, self.signals.terminated()))?;
        let at = args.at.as_ref().map(|at| self.world.env_dir(at));
        match at.transpose()?.filter(|at| at != plan.target()) {
            Some(at) => {
                let made = self.with_caller(|caller| caller.rebuilt(&plan, &at, note_state));
                made.map_err(|failed| of_rebuild(failed, self.signals.terminated()))
            }
            None => Ok(plan),
        }
    }

    fn tell_image(&self, args: &ImageArgs, made: &Imaged, plan: &Plan) -> Result<(), CliError> {
        let out = args.out.to_string_lossy();
        if self.json {
            let layers = made.layers.iter().map(|layer| LayerJson {
                what: layer.what.clone(),
                sha256: layer.blob.digest.to_string(),
                size: layer.blob.len,
                diff_id: layer.diff_id.to_string(),
            });
            self.terminal.json(&json_of(&ImageJson {
                format: 1,
                path: out.clone().into_owned(),
                form: match args.format {
                    FormatArg::OciLayout => FormJson::OciLayout,
                    FormatArg::Squashfs => FormJson::Squashfs,
                    FormatArg::Erofs => FormJson::Erofs,
                },
                sha256: made.digest.to_string(),
                size: made.len,
                target: plan.target().to_owned(),
                publishes: plan.outcome().to_string(),
                architecture: made.architecture,
                base_layers: made.base_layers,
                layers: layers.collect(),
            }))?;
        } else {
            self.terminal.data(&format!("sha256:{}\n", made.digest))?;
        }
        let parts = match args.format {
            FormatArg::OciLayout => {
                let own = counted(made.layers.len(), "layer");
                match made.base_layers {
                    0 => format!(", {own}"),
                    base => format!(", {own} on {base} of the base"),
                }
            }
            FormatArg::Squashfs | FormatArg::Erofs => String::new(),
        };
        self.terminal.story(&format!(
            "Wrote `{}`: `{}` for {}, {}{parts}",
            escape(&out),
            escape(plan.target()),
            made.architecture,
            shown_size(made.len),
        ));
        self.terminal.story(&next(args, plan.target()));
        Ok(())
    }
}

/// The image that the environment is put on.
fn base(args: &ImageArgs) -> Result<Option<BaseImage>, CliError> {
    let Some(given) = &args.base else {
        return Ok(None);
    };
    let text = given.to_string_lossy();
    if !is_reference(&text) {
        return Ok(Some(BaseImage::Layout(given.clone())));
    }
    Ok(Some(BaseImage::Hosted {
        reference: reference(&text)?,
        from: Box::new(places_of(&args.wheels)),
    }))
}

/// What may be done with an image.
fn next(args: &ImageArgs, target: &str) -> String {
    let out = args.out.to_string_lossy();
    match args.format {
        FormatArg::OciLayout => {
            let is_archive = args.out.extension().is_some_and(|ending| ending == "tar");
            let transport = if is_archive { "oci-archive" } else { "oci" };
            format!(
                "Copy it into a registry with `skopeo copy {transport}:{}:latest \
                 docker://HOST/REPOSITORY:TAG`",
                word(&out)
            )
        }
        FormatArg::Squashfs | FormatArg::Erofs => {
            let (out, target) = (word(&out), word(target));
            format!("Mount it with `mount -o loop,ro {out} {target}`")
        }
    }
}
