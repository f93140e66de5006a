//! `rvenv cache push` and `rvenv cache pull`: wheels from the cache into a registry, and back.
//!
//! Promises to print the reference with the digest on standard output, and nothing else there.
//! Read next: the library's `front/pushing.rs` and `front/pulling.rs`.

use rvenv::pulling::PulledWheels;
use rvenv_journal::raw::counted;
use serde::Serialize;

use crate::advice::{CliError, Exit, of_pull, of_push};
use crate::args::{CachePullArgs, CachePushArgs, PlacesArgs};
use crate::commands::generations::json_of;
use crate::commands::push::{What, places, reference};
use crate::session::Session;

/// What was fetched.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::commands) struct PulledJson {
    /// The version of this form.
    format: u64,
    /// The reference with the digest.
    reference: String,
    /// The reference of the index that lists it, if one was named.
    index: Option<String>,
    wheels: Vec<WheelJson>,
}

/// A wheel that is in the cache now.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WheelJson {
    name: String,
    sha256: String,
}

impl Session<'_> {
    pub(super) fn cache_push(&self, args: &CachePushArgs) -> Result<Exit, CliError> {
        let to = reference(&args.reference)?;
        let from = places(&args.places);
        let pushed = self.with_caller(|caller| caller.push_cache(&to, &from));
        let pushed = pushed.map_err(|failed| of_push(failed, self.signals.terminated()))?;
        self.tell_pushed(&to, &pushed, What::Wheels)?;
        let repository = &to.repository;
        self.terminal.story(&format!(
            "Other machines find them with `--from {repository}`"
        ));
        Ok(Exit::Done)
    }

    pub(super) fn cache_pull(&self, args: &CachePullArgs) -> Result<Exit, CliError> {
        let reference = reference(&args.reference)?;
        let from = places(&PlacesArgs::default());
        let python = self.wanted_of_index(&args.choice)?;
        let python = python.as_ref();
        let pulled = self.with_caller(|caller| caller.pull_wheels(&reference, &from, python));
        let pulled = pulled.map_err(|failed| of_pull(&failed, self.signals.terminated()))?;
        let PulledWheels {
            files,
            manifest,
            chosen,
        } = pulled;
        let there = self.tell_found(&reference, manifest, chosen.as_ref(), python)?;
        let there = there.to_string();
        if self.json {
            let name = |path: &std::path::Path| {
                let name = path.file_name().unwrap_or_default();
                name.to_string_lossy().into_owned()
            };
            self.terminal.json(&json_of(&PulledJson {
                format: 1,
                reference: there,
                index: chosen.map(|chosen| reference.at(chosen.index).to_string()),
                wheels: files
                    .iter()
                    .map(|file| WheelJson {
                        name: name(&file.path),
                        sha256: file.sha256.to_string(),
                    })
                    .collect(),
            }))?;
        } else {
            self.terminal.data(&format!("{there}\n"))?;
        }
        let count = counted(files.len(), "wheel");
        self.terminal.story(&format!("The cache has {count} of it"));
        Ok(Exit::Done)
    }
}
