//! Markers of locks, tags, whole locks and the lines of requirements files against pip and its
//! `packaging`: the same texts are read, with the same answers.
//!
//! One start of an interpreter answers all cases; each other one only lists its tags. The library
//! comes out of the newest wheel of pip on this machine, bundled with an interpreter or with
//! virtualenv; without one of the right age, the test is skipped.

mod cases;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use self::cases::Cases;
use super::requirements::lines_of;
use super::*;
use crate::python::{self, Control, Interpreter, Request, Surroundings};
use crate::wheel::Marker;
use crate::wheel::marker::Containers;
use crate::wheel::requirement::peers::Chance;

/// How many markers, and how many texts of lines.
const EACH: usize = 10_000;
/// How many locks.
const LOCKS: usize = 2_000;
/// The first release of pip whose `packaging` reads locks, and one after the last that is known.
const PIPS: std::ops::Range<(u32, u32)> = (26, 1)..(28, 0);

const ANSWER: &str = r#"
import json, os, shlex, sys
sys.path.insert(0, sys.argv[1])
from pip._vendor.packaging.markers import (
    InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName, default_environment)
from pip._vendor.packaging.tags import sys_tags
print(json.dumps([default_environment(), [str(tag) for tag in sys_tags()]]))
if len(sys.argv) > 2:
    sys.exit()
import logging, tomllib
from pip._internal.req.req_file import break_args_options, preprocess
from pip._vendor.packaging.pylock import (
    Pylock, PylockSelectError, PylockUnsupportedVersionError, PylockValidationError)
os.environ.update(TOKEN="s3cret", EMPTY="")
logging.disable()
undefined = (UndefinedComparison, UndefinedEnvironmentName)
def marker(case):
    try:
        read = Marker(case["marker"])
    except InvalidMarker:
        return "invalid"
    try:
        sets = {"extras": set(case["extras"]), "dependency_groups": set(case["groups"])}
        return read.evaluate(sets, context="lock_file")
    except undefined:
        return "raises"
def lock(case):
    try:
        read = Pylock.from_dict(tomllib.loads(case["lock"]))
    except (PylockValidationError, PylockUnsupportedVersionError, tomllib.TOMLDecodeError):
        return "invalid"
    try:
        found = read.select(extras=case["extras"], dependency_groups=case["groups"])
        rows = [[package.name, type(file).__name__, getattr(file, "filename", None)
                 or (getattr(file, "url", None) or getattr(file, "path", "")).split("/")[-1]] for package, file in found]
        return sorted(rows)
    except PylockSelectError as error:
        # Nothing that is left of a package can be installed.
        return "refused"
    except undefined:
        return "refused"
def lines(case):
    try:
        rows = []
        for number, line in preprocess(case["lines"]):
            requirement, options = break_args_options(line)
            rows.append([number, requirement.strip(), shlex.split(options)])
        return rows
    except ValueError:
        return "invalid"
for line in sys.stdin:
    case = json.loads(line)
    answer = next(f for f in (marker, lock, lines) if f.__name__ in case)
    print(json.dumps(answer(case)))
"#;

/// The names of interpreters on this machine that can read `packaging`, one for each minor version.
fn interpreters() -> Vec<PathBuf> {
    let mut found = BTreeMap::new();
    for prefix in prefixes() {
        for minor in 10..20 {
            let python = prefix.join(format!("bin/python3.{minor}"));
            if python.exists() {
                found.entry(minor).or_insert(python);
            }
        }
    }
    found.into_values().collect()
}

fn prefixes() -> Vec<PathBuf> {
    let mut prefixes = vec![PathBuf::from("/usr"), PathBuf::from("/usr/local")];
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let versions = home.map(|home| entries(&home.join(".pyenv/versions")));
    prefixes.extend(versions.into_iter().flatten());
    prefixes
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(dir).into_iter().flatten().flatten();
    listed.map(|entry| entry.path()).collect()
}

