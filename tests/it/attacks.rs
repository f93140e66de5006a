//! Attacks: files that other users plant beside a target, and directories that turn into links
//! while a command works (I6, I7).
//!
//! The parent directory is writable for all users, as `/tmp` is. The command names what another
//! user planted there and leaves it alone, also as root; it fails where it cannot continue beside
//! it. A thread that exchanges directories for links all the time never leads the command to the
//! targets of the links. Tests that need root are skipped with the reason. Read next:
//! `attacks_packages/`, `journal/tests/it/protocol/strangers.rs`.

#![cfg(target_os = "linux")]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test starts real programs, plants files"
)]

use std::ffi::OsString;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::machine;
use crate::machine::{ended, tree};
use crate::sandbox::{OTHER_USER, Sandbox, fifo, sandbox, sandbox_for_all};
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, ResolveFlags, open, openat2, renameat_with};

/// Every command that changes `tmp/E`.
const CHANGES: [&[&str]; 5] = [
    &["create", "tmp/E", "--clear"],
    &["upgrade", "tmp/E", "--prompt", "q"],
    &["repair", "tmp/E"],
    &["rollback", "tmp/E"],
    &["recover", "tmp/E"],
];

/// A sandbox with `tmp`, which all users may write, and `tmp/E`, an environment that root owns.
fn sandbox_with_tmp() -> Option<Sandbox> {
    let sandbox = sandbox_for_all()?;
    fs::create_dir(sandbox.path("tmp")).unwrap();
    fs::set_permissions(sandbox.path("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    sandbox.create(&["tmp/E"]).ok();
    sandbox.create(&["tmp/E", "--clear", "--keep"]).ok();
    sandbox.write("victim", "a file of root's");
    Some(sandbox)
}

fn give_to_other_user(path: &Path) {
    lchown(path, Some(OTHER_USER), Some(OTHER_USER)).unwrap();
}

/// The arguments of a change, with an interpreter where one is necessary.
fn command(sandbox: &Sandbox, words: &[&str]) -> std::process::Command {
    match words.first() {
        Some(&("create" | "upgrade")) => sandbox.command(words),
        _ => sandbox.scratch.command(words),
    }
}

/// Checks that every change fails with this code and leaves everything as it was, except the time
/// of the parent directory.
#[track_caller]
fn all_refused(sandbox: &Sandbox, code: i32, why: &str) {
    for words in CHANGES {
        let before = seen(sandbox);
        let said = ended(&mut command(sandbox, words)).failed(code);
        assert!(said.contains(why), "{words:?}: {said}");
        assert!(
            before == seen(sandbox),
            "{words:?} touched something: {said}"
        );
    }
}

/// Everything in the sandbox, without the time of the directory that holds the lock file.
fn seen(sandbox: &Sandbox) -> std::collections::BTreeMap<String, machine::Entry> {
    let mut seen = tree(&sandbox.path(""));
    seen.get_mut("tmp").unwrap().mtime = 0;
    seen
}

/// I6: no command waits for a lock file that another user planted, or writes to it or through it.
///
/// Some kernels do not even let root open it: then the lock of the environment itself is enough.
#[test]
fn a_planted_lock_is_refused_or_passed_by_and_not_written_to() {
    let Some(sandbox) = sandbox_with_tmp() else {
        return;
    };
    let lock = sandbox.path("tmp/.E.rvenv.lock");
    let (victim, absent) = (sandbox.path("victim"), sandbox.path("absent"));
    let plants: [&dyn Fn(); 5] = [
        &|| fs::write(&lock, "locked by another user").unwrap(),
        &|| symlink(&victim, &lock).unwrap(),
        &|| symlink(&absent, &lock).unwrap(),
        &|| fifo(&lock),
        &|| fs::create_dir(&lock).unwrap(),
    ];
    for (number, plant) in plants.iter().enumerate() {
        plant();
        give_to_other_user(&lock);
        let planted = seen(&sandbox).remove("tmp/.E.rvenv.lock");
        for words in CHANGES {
            let ended = ended(&mut command(&sandbox, words));
            let is_refused = ended.code == Some(1)
                && ended
                    .stderr
                    .contains("/.E.rvenv.lock` belongs to user 65534");
            assert!(
                is_refused || ended.code == Some(0),
                "{number}, {words:?}: {ended:?}"
            );
            assert_eq!(
                planted,
                seen(&sandbox).remove("tmp/.E.rvenv.lock"),
                "{words:?}"
            );
            sandbox.works("tmp/E");
        }
        fs::remove_file(&lock)
            .or_else(|_| fs::remove_dir(&lock))
            .unwrap();
    }
    assert_eq!(sandbox.read("victim"), "a file of root's");
    assert!(!absent.exists());
}

/// I6: where the system allows hard links to files of other users, the lock file may be a link to
/// another user's notes.
#[test]
fn a_lock_that_is_another_name_of_a_file_is_not_written_to() {
    let Some(sandbox) = sandbox_with_tmp() else {
        return;
    };
    fs::hard_link(sandbox.path("victim"), sandbox.path("tmp/.E.rvenv.lock")).unwrap();
    all_refused(&sandbox, 1, "/.E.rvenv.lock` has a second hard link");
    assert_eq!(sandbox.read("victim"), "a file of root's");
}

/// I6, I7: not even root acts on another user's journal, whatever it contains and however it got
/// there.
#[test]
fn a_planted_journal_is_refused_and_changes_nothing() {
    let Some(sandbox) = sandbox_with_tmp() else {
        return;
    };
    for name in [
        "journal",
        "journal.settle",
        "journal.undo",
        "journal.doubt-settle-x",
    ] {
        let planted = sandbox.path("tmp").join(format!(".E.rvenv.{name}"));
        // The record of root's own generation is a valid journal.
        fs::copy(sandbox.path("tmp/.E.rvenv.old-1.journal"), &planted).unwrap();
        fs::set_permissions(&planted, fs::Permissions::from_mode(0o600)).unwrap();
        give_to_other_user(&planted);
        all_refused(&sandbox, 5, "belongs to user 65534");
        fs::remove_file(&planted).unwrap();
        fs::hard_link(sandbox.path("tmp/.E.rvenv.old-1.journal"), &planted).unwrap();
        all_refused(&sandbox, 5, "more than one hard link");
        fs::remove_file(&planted).unwrap();
        symlink(".E.rvenv.old-1.journal", &planted).unwrap();
        all_refused(&sandbox, 5, "not a regular file");
        fs::remove_file(&planted).unwrap();
    }
    sandbox.scratch.rvenv(&["rollback", "tmp/E"]).ok();
}

/// I6: an object of another user with one of rvenv's names is reported; no command deletes it,
/// enters it or builds in it.
#[test]
fn planted_stages_trash_and_drafts_are_named_and_left_alone() {
    let Some(sandbox) = sandbox_with_tmp() else {
        return;
    };
    let planted = [
        "new-000000",
        "new-evil",
        "trash-1-1",
        "old-7",
        "journal.tmp",
    ];
    for name in planted {
        let path = sandbox.path("tmp").join(format!(".E.rvenv.{name}"));
        if name == "journal.tmp" {
            fs::write(&path, "{}").unwrap();
        } else {
            fs::create_dir(&path).unwrap();
            fs::write(path.join("mine"), "another user's").unwrap();
            give_to_other_user(&path.join("mine"));
        }
        give_to_other_user(&path);
    }
    symlink(
        sandbox.path("victim"),
        sandbox.path("tmp/.E.rvenv.new-link"),
    )
    .unwrap();
    let theirs = || {
        let mut seen = tree(&sandbox.path("tmp"));
        seen.retain(|path, _| {
            planted
                .iter()
                .any(|name| path.starts_with(&format!(".E.rvenv.{name}")))
        });
        seen
    };
    let before = theirs();
    for words in [
        &["create", "tmp/E", "--clear"][..],
        &["upgrade", "tmp/E", "--prompt", "q"],
        &["recover", "tmp/E"],
    ] {
        let ended = ended(&mut command(&sandbox, words));
        assert!(
            matches!(ended.code, Some(0 | 1 | 5)),
            "{words:?}: {}",
            ended.stderr
        );
        assert!(
            before == theirs(),
            "{words:?} touched something: {}",
            ended.stderr
        );
        sandbox.works("tmp/E");
    }
    assert_eq!(sandbox.read("victim"), "a file of root's");
    assert!(sandbox.path("tmp/.E.rvenv.new-link").is_symlink());
}

/// I6: a generation comes back only to the user who kept it.
#[test]
fn a_planted_generation_does_not_come_back() {
    let Some(sandbox) = sandbox_with_tmp() else {
        return;
    };
    // A rollback takes the highest number first.
    let planted = sandbox.path("tmp/.E.rvenv.old-9");
    fs::create_dir_all(planted.join("bin")).unwrap();
    fs::write(planted.join("bin/python"), "#!/bin/sh\necho evil\n").unwrap();
    let record = sandbox.path("tmp/.E.rvenv.old-9.journal");
    fs::copy(sandbox.path("tmp/.E.rvenv.old-1.journal"), &record).unwrap();
    for path in [
        planted.join("bin/python"),
        planted.join("bin"),
        planted,
        record,
    ] {
        give_to_other_user(&path);
    }
    let before = seen(&sandbox);
    let said = ended(&mut sandbox.scratch.command(&["rollback", "tmp/E"])).failed(5);
    assert!(said.contains("generation 9"), "{said}");
    assert!(before == seen(&sandbox), "something was touched: {said}");
    sandbox.works("tmp/E");
}

/// The same the other way round: another user does not touch what root left.
#[test]
fn another_user_does_not_continue_what_root_began() {
    let Some(sandbox) = sandbox_with_tmp() else {
        return;
    };
    let killed = sandbox.create(&["tmp/own", "--check", "kill -KILL $PPID; sleep 1"]);
    assert_eq!(killed.code, None, "{}", killed.stderr);
    let before = seen(&sandbox);
    for words in [
        &["create", "tmp/own"][..],
        &["create", "tmp/own", "--clear"],
    ] {
        let ended = ended(&mut sandbox.as_other_user(words));
        assert!(
            matches!(ended.code, Some(1 | 5)),
            "{words:?}: {}",
            ended.stderr
        );
        let mut after = seen(&sandbox);
        // The tools of the user who runs the command.
        after.retain(|path, _| before.contains_key(path));
        let changed: Vec<_> = before
            .iter()
            .filter(|(path, entry)| path.starts_with("tmp") && after.get(*path) != Some(entry))
            .collect();
        assert!(changed.is_empty(), "{words:?}: {changed:?}");
    }
    sandbox.scratch.rvenv(&["recover", "tmp/own"]).ok();
}

/// Exchanges directories for links to a victim, again and again, until dropped.
struct Swapper<'a> {
    over: &'a AtomicBool,
}

impl Drop for Swapper<'_> {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// The parent directory of a path, if no component of the way there from `root` is a link now.
///
/// The attacker keeps the directory open: where the command puts a link at the target, the attacker
/// must not exchange the victim's directories itself.
fn above(root: &Path, path: &Path) -> Option<OwnedFd> {
    let root_dir = open(root, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).ok()?;
    let below = path.parent()?.strip_prefix(root).ok()?;
    let below = Path::new(".").join(below);
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(root_dir, below, flags, Mode::empty(), resolve).ok()
}

/// Every directory at and below a path, to the depth at which commands work.
fn directories(path: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let path = entry.path();
        if fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir()) {
            found.push(path.clone());
            if depth > 0 {
                directories(&path, depth - 1, found);
            }
        }
    }
}

