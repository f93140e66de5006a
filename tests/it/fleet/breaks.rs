//! A registry that breaks under `push` and `apply`: it is killed in the middle of a blob, its disk
//! is full, its storage is damaged, it lies about sizes, asks for patience or sends the client
//! elsewhere. What is refused names what is wrong, and nothing is written.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::artifacts::{Ground, MANIFEST, TWO, ground};
use super::bytecode;
use super::pushes::enlarge;
use crate::mounts::is_among_mounts;
use crate::registry::{Answer, Pass, Proxy, Setup, registry_of};
use crate::relay::Relay;
use crate::server::{Server, empty};

/// Kills the registry once half of a large wheel has arrived, and starts it again at once.
#[test]
fn a_registry_that_is_killed_while_it_sends_goes_on_where_it_broke() {
    let Some(ground) = ground() else { return };
    let digest = enlarge(&ground.bench, "alpha", 24);
    ground.plan("p.json", &[("alpha", "1.0")]);
    let there = ground.push("p.json", &ground.registry.oci("team/web:v1"));
    let len = fs::metadata(ground.registry.blob_file(digest))
        .unwrap()
        .len();
    let Ground { bench, registry } = ground;
    let address = registry.address;
    let path = format!("/v2/team/web/blobs/sha256:{digest}");
    let registry = Arc::new(Mutex::new(registry));
    let (killed, wanted) = (Arc::clone(&registry), path.clone());
    let was_killed = AtomicBool::new(false);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let relay = Relay::new(listener, address, move |stretch| {
        let is_half = stretch.path == wanted && stretch.len >= 1 << 20;
        if is_half && !was_killed.swap(true, Ordering::SeqCst) {
            let mut registry = killed.lock().unwrap();
            registry.kill();
            registry.start_again();
        }
    });
    let Some(other) = registry_of(Setup::default()) else {
        return;
    };
    let ground = Ground {
        bench,
        registry: other,
    };
    let there = there.replace(&address.to_string(), &relay.address.to_string());
    ground.there(&["apply", "--no-index", &there]).ok();
    ground.there(&["verify", "--against", &there, "E"]).ok();
    let all = relay.passed();
    let of_it: Vec<_> = all.iter().filter(|stretch| stretch.path == path).collect();
    assert!(of_it.len() > 1, "{of_it:?}");
    // Each continues where the one before it broke: no byte was fetched twice.
    let mut end = 0;
    for stretch in &of_it {
        assert_eq!(stretch.start, end, "{of_it:?}");
        end += stretch.len;
    }
    assert_eq!(end, len, "{of_it:?}");
}

/// Kills the registry between two pieces of a large wheel, and starts it again at once.
#[test]
fn a_registry_that_is_killed_during_an_upload_gets_only_what_it_lacks() {
    let (Some(ground), Some(killed)) = (ground(), registry_of(Setup::default())) else {
        return;
    };
    let digest = enlarge(&ground.bench, "alpha", 17);
    let (address, storage) = (killed.address, killed.storage.clone());
    let (killed, pieces) = (Mutex::new(killed), AtomicUsize::new(0));
    let proxy = Proxy::refusing(address, move |line| {
        let is_second = line.starts_with("PATCH ") && pieces.fetch_add(1, Ordering::SeqCst) == 1;
        if is_second {
            let mut registry = killed.lock().unwrap();
            registry.kill();
            registry.start_again();
        }
        is_second
    });
    ground.plan("p.json", &[("alpha", "1.0")]);
    let there = ground.push("p.json", &proxy.oci("team/web:v1"));
    let digits = digest.to_string();
    let file = storage.join(format!(
        "docker/registry/v2/blobs/sha256/{}/{digits}/data",
        &digits[..2]
    ));
    let len = fs::metadata(file).unwrap().len();
    let seen = proxy.seen();
    let of_it = seen.iter().filter(|one| one.sent > 1 << 20);
    let sent: usize = of_it.map(|one| one.sent).sum();
    assert_eq!(sent as u64, len, "{seen:?}");
    ground.there(&["apply", "--no-index", &there]).ok();
}

