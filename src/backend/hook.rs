//! Hooks: one call into a backend, in a child process of its own (PEP 517).
//!
//! Promises that the working directory of a hook is the project, that what a backend prints is no
//! part of its answer, and that its output is in the error if it fails. A hook has no time limit;
//! the caller can stop it, and then its whole process group is killed; it also ends soon after this
//! process was killed.
//!
//! On disk: in the workshop, `hook.json` (the question), `answer.json`, and `tmp/`, where the
//! backend finds room for temporary files.
//! Read next: `hook.py`, which runs in the child.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use super::project::BuildSystem;
use crate::base::config_settings::ConfigSettings;
use crate::base::regular_file;
use crate::python::{self, Control, Heard, Job, Lines, Surroundings, Unfinished, printable, shown};

/// More than any METADATA has.
const METADATA_BYTES_MAX: u64 = 8 << 20;
const SCRIPT: &str = include_str!("hook.py");

/// What kind of wheel a backend makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One that has the package.
    Wheel,
    /// One that leads to the sources (PEP 660).
    Editable,
}

/// Why a hook gave no answer.
#[derive(Debug, Error)]
pub enum HookFailed {
    /// The interpreter could not be started.
    #[error("cannot start `{}`", shown(python))]
    NotStarted {
        /// The interpreter of the build.
        python: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The workshop cannot be written.
    #[error("cannot write `{}`", shown(path))]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The backend cannot be imported.
    #[error("its backend `{backend}` cannot be imported{}", Lines(said))]
    NoBackend {
        /// The backend.
        backend: String,
        /// The last lines of what was printed.
        said: Vec<String>,
    },
    /// The backend lacks a hook that it must have.
    #[error("its backend `{backend}` has no `{hook}`")]
    NoHook {
        /// The backend.
        backend: String,
        /// The hook.
        hook: &'static str,
    },
    /// The hook failed.
    #[error("`{hook}` of its backend `{backend}` failed: {how}{}", Lines(said))]
    Failed {
        /// The backend.
        backend: String,
        /// The hook.
        hook: &'static str,
        /// The exit code or the signal, in words.
        how: String,
        /// The last lines of what was printed.
        said: Vec<String>,
    },
    /// What it answered is none.
    #[error("`{hook}` of its backend `{backend}` answered {why}")]
    Answer {
        /// The backend.
        backend: String,
        /// The hook.
        hook: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The caller asked to stop; the backend has been killed.
    #[error("interrupted during `{hook}` of its backend `{backend}`")]
    Interrupted {
        /// The backend.
        backend: String,
        /// The hook.
        hook: &'static str,
    },
}

/// The hooks that are called.
impl Form {
    fn get_requires(self) -> &'static str {
        match self {
            Self::Wheel => "get_requires_for_build_wheel",
            Self::Editable => "get_requires_for_build_editable",
        }
    }

    fn build(self) -> &'static str {
        match self {
            Self::Wheel => "build_wheel",
            Self::Editable => "build_editable",
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    state: String,
    value: Value,
}

/// A project, and the environment in which its backend runs.
#[derive(Clone, Copy)]
pub(crate) struct Frontend<'a> {
    /// The project.
    pub(crate) source: &'a Path,
    pub(crate) system: &'a BuildSystem,
    /// The interpreter of the environment, and its directory of programs.
    pub(crate) python: &'a Path,
    pub(crate) bin: &'a Path,
    /// The workshop.
    pub(crate) scratch: &'a Path,
    /// `SOURCE_DATE_EPOCH`, unless the user set it.
    pub(crate) epoch: Option<i64>,
    /// What its hooks get as `config_settings`.
    pub(crate) settings: &'a ConfigSettings,
    pub(crate) around: &'a Surroundings,
    pub(crate) control: &'a Control<'a>,
}

impl Frontend<'_> {
    /// What the backend needs besides `requires`.
    ///
    /// # Errors
    /// See [`HookFailed`].
    pub(crate) fn get_requires(&self, form: Form) -> Result<Vec<String>, HookFailed> {
        let hook = form.get_requires();
        let Some(value) = self.call(hook, &json!([self.settings.to_json()]))? else {
            return Ok(Vec::new());
        };
        serde_json::from_value(value)
            .map_err(|_| self.wrong(hook, "something else than a list of requirements"))
    }