/// One round: each directory is a link for a moment, except the target itself, where commands
/// follow a link on purpose.
fn swap_each(parent: &Path, link: &Path, swaps: &AtomicU64) {
    let mut found = Vec::new();
    directories(parent, 2, &mut found);
    found.retain(|dir| !dir.ends_with("E"));
    for dir in found {
        let (Some(above), Some(name)) = (above(parent, &dir), dir.file_name()) else {
            continue;
        };
        let swap = || renameat_with(CWD, link, &above, name, RenameFlags::EXCHANGE).is_ok();
        if swap() {
            thread::yield_now();
            swaps.fetch_add(1, Ordering::Relaxed);
            // Where the command moved the link meanwhile, a new one replaces it.
            if !swap() && fs::symlink_metadata(link).is_ok_and(|meta| meta.is_dir()) {
                let _gone = fs::remove_dir_all(link);
            }
        }
        if fs::symlink_metadata(link).is_err() {
            symlink(link.with_file_name("victim"), link).unwrap();
        }
    }
}

/// I6: whatever turns into a link while a command runs, the command makes, changes and removes
/// nothing behind it.
#[test]
fn a_directory_that_turns_into_a_link_leads_nowhere() {
    let Some(sandbox) = sandbox() else { return };
    let start = |words: &[&str]| ended(&mut command(&sandbox, words));
    for name in [
        "bin",
        "lib/python3.13/site-packages",
        "include",
        ".rvenv",
        "strangers",
    ] {
        sandbox.write(&format!("victim/{name}/precious"), "precious");
    }
    fs::create_dir(sandbox.path("tmp")).unwrap();
    let before = tree(&sandbox.path("victim"));
    let (over, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut codes = std::collections::BTreeMap::<Option<i32>, u32>::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            let link = sandbox.path("link");
            symlink(sandbox.path("victim"), &link).unwrap();
            while !over.load(Ordering::Relaxed) {
                swap_each(&sandbox.path("tmp"), &link, &swaps);
            }
        });
        let _over = Swapper { over: &over };
        for round in 0..ROUNDS {
            for words in [
                &["create", "tmp/E"][..],
                &["create", "tmp/E", "--clear", "--force"],
                &["upgrade", "tmp/E", "--prompt", "q"],
                &[
                    "create",
                    "tmp/E",
                    "--clear",
                    "--force",
                    "--check",
                    "kill -KILL $PPID",
                ],
                &["recover", "tmp/E"],
                &["rollback", "tmp/E"],
            ] {
                // A stage that was a link when it was put at the target is a link there, and would
                // be followed.
                if sandbox.path("tmp/E").is_symlink() {
                    fs::remove_file(sandbox.path("tmp/E")).unwrap();
                }
                let ended = start(words);
                *codes.entry(ended.code).or_default() += 1;
                let is_told = matches!(ended.code, None | Some(0 | 1 | 3 | 5));
                assert!(
                    is_told && !ended.stderr.contains("panicked"),
                    "round {round}, {words:?}: {ended:?}"
                );
                let after = tree(&sandbox.path("victim"));
                assert!(
                    before == after,
                    "round {round}, {words:?}: {ended:?}\n{before:?}\nbecame\n{after:?}"
                );
            }
        }
    });
    let swaps = swaps.into_inner();
    println!("{swaps} directories were links for a moment; exit codes {codes:?}");
    assert!(swaps > u64::from(ROUNDS), "no attack happened");
    assert!(
        codes.contains_key(&Some(0)),
        "nothing was done under attack"
    );
}