/// The newest wheel of pip that reads locks.
fn pip() -> Option<PathBuf> {
    let mut prefixes = prefixes();
    let path = std::env::var_os("PATH").unwrap_or_default();
    for dir in std::env::split_paths(&path) {
        let program = std::fs::canonicalize(dir.join("virtualenv")).ok();
        let prefix = program
            .as_deref()
            .and_then(Path::parent)
            .and_then(Path::parent);
        prefixes.extend(prefix.map(Path::to_owned));
    }
    let libraries = prefixes
        .iter()
        .flat_map(|prefix| entries(&prefix.join("lib")));
    let mut houses: Vec<PathBuf> = libraries
        .flat_map(|library| {
            let embedded = "site-packages/virtualenv/seed/wheels/embed";
            [library.join("ensurepip/_bundled"), library.join(embedded)]
        })
        .collect();
    let home = std::env::var_os("HOME").map(PathBuf::from);
    houses.extend(home.map(|home| home.join(".cache/virtualenv/wheel/house")));
    let wheels = houses.iter().flat_map(|house| entries(house));
    let aged = wheels.filter_map(|wheel| {
        let name = wheel.file_name()?.to_str()?.to_owned();
        let version = name.strip_prefix("pip-")?.split('-').next()?;
        let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
        let version = (numbers.next()?, numbers.next().unwrap_or(0));
        PIPS.contains(&version).then_some((version, wheel))
    });
    aged.max().map(|(_, wheel)| wheel)
}

fn interpreter(path: &Path) -> Interpreter {
    let around = Surroundings {
        cwd: PathBuf::from("/"),
        ..Surroundings::default()
    };
    let request = Request::parse(path.as_os_str(), Path::new("/")).unwrap();
    python::find(&request, &around, &Control::default()).unwrap()
}

/// Starts an interpreter; returns its answers, of which the first is about itself.
fn ask(python: &Path, wheel: &Path, cases: &[Value]) -> Vec<Value> {
    let mut command = Command::new(python);
    command.args(["-I", "-c", ANSWER]).arg(wheel);
    if cases.is_empty() {
        command.arg("tags");
    }
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut text = String::new();
    for case in cases {
        let _infallible = writeln!(text, "{case}");
    }
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _closed_early = writer.join().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Value> = answers
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), cases.len() + 1, "{}", python.display());
    answers
}

/// Checks what an interpreter says about itself.
fn check_environment(about: &Value, environment: &Environment) {
    for (name, value) in about[0].as_object().unwrap() {
        let own = environment.variables().get(name.as_str());
        assert_eq!(own.map(String::as_str), value.as_str(), "{name}");
    }
    let listed = about[1].as_array().unwrap();
    let mut last = None;
    for tag in listed {
        let tag = tag.as_str().unwrap();
        let rank = environment.tags.rank(tag);
        assert!(rank.is_some(), "{tag} has no rank");
        assert!(last < rank, "{tag} comes too early");
        last = rank;
    }
    for tag in listed.iter().step_by(7) {
        let tag = tag.as_str().unwrap();
        let others = [
            tag.replace("cp3", "cp4"),
            tag.replace("py3", "py4"),
            tag.replace("manylinux", "musllinux"),
            tag.replace("_x86_64", "_s390x"),
            tag.replace("manylinux_2_", "manylinux_3_"),
            tag.replace("abi3", "abi4"),
            format!("{tag}x"),
        ];
        for other in others.iter().filter(|other| *other != tag) {
            let is_listed = listed.iter().any(|tag| tag == other);
            assert_eq!(environment.tags.rank(other).is_some(), is_listed, "{other}");
        }
    }
}

fn owned(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items
        .map(|item| item.as_str().unwrap().to_owned())
        .collect()
}

