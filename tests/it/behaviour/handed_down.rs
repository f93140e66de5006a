//! What a directory passes on to an environment in it: its group, its setgid bit, its default ACL.
//!
//! The tests compare each object with one that `mkdir` and a shell's `>` make at the same place, so
//! they do not repeat the rules. Groups need root, ACLs need `setfacl` and a filesystem that
//! supports them; otherwise a test is skipped with the reason.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::lgetxattr;

use crate::machine::{Ended, ended, tree, twins};
use crate::mounts::has;
use crate::sandbox::{OTHER_USER, Sandbox, sandbox, sandbox_for_all, sandbox_of};

/// A group that no test runs in.
const GROUP: u32 = 54321;
/// An ACL by which a user and all others may write, which no umask would leave.
const ACL: &str = "u:54321:rwx,g::rwx,o::r-x";

/// One entry of an ACL: tag, permissions, id.
type Grant = (u16, u16, u32);

/// What an object inherits from its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Share {
    group: u32,
    is_setgid: bool,
    acl: Vec<Grant>,
    default_acl: Vec<Grant>,
}

impl Share {
    fn of(path: &Path) -> Self {
        let meta = fs::symlink_metadata(path).unwrap();
        Self {
            group: meta.gid(),
            is_setgid: meta.mode() & 0o2000 != 0,
            acl: acl(path, "system.posix_acl_access"),
            default_acl: acl(path, "system.posix_acl_default"),
        }
    }

    /// Without the permission to execute, which `>` does not give to files.
    fn of_data(mut self) -> Self {
        for grant in &mut self.acl {
            grant.1 &= !1;
        }
        self
    }
}

/// The entries of an ACL; none where there is none.
fn acl(path: &Path, name: &str) -> Vec<Grant> {
    let mut bytes = vec![0_u8; 1024];
    let Ok(len) = lgetxattr(path, name, &mut bytes[..]) else {
        return Vec::new();
    };
    let entries = bytes[4..len].chunks_exact(8);
    let entry = |entry: &[u8]| {
        let number = |at: usize| u16::from_le_bytes([entry[at], entry[at + 1]]);
        let id = u32::from_le_bytes(entry[4..8].try_into().unwrap());
        (number(0), number(2), id)
    };
    entries.map(entry).collect()
}

/// Gives a directory another group and the setgid bit; `false`, with the reason printed, where that
/// cannot be done.
fn make_setgid(dir: &Path) -> bool {
    if let Err(error) = chown(dir, None, Some(GROUP)) {
        println!("skipped: no other group can be given: {error}");
        return false;
    }
    run("chmod", &["g+s", dir.to_str().unwrap()])
}

/// Gives a directory a default ACL; `false`, with the reason printed, where that cannot be done.
fn give_acl(dir: &Path) -> bool {
    has("setfacl") && run("setfacl", &["-d", "-m", ACL, dir.to_str().unwrap()])
}

