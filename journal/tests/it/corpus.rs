//! The corpora of the engine's fuzz targets, replayed without a fuzzer (I6, I7).
//!
//! `fuzz/src/engine` says what each target promises. Each corpus holds inputs that are accepted,
//! which proves that they get that far, and inputs that are refused.

#![expect(clippy::print_stdout, reason = "tests say what they counted")]

#[expect(unreachable_pub, reason = "the fuzz targets are another crate")]
#[path = "../../../fuzz/src/engine/mod.rs"]
mod engine;
#[expect(unreachable_pub, reason = "two crates replay")]
#[path = "../../../fuzz/replay.rs"]
mod replay;

fn check(target: &str, body: fn(&[u8]) -> bool) {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let (all, accepted) = replay::replay(root, target, body);
    println!("{target}: {accepted} of {all} accepted");
    assert!(
        0 < accepted && accepted < all,
        "{target}: {accepted} of {all}"
    );
}

#[test]
fn every_journal_of_the_corpus_is_refused_or_read_back_as_it_was() {
    check("journal_decode", engine::journal_decode);
}

#[test]
fn every_plan_of_the_corpus_is_refused_or_read_back_as_it_was() {
    check("plan_decode", engine::plan_decode);
}

#[test]
fn every_path_of_the_corpus_is_refused_or_stays_below_its_tree() {
    check("rel_path", engine::rel_path);
}

#[test]
fn every_disk_of_the_corpus_is_recovered_within_bounds_or_left_alone() {
    check("recover", engine::recover);
}

#[test]
fn every_plan_of_the_corpus_is_applied_within_bounds_or_leaves_the_target_alone() {
    check("plan_apply", engine::plan_apply);
}
