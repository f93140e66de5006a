//! `rvenv rollback` of environments in which another installer was at work: what was installed,
//! replaced or uninstalled since goes aside as a whole, and comes back as a whole.
//!
//! A real pip or uv works between the commands. Trees are compared without bytecode.
//! Read next: `rollback.rs`, the rollback of what rvenv published.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::machine::{Ended, Python, Scratch, any_python, ended, tool, twins};
use crate::mounts::is_among_mounts;
use crate::packages::{builds, index, prefix};
use crate::sandbox;
use crate::trees::look;

/// Every path with its kind, mode and content, without bytecode, times of directories and the
/// engine's own files except the receipt.
type Essence = BTreeMap<String, String>;

/// An environment `E` of one Python, another Python to upgrade it to, and an index of packages.
struct Lab {
    scratch: Scratch,
    index: PathBuf,
    pythons: [Python; 2],
}

impl Lab {
    /// Prints why, if this machine has not both.
    fn new() -> Option<Self> {
        let (old, new) = (builds(11, 1)?, builds(12, 1)?);
        let scratch = Scratch::in_memory();
        let wheels = [
            ("alpha", "1.0"),
            ("alpha", "2.0"),
            ("beta", "1.0"),
            ("gamma", "1.0"),
        ];
        let index = index(&scratch, &old[0].path, &wheels);
        let lab = Self {
            scratch,
            index,
            pythons: [old[0].clone(), new[0].clone()],
        };
        let python = lab.pythons[0].path.to_str().unwrap();
        lab.rvenv(&["create", "E", "--python", python]);
        Some(lab)
    }

    #[track_caller]
    fn rvenv(&self, words: &[&str]) -> Ended {
        let ended = self.scratch.rvenv(words);
        assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.stderr);
        ended
    }

    fn env(&self) -> PathBuf {
        self.scratch.path("E")
    }

    #[track_caller]
    fn upgrade(&self) {
        let python = self.pythons[1].path.to_str().unwrap();
        self.rvenv(&["upgrade", "E", "--python", python, "--allow-lost"]);
    }

    /// Rolls back, and returns what was said.
    #[track_caller]
    fn rollback(&self) -> String {
        self.rvenv(&["rollback", "E"]).stderr
    }

    #[track_caller]
    fn pip(&self, words: &[&str]) {
        let python = self.env().join("bin/python");
        let index = self.index.to_str().unwrap();
        let install = ["--no-index", "--find-links", index];
        let mut all = vec!["-m", "pip", "-q", "--disable-pip-version-check"];
        all.extend(words);
        if words.contains(&"install") {
            all.extend(install);
        }
        self.scratch.run(&python, &all).ok();
    }

    #[track_caller]
    fn uv(&self, uv: &Path, words: &[&str]) {
        let env = self.env();
        let mut all = vec!["pip"];
        all.extend(words);
        all.extend(["--offline", "-q", "--python", env.to_str().unwrap()]);
        if words.contains(&"install") {
            all.extend(["--no-index", "--find-links", self.index.to_str().unwrap()]);
        }
        self.scratch.run(uv, &all).ok();
    }

    fn essence(&self) -> Essence {
        essence(&self.env())
    }

    /// The state that `verify` finds, which must be no drift.
    #[track_caller]
    fn is_clean(&self) {
        let said = self.scratch.rvenv(&["verify", "--json", "E"]).ok();
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["clean"], true, "{said}");
    }

    /// Imports these modules, and runs the programs of the same names.
    #[track_caller]
    fn works(&self, names: &[(&str, &str)]) {
        for (name, version) in names {
            let said = self
                .scratch
                .run(&self.env().join("bin").join(name), &[""; 0]);
            assert_eq!(said.ok().trim(), format!("{name} {version}"));
        }
        let said = self
            .scratch
            .run(&self.env().join("bin/python"), &["-m", "pip", "check"]);
        said.ok();
    }

    /// Goes back and forward twice between two states, each of which must be as it was.
    #[track_caller]
    fn swings(&self, old: &Essence, new: &Essence) {
        same(new, &self.essence());
        for _ in 0..2 {
            self.rollback();
            same(old, &self.essence());
            self.is_clean();
            self.rollback();
            same(new, &self.essence());
            self.is_clean();
        }
    }
}

