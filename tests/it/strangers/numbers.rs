//! Numbers in names and files that a checkout brings: what has no successor is refused before
//! anything is published.

use std::fs;

use crate::desk::desk;
use crate::refused::refused_by;

const HIGHEST: &str = "old-4294967295";

#[test]
fn a_planted_generation_with_the_highest_number_is_named_and_nothing_is_published() {
    let Some(desk) = desk() else { return };
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
        desk.create(&[env]).ok();
        fs::create_dir(desk.path(&planted)).unwrap();
        // Something to change, so that there is something to number.
        fs::remove_file(desk.path(env).join("bin/activate")).unwrap();
        for words in [
            &["upgrade", env][..],
            &["create", "--clear", env],
            &["create", env],
        ] {
            let said = desk.refused(words, 3);
            assert!(
                said.contains(&format!("higher number than `{shown}`")),
                "{said}"
            );
            assert!(said.contains("move away or delete"), "{said}");
        }
        let mut repair = desk.scratch.command(&["repair", env]);
        refused_by(&desk.scratch, &mut repair, 3);
        desk.scratch.rvenv(&["status", env]).ok();
        fs::remove_dir(desk.path(&planted)).unwrap();
        desk.verb("upgrade", &[env]).ok();
        desk.works(env);
        desk.scratch.rvenv(&["rollback", env]).ok();
    }
}

#[test]
fn a_number_that_is_none_is_left_alone() {
    let Some(desk) = desk() else { return };
    desk.create(&["env"]).ok();
    for name in [
        "old-4294967296",
        "old-007",
        "old--1",
        "old-99999999999999999999",
    ] {
        fs::create_dir(desk.path("env/.rvenv").join(name)).unwrap();
    }
    fs::remove_file(desk.path("env/bin/activate")).unwrap();
    desk.verb("upgrade", &["env"]).ok();
    assert!(desk.path("env/.rvenv/old-1").is_dir());
    assert!(desk.path("env/.rvenv/old-007").is_dir());
}
