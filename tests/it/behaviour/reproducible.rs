//! Reproducible: the same lock, path and interpreter give the same plan, receipt and tree, whatever
//! the home, cache, wheelhouse, umask, locale or user; the digests are keys for caches.
//!
//! Wheels made here, in directories; no network.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::locks::{Bench, bench};
use crate::machine::{Ended, Scratch, ended};
use crate::sandbox::sandbox_for_all;

/// Two of them have nothing in common but the lock, the path and the interpreter.
struct Surroundings {
    umask: &'static str,
    locale: &'static str,
    root: PathBuf,
}

impl Surroundings {
    fn new(bench: &Bench, umask: &'static str, locale: &'static str) -> Self {
        let root = bench
            .scratch
            .cache()
            .with_file_name(format!("as-{umask}-{locale}"));
        for dir in ["home", "cache", "house"] {
            let path = root.join(dir);
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(path)
                .unwrap();
        }
        for wheel in fs::read_dir(&bench.house).unwrap() {
            let wheel = wheel.unwrap();
            let copy = root.join("house").join(wheel.file_name());
            fs::copy(wheel.path(), copy).unwrap();
        }
        Self {
            umask,
            locale,
            root,
        }
    }

    fn command(&self, scratch: &Scratch, words: &[&str]) -> Command {
        let rvenv = Path::new(env!("CARGO_BIN_EXE_rvenv"));
        let mut command = scratch.program(rvenv, self.umask);
        command
            .args(words)
            .env("HOME", self.root.join("home"))
            .env("RVENV_CACHE_DIR", self.root.join("cache"))
            .env("LANG", self.locale)
            .env("LC_ALL", self.locale)
            .env("USER", self.umask)
            .env("SOURCE_DATE_EPOCH", "1600000000");
        command
    }

    /// A command with a lock and this wheelhouse.
    fn locked(&self, bench: &Bench, words: &[&str], lock: &Path) -> Ended {
        let house = self.root.join("house");
        let (lock, house) = (lock.to_str().unwrap(), house.to_str().unwrap());
        let python = bench.python.to_str().unwrap();
        let more = [
            "-p",
            python,
            "-r",
            lock,
            "--wheelhouse",
            house,
            "--no-index",
        ];
        ended(&mut self.command(&bench.scratch, &[words, &more].concat()))
    }

    fn create(&self, bench: &Bench, lock: &Path, more: &[&str]) {
        self.locked(bench, &[&["create", "E"], more].concat(), lock)
            .ok();
    }
}

/// Kind, mode, time and bytes of every path; directories without their times.
fn tree(root: &Path) -> BTreeMap<PathBuf, (u32, i64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut open = vec![PathBuf::new()];
    while let Some(path) = open.pop() {
        let full = root.join(&path);
        let meta = fs::symlink_metadata(&full).unwrap();
        let (mut time, mut bytes) = (0, Vec::new());
        if meta.is_dir() {
            let below = fs::read_dir(&full).unwrap();
            open.extend(below.map(|entry| path.join(entry.unwrap().file_name())));
        } else if meta.is_symlink() {
            bytes = fs::read_link(&full)
                .unwrap()
                .into_os_string()
                .into_encoded_bytes();
        } else {
            time = meta.mtime();
            bytes = fs::read(&full).unwrap();
        }
        found.insert(path, (meta.mode(), time, bytes));
    }
    // The receipt itself has the time of its writing.
    if let Some(receipt) = found.get_mut(Path::new(".rvenv/receipt.json")) {
        receipt.1 = 0;
    }
    found
}

#[track_caller]
fn assert_same(one: &Path, other: &BTreeMap<PathBuf, (u32, i64, Vec<u8>)>) {
    let one = tree(one);
    for (path, first) in &one {
        let second = other.get(path);
        let shown = |of: &(u32, i64, Vec<u8>)| {
            format!("{:o} {} {}", of.0, of.1, String::from_utf8_lossy(&of.2))
        };
        assert_eq!(Some(shown(first)), second.map(shown), "{}", path.display());
    }
    assert!(one.keys().eq(other.keys()));
}

