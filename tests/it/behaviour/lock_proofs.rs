//! `rvenv verify --lock`: what is installed is what the lock names, from the hash in the lock to
//! the bytes of each file.
//!
//! Wheels made here, in directories and in a cache; no network.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use serde_json::Value;

use super::locks::{Bench, bench};
use crate::machine::Ended;

/// Writes a file and its row in `RECORD`, as an attacker would who knows of it.
const FORGE: &str = r#"
import base64, hashlib, os, sys
site, info, row, text = sys.argv[1:]
path = os.path.join(site, row)
os.path.exists(path) and os.unlink(path)
open(path, "w").write(text)
digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
record = os.path.join(site, info, "RECORD")
rows = [line for line in open(record).read().splitlines() if not line.startswith(row + ",")]
os.unlink(record)
rows.append("%s,sha256=%s,%d" % (row, digest, len(text)))
open(record, "w").write("\n".join(rows) + "\n")
"#;

impl Bench {
    fn prove(&self, lock: &Path, more: &[&str]) -> Ended {
        let house = self.house.to_str().unwrap();
        self.prove_with(lock, &[&["--wheelhouse", house], more].concat())
    }

    fn prove_with(&self, lock: &Path, more: &[&str]) -> Ended {
        let words = ["verify", "E", "--lock", lock.to_str().unwrap()];
        self.scratch.rvenv(&[&words, more].concat())
    }

    fn forge(&self, info: &str, row: &str, text: &str) {
        let site = self.site();
        let words = ["-c", FORGE, site.to_str().unwrap(), info, row, text];
        self.scratch.run(&self.python, &words).ok();
    }
}

/// What a proof that failed says.
#[track_caller]
fn unproved(ended: &Ended) -> String {
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.code, Some(4), "{said}");
    said
}

#[test]
fn what_a_lock_brought_is_proved_by_its_wheels() {
    let Some(bench) = bench() else { return };
    let lock = bench.lock("a", &[("beta", "1.0"), ("alpha", "2.0")]);
    bench.create(&lock, &[]).ok();
    let said = bench.prove(&lock, &[]).ok();
    assert!(said.contains("lock: 2 packages"), "{said}");
    assert!(said.contains("not in the lock: pip "), "{said}");
    assert!(said.contains("state: proved, "), "{said}");
    let said = bench.prove(&lock, &["-v"]).ok();
    assert!(
        said.contains("compared with `alpha-2.0-py3-none-any.whl`"),
        "{said}"
    );
    bench.prove(&lock, &["--exact"]).ok();
    let json = bench.prove(&lock, &["--json"]).ok();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["proved"], true);
    let (_, digest) = bench.wheel("alpha", "2.0");
    assert_eq!(json["packages"][0]["name"], "alpha");
    assert_eq!(json["packages"][0]["state"], "proved");
    assert_eq!(json["packages"][0]["sha256"], digest.as_str());
    assert_eq!(
        json["packages"][1]["files"]["drift"],
        Value::Array(Vec::new())
    );
    assert_eq!(json["extraneous"][0]["name"], "pip");
}

#[test]
fn what_pip_installed_is_compared_too_and_only_its_scripts_differ() {
    let Some(bench) = bench() else { return };
    let lock = bench.lock("a", &[("alpha", "2.0")]);
    let python = bench.python.to_str().unwrap();
    bench
        .scratch
        .rvenv(&["create", "E", "--python", python])
        .ok();
    let house = bench.house.to_str().unwrap();
    let words = ["-m", "pip", "install", "--no-index", "--find-links", house];
    let words = [&words[..], &["alpha==2.0"]].concat();
    let python = bench.scratch.path("E/bin/python");
    bench.scratch.run(&python, &words).ok();
    let ended = bench.prove(&lock, &["--json"]);
    let json: Value = serde_json::from_str(&ended.stdout).unwrap();
    let drift = json["packages"][0]["files"]["drift"].as_array().unwrap();
    let paths = drift.iter().map(|one| one["path"].as_str().unwrap());
    assert_eq!(paths.collect::<Vec<_>>(), ["bin/alpha"]);
}

#[test]
fn a_file_that_was_changed_with_its_row_in_record_is_found() {
    let Some(bench) = bench() else { return };
    let lock = bench.lock("a", &[("alpha", "2.0")]);
    bench.create(&lock, &[]).ok();
    let module = bench.site().join("alpha.py");
    let row = if module.exists() {
        "alpha.py"
    } else {
        "alpha/__init__.py"
    };
    bench.forge("alpha-2.0.dist-info", row, "import evil\n");
    // Without the receipt, the environment looks whole.
    fs::remove_file(bench.scratch.path("E/.rvenv/receipt.json")).unwrap();
    bench.scratch.rvenv(&["verify", "E"]).ok();
    let said = unproved(&bench.prove(&lock, &[]));
    assert!(
        said.contains(&format!("site-packages/{row}` has different content")),
        "{said}"
    );
    assert!(said.contains("state: not proved, 1 different"), "{said}");
    assert!(said.contains("rvenv sync -r "), "{said}");
}

#[test]
fn a_script_that_rvenv_would_write_otherwise_is_found() {
    let Some(bench) = bench() else { return };
    let lock = bench.lock("a", &[("alpha", "2.0")]);
    bench.create(&lock, &[]).ok();
    let info = "alpha-2.0.dist-info";
    bench.forge(info, "../../../bin/alpha", "#!/bin/sh\nexit 7\n");
    let said = unproved(&bench.prove(&lock, &[]));
    assert!(said.contains("`bin/alpha` has different content"), "{said}");
    assert!(said.contains("not the script that rvenv writes"), "{said}");
}

