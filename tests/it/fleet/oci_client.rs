//! The crate `oci-client` as a stranger, by the program in `tests/oci-client`: it and rvenv read
//! the same in a registry and in a reference, and each takes what the other put there.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rvenv::fetch::{Reference, Repository};
use rvenv_journal::Digest;
use tempfile::TempDir;

use super::artifacts::{Ground, TWO, ground};
use super::indexes::two;
use crate::behaviour::schemas::fitting;
use crate::machine::{Ended, Scratch, ended, tool};
use crate::server::{Server, empty};

const ENVIRONMENT: &str = "application/vnd.rvenv.environment.v1+json";
const SBOM: &str = "application/vnd.cyclonedx+json";
const SIGNATURE: &str = "application/vnd.example.signature";

/// The program, and a directory for what it writes.
struct Stranger {
    program: PathBuf,
    dir: TempDir,
}

fn stranger() -> Option<Stranger> {
    Some(Stranger {
        program: tool("oci-client")?,
        dir: tempfile::tempdir().unwrap(),
    })
}

impl Stranger {
    fn run(&self, words: &[&str]) -> Ended {
        let mut command = Command::new(&self.program);
        command.args(words).current_dir(&self.dir).env_clear();
        ended(&mut command)
    }

    #[track_caller]
    fn lines(&self, words: &[&str]) -> Vec<String> {
        self.run(words).ok().lines().map(str::to_owned).collect()
    }
}

/// The name of an artifact, as both know it after their schemes.
fn at(ground: &Ground, name: &str) -> String {
    format!("{}/{name}", ground.registry.address)
}

fn digest_of(reference: &str) -> &str {
    reference.rsplit_once('@').unwrap().1
}

#[test]
fn oci_client_finds_what_was_pushed_by_the_digests_that_rvenv_prints() {
    let (Some(stranger), Some(ground)) = (stranger(), ground()) else {
        return;
    };
    let plan = ground.plan("p.json", TWO);
    let there = ground.push("p.json", &ground.registry.oci("team/web:v1"));
    let tag = at(&ground, "team/web:v1");
    let pulled = stranger.dir.path().join("pulled");
    fs::create_dir(&pulled).unwrap();
    assert_eq!(stranger.lines(&["tags", &tag]), ["v1"]);
    assert_eq!(stranger.lines(&["digest", &tag]), [digest_of(&there)]);
    let words = ["pull", &tag, "pulled"];
    assert_eq!(stranger.lines(&words), [digest_of(&there)]);
    let manifest = fs::read(pulled.join("manifest.json")).unwrap();
    assert!(there.ends_with(&Digest::of(&manifest).to_string()));
    let blob = |digest: &str| fs::read(pulled.join(format!("sha256:{digest}"))).unwrap();
    // The configuration is the canonical plan.
    assert_eq!(Digest::of(&blob(&plan.digest().to_string())), plan.digest());
    for (name, version) in TWO {
        let (file, digest) = ground.bench.wheel(name, version);
        let locked = fs::read(ground.bench.house.join(file)).unwrap();
        assert_eq!(blob(&digest), locked, "{name}");
    }
    // The manifest, the configuration and the notes are the rest.
    assert_eq!(fs::read_dir(&pulled).unwrap().count(), TWO.len() + 3);
}

#[test]
fn oci_client_lists_the_environments_of_an_index_and_takes_one_for_this_platform() {
    let (Some(stranger), Some(two)) = (stranger(), two()) else {
        return;
    };
    let ground = &two.ground;
    let tag = ground.registry.oci("team/web:v1");
    let words = ["push", "--json", "old.json", "new.json", &tag];
    let pushed = fitting("push", &words, &ground.rvenv(&words));
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let environments = pushed["environments"].as_array().unwrap().iter();
    let expected: Vec<String> = environments
        .map(|one| {
            let reference = text(&one["reference"]);
            format!("{} {}", digest_of(&reference), text(&one["platform"]))
        })
        .collect();
    assert_eq!(expected.len(), 2);
    let tag = at(ground, "team/web:v1");
    assert_eq!(stranger.lines(&["list", &tag]), expected);
    let index = text(&pushed["reference"]);
    assert_eq!(stranger.lines(&["digest", &tag]), [digest_of(&index)]);
    // It knows platforms, and no Pythons: the first is as good as the second.
    fs::create_dir(stranger.dir.path().join("pulled")).unwrap();
    let taken = stranger.lines(&["pull", &tag, "pulled"]);
    assert!(expected[0].starts_with(&taken[0]), "{taken:?}");
}

