//! `rvenv repair` of damaged distributions, whichever tool installed them.
//!
//! Each is replaced as a whole by the installation of one wheel, or the repair is refused before
//! anything is written. No network: the index is a directory. Read next: `repair_store.rs`, files
//! from the content store; `repair.rs`, what rvenv published; `verify_installers.rs`, what other
//! installers change.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::machine::{Ended, Kind, Python, Scratch, any_python, tool, tree};
use crate::packages::{index, lay_in};

/// An environment `E` with packages that pip or uv installed, and a directory of wheels.
struct Living {
    scratch: Scratch,
    python: Python,
    index: PathBuf,
}

impl Living {
    /// An environment by `rvenv create`.
    fn new() -> Option<Self> {
        let python = any_python()?;
        let scratch = Scratch::in_memory();
        let wheels = [("p1", "1.0"), ("p1", "2.0"), ("p2", "1.0")];
        let index = index(&scratch, &python.path, &wheels);
        let path = python.path.to_str().unwrap();
        scratch.rvenv(&["create", "E", "-p", path]).ok();
        Some(Self {
            scratch,
            python,
            index,
        })
    }

    fn env(&self) -> PathBuf {
        self.scratch.path("E")
    }

    fn site(&self) -> PathBuf {
        let minor = self.python.version.1;
        self.env()
            .join(format!("lib/python3.{minor}/site-packages"))
    }

    fn pip(&self, words: &[&str]) {
        let pip = ["-m", "pip", "-q", "--no-cache-dir"];
        let words = [&pip[..], words].concat();
        self.scratch
            .run(&self.env().join("bin/python"), &words)
            .ok();
    }

    /// Installs from the directory of wheels.
    fn install(&self, requirements: &[&str]) {
        let from = ["--no-index", "--find-links", self.index.to_str().unwrap()];
        self.pip(&[&["install"], &from[..], requirements].concat());
    }

    fn wheel(&self, name: &str, version: &str) -> PathBuf {
        self.index
            .join(format!("{name}-{version}-py3-none-any.whl"))
    }

    fn state(&self) -> String {
        let ended = self.scratch.rvenv(&["verify", "--json", "E"]);
        let said: Value = serde_json::from_str(&ended.stdout).unwrap();
        said["state"].as_str().unwrap().to_owned()
    }

    /// Repairs with an empty store, so that every file needs a wheel.
    fn repair(&self, flags: &[&str]) -> Ended {
        let _may_be_absent = fs::remove_dir_all(self.scratch.cache().join("packs"));
        self.scratch.rvenv(&[&["repair", "E"], flags].concat())
    }

    /// Repairs from the directory of wheels, and looks at what a repair promises.
    #[track_caller]
    fn repaired(&self) -> Ended {
        let flags = ["--no-index", "--find-links", self.index.to_str().unwrap()];
        let ended = self.repair(&flags);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let said = self.scratch.rvenv(&["verify", "E"]);
        assert_eq!(said.code, Some(0), "{}", said.stdout);
        let again = self.repair(&flags);
        assert!(again.stderr.contains("no changes"), "{}", again.stderr);
        ended
    }

    /// The bytes of every file, without bytecode, lists, and what rvenv keeps.
    fn essence(&self) -> BTreeMap<String, Kind> {
        let kept = tree(&self.env()).into_iter().filter(|(path, _)| {
            let is_list = path.ends_with("/RECORD");
            !path.starts_with(".rvenv") && !path.contains("__pycache__") && !is_list
        });
        kept.map(|(path, entry)| (path, entry.kind)).collect()
    }

    #[track_caller]
    fn says(&self, program: &str, expected: &str) {
        let said = self
            .scratch
            .run(&self.env().join("bin").join(program), &[""; 0]);
        assert_eq!(said.ok().trim(), expected);
    }
}

/// Damages a file.
type Damage = fn(&Path);

fn edit(path: &Path) {
    let text = fs::read_to_string(path).unwrap();
    fs::write(path, format!("{text}# edited\n")).unwrap();
}

fn delete(path: &Path) {
    fs::remove_file(path).unwrap();
}

fn empty(path: &Path) {
    fs::write(path, "").unwrap();
}

const DAMAGES: [Damage; 3] = [edit, delete, empty];

#[test]
fn a_damaged_file_of_a_package_comes_back_from_a_wheel_of_the_same_version() {
    let Some(living) = Living::new() else { return };
    living.install(&["p1==1.0", "p2==1.0"]);
    living.repaired_first();
    let site = living.site();
    let files = [
        site.join("p1/inner.py"),
        site.join("p1/table.txt"),
        site.join("p1_alone.py"),
        site.join("p1-1.0.dist-info/METADATA"),
        site.join("p1-1.0.dist-info/RECORD"),
        living.env().join("share/p1.txt"),
        living.env().join("bin/p1"),
    ];
    // Pip finds the wheel in the directory, whichever file is damaged and however.
    for (file, damage) in files.iter().step_by(2).zip(DAMAGES.into_iter().cycle()) {
        living.comes_back(file, damage);
    }
    // A wheel that was installed from a file is read there, for which no pip starts.
    let wheel = living.wheel("p1", "1.0");
    let wheel = wheel.to_str().unwrap();
    living.pip(&["install", "--no-index", "--force-reinstall", wheel]);
    living.repaired_first();
    for file in &files {
        for damage in DAMAGES {
            living.comes_back(file, damage);
        }
    }
    let other = tree(&site.join("p2"));
    edit(&files[0]);
    living.repaired();
    assert!(
        other == tree(&site.join("p2")),
        "another package was touched"
    );
}

