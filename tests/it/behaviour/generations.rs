//! `rvenv generations`: what is listed of each generation, and which are deleted.
//!
//! Read next: `rollback.rs`, how a generation comes back; the engine's `protocol/discard.rs`, what
//! a crash in a deletion leaves.

use std::fs;

use serde_json::Value;

use crate::machine::{Ended, ended, tree};
use crate::sandbox::{self, Sandbox};

/// An environment `E` with three generations of its configuration.
fn kept() -> Option<Sandbox> {
    let sandbox = sandbox::sandbox()?;
    sandbox.verb("create", &["E"]).ok();
    for prompt in ["one", "two", "three"] {
        sandbox
            .verb("create", &["E", "--prompt", prompt, "--keep"])
            .ok();
    }
    Some(sandbox)
}

fn generations(sandbox: &Sandbox, flags: &[&str]) -> Ended {
    let env = sandbox.path("E");
    let words = [&["generations", env.to_str().unwrap()], flags].concat();
    sandbox.scratch.rvenv(&words)
}

fn json(sandbox: &Sandbox, flags: &[&str]) -> Value {
    let said = generations(sandbox, &[flags, &["--json"]].concat()).ok();
    serde_json::from_str(&said).unwrap()
}

fn numbers(list: &Value) -> Vec<u64> {
    let all = list.as_array().unwrap().iter();
    all.map(|one| one["generation"].as_u64().unwrap()).collect()
}

#[test]
fn each_generation_is_listed_with_age_size_and_packages() {
    let Some(sandbox) = kept() else { return };
    let before = tree(&sandbox.path("E"));
    let list = json(&sandbox, &[]);
    assert_eq!(list["format"], 1);
    assert_eq!(numbers(&list["generations"]), [1, 2, 3]);
    for one in list["generations"].as_array().unwrap() {
        assert!(one["bytes"].as_u64() > Some(0), "{one}");
        assert!(one["age_seconds"].as_i64() < Some(3_600), "{one}");
        assert_eq!(one["packages"], 0, "{one}");
        assert_eq!(one["differences"], Value::Array(Vec::new()), "{one}");
        assert_eq!(one["unreadable"], Value::Null, "{one}");
    }
    let said = generations(&sandbox, &[]).ok();
    assert_eq!(said.lines().count(), 3, "{said}");
    assert!(said.contains("the same packages as now"), "{said}");
    assert!(
        before == tree(&sandbox.path("E")),
        "listing wrote something"
    );
}

#[test]
fn what_a_return_would_change_is_listed_by_package() {
    let Some(sandbox) = kept() else { return };
    let site = sandbox.path(&sandbox.site_packages("E"));
    for info in ["alpha-2.0.dist-info", "beta-1.0.dist-info"] {
        fs::create_dir(site.join(info)).unwrap();
    }
    let env = sandbox.path("E");
    sandbox.verb("create", &["E", "--clear", "--keep"]).ok();
    let site = sandbox.path(&sandbox.site_packages("E"));
    for info in ["alpha-1.0.dist-info", "gamma-1.0.dist-info"] {
        fs::create_dir(site.join(info)).unwrap();
    }
    let said = sandbox
        .scratch
        .rvenv(&["status", env.to_str().unwrap()])
        .ok();
    assert!(
        said.contains("2 packages; + beta 1.0, - gamma 1.0, ~ alpha 1.0 → 2.0")
            || said.contains("2 packages; ~ alpha 1.0 → 2.0, + beta 1.0, - gamma 1.0"),
        "{said}"
    );
    let list = json(&sandbox, &[]);
    let differences = &list["generations"][0]["differences"];
    assert_eq!(differences[0]["name"], "alpha", "{differences}");
    assert_eq!(differences[0]["now"], "1.0", "{differences}");
    assert_eq!(differences[0]["then"], "2.0", "{differences}");
    assert_eq!(differences[1]["now"], Value::Null, "{differences}");
}

#[test]
fn pruning_deletes_all_but_the_newest_that_are_to_stay() {
    let Some(sandbox) = kept() else { return };
    let would = json(&sandbox, &["--prune", "--keep", "1", "--dry-run"]);
    assert_eq!(numbers(&would["deleted"]), [1, 2]);
    assert_eq!(would["dry_run"], true);
    assert_eq!(numbers(&json(&sandbox, &[])["generations"]), [1, 2, 3]);
    let did = json(&sandbox, &["--prune", "--keep", "1"]);
    assert_eq!(numbers(&did["deleted"]), [1, 2]);
    assert_eq!(numbers(&json(&sandbox, &[])["generations"]), [3]);
    // What stays still comes back.
    let env = sandbox.path("E");
    sandbox
        .scratch
        .rvenv(&["rollback", env.to_str().unwrap()])
        .ok();
    assert!(sandbox.read("E/pyvenv.cfg").contains("two"));
    sandbox.works("E");
    let ended = generations(&sandbox, &["--prune"]);
    assert!(
        ended.stderr.contains("Deleted 1 generation (3)"),
        "{}",
        ended.stderr
    );
    ended.ok();
    let left = fs::read_dir(env.join(".rvenv")).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name());
    let left: std::collections::BTreeSet<_> = left.collect();
    assert_eq!(left, ["log", "receipt.json"].map(Into::into).into());
    sandbox.works("E");
    let ended = generations(&sandbox, &["--prune"]);
    assert!(
        ended.stderr.contains("Deleted no generation"),
        "{}",
        ended.stderr
    );
}

