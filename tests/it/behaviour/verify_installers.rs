//! `rvenv verify` and `repair` of environments in which another installer was at work.
//!
//! A real pip or uv installs, replaces and uninstalls; each distribution is then compared with its
//! own list, whichever tool installed it.
//! Read next: `verify_frame.rs`, environments that were moved or lost their base.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::machine::{Ended, Kind, Python, Scratch, any_python, player, supported, tool, tree};
use crate::packages::{index, prefix};
use crate::warm;

/// Runs `rvenv verify --json`, whose exit code must fit its state.
#[track_caller]
pub(super) fn verified(scratch: &Scratch, env: &str) -> Value {
    let ended = scratch.rvenv(&["verify", "--json", env]);
    let said: Value = serde_json::from_str(&ended.stdout).unwrap();
    let is_clean = ["clean", "changed by another installer"].contains(&state(&said));
    assert_eq!(said["clean"], is_clean, "{said}");
    assert_eq!(ended.code, Some(if is_clean { 0 } else { 4 }), "{said}");
    said
}

pub(super) fn state(said: &Value) -> &str {
    said["state"].as_str().unwrap()
}

/// What became of the published distributions, as `NAME VERSION WHAT [VERSION]`.
fn departed(said: &Value) -> Vec<String> {
    let all = said["departed"].as_array().unwrap().iter();
    let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
    let line = |of: &Value| {
        let by = text(&of["by"]["version"]);
        let words = [&of["name"], &of["version"], &of["what"]].map(text);
        format!("{} {by}", words.join(" ")).trim().to_owned()
    };
    all.map(line).collect()
}

/// The only distribution of this name.
#[track_caller]
pub(super) fn of<'a>(said: &'a Value, name: &str) -> &'a Value {
    let all = said["distributions"].as_array().unwrap().iter();
    let named: Vec<_> = all.filter(|of| of["name"] == name).collect();
    assert_eq!(named.len(), 1, "{said}");
    named[0]
}

/// The pip that a Python bundles, and its version.
fn bundled_pip(python: &Python) -> Option<(PathBuf, String)> {
    let lib = format!("lib/python3.{}/ensurepip/_bundled", python.version.1);
    let files = fs::read_dir(prefix(python).join(lib)).ok()?;
    let mut wheels = files.map(|file| file.unwrap().path()).filter_map(|wheel| {
        let name = wheel.file_name()?.to_str()?.to_owned();
        let version = name.strip_prefix("pip-")?.split('-').next()?.to_owned();
        Some((wheel, version))
    });
    wheels.next()
}

/// An environment `E` with the pip that its Python bundles, and the pip of another Python.
struct Living {
    scratch: Scratch,
    own: (PathBuf, String),
    other: (PathBuf, String),
}

impl Living {
    /// Prints why, if this machine has no two versions of pip.
    fn new() -> Option<Self> {
        let pythons: Vec<_> = supported()
            .into_iter()
            .filter(|python| python.at_least(8))
            .filter_map(|python| Some((bundled_pip(&python)?, python)))
            .collect();
        let pairs = pythons
            .iter()
            .flat_map(|one| pythons.iter().map(move |other| (one, other)));
        // The newer pip is the one that is known to run with both Pythons.
        let mut pairs =
            pairs.filter(|(one, other)| one.0.1 != other.0.1 && other.1.version > one.1.version);
        let Some((one, other)) = pairs.next_back() else {
            println!("skipped: no two Pythons that bundle different pips on this machine");
            return None;
        };
        let scratch = Scratch::in_memory();
        let python = one.1.path.to_str().unwrap();
        scratch.rvenv(&["create", "E", "--python", python]).ok();
        Some(Self {
            scratch,
            own: one.0.clone(),
            other: other.0.clone(),
        })
    }

    fn pip(&self, words: &[&str]) -> Ended {
        let python = self.scratch.path("E/bin/python");
        let all = [&["-m", "pip", "-q"], words].concat();
        self.scratch.run(&python, &all)
    }

    /// Has pip install a wheel file.
    fn install(&self, wheel: &Path, flags: &[&str]) {
        let words = [
            "install",
            "--no-index",
            "--no-deps",
            wheel.to_str().unwrap(),
        ];
        self.pip(&[&words, flags].concat()).ok();
    }

    fn verified(&self) -> Value {
        verified(&self.scratch, "E")
    }

    /// The version that pip says it has.
    #[track_caller]
    fn version_of_pip(&self) -> String {
        let said = self
            .scratch
            .run(&self.scratch.path("E/bin/pip"), &["--version"])
            .ok();
        said.split(' ').nth(1).unwrap().to_owned()
    }

