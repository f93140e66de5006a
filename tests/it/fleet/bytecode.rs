//! Bytecode in a registry: one machine compiles for all, and a pack that lies is refused.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use rvenv_journal::{Digest, Plan};
use serde_json::Value;
use tar::{Builder, EntryType, Header};

use super::artifacts::{Ground, MANIFEST, TWO, ground};
use crate::registry::{Pass, Proxy, which};
use crate::trees::{Sameness, compare, look};
use crate::wheels::{self, NewWheel};

const BYTECODE: &str = "application/vnd.rvenv.bytecode.v1.tar+gzip";

/// Plans these releases at `E` with bytecode.
pub(super) fn plan(ground: &Ground, file: &str, releases: &[(&str, &str)]) -> Plan {
    let lock = ground.bench.lock("b", releases);
    let python = ground.bench.python.to_str().unwrap();
    let house = ground.bench.house.to_str().unwrap();
    let words = ["plan", "E", "-o", file, "-p", python, "--without-pip"];
    let places = ["--no-index", "--wheelhouse", house, "--compile-bytecode"];
    let lock = ["-r", lock.to_str().unwrap()];
    ground.rvenv(&[&words[..], &places, &lock].concat()).ok();
    Plan::from_json(&fs::read(ground.bench.scratch.path(file)).unwrap()).unwrap()
}

/// A manifest, and its layers of bytecode.
fn layers(ground: &Ground, tag: &str) -> (Value, Vec<Value>) {
    let path = format!("/v2/team/web/manifests/{tag}");
    let answer = ground.registry.get(&path, MANIFEST);
    let manifest: Value = serde_json::from_slice(&answer.body).unwrap();
    let layers = manifest["layers"].as_array().unwrap().iter();
    let bytecode = layers.filter(|layer| layer["mediaType"] == BYTECODE);
    let bytecode = bytecode.cloned().collect();
    (manifest, bytecode)
}

/// How many files of bytecode an environment has.
fn count(ground: &Ground, env: &str) -> usize {
    let tree = look(&ground.bench.scratch.path(env)).unwrap();
    let is_bytecode = |path: &&PathBuf| path.extension().is_some_and(|end| end == "pyc");
    tree.keys().filter(is_bytecode).count()
}

#[test]
fn a_machine_that_may_not_compile_takes_bytecode_out_of_the_registry() {
    let Some(ground) = ground() else { return };
    plan(&ground, "p.json", TWO);
    ground.rvenv(&["apply", "p.json"]).ok();
    let first = look(&ground.env());
    assert!(count(&ground, "E") >= 2);
    let there = ground.push("p.json", &ground.registry.oci("team/web:v1"));
    let (_, bytecode) = layers(&ground, "v1");
    assert_eq!(bytecode.len(), 2);
    let python = fs::read(&ground.bench.python).unwrap();
    let digest = Digest::of(&python).to_string();
    for layer in &bytecode {
        assert_eq!(layer["annotations"]["rvenv.python.sha256"], digest);
    }
    // From another cache, the same bytes.
    let moved = ground.bench.scratch.cache().with_file_name("first-cache");
    fs::rename(ground.bench.scratch.cache(), &moved).unwrap();
    let house = ground.bench.house.to_str().unwrap();
    let tag = ground.registry.oci("team/web:v2");
    let again = ["push", "p.json", &tag, "--no-index", "--wheelhouse", house];
    let refused = ground.rvenv(&again).failed(3);
    assert!(
        refused.contains("there is no bytecode to push"),
        "{refused}"
    );
    let again = [&again[..], &["--compile-bytecode"]].concat();
    assert_eq!(ground.rvenv(&again).ok().trim(), there);
    fs::remove_dir_all(ground.env()).unwrap();
    ground.lose();
    ground.there(&["apply", "--no-index", &there]).ok();
    compare(&first, &look(&ground.env()), Sameness::Alike).unwrap();
    ground.there(&["verify", "E"]).ok();
    ground.there(&["verify", "--against", &there, "E"]).ok();
    // At another path it is the same bytecode, and nothing is compiled either.
    let said = ground.there(&["apply", "-v", "--no-index", &there, "F"]);
    let told = said.stderr.clone();
    said.ok();
    assert!(!told.contains("asking `"), "{told}");
    assert_eq!(count(&ground, "F"), count(&ground, "E"));
    ground.there(&["verify", "--against", &there, "F"]).ok();
    // What was fetched is pushed on, without an interpreter.
    let copied = ground.registry.oci("team/copy:v1");
    let house = ["--from", &ground.registry.oci("team/web"), "--no-index"];
    let words = [&["push", "p.json", &copied][..], &house].concat();
    let copied = ground.there(&words).ok();
    let (_, digest) = there.rsplit_once('@').unwrap();
    assert!(copied.trim().ends_with(digest), "{copied} {there}");
}