impl Living {
    /// Damages a file of `p1`, and repairs it.
    #[track_caller]
    fn comes_back(&self, file: &Path, damage: Damage) {
        let good = self.essence();
        damage(file);
        let is_list = file.ends_with("RECORD");
        if is_list && file.exists() && fs::metadata(file).unwrap().len() > 0 {
            // A row that nobody can read.
            fs::write(file, "\"torn").unwrap();
        }
        assert_eq!(self.state(), "damaged", "{}", file.display());
        self.repaired();
        assert!(self.essence() == good, "{}", file.display());
        self.says("p1", "p1 1.0");
    }

    /// Lets rvenv write every script of `p1` once, so that later repairs give the same tree.
    fn repaired_first(&self) {
        delete(&self.site().join("p1/inner.py"));
        self.repaired();
        self.says("p1", "p1 1.0");
    }
}

#[test]
fn without_a_wheel_nothing_is_written_and_the_command_is_named() {
    let Some(living) = Living::new() else { return };
    living.install(&["p1==1.0"]);
    delete(&living.wheel("p1", "1.0"));
    edit(&living.site().join("p1/inner.py"));
    let before = tree(&living.env());
    for flags in [&["--no-index"][..], &["--no-index", "--dry-run"]] {
        let index = living.index.to_str().unwrap();
        let path = living.python.path.to_str().unwrap();
        let flags = [flags, &["--find-links", index, "-p", path]].concat();
        let said = living.repair(&flags).failed(3);
        assert!(said.contains("\n  p1 1.0: "), "{said}");
        assert!(
            said.contains("/E/bin/python -m pip install --force-reinstall --no-deps 'p1==1.0'`"),
            "{said}"
        );
    }
    assert!(before == tree(&living.env()), "something was touched");
}

/// `pip install -U pip` is the first thing that people type.
#[test]
fn a_pip_that_pip_replaced_is_mended_as_the_pip_that_it_is() {
    let Some(living) = Living::new() else { return };
    let Some(other) = other_pip(&living) else {
        return;
    };
    living.pip(&[
        "install",
        "--no-index",
        "--no-deps",
        other.to_str().unwrap(),
    ]);
    let version = |living: &Living| -> String {
        let said = living
            .scratch
            .run(&living.env().join("bin/pip"), &["--version"])
            .ok();
        said.split_whitespace().nth(1).unwrap().to_owned()
    };
    let own = version(&living);
    living.repaired();
    assert_eq!(version(&living), own);
    edit(&living.site().join("pip/__init__.py"));
    // The file that it was installed from is still there.
    living.repaired();
    assert_eq!(version(&living), own);
}

/// A wheel of another pip than the one in the environment, if another Python bundles one.
fn other_pip(living: &Living) -> Option<PathBuf> {
    let own = fs::read_dir(living.site()).unwrap().find_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let version = name
            .strip_prefix("pip-")?
            .strip_suffix(".dist-info")?
            .to_owned();
        Some(version)
    })?;
    for python in crate::machine::supported() {
        let lib = format!("lib/python3.{}/ensurepip/_bundled", python.version.1);
        let bundled = crate::packages::prefix(&python).join(lib);
        let wheels = fs::read_dir(bundled).into_iter().flatten().flatten();
        let mut wheels = wheels.map(|wheel| wheel.path());
        let is_other = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with("pip-")
                && !name.starts_with(&format!("pip-{own}-"))
                && python.at_least(9)
        };
        if let Some(found) = wheels.find(is_other) {
            return Some(found);
        }
    }
    println!("skipped: every Python bundles the same pip");
    None
}

