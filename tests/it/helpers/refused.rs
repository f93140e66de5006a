//! Commands that must fail and touch nothing.

use std::process::Command;

use crate::machine::{Scratch, ended, tree};

/// Runs a command that must fail and touch nothing; returns its output, with the scratch directory
/// as `[work]`.
#[track_caller]
pub(crate) fn refused_by(scratch: &Scratch, command: &mut Command, code: i32) -> String {
    let before = tree(&scratch.path(""));
    let ended = ended(command);
    assert_eq!(ended.stdout, "");
    let said = ended.failed(code);
    let mut after = tree(&scratch.path(""));
    // The lock comes and goes beside the target.
    let root = before.get("").cloned();
    after.extend(root.map(|root| (String::new(), root)));
    assert!(before == after, "something was touched: {said}");
    said.replace(scratch.path("").to_str().unwrap(), "[work]/")
}
