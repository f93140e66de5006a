//! The note in a saved plan of what was asked for, as JSON.
//!
//! Promises that a note is read whole or not at all, and that it can name no wheel that is no input
//! of its plan. Does not promise that it is the plan's own: `rebuilding.rs` compares the digests.
//!
//! Read next: `rebuilding.rs`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rvenv_journal::raw::Input;
use rvenv_journal::{Digest, Plan, Publication};
use serde::{Deserialize, Serialize};

use super::machine::oci_platform;
use crate::artifact::demands::{Demands, Libc, Platform as OciPlatform};
use crate::build::hooks::Context;
use crate::build::options::{Options, Prompt};
use crate::build::roles;
use crate::build::supply::{Supply, WheelSource};
use crate::python::{Platform, PythonVersion, Release};
use crate::wheel::tags::least_libc;

/// The version of the note.
const FORMAT: u32 = 1;

/// What was asked for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    format: u32,
    /// The version of the interpreter; its path and digest are an input of the plan.
    pub(super) python: String,
    /// What the interpreter is and runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    machine: Option<NotedMachine>,
    options: NotedOptions,
    /// The wheels in the order in which they are planned.
    wheels: Vec<NotedWheel>,
}

/// The interpreter's kind, and the system that it is for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NotedMachine {
    /// As OCI names it: `linux/amd64`.
    platform: String,
    /// `glibc` or `musl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    libc: Option<String>,
    implementation: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    free_threaded: bool,
}

/// [`Options`], as far as they count for a new environment.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "these are the options of venv.EnvBuilder, by their names"
)]
struct NotedOptions {
    system_site_packages: bool,
    symlinks: bool,
    with_pip: bool,
    upgrade_deps: bool,
    compile_bytecode: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prompt: Option<NotedPrompt>,
    scm_ignore_files: Vec<String>,
    umask: u32,
    umask_is_of_acl: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epoch: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NotedPrompt {
    asked: String,
    cwd_name: String,
}

/// [`Supply`], whose file is an input of the plan.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NotedWheel {
    sha256: String,
    source: NotedSource,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    direct_url: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_dependency: bool,
}

/// The sources of wheels that a new environment may have.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum NotedSource {
    Bundled,
    Upgrade,
    Locked,
}

impl Note {
    /// Reads a note; one of another form is none.
    pub(super) fn read(text: &str) -> Option<Self> {
        let note: Self = serde_json::from_str(text).ok()?;
        (note.format == FORMAT).then_some(note)
    }

    /// The note of a plan that makes a whole environment.
    pub(super) fn of(context: &Context, plan: &Plan) -> Option<Self> {
        let Options {
            system_site_packages,
            symlinks,
            with_pip,
            upgrade_deps,
            compile_bytecode,
            umask,
            umask_is_of_acl,
            epoch,
            ..
        } = context.options;
        let found: BTreeMap<&str, Digest> = wheels_of(plan)
            .map(|input| (input.file(), input.digest))
            .collect();
        let wheel = |supply: &Supply| {
            let source = match supply.source {
                WheelSource::Bundled => NotedSource::Bundled,
                WheelSource::Upgrade => NotedSource::Upgrade,
                WheelSource::Locked => NotedSource::Locked,
                WheelSource::Refit | WheelSource::Given => return None,
            };
            Some(NotedWheel {
                sha256: found.get(&*supply.wheel.to_string_lossy())?.to_string(),
                source,
                direct_url: supply.direct_url.as_deref().map(str::to_owned),
                is_dependency: supply.is_dependency,
            })
        };
        let prompt = context.options.prompt.clone();
        (makes_all(plan) && !context.options.upgrade).then(|| Self {
            format: FORMAT,
            python: context.interpreter.version.text.clone(),
            machine: Some(NotedMachine::of(&context.interpreter.platform)),
            options: NotedOptions {
                system_site_packages,
                symlinks,
                with_pip,
                upgrade_deps,
                compile_bytecode,
                prompt: prompt.map(|Prompt { asked, cwd_name }| NotedPrompt { asked, cwd_name }),
                scm_ignore_files: context.options.scm_ignore_files.iter().cloned().collect(),
                umask,
                umask_is_of_acl,
                epoch,
            },
            wheels: context.supplies.iter().filter_map(wheel).collect(),
        })
    }

