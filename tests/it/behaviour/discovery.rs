//! `rvenv python list` and `find`, and `create --python`: every place where an interpreter may be,
//! every form of a request.
//!
//! Interpreters are those of this machine, reached through directories of the test's own, and small
//! scripts that play one where only the place matters.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::machine::{Python, Scratch, any_python, ended, player, script, supported};
use rvenv::python::{Control, FoundBy, Request, Surroundings, list, locate};
use serde_json::Value;

/// A scratch directory; PATH is its `bin` and nothing else.
pub(super) struct Lab(pub(super) Scratch);

impl Lab {
    pub(super) fn new() -> Self {
        let lab = Self(Scratch::cold());
        fs::create_dir(lab.path("bin")).unwrap();
        lab
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.0.path(below)
    }

    pub(super) fn home(&self, below: &str) -> PathBuf {
        self.path("").parent().unwrap().join("home").join(below)
    }

    pub(super) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = self.0.command(arguments);
        // The programs of the system that scripts need, and no interpreter.
        let tools = self.path("tools");
        if !tools.exists() {
            fs::create_dir(&tools).unwrap();
            for tool in ["sh", "dirname", "touch"] {
                symlink(Path::new("/bin").join(tool), tools.join(tool)).unwrap();
            }
        }
        let path = std::env::join_paths([self.path("bin"), tools]).unwrap();
        command.env("PATH", path);
        command
    }

    pub(super) fn find(&self, request: &str) -> String {
        the_path(&mut self.command(&["python", "find", request]))
    }

    pub(super) fn list_all(&self) -> Value {
        listed(&mut self.command(&["python", "list", "--json"]))
    }
}

/// What `python find` prints, which is one line.
pub(super) fn the_path(command: &mut Command) -> String {
    let said = ended(command).ok();
    assert_eq!(said.lines().count(), 1, "{said}");
    said.trim_end().to_owned()
}

/// What `python list --json` prints, without this machine's own alternatives, which do not matter
/// here.
pub(super) fn listed(command: &mut Command) -> Value {
    let said = ended(command).ok();
    let mut value: Value = serde_json::from_str(&said).unwrap();
    let found = value.get_mut("interpreters").unwrap();
    let found = found.as_array_mut().unwrap();
    found.retain(|one| one.get("source").unwrap() != "alternatives");
    value
}

/// Puts the installation of an interpreter under another name.
pub(super) fn install(python: &Python, to: &Path) {
    let real = python.path.canonicalize().unwrap();
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    symlink(real.parent().unwrap().parent().unwrap(), to).unwrap();
}

/// The interpreters of pyenv, whose installations can be put anywhere, with their versions.
pub(super) fn movable() -> Vec<(Python, String)> {
    let all = supported().into_iter().filter_map(|python| {
        let real = python.path.canonicalize().unwrap();
        let is_own = real.starts_with("/usr");
        let installation = real.parent()?.parent()?.file_name()?.to_str()?.to_owned();
        let is_version = installation
            .split('.')
            .all(|part| part.parse::<u32>().is_ok());
        (!is_own && is_version).then_some((python, installation))
    });
    let found: Vec<_> = all.collect();
    if found.is_empty() {
        println!("skipped: no interpreter of pyenv's on this machine");
    }
    found
}

pub(super) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// `3.12.1` as `3.12`, and the minor version after it as `3.13`.
pub(super) fn minors(version: &str) -> (String, String) {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap());
    let (major, minor) = (parts.next().unwrap(), parts.next().unwrap());
    (format!("{major}.{minor}"), format!("{major}.{}", minor + 1))
}

fn paths(listing: &Value) -> Vec<&str> {
    let found = listing["interpreters"].as_array().unwrap();
    found
        .iter()
        .map(|one| one["path"].as_str().unwrap())
        .collect()
}

