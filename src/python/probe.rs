//! The probe: asks an executable what it is, and follows a virtual environment to its base.
//!
//! Promises that an answer comes from the interpreter itself in one run of `probe.py`, that noise
//! around the answer is harmless, and that the worst effect of any output is an error that names
//! the program. Does not promise that a hostile program tells the truth; the user chose to run it.
//!
//! Read next: `process.rs`, which runs it; `probe_cache.rs`, which saves the next run.

use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use rvenv_journal::Digest;
use rvenv_journal::raw::{Hasher, counted};
use serde::Deserialize;

use super::error::{InterpreterError, shown};
use super::interpreter::{Bundled, Caching, Interpreter, Platform, PythonVersion};
use super::process::{self, Finished, Heard, Job, Unfinished};
use super::surroundings::{Control, Surroundings};
use crate::base::fingerprint::Fingerprint;
use crate::base::regular_file;

/// The program that the interpreter runs.
pub(super) const PROBE: &str = include_str!("probe.py");
/// The prefix of the answer.
const MARKER: &str = "rvenv-probe-3:";
/// The deepest chain of environments that were created from environments; a longer one is a cycle.
const CHAIN_MAX: usize = 8;
/// More than any real `pyvenv.cfg` has.
const CONFIG_MAX: u64 = 1 << 16;

/// The part of the answer that every Python gives.
#[derive(Deserialize)]
struct Head {
    version: PythonVersion,
    unusable: Option<String>,
}

/// The answer of a Python that is new enough: what becomes a part of an [`Interpreter`], and what
/// finds its base and its witnesses.
#[derive(Deserialize)]
struct Answer {
    version: PythonVersion,
    executable: PathBuf,
    base_executable: PathBuf,
    real_executable: PathBuf,
    platform: Platform,
    /// As text, so that a scheme or a cache tag that does not fit is reported as such.
    scheme: [String; 4],
    caching: Option<(String, String)>,
    bundled: Bundled,
    watched: Vec<PathBuf>,
}

/// An interpreter, and whether the answer may be remembered.
pub(super) struct Probed {
    pub(super) interpreter: Interpreter,
    /// Whether no file changed during the probe.
    pub(super) steady: bool,
}

/// Asks `path`, and if it belongs to a virtual environment, the base of that environment.
pub(super) fn probe(
    path: &Path,
    around: &Surroundings,
    control: &Control<'_>,
) -> Result<Probed, InterpreterError> {
    let mut invoked: Option<PathBuf> = None;
    let mut witnesses = Vec::new();
    let mut next = path.to_owned();
    for _ in 0..CHAIN_MAX {
        let before = Fingerprint::of(&next);
        let answer = ask(&next, around, control)?;
        witnesses.push(before);
        witnesses.extend(
            config_places(&answer.executable)
                .iter()
                .map(|c| Fingerprint::of(c)),
        );
        let first = invoked.get_or_insert_with(|| answer.executable.clone());
        if let Some(base) = base_of(&answer)? {
            next = base;
        } else {
            let first = first.clone();
            return describe(answer, first, witnesses);
        }
    }
    Err(InterpreterError::NotPython {
        path: path.to_owned(),
        reason: format!(
            "it belongs to a chain of more than {}",
            counted(CHAIN_MAX, "virtual environment")
        ),
    })
}

