//! The answers of the interpreters of this machine, with which the cache of a scratch directory
//! begins: most tests are not about the query, which starts an interpreter.
//!
//! The command itself wrote each answer, once per process, and still compares it with the files of
//! the interpreter. `Scratch::cold` and `Sandbox::cold` are for tests of the query.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::OnceLock;

use crate::machine::{Scratch, supported};

/// Where the command keeps answers below its cache.
const KIND: &str = "interpreters";

/// Puts the answers into a new cache.
pub(crate) fn give(cache: &Path) {
    static KNOWN: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    let known = KNOWN.get_or_init(query);
    let dir = cache.join(KIND);
    fs::DirBuilder::new().mode(0o700).create(&dir).unwrap();
    for (name, bytes) in known {
        let path = dir.join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// Lets the command query every interpreter; returns the names and bytes of its answers.
fn query() -> Vec<(String, Vec<u8>)> {
    let scratch = Scratch::cold();
    for python in supported() {
        scratch.rvenv(&["python", "find", python.path.to_str().unwrap()]);
    }
    let answers = fs::read_dir(scratch.cache().join(KIND))
        .into_iter()
        .flatten();
    let answer = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read(entry.path()).unwrap())
    };
    answers.map(|entry| answer(entry.unwrap())).collect()
}