#[test]
fn a_wheel_whose_digest_was_noted_is_the_one_that_is_installed_again() {
    let Some(living) = Living::new() else { return };
    let wheel = living.wheel("p1", "1.0");
    living.pip(&["install", "--no-index", wheel.to_str().unwrap()]);
    let url = living.site().join("p1-1.0.dist-info/direct_url.json");
    let noted = fs::read(&url).unwrap();
    delete(&living.site().join("p1/inner.py"));
    let ended = living.repair(&["--no-index"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    living.says("p1", "p1 1.0");
    assert_eq!(fs::read(&url).unwrap(), noted);
    assert!(url.with_file_name("REQUESTED").exists());
    // Another file under that name is not what was installed.
    let mut bytes = fs::read(&wheel).unwrap();
    bytes.push(0);
    fs::write(&wheel, bytes).unwrap();
    delete(&living.site().join("p1/inner.py"));
    let before = tree(&living.env());
    let said = living.repair(&["--no-index"]);
    let is_noted = String::from_utf8_lossy(&noted).contains("sha256");
    if is_noted {
        let said = said.failed(3);
        assert!(said.contains("it was installed from `file://"), "{said}");
        assert!(before == tree(&living.env()), "something was touched");
    }
}

#[test]
fn an_editable_install_is_named_with_its_own_path() {
    let Some(living) = Living::new() else { return };
    living.install(&["p1==1.0"]);
    let url = living.site().join("p1-1.0.dist-info/direct_url.json");
    fs::write(
        &url,
        r#"{"url": "file:///my%20src", "dir_info": {"editable": true}}"#,
    )
    .unwrap();
    delete(&living.site().join("p1/inner.py"));
    let before = tree(&living.env());
    let index = living.index.to_str().unwrap();
    let said = living
        .repair(&["--no-index", "--find-links", index])
        .failed(3);
    assert!(said.contains("installed from `file:///my%20src`"), "{said}");
    assert!(said.contains("--no-deps -e '/my src'`"), "{said}");
    assert!(before == tree(&living.env()), "something was touched");
}

/// An index may have another distribution of that name.
#[test]
fn what_came_from_an_unknown_place_takes_only_a_source_that_is_named() {
    let Some(living) = Living::new() else { return };
    lay_in(&living.python.path, &living.env(), &["p1"]);
    let url = living.site().join("p1-1.0.dist-info/direct_url.json");
    fs::write(url, [0; 60]).unwrap();
    delete(&living.site().join("p1/inner.py"));
    let before = tree(&living.env());
    let said = living.repair(&[]).failed(3);
    let reason =
        "\n  p1 1.0: its direct_url.json, which says where it comes from, cannot be read\n";
    assert!(said.contains(reason), "{said}");
    assert!(before == tree(&living.env()), "something was touched");
    living.repaired();
}

/// As an interrupted `pip install -U` leaves them.
#[test]
fn of_two_versions_side_by_side_one_whole_one_stays() {
    let Some(living) = Living::new() else { return };
    let info = |version: &str| living.site().join(format!("p1-{version}.dist-info"));
    let copy = |from: &Path, to: &Path| {
        let words = [Path::new("-a"), from, to];
        living.scratch.run(Path::new("/bin/cp"), &words).ok();
    };
    living.install(&["p1==1.0"]);
    let aside = living.scratch.path("aside");
    copy(&info("1.0"), &aside);
    living.install(&["p1==2.0"]);
    let put_back = || copy(&aside, &info("1.0"));
    // The new one is whole.
    put_back();
    fs::write(living.site().join("p1/only_in_one.py"), "").unwrap();
    assert_eq!(living.state(), "damaged");
    living.repaired();
    assert!(!info("1.0").exists());
    assert!(info("2.0").exists());
    living.says("p1", "p1 2.0");
    // Neither is.
    put_back();
    edit(&living.site().join("p1/table.txt"));
    assert_eq!(living.state(), "damaged");
    living.repaired();
    assert!(!info("1.0").exists());
    living.says("p1", "p1 2.0");
}

#[test]
fn packages_of_uv_are_mended_and_stay_its_packages() {
    let (Some(living), Some(uv)) = (Living::new(), tool("uv")) else {
        return;
    };
    let index = living.index.to_str().unwrap();
    let words = [
        "pip",
        "install",
        "-q",
        "--offline",
        "--no-index",
        "--find-links",
        index,
    ];
    let words = [&words[..], &["-p", "E/bin/python", "p1==1.0"]].concat();
    living.scratch.run(&uv, &words).ok();
    delete(&living.site().join("p1_alone.py"));
    living.repaired();
    let installer = living.site().join("p1-1.0.dist-info/INSTALLER");
    assert_eq!(fs::read_to_string(installer).unwrap().trim(), "uv");
    living.says("p1", "p1 1.0");
    living.pip(&["uninstall", "-y", "p1"]);
    assert!(!living.site().join("p1").exists());
    assert_eq!(living.scratch.rvenv(&["verify", "E"]).code, Some(0));
}

#[test]
fn a_mended_package_that_cannot_be_imported_undoes_the_repair() {
    let Some(living) = Living::new() else { return };
    living.install(&["p1==1.0"]);
    delete(&living.site().join("p1/inner.py"));
    // A module of the user's own comes first, and fails.
    fs::write(
        living.site().join("p1_alone.pth"),
        "import sys; sys.modules['p1'] = None\n",
    )
    .unwrap();
    let before = living.essence();
    let index = living.index.to_str().unwrap();
    let ended = living.repair(&["--no-index", "--find-links", index]);
    let said = ended.failed(1);
    assert!(said.contains("p1"), "{said}");
    assert!(before == living.essence(), "the repair was not undone");
}

#[test]
fn what_pip_hid_and_left_is_named() {
    let Some(living) = Living::new() else { return };
    fs::create_dir(living.site().join("~ip")).unwrap();
    let said = living.repair(&[]).stderr;
    let minor = living.python.version.1;
    let line = format!("Left `lib/python3.{minor}/site-packages/~ip`: ");
    assert!(said.contains(&line), "{said}");
}
