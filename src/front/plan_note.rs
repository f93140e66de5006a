//! The note in a saved plan of what was asked for, as JSON.
//!
//! Promises that a note is read whole or not at all, and that it can name no wheel that is no input
//! of its plan. Does not promise that it is the plan's own: `rebuilding.rs` compares the digests.
//!
//! Read next: `rebuilding.rs`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rvenv_journal::raw::Input;
use rvenv_journal::{Plan, Publication};
use serde::{Deserialize, Serialize};

use super::machine::oci_platform;
use crate::artifact::demands::{Demands, Libc, Platform as OciPlatform};
use crate::build::hooks::Context;
use crate::build::options::{Options, Prompt};
use crate::build::roles;
use crate::build::supply::{Supply, WheelSource};
use crate::python::{Bundled, Caching, Interpreter, Platform, PythonVersion, Release, Scheme};
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

/// The interpreter's kind, the system that it is for, and its layout.
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
    scheme: Scheme,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    caching: Option<Caching>,
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

/// [`Supply`], whose file is the wheel with this number among those of the plan. The number alone,
/// if there is nothing else to say: each change of an environment sends this to every machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "WheelDto", into = "WheelDto")]
struct NotedWheel {
    nth: usize,
    source: NotedSource,
    direct_url: Option<String>,
    is_dependency: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WheelDto {
    Plain(usize),
    Full(FullWheelDto),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FullWheelDto {
    nth: usize,
    source: NotedSource,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    direct_url: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_dependency: bool,
}

impl From<WheelDto> for NotedWheel {
    fn from(dto: WheelDto) -> Self {
        match dto {
            WheelDto::Plain(nth) => Self {
                nth,
                source: NotedSource::Locked,
                direct_url: None,
                is_dependency: false,
            },
            WheelDto::Full(full) => Self {
                nth: full.nth,
                source: full.source,
                direct_url: full.direct_url,
                is_dependency: full.is_dependency,
            },
        }
    }
}

impl From<NotedWheel> for WheelDto {
    fn from(wheel: NotedWheel) -> Self {
        let NotedWheel {
            nth,
            source,
            direct_url,
            is_dependency,
        } = wheel;
        if source == NotedSource::Locked && direct_url.is_none() && !is_dependency {
            return Self::Plain(nth);
        }
        Self::Full(FullWheelDto {
            nth,
            source,
            direct_url,
            is_dependency,
        })
    }
}

/// The sources of wheels that a new environment may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
        let found: BTreeMap<&str, usize> = wheels_of(plan)
            .enumerate()
            .map(|(nth, input)| (input.file(), nth))
            .collect();
        let wheel = |supply: &Supply| {
            let source = match supply.source {
                WheelSource::Bundled => NotedSource::Bundled,
                WheelSource::Upgrade => NotedSource::Upgrade,
                WheelSource::Locked => NotedSource::Locked,
                WheelSource::Refit | WheelSource::Given => return None,
            };
            Some(NotedWheel {
                nth: *found.get(&*supply.wheel.to_string_lossy())?,
                source,
                direct_url: supply.direct_url.as_deref().map(str::to_owned),
                is_dependency: supply.is_dependency,
            })
        };
        let prompt = context.options.prompt.clone();
        (makes_all(plan) && !context.options.upgrade).then(|| Self {
            format: FORMAT,
            python: context.interpreter.version.text.clone(),
            machine: Some(NotedMachine::of(&context.interpreter)),
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

    /// The interpreter that a plan has as an input, as far as what it makes depends on it.
    pub(super) fn interpreter(
        &self,
        input: &Input,
        real_executable: PathBuf,
    ) -> Option<Interpreter> {
        let machine = self.machine.as_ref()?;
        let platform = OciPlatform::parse(&machine.platform)?;
        let executable = PathBuf::from(&input.path);
        Some(Interpreter {
            invoked: executable.clone(),
            executable,
            real_executable,
            executable_digest: input.digest,
            executable_len: input.len,
            version: PythonVersion::parse(&self.python)?,
            platform: machine.platform_of(&platform),
            scheme: machine.scheme.clone(),
            caching: machine.caching.clone(),
            bundled: Bundled::Wheels(Vec::new()),
            witnesses: Vec::new(),
        })
    }

    /// The wheels at the places where the plan has them.
    pub(super) fn supplies(&self, plan: &Plan) -> Vec<Supply> {
        let wheels: Vec<&Input> = wheels_of(plan).collect();
        let supply = |noted: &NotedWheel| {
            let input = wheels.get(noted.nth)?;
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
                    .get(&input.digest)
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
    fn of(interpreter: &Interpreter) -> Self {
        let platform = &interpreter.platform;
        let family = platform.system.split(' ').next();
        Self {
            platform: oci_platform(platform).to_string(),
            libc: family
                .filter(|family| matches!(*family, "glibc" | "musl"))
                .map(str::to_owned),
            implementation: platform.implementation.clone(),
            free_threaded: platform.free_threaded,
            scheme: interpreter.scheme.clone(),
            caching: interpreter.caching.clone(),
        }
    }

    /// What the layout of an environment depends on; the rest decides which wheels fit, and that is
    /// decided.
    fn platform_of(&self, named: &OciPlatform) -> Platform {
        let is_windows = named.os == "windows";
        Platform {
            implementation: self.implementation.clone(),
            free_threaded: self.free_threaded,
            abiflags: String::new(),
            is_64bit: !matches!(named.architecture.as_str(), "386" | "arm"),
            os_name: if is_windows { "nt" } else { "posix" }.to_owned(),
            sys_platform: if is_windows { "win32" } else { &named.os }.to_owned(),
            filesystem_encoding: "utf-8".to_owned(),
            implementation_version: String::new(),
            extension_suffix: String::new(),
            built_for: String::new(),
            machine: String::new(),
            system: String::new(),
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