    fn site_packages(&self) -> PathBuf {
        let lib = fs::read_dir(self.scratch.path("E/lib")).unwrap();
        let python = lib.map(|entry| entry.unwrap().path()).next().unwrap();
        python.join("site-packages")
    }

    /// Every path with its content, but for bytecode and the receipt.
    fn essence(&self) -> Vec<(String, Kind)> {
        let entries = tree(&self.scratch.path("E")).into_iter();
        let kept = entries
            .filter(|(path, _)| !path.starts_with(".rvenv") && !path.contains("__pycache__"));
        kept.map(|(path, entry)| (path, entry.kind)).collect()
    }
}

#[test]
fn a_pip_that_was_replaced_is_named_and_is_no_drift() {
    let Some(living) = Living::new() else { return };
    living.install(&living.other.0, &[]);
    let said = living.verified();
    assert_eq!(state(&said), "changed by another installer", "{said}");
    let (own, other) = (&living.own.1, &living.other.1);
    assert_eq!(departed(&said), [format!("pip {own} replaced {other}")]);
    assert_eq!(said["managed"]["drift"].as_array().unwrap().len(), 0);
    assert_eq!(said["foreign"], 0);
    assert_eq!(of(&said, "pip")["installer"], "pip");
    let text = living.scratch.rvenv(&["verify", "E"]).ok();
    let line = format!("\n  pip {own} was replaced by another installer: pip {other}\n");
    assert!(text.contains(&line), "{text}");
    assert!(
        text.ends_with("\nstate: changed by another installer\n"),
        "{text}"
    );
}

#[test]
fn a_repair_never_mixes_a_replaced_pip_with_the_one_that_was_published() {
    let Some(living) = Living::new() else { return };
    living.install(&living.other.0, &[]);
    let good = living.essence();
    let ended = living.scratch.rvenv(&["repair", "E"]);
    assert!(ended.stderr.contains("no changes"), "{ended:?}");
    assert!(living.essence() == good);
    assert_eq!(living.version_of_pip(), living.other.1);
    // The frame is repaired, and the pip that another installer put there stays as it is.
    fs::remove_file(living.scratch.path("E/bin/activate")).unwrap();
    let said = living.verified();
    assert_eq!(state(&said), "damaged", "{said}");
    let ended = living.scratch.rvenv(&["repair", "E"]);
    let line = format!("Left pip {} as it is", living.other.1);
    assert!(ended.stderr.contains(&line), "{ended:?}");
    ended.ok();
    assert!(living.essence() == good);
    assert_eq!(living.version_of_pip(), living.other.1);
    assert_eq!(state(&living.verified()), "changed by another installer");
}

#[test]
fn a_pip_that_was_uninstalled_is_named_and_does_not_come_back() {
    let Some(living) = Living::new() else { return };
    living.pip(&["uninstall", "--yes", "pip"]).ok();
    let said = living.verified();
    assert_eq!(state(&said), "changed by another installer", "{said}");
    assert_eq!(
        departed(&said),
        [format!("pip {} uninstalled", living.own.1)]
    );
    assert_eq!(said["managed"]["drift"].as_array().unwrap().len(), 0);
    let ended = living.scratch.rvenv(&["repair", "E"]);
    assert!(ended.stderr.contains("no changes"), "{ended:?}");
    assert!(!living.scratch.path("E/bin/pip").exists());
    assert!(!living.site_packages().join("pip").exists());
}

#[test]
fn a_pip_that_was_installed_again_is_compared_with_its_own_list() {
    let Some(living) = Living::new() else { return };
    living.install(&living.own.0, &["--force-reinstall"]);
    let said = living.verified();
    let own = &living.own.1;
    assert_eq!(departed(&said), [format!("pip {own} replaced {own}")]);
    assert_eq!(state(&said), "changed by another installer");
    let module = living.site_packages().join("pip/__init__.py");
    fs::write(&module, "damaged\n").unwrap();
    let said = living.verified();
    assert_eq!(state(&said), "damaged", "{said}");
    let drift = of(&said, "pip")["drift"].as_array().unwrap();
    assert_eq!(drift.len(), 1, "{drift:?}");
    assert!(
        drift[0]["path"]
            .as_str()
            .unwrap()
            .ends_with("/pip/__init__.py")
    );
}

