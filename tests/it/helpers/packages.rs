//! Environments with packages in them: wheels made by hand, and packages laid out as by an
//! installer.
//!
//! A package here has everything that a distribution may contain: a directory with a module and a
//! data file in it, a module beside it, a data file at the top of the environment, and a program.
//! No network: the index is a directory.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::machine::{Python, Scratch, ended, supported};

/// How many packages a full environment has.
pub(crate) const PACKAGES: usize = 20;

/// The files of a package, all but one below `site-packages`, and a list of them.
const PACKAGE: &str = r#"
import base64, hashlib, os, sys, zipfile
def package(name, version, requires=""):
    info = "%s-%s.dist-info/" % (name, version)
    return info, "share/%s.txt" % name, {
        name + "/__init__.py": "made = 'by hand'\n",
        name + "/inner.py": "def main():\n    print('%s %s')\n" % (name, version),
        name + "/table.txt": "data of %s\n" % name,
        name + "_alone.py": "value = '%s'\n" % name,
        info + "METADATA": "Metadata-Version: 2.1\nName: %s\nVersion: %s\n%s" % (name, version, requires),
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
env, site, requires, names = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
for name in names:
    info, shared, files = package(name, "1.0", requires)
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

/// Writes the wheels of a household: pure and compiled ones, with everything that a wheel may have.
const HOUSE: &str = r##"
import base64, hashlib, platform, sys, zipfile
directory, here = sys.argv[1:3]
platform = "linux_" + platform.machine()
def wheel(name, version, tag, files, data={}, metadata="", script=None):
    info, files = "%s-%s.dist-info/" % (name, version), dict(files)
    files[info + "METADATA"] = "Metadata-Version: 2.1\nName: %s\nVersion: %s\n%s" % (name, version, metadata)
    files[info + "WHEEL"] = "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: %s\n" % tag
    if script:
        files[info + "entry_points.txt"] = "[console_scripts]\n%s\n" % script
    files.update(("%s-%s.data/%s" % (name, version, path), text) for path, text in data.items())
    rows = ""
    def member(path):
        found = zipfile.ZipInfo(path, (2020, 2, 2, 0, 0, 0))
        found.external_attr = (0o100755 if "/scripts/" in path else 0o100644) << 16
        return found
    with zipfile.ZipFile("%s/%s-%s-%s.whl" % (directory, name, version, tag), "w") as wheel:
        for path, text in sorted(files.items()):
            wheel.writestr(member(path), text)
            digest = hashlib.sha256(text.encode()).digest()
            digest = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            rows += "%s,sha256=%s,%d\n" % (path, digest, len(text.encode()))
        wheel.writestr(member(info + "RECORD"), rows + info + "RECORD,,\n")
any = "py3-none-any"
wheel("pure", "1.0", any, {"pure/__init__.py": "v = 1\n", "pure/inner/__init__.py": "",
    "pure/data.txt": "data of pure\n", "pure_top.py": "x = 1\n"})
wheel("tool", "2.0", "py2.py3-none-any", {"tool/__init__.py": "def main():\n    print('tool')\n"},
    script="tool = tool:main")
wheel("shared", "1.0", any, {"shared.py": "v = 1\n"}, data={"data/share/shared/x.txt": "shared\n",
    "headers/x.h": "int x;\n", "scripts/shtool": "#!python\nprint('shtool')\n"})
for part in "ab":
    wheel("ns_" + part, "1.0", any, {"ns/%s/m.py" % part: "v = '%s'\n" % part,
        "ns/%s/__init__.py" % part: ""})
wheel("stable", "1.0", "cp37-abi3-" + platform, {"stable/__init__.py": "", "stable/core.abi3.so": "x"})
for minor in (11, 12, 13):
    tag = "cp3%d-cp3%d-%s" % (minor, minor, platform)
    wheel("compiled", "1.5", tag, {"compiled/__init__.py": "v = 3%d\n" % minor,
        "compiled/core.so": "for 3.%d" % minor}, script="comp = compiled:main")
wheel("only311", "3.0", "cp311-cp311-" + platform, {"only311/__init__.py": ""})
wheel("old", "1.0", any, {"old.py": ""}, metadata="Requires-Python: >=3.6,<3.12\n")
wheel("fragile", "1.0", any, {"fragile.py": "import sys\nassert sys.version_info < (3, 12)\n"})
wheel("hopeless", "1.0", any, {"hopeless.py": "raise SystemExit(3)\n"})
wheel("marked", "1.0", any, {"marked.py": ""}, metadata="Requires-Dist: backport; "
    "python_version < '3.12'\nRequires-Dist: newer ; python_version >= '3.12'\n")
wheel("backport", "1.0", any, {"backport.py": ""})
wheel("leaning", "1.0", any,
    {"leaning.py": "import sys\nif sys.version_info > (3, 12): import newer\n"},
    metadata="Requires-Dist: newer>=1; python_version >= '3.12'\n")
# As an installer of editable packages lays it out: a path to the sources.
wheel("edi", "0.1", any, {"edi.pth": here + "\n"})
with open(here + "/edi.py", "w") as source:
    source.write("v = 7\n")
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
    // Their bytes depend on nothing but name and version.
    static KNOWN: Mutex<BTreeMap<String, Vec<u8>>> = Mutex::new(BTreeMap::new());
    let directory = scratch.path("index");
    fs::create_dir_all(&directory).unwrap();
    let file = |(name, version): &(&str, &str)| format!("{name}-{version}-py3-none-any.whl");
    let mut known = KNOWN.lock().unwrap();
    let is_new = |wheel: &&(&str, &str)| !known.contains_key(&file(wheel));
    let new: Vec<_> = wheels.iter().filter(is_new).collect();
    if !new.is_empty() {
        let make = format!("{PACKAGE}{MAKE}");
        let mut arguments = vec!["-c", &make, directory.to_str().unwrap()];
        arguments.extend(new.iter().flat_map(|(name, version)| [*name, *version]));
        scratch.run(python, &arguments).ok();
    }
    for file in wheels.iter().map(file) {
        let path = directory.join(&file);
        match known.get(&file) {
            Some(bytes) => fs::write(path, bytes).unwrap(),
            None => drop(known.insert(file, fs::read(path).unwrap())),
        }
    }
    directory
}

