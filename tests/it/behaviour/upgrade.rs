//! `rvenv upgrade`: an environment moves to another Python, and keeps its packages, choices and
//! running programs.
//!
//! The interpreters are those of this machine; a base that goes away or is patched in place is a
//! copy of one of them. Read next: `rollback.rs`, the way back; `tests/it/helpers/packages.rs`,
//! what is installed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::machine::{Entry, Python, Scratch, any_python, ended, tree};
use crate::packages::{builds, full, full_of_bound, index, names, packages_of, prefix, works};
use crate::switched::compare_switched;
use crate::trees::{Sameness, compare, look};

/// What a package consists of, by path: it must not even be moved.
fn of_packages(env: &Path) -> BTreeMap<String, Entry> {
    let names = names();
    let is_of = |path: &String| {
        let last = path.rsplit('/').next().unwrap();
        !path.contains("__pycache__") && names.iter().any(|name| last.starts_with(name.as_str()))
    };
    let entries = tree(env).into_iter().filter(|(path, _)| is_of(path));
    let found: BTreeMap<_, _> = entries.collect();
    // Of each: its directory, its list's, a module, a program, and a data file.
    assert!(found.len() >= 5 * names.len(), "{found:?}");
    found
}

fn config(env: &Path, key: &str) -> Option<String> {
    let text = fs::read_to_string(env.join("pyvenv.cfg")).unwrap();
    let mut lines = text.lines().filter_map(|line| line.split_once(" = "));
    lines.find_map(|(found, value)| (found == key).then(|| value.to_owned()))
}

/// What an environment has under `.rvenv` besides its log.
fn own_names(env: &Path) -> Vec<String> {
    let names = fs::read_dir(env.join(".rvenv")).unwrap();
    let names = names.map(|name| name.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != "log").collect();
    names.sort();
    names
}

#[track_caller]
fn upgrade(scratch: &Scratch, flags: &[&str]) -> String {
    let ended = scratch.rvenv(&[&["upgrade", "E"], flags].concat());
    ended.clone().ok();
    ended.stderr
}

#[track_caller]
fn is_clean(scratch: &Scratch) {
    scratch.rvenv(&["verify", "E"]).ok();
    let said = scratch.rvenv(&["upgrade", "E"]);
    assert!(said.stderr.contains("no changes"), "{said:?}");
}

fn version_of(scratch: &Scratch, python: &Python) -> String {
    let code = "import sys; print('%d.%d.%d' % sys.version_info[:3])";
    let said = scratch.run(&python.path, &["-c", code]).ok();
    said.trim().to_owned()
}

/// An installation `base` of its own, which borrows the library of an interpreter; it takes the
/// place of another one.
fn base(scratch: &Scratch, python: &Python) -> PathBuf {
    let base = scratch.cache().with_file_name("base");
    if base.exists() {
        fs::remove_dir_all(&base).unwrap();
    }
    let name = format!("python3.{}", python.version.1);
    let path = base.join("bin").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::copy(&python.path, &path).unwrap();
    symlink(prefix(python).join("lib"), base.join("lib")).unwrap();
    path
}

/// The environment's Python, at work until its input ends.
struct Sleeper(Child);

impl Sleeper {
    fn new(scratch: &Scratch, env: &Path) -> Self {
        // What it loads at the end was not loaded before.
        let code = "import sys; print('up', flush=True); sys.stdin.read(); import p03.inner; p03.inner.main()";
        let mut command = scratch.program(&env.join("bin/python"), "022");
        command.args(["-B", "-c", code]);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        let mut out = BufReader::with_capacity(1, out);
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        child.stdout = Some(out.into_inner());
        Self(child)
    }

    /// Lets it continue; it must end with success.
    fn wake(mut self) {
        drop(self.0.stdin.take());
        let mut said = String::new();
        let mut out = self.0.stdout.take().unwrap();
        out.read_to_string(&mut said).unwrap();
        assert_eq!(self.0.wait().unwrap().code(), Some(0));
        assert_eq!(said.trim(), "p03 1.0");
    }
}