#[test]
fn oci_client_finds_the_referrers_that_rvenv_lists() {
    let (Some(stranger), Some(ground)) = (stranger(), ground()) else {
        return;
    };
    ground.plan("p.json", TWO);
    let tag = ground.registry.oci("team/web:v1");
    let there = ground.rvenv(&["push", "--sbom", "p.json", &tag]).ok();
    let there = there.trim();
    ground.bench.write("web.sig", "signed\n");
    let words = ["attach", there, "web.sig", "--type", SIGNATURE];
    ground.rvenv(&words).ok();
    let subject = at(&ground, &format!("team/web@{}", digest_of(there)));
    let of_both = |kind: Option<&str>| {
        let flag = kind.map(|_| "--type");
        let words = ["attached", there].into_iter().chain(flag).chain(kind);
        let ours = ground.there(&words.collect::<Vec<_>>()).ok();
        let ours: Vec<String> = ours
            .lines()
            .map(|line| digest_of(line).to_owned())
            .collect();
        let words = ["referrers", &subject].into_iter().chain(kind);
        assert_eq!(stranger.lines(&words.collect::<Vec<_>>()), ours);
        ours
    };
    let all = of_both(None);
    assert!(all[0].ends_with(SBOM), "{all:?}");
    assert!(all[1].ends_with(SIGNATURE), "{all:?}");
    assert_eq!(all.len(), 2);
    assert_eq!(of_both(Some(SIGNATURE)), all[1..]);
    assert!(of_both(Some("text/plain")).is_empty());
}

#[test]
fn what_oci_client_copied_is_applied_and_proved() {
    let (Some(stranger), Some(ground)) = (stranger(), ground()) else {
        return;
    };
    ground.plan("p.json", TWO);
    let there = ground.push("p.json", &ground.registry.oci("team/web:v1"));
    let from = at(&ground, "team/web:v1");
    fs::create_dir(stranger.dir.path().join("pulled")).unwrap();
    stranger.lines(&["pull", &from, "pulled"]);
    let same = stranger.lines(&["push", "pulled", &at(&ground, "same/web:v1")]);
    assert_eq!(same, [digest_of(&there)]);
    // The manifest as a value is written in another order.
    let written = stranger.lines(&["copy", &from, &at(&ground, "written/web:v1")]);
    assert_ne!(written, same);
    ground.lose();
    for (repository, digest) in [("same/web", &same[0]), ("written/web", &written[0])] {
        let copied = ground.registry.oci(&format!("{repository}@{digest}"));
        let said = ground.there(&["apply", "--no-index", &copied]);
        assert!(said.stderr.contains("Created"), "{said:?}");
        said.ok();
        ground.there(&["verify", "--against", &copied, "E"]).ok();
        fs::remove_dir_all(ground.env()).unwrap();
        let cache = ground.bench.scratch.cache();
        fs::remove_dir_all(cache.with_file_name("other-cache")).unwrap();
    }
}

#[test]
fn what_oci_client_made_is_refused_and_named() {
    let (Some(stranger), Some(ground)) = (stranger(), ground()) else {
        return;
    };
    fs::write(stranger.dir.path().join("plan.json"), "{}").unwrap();
    let tag = at(&ground, "made/web:v1");
    let made = format!("oci://{tag}");
    let refused = |words: &[&str], expected: &str| {
        let said = ground.there(words).failed(1);
        assert!(said.contains("is not an environment of rvenv"), "{said}");
        assert!(said.contains(expected), "{said}");
        assert!(!ground.env().exists());
    };
    let digest = stranger.lines(&["make", &tag, SIGNATURE, "plan.json"]);
    let kind = format!("it is of the kind `{SIGNATURE}`");
    refused(&["apply", "--no-index", &made], &kind);
    refused(&["cache", "pull", &made], &kind);
    let words = ["attached", "--json", &made];
    let all = fitting("attached", &words, &ground.there(&words));
    assert_eq!(digest_of(all["subject"].as_str().unwrap()), digest[0]);
    // This one says that it is an environment.
    stranger.lines(&["make", &tag, ENVIRONMENT, "plan.json"]);
    let lacking = "it has no blob of the kind `application/vnd.rvenv.notes.v1+json`";
    refused(&["apply", "--no-index", &made], lacking);
}

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The registry, the repository, the tag and the digest that a reference names; `-` for what it
/// lacks. Nothing if it is no reference.
fn parts(text: &str) -> Option<String> {
    let read = Reference::parse(&format!("oci://{text}")).ok()?;
    let Repository::Hosted(hosted) = &read.repository else {
        return None;
    };
    let tag = read.tag.as_deref().unwrap_or("-");
    let digest = read.digest.map(|digest| format!("sha256:{digest}"));
    let digest = digest.as_deref().unwrap_or("-");
    let (host, name) = (hosted.authority(), hosted.name());
    Some(format!("{host} {name} {tag} {digest}"))
}

