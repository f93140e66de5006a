//! What refers to an environment in a registry: an SBOM, signatures, files of other tools. Debian's
//! registry keeps no list of them, so that the list is under a tag; a proxy plays one that does.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rvenv_journal::Digest;
use serde_json::Value;

use super::artifacts::{Ground, MANIFEST, TWO, ground};
use super::indexes::two;
use crate::behaviour::schemas::fitting;
use crate::registry::{Answer, Pass, Proxy, put_manifest, which};
use crate::server::{Server, empty};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const SBOM: &str = "application/vnd.cyclonedx+json";
const SIGNATURE: &str = "application/vnd.example.signature";
/// A list that another tool wrote, with fields that rvenv does not know. A registry compares it
/// with the manifests that it has.
fn others(there: &str) -> String {
    let (_, digest) = there.rsplit_once('@').unwrap();
    format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{INDEX}\",\"manifests\":[{{\"mediaType\":\
         \"{MANIFEST}\",\"size\":3,\"digest\":\"{digest}\",\"artifactType\":\
         \"application/vnd.other\",\"data\":\"YWJj\",\"annotations\":{{\"k\":\"v\"}}}}]}}"
    )
}

/// The path of the list of what refers to a reference.
fn list_of(there: &str) -> String {
    let (_, digits) = there.rsplit_once("sha256:").unwrap();
    format!("/v2/team/web/manifests/sha256-{digits}")
}

/// The entries of that list.
fn listed(ground: &Ground, there: &str) -> Vec<Value> {
    let answer = ground.registry.get(&list_of(there), INDEX);
    assert_eq!(answer.status, 200);
    let list: Value = serde_json::from_slice(&answer.body).unwrap();
    list["manifests"].as_array().unwrap().clone()
}

/// A pushed environment, and a file with a signature of it.
fn pushed(ground: &Ground) -> (String, String) {
    ground.plan("p.json", TWO);
    let there = ground.push("p.json", &ground.registry.oci("team/web:v1"));
    let file = ground.bench.write("web.sig", "signed\n");
    (there, file.to_str().unwrap().to_owned())
}

/// Gives a wheel a licence.
fn license(ground: &Ground, name: &str) {
    let code = "import base64, hashlib, sys, zipfile\n\
                old = zipfile.ZipFile(sys.argv[1])\n\
                files = {one.filename: old.read(one) for one in old.infolist()}\n\
                metadata = next(name for name in files if name.endswith('/METADATA'))\n\
                record = next(name for name in files if name.endswith('/RECORD'))\n\
                head, empty, rest = files[metadata].partition(b'\\n\\n')\n\
                files[metadata] = head.rstrip() + b'\\nLicense-Expression: MIT\\n\\n' + rest\n\
                digest = hashlib.sha256(files[metadata]).digest()\n\
                digest = base64.urlsafe_b64encode(digest).rstrip(b'=').decode()\n\
                row = '%s,sha256=%s,%d' % (metadata, digest, len(files[metadata]))\n\
                rows = files[record].decode().splitlines()\n\
                rows = [row if one.startswith(metadata) else one for one in rows]\n\
                files[record] = '\\n'.join(rows + ['']).encode()\n\
                new = zipfile.ZipFile(sys.argv[1], 'w')\n\
                [new.writestr(name, files[name]) for name in files]\n\
                new.close()\n";
    let (file, _) = ground.bench.wheel(name, "1.0");
    let mut python = Command::new(&ground.bench.python);
    python.args(["-c", code]).arg(ground.bench.house.join(file));
    assert!(python.status().unwrap().success());
}

#[test]
fn the_sbom_of_a_push_is_what_status_prints_on_the_machine_that_applies_it() {
    let Some(ground) = ground() else { return };
    license(&ground, "alpha");
    ground.plan("p.json", TWO);
    let words = [
        "push",
        "--sbom",
        "p.json",
        &ground.registry.oci("team/web:v1"),
    ];
    let there = ground.rvenv(&words).ok();
    let there = there.trim();
    ground.there(&["apply", "--no-index", there]).ok();
    let expected = ground.there(&["status", "--sbom", "E"]).ok();
    assert!(expected.contains("\"licenses\""), "{expected}");
    let words = [
        "attached", "--type", SBOM, "--out", "files", "--json", there,
    ];
    let all = fitting("attached", &words, &ground.there(&words));
    assert_eq!(all["subject"], there);
    assert_eq!(all["attached"].as_array().unwrap().len(), 1);
    let file = all["attached"][0]["files"][0].as_str().unwrap();
    assert_eq!(file, "files/sbom.cdx.json");
    let found = fs::read_to_string(ground.bench.scratch.path(file)).unwrap();
    assert_eq!(found, expected);
    // Another push of the same is the same SBOM, and an environment has it too.
    ground
        .rvenv(&["push", "--sbom", "p.json", there.split('@').next().unwrap()])
        .ok();
    assert_eq!(listed(&ground, there).len(), 1);
}

