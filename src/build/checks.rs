//! Health checks: programs of a published environment show whether it works.
//!
//! Promises:
//! - The built-in check writes nothing, not even bytecode, and ends within a minute.
//! - A command of the user runs with the environment active, as after `activate`, and only if each
//!   name of Python leads to the environment.
//! - A check is killed, with everything that it started, as soon as the caller asks to stop.
//! - A check that succeeds prints nothing, so that standard output stays data. The last lines of
//!   one that fails are in the error.
//! - Code that `site` runs from the environment runs only after its interpreter proved to be the
//!   right one.
//!
//! `checks/owners.rs` reports whether another user can change the environment; the caller decides
//! what follows. Does not promise that a command of the user leaves the environment unchanged, or
//! ever ends.
//!
//! Read next: `python/process.rs`, which runs the programs.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rvenv_journal::Digest;
use thiserror::Error;

use crate::base::regular_file;
use crate::build::layout::Layout;
use crate::python::bytecode::path::DIR_NAME;
use crate::python::{
    self, Control, Finished, Heard, Interpreter, Job, Lines, PythonVersion, Status, Surroundings,
    Unfinished, shown,
};

mod owners;

pub use owners::{OtherOwner, other_owner, other_owner_above};

/// The time limit of the built-in check: enough for a cold disk and a slow machine.
const BUILTIN_TIMEOUT: Duration = Duration::from_mins(1);
/// How much longer it may take for each module that it imports.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// The argument before the modules that it imports.
const IMPORTS: &str = "--";
/// The start of the last line of a check that could not import modules.
const NOT_IMPORTED: &str = "cannot import: ";
/// The program that the built-in check runs in the environment.
const PROGRAM: &str = include_str!("health_check.py");

/// A check that must succeed in an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// The interpreter starts, belongs to the environment, and is the planned one.
    Builtin(Expectation),
    /// A shell command, with the environment active.
    Command(String),
}

/// What the built-in check expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The version of the interpreter.
    pub version: Expected,
    /// Modules that must be importable from the environment: `pip`, if it was planned.
    pub modules: Vec<String>,
    /// Modules that must be importable, from wherever: those of the packages that come along to
    /// another Python.
    pub imports: Vec<String>,
}

/// Which version an interpreter must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// This version: the interpreter was just asked for it.
    Version(PythonVersion),
    /// Any version with this minor number: a configuration keeps the version for which it was
    /// written, while its base may be updated.
    Minor {
        /// The 3 of 3.12.
        major: u32,
        /// The 12 of 3.12.
        minor: u32,
    },
    /// Any.
    Any,
}

impl Expected {
    /// Reads the version in a `pyvenv.cfg`: `3.12.1`, `3.12.1.final.0`, `3.12`.
    #[must_use]
    pub fn by_config(version: &str) -> Self {
        let mut parts = version.split('.').map(|part| part.trim().parse().ok());
        match (parts.next().flatten(), parts.next().flatten()) {
            (Some(major), Some(minor)) => Self::Minor { major, minor },
            (_, _) => Self::Any,
        }
    }

    /// The text that the version of an interpreter must begin with.
    fn start(&self) -> String {
        match self {
            Self::Version(version) => {
                format!("{}.{}.{}", version.major, version.minor, version.micro)
            }
            Self::Minor { major, minor } => format!("{major}.{minor}"),
            Self::Any => String::new(),
        }
    }
}

/// The paths of an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvAt {
    /// The environment.
    pub dir: PathBuf,
    /// Its directory of executables.
    pub bin: PathBuf,
    /// Its interpreter.
    pub python: PathBuf,
}

/// Both names of the directory of libraries, with each library in them.
fn libraries(dir: &Path) -> impl Iterator<Item = (PathBuf, PathBuf)> {
    let libs = ["lib", "lib64"].map(|lib| dir.join(lib));
    libs.into_iter()
        .flat_map(|lib| entries(&lib).map(move |python| (lib.clone(), python)))
}