#[test]
fn the_versions_of_pyenv_and_uv_are_found_where_they_are_by_default() {
    let all = movable();
    let [(first, one), (second, other), ..] = all.as_slice() else {
        return;
    };
    let lab = Lab::new();
    let pyenv = lab.home(".pyenv/versions").join(one);
    install(first, &pyenv);
    let uv = lab
        .home(".local/share/uv/python/cpython-")
        .with_file_name(format!("cpython-{other}-linux-x86_64-gnu"));
    install(second, &uv);
    let (short, _) = minors(one);
    let python = pyenv.join(format!("bin/python{short}"));
    assert_eq!(lab.find(one), text(&python));
    let (short, _) = minors(other);
    let managed = uv.join(format!("bin/python{short}"));
    assert_eq!(lab.find(other), text(&managed));
    let listing = lab.list_all();
    let mut sources: Vec<_> = listing["interpreters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["source"].as_str().unwrap())
        .collect();
    sources.sort_unstable();
    assert_eq!(sources, ["managed", "pyenv"], "{listing}");
    // Where variables say that they are elsewhere, they are.
    let mut elsewhere = lab.command(&["python", "list", "--json"]);
    elsewhere
        .env("PYENV_ROOT", lab.home(".pyenv"))
        .env("UV_PYTHON_INSTALL_DIR", lab.path("none"));
    assert_eq!(paths(&listed(&mut elsewhere)), [text(&python)]);
    let mut elsewhere = lab.command(&["python", "list", "--json"]);
    elsewhere
        .env("PYENV_ROOT", lab.path("none"))
        .env("XDG_DATA_HOME", lab.home(".local/share"));
    assert_eq!(paths(&listed(&mut elsewhere)), [text(&managed)]);
}

/// The library gets alternatives and the registry as arguments, since both are at fixed places of
/// the machine.
#[test]
fn what_is_registered_is_found() {
    let lab = Lab::new();
    let (registered, alternative) = (player(&lab.0, "one"), player(&lab.0, "two"));
    fs::create_dir(lab.path("alternatives")).unwrap();
    let gone = text(&lab.path("gone"));
    let file = format!(
        "auto\n/usr/bin/python3\n\n{gone}\n9\n{}\n1\n\n",
        text(&alternative)
    );
    fs::write(lab.path("alternatives/python3"), file).unwrap();
    fs::write(
        lab.path("alternatives/editor"),
        "auto\n/usr/bin/editor\n\n/bin/sh\n1\n\n",
    )
    .unwrap();
    let around = Surroundings {
        cwd: lab.path(""),
        environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
        alternatives: vec![lab.path("alternatives"), lab.path("none")],
        registered: vec![lab.path("gone"), registered.clone()],
        ..Surroundings::default()
    };
    let control = Control::default();
    let listing = list(&Request::Default, &around, &control).unwrap();
    let mut found: Vec<_> = listing
        .found
        .iter()
        .map(|l| (l.located.executable.clone(), l.located.source))
        .collect();
    found.sort_by_key(|(path, _)| path.clone());
    assert_eq!(
        found,
        [
            (registered.clone(), FoundBy::Registry),
            (alternative.clone(), FoundBy::Alternatives)
        ]
    );
    assert_eq!(listing.unusable, []);
    let located = |request: &str| {
        let request = Request::parse(OsStr::new(request), &around.cwd).unwrap();
        locate(&request, &around, &control).map(|found| found.executable)
    };
    assert_eq!(located("3.13").unwrap(), alternative);
    assert_eq!(located("python3").unwrap(), alternative);
    let error = located("3.9").unwrap_err().to_string();
    assert!(
        error.contains(&format!(
            "searched: PATH, which is not set; `{}`",
            text(&lab.path("alternatives"))
        )),
        "{error}"
    );
    assert!(
        error.contains(&format!("`{}`, which is absent", text(&lab.path("none")))),
        "{error}"
    );
}

#[test]
fn an_interpreter_is_listed_once_with_every_path_to_it() {
    let Some(python) = any_python() else { return };
    let lab = Lab::new();
    let real = python.path.canonicalize().unwrap();
    symlink(&real, lab.path("bin/python3")).unwrap();
    symlink("python3", lab.path("bin/python")).unwrap();
    // A directory under another name has nothing new.
    symlink("bin", lab.path("same")).unwrap();
    let mut command = lab.command(&["python", "list", "--json"]);
    let path = std::env::join_paths([lab.path("bin"), lab.path("same")]).unwrap();
    let listing = listed(command.env("PATH", path));
    assert_eq!(
        paths(&listing),
        [text(&lab.path("bin/python3"))],
        "{listing}"
    );
    let one = &listing["interpreters"][0];
    assert_eq!(one["real_path"], text(&real));
    assert_eq!(
        one["links"],
        serde_json::json!([text(&lab.path("bin/python"))])
    );
}

#[test]
fn what_does_not_work_is_reported_and_ends_nothing() {
    let lab = Lab::new();
    script(&lab.path("bin/python3.12"), "echo no library >&2; exit 3");
    player(&lab.0, "bin/python3");
    let listing = lab.list_all();
    assert_eq!(paths(&listing), [text(&lab.path("bin/python3"))]);
    let unusable = listing["unusable"].as_array().unwrap();
    assert_eq!(unusable.len(), 1);
    assert_eq!(unusable[0]["path"], text(&lab.path("bin/python3.12")));
    let reason = unusable[0]["reason"].as_str().unwrap();
    assert!(
        reason.ends_with("exit code 3; it said:\n  no library"),
        "{reason}"
    );
    assert_eq!(lab.find(">=3.6"), text(&lab.path("bin/python3")));
    assert_eq!(lab.find("3"), text(&lab.path("bin/python3")));
}

/// Whether an installation says in a file what it is, as those of Python 3.14 do.
fn has_details(version: &str, root: &Path) -> bool {
    let library = root.join(format!("lib/python{}", minors(version).0));
    let mut names = fs::read_dir(library).unwrap();
    names.any(|entry| {
        let name = entry.unwrap().file_name();
        name.to_str().unwrap().starts_with("build-details")
    })
}

/// A second run starts no process: with `-v` it would name each.
#[test]
fn a_warm_list_starts_no_process() {
    let all = movable();
    let lab = Lab::new();
    let mut silent = 0;
    for (python, version) in &all {
        let root = lab.home(".pyenv/versions").join(version);
        install(python, &root);
        silent += usize::from(!has_details(version, &root));
    }
    let starts = || {
        let command = &mut lab.command(&["python", "list", "-v"]);
        let output = command.output().unwrap();
        assert!(output.status.success());
        let said = String::from_utf8(output.stderr).unwrap();
        said.lines()
            .filter(|line| line.starts_with("asking `"))
            .count()
    };
    assert_eq!(starts(), silent);
    assert_eq!(starts(), 0);
}

/// PEP 739, with an interpreter that leaves a trace when it is started.
#[test]
fn an_installation_that_says_what_it_is_is_not_started() {
    let lab = Lab::new();
    let root = lab.home(".local/share/uv/python/cpython-3.14.2-linux");
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::create_dir_all(root.join("lib/python3.14")).unwrap();
    let trace = lab.path("started");
    script(
        &root.join("bin/python3.14"),
        &format!("touch {}; exit 1", trace.display()),
    );
    let version = r#"{"major": 3, "minor": 14, "micro": 2, "releaselevel": "final", "serial": 0}"#;
    let details = format!(
        r#"{{"schema_version": "1.0", "base_prefix": "/install", "platform": "linux-x86_64",
        "language": {{"version": "3.14", "version_info": {version}}},
        "implementation": {{"name": "cpython", "cache_tag": "cpython-314", "version": {version}}},
        "abi": {{"flags": []}}}}"#
    );
    fs::write(root.join("lib/python3.14/build-details.json"), details).unwrap();
    assert_eq!(lab.find("3.14"), text(&root.join("bin/python3.14")));
    assert_eq!(lab.find(">=3.14"), text(&root.join("bin/python3.14")));
    let listing = lab.list_all();
    assert_eq!(listing["interpreters"][0]["version"], "3.14.2", "{listing}");
    let said = ended(&mut lab.command(&["create", "-v", "--python", "3.14.1", "E"])).failed(1);
    assert!(said.contains("python3.14`: it is cpython 3.14.2"), "{said}");
    assert!(!trace.exists());
    // The base of a new environment must answer itself.
    ended(&mut lab.command(&["create", "--python", "3.14", "E"])).failed(1);
    assert!(trace.exists());
}

