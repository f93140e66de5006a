//! `rvenv lock`: requirements become a lock, by uv or by pip.
//!
//! Real resolvers, with a directory of wheels in place of an index; no network.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::machine::{Ended, Python, Scratch, ended, tool};
use crate::packages::{builds, index};

struct Desk {
    scratch: Scratch,
    python: Python,
    uv: Option<PathBuf>,
}

fn desk() -> Option<Desk> {
    let python = builds(13, 1).or_else(|| builds(12, 1))?.remove(0);
    let scratch = Scratch::new();
    let wheels = [("alpha", "1.0"), ("alpha", "2.0"), ("beta", "1.0")];
    index(&scratch, &python.path, &wheels);
    Some(Desk {
        scratch,
        python,
        uv: tool("uv"),
    })
}

impl Desk {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = self
            .scratch
            .command(&["lock", "--find-links", "index", "--python"]);
        command.arg(&self.python.path).args(words);
        if let Some(uv) = &self.uv {
            let above = uv.parent().unwrap().as_os_str();
            let path = [above, OsStr::new("/usr/bin"), OsStr::new("/bin")].join(OsStr::new(":"));
            command.env("PATH", path);
        }
        command
    }

    fn lock(&self, words: &[&str]) -> Ended {
        ended(&mut self.command(words))
    }

    fn resolvers(&self) -> Vec<&'static str> {
        let uv = self.uv.as_ref().map(|_| "uv");
        uv.into_iter().chain(["pip"]).collect()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.scratch.path(name)).unwrap()
    }
}

/// The version of a package in a lock.
fn version<'t>(lock: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    rest.split('"').next()
}

fn digest(path: &Path) -> String {
    rvenv_journal::Digest::of(&fs::read(path).unwrap()).to_string()
}

#[test]
fn both_resolvers_write_a_lock_with_the_hash_of_each_file() {
    let Some(desk) = desk() else { return };
    for resolver in desk.resolvers() {
        let said = desk.lock(&["alpha", "beta", "--resolver", resolver]);
        assert!(
            said.stderr.contains("Locked 2 packages in `pylock.toml`"),
            "{}",
            said.stderr
        );
        said.ok();
        let lock = desk.read("pylock.toml");
        assert_eq!(version(&lock, "alpha"), Some("2.0"), "{resolver}: {lock}");
        for wheel in ["alpha-2.0-py3-none-any.whl", "beta-1.0-py3-none-any.whl"] {
            assert!(lock.contains(wheel), "{resolver}: {lock}");
            let digest = digest(&desk.scratch.path("index").join(wheel));
            assert!(lock.contains(&digest), "{resolver}: {lock}");
        }
        fs::remove_file(desk.scratch.path("pylock.toml")).unwrap();
    }
}

#[test]
fn the_versions_of_an_existing_lock_stay_where_the_requirements_allow_it() {
    let Some(desk) = desk() else { return };
    for resolver in desk.resolvers() {
        let lock = |requirement: &str| {
            desk.lock(&[requirement, "--resolver", resolver]).ok();
            let lock = desk.read("pylock.toml");
            version(&lock, "alpha").unwrap().to_owned()
        };
        assert_eq!(lock("alpha<2"), "1.0", "{resolver}");
        assert_eq!(lock("alpha"), "1.0", "{resolver}");
        assert_eq!(lock("alpha>1"), "2.0", "{resolver}");
        fs::remove_file(desk.scratch.path("pylock.toml")).unwrap();
    }
}

#[test]
fn a_lock_that_cannot_be_made_leaves_the_old_one() {
    let Some(desk) = desk() else { return };
    fs::write(desk.scratch.path("pylock.toml"), "mine").unwrap();
    for resolver in desk.resolvers() {
        let said = desk.lock(&["alpha>2", "--resolver", resolver]).failed(1);
        assert!(
            said.contains(&format!("{resolver} cannot resolve `alpha>2`")),
            "{said}"
        );
    }
    let said = desk.lock(&["--", "--index-url=elsewhere"]).failed(2);
    assert!(said.contains("is not a requirement"), "{said}");
    let said = desk.lock(&["alpha", "-o", "lock.toml"]).failed(2);
    assert!(
        said.contains("`lock.toml` is not the name of a lock"),
        "{said}"
    );
    let said = desk.lock(&[]).failed(3);
    assert!(said.contains("pyproject.toml"), "{said}");
    assert_eq!(desk.read("pylock.toml"), "mine");
}

#[test]
fn requirements_come_from_files_and_from_projects() {
    let Some(desk) = desk() else { return };
    let project = "[project]\nname = 'x'\ndependencies = ['beta']\n\
                   [project.optional-dependencies]\nmore = ['alpha<2']\n";
    fs::write(desk.scratch.path("pyproject.toml"), project).unwrap();
    fs::write(
        desk.scratch.path("more.txt"),
        "alpha ; python_version > '3'\n",
    )
    .unwrap();
    let lock = desk.lock(&["-o", "-"]).ok();
    assert_eq!(
        (version(&lock, "beta"), version(&lock, "alpha")),
        (Some("1.0"), None)
    );
    let lock = desk
        .lock(&["-r", "pyproject.toml", "--extra", "more", "-o", "-"])
        .ok();
    assert_eq!(
        (version(&lock, "beta"), version(&lock, "alpha")),
        (Some("1.0"), Some("1.0"))
    );
    for resolver in desk.resolvers() {
        let lock = desk
            .lock(&["-r", "more.txt", "-o", "-", "--resolver", resolver])
            .ok();
        assert_eq!(
            (version(&lock, "beta"), version(&lock, "alpha")),
            (None, Some("2.0"))
        );
    }
}

/// Without uv, or with one that writes no locks, pip resolves, unless uv was asked for.
#[test]
fn an_old_uv_is_not_asked() {
    let Some(desk) = desk() else { return };
    let old = desk.scratch.path("old");
    fs::create_dir(&old).unwrap();
    crate::machine::script(&old.join("uv"), "echo uv 0.4.1\n[ \"$1\" = --version ]\n");
    let path = format!("{}:/usr/bin:/bin", old.display());
    let lock = ended(desk.command(&["alpha", "-o", "-"]).env("PATH", &path)).ok();
    // The marker of the interpreter is in a lock by pip.
    assert!(lock.contains("environments = "), "{lock}");
    let said = ended(
        desk.command(&["alpha", "--resolver", "uv"])
            .env("PATH", &path),
    )
    .failed(3);
    assert!(said.contains("is version 0.4.1"), "{said}");
    let said = ended(
        desk.command(&["alpha", "--resolver", "uv"])
            .env("PATH", "/bin"),
    )
    .failed(3);
    assert!(said.contains("there is no uv on PATH"), "{said}");
}