#[test]
fn each_environment_of_an_index_has_its_own_sbom() {
    let Some(two) = two() else { return };
    let tag = two.ground.registry.oci("team/web:v1");
    let words = ["push", "--sbom", "--json", "old.json", "new.json", &tag];
    let pushed = fitting("push", &words, &two.ground.rvenv(&words));
    let mut seen = Vec::new();
    for environment in pushed["environments"].as_array().unwrap() {
        let there = environment["reference"].as_str().unwrap();
        let python = environment["python"].as_str().unwrap();
        let (_, release) = python.split_once(' ').unwrap_or(("", python));
        let words = ["attached", "--json", "-o", release, there];
        let all = fitting("attached", &words, &two.ground.there(&words));
        let file = all["attached"][0]["files"][0].as_str().unwrap();
        let sbom = fs::read_to_string(two.ground.bench.scratch.path(file)).unwrap();
        assert!(sbom.contains("\"pkg:generic/cpython@3."), "{sbom}");
        assert!(!seen.contains(&sbom));
        seen.push(sbom);
    }
    assert_eq!(seen.len(), 2);
    assert_eq!(two.ground.there(&["attached", &tag]).ok(), "");
}

#[test]
fn a_signature_is_attached_and_found_by_its_type_and_by_other_tools() {
    let Some(ground) = ground() else { return };
    let (there, file) = pushed(&ground);
    let tag = ground.registry.oci("team/web:v1");
    let words = ["attach", "--json", &tag, &file, "--type", SIGNATURE];
    let done = fitting("attach", &words, &ground.rvenv(&words));
    assert_eq!(done["subject"], there);
    assert_eq!(done["listed_by"], "tag");
    let other = ground.bench.write("note.txt", "note\n");
    let words = [
        "attach",
        &there,
        other.to_str().unwrap(),
        "--type",
        "text/plain",
    ];
    ground.rvenv(&words).ok();
    let all = ground.there(&["attached", &tag]).ok();
    let reference = done["reference"].as_str().unwrap();
    let lines: Vec<&str> = all.lines().collect();
    assert_eq!(lines[0], format!("{reference} {SIGNATURE}"));
    assert!(lines[1].ends_with(" text/plain"), "{all}");
    assert_eq!(lines.len(), 2);
    let words = ["attached", &there, "--type", SIGNATURE, "-o", "files"];
    ground.there(&words).ok();
    let found = fs::read_to_string(ground.bench.scratch.path("files/web.sig")).unwrap();
    assert_eq!(found, "signed\n");
    assert!(!ground.bench.scratch.path("files/note.txt").exists());
    // The manifest names what it is about, as the image specification has it.
    let (_, digest) = reference.rsplit_once('@').unwrap();
    let path = format!("/v2/team/web/manifests/{digest}");
    let answer = ground.registry.get(&path, MANIFEST);
    let manifest: Value = serde_json::from_slice(&answer.body).unwrap();
    let (_, subject) = there.rsplit_once('@').unwrap();
    assert_eq!(manifest["subject"]["digest"], subject);
    assert_eq!(manifest["artifactType"], SIGNATURE);
    let Some(skopeo) = which("skopeo") else {
        return;
    };
    let layout = ground.bench.scratch.path("layout");
    let copied = Command::new(skopeo)
        .args(["--insecure-policy", "copy", "--src-tls-verify=false"])
        .arg(format!(
            "docker://{}/team/web@{digest}",
            ground.registry.address
        ))
        .arg(format!("dir:{}", layout.display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&copied.stderr);
    assert!(copied.status.success(), "{said}");
    let blob = layout.join(Digest::of(b"signed\n").to_string());
    assert_eq!(fs::read(blob).unwrap(), b"signed\n");
}

#[test]
fn the_entries_of_other_tools_stay_in_a_list() {
    let Some(ground) = ground() else { return };
    let (there, file) = pushed(&ground);
    let address = ground.registry.address;
    let others = others(&there);
    put_manifest(address, &list_of(&there), INDEX, others.as_bytes());
    ground
        .rvenv(&["attach", &there, &file, "--type", SIGNATURE])
        .ok();
    let before: Value = serde_json::from_str(&others).unwrap();
    let entries = listed(&ground, &there);
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0], before["manifests"][0]);
    assert_eq!(entries[1]["artifactType"], SIGNATURE);
}