#[test]
fn another_build_of_the_same_minor_version_keeps_every_package_and_so_does_the_way_back() {
    let Some(found) = builds(11, 2) else { return };
    let scratch = Scratch::new();
    let env = full(&scratch, &found[0].path, 11, &[]);
    let before = of_packages(&env);
    for python in [&found[1], &found[0]] {
        let sleeper = Sleeper::new(&scratch, &env);
        let said = upgrade(&scratch, &["--python", python.path.to_str().unwrap()]);
        assert!(
            said.contains("Bring it back with `rvenv rollback E`"),
            "{said}"
        );
        sleeper.wake();
        assert_eq!(works(&scratch, &env), version_of(&scratch, python));
        let real = fs::canonicalize(env.join("bin/python")).unwrap();
        assert_eq!(real, fs::canonicalize(&python.path).unwrap());
        assert!(before == of_packages(&env), "a package was touched");
        scratch.run(&env.join("bin/pip"), &["check"]).ok();
        is_clean(&scratch);
    }
    assert_eq!(
        own_names(&env),
        [
            "old-1",
            "old-1.journal",
            "old-2",
            "old-2.journal",
            "receipt.json"
        ]
    );
}

#[test]
fn another_minor_version_is_refused_by_the_names_of_what_it_would_lose_unless_allowed() {
    let (Some(old), Some(new)) = (builds(11, 1), builds(12, 1)) else {
        return;
    };
    let scratch = Scratch::new();
    let env = full_of_bound(&scratch, &old[0].path, 11);
    let packages = of_packages(&env);
    let (before, sight) = (look(&env), tree(&env));
    let python = new[0].path.to_str().unwrap();
    for dry in [&[][..], &["--dry-run"]] {
        let flags = [&["upgrade", "E", "--python", python], dry].concat();
        let said = scratch.rvenv(&flags).failed(3);
        assert!(said.contains("20 packages of"), "{said}");
        for name in names() {
            assert!(said.contains(&format!("{name} 1.0")), "{name}: {said}");
        }
        assert!(said.contains("--allow-lost"), "{said}");
        compare(&before, &look(&env), Sameness::Exact).unwrap();
        assert!(sight == tree(&env), "an object was replaced by its like");
    }
    upgrade(&scratch, &["--python", python, "--allow-lost", "--no-keep"]);
    let run = |code: &str| scratch.run(&env.join("bin/python"), &["-B", "-c", code]);
    let code = "import pip, sys; print(pip.__file__, sys.version_info[1])";
    let said = run(code).ok();
    assert!(said.contains("lib/python3.12/site-packages/pip/"), "{said}");
    assert!(said.trim().ends_with(" 12"), "{said}");
    run("import p00").failed(1);
    for gone in [
        "bin/python3.11",
        "bin/pip3.11",
        "lib/python3.11/site-packages/pip",
    ] {
        assert!(!env.join(gone).exists(), "{gone}");
    }
    assert_eq!(config(&env, "version").unwrap()[..4], *"3.12");
    assert!(
        packages == of_packages(&env),
        "what cannot be imported is not lost"
    );
    assert_eq!(own_names(&env), ["receipt.json"]);
    let verified = scratch.rvenv(&["verify", "E"]);
    assert!(
        verified.stdout.contains("\nstate: lost packages"),
        "{verified:?}"
    );
    verified.failed(4);
    let said = scratch.rvenv(&["upgrade", "E"]);
    assert!(said.stderr.contains("no changes"), "{said:?}");
}

#[test]
fn a_base_that_was_removed_is_found_elsewhere_or_must_be_named() {
    let Some(found) = builds(11, 1) else { return };
    let scratch = Scratch::new();
    let env = full(&scratch, &base(&scratch, &found[0]), 11, &[]);
    fs::remove_dir_all(scratch.cache().with_file_name("base")).unwrap();
    assert!(!env.join("bin/python").exists(), "it dangles");
    let before = tree(&env);
    let mut command = scratch.command(&["upgrade", "E"]);
    let said = ended(command.env("PATH", "/nowhere")).failed(1);
    assert!(
        said.contains("is gone, so `--python` must name one"),
        "{said}"
    );
    assert!(before == tree(&env), "something was touched");
    // Another interpreter of that version is on PATH.
    let elsewhere = prefix(found.last().unwrap()).join("bin");
    let mut command = scratch.command(&["upgrade", "E"]);
    ended(command.env("PATH", &elsewhere)).ok();
    let version = version_of(&scratch, found.last().unwrap());
    assert_eq!(works(&scratch, &env), version);
    is_clean(&scratch);
}

