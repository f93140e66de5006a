//! Locks: an environment gets what they name, another lock changes it, and what another installer
//! installed stays.
//!
//! Wheels made here, in directories; no network.

use std::fs;
use std::path::{Path, PathBuf};

use rvenv_journal::Digest;

use crate::machine::{Ended, Scratch};
use crate::packages::{builds, index};
use crate::trees::{Sameness, compare, look};
use crate::wheels::{self, NewWheel};

/// What a command that succeeds says.
#[track_caller]
pub(super) fn told(ended: Ended) -> String {
    let said = format!("{}{}", ended.stdout, ended.stderr);
    ended.ok();
    said
}

/// A directory of wheels, and an interpreter for which they are.
pub(crate) struct Bench {
    pub(crate) scratch: Scratch,
    pub(crate) house: PathBuf,
    pub(crate) python: PathBuf,
}

const WHEELS: &[(&str, &str)] = &[
    ("alpha", "1.0"),
    ("alpha", "2.0"),
    ("beta", "1.0"),
    ("gamma", "1.0"),
    ("delta", "1.0"),
];

pub(crate) fn bench() -> Option<Bench> {
    let python = builds(12, 1).or_else(|| builds(11, 1))?.remove(0).path;
    let scratch = Scratch::in_memory();
    let house = index(&scratch, &python, WHEELS);
    Some(Bench {
        scratch,
        house,
        python,
    })
}

impl Bench {
    pub(crate) fn wheel(&self, name: &str, version: &str) -> (String, String) {
        let file = format!("{name}-{version}-py3-none-any.whl");
        let bytes = fs::read(self.house.join(&file)).unwrap();
        (file, Digest::of(&bytes).to_string())
    }

