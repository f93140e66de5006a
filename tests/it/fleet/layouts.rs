//! A directory in the form of a registry: for machines that share a filesystem, without a server.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rvenv_journal::Digest;

use crate::behaviour::locks::{Bench, bench};
use crate::machine::{Ended, ended};
use crate::registry::{registry, which};
use crate::trees::{Sameness, compare, look};

/// A machine with the plan `p.json` of two wheels at `E`, and the place for a layout.
pub(super) struct Ground {
    pub(super) bench: Bench,
    layout: PathBuf,
}

pub(super) fn ground() -> Option<Ground> {
    let bench = bench()?;
    let ground = Ground {
        layout: bench.scratch.path("shared"),
        bench,
    };
    ground.plan("p.json", &[("alpha", "1.0"), ("beta", "1.0")]);
    Some(ground)
}

impl Ground {
    fn command(&self, words: &[&str]) -> Command {
        // Nothing that is written may depend on this umask.
        let program = Path::new(env!("CARGO_BIN_EXE_rvenv"));
        let mut command = self.bench.scratch.program(program, "077");
        command.args(words).env("PIP_CONFIG_FILE", "/dev/null");
        command
    }

    pub(super) fn rvenv(&self, words: &[&str]) -> Ended {
        ended(&mut self.command(words))
    }

    /// On a machine that has nothing but the layout.
    pub(super) fn there(&self, words: &[&str]) -> Ended {
        ended(&mut self.there_command(words))
    }

    pub(super) fn there_command(&self, words: &[&str]) -> Command {
        let cache = self.bench.scratch.path("other-cache");
        if !cache.exists() {
            fs::create_dir(&cache).unwrap();
            crate::answers::give(&cache);
        }
        let mut command = self.command(words);
        command.env("RVENV_CACHE_DIR", cache);
        command
    }

    pub(super) fn plan(&self, file: &str, releases: &[(&str, &str)]) {
        let lock = self.bench.lock("a", releases);
        let python = self.bench.python.to_str().unwrap();
        let house = self.bench.house.to_str().unwrap();
        let words = ["plan", "E", "-o", file, "-p", python, "--without-pip"];
        let places = ["--no-index", "--wheelhouse", house];
        let lock = ["-r", lock.to_str().unwrap()];
        self.rvenv(&[&words[..], &places, &lock].concat()).ok();
    }

    pub(super) fn oci(&self, rest: &str) -> String {
        format!("oci:{}{rest}", self.layout.display())
    }

    pub(super) fn push(&self) -> String {
        let pushed = self.rvenv(&["push", "p.json", &self.oci(":v1")]).ok();
        fs::remove_dir_all(self.bench.scratch.cache()).unwrap();
        fs::remove_dir_all(&self.bench.house).unwrap();
        pushed.trim().to_owned()
    }

    /// Unmounts the layout, and mounts it again.
    pub(super) fn take_away(&self) {
        fs::rename(&self.layout, self.layout.with_extension("away")).unwrap();
    }

    pub(super) fn bring_back(&self) {
        fs::rename(self.layout.with_extension("away"), &self.layout).unwrap();
    }

    fn blob(&self, digest: &str) -> PathBuf {
        self.layout.join("blobs/sha256").join(digest)
    }

    /// The digest of the wheel of a distribution, as the manifest with the tag names it.
    fn wheel(&self, name: &str) -> String {
        let index = json(&self.layout.join("index.json"));
        let manifest = index["manifests"][0]["digest"].as_str().unwrap();
        let manifest = json(&self.blob(manifest.strip_prefix("sha256:").unwrap()));
        let layers = manifest["layers"].as_array().unwrap();
        let title = |layer: &serde_json::Value| {
            layer["annotations"]["org.opencontainers.image.title"].to_string()
        };
        let wheel = layers.iter().find(|layer| title(layer).contains(name));
        let digest = wheel.unwrap()["digest"].as_str().unwrap().to_owned();
        digest.strip_prefix("sha256:").unwrap().to_owned()
    }

    pub(super) fn env(&self) -> PathBuf {
        self.bench.scratch.path("E")
    }

