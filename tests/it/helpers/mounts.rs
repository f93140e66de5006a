//! A process in its own mount namespace: no other process sees what a test mounts there.
//!
//! Needs root and `unshare`; without them a test prints the reason and skips. The mounts end with
//! the last process in the namespace; a process that serves a filesystem, as with FUSE, ends when
//! that is unmounted.

use std::process::Command;

use crate::trees::end;

/// Set for the part of a test that runs in its own mount namespace.
const AMONG_MOUNTS: &str = "RVENV_AMONG_MOUNTS";

/// Runs the test of this name, in the module of this path, again in its own mount namespace;
/// returns whether this is that run.
pub(crate) fn is_among_mounts(module: &str, test: &str) -> bool {
    if std::env::var_os(AMONG_MOUNTS).is_some() {
        return true;
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root may mount");
        return false;
    }
    if !has("unshare") {
        return false;
    }
    if end(Command::new("unshare").args(["-m", "true"])).code != Some(0) {
        println!("skipped: no mounts of one's own may be made here");
        return false;
    }
    // The name of the program is not part of a test's name.
    let (_program, inside) = module.split_once("::").unwrap();
    let again = Command::new("unshare")
        .args(["-m", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{inside}::{test}"), "--nocapture"])
        .env(AMONG_MOUNTS, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&again.stdout).into_owned();
    print!("{said}");
    let told = String::from_utf8_lossy(&again.stderr);
    assert!(again.status.success(), "{said}{told}");
    assert!(said.contains("1 passed"), "{said}{told}");
    false
}

/// Whether this tool exists; prints the reason of a skip if not.
pub(crate) fn has(tool: &str) -> bool {
    let there = which::which(tool).is_ok();
    if !there {
        println!("skipped: there is no `{tool}`");
    }
    there
}