/// Runs the probe in one executable.
fn ask(
    path: &Path,
    around: &Surroundings,
    control: &Control<'_>,
) -> Result<Answer, InterpreterError> {
    let not_python = |reason: String| InterpreterError::NotPython {
        path: path.to_owned(),
        reason,
    };
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(not_python("it is a directory".to_owned())),
        Ok(_) => {}
        Err(error) => return Err(not_python(error.to_string())),
    }
    (control.starting)(path);
    // Python 2 does not know `-I`; the probe itself removes the working directory from `sys.path`.
    let arguments = ["-E", "-s", "-S", "-B", "-c", PROBE];
    let job = Job {
        program: path,
        arguments: arguments.iter().map(AsRef::as_ref).collect(),
        environment: process::unsteered(around),
        cwd: &around.cwd,
        input: None,
        heard: Heard::Answer,
    };
    let end = process::run(&job, control).map_err(|why| match why {
        Unfinished::NotStarted(error) => not_python(error.to_string()),
        Unfinished::TimedOut => InterpreterError::TimedOut {
            path: path.to_owned(),
            seconds: control.timeout.as_secs_f64(),
        },
        Unfinished::Interrupted => InterpreterError::Interrupted {
            path: path.to_owned(),
        },
    })?;
    let Some(line) = answer_line(&end) else {
        if !end.status.is_failure() {
            return Err(not_python("it printed no answer to the probe".to_owned()));
        }
        return Err(InterpreterError::Crashed {
            path: path.to_owned(),
            how: end.status.to_string(),
            said: process::last_lines(&end.stderr),
        });
    };
    read(path, line).map_err(|why| match why {
        Unreadable::Old(version) => InterpreterError::TooOld {
            path: path.to_owned(),
            version,
        },
        Unreadable::Reason(reason) => not_python(reason),
    })
}

/// The last line with the marker; wrappers may print text before and after it.
fn answer_line(end: &Finished) -> Option<&[u8]> {
    let mut lines = end.stdout.split(|byte| *byte == b'\n').rev();
    lines.find_map(|line| line.strip_prefix(MARKER.as_bytes()))
}

enum Unreadable {
    Old(String),
    Reason(String),
}

fn read(path: &Path, line: &[u8]) -> Result<Answer, Unreadable> {
    let reason = |error: serde_json::Error| {
        Unreadable::Reason(format!("its answer to the probe is malformed: {error}"))
    };
    let head: Head = serde_json::from_slice(line).map_err(reason)?;
    if !head.version.at_least(3, 6) {
        return Err(Unreadable::Old(process::printable(&head.version.text)));
    }
    if let Some(why) = head.unusable {
        return Err(Unreadable::Reason(process::printable(&why)));
    }
    let mut answer: Answer = serde_json::from_slice(line).map_err(reason)?;
    if answer.executable.as_os_str().is_empty() {
        // An embedded interpreter does not know its own file. venv refuses it, but here the path is
        // known.
        path.clone_into(&mut answer.executable);
    }
    if answer.base_executable.as_os_str().is_empty() {
        answer.base_executable.clone_from(&answer.executable);
    }
    let paths = [
        &answer.executable,
        &answer.base_executable,
        &answer.real_executable,
    ];
    let all = paths
        .into_iter()
        .chain(answer.bundled.wheels())
        .chain(&answer.watched);
    if let Some(relative) = all.into_iter().find(|p| !p.is_absolute()) {
        let text = format!(
            "it reports `{}`, which is not an absolute path",
            shown(relative)
        );
        return Err(Unreadable::Reason(text));
    }
    Ok(answer)
}

/// The interpreter that an environment was created from; `None` for one that belongs to no
/// environment.
fn base_of(answer: &Answer) -> Result<Option<PathBuf>, InterpreterError> {
    // From 3.11 on, the interpreter finds this out itself, even without `site`.
    if answer.base_executable != answer.executable {
        return Ok(Some(answer.base_executable.clone()));
    }
    let places = config_places(&answer.executable);
    let Some(config) = places.iter().find(|place| place.is_file()) else {
        return Ok(None);
    };
    let fail = |reason: String| InterpreterError::NotPython {
        path: answer.executable.clone(),
        reason,
    };
    let home = home_key(config)
        .map_err(|error| fail(format!("`{}` cannot be read: {error}", shown(config))))?;
    // Without the key, no interpreter takes itself for part of an environment.
    let Some(home) = home else { return Ok(None) };
    let base = executable_in(&home, answer);
    base.map(Some).ok_or_else(|| {
        fail(format!(
            "`{}` names `{}` as its home, where there is no interpreter",
            shown(config),
            shown(&home)
        ))
    })
}

/// The paths where an interpreter looks for the `pyvenv.cfg` of its environment, in this order.
fn config_places(executable: &Path) -> Vec<PathBuf> {
    let above = executable.ancestors().skip(1).take(2);
    above
        .map(|directory| directory.join("pyvenv.cfg"))
        .collect()
}

