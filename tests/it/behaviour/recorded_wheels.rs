//! The receipt names the wheel of each package that rvenv installed: it stays as long as the
//! package does, and a repair looks for it in the cache.

use std::fs;

use rvenv_journal::Receipt;

use super::attested::index;
use super::locks::{Bench, bench};
use crate::machine::{ended, tool};

/// The names and digests of the wheels in the receipt, except that of pip.
fn recorded(bench: &Bench) -> Vec<(String, String)> {
    let bytes = fs::read(bench.scratch.path("E/.rvenv/receipt.json")).unwrap();
    let receipt = Receipt::from_json(&bytes).unwrap();
    let all = receipt.statements.into_iter();
    let mut all: Vec<_> = all
        .map(|(digest, statement)| (statement.file, digest.to_string()))
        .filter(|(file, _)| !file.starts_with("pip-"))
        .collect();
    all.sort();
    all
}

#[test]
fn the_receipt_has_the_wheel_of_each_package_as_long_as_that_stays() {
    let Some(bench) = bench() else { return };
    let wheels = |all: &[(&str, &str)]| -> Vec<(String, String)> {
        all.iter()
            .map(|(name, version)| bench.wheel(name, version))
            .collect()
    };
    let first = bench.lock("one", &[("alpha", "1.0"), ("beta", "1.0")]);
    bench.create(&first, &[]).ok();
    assert_eq!(
        recorded(&bench),
        wheels(&[("alpha", "1.0"), ("beta", "1.0")])
    );
    let second = bench.lock("two", &[("alpha", "2.0"), ("gamma", "1.0")]);
    bench.sync(&second, &[]).ok();
    let both = wheels(&[("alpha", "2.0"), ("gamma", "1.0")]);
    assert_eq!(recorded(&bench), both);
    // What is mended from the store keeps its wheel.
    let source = bench.site().join("gamma/__init__.py");
    fs::remove_file(&source).unwrap();
    bench.scratch.rvenv(&["repair", "E", "--no-index"]).ok();
    assert!(source.exists());
    assert_eq!(recorded(&bench), both);
    // What another installer took goes with the next change.
    let Some(uv) = tool("uv") else {
        println!("skipped: no uv");
        return;
    };
    let python = bench.scratch.path("E/bin/python");
    let python = python.to_str().unwrap();
    let words = ["pip", "uninstall", "-q", "--python", python, "alpha"];
    bench.scratch.run(&uv, &words).ok();
    let third = bench.lock("three", &[("beta", "1.0"), ("gamma", "1.0")]);
    bench.sync(&third, &[]).ok();
    assert_eq!(
        recorded(&bench),
        wheels(&[("beta", "1.0"), ("gamma", "1.0")])
    );
}

/// The store and the wheelhouse are gone, and there is no index.
#[test]
fn a_repair_takes_the_very_wheel_from_the_cache() {
    let Some(bench) = bench() else { return };
    let server = index(&bench, |_| false);
    let (_, digest) = bench.wheel("alpha", "2.0");
    bench.write("lock.txt", &format!("alpha==2.0 --hash=sha256:{digest}\n"));
    let python = bench.python.to_str().unwrap();
    let url = server.url("/simple/");
    let mut create = bench
        .scratch
        .command(&["create", "E", "-p", python, "-r", "lock.txt"]);
    create
        .env_remove("PIP_NO_INDEX")
        .args(["--index-url", &url]);
    ended(&mut create).ok();
    drop(server);
    fs::remove_dir_all(bench.scratch.cache().join("packs")).unwrap();
    let source = bench.site().join("alpha/__init__.py");
    fs::remove_file(&source).unwrap();
    fs::write(&source, "broken\n").unwrap();
    bench.scratch.rvenv(&["repair", "E", "--no-index"]).ok();
    bench.scratch.rvenv(&["verify", "E"]).ok();
}
