//! The newest pip: wheels that pip downloads, and how a plan uses them.
//!
//! The index is a directory with wheels made here; no network. Interpreters that are not installed
//! are skipped.

use crate::packages;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use crate::machine::{Python, Scratch, any_python, supported};
use rvenv::cache::Cache;
use rvenv::download::{DownloadFailed, download};
use rvenv::hooks::{Context, Venv, build, core_dependencies};
use rvenv::options::Options;
use rvenv::python::{self, Control, Interpreter, Request, Surroundings};
use rvenv::supply::{Supply, Why};

struct Index {
    scratch: Scratch,
    around: Surroundings,
}

impl Index {
    /// An index with these wheels; variables name it to pip, as a user would.
    fn new(python: &Python, wheels: &[(&str, &str)]) -> Self {
        let scratch = Scratch::new();
        let directory = packages::index(&scratch, &python.path, wheels);
        fs::create_dir(scratch.path("into")).unwrap();
        let variable = |name: &str, value: OsString| (OsString::from(name), value);
        let around = Surroundings {
            cwd: scratch.path(""),
            cache_dir: Some(Cache::at(scratch.cache())),
            environment: vec![
                variable("PATH", "/usr/bin:/bin".into()),
                variable("HOME", scratch.path("").into()),
                variable("PIP_NO_INDEX", "1".into()),
                variable("PIP_FIND_LINKS", directory.into()),
                variable("PIP_REQUIRE_VIRTUALENV", "1".into()),
                variable("PYTHONHOME", "/nowhere".into()),
            ],
            ..Surroundings::default()
        };
        Self { scratch, around }
    }

    fn interpreter(&self, python: &Python) -> Interpreter {
        let request = Request::Path(python.path.clone());
        python::find(&request, &self.around, &Control::default()).unwrap()
    }

    fn download(
        &self,
        interpreter: &Interpreter,
        names: &[&str],
    ) -> Result<Vec<PathBuf>, DownloadFailed> {
        let into = self.scratch.path("into");
        download(interpreter, names, &into, &self.around, &Control::default())
    }
}

#[test]
fn the_pips_of_old_and_new_interpreters_download_the_newest_wheels() {
    // The versions of pip between them take the same options, and each starts slowly out of its
    // wheel.
    let all = supported();
    for python in all.first().into_iter().chain(all.last()).cloned() {
        let index = Index::new(
            &python,
            &[("pip", "98.0"), ("pip", "99.0"), ("setuptools", "99.1")],
        );
        let interpreter = index.interpreter(&python);
        if interpreter.bundled.wheels().is_empty() {
            println!("skipped: {} brings no pip", python.path.display());
            continue;
        }
        let found = index.download(&interpreter, &["setuptools", "pip"]);
        let found = found.unwrap_or_else(|error| panic!("{}: {error}", python.path.display()));
        let into = index.scratch.path("into");
        assert_eq!(
            found,
            [
                into.join("setuptools-99.1-py3-none-any.whl"),
                into.join("pip-99.0-py3-none-any.whl"),
            ]
        );
        assert!(!index.scratch.path(".cache/pip/wheels").exists());
    }
}

#[test]
fn what_was_downloaded_is_planned_in_place_of_what_is_bundled() {
    let Some(python) = any_python() else { return };
    let index = Index::new(&python, &[("pip", "99.0"), ("setuptools", "99.1")]);
    let interpreter = index.interpreter(&python);
    let names = core_dependencies(&interpreter.version);
    let wheels = index.download(&interpreter, names).unwrap();
    let env = index.scratch.path("E");
    let options = Options {
        upgrade_deps: true,
        ..Options::default()
    };
    let mut context = Context::new(env.to_str().unwrap(), interpreter, options).unwrap();
    context.supplies.extend(Supply::all(&wheels, Why::Upgrade));
    let plan = build(&Venv, &context).unwrap();
    let pip: Vec<String> = plan
        .operations()
        .iter()
        .filter(|(path, _)| path.as_str().contains("/pip-"))
        .map(|(path, operation)| format!("{} {path}", operation.part))
        .collect();
    assert!(!pip.is_empty());
    for path in &pip {
        assert!(path.starts_with("dependencies "), "{path}");
        assert!(path.contains("/pip-99.0.dist-info"), "{path}");
    }
}

#[test]
fn a_download_that_fails_says_what_pip_said() {
    let Some(python) = any_python() else { return };
    let index = Index::new(&python, &[("pip", "99.0")]);
    let interpreter = index.interpreter(&python);
    let error = index
        .download(&interpreter, &["absent"])
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("pip could not download absent: exit code 1\n  "),
        "{error}"
    );
    assert!(error.contains("No matching distribution"), "{error}");

    // Names are compared in their normal form, and a directory that is not empty may hold two of
    // one name.
    let into = index.scratch.path("into");
    fs::write(into.join("pip-1.0-py3-none-any.whl"), "").unwrap();
    let error = index.download(&interpreter, &["pip"]).unwrap_err();
    assert!(
        matches!(&error, DownloadFailed::Count { count: 2, .. }),
        "{error}"
    );

    let control = Control {
        interrupted: &|| true,
        ..Control::default()
    };
    let stopped = download(&interpreter, &["pip"], &into, &index.around, &control);
    assert!(matches!(stopped, Err(DownloadFailed::Interrupted { .. })));
}
