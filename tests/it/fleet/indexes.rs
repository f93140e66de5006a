//! One tag for several systems and Pythons: what the index has, which environment a machine takes,
//! and what an index that lies meets.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rvenv_journal::Digest;
use serde_json::{Value, json};

use super::artifacts::{Ground, MANIFEST, TWO, ground};
use crate::behaviour::schemas::fitting;
use crate::packages::builds;
use crate::registry::{Answer, Pass, Proxy, which};

/// The platform of this machine, in the words of OCI.
const HERE: &str = if cfg!(target_arch = "aarch64") {
    "linux/arm64"
} else {
    "linux/amd64"
};
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const ENVIRONMENT: &str = "application/vnd.rvenv.environment.v1+json";

/// A registry, and the plans `old.json` and `new.json` for two Pythons of this machine.
pub(super) struct Two {
    pub(super) ground: Ground,
    /// Their minor versions, the older first.
    minors: [u32; 2],
}

pub(super) fn two() -> Option<Two> {
    let mut ground = ground()?;
    let minors = [11, 12];
    for (minor, file) in minors.into_iter().zip(["old.json", "new.json"]) {
        ground.bench.python = builds(minor, 1)?.remove(0).path;
        ground.plan(file, TWO);
    }
    Some(Two { ground, minors })
}

impl Two {
    /// Pushes `new.json` as a machine of another system would, and returns the reference.
    fn push_foreign(&self) -> String {
        self.push_changed(HERE, "linux/s390x")
    }

    /// Pushes `new.json` with another note.
    fn push_changed(&self, from: &str, to: &str) -> String {
        let path = |name: &str| self.ground.bench.scratch.path(name);
        let mut plan: Value = serde_json::from_slice(&fs::read(path("new.json")).unwrap()).unwrap();
        let note = plan["request"].to_string();
        assert!(note.contains(from), "{note}");
        plan["request"] = serde_json::from_str(&note.replace(from, to)).unwrap();
        fs::write(path("foreign.json"), plan.to_string()).unwrap();
        self.ground
            .push("foreign.json", &self.ground.registry.oci("team/web"))
    }

    fn tag(&self) -> String {
        self.ground.registry.oci("team/web:v1")
    }

    /// Pushes both, and the one of another system.
    fn push(&self) -> String {
        let foreign = self.push_foreign();
        let words = ["push", "new.json", &foreign, "old.json", &self.tag()];
        self.ground.rvenv(&words).ok().trim().to_owned()
    }

    fn index(&self) -> Value {
        let answer = self.ground.registry.get("/v2/team/web/manifests/v1", INDEX);
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// The version in the `pyvenv.cfg` of an environment.
    fn minor_of(&self, env: &str) -> u32 {
        let config = self.ground.bench.scratch.path(env).join("pyvenv.cfg");
        let config = fs::read_to_string(config).unwrap();
        let (_, version) = config.split_once("version = 3.").unwrap();
        version.split('.').next().unwrap().parse().unwrap()
    }
}

#[test]
fn an_index_lists_each_environment_with_what_it_demands() {
    let Some(two) = two() else { return };
    let there = two.push();
    let answer = two.ground.registry.get("/v2/team/web/manifests/v1", INDEX);
    let digest = Digest::of(&answer.body).to_string();
    assert!(there.ends_with(&format!("@sha256:{digest}")), "{there}");
    let index = two.index();
    assert_eq!(index["mediaType"], INDEX);
    assert_eq!(index["artifactType"], ENVIRONMENT);
    let listed: Vec<String> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            assert_eq!(entry["mediaType"], MANIFEST);
            let own = &entry["annotations"];
            format!(
                "{}/{} {} {}",
                entry["platform"]["os"].as_str().unwrap(),
                entry["platform"]["architecture"].as_str().unwrap(),
                own["rvenv.libc"].as_str().unwrap(),
                own["rvenv.python.release"].as_str().unwrap()
            )
        })
        .collect();
    let [old, new] = two.minors.map(|minor| format!("cpython 3.{minor}."));
    assert_eq!(listed.len(), 3);
    assert!(
        listed[0].starts_with(&format!("{HERE} glibc {old}")),
        "{listed:?}"
    );
    assert!(
        listed[1].starts_with(&format!("{HERE} glibc {new}")),
        "{listed:?}"
    );
    assert!(
        listed[2].starts_with(&format!("linux/s390x glibc {new}")),
        "{listed:?}"
    );
    // Each manifest is there by its digest, with the length that is listed.
    for entry in index["manifests"].as_array().unwrap() {
        let path = format!(
            "/v2/team/web/manifests/{}",
            entry["digest"].as_str().unwrap()
        );
        let manifest = two.ground.registry.get(&path, MANIFEST);
        assert_eq!(manifest.body.len() as u64, entry["size"].as_u64().unwrap());
    }
    // The same set has the same digest, in whatever order and from wherever it is pushed.
    let digests = index["manifests"].as_array().unwrap().iter().map(|entry| {
        let digest = entry["digest"].as_str().unwrap();
        format!("{}@{digest}", two.ground.registry.oci("team/web"))
    });
    let mut words = vec!["push".to_owned(), "--json".to_owned()];
    words.extend(digests.collect::<Vec<_>>().into_iter().rev());
    words.extend([
        "old.json".to_owned(),
        two.ground.registry.oci("team/web:v2"),
    ]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let again = fitting("push", &words, &two.ground.rvenv(&words));
    assert!(again["reference"].as_str().unwrap().ends_with(&digest));
    assert_eq!(again["environments"].as_array().unwrap().len(), 3);
    // One alone gets another tag.
    let words = ["push", &there, &two.ground.registry.oci("team/web:stable")];
    let said = two.ground.rvenv(&words);
    assert!(said.stderr.contains("names it now"), "{}", said.stderr);
    assert_eq!(said.ok().trim(), there);
    let stable = two
        .ground
        .registry
        .get("/v2/team/web/manifests/stable", INDEX);
    assert_eq!(stable.body, answer.body);
}