    /// How many directories of writers are there.
    fn temps(&self) -> usize {
        let names = fs::read_dir(&self.layout).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name());
        names
            .filter(|name| name.to_string_lossy().starts_with("tmp-"))
            .count()
    }

    /// Checks that each blob has its digest, and that the index, if it is there, names some.
    #[cfg(target_os = "linux")]
    #[track_caller]
    fn check_whole(&self, what: &str) {
        for blob in fs::read_dir(self.blob("")).into_iter().flatten() {
            let path = blob.unwrap().path();
            let digest = Digest::of(&fs::read(&path).unwrap()).to_string();
            assert!(path.ends_with(&digest), "{what}: {}", path.display());
        }
        let index = self.layout.join("index.json");
        if index.exists() {
            let digest = json(&index)["manifests"][0]["digest"].to_string();
            let digest = digest.trim_matches('"').trim_start_matches("sha256:");
            assert!(self.blob(digest).exists(), "{what}");
        }
    }
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn an_environment_is_pushed_into_a_directory_and_applied_where_nothing_else_is() {
    let Some(ground) = ground() else { return };
    ground.rvenv(&["apply", "p.json"]).ok();
    let first = look(&ground.env());
    let there = ground.push();
    assert!(there.starts_with(&ground.oci("@sha256:")), "{there}");
    let before = look(&ground.layout);
    for reference in [there.clone(), ground.oci(":v1")] {
        fs::remove_dir_all(ground.env()).unwrap();
        ground.there(&["apply", "--no-index", &reference]).ok();
        compare(&first, &look(&ground.env()), Sameness::Alike).unwrap();
        let proof = ground.there(&["verify", "--against", &reference, "E"]);
        assert!(proof.ok().contains("state: proved"));
    }
    compare(&before, &look(&ground.layout), Sameness::Exact).unwrap();
}

#[test]
fn every_user_may_read_what_is_in_a_layout_and_only_its_owner_may_change_it() {
    let Some(ground) = ground() else { return };
    ground.push();
    let mut dirs = vec![ground.layout.clone()];
    let mut count = 0;
    while let Some(dir) = dirs.pop() {
        assert_eq!(dir.metadata().unwrap().mode() & 0o7777, 0o755, "{dir:?}");
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            count += 1;
            if path.is_dir() {
                dirs.push(path);
            } else {
                assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o644, "{path:?}");
            }
        }
    }
    // The marks, two directories, a plan, notes, a manifest and two wheels.
    assert_eq!(count, 9);
}

#[test]
fn the_wheels_of_a_layout_are_one_more_place() {
    let Some(ground) = ground() else { return };
    let lock = ground.bench.lock("b", &[("alpha", "1.0"), ("beta", "1.0")]);
    ground.push();
    let python = ground.bench.python.to_str().unwrap();
    let words = ["create", "E", "--without-pip", "-p", python, "--no-index"];
    let more = ["-r", lock.to_str().unwrap(), "--from"];
    let create = |from: &str| ground.there(&[&words[..], &more, &[from]].concat());
    let gone = format!("oci:{}", ground.bench.scratch.path("not-mounted").display());
    let said = create(&gone).failed(1);
    assert!(said.contains("not-mounted` has no `oci-layout`"), "{said}");
    create(&ground.oci("")).ok();
    ground
        .there(&["verify", "--lock", lock.to_str().unwrap(), "E"])
        .ok();
}

#[test]
fn the_wheels_of_a_cache_go_through_a_directory_into_another_cache() {
    let Some(ground) = ground() else { return };
    ground.push();
    ground.there(&["cache", "pull", &ground.oci(":v1")]).ok();
    let second = format!("oci:{}:all", ground.bench.scratch.path("second").display());
    let pushed = ground.there(&["cache", "push", &second]).ok();
    let again = ground.there(&["cache", "push", &second]);
    assert!(again.stderr.contains("3 there"), "{}", again.stderr);
    assert_eq!(again.ok(), pushed);
}

#[test]
fn what_its_owner_changed_in_a_layout_is_refused() {
    let Some(ground) = ground() else { return };
    let there = ground.push();
    let wheel = ground.blob(&ground.wheel("alpha"));
    let whole = fs::read(&wheel).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for (bytes, expected) in [
        (flipped.as_slice(), "has the sha256 digest"),
        (&whole[..10], "has 10 bytes"),
    ] {
        fs::write(&wheel, bytes).unwrap();
        let said = ground.there(&["apply", "--no-index", &there]).failed(3);
        assert!(said.contains(expected), "{said}");
        assert!(!ground.env().exists());
    }
    fs::write(&wheel, whole).unwrap();
    ground.there(&["apply", "--no-index", &there]).ok();
}

