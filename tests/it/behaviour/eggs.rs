//! Eggs, which are installed without a `RECORD`: what `verify` finds of a damaged one, and that
//! `repair` refuses it.
//!
//! They are laid out as pip did before it had wheels for everything. Read next:
//! `repair_packages.rs`, distributions with a `RECORD`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::machine::{Scratch, any_python, tree};
use crate::packages::packages_of;

/// Damages an egg.
type Damage = fn(&Path);

/// What can happen to the files of an egg, each with what `verify` says.
const DAMAGES: [(Damage, &str); 5] = [
    (|site| delete(&site.join("old.py")), "old.py` is missing"),
    (
        |site| nul(&site.join("old.py")),
        "old.py` is filled with NUL bytes",
    ),
    (
        |site| delete(&site.join("old-1.0.egg-info/PKG-INFO")),
        "PKG-INFO` is missing",
    ),
    (
        |site| nul(&site.join("old-1.0.egg-info/PKG-INFO")),
        "PKG-INFO` is filled with NUL bytes",
    ),
    (
        |site| nul(&site.join("old-1.0.egg-info/installed-files.txt")),
        "installed-files.txt` is filled with NUL bytes",
    ),
];

fn delete(path: &Path) {
    fs::remove_file(path).unwrap();
}

/// As a power cut leaves a file.
fn nul(path: &Path) {
    fs::write(path, [0; 30]).unwrap();
}

/// An environment `E` with an egg and a script of it; its directory of packages.
fn with_egg(scratch: &Scratch) -> Option<PathBuf> {
    let python = any_python()?;
    let python = python.path.to_str().unwrap();
    let words = ["create", "E", "--without-pip", "-p", python];
    scratch.rvenv(&words).ok();
    let site = packages_of(&scratch.path("E"));
    let egg = site.join("old-1.0.egg-info");
    fs::create_dir(&egg).unwrap();
    fs::write(egg.join("PKG-INFO"), "Metadata-Version: 1.1\nName: old\n").unwrap();
    fs::write(egg.join("dependency_links.txt"), "\n").unwrap();
    let files = "../../../../bin/old\n../__pycache__/old.cpython-39.pyc\n../old.py\n../old.pyc\n\
                 PKG-INFO\ndependency_links.txt\n";
    fs::write(egg.join("installed-files.txt"), files).unwrap();
    fs::write(site.join("old.py"), "old = 1\n").unwrap();
    fs::write(scratch.path("E/bin/old"), "#!/bin/sh\n").unwrap();
    Some(site)
}

#[test]
fn a_whole_egg_is_no_damage_and_its_files_are_its_own() {
    let scratch = Scratch::in_memory();
    let Some(_site) = with_egg(&scratch) else {
        return;
    };
    let said = scratch.rvenv(&["verify", "E"]).ok();
    assert!(said.contains("foreign: 0 paths"), "{said}");
    let said = scratch.rvenv(&["repair", "E"]);
    assert!(said.stderr.contains("no changes"), "{}", said.stderr);
}

#[test]
fn a_damaged_egg_is_named_with_the_command_that_mends_it() {
    for (damage, detail) in DAMAGES {
        let scratch = Scratch::in_memory();
        let Some(site) = with_egg(&scratch) else {
            return;
        };
        damage(&site);
        let said = scratch.rvenv(&["verify", "E"]);
        assert_eq!(said.code, Some(4), "{}", said.stdout);
        assert!(said.stdout.contains(detail), "{}", said.stdout);
        let before = tree(&scratch.path("E"));
        let said = scratch.rvenv(&["repair", "E"]).failed(3);
        let reason = "\n  old 1.0: it is an egg, which has no RECORD of its files\n";
        assert!(said.contains(reason), "{said}");
        let command = "/E/bin/python -m pip install --force-reinstall --no-deps 'old==1.0'`";
        assert!(said.contains(command), "{said}");
        // No wheel would help.
        assert!(!said.contains("--find-links"), "{said}");
        assert!(before == tree(&scratch.path("E")), "something was touched");
    }
}