#[test]
fn a_machine_takes_the_environment_that_is_for_it() {
    let Some(two) = two() else { return };
    let there = two.push();
    two.ground.lose();
    let ground = &two.ground;
    let apply = ["apply", "--no-index", &two.tag()];
    let told = |more: &[&str]| {
        let said = ground.there(&[&apply[..], more].concat());
        let told = said.stderr.clone();
        said.ok();
        told
    };
    // Two fit: neither is guessed.
    let refused = ground.there(&apply).failed(3);
    assert!(
        refused.contains("2 of its environments are for this machine"),
        "{refused}"
    );
    assert!(
        refused.contains("cpython 3.11.") && refused.contains("cpython 3.12."),
        "{refused}"
    );
    assert!(!refused.contains("s390x"), "{refused}");
    assert!(!ground.env().exists());
    for minor in two.minors {
        let python = format!("3.{minor}");
        let told = told(&["--python", &python]);
        assert!(
            told.contains(&format!("`{}` is `{there}`", two.tag())),
            "{told}"
        );
        assert!(told.contains("For this machine it has"), "{told}");
        assert_eq!(two.minor_of("E"), minor);
        // What the environment has decides which one it is compared with.
        let words = ["verify", "--json", "--against", &two.tag(), "E"];
        let proof = fitting("verify-against", &words, &ground.there(&words));
        assert_eq!(proof["proved"], true);
        assert_eq!(proof["index"], there);
        assert_ne!(proof["reference"], there);
    }
    // The digest of the index pins too, and another path is no matter.
    let (_, digest) = there.rsplit_once("@sha256:").unwrap();
    told(&["--python", "3.11", "--digest", digest, "F"]);
    assert_eq!(two.minor_of("F"), 11);
    let words = ["cache", "pull", "--json", "--python", "3.12", &two.tag()];
    let pulled = fitting("cache-pull", &words, &ground.there(&words));
    assert_eq!(pulled["wheels"].as_array().unwrap().len(), 2);
    assert_eq!(pulled["index"], there);
    // Where there is nothing to choose, nothing is chosen.
    let one = pulled["reference"].as_str().unwrap();
    let words = ["apply", "--no-index", "--python", "3.12", one];
    assert!(
        ground
            .there(&words)
            .failed(2)
            .contains("leave out `--python`")
    );
}

#[test]
fn where_none_fits_the_error_says_why_none_does() {
    let Some(two) = two() else { return };
    let ground = &two.ground;
    let foreign = two.push_foreign();
    let moved = two.push_changed("\"libc\":\"glibc\"", "\"libc\":\"musl\"");
    let words = ["push", &foreign, &moved, "old.json", &two.tag()];
    // For the same interpreter as another one, but the C library differs only in words.
    ground.rvenv(&words).ok();
    let machine = format!("none of its 3 is for this machine: {HERE}, glibc 2.");
    let other = format!(": this machine is {HERE}");
    let words = ["apply", "--no-index", "-p", "3.9", &two.tag()];
    let refused = ground.there(&words).failed(3);
    for expected in [
        &*machine,
        &other,
        ": this machine has no musl",
        ": `Python 3.9` is asked for",
    ] {
        assert!(refused.contains(expected), "{expected}: {refused}");
    }
    // The interpreter is another one, or is not there.
    let python = ground.bench.python.to_str().unwrap().to_owned();
    for (to, expected) in [
        ("/nowhere/python3", "the interpreter does not exist here"),
        (
            "/bin/sh",
            "the interpreter at this path is another one here",
        ),
    ] {
        let mut index = two.index();
        let entries = index["manifests"].as_array_mut().unwrap();
        entries.truncate(1);
        entries[0]["annotations"]["rvenv.python"] = to.into();
        assert_ne!(python, to);
        let tag = lying(ground, &index.to_string());
        let refused = ground.there(&["apply", "--no-index", &tag.oci("team/web:v1")]);
        let refused = refused.failed(3);
        assert!(refused.contains(expected), "{expected}: {refused}");
    }
    assert!(!ground.env().exists());
}

