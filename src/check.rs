//! Health checks: whether a published environment works, asked of the environment itself.
//!
//! Promises that the built-in check writes nothing, not even bytecode, and ends within a minute; that a command of the
//! person's own runs with the environment active, as after `activate`, and is killed with all that it started
//! as soon as somebody asks to stop. What a check says is kept, and its last lines are in the error: a check that
//! succeeds is silent, so that standard output stays data.
//! Does not promise that a command of the person's own leaves the environment as it is, or ever ends.
//!
//! Read next: `interpreter/process.rs`, which runs it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::interpreter::{
    self, Control, Heard, Job, Lines, PythonVersion, Status, Surroundings, Unfinished,
};
use crate::layout::Layout;

/// How long the built-in check may take: time for a cold disk and a slow machine.
const BUILTIN_TIMEOUT: Duration = Duration::from_mins(1);
/// What the built-in check runs in the environment.
const PROGRAM: &str = include_str!("check.py");

/// Something that must succeed in an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// The interpreter starts, belongs to the environment, and is what was planned.
    Builtin(Expectation),
    /// A command for the shell, with the environment active.
    Command(String),
}

/// What the built-in check expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The version of the interpreter.
    pub version: PythonVersion,
    /// Modules that must be importable, from the environment: `pip` where it was planned.
    pub modules: Vec<String>,
}

/// Where an environment is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvAt {
    /// The environment.
    pub dir: PathBuf,
    /// Its directory of executables.
    pub bin: PathBuf,
    /// Its interpreter.
    pub python: PathBuf,
}

/// Why a check did not succeed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckFailed {
    /// It could not be started.
    #[error("cannot start {check}")]
    NotStarted {
        /// Which check.
        check: String,
        /// Why.
        source: io::Error,
    },
    /// It ended, and not well.
    #[error("{check} failed: {how}{}", Lines(said))]
    Failed {
        /// Which check.
        check: String,
        /// The exit code or the signal, in words.
        how: String,
        /// The last lines of what it said, control characters escaped.
        said: Vec<String>,
    },
    /// It ended, and how is not known.
    #[error("the exit code of {check} is lost, since this process ignores SIGCHLD")]
    Lost {
        /// Which check.
        check: String,
    },
    /// It did not end in time, and was killed.
    #[error("{check} did not end within {seconds} s")]
    TimedOut {
        /// Which check.
        check: String,
        /// The time that it had.
        seconds: u64,
    },
    /// Somebody asked to stop; it has been killed.
    #[error("interrupted during {check}")]
    Interrupted {
        /// Which check.
        check: String,
    },
}

impl EnvAt {
    /// The environment at `env_dir`, of which no more is known.
    #[must_use]
    pub fn in_dir(env_dir: &Path) -> Self {
        let bin = env_dir.join("bin");
        Self {
            dir: env_dir.to_owned(),
            python: bin.join("python"),
            bin,
        }
    }

    /// The environment of this layout at `env_dir`.
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
                write!(f, "the health check `{}`", interpreter::printable(command))
            }
        }
    }
}

/// Runs a check in the environment `env`.
///
/// A command has no time limit but the patience of `control`; the built-in check has 60 s.
///
/// # Errors
/// See [`CheckFailed`].
pub fn run(
    env: &EnvAt,
    check: &Check,
    around: &Surroundings,
    control: &Control<'_>,
) -> Result<(), CheckFailed> {
    match check {
        Check::Builtin(expected) => {
            let modules = expected.modules.iter().map(OsStr::new);
            let version = plain(&expected.version);
            let start = ["-I", "-B", "-c", PROGRAM].into_iter().map(OsStr::new);
            let told = [env.dir.as_os_str(), version.as_ref()];
            let job = Job {
                program: &env.python,
                arguments: start.chain(told).chain(modules).collect(),
                environment: interpreter::unsteered(around),
                cwd: &around.cwd,
                input: None,
                heard: Heard::End,
            };
            passed(check, &job, BUILTIN_TIMEOUT, control)
        }
        Check::Command(command) => {
            let job = Job {
                // Not by its name: the environment is first on PATH, and anybody may install a `sh` there.
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
    let end = interpreter::run(job, &control).map_err(|why| {
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
        // Nothing but the exit code tells a success.
        Status::Lost => Err(CheckFailed::Lost { check }),
        Status::Known(_) => Err(CheckFailed::Failed {
            check,
            how: end.status.to_string(),
            said: interpreter::last_lines(&end.stderr),
        }),
    }
}

fn plain(version: &PythonVersion) -> String {
    format!("{}.{}.{}", version.major, version.minor, version.micro)
}

/// The person's environment as `activate` would leave it, and without bytecode: a check is no reason for a tree to
/// differ from what was published.
fn activated(env: &EnvAt, around: &Surroundings) -> Vec<(OsString, OsString)> {
    let own = [
        "PATH",
        "VIRTUAL_ENV",
        "PYTHONHOME",
        "PYTHONDONTWRITEBYTECODE",
        "__PYVENV_LAUNCHER__",
    ];
    let mut path = env.bin.clone().into_os_string();
    if let Some(rest) = around.search_path.as_ref().filter(|rest| !rest.is_empty()) {
        path.push(":");
        path.push(rest);
    }
    let others = around.environment.iter();
    let others = others.filter(|(name, _)| own.iter().all(|own| name != own));
    let mut environment: Vec<(OsString, OsString)> = others.cloned().collect();
    environment.push(("PATH".into(), path));
    environment.push(("VIRTUAL_ENV".into(), env.dir.clone().into_os_string()));
    environment.push(("PYTHONDONTWRITEBYTECODE".into(), "1".into()));
    environment
}