#[test]
fn a_base_that_is_patched_in_place_is_followed_by_links_and_by_copies() {
    let Some(found) = builds(11, 2) else { return };
    for kind in ["--symlinks", "--copies"] {
        let scratch = Scratch::new();
        let env = full(&scratch, &base(&scratch, &found[0]), 11, &[kind]);
        let before = of_packages(&env);
        assert_eq!(
            config(&env, "version"),
            Some(version_of(&scratch, &found[0]))
        );
        // A running copy is renamed away, never written to.
        let sleeper = (kind == "--copies").then(|| Sleeper::new(&scratch, &env));
        base(&scratch, &found[1]);
        upgrade(&scratch, &[]);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
        let version = version_of(&scratch, &found[1]);
        assert_eq!(config(&env, "version").as_ref(), Some(&version), "{kind}");
        assert_eq!(works(&scratch, &env), version, "{kind}");
        let real = fs::canonicalize(env.join("bin/python")).unwrap();
        assert_eq!(real.starts_with(&env), kind == "--copies", "{kind}");
        assert!(before == of_packages(&env), "{kind}: a package was touched");
        is_clean(&scratch);
    }
}

#[test]
fn links_become_copies_and_links_again_while_python_runs() {
    let Some(found) = builds(11, 1) else { return };
    let scratch = Scratch::new();
    let env = full(&scratch, &found[0].path, 11, &[]);
    let version = version_of(&scratch, &found[0]);
    for (kind, copied) in [("--copies", true), ("--symlinks", false)] {
        let sleeper = Sleeper::new(&scratch, &env);
        upgrade(&scratch, &[kind]);
        sleeper.wake();
        let real = fs::canonicalize(env.join("bin/python")).unwrap();
        assert_eq!(real.starts_with(&env), copied, "{kind}: {}", real.display());
        assert_eq!(works(&scratch, &env), version);
        // Without an option the choice stays.
        is_clean(&scratch);
    }
}

#[test]
fn choices_stay_lost_scripts_come_back_and_edited_ones_are_left_alone() {
    let Some(found) = builds(11, 2) else { return };
    let scratch = Scratch::new();
    let path = |at: usize| found[at].path.to_str().unwrap();
    let flags = [
        "--without-pip",
        "--prompt",
        "it's mine",
        "--system-site-packages",
    ];
    let create = ["create", "E", "--python", path(0)];
    scratch.rvenv(&[&create[..], &flags].concat()).ok();
    let env = scratch.path("E");
    let cfg = |key: &str| config(&env, key).unwrap();
    let prompt = cfg("prompt");
    let edited = "# mine\n";
    fs::write(env.join("bin/activate"), edited).unwrap();
    fs::remove_file(env.join("bin/activate.fish")).unwrap();
    let said = upgrade(&scratch, &["--python", path(1), "--without-pip"]);
    assert!(said.contains("Changed `E` from Python 3.11."), "{said}");
    assert_eq!(cfg("prompt"), prompt);
    assert_eq!(cfg("include-system-site-packages"), "true");
    assert_eq!(
        fs::read_to_string(env.join("bin/activate")).unwrap(),
        edited
    );
    let fish = fs::read_to_string(env.join("bin/activate.fish")).unwrap();
    assert!(fish.contains("it"), "{fish}");
    assert!(!env.join("bin/pip").exists());
    upgrade(&scratch, &["--without-pip", "--prompt", "another"]);
    assert_eq!(cfg("prompt").trim_matches('\''), "another");
    assert_eq!(
        fs::read_to_string(env.join("bin/activate")).unwrap(),
        edited
    );
}