/// A registry whose tag names another index.
fn lying(ground: &Ground, index: &str) -> Proxy {
    let body = index.as_bytes().to_vec();
    Proxy::new(ground.registry.address, move |passed, _| {
        if passed.is("GET", "manifests/v1") {
            let kind = format!("Content-Type: {INDEX}\r\n");
            Pass::Other(Answer::new("200 OK", &kind, &body))
        } else {
            Pass::On
        }
    })
}

/// Indexes that lie, made of a real one, and what is said of each.
fn lies(index: &Value) -> Vec<(String, &'static str)> {
    let entries = &index["manifests"];
    let size = |entry: &Value| format!("\"size\":{}", entry["size"]);
    let text = index.to_string();
    let with = |entries: Value| {
        let mut other = index.clone();
        other["manifests"] = entries;
        other.to_string()
    };
    let entry = |name: &str, value: Value| {
        let mut entry = entries[1].clone();
        entry[name] = value;
        with(json!([entry]))
    };
    let named = |bytes: &[u8]| entry("digest", format!("sha256:{}", Digest::of(bytes)).into());
    let s390x = json!({"os": "linux", "architecture": "s390x"});
    let of_old = entry("digest", entries[0]["digest"].clone());
    let of_old = of_old.replace(&size(&entries[1]), &size(&entries[0]));
    vec![
        (
            with(json!(vec![entries[1].clone(); 1001])),
            "it lists 1001 manifests",
        ),
        (
            entry("mediaType", INDEX.into()),
            "it lists something of the kind",
        ),
        (entry("size", 5.into()), "with 5 bytes, and it has"),
        (
            entry("size", (5_u64 << 30).into()),
            "it lists a manifest of",
        ),
        (named(b"nothing"), "which does not exist"),
        (named(text.as_bytes()), "which does not exist"),
        (entry("digest", "md5:00".into()), "is not a sha256 digest"),
        (
            entry("annotations", json!({})),
            "it does not say for which interpreter",
        ),
        (
            entry("platform", s390x),
            "it does not say for which interpreter",
        ),
        (of_old, "for another interpreter than its plan"),
        (with(json!([])), "none of its 0 is for this machine"),
        (
            text.replace(ENVIRONMENT, "other"),
            "it is of the kind `other`",
        ),
        (
            text.replace("\"schemaVersion\":2", "\"schemaVersion\":3"),
            "its version is 3",
        ),
        (with(Value::Null), "it is not a manifest"),
    ]
}

#[test]
fn an_index_that_lies_is_refused_and_nothing_is_written() {
    let Some(two) = two() else { return };
    let ground = &two.ground;
    ground
        .rvenv(&["push", "old.json", "new.json", &two.tag()])
        .ok();
    for (text, expected) in lies(&two.index()) {
        let proxy = lying(ground, &text);
        let words = [
            "apply",
            "--no-index",
            "-p",
            "3.12",
            &proxy.oci("team/web:v1"),
        ];
        let said = ground.there(&words);
        assert!(matches!(said.code, Some(1..=3)), "{said:?}");
        assert!(
            said.stderr.contains(expected),
            "{expected}: {}",
            said.stderr
        );
        assert!(!ground.env().exists());
    }
    ground
        .there(&["apply", "--no-index", "-p", "3.12", &two.tag()])
        .ok();
}

#[test]
fn an_index_behind_an_entry_is_not_followed() {
    let Some(two) = two() else { return };
    let ground = &two.ground;
    ground
        .rvenv(&["push", "old.json", "new.json", &two.tag()])
        .ok();
    let mut index = two.index();
    let inner = index.to_string();
    ground
        .registry
        .put_manifest("team/web", INDEX, inner.as_bytes());
    let mut entry = index["manifests"][1].clone();
    entry["digest"] = format!("sha256:{}", Digest::of(inner.as_bytes())).into();
    entry["size"] = inner.len().into();
    index["manifests"] = json!([entry]);
    let proxy = lying(ground, &index.to_string());
    let said = ground.there(&["apply", "--no-index", &proxy.oci("team/web:v1")]);
    assert!(matches!(said.code, Some(1..=3)), "{said:?}");
    assert!(!ground.env().exists());
}

