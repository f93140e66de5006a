//! `rvenv status --sbom`: `CycloneDX` 1.6, the same bytes for the same environment.
//!
//! The structure is compared here with what the schema requires; with the published schema itself
//! where Python's `cyclonedx` is installed.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use super::locks::{Bench, bench};
use crate::machine::tool;

/// Compares a document with the published schema.
const VALIDATE: &str = r"
import sys
try:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
except ImportError:
    sys.exit(9)
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())
sys.exit(str(error) if error else 0)
";

/// The types of components that rvenv writes; all are in the schema's list.
const TYPES: [&str; 3] = ["application", "library", "platform"];

/// An environment with packages of an index, and one of a file.
fn inventory() -> Option<(Bench, String)> {
    let bench = bench()?;
    let (_, alpha) = bench.wheel("alpha", "2.0");
    let (file, beta) = bench.wheel("beta", "1.0");
    let house = bench.house.to_str().unwrap();
    let text = format!(
        "alpha==2.0 --hash=sha256:{alpha}\nbeta @ file://{house}/{file} --hash=sha256:{beta}\n"
    );
    let lock = bench.write("requirements.txt", &text);
    bench.create(&lock, &[]).ok();
    let bom = bench.scratch.rvenv(&["status", "--sbom", "E"]).ok();
    Some((bench, bom))
}

fn component<'v>(bom: &'v Value, name: &str) -> &'v Value {
    let all = bom["components"].as_array().unwrap();
    let mut of_name = all.iter().filter(|one| one["name"] == name);
    of_name
        .next()
        .unwrap_or_else(|| panic!("no {name} in {bom}"))
}

/// What the schema requires of a component.
#[track_caller]
fn check(component: &Value) {
    assert!(TYPES.contains(&component["type"].as_str().unwrap()));
    assert!(!component["name"].as_str().unwrap().is_empty());
    assert!(!component["bom-ref"].as_str().unwrap().is_empty());
    for hash in component["hashes"].as_array().into_iter().flatten() {
        assert_eq!(hash["alg"], "SHA-256");
        let content = hash["content"].as_str().unwrap();
        assert!(content.len() == 64 && content.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
    for licence in component["licenses"].as_array().into_iter().flatten() {
        let (expression, name) = (&licence["expression"], &licence["license"]["name"]);
        assert!(expression.is_string() != name.is_string(), "{licence}");
    }
    for origin in component["externalReferences"]
        .as_array()
        .into_iter()
        .flatten()
    {
        assert!(["distribution", "vcs"].contains(&origin["type"].as_str().unwrap()));
        assert!(origin["url"].is_string());
    }
}

#[test]
fn an_inventory_has_each_package_with_its_origin_and_the_interpreter() {
    let Some((bench, bom)) = inventory() else {
        return;
    };
    let bom: Value = serde_json::from_str(&bom).unwrap();
    assert_eq!(bom["bomFormat"], "CycloneDX");
    assert_eq!(bom["specVersion"], "1.6");
    assert_eq!(bom["version"], 1);
    assert_eq!(bom["metadata"]["component"]["name"], "E");
    assert_eq!(bom["metadata"]["tools"]["components"][0]["name"], "rvenv");
    assert!(bom["metadata"]["timestamp"].is_null());
    let all = bom["components"].as_array().unwrap();
    all.iter().for_each(check);
    let names = all.iter().map(|one| one["name"].as_str().unwrap());
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["alpha", "beta", "cpython", "pip"]
    );
    let mut refs: Vec<&str> = all
        .iter()
        .map(|one| one["bom-ref"].as_str().unwrap())
        .collect();
    refs.dedup();
    assert_eq!(refs.len(), all.len());
    let (file, digest) = bench.wheel("beta", "1.0");
    let beta = component(&bom, "beta");
    assert_eq!(beta["purl"], "pkg:pypi/beta@1.0");
    assert_eq!(beta["hashes"][0]["content"], digest.as_str());
    let url = format!("file://{}/{file}", bench.house.to_str().unwrap());
    assert_eq!(beta["externalReferences"][0]["url"], url.as_str());
    assert!(component(&bom, "alpha")["externalReferences"].is_null());
    let python = component(&bom, "cpython");
    assert_eq!(python["type"], "platform");
    assert!(python["version"].as_str().unwrap().starts_with("3."));
    let serial = bom["serialNumber"].as_str().unwrap();
    let uuid = serial.strip_prefix("urn:uuid:").unwrap();
    let parts: Vec<usize> = uuid.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12]);
}

