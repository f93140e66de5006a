//! The newest pip: wheels from an index, and how an environment gets them.
//!
//! The index is a directory with wheels made here; no network. Interpreters that are not installed
//! are skipped.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::machine::{Ended, Scratch, any_python, ended, supported};
use crate::packages;
use crate::server::{Server, page};

const WHEELS: [(&str, &str); 3] = [("pip", "98.0"), ("pip", "99.0"), ("setuptools", "99.1")];

/// Creates `E` with the newest pip; the variables name an index to rvenv as they do to pip.
fn create(scratch: &Scratch, python: &Path, variables: &[(&str, &str)]) -> Ended {
    ended(command(scratch, python).envs(variables.iter().copied()))
}

fn command(scratch: &Scratch, python: &Path) -> Command {
    let words = ["create", "--upgrade-deps", "E", "-p"].map(Path::new);
    let mut command = scratch.command(&words);
    command.arg(python).env("PIP_REQUIRE_VIRTUALENV", "1");
    command.env_remove("PIP_NO_INDEX");
    command
}

/// What is installed, by the names of its metadata directories.
fn installed(env: &Path) -> Vec<String> {
    let entries = fs::read_dir(packages::packages_of(env)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".dist-info")).collect();
    names.sort();
    names
}

#[test]
fn the_newest_wheels_are_planned_in_place_of_what_is_bundled() {
    let all = supported();
    for python in all.first().into_iter().chain(all.last()) {
        let scratch = Scratch::in_memory();
        let index = packages::index(&scratch, &python.path, &WHEELS);
        let index = index.to_str().unwrap();
        let links = [("PIP_FIND_LINKS", index), ("PIP_NO_INDEX", "1")];
        create(&scratch, &python.path, &links).ok();
        let mut expected = vec!["pip-99.0.dist-info"];
        // From 3.12 on, venv installs no setuptools.
        expected.extend((!python.at_least(12)).then_some("setuptools-99.1.dist-info"));
        assert_eq!(installed(&scratch.path("E")), expected);
        let plan = scratch.rvenv(&["status", "-v", "E"]).ok();
        assert!(plan.contains("pip 99.0"), "{plan}");
    }
}

#[test]
fn the_newest_wheels_come_from_a_wheelhouse_too() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::in_memory();
    let index = packages::index(&scratch, &python.path, &WHEELS);
    let mut command = command(&scratch, &python.path);
    command.args(["--no-index", "--wheelhouse"]).arg(index);
    ended(&mut command).ok();
    assert_eq!(installed(&scratch.path("E"))[0], "pip-99.0.dist-info");
}

/// A cache that cannot be used is never necessary.
#[test]
fn without_a_cache_the_newest_pip_comes_from_an_index_all_the_same() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::in_memory();
    let index = packages::index(&scratch, &python.path, &WHEELS);
    let server = Server::new(move |seen, stream| {
        let name = seen.path.rsplit('/').next().unwrap();
        match fs::read(index.join(name)) {
            Ok(wheel) if !name.is_empty() => page(stream, "application/zip", &wheel),
            _ => {
                let project = seen.path.trim_matches('/').rsplit('/').next().unwrap();
                let links = WHEELS.iter().filter(|(name, _)| *name == project);
                let link = |(name, version): &(&str, &str)| {
                    format!("<a href='/f/{name}-{version}-py3-none-any.whl'>")
                };
                let text: String = links.map(link).collect();
                page(stream, "text/html", text.as_bytes())
            }
        }
    });
    let index = server.url("/simple/");
    // The cache would be below a directory in which nobody can create one.
    let home = [("HOME", "/proc"), ("PIP_INDEX_URL", &index)];
    let mut command = command(&scratch, &python.path);
    command.env_remove("RVENV_CACHE_DIR").envs(home);
    ended(&mut command).ok();
    assert_eq!(installed(&scratch.path("E"))[0], "pip-99.0.dist-info");
}

#[test]
fn a_pip_that_is_nowhere_is_named_with_the_way_out_and_nothing_is_made() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::in_memory();
    let index = packages::index(&scratch, &python.path, &[("setuptools", "99.1")]);
    let links = [
        ("PIP_FIND_LINKS", index.to_str().unwrap()),
        ("PIP_NO_INDEX", "1"),
    ];
    let said = create(&scratch, &python.path, &links).failed(1);
    assert!(
        said.contains("no wheel of `pip` that fits is there"),
        "{said}"
    );
    assert!(said.contains("leave out `--upgrade-deps`"), "{said}");
    let said = create(
        &scratch,
        &python.path,
        &[
            ("PIP_INDEX_URL", "http://127.0.0.1:9/"),
            ("PIP_RETRIES", "0"),
        ],
    )
    .failed(1);
    assert!(said.contains("127.0.0.1:9"), "{said}");
    assert!(!scratch.path("E").exists());
}