/// Another client read the list before, and writes it right after.
#[test]
fn an_entry_that_another_client_drops_is_written_again() {
    let Some(ground) = ground() else { return };
    let (there, file) = pushed(&ground);
    let (address, path) = (ground.registry.address, list_of(&there));
    let list = others(&there);
    let did_drop = AtomicBool::new(false);
    let proxy = Proxy::new(address, move |passed, _| {
        if passed.is("PUT", "/manifests/sha256-") && !did_drop.swap(true, Ordering::SeqCst) {
            put_manifest(address, &path, INDEX, list.as_bytes());
        }
        Pass::On
    });
    let here = over(&there, address, &proxy);
    ground
        .rvenv(&["attach", &here, &file, "--type", SIGNATURE])
        .ok();
    assert_eq!(listed(&ground, &there).len(), 2);
    // One that is dropped every time is named.
    let (path, list) = (list_of(&there), others(&there));
    let proxy = Proxy::new(address, move |passed, _| {
        if passed.is("PUT", "/manifests/sha256-") {
            put_manifest(address, &path, INDEX, list.as_bytes());
        }
        Pass::On
    });
    let here = over(&there, address, &proxy);
    let words = ["attach", &here, &file, "--type", "text/plain"];
    let said = ground.rvenv(&words).failed(1);
    assert!(said.contains("again and again"), "{said}");
}

/// A registry that lists what refers to a manifest, on two pages.
fn listing(ground: &Ground, there: &str, more: String) -> Proxy {
    let own: Arc<Mutex<Vec<u8>>> = Arc::default();
    let others = others(there);
    Proxy::new(ground.registry.address, move |passed, answer| {
        let body = &passed.head;
        if passed.is("PUT", "/manifests/sha256:") {
            let (_, digits) = passed.line.rsplit_once("sha256:").unwrap();
            let digits = &digits[..64];
            *own.lock().unwrap() = format!(
                "{{\"schemaVersion\":2,\"mediaType\":\"{INDEX}\",\"manifests\":[{{\"mediaType\":\
                 \"{MANIFEST}\",\"digest\":\"sha256:{digits}\",\"size\":{},\"artifactType\":\
                 \"{SIGNATURE}\"}}]}}",
                passed.sent
            )
            .into_bytes();
            assert!(body.contains(MANIFEST));
            let subject = "OCI-Subject: sha256:0\r\n";
            return Pass::Other(Answer::new("201 Created", subject, b""));
        }
        if passed.is("GET", "page=2") {
            return Pass::Other(Answer::new("200 OK", "", &own.lock().unwrap()));
        }
        if passed.is("GET", "/referrers/") {
            let link = format!("Link: <{more}>; rel=\"next\"\r\n");
            return Pass::Other(Answer::new("200 OK", &link, others.as_bytes()));
        }
        assert!(!passed.line.contains("sha256-"), "{}", passed.line);
        assert!(answer.status < 500);
        Pass::On
    })
}

