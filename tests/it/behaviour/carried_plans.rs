//! Saved plans elsewhere: applied with another cache, for another path, and refused where they do
//! not fit.
//!
//! Wheels made here; servers on loopback. A second machine is a second cache directory, and the
//! wheels of the first one are gone.

use std::fs;
use std::path::{Path, PathBuf};

use super::locks::{Bench, bench};
use crate::machine::{Ended, ended, player};
use crate::server::{Server, empty, serve};
use crate::trees::{Sameness, compare, look};

/// A plan of two wheels at `E`, and the wheels, which are where no place is asked.
struct Carried {
    bench: Bench,
    wheels: PathBuf,
    cache: PathBuf,
}

fn carried(lock: impl Fn(&Bench) -> PathBuf, more: &[&str]) -> Option<Carried> {
    let bench = bench()?;
    let lock = lock(&bench);
    let (lock, house) = (lock.to_str().unwrap(), bench.house.to_str().unwrap());
    let python = bench.python.to_str().unwrap();
    let words = ["plan", "E", "-o", "p.json", "-p", python, "-r", lock];
    let places = ["--without-pip", "--no-index", "--wheelhouse", house];
    bench
        .scratch
        .rvenv(&[&words, &places[..], more].concat())
        .ok();
    let wheels = bench.scratch.path("moved");
    fs::rename(&bench.house, &wheels).unwrap();
    let cache = bench.scratch.cache().with_file_name("other-cache");
    fs::create_dir(&cache).unwrap();
    crate::answers::give(&cache);
    Some(Carried {
        bench,
        wheels,
        cache,
    })
}

fn two(bench: &Bench) -> PathBuf {
    bench.lock("a", &[("alpha", "1.0"), ("beta", "1.0")])
}

impl Carried {
    fn apply(&self, more: &[&str]) -> Ended {
        let words = [&["apply", "p.json"], more].concat();
        let mut command = self.bench.scratch.command(&words);
        ended(command.env("RVENV_CACHE_DIR", &self.cache))
    }

    fn plan(&self) -> String {
        fs::read_to_string(self.bench.scratch.path("p.json")).unwrap()
    }

    fn digest(&self) -> String {
        let plan: serde_json::Value = serde_json::from_str(&self.plan()).unwrap();
        plan["digest"].as_str().unwrap().to_owned()
    }