/// What a failing check leaves of an upgrade to another build.
#[test]
fn a_check_that_fails_brings_everything_back() {
    let Some(found) = builds(11, 2) else { return };
    let scratch = Scratch::new();
    let env = full(&scratch, &found[0].path, 11, &[]);
    let python = found[1].path.to_str().unwrap();
    let before = look(&env);
    let fails = |checks: &[&str]| {
        let mut words = vec!["upgrade", "E", "--python", python];
        words.extend(checks.iter().flat_map(|check| ["--check", *check]));
        let said = scratch.rvenv(&words).failed(1);
        assert!(said.contains("the target is as it was before"), "{said}");
        compare_switched(&before, &look(&env)).unwrap();
        assert_eq!(own_names(&env), ["receipt.json"]);
        said
    };
    let said = fails(&["echo why >&2; false"]);
    assert!(said.contains("exit code 1\n"), "{said}");
    assert!(said.contains("why"), "{said}");
    // All of them run on the new environment, one after the other, until one fails.
    let version = version_of(&scratch, &found[1]);
    let asks = format!("python -V >> log; python -V | grep -F {version}");
    let said = fails(&[&asks, "pip --version && p07 && exit 7", "echo never >> log"]);
    assert!(said.contains("exit code 7"), "{said}");
    let log = fs::read_to_string(scratch.path("log")).unwrap();
    assert_eq!(log.trim(), format!("Python {version}"));

    // The new Python does not even start.
    let site = env.join("lib/python3.11/site-packages");
    let breaks = format!(
        "import os, sys; '%d.%d.%d' % sys.version_info[:3] == '{version}' and os._exit(9)\n"
    );
    fs::write(site.join("breaks.pth"), breaks).unwrap();
    let before = look(&env);
    let said = scratch
        .rvenv(&["upgrade", "E", "--python", python])
        .failed(1);
    assert!(
        said.contains("the built-in health check failed: exit code 9"),
        "{said}"
    );
    compare_switched(&before, &look(&env)).unwrap();
    assert_eq!(works(&scratch, &env), version_of(&scratch, &found[0]));
}

#[test]
fn what_a_check_wrote_is_not_lost_when_it_fails() {
    let Some(found) = builds(11, 2) else { return };
    let scratch = Scratch::new();
    let path = |at: usize| found[at].path.to_str().unwrap();
    scratch.rvenv(&["create", "E", "--python", path(0)]).ok();
    let env = scratch.path("E");
    let before = look(&env);
    let upgrade = ["upgrade", "E", "--python", path(1), "--check"];
    let check = |command: &str| scratch.rvenv(&[&upgrade[..], &[command]].concat());
    check("echo mine > $VIRTUAL_ENV/notes; false").failed(1);
    assert_eq!(fs::read_to_string(env.join("notes")).unwrap(), "mine\n");
    fs::remove_file(env.join("notes")).unwrap();
    compare_switched(&before, &look(&env)).unwrap();

    // An edit of a new file is kept with that file, and the message names it.
    let said = check("echo '# mine' >> $VIRTUAL_ENV/pyvenv.cfg; false").failed(5);
    assert!(said.contains("kept as generation 1"), "{said}");
    compare_switched(&before, &look(&env)).unwrap();
    let kept = tree(&env.join(".rvenv/old-1")).into_keys();
    let mut texts =
        kept.filter_map(|name| fs::read_to_string(env.join(".rvenv/old-1").join(name)).ok());
    assert!(texts.any(|text| text.ends_with("# mine\n")));

    // A check that succeeds may leave what it likes.
    check("echo mine > $VIRTUAL_ENV/notes").ok();
    assert_eq!(fs::read_to_string(env.join("notes")).unwrap(), "mine\n");
    assert_eq!(
        config(&env, "version"),
        Some(version_of(&scratch, &found[1]))
    );
}

/// `--upgrade-deps` never runs the pip of the environment, which may be broken.
#[test]
fn the_newest_dependencies_come_without_the_pip_of_the_environment() {
    for minor in [11, 12] {
        let Some(found) = builds(minor, 1) else {
            return;
        };
        let scratch = Scratch::new();
        let python = found[0].path.to_str().unwrap();
        scratch.rvenv(&["create", "E", "--python", python]).ok();
        let env = scratch.path("E");
        let site = env.join(format!("lib/python3.{minor}/site-packages"));
        let log = scratch.path("started");
        let watch = format!("import sys; open({log:?}, 'a').write(repr(sys.orig_argv) + '\\n')\n");
        fs::write(site.join("watch.pth"), watch).unwrap();
        let before = look(&env);
        let wheels = [("pip", "98.0"), ("pip", "99.0"), ("setuptools", "99.1")];
        let index = index(&scratch, &found[0].path, &wheels);
        let mut command = scratch.command(&["upgrade", "E", "--upgrade-deps"]);
        ended(
            command
                .env("PIP_NO_INDEX", "1")
                .env("PIP_FIND_LINKS", &index),
        )
        .ok();

        let installed = |name: &str| {
            let names = fs::read_dir(&site).unwrap();
            let names = names.map(|name| name.unwrap().file_name().into_string().unwrap());
            let of_name = |found: &String| found.starts_with(&format!("{name}-"));
            names.filter(of_name).collect::<Vec<_>>()
        };
        assert_eq!(installed("pip"), ["pip-99.0.dist-info"]);
        let setuptools: &[&str] = if minor < 12 {
            &["setuptools-99.1.dist-info"]
        } else {
            &[]
        };
        assert_eq!(installed("setuptools"), setuptools);
        assert!(
            !site.join("pip/_vendor").exists(),
            "the old pip is gone, whole"
        );
        assert_eq!(
            scratch.run::<&str>(&env.join("bin/pip"), &[]).ok(),
            "pip 99.0\n"
        );
        let started = fs::read_to_string(&log).unwrap();
        assert!(
            started.contains("bin/python"),
            "the health check starts it: {started}"
        );
        let of_pip = started
            .lines()
            .filter(|line| line.contains("'-m'") || line.contains("download"));
        assert_eq!(of_pip.count(), 0, "{started}");
        scratch.rvenv(&["verify", "E"]).ok();
        scratch.rvenv(&["rollback", "E"]).ok();
        compare_switched(&before, &look(&env)).unwrap();
    }
}

