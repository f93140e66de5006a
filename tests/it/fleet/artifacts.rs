//! Environments as artifacts: pushed by one machine, applied by another, which has nothing but the
//! registry.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::Command;

use rvenv_journal::{Digest, Plan};

use crate::behaviour::locks::{Bench, bench};
use crate::behaviour::schemas::fitting;
use crate::machine::{Ended, ended};
use crate::registry::{Answer, Pass, Proxy, Registry, registry, which};
use crate::sandbox::{OTHER_USER, sandbox_for_all};
use crate::trees::{Sameness, compare, look};

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A machine with a plan of two wheels at `E`, and a registry.
pub(super) struct Ground {
    pub(super) bench: Bench,
    pub(super) registry: Registry,
}

pub(super) fn ground() -> Option<Ground> {
    Some(Ground {
        registry: registry()?,
        bench: bench()?,
    })
}

impl Ground {
    pub(super) fn rvenv(&self, words: &[&str]) -> Ended {
        ended(&mut self.command(words))
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.bench.scratch.command(words);
        command.env("PIP_CONFIG_FILE", "/dev/null");
        command.env("PIP_RETRIES", "2");
        command
    }

    /// Plans these releases at `E`.
    pub(super) fn plan(&self, file: &str, releases: &[(&str, &str)]) -> Plan {
        let lock = self.bench.lock("a", releases);
        let python = self.bench.python.to_str().unwrap();
        let house = self.bench.house.to_str().unwrap();
        let words = ["plan", "E", "-o", file, "-p", python, "--without-pip"];
        let places = ["--no-index", "--wheelhouse", house];
        let lock = ["-r", lock.to_str().unwrap()];
        self.rvenv(&[&words[..], &places, &lock].concat()).ok();
        Plan::from_json(&fs::read(self.bench.scratch.path(file)).unwrap()).unwrap()
    }

    /// Pushes the plan in a file, and returns the reference that is printed.
    pub(super) fn push(&self, file: &str, to: &str) -> String {
        self.rvenv(&["push", file, to]).ok().trim().to_owned()
    }

    /// A cache and a home of another machine, which know the interpreter.
    fn elsewhere(&self, command: &mut Command, name: &str) -> PathBuf {
        let cache = self.bench.scratch.cache().with_file_name(name);
        if !cache.exists() {
            fs::create_dir(&cache).unwrap();
            crate::answers::give(&cache);
        }
        command
            .env("RVENV_CACHE_DIR", &cache)
            .env("HOME", cache.join("home"));
        cache
    }

    /// A command with the cache of another machine.
    pub(super) fn there_command(&self, words: &[&str]) -> Command {
        let mut command = self.command(words);
        self.elsewhere(&mut command, "other-cache");
        command
    }

    pub(super) fn there(&self, words: &[&str]) -> Ended {
        ended(&mut self.there_command(words))
    }

    /// Loses everything that the machine has besides its environment.
    pub(super) fn lose(&self) {
        fs::remove_dir_all(self.bench.scratch.cache()).unwrap();
        fs::remove_dir_all(&self.bench.house).unwrap();
    }

    pub(super) fn env(&self) -> PathBuf {
        self.bench.scratch.path("E")
    }
}

pub(super) const TWO: &[(&str, &str)] = &[("alpha", "1.0"), ("beta", "1.0")];

#[test]
fn an_environment_is_pushed_and_applied_where_nothing_but_the_registry_is() {
    let Some(ground) = ground() else { return };
    let plan = ground.plan("p.json", TWO);
    ground.rvenv(&["apply", "p.json"]).ok();
    let first = look(&ground.env());
    let there = ground.push("p.json", &ground.registry.oci("team/web:v1"));
    fs::remove_dir_all(ground.env()).unwrap();
    ground.lose();
    let said = ground.there(&["apply", "--no-index", &there]);
    let told = format!("{}{}", said.stdout, said.stderr);
    said.ok();
    assert!(told.contains("Created"), "{told}");
    compare(&first, &look(&ground.env()), Sameness::Alike).unwrap();
    ground.there(&["verify", "E"]).ok();
    let status = ground.there(&["status", "--json", "E"]).ok();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let outcome = plan.outcome().to_string();
    assert_eq!(status["receipt"]["plan"], outcome);
}