#[test]
fn another_version_of_one_wheel_brings_its_own_bytecode_alone() {
    let Some(ground) = ground() else { return };
    let proxy = Proxy::new(ground.registry.address, |_, _| Pass::On);
    plan(&ground, "p.json", TWO);
    let first = ground.push("p.json", &proxy.oci("team/web:v1"));
    ground.there(&["apply", "--no-index", &first]).ok();
    fs::remove_dir_all(ground.env()).unwrap();
    plan(&ground, "q.json", &[("alpha", "2.0"), ("beta", "1.0")]);
    proxy.forget();
    let second = ground.push("q.json", &proxy.oci("team/web:v2"));
    let sent: usize = proxy.seen().iter().map(|passed| passed.sent).sum();
    let (manifest, bytecode) = layers(&ground, "v2");
    let size = |value: &Value| value["size"].as_u64().unwrap();
    let of = |title: &str| {
        let mut all = manifest["layers"].as_array().unwrap().iter();
        let named = "org.opencontainers.image.title";
        all.find(|one| one["annotations"][named] == title)
            .map(size)
            .unwrap()
    };
    let own = of("alpha-2.0-py3-none-any.bytecode");
    assert!(bytecode.iter().any(|layer| size(layer) == own));
    let path = "/v2/team/web/manifests/v2";
    let text = ground.registry.get(path, MANIFEST).body.len() as u64;
    let rest = of("notes.json") + of("alpha-2.0-py3-none-any.whl") + size(&manifest["config"]);
    assert_eq!(sent as u64, text + rest + own);
    ground.there(&["apply", "--no-index", &first]).ok();
    proxy.forget();
    ground.there(&["apply", "--no-index", &second]).ok();
    let received: usize = proxy.seen().iter().map(|passed| passed.received).sum();
    assert_eq!(received as u64, text + rest + own);
}

#[test]
fn bytecode_of_more_than_a_mebibyte_is_pushed_and_taken_too() {
    let Some(ground) = ground() else { return };
    // Each function has a code of its own, many times longer than its text.
    let text = format!("all = [{}]\n", "lambda:0,\n".repeat(11_000));
    let wheel = NewWheel::new("large", "1.0").file("large/__init__.py", &text);
    wheels::write(&ground.bench.python, &ground.bench.house, [wheel]);
    plan(&ground, "p.json", &[("alpha", "1.0"), ("large", "1.0")]);
    let there = ground.push("p.json", &ground.registry.oci("team/web:v1"));
    ground.lose();
    ground.there(&["apply", "--no-index", &there]).ok();
    let is_large = |path: &PathBuf| fs::metadata(ground.env().join(path)).unwrap().len() > 1 << 20;
    let tree = look(&ground.env()).unwrap();
    let is_own = |path: &&PathBuf| path.to_string_lossy().contains("large/__pycache__/");
    assert!(tree.keys().filter(is_own).any(is_large));
    // With other modes, as an ACL gives them, it cannot be linked.
    let shared = ground.bench.scratch.path("shared");
    fs::create_dir(&shared).unwrap();
    let Some(setfacl) = which("setfacl") else {
        return;
    };
    let acl = ["-d", "-m", "u::rwx,g::rwx,o::---"];
    let given = Command::new(setfacl).args(acl).arg(&shared).status();
    assert!(given.unwrap().success());
    ground
        .there(&["apply", "--no-index", &there, "shared/E"])
        .ok();
    ground.there(&["verify", "shared/E"]).ok();
    // What was taken is pushed on in the same bytes.
    let copied = [
        "push",
        "p.json",
        &ground.registry.oci("team/copy:v1"),
        "--no-index",
    ];
    let from = ["--from", &ground.registry.oci("team/web")];
    let copied = ground.there(&[&copied[..], &from].concat()).ok();
    let (_, digest) = there.rsplit_once('@').unwrap();
    assert!(copied.trim().ends_with(digest), "{copied} {there}");
}

/// A member of a hostile pack.
struct Member {
    name: String,
    kind: EntryType,
    bytes: Vec<u8>,
}

fn member(name: &str, bytes: &[u8]) -> Member {
    Member {
        name: name.to_owned(),
        kind: EntryType::Regular,
        bytes: bytes.to_vec(),
    }
}

fn packed(members: &[Member]) -> Vec<u8> {
    let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for Member { name, kind, bytes } in members {
        let mut header = Header::new_ustar();
        let raw = header.as_old_mut();
        raw.name[..name.len()].copy_from_slice(name.as_bytes());
        if *kind == EntryType::Symlink {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_size(bytes.len() as u64);
        header.set_entry_type(*kind);
        header.set_cksum();
        builder.append(&header, bytes.as_slice()).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

fn unpacked(pack: &[u8]) -> Vec<Member> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(pack));
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            member(&name, &bytes)
        })
        .collect()
}

