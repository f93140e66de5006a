//! What a push sends: what is missing, once, and the name of it last; and what a registry that
//! refuses, breaks or lies leaves.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rvenv_journal::Digest;

use super::artifacts::{Ground, MANIFEST, TWO, ground};
use crate::behaviour::locks::Bench;
use crate::behaviour::schemas::fitting;
use crate::registry::{Answer, Pass, Passed, Proxy, registry_with};

#[test]
fn only_what_the_registry_lacks_goes_over_the_wire() {
    let Some(ground) = ground() else { return };
    let proxy = Proxy::new(ground.registry.address, |_, _| Pass::On);
    ground.plan("p.json", TWO);
    let first = ground.push("p.json", &proxy.oci("team/web:v1"));
    ground.there(&["apply", "--no-index", &first]).ok();
    fs::remove_dir_all(ground.env()).unwrap();
    ground.plan("q.json", &[("alpha", "2.0"), ("beta", "1.0")]);
    proxy.forget();
    let second = ground.push("q.json", &proxy.oci("team/web:v2"));
    let sent: usize = proxy.seen().iter().map(|passed| passed.sent).sum();
    let (file, digest) = ground.bench.wheel("alpha", "2.0");
    let wheel = fs::metadata(ground.bench.house.join(file)).unwrap().len();
    let answer = ground.registry.get("/v2/team/web/manifests/v2", MANIFEST);
    let manifest: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let config = manifest["config"]["size"].as_u64().unwrap();
    let notes = manifest["layers"][0]["size"].as_u64().unwrap();
    let expected = wheel + config + notes + answer.body.len() as u64;
    assert_eq!(sent as u64, expected);
    // The other machine fetches the same but for the plan, which it makes, and keeps what it had.
    ground.there(&["apply", "--no-index", &first]).ok();
    proxy.forget();
    ground.there(&["apply", "--no-index", &second]).ok();
    let seen = proxy.seen();
    let received: usize = seen.iter().map(|passed| passed.received).sum();
    assert_eq!(received as u64, expected - config, "{seen:?}");
    let wheels: Vec<_> = seen.iter().filter(|one| one.is("GET", &digest)).collect();
    assert_eq!(wheels.len(), 1);
    assert!(installed(&ground).contains("alpha-2.0.dist-info"));
    ground.there(&["rollback", "E"]).ok();
    assert!(installed(&ground).contains("alpha-1.0.dist-info"));
}

