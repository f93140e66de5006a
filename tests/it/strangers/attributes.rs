//! Attributes: files that are immutable or append-only, which even root can neither rename nor
//! delete.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::machine::{Ended, Kind, tree};
use crate::sandbox::{Sandbox, sandbox};
use crate::strangers::users::is_root;

/// Sets or clears an attribute; returns whether the filesystem supports it.
fn chattr(flags: &[&str], path: &Path) -> bool {
    let done = Command::new("chattr").args(flags).arg(path).output();
    done.is_ok_and(|done| done.status.success())
}

/// Clears the attributes at the end of a test, so that the directory can be deleted.
struct Marked<'a>(&'a Sandbox);

impl Drop for Marked<'_> {
    fn drop(&mut self) {
        // It complains of links, which have no attributes.
        chattr(&["-R", "-f", "-i", "-a"], &self.0.path(""));
    }
}

/// What every path of an environment holds; what is in `.rvenv` is the engine's.
fn contents(sandbox: &Sandbox) -> BTreeMap<String, Kind> {
    let mut tree = tree(&sandbox.path("E"));
    tree.retain(|path, _| !path.starts_with(".rvenv"));
    tree.into_iter()
        .map(|(path, entry)| (path, entry.kind))
        .collect()
}

fn run(sandbox: &Sandbox, words: &[&str]) -> Ended {
    match words[0] {
        "create" | "upgrade" => sandbox.verb(words[0], &words[1..]),
        _ => sandbox.scratch.rvenv(words),
    }
}

const CHANGES: [&[&str]; 5] = [
    &["create", "E", "--clear", "--prompt", "b"],
    &["create", "E", "--clear", "--keep", "--prompt", "b"],
    &["upgrade", "E", "--prompt", "b"],
    &["rollback", "E"],
    &["repair", "E"],
];

/// I1: old or new, with a message that says why; and an obstacle does not block later commands for
/// ever.
#[test]
fn what_can_be_neither_renamed_nor_deleted_leaves_the_old_tree_or_the_new_one() {
    let Some(sandbox) = sandbox() else { return };
    if !is_root() {
        return;
    }
    let marked = Marked(&sandbox);
    sandbox.write("probe", "");
    if !chattr(&["+i"], &sandbox.path("probe")) {
        println!("skipped: this filesystem has no attributes");
        return;
    }
    drop(marked);
    let mut counts = BTreeMap::<Option<i32>, u32>::new();
    let kept = ".E.rvenv.old-1";
    for (flag, place) in [
        ("+i", "E"),
        ("+i", "E/bin/activate"),
        ("+a", "E/pyvenv.cfg"),
        ("+a", "."),
        ("+i", &format!("{kept}.journal")),
    ] {
        for words in CHANGES {
            fs::remove_dir_all(sandbox.path("")).unwrap();
            fs::create_dir(sandbox.path("")).unwrap();
            sandbox.create(&["E"]).ok();
            sandbox
                .create(&["E", "--clear", "--keep", "--prompt", "a"])
                .ok();
            let before = contents(&sandbox);
            let marked = Marked(&sandbox);
            assert!(chattr(&[flag], &sandbox.path(place)), "{place}");
            let ended = run(&sandbox, words);
            *counts.entry(ended.code).or_default() += 1;
            let which = format!("{flag} {place}, {words:?}: {ended:?}");
            match ended.code {
                Some(0) => sandbox.works("E"),
                Some(1) => assert!(before == contents(&sandbox), "{which}"),
                // The command reports a decision that it cannot write down, and does nothing more.
                Some(5) => assert!(ended.stderr.contains("rvenv recover"), "{which}"),
                _ => panic!("{which}"),
            }
            let is_told = ended.code == Some(0) || ended.stderr.contains("`lsattr -d` shows");
            assert!(is_told, "{which}");
            if sandbox.litter().iter().any(|name| name.contains("trash")) {
                assert!(ended.stderr.contains("could not be deleted"), "{which}");
                assert!(ended.stderr.contains("`lsattr -d` shows"), "{which}");
            }
            // The next command succeeds, or reports the same.
            let later = run(&sandbox, &["upgrade", "E", "--prompt", "c"]);
            assert!(matches!(later.code, Some(0 | 1 | 5)), "{which}: {later:?}");
            drop(marked);
            let recovered = sandbox.scratch.rvenv(&["recover", "E"]);
            assert_eq!(recovered.code, Some(0), "{which}: {recovered:?}");
            run(&sandbox, &["create", "E", "--clear", "--prompt", "d"]).ok();
            sandbox.works("E");
            let left = sandbox.litter();
            let is_engine_name =
                |name: &String| name == "E" || name.starts_with(kept) || name.contains("old-");
            assert!(left.iter().all(is_engine_name), "{which}: {left:?}");
        }
    }
    println!("exit codes {counts:?}");
}
