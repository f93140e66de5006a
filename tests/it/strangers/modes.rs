//! Everything in the cache belongs to its user alone, and rvenv makes no cache in another user's
//! directory.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;

use crate::machine::{Scratch, any_python, ended, player, tree};
use crate::strangers::users::{STRANGER, at_home, dir_of, is_root, stranger_runs};

/// Whatever the umask; and the directories above the cache, which are made with it.
#[test]
fn all_of_the_cache_is_private_under_any_umask() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::cold();
    let home = scratch.path("home");
    fs::create_dir(&home).unwrap();
    for (umask, env) in [("000", "A"), ("002", "B"), ("077", "C")] {
        let cache = home.join(".cache/rvenv");
        let program = Path::new(env!("CARGO_BIN_EXE_rvenv"));
        let mut command = scratch.program(program, umask);
        command.env_remove("RVENV_CACHE_DIR").env("HOME", &home);
        let python = python.path.to_str().unwrap();
        command.args(["create", "--compile-bytecode", "-p", python, env]);
        ended(&mut command).ok();
        let mut kinds = 0;
        for (path, entry) in tree(&home.join(".cache")) {
            let is_object = path.contains("/files/");
            let is_dir = fs::metadata(home.join(".cache").join(&path))
                .unwrap()
                .is_dir();
            let right = if is_dir { 0o700 } else { 0o600 };
            assert!(is_object || entry.mode == right, "{path} {:o}", entry.mode);
            assert_eq!(entry.mode & 0o022 & !right, entry.mode & 0o022, "{path}");
            kinds += usize::from(is_dir);
        }
        assert!(kinds > 5, "{kinds}");
        fs::remove_dir_all(cache.parent().unwrap()).unwrap();
    }
}

/// As `sudo` with a preserved HOME.
#[test]
fn root_makes_nothing_in_the_home_of_another_user() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::cold();
    player(&scratch, "python3");
    let home = scratch.path("stranger");
    dir_of(&home, STRANGER, 0o755);
    let words = ["create", "--without-pip", "-v", "-p", "./python3", "A"];
    let made = ended(&mut at_home(&scratch, &home, &words));
    let said = made.stderr.clone();
    made.ok();
    let why = format!(
        "no cache is used: `{}` belongs to user {STRANGER}",
        home.display()
    );
    assert!(said.contains(&why), "{said}");
    assert_eq!(fs::read_dir(&home).unwrap().count(), 0);
    let words = ["create", "--without-pip", "-p", "./python3", "B"];
    let made = ended(&mut at_home(&scratch, &home, &words));
    assert!(!made.stderr.contains("cache"), "{}", made.stderr);
    made.ok();
    assert_eq!(fs::read_dir(&home).unwrap().count(), 0);
}

/// The target of the link belongs to root; the directory of the link does not.
#[test]
fn root_follows_no_link_of_another_user_to_a_cache() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::cold();
    player(&scratch, "python3");
    let [home, elsewhere] = ["home", "elsewhere"].map(|name| scratch.path(name));
    dir_of(&home, 0, 0o755);
    dir_of(&elsewhere, 0, 0o755);
    let link = home.join(".cache");
    symlink(&elsewhere, &link).unwrap();
    std::os::unix::fs::lchown(&link, Some(STRANGER), Some(STRANGER)).unwrap();
    let words = ["create", "--without-pip", "-v", "-p", "./python3", "A"];
    let made = ended(&mut at_home(&scratch, &home, &words));
    assert!(made.stderr.contains("no cache is used"), "{}", made.stderr);
    made.ok();
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}