fn run(tool: &str, words: &[&str]) -> bool {
    let output = Command::new(tool).args(words).output().unwrap();
    if !output.status.success() {
        println!(
            "skipped: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    output.status.success()
}

/// A directory of the sandbox that passes something on.
type Giver = fn(&Path) -> bool;
const GIVERS: [(&str, Giver); 2] = [("setgid", make_setgid), ("acl", give_acl)];

/// A new directory of the sandbox.
fn dir(sandbox: &Sandbox, name: &str) -> PathBuf {
    let dir = sandbox.path(name);
    fs::create_dir(&dir).unwrap();
    dir
}

/// Checks that each object below `env`, and `env` itself if it is new, is as plain tools would make
/// it in `at`.
#[track_caller]
fn check(at: &Path, env: &Path, is_root_new: bool) {
    let plain = |what: &str, command: &str| {
        let made = at.join(format!("plain-{what}"));
        let line = format!("umask 022 && {command} '{}'", made.display());
        ended(Command::new("sh").args(["-c", &line])).ok();
        let share = Share::of(&made);
        let _gone = fs::remove_file(&made).or_else(|_| fs::remove_dir(&made));
        share
    };
    let (plain_dir, plain_file) = (plain("dir", "mkdir"), plain("file", ": >"));
    let mut found = Vec::new();
    let mut count = 0;
    for path in tree(env).into_keys() {
        // A kept generation is only for rollback.
        if path.contains("/old-") {
            continue;
        }
        let below = env.join(&path);
        let meta = fs::symlink_metadata(&below).unwrap();
        let share = Share::of(&below);
        let (share, expected) = if meta.is_dir() {
            (share, plain_dir.clone())
        } else if meta.is_file() {
            (share.of_data(), plain_file.clone().of_data())
        } else {
            // A link has a group, and nothing else.
            let group = plain_file.group;
            let (acl, default_acl) = (Vec::new(), Vec::new());
            (
                share,
                Share {
                    group,
                    is_setgid: false,
                    acl,
                    default_acl,
                },
            )
        };
        count += 1;
        if share != expected && (is_root_new || !path.is_empty()) {
            found.push(format!("`{path}`: {share:?} and not {expected:?}"));
        }
    }
    let first: Vec<_> = found.iter().take(8).collect();
    assert!(found.is_empty(), "{} of {count}: {first:#?}", found.len());
    assert!(count > 10, "{count} objects");
}

/// `verify` finds nothing, and the same `create` has nothing to do.
#[track_caller]
fn is_settled(sandbox: &Sandbox, env: &Path, flags: &[&str]) {
    sandbox
        .scratch
        .rvenv(&["verify", env.to_str().unwrap()])
        .ok();
    let again = create(sandbox, env, flags);
    again.clone().ok();
    assert!(again.stderr.contains("no changes"), "{}", again.stderr);
}

/// `rvenv create FLAGS ENV`, with pip.
fn create(sandbox: &Sandbox, env: &Path, flags: &[&str]) -> Ended {
    let words = ["create", "-p", sandbox.path_of_python(), "--prompt", "P"];
    let env = env.to_str().unwrap();
    sandbox.scratch.rvenv(&[&words, flags, &[env]].concat())
}

/// Fills the cache, so that there is something to link.
fn warm(sandbox: &Sandbox) {
    let env = sandbox.path("warm");
    create(sandbox, &env, &[]).ok();
    fs::remove_dir_all(env).unwrap();
}

#[test]
fn an_environment_has_what_its_parent_hands_down_linked_or_copied() {
    let Some(sandbox) = sandbox().map(Sandbox::cold) else {
        return;
    };
    warm(&sandbox);
    for (name, give) in GIVERS {
        let parent = dir(&sandbox, name);
        if !give(&parent) {
            continue;
        }
        for flags in [
            &[][..],
            &["--link-mode", "copy"],
            &["--link-mode", "hardlink"],
        ] {
            let env = parent.join("E");
            create(&sandbox, &env, flags).ok();
            check(&parent, &env, true);
            is_settled(&sandbox, &env, flags);
            fs::remove_dir_all(env).unwrap();
        }
        let env = parent.join("above/it/E");
        create(&sandbox, &env, &[]).ok();
        check(&parent, &env, true);
        let plain = fs::symlink_metadata(&env).unwrap().mode();
        for above in ["above", "above/it"] {
            let made = fs::symlink_metadata(parent.join(above)).unwrap();
            assert_eq!(made.mode(), plain, "{name}: {above}");
            assert_eq!(
                Share::of(&parent.join(above)),
                Share::of(&env),
                "{name}: {above}"
            );
        }
    }
}

#[test]
fn a_copied_interpreter_and_the_activation_scripts_have_it_too() {
    let Some(sandbox) = sandbox().map(Sandbox::cold) else {
        return;
    };
    for (name, give) in GIVERS {
        let parent = dir(&sandbox, name);
        if !give(&parent) {
            continue;
        }
        let env = parent.join("E");
        let flags = ["--copies", "--without-pip"];
        create(&sandbox, &env, &flags).ok();
        let interpreter = env.join("bin/python");
        assert!(fs::symlink_metadata(&interpreter).unwrap().is_file());
        assert_eq!(fs::metadata(&interpreter).unwrap().mode() & 0o111, 0o111);
        check(&parent, &env, true);
        sandbox.works(env.to_str().unwrap());
        is_settled(&sandbox, &env, &flags);
    }
}

/// A hard link would have the group or the ACL of the cache.
#[test]
fn what_a_link_could_not_have_is_copied_and_said_with_v() {
    let Some(sandbox) = sandbox().map(Sandbox::cold) else {
        return;
    };
    warm(&sandbox);
    let flags = ["-v", "--link-mode", "hardlink"];
    let said = |env: &Path| {
        let ended = create(&sandbox, env, &flags);
        ended.clone().ok();
        ended.stderr
    };
    let plain = said(&sandbox.path("plain"));
    assert!(!plain.contains(" 0 files linked"), "{plain}");
    assert!(!plain.contains("not linked"), "{plain}");
    let group = dir(&sandbox, "setgid");
    if make_setgid(&group) {
        let said = said(&group.join("E"));
        assert!(said.contains("0 files linked"), "{said}");
        let why = "not linked: a link would have another group than its directory gives";
        assert!(said.contains(why), "{said}");
    }
    let shared = dir(&sandbox, "acl");
    if give_acl(&shared) {
        let said = said(&shared.join("E"));
        assert!(said.contains("0 files linked"), "{said}");
        let why = "not linked: a link would have another ACL than its directory gives";
        assert!(said.contains(why), "{said}");
    }
    // The same group as the files of the cache have.
    let own = dir(&sandbox, "own");
    assert!(run("chmod", &["2755", own.to_str().unwrap()]));
    let said = said(&own.join("E"));
    assert!(!said.contains(" 0 files linked"), "{said}");
    check(&own, &own.join("E"), true);
}

/// An ACL of the cache does not apply to an environment elsewhere.
#[test]
fn the_acl_of_the_cache_stays_in_the_cache() {
    let Some(sandbox) = sandbox().map(Sandbox::cold) else {
        return;
    };
    if !give_acl(&sandbox.scratch.cache()) {
        return;
    }
    warm(&sandbox);
    for flags in [&[][..], &["--link-mode", "hardlink"]] {
        let env = sandbox.path("E");
        create(&sandbox, &env, flags).ok();
        check(&sandbox.path(""), &env, true);
        fs::remove_dir_all(env).unwrap();
    }
}

#[test]
fn clearing_keeps_group_setgid_bit_mode_and_acl_of_the_root_and_hands_them_down() {
    let Some(sandbox) = sandbox().map(Sandbox::cold) else {
        return;
    };
    warm(&sandbox);
    for (name, give) in GIVERS {
        let env = sandbox.path(name);
        create(&sandbox, &env, &[]).ok();
        if !give(&env) {
            continue;
        }
        assert!(run("chmod", &["o-x", env.to_str().unwrap()]));
        let (before, mode) = (Share::of(&env), fs::metadata(&env).unwrap().mode());
        create(&sandbox, &env, &["--clear"]).ok();
        assert_eq!(Share::of(&env), before, "{name}");
        assert_eq!(fs::metadata(&env).unwrap().mode(), mode, "{name}");
        check(&env, &env, false);
        is_settled(&sandbox, &env, &[]);
    }
}

/// An environment keeps attributes that were set after its creation, whatever its parent passes on.
#[test]
fn clearing_keeps_that_the_root_has_less_than_its_parent_gives() {
    let Some(sandbox) = sandbox().map(Sandbox::cold) else {
        return;
    };
    warm(&sandbox);
    for (name, give) in GIVERS {
        let parent = dir(&sandbox, name);
        let env = parent.join("E");
        create(&sandbox, &env, &[]).ok();
        if !give(&parent) {
            continue;
        }
        let before = Share::of(&env);
        create(&sandbox, &env, &["--clear"]).ok();
        assert_eq!(Share::of(&env), before, "{name}");
        check(&env, &env, false);
        is_settled(&sandbox, &env, &[]);
    }
}

#[test]
fn in_an_existing_directory_everything_has_what_that_hands_down() {
    let Some(sandbox) = sandbox().map(Sandbox::cold) else {
        return;
    };
    warm(&sandbox);
    for (name, give) in GIVERS {
        let env = dir(&sandbox, name);
        if !give(&env) {
            continue;
        }
        fs::write(env.join("mine"), "mine\n").unwrap();
        let (before, mode) = (Share::of(&env), fs::metadata(&env).unwrap().mode());
        create(&sandbox, &env, &[]).ok();
        assert_eq!(Share::of(&env), before, "{name}");
        assert_eq!(fs::metadata(&env).unwrap().mode(), mode, "{name}");
        check(&env, &env, false);
        is_settled(&sandbox, &env, &[]);
    }
}

/// An entry from the stage looks as if it had been made at its destination.
#[test]
fn what_is_repaired_has_what_the_directory_above_it_hands_down() {
    let Some(sandbox) = sandbox().map(Sandbox::cold) else {
        return;
    };
    warm(&sandbox);
    for (name, give) in GIVERS {
        let env = sandbox.path(name);
        create(&sandbox, &env, &[]).ok();
        let packages = sandbox.path(&sandbox.site_packages(name));
        if !give(&packages) {
            continue;
        }
        fs::remove_dir_all(packages.join("pip")).unwrap();
        fs::remove_file(env.join("bin/pip")).unwrap();
        sandbox
            .scratch
            .rvenv(&["repair", env.to_str().unwrap()])
            .ok();
        let share = |path: &str| Share::of(&packages.join(path));
        let outside = Share::of(&env.join("bin/pip3"));
        assert_eq!(Share::of(&env.join("bin/pip")), outside, "{name}");
        if name == "setgid" {
            check(&packages, &packages.join("pip"), true);
        } else {
            assert_eq!(share("pip").default_acl, Share::of(&packages).default_acl);
            let is_given = |grant: &Grant| grant.2 == GROUP;
            assert!(share("pip").acl.iter().any(is_given));
            assert!(share("pip/__init__.py").acl.iter().any(is_given));
        }
        sandbox
            .scratch
            .rvenv(&["verify", env.to_str().unwrap()])
            .ok();
        is_settled(&sandbox, &env, &[]);
    }
}

#[test]
fn an_upgrade_and_the_way_back_keep_what_is_handed_down() {
    let Some([old, new]) = twins() else { return };
    for (name, give) in GIVERS {
        let before = sandbox_of(old.clone()).cold();
        let parent = dir(&before, name);
        if !give(&parent) {
            continue;
        }
        let env = parent.join("E");
        let path = env.to_str().unwrap();
        create(&before, &env, &[]).ok();
        let scratch = before.scratch;
        let words = ["upgrade", "-p", new.path.to_str().unwrap(), "--keep", path];
        scratch.rvenv(&words).ok();
        let python = new.clone();
        let after = Sandbox { scratch, python };
        check(&parent, &env, true);
        is_settled(&after, &env, &[]);
        after.scratch.rvenv(&["rollback", path]).ok();
        after.scratch.rvenv(&["verify", path]).ok();
        let share = Share::of(&env.join("pyvenv.cfg"));
        assert_eq!(share, Share::of(&env.join("bin/activate")), "{name}");
    }
}

/// The kernel passes on a group that the user is not in, and clears the setgid bit when that user
/// sets a mode.
#[test]
fn the_group_may_be_one_that_the_user_is_not_in() {
    let Some(sandbox) = sandbox_for_all().map(Sandbox::cold) else {
        return;
    };
    let _makes_the_directory = sandbox.as_other_user(&["create"]);
    let parent = sandbox.path("other/shared");
    fs::create_dir(&parent).unwrap();
    chown(&parent, Some(OTHER_USER), Some(GROUP)).unwrap();
    assert!(run("chmod", &["2777", parent.to_str().unwrap()]));
    ended(&mut sandbox.as_other_user(&["create", "other/shared/E"])).ok();
    let env = parent.join("E");
    for path in ["bin", "lib", "include", ".rvenv"] {
        let meta = fs::symlink_metadata(env.join(path)).unwrap();
        assert_eq!(
            (meta.gid(), meta.mode() & 0o2000),
            (GROUP, 0o2000),
            "{path}"
        );
    }
    for path in ["", "pyvenv.cfg", "bin/activate", "bin/python"] {
        assert_eq!(
            fs::symlink_metadata(env.join(path)).unwrap().gid(),
            GROUP,
            "{path}"
        );
    }
}

/// A new root could not get the group of this one, so the root stays and everything in it is
/// replaced.
#[test]
fn clearing_keeps_a_group_that_the_user_may_not_give() {
    let Some(sandbox) = sandbox_for_all().map(Sandbox::cold) else {
        return;
    };
    ended(&mut sandbox.as_other_user(&["create", "other/E"])).ok();
    let env = sandbox.path("other/E");
    assert!(run("chgrp", &["-R", "54321", env.to_str().unwrap()]));
    for dir in [env.clone(), env.join(".rvenv")] {
        assert!(run("chmod", &["2775", dir.to_str().unwrap()]));
    }
    fs::write(env.join("notes"), "").unwrap();
    let before = tree(&env)[""].clone();
    let words = ["create", "--clear", "-v", "other/E"];
    let ended = ended(&mut sandbox.as_other_user(&words));
    ended.clone().ok();
    let after = tree(&env)[""].clone();
    assert_eq!((after.inode, after.mode), (before.inode, before.mode));
    assert_eq!(Share::of(&env).group, GROUP);
    assert!(!env.join("notes").exists());
    assert!(ended.stderr.contains("renames"), "{}", ended.stderr);
    check(&env, &env, false);
}
