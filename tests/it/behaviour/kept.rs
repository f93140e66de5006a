//! Packages that a lock names and that are installed are kept without being planned: nothing of
//! theirs is looked for, and the result is that of the plan of the whole.

use std::fs;
use std::path::Path;

use super::locks::{Bench, bench, told};
use crate::trees::{Sameness, Tree, compare, look};

const THREE: &[(&str, &str)] = &[("alpha", "1.0"), ("beta", "1.0"), ("gamma", "1.0")];
const NEXT: &[(&str, &str)] = &[("delta", "1.0"), ("beta", "1.0"), ("gamma", "1.0")];

impl Bench {
    /// The environment, with its receipt.
    fn looked(&self) -> (Tree, String) {
        let env = self.scratch.path("E");
        let receipt = fs::read_to_string(env.join(".rvenv/receipt.json")).unwrap();
        (look(&env), receipt)
    }

    /// Checks that a sync made what a new environment from the same lock has.
    #[track_caller]
    fn is_as_new(&self, lock: &Path) {
        let synced = self.looked();
        let new = self.made_new(lock);
        compare(&new.0, &synced.0, Sameness::Alike).unwrap();
        assert!(new.1 == synced.1, "the receipts differ");
    }

    fn made_new(&self, lock: &Path) -> (Tree, String) {
        self.scratch.rvenv(&["verify", "E"]).ok();
        fs::remove_dir_all(self.scratch.path("E")).unwrap();
        self.create(lock, &[]).ok();
        self.looked()
    }
}

/// The paths of a receipt with what is there, but for times: a source keeps a later one.
fn without_times(receipt: &str) -> Vec<&str> {
    let lines = receipt.lines().filter(|line| !line.contains("\"plan\":"));
    lines
        .map(|line| line.split(",\"mtime\":").next().unwrap())
        .collect()
}

#[test]
fn only_the_wheel_of_what_changes_is_looked_for() {
    let Some(bench) = bench() else { return };
    let (three, next) = (bench.lock("three", THREE), bench.lock("next", NEXT));
    bench.create(&three, &[]).ok();
    let hidden = ["beta", "gamma"].map(|name| bench.house.join(bench.wheel(name, "1.0").0));
    let aside = |path: &Path| path.with_extension("aside");
    for path in &hidden {
        fs::rename(path, aside(path)).unwrap();
    }
    fs::remove_dir_all(bench.scratch.cache()).unwrap();
    let said = told(bench.sync(&next, &[]));
    assert!(said.contains("Installed 1 package: delta 1.0"), "{said}");
    assert!(told(bench.sync(&next, &[])).contains("no changes"));
    // A plan for another machine has every file.
    bench.sync(&next, &["--dry-run"]).failed(1);
    for path in &hidden {
        fs::rename(aside(path), path).unwrap();
    }
    bench.is_as_new(&next);
}

/// What a person may do to one of the packages that stay.
type Damage = (&'static str, fn(&Path));

const DAMAGES: &[Damage] = &[
    ("a source is edited", |site| {
        fs::write(site.join("beta_alone.py"), "changed = True\n").unwrap();
    }),
    ("a note has other bytes of the same length", |site| {
        let path = site.join("beta-1.0.dist-info/INSTALLER");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "other\n").unwrap();
    }),
    ("a file is gone", |site| {
        fs::remove_file(site.join("beta-1.0.dist-info/METADATA")).unwrap();
    }),
    ("a file is a link", |site| {
        fs::remove_file(site.join("beta_alone.py")).unwrap();
        std::os::unix::fs::symlink("gamma_alone.py", site.join("beta_alone.py")).unwrap();
    }),
    ("a script is edited", |site| {
        let script = site.join("../../../bin/beta");
        let text = fs::read_to_string(&script).unwrap();
        fs::write(&script, text.replace("import", "IMPORT")).unwrap();
    }),
    ("its list is cut", |site| {
        let list = site.join("beta-1.0.dist-info/RECORD");
        let text = fs::read_to_string(&list).unwrap();
        fs::write(&list, text.lines().next().unwrap()).unwrap();
    }),
    ("it is uninstalled", |site| {
        fs::remove_dir_all(site.join("beta-1.0.dist-info")).unwrap();
    }),
];

#[test]
fn what_is_not_as_it_was_published_is_planned_again() {
    let Some(bench) = bench() else { return };
    let three = bench.lock("three", THREE);
    bench.create(&three, &[]).ok();
    let (whole, _) = bench.looked();
    for (what, damage) in DAMAGES {
        damage(&bench.site());
        let said = told(bench.sync(&three, &[]));
        assert!(said.contains("Changed"), "{what}: {said}");
        let (mended, _) = bench.looked();
        compare(&whole, &mended, Sameness::Alike).unwrap_or_else(|why| panic!("{what}: {why}"));
        assert!(
            told(bench.sync(&three, &[])).contains("no changes"),
            "{what}"
        );
    }
}

