//! Attestations (PEP 740): what an index states about a wheel is in the receipt, and in no digest.
//!
//! An index on loopback with wheels made here.

use std::fs;
use std::path::PathBuf;

use rvenv_journal::{Digest, Receipt};

use super::locks::{Bench, bench};
use crate::server::{Server, empty, page, serve};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const TEXT: &str = "{\"attestation_bundles\": [], \"version\": 1}";

/// An index with the wheels of a bench; one for which `is_attested` has a statement.
pub(super) fn index(
    bench: &Bench,
    is_attested: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> Server {
    let house = bench.house.clone();
    Server::new(move |seen, stream| {
        let host = seen.header("host").unwrap().to_owned();
        let last = seen.path.rsplit('/').next().unwrap_or_default().to_owned();
        if let Some(name) = seen.path.strip_prefix("/integrity/") {
            return if is_attested(name) {
                serve(seen, stream, TEXT.as_bytes())
            } else {
                empty(stream, "404 Not Found")
            };
        }
        if seen.path.starts_with("/f/") {
            return serve(seen, stream, &fs::read(house.join(last)).unwrap());
        }
        let project = seen.path.trim_end_matches('/').rsplit('/').next().unwrap();
        let wheels = fs::read_dir(&house)
            .unwrap()
            .map(|one| one.unwrap().file_name());
        let wheels = wheels.filter_map(|name| name.into_string().ok());
        let files = wheels.filter(|name| name.starts_with(project)).map(|name| {
            let digest = Digest::of(&fs::read(house.join(&name)).unwrap()).to_string();
            serde_json::json!({
                "filename": name, "url": format!("/f/{name}"), "hashes": {"sha256": digest},
                "provenance": format!("http://{host}/integrity/{name}"),
            })
        });
        let files: Vec<_> = files.collect();
        let body = serde_json::json!({"meta": {"api-version": "1.3"}, "files": files});
        page(stream, JSON, body.to_string().as_bytes())
    })
}

/// A requirements file, which an index is asked about.
fn lock(bench: &Bench, releases: &[(&str, &str)]) -> PathBuf {
    let line = |(name, version): &(&str, &str)| {
        let (_, digest) = bench.wheel(name, version);
        format!("{name}=={version} --hash=sha256:{digest}\n")
    };
    bench.write("lock.txt", &releases.iter().map(line).collect::<String>())
}

fn run(bench: &Bench, words: &[&str], server: &Server) -> String {
    let url = server.url("/simple/");
    let mut command = bench.scratch.command(words);
    command
        .env_remove("PIP_NO_INDEX")
        .args(["--index-url", &url, "-r", "lock.txt"]);
    crate::machine::ended(&mut command).ok()
}

fn receipt(bench: &Bench) -> Receipt {
    let bytes = fs::read(bench.scratch.path("E/.rvenv/receipt.json")).unwrap();
    Receipt::from_json(&bytes).unwrap()
}

#[test]
fn what_the_index_states_about_a_wheel_is_in_the_receipt_and_in_no_digest() {
    let Some(bench) = bench() else { return };
    let server = index(&bench, |name| name.starts_with("alpha"));
    let python = bench.python.to_str().unwrap();
    let create = ["create", "E", "-p", python, "--without-pip"];
    let plan = ["plan", "--digest", "E", "-p", python, "--without-pip"];
    lock(&bench, &[("alpha", "1.0"), ("beta", "1.0")]);
    let planned = run(&bench, &plan, &server);
    run(&bench, &create, &server);
    let (file, digest) = bench.wheel("alpha", "1.0");
    let attested = |bench: &Bench| {
        let stated = receipt(bench).statements.into_iter();
        let attested = stated.map(|(of, statement)| (of, statement.file, statement.attestation));
        let attested = attested.filter_map(|(of, file, found)| Some((of, file, found?)));
        attested.collect::<Vec<_>>()
    };
    let stated = attested(&bench);
    let [(of, of_file, attestation)] = &stated[..] else {
        panic!("{stated:?}")
    };
    assert_eq!(of.to_string(), digest);
    assert_eq!(*of_file, file);
    assert_eq!(attestation.digest, Digest::of(TEXT.as_bytes()));
    assert_eq!(attestation.url, server.url(&format!("/integrity/{file}")));
    let state = bench.scratch.rvenv(&["verify", "--digest", "E"]).ok();
    bench.scratch.rvenv(&["verify", "E"]).ok();
    // It is asked for once; an answer that there is none is no answer.
    let asked = |of: &Server| {
        let seen = of.seen().into_iter();
        seen.filter(|seen| seen.path.starts_with("/integrity/alpha"))
            .count()
    };
    assert_eq!(asked(&server), 1);
    // Without any statement the digests are the same.
    fs::remove_dir_all(bench.scratch.path("E")).unwrap();
    fs::remove_dir_all(bench.scratch.cache().join("attested")).unwrap();
    let silent = index(&bench, |_| false);
    assert_eq!(run(&bench, &plan, &silent), planned);
    run(&bench, &create, &silent);
    assert_eq!(attested(&bench), []);
    assert_eq!(
        bench.scratch.rvenv(&["verify", "--digest", "E"]).ok(),
        state
    );
}

#[test]
fn a_statement_stays_as_long_as_its_package_does() {
    let Some(bench) = bench() else { return };
    let server = index(&bench, |_| true);
    let python = bench.python.to_str().unwrap();
    lock(&bench, &[("alpha", "1.0"), ("beta", "1.0")]);
    run(
        &bench,
        &["create", "E", "-p", python, "--without-pip"],
        &server,
    );
    let files = || {
        let stated = receipt(&bench).statements.into_values();
        let mut files: Vec<String> = stated.map(|statement| statement.file).collect();
        files.sort();
        files
    };
    let wheel = |name: &str, version: &str| bench.wheel(name, version).0;
    assert_eq!(files(), [wheel("alpha", "1.0"), wheel("beta", "1.0")]);
    lock(&bench, &[("alpha", "2.0"), ("beta", "1.0")]);
    run(&bench, &["sync", "--env", "E"], &server);
    assert_eq!(files(), [wheel("alpha", "2.0"), wheel("beta", "1.0")]);
    let words = ["uninstall", "--env", "E", "alpha"];
    bench.scratch.rvenv(&words).ok();
    assert_eq!(files(), [wheel("beta", "1.0")]);
}
