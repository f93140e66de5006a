//! Environments created by hand: what is read from them, and what an upgrade would lose.

#![cfg(unix)]
#![expect(
    clippy::disallowed_methods,
    reason = "a test lays out an environment by hand"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;

use rvenv_journal::fs::real::RealFs;

use super::*;

const CONFIG: &str =
    "home = /gone/bin\ninclude-system-site-packages = false\nversion = 3.11.7\nprompt = 'it'\n";

struct Scene {
    place: tempfile::TempDir,
}

impl Scene {
    fn new(config: &str) -> Self {
        let scene = Self {
            place: tempfile::tempdir().unwrap(),
        };
        scene.file("E/pyvenv.cfg", config);
        scene
    }

    fn path(&self, below: &str) -> PathBuf {
        self.place.path().canonicalize().unwrap().join(below)
    }

    fn file(&self, below: &str, text: &str) {
        self.dir(Path::new(below).parent().unwrap().to_str().unwrap());
        fs::write(self.path(below), text).unwrap();
    }

    fn dir(&self, below: &str) {
        fs::create_dir_all(self.path(below)).unwrap();
    }

    fn link(&self, below: &str, target: &str) {
        self.dir(Path::new(below).parent().unwrap().to_str().unwrap());
        symlink(target, self.path(below)).unwrap();
    }

    fn read(&self) -> Result<Existing, ExistingError> {
        let fs = RealFs::new();
        let root = fs.open_path(&self.path("E")).unwrap();
        Existing::read(&fs, &root, &self.path("E"))
    }
}

/// The layout of an ordinary environment; the first name is the base executable's.
fn layout(lib: &str, names: &[&str]) -> Layout {
    let path = |text: &str| RelPath::new(text).unwrap();
    let mut names = names.iter().map(|name| path(&format!("bin/{name}")));
    Layout {
        bin_name: path("bin"),
        inc_path: path("include"),
        lib_path: path(lib),
        platlib_path: path(lib),
        lib64_link: true,
        env_exe: names.next().unwrap(),
        names: names.collect(),
        python_dir: "/base/bin".into(),
        directories: Vec::new(),
    }
}

fn of_312() -> Layout {
    layout(
        "lib/python3.12/site-packages",
        &["python3", "python", "python3.12"],
    )
}

fn names(found: &[Distribution]) -> Vec<&str> {
    found.iter().map(|found| found.name.as_str()).collect()
}

#[test]
fn what_is_not_an_environment_or_not_whole_is_named() {
    let check = |scene: &Scene, expect: &str| {
        let error = scene.read().unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    };
    let scene = Scene::new("");
    check(&scene, "pyvenv.cfg` is not a valid pyvenv.cfg: it is empty");
    fs::remove_file(scene.path("E/pyvenv.cfg")).unwrap();
    check(&scene, "is not a virtual environment");
    scene.link("E/pyvenv.cfg", "other");
    scene.file("E/other", CONFIG);
    check(&scene, "not a regular file");
    check(&Scene::new(&"x".repeat(1 << 17)), "too long");
}

#[test]
fn packages_behind_a_link_are_not_overlooked() {
    for link in [
        "E/lib",
        "E/lib/python3.11",
        "E/lib/python3.11/site-packages",
    ] {
        let scene = Scene::new(CONFIG);
        scene.dir("elsewhere");
        scene.link(link, scene.path("elsewhere").to_str().unwrap());
        let error = scene.read().unwrap_err();
        assert!(
            matches!(&error, ExistingError::Link(path) if *path == scene.path(link)),
            "{error}"
        );
    }
    let scene = Scene::new(CONFIG);
    scene.link("E/lib64", "lib");
    scene.dir("E/lib/python3.11/site-packages/a-1.dist-info");
    assert_eq!(scene.read().unwrap().libs.len(), 1);
}

