//! Resolving: requirements that are not locked become a lock, by uv or by pip.
//!
//! Promises that whatever a resolver answers is read as a lock, with a hash for each file; that
//! it writes nothing but its own cache and files in the scratch directory of the caller; that the
//! settings of pip (indexes, proxies, certificates) apply, also for uv; and that no backend runs if
//! the caller refuses sources. Otherwise a resolver runs the backends of sources to learn what they
//! need; rvenv builds the wheels itself afterwards. Does not resolve anything itself, and does not
//! promise that both resolvers choose the same versions.
//!
//! Read next: `resolve/uv.rs` and `resolve/pip.rs`; `lock/choose.rs`, which reads the answer.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::NamedTempFile;
use thiserror::Error;

use crate::base::config_settings::ConfigSettings;
use crate::base::lexical_path::normal;
use crate::base::version::Specifiers;
use crate::lock::{ChosenSource, Lock, LockError, SourceTree, name_in_url};
use crate::python::{
    self, Control, Finished, Heard, Interpreter, Job, Lines, Surroundings, Unfinished, shown,
};
use crate::wheel::Named;
use crate::wheel::Release;
use crate::wheel::Sources;
use crate::wheel::requirement::Specified;

mod pip;
mod place;
mod project;
mod uv;

pub use place::AskedPlace;
pub(crate) use project::needs_in_metadata;
pub use project::{ProjectError, ProjectNeeds, dependencies};

/// Who resolves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resolver {
    /// uv if it is on PATH and new enough, else pip.
    #[default]
    Auto,
    /// uv.
    Uv,
    /// The pip that is bundled with the interpreter.
    Pip,
}

/// What is to be resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Requirements (PEP 508).
    pub requirements: Vec<String>,
    /// Directories, archives and repositories.
    pub places: Vec<AskedPlace>,
    /// Requirements files; relative paths in them are relative to the file.
    pub files: Vec<PathBuf>,
    /// What is installed and stays where the requirements allow it.
    pub installed: Vec<Release>,
    /// Whether there may be sources in the answer.
    pub sources: SourceUse,
    /// What the backends of sources get besides what pip's configuration has for them.
    pub config_settings: ConfigSettings,
}

/// Whether sources may be built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceUse {
    /// They may; where a version has no wheel that fits, its sources are the answer.
    #[default]
    Build,
    /// Only wheels are considered, and no backend runs.
    Refuse,
}

impl Asked {
    /// Whether nothing is to be resolved.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty() && self.places.is_empty() && self.files.is_empty()
    }

    /// Whether a package that was chosen is what one of the places has.
    #[must_use]
    pub fn is_at_place(&self, source: &ChosenSource) -> bool {
        let mut places = self.places.iter();
        match source {
            ChosenSource::Sources { tree, .. }
                if let SourceTree::Directory { path, .. } = &**tree =>
            {
                places.any(|place| place.directory.as_deref() == Some(&normal(path)))
            }
            ChosenSource::Wheel { direct, .. } | ChosenSource::Sources { direct, .. } => {
                direct.is_some() && places.any(|place| place.directory.is_none())
            }
            ChosenSource::Release { .. } => false,
        }
    }

    /// The names, in their normal form, of the distributions that the requirements name.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let read = self.requirements.iter();
        let read = read.filter_map(|text| Some(Specified::parse(text)?.name));
        read.collect()
    }

    /// What is installed and the requirements do not exclude by themselves.
    fn compatible(&self) -> Vec<&Release> {
        let read = self.requirements.iter();
        let read: Vec<Specified> = read.filter_map(|text| Specified::parse(text)).collect();
        let excludes = |required: &Specified, one: &Release| {
            let is_in = |range: &Specifiers| range.include(&one.version);
            let is_other = required
                .versions
                .as_ref()
                .is_some_and(|range| !is_in(range));
            required.name == one.name && (is_other || required.url.is_some())
        };
        let installed = self.installed.iter();
        let stays = |one: &&Release| !read.iter().any(|required| excludes(required, one));
        installed.filter(stays).collect()
    }

    /// Checks that each requirement is one, before any program reads it as an option or a path.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), ResolveFailed> {
        let is_built = |url: &str| {
            let file = name_in_url(url).unwrap_or_default();
            Named::of(Path::new(&file)).is_none()
        };
        let refuses = self.sources == SourceUse::Refuse;
        for text in &self.requirements {
            let read = Specified::parse(text);
            let read =
                read.ok_or_else(|| ResolveFailed::NotARequirement(python::printable(text)))?;
            if refuses && read.url.as_deref().is_some_and(is_built) {
                return Err(ResolveFailed::Sources(shown_text(text)));
            }
        }
        for place in &self.places {
            if refuses && (place.is_editable || is_built(&format!("/{}", place.text))) {
                return Err(ResolveFailed::Sources(shown_text(&place.text)));
            }
        }
        Ok(())
    }
}

