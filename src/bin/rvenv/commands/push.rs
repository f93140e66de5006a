//! `rvenv push`: puts an environment into a registry.
//!
//! Promises to print the reference with the digest on standard output, and nothing else there.
//! Read next: the library's `front/pushing.rs`.

use std::path::Path;

use rvenv::fetch::{Reference, Sending, is_reference};
use rvenv::pushing::{Pushed, PushedBlob};
use rvenv::render::{escape, shown_size};
use rvenv::saved_plan::{Need, WheelPlaces};
use rvenv_journal::Plan;
use rvenv_journal::raw::counted;
use serde::Serialize;

use super::asking::sources;
use super::generations::json_of;
use crate::advice::{CliError, Code, Exit, of_push, of_republished, of_unsuited};
use crate::args::{IndexArgs, PlacesArgs, PushArgs};
use crate::session::Session;

/// What is in the registry now.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct PushedJson {
    /// The version of this form.
    format: u64,
    /// The reference with the digest.
    reference: String,
    /// The tag that names it now.
    tag: Option<String>,
    /// The digest of the plan; `null` for wheels alone.
    plan: Option<String>,
    /// The digest of what the plan makes, which `rvenv status --json` has as `receipt.plan`.
    publishes: Option<String>,
    files: Vec<FileJson>,
}

/// A file in the registry.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct FileJson {
    name: String,
    sha256: String,
    size: u64,
    state: StateJson,
}

/// What became of a file.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
enum StateJson {
    /// It was there.
    Present,
    /// Another repository of the registry gave it.
    Mounted,
    /// It was sent.
    Sent,
}

impl Session<'_> {
    pub(crate) fn push(&self, args: &PushArgs) -> Result<Exit, CliError> {
        let to = reference(&args.reference)?;
        let from = places(&args.places, Some(&args.index));
        let plan = self.to_push(&args.what, &from)?;
        let found = self.with_caller(|caller| caller.find_wheels(&plan, &from, Need::Files));
        let plan = found.map_err(|failed| of_unsuited(&failed, self.signals.terminated()))?;
        let pushed = self.with_caller(|caller| caller.push_plan(&plan, &to, &from));
        let pushed = pushed.map_err(|failed| of_push(failed, self.signals.terminated()))?;
        self.tell_pushed(&to, &pushed, Some(&plan))?;
        let there = to.at(pushed.manifest);
        self.terminal
            .story(&format!("Apply it with `rvenv apply {there}`"));
        Ok(Exit::Done)
    }

    /// The plan of an environment, or the one in a file.
    fn to_push(&self, what: &Path, from: &WheelPlaces) -> Result<Plan, CliError> {
        if !what.is_dir() {
            return self.saved_plan(what);
        }
        let env_dir = self.world.env_dir(what.as_os_str())?;
        let plan = self.with_caller(|caller| caller.republished(&env_dir, from));
        plan.map_err(|failed| of_republished(failed, self.signals.terminated()))
    }

    /// Prints what is in the registry now.
    pub(super) fn tell_pushed(
        &self,
        to: &Reference,
        pushed: &Pushed,
        plan: Option<&Plan>,
    ) -> Result<(), CliError> {
        let there = to.at(pushed.manifest).to_string();
        if self.json {
            self.terminal.json(&json_of(&PushedJson {
                format: 1,
                reference: there,
                tag: to.tag.clone(),
                plan: plan.map(|plan| plan.digest().to_string()),
                publishes: plan.map(|plan| plan.outcome().to_string()),
                files: pushed.blobs.iter().map(FileJson::of).collect(),
            }))?;
        } else {
            self.terminal.data(&format!("{there}\n"))?;
        }
        let of = |sending| {
            pushed
                .blobs
                .iter()
                .filter(move |one| one.sending == sending)
        };
        let sent: u64 = of(Sending::Sent).map(|one| one.len).sum();
        self.terminal.story(&format!(
            "Pushed {}: sent {} ({}); {} there, {} from another repository",
            counted(pushed.blobs.len(), "file"),
            of(Sending::Sent).count(),
            shown_size(sent),
            of(Sending::Present).count(),
            of(Sending::Mounted).count(),
        ));
        Ok(())
    }
}

impl FileJson {
    fn of(blob: &PushedBlob) -> Self {
        Self {
            name: blob.name.clone(),
            sha256: blob.digest.to_string(),
            size: blob.len,
            state: match blob.sending {
                Sending::Present => StateJson::Present,
                Sending::Mounted => StateJson::Mounted,
                Sending::Sent => StateJson::Sent,
            },
        }
    }
}

/// Reads a reference that was typed.
pub(super) fn reference(text: &str) -> Result<Reference, CliError> {
    Reference::parse(text).map_err(|error| {
        // The text may have a password in it.
        let what = if is_reference(text) {
            "the reference cannot be used".to_owned()
        } else {
            format!("`{}` is not a reference to a registry", escape(text))
        };
        CliError::new(Code::BadReference, what)
            .because(&error)
            .hint("write `oci://HOST/REPOSITORY:TAG`, or `oci://HOST/REPOSITORY@sha256:DIGEST`")
    })
}

/// Where wheels are, and the settings for registries.
pub(super) fn places(places: &PlacesArgs, index: Option<&IndexArgs>) -> WheelPlaces {
    let none = IndexArgs::default();
    WheelPlaces {
        wheelhouses: places.wheelhouse.clone(),
        sources: sources(index.unwrap_or(&none), &places.from),
        allow_hosts: places.allow_host.clone(),
    }
}