/// The times of the files that it leaves are in the receipt as before, so they are kept.
#[test]
fn a_repair_leaves_the_receipt_of_what_it_does_not_touch() {
    let Some(bench) = bench() else { return };
    let three = bench.lock("three", THREE);
    bench.create(&three, &[]).ok();
    let whole = bench.looked();
    fs::write(bench.scratch.path("E/bin/activate"), "damage").unwrap();
    bench.scratch.rvenv(&["repair", "E"]).ok();
    let repaired = bench.looked();
    compare(&whole.0, &repaired.0, Sameness::Alike).unwrap();
    assert!(whole.1 == repaired.1, "the receipts differ");
    // A file with another time is as the receipt says, and has no planned time any more.
    let source = fs::File::options()
        .append(true)
        .open(bench.site().join("beta_alone.py"));
    source
        .unwrap()
        .set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    fs::remove_file(bench.scratch.path("E/bin/activate")).unwrap();
    bench.scratch.rvenv(&["repair", "E"]).ok();
    let line = |receipt: &str| {
        let mut lines = receipt.lines();
        let found = lines.find(|line| line.contains("beta_alone.py\""));
        found.unwrap().to_owned()
    };
    let (_, dated) = bench.looked();
    assert!(line(&whole.1).contains("mtime"));
    assert!(!line(&dated).contains("mtime"));
}

/// What pip installs again is no longer as rvenv published it, though the version is the same.
#[test]
fn what_another_installer_installed_again_is_planned_again() {
    let Some(bench) = bench() else { return };
    let (three, next) = (bench.lock("three", THREE), bench.lock("next", NEXT));
    bench.create(&three, &[]).ok();
    let house = bench.house.to_str().unwrap();
    let words = ["--no-index", "--find-links", house, "--force-reinstall"];
    bench.pip(&[&["install", "-q"], &words[..], &["beta"]].concat());
    bench.sync(&next, &[]).ok();
    let installer = bench.site().join("beta-1.0.dist-info/INSTALLER");
    assert_eq!(fs::read_to_string(installer).unwrap(), "rvenv\n");
    bench.scratch.rvenv(&["verify", "E"]).ok();
}

/// How a package was asked for is part of what is installed.
#[test]
fn another_note_about_a_package_is_planned() {
    let Some(bench) = bench() else { return };
    let three = bench.lock("three", THREE);
    bench.create(&three, &[]).ok();
    let house = bench.house.to_str().unwrap();
    let mut lines = String::new();
    for (name, version) in THREE {
        let (file, digest) = bench.wheel(name, version);
        lines.extend([format!(
            "{name} @ file://{house}/{file} --hash=sha256:{digest}\n"
        )]);
    }
    let placed = bench.write("requirements.txt", &lines);
    let origin = bench.site().join("beta-1.0.dist-info/direct_url.json");
    bench.sync(&placed, &[]).ok();
    assert!(origin.exists());
    assert!(told(bench.sync(&placed, &[])).contains("no changes"));
    bench.sync(&three, &[]).ok();
    assert!(!origin.exists());
    bench.is_as_new(&three);
}

/// The scripts of packages depend on where the environment is, and their modes on the umask.
#[test]
fn a_moved_environment_is_planned_as_a_whole() {
    let Some(bench) = bench() else { return };
    let three = bench.lock("three", THREE);
    bench.create(&three, &[]).ok();
    let env = bench.scratch.path("E");
    fs::rename(&env, bench.scratch.path("F")).unwrap();
    let (lock, house) = (three.to_str().unwrap(), bench.house.to_str().unwrap());
    let locked = ["-r", lock, "--wheelhouse", house, "--no-index"];
    bench
        .scratch
        .rvenv(&[&["sync", "--env", "F"], &locked[..]].concat())
        .ok();
    let said = bench
        .scratch
        .run::<&str>(&bench.scratch.path("F/bin/beta"), &[]);
    assert_eq!(said.ok(), "beta 1.0\n");
    bench.scratch.rvenv(&["verify", "F"]).ok();
}

/// A file that two distributions have belongs to whichever stays.
#[test]
fn shared_files_are_as_in_a_new_environment() {
    let Some(bench) = bench() else { return };
    bench.sharing_wheels();
    let sets: &[&[(&str, &str)]] = &[
        &[("one", "1.0"), ("two", "1.0"), ("alpha", "1.0")],
        &[("two", "1.0"), ("alpha", "1.0")],
        &[("one", "1.0"), ("two", "1.0"), ("delta", "1.0")],
        &[("one", "1.0"), ("beta", "1.0"), ("delta", "1.0")],
        &[("beta", "1.0")],
        &[("beta", "1.0"), ("two", "1.0")],
    ];
    let locks: Vec<_> = sets.iter().zip(0..).collect();
    for (set, number) in locks {
        let lock = bench.lock(&format!("set{number}"), set);
        match number {
            0 => bench.create(&lock, &[]).ok(),
            _ => bench.sync(&lock, &[]).ok(),
        };
        let (_, synced) = bench.looked();
        let (_, new) = bench.made_new(&lock);
        assert!(
            without_times(&synced) == without_times(&new),
            "set {number}"
        );
    }
}