#[test]
fn a_file_that_record_lists_and_the_wheel_does_not_have_is_found() {
    let Some(bench) = bench() else { return };
    let lock = bench.lock("a", &[("alpha", "2.0")]);
    bench.create(&lock, &[]).ok();
    bench.forge("alpha-2.0.dist-info", "evil.pth", "import evil\n");
    let said = unproved(&bench.prove(&lock, &[]));
    let expected = "evil.pth` is listed in its RECORD, and the wheel does not have it";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_row_in_record_that_is_not_as_in_the_wheel_is_found() {
    let Some(bench) = bench() else { return };
    let lock = bench.lock("a", &[("alpha", "2.0")]);
    bench.create(&lock, &[]).ok();
    let record = bench.site().join("alpha-2.0.dist-info/RECORD");
    let text = fs::read_to_string(&record).unwrap();
    let rows = text.lines().filter(|row| !row.contains("/METADATA,"));
    let rows: Vec<&str> = rows.collect();
    fs::remove_file(&record).unwrap();
    fs::write(&record, rows.join("\n") + "\n").unwrap();
    let said = unproved(&bench.prove(&lock, &[]));
    assert!(
        said.contains("METADATA` is as in the wheel, and RECORD does not list it"),
        "{said}"
    );
}

#[test]
fn what_is_absent_or_in_another_version_is_said() {
    let Some(bench) = bench() else { return };
    let lock = bench.lock("a", &[("alpha", "1.0")]);
    bench.create(&lock, &[]).ok();
    let other = bench.lock("b", &[("alpha", "2.0"), ("gamma", "1.0")]);
    let said = unproved(&bench.prove(&other, &[]));
    assert!(
        said.contains("alpha 2.0 is not installed, but 1.0"),
        "{said}"
    );
    assert!(said.contains("gamma 1.0 is not installed\n"), "{said}");
    assert!(
        said.contains("not proved, 1 not installed, 1 in another version"),
        "{said}"
    );
}

#[test]
fn without_a_wheel_of_the_lock_a_package_is_not_provable() {
    let Some(bench) = bench() else { return };
    let lock = bench.lock("a", &[("alpha", "2.0"), ("beta", "1.0")]);
    bench.create(&lock, &[]).ok();
    let said = unproved(&bench.prove_with(&lock, &[]));
    assert!(
        said.contains("alpha 2.0 is not provable: no wheel"),
        "{said}"
    );
    assert!(said.contains("state: not proved, 2 not provable"), "{said}");
    let (file, _) = bench.wheel("alpha", "2.0");
    fs::copy(
        bench.house.join(bench.wheel("beta", "1.0").0),
        bench.house.join(file),
    )
    .unwrap();
    let said = unproved(&bench.prove(&lock, &[]));
    assert!(said.contains("which is not the expected one"), "{said}");
    let json = unproved(&bench.prove(&lock, &["--json"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["packages"][0]["state"], "not-provable");
    assert_eq!(json["packages"][1]["state"], "proved");
    assert_eq!(json["proved"], false);
}

#[test]
fn wheels_that_were_fetched_are_found_in_the_cache() {
    let Some(bench) = bench() else { return };
    let (file, digest) = bench.wheel("alpha", "2.0");
    let (_, other) = bench.wheel("alpha", "1.0");
    let text = format!("alpha==2.0 --hash=sha256:{digest} --hash=sha256:{other}\n");
    let lock = bench.write("requirements.txt", &text);
    bench.create(&lock, &[]).ok();
    unproved(&bench.prove_with(&lock, &[]));
    let kept = bench.scratch.cache().join("fetched").join(&digest);
    let mut private = fs::DirBuilder::new();
    private.recursive(true).mode(0o700).create(&kept).unwrap();
    fs::copy(bench.house.join(&file), kept.join(&file)).unwrap();
    bench.prove_with(&lock, &[]).ok();
    let pylock = bench.lock("a", &[("alpha", "2.0")]);
    bench.prove_with(&pylock, &[]).ok();
}

#[test]
fn what_no_lock_names_counts_only_if_the_lock_must_be_exact() {
    let Some(bench) = bench() else { return };
    let lock = bench.lock("a", &[("alpha", "2.0")]);
    bench.create(&lock, &[]).ok();
    let house = bench.house.to_str().unwrap();
    let words = [
        "-m",
        "pip",
        "install",
        "--no-index",
        "--find-links",
        house,
        "delta",
    ];
    bench
        .scratch
        .run(&bench.scratch.path("E/bin/python"), &words)
        .ok();
    let said = bench.prove(&lock, &[]).ok();
    assert!(said.contains("not in the lock: delta 1.0, pip "), "{said}");
    let said = unproved(&bench.prove(&lock, &["--exact"]));
    assert!(
        said.contains("state: not proved, 1 not in the lock"),
        "{said}"
    );
}

#[test]
fn a_file_that_is_no_lock_proves_nothing() {
    let Some(bench) = bench() else { return };
    let lock = bench.lock("a", &[("alpha", "2.0")]);
    bench.create(&lock, &[]).ok();
    let loose = bench.write("loose.txt", "alpha==2.0\n");
    let said = bench.prove(&loose, &[]).failed(2);
    assert!(said.contains("has no `--hash`"), "{said}");
    let said = bench
        .prove_with(&lock, &["--wheelhouse", "absent"])
        .failed(2);
    assert!(
        said.contains("cannot list the wheels in `absent`"),
        "{said}"
    );
    let said = bench.scratch.rvenv(&["verify", "E", "--exact"]).failed(2);
    assert!(said.contains("--lock"), "{said}");
}