/// The disk of the registry is a filesystem of two MiB in memory.
#[test]
fn a_registry_whose_disk_is_full_keeps_its_tags_and_takes_the_rest_later() {
    let name = "a_registry_whose_disk_is_full_keeps_its_tags_and_takes_the_rest_later";
    if !is_among_mounts(module_path!(), name) {
        return;
    }
    let disk = tempfile::tempdir().unwrap();
    let mount = |options: &str| {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "none"]);
        assert!(mount.arg(disk.path()).status().unwrap().success());
    };
    mount("size=2m");
    let setup = Setup {
        storage: Some(disk.path().join("storage")),
        ..Setup::default()
    };
    let (Some(full), Some(ground)) = (registry_of(setup), ground()) else {
        return;
    };
    let to = full.oci("team/web:v1");
    ground.plan("q.json", &[("beta", "1.0")]);
    let first = ground.push("q.json", &to);
    enlarge(&ground.bench, "alpha", 3);
    ground.plan("p.json", TWO);
    let said = ground.rvenv(&["push", "p.json", &to]).failed(1);
    // All are sent at once: what there is no room for may be any of them.
    assert!(said.contains("cannot send `"), "{said}");
    assert!(said.contains("status 500"), "{said}");
    assert!(said.contains("its disk is full"), "{said}");
    assert!(
        said.contains("what was named there names the same"),
        "{said}"
    );
    // The tag is what it was, and can be applied.
    let dry = ground.there(&["apply", "--dry-run", "--no-index", &to]);
    assert!(dry.stderr.contains(&first), "{}", dry.stderr);
    dry.ok();
    mount("remount,size=64m");
    let second = ground.push("p.json", &to);
    ground.there(&["apply", "--no-index", &second]).ok();
}

#[test]
fn a_flipped_byte_in_the_registry_is_refused_wherever_it_is() {
    let Some(ground) = ground() else { return };
    ground.plan("p.json", TWO);
    let there = ground.push("p.json", &ground.registry.oci("team/web:v1"));
    // A plan with bytecode is fetched, not made.
    let compiled = bytecode::plan(&ground, "q.json", TWO);
    let with_bytecode = ground.push("q.json", &ground.registry.oci("team/web:v2"));
    let answer = ground.registry.get("/v2/team/web/manifests/v1", MANIFEST);
    let manifest: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let digest = |blob: &serde_json::Value| {
        let digest = blob["digest"].as_str().unwrap();
        let digits = digest.strip_prefix("sha256:").unwrap();
        rvenv_journal::Digest::parse(digits).unwrap()
    };
    let (notes, wheel) = (&manifest["layers"][0], &manifest["layers"][2]);
    let blobs = [
        (&with_bytecode, compiled.digest(), "plan.json"),
        (&there, digest(notes), "notes.json"),
        (&there, digest(wheel), "beta-1.0-py3-none-any.whl"),
        (&there, rvenv_journal::Digest::of(&answer.body), "sha256:"),
    ];
    for (there, blob, name) in blobs {
        let file = ground.registry.blob_file(blob);
        let right = fs::read(&file).unwrap();
        let mut wrong = right.clone();
        let middle = wrong.len() / 2;
        wrong[middle] ^= 1;
        fs::write(&file, &wrong).unwrap();
        ground.there(&["cache", "clear"]).ok();
        let said = ground.there(&["apply", "--no-index", there]);
        assert!(matches!(said.code, Some(1 | 3)), "{name}: {}", said.stderr);
        assert!(said.stderr.contains(name), "{name}: {}", said.stderr);
        let found = rvenv_journal::Digest::of(&wrong).to_string();
        assert!(said.stderr.contains(&found), "{name}: {}", said.stderr);
        assert!(!ground.env().exists());
        fs::write(&file, &right).unwrap();
    }
    // Nothing of it stayed in the cache.
    ground.there(&["apply", "--no-index", &there]).ok();
}

#[test]
fn a_registry_that_lies_about_sizes_is_refused_before_anything_is_written() {
    let Some(ground) = ground() else { return };
    // A plan with bytecode is fetched, not made.
    bytecode::plan(&ground, "p.json", TWO);
    ground.push("p.json", &ground.registry.oci("team/web:v1"));
    let answer = ground.registry.get("/v2/team/web/manifests/v1", MANIFEST);
    let manifest: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let size = |blob: &serde_json::Value| blob["size"].as_u64().unwrap();
    let sizes = [
        size(&manifest["config"]),
        size(&manifest["layers"][0]),
        size(&manifest["layers"][1]),
    ];
    for right in sizes {
        for (wrong, expected) in [
            (right - 1, format!("has {right} bytes, not {}", right - 1)),
            (right + 1, format!("has {right} bytes, not {}", right + 1)),
            (1 << 60, "it names a blob of".to_owned()),
        ] {
            let (from, to) = (format!("\"size\":{right}"), format!("\"size\":{wrong}"));
            let body = String::from_utf8(answer.body.clone()).unwrap();
            let body = body.replace(&from, &to);
            let proxy = Proxy::new(ground.registry.address, move |passed, _| {
                if passed.is("GET", "/manifests/") {
                    Pass::Other(Answer::new("200 OK", "", body.as_bytes()))
                } else {
                    Pass::On
                }
            });
            let tag = proxy.oci("team/web:v1");
            let said = ground.there(&["cache", "pull", &tag]);
            let applied = ground.there(&["apply", "--no-index", &tag]);
            let said = [said, applied]
                .into_iter()
                .find(|said| said.code != Some(0));
            let said = said.unwrap_or_else(|| panic!("{right} as {wrong} was believed"));
            assert!(
                said.stderr.contains(&expected),
                "{expected}: {}",
                said.stderr
            );
            ground.there(&["cache", "clear"]).ok();
        }
    }
}