    /// Whether bytecode was asked for.
    pub(super) fn compiles(&self) -> bool {
        self.options.compile_bytecode
    }

    /// The options of a new environment.
    pub(super) fn options(&self, clear: bool) -> Options {
        let noted = &self.options;
        let prompt = noted.prompt.as_ref().map(|prompt| Prompt {
            asked: prompt.asked.clone(),
            cwd_name: prompt.cwd_name.clone(),
        });
        Options {
            system_site_packages: noted.system_site_packages,
            clear,
            upgrade: false,
            upgrade_deps: noted.upgrade_deps,
            symlinks: noted.symlinks,
            with_pip: noted.with_pip,
            prompt,
            scm_ignore_files: noted.scm_ignore_files.iter().cloned().collect(),
            compile_bytecode: noted.compile_bytecode,
            umask: noted.umask & 0o777,
            umask_is_of_acl: noted.umask_is_of_acl,
            epoch: noted.epoch,
        }
    }

    /// The wheels at the places where the plan has them.
    pub(super) fn supplies(&self, plan: &Plan) -> Vec<Supply> {
        let supply = |noted: &NotedWheel| {
            let digest = Digest::parse(&noted.sha256).ok()?;
            let input = wheels_of(plan).find(|input| input.digest == digest)?;
            Some(Supply {
                wheel: PathBuf::from(input.file()),
                source: match noted.source {
                    NotedSource::Bundled => WheelSource::Bundled,
                    NotedSource::Upgrade => WheelSource::Upgrade,
                    NotedSource::Locked => WheelSource::Locked,
                },
                direct_url: noted.direct_url.as_deref().map(Into::into),
                url: input.url.clone(),
                attestation: plan
                    .statements()
                    .get(&digest)
                    .and_then(|of| of.attestation.clone()),
                is_dependency: noted.is_dependency,
                installed: None,
            })
        };
        // A wheel that is missing here gives another digest.
        self.wheels.iter().filter_map(supply).collect()
    }
}

impl NotedMachine {
    fn of(platform: &Platform) -> Self {
        let family = platform.system.split(' ').next();
        Self {
            platform: oci_platform(platform).to_string(),
            libc: family
                .filter(|family| matches!(*family, "glibc" | "musl"))
                .map(str::to_owned),
            implementation: platform.implementation.clone(),
            free_threaded: platform.free_threaded,
        }
    }
}

/// What a plan demands of a machine, if its note says it.
pub(super) fn demands_of(plan: &Plan) -> Option<Demands> {
    let note = plan.request().and_then(Note::read)?;
    let (machine, input) = (note.machine?, interpreter_of(plan)?);
    let libc = match machine.libc {
        Some(family) => {
            let files = wheels_of(plan).map(|input| input.path.as_str());
            let version = least_libc(&family, files);
            Some(Libc { family, version })
        }
        None => None,
    };
    Some(Demands {
        platform: OciPlatform::parse(&machine.platform)?,
        libc,
        release: Release {
            implementation: machine.implementation,
            version: PythonVersion::parse(&note.python)?,
            free_threaded: machine.free_threaded,
        },
        python: input.path.clone(),
        sha256: input.digest,
    })
}

/// Whether a plan makes a whole environment, whatever exists at its target.
pub(super) fn makes_all(plan: &Plan) -> bool {
    match plan.publication() {
        Publication::Put | Publication::Replace | Publication::Refill => true,
        Publication::Merge | Publication::Nothing => false,
    }
}

/// The interpreter of a plan.
pub(super) fn interpreter_of(plan: &Plan) -> Option<&Input> {
    let mut inputs = plan.inputs().iter();
    inputs.find(|input| input.role == roles::INTERPRETER)
}

/// The wheels of a plan.
pub(super) fn wheels_of(plan: &Plan) -> impl Iterator<Item = &Input> {
    let inputs = plan.inputs().iter();
    inputs.filter(|input| input.role == roles::WHEEL)
}