/// I8: it is named by every command, and in the plan before.
#[test]
fn an_older_pip_of_another_installer_is_named_where_the_bundled_one_replaces_it() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::new();
    let base = python.path.to_str().unwrap();
    let wheel = index(&scratch, &python.path, &[("pip", "1.0")]).join("pip-1.0-py3-none-any.whl");
    let wheel = wheel.to_str().unwrap();
    let plan = scratch.path("plan.json").display().to_string();
    let first = ["create", "E", "-p", base, "--without-pip"];
    let new = |scratch: &Scratch| {
        scratch.rvenv(&[&first[..], &["--clear"]].concat()).ok();
        let site = packages_of(&scratch.path("E"));
        let unpack = ["-m", "zipfile", "-e", wheel, site.to_str().unwrap()];
        scratch.run(&python.path, &unpack).ok();
    };
    let said = |words: &[&str], expect: &str| {
        let ended = scratch.rvenv(words);
        ended.clone().ok();
        let line = format!("{expect} 1 package: pip 1.0 → ");
        let found = ended.stderr.matches(&line).count();
        assert_eq!(found, 1, "{words:?}: {}", ended.stderr);
    };
    let shown = |words: &[&str]| {
        let text = scratch.rvenv(words).ok();
        assert!(text.contains("    ~ pip 1.0 → "), "{words:?}: {text}");
    };
    for words in [
        &["upgrade", "E"][..],
        &["upgrade", "E", "-p", base],
        &["create", "E", "-p", base],
    ] {
        new(&scratch);
        shown(&[words, &["--dry-run"]].concat());
        said(words, "Replaced");
        let again = scratch.rvenv(words);
        assert!(!again.stderr.contains(" 1 package"), "{again:?}");
    }
    new(&scratch);
    shown(&["plan", "E", "-p", base, "--out", &plan]);
    shown(&["show", &plan]);
    said(&["apply", &plan], "Replaced");
}

/// Another path to the same interpreter on PATH is no other base: neither a plan nor a change
/// rewrites the links and the configuration.
#[test]
fn an_environment_keeps_the_path_by_which_it_names_its_base() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::cold();
    // Outside the directory that may have come with the environment.
    let tools = tempfile::tempdir().unwrap();
    let link = tools.path().join("python3");
    symlink(&python.path, &link).unwrap();
    let (no_pip, link) = ("--without-pip", link.to_str().unwrap());
    scratch.rvenv(&["create", "E", no_pip, "-p", link]).ok();
    let before = tree(&scratch.path("E"));
    let home = python.path.parent().unwrap().display().to_string();
    for words in [
        &["upgrade", "E", no_pip, "--dry-run"][..],
        &["upgrade", "E", no_pip],
    ] {
        // Without what the interpreter answered before.
        fs::remove_dir_all(scratch.cache()).unwrap();
        let mut command = scratch.command(words);
        let said = ended(command.env("PATH", format!("{home}:/usr/bin:/bin")));
        let shown = format!("{}{}", said.stdout, said.stderr);
        said.ok();
        assert!(shown.contains("no changes"), "{words:?}: {shown}");
    }
    assert_eq!(tree(&scratch.path("E")), before);
    let named = config(&scratch.path("E"), "home").unwrap();
    assert_eq!(Path::new(&named), tools.path());
}
