//! `rvenv repair`: every kind of damage to what was published is undone, and nothing else is
//! touched.
//!
//! After each repair the tree is as before the damage, `verify` agrees, and a second repair finds
//! nothing to do. Read next: `verify.rs`, which names the same kinds of damage.

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::machine::{Kind, Scratch, any_python, player, tree};

/// An interpreter outside the directory that the environments are in: a repair starts it because
/// they name it.
fn outside(scratch: &Scratch) -> PathBuf {
    let path = scratch.cache().with_file_name("python");
    player(scratch, path.to_str().unwrap())
}

/// What is restored of every path: kind, bytes or link target, and mode.
fn essence(env: &Path) -> BTreeMap<String, (Kind, u32)> {
    let entries = tree(env).into_iter();
    let kept = entries.filter(|(path, _)| !path.starts_with(".rvenv"));
    kept.map(|(path, entry)| (path, (entry.kind, entry.mode)))
        .collect()
}

/// Damages a path below the environment.
type Damage = fn(&Path);

fn remove(path: &Path) {
    if path.is_dir() && !path.is_symlink() {
        fs::remove_dir_all(path).unwrap();
    } else {
        fs::remove_file(path).unwrap();
    }
}

fn empty(path: &Path) {
    File::create(path).unwrap();
}

/// As a power cut leaves a file: as long and as old as it was.
fn nul(path: &Path) {
    let meta = fs::metadata(path).unwrap();
    let len = usize::try_from(meta.len()).unwrap();
    let mut file = File::options().write(true).open(path).unwrap();
    file.write_all(&vec![0; len]).unwrap();
    let times = FileTimes::new().set_modified(meta.modified().unwrap());
    file.set_times(times).unwrap();
}

fn edit(path: &Path) {
    let mut file = File::options().append(true).open(path).unwrap();
    file.write_all(b"# edited\n").unwrap();
}

fn close(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn lead_away(path: &Path) {
    fs::remove_file(path).unwrap();
    symlink("/nowhere", path).unwrap();
}

fn become_file(path: &Path) {
    fs::remove_file(path).unwrap();
    fs::write(path, "a file").unwrap();
}

/// Creates `E` and gives it.
fn create(scratch: &Scratch, python: &Path, flags: &[&str]) -> PathBuf {
    let words = ["create", "E", "--python", python.to_str().unwrap()];
    scratch.rvenv(&[&words, flags].concat()).ok();
    scratch.path("E")
}

/// Damages paths of an environment one after the other, and has each repaired.
fn check(scratch: &Scratch, cases: &[(&str, Damage)]) {
    let env = scratch.path("E");
    fs::write(env.join("notes"), "mine").unwrap();
    let good = essence(&env);
    for (path, damage) in cases {
        damage(&env.join(path));
        scratch.rvenv(&["verify", "E"]).failed(4);
        let damaged = tree(&env);
        scratch.rvenv(&["repair", "E", "--dry-run"]).ok();
        assert!(damaged == tree(&env), "{path}: a dry run wrote");
        let ended = scratch.rvenv(&["repair", "E"]);
        assert_eq!(ended.code, Some(0), "{path}: {}", ended.stderr);
        assert!(essence(&env) == good, "{path} is not what it was");
        scratch.rvenv(&["verify", "E"]).ok();
        let sight = tree(&env);
        let again = scratch.rvenv(&["repair", "E"]);
        assert!(again.stderr.contains("no changes"), "{path}: {again:?}");
        assert!(sight == tree(&env), "{path}: the second repair wrote");
        // Only what was damaged was touched.
        let others = damaged.iter().filter(|(other, entry)| {
            let below = other.starts_with(path) || other.starts_with(".rvenv");
            !below && entry.kind != Kind::Dir
        });
        for (other, entry) in others {
            assert_eq!(sight[other], *entry, "{path}: {other} was touched");
        }
    }
}

#[test]
fn every_damage_to_what_rvenv_writes_itself_is_undone() {
    let scratch = Scratch::new();
    let python = outside(&scratch);
    let flags = [
        "--without-pip",
        "--prompt",
        "it's mine",
        "--system-site-packages",
    ];
    create(&scratch, &python, &flags);
    check(
        &scratch,
        &[
            ("bin/activate", remove),
            ("bin/activate", empty),
            ("bin/activate", nul),
            ("bin/activate", edit),
            ("bin/activate", close),
            ("bin/activate", lead_away),
            ("bin/python", remove),
            ("bin/python", lead_away),
            ("bin/python3", become_file),
            ("bin", remove),
            ("lib64", remove),
            ("lib64", become_file),
            ("lib", remove),
            ("include", remove),
            ("pyvenv.cfg", edit),
            ("pyvenv.cfg", close),
        ],
    );
}

#[test]
fn a_lost_configuration_comes_back_from_what_the_receipt_knows() {
    let scratch = Scratch::new();
    let python = outside(&scratch);
    for flags in [
        &["--without-pip"][..],
        &[
            "--without-pip",
            "--system-site-packages",
            "--without-scm-ignore-files",
        ],
    ] {
        create(&scratch, &python, flags);
        let damages: [(&str, Damage); 3] = [
            ("pyvenv.cfg", remove),
            ("pyvenv.cfg", empty),
            ("pyvenv.cfg", nul),
        ];
        check(&scratch, &damages);
        fs::remove_dir_all(scratch.path("E")).unwrap();
    }
    // No receipt contains the prompt: rather than guess, the repair refuses.
    let env = create(&scratch, &python, &["--without-pip", "--prompt", "mine"]);
    remove(&env.join("pyvenv.cfg"));
    let before = tree(&env);
    let said = scratch.rvenv(&["repair", "E"]).failed(1);
    assert!(said.contains("the options that it was made with"), "{said}");
    assert!(before == tree(&env), "something was touched");
    create(&scratch, &python, &["--without-pip", "--prompt", "mine"]);
    scratch.rvenv(&["verify", "E"]).ok();
}

#[test]
fn files_of_pip_and_a_copied_interpreter_come_back() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::new();
    create(&scratch, &python.path, &["--copies"]);
    let (major, minor) = python.version;
    let site = format!("lib/python{major}.{minor}/site-packages");
    let [init, vendor, all] =
        ["pip/__init__.py", "pip/_vendor", "pip"].map(|name| format!("{site}/{name}"));
    check(
        &scratch,
        &[
            (&init, remove),
            (&init, nul),
            (&init, edit),
            (&vendor, remove),
            (&all, remove),
            ("bin/pip", edit),
            ("bin/python", empty),
            ("bin/python3", remove),
        ],
    );
    scratch.run(&scratch.path("E/bin/pip"), &["--version"]).ok();
}

