//! Another Python with distributions that pip installed from a directory, editable, or from a
//! repository: the pure ones come along, and the others are named with the command of pip.
//!
//! pip itself installs them, with a build backend that is part of each project, so nothing is
//! downloaded. Read next: `carry.rs`, distributions from wheels.

use std::fs;
use std::path::{Path, PathBuf};

use crate::machine::{Python, Scratch, tool};
use crate::packages::{builds, packages_of};

/// Builds a wheel of the project in the working directory.
const BACKEND: &str = r#"
import os, zipfile
NAME, TAG = open("name").read().split()
def wheel(directory, files):
    info = NAME + "-1.0.dist-info/"
    files[info + "METADATA"] = "Metadata-Version: 2.1\nName: %s\nVersion: 1.0\n" % NAME
    files[info + "WHEEL"] = ("Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\n"
        "Tag: %s\n" % TAG)
    files[info + "RECORD"] = "".join("%s,,\n" % path for path in files)
    found = "%s-1.0-%s.whl" % (NAME, TAG)
    with zipfile.ZipFile(os.path.join(directory, found), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return found
def build_wheel(directory, config_settings=None, metadata_directory=None):
    return wheel(directory, {NAME + ".py": open("src/%s.py" % NAME).read()})
def build_editable(directory, config_settings=None, metadata_directory=None):
    return wheel(directory, {NAME + ".pth": os.path.join(os.getcwd(), "src") + "\n"})
"#;
const PROJECT: &str = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\n\
                       backend-path = [\".\"]\n";

/// An environment `E` of Python 3.11, and a Python 3.12.
struct Workshop {
    scratch: Scratch,
    git: PathBuf,
    newer: Python,
}

impl Workshop {
    fn new() -> Option<Self> {
        let (older, newer) = (builds(11, 1)?.remove(0), builds(12, 1)?.remove(0));
        let scratch = Scratch::in_memory();
        let python = older.path.to_str().unwrap();
        scratch.rvenv(&["create", "E", "--python", python]).ok();
        Some(Self {
            scratch,
            git: tool("git")?,
            newer,
        })
    }

    /// The directory of a new project, whose wheel has this tag.
    fn project(&self, name: &str, tag: &str) -> PathBuf {
        let project = self.scratch.path(name);
        fs::create_dir_all(project.join("src")).unwrap();
        fs::write(project.join("pyproject.toml"), PROJECT).unwrap();
        fs::write(project.join("backend.py"), BACKEND).unwrap();
        fs::write(project.join("name"), format!("{name} {tag}")).unwrap();
        let source = project.join(format!("src/{name}.py"));
        fs::write(source, format!("v = '{name}'\n")).unwrap();
        project
    }

    /// The same in a repository; the commit.
    fn repository(&self, name: &str, tag: &str) -> (PathBuf, String) {
        let project = self.project(name, tag);
        let git = |words: &[&str]| {
            let at = [
                "-C",
                project.to_str().unwrap(),
                "-c",
                "user.name=n",
                "-c",
                "user.email=e",
            ];
            self.scratch.run(&self.git, &[&at, words].concat()).ok()
        };
        git(&["init", "-q"]);
        git(&["add", "."]);
        git(&["commit", "-q", "-m", "first"]);
        let commit = git(&["rev-parse", "HEAD"]).trim().to_owned();
        (project, commit)
    }

    fn install(&self, sources: &[&str]) {
        let pip = [
            "-m",
            "pip",
            "install",
            "-q",
            "--no-index",
            "--no-build-isolation",
        ];
        let words = [&pip[..], sources].concat();
        self.scratch.run(&self.python(), &words).ok();
    }

    fn python(&self) -> PathBuf {
        self.scratch.path("E/bin/python")
    }

    /// What the modules of these names say.
    fn values(&self, names: &str) -> String {
        let code = format!("import {names}; print([m.v for m in [{names}]])");
        let said = self.scratch.run(&self.python(), &["-B", "-c", &code]);
        said.ok().trim().to_owned()
    }

    fn upgrade(&self, more: &[&str]) -> crate::machine::Ended {
        let python = self.newer.path.to_str().unwrap();
        let words = ["upgrade", "E", "--no-index", "--python", python];
        self.scratch.rvenv(&[&words, more].concat())
    }

    fn note(&self, name: &str) -> String {
        let site = packages_of(&self.scratch.path("E"));
        let note = site.join(format!("{name}-1.0.dist-info/direct_url.json"));
        fs::read_to_string(note).unwrap()
    }
}

fn url(project: &Path) -> String {
    format!("git+file://{}", project.display())
}

#[test]
fn what_is_pure_comes_along_from_a_directory_and_from_a_repository() {
    let Some(workshop) = Workshop::new() else {
        return;
    };
    let edited = workshop.project("edited", "py3-none-any");
    let (cloned, _) = workshop.repository("cloned", "py3-none-any");
    workshop.install(&["-e", edited.to_str().unwrap(), &url(&cloned)]);
    let values = workshop.values("edited, cloned");
    let notes = ["edited", "cloned"].map(|name| workshop.note(name));
    workshop.upgrade(&[]).ok();
    assert_eq!(workshop.values("edited, cloned"), values);
    assert_eq!(["edited", "cloned"].map(|name| workshop.note(name)), notes);
    // The sources are still the ones that are imported.
    fs::write(edited.join("src/edited.py"), "v = 'new'\n").unwrap();
    assert_eq!(workshop.values("edited"), "['new']");
    workshop.scratch.rvenv(&["verify", "E"]).ok();
}

#[test]
fn what_is_bound_to_one_python_is_named_and_never_looked_up() {
    let Some(workshop) = Workshop::new() else {
        return;
    };
    let tag = "cp311-cp311-any";
    let edited = workshop.project("edited", tag);
    let (cloned, commit) = workshop.repository("cloned", tag);
    let edited = edited.to_str().unwrap();
    workshop.install(&["-e", edited, &url(&cloned)]);
    let said = workshop.upgrade(&[]).failed(3);
    let again = format!("-e {edited}");
    assert!(said.contains(&again), "{said}");
    let again = format!("{}@{commit}", url(&cloned));
    assert!(said.contains(&again), "{said}");
    assert!(!said.contains("no wheel of"), "{said}");
    assert_eq!(workshop.values("edited, cloned"), "['edited', 'cloned']");
}