#[test]
fn an_index_that_is_none_is_refused_and_left_alone() {
    let Some(ground) = ground() else { return };
    ground.push();
    let index = ground.layout.join("index.json");
    for (text, said) in [
        ("[]", "cannot read"),
        ("", "cannot read"),
        ("{\"manifests\": 1}", "does not exist"),
        (
            "{\"manifests\": [1, {\"annotations\": []}]}",
            "does not exist",
        ),
    ] {
        fs::write(&index, text).unwrap();
        let refused = ground.there(&["apply", &ground.oci(":v1")]).failed(1);
        assert!(refused.contains(said), "{refused}");
        assert_eq!(fs::read_to_string(&index).unwrap(), text);
    }
    fs::write(&index, "[]").unwrap();
    let refused = ground.rvenv(&["push", "p.json", &ground.oci(":v2")]);
    assert_ne!(refused.code, Some(0));
    assert_eq!(fs::read_to_string(&index).unwrap(), "[]");
}

#[test]
fn what_a_dead_writer_left_is_deleted_by_the_next_one_and_not_what_a_living_one_writes() {
    let Some(ground) = ground() else { return };
    ground.rvenv(&["push", "p.json", &ground.oci(":v1")]).ok();
    let [dead, living] = ["tmp-dead", "tmp-living"].map(|name| ground.layout.join(name));
    for dir in [&dead, &living] {
        fs::create_dir(dir).unwrap();
        fs::write(dir.join("part"), "part").unwrap();
    }
    let held = fs::File::open(&living).unwrap();
    held.lock().unwrap();
    ground.rvenv(&["push", "p.json", &ground.oci(":v2")]).ok();
    assert!(!dead.exists());
    assert!(living.join("part").exists());
    drop(held);
    let index = json(&ground.layout.join("index.json"));
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
}

#[test]
fn a_mark_that_a_dead_writer_left_empty_is_written_again() {
    let Some(ground) = ground() else { return };
    ground.rvenv(&["push", "p.json", &ground.oci(":v1")]).ok();
    let mark = ground.layout.join("oci-layout");
    let whole = fs::read(&mark).unwrap();
    assert!(!whole.is_empty());
    fs::write(&mark, "").unwrap();
    ground.rvenv(&["push", "p.json", &ground.oci(":v2")]).ok();
    assert_eq!(fs::read(&mark).unwrap(), whole);
}

#[test]
fn two_pushes_at_once_are_both_there() {
    let Some(ground) = ground() else { return };
    let tags: Vec<String> = (0..6).map(|tag| ground.oci(&format!(":v{tag}"))).collect();
    let started: Vec<_> = tags
        .iter()
        .map(|to| {
            let mut push = ground.command(&["push", "p.json", to]);
            push.stdout(Stdio::piped()).stderr(Stdio::piped());
            push.spawn().unwrap()
        })
        .collect();
    for push in started {
        let ended = push.wait_with_output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
    }
    let index = json(&ground.layout.join("index.json"));
    assert_eq!(index["manifests"].as_array().unwrap().len(), tags.len());
    assert_eq!(ground.temps(), 0);
}

/// `RVENV_EVERY=1` kills at every call; the default is every twelfth.
#[cfg(target_os = "linux")]
#[test]
fn a_push_that_is_killed_leaves_whole_files_and_the_next_one_ends_it() {
    let Some(ground) = ground() else { return };
    if !crate::strace::is_there() {
        return;
    }
    let every = std::env::var("RVENV_EVERY").map_or(12, |text| text.parse().unwrap());
    let mut killed = 0;
    for call in [
        "mkdirat", "openat", "write", "renameat", "fsync", "unlinkat",
    ] {
        for nth in (every / 2..).step_by(every).skip_while(|nth| *nth == 0) {
            let _absent = fs::remove_dir_all(&ground.layout);
            let mut strace = Command::new("strace");
            strace
                .args(["-f", "-qq", "-o"])
                .arg(ground.bench.scratch.path("trace"));
            let what = format!("inject={call}:signal=SIGKILL:when={nth}");
            strace.args(["-e", &format!("trace={call}"), "-e", &what]);
            let push = ground.command(&["push", "p.json", &ground.oci(":v1")]);
            if super::under(strace, &push)
                .output()
                .unwrap()
                .status
                .success()
            {
                break;
            }
            killed += 1;
            ground.check_whole(&what);
            ground.rvenv(&["push", "p.json", &ground.oci(":v1")]).ok();
            ground.check_whole(&what);
            ground
                .there(&["apply", "--dry-run", &ground.oci(":v1")])
                .ok();
            assert_eq!(ground.temps(), 0, "{what}");
        }
    }
    println!("{killed} pushes were killed");
    assert!(killed > 0);
}