/// The files that an interpreter of the environment in `dir` reads when it starts.
fn run_at_start(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let starts = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let customizes = ["sitecustomize", "usercustomize"];
        path.extension().is_some_and(|extension| extension == "pth")
            || customizes.iter().any(|start| name.starts_with(start))
    };
    let sites = libraries(dir).map(|(_, python)| python.join("site-packages"));
    let found = sites.flat_map(|site| entries(&site)).filter(starts);
    [dir.join("pyvenv.cfg")].into_iter().chain(found)
}

/// The files of modules to be imported, their bytecode included, that are neither regular files nor
/// directories by the type in the listing: there are thousands of those.
fn of_modules(dir: &Path, modules: &[String]) -> impl Iterator<Item = PathBuf> {
    let sites = libraries(dir).map(|(_, python)| python.join("site-packages"));
    let packages = sites.flat_map(move |site| modules.iter().map(move |name| site.join(name)));
    let dirs = packages.flat_map(|package| {
        let bytecode = package.join(DIR_NAME);
        [package, bytecode]
    });
    dirs.flat_map(|dir| unusual_entries(&dir))
}

/// Finds a FIFO, a socket or a device that an interpreter would read when it starts or imports
/// these modules.
fn never_ends(dir: &Path, modules: &[String]) -> Option<PathBuf> {
    let is_other = |path: &PathBuf| {
        let meta = std::fs::metadata(path);
        meta.is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
    };
    let mut all = run_at_start(dir).chain(of_modules(dir, modules));
    all.find(is_other)
}

/// Checks that the interpreter of the environment in `dir` is this one, or a copy of it.
///
/// # Errors
/// [`CheckFailed::OtherPython`].
pub fn is_of(dir: &Path, interpreter: &Interpreter) -> Result<(), CheckFailed> {
    let python = EnvAt::in_dir(dir).python;
    let real = std::fs::canonicalize(&python).unwrap_or(python);
    let is_same = real == interpreter.real_executable
        || std::fs::canonicalize(&interpreter.executable).is_ok_and(|own| own == real);
    // A copy has the same bytes; a file of another length is not read.
    let is_as_long =
        || std::fs::metadata(&real).is_ok_and(|m| m.len() == interpreter.executable_len);
    let is_copy = || {
        let bytes = regular_file::read(&real).unwrap_or_default();
        Digest::of(&bytes) == interpreter.executable_digest
    };
    if is_same || (is_as_long() && is_copy()) {
        return Ok(());
    }
    Err(CheckFailed::OtherPython {
        python: real,
        expected: interpreter.executable.clone(),
    })
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

/// The entries of a directory that the listing does not show to be regular files or directories;
/// links are among them. None, if it cannot be read.
fn unusual_entries(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let found = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let is_usual = |kind: std::fs::FileType| kind.is_file() || kind.is_dir();
    found
        .filter(move |entry| !entry.file_type().is_ok_and(is_usual))
        .map(|entry| entry.path())
}

/// Why a check failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckFailed {
    /// A part of the environment belongs to another user.
    #[error(transparent)]
    OtherOwner(#[from] OtherOwner),
    /// The caller's own code, which ran as a check, failed.
    #[error("the builder's own code failed")]
    Caller(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The environment's interpreter is a program that only the environment names.
    #[error("no health check starts the environment's interpreter")]
    Untrusted(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The environment is still damaged.
    #[error("`{}` is not whole{}", shown(path), Lines(what))]
    StillDamaged {
        /// The environment.
        path: PathBuf,
        /// What is damaged, in words.
        what: Vec<String>,
    },
    /// It could not be started.
    #[error("cannot start {check}")]
    NotStarted {
        /// The check.
        check: String,
        /// Why.
        source: io::Error,
    },
    /// It failed.
    #[error("{check} failed: {how}{}", Lines(said))]
    Failed {
        /// The check.
        check: String,
        /// The exit code or the signal, in words.
        how: String,
        /// The last lines that it printed, control characters escaped.
        said: Vec<String>,
    },
    /// The environment's interpreter is another file than the one that may be started.
    #[error(
        "`{}` is not `{}`, so no health check starts it",
        shown(python),
        shown(expected)
    )]
    OtherPython {
        /// The environment's interpreter.
        python: PathBuf,
        /// The interpreter that may be started.
        expected: PathBuf,
    },
    /// A name of Python leads out of the environment.
    #[error("`{name}` in {check} is `{}`, outside the environment", shown(found))]
    Outside {
        /// The check.
        check: String,
        /// The name.
        name: String,
        /// The file that the shell would start under this name.
        found: PathBuf,
    },
    /// A file that the interpreter would read at its start is a FIFO, a socket or a device.
    #[error(
        "`{}` is not a regular file, so {check} does not start the interpreter",
        shown(path)
    )]
    NotAFile {
        /// The check.
        check: String,
        /// The file.
        path: PathBuf,
    },
    /// Modules cannot be imported.
    #[error("{check} failed: cannot import {}{}", modules.join(", "), Lines(said))]
    Imports {
        /// The check.
        check: String,
        /// The modules.
        modules: Vec<String>,
        /// The last lines that it printed, control characters escaped.
        said: Vec<String>,
    },
    /// It ended, but its exit code is unknown.
    #[error("the exit code of {check} is lost, since this process ignores SIGCHLD")]
    Lost {
        /// The check.
        check: String,
    },
    /// It did not end in time, and was killed.
    #[error("{check} did not end within {seconds} s")]
    TimedOut {
        /// The check.
        check: String,
        /// The time limit.
        seconds: u64,
    },
    /// The caller asked to stop; it has been killed.
    #[error("interrupted during {check}")]
    Interrupted {
        /// The check.
        check: String,
    },
}

