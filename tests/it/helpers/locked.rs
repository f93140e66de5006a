//! Two locks, and a directory with the wheels that they name: tests disturb a `sync` from the first
//! lock to the second.
//!
//! The second lock replaces `changed`, drops `gone`, adds `fresh`, and leaves `spaced` as it is.
//! All but `gone` have a module in the namespace package `shared`. There and in two other
//! directories of packages, a file exists that no package lists. No network: the index is a
//! directory.

use std::fs;
use std::path::{Path, PathBuf};

use rvenv_journal::Digest;

use crate::packages::packages_of;
use crate::trees::{Lab, end};
use crate::wheels::{self, NewWheel};

/// A release: a name and a version.
type Release = (&'static str, &'static str);

/// The lock before a `sync`.
const FIRST: (&str, &[Release]) = (
    "first",
    &[("changed", "1.0"), ("gone", "1.0"), ("spaced", "1.0")],
);
/// The lock after it.
const SECOND: (&str, &[Release]) = (
    "second",
    &[("changed", "2.0"), ("fresh", "1.0"), ("spaced", "1.0")],
);

/// A program that imports, again and again, what both locks have.
#[cfg(target_os = "linux")]
pub(crate) const IMPORTS: &str = "
import importlib, sys
for _ in range(40):
    for name in ('spaced', 'shared', 'shared.spaced'):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    import shared.spaced, spaced
    assert shared.spaced.version == spaced.version == '1.0'
";

/// The wheel of a release.
fn wheel((name, version): Release) -> NewWheel {
    let text = format!("version = '{version}'\ndef main():\n    print(version)\n");
    let mut wheel = NewWheel::new(name, version).file(&format!("{name}/__init__.py"), &text);
    if name != "gone" {
        wheel = wheel.file(&format!("shared/{name}.py"), &text);
    }
    if name != "spaced" {
        wheel = wheel.program("main");
    }
    wheel
}

/// Installs what the first lock names into the target, and puts files of no package into the
/// directories of packages.
pub(crate) fn begin(lab: &Lab) {
    write(lab);
    let words = back(lab);
    let ended = end(&mut lab.rvenv(&words));
    assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.story);
    let site = packages_of(&lab.target());
    for dir in ["shared", "changed", "gone"] {
        fs::write(site.join(dir).join("mine.txt"), "mine\n").unwrap();
    }
}

/// The arguments that bring the target to the first lock again.
pub(crate) fn back(lab: &Lab) -> Vec<String> {
    sync(lab, FIRST.0, &["--no-keep"])
}

/// The arguments that bring it to the second lock; `more` are flags.
pub(crate) fn forward(lab: &Lab, more: &[&str]) -> Vec<String> {
    sync(lab, SECOND.0, more)
}

fn sync(lab: &Lab, lock: &str, more: &[&str]) -> Vec<String> {
    let target = lab.shown_target();
    let words = ["sync", "--env", &target, "--no-index"];
    let words = words.iter().chain(more).map(|word| (*word).to_owned());
    let paths = [("-r", lock_file(lab, lock)), ("--wheelhouse", house(lab))];
    let paths = paths.map(|(flag, path)| [flag.to_owned(), path.display().to_string()]);
    words.chain(paths.into_iter().flatten()).collect()
}

fn house(lab: &Lab) -> PathBuf {
    lab.file("house")
}

fn lock_file(lab: &Lab, name: &str) -> PathBuf {
    lab.file(&format!("pylock.{name}.toml"))
}

/// Writes the wheels and the locks.
fn write(lab: &Lab) {
    let house = house(lab);
    fs::create_dir_all(&house).unwrap();
    let releases = FIRST.1.iter().chain(SECOND.1);
    let releases = releases.map(|release| wheel(*release));
    wheels::write(&lab.python, &house, releases);
    for (name, releases) in [FIRST, SECOND] {
        let packages = releases.iter().map(|release| locked(&house, *release));
        let packages: String = packages.collect();
        let text =
            format!("lock-version = '1.0'\ncreated-by = 'hand'\npackages = [\n{packages}]\n");
        fs::write(lock_file(lab, name), text).unwrap();
    }
}

/// The line of a release in a lock.
fn locked(house: &Path, (name, version): Release) -> String {
    let file = format!("{name}-{version}-py3-none-any.whl");
    let digest = Digest::of(&fs::read(house.join(&file)).unwrap());
    format!(
        "{{ name = '{name}', version = '{version}', wheels = [{{ \
         url = 'https://files.invalid/{file}', hashes = {{ sha256 = '{digest}' }} }}] }},\n"
    )
}
