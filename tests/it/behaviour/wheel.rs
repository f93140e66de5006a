//! Real wheels: the wheels that interpreters bundle, compared with what `python -m venv` makes of
//! them.
//!
//! Each comparison needs an interpreter of a certain version; where it is missing the test prints a
//! message and returns.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::machine::memory;
use rvenv::wheel::{
    FileContent, InstallScheme, Notes, Planned, Requested, Wheel, WheelError, installation,
};
use rvenv_journal::{Digest, RelPath};

/// The prefixes of all interpreters that pyenv keeps here.
fn prefixes() -> Vec<PathBuf> {
    let output = Command::new("pyenv").arg("root").output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else {
        return Vec::new();
    };
    let root = String::from_utf8(output.stdout).unwrap();
    listing(&Path::new(root.trim()).join("versions"))
}

/// The paths in a directory in order; none if there is no such directory.
fn listing(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

fn wheels_in(directory: &Path) -> Vec<PathBuf> {
    let mut paths = listing(directory);
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "whl"));
    paths
}

/// The wheels that the interpreters of a prefix bundle.
fn bundled(prefix: &Path) -> Vec<PathBuf> {
    listing(&prefix.join("lib"))
        .iter()
        .flat_map(|library| wheels_in(&library.join("ensurepip/_bundled")))
        .collect()
}

#[test]
fn every_bundled_wheel_of_this_machine_opens_and_keeps_its_promises() {
    let mut paths = wheels_in(Path::new("/usr/share/python-wheels"));
    paths.extend(prefixes().iter().flat_map(|prefix| bundled(prefix)));
    if paths.is_empty() {
        println!("skipped: no interpreter here bundles wheels");
    }
    for path in paths {
        let wheel = Wheel::open(&path).unwrap_or_else(|error| panic!("{error}: {}", error.fault));
        let mut count = 0;
        wheel
            .for_each(u64::MAX, |member, bytes| {
                assert_eq!(member.len, bytes.len() as u64);
                assert_eq!(member.digest, Digest::of(bytes));
                count += 1;
                Ok::<(), WheelError>(())
            })
            .unwrap_or_else(|error| panic!("{error}: {}", error.fault));
        assert_eq!(count, wheel.members().len());
        assert!(count > 50, "{}", path.display());
        assert_eq!(wheel.digest(), Digest::of(&fs::read(&path).unwrap()));
    }
}

/// An environment made by `python -m venv`.
struct Reference {
    _scratch: tempfile::TempDir,
    root: PathBuf,
    /// `lib/python3.12/site-packages`
    site: String,
    /// Path to whether it is executable; without bytecode, and without what is not of a wheel.
    files: BTreeMap<String, bool>,
}

impl Reference {
    fn new(prefix: &Path, minor: u8) -> Self {
        let scratch = memory().unwrap_or_else(|| tempfile::tempdir().unwrap());
        let root = scratch.path().canonicalize().unwrap().join("env");
        let output = Command::new(prefix.join(format!("bin/python3.{minor}")))
            .args(["-m", "venv"])
            .arg(&root)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let site = format!("lib/python3.{minor}/site-packages");
        let mut files = BTreeMap::new();
        for start in ["bin", &site] {
            walk(&root, &root.join(start), &mut files);
        }
        files.retain(|path, _| {
            let name = path.strip_prefix("bin/").unwrap_or_default();
            !["python", "activate", "Activate"]
                .iter()
                .any(|own| name.starts_with(own))
        });
        Self {
            _scratch: scratch,
            root,
            site,
            files,
        }
    }

    fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

fn walk(root: &Path, directory: &Path, files: &mut BTreeMap<String, bool>) {
    for path in listing(directory) {
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            walk(root, &path, files);
        } else if path.extension().is_none_or(|extension| extension != "pyc") {
            let relative = path.strip_prefix(root).unwrap().to_str().unwrap();
            let executable = metadata.permissions().mode() & 0o111 != 0;
            files.insert(relative.to_owned(), executable);
        }
    }
}

fn rel(path: &str) -> RelPath {
    RelPath::new(path).unwrap()
}