#[test]
fn a_registry_that_lists_referrers_itself_is_asked_and_no_tag_is_written() {
    let Some(ground) = ground() else { return };
    let (there, file) = pushed(&ground);
    let proxy = listing(
        &ground,
        &there,
        "/v2/team/web/referrers/x?page=2".to_owned(),
    );
    let here = over(&there, ground.registry.address, &proxy);
    let words = ["attach", "--json", &here, &file, "--type", SIGNATURE];
    let done = fitting("attach", &words, &ground.rvenv(&words));
    assert_eq!(done["listed_by"], "registry");
    assert_eq!(ground.registry.get(&list_of(&there), INDEX).status, 404);
    let words = ["attached", "--json", &here];
    let all = fitting("attached", &words, &ground.there(&words));
    let kinds = all["attached"].as_array().unwrap().iter();
    let kinds: Vec<&str> = kinds.map(|one| one["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["application/vnd.other", SIGNATURE]);
    assert_eq!(all["attached"][0]["annotations"]["k"], "v");
    ground
        .there(&["attached", &here, "--type", SIGNATURE, "-o", "files"])
        .ok();
    assert!(ground.bench.scratch.path("files/web.sig").exists());
    // A page at another host is not asked.
    let elsewhere = Server::new(|_, stream| empty(stream, "200 OK"));
    let proxy = listing(&ground, &there, elsewhere.url("/v2/page=2"));
    let here = over(&there, ground.registry.address, &proxy);
    let said = ground.there(&["attached", &here]).failed(1);
    assert!(said.contains(&elsewhere.address.to_string()), "{said}");
    assert!(elsewhere.seen().is_empty());
}

/// A reference over a proxy.
fn over(there: &str, registry: SocketAddr, proxy: &Proxy) -> String {
    there.replace(&registry.to_string(), &proxy.address.to_string())
}

#[test]
fn what_a_hostile_registry_attaches_is_written_nowhere_else() {
    let Some(ground) = ground() else { return };
    let (there, file) = pushed(&ground);
    ground
        .rvenv(&["attach", &there, &file, "--type", SIGNATURE])
        .ok();
    let attached = ["attached", &there, "-o", "files"];
    // A file of the user stays.
    let own = ground.bench.scratch.path("files/web.sig");
    fs::create_dir(ground.bench.scratch.path("files")).unwrap();
    fs::write(&own, "mine").unwrap();
    let said = ground.there(&attached).failed(1);
    assert!(said.contains("files/web.sig"), "{said}");
    assert_eq!(fs::read_to_string(&own).unwrap(), "mine");
    fs::remove_file(&own).unwrap();
    for title in ["../web.sig", "/web.sig", "..", "a\\u0000b"] {
        let right = "\"org.opencontainers.image.title\":\"web.sig\"";
        let wrong = format!("\"org.opencontainers.image.title\":\"{title}\"");
        let entry = &listed(&ground, &there)[0];
        let digest = entry["digest"].as_str().unwrap().to_owned();
        let path = format!("/v2/team/web/manifests/{digest}");
        let manifest = ground.registry.get(&path, MANIFEST).body;
        let evil = String::from_utf8(manifest).unwrap().replace(right, &wrong);
        let other = format!("sha256:{}", Digest::of(evil.as_bytes()));
        let proxy = Proxy::new(ground.registry.address, move |passed, answer| {
            if passed.line.contains("/manifests/sha256-") {
                let list = String::from_utf8_lossy(&answer.body).replace(&digest, &other);
                return Pass::Other(Answer::new("200 OK", "", list.as_bytes()));
            }
            if passed.line.contains(&other) {
                return Pass::Other(Answer::new("200 OK", "", evil.as_bytes()));
            }
            Pass::On
        });
        let there = over(&there, ground.registry.address, &proxy);
        let said = ground.there(&["attached", &there, "-o", "files"]);
        assert_eq!(said.code, Some(1), "{title}: {}", said.stderr);
        assert!(
            said.stderr.contains("not the name of a file"),
            "{}",
            said.stderr
        );
        assert_eq!(fs::read_dir(own.parent().unwrap()).unwrap().count(), 0);
    }
    // A list that is none is named.
    let proxy = Proxy::new(ground.registry.address, |passed, _| {
        if passed.line.contains("/manifests/sha256-") {
            return Pass::Other(Answer::new("200 OK", "", b"{\"schemaVersion\":2}"));
        }
        Pass::On
    });
    let here = over(&there, ground.registry.address, &proxy);
    for (kind, code, expected) in [
        ("no type", 2, "is not a media type"),
        (SIGNATURE, 1, "cannot read what is attached to"),
    ] {
        let said = ground.rvenv(&["attach", &here, &file, "--type", kind]);
        let said = said.failed(code);
        assert!(said.contains(expected), "{said}");
    }
    let absent = ground.registry.oci("team/web:v9");
    let said = ground.there(&["attached", &absent]).failed(1);
    assert!(said.contains("does not exist"), "{said}");
}

#[test]
fn a_directory_in_the_form_of_a_registry_has_attachments_too() {
    let Some(ground) = ground() else { return };
    ground.plan("p.json", TWO);
    let there = ground.rvenv(&["push", "--sbom", "p.json", "oci:shared:v1"]);
    let there = there.ok().trim().to_owned();
    let file = ground.bench.write("web.sig", "signed\n");
    let words = ["attach", "oci:shared:v1", file.to_str().unwrap(), "--type"];
    ground.rvenv(&[&words[..], &[SIGNATURE]].concat()).ok();
    let all = ground.there(&["attached", &there, "-o", "files"]).ok();
    let kinds: Vec<&str> = all
        .lines()
        .map(|line| line.split_once(' ').unwrap().1)
        .collect();
    assert_eq!(kinds, [SBOM, SIGNATURE]);
    let found = fs::read_to_string(ground.bench.scratch.path("files/web.sig")).unwrap();
    assert_eq!(found, "signed\n");
    ground.there(&["apply", "--no-index", &there]).ok();
}