/// The pip that a Python bundles, which is another one than that of the others here.
fn other_pip() -> Option<String> {
    let python = any_python()?;
    let lib = format!("lib/python3.{}/ensurepip/_bundled", python.version.1);
    let files = fs::read_dir(prefix(&python).join(lib)).ok()?;
    let mut paths = files.map(|file| file.unwrap().path().to_str().unwrap().to_owned());
    let found = paths.find(|path| path.contains("/pip-") && !path.contains("/pip-23.2.1"));
    if found.is_none() {
        println!("skipped: every Python of this machine bundles the same pip");
    }
    found
}

fn essence(env: &Path) -> Essence {
    let tree = look(env).unwrap_or_default().into_iter();
    let entries = tree.map(|(path, mut entry)| {
        if entry.mode & 0o170_000 == 0o040_000 {
            entry.mtime = (0, 0);
        }
        (path.to_string_lossy().into_owned(), format!("{entry:?}"))
    });
    entries
        // uv makes a lock in the environment, and leaves it.
        .filter(|(path, _)| !path.contains("__pycache__") && path != "./.lock")
        .collect()
}

#[track_caller]
fn same(expected: &Essence, found: &Essence) {
    let differs = |path: &&String| expected.get(*path) != found.get(*path);
    let paths = expected.keys().chain(found.keys()).filter(differs);
    let paths: Vec<_> = paths.collect();
    assert_eq!(paths, [&""; 0]);
}

#[test]
fn what_pip_installed_after_an_upgrade_goes_aside_and_comes_back() {
    let Some(lab) = Lab::new() else { return };
    let old = lab.essence();
    lab.upgrade();
    lab.pip(&["install", "alpha==2.0", "beta"]);
    let new = lab.essence();
    let said = lab.rollback();
    assert!(
        said.contains("Set aside: 2 packages (alpha 2.0, beta 1.0)"),
        "{said}"
    );
    same(&old, &lab.essence());
    lab.is_clean();
    assert!(
        !lab.env().join("bin/alpha").exists(),
        "a script without its package"
    );
    assert!(!lab.env().join("share/beta.txt").exists());
    let said = lab.rollback();
    assert!(
        said.contains("Back again: 2 packages (alpha 2.0, beta 1.0)"),
        "{said}"
    );
    lab.works(&[("alpha", "2.0"), ("beta", "1.0")]);
    lab.swings(&old, &new);
}

#[test]
fn what_uv_installed_after_an_upgrade_goes_aside_and_comes_back() {
    let (Some(uv), Some(lab)) = (tool("uv"), Lab::new()) else {
        return;
    };
    let old = lab.essence();
    lab.upgrade();
    lab.uv(&uv, &["install", "alpha==2.0", "gamma"]);
    let new = lab.essence();
    lab.swings(&old, &new);
    lab.works(&[("alpha", "2.0"), ("gamma", "1.0")]);
}

#[test]
fn what_was_installed_on_both_sides_stays_on_its_side() {
    let Some(lab) = Lab::new() else { return };
    lab.upgrade();
    lab.pip(&["install", "alpha==2.0"]);
    let new = lab.essence();
    lab.rollback();
    lab.pip(&["install", "alpha==1.0", "gamma"]);
    let old = lab.essence();
    let said = lab.rollback();
    assert!(said.contains("Set aside: "), "{said}");
    assert!(said.contains("gamma 1.0"), "{said}");
    assert!(said.contains("alpha 1.0 → 2.0"), "{said}");
    same(&new, &lab.essence());
    lab.works(&[("alpha", "2.0")]);
    lab.is_clean();
    let said = lab.rollback();
    assert!(said.contains("alpha 2.0 → 1.0"), "{said}");
    same(&old, &lab.essence());
    lab.works(&[("alpha", "1.0"), ("gamma", "1.0")]);
    lab.rollback();
    lab.swings(&old, &new);
}