/// Of what another installer got from an index, only a lock says which wheel it was.
#[test]
fn a_lock_gives_an_inventory_the_hashes_of_what_an_index_had() {
    let Some((bench, bom)) = inventory() else {
        return;
    };
    let bom: Value = serde_json::from_str(&bom).unwrap();
    let (_, alpha) = bench.wheel("alpha", "2.0");
    assert_eq!(
        component(&bom, "alpha")["hashes"][0]["content"],
        alpha.as_str()
    );
    // Another installation has another RECORD.
    let record = bench.site().join("alpha-2.0.dist-info/RECORD");
    let mut list = fs::read(&record).unwrap();
    list.extend_from_slice(b"alpha/__pycache__/x.cpython-399.pyc,,\n");
    fs::remove_file(&record).unwrap();
    fs::write(&record, list).unwrap();
    let bom = bench.scratch.rvenv(&["status", "--sbom", "E"]).ok();
    let bom: Value = serde_json::from_str(&bom).unwrap();
    assert!(component(&bom, "alpha")["hashes"].is_null());
    let (_, beta) = bench.wheel("beta", "1.0");
    let several = format!("alpha==2.0 --hash=sha256:{alpha} --hash=sha256:{beta}\n");
    bench.write("several.txt", &several);
    bench.lock("one", &[("alpha", "2.0"), ("gamma", "1.0")]);
    bench.lock("other", &[("alpha", "1.0")]);
    for (lock, known) in [
        ("pylock.one.toml", true),
        ("several.txt", true),
        ("pylock.other.toml", false),
    ] {
        let words = [
            "status",
            "--sbom",
            "E",
            "--lock",
            lock,
            "--wheelhouse",
            "index",
        ];
        let said = bench.scratch.rvenv(&words).ok();
        let bom: Value = serde_json::from_str(&said).unwrap();
        bom["components"].as_array().unwrap().iter().for_each(check);
        let hash = &component(&bom, "alpha")["hashes"][0]["content"];
        let expected = if known {
            alpha.as_str().into()
        } else {
            Value::Null
        };
        assert_eq!(*hash, expected, "{lock}");
        assert_eq!(
            component(&bom, "beta")["hashes"][0]["content"],
            beta.as_str()
        );
    }
    let words = ["status", "E", "--lock", "several.txt"];
    let said = bench.scratch.rvenv(&words).failed(2);
    assert!(said.contains("--sbom"), "{said}");
}

#[test]
fn an_inventory_has_the_licences_of_the_metadata() {
    let Some((bench, _)) = inventory() else {
        return;
    };
    let declare = |info: &str, line: &str| {
        let path = bench.site().join(info).join("METADATA");
        let text = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let text = text.replacen("Name: ", &format!("{line}\nName: "), 1);
        fs::write(&path, text).unwrap();
    };
    declare(
        "alpha-2.0.dist-info",
        "License: old words\nLicense-Expression: MIT OR Apache-2.0",
    );
    declare("beta-1.0.dist-info", "License: BSD");
    let bom = bench.scratch.rvenv(&["status", "--sbom", "E"]).ok();
    let bom: Value = serde_json::from_str(&bom).unwrap();
    let licences = |name| component(&bom, name)["licenses"].to_string();
    assert_eq!(licences("alpha"), r#"[{"expression":"MIT OR Apache-2.0"}]"#);
    assert_eq!(licences("beta"), r#"[{"license":{"name":"BSD"}}]"#);
}

#[test]
fn the_same_environment_gives_the_same_inventory_whenever_it_is_written() {
    let Some((bench, bom)) = inventory() else {
        return;
    };
    let at = |epoch: &str| {
        let mut command = bench.scratch.command(&["status", "--sbom", "E"]);
        let output = command.env("SOURCE_DATE_EPOCH", epoch).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(bench.scratch.rvenv(&["status", "--sbom", "E"]).ok(), bom);
    let dated = at("1709209858");
    assert!(
        dated.contains(r#""timestamp": "2024-02-29T12:30:58Z""#),
        "{dated}"
    );
    assert_eq!(at("1709209858"), dated);
    let serial = |text: &str| {
        let bom: Value = serde_json::from_str(text).unwrap();
        bom["serialNumber"].as_str().unwrap().to_owned()
    };
    assert_ne!(serial(&dated), serial(&bom));
}

#[test]
fn what_is_no_environment_has_no_inventory() {
    let Some(bench) = bench() else { return };
    fs::create_dir(bench.scratch.path("D")).unwrap();
    for env in ["D", "absent"] {
        let said = bench.scratch.rvenv(&["status", "--sbom", env]).failed(3);
        assert!(said.contains(env), "{said}");
    }
    bench
        .scratch
        .rvenv(&["status", "--sbom", "--json", "D"])
        .failed(2);
}

#[test]
fn an_inventory_is_valid_by_the_published_schema() {
    let Some(python) = tool("cyclonedx-python") else {
        return;
    };
    let Some((bench, bom)) = inventory() else {
        return;
    };
    let file = bench.write("bom.json", &bom);
    let mut validate = std::process::Command::new(python);
    validate
        .args(["-c", VALIDATE])
        .arg(file)
        .stdin(Stdio::null());
    let output = validate.output().unwrap();
    if output.status.code() == Some(9) {
        println!("skipped: the Python there has no cyclonedx-python-lib");
        return;
    }
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{bom}");
}
