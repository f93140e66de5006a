//! `rvenv lock`: resolves requirements into a `pylock.toml`.
//!
//! Promises that an existing lock keeps its versions where the requirements allow it, and that it
//! is replaced whole or not at all.
//! Read next: the library's `resolve.rs`.

use std::path::{Path, PathBuf};

use rvenv::Release;
use rvenv::lock::{self, Lock};
use rvenv::locking::ResolveRequest;
use rvenv::render::escape;
use rvenv::resolve::{Asked, SourceUse};
use rvenv::resolving::ResolvingFailed;
use rvenv_journal::raw::counted;
use serde::Serialize;

use super::asking::{resolver, sources};
use super::generations::json_of;
use crate::advice::{CliError, Code, Exit, of_resolving};
use crate::args::{FromArg, LockArgs};
use crate::plan_file::{Document, Out};
use crate::session::Session;

/// The project file of PEP 621, and the lock of PEP 751.
const PROJECT: &str = "pyproject.toml";
const LOCK: &str = "pylock.toml";

impl Session<'_> {
    pub(crate) fn lock(&self, args: &LockArgs) -> Result<Exit, CliError> {
        let given = args.out.clone().unwrap_or_else(|| PathBuf::from(LOCK));
        let out = Out::of_lock(&given)?;
        if matches!(out, Out::File { .. }) && !lock::is_pylock_name(&given) {
            let shown = escape(&given.to_string_lossy());
            let what = format!("`{shown}` is not the name of a lock");
            return Err(CliError::new(Code::BadText, what)
                .hint("installers read `pylock.toml` and `pylock.NAME.toml`"));
        }
        if self.json && matches!(out, Out::Standard) {
            let what = "the lock and the JSON object cannot both be on standard output";
            return Err(CliError::new(Code::Usage, what).hint("name a file with `--out`"));
        }
        let cwd = &self.world.surroundings.cwd;
        let (mut projects, mut files) = (Vec::new(), Vec::new());
        for file in &args.requirements {
            let is_project = file.file_name().is_some_and(|name| name == PROJECT);
            let list = if is_project {
                &mut projects
            } else {
                &mut files
            };
            list.push(cwd.join(file));
        }
        if args.reqs.is_empty() && args.requirements.is_empty() {
            projects.push(cwd.join(PROJECT));
        }
        let (requirements, places) = self.requirements(&args.reqs);
        let request = ResolveRequest {
            asked: Asked {
                requirements,
                places,
                sources: if args.no_build {
                    SourceUse::Refuse
                } else {
                    SourceUse::Build
                },
                config_settings: args.settings.config_settings.iter().cloned().collect(),
                files,
                installed: match &out {
                    Out::File { at, .. } => locked(at),
                    Out::Standard | Out::Stream(_) => Vec::new(),
                },
            },
            projects,
            extras: args.extra.clone(),
            resolver: resolver(args.resolver.resolver),
            python: self.asked_python(args.python.as_ref())?,
            sources: sources(&args.index, &FromArg::default()),
        };
        let made = self.with_caller(|caller| caller.lock(&request));
        let made = made.map_err(|failed| match failed {
            ResolvingFailed::Interpreter(error) => {
                self.not_found(&error, self.variable(args.python.as_ref()))
            }
            failed @ (ResolvingFailed::Project(_)
            | ResolvingFailed::Build(_)
            | ResolvingFailed::Settings(_)
            | ResolvingFailed::Resolve(_)) => of_resolving(&failed, self.signals.terminated()),
        })?;
        for warning in &made.warnings {
            self.terminal.warning(warning);
        }
        let text =
            lock::write(&made).map_err(|error| CliError::of(Code::ResolverFailed, &error))?;
        self.save_lock(&made, &text, &out, &given)
    }

    fn save_lock(
        &self,
        made: &Lock,
        text: &str,
        out: &Out,
        given: &Path,
    ) -> Result<Exit, CliError> {
        if matches!(out, Out::Standard) {
            self.terminal.data(text)?;
            return Ok(Exit::Done);
        }
        out.save(Document::Lock(text), given, &self.signals)?;
        let count = counted(made.packages.len(), "package");
        let shown = escape(&given.to_string_lossy());
        self.terminal.story(&format!("Locked {count} in `{shown}`"));
        if self.json {
            let package = |package: &lock::Package| LockedPackage {
                name: package.name.clone(),
                version: package.version.clone(),
            };
            self.terminal.json(&json_of(&LockedJson {
                format: 1,
                path: self
                    .world
                    .surroundings
                    .cwd
                    .join(given)
                    .to_string_lossy()
                    .into_owned(),
                packages: made.packages.iter().map(package).collect(),
            }))?;
        }
        Ok(Exit::Done)
    }
}

/// What was locked.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct LockedJson {
    /// The version of this form.
    format: u64,
    /// The absolute path of the lock.
    path: String,
    packages: Vec<LockedPackage>,
}

/// A package; the version is `null` for what is locked by its sources alone.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct LockedPackage {
    name: String,
    version: Option<String>,
}

/// The versions of an existing lock; none if it cannot be read: it is replaced.
fn locked(at: &Path) -> Vec<Release> {
    let Ok(bytes) = std::fs::read(at) else {
        return Vec::new();
    };
    let Ok(old) = lock::read_pylock(at, &bytes) else {
        return Vec::new();
    };
    let releases = old.packages.into_iter();
    let release = |package: lock::Package| {
        Some(Release {
            version: package.version?,
            name: package.name,
        })
    };
    releases.filter_map(release).collect()
}