/// I2: a power cut takes no name that a filesystem may lose although what is below it is durable.
/// Everything else about power cuts is in `src/fetch/layout/power_cuts.rs`, on a simulated disk.
#[cfg(target_os = "linux")]
#[test]
fn every_directory_in_which_a_push_makes_a_name_is_synced_afterwards() {
    let Some(ground) = ground() else { return };
    if !crate::strace::is_there() {
        return;
    }
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-qq", "-e", "trace=mkdirat,renameat,fsync"]);
    let trace = ground.bench.scratch.path("trace");
    strace.arg("-o").arg(&trace);
    let push = ground.command(&["push", "p.json", &ground.oci(":v1")]);
    let done = super::under(strace, &push).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let trace = fs::read_to_string(trace).unwrap();
    // A call that another thread interrupts has two lines; the first one names the directory.
    let calls = trace.lines().filter(|call| !call.contains(" = -1 "));
    let calls = calls.map(|call| call.trim_end_matches(" <unfinished ...>"));
    let calls: Vec<&str> = calls.collect();
    let blobs = ground.layout.join("blobs");
    for dir in [
        ground.layout.parent().unwrap(),
        &ground.layout,
        &blobs,
        &blobs.join("sha256"),
    ] {
        let dir = format!("<{}>", dir.display());
        // Of a rename, the last directory is the one with the new name.
        let is_in = |call: &&str| {
            call.rfind('<')
                .is_some_and(|at| call[at..].starts_with(&dir))
        };
        let makes = |call: &&str| !call.contains("fsync(") && !call.contains("\"tmp-");
        let made = calls.iter().rposition(|call| is_in(call) && makes(call));
        let synced = calls
            .iter()
            .rposition(|call| is_in(call) && call.contains("fsync("));
        assert!(made.is_some() && made < synced, "{dir}: {trace}");
    }
}

#[test]
fn a_layout_that_may_not_be_written_is_named() {
    let Some(ground) = ground() else { return };
    fs::write(&ground.layout, "a file").unwrap();
    let said = ground
        .rvenv(&["push", "p.json", &ground.oci(":v1")])
        .failed(1);
    let shown = ground.layout.display();
    assert!(
        said.contains(&format!("cannot write into `{shown}`")),
        "{said}"
    );
    assert!(!said.contains("docker login"), "{said}");
}

/// A stranger copies it into a registry and back.
#[test]
fn skopeo_reads_a_layout_and_writes_one() {
    let (Some(ground), Some(skopeo), Some(registry)) = (ground(), which("skopeo"), registry())
    else {
        return;
    };
    let pushed = ground.push();
    let copy = |from: &str, to: &str| {
        let tls = ["--src-tls-verify=false", "--dest-tls-verify=false"];
        let done = Command::new(&skopeo)
            .args(["--insecure-policy", "copy", "--preserve-digests"])
            .args(tls)
            .args([from, to])
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    let hosted = format!("docker://{}/team/web:v1", registry.address);
    copy(&ground.oci(":v1"), &hosted);
    let second = format!("oci:{}:v1", ground.bench.scratch.path("second").display());
    copy(&hosted, &second);
    ground.there(&["apply", "--no-index", &second]).ok();
    let (_, digest) = pushed.rsplit_once('@').unwrap();
    let (_, hex) = digest.split_once(':').unwrap();
    let copied = ground.bench.scratch.path("second/blobs/sha256").join(hex);
    assert_eq!(Digest::of(&fs::read(copied).unwrap()).to_string(), hex);
}

/// The cache of one user is closed to others; what they share is a layout.
#[test]
fn a_layout_on_a_read_only_mount_is_read() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can mount");
        return;
    }
    let Some(ground) = ground() else { return };
    let there = ground.push();
    let layout = ground.layout.display();
    let rvenv = env!("CARGO_BIN_EXE_rvenv");
    let script = format!(
        "mount --bind {layout} {layout} && mount -o remount,bind,ro {layout} && \
         ! touch {layout}/x 2>/dev/null && exec {rvenv} apply --no-index {there}"
    );
    let command = ground.command(&[]);
    let mut unshared = Command::new("unshare");
    unshared.args(["--mount", "--", "sh", "-c", &script]);
    unshared.env_clear();
    unshared.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    unshared.current_dir(ground.bench.scratch.path("."));
    ended(&mut unshared).ok();
    assert!(ground.env().join("pyvenv.cfg").exists());
}
