//! Another Python with packages: what fits comes along, what does not is replaced by a wheel of the
//! same version, and what can be had in no way is named.
//!
//! Real interpreters of three minor versions, and wheels made here; no network. Read next:
//! `another_python.rs`, environments whose packages cannot come along.

use std::fs;
use std::path::{Path, PathBuf};

use crate::machine::{Ended, Python, Scratch, ended};
use crate::packages::{builds, index, wheelhouse};
use crate::trees::{Sameness, Tree, compare, look};

/// What every environment here has, and what imports it.
const INSTALLED: &[&str] = &[
    "pure", "tool", "shared", "ns_a", "ns_b", "stable", "compiled", "edi",
];
const IMPORT: &str = "import pure, pure_top, tool, shared, ns.a.m, ns.b.m, stable, compiled, edi; \
                      print(ns.a.m.v + ns.b.m.v, compiled.v, edi.v)";

/// An environment `E` with packages, and the interpreters that it goes to.
struct Household {
    scratch: Scratch,
    house: PathBuf,
    pythons: Vec<Python>,
}

fn household(packages: &[&str]) -> Option<Household> {
    let pythons = [11, 12, 13].map(|minor| builds(minor, 1));
    let pythons: Option<Vec<Python>> = pythons
        .into_iter()
        .map(|found| Some(found?.remove(0)))
        .collect();
    let pythons = pythons?;
    let scratch = Scratch::in_memory();
    let house = wheelhouse(&scratch, &pythons[0].path);
    let python = pythons[0].path.to_str().unwrap();
    scratch.rvenv(&["create", "E", "--python", python]).ok();
    let household = Household {
        scratch,
        house,
        pythons,
    };
    household.install(packages).ok();
    Some(household)
}

impl Household {
    fn env(&self) -> PathBuf {
        self.scratch.path("E")
    }

    fn python(&self) -> PathBuf {
        self.env().join("bin/python")
    }

    fn install(&self, packages: &[&str]) -> Ended {
        let house = self.house.to_str().unwrap();
        let install = [
            "-m",
            "pip",
            "install",
            "-q",
            "--no-index",
            "--no-deps",
            "--find-links",
        ];
        let words = [&install, &[house][..], packages].concat();
        self.scratch.run(&self.python(), &words)
    }

    /// A command with the interpreter of one minor version, and the wheels made here.
    fn rvenv(&self, verb: &str, minor: u32, more: &[&str]) -> Ended {
        let house = self.house.to_str().unwrap();
        let python = self
            .pythons
            .iter()
            .find(|python| python.version == (3, minor));
        let python = python.unwrap().path.to_str().unwrap();
        let words = [
            verb,
            "E",
            "--python",
            python,
            "--no-index",
            "--find-links",
            house,
        ];
        self.scratch.rvenv(&[&words, more].concat())
    }

    fn run(&self, code: &str) -> Ended {
        self.scratch.run(&self.python(), &["-B", "-c", code])
    }

    fn script(&self, name: &str) -> String {
        let script = self.env().join("bin").join(name);
        self.scratch
            .run::<&str>(&script, &[])
            .ok()
            .trim()
            .to_owned()
    }

    /// The environment as the user sees it.
    fn look(&self) -> Tree {
        look(&self.env())
    }

    fn rollback(&self) {
        self.scratch.rvenv(&["rollback", "E"]).ok();
    }

    /// Checks that every package works for this Python, and that nothing of another is left.
    #[track_caller]
    fn works(&self, minor: u32) {
        let said = self.run(IMPORT).ok();
        assert_eq!(said.trim(), format!("ab 3{minor} 7"));
        assert_eq!(self.script("tool"), "tool");
        assert_eq!(self.script("shtool"), "shtool");
        let check = self
            .scratch
            .run(&self.python(), &["-m", "pip", "check"])
            .ok();
        assert_eq!(check, "No broken requirements found.\n");
        self.scratch.rvenv(&["verify", "E"]).ok();
        let libs: Vec<_> = fs::read_dir(self.env().join("lib")).unwrap().collect();
        assert_eq!(libs.len(), 1, "{libs:?}");
        let headers = format!("include/site/python3.{minor}/shared/x.h");
        assert!(self.env().join(headers).is_file());
    }
}