/// A cache that root once made there is under the control of the owner of the directory above it.
#[test]
fn root_uses_no_cache_of_its_own_in_the_home_of_another_user() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::cold();
    player(&scratch, "python3");
    let home = scratch.path("home");
    dir_of(&home, 0, 0o755);
    let words = ["create", "--without-pip", "-p", "./python3", "A"];
    ended(&mut at_home(&scratch, &home, &words)).ok();
    let before = tree(&home);
    assert!(before.len() > 3);
    chown(&home, Some(STRANGER), Some(STRANGER)).unwrap();
    let words = ["create", "--without-pip", "-v", "-p", "./python3", "B"];
    let made = ended(&mut at_home(&scratch, &home, &words));
    assert!(made.stderr.contains("no cache is used"), "{}", made.stderr);
    made.ok();
    assert!(before == tree(&home));
    assert_eq!(fs::metadata(home.join(".cache")).unwrap().uid(), 0);
}

/// What the user closed to others stays closed, whatever the umask is now; nothing else changes.
#[test]
fn a_file_that_is_replaced_stays_as_private_as_it_was() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::cold();
    let python = python.path.to_str().unwrap();
    scratch.rvenv(&["create", "-p", python, "E"]).ok();
    let lib = scratch.path("E/lib");
    let init = tree(&lib)
        .into_keys()
        .find(|path| path.ends_with("/pip/__init__.py"))
        .unwrap();
    let module = lib.join(init);
    let private = [
        scratch.path("E/pyvenv.cfg"),
        scratch.path("E/bin/activate"),
        module,
    ];
    for path in &private {
        fs::write(path, "# shorter\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let program = scratch.path("E/bin/pip");
    fs::write(&program, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o740)).unwrap();
    scratch.rvenv(&["create", "-p", python, "E"]).ok();
    for path in &private {
        let found = fs::metadata(path).unwrap();
        assert!(found.len() > 20, "{} is not replaced", path.display());
        assert_eq!(found.mode() & 0o7777, 0o600, "{}", path.display());
    }
    assert_eq!(fs::metadata(&program).unwrap().mode() & 0o7777, 0o750);
    let again = scratch.rvenv(&["create", "-p", python, "E"]);
    assert!(again.stderr.contains("no changes"), "{again:?}");
    scratch.rvenv(&["verify", "E"]).ok();
}

/// A replaced program with a set-id bit, which must not be run any more, is out of reach for all
/// users.
#[test]
fn a_kept_generation_lends_no_user_its_programs() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::cold();
    let python = python.path.to_str().unwrap();
    let create = ["create", "--without-pip", "-p", python, "E"];
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    let set_id = |path: &Path| {
        // Not the store's own inode.
        let _absent = fs::remove_file(path);
        fs::write(path, "#!/bin/sh\nid -u\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o6755)).unwrap();
    };
    scratch.rvenv(&create).ok();

    // Entries: the script is replaced by its own.
    set_id(&scratch.path("E/bin/activate"));
    scratch.rvenv(&[&create[..], &["--keep"]].concat()).ok();
    let kept = scratch.path("E/.rvenv/old-1");
    assert_eq!(mode(&kept) & 0o077, 0);
    let files = tree(&kept);
    let modes: Vec<u32> = files.values().map(|entry| entry.mode).collect();
    assert!(modes.contains(&0o755), "{modes:?}");
    assert!(modes.iter().all(|mode| mode & 0o6000 == 0), "{modes:?}");

    // A whole tree, which comes back as it was, also after an attempt that failed.
    let program = scratch.path("E/bin/mine");
    set_id(&program);
    scratch
        .rvenv(&[&create[..], &["--clear", "--keep"]].concat())
        .ok();
    let kept = scratch.path(".E.rvenv.old-2");
    assert_eq!(mode(&kept), 0o700);
    if is_root() {
        let mine = kept.join("bin/mine");
        stranger_runs(&format!("! test -e '{}'", mine.display()));
    }
    scratch
        .rvenv(&["rollback", "--check", "false", "E"])
        .failed(1);
    assert_eq!(mode(&kept), 0o700);
    assert_eq!(mode(&scratch.path("E")), 0o755);
    scratch.rvenv(&["rollback", "E"]).ok();
    assert_eq!(mode(&scratch.path("E")), 0o755);
    assert_eq!(mode(&program), 0o6755);
    assert_eq!(mode(&kept), 0o700);
}