#[test]
fn the_config_is_the_canonical_plan_and_the_layers_are_the_wheels() {
    let Some(ground) = ground() else { return };
    let plan = ground.plan("p.json", TWO);
    let there = ground.push("p.json", &ground.registry.oci("team/web:v1"));
    let (_, digest) = there.rsplit_once("@sha256:").unwrap();
    let answer = ground.registry.get("/v2/team/web/manifests/v1", MANIFEST);
    assert_eq!(Digest::of(&answer.body).to_string(), digest);
    let manifest: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        manifest["artifactType"],
        "application/vnd.rvenv.environment.v1+json"
    );
    assert_eq!(
        manifest["config"]["digest"],
        format!("sha256:{}", plan.digest())
    );
    let titles: Vec<&str> = manifest["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| {
            layer["annotations"]["org.opencontainers.image.title"]
                .as_str()
                .unwrap()
        })
        .collect();
    assert_eq!(
        titles,
        [
            "notes.json",
            "alpha-1.0-py3-none-any.whl",
            "beta-1.0-py3-none-any.whl"
        ]
    );
    let (file, wheel) = ground.bench.wheel("alpha", "1.0");
    let path = format!("/v2/team/web/blobs/sha256:{wheel}");
    let bytes = fs::read(ground.bench.house.join(file)).unwrap();
    assert_eq!(ground.registry.get(&path, "*/*").body, bytes);
    // Nothing that is sent names a place of this machine but the interpreter and the target.
    let place = ground.bench.house.to_str().unwrap();
    assert!(!String::from_utf8_lossy(&answer.body).contains(place));
    assert!(!String::from_utf8(plan.notes()).unwrap().contains(place));
    // The same plan has the same manifest, wherever it is.
    let words = [
        "push",
        "--json",
        "p.json",
        &ground.registry.oci("team/other:v2"),
    ];
    let again = fitting("push", &words, &ground.rvenv(&words));
    assert!(again["reference"].as_str().unwrap().ends_with(digest));
    assert_eq!(again["publishes"], plan.outcome().to_string());
}

#[test]
fn an_environment_that_its_wheels_make_is_pushed_without_a_plan() {
    let Some(ground) = ground() else { return };
    ground.plan("p.json", TWO);
    ground.rvenv(&["apply", "p.json"]).ok();
    let first = look(&ground.env());
    let house = ground.bench.house.to_str().unwrap();
    let words = ["push", "E", &ground.registry.oci("team/web:v1")];
    let places = ["--no-index", "--wheelhouse", house];
    let there = ground.rvenv(&[&words[..], &places].concat()).ok();
    let there = there.trim();
    fs::remove_dir_all(ground.env()).unwrap();
    ground.lose();
    ground.there(&["apply", "--no-index", there]).ok();
    compare(&first, &look(&ground.env()), Sameness::Alike).unwrap();
    // At another path, it is planned again.
    ground.there(&["apply", "--no-index", there, "F"]).ok();
    let python = ground.bench.scratch.path("F/bin/python");
    let code = "import alpha, beta, sys; print(sys.prefix)";
    let said = ground.bench.scratch.run(&python, &["-c", code]).ok();
    assert!(said.trim().ends_with("/F"), "{said}");
}

#[test]
fn an_environment_that_its_wheels_do_not_make_is_refused() {
    let Some(ground) = ground() else { return };
    let lock = ground.bench.lock("a", TWO);
    ground.bench.create(&lock, &[]).ok();
    let receipt = ground.bench.scratch.path("E/.rvenv/receipt.json");
    let text = fs::read_to_string(&receipt).unwrap();
    let house = ground.bench.house.to_str().unwrap();
    let words = ["push", "E", &ground.registry.oci("team/web:v1")];
    let words = [&words[..], &["--no-index", "--wheelhouse", house]].concat();
    // A builder wrote one file more.
    let more = text.replacen(
        "\"paths\":{",
        "\"paths\":{\"a\":{\"kind\":\"dir\",\"mode\":\"0755\"},",
        1,
    );
    let more = more.replacen(&outcome(&text), &Digest::of(b"other").to_string(), 1);
    fs::write(&receipt, more).unwrap();
    let said = ground.rvenv(&words);
    assert_eq!(said.code, Some(3), "{}", said.stderr);
    fs::remove_file(&receipt).unwrap();
    let said = ground.rvenv(&words);
    assert!(said.stderr.contains("published nothing"), "{}", said.stderr);
    fs::write(&receipt, text).unwrap();
    ground.rvenv(&words).ok();
}