/// Makes an environment with Python's own venv and compares rvenv's plan for the same wheels with
/// it.
fn check(minor: u8) {
    let wanted = format!("3.{minor}.");
    let prefix = prefixes().into_iter().find(|prefix| {
        let version = prefix.file_name().unwrap().to_string_lossy();
        version.starts_with(&wanted)
    });
    let Some(prefix) = prefix else {
        println!("skipped: there is no Python 3.{minor} under pyenv");
        return;
    };
    let reference = Reference::new(&prefix, minor);
    // Some interpreters bundle a wheel that they do not install.
    let wheels: Vec<_> = bundled(&prefix)
        .iter()
        .map(|path| Wheel::open(path).unwrap())
        .filter(|wheel| {
            let record = format!("{}/{}/RECORD", reference.site, wheel.dist_info());
            reference.files.contains_key(&record)
        })
        .collect();
    let pip = wheels.iter().find(|wheel| wheel.name() == "pip").unwrap();
    let python = reference.root.join("bin/python3");
    let target = InstallScheme {
        purelib: rel(&reference.site),
        platlib: rel(&reference.site),
        scripts: rel("bin"),
        headers: rel(&format!("include/site/python3.{minor}")),
        python: python.to_str().unwrap(),
        launchers: None,
        version: (3, minor),
        bytecode: None,
        notes: Notes {
            installer: "pip",
            requested: Requested::by_pip(pip.version()),
            direct_url: None,
        },
    };
    let mut seen = BTreeMap::new();
    for wheel in &wheels {
        let files = installation(wheel, &target).unwrap();
        check_contents(wheel, &files, &reference);
        seen.extend(
            files
                .into_iter()
                .map(|file| (file.path.to_string(), file.executable)),
        );
    }
    assert_eq!(seen, reference.files);
    check_scripts(&installation(pip, &target).unwrap(), &reference);
}

fn check_contents(wheel: &Wheel, files: &[Planned], reference: &Reference) {
    for file in files {
        let real = reference.read(file.path.as_str());
        match &file.content {
            FileContent::Member { digest, len, .. } => {
                assert_eq!(*digest, Digest::of(&real), "{}", file.path);
                assert_eq!(*len, real.len() as u64, "{}", file.path);
            }
            FileContent::Bytecode { .. } => panic!("not asked for: {}", file.path),
            FileContent::Bytes(bytes) if file.path.name() == "RECORD" => {
                assert_eq!(rows(bytes), rows(&real), "{}", file.path);
                let scripts = |bytes| names(bytes, "../../../bin/");
                assert_eq!(scripts(bytes), scripts(&real), "{}", file.path);
            }
            FileContent::Bytes(_) if file.path.as_str().starts_with("bin/") => {}
            FileContent::Bytes(bytes) => assert_eq!(*bytes, real, "{}", file.path),
        }
    }
    assert!(files.len() > wheel.members().len());
}

/// The rows of RECORD without bytecode and scripts, whose bytes are rvenv's own.
fn rows(record: &[u8]) -> Vec<String> {
    let text = String::from_utf8(record.to_vec()).unwrap();
    assert!(text.ends_with("\r\n"));
    text.split("\r\n")
        .filter(|row| !row.contains(".pyc,") && !row.starts_with("../"))
        .map(str::to_owned)
        .collect()
}

fn names(record: &[u8], prefix: &str) -> BTreeSet<String> {
    let text = String::from_utf8(record.to_vec()).unwrap();
    text.split("\r\n")
        .filter(|row| row.starts_with(prefix))
        .map(|row| row.split(',').next().unwrap_or_default().to_owned())
        .collect()
}

/// rvenv's scripts do the same as pip's.
fn check_scripts(files: &[Planned], reference: &Reference) {
    let mut count = 0;
    for file in files {
        let FileContent::Bytes(bytes) = &file.content else {
            continue;
        };
        if !file.path.as_str().starts_with("bin/") {
            continue;
        }
        let path = reference.root.join(file.path.as_str());
        let run = || {
            let output = Command::new(&path).arg("--version").output().unwrap();
            assert!(output.status.success(), "{}", path.display());
            String::from_utf8(output.stdout).unwrap()
        };
        let theirs = run();
        fs::write(&path, bytes).unwrap();
        assert_eq!(run(), theirs);
        count += 1;
    }
    assert_eq!(count, 3);
}

#[test]
fn an_environment_of_python_3_6_is_planned_as_venv_makes_it() {
    check(6);
}

#[test]
fn an_environment_of_python_3_8_is_planned_as_venv_makes_it() {
    check(8);
}

#[test]
fn an_environment_of_python_3_11_is_planned_as_venv_makes_it() {
    check(11);
}

#[test]
fn an_environment_of_python_3_13_is_planned_as_venv_makes_it() {
    check(13);
}
