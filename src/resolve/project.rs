//! `pyproject.toml`: what a project depends on (PEP 621).
//!
//! Promises to read `project.dependencies`, and the optional ones of the extras that are asked for.
//! What a build tool has to compute (`dynamic`) is read in the METADATA that it gives.
//!
//! Read next: `../front/project_needs.rs`, which asks the build tool.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;
use thiserror::Error;

use crate::base::regular_file;
use crate::lock::Environment;
use crate::python::{printable, shown};
use crate::wheel::installed::headers;
use crate::wheel::normal_name;
use crate::wheel::requirement::Specified;

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
    /// Its build tool would have to be asked, and nothing may be built.
    #[error(
        "`{}` leaves its dependencies to its build tool, which has to build it",
        shown(path)
    )]
    Dynamic {
        /// The file.
        path: PathBuf,
    },
}

/// What a project depends on, as far as its `pyproject.toml` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProjectNeeds {
    /// These requirements.
    Listed(Vec<String>),
    /// What its build tool says.
    Dynamic {
        /// The name of the project in its normal form, if the file has it.
        name: Option<String>,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    project: Option<Project>,
    build_system: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Project {
    name: Option<String>,
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
pub fn dependencies(path: &Path, extras: &[String]) -> Result<ProjectNeeds, ProjectError> {
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

fn of_text(bytes: &[u8], extras: &[String]) -> Result<ProjectNeeds, String> {
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
    let Some(project) = document.project else {
        // Projects from before PEP 621 say everything to their build tool.
        return match document.build_system {
            Some(_) => Ok(ProjectNeeds::Dynamic { name: None }),
            None => Err("has no table `project` and no `build-system`".to_owned()),
        };
    };
    let mut all = project.dependencies;
    let is_dynamic = |name: &str| project.dynamic.iter().any(|one| one == name);
    let has_extras = !extras.is_empty();
    if is_dynamic("dependencies") || (has_extras && is_dynamic("optional-dependencies")) {
        let name = project.name.as_deref().map(normal_name);
        return Ok(ProjectNeeds::Dynamic { name });
    }
    for extra in extras {
        let extra = normal_name(extra);
        let mut known = project.optional_dependencies.iter();
        let found = known.find(|(name, _)| normal_name(name) == extra);
        let (_, more) = found.ok_or_else(|| format!("has no extra `{}`", printable(&extra)))?;
        all.extend(more.iter().cloned());
    }
    Ok(ProjectNeeds::Listed(all))
}

/// The requirements in the METADATA of a project, with those of these extras; the error is a
/// clause. An extra of the project that another one asks for counts too.
///
/// # Errors
/// An extra that does not exist; a requirement that is none.
pub(crate) fn needs_in_metadata(
    metadata: &str,
    extras: &[String],
    environment: &Environment,
) -> Result<Vec<String>, String> {
    let own = headers(metadata, "name").pop().unwrap_or_default();
    let own = normal_name(&own);
    let known = headers(metadata, "provides-extra");
    let known: BTreeSet<String> = known.iter().map(|extra| normal_name(extra)).collect();
    let mut wanted: BTreeSet<String> = extras.iter().map(|extra| normal_name(extra)).collect();
    if let Some(extra) = wanted.difference(&known).next() {
        return Err(format!("has no extra `{}`", printable(extra)));
    }
    let texts = headers(metadata, "requires-dist");
    let read = texts.iter().map(|text| {
        let shown = || format!("requires `{}`, which is no requirement", printable(text));
        Specified::parse(text)
            .ok_or_else(shown)
            .map(|read| (text, read))
    });
    let all = read.collect::<Result<Vec<_>, _>>()?;
    let text_for = |text: &str, read: &Specified, wanted: &BTreeSet<String>| {
        let Some(marker) = &read.marker else {
            return Some(text.to_owned());
        };
        // Resolvers know nothing of the extras of a project that they do not install.
        if !marker.to_string().contains("extra") {
            return Some(text.to_owned());
        }
        let mut extras = wanted.iter().map(String::as_str).chain([""]);
        let holds = |extra| environment.holds_for_extra(marker, extra) == Some(true);
        extras
            .any(holds)
            .then(|| read.without_marker(text).to_owned())
    };
    loop {
        let before = wanted.len();
        let mut needs = Vec::new();
        for (text, read) in &all {
            match text_for(text, read, &wanted) {
                Some(_) if read.name == own => wanted.extend(read.extras.iter().cloned()),
                found => needs.extend(found),
            }
        }
        if wanted.len() == before {
            return Ok(needs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    fn read(text: &str, extras: &[&str]) -> Result<ProjectNeeds, String> {
        of_text(text.as_bytes(), &owned(extras))
    }

    fn listed(needs: &[&str]) -> ProjectNeeds {
        ProjectNeeds::Listed(owned(needs))
    }

    #[test]
    fn the_dependencies_of_a_project_are_those_that_it_lists() {
        let text = "[project]\nname = 'x'\ndependencies = ['a>=1', 'b']\n\
                    [project.optional-dependencies]\nFast_Path = ['c']\n";
        assert_eq!(read(text, &[]).unwrap(), listed(&["a>=1", "b"]));
        let with_extra = read(text, &["fast-path"]).unwrap();
        assert_eq!(with_extra, listed(&["a>=1", "b", "c"]));
        assert_eq!(read(text, &["slow"]).unwrap_err(), "has no extra `slow`");
        assert_eq!(read("[project]\n", &[]).unwrap(), listed(&[]));
    }

    #[test]
    fn what_a_build_tool_computes_is_not_in_the_file() {
        let dynamic = |name: Option<&str>| ProjectNeeds::Dynamic {
            name: name.map(str::to_owned),
        };
        let text = "[project]\nname = 'A.B'\ndynamic = ['version', 'dependencies']\n";
        assert_eq!(read(text, &[]).unwrap(), dynamic(Some("a-b")));
        let text = "[project]\nname = 'x'\ndynamic = ['optional-dependencies']\n";
        assert_eq!(read(text, &[]).unwrap(), listed(&[]));
        assert_eq!(read(text, &["a"]).unwrap(), dynamic(Some("x")));
        let text = "[build-system]\nrequires = []\n";
        assert_eq!(read(text, &[]).unwrap(), dynamic(None));
    }

    #[test]
    fn what_is_no_project_is_refused() {
        let none = read("", &[]).unwrap_err();
        assert_eq!(none, "has no table `project` and no `build-system`");
        let malformed = read("[project]\ndependencies = 3\n", &[]).unwrap_err();
        assert!(
            malformed.starts_with("is malformed in line 2: "),
            "{malformed}"
        );
    }
}