/// The names in `site-packages`.
fn installed(ground: &Ground) -> String {
    let names = fs::read_dir(ground.bench.site()).unwrap();
    let names = names.map(|name| name.unwrap().file_name().into_string().unwrap());
    names.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_repository_of_the_same_registry_gives_what_it_has() {
    let Some(ground) = ground() else { return };
    let proxy = Proxy::new(ground.registry.address, |_, _| Pass::On);
    ground.plan("p.json", TWO);
    ground.push("p.json", &proxy.oci("team/wheels:v1"));
    proxy.forget();
    let from = proxy.oci("team/wheels");
    let words = ["push", "p.json", &proxy.oci("team/web:v1"), "--from", &from];
    let done = ground.rvenv(&words);
    let told = done.stderr.clone();
    done.ok();
    assert!(told.contains("4 from another repository"), "{told}");
    let seen = proxy.seen();
    let is_blob = |one: &&Passed| one.is("PUT", "/blobs/");
    assert_eq!(seen.iter().filter(is_blob).count(), 0, "{seen:?}");
}

#[test]
fn two_pushers_of_one_tag_leave_one_of_both() {
    let Some(ground) = ground() else { return };
    ground.plan("p.json", TWO);
    ground.plan("q.json", &[("alpha", "2.0")]);
    let tag = ground.registry.oci("team/web:v1");
    let both: Vec<String> = std::thread::scope(|scope| {
        let push = |file| {
            let (ground, tag) = (&ground, &tag);
            scope.spawn(move || ground.push(file, tag))
        };
        let threads = ["p.json", "q.json"].map(push);
        threads.map(|thread| thread.join().unwrap()).into()
    });
    let answer = ground.registry.get("/v2/team/web/manifests/v1", MANIFEST);
    let found = Digest::of(&answer.body).to_string();
    assert!(both.iter().any(|one| one.ends_with(&found)), "{both:?}");
    // Each is there by its digest.
    for there in both {
        ground.there(&["apply", "--dry-run", &there]).ok();
    }
}

/// Adds so many MiB that cannot be compressed to the wheel of a package: from more than 8 on, it is
/// sent in several pieces.
pub(super) fn enlarge(bench: &Bench, name: &str, more: usize) -> Digest {
    let file = bench.house.join(format!("{name}-1.0-py3-none-any.whl"));
    let code = "import base64, hashlib, os, sys, zipfile\n\
                old = zipfile.ZipFile(sys.argv[1])\n\
                files = {one.filename: old.read(one) for one in old.infolist()}\n\
                more = b'#' + os.urandom(int(sys.argv[2]) << 20).replace(b'\\n', b' ')\n\
                files['alpha/large.bin'] = more\n\
                digest = base64.urlsafe_b64encode(hashlib.sha256(more).digest()).rstrip(b'=')\n\
                record = next(name for name in files if name.endswith('/RECORD'))\n\
                row = 'alpha/large.bin,sha256=%s,%d\\n' % (digest.decode(), len(more))\n\
                files[record] += row.encode()\n\
                new = zipfile.ZipFile(sys.argv[1], 'w')\n\
                [new.writestr(name, files[name]) for name in files]\n\
                new.close()\n";
    let mut python = Command::new(&bench.python);
    python.args(["-c", code]).arg(&file).arg(more.to_string());
    assert!(python.status().unwrap().success());
    Digest::of(&fs::read(&file).unwrap())
}

#[test]
fn an_upload_that_breaks_goes_on_where_the_registry_has_it() {
    let Some(ground) = ground() else { return };
    let digest = enlarge(&ground.bench, "alpha", 20);
    let pieces = AtomicUsize::new(0);
    let proxy = Proxy::refusing(ground.registry.address, move |line| {
        // The second piece does not arrive.
        line.starts_with("PATCH ") && pieces.fetch_add(1, Ordering::SeqCst) == 1
    });
    ground.plan("p.json", &[("alpha", "1.0")]);
    ground.push("p.json", &proxy.oci("team/web:v1"));
    let seen = proxy.seen();
    let len = fs::metadata(ground.registry.blob_file(digest))
        .unwrap()
        .len();
    let of_it = seen.iter().filter(|one| one.sent > 1 << 20);
    let sent: usize = of_it.map(|one| one.sent).sum();
    assert_eq!(sent as u64, len, "no byte is sent twice");
}

/// docker-registry forgets an upload of which an answer was lost.
#[test]
fn an_upload_that_the_registry_forgets_begins_again() {
    let Some(ground) = ground() else { return };
    let digest = enlarge(&ground.bench, "alpha", 20);
    let broke = AtomicBool::new(false);
    let proxy = Proxy::new(ground.registry.address, move |passed, _| {
        if passed.is("PATCH", "/blobs/uploads/") && !broke.swap(true, Ordering::SeqCst) {
            return Pass::Broken;
        }
        Pass::On
    });
    ground.plan("p.json", &[("alpha", "1.0")]);
    let there = ground.push("p.json", &proxy.oci("team/web:v1"));
    let bytes = fs::read(ground.registry.blob_file(digest)).unwrap();
    assert_eq!(Digest::of(&bytes), digest);
    ground.there(&["apply", "--no-index", &there]).ok();
}

#[test]
fn a_registry_that_takes_nothing_says_why_and_the_tag_stays() {
    let Some(ground) = ground() else { return };
    ground.plan("p.json", TWO);
    let more = "  maintenance:\n    readonly:\n      enabled: true";
    let Some(closed) = registry_with(more) else {
        return;
    };
    let to = closed.oci("team/web:v1");
    let said = ground.rvenv(&["push", "p.json", &to]).failed(1);
    assert!(said.contains("status 405"), "{said}");
    assert!(
        said.contains("what was named there names the same"),
        "{said}"
    );
    // A disk that is full, and sizes that are wrong.
    for (repository, answer, expected) in [
        (
            "team/one",
            Answer::new("500 Internal Server Error", "", b"{}"),
            "status 500",
        ),
        (
            "team/two",
            Answer::new("507 Insufficient Storage", "", b"{}"),
            "status 507",
        ),
        (
            "team/three",
            Answer::new("200 OK", "", b"abc"),
            "has 3 bytes, not",
        ),
    ] {
        let proxy = Proxy::new(ground.registry.address, move |passed, _| {
            let is_size = answer.status == 200 && passed.is("HEAD", "/blobs/");
            let is_full = answer.status != 200 && passed.is("PUT", "/blobs/");
            if is_size {
                let mut answer = answer.clone();
                answer.body.clear();
                Pass::Other(answer)
            } else if is_full {
                Pass::Other(answer.clone())
            } else {
                Pass::On
            }
        });
        let to = proxy.oci(&format!("{repository}:v1"));
        let said = ground.rvenv(&["push", "p.json", &to]).failed(1);
        assert!(said.contains(expected), "{said}");
        let path = format!("/v2/{repository}/manifests/v1");
        assert_eq!(ground.registry.get(&path, MANIFEST).status, 404);
    }
}

#[test]
fn the_cache_is_pushed_and_another_machine_pulls_it() {
    let Some(ground) = ground() else { return };
    let lock = ground.bench.lock("a", TWO);
    let python = ground.bench.python.to_str().unwrap();
    let create = ["create", "E", "--without-pip", "--no-index", "-p", python];
    let create = [&create[..], &["-r", lock.to_str().unwrap()]].concat();
    let to = ground.registry.oci("team/cache:v1");
    let said = ground.rvenv(&["cache", "push", &to]).failed(1);
    assert!(said.contains("no wheel"), "{said}");
    for file in fs::read_dir(&ground.bench.house).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        ground.registry.put_blob("team/first", &bytes);
    }
    let from = ground.registry.oci("team/first");
    ground
        .rvenv(&[&create[..], &["--from", &from]].concat())
        .ok();
    let words = ["cache", "push", "--json", &to];
    let pushed = fitting("push", &words, &ground.rvenv(&words));
    let there = pushed["reference"].as_str().unwrap();
    ground.lose();
    fs::remove_dir_all(ground.env()).unwrap();
    let words = ["cache", "pull", "--json", there];
    let pulled = fitting("cache-pull", &words, &ground.there(&words));
    assert_eq!(pulled["reference"], there);
    assert_eq!(ground.there(&["cache", "pull", &to]).ok().trim(), there);
    // Without a place that has them.
    ground.there(&create).ok();
}
