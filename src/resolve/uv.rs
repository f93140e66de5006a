//! uv as a resolver: `uv pip compile` writes a `pylock.toml`.
//!
//! Promises that uv downloads no interpreters, that it builds nothing if sources are refused, and
//! that passwords reach it through its environment, which other users cannot read, not through its
//! arguments.
//!
//! Read next: `../lock/pylock.rs`, which reads the answer.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Asked, AskedPlace, ResolveFailed, Resolving, SourceUse, refused};
use crate::base::lexical_path::normal;
use crate::base::version;
use crate::lock::{Lock, Source, read_pylock};
use crate::python::{Heard, Job, printable};
use crate::wheel::Release;

/// The first version of uv whose `pip compile` writes `pylock.toml`.
pub(super) const FIRST: &str = "0.7.0";
const NAME: &str = "uv";

/// What uv always does.
const OPTIONS: [&str; 8] = [
    "pip",
    "compile",
    "--quiet",
    "--no-header",
    "--no-python-downloads",
    "--no-progress",
    "--format",
    "pylock.toml",
];

impl Resolving<'_> {
    /// The uv on PATH, if it is new enough.
    pub(super) fn uv(&self) -> Result<PathBuf, ResolveFailed> {
        let search = self.around.search_path.as_ref();
        let path =
            search.and_then(|search| which::which_in(NAME, Some(search), &self.around.cwd).ok());
        let path = path.ok_or(ResolveFailed::NoUv)?;
        let job = Job {
            heard: Heard::Answer,
            ..self.job(&path, vec!["--version".as_ref()])
        };
        let end = self.run(&job, &Asked::default())?;
        let said = String::from_utf8_lossy(&end.stdout);
        let version = said.split_whitespace().nth(1).unwrap_or_default();
        let is_new = version::is_version(version) && version::compare(version, FIRST).is_ge();
        if end.status.is_failure() || !is_new {
            let version = printable(version);
            return Err(ResolveFailed::OldUv { path, version });
        }
        Ok(path)
    }

    pub(super) fn by_uv(&self, uv: &Path, asked: &Asked) -> Result<Lock, ResolveFailed> {
        // uv keeps the versions of the file that it is to overwrite, where it can.
        let answer = self.file("pylock.", ".toml", &preferred(&asked.installed))?;
        let python = self.interpreter.executable.as_os_str();
        let mut arguments: Vec<&OsStr> = OPTIONS.map(OsStr::new).to_vec();
        arguments.extend([OsStr::new("--python"), python]);
        arguments.extend([OsStr::new("--output-file"), answer.path().as_os_str()]);
        arguments.extend(self.sources.no_index.then_some(OsStr::new("--no-index")));
        let refuses = asked.sources == SourceUse::Refuse;
        arguments.extend(refuses.then_some(OsStr::new("--no-build")));
        let settings = self
            .config_settings
            .all()
            .chain(asked.config_settings.all());
        let settings: Vec<String> = settings
            .map(|setting| format!("--config-setting={setting}"))
            .collect();
        arguments.extend(settings.iter().map(OsStr::new));
        arguments.extend(asked.files.iter().map(|file| file.as_os_str()));
        // A dash means the requirements on standard input.
        let places = asked.places.iter().map(AskedPlace::line);
        let lines: Vec<String> = asked.requirements.iter().cloned().chain(places).collect();
        let input: Option<Arc<[u8]>> = (!lines.is_empty()).then(|| {
            let lines = lines.join("\n") + "\n";
            Arc::from(lines.as_bytes())
        });
        arguments.extend(input.is_some().then_some(OsStr::new("-")));
        let mut job = Job {
            input,
            heard: Heard::End,
            ..self.job(uv, arguments)
        };
        let given = self.uv_variables.iter();
        let given = given.map(|(name, value)| (name.into(), value.into()));
        job.environment.extend(given);
        let end = self.run(&job, asked)?;
        if end.status.is_failure() {
            return Err(refused(NAME, asked, &end));
        }
        let text = std::fs::read(answer.path()).map_err(ResolveFailed::Scratch)?;
        let read = read_pylock(answer.path(), &text);
        let mut lock = read.map_err(|source| ResolveFailed::NoLock {
            resolver: NAME,
            source: Box::new(source),
        })?;
        for package in &mut lock.packages {
            free_of_scratch(&mut package.source);
        }
        Ok(lock)
    }
}

/// Makes paths independent of the file that uv wrote, which is deleted: they lead through its
/// directory.
fn free_of_scratch(source: &mut Source) {
    let free = |path: &mut PathBuf| {
        let short = normal(path);
        *path = if short.exists() {
            short
        } else {
            path.canonicalize().unwrap_or(short)
        };
    };
    match source {
        Source::Directory { path, .. } => free(path),
        Source::Archive(archive) => archive.file.path.iter_mut().for_each(free),
        Source::Files { wheels, sdist } => {
            let files = wheels.iter_mut().chain(sdist);
            files.flat_map(|file| &mut file.path).for_each(free);
        }
        Source::Repository(revision) => {
            if Path::new(&revision.url).is_absolute() {
                let mut path = PathBuf::from(&revision.url);
                free(&mut path);
                revision.url = path.display().to_string();
            }
        }
        Source::Release { .. } => {}
    }
}

/// A `pylock.toml` with nothing but versions.
fn preferred(installed: &[Release]) -> String {
    let mut text = String::from("lock-version = \"1.0\"\ncreated-by = \"rvenv\"\npackages = []\n");
    if !installed.is_empty() {
        text.truncate(text.len() - "packages = []\n".len());
    }
    let is_plain = |text: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._+!".contains(c);
        !text.is_empty() && text.chars().all(plain)
    };
    // A version that is none would make uv refuse all.
    let usable = installed
        .iter()
        .filter(|one| is_plain(&one.name) && version::is_version(&one.version));
    let usable = usable.filter(|one| is_plain(&one.version));
    let table = |Release { name, version }: &Release| {
        format!("\n[[packages]]\nname = \"{name}\"\nversion = \"{version}\"\n")
    };
    text.extend(usable.map(table));
    text
}