/// The same, whether it comes from a file beside it, the cache or the interpreter itself.
#[test]
fn what_is_reported_of_an_interpreter_is_what_it_says_itself() {
    let lab = Lab::new();
    let code = "import sys; print(sys.implementation.name, sys.version.split()[0])";
    for python in supported() {
        let says = lab.0.run(&python.path, &["-c", code]).ok();
        for _ in 0..2 {
            let request = text(&python.path);
            let listing = listed(&mut lab.command(&["python", "list", "--json", &request]));
            let told = &listing["interpreters"][0];
            let told = ["implementation", "version"].map(|key| told[key].as_str().unwrap());
            assert_eq!(told.join(" "), says.trim(), "{request}");
        }
    }
}

#[test]
fn shims_of_versions_that_are_not_in_force_are_left_out() {
    let lab = Lab::new();
    let root = lab.home(".pyenv");
    for directory in ["shims", "versions/3.13.0/bin"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    let real = player(&lab.0, "real");
    symlink(&real, root.join("versions/3.13.0/bin/python3.13")).unwrap();
    symlink(&real, root.join("versions/3.13.0/bin/python3")).unwrap();
    let (path, trace) = (root.display(), lab.path("started"));
    for name in ["python3", "python3.9"] {
        script(
            &root.join("shims").join(name),
            &format!(
                "program=\"${{0##*/}}\"\nexport PYENV_ROOT=\"{path}\"\ntouch {}\nexec \"{path}/libexec/pyenv\" exec \"$program\" \"$@\"",
                trace.display()
            ),
        );
    }
    fs::write(root.join("version"), "3.13.0\n").unwrap();
    let mut command = lab.command(&["python", "list", "--json"]);
    let shims = std::env::join_paths([root.join("shims"), lab.path("tools")]).unwrap();
    let listing = listed(command.env("PATH", shims));
    assert_eq!(paths(&listing), [text(&real)], "{listing}");
    assert_eq!(listing["unusable"], serde_json::json!([]));
    let shim = text(&root.join("shims/python3"));
    assert!(
        listing["interpreters"][0]["links"]
            .as_array()
            .unwrap()
            .contains(&shim.into()),
        "{listing}"
    );
    assert!(!trace.exists());
}

#[test]
fn what_is_not_there_is_refused_with_what_there_is_and_what_to_do() {
    let lab = Lab::new();
    player(&lab.0, "bin/python3");
    fs::create_dir_all(lab.home(".pyenv/versions")).unwrap();
    for request in ["3.12", ">=3.14", "pypy3.9", "3.13t", "cpython@3.13.1"] {
        let said = ended(&mut lab.command(&["python", "find", request])).failed(1);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), 3, "{said}");
        assert!(
            lines[0].starts_with("error[no-python]: found no usable interpreter for"),
            "{said}"
        );
        assert_eq!(lines[1], "  installed: cpython 3.13.0");
        assert!(lines[2].contains("uv python install"), "{said}");
        let said = ended(&mut lab.command(&["python", "find", "-v", request])).failed(1);
        let uv = text(&lab.home(".local/share/uv/python"));
        let pyenv = text(&lab.home(".pyenv/versions"));
        for part in [
            "searched: 2 directories of PATH",
            &format!("`{pyenv}`; `{uv}`, which is absent"),
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    let said = ended(&mut lab.command(&["python", "find", "./absent"])).failed(1);
    assert!(!said.contains("searched"), "{said}");
    let said = ended(&mut lab.command(&["python", "find", ">=x"])).failed(2);
    assert!(said.contains("names no version"), "{said}");
    // An empty result is still a list.
    let listing = listed(&mut lab.command(&["python", "list", "--json", "3.12"]));
    assert_eq!(listing["interpreters"], serde_json::json!([]));
}

/// Format 1: its existing keys do not change.
#[test]
fn the_forms_for_people_and_programs_are_these() {
    let lab = Lab::new();
    player(&lab.0, "bin/python3.13");
    symlink("python3.13", lab.path("bin/python3")).unwrap();
    script(&lab.path("bin/python3.9"), "exit 1");
    let place = text(&lab.path(""));
    let place = place.trim_end_matches('/');
    let shown = |arguments: &[&str]| {
        ended(&mut lab.command(arguments))
            .ok()
            .replace(place, "[work]")
    };
    insta::assert_snapshot!(shown(&["python", "find", "3.13", "--json"]), @r#"
    {
      "format": 1,
      "interpreter": {
        "implementation": "cpython",
        "version": "3.13.0",
        "free_threaded": false,
        "path": "[work]/bin/python3.13",
        "real_path": "[work]/bin/python3.13",
        "source": "PATH",
        "links": []
      }
    }
    "#);
    insta::assert_snapshot!(shown(&["python", "list", "--json", "cpython@3.13"]), @r#"
    {
      "format": 1,
      "interpreters": [
        {
          "implementation": "cpython",
          "version": "3.13.0",
          "free_threaded": false,
          "path": "[work]/bin/python3.13",
          "real_path": "[work]/bin/python3.13",
          "source": "PATH",
          "links": [
            "[work]/bin/python3"
          ]
        }
      ],
      "unusable": [
        {
          "path": "[work]/bin/python3.9",
          "reason": "`[work]/bin/python3.9` did not run: exit code 1"
        }
      ]
    }
    "#);
    insta::assert_snapshot!(shown(&["python", "list", "cpython@3.13"]), @"
    cpython 3.13.0  [work]/bin/python3.13  PATH
                    also python3
    ");
}