/// Two environments share the objects of the store; an edit through one of them is in both.
#[test]
fn an_edit_through_a_hard_link_is_undone_in_each_environment() {
    let Some(python) = any_python() else { return };
    for damage in [edit as Damage, nul] {
        let scratch = Scratch::new();
        let flags = ["--link-mode", "hardlink"];
        let env = create(&scratch, &python.path, &flags);
        let words = ["create", "F", "--python", python.path.to_str().unwrap()];
        scratch.rvenv(&[&words[..], &flags].concat()).ok();
        let good = essence(&env);
        let (major, minor) = python.version;
        let init = format!("lib/python{major}.{minor}/site-packages/pip/__init__.py");
        let inode = |name: &str| fs::metadata(scratch.path(name).join(&init)).unwrap().ino();
        if inode("E") != inode("F") {
            println!("skipped: the store does not link here");
            return;
        }
        damage(&env.join(&init));
        for name in ["E", "F"] {
            scratch.rvenv(&["verify", name]).failed(4);
            scratch.rvenv(&["repair", name]).ok();
            scratch.rvenv(&["verify", name]).ok();
            let repaired = essence(&scratch.path(name));
            assert_eq!(repaired[&init], good[&init], "{name}");
        }
        // A new environment does not get the damaged file, either.
        let words = ["create", "G", "--python", python.path.to_str().unwrap()];
        scratch.rvenv(&words).ok();
        scratch.rvenv(&["verify", "G"]).ok();
    }
}

#[test]
fn with_a_damaged_receipt_nothing_is_repaired() {
    let scratch = Scratch::new();
    let python = outside(&scratch);
    let env = create(&scratch, &python, &["--without-pip"]);
    let receipt = env.join(".rvenv/receipt.json");
    for damage in [edit as Damage, empty] {
        damage(&receipt);
        let before = essence(&env);
        let said = scratch.rvenv(&["repair", "E"]).failed(3);
        assert!(said.contains("has no readable receipt"), "{said}");
        assert!(said.contains("rvenv upgrade"), "{said}");
        assert!(before == essence(&env), "something was touched");
    }
    let said = scratch.rvenv(&["repair", "F"]).failed(3);
    assert!(said.contains("there is no environment at"), "{said}");
    // Without any it is an environment like those of other tools.
    remove(&receipt);
    let before = essence(&env);
    let ended = scratch.rvenv(&["repair", "E"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stderr, "Nothing in `E` is damaged: no changes\n");
    assert!(before == essence(&env), "something was touched");
}

#[test]
fn what_an_edit_replaced_can_be_kept_and_had_back() {
    let scratch = Scratch::new();
    let python = outside(&scratch);
    let env = create(&scratch, &python, &["--without-pip"]);
    let activate = env.join("bin/activate");
    let good = fs::read(&activate).unwrap();
    edit(&activate);
    let edited = fs::read(&activate).unwrap();
    let said = scratch.rvenv(&["repair", "E"]);
    assert!(said.stderr.contains("as generation 1"), "{}", said.stderr);
    assert_eq!(fs::read(&activate).unwrap(), good);
    scratch.rvenv(&["rollback", "E"]).ok();
    assert_eq!(fs::read(&activate).unwrap(), edited);

    // The published ones are named where a rename cannot help.
    let bin = env.join("bin");
    fs::set_permissions(&bin, fs::Permissions::from_mode(0o700)).unwrap();
    let said = scratch.rvenv(&["repair", "E"]).failed(1);
    assert!(said.contains("bin (published with 0755)"), "{said}");
    assert!(said.contains("chmod"), "{said}");
}