#[test]
fn packages_come_along_to_each_newer_python_and_back() {
    let Some(home) = household(INSTALLED) else {
        return;
    };
    home.works(11);
    let mut before = Vec::new();
    for minor in [12, 13] {
        before.push(home.look());
        let said = home.rvenv("upgrade", minor, &[]);
        said.clone().ok();
        let count = "7 packages came along, 1 package replaced by another wheel";
        assert!(said.stderr.contains(count), "{}", said.stderr);
        home.works(minor);
    }
    let newest = home.look();
    for (minor, before) in [12, 11].into_iter().zip(before.iter().rev()) {
        home.rollback();
        compare(before, &home.look(), Sameness::Restored).unwrap();
        home.works(minor);
        if minor == 12 {
            home.rollback();
            compare(&newest, &home.look(), Sameness::Restored).unwrap();
            home.works(13);
            home.rollback();
            // What was brought back is kept behind the older generation again.
            compare(before, &home.look(), Sameness::Restored).unwrap();
            break;
        }
    }
}

#[test]
fn the_wheels_for_another_python_come_from_a_wheelhouse_too() {
    let Some(home) = household(&["pure", "compiled"]) else {
        return;
    };
    let newer = home.pythons.iter().find(|python| python.version == (3, 12));
    let newer = newer.unwrap().path.to_str().unwrap();
    let house = home.house.to_str().unwrap();
    let places = ["--no-index", "--wheelhouse", house];
    for verb in ["upgrade", "create"] {
        let words = [&[verb, "E", "--python", newer][..], &places].concat();
        let said = home.scratch.rvenv(&words);
        said.clone().ok();
        let count = "1 package came along, 1 package replaced by another wheel";
        assert!(said.stderr.contains(count), "{}", said.stderr);
        home.run("import pure, compiled; assert compiled.v == 312")
            .ok();
        home.rollback();
    }
}

/// With `PYTHONPYCACHEPREFIX`, pip lists bytecode where Python keeps it: outside of the
/// environment.
#[test]
fn bytecode_that_is_listed_elsewhere_is_no_damage_and_does_not_come_along() {
    let Some(home) = household(&["compiled"]) else {
        return;
    };
    let cache = home.scratch.path("bytecode");
    let house = home.house.to_str().unwrap();
    let install = ["-m", "pip", "install", "-q", "--no-index", "--find-links"];
    let mut command = home.scratch.program(&home.python(), "022");
    command.args(install).args([house, "--no-deps", "pure"]);
    ended(command.env("PYTHONPYCACHEPREFIX", &cache)).ok();
    let list = |minor: u32| {
        let site = format!("lib/python3.{minor}/site-packages");
        fs::read_to_string(home.env().join(site).join("pure-1.0.dist-info/RECORD")).unwrap()
    };
    assert!(list(11).contains("/../bytecode/"), "{}", list(11));
    let kept = look(&cache);
    home.scratch.rvenv(&["verify", "E"]).ok();
    let said = home.rvenv("upgrade", 12, &[]);
    said.clone().ok();
    let count = "1 package came along, 1 package replaced by another wheel";
    assert!(said.stderr.contains(count), "{}", said.stderr);
    assert!(!list(12).contains("/../bytecode/"), "{}", list(12));
    home.run("import pure").ok();
    home.rollback();
    home.scratch
        .rvenv(&["uninstall", "--env", "E", "pure"])
        .ok();
    home.run("import pure").failed(1);
    compare(&kept, &look(&cache), Sameness::Exact).unwrap();
}