/// The answer of rvenv.
fn own(case: &Value, environment: &Environment) -> Value {
    if let Some(text) = case["marker"].as_str() {
        let Some(marker) = Marker::parse(text) else {
            return json!("invalid");
        };
        let set = |key: &str| {
            owned(&case[key])
                .iter()
                .map(|name| crate::wheel::normal_name(name))
                .collect()
        };
        let containers = Containers {
            extras: set("extras"),
            groups: set("groups"),
        };
        return environment
            .holds(&marker, &containers)
            .map_or(json!("raises"), Value::Bool);
    }
    if let Some(text) = case["lines"].as_str() {
        let variable = |name: &str| match name {
            "TOKEN" => Some("s3cret".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        return lines_of(text, &variable).map_or(json!("invalid"), |lines| json!(lines));
    }
    let text = case["lock"].as_str().unwrap();
    let Ok(lock) = read_pylock(Path::new("/p/pylock.toml"), text.as_bytes()) else {
        return json!("invalid");
    };
    let groups = case["groups"].is_array().then(|| owned(&case["groups"]));
    let selection = Selection::new(&owned(&case["extras"]), groups.as_deref());
    match choose(&lock, environment, &selection) {
        Err(_) => json!("refused"),
        Ok(chosen) => chosen
            .into_iter()
            .map(|one| match one.source {
                ChosenSource::Wheel { file, direct } => {
                    let kind = direct.map_or("PackageWheel", |_| "PackageArchive");
                    json!([one.name, kind, file.name])
                }
                ChosenSource::Release { .. } => json!([one.name, "release"]),
                ChosenSource::Sources { tree, direct } => sources(&one.name, &tree, direct),
            })
            .collect(),
    }
}

fn sources(name: &str, tree: &SourceTree, direct: Option<DirectUrl>) -> Value {
    let last = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
    match tree {
        SourceTree::Archive(archive) => {
            let kind = direct.map_or("PackageSdist", |_| "PackageArchive");
            json!([name, kind, archive.file.name])
        }
        SourceTree::Directory { path, .. } => {
            let path = path.to_string_lossy();
            json!([name, "PackageDirectory", last(&path)])
        }
        SourceTree::Repository(revision) => json!([name, "PackageVcs", last(&revision.url)]),
    }
}

/// Why two answers differ, if they may.
fn reason(case: &Value, answer: &Value, own: &Value) -> Option<&'static str> {
    let texts = [&case["marker"], &case["lock"], &case["lines"]];
    let text = texts
        .into_iter()
        .find_map(|text| text.as_str())
        .unwrap_or_default();
    let kinds = |kind: &str| {
        let rows = answer.as_array().into_iter().flatten();
        rows.filter(|row| row[1] == kind).count() > 0
    };
    let reasons = [
        (
            own == "refused" && kinds("PackageArchive"),
            "rvenv compares the tags of a wheel that is an archive before it downloads it",
        ),
        (
            own == "invalid" && text.contains("archive ="),
            "rvenv compares the name of an archive with its package",
        ),
        (
            own == "refused" && text.contains("environments = []"),
            "`packaging` before 26.4 takes no markers for every environment",
        ),
        (
            own == "refused" && case["extras"][0] == "nothing",
            "`packaging` before 26.4 ignores extras that a lock does not have",
        ),
        (
            (own == "raises" || own == "refused")
                && ["extras", "dependency_groups"]
                    .iter()
                    .any(|name| text.contains(name))
                && text.contains("=="),
            "`packaging` compares a name with a set of names, which the specification does not know",
        ),
        (
            (answer == "raises" || answer == "refused") && text.contains("==="),
            "`packaging` compares no texts with `===`",
        ),
        (
            case["lines"].is_string() && text.contains(['\u{b}', '\u{c}', '\r']),
            "Python ends lines at more characters",
        ),
    ];
    let found = reasons.into_iter().find(|(is_it, _)| *is_it);
    found.map(|(_, reason)| reason)
}

#[test]
fn pip_and_packaging_give_the_same_answers() {
    let (Some(wheel), pythons) = (pip(), interpreters()) else {
        println!("skipped: no wheel of a pip that reads locks on this machine");
        return;
    };
    let Some((python, others)) = pythons.split_last() else {
        println!("skipped: no Python 3.11 or newer on this machine");
        return;
    };
    for other in others {
        let environment = Environment::of(&interpreter(other), &Kernel::running());
        check_environment(&ask(other, &wheel, &[])[0], &environment);
    }
    let mut cases = Cases(Chance(0x5eee));
    let mut all = Vec::new();
    for at in 0..2 * EACH + LOCKS {
        let case = if at < EACH {
            let text = cases.marker();
            let text = cases.0.mutilated(&text);
            let extras = cases.some(&["Fast.IO", "docs"]);
            json!({"marker": text, "extras": extras, "groups": cases.some(&["dev", "Docs"])})
        } else if at < 2 * EACH {
            cases.lines()
        } else {
            cases.lock()
        };
        all.push(case);
    }
    let answers = ask(python, &wheel, &all);
    let environment = Environment::of(&interpreter(python), &Kernel::running());
    check_environment(&answers[0], &environment);
    let mut different = Vec::new();
    let mut chosen = 0;
    for (case, answer) in all.iter().zip(&answers[1..]) {
        chosen += usize::from(case["lock"].is_string() && answer.is_array());
        let own = own(case, &environment);
        if own != *answer && reason(case, answer, &own).is_none() {
            let text = case["lock"].as_str().map_or(case.to_string(), |lock| {
                format!("{lock}{} {}", case["extras"], case["groups"])
            });
            different.push(format!("{text}\n  pip:   {answer}\n  rvenv: {own}"));
        }
    }
    // Otherwise the locks would say nothing.
    assert!(chosen > LOCKS / 8, "{chosen} of the locks were read");
    let shown = different.len().min(20);
    assert!(
        different.is_empty(),
        "{}:\n{}",
        different.len(),
        different[..shown].join("\n")
    );
}