/// Packs that lie, made of a real one, and what is said of each.
fn lies(pack: &[u8], other: &[u8]) -> Vec<(Vec<u8>, &'static str)> {
    let with = |change: &dyn Fn(&mut Vec<Member>)| {
        let mut members = unpacked(pack);
        change(&mut members);
        packed(&members)
    };
    let bomb = {
        let mut zip = GzEncoder::new(Vec::new(), Compression::best());
        let zeros = vec![0; 1 << 20];
        (0..64).for_each(|_| zip.write_all(&zeros).unwrap());
        zip.finish().unwrap()
    };
    vec![
        (b"nothing".to_vec(), "it cannot be unpacked"),
        (pack[..pack.len() / 2].to_vec(), "it cannot be unpacked"),
        (bomb, "its index is not that of the bytecode"),
        (packed(&[]), "its index is not that of the bytecode"),
        (other.to_vec(), "its index is not that of the bytecode"),
        (
            with(&|all| all.swap(0, 1)),
            "it has a member that does not belong there",
        ),
        (with(&|all| all[1].bytes[20] ^= 1), "has other bytes"),
        (
            with(&|all| all[1].bytes.extend(b"x")),
            "it has a member that does not belong there",
        ),
        (
            with(&|all| all[1].bytes = vec![0; 64 << 20]),
            "it has a member that does not belong there",
        ),
        (
            with(&|all| all[1].kind = EntryType::Symlink),
            "it has a member that does not belong there",
        ),
        (
            with(&|all| all[1].name = "../../x".into()),
            "it has a member that does not belong there: `../../x`",
        ),
        (
            with(&|all| all[1].name = "/tmp/x".into()),
            "it has a member that does not belong there: `/tmp/x`",
        ),
        (with(&|all| drop(all.pop())), "it lacks the bytecode"),
        (
            with(&|all| all.push(member("more", b""))),
            "it has a member that does not belong there: `more`",
        ),
        (
            with(&|all| all[0].bytes[40] ^= 1),
            "its index is not that of the bytecode",
        ),
    ]
}

#[test]
fn a_pack_that_lies_is_refused_and_nothing_is_written() {
    let Some(ground) = ground() else { return };
    plan(&ground, "p.json", TWO);
    let there = ground.push("p.json", &ground.registry.oci("team/web:v1"));
    let (manifest, bytecode) = layers(&ground, "v1");
    let bytes = |layer: &Value| {
        let digest = layer["digest"]
            .as_str()
            .unwrap()
            .trim_start_matches("sha256:");
        fs::read(ground.registry.blob_file(Digest::parse(digest).unwrap())).unwrap()
    };
    let (pack, other) = (bytes(&bytecode[0]), bytes(&bytecode[1]));
    let at = manifest["layers"].as_array().unwrap().iter();
    let at = at.clone().position(|layer| *layer == bytecode[0]).unwrap();
    let packs = || {
        let packs = ground
            .bench
            .scratch
            .cache()
            .with_file_name("other-cache/packs");
        fs::read_dir(packs).map_or(0, Iterator::count)
    };
    for (lie, expected) in lies(&pack, &other) {
        let digest = ground.registry.put_blob("team/web", &lie);
        let mut lying = manifest.clone();
        lying["layers"][at]["digest"] = format!("sha256:{digest}").into();
        lying["layers"][at]["size"] = lie.len().into();
        let text = lying.to_string();
        ground
            .registry
            .put_manifest("team/web", MANIFEST, text.as_bytes());
        let digest = Digest::of(text.as_bytes());
        let lying = ground.registry.oci(&format!("team/web@sha256:{digest}"));
        let refused = ground.there(&["apply", "--no-index", &lying]).failed(1);
        assert!(refused.contains(expected), "{expected}: {refused}");
        assert!(refused.contains("the bytecode of `alpha-1.0"), "{refused}");
        assert!(!ground.env().exists());
        assert_eq!(packs(), 0);
    }
    ground.there(&["apply", "--no-index", &there]).ok();
}

#[test]
fn bytecode_from_a_registry_decides_nothing_for_later_plans_of_the_machine() {
    let Some(ground) = ground() else { return };
    plan(&ground, "p.json", TWO);
    let there = ground.push("p.json", &ground.registry.oci("team/web:v1"));
    ground.there(&["apply", "--no-index", &there]).ok();
    let house = ground.bench.house.to_str().unwrap();
    let python = ground.bench.python.to_str().unwrap();
    let lock = ground.bench.lock("b", TWO);
    let words = [
        "create",
        "G",
        "-v",
        "-p",
        python,
        "--without-pip",
        "--no-index",
    ];
    let more = [
        "--compile-bytecode",
        "-r",
        lock.to_str().unwrap(),
        "--wheelhouse",
        house,
    ];
    let index = ground
        .bench
        .scratch
        .cache()
        .with_file_name("other-cache/bytecode");
    let kept = || fs::read_dir(&index).unwrap().count();
    // One index for each wheel, under the names of what came from elsewhere.
    assert_eq!(kept(), 2);
    ground.there(&[&words[..], &more].concat()).ok();
    assert_eq!(kept(), 4);
    assert_eq!(count(&ground, "G"), count(&ground, "E"));
}