#[test]
fn pruning_by_age_spares_what_is_newer() {
    let Some(sandbox) = kept() else { return };
    let did = json(&sandbox, &["--prune", "--older-than", "1"]);
    assert_eq!(numbers(&did["deleted"]), [0; 0]);
    let old = filetime(&sandbox, 1);
    assert!(old, "the time of a record can be set");
    let did = json(&sandbox, &["--prune", "--older-than", "1"]);
    assert_eq!(numbers(&did["deleted"]), [1]);
    assert_eq!(numbers(&json(&sandbox, &[])["generations"]), [2, 3]);
}

/// Makes a generation two days old.
fn filetime(sandbox: &Sandbox, generation: u32) -> bool {
    let record = sandbox.path(&format!("E/.rvenv/old-{generation}.journal"));
    let past = std::time::SystemTime::now() - std::time::Duration::from_hours(48);
    let file = fs::OpenOptions::new().append(true).open(record).unwrap();
    file.set_modified(past).is_ok()
}

#[test]
fn a_generation_of_another_user_is_counted_and_says_so() {
    let Some(sandbox) = kept() else { return };
    let record = sandbox.path("E/.rvenv/old-1.journal");
    if std::os::unix::fs::chown(&record, Some(12), Some(34)).is_err() {
        println!("skipped: only root can give a file away");
        return;
    }
    let list = json(&sandbox, &[]);
    assert_eq!(numbers(&list["generations"]), [1, 2, 3]);
    let why = list["generations"][0]["unreadable"].as_str().unwrap();
    assert!(why.contains("it belongs to user 12"), "{why}");
    let said = generations(&sandbox, &[]).ok();
    assert!(said.contains("cannot be read"), "{said}");
    let said = generations(&sandbox, &["--prune"]).failed(5);
    assert!(said.contains("generation 1 stays"), "{said}");
    assert_eq!(numbers(&json(&sandbox, &[])["generations"]), [1]);
    assert!(sandbox.path("E/.rvenv/old-1").exists());
}

#[test]
fn keep_and_older_than_need_prune() {
    let Some(sandbox) = kept() else { return };
    for flags in [&["--keep", "1"][..], &["--older-than", "1"], &["--dry-run"]] {
        generations(&sandbox, flags).failed(2);
    }
    assert_eq!(numbers(&json(&sandbox, &[])["generations"]), [1, 2, 3]);
}

#[test]
fn the_status_of_an_environment_says_what_it_is() {
    let Some(sandbox) = kept() else { return };
    let site = sandbox.path(&sandbox.site_packages("E"));
    let info = site.join("alpha-2.0.dist-info");
    fs::create_dir(&info).unwrap();
    fs::write(info.join("INSTALLER"), "hand\n").unwrap();
    fs::write(
        info.join("direct_url.json"),
        r#"{"url": "file:///w/alpha"}"#,
    )
    .unwrap();
    let env = sandbox.path("E");
    let env = env.to_str().unwrap();
    let text = sandbox.scratch.rvenv(&["status", env]).ok();
    for line in [
        "python: 3.",
        "prompt: three",
        "packages: 1\n",
        "health: clean at a glance; `rvenv verify` compares every file",
        "`rvenv generations` measures them",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("alpha 2.0, by"), "{text}");
    let text = sandbox.scratch.rvenv(&["status", "-v", env]).ok();
    assert!(
        text.contains("alpha 2.0, by hand, from file:///w/alpha"),
        "{text}"
    );
    let said = sandbox.scratch.rvenv(&["status", "--json", env]).ok();
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["environment"]["packages"], 1);
    assert_eq!(said["environment"]["health"][0], "clean");
    assert_eq!(said["environment"]["distributions"], Value::Null);
    assert_eq!(said["generations"][0]["bytes"], Value::Null);
    // The frame is looked at, too.
    fs::rename(sandbox.path("E"), sandbox.path("F")).unwrap();
    let moved = sandbox.path("F");
    let text = sandbox
        .scratch
        .rvenv(&["status", moved.to_str().unwrap()])
        .ok();
    assert!(text.contains("health: moved at a glance"), "{text}");
}

#[test]
fn a_reader_learns_whose_a_generation_is() {
    let Some(sandbox) = sandbox::sandbox_for_all() else {
        return;
    };
    sandbox.verb("create", &["E"]).ok();
    sandbox
        .verb("create", &["E", "--prompt", "p", "--keep"])
        .ok();
    // Makes the program and the cache of the other user.
    drop(sandbox.as_other_user(&["status"]));
    let mut reader = sandbox.scratch.program("setpriv".as_ref(), "022");
    reader
        .env("RVENV_CACHE_DIR", sandbox.path("../cache-of-other"))
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(sandbox.path("../tools/rvenv"))
        .args(["generations", "E"]);
    let said = ended(&mut reader).ok();
    let expected = "it belongs to user 0, who alone can look at it and bring it back";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn what_files_of_another_user_keep_from_being_deleted_is_named_with_the_user() {
    let Some(sandbox) = sandbox::sandbox_for_all() else {
        return;
    };
    ended(&mut sandbox.as_other_user(&["create", "other/E"])).ok();
    let deep = sandbox.path("other/E/deep");
    fs::create_dir(&deep).unwrap();
    fs::write(deep.join("of root"), "").unwrap();
    let cleared = ended(&mut sandbox.as_other_user(&["create", "other/E", "--clear"]));
    let owner = "; it, or its directory, belongs to user 0\n";
    assert!(cleared.stderr.contains(owner), "{cleared:?}");
    cleared.ok();
    // The next change names it again.
    let again = ended(&mut sandbox.as_other_user(&["create", "other/E", "--clear"])).stderr;
    let line = again.lines().find(|line| line.contains(".trash-"));
    let line = line.unwrap_or_else(|| panic!("{again}"));
    assert!(
        line.contains("`, which could not be deleted: cannot remove "),
        "{line}"
    );
    assert!(line.ends_with(owner.trim_end()), "{line}");
}