/// The same as `oci-client` has it.
fn parts_of(stranger: &Stranger, texts: &[&str]) -> Vec<Option<String>> {
    let lines = stranger.lines(&[&["parse"], texts].concat());
    assert_eq!(lines.len(), texts.len());
    let refused = |line: &String| line.starts_with("refused: ");
    let read = lines.into_iter();
    read.map(|line| (!refused(&line)).then_some(line)).collect()
}

#[test]
fn oci_client_and_rvenv_read_the_same_in_references_and_refuse_the_same() {
    let Some(stranger) = stranger() else { return };
    let (long_name, long_tag) = ("n".repeat(256), "t".repeat(129));
    let read = [
        "127.0.0.1:5000/web:v1",
        "localhost:5000/a/b-c_d.e:v1.2",
        "localhost/web:v1",
        "r.example/team/web:Tag_1",
        "R.Example/web:_",
        "r.example/a__b:v1",
        "r.example/a---b/1/2.3:v1",
        "docker.io/team/web:v1",
        &format!("r.example/{}:v1", &long_name[1..]),
        &format!("r.example/web:{}", &long_tag[1..]),
        &format!("r.example/web@sha256:{HEX}"),
        &format!("r.example:443/a/b:v1@sha256:{HEX}"),
    ];
    for (text, theirs) in read.iter().zip(parts_of(&stranger, &read)) {
        assert!(theirs.is_some(), "{text}");
        assert_eq!(parts(text), theirs, "{text}");
    }
    let refused = [
        "",
        "r.example/",
        "r.example/Web:v1",
        "r.example//web:v1",
        "r.example/a//b:v1",
        "r.example/a/:v1",
        "r.example/../b:v1",
        "r.example/-a:v1",
        "r.example/a-:v1",
        "r.example/a..b:v1",
        "r.example/a.-b:v1",
        "r.example/a___b:v1",
        "r.example/a?b:v1",
        "r.example/a b:v1",
        "r example/web:v1",
        " r.example/web:v1",
        "r.example:port/web:v1",
        "https://r.example/web:v1",
        "user:secret@r.example/web:v1",
        "r.example/web:",
        "r.example/web:.a",
        "r.example/web:-a",
        "r.example/web:a:b",
        "r.example/web@",
        "r.example/web@sha256:12",
        &format!("r.example/web@md5:{HEX}"),
        &format!("r.example/web@sha256:{HEX}0"),
        &format!("r.example/web@sha256:{HEX}:v1"),
        &format!("r.example/{long_name}:v1"),
        &format!("r.example/web:{long_tag}"),
    ];
    for (text, theirs) in refused.iter().zip(parts_of(&stranger, &refused)) {
        assert_eq!(theirs, None, "{text}");
        assert_eq!(parts(text), None, "{text}");
    }
}

/// A reference in which both read something else on purpose.
#[derive(Clone)]
struct Difference {
    text: String,
    ours: Option<String>,
    theirs: Option<String>,
    why: &'static str,
}

/// A row of a table; what a client refuses is empty.
fn row(text: &str, ours: &str, theirs: &str, why: &'static str) -> Difference {
    let some = |parts: &str| (!parts.is_empty()).then(|| parts.to_owned());
    Difference {
        text: text.to_owned(),
        ours: some(ours),
        theirs: some(theirs),
        why,
    }
}

