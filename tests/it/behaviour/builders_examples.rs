//! The three examples, which do real work.
//!
//! Read next: `builders.rs`, `examples/`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::builders::{bench, names};
use crate::behaviour::preinstalled;
use crate::behaviour::scripted;
use crate::behaviour::site;
use crate::machine::Scratch;
use crate::packages;
use rvenv::EnvBuilder;
use rvenv::environment::Outcome;
use rvenv::wheelhouse::Wheelhouse;

#[test]
fn the_example_preinstalled_makes_environments_with_packages_and_follows_newer_ones() {
    let Some(bench) = bench() else { return };
    let wheels = [("demo", "1.0"), ("other", "2.0"), ("unwanted", "1.0")];
    let index = packages::index(&bench.scratch, &bench.python.path, &wheels);
    let wanted = ["demo".to_owned(), "Other".to_owned()];
    let built = |builder: EnvBuilder| {
        let house = Wheelhouse::read(&index).unwrap();
        preinstalled::make(&bench.host, builder, (&house, &wanted), &bench.path("E"))
    };
    let made = built(bench.builder()).unwrap();
    let python = PathBuf::from(made.context.env_exe());
    let said = |python: &Path| {
        let code = "import demo, demo_alone, other.inner; other.inner.main()";
        bench.scratch.run(python, &["-c", code]).ok()
    };
    assert_eq!(said(&python), "other 2.0\n");
    let program = bench.path("E/bin/demo");
    assert_eq!(bench.scratch.run::<&str>(&program, &[]).ok(), "demo 1.0\n");
    assert!(!bench.path("E/bin/unwanted").exists());

    // The same again is no change; a newer wheel replaces the older one completely.
    assert!(matches!(
        built(bench.builder()).unwrap().outcome,
        Outcome::NoChanges(_)
    ));
    packages::index(&bench.scratch, &bench.python.path, &[("demo", "1.10")]);
    built(bench.builder()).unwrap();
    assert_eq!(bench.scratch.run::<&str>(&program, &[]).ok(), "demo 1.10\n");
    let site = PathBuf::from(made.context.lib_path());
    assert!(site.join("demo-1.10.dist-info").is_dir());
    assert!(!site.join("demo-1.0.dist-info").exists());
}

/// I1: an environment with only some of its packages never exists.
#[test]
fn a_package_without_a_wheel_leaves_no_environment_behind() {
    let Some(bench) = bench() else { return };
    let index = packages::index(&bench.scratch, &bench.python.path, &[("demo", "1.0")]);
    let house = Wheelhouse::read(&index).unwrap();
    let wanted = ["demo".to_owned(), "absent".to_owned()];
    let failed = preinstalled::make(
        &bench.host,
        bench.builder(),
        (&house, &wanted),
        &bench.path("E"),
    );
    assert_eq!(
        failed.unwrap_err().to_string(),
        "there is no wheel of `absent`"
    );
    assert_eq!(names(&bench.path("")), Vec::<String>::new());
}

#[test]
fn the_example_scripted_installs_scripts_that_work_from_any_path() {
    let Some(bench) = bench() else { return };
    let scripts = bench.path("scripts");
    let write = |path: &str, bytes: &[u8], mode: u32| {
        let path = scripts.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let shell = b"#!/bin/sh\nprintf '%s|' __VENV_DIR__ __VENV_NAME__ __VENV_PROMPT__ __VENV_BIN_NAME__ __VENV_PYTHON__\n";
    write("common/where", shell, 0o755);
    let python = b"#!__VENV_PYTHON__\nimport sys\nprint(sys.executable == __VENV_PYTHON__, sys.prefix == __VENV_DIR__)\n";
    write("common/hello", b"of all platforms", 0o644);
    write("posix/hello", python, 0o750);
    write("posix/deep/er/data.bin", b"\xff__VENV_DIR__", 0o600);
    write("posix/activate", b"# ours for __VENV_NAME__\n", 0o644);
    write("nt/hello.bat", b"nothing for us", 0o644);
    write("README", b"not in a folder", 0o644);
    std::os::unix::fs::symlink("where", scripts.join("common/link")).unwrap();

    let name = "it's \"$HOME\" `x` !1 é __VENV_PROMPT__";
    let builder = EnvBuilder {
        prompt: Some("a 'prompt' __VENV_DIR__".to_owned()),
        ..bench.builder()
    };
    let env = bench.path(name);
    let made = scripted::make(&bench.host, &builder, &scripts, &env).unwrap();
    let bin = env.join("bin");
    let exe = made.context.env_exe();
    let expected = format!(
        "{}|{name}|a 'prompt' __VENV_DIR__|bin|{exe}|",
        env.display()
    );
    assert_eq!(
        bench.scratch.run::<&str>(&bin.join("where"), &[]).ok(),
        expected
    );
    assert_eq!(
        bench.scratch.run::<&str>(&bin.join("link"), &[]).ok(),
        expected
    );
    assert_eq!(
        bench.scratch.run::<&str>(&bin.join("hello"), &[]).ok(),
        "True True\n"
    );
    assert_eq!(
        fs::read(bin.join("deep/er/data.bin")).unwrap(),
        b"\xff__VENV_DIR__"
    );
    let ours = fs::read_to_string(bin.join("activate")).unwrap();
    assert!(ours.starts_with("# ours for 'it'\\''s "), "{ours}");
    let permissions =
        |path: &str| fs::metadata(bin.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(
        (
            permissions("where"),
            permissions("hello"),
            permissions("deep/er/data.bin")
        ),
        (0o755, 0o750, 0o600)
    );
    assert!(!bin.join("hello.bat").exists() && !bin.join("README").exists());
}

#[test]
fn a_script_does_not_take_the_place_of_the_interpreter() {
    let Some(bench) = bench() else { return };
    let scripts = bench.path("cache/scripts");
    fs::create_dir_all(scripts.join("posix")).unwrap();
    fs::write(scripts.join("posix/python"), "#!/bin/sh\n").unwrap();
    let failed = scripted::make(&bench.host, &bench.builder(), &scripts, &bench.path("E"));
    let error = failed.unwrap_err().to_string();
    assert!(error.contains("bin/python"), "{error}");
    assert!(!bench.path("E").exists());
}

/// I1 and I5, without any Python.
#[test]
fn the_example_site_publishes_a_directory_and_takes_it_back() {
    let scratch = Scratch::new();
    let [one, two, live] = ["one", "two", "live"].map(|name| scratch.path(name));
    fs::create_dir_all(one.join("css")).unwrap();
    fs::write(one.join("index.html"), "one").unwrap();
    fs::write(one.join("css/a.css"), "a").unwrap();
    fs::create_dir(&two).unwrap();
    fs::write(two.join("index.html"), "two").unwrap();
    let index = || fs::read_to_string(live.join("index.html")).unwrap();

    assert!(site::publish(&one, &live).unwrap().kept.is_none());
    assert_eq!(index(), "one");
    assert!(site::publish(&two, &live).unwrap().kept.is_some());
    assert_eq!(index(), "two");
    assert!(!live.join("css").exists());
    site::back(&live).unwrap();
    assert_eq!(index(), "one");
    assert_eq!(fs::read_to_string(live.join("css/a.css")).unwrap(), "a");
    site::back(&live).unwrap();
    assert_eq!(index(), "two");
}
