//! What a lock of real packages installs: everything works, every tool lists the same, and pip
//! uninstalls each.
//!
//! Does not compare trees: `parity.rs` does.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::real::{Ground, Versions, extras, pythons, versions};

/// The paths of an environment, but for those that only rvenv needs.
fn paths(ground: &Ground) -> BTreeSet<PathBuf> {
    let env = ground.env();
    let mut found = BTreeSet::new();
    let mut open = vec![env.clone()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            }
            found.insert(entry.path().strip_prefix(&env).unwrap().to_owned());
        }
    }
    found.retain(|path| !path.starts_with(".rvenv"));
    found
}

/// The same without directories: pip leaves some of them behind, empty.
fn files(ground: &Ground) -> BTreeSet<PathBuf> {
    let mut found = paths(ground);
    found.retain(|path| !ground.env().join(path).is_dir() || path.is_symlink());
    found
}

/// The environment with all packages, made twice.
fn create(ground: &Ground) {
    ground.create(&["--without-pip"]).ok();
    let again = ground.create(&["--without-pip"]);
    assert!(again.stderr.contains("no changes"), "{again:?}");
    again.ok();
}

/// Checks that pip, uv and `verify` find what the lock names and nothing else.
fn lists_agree(ground: &Ground, locked: &Versions) {
    let json = ["--format", "json"];
    let by_pip = ground.pip(&[&["list"], &json[..]].concat()).ok();
    assert_eq!(versions(&by_pip), *locked);
    let python = ground.python_of_env();
    let list = ["pip", "list", "--python", &python];
    let by_uv = ground.uv(&[&list[..], &json].concat()).ok();
    assert_eq!(versions(&by_uv), *locked);
    let (lock, wheels) = (ground.given("pylock.toml"), ground.given("wheels"));
    let prove = ["verify", "E", "--exact", "--lock", &lock];
    let places = ["--wheelhouse", &wheels];
    let words = [&prove[..], &places, &extras()].concat();
    ground.rvenv(&words).ok();
}

#[test]
fn a_lock_of_real_packages_is_installed_works_and_can_be_uninstalled_on_each_python() {
    for python in pythons() {
        let ground = Ground::new(&python);
        ground.create_bare();
        let bare = (paths(&ground), files(&ground));
        fs::remove_dir_all(ground.env()).unwrap();
        create(&ground);
        let works = ground.check();
        let locked = ground.locked();
        lists_agree(&ground, &locked);

        for name in locked.keys() {
            let before = files(&ground);
            ground.pip(&["uninstall", "--yes", name]).ok();
            assert!(files(&ground).len() < before.len(), "{name}");
        }
        let after = files(&ground);
        let left: Vec<_> = after.difference(&bare.1).collect();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(after, bare.1);

        create(&ground);
        let names = locked.keys().map(String::as_str);
        let uninstall = ["uninstall", "--no-keep", "--env", "E"].into_iter();
        ground
            .rvenv(&uninstall.chain(names).collect::<Vec<_>>())
            .ok();
        let after = paths(&ground);
        let left: Vec<_> = after.difference(&bare.0).collect();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(after, bare.0);
        println!(
            "{}: distributions: {}, imports: {}, scripts: {}",
            python.path.display(),
            locked.len(),
            works.imports.len(),
            works.scripts.len()
        );
    }
}
