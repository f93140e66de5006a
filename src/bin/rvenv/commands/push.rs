//! `rvenv push`: puts an environment into a registry.
//!
//! Promises to print the reference with the digest on standard output, and nothing else there.
//! Read next: the library's `front/pushing.rs`.

use std::path::Path;

use rvenv::artifact::index::IndexEntry;
use rvenv::caller::Compilation;
use rvenv::fetch::{Reference, Sending, is_reference};
use rvenv::indexing::{PushedIndex, Source};
use rvenv::pushing::{Pushed, PushedBlob};
use rvenv::render::{escape, shown_size};
use rvenv::saved_plan::{Need, WheelPlaces};
use rvenv_journal::Plan;
use rvenv_journal::raw::counted;
use serde::Serialize;

use super::asking::sources;
use super::generations::json_of;
use crate::advice::{CliError, Code, Exit, of_push, of_republished, of_unsuited};
use crate::args::{IndexArgs, PlacesArgs, PushArgs, SavedWheelsArgs};
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
    /// The digest of the plan; `null` for wheels alone, and for an index.
    plan: Option<String>,
    /// The digest of what the plan makes, which `rvenv status --json` has as `receipt.plan`.
    publishes: Option<String>,
    /// What an index lists; `null` for a single manifest.
    environments: Option<Vec<EnvironmentJson>>,
    files: Vec<FileJson>,
}

/// An environment that an index lists.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct EnvironmentJson {
    /// The reference with the digest of its manifest.
    reference: String,
    /// The system and the processor, in the words of OCI: `linux/amd64`.
    platform: String,
    /// The C library, and the oldest version that will do.
    libc: Option<String>,
    /// The implementation and the version of Python.
    python: String,
    /// The path of the interpreter.
    executable: String,
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
        let from = places_of(&args.wheels);
        let sources = args.sources.iter().map(|given| self.source(given, &from));
        let sources = sources.collect::<Result<Vec<_>, _>>()?;
        let compilation = Compilation::of(args.wheels.compile_bytecode);
        let there = match sources.as_slice() {
            [Source::Plan { plan, .. }] => {
                let pushed =
                    self.with_caller(|caller| caller.push_plan(plan, &to, &from, compilation));
                let pushed = pushed.map_err(|failed| of_push(failed, self.signals.terminated()))?;
                let there = self.tell_pushed(&to, &pushed, What::Plan(plan))?;
                if args.sbom {
                    self.attach_sbom(plan, &there, &from)?;
                }
                there
            }
            [Source::There(of)] => {
                let pushed = self.with_caller(|caller| caller.push_again(of, &to, &from));
                let pushed = pushed.map_err(|failed| of_push(failed, self.signals.terminated()))?;
                self.tell_pushed(&to, &pushed, What::There)?
            }
            several => {
                let pushed =
                    self.with_caller(|caller| caller.push_index(several, &to, &from, compilation));
                let pushed = pushed.map_err(|failed| of_push(failed, self.signals.terminated()))?;
                let what = What::Index(&pushed.entries);
                let there = self.tell_pushed(&to, &pushed.pushed, what)?;
                if args.sbom {
                    self.attach_sboms(several, &pushed, &to, &from)?;
                }
                there
            }
        };
        self.terminal
            .story(&format!("Apply it with `rvenv apply {there}`"));
        Ok(Exit::Done)
    }

    /// Attaches to each environment of an index its SBOM.
    fn attach_sboms(
        &self,
        sources: &[Source],
        pushed: &PushedIndex,
        to: &Reference,
        from: &WheelPlaces,
    ) -> Result<(), CliError> {
        for (source, manifest) in sources.iter().zip(&pushed.sources) {
            if let Source::Plan { plan, .. } = source {
                self.attach_sbom(plan, &to.at(*manifest), from)?;
            }
        }
        Ok(())
    }

    /// What is pushed: a plan whose wheels are files, or what is in the repository.
    fn source(&self, given: &Path, from: &WheelPlaces) -> Result<Source, CliError> {
        let name = given.to_string_lossy();
        if is_reference(&name) {
            return reference(&name).map(Source::There);
        }
        let plan = self.to_push(given, from)?;
        let found = self.with_caller(|caller| caller.find_wheels(&plan, from, Need::Files));
        let plan = found.map_err(|failed| of_unsuited(&failed, self.signals.terminated()))?;
        Ok(Source::Plan {
            name: name.into_owned(),
            plan: Box::new(plan),
        })
    }

    /// The plan of an environment, or the one in a file.
    pub(super) fn to_push(&self, what: &Path, from: &WheelPlaces) -> Result<Plan, CliError> {
        if !what.is_dir() {
            return self.saved_plan(what);
        }
        let env_dir = self.world.env_dir(what.as_os_str())?;
        let plan = self.with_caller(|caller| caller.republished(&env_dir, from));
        plan.map_err(|failed| of_republished(failed, self.signals.terminated()))
    }

    /// Prints what is in the registry now, and returns its reference.
    pub(super) fn tell_pushed(
        &self,
        to: &Reference,
        pushed: &Pushed,
        what: What<'_>,
    ) -> Result<Reference, CliError> {
        let named = to.at(pushed.manifest);
        let there = named.to_string();
        let (plan, entries) = match what {
            What::Plan(plan) => (Some(plan), None),
            What::Index(entries) => (None, Some(entries)),
            What::Wheels | What::There => (None, None),
        };
        if self.json {
            let environment = |entry| EnvironmentJson::of(to, entry);
            let environments = entries.map(|all| all.iter().filter_map(environment).collect());
            self.terminal.json(&json_of(&PushedJson {
                format: 1,
                reference: there,
                tag: to.tag.clone(),
                plan: plan.map(|plan| plan.digest().to_string()),
                publishes: plan.map(|plan| plan.outcome().to_string()),
                environments,
                files: pushed.blobs.iter().map(FileJson::of).collect(),
            }))?;
        } else {
            self.terminal.data(&format!("{there}\n"))?;
        }
        self.terminal.story(&match what {
            What::There => format!("`{to}` names it now"),
            What::Wheels | What::Plan(_) | What::Index(_) => counts(pushed),
        });
        for entry in entries.unwrap_or_default() {
            let demands = entry.demands().map(|demands| demands.to_string());
            let demands = escape(&demands.unwrap_or_default());
            self.terminal
                .story(&format!("It has `sha256:{}`: {demands}", entry.digest));
        }
        Ok(named)
    }
}