#[test]
fn a_pip_that_replaced_itself_goes_aside_and_comes_back() {
    let Some(lab) = Lab::new() else { return };
    let Some(pip) = other_pip() else { return };
    let old = lab.essence();
    lab.upgrade();
    lab.pip(&["install", "-U", &pip]);
    let new = lab.essence();
    lab.swings(&old, &new);
    // On the other side too.
    lab.rollback();
    lab.pip(&["install", "-U", &pip]);
    let old = lab.essence();
    lab.rollback();
    lab.swings(&old, &new);
    lab.works(&[]);
}

#[test]
fn what_was_uninstalled_stays_uninstalled_on_its_side() {
    let Some(lab) = Lab::new() else { return };
    let old = lab.essence();
    lab.upgrade();
    lab.pip(&["install", "alpha==2.0", "beta"]);
    lab.pip(&["uninstall", "-y", "beta"]);
    lab.pip(&["uninstall", "-y", "pip"]);
    let new = lab.essence();
    lab.swings(&old, &new);
    lab.rollback();
    lab.pip(&["uninstall", "-y", "setuptools"]);
    let old = lab.essence();
    lab.rollback();
    lab.swings(&old, &new);
}

#[test]
fn files_that_were_written_or_edited_are_named_and_come_back() {
    let Some(lab) = Lab::new() else { return };
    let old = lab.essence();
    lab.upgrade();
    let env = lab.env();
    let site = env.join("lib/python3.12/site-packages");
    fs::write(site.join("mine.pth"), "import os\n").unwrap();
    // Written through its name, it would change in every environment that shares it.
    fs::remove_file(site.join("pip/__init__.py")).unwrap();
    fs::write(site.join("pip/__init__.py"), "broken = True\n").unwrap();
    let script = format!("#!{}/bin/python3.12\nprint(1)\n", env.display());
    fs::write(env.join("bin/own"), script).unwrap();
    let config = fs::read_to_string(env.join("pyvenv.cfg")).unwrap();
    fs::write(env.join("pyvenv.cfg"), config + "mine = true\n").unwrap();
    let new = lab.essence();
    let said = lab.rollback();
    for path in [
        "bin/own",
        "lib/python3.12/site-packages/mine.pth",
        "pyvenv.cfg",
    ] {
        assert!(said.contains(path), "{path}: {said}");
    }
    same(&old, &lab.essence());
    lab.rollback();
    same(&new, &lab.essence());
}

#[test]
fn what_was_installed_into_a_cleared_environment_goes_aside_and_comes_back() {
    let Some(lab) = Lab::new() else { return };
    lab.pip(&["install", "alpha==1.0"]);
    let old = lab.essence();
    let python = lab.pythons[1].path.to_str().unwrap();
    lab.rvenv(&["create", "E", "--clear", "--keep", "--python", python]);
    lab.pip(&["install", "alpha==2.0", "beta"]);
    fs::write(lab.env().join("notes"), "mine").unwrap();
    let new = lab.essence();
    let said = lab.rollback();
    assert!(said.contains("beta 1.0"), "{said}");
    assert!(said.contains("alpha 2.0 → 1.0"), "{said}");
    assert!(said.contains("(notes)"), "{said}");
    lab.works(&[("alpha", "1.0")]);
    lab.rollback();
    lab.works(&[("alpha", "2.0"), ("beta", "1.0")]);
    lab.swings(&old, &new);
}

