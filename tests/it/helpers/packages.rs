//! Environments with packages in them: wheels made by hand, and packages laid out as by an
//! installer.
//!
//! A package here has everything that a distribution may contain: a directory with a module and a
//! data file in it, a module beside it, a data file at the top of the environment, and a program.
//! No network: the index is a directory.

use std::fs;
use std::path::{Path, PathBuf};

use crate::machine::{Python, Scratch, ended, supported};

/// How many packages a full environment has.
pub(crate) const PACKAGES: usize = 20;

/// The files of a package, all but one below `site-packages`, and a list of them.
const PACKAGE: &str = r#"
import base64, hashlib, os, sys, zipfile
def package(name, version):
    info = "%s-%s.dist-info/" % (name, version)
    return info, "share/%s.txt" % name, {
        name + "/__init__.py": "made = 'by hand'\n",
        name + "/inner.py": "def main():\n    print('%s %s')\n" % (name, version),
        name + "/table.txt": "data of %s\n" % name,
        name + "_alone.py": "value = '%s'\n" % name,
        info + "METADATA": "Metadata-Version: 2.1\nName: %s\nVersion: %s\n" % (name, version),
        info + "WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        info + "entry_points.txt": "[console_scripts]\n%s = %s.inner:main\n" % (name, name),
    }
def row(path, text):
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
    return "%s,sha256=%s,%d\n" % (path, digest, len(text))
"#;

/// Writes wheels of names and versions into a directory, all with the same time, as in reproducible
/// builds.
const MAKE: &str = r#"
directory, wheels = sys.argv[1], sys.argv[2:]
def member(path):
    found = zipfile.ZipInfo(path, (2020, 2, 2, 0, 0, 0))
    found.external_attr = 0o600 << 16
    return found
for name, version in zip(wheels[::2], wheels[1::2]):
    info, shared, files = package(name, version)
    files["%s-%s.data/data/%s" % (name, version, shared)] = "shared by %s\n" % name
    rows = ""
    with zipfile.ZipFile("%s/%s-%s-py3-none-any.whl" % (directory, name, version), "w") as wheel:
        for path, text in sorted(files.items()):
            wheel.writestr(member(path), text)
            rows += row(path, text)
        wheel.writestr(member(info + "RECORD"), rows + info + "RECORD,,\n")
"#;

/// Lays packages out in an environment as an installer does.
const LAY: &str = r##"
env, site, names = sys.argv[1], sys.argv[2], sys.argv[3:]
for name in names:
    info, shared, files = package(name, "1.0")
    files[info + "INSTALLER"] = "hand\n"
    program = "#!%s/bin/python\nfrom %s.inner import main\nmain()\n" % (env, name)
    above = os.path.relpath(env, site) + "/"
    files.update({above + shared: "shared by %s\n" % name, above + "bin/" + name: program})
    rows = "".join(row(path, text) for path, text in files.items())
    files[info + "RECORD"] = rows + info + "RECORD,,\n"
    for path, text in files.items():
        path = os.path.normpath(os.path.join(site, path))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
    os.chmod(os.path.join(env, "bin", name), 0o755)
"##;

/// Imports every package and reads its data; returns the version of that Python, without the
/// details of the build.
const IMPORT: &str = r#"
import importlib, os, sys
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    importlib.import_module(name + ".inner")
    assert importlib.import_module(name + "_alone").value == name
    with open(os.path.join(os.path.dirname(package.__file__), "table.txt")) as table:
        assert table.read() == "data of %s\n" % name
    with open(os.path.join(sys.prefix, "share", name + ".txt")) as table:
        assert table.read() == "shared by %s\n" % name
print("%d.%d.%d" % sys.version_info[:3])
"#;

/// A directory `index` with these wheels, by name and version.
pub(crate) fn index(scratch: &Scratch, python: &Path, wheels: &[(&str, &str)]) -> PathBuf {
    let directory = scratch.path("index");
    fs::create_dir_all(&directory).unwrap();
    let make = format!("{PACKAGE}{MAKE}");
    let mut arguments = vec!["-c", &make, directory.to_str().unwrap()];
    arguments.extend(wheels.iter().flat_map(|(name, version)| [*name, *version]));
    scratch.run(python, &arguments).ok();
    directory
}

/// Interpreters of a minor version that bundle pip, each another build; prints a message if fewer
/// exist.
pub(crate) fn builds(minor: u32, wanted: usize) -> Option<Vec<Python>> {
    let mut found = supported();
    found.retain(|python| {
        let lib = format!("lib/python3.{minor}/ensurepip");
        python.version == (3, minor) && prefix(python).join(lib).is_dir()
    });
    if found.len() < wanted {
        println!(
            "skipped: fewer than {wanted} builds of Python 3.{minor} with pip on this machine"
        );
        return None;
    }
    Some(found)
}

/// The installation directory of an interpreter.
pub(crate) fn prefix(python: &Python) -> &Path {
    python.path.parent().unwrap().parent().unwrap()
}

/// The names of the packages of a full environment.
pub(crate) fn names() -> Vec<String> {
    (0..PACKAGES)
        .map(|number| format!("p{number:02}"))
        .collect()
}

/// Creates the environment `E` for the interpreter at `python`, of a minor version, with every
/// package in it.
pub(crate) fn full(scratch: &Scratch, python: &Path, minor: u32, flags: &[&str]) -> PathBuf {
    let create = ["create", "E", "--python", python.to_str().unwrap()];
    scratch.rvenv(&[&create, flags].concat()).ok();
    let env = scratch.path("E");
    let site = env.join(format!("lib/python3.{minor}/site-packages"));
    let (names, lay) = (names(), format!("{PACKAGE}{LAY}"));
    let mut arguments = vec!["-c", &lay, env.to_str().unwrap(), site.to_str().unwrap()];
    arguments.extend(names.iter().map(String::as_str));
    scratch.run(python, &arguments).ok();
    env
}

/// Tests a full environment: each package's modules and data, a program, and pip; returns the
/// version.
#[track_caller]
pub(crate) fn works(scratch: &Scratch, env: &Path) -> String {
    let names = names();
    let mut arguments = vec!["-B", "-c", IMPORT];
    arguments.extend(names.iter().map(String::as_str));
    let python = env.join("bin/python");
    let version = scratch.run(&python, &arguments).ok().trim().to_owned();
    let mut program = scratch.program(&env.join("bin/p07"), "022");
    let said = ended(program.env("PYTHONDONTWRITEBYTECODE", "1")).ok();
    assert_eq!(said.trim(), "p07 1.0");
    version
}