#[test]
fn damage_is_not_taken_for_the_work_of_an_installer() {
    let Some(living) = Living::new() else { return };
    let good = living.essence();
    let info = living
        .site_packages()
        .join(format!("pip-{}.dist-info", living.own.1));
    let list = info.join("RECORD");
    let rows = fs::read_to_string(&list).unwrap();
    let damages: [&dyn Fn(); 5] = [
        &|| fs::remove_dir_all(&info).unwrap(),
        &|| fs::remove_file(&list).unwrap(),
        &|| fs::write(&list, "").unwrap(),
        &|| fs::write(&list, vec![0; rows.len()]).unwrap(),
        // Cut short, so that it does not list itself.
        &|| fs::write(&list, &rows[..100]).unwrap(),
    ];
    for (number, damage) in damages.iter().enumerate() {
        damage();
        let said = living.verified();
        assert_eq!(state(&said), "damaged", "{number}: {said}");
        assert_eq!(departed(&said), [""; 0], "{number}");
        living.scratch.rvenv(&["repair", "E"]).ok();
        assert!(living.essence() == good, "{number}");
        assert_eq!(state(&living.verified()), "clean", "{number}");
    }
}

#[test]
fn of_two_versions_that_are_both_damaged_the_newer_one_needs_a_wheel() {
    let Some(living) = Living::new() else { return };
    let site = living.site_packages();
    fs::create_dir(site.join("pip-99.0.dist-info")).unwrap();
    fs::write(site.join("pip/__init__.py"), "of another version\n").unwrap();
    let before = tree(&living.scratch.path("E"));
    let words = ["repair", "E", "--no-index"];
    let said = living.scratch.rvenv(&words).failed(3);
    assert!(said.contains("\n  pip 99.0: "), "{said}");
    assert!(tree(&living.scratch.path("E")) == before);
}

#[test]
fn what_pip_and_uv_installed_is_named_with_installer_and_origin() {
    let Some(living) = Living::new() else { return };
    let scratch = &living.scratch;
    let python = scratch.path("E/bin/python");
    let wheels = index(scratch, &python, &[("one", "1.0"), ("two", "2.0")]);
    living.install(&wheels.join("one-1.0-py3-none-any.whl"), &[]);
    let said = living.verified();
    assert_eq!(state(&said), "changed by another installer", "{said}");
    let one = of(&said, "one");
    assert_eq!(
        (&one["installer"], &one["added"]),
        (&"pip".into(), &true.into())
    );
    let origin = one["origin"].as_str().unwrap();
    assert!(origin.starts_with("file://"), "{origin}");
    assert_eq!(of(&said, "pip")["added"], false);
    assert_eq!(departed(&said), [""; 0]);
    let text = scratch.rvenv(&["verify", "E"]).ok();
    assert!(
        text.contains("\n  added by another installer: one 1.0\n"),
        "{text}"
    );
    let Some(uv) = tool("uv") else { return };
    let wheel = wheels.join("two-2.0-py3-none-any.whl");
    let words = ["pip", "install", "-q", "--offline", "--no-deps", "-p"];
    let paths = [python.to_str().unwrap(), wheel.to_str().unwrap()];
    scratch.run(&uv, &[&words[..], &paths].concat()).ok();
    let said = living.verified();
    assert_eq!(of(&said, "two")["installer"], "uv", "{said}");
    // What uv replaced is judged by the list that uv wrote.
    let words = [
        "pip",
        "install",
        "-q",
        "--offline",
        "--reinstall",
        "--no-deps",
        "-p",
    ];
    let paths = [python.to_str().unwrap(), living.other.0.to_str().unwrap()];
    scratch.run(&uv, &[&words[..], &paths].concat()).ok();
    let said = living.verified();
    let (own, other) = (&living.own.1, &living.other.1);
    assert_eq!(departed(&said), [format!("pip {own} replaced {other}")]);
    assert_eq!(state(&said), "changed by another installer", "{said}");
}

#[test]
fn a_fresh_environment_of_venv_virtualenv_and_uv_is_clean() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::in_memory();
    let path = python.path.to_str().unwrap();
    warm::venv(&scratch, &python, "V");
    assert_eq!(state(&verified(&scratch, "V")), "clean");
    if let Some(uv) = tool("uv") {
        scratch
            .run(&uv, &["venv", "-q", "--offline", "-p", path, "U"])
            .ok();
        assert_eq!(state(&verified(&scratch, "U")), "clean");
    }
    if let Some(virtualenv) = tool("virtualenv") {
        scratch.run(&virtualenv, &["-q", "-p", path, "W"]).ok();
        assert_eq!(state(&verified(&scratch, "W")), "clean");
    }
}