/// Why there is no lock.
#[derive(Debug, Error)]
pub enum ResolveFailed {
    /// A requirement is not one.
    #[error("`{0}` is not a requirement, such as `name`, `name>=1` or `name @ URL`")]
    NotARequirement(String),
    /// Sources were asked for, and nothing may be built.
    #[error("`{0}` has to be built")]
    Sources(String),
    /// uv was asked for, and is not on PATH.
    #[error("there is no uv on PATH")]
    NoUv,
    /// uv was asked for, and is too old.
    #[error(
        "`{}` is version {version}, and {} is the first that writes locks",
        shown(path),
        uv::FIRST
    )]
    OldUv {
        /// The program.
        path: PathBuf,
        /// Its version.
        version: String,
    },
    /// The interpreter has no pip that can resolve.
    #[error("`{}` has no pip to resolve with", shown(python))]
    NoPip {
        /// The base executable.
        python: PathBuf,
    },
    /// The bundled pip is too old.
    #[error(
        "pip {version} of `{}` cannot resolve without installing; pip {} can",
        shown(python),
        pip::FIRST
    )]
    OldPip {
        /// The base executable.
        python: PathBuf,
        /// The version of its pip.
        version: String,
    },
    /// A program could not be started.
    #[error("cannot start `{}`", shown(program))]
    NotStarted {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The resolver found no solution, or reached no index.
    #[error("{resolver} cannot resolve {what}: {how}{}", Lines(said))]
    Refused {
        /// Its name.
        resolver: &'static str,
        /// What was to be resolved.
        what: String,
        /// The exit code or the signal, in words.
        how: String,
        /// The last lines of its output.
        said: Vec<String>,
    },
    /// What it answered cannot be read.
    #[error("{resolver} gave an answer that cannot be used: {why}")]
    Answer {
        /// Its name.
        resolver: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// What it answered is no lock.
    #[error("the answer of {resolver} is no lock")]
    NoLock {
        /// Its name.
        resolver: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<LockError>,
    },
    /// There is no place for the files that a resolver reads and writes.
    #[error("cannot write a file for the resolver to read")]
    Scratch(#[source] io::Error),
    /// The caller asked to stop; the resolver has been killed.
    #[error("interrupted while resolving {what}")]
    Interrupted {
        /// What was to be resolved.
        what: String,
    },
}

/// Everything besides what is to be resolved.
#[derive(Clone, Copy)]
pub struct Resolving<'a> {
    /// The interpreter that the lock is for.
    pub interpreter: &'a Interpreter,
    /// Where distributions are looked for, besides pip's own configuration.
    pub sources: &'a Sources,
    /// The variables of uv that give it the same settings as pip's configuration gives pip; they
    /// may have passwords in them.
    pub uv_variables: &'a [(String, String)],
    /// What pip's configuration has for the backends of sources; pip reads that itself.
    pub config_settings: &'a ConfigSettings,
    /// A directory for the files that a resolver reads and writes, which the caller deletes.
    pub scratch: &'a Path,
    /// The variables and the working directory of the user.
    pub around: &'a Surroundings,
    /// Resolvers have their own time limits for the network, so the limit of this control is not
    /// used.
    pub control: &'a Control<'a>,
}

impl Resolving<'_> {
    /// Resolves requirements.
    ///
    /// # Errors
    /// See [`ResolveFailed`].
    pub fn resolve(&self, resolver: Resolver, asked: &Asked) -> Result<Lock, ResolveFailed> {
        asked.check()?;
        match resolver {
            Resolver::Pip => self.by_pip(asked),
            Resolver::Uv => self.by_uv(&self.uv()?, asked),
            Resolver::Auto => match self.uv() {
                Ok(uv) => self.by_uv(&uv, asked),
                Err(ResolveFailed::NoUv | ResolveFailed::OldUv { .. }) => self.by_pip(asked),
                Err(failed) => Err(failed),
            },
        }
    }

    /// Runs a program and waits for its end, however long the network takes.
    fn run(&self, job: &Job<'_>, asked: &Asked) -> Result<Finished, ResolveFailed> {
        (self.control.starting)(job.program);
        let patient = Control {
            timeout: Duration::MAX,
            ..*self.control
        };
        python::run(job, &patient).map_err(|why| match why {
            Unfinished::NotStarted(source) => ResolveFailed::NotStarted {
                program: job.program.to_owned(),
                source,
            },
            Unfinished::Interrupted | Unfinished::TimedOut => {
                ResolveFailed::Interrupted { what: what(asked) }
            }
        })
    }

    /// A file in the scratch directory, which is deleted with this value.
    fn file(&self, prefix: &str, suffix: &str, text: &str) -> Result<NamedTempFile, ResolveFailed> {
        let made = tempfile::Builder::new()
            .prefix(prefix)
            .suffix(suffix)
            .tempfile_in(self.scratch);
        let written = made.and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            Ok(file)
        });
        written.map_err(ResolveFailed::Scratch)
    }

    /// An environment in which programs put their temporary files into the scratch directory, so
    /// that one that is killed leaves them there.
    fn within_scratch(&self, mut all: Vec<(OsString, OsString)>) -> Vec<(OsString, OsString)> {
        let names = ["TMPDIR", "TEMP", "TMP"];
        all.retain(|(name, _)| names.iter().all(|own| name != own));
        all.extend(names.map(|name| (name.into(), self.scratch.into())));
        all
    }

    fn job<'j>(&'j self, program: &'j Path, arguments: Vec<&'j OsStr>) -> Job<'j> {
        Job {
            program,
            arguments,
            environment: self.within_scratch(python::unsteered(self.around)),
            cwd: &self.around.cwd,
            input: None,
            heard: Heard::Files,
        }
    }
}

/// What was to be resolved, in words.
fn what(asked: &Asked) -> String {
    let texts = asked.requirements.iter().map(|text| shown_text(text));
    let files = asked.files.iter().map(|file| shown(file));
    let places = asked.places.iter().map(|place| shown_text(&place.text));
    let all: Vec<String> = texts
        .chain(places)
        .chain(files)
        .map(|one| format!("`{one}`"))
        .collect();
    match all.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}

fn shown_text(text: &str) -> String {
    python::printable(&python::without_passwords(text))
}

fn refused(resolver: &'static str, asked: &Asked, end: &Finished) -> ResolveFailed {
    ResolveFailed::Refused {
        resolver,
        what: what(asked),
        how: end.status.to_string(),
        said: python::last_lines(&end.stderr),
    }
}