#[test]
fn every_library_is_read() {
    let scene = Scene::new(CONFIG);
    for dir in [
        "lib/python3.11/site-packages/a-1.dist-info",
        "lib/pypy3.9/site-packages/b-1.dist-info",
        "lib/python3.13t/site-packages",
        "lib64/python3.15/site-packages/c-1.dist-info",
        "site-packages/d-1.dist-info",
        "lib/python3.10",
        "lib/python/site-packages",
        "lib/python3.x/site-packages",
    ] {
        scene.dir(&format!("E/{dir}"));
    }
    let found = scene.read().unwrap();
    let libs: BTreeMap<&str, Vec<&str>> = found
        .libs
        .iter()
        .map(|lib| (lib.path.as_str(), names(&lib.distributions)))
        .collect();
    let expect = [
        ("lib/pypy3.9/site-packages", vec!["b"]),
        ("lib/python3.11/site-packages", vec!["a"]),
        ("lib/python3.13t/site-packages", vec![]),
        ("lib64/python3.15/site-packages", vec!["c"]),
        ("site-packages", vec!["d"]),
    ];
    assert_eq!(libs, BTreeMap::from(expect));
}

#[test]
fn packages_of_the_old_version_are_lost_unless_seeded_or_there_already() {
    let scene = Scene::new(CONFIG);
    for dir in [
        "lib/python3.11/site-packages/pip-23.2.1.dist-info",
        "lib/python3.11/site-packages/requests-2.0.dist-info",
        "lib/python3.11/site-packages/six-1.0.dist-info",
        "lib/python3.12/site-packages/six-1.1.dist-info",
        // An upgrade from 3.8 left it behind, so it cannot be imported now either.
        "lib/python3.8/site-packages/old-1.dist-info",
    ] {
        scene.dir(&format!("E/{dir}"));
    }
    let found = scene.read().unwrap();
    assert_eq!(names(&found.lost(&of_312(), &["pip"])), ["requests"]);
    assert_eq!(names(&found.lost(&of_312(), &[])), ["pip", "requests"]);
    assert_eq!(names(&found.installed(&of_312())), ["six"]);
    let same = layout("lib/python3.11/site-packages", &["python"]);
    assert_eq!(found.lost(&same, &[]), []);
}

#[test]
fn the_library_that_the_link_leads_to_counts_when_the_configuration_lies() {
    let scene = Scene::new("home = /base\nversion = 3.12.1\n");
    scene.dir("E/lib/python3.11/site-packages/requests-2.0.dist-info");
    scene.file("base/python3.11", "");
    scene.link(
        "E/bin/python",
        scene.path("base/python3.11").to_str().unwrap(),
    );
    assert_eq!(
        names(&scene.read().unwrap().lost(&of_312(), &[])),
        ["requests"]
    );
}

#[test]
fn names_of_the_interpreter_are_followed_to_their_end() {
    let scene = Scene::new(CONFIG);
    let base = scene.path("base/bin");
    scene.file("base/bin/python3.11", "");
    scene.link("base/bin/mypy", "python3.11");
    let mypy = base.join("mypy");
    scene.link("E/bin/mypy", mypy.to_str().unwrap());
    scene.link("E/bin/python", "mypy");
    scene.link("E/bin/python3", "python3.11");
    scene.link("E/bin/python3.11", "/gone/bin/python3.11");
    scene.link("E/bin/python3.10", "python3.10");
    scene.link("E/bin/python3.9", "nowhere");
    scene.file("E/bin/pypy3.9", "");
    scene.link("E/bin/pypy", "./pypy3.9");
    for other in [
        "python-config",
        "pip",
        "pip3.11",
        "pip-3.10",
        "pipx",
        "easy_install",
        "pydoc",
    ] {
        scene.file(&format!("E/bin/{other}"), "");
    }
    let found = scene.read().unwrap().frame.python;
    let linked = PythonFile::Linked {
        base: mypy,
        real: base.join("python3.11"),
    };
    let dangling = |target: &str| PythonFile::Dangling {
        target: scene.path("E/bin").join(target),
    };
    let expect = [
        ("mypy", linked.clone()),
        ("pypy", PythonFile::Copied),
        ("pypy3.9", PythonFile::Copied),
        ("python", linked.clone()),
        ("python3", dangling("/gone/bin/python3.11")),
        ("python3.10", dangling("python3.10")),
        ("python3.11", dangling("/gone/bin/python3.11")),
        ("python3.9", dangling("nowhere")),
    ];
    let expect: BTreeMap<String, PythonFile> = expect
        .into_iter()
        .map(|(name, file)| (name.to_owned(), file))
        .collect();
    assert_eq!(found.pythons, expect);
    assert_eq!(found.pips, ["easy_install", "pip", "pip-3.10", "pip3.11"]);
    assert_eq!(found.main(), Some(&linked));
    assert_eq!(found.minor(), Some(11));
    assert!(!found.is_dangling());
}