/// The digest of what a receipt says was published.
fn outcome(receipt: &str) -> String {
    let receipt: serde_json::Value = serde_json::from_str(receipt).unwrap();
    receipt["plan"].as_str().unwrap().to_owned()
}

#[test]
fn a_tag_is_resolved_once_and_pinned_by_a_digest() {
    let Some(ground) = ground() else { return };
    let plan = ground.plan("p.json", TWO);
    let tag = ground.registry.oci("team/web:v1");
    let there = ground.push("p.json", &tag);
    let (_, manifest) = there.rsplit_once("@sha256:").unwrap();
    let dry = ["apply", "--dry-run", &tag];
    let said = ground.there(&dry);
    let told = said.stderr.clone();
    said.ok();
    assert!(told.contains(&format!("`{tag}` is `{there}`")), "{told}");
    for pinned in [manifest.to_owned(), plan.digest().to_string()] {
        ground
            .there(&[&dry[..], &["--digest", &pinned]].concat())
            .ok();
    }
    let other = Digest::of(b"other").to_string();
    ground
        .there(&[&dry[..], &["--digest", &other]].concat())
        .failed(3);
    // Another push of the tag, and the digest names what it named.
    ground.plan("q.json", &[("alpha", "2.0")]);
    let second = ground.push("q.json", &tag);
    assert_ne!(there, second);
    ground.there(&["apply", &there]).ok();
    assert!(ground.bench.site().join("beta").exists());
    let missing = ground.registry.oci("team/web:v9");
    let said = ground.there(&["apply", &missing]).failed(1);
    assert!(said.contains("does not exist"), "{said}");
}