#[test]
fn two_builds_with_nothing_in_common_but_the_lock_are_identical() {
    let Some(bench) = bench() else { return };
    let lock = bench.lock("a", &[("alpha", "1.0"), ("beta", "1.0")]);
    let one = Surroundings::new(&bench, "022", "C.UTF-8");
    let other = Surroundings::new(&bench, "077", "tr_TR.UTF-8");
    for more in [&[][..], &["--compile-bytecode"]] {
        let build = |by: &Surroundings| {
            let plan = by
                .locked(&bench, &[&["plan", "--digest", "E"], more].concat(), &lock)
                .ok();
            by.create(&bench, &lock, more);
            let verified = ended(&mut by.command(&bench.scratch, &["verify", "--digest", "E"]));
            let env = bench.scratch.path("E");
            let made = (plan, verified.ok(), tree(&env));
            fs::remove_dir_all(env).unwrap();
            made
        };
        let ((plan, state, first), (other_plan, other_state, second)) =
            (build(&one), build(&other));
        assert_eq!(plan, other_plan);
        assert_eq!(plan.len(), 65, "{plan}");
        assert_eq!(state, other_state);
        assert_eq!(state, plan);
        let env = bench.scratch.path("E");
        one.create(&bench, &lock, more);
        assert_same(&env, &second);
        assert_same(&env, &first);
        fs::remove_dir_all(env).unwrap();
    }
}

#[test]
fn an_environment_of_another_user_is_identical_too() {
    let Some(all) = sandbox_for_all() else { return };
    let bench = Bench {
        house: crate::packages::index(&all.scratch, &all.python.path, &[("alpha", "1.0")]),
        python: all.python.path,
        scratch: all.scratch,
    };
    let lock = bench.lock("a", &[("alpha", "1.0")]);
    let mut digests = Vec::new();
    for (umask, user) in [("022", 0), ("027", 65534)] {
        let by = Surroundings::new(&bench, umask, "C.UTF-8");
        let rvenv = by.root.join("rvenv");
        let program = env!("CARGO_BIN_EXE_rvenv");
        assert!(
            Command::new("cp")
                .arg(program)
                .arg(&rvenv)
                .status()
                .unwrap()
                .success()
        );
        for owned in [
            by.root.join("cache"),
            by.root.join("home"),
            bench.scratch.path(""),
        ] {
            chown(owned, Some(user), Some(user)).unwrap();
        }
        for readable in [&lock, &by.root] {
            let bits = fs::metadata(readable).unwrap().permissions().mode() | 0o555;
            fs::set_permissions(readable, fs::Permissions::from_mode(bits)).unwrap();
        }
        let run = |words: &[&str]| {
            let mut command = bench.scratch.program(Path::new("setpriv"), umask);
            command
                .env("RVENV_CACHE_DIR", by.root.join("cache"))
                .env("HOME", by.root.join("home"))
                .args([&format!("--reuid={user}"), &format!("--regid={user}")])
                .arg("--clear-groups")
                .arg(&rvenv)
                .args(words);
            ended(&mut command).ok()
        };
        let house = by.root.join("house");
        let (lock, house) = (lock.to_str().unwrap(), house.to_str().unwrap());
        let python = bench.python.to_str().unwrap();
        let locked = [
            "--without-pip",
            "-p",
            python,
            "-r",
            lock,
            "--wheelhouse",
            house,
            "--no-index",
        ];
        let plan = run(&[&["plan", "E", "--digest"], &locked[..]].concat());
        run(&[&["create", "E"], &locked[..]].concat());
        assert_eq!(run(&["verify", "--digest", "E"]), plan);
        digests.push(plan);
        fs::remove_dir_all(bench.scratch.path("E")).unwrap();
    }
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn the_receipt_does_not_depend_on_what_existed_before() {
    let Some(bench) = bench() else { return };
    let first = bench.lock("a", &[("alpha", "1.0"), ("beta", "1.0")]);
    // A source that only differs in its bytes would get a later time, by which Python notices it.
    let second = bench.lock("b", &[("alpha", "1.0"), ("gamma", "1.0")]);
    let receipt = || fs::read_to_string(bench.scratch.path("E/.rvenv/receipt.json")).unwrap();
    for more in [&["--clear"][..], &[]] {
        bench.create(&second, more).ok();
        let new = receipt();
        fs::remove_dir_all(bench.scratch.path("E")).unwrap();
        bench.create(&first, more).ok();
        assert!(receipt() != new, "{more:?}");
        bench.create(&second, more).ok();
        assert!(receipt() == new, "{more:?}");
        fs::remove_dir_all(bench.scratch.path("E")).unwrap();
    }
}

#[test]
fn a_saved_plan_finds_its_wheel_in_the_cache_of_the_user_who_applies_it() {
    let Some(bench) = bench() else { return };
    let lock = bench.lock("a", &[("alpha", "1.0")]);
    let (one, other) = (
        Surroundings::new(&bench, "022", "C.UTF-8"),
        Surroundings::new(&bench, "022", "C"),
    );
    one.locked(&bench, &["plan", "E", "-o", "p.json"], &lock)
        .ok();
    let house = one.root.join("house");
    let plan = fs::read_to_string(bench.scratch.path("p.json")).unwrap();
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    let inner = plan["plan"].to_string();
    assert!(!inner.contains(one.root.to_str().unwrap()), "{inner}");
    fs::remove_dir_all(house).unwrap();
    let apply = || ended(&mut other.command(&bench.scratch, &["apply", "p.json"]));
    let said = apply().failed(3);
    assert!(said.contains("alpha-1.0-py3-none-any.whl"), "{said}");
    let (file, digest) = bench.wheel("alpha", "1.0");
    let kept = other.root.join("cache/fetched").join(digest);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&kept)
        .unwrap();
    fs::copy(bench.house.join(&file), kept.join(&file)).unwrap();
    apply().ok();
    assert!(bench.scratch.path("E/bin/alpha").exists());
}

