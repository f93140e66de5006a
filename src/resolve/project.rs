//! `pyproject.toml`: what a project depends on (PEP 621).
//!
//! Promises to read `project.dependencies`, and the optional ones of the extras that are asked for,
//! and nothing that a build tool would have to compute.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use crate::base::regular_file;
use crate::python::{printable, shown};
use crate::wheel::normal_name;

/// More than any real file has.
const TEXT_MAX: u64 = 1 << 20;

/// Why the dependencies of a project are not known.
#[derive(Debug, Error)]
pub enum ProjectError {
    /// The file cannot be read.
    #[error("cannot read `{}`", shown(path))]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("`{}` {why}", shown(path))]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, as a clause.
        why: String,
    },
}

#[derive(Deserialize)]
struct Document {
    project: Option<Project>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Project {
    #[serde(default)]
    dependencies: Vec<String>,
    #[serde(default)]
    optional_dependencies: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    dynamic: Vec<String>,
}

/// The requirements of the project whose `pyproject.toml` is at `path`, with those of these extras.
///
/// # Errors
/// See [`ProjectError`].
pub fn dependencies(path: &Path, extras: &[String]) -> Result<Vec<String>, ProjectError> {
    let disk = |source| ProjectError::Disk {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = regular_file::open(path).map_err(disk)?;
    file.take(TEXT_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(disk)?;
    of_text(&bytes, extras).map_err(|why| ProjectError::Content {
        path: path.to_owned(),
        why,
    })
}

fn of_text(bytes: &[u8], extras: &[String]) -> Result<Vec<String>, String> {
    if bytes.len() as u64 > TEXT_MAX {
        return Err("is larger than 1 MiB".to_owned());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    let document: Document = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let before = text.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        format!(
            "is malformed in line {line}: {}",
            printable(error.message())
        )
    })?;
    let project = document.project;
    let project = project.ok_or_else(|| "has no table `project`".to_owned())?;
    let mut all = project.dependencies;
    let is_dynamic = |name: &str| project.dynamic.iter().any(|one| one == name);
    if is_dynamic("dependencies") {
        return Err("leaves its dependencies to its build tool (`dynamic`)".to_owned());
    }
    for extra in extras {
        let extra = normal_name(extra);
        let mut known = project.optional_dependencies.iter();
        let found = known.find(|(name, _)| normal_name(name) == extra);
        let (_, more) = found.ok_or_else(|| format!("has no extra `{}`", printable(&extra)))?;
        all.extend(more.iter().cloned());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, extras: &[&str]) -> Result<Vec<String>, String> {
        let extras: Vec<String> = extras.iter().map(|&extra| extra.to_owned()).collect();
        of_text(text.as_bytes(), &extras)
    }

    #[test]
    fn the_dependencies_of_a_project_are_those_that_it_lists() {
        let text = "[project]\nname = 'x'\ndependencies = ['a>=1', 'b']\n\
                    [project.optional-dependencies]\nFast_Path = ['c']\n";
        assert_eq!(read(text, &[]).unwrap(), ["a>=1", "b"]);
        assert_eq!(read(text, &["fast-path"]).unwrap(), ["a>=1", "b", "c"]);
        assert_eq!(read(text, &["slow"]).unwrap_err(), "has no extra `slow`");
        assert_eq!(read("[project]\n", &[]).unwrap(), [""; 0]);
    }

    #[test]
    fn what_is_not_known_without_building_is_refused() {
        let dynamic = read("[project]\ndynamic = ['dependencies']\n", &[]).unwrap_err();
        assert!(dynamic.contains("build tool"), "{dynamic}");
        assert_eq!(read("", &[]).unwrap_err(), "has no table `project`");
        let malformed = read("[project]\ndependencies = 3\n", &[]).unwrap_err();
        assert!(
            malformed.starts_with("is malformed in line 2: "),
            "{malformed}"
        );
    }
}
