//! `[build-system]` of a `pyproject.toml`: which backend builds a project, and what it needs
//! (PEP 517, 518).
//!
//! Promises the defaults that the specification gives to a project without one: setuptools, as if
//! it ran `setup.py`. A backend of the project's own (`backend-path`) must be inside the project.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use crate::base::regular_file;
use crate::python::{printable, shown};

/// The file that says how a project is built, and the one of old projects.
const PROJECT: &str = "pyproject.toml";
const SETUP: &str = "setup.py";
/// What builds a project that names no backend.
const LEGACY: &str = "setuptools.build_meta:__legacy__";
const LEGACY_NEEDS: &str = "setuptools>=40.8.0";
/// More than any real file has.
const TEXT_MAX: u64 = 1 << 20;

/// How a project is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BuildSystem {
    /// What has to be installed first (PEP 508).
    pub(crate) requires: Vec<String>,
    /// The backend: `module` or `module:object`.
    pub(crate) backend: String,
    /// Directories of the project in which its own backend is.
    pub(crate) backend_path: Vec<PathBuf>,
}

/// Why it is not known how a project is built.
#[derive(Debug, Error)]
pub enum ProjectFault {
    /// A file cannot be read.
    #[error("cannot read `{}`", shown(path))]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no project.
    #[error(
        "`{}` is no project: it has neither {PROJECT} nor {SETUP}",
        shown(path)
    )]
    NoProject {
        /// The directory.
        path: PathBuf,
    },
    /// The file says something that the specification does not allow.
    #[error("`{}` {why}", shown(path))]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, as a clause.
        why: String,
    },
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "build-system")]
    build_system: Option<Table>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Table {
    requires: Option<Vec<String>>,
    build_backend: Option<String>,
    #[serde(default)]
    backend_path: Vec<String>,
}

impl BuildSystem {
    /// Reads how the project in a directory is built.
    ///
    /// # Errors
    /// See [`ProjectFault`].
    pub(crate) fn read(dir: &Path) -> Result<Self, ProjectFault> {
        let path = dir.join(PROJECT);
        let disk = |source| ProjectFault::Disk {
            path: path.clone(),
            source,
        };
        let mut bytes = Vec::new();
        match regular_file::open(&path) {
            Ok(file) => {
                let read = file.take(TEXT_MAX + 1).read_to_end(&mut bytes);
                read.map_err(disk)?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if !dir.join(SETUP).is_file() {
                    let path = dir.to_owned();
                    return Err(ProjectFault::NoProject { path });
                }
            }
            Err(error) => return Err(disk(error)),
        }
        let content = |why| ProjectFault::Content {
            path: path.clone(),
            why,
        };
        let read = Self::of_text(&bytes).map_err(content)?;
        for inner in &read.backend_path {
            let why = || content(format!("has `{}` in `backend-path`, outside", shown(inner)));
            let top = dir.canonicalize().map_err(disk)?;
            let found = dir.join(inner).canonicalize().map_err(|_| why())?;
            if !found.starts_with(&top) {
                return Err(why());
            }
        }
        Ok(read)
    }

    fn of_text(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() as u64 > TEXT_MAX {
            return Err("is larger than 1 MiB".to_owned());
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
        let document: Document = toml::from_str(text).map_err(|error| {
            let message = printable(error.message());
            format!("is malformed: {message}")
        })?;
        let Some(table) = document.build_system else {
            return Ok(Self {
                requires: vec![LEGACY_NEEDS.to_owned()],
                backend: LEGACY.to_owned(),
                backend_path: Vec::new(),
            });
        };
        let missing = "has a `build-system` without `requires`";
        let requires = table.requires.ok_or_else(|| missing.to_owned())?;
        if table.build_backend.is_none() && !table.backend_path.is_empty() {
            return Err("has `backend-path` without `build-backend`".to_owned());
        }
        let backend = table.build_backend.unwrap_or_else(|| LEGACY.to_owned());
        if !is_backend(&backend) {
            let shown = printable(&backend);
            return Err(format!(
                "names `{shown}` as its backend, which is no module"
            ));
        }
        let is_inside = |path: &String| {
            let mut parts = Path::new(path).components();
            parts.all(|part| {
                use std::path::Component::{CurDir, Normal};
                matches!(part, CurDir | Normal(_))
            })
        };
        if let Some(outside) = table.backend_path.iter().find(|path| !is_inside(path)) {
            let shown = printable(outside);
            return Err(format!("has `{shown}` in `backend-path`, outside"));
        }
        Ok(Self {
            requires,
            backend,
            backend_path: table.backend_path.into_iter().map(PathBuf::from).collect(),
        })
    }
}

/// Whether a text is `module` or `module:object`, each with dots.
fn is_backend(text: &str) -> bool {
    let is_name = |part: &str| {
        let mut chars = part.chars();
        let is_first = |c: char| c.is_alphabetic() || c == '_';
        chars.next().is_some_and(is_first) && chars.all(|c| c.is_alphanumeric() || c == '_')
    };
    let is_dotted = |text: &str| text.split('.').all(is_name);
    let (module, object) = text.split_once(':').unwrap_or((text, "object"));
    is_dotted(module) && is_dotted(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BuildSystem, String> {
        BuildSystem::of_text(text.as_bytes())
    }

    #[test]
    fn a_project_without_a_backend_is_built_by_setuptools() {
        for text in ["", "[project]\nname='x'\n"] {
            let found = read(text).unwrap();
            assert_eq!(found.requires, [LEGACY_NEEDS], "{text}");
            assert_eq!(found.backend, LEGACY, "{text}");
        }
        let found = read("[build-system]\nrequires=['setuptools', 'cython']\n").unwrap();
        assert_eq!(found.requires, ["setuptools", "cython"]);
        assert_eq!(found.backend, LEGACY);
    }

    #[test]
    fn a_backend_is_a_module_and_may_be_in_the_project() {
        let table = "[build-system]\nrequires=[]\nbuild-backend='a.b:c.d'\nbackend-path=['.', 'x']";
        let found = read(table).unwrap();
        assert_eq!(found.backend, "a.b:c.d");
        assert_eq!(found.backend_path, [Path::new("."), Path::new("x")]);
    }

    #[test]
    fn what_the_specification_does_not_allow_is_refused() {
        for (text, why) in [
            ("[build-system]\n", "without `requires`"),
            ("[build-system]\nrequires=1", "is malformed"),
            (
                "[build-system]\nrequires=[]\nbackend-path=['.']",
                "without `build-backend`",
            ),
            (
                "[build-system]\nrequires=[]\nbuild-backend='a;b'",
                "which is no module",
            ),
            (
                "[build-system]\nrequires=[]\nbuild-backend=''",
                "which is no module",
            ),
            (
                "[build-system]\nrequires=[]\nbuild-backend='a'\nbackend-path=['../x']",
                "outside",
            ),
            (
                "[build-system]\nrequires=[]\nbuild-backend='a'\nbackend-path=['/x']",
                "outside",
            ),
        ] {
            let found = read(text).unwrap_err();
            assert!(found.contains(why), "{text}: {found}");
        }
        let place = tempfile::tempdir().unwrap();
        let found = BuildSystem::read(place.path()).unwrap_err();
        assert!(matches!(found, ProjectFault::NoProject { .. }), "{found}");
    }
}