    fn rewrite(&self, from: &str, to: &str) {
        let text = self.plan();
        assert!(text.contains(from), "{from}");
        fs::write(self.bench.scratch.path("p.json"), text.replace(from, to)).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.bench.scratch.path("")).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn a_wheel_that_no_place_has_is_named_with_its_digest_and_nothing_is_written() {
    let Some(carried) = carried(two, &[]) else {
        return;
    };
    let (file, digest) = {
        let bytes = fs::read(carried.wheels.join("alpha-1.0-py3-none-any.whl")).unwrap();
        let digest = rvenv_journal::Digest::of(&bytes).to_string();
        ("alpha-1.0-py3-none-any.whl", digest)
    };
    let before = carried.names();
    let said = carried.apply(&["--no-index"]).failed(3);
    let needs = format!("the plan needs the wheel `{file}` with the sha256 digest {digest}");
    assert!(said.contains(&needs), "{said}");
    for option in [
        "--wheelhouse",
        "--find-links",
        "--index-url",
        "--allow-host",
    ] {
        assert!(said.contains(option), "{option}: {said}");
    }
    // The host that the plan names is no reason to ask it.
    assert!(
        said.contains("the host `files.invalid` is neither"),
        "{said}"
    );
    assert!(said.contains("is as it was before"), "{said}");
    assert_eq!(carried.names(), before);
}

#[test]
fn wheels_come_from_a_wheelhouse_and_the_digest_of_the_plan_stays() {
    let Some(carried) = carried(two, &[]) else {
        return;
    };
    let digest = carried.digest();
    let house = carried.wheels.to_str().unwrap();
    let pinned = ["--digest", &digest, "--no-index"];
    let from_house = [&pinned[..], &["--wheelhouse", house]].concat();
    carried.apply(&from_house).ok();
    let receipt = fs::read_to_string(carried.bench.scratch.path("E/.rvenv/receipt.json")).unwrap();
    let made = rvenv_journal::Plan::from_json(carried.plan().as_bytes()).unwrap();
    let outcome = made.outcome().to_string();
    assert!(receipt.contains(&outcome), "{receipt}");
    let first = look(&carried.bench.scratch.path("E"));
    // Now the store of this machine has them, and no file is needed.
    for more in [&pinned[..], &["--no-index", "--find-links", house]] {
        fs::remove_dir_all(carried.bench.scratch.path("E")).unwrap();
        carried.apply(more).ok();
        let again = look(&carried.bench.scratch.path("E"));
        compare(&first, &again, Sameness::Alike).unwrap();
    }
}

#[test]
fn wheels_come_from_their_url_if_its_host_is_allowed_and_no_password_is_in_the_plan() {
    let server = Server::new(|seen, stream| {
        let name = seen.path.rsplit('/').next().unwrap_or_default();
        match WHEELS.get().map(|dir| fs::read(dir.join(name))) {
            Some(Ok(bytes)) => serve(seen, stream, &bytes),
            Some(Err(_)) | None => empty(stream, "404 Not Found"),
        }
    });
    let host = server.address.to_string();
    let lock = |bench: &Bench| {
        let path = two(bench);
        let text = fs::read_to_string(&path).unwrap();
        let urls = text.replace(
            "https://files.invalid/",
            &format!("http://me:s3cret@{host}/f/"),
        );
        fs::write(&path, urls).unwrap();
        path
    };
    let Some(carried) = carried(lock, &[]) else {
        return;
    };
    WHEELS.set(carried.wheels.clone()).unwrap();
    let plan = carried.plan();
    assert!(!plan.contains("s3cret"), "{plan}");
    assert!(plan.contains(&format!("http://{host}/f/alpha-1.0-py3-none-any.whl")));
    let said = carried.apply(&["--no-index"]).failed(3);
    assert!(said.contains("neither an index's nor allowed"), "{said}");
    assert!(server.seen().is_empty());
    carried.apply(&["--no-index", "--allow-host", &host]).ok();
    assert_eq!(server.seen().len(), 2);
    carried.bench.scratch.rvenv(&["verify", "E"]).ok();
}

static WHEELS: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();

#[test]
fn a_plan_is_applied_at_another_path_and_is_what_a_plan_for_that_path_makes() {
    let Some(carried) = carried(two, &["--prompt", "mine"]) else {
        return;
    };
    let (house, digest) = (carried.wheels.to_str().unwrap(), carried.digest());
    let scratch = &carried.bench.scratch;
    let from = ["--wheelhouse", house, "--no-index", "--digest", &digest];
    let ended = carried.apply(&[&from[..], &["--at", "sub/F"]].concat());
    let said = ended.stderr.clone();
    ended.ok();
    let (old, new) = (scratch.path("E"), scratch.path("sub/F"));
    let told = format!(
        "Planned again for `{}`: the saved plan is for `{}`; the digest is now ",
        new.display(),
        old.display()
    );
    assert!(said.contains(&told), "{said}");
    assert!(!old.exists());
    let script = fs::read_to_string(new.join("bin/alpha")).unwrap();
    assert!(
        script.contains(&format!("{}/bin/python", new.display())),
        "{script}"
    );
    let applied = look(&new);
    // What `create` makes there from the same lock.
    fs::remove_dir_all(&new).unwrap();
    let lock = scratch.path("pylock.a.toml");
    let python = carried.bench.python.to_str().unwrap();
    let words = [
        "create",
        "sub/F",
        "-p",
        python,
        "-r",
        lock.to_str().unwrap(),
    ];
    let more = [
        "--without-pip",
        "--prompt",
        "mine",
        "--wheelhouse",
        house,
        "--no-index",
    ];
    scratch.rvenv(&[&words[..], &more].concat()).ok();
    compare(&look(&new), &applied, Sameness::Alike).unwrap();
    let said = carried
        .apply(&[&from[..], &["--at", "sub/F"]].concat())
        .failed(3);
    assert!(
        said.contains("is for a path where nothing exists"),
        "{said}"
    );
}

#[test]
fn a_note_that_is_not_that_of_the_plan_is_refused() {
    let Some(carried) = carried(two, &[]) else {
        return;
    };
    let house = carried.wheels.to_str().unwrap();
    let at = ["--wheelhouse", house, "--no-index", "--at", "F"];
    let plan = carried.plan();
    carried.rewrite(
        "\"system_site_packages\": false",
        "\"system_site_packages\": true",
    );
    let said = carried.apply(&at).failed(3);
    assert!(
        said.contains("was asked for gives another environment"),
        "{said}"
    );
    carried.rewrite("\"with_pip\": false", "\"with_pip\": \"stolen\"");
    let said = carried.apply(&at).failed(3);
    assert!(said.contains("does not say what was asked for"), "{said}");
    assert!(!carried.bench.scratch.path("F").exists());
    fs::write(carried.bench.scratch.path("p.json"), plan).unwrap();
    carried.apply(&at).ok();
}

#[test]
fn a_plan_that_changes_an_environment_has_no_other_path() {
    let Some(bench) = bench() else { return };
    let first = bench.lock("a", &[("alpha", "1.0")]);
    let second = bench.lock("b", &[("alpha", "2.0")]);
    bench.create(&first, &["--without-pip"]).ok();
    bench.sync(&second, &["--dry-run", "-o", "p.json"]).ok();
    let words = ["apply", "p.json", "--no-index", "--at", "F"];
    let said = bench.scratch.rvenv(&words).failed(3);
    assert!(said.contains("and keeps what is there"), "{said}");
    // At its own path it is applied as ever.
    bench
        .scratch
        .rvenv(&["apply", "p.json", "--no-index", "--at", "E"])
        .ok();
}

#[test]
fn another_interpreter_at_the_path_of_the_plan_is_named_with_its_version() {
    let scratch = crate::machine::Scratch::new();
    let python = player(&scratch, "python");
    let words = [
        "plan",
        "E",
        "-p",
        "./python",
        "--without-pip",
        "-o",
        "p.json",
    ];
    scratch.rvenv(&words).ok();
    let apply = |code| {
        scratch
            .rvenv(&["apply", "p.json", "--no-index"])
            .failed(code)
    };
    let version = {
        let plan = fs::read_to_string(scratch.path("p.json")).unwrap();
        let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
        plan["request"]["python"].as_str().unwrap().to_owned()
    };
    let whole = fs::read(&python).unwrap();
    fs::write(&python, [&whole[..], b"\n# changed\n"].concat()).unwrap();
    let said = apply(3);
    let planned = format!("/python` (Python {version}), and the file at this path is another one");
    assert!(said.contains("the plan is for the interpreter `"), "{said}");
    assert!(said.contains(&planned), "{said}");
    fs::remove_file(&python).unwrap();
    let said = apply(3);
    assert!(said.contains(", which does not exist here"), "{said}");
    assert!(!Path::new(&scratch.path("E")).exists());
}
