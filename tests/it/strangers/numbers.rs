//! Numbers in names and files that a checkout brings: what has no successor is refused before
//! anything is published.

use std::fs;

use crate::refused::refused_by;
use crate::sandbox::sandbox;

const HIGHEST: &str = "old-4294967295";

#[test]
fn a_planted_generation_with_the_highest_number_is_named_and_nothing_is_published() {
    let Some(sandbox) = sandbox() else { return };
    for (env, planted, shown) in [
        (
            "inside",
            format!("inside/.rvenv/{HIGHEST}"),
            format!(".rvenv/{HIGHEST}"),
        ),
        (
            "record",
            format!("record/.rvenv/{HIGHEST}.journal"),
            format!(".rvenv/{HIGHEST}.journal"),
        ),
        (
            "beside",
            format!(".beside.rvenv.{HIGHEST}"),
            format!(".beside.rvenv.{HIGHEST}"),
        ),
    ] {
        sandbox.create(&[env]).ok();
        fs::create_dir(sandbox.path(&planted)).unwrap();
        // Something to change, so that there is something to number.
        fs::remove_file(sandbox.path(env).join("bin/activate")).unwrap();
        for words in [
            &["upgrade", env][..],
            &["create", "--clear", env],
            &["create", env],
        ] {
            let said = sandbox.refused(words, 3);
            assert!(
                said.contains(&format!("higher number than `{shown}`")),
                "{said}"
            );
            assert!(said.contains("move away or delete"), "{said}");
        }
        let mut repair = sandbox.scratch.command(&["repair", env]);
        refused_by(&sandbox.scratch, &mut repair, 3);
        sandbox.scratch.rvenv(&["status", env]).ok();
        fs::remove_dir(sandbox.path(&planted)).unwrap();
        sandbox.verb("upgrade", &[env]).ok();
        sandbox.works(env);
        sandbox.scratch.rvenv(&["rollback", env]).ok();
    }
}

#[test]
fn a_number_that_is_none_is_left_alone() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.create(&["env"]).ok();
    for name in [
        "old-4294967296",
        "old-007",
        "old--1",
        "old-99999999999999999999",
    ] {
        fs::create_dir(sandbox.path("env/.rvenv").join(name)).unwrap();
    }
    fs::remove_file(sandbox.path("env/bin/activate")).unwrap();
    sandbox.verb("upgrade", &["env"]).ok();
    assert!(sandbox.path("env/.rvenv/old-1").is_dir());
    assert!(sandbox.path("env/.rvenv/old-007").is_dir());
}
