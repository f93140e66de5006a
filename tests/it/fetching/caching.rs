//! `rvenv cache`, and what was fetched: what it checks, deletes and keeps.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::{Ground, WHEEL, asked, bytes};
use crate::machine::Scratch;
use crate::server::{Server, serve};

/// A scratch directory whose cache has a fetched wheel; the path of the wheel.
fn with_wheel() -> (Scratch, std::path::PathBuf) {
    let wheel = bytes(4000);
    let body = wheel.clone();
    let server = Server::new(move |seen, stream| serve(seen, stream, &body));
    let ground = Ground::new(&server);
    let scratch = Scratch::cold();
    let fetcher = ground.fetcher_at(&scratch.cache());
    let asked = asked(&wheel, &server.url("/x"));
    let files = fetcher.fetch(&[asked], &rvenv::fetch::FetchControl::default());
    (scratch, files.unwrap().remove(0).path)
}

fn report(scratch: &Scratch, words: &[&str]) -> Value {
    let ended = scratch.rvenv(words);
    serde_json::from_str(&ended.stdout).unwrap()
}

fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap()
}

#[test]
fn a_fetched_wheel_is_verified_and_a_damaged_one_is_deleted() {
    let (scratch, path) = with_wheel();
    let clean = report(&scratch, &["cache", "verify", "--json"]);
    assert_eq!(number(&clean, "/fetched"), 1);
    assert_eq!(clean["clean"], true);
    fs::write(&path, bytes(3999)).unwrap();
    let ended = scratch.rvenv(&["cache", "verify"]);
    let line = format!("/{WHEEL}` has different content; deleted");
    assert!(ended.stdout.contains(&line), "{}", ended.stdout);
    ended.failed(4);
    assert!(!path.exists());
}

#[test]
fn pruning_deletes_what_was_not_used_for_a_while_and_what_no_process_writes() {
    let (scratch, path) = with_wheel();
    let part = scratch
        .cache()
        .join(format!("fetched/{}.part", "ab".repeat(32)));
    fs::write(&part, "half").unwrap();
    fs::write(scratch.cache().join("fetched/mine"), "x").unwrap();
    let kept = report(&scratch, &["cache", "prune", "--json"]);
    assert_eq!(number(&kept, "/fetched/kept"), 1);
    assert_eq!(number(&kept, "/living"), 1);
    assert_eq!(kept["strangers"][0], "fetched/mine");
    let long_ago = SystemTime::now() - Duration::from_hours(40 * 24);
    let dir = File::open(path.parent().unwrap()).unwrap();
    dir.set_modified(long_ago).unwrap();
    let writing = File::options().write(true).open(&part).unwrap();
    writing.set_modified(long_ago).unwrap();
    writing.lock().unwrap();
    let pruned = report(&scratch, &["cache", "prune", "--json"]);
    assert_eq!(number(&pruned, "/fetched/deleted"), 1);
    assert_eq!(number(&pruned, "/fetched/bytes"), 4000);
    assert!(!path.exists() && part.exists());
    // A close would not do while another test starts a process.
    writing.unlock().unwrap();
    let pruned = report(&scratch, &["cache", "prune", "--json"]);
    assert_eq!(number(&pruned, "/downloads"), 1);
    assert!(!part.exists() && scratch.cache().join("fetched/mine").exists());
}

#[test]
fn clearing_deletes_every_fetched_wheel_and_every_part() {
    let (scratch, path) = with_wheel();
    fs::write(
        scratch
            .cache()
            .join(format!("fetched/{}.part", "ab".repeat(32))),
        "half",
    )
    .unwrap();
    let said = scratch.rvenv(&["cache", "clear"]).ok();
    assert!(said.contains("fetched wheels: 1 deleted, 0 kept"), "{said}");
    assert!(!path.exists() && !scratch.cache().join("fetched").exists());
}