#[test]
fn sources_between_which_no_machine_could_choose_are_refused() {
    let Some(two) = two() else { return };
    let ground = &two.ground;
    let refused = |words: &[&str], code, expected: &str| {
        let said = ground.rvenv(words).failed(code);
        assert!(said.contains(expected), "{expected}: {said}");
    };
    ground.plan("other.json", &[("alpha", "2.0")]);
    let tag = two.tag();
    refused(
        &["push", "new.json", "other.json", &tag],
        3,
        "are for the same interpreter",
    );
    let elsewhere = ground.push("new.json", &ground.registry.oci("team/other:v1"));
    refused(
        &["push", "old.json", &elsewhere, &tag],
        2,
        "is in another repository than",
    );
    let absent = ground.registry.oci("team/web:absent");
    refused(&["push", "old.json", &absent, &tag], 1, "does not exist");
    // A plan of an earlier version says less.
    let silent = two.push_changed(HERE, "amd64");
    refused(
        &["push", "old.json", &silent, &tag],
        3,
        "does not say for which machine it is",
    );
    let wheels = ground.registry.oci("team/web:wheels");
    ground.there(&["cache", "pull", &silent]).ok();
    ground.there(&["cache", "push", &wheels]).ok();
    refused(
        &["push", "old.json", &wheels, &tag],
        3,
        "does not say for which machine it is",
    );
    refused(
        &["push", &wheels, &tag],
        1,
        "is not an environment of rvenv",
    );
    ground.rvenv(&["push", "new.json", "old.json", &tag]).ok();
    refused(&["push", "old.json", &tag, &tag], 1, "it is of the kind");
    let pinned = format!("{tag}@sha256:{}", Digest::of(b"x"));
    refused(
        &["push", "old.json", "new.json", &pinned],
        2,
        "has a digest",
    );
}

#[test]
fn a_tag_names_the_index_only_once_everything_that_it_lists_is_there() {
    let Some(two) = two() else { return };
    let ground = &two.ground;
    let first = ground.push("old.json", &two.tag());
    let proxy = Proxy::refusing(ground.registry.address, |line| {
        line.starts_with("PUT ") && line.contains("manifests/v1")
    });
    let words = ["push", "old.json", "new.json", &proxy.oci("team/web:v1")];
    ground.rvenv(&words).failed(1);
    let named = ground.registry.get("/v2/team/web/manifests/v1", MANIFEST);
    assert!(first.ends_with(&Digest::of(&named.body).to_string()));
    let lines: Vec<String> = proxy.seen().into_iter().map(|one| one.line).collect();
    let put = |part: &str| {
        let is_it = |line: &String| line.starts_with("PUT ") && line.contains(part);
        lines.iter().rposition(is_it)
    };
    assert!(put("/blobs/") < put("/manifests/sha256:"), "{lines:?}");
    // The next push sends no blob.
    ground
        .rvenv(&["push", "old.json", "new.json", &two.tag()])
        .ok();
    assert_eq!(two.index()["manifests"].as_array().unwrap().len(), 2);
}

#[test]
fn skopeo_copies_an_index_to_a_layout_and_back_with_its_digest() {
    let Some(two) = two() else { return };
    let Some(skopeo) = which("skopeo") else {
        return;
    };
    let there = two.push();
    let address = two.ground.registry.address;
    let layout: PathBuf = two.ground.bench.scratch.path("layout");
    let layout = format!("oci:{}:v1", layout.display());
    let copy = |from: &str, to: &str| {
        let done = Command::new(&skopeo)
            .args(["--insecure-policy", "copy", "--all", "--preserve-digests"])
            .args([
                "--src-tls-verify=false",
                "--dest-tls-verify=false",
                from,
                to,
            ])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{said}");
    };
    copy(&format!("docker://{address}/team/web:v1"), &layout);
    copy(&layout, &format!("docker://{address}/copied/web:v2"));
    let (_, digest) = there.rsplit_once('@').unwrap();
    let copied = two.ground.registry.oci(&format!("copied/web@{digest}"));
    two.ground.lose();
    let words = ["apply", "--no-index", "-p", "3.11", &copied];
    two.ground.there(&words).ok();
    assert_eq!(two.minor_of("E"), 11);
}