#[test]
fn names_that_would_lead_to_another_python_are_stale() {
    let scene = Scene::new(CONFIG);
    for name in [
        "python",
        "python3",
        "python3.11",
        "mypy",
        "pypy3",
        "pip",
        "pip3",
        "pip3.11",
        "pip-3.11",
    ] {
        scene.file(&format!("E/bin/{name}"), "");
    }
    let stale = |layout: &Layout| -> Vec<String> {
        let found = scene.read().unwrap().frame.python.stale(layout).unwrap();
        found.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        stale(&of_312()),
        ["bin/pypy3", "bin/python3.11", "bin/pip-3.11", "bin/pip3.11"]
    );
    let same = layout("lib/python3.11/site-packages", &["python3", "python"]);
    assert_eq!(stale(&same), ["bin/pypy3"]);
}

#[test]
fn an_upgrade_keeps_prompt_packages_and_copies() {
    let scene = Scene::new(CONFIG);
    scene.file("E/bin/python3", "");
    scene.link("E/bin/python", "python3");
    let choices = scene.read().unwrap().choices();
    let options = choices.over(crate::build::options::Options::default());
    assert!(!options.symlinks);
    assert!(!options.system_site_packages);
    assert_eq!(options.prompt.unwrap().asked, "it");
    let bare = Scene::new("home = /a\n").read().unwrap();
    assert_eq!(bare.choices().symlinks, None);
    assert_eq!(bare.choices().system_site_packages, Some(true));
}

#[test]
fn the_base_is_named_by_its_paths_and_by_its_version() {
    let read = |config: &str, link: Option<&str>| {
        let scene = Scene::new(config);
        if let Some(link) = link {
            scene.link("E/bin/python", link);
        }
        scene.read().unwrap()
    };
    let check = |found: &Existing, paths: &[&str], version: Option<&str>| {
        let named = found.named();
        let named: Vec<_> = named
            .iter()
            .map(|named| named.path().to_str().unwrap())
            .collect();
        assert_eq!(named, paths);
        let asked = found.version().map(|version| version.to_string());
        assert_eq!(asked.as_deref(), version);
    };
    check(
        &read(CONFIG, Some("/gone/bin/python3")),
        &[
            "/gone/bin/python3",
            "/gone/bin/python3.11",
            "/gone/bin/python",
        ],
        Some("Python 3.11"),
    );
    check(
        &read(
            "home = /h\nversion = 3.9.1\nexecutable = /x/python3.9\n",
            None,
        ),
        &["/h/python3.9", "/h/python3", "/h/python", "/x/python3.9"],
        Some("Python 3.9"),
    );
    let pypy = "home = /h\nimplementation = PyPy\nversion_info = 3.9.1\n";
    let asked = read(pypy, None)
        .version()
        .map(|version| version.to_string());
    assert_eq!(asked.as_deref(), Some("pypy3.9"));
    check(&read("home = /h\n", None), &[], None);
    // A path that depends on the working directory names nothing.
    let relative = "home = h\nversion = 3.9.1\nexecutable = ./python3.9\n";
    check(&read(relative, None), &[], Some("Python 3.9"));
}

#[test]
fn a_flavour_is_read_from_a_name() {
    let check = |name: &str, expect: &str| {
        let found = Flavour::parse(name).map(|flavour| flavour.to_string());
        assert_eq!(found.as_deref().unwrap_or("none"), expect, "{name}");
    };
    check("python3.13", "python3.13");
    check("python3.13t", "python3.13t");
    check("pypy3.9", "pypy3.9");
    for name in [
        "python",
        "python3",
        "python3.",
        "python3.t",
        "python3.1x",
        "python3.+1",
        "python2.7",
        "python3.99999999999",
        "mypython3.9",
        "",
    ] {
        check(name, "none");
    }
}
