//! `rvenv repair` of damaged distributions from the content store.
//!
//! Packages are laid out as an installer does, and no installer is started. Their bytes come into
//! the store when another environment is mended from a wheel. No network. Read next:
//! `repair_packages.rs`, distributions that take a wheel.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::machine::{Kind, Python, Scratch, any_python, tree};
use crate::packages::{lay_in, lay_with_wheel, packages_of};

/// An environment `E` with the package `p1`, of which the store has the bytes, and no wheel exists.
struct Stocked {
    scratch: Scratch,
    python: Python,
}

impl Stocked {
    fn new() -> Option<Self> {
        let stocked = Self {
            scratch: Scratch::new(),
            python: any_python()?,
        };
        let first = stocked.create("first");
        let wheels = stocked.scratch.path("wheels");
        lay_with_wheel(&stocked.python.path, &first, ("p1", &wheels));
        delete(&packages_of(&first).join("p1/inner.py"));
        stocked.scratch.rvenv(&["repair", "first"]).ok();
        delete(&wheels.join("p1-1.0-py3-none-any.whl"));
        lay_in(&stocked.python.path, &stocked.create("E"), &["p1"]);
        // Every installer lists the bytecode that it compiles, without a digest.
        let list = stocked.site().join("p1-1.0.dist-info/RECORD");
        let mut list = OpenOptions::new().append(true).open(list).unwrap();
        list.write_all(b"p1/__pycache__/inner.cpython-399.pyc,,\n")
            .unwrap();
        Some(stocked)
    }

    fn create(&self, name: &str) -> PathBuf {
        let python = self.python.path.to_str().unwrap();
        let words = ["create", "--without-pip", "-p", python, name];
        self.scratch.rvenv(&words).ok();
        self.scratch.path(name)
    }

    fn env(&self) -> PathBuf {
        self.scratch.path("E")
    }

    fn site(&self) -> PathBuf {
        packages_of(&self.env())
    }

    /// Everything except what rvenv keeps.
    fn content(&self) -> Vec<(String, Kind)> {
        let kept = tree(&self.env()).into_iter();
        let kept = kept.filter(|(path, _)| !path.starts_with(".rvenv"));
        kept.map(|(path, entry)| (path, entry.kind)).collect()
    }

    /// The objects of the store with the bytes of this text.
    fn objects(&self, text: &str) -> Vec<PathBuf> {
        let packs = fs::read_dir(self.scratch.cache().join("packs")).unwrap();
        let files = packs.flat_map(|pack| fs::read_dir(pack.unwrap().path().join("files")));
        let objects = files.flatten().map(|object| object.unwrap().path());
        let has_text = |path: &PathBuf| fs::read(path).is_ok_and(|bytes| bytes == text.as_bytes());
        objects.filter(has_text).collect()
    }