#[test]
fn what_cannot_come_is_named_with_the_reason_and_refused() {
    let Some(home) = household(&["pure", "compiled", "only311", "old"]) else {
        return;
    };
    let before = home.look();
    let refused = home.rvenv("upgrade", 12, &[]).failed(3);
    for words in [
        "2 packages of",
        "no longer be importable: old 1.0, only311 3.0",
        "old 1.0: it requires Python >=3.6,<3.12",
        "only311 3.0: it was built for cp311-cp311-",
        "no wheel of `only311` 3.0 that fits is there",
        "`pip install 'old>1.0' 'only311>3.0'`",
    ] {
        assert!(refused.contains(words), "{words}: {refused}");
    }
    compare(&before, &home.look(), Sameness::Exact).unwrap();

    // What would happen is shown all the same, by either command.
    for shown in [
        home.rvenv("upgrade", 12, &["--dry-run"]),
        home.rvenv("plan", 12, &["--upgrade"]),
    ] {
        assert!(
            shown.stdout.contains("2 packages: old 1.0, only311 3.0"),
            "{}",
            shown.stdout
        );
        assert!(shown.stdout.contains("    = pure "), "{}", shown.stdout);
        let along = "1 package will come along, 1 package will be replaced";
        assert!(shown.stderr.contains(along), "{}", shown.stderr);
        shown.failed(3);
    }
    compare(&before, &home.look(), Sameness::Exact).unwrap();

    let allowed = home.rvenv("upgrade", 12, &["--allow-lost"]);
    allowed.clone().ok();
    assert!(
        allowed.stderr.contains("may find another version"),
        "{}",
        allowed.stderr
    );
    home.run("import pure, compiled; assert compiled.v == 312")
        .ok();
    // They stay where they were, and `verify` names them.
    assert!(
        home.env()
            .join("lib/python3.11/site-packages/old.py")
            .is_file()
    );
    let verified = home.scratch.rvenv(&["verify", "E"]);
    assert!(verified.stdout.contains("lost"), "{}", verified.stdout);
    verified.failed(4);
    home.rollback();
    compare(&before, &home.look(), Sameness::Restored).unwrap();
}

#[test]
fn what_markers_say_of_another_python_is_named() {
    let Some(home) = household(&["marked", "backport"]) else {
        return;
    };
    let requested = "lib/python3.11/site-packages/backport-1.0.dist-info/REQUESTED";
    fs::remove_file(home.env().join(requested)).unwrap();
    let said = home.rvenv("upgrade", 12, &[]);
    said.clone().ok();
    for words in [
        "Needed for this Python and not installed: newer (for marked 1.0); `--with-deps` adds it",
        "Needed only for the Python before: backport 1.0",
    ] {
        assert!(said.stderr.contains(words), "{}", said.stderr);
    }
}

#[test]
fn what_another_python_needs_besides_is_added_where_it_is_asked_for() {
    let Some(home) = household(&["marked", "backport"]) else {
        return;
    };
    let before = home.look();
    let python = &home.pythons[0].path;
    let index = index(&home.scratch, python, &[("newer", "1.0"), ("newer", "2.0")]);
    let flags = ["--with-deps", "--find-links", index.to_str().unwrap()];
    let shown = home.rvenv("upgrade", 12, &[&flags[..], &["--dry-run"]].concat());
    assert!(shown.stdout.contains("newer"), "{shown:?}");
    compare(&before, &home.look(), Sameness::Exact).unwrap();
    let said = home.rvenv("upgrade", 12, &flags);
    said.clone().ok();
    assert!(!said.stderr.contains("not installed"), "{}", said.stderr);
    home.run("import marked, newer").ok();
    let info = home
        .env()
        .join("lib/python3.12/site-packages/newer-2.0.dist-info");
    assert!(info.is_dir(), "the newest that fits");
    assert!(
        !info.join("REQUESTED").exists(),
        "nobody asked for it by name"
    );
    home.scratch.rvenv(&["verify", "E"]).ok();
    home.rollback();
    compare(&before, &home.look(), Sameness::Restored).unwrap();

    // What no place has is named, and nothing changes.
    let failed = home.rvenv("upgrade", 12, &["--with-deps"]).failed(1);
    assert!(failed.contains("newer"), "{failed}");
    compare(&before, &home.look(), Sameness::Restored).unwrap();
}

#[test]
fn a_package_that_cannot_be_imported_brings_the_old_environment_back() {
    let Some(home) = household(&["pure", "fragile"]) else {
        return;
    };
    let before = home.look();
    let failed = home.rvenv("upgrade", 12, &[]).failed(1);
    assert!(failed.contains("cannot import fragile"), "{failed}");
    assert!(failed.contains("AssertionError"), "{failed}");
    compare(&before, &home.look(), Sameness::Restored).unwrap();
    home.run("import pure, fragile").ok();
}

#[test]
fn a_package_that_lacks_what_it_needs_for_this_python_is_not_blamed() {
    let Some(home) = household(&["pure", "leaning"]) else {
        return;
    };
    let failed = home.rvenv("upgrade", 12, &[]).failed(1);
    assert!(failed.contains("cannot import leaning"), "{failed}");
    let hint = "hint: `--with-deps` installs what they need for this Python: newer>=1\n";
    assert!(failed.ends_with(hint), "{failed}");
    let python = &home.pythons[0].path;
    let index = index(&home.scratch, python, &[("newer", "1.0")]);
    let flags = ["--with-deps", "--find-links", index.to_str().unwrap()];
    home.rvenv("upgrade", 12, &flags).ok();
    home.run("import pure, leaning, newer").ok();
}