impl EnvAt {
    /// The paths of the environment at `env_dir`, without knowing its layout.
    #[must_use]
    pub fn in_dir(env_dir: &Path) -> Self {
        let (bin, python) = if cfg!(windows) {
            ("Scripts", "python.exe")
        } else {
            ("bin", "python")
        };
        let bin = env_dir.join(bin);
        Self {
            dir: env_dir.to_owned(),
            python: bin.join(python),
            bin,
        }
    }

    /// The paths of the environment with this layout at `env_dir`.
    #[must_use]
    pub fn of(env_dir: &Path, layout: &Layout) -> Self {
        Self {
            dir: env_dir.to_owned(),
            bin: env_dir.join(layout.bin_name.as_str()),
            python: env_dir.join(layout.env_exe.as_str()),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin(_) => f.write_str("the built-in health check"),
            Self::Command(command) => {
                write!(f, "the health check `{}`", python::printable(command))
            }
        }
    }
}

/// Runs a check in the environment `env`.
///
/// A command ends only by itself or when `control` interrupts it; the built-in check has 60 s.
///
/// # Errors
/// See [`CheckFailed`].
pub fn run(
    env: &EnvAt,
    check: &Check,
    around: &Surroundings,
    control: &Control<'_>,
) -> Result<(), CheckFailed> {
    let modules = match check {
        Check::Builtin(expected) => [&expected.modules[..], &expected.imports].concat(),
        Check::Command(_) => Vec::new(),
    };
    if let Some(path) = never_ends(&env.dir, &modules) {
        let check = check.to_string();
        return Err(CheckFailed::NotAFile { check, path });
    }
    match check {
        Check::Builtin(expected) => match run_builtin(env, check, expected, around, control) {
            Err(CheckFailed::Imports {
                check: shown,
                modules,
                said,
            }) if expected.imports.len() > 1 => {
                // One module can disturb the next: setuptools refuses to follow distutils.
                let alone = |name: &String| Expectation {
                    imports: vec![name.clone()],
                    ..expected.clone()
                };
                let mut broken = Vec::new();
                for name in modules {
                    match run_builtin(env, check, &alone(&name), around, control) {
                        Ok(()) => {}
                        Err(CheckFailed::Imports { .. }) => broken.push(name),
                        Err(other) => return Err(other),
                    }
                }
                if broken.is_empty() {
                    return Ok(());
                }
                Err(CheckFailed::Imports {
                    check: shown,
                    modules: broken,
                    said,
                })
            }
            ended => ended,
        },
        Check::Command(command) => {
            if let Some((name, found)) = outside(env, around) {
                let check = check.to_string();
                return Err(CheckFailed::Outside { check, name, found });
            }
            let job = Job {
                // Not found by name: the environment is first on PATH, and any package may install
                // a `sh` there.
                program: Path::new("/bin/sh"),
                arguments: vec!["-c".as_ref(), command.as_ref()],
                environment: activated(env, around),
                cwd: &around.cwd,
                input: None,
                heard: Heard::End,
            };
            passed(check, &job, Duration::MAX, control)
        }
    }
}