/// Also where another installer put something beside what the lock names.
#[test]
fn a_change_has_the_digest_of_the_environment_that_it_makes() {
    let Some(bench) = bench() else { return };
    let lock = bench.lock("a", &[("alpha", "1.0"), ("beta", "1.0")]);
    bench.create(&lock, &[]).ok();
    let digest = || bench.scratch.rvenv(&["verify", "--digest", "E"]).ok();
    let before = digest();
    bench.pip_install("gamma");
    let beside = digest();
    assert_ne!(beside, before);
    let (python, house) = (
        bench.python.to_str().unwrap(),
        bench.house.to_str().unwrap(),
    );
    let planned = |lock: &Path, more: &[&str]| {
        let words = ["plan", "E", "--digest", "--python", python, "--no-index"];
        let locked = ["--wheelhouse", house, "-r", lock.to_str().unwrap()];
        bench
            .scratch
            .rvenv(&[&words, &locked[..], more].concat())
            .ok()
    };
    assert_eq!(planned(&lock, &[]), beside);
    let other = bench.lock("b", &[("alpha", "2.0"), ("beta", "1.0")]);
    for (more, stays) in [(&[][..], true), (&["--exact"], false)] {
        let key = planned(&other, more);
        bench.sync(&other, more).ok();
        assert_eq!(digest(), key, "{more:?}");
        assert_eq!(bench.site().join("gamma-1.0.dist-info").exists(), stays);
    }
}

#[test]
fn a_digest_is_of_what_is_published_and_a_damaged_environment_has_none() {
    let Some(bench) = bench() else { return };
    let lock = bench.lock("a", &[("alpha", "1.0")]);
    bench.create(&lock, &[]).ok();
    let digest = || bench.scratch.rvenv(&["verify", "--digest", "E"]);
    let before = digest().ok();
    let other = bench.lock("b", &[("alpha", "2.0")]);
    bench.sync(&other, &[]).ok();
    assert_ne!(digest().ok(), before);
    bench.scratch.rvenv(&["rollback", "E"]).ok();
    assert_eq!(digest().ok(), before);
    fs::write(bench.scratch.path("E/bin/alpha"), "damage").unwrap();
    let damaged = digest();
    assert_eq!(damaged.stdout, "");
    let said = damaged.failed(4);
    assert!(said.contains("differs from what was published"), "{said}");
}