    /// Builds a wheel in a directory, and returns its path.
    ///
    /// # Errors
    /// See [`HookFailed`].
    pub(crate) fn build(&self, form: Form, into: &Path) -> Result<PathBuf, HookFailed> {
        let hook = form.build();
        let arguments = json!([into.to_string_lossy(), self.settings.to_json()]);
        let value = self.call(hook, &arguments)?;
        let value = value.ok_or_else(|| HookFailed::NoHook {
            backend: self.system.backend.clone(),
            hook,
        })?;
        let name = value.as_str().unwrap_or_default();
        let path = into.join(name);
        let is_name = path.file_name() == Some(OsStr::new(name)) && path.parent() == Some(into);
        if !is_name || !path.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
            let shown = printable(&value.to_string());
            return Err(self.wrong(hook, &format!("{shown}, which is no file that it made")));
        }
        Ok(path)
    }

    /// The METADATA of the wheel that the backend would build, which it writes into a directory;
    /// `None` if it does not do that.
    ///
    /// # Errors
    /// See [`HookFailed`].
    pub(crate) fn metadata(&self, into: &Path) -> Result<Option<String>, HookFailed> {
        let hook = "prepare_metadata_for_build_wheel";
        let arguments = json!([into.to_string_lossy(), self.settings.to_json()]);
        let Some(value) = self.call(hook, &arguments)? else {
            return Ok(None);
        };
        let name = value.as_str().unwrap_or_default();
        let is_name = Path::new(name).file_name() == Some(OsStr::new(name));
        let path = into.join(name).join("METADATA");
        let mut text = String::new();
        let read = regular_file::open(&path)
            .and_then(|file| file.take(METADATA_BYTES_MAX).read_to_string(&mut text));
        if !is_name || read.is_err() {
            let shown = printable(&value.to_string());
            return Err(self.wrong(hook, &format!("{shown}, which has no METADATA")));
        }
        Ok(Some(text))
    }

    fn wrong(&self, hook: &'static str, why: &str) -> HookFailed {
        HookFailed::Answer {
            backend: self.system.backend.clone(),
            hook,
            why: why.to_owned(),
        }
    }

    /// Calls a hook; `None` if the backend does not have it.
    fn call(&self, hook: &'static str, arguments: &Value) -> Result<Option<Value>, HookFailed> {
        let (job_path, answer_path) = (
            self.scratch.join("hook.json"),
            self.scratch.join("answer.json"),
        );
        let inner = self.system.backend_path.iter();
        let inner: Vec<_> = inner.map(|path| self.source.join(path)).collect();
        let job = json!({
            "backend": self.system.backend,
            "backend_path": inner,
            "hook": hook,
            "arguments": arguments,
            "answer": answer_path,
            "parent": std::process::id(),
        });
        write(&job_path, job.to_string().as_bytes())?;
        // An answer of the hook before this one must not count.
        write(&answer_path, b"")?;
        let words = ["-I", "-c", SCRIPT].map(OsStr::new);
        let job = Job {
            program: self.python,
            arguments: words.into_iter().chain([job_path.as_os_str()]).collect(),
            environment: self.environment(),
            cwd: self.source,
            input: None,
            heard: Heard::End,
        };
        let patient = Control {
            timeout: Duration::MAX,
            ..*self.control
        };
        (self.control.starting)(self.python);
        let backend = || self.system.backend.clone();
        let end = python::run(&job, &patient).map_err(|why| match why {
            Unfinished::NotStarted(source) => HookFailed::NotStarted {
                python: self.python.to_owned(),
                source,
            },
            Unfinished::Interrupted | Unfinished::TimedOut => HookFailed::Interrupted {
                backend: backend(),
                hook,
            },
        })?;
        let said = python::last_lines(&end.stderr);
        let read = regular_file::read(&answer_path).unwrap_or_default();
        let answer: Option<Answer> = serde_json::from_slice(&read).ok();
        match answer.filter(|_| !end.status.is_failure()) {
            Some(Answer { state, value }) if state == "done" => Ok(Some(value)),
            Some(Answer { state, .. }) if state == "no hook" => Ok(None),
            Some(_) => Err(HookFailed::NoBackend {
                backend: backend(),
                said,
            }),
            None => Err(HookFailed::Failed {
                backend: backend(),
                hook,
                how: end.status.to_string(),
                said,
            }),
        }
    }

    /// The user's variables; programs of the environment come first, and temporary files are in the
    /// workshop.
    fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut all = python::unsteered(self.around);
        let has_epoch = all.iter().any(|(name, _)| name == "SOURCE_DATE_EPOCH");
        let own = ["PATH", "VIRTUAL_ENV", "TMPDIR", "TEMP", "TMP"];
        all.retain(|(name, _)| !own.iter().any(|one| name == one));
        let search = self.around.search_path.iter();
        let search = search.flat_map(std::env::split_paths);
        let paths = [self.bin.to_owned()].into_iter().chain(search);
        let joined = std::env::join_paths(paths);
        all.push(("PATH".into(), joined.unwrap_or_else(|_| self.bin.into())));
        let env = self.bin.parent().unwrap_or(self.bin);
        all.push(("VIRTUAL_ENV".into(), env.into()));
        let tmp = self.scratch.join("tmp");
        all.extend(
            own.iter()
                .skip(2)
                .map(|name| ((*name).into(), tmp.clone().into())),
        );
        // No time of a clock gets into a wheel of sources that do not change.
        let epoch = self.epoch.filter(|_| !has_epoch);
        all.extend(epoch.map(|epoch| ("SOURCE_DATE_EPOCH".into(), epoch.to_string().into())));
        all
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), HookFailed> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    let opened = options.open(path);
    let written = opened.and_then(|mut file| file.write_all(bytes));
    written.map_err(|source| HookFailed::Disk {
        path: path.to_owned(),
        source,
    })
}