#[test]
fn a_package_that_could_not_be_imported_before_is_no_obstacle() {
    let Some(home) = household(&["pure", "hopeless"]) else {
        return;
    };
    home.run("import hopeless").failed(3);
    let said = home.rvenv("upgrade", 12, &[]);
    said.clone().ok();
    let told = "hopeless could not be imported before either";
    assert!(said.stderr.contains(told), "{}", said.stderr);
    home.run("import pure").ok();
}

/// I8: never a mixture of what the RECORD lists and something else.
#[test]
fn a_damaged_package_is_replaced_by_its_wheel_or_refused() {
    let Some(home) = household(&["pure", "tool"]) else {
        return;
    };
    let file = home
        .env()
        .join("lib/python3.11/site-packages/pure/data.txt");
    let length = fs::read(&file).unwrap().len();
    fs::write(&file, "x".repeat(length)).unwrap();
    let python = home.pythons[1].path.to_str().unwrap();
    let words = ["upgrade", "E", "--python", python, "--no-index"];
    let refused = home.scratch.rvenv(&words).failed(3);
    let path = "`lib/python3.11/site-packages/pure/data.txt` is not as its RECORD lists it";
    assert!(refused.contains(path), "{refused}");

    let said = home.rvenv("upgrade", 12, &[]);
    said.clone().ok();
    let count = "1 package came along, 1 package replaced by another wheel";
    assert!(said.stderr.contains(count), "{}", said.stderr);
    let new = home
        .env()
        .join("lib/python3.12/site-packages/pure/data.txt");
    assert_eq!(fs::read_to_string(new).unwrap(), "data of pure\n");
}

/// Item by item the same as an upgrade: `create`, and a saved plan.
#[test]
fn create_and_a_saved_plan_carry_packages_too() {
    let Some(home) = household(INSTALLED) else {
        return;
    };
    let before = home.look();
    home.rvenv("create", 12, &[]).ok();
    home.works(12);
    home.rollback();
    compare(&before, &home.look(), Sameness::Restored).unwrap();

    home.rvenv("plan", 12, &["--out", "plan.json"]).ok();
    compare(&before, &home.look(), Sameness::Restored).unwrap();
    home.scratch.rvenv(&["apply", "plan.json"]).ok();
    home.works(12);
}

/// A plan that does not ask for a distribution does not remove it.
#[test]
fn what_came_along_stays_when_the_environment_is_made_again() {
    let Some(home) = household(INSTALLED) else {
        return;
    };
    home.rvenv("upgrade", 12, &[]).ok();
    for again in ["upgrade", "create"] {
        let ended = home.rvenv(again, 12, &[]);
        assert!(
            ended.stderr.contains("no changes"),
            "{again}: {}",
            ended.stderr
        );
    }
    home.rvenv("create", 12, &["--prompt", "again"]).ok();
    home.works(12);
    home.rvenv("upgrade", 13, &[]).ok();
    home.works(13);
}

#[test]
fn files_of_nobody_stay_where_they_are() {
    let Some(home) = household(&["pure", "tool"]) else {
        return;
    };
    let site = Path::new("lib/python3.11/site-packages");
    for (path, text) in [("pure/mine.txt", "mine"), ("mine.pth", "# mine\n")] {
        fs::write(home.env().join(site).join(path), text).unwrap();
    }
    home.run("import pure, pure_top").ok();
    let before = home.look();
    home.rvenv("upgrade", 12, &[]).ok();
    home.run("import pure, pure_top, tool").ok();
    let left = look(&home.env().join("lib/python3.11"));
    let left: Vec<String> = left
        .unwrap()
        .keys()
        .map(|path| path.display().to_string())
        .collect();
    let expected = [
        ".",
        "./site-packages",
        "./site-packages/mine.pth",
        "./site-packages/pure",
        "./site-packages/pure/mine.txt",
    ];
    assert_eq!(left, expected);
    home.rollback();
    compare(&before, &home.look(), Sameness::Restored).unwrap();
}