#[test]
fn skopeo_copies_an_artifact_to_a_layout_and_back_with_its_digest() {
    let Some(ground) = ground() else { return };
    let Some(skopeo) = which("skopeo") else {
        return;
    };
    ground.plan("p.json", TWO);
    let there = ground.push("p.json", &ground.registry.oci("team/web:v1"));
    let (_, digest) = there.rsplit_once('@').unwrap();
    let copy = |from: &str, to: &str| {
        let done = Command::new(&skopeo)
            .args(["--insecure-policy", "copy", "--preserve-digests"])
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
    let address = ground.registry.address;
    let layout = format!("oci:{}", ground.bench.scratch.path("layout").display());
    let layout = format!("{layout}:v1");
    copy(&format!("docker://{address}/team/web:v1"), &layout);
    copy(&layout, &format!("docker://{address}/copied/web:v2"));
    let copied = ground.registry.oci("copied/web:v2");
    let said = ground.there(&["apply", "--dry-run", "--no-index", &copied]);
    let told = said.stderr.clone();
    said.ok();
    assert!(told.contains(digest), "{told}");
}

#[test]
fn what_is_no_environment_is_refused_and_named() {
    let Some(ground) = ground() else { return };
    ground.plan("p.json", TWO);
    let there = ground.push("p.json", &ground.registry.oci("team/web:v1"));
    let cases: [(&str, &str, &str); 5] = [
        ("manifests", "{}", "it is not a manifest"),
        (
            "manifests",
            "{\"schemaVersion\":2,\"artifactType\":\"x\",\"layers\":[],\"config\":{\"mediaType\":\
             \"c\",\"size\":2,\"digest\":\"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8\
             310c060f61caaff8a\"}}",
            "it is of the kind `x`",
        ),
        ("manifests", "long", "has more than"),
        ("blobs", "{}", "has 2 bytes, not"),
        ("blobs", "", "has 0 bytes, not"),
    ];
    for (part, body, expected) in cases {
        let body = if body == "long" {
            vec![b' '; 5 << 20]
        } else {
            body.as_bytes().to_vec()
        };
        let proxy = Proxy::new(ground.registry.address, move |passed, _| {
            if passed.is("GET", part) {
                Pass::Other(Answer::new("200 OK", "", &body))
            } else {
                Pass::On
            }
        });
        let tag = proxy.oci("team/web:v1");
        let said = ground.there(&["apply", "--no-index", &tag]);
        let told = said.stderr.clone();
        assert!(matches!(said.code, Some(1..=3)), "{told}");
        assert!(told.contains(expected), "{expected}: {told}");
        assert!(!ground.env().exists());
        // By digest, what has another one is refused whatever it says.
        let pinned = there.replace(
            &ground.registry.address.to_string(),
            &proxy.address.to_string(),
        );
        let said = ground.there(&["apply", "--no-index", &pinned]);
        assert_ne!(said.code, Some(0), "{}", said.stderr);
        assert!(!ground.env().exists());
    }
}

/// Another user in a network that has nothing but the registry, which is started there again with
/// the same port and storage.
#[test]
fn another_user_in_a_network_of_its_own_applies_and_rolls_back() {
    let Some(mut ground) = ground() else { return };
    let programs = ["docker-registry", "unshare", "setpriv", "ip"];
    let Some(for_all) = sandbox_for_all() else {
        return;
    };
    if programs.iter().any(|program| which(program).is_none()) {
        return;
    }
    ground.bench.python = for_all.python.path.clone();
    ground.plan("p.json", TWO);
    let first = ground.push("p.json", &ground.registry.oci("team/web:v1"));
    ground.plan("q.json", &[("alpha", "2.0")]);
    let second = ground.push("q.json", &ground.registry.oci("team/web:v2"));
    ground.registry.kill();
    ground.lose();
    let place = ground.bench.scratch.path("other");
    fs::create_dir(&place).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    chown(&place, Some(OTHER_USER), Some(OTHER_USER)).unwrap();
    let rvenv = place.join("rvenv");
    let copied = Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_rvenv"))
        .arg(&rvenv)
        .status();
    assert!(copied.unwrap().success());
    let script = format!(
        "set -e\nip link set lo up\ndocker-registry serve {config} >/dev/null 2>&1 & pid=$!\n\
         trap 'kill $pid' EXIT\n\
         until {python} -c 'import socket; socket.create_connection((\"127.0.0.1\", {port}))' \
         2>/dev/null; do kill -0 $pid; done\numask 077\ncd {place}\n\
         as() {{ setpriv --reuid={OTHER_USER} --regid={OTHER_USER} --clear-groups env -i \
         PATH=/usr/bin:/bin HOME={place} PIP_CONFIG_FILE=/dev/null \"$@\"; }}\n\
         as {rvenv} apply --no-index {first} {place}/E\n\
         as {rvenv} verify {place}/E\n\
         as {rvenv} verify --against {first} {place}/E\n\
         as {place}/E/bin/python -c 'import alpha, beta; print(\"first\")'\n\
         as {rvenv} apply --no-index {second} {place}/E\n\
         ! as {rvenv} verify --against {first} {place}/E\n\
         ! as {place}/E/bin/python -c 'import beta' 2>/dev/null\n\
         as {rvenv} rollback {place}/E\n\
         as {place}/E/bin/python -c 'import alpha, beta; print(\"again\")'\n",
        config = ground.registry.config().display(),
        python = ground.bench.python.display(),
        port = ground.registry.address.port(),
        place = place.display(),
        rvenv = rvenv.display(),
    );
    let done = Command::new("unshare")
        .args(["--net", "--", "sh", "-c", &script])
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(done.status.success(), "{said}");
    for expected in [
        "first",
        "state: clean",
        "state: proved",
        "not proved",
        "again",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn what_is_on_the_disk_is_compared_with_the_registry_and_not_with_the_receipt() {
    let Some(ground) = ground() else { return };
    ground.plan("p.json", TWO);
    let there = ground.push("p.json", &ground.registry.oci("team/web:v1"));
    ground.there(&["apply", "--no-index", &there]).ok();
    let words = ["verify", "--json", "--against", &there, "E"];
    let proof = fitting("verify-against", &words, &ground.there(&words));
    assert_eq!(proof["proved"], true);
    // The same again changes nothing.
    let said = ground.there(&["apply", "--no-index", &there]);
    assert!(said.stderr.contains("no changes"), "{}", said.stderr);
    // A file and the receipt are changed together.
    let file = ground.bench.site().join("alpha/__init__.py");
    let before = Digest::of(&fs::read(&file).unwrap()).to_string();
    fs::remove_file(&file).unwrap();
    fs::write(&file, "evil = True\n").unwrap();
    let after = Digest::of(b"evil = True\n").to_string();
    let receipt = ground.env().join(".rvenv/receipt.json");
    let text = fs::read_to_string(&receipt).unwrap();
    assert!(text.contains(&before));
    fs::write(&receipt, text.replace(&before, &after)).unwrap();
    let said = ground.there(&["verify", "--against", &there, "E"]);
    assert_eq!(said.code, Some(4), "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("alpha/__init__.py"), "{}", said.stdout);
    // The registry has the right one.
    ground.there(&["apply", "--no-index", &there]).ok();
    ground.there(&["verify", "--against", &there, "E"]).ok();
}