    /// Repairs without any source of wheels.
    #[track_caller]
    fn repaired(&self) {
        let ended = self.scratch.rvenv(&["repair", "E", "--no-index"]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let said = self.scratch.rvenv(&["verify", "E"]);
        assert_eq!(said.code, Some(0), "{}", said.stdout);
    }

    #[track_caller]
    fn refused(&self) -> String {
        let before = tree(&self.env());
        let python = self.python.path.to_str().unwrap();
        let said = self
            .scratch
            .rvenv(&["repair", "E", "--no-index", "-p", python]);
        let said = said.failed(3);
        assert!(before == tree(&self.env()), "something was touched");
        said
    }
}

fn delete(path: &Path) {
    fs::remove_file(path).unwrap();
}

fn edit(path: &Path) {
    let text = fs::read_to_string(path).unwrap();
    fs::write(path, format!("{text}# edited\n")).unwrap();
}

#[test]
fn damaged_files_come_from_the_store_and_every_other_file_stays() {
    let Some(stocked) = Stocked::new() else {
        return;
    };
    let good = stocked.content();
    let site = stocked.site();
    let script = fs::read(stocked.env().join("bin/p1")).unwrap();
    edit(&site.join("p1/inner.py"));
    delete(&site.join("p1_alone.py"));
    edit(&site.join("p1-1.0.dist-info/METADATA"));
    fs::write(stocked.env().join("share/p1.txt"), "").unwrap();
    stocked.repaired();
    assert!(good == stocked.content(), "the tree differs");
    assert_eq!(fs::read(stocked.env().join("bin/p1")).unwrap(), script);
    let said = stocked.scratch.run(&stocked.env().join("bin/p1"), &[""; 0]);
    assert_eq!(said.ok().trim(), "p1 1.0");
}

#[test]
fn a_directory_of_a_package_that_is_gone_comes_from_the_store() {
    let Some(stocked) = Stocked::new() else {
        return;
    };
    let good = stocked.content();
    fs::remove_dir_all(stocked.site().join("p1")).unwrap();
    stocked.repaired();
    assert!(good == stocked.content(), "the tree differs");
}

#[test]
fn a_dry_run_names_the_store_as_the_source() {
    let Some(stocked) = Stocked::new() else {
        return;
    };
    edit(&stocked.site().join("p1/inner.py"));
    let before = tree(&stocked.env());
    let words = ["repair", "E", "--no-index", "--dry-run"];
    let said = stocked.scratch.rvenv(&words).ok();
    assert!(said.contains("store\n"), "{said}");
    assert!(said.contains("site-packages/p1/inner.py"), "{said}");
    assert!(before == tree(&stocked.env()), "something was touched");
}

#[test]
fn a_damaged_file_that_the_store_does_not_have_takes_a_wheel() {
    let Some(stocked) = Stocked::new() else {
        return;
    };
    edit(&stocked.site().join("p1/inner.py"));
    // No wheel has the script that an installer wrote.
    edit(&stocked.env().join("bin/p1"));
    assert!(stocked.refused().contains("\n  p1 1.0: "));
}

#[test]
fn a_list_that_is_damaged_proves_nothing() {
    let Some(stocked) = Stocked::new() else {
        return;
    };
    edit(&stocked.site().join("p1/inner.py"));
    let list = stocked.site().join("p1-1.0.dist-info/RECORD");
    let rows = fs::read_to_string(&list).unwrap();
    fs::write(&list, format!("{rows}\"torn")).unwrap();
    assert!(stocked.refused().contains("\n  p1 1.0: "));
}

#[test]
fn an_object_with_other_bytes_is_not_used() {
    let Some(stocked) = Stocked::new() else {
        return;
    };
    let path = stocked.site().join("p1/table.txt");
    let text = fs::read_to_string(&path).unwrap();
    let objects = stocked.objects(&text);
    assert!(!objects.is_empty());
    for object in objects {
        // The same length and time, as an edit through a link may leave them.
        let was = fs::metadata(&object).unwrap().modified().unwrap();
        fs::write(&object, text.to_uppercase()).unwrap();
        let file = File::options().write(true).open(&object).unwrap();
        file.set_modified(was).unwrap();
    }
    delete(&path);
    assert!(stocked.refused().contains("\n  p1 1.0: "));
    edit(&stocked.site().join("p1/inner.py"));
    assert!(stocked.refused().contains("\n  p1 1.0: "));
}

/// As an interrupted `pip install -U` leaves them: no file of the other version stays.
#[test]
fn what_another_version_left_beside_it_goes() {
    let Some(stocked) = Stocked::new() else {
        return;
    };
    let good = stocked.content();
    let site = stocked.site();
    let other = site.join("p1-0.9.dist-info");
    fs::create_dir(&other).unwrap();
    let rows = "p1/inner.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n\
        p1/old.py,,\np1-0.9.dist-info/RECORD,,\n";
    fs::write(other.join("RECORD"), rows).unwrap();
    fs::write(site.join("p1/old.py"), "").unwrap();
    edit(&site.join("p1_alone.py"));
    stocked.repaired();
    assert!(good == stocked.content(), "the tree differs");
}

#[test]
fn what_another_installer_changes_later_is_no_damage() {
    let Some(stocked) = Stocked::new() else {
        return;
    };
    let site = stocked.site();
    fs::remove_dir_all(site.join("p1")).unwrap();
    stocked.repaired();
    let verify = || {
        let said = stocked.scratch.rvenv(&["verify", "E"]);
        assert_eq!(said.code, Some(0), "{}", said.stdout);
    };
    // Another version.
    fs::rename(site.join("p1/inner.py"), site.join("p1/other.py")).unwrap();
    let list = site.join("p1-1.0.dist-info/RECORD");
    let rows = fs::read_to_string(&list).unwrap();
    fs::write(&list, rows.replace("p1/inner.py", "p1/other.py")).unwrap();
    verify();
    // Uninstalled.
    for path in ["p1", "p1-1.0.dist-info"] {
        fs::remove_dir_all(site.join(path)).unwrap();
    }
    delete(&site.join("p1_alone.py"));
    delete(&stocked.env().join("share/p1.txt"));
    delete(&stocked.env().join("bin/p1"));
    verify();
}