/// Nothing was installed in another directory, so what was installed since is whole, and stays.
#[test]
fn a_change_within_one_python_takes_only_what_it_replaced() {
    let Some(lab) = Lab::new() else { return };
    let python = lab.pythons[0].path.to_str().unwrap();
    lab.rvenv(&[
        "create", "E", "--python", python, "--prompt", "other", "--keep",
    ]);
    lab.pip(&["install", "alpha==1.0"]);
    let said = lab.rollback();
    assert!(!said.contains("aside"), "{said}");
    lab.works(&[("alpha", "1.0")]);
    lab.is_clean();
    let config = fs::read_to_string(lab.env().join("pyvenv.cfg")).unwrap();
    assert!(!config.contains("other"), "{config}");
}

#[test]
fn a_generation_that_cannot_be_kept_whole_is_refused_with_the_mount() {
    if !is_among_mounts(
        module_path!(),
        "a_generation_that_cannot_be_kept_whole_is_refused_with_the_mount",
    ) {
        return;
    }
    let Some(lab) = Lab::new() else { return };
    lab.upgrade();
    let inside = lab.env().join("lib/python3.12/site-packages/data");
    fs::create_dir(&inside).unwrap();
    let mount = ["-t", "tmpfs", "tmpfs", inside.to_str().unwrap()];
    ended(Command::new("mount").args(mount)).ok();
    fs::write(inside.join("work"), "mine").unwrap();
    let before = lab.essence();
    let said = lab.scratch.rvenv(&["rollback", "E"]).failed(3);
    assert!(said.contains(inside.to_str().unwrap()), "{said}");
    assert!(said.contains("the target is as it was before"), "{said}");
    same(&before, &lab.essence());
    ended(Command::new("umount").arg(&inside)).ok();
    lab.rollback();
}

#[test]
fn a_rollback_on_a_full_disk_changes_nothing() {
    if !is_among_mounts(module_path!(), "a_rollback_on_a_full_disk_changes_nothing") {
        return;
    }
    let Some([python, other]) = twins() else {
        return;
    };
    let scratch = Scratch::in_memory();
    let small = scratch.path("small");
    fs::create_dir(&small).unwrap();
    let mount = ["-t", "tmpfs", "-o", "size=60m", "tmpfs"];
    ended(Command::new("mount").args(mount).arg(&small)).ok();
    let at = |python: &Python| python.path.to_str().unwrap().to_owned();
    scratch
        .rvenv(&["create", "small/E", "--python", &at(&python)])
        .ok();
    scratch
        .rvenv(&["upgrade", "small/E", "--python", &at(&other), "--keep"])
        .ok();
    let before = essence(&small.join("E"));
    let filled = fs::write(small.join("filler"), vec![0; 64 << 20]);
    assert!(filled.is_err(), "the disk is not full");
    let said = scratch.rvenv(&["rollback", "small/E"]).failed(1);
    assert!(said.contains("No space left on device"), "{said}");
    assert!(said.contains("the target is as it was before"), "{said}");
    same(&before, &essence(&small.join("E")));
    fs::remove_file(small.join("filler")).unwrap();
    scratch.rvenv(&["rollback", "small/E"]).ok();
}

#[test]
fn a_generation_of_another_user_is_refused_and_named() {
    let Some(sandbox) = sandbox::sandbox() else {
        return;
    };
    sandbox.verb("create", &["E"]).ok();
    sandbox
        .verb("create", &["E", "--prompt", "other", "--keep"])
        .ok();
    let record = sandbox.path("E/.rvenv/old-1.journal");
    if std::os::unix::fs::chown(&record, Some(12), Some(34)).is_err() {
        println!("skipped: only root can give a file away");
        return;
    }
    let before = essence(&sandbox.path("E"));
    let env = sandbox.path("E");
    let said = sandbox
        .scratch
        .rvenv(&["rollback", env.to_str().unwrap()])
        .failed(5);
    assert!(said.contains("it belongs to user 12"), "{said}");
    same(&before, &essence(&sandbox.path("E")));
}
