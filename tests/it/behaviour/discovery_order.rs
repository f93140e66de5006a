//! Which interpreter is chosen of those that are found: the active environment's, a project's, the
//! one on PATH.
//!
//! Read next: `discovery.rs`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::discovery::{Lab, install, listed, minors, movable, text, the_path};
use crate::machine::{Python, any_python, ended, player, supported};

#[test]
fn without_a_word_the_newest_installation_is_better_than_nothing() {
    let lab = Lab::new();
    player(&lab.0, "bin/other");
    for version in ["3.9.1", "3.13.0"] {
        fs::create_dir_all(lab.home(&format!(".pyenv/versions/{version}/bin"))).unwrap();
        symlink(
            lab.path("bin/other"),
            lab.home(&format!(".pyenv/versions/{version}/bin/python3")),
        )
        .unwrap();
    }
    let found = the_path(&mut lab.command(&["python", "find"]));
    assert_eq!(found, text(&lab.path("bin/other")));
    // PATH comes first.
    player(&lab.0, "bin/python");
    assert_eq!(
        the_path(&mut lab.command(&["python", "find"])),
        text(&lab.path("bin/python"))
    );
}

#[test]
fn the_base_of_the_active_environment_comes_first() {
    let Some(python) = any_python() else { return };
    let lab = Lab::new();
    player(&lab.0, "bin/python3");
    let created = lab.0.rvenv(&[
        OsStr::new("create"),
        OsStr::new("--without-pip"),
        OsStr::new("-p"),
        python.path.as_os_str(),
        OsStr::new("E"),
    ]);
    created.ok();
    let real = python.path.canonicalize().unwrap();
    let mut active = lab.command(&["python", "find"]);
    let found = the_path(active.env("VIRTUAL_ENV", lab.path("E")));
    assert_eq!(Path::new(&found).canonicalize().unwrap(), real);
    let mut active = lab.command(&["python", "list", "--json"]);
    let listing = listed(active.env("VIRTUAL_ENV", lab.path("E")));
    let all = listing["interpreters"].as_array().unwrap();
    let base = all
        .iter()
        .find(|one| one["source"] == "VIRTUAL_ENV")
        .unwrap();
    assert_eq!(base["real_path"], text(&real));
    assert_eq!(
        base["links"],
        serde_json::json!([text(&lab.path("E/bin/python"))])
    );
    assert_eq!(all.len(), 2, "{listing}");
    // One that is gone, or is not an environment, is skipped.
    let mut gone = lab.command(&["python", "find"]);
    assert_eq!(
        the_path(gone.env("VIRTUAL_ENV", lab.path("gone"))),
        text(&lab.path("bin/python3"))
    );
}

#[test]
fn a_project_says_which_version_it_wants() {
    let all = movable();
    let [(first, one), (second, other), ..] = all.as_slice() else {
        return;
    };
    let lab = Lab::new();
    for (python, version) in [(first, one), (second, other)] {
        install(python, &lab.home(".pyenv/versions").join(version));
    }
    let find = |variable: &str| {
        let mut command = lab.command(&["python", "find"]);
        let found = the_path(command.env("PYENV_VERSION", variable));
        Path::new(&found).canonicalize().unwrap()
    };
    for (python, version) in [(first, one), (second, other)] {
        for text in [
            format!("{version}\n"),
            format!("# ours\n\n  {}\nsystem\n", minors(version).0),
        ] {
            fs::write(lab.path(".python-version"), &text).unwrap();
            assert_eq!(find(""), python.path.canonicalize().unwrap(), "{text}");
        }
    }
    // `create` takes it, too, unless the user names another.
    let create = |arguments: &[&str]| {
        ended(&mut lab.command(&[&["create", "--without-pip"], arguments].concat()))
    };
    create(&["E"]).ok();
    let of = |python: &Python| python.path.canonicalize().unwrap();
    assert_eq!(lab.path("E/bin/python").canonicalize().unwrap(), of(second));
    create(&["--python", one, "F"]).ok();
    assert_eq!(lab.path("F/bin/python").canonicalize().unwrap(), of(first));
    // The error names a pinned version that is absent, with the file that pins it.
    fs::write(lab.path(".python-version"), "3.99\n").unwrap();
    let said = create(&["G"]).failed(1);
    let file = text(&lab.path(".python-version"));
    assert!(
        said.contains(&format!("for `Python 3.99`, which `{file}` asks for")),
        "{said}"
    );
    // Names are pyenv's, whose `python3` is on PATH, and a variable of pyenv's outranks the file.
    for (pin, variable) in [("system\n", ""), ("3.99\n", "3.99")] {
        fs::write(lab.path(".python-version"), pin).unwrap();
        assert_eq!(find(variable), of(second), "{pin}");
    }
}

/// The same request means the same for `find`, `list` and `create`.
#[test]
fn every_way_to_ask_means_the_same_interpreter_everywhere() {
    let all = movable();
    let lab = Lab::new();
    for (python, version) in &all {
        install(python, &lab.home(".pyenv/versions").join(version));
    }
    for (number, (python, version)) in all.iter().enumerate() {
        let real = python.path.canonicalize().unwrap();
        let (short, next) = minors(version);
        let key = format!(
            "cpython-{version}-{}-{}-gnu",
            std::env::consts::OS,
            std::env::consts::ARCH
        );
        let requests = [
            version.clone(),
            short.clone(),
            short.replace('.', ""),
            format!("cpython@{short}"),
            format!("cpython{short}"),
            format!("python{short}"),
            format!("=={short}.*"),
            format!(">={short},<{next}"),
            format!("~={short}.0"),
            key,
            text(&python.path),
            text(&lab.home(".pyenv/versions").join(version)),
        ];
        for request in &requests {
            let found = lab.find(request);
            assert_eq!(Path::new(&found).canonicalize().unwrap(), real, "{request}");
        }
        // One of them, another for each interpreter, all the way.
        let request = &requests[number % requests.len()];
        let listing = listed(&mut lab.command(&["python", "list", "--json", request]));
        let found = listing["interpreters"].as_array().unwrap();
        let real_paths: Vec<_> = found.iter().map(|one| &one["real_path"]).collect();
        assert_eq!(real_paths, [&text(&real)], "{request}: {listing}");
        let env = format!("E{number}");
        ended(&mut lab.command(&["create", "--without-pip", "--python", request, &env])).ok();
        let made = lab.path(&env).join("bin/python").canonicalize().unwrap();
        assert_eq!(made, real, "{request}");
        // An environment means its base.
        let found = lab.find(&format!("./{env}"));
        assert_eq!(Path::new(&found).canonicalize().unwrap(), real);
    }
    let Some(pypy) = supported()
        .into_iter()
        .find(|p| p.path.to_string_lossy().contains("pypy"))
    else {
        println!("skipped: no PyPy");
        return;
    };
    symlink(&pypy.path, lab.path("bin/pypy3")).unwrap();
    for request in ["pypy", "pypy3", "pypy>=3.6"] {
        let found = lab.find(request);
        assert_eq!(
            Path::new(&found).canonicalize().unwrap(),
            pypy.path.canonicalize().unwrap(),
            "{request}"
        );
    }
}