/// Runs the built-in check once.
fn run_builtin(
    env: &EnvAt,
    check: &Check,
    expected: &Expectation,
    around: &Surroundings,
    control: &Control<'_>,
) -> Result<(), CheckFailed> {
    let mut modules: Vec<&OsStr> = expected.modules.iter().map(OsStr::new).collect();
    modules.push(OsStr::new(IMPORTS));
    modules.extend(expected.imports.iter().map(OsStr::new));
    let count = u32::try_from(expected.imports.len()).unwrap_or(u32::MAX);
    let timeout = BUILTIN_TIMEOUT.saturating_add(IMPORT_TIMEOUT.saturating_mul(count));
    let version = expected.version.start();
    // Without `site` at first, so that code of the environment, such as a `.pth`, runs only in the
    // right interpreter.
    let start = ["-I", "-S", "-B", "-c", PROGRAM].map(OsStr::new);
    let told = [env.dir.as_os_str(), OsStr::new(&version)];
    let job = Job {
        program: &env.python,
        arguments: start.into_iter().chain(told).chain(modules).collect(),
        environment: python::unsteered(around),
        cwd: &around.cwd,
        input: None,
        heard: Heard::End,
    };
    passed(check, &job, timeout, control)
}

fn passed(
    check: &Check,
    job: &Job<'_>,
    timeout: Duration,
    control: &Control<'_>,
) -> Result<(), CheckFailed> {
    (control.starting)(job.program);
    let control = Control {
        timeout,
        ..*control
    };
    let end = python::run(job, &control).map_err(|why| {
        let check = check.to_string();
        match why {
            Unfinished::NotStarted(source) => CheckFailed::NotStarted { check, source },
            Unfinished::Interrupted => CheckFailed::Interrupted { check },
            Unfinished::TimedOut => CheckFailed::TimedOut {
                check,
                seconds: timeout.as_secs(),
            },
        }
    })?;
    let check = check.to_string();
    match end.status {
        Status::Known(status) if status.success() => Ok(()),
        // Only the exit code shows a success.
        Status::Lost => Err(CheckFailed::Lost { check }),
        Status::Known(_) => Err(failed(check, &end)),
    }
}

fn failed(check: String, end: &Finished) -> CheckFailed {
    let mut said = python::last_lines(&end.stderr);
    let last = said.last().and_then(|last| last.strip_prefix(NOT_IMPORTED));
    if let Some(modules) = last.map(|names| names.split(' ').map(str::to_owned).collect()) {
        said.pop();
        return CheckFailed::Imports {
            check,
            modules,
            said,
        };
    }
    CheckFailed::Failed {
        check,
        how: end.status.to_string(),
        said,
    }
}