/// A played Python 3.13 with an environment `E`, and where its packages are.
pub(super) fn played() -> (Scratch, PathBuf) {
    let scratch = Scratch::in_memory();
    player(&scratch, "python");
    scratch
        .rvenv(&["create", "E", "--python", "./python", "--without-pip"])
        .ok();
    let site = scratch.path("E/lib/python3.13/site-packages");
    (scratch, site)
}

/// Lays out a distribution with this metadata.
pub(super) fn lay(site: &Path, name: &str, version: &str, headers: &str) {
    let info = format!("{name}-{version}.dist-info");
    fs::create_dir(site.join(&info)).unwrap();
    let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{headers}\n");
    fs::write(site.join(&info).join("METADATA"), metadata).unwrap();
    fs::write(
        site.join(&info).join("RECORD"),
        format!("{info}/METADATA,,\n{info}/RECORD,,\n"),
    )
    .unwrap();
}

/// virtualenv lists directories of bytecode in places where there are none.
#[test]
fn bytecode_that_a_list_names_and_that_is_absent_is_no_drift() {
    let (scratch, site) = played();
    lay(&site, "demo", "1.0", "");
    let list = site.join("demo-1.0.dist-info/RECORD");
    let rows = "demo/__pycache__,,\ndemo/a.cpython-313.pyc,,\ndemo-1.0.dist-info/REQUESTED,,\n";
    fs::write(&list, rows.to_owned() + &fs::read_to_string(&list).unwrap()).unwrap();
    let said = verified(&scratch, "E");
    assert_eq!(
        of(&said, "demo")["drift"].as_array().unwrap().len(),
        0,
        "{said}"
    );
    // Any other file without a hash is missed.
    let rows = fs::read_to_string(&list).unwrap();
    fs::write(&list, format!("demo/data,,\n{rows}")).unwrap();
    assert_eq!(state(&verified(&scratch, "E")), "damaged");
}

/// The requirements that are not met, as `NAME: REQUIREMENT: INSTALLED`.
pub(super) fn unmet(said: &Value) -> Vec<String> {
    let all = said["unmet"].as_array().unwrap().iter();
    let text = |of: &Value| of.as_str().unwrap_or("none").to_owned();
    let line = |of: &Value| {
        [&of["name"], &of["requires"], &of["installed"]]
            .map(text)
            .join(": ")
    };
    all.map(line).collect()
}

#[test]
fn requirements_that_are_not_met_are_reported_and_are_no_drift() {
    let (scratch, site) = played();
    let headers = "Requires-Dist: absent\nRequires-Dist: two (>=3)\nRequires-Dist: two>=1\n\
                   Requires-Dist: old; python_version < \"3.8\"\n\
                   Requires-Dist: new; python_version >= '3.13' and os_name == 'posix'\n\
                   Requires-Dist: more; extra == 'all'\n";
    lay(&site, "one", "1.0", headers);
    lay(&site, "two", "2.0", "Requires-Dist: one==1.*\n");
    let said = verified(&scratch, "E");
    assert_eq!(
        unmet(&said),
        [
            "one: absent: none",
            "one: two (>=3): 2.0",
            "one: new; python_version >= '3.13' and os_name == 'posix': none",
        ]
    );
    assert_eq!(state(&said), "changed by another installer");
    let text = scratch.rvenv(&["verify", "E"]).ok();
    assert!(
        text.contains("\n  one 1.0 requires `absent`, which is not installed\n"),
        "{text}"
    );
    assert!(
        text.contains("\n  one 1.0 requires `two (>=3)`, and two 2.0 is installed\n"),
        "{text}"
    );
}

/// `pip check` is the judge.
#[test]
fn the_requirements_that_are_not_met_are_those_that_pip_names() {
    let Some(living) = Living::new() else { return };
    let site = living.site_packages();
    let headers = "Requires-Dist: absent\nRequires-Dist: two>=3\n\
                   Requires-Dist: no; sys_platform == 'win32'\n\
                   Requires-Dist: two!=2.0; platform_python_implementation == 'CPython'\n";
    lay(&site, "one", "1.0", headers);
    lay(&site, "two", "2.0", "Requires-Dist: pip>=1\n");
    let found = unmet(&living.verified());
    let said = living.scratch.run(
        &living.scratch.path("E/bin/python"),
        &["-m", "pip", "check"],
    );
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(
        said.stdout.lines().count(),
        found.len(),
        "{found:?} {}",
        said.stdout
    );
    assert_eq!(found.len(), 3);
}