/// The first `home` of a `pyvenv.cfg`, as the interpreter reads it.
fn home_key(config: &Path) -> io::Result<Option<PathBuf>> {
    let mut bytes = Vec::new();
    let file = regular_file::open(config)?;
    file.take(CONFIG_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let values = text.lines().filter_map(|line| line.split_once('='));
    let mut homes = values.filter(|(key, _)| key.trim().eq_ignore_ascii_case("home"));
    let home = homes.next().map(|(_, value)| PathBuf::from(value.trim()));
    Ok(home.filter(|home| home.is_absolute()))
}

/// The interpreter in an environment's home: the target of the environment's own link, else found
/// by name.
fn executable_in(home: &Path, answer: &Answer) -> Option<PathBuf> {
    let own = answer.executable.parent()?;
    let mut hop = answer.executable.clone();
    // As many links as the kernel follows.
    for _ in 0..40 {
        let Ok(target) = fs::read_link(&hop) else {
            break;
        };
        hop = hop.parent()?.join(target);
        if hop.parent() == Some(home) && home != own {
            return Some(hop);
        }
    }
    if home != own {
        let PythonVersion { major, minor, .. } = answer.version;
        let own_name = answer.executable.file_name()?.to_owned();
        let names = [
            own_name,
            format!("python{major}.{minor}").into(),
            format!("python{major}").into(),
            "python".into(),
        ];
        let mut candidates = names.into_iter().map(|name| home.join(name));
        return candidates.find(|candidate| candidate.is_file());
    }
    // An environment that was upgraded with its own interpreter names itself as its home; its link
    // still leads to the base.
    let real = &answer.real_executable;
    (real.parent() != Some(own) && real.is_file()).then(|| real.clone())
}

/// Turns the answer of a base interpreter into an [`Interpreter`].
fn describe(
    answer: Answer,
    invoked: PathBuf,
    mut witnesses: Vec<Fingerprint>,
) -> Result<Probed, InterpreterError> {
    let fail = |reason: String| InterpreterError::NotPython {
        path: answer.executable.clone(),
        reason,
    };
    let executable_before = Fingerprint::of(&answer.executable);
    let (executable_digest, executable_len) =
        digest(&answer.executable).map_err(|error| fail(format!("it cannot be read: {error}")))?;
    let scheme = answer.scheme.try_into().map_err(&fail)?;
    let caching = answer.caching.map(Caching::try_from).transpose();
    let caching = caching.map_err(&fail)?;
    witnesses.push(executable_before);
    let mut steady = witnesses.iter().all(Fingerprint::holds);
    let watched: Vec<Fingerprint> = answer
        .watched
        .iter()
        .map(|path| Fingerprint::of(path))
        .collect();
    // If a wheel vanished after the answer, the answer was outdated when it arrived.
    let wheels = answer.bundled.wheels();
    let is_current = |seen: &Fingerprint| seen.state.is_some() || !wheels.contains(&seen.path);
    steady &= watched.iter().all(is_current);
    witnesses.extend(watched);
    witnesses.sort_by(|a, b| a.path.cmp(&b.path));
    witnesses.dedup_by(|a, b| a.path == b.path);
    let interpreter = Interpreter {
        executable: answer.executable,
        invoked,
        real_executable: answer.real_executable,
        executable_digest,
        executable_len,
        version: answer.version,
        platform: answer.platform,
        scheme,
        caching,
        bundled: answer.bundled,
        witnesses,
    };
    Ok(Probed {
        interpreter,
        steady,
    })
}

/// SHA-256 and length of a file.
fn digest(path: &Path) -> io::Result<(Digest, u64)> {
    let mut file = regular_file::open(path)?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 17];
    let mut length = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((hasher.finish(), length)),
            Ok(count) => {
                hasher.update(buffer.get(..count).unwrap_or_default());
                length += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A path joined to the working directory, without `.` and doubled separators. `..` stays, since
/// its meaning after a link depends on the link's target.
pub(super) fn absolute(path: &Path, cwd: &Path) -> PathBuf {
    let joined = cwd.join(path);
    let parts = joined.components();
    parts
        .filter(|part| !matches!(part, Component::CurDir))
        .collect()
}
