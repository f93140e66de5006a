//! What a lock of real packages installs: everything works, every tool lists the same, and pip
//! uninstalls each.
//!
//! Does not compare trees: `parity.rs` does.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::real::{Ground, extras, pythons, versions};

/// The paths of all files, but for those that only rvenv needs. pip leaves empty directories.
fn files(ground: &Ground) -> BTreeSet<PathBuf> {
    let env = ground.env();
    let mut found = BTreeSet::new();
    let mut open = vec![env.clone()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                found.insert(entry.path().strip_prefix(&env).unwrap().to_owned());
            }
        }
    }
    found.retain(|path| !path.starts_with(".rvenv"));
    found
}

#[test]
fn a_lock_of_real_packages_is_installed_works_and_can_be_uninstalled_on_each_python() {
    for python in pythons() {
        let ground = Ground::new(&python);
        ground.create_bare();
        let bare = files(&ground);
        fs::remove_dir_all(ground.env()).unwrap();
        ground.create(&["--without-pip"]).ok();
        let again = ground.create(&["--without-pip"]);
        assert!(again.stderr.contains("no changes"), "{again:?}");
        again.ok();
        let works = ground.check();
        let counted = (works.imports.len(), works.scripts.len());

        let locked = ground.locked();
        let by_pip = ground.pip(&["list", "--format", "json"]).ok();
        assert_eq!(versions(&by_pip), locked);
        let python_of_env = ground.python_of_env();
        let list = [
            "pip",
            "list",
            "--format",
            "json",
            "--python",
            &python_of_env,
        ];
        assert_eq!(versions(&ground.uv(&list).ok()), locked);
        let (lock, wheels) = (ground.given("pylock.toml"), ground.given("wheels"));
        let prove = [
            "verify",
            "E",
            "--exact",
            "--lock",
            &lock,
            "--wheelhouse",
            &wheels,
        ];
        ground.rvenv(&[&prove[..], &extras()].concat()).ok();

        for name in locked.keys() {
            let before = files(&ground);
            ground.pip(&["uninstall", "--yes", name]).ok();
            assert!(files(&ground).len() < before.len(), "{name}");
        }
        let by_pip = ground.pip(&["list", "--format", "json"]).ok();
        assert!(versions(&by_pip).is_empty(), "{by_pip}");
        let after = files(&ground);
        let left: Vec<_> = after.difference(&bare).collect();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(after, bare);
        let (imports, scripts, count) = (counted.0, counted.1, locked.len());
        println!(
            "{}: {count} distributions, {imports} imports, {scripts} scripts",
            python.path.display()
        );
    }
}