#[test]
fn a_push_that_is_asked_for_patience_waits_at_every_request() {
    let Some(ground) = ground() else { return };
    ground.plan("p.json", TWO);
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&asked);
    let proxy = Proxy::new(ground.registry.address, move |passed, _| {
        // Each method once; a refused upload is not in the registry.
        let method = passed.line.split(' ').next().unwrap().to_owned();
        let mut seen = seen.lock().unwrap();
        if method == "PUT" && passed.is("PUT", "/blobs/") || seen.contains(&method) {
            return Pass::On;
        }
        seen.push(method);
        let wait = "Retry-After: 1\r\n";
        Pass::Other(Answer::new("429 Too Many Requests", wait, b""))
    });
    let there = ground.push("p.json", &proxy.oci("team/web:v1"));
    assert_eq!(asked.lock().unwrap().len(), 3, "{asked:?}");
    ground.there(&["apply", "--no-index", &there]).ok();
    assert!(asked.lock().unwrap().contains(&"GET".to_owned()));
}

#[test]
fn a_registry_that_is_always_busy_is_named_with_the_way_out() {
    let Some(ground) = ground() else { return };
    ground.plan("p.json", TWO);
    let times = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&times);
    let proxy = Proxy::new(ground.registry.address, move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        Pass::Other(Answer::new("503 Busy", "", b""))
    });
    let tag = proxy.oci("team/web:v1");
    let said = ground.there(&["apply", "--no-index", &tag]).failed(1);
    assert!(said.contains("status 503"), "{said}");
    assert!(said.contains("hint: the registry is busy"), "{said}");
    // PIP_RETRIES of these tests, and the first attempt.
    assert_eq!(times.load(Ordering::SeqCst), 3);
    assert!(!ground.env().exists());
}

#[test]
fn an_upload_goes_nowhere_but_to_the_registry() {
    let Some(ground) = ground() else { return };
    ground.plan("p.json", TWO);
    let elsewhere = Server::new(|_, stream| empty(stream, "201 Created"));
    let other = elsewhere.url("/v2/team/web/blobs/uploads/1");
    let proxy = Proxy::new(ground.registry.address, move |passed, _| {
        if passed.is("POST", "/uploads/") {
            let to = format!("Location: {other}\r\n");
            return Pass::Other(Answer::new("202 Accepted", &to, b""));
        }
        Pass::On
    });
    let said = ground.rvenv(&["push", "p.json", &proxy.oci("team/web:v1")]);
    let said = said.failed(1);
    assert!(said.contains(&elsewhere.address.to_string()), "{said}");
    assert!(elsewhere.seen().is_empty());
}

#[test]
fn a_read_only_registry_gives_what_it_has() {
    let Some(ground) = ground() else { return };
    ground.plan("p.json", TWO);
    let there = ground.push("p.json", &ground.registry.oci("team/web:v1"));
    let setup = Setup {
        more: "  maintenance:\n    readonly:\n      enabled: true",
        storage: Some(ground.registry.storage.clone()),
        ..Setup::default()
    };
    let Some(closed) = registry_of(setup) else {
        return;
    };
    let there = there.replace(
        &ground.registry.address.to_string(),
        &closed.address.to_string(),
    );
    ground.there(&["apply", "--no-index", &there]).ok();
    // What is there already is named, and its tag is not.
    let said = ground.rvenv(&["push", "p.json", &closed.oci("team/web:v2")]);
    let said = said.failed(1);
    assert!(said.contains("cannot write the manifest"), "{said}");
    assert!(said.contains("hint: the registry takes nothing"), "{said}");
}