/// The number of rounds under attack.
const ROUNDS: u32 = 6;

/// I6: the command works in the parent directory that it opened, whatever its name leads to later.
#[test]
fn a_parent_that_turns_into_a_link_gets_the_whole_environment_or_nothing() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.write("decoy/precious", "precious");
    fs::create_dir(sandbox.path("tmp")).unwrap();
    symlink("decoy", sandbox.path("link")).unwrap();
    let (over, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let (link, tmp) = (sandbox.path("link"), sandbox.path("tmp"));
                renameat_with(CWD, &link, CWD, &tmp, RenameFlags::EXCHANGE).unwrap();
                swaps.fetch_add(1, Ordering::Relaxed);
                thread::yield_now();
            }
        });
        let _over = Swapper { over: &over };
        for _ in 0..ROUNDS * 2 {
            for words in [&["create", "tmp/E"][..], &["create", "tmp/E", "--clear"]] {
                let ended = ended(&mut command(&sandbox, words));
                assert!(matches!(ended.code, Some(0 | 1 | 3)), "{ended:?}");
            }
        }
    });
    println!("the parent was exchanged {} times", swaps.into_inner());
    assert_eq!(sandbox.read("decoy/precious"), "precious");
    for parent in ["decoy", "tmp", "link"] {
        if sandbox.path(parent).is_symlink() {
            continue;
        }
        let names = fs::read_dir(sandbox.path(parent))
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        let mut names: Vec<OsString> = names.filter(|name| name != "precious").collect();
        names.retain(|name| name != "E");
        assert_eq!(names, [""; 0].map(OsString::from), "{parent}");
        if sandbox.path(parent).join("E").exists() {
            assert!(sandbox.path(parent).join("E/pyvenv.cfg").is_file());
            assert!(sandbox.path(parent).join("E/bin/python").exists());
            assert!(sandbox.path(parent).join("E/.rvenv/receipt.json").is_file());
        }
    }
}
