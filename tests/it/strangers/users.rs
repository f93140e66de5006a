//! Two users: root, who runs the tests, and a stranger; root becomes the stranger for the
//! stranger's part.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::machine::Scratch;

/// The stranger: a user with no name, who owns nothing.
pub(crate) const STRANGER: u32 = 31_337;

/// Whether the tests may become another user; prints a message if not.
pub(crate) fn is_root() -> bool {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !is_root {
        println!("skipped: only root can be two users");
    }
    is_root
}

/// A shell command of the stranger's, which must succeed.
#[track_caller]
pub(crate) fn stranger_runs(script: &str) {
    let done = Command::new("/bin/sh")
        .args(["-euc", script])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/")
        .uid(STRANGER)
        .gid(STRANGER)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{script}: {said}");
}

/// `chown -R`, as an administrator or the entry point of a container does it.
pub(crate) fn give(tree: &Path, owner: u32) {
    let whom = format!("{owner}:{owner}");
    let given = Command::new("chown").arg("-R").arg(whom).arg(tree).status();
    assert!(given.unwrap().success());
}

/// A directory of a user's.
pub(crate) fn dir_of(path: &Path, owner: u32, mode: u32) {
    fs::create_dir(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    chown(path, Some(owner), Some(owner)).unwrap();
}

/// The command with the usual cache, in a home.
pub(crate) fn at_home(scratch: &Scratch, home: &Path, words: &[&str]) -> Command {
    let mut command = scratch.command(words);
    command.env_remove("RVENV_CACHE_DIR").env("HOME", home);
    command
}

/// Gives the stranger all permissions on a directory by an ACL; returns whether that is possible
/// here.
pub(crate) fn gives_acl(dir: &Path) -> bool {
    let entry = format!("u:{STRANGER}:rwx");
    let given = Command::new("setfacl")
        .args(["-m", &entry])
        .arg(dir)
        .status();
    given.is_ok_and(|given| given.success())
}