fn differences_in_hosts() -> Vec<Difference> {
    vec![
        row(
            "web:v1",
            "",
            "docker.io library/web v1 -",
            "no registry is implied",
        ),
        row(
            "team/web:v1",
            "team web v1 -",
            "docker.io team/web v1 -",
            "what follows the scheme is a host",
        ),
        row(
            "docker.io/web:v1",
            "docker.io web v1 -",
            "docker.io library/web v1 -",
            "the repository is the one that is typed",
        ),
        row(
            "index.docker.io/a/web:v1",
            "index.docker.io a/web v1 -",
            "docker.io a/web v1 -",
            "the registry is the one that is typed",
        ),
        row(
            "[::1]:5000/web:v1",
            "[::1]:5000 web v1 -",
            "",
            "a host may have an address of IPv6 alone",
        ),
        row(
            "r_x.example:80/web:v1",
            "r_x.example:80 web v1 -",
            "",
            "whether a host exists is for the resolver to say",
        ),
        row(
            "r.example:/web:v1",
            "r.example: web v1 -",
            "",
            "an empty port is that of the scheme, as in every URL",
        ),
        row(
            "r.example:99999/web:v1",
            "",
            "r.example:99999 web v1 -",
            "no host has this port",
        ),
    ]
}

fn differences_in_tags_and_digests() -> Vec<Difference> {
    let (capitals, long) = (HEX.to_uppercase(), format!("{HEX}{HEX}"));
    vec![
        row(
            "r.example/web",
            "r.example web - -",
            "r.example web latest -",
            "a place for wheels is a repository; where a tag is needed, rvenv asks for `latest` too",
        ),
        row(
            "r.example/web:v\u{e4}",
            "",
            "r.example web v\u{e4} -",
            "the letters of the specification are ASCII",
        ),
        row(
            &format!("r.example/web@sha256:{capitals}"),
            "",
            &format!("r.example web - sha256:{capitals}"),
            "the specification has lowercase digits, and another text is another name",
        ),
        row(
            &format!("r.example/web@sha512:{long}"),
            "",
            &format!("r.example web - sha512:{long}"),
            "receipts and plans have one algorithm",
        ),
    ]
}

#[test]
fn where_oci_client_reads_something_else_in_a_reference_there_is_a_reason() {
    let Some(stranger) = stranger() else { return };
    let rows = [differences_in_hosts(), differences_in_tags_and_digests()].concat();
    let texts: Vec<&str> = rows.iter().map(|row| &*row.text).collect();
    for (row, theirs) in rows.iter().zip(parts_of(&stranger, &texts)) {
        assert_eq!(parts(&row.text), row.ours, "{}: {}", row.text, row.why);
        assert_eq!(theirs, row.theirs, "{}: {}", row.text, row.why);
        assert_ne!(row.ours, row.theirs, "{}", row.text);
    }
}

#[test]
fn oci_client_and_rvenv_ask_a_registry_for_the_same() {
    let Some(stranger) = stranger() else { return };
    let scratch = Scratch::new();
    let server = Server::new(|_, stream| empty(stream, "404 Not Found"));
    let mut asked = 0;
    // What was asked for since the last time.
    let mut paths = || {
        let seen = server.seen();
        let new: Vec<String> = seen[asked..].iter().map(|one| one.path.clone()).collect();
        asked = seen.len();
        new
    };
    for (rest, expected) in [
        ("web:v1", "/v2/web/manifests/v1".to_owned()),
        ("a/b-c/d", "/v2/a/b-c/d/manifests/latest".to_owned()),
        (
            &*format!("a/b@sha256:{HEX}"),
            format!("/v2/a/b/manifests/sha256:{HEX}"),
        ),
        (
            &*format!("a/b:v1@sha256:{HEX}"),
            format!("/v2/a/b/manifests/sha256:{HEX}"),
        ),
    ] {
        let reference = format!("{}/{rest}", server.address);
        stranger.run(&["digest", &reference]).failed(1);
        let theirs = paths();
        assert!(theirs.contains(&expected), "{theirs:?}");
        let said = scratch.rvenv(&["attached", &format!("oci://{reference}")]);
        let said = said.failed(1);
        assert!(said.contains("does not exist"), "{said}");
        let ours = paths();
        assert!(ours.contains(&expected), "{ours:?}");
    }
    // What cannot be read is not asked for.
    let wrong = format!("{}/a..b:v1", server.address);
    stranger.run(&["digest", &wrong]).failed(1);
    scratch
        .rvenv(&["attached", &format!("oci://{wrong}")])
        .failed(2);
    assert!(paths().is_empty());
}