/// The built-in check comes before the commands: a command that reaches another interpreter shows
/// nothing about this environment.
#[must_use]
pub fn built_in_first(expected: Expectation, commands: &[String]) -> Vec<Check> {
    let commands = commands.iter().cloned().map(Check::Command);
    [Check::Builtin(expected)]
        .into_iter()
        .chain(commands)
        .collect()
}

/// A name of Python that the shell would find further along PATH, because it cannot start the
/// environment's own, and the file that it would find.
fn outside(env: &EnvAt, around: &Surroundings) -> Option<(String, PathBuf)> {
    let path = search_path(env, around);
    let found = |name: String| {
        let found = which::which_in(&name, Some(&path), &around.cwd).ok()?;
        Some((name, found))
    };
    let mut all = names_of_python(env).into_iter().filter_map(found);
    all.find(|(_, found)| !found.starts_with(&env.bin))
}

/// `python` and `python3`, and the versioned names in the environment: `python3.12`, `python3.13t`.
fn names_of_python(env: &EnvAt) -> BTreeSet<String> {
    let is_version = |rest: &str| {
        let rest = rest.strip_suffix('t').unwrap_or(rest);
        rest.bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    let entries = std::fs::read_dir(&env.bin).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let own = names.filter(|name| name.strip_prefix("python").is_some_and(is_version));
    ["python", "python3"]
        .map(str::to_owned)
        .into_iter()
        .chain(own)
        .collect()
}

/// PATH as `activate` would leave it.
fn search_path(env: &EnvAt, around: &Surroundings) -> OsString {
    let mut path = env.bin.clone().into_os_string();
    if let Some(rest) = around.search_path.as_ref().filter(|rest| !rest.is_empty()) {
        path.push(":");
        path.push(rest);
    }
    path
}

/// The user's variables as `activate` would leave them, and with bytecode switched off: a check
/// must not make a tree differ from what was published.
fn activated(env: &EnvAt, around: &Surroundings) -> Vec<(OsString, OsString)> {
    let own = [
        "PATH",
        "VIRTUAL_ENV",
        "PYTHONHOME",
        "PYTHONDONTWRITEBYTECODE",
        "__PYVENV_LAUNCHER__",
    ];
    // A shell runs a function that bash exported before it searches PATH.
    let is_function = |name: &OsStr| name.as_encoded_bytes().starts_with(b"BASH_FUNC_python");
    let others = around.environment.iter();
    let others = others.filter(|(name, _)| own.iter().all(|own| name != own) && !is_function(name));
    let mut environment: Vec<(OsString, OsString)> = others.cloned().collect();
    environment.push(("PATH".into(), search_path(env, around)));
    environment.push(("VIRTUAL_ENV".into(), env.dir.clone().into_os_string()));
    environment.push(("PYTHONDONTWRITEBYTECODE".into(), "1".into()));
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_promises_a_minor_version() {
        let check = |text: &str, expect: &str| {
            assert_eq!(Expected::by_config(text).start(), expect, "{text}");
        };
        check("3.12.1", "3.12");
        check("3.12.1.final.0", "3.12");
        check(" 3.12 ", "3.12");
        check("3", "");
        check("", "");
        check("three.12", "");
    }

    #[test]
    fn an_exported_function_is_no_python_of_the_environment() {
        let variable = |name: &str| (OsString::from(name), OsString::from("() { true; }"));
        let around = Surroundings {
            environment: vec![
                variable("BASH_FUNC_python%%"),
                variable("BASH_FUNC_python3%%"),
                variable("BASH_FUNC_mine%%"),
            ],
            ..Surroundings::default()
        };
        let found = activated(&EnvAt::in_dir(Path::new("/E")), &around);
        let functions = found.iter().map(|(name, _)| name);
        let functions: Vec<_> = functions
            .filter(|name| name.as_encoded_bytes().starts_with(b"BASH_FUNC"))
            .collect();
        assert_eq!(functions, ["BASH_FUNC_mine%%"]);
    }
}