    /// A `pylock.NAME.toml` with these releases.
    pub(crate) fn lock(&self, name: &str, releases: &[(&str, &str)]) -> PathBuf {
        let mut text = "lock-version = '1.0'\ncreated-by = 'hand'\npackages = [\n".to_owned();
        for (package, version) in releases {
            let (file, digest) = self.wheel(package, version);
            text.extend([format!(
                "{{ name = '{package}', version = '{version}', wheels = [{{ \
                 url = 'https://files.invalid/{file}', hashes = {{ sha256 = '{digest}' }} }}] }},\n"
            )]);
        }
        self.write(&format!("pylock.{name}.toml"), &(text + "]\n"))
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.scratch.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn create(&self, lock: &Path, more: &[&str]) -> Ended {
        let python = self.python.to_str().unwrap();
        self.rvenv(&["create", "E", "--python", python], lock, more)
    }

    pub(crate) fn sync(&self, lock: &Path, more: &[&str]) -> Ended {
        self.rvenv(&["sync", "--env", "E"], lock, more)
    }

    fn rvenv(&self, words: &[&str], lock: &Path, more: &[&str]) -> Ended {
        let (lock, house) = (lock.to_str().unwrap(), self.house.to_str().unwrap());
        let locked = ["-r", lock, "--wheelhouse", house, "--no-index"];
        self.scratch.rvenv(&[words, &locked, more].concat())
    }

    /// What pip sees, without what a new environment has.
    fn listed(&self) -> String {
        let list = ["-B", "-m", "pip", "list", "--format=freeze", "--no-index"];
        let python = self.scratch.path("E/bin/python");
        let said = self.scratch.run(&python, &list).ok();
        let ours = said
            .lines()
            .filter(|line| !line.starts_with("pip=") && !line.starts_with("setuptools="));
        ours.collect::<Vec<_>>().join(" ")
    }

    /// Installs a package as a user does.
    pub(super) fn pip_install(&self, name: &str) {
        let house = self.house.to_str().unwrap();
        self.pip(&["install", "-q", "--no-index", "--find-links", house, name]);
    }

    pub(super) fn pip(&self, words: &[&str]) {
        let python = self.scratch.path("E/bin/python");
        self.scratch
            .run(&python, &[&["-m", "pip"], words].concat())
            .ok();
    }

    /// Writes wheels that share a file with equal bytes and another time; two of them have one with
    /// other bytes.
    pub(super) fn sharing_wheels(&self) {
        let wheels = [
            ("one", "shared/one.py", 2021),
            ("two", "shared/two.py", 2022),
            ("three", "shared/one.py", 2023),
        ]
        .map(|(name, inner, year)| {
            let wheel = NewWheel::new(name, "1.0").file("shared/__init__.py", "");
            let text = format!("value = '{name}'\n");
            wheel.file(inner, &text).of_year(year)
        });
        wheels::write(&self.python, &self.house, wheels);
    }

    /// Checks that Python takes the bytecode of a source.
    #[track_caller]
    fn bytecode_fits(&self, source: &str) {
        let source = self.site().join(source);
        let code = "import importlib.util, os, struct, sys\n\
                    bytecode = open(importlib.util.cache_from_source(sys.argv[1]), 'rb')\n\
                    time, size = struct.unpack('<II', bytecode.read(16)[8:])\n\
                    found = os.stat(sys.argv[1])\n\
                    assert (int(found.st_mtime), found.st_size) == (time, size), (time, size)";
        let words = ["-B", "-c", code, source.to_str().unwrap()];
        self.scratch
            .run(&self.scratch.path("E/bin/python"), &words)
            .ok();
    }

    pub(crate) fn site(&self) -> PathBuf {
        let lib = self.scratch.path("E/lib");
        let mut found = fs::read_dir(lib).unwrap();
        found.next().unwrap().unwrap().path().join("site-packages")
    }
}

#[test]
fn an_environment_gets_what_a_lock_names_and_a_second_run_changes_nothing() {
    let Some(bench) = bench() else { return };
    let lock = bench.lock("a", &[("beta", "1.0"), ("alpha", "2.0")]);
    bench.create(&lock, &[]).ok();
    assert_eq!(bench.listed(), "alpha==2.0 beta==1.0");
    let said = bench
        .scratch
        .run::<&str>(&bench.scratch.path("E/bin/alpha"), &[]);
    assert_eq!(said.ok(), "alpha 2.0\n");
    let info = bench.site().join("alpha-2.0.dist-info");
    assert_eq!(
        fs::read_to_string(info.join("INSTALLER")).unwrap(),
        "rvenv\n"
    );
    assert_eq!(fs::read_to_string(info.join("REQUESTED")).unwrap(), "");
    assert!(!info.join("direct_url.json").exists());
    let record = fs::read_to_string(info.join("RECORD")).unwrap();
    let rows: Vec<&str> = record.lines().collect();
    assert!(rows.is_sorted(), "{record}");
    let own = |row: &&&str| row.ends_with(",,");
    assert_eq!(rows.iter().filter(own).count(), 1, "{record}");
    let again = told(bench.create(&lock, &[]));
    assert!(again.contains("no changes"), "{again}");
    bench.scratch.rvenv(&["verify", "E"]).ok();
}

#[test]
fn a_requirements_file_is_a_lock_if_everything_is_pinned_and_hashed() {
    let Some(bench) = bench() else { return };
    let (_, alpha) = bench.wheel("alpha", "1.0");
    let (file, beta) = bench.wheel("beta", "1.0");
    let house = bench.house.to_str().unwrap();
    let text = format!(
        "--find-links index\nalpha==1.0 \\\n  --hash=sha256:{alpha} \\\n  --hash=sha256:{beta}\n\
         beta @ file://{house}/{file} --hash=sha256:{beta}\n\
         gamma==1.0 ; sys_platform == 'win32' --hash=sha256:{beta}\n"
    );
    let lock = bench.write("requirements.txt", &text);
    let python = bench.python.to_str().unwrap();
    let words = ["create", "E", "--python", python, "--no-index", "-r"];
    let words = [&words[..], &[lock.to_str().unwrap()]].concat();
    bench.scratch.rvenv(&words).ok();
    let listed = bench.listed();
    assert!(listed.starts_with("alpha==1.0 beta"), "{listed}");
    let origin = bench.site().join("beta-1.0.dist-info/direct_url.json");
    let origin = fs::read_to_string(origin).unwrap();
    let expected = format!(
        "{{\"archive_info\": {{\"hash\": \"sha256={beta}\", \"hashes\": {{\"sha256\": \
         \"{beta}\"}}}}, \"url\": \"file://{house}/{file}\"}}"
    );
    assert_eq!(origin, expected);
    let unhashed = format!("alpha==1.0\nbeta==1.0 --hash=sha256:{beta}\n");
    let unhashed = bench.write("unhashed.txt", &unhashed);
    let said = bench.sync(&unhashed, &[]).failed(2);
    assert!(
        said.contains("unhashed.txt`, line 1: `alpha==1.0` has no `--hash`"),
        "{said}"
    );
    let other = bench.write("other.txt", &format!("alpha==2.0 --hash=sha256:{beta}\n"));
    let said = bench.sync(&other, &[]).failed(1);
    assert!(said.contains("alpha-2.0-py3-none-any.whl"), "{said}");
    assert_eq!(bench.listed(), listed);
}

#[test]
fn another_lock_replaces_and_removes_and_a_rollback_brings_all_of_the_old_set_back() {
    let Some(bench) = bench() else { return };
    let first = bench.lock("a", &[("alpha", "1.0"), ("beta", "1.0")]);
    let second = bench.lock("b", &[("alpha", "2.0"), ("gamma", "1.0")]);
    bench.create(&first, &[]).ok();
    let before = look(&bench.scratch.path("E"));
    let said = told(bench.sync(&second, &[]));
    assert!(
        said.contains("Removed what no lock names: beta 1.0"),
        "{said}"
    );
    assert_eq!(bench.listed(), "alpha==2.0 gamma==1.0");
    for gone in [
        "beta",
        "beta_alone.py",
        "beta-1.0.dist-info",
        "alpha-1.0.dist-info",
    ] {
        assert!(!bench.site().join(gone).exists(), "{gone}");
    }
    assert!(!bench.scratch.path("E/bin/beta").exists());
    assert!(!bench.scratch.path("E/share/beta.txt").exists());
    let said = told(bench.scratch.rvenv(&["verify", "E"]));
    assert!(!said.contains("another installer"), "{said}");
    let changed = look(&bench.scratch.path("E"));
    assert!(told(bench.sync(&second, &[])).contains("no changes"));
    bench.scratch.rvenv(&["rollback", "E"]).ok();
    assert_eq!(bench.listed(), "alpha==1.0 beta==1.0");
    let after = look(&bench.scratch.path("E"));
    compare(&before, &after, Sameness::Restored).unwrap();
    bench.scratch.rvenv(&["rollback", "E"]).ok();
    assert_eq!(bench.listed(), "alpha==2.0 gamma==1.0");
    let forward = look(&bench.scratch.path("E"));
    compare(&changed, &forward, Sameness::Restored).unwrap();
    // `create` with a lock is a sync too.
    bench.create(&first, &[]).ok();
    assert_eq!(bench.listed(), "alpha==1.0 beta==1.0");
}

#[test]
fn what_another_installer_installed_stays_and_is_named_and_exact_removes_it() {
    let Some(bench) = bench() else { return };
    let lock = bench.lock("a", &[("alpha", "1.0")]);
    bench.create(&lock, &[]).ok();
    bench.pip_install("delta");
    let other = bench.lock("b", &[("alpha", "2.0")]);
    let said = told(bench.sync(&other, &[]));
    assert!(
        said.contains("Another installer installed delta 1.0"),
        "{said}"
    );
    assert_eq!(bench.listed(), "alpha==2.0 delta==1.0");
    let said = told(bench.sync(&other, &["--exact"]));
    assert!(
        said.contains("Removed what no lock names: delta 1.0"),
        "{said}"
    );
    assert_eq!(bench.listed(), "alpha==2.0");
}

#[test]
fn a_failing_check_or_a_wrong_hash_changes_nothing() {
    let Some(bench) = bench() else { return };
    let first = bench.lock("a", &[("alpha", "1.0")]);
    let second = bench.lock("b", &[("alpha", "2.0")]);
    let text = fs::read_to_string(&second).unwrap();
    let (_, right) = bench.wheel("alpha", "2.0");
    let wrong = bench.write("pylock.toml", &text.replace(&right, &"0".repeat(64)));
    bench.create(&wrong, &[]).failed(1);
    assert!(!bench.scratch.path("E").exists());
    bench.create(&first, &[]).ok();
    bench.sync(&second, &["--check", "false"]).failed(1);
    assert_eq!(bench.listed(), "alpha==1.0");
    bench.sync(&second, &["--dry-run"]).ok();
    assert_eq!(bench.listed(), "alpha==1.0");
    let third = bench.lock("c", &[("beta", "1.0")]);
    let said = told(bench.sync(&third, &["--dry-run"]));
    assert!(
        said.contains("Removes what no lock names: alpha 1.0"),
        "{said}"
    );
}

#[test]
fn sync_changes_the_active_environment_or_the_nearest_one() {
    let Some(bench) = bench() else { return };
    let lock = bench.lock("a", &[("alpha", "1.0")]);
    let (python, lock) = (bench.python.to_str().unwrap(), lock.to_str().unwrap());
    let house = bench.house.to_str().unwrap();
    let words = ["sync", "-r", lock, "--wheelhouse", house, "--no-index"];
    let said = bench.scratch.rvenv(&words).failed(3);
    assert!(said.contains("no environment is active"), "{said}");
    for env in [".venv", "active"] {
        let create = ["create", env, "--without-pip", "--python", python];
        bench.scratch.rvenv(&create).ok();
    }
    let below = bench.scratch.path("a/b");
    fs::create_dir_all(&below).unwrap();
    let ended = |active: bool| {
        let mut command = bench.scratch.command(&words);
        command.current_dir(&below);
        if active {
            command.env("VIRTUAL_ENV", bench.scratch.path("active"));
        }
        crate::machine::ended(&mut command)
    };
    ended(false).ok();
    assert!(bench.scratch.path(".venv/bin/alpha").exists());
    assert!(!bench.scratch.path("active/bin/alpha").exists());
    ended(true).ok();
    assert!(bench.scratch.path("active/bin/alpha").exists());
    // An environment without pip gets none.
    assert!(!bench.scratch.path("active/bin/pip").exists());
}

/// I6: an environment that another user put above the working directory is not changed.
#[test]
fn sync_does_not_choose_an_environment_of_another_user() {
    let Some(bench) = bench() else { return };
    let lock = bench.lock("a", &[("alpha", "1.0")]);
    let python = bench.python.to_str().unwrap();
    let create = ["create", ".venv", "--without-pip", "--python", python];
    bench.scratch.rvenv(&create).ok();
    if std::os::unix::fs::lchown(bench.scratch.path(".venv"), Some(65534), None).is_err() {
        println!("skipped: only root gives a directory to another user");
        return;
    }
    let said = bench.rvenv(&["sync"], &lock, &[]).failed(3);
    assert!(said.contains("belongs to user 65534"), "{said}");
    assert!(!bench.scratch.path(".venv/bin/alpha").exists());
    bench.rvenv(&["sync", "--env", ".venv"], &lock, &[]).ok();
    assert!(bench.scratch.path(".venv/bin/alpha").exists());
}

#[test]
fn a_lock_for_others_is_refused_with_what_it_is_for() {
    let Some(bench) = bench() else { return };
    let lock = bench.lock("a", &[("alpha", "1.0")]);
    let text = fs::read_to_string(&lock).unwrap();
    let refused = |name: &str, text: &str, code: i32, expected: &str| {
        let lock = bench.write(name, text);
        let said = bench.create(&lock, &[]).failed(code);
        assert!(said.contains(expected), "{said}");
        assert!(!bench.scratch.path("E").exists());
    };
    let with = |line: &str| format!("{line}\n{text}");
    refused(
        "pylock.toml",
        &with("requires-python = '<3'"),
        3,
        "the lock is for Python <3",
    );
    refused(
        "pylock.toml",
        &with("environments = [\"os_name == 'nt'\"]"),
        3,
        "none of its markers",
    );
    refused(
        "pylock.toml",
        &text.replace("py3-none-any.whl'", "py2-none-any.whl'"),
        3,
        "no wheel of",
    );
    refused("pylock.toml", "lock-version = '2.0'", 2, "version 2.0");
    refused("pylock.toml", "x = ", 2, "line 1");
    refused("lock.toml", "", 2, "the name of a lock is");
    refused("pyproject.toml", "", 3, "has no table `project`");
    let hashed = format!("-e .\nalpha==1.0 --hash=sha256:{}\n", "0".repeat(64));
    refused("r.txt", &hashed, 2, "an editable requirement");
    let said = bench.create(&lock, &["--extra", "fast"]).failed(3);
    assert!(said.contains("no extra `fast` (it has none)"), "{said}");
}

#[test]
fn two_wheels_may_own_one_path_if_its_bytes_are_equal() {
    let Some(bench) = bench() else { return };
    bench.sharing_wheels();
    let lock = bench.lock("good", &[("one", "1.0"), ("two", "1.0")]);
    bench.create(&lock, &[]).ok();
    assert_eq!(bench.listed(), "one==1.0 two==1.0");
    let lock = bench.lock("bad", &[("one", "1.0"), ("three", "1.0")]);
    let said = bench.sync(&lock, &[]).failed(1);
    assert!(said.contains("both have `lib"), "{said}");
    assert_eq!(bench.listed(), "one==1.0 two==1.0");
}

/// The bytecode of a source has its time, which another wheel gives to equal bytes anew.
#[test]
fn bytecode_of_a_source_that_two_wheels_own_is_no_conflict() {
    let Some(bench) = bench() else { return };
    bench.sharing_wheels();
    let compile = "--compile-bytecode";
    let both = bench.lock("both", &[("one", "1.0"), ("two", "1.0")]);
    bench.create(&both, &[compile]).ok();
    bench.bytecode_fits("shared/__init__.py");
    bench.bytecode_fits("shared/two.py");
    bench.sync(&both, &[compile]).ok();

    // Nor is what another installer compiled.
    fs::remove_dir_all(bench.scratch.path("E")).unwrap();
    let lock = bench.lock("a", &[("alpha", "1.0")]);
    bench.create(&lock, &[]).ok();
    bench.pip_install("one");
    let two = bench.lock("two", &[("two", "1.0")]);
    bench.sync(&two, &[compile]).ok();
    bench.bytecode_fits("shared/__init__.py");
    bench.scratch.rvenv(&["verify", "E"]).ok();
    bench.pip(&["uninstall", "-q", "-y", "one"]);
    bench.bytecode_fits("shared/two.py");
}

/// I8: nor does a lock overwrite what another installer installed.
#[test]
fn a_path_of_what_is_installed_besides_is_shared_or_refused() {
    let Some(bench) = bench() else { return };
    bench.sharing_wheels();
    let lock = bench.lock("a", &[("alpha", "1.0")]);
    bench.create(&lock, &[]).ok();
    bench.pip_install("one");
    let good = bench.lock("good", &[("two", "1.0")]);
    bench.sync(&good, &[]).ok();
    assert_eq!(bench.listed(), "one==1.0 two==1.0");
    let bad = bench.lock("bad", &[("two", "1.0"), ("three", "1.0")]);
    let before = look(&bench.scratch.path("E"));
    let said = bench.sync(&bad, &[]).failed(3);
    let path = "site-packages/shared/one.py`, which one 1.0 in `";
    assert!(
        said.contains("`three-1.0-py3-none-any.whl` has `lib"),
        "{said}"
    );
    assert!(said.contains(path), "{said}");
    assert!(said.contains("`rvenv uninstall one`"), "{said}");
    compare(&before, &look(&bench.scratch.path("E")), Sameness::Exact).unwrap();
    bench.sync(&bad, &["--exact"]).ok();
    assert_eq!(bench.listed(), "three==1.0 two==1.0");
    bench.scratch.rvenv(&["verify", "E"]).ok();
}

/// I8: what another installer uninstalls from a directory that packages share is no damage; and a
/// rollback names what cannot come back of it.
#[test]
fn what_was_uninstalled_from_a_shared_directory_is_known_as_that() {
    let Some(bench) = bench() else { return };
    bench.sharing_wheels();
    let first = bench.lock("a", &[("alpha", "1.0")]);
    bench.create(&first, &[]).ok();
    bench.pip_install("one");
    let second = bench.lock("b", &[("alpha", "1.0"), ("one", "1.0")]);
    bench.sync(&second, &[]).ok();
    bench.pip(&["uninstall", "-q", "-y", "one"]);
    bench.pip_install("two");
    let said = bench.scratch.rvenv(&["verify", "E"]).ok();
    let gone = "one 1.0 was uninstalled by another installer";
    assert!(said.contains(gone), "{said}");
    let said = told(bench.scratch.rvenv(&["rollback", "E"]));
    assert!(said.contains("Back again: 1 package (one 1.0)"), "{said}");
    assert!(
        said.contains("Deleted since, and not back again: 1 file (")
            && said.contains("/shared/one.py of one 1.0)"),
        "{said}"
    );
    assert!(!said.contains("Set aside"), "{said}");
    assert!(bench.site().join("shared/two.py").is_file());
}

#[test]
fn a_lock_goes_along_to_another_python_and_nothing_of_the_old_one_stays() {
    let Some(bench) = bench() else { return };
    let Some(old) = builds(10, 1).or_else(|| builds(11, 1)) else {
        return;
    };
    let old = old[0].path.to_str().unwrap();
    let first = bench.lock("a", &[("alpha", "1.0"), ("beta", "1.0")]);
    let second = bench.lock("b", &[("alpha", "2.0")]);
    bench
        .rvenv(&["create", "E", "--python", old], &first, &[])
        .ok();
    let python = bench.python.to_str().unwrap();
    let done = bench.rvenv(&["upgrade", "E", "--python", python], &second, &[]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    // What the lock has comes with it: it neither goes nor gives way to what a Python brings.
    for name in ["alpha", "beta"] {
        let lines = done.stderr.lines().filter(|line| line.contains(name));
        let false_ones: Vec<&str> = lines.filter(|line| line.contains("this Python")).collect();
        assert!(false_ones.is_empty(), "{false_ones:?}");
    }
    assert_eq!(bench.listed(), "alpha==2.0");
    for gone in ["bin/beta", "share/beta.txt"] {
        assert!(!bench.scratch.path("E").join(gone).exists(), "{gone}");
    }
    assert!(told(bench.sync(&second, &[])).contains("no changes"));
    bench.scratch.rvenv(&["verify", "E"]).ok();
    bench.scratch.rvenv(&["rollback", "E"]).ok();
    assert_eq!(bench.listed(), "alpha==1.0 beta==1.0");
}

/// I5: where a wheel has one content twice, the new file is a link to the old one, and nothing has
/// to be moved. It is no work of another process.
#[test]
fn what_fails_its_check_leaves_nothing_although_a_file_stays_the_same() {
    let Some(bench) = bench() else { return };
    let Some(old) = builds(10, 1).or_else(|| builds(11, 1)) else {
        return;
    };
    let text = "text\n".repeat(100);
    let twin = NewWheel::new("twin", "1.0")
        .file("twin/data.txt", &text)
        .file("twin-1.0.data/data/share/twin.txt", &text);
    wheels::write(&bench.python, &bench.house, [twin]);
    let lock = bench.lock("twin", &[("twin", "1.0")]);
    let old = old[0].path.to_str().unwrap();
    bench
        .rvenv(&["create", "E", "--python", old], &lock, &[])
        .ok();
    let before = look(&bench.scratch.path("E"));
    let python = bench.python.to_str().unwrap();
    let upgrade = ["upgrade", "E", "--no-index", "--check", "false", "--python"];
    let said = bench
        .scratch
        .rvenv(&[&upgrade[..], &[python]].concat())
        .failed(1);
    assert!(!said.contains("another process"), "{said}");
    let names = fs::read_dir(bench.scratch.path("E/.rvenv")).unwrap();
    assert_eq!(names.count(), 1, "only the receipt");
    compare(&before, &look(&bench.scratch.path("E")), Sameness::Restored).unwrap();
}

#[test]
fn a_hostile_wheel_is_refused_although_its_hash_is_right() {
    let Some(bench) = bench() else { return };
    let first = bench.lock("a", &[("alpha", "1.0")]);
    bench.create(&first, &[]).ok();
    let make = |name: &str, path: &str, expected: &str| {
        let wheel = NewWheel::new(name, "1.0").file(path, "x = 1");
        wheels::write(&bench.python, &bench.house, [wheel]);
        let lock = bench.lock("b", &[(name, "1.0")]);
        let said = bench.sync(&lock, &[]).failed(1);
        assert!(said.contains(expected), "{said}");
        assert!(said.contains("the target is as it was"), "{said}");
    };
    make("evil", "../../evil.py", "evil-1.0-py3-none-any.whl");
    make(
        "data",
        "data-1.0.data/data/pyvenv.cfg",
        "belongs to the environment itself",
    );
    make(
        "shell",
        "shell-1.0.data/scripts/activate",
        "belongs to the environment itself",
    );
    assert_eq!(bench.listed(), "alpha==1.0");
}

#[test]
fn a_plan_of_a_lock_is_saved_and_applied() {
    let Some(bench) = bench() else { return };
    let lock = bench.lock("a", &[("alpha", "1.0")]);
    let python = bench.python.to_str().unwrap();
    let words = ["plan", "E", "--python", python];
    let said = told(bench.rvenv(&words, &lock, &["--out", "plan.json"]));
    assert!(said.contains("packages"), "{said}");
    bench.scratch.rvenv(&["apply", "plan.json"]).ok();
    assert_eq!(bench.listed(), "alpha==1.0");
    assert!(told(bench.create(&lock, &[])).contains("no changes"));
}