/// How much was sent, and how much was there.
fn counts(pushed: &Pushed) -> String {
    let of = |sending| {
        let all = pushed.blobs.iter();
        all.filter(move |one| one.sending == sending)
    };
    let sent: u64 = of(Sending::Sent).map(|one| one.len).sum();
    format!(
        "Pushed {}: sent {} ({}); {} there, {} from another repository",
        counted(pushed.blobs.len(), "file"),
        of(Sending::Sent).count(),
        shown_size(sent),
        of(Sending::Present).count(),
        of(Sending::Mounted).count(),
    )
}

/// What was pushed.
#[derive(Clone, Copy)]
pub(super) enum What<'a> {
    /// Wheels alone.
    Wheels,
    /// The environment of a plan.
    Plan(&'a Plan),
    /// What was there already.
    There,
    /// Several environments.
    Index(&'a [IndexEntry]),
}

impl EnvironmentJson {
    fn of(to: &Reference, entry: &IndexEntry) -> Option<Self> {
        let demands = entry.demands()?;
        Some(Self {
            reference: to.at(entry.digest).to_string(),
            platform: demands.platform.to_string(),
            libc: demands.libc.map(|libc| libc.to_string()),
            python: demands.release.to_string(),
            executable: demands.python,
        })
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

/// Where the wheels of a saved plan are, and the settings for registries.
pub(super) fn places_of(wheels: &SavedWheelsArgs) -> WheelPlaces {
    WheelPlaces {
        sources: sources(&wheels.index, &wheels.places.from),
        ..places(&wheels.places)
    }
}

/// Where wheels are besides indexes, and the settings for registries.
pub(super) fn places(places: &PlacesArgs) -> WheelPlaces {
    WheelPlaces {
        wheelhouses: places.wheelhouse.clone(),
        sources: sources(&IndexArgs::default(), &places.from),
        allow_hosts: places.allow_host.clone(),
    }
}
