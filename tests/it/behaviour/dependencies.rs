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
use rvenv::download::{DownloadFailed, Downloader, Release, Sources};
use rvenv::hooks::{Context, Venv, build, core_dependencies};
use rvenv::options::Options;
use rvenv::python::{self, Control, Interpreter, Request, Surroundings};
use rvenv::supply::{Supply, WheelSource};

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
        let downloader = Downloader {
            interpreter,
            sources: &Sources::default(),
            around: &self.around,
            control: &Control::default(),
        };
        downloader.newest(names, &into)
    }

    /// What `exactly` says of each release, from these sources: the name of the file or the error.
    fn exactly(
        &self,
        interpreter: &Interpreter,
        sources: &Sources,
        releases: &[(&str, &str)],
    ) -> Vec<Result<String, String>> {
        let into = self.scratch.path("exactly");
        fs::create_dir_all(&into).unwrap();
        let downloader = Downloader {
            interpreter,
            sources,
            around: &self.around,
            control: &Control::default(),
        };
        let release = |(name, version): &(&str, &str)| Release {
            name: (*name).to_owned(),
            version: (*version).to_owned(),
        };
        let releases: Vec<_> = releases.iter().map(release).collect();
        let found = downloader.exactly(&releases, &into).unwrap();
        let shown = |found: Result<PathBuf, DownloadFailed>| match found {
            Ok(path) => Ok(path.file_name().unwrap().to_str().unwrap().to_owned()),
            Err(error) => Err(error.to_string()),
        };
        found.into_iter().map(shown).collect()
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
    context
        .supplies
        .extend(Supply::from_source(&wheels, WheelSource::Upgrade));
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
fn exact_releases_are_downloaded_and_one_that_is_missing_does_not_stop_the_others() {
    let Some(python) = any_python() else { return };
    let wheels = [
        ("one", "1.0"),
        ("one", "2.0"),
        ("two", "1.5"),
        ("two", "1.6"),
    ];
    let index = Index::new(&python, &wheels);
    let interpreter = index.interpreter(&python);
    let wanted = [
        ("one", "1.0"),
        ("two", "9.0"),
        ("absent", "1.0"),
        ("two", "1.5"),
    ];
    let found = index.exactly(&interpreter, &Sources::default(), &wanted);
    assert_eq!(found[0], Ok("one-1.0-py3-none-any.whl".to_owned()));
    let of = |at: usize| found[at].clone().unwrap_err();
    let starts = |text: &str, start: &str| assert!(text.starts_with(start), "{text}");
    starts(&of(1), "pip could not download two==9.0: exit code 1\n  ");
    starts(
        &of(2),
        "pip could not download absent==1.0: exit code 1\n  ",
    );
    assert_eq!(found[3], Ok("two-1.5-py3-none-any.whl".to_owned()));
}

#[test]
fn the_sources_of_a_caller_count_besides_those_of_the_configuration() {
    let Some(python) = any_python() else { return };
    let mut index = Index::new(&python, &[("one", "1.0")]);
    let interpreter = index.interpreter(&python);
    let configured = ["PIP_NO_INDEX", "PIP_FIND_LINKS"];
    let variables = &mut index.around.environment;
    variables.retain(|(name, _)| !configured.contains(&name.to_str().unwrap()));
    let sources = Sources {
        find_links: vec!["index".into()],
        no_index: true,
        ..Sources::default()
    };
    let found = index.exactly(&interpreter, &sources, &[("one", "1.0")]);
    assert_eq!(found, [Ok("one-1.0-py3-none-any.whl".to_owned())]);

    // An index that does not answer is asked once, not once for each release.
    let unreachable = Sources {
        index_url: Some("http://127.0.0.1:9/simple".into()),
        ..Sources::default()
    };
    let variable = |name: &str, value: &str| (name.into(), value.into());
    index.around.environment.push(variable("PIP_RETRIES", "1"));
    let found = index.exactly(
        &interpreter,
        &unreachable,
        &[("two", "1.0"), ("six", "1.0")],
    );
    for (found, name) in found.iter().zip(["two", "six"]) {
        let error = found.clone().unwrap_err();
        let start = format!("pip could not download {name}==1.0: exit code 1\n");
        assert!(error.starts_with(&start), "{error}");
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
    let downloader = Downloader {
        interpreter: &interpreter,
        sources: &Sources::default(),
        around: &index.around,
        control: &control,
    };
    let stopped = downloader.newest(&["pip"], &into);
    assert!(matches!(stopped, Err(DownloadFailed::Interrupted { .. })));
}
