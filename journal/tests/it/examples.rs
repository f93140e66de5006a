//! The programs in `journal/examples/`, whose functions run here.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "these are tests, which work on a real disk"
)]

use std::fs;
use std::path::{Path, PathBuf};

use rvenv_journal::Fs;
use rvenv_journal::fs::real::RealFs;

#[expect(
    dead_code,
    reason = "an example has a main function, which tests do not call"
)]
#[path = "../../examples/checked.rs"]
mod checked;
#[expect(
    dead_code,
    reason = "an example has a main function, which tests do not call"
)]
#[path = "../../examples/shared.rs"]
mod shared;

/// A real directory for a test, if the path is one that a plan can have.
fn place() -> Option<(tempfile::TempDir, PathBuf)> {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().canonicalize().unwrap();
    path.to_str()?;
    Some((place, path))
}

fn settings(tree: &Path) -> Option<String> {
    fs::read_to_string(tree.join("settings")).ok()
}

/// I5: a publication that fails its check, and one that passed it, are taken back.
#[test]
fn settings_that_fail_their_check_are_taken_back() {
    let Some((_place, path)) = place() else {
        return;
    };
    let (disk, tree) = (RealFs::new(), path.join("tree"));
    fs::create_dir(&tree).unwrap();
    let refused = checked::back(&disk, &tree).unwrap_err();
    let advice = checked::advice(refused.as_ref());
    assert_eq!(advice, "nothing was replaced yet");
    assert!(checked::set(&disk, &tree, "depth=1").unwrap());
    assert!(!checked::set(&disk, &tree, "no settings").unwrap());
    assert_eq!(settings(&tree).unwrap(), "depth=1");
    assert!(checked::set(&disk, &tree, "depth=2").unwrap());
    checked::back(&disk, &tree).unwrap();
    assert_eq!(settings(&tree).unwrap(), "depth=1");
}

#[test]
fn a_status_names_generations_and_changes() {
    let Some((_place, path)) = place() else {
        return;
    };
    let (disk, tree) = (RealFs::new(), path.join("tree"));
    fs::create_dir(&tree).unwrap();
    checked::set(&disk, &tree, "depth=1").unwrap();
    checked::set(&disk, &tree, "depth=2").unwrap();
    fs::write(tree.join("settings"), "depth=3").unwrap();
    let lines = checked::status(&disk, &tree).unwrap();
    let expected = [
        "the next run begins with: Nothing",
        "generation 1 is kept",
        "generation 2 is kept",
        "settings: Content",
    ];
    assert_eq!(lines, expected);
    let absent = checked::status(&disk, &path.join("absent")).unwrap_err();
    assert_eq!(checked::advice(absent.as_ref()), "the disk refused");
}

#[test]
fn trees_from_one_store_have_the_same_files() {
    let Some((_place, path)) = place() else {
        return;
    };
    let (disk, store) = (RealFs::new(), path.join("store"));
    fs::create_dir(path.join("source")).unwrap();
    fs::write(path.join("source/one"), "1").unwrap();
    fs::write(path.join("source/two"), "2").unwrap();
    let at = disk.open_path(&path).unwrap();
    disk.make_dir(&at, "store".as_ref(), 0o700).unwrap();
    let files = shared::Files::read(&path.join("source")).unwrap();
    for tree in ["a", "b"] {
        let tree = path.join(tree);
        let count = shared::create(&disk, &store, &files, &tree).unwrap();
        assert_eq!(fs::read_to_string(tree.join("one")).unwrap(), "1");
        assert_eq!(fs::read_to_string(tree.join("two")).unwrap(), "2");
        // The store does not work on Windows, and then the bytes come from memory.
        if cfg!(unix) {
            assert_eq!(count, 2);
        }
    }
}