/// A directory `house` with the wheels of a household, and one `sources` for what is editable.
pub(crate) fn wheelhouse(scratch: &Scratch, python: &Path) -> PathBuf {
    let (house, sources) = (scratch.path("house"), scratch.path("sources"));
    fs::create_dir_all(&house).unwrap();
    fs::create_dir_all(&sources).unwrap();
    let arguments = [Path::new("-c"), Path::new(HOUSE), &house, &sources];
    scratch.run(python, &arguments).ok();
    house
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
    let env = created(scratch, python, flags);
    lay(python, &env, &site_packages(&env, minor), "", &names());
    env
}

/// The same with packages that work for no other minor version.
pub(crate) fn full_of_bound(scratch: &Scratch, python: &Path, minor: u32) -> PathBuf {
    let env = created(scratch, python, &[]);
    let requires = format!("Requires-Python: ==3.{minor}.*\n");
    lay(
        python,
        &env,
        &site_packages(&env, minor),
        &requires,
        &names(),
    );
    env
}

fn site_packages(env: &Path, minor: u32) -> PathBuf {
    env.join(format!("lib/python3.{minor}/site-packages"))
}

fn created(scratch: &Scratch, python: &Path, flags: &[&str]) -> PathBuf {
    let create = ["create", "E", "--python", python.to_str().unwrap()];
    scratch.rvenv(&[&create, flags].concat()).ok();
    scratch.path("E")
}

/// Lays packages out in an environment, whichever version of Python it has.
pub(crate) fn lay_in(python: &Path, env: &Path, names: &[&str]) {
    lay(python, env, &packages_of(env), "", names);
}

/// The directory of packages of an environment, whichever version of Python it has.
pub(crate) fn packages_of(env: &Path) -> PathBuf {
    let libs = fs::read_dir(env.join("lib")).unwrap();
    let lib = libs.into_iter().next().unwrap().unwrap().path();
    lib.join("site-packages")
}

/// Lays a package out as if pip had installed it from a wheel, which it writes into a directory.
#[cfg(target_os = "linux")]
pub(crate) fn lay_with_wheel(python: &Path, env: &Path, (name, wheels): (&str, &Path)) {
    lay_in(python, env, &[name]);
    fs::create_dir_all(wheels).unwrap();
    let made = Command::new(python)
        .args(["-I", "-c", &format!("{PACKAGE}{MAKE}")])
        .arg(wheels)
        .args([name, "1.0"])
        .status();
    assert!(made.unwrap().success(), "{}", wheels.display());
    let wheel = wheels.join(format!("{name}-1.0-py3-none-any.whl"));
    let url = format!(
        r#"{{"url": "file://{}", "archive_info": {{}}}}"#,
        wheel.display()
    );
    let info = packages_of(env).join(format!("{name}-1.0.dist-info"));
    fs::write(info.join("direct_url.json"), url).unwrap();
}

/// Lays packages out in an environment, with more lines of metadata.
fn lay(python: &Path, env: &Path, site: &Path, metadata: &str, names: &[impl AsRef<OsStr>]) {
    let laid = Command::new(python)
        .args(["-I", "-c", &format!("{PACKAGE}{LAY}")])
        .args([env, site])
        .arg(metadata)
        .args(names)
        .status();
    assert!(laid.unwrap().success(), "{}", env.display());
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

/// Takes the digest of a module out of the list of its package, so that the content store cannot
/// mend it.
#[cfg(target_os = "linux")]
pub(crate) fn forget_digest(env: &Path, name: &str, module: &str) {
    let list = packages_of(env).join(format!("{name}-1.0.dist-info/RECORD"));
    let row = format!("{name}/{module},");
    let text = fs::read_to_string(&list).unwrap();
    let line = |line: &str| match line.strip_prefix(&row) {
        Some(_) => format!("{row},\n"),
        None => format!("{line}\n"),
    };
    let text: String = text.lines().map(line).collect();
    assert!(text.contains(&format!("{row},\n")), "{text}");
    fs::write(&list, text).unwrap();
}
