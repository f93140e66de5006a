//! Pip in an environment: whether it is installed, what cannot hinder its installation, and how it
//! is removed.
//!
//! Each module has the name of a test of `CPython`'s; see `mod.rs`.

use std::fs;

use crate::cpython::bench::{Bench, each};

fn check_no_pip(bench: &Bench) {
    let code = "try: import pip\nexcept ImportError: print('none')";
    assert_eq!(bench.says(code), "none");
    let names = fs::read_dir(bench.path("bin")).unwrap();
    let names: Vec<_> = names.map(|name| name.unwrap().file_name()).collect();
    assert!(
        !names
            .iter()
            .any(|name| name.to_string_lossy().starts_with("pip")),
        "{names:?}"
    );
}

mod test_no_pip_by_default {
    use rvenv::EnvBuilder;

    use super::{check_no_pip, each};

    #[test]
    fn the_library_installs_no_pip_without_being_told() {
        assert!(!EnvBuilder::default().with_pip);
        each(|bench| {
            // With all other flags of the library's defaults.
            bench.create(&["--copies", "--without-scm-ignore-files"]);
            check_no_pip(bench);
        });
    }
}

mod test_explicit_no_pip {
    use super::{check_no_pip, each};

    #[test]
    fn there_is_no_pip_where_none_was_wanted() {
        each(|bench| {
            bench.create(&[]);
            check_no_pip(bench);
        });
    }
}

mod test_with_pip {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::{Bench, check_no_pip, each, fs};
    use crate::cpython::bench::quiet;
    use crate::machine::{Entry, Kind, ended, tree};
    use crate::warm;

    /// What would make pip do something else, or nothing.
    const HOSTILE: [(&str, &str); 7] = [
        ("PIP_NO_INSTALL", "1"),
        ("PIP_TARGET", "/nowhere"),
        ("PIP_PREFIX", "/nowhere"),
        ("PIP_USER", "1"),
        ("PIP_REQUIRE_VIRTUALENV", "1"),
        ("PIP_CONFIG_FILE", "/nowhere/pip.conf"),
        ("PYTHONHOME", "/nowhere"),
    ];

    /// Makes an environment in a home and with variables that would keep pip from being installed.
    fn create_hostile(bench: &Bench, flags: &[&str]) {
        let home = bench.scratch.path("../home");
        let configurations = [".pip/pip.conf", ".config/pip/pip.conf"].map(|name| home.join(name));
        for path in &configurations {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "[global]\nno-install=1\n[install]\ntarget=/nowhere\n").unwrap();
        }
        let python = bench.python.path.to_str().unwrap();
        let words = [
            &["create", "--python", python, "--clear"][..],
            flags,
            &["E"],
        ]
        .concat();
        ended(bench.command(&words).envs(HOSTILE)).ok();
        for path in &configurations {
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn nothing_hinders_its_installation_and_it_can_be_taken_away_again() {
        each(|bench| {
            let Some(version) = bench.pip() else { return };
            let isolated = [
                "-W",
                "ignore::DeprecationWarning",
                "-W",
                "ignore::ImportWarning",
                "-I",
                "-m",
            ];
            let run = |module: &[&str]| {
                let mut command = bench.scratch.program(&bench.exe(), "022");
                command
                    .args(isolated)
                    .args(module)
                    .env("PYTHONWARNINGS", "ignore");
                quiet(&ended(&mut command))
            };
            create_hostile(bench, &["--system-site-packages"]);
            let with_system = tree(&bench.path("lib"));
            create_hostile(bench, &[]);
            let paths = |tree: &BTreeMap<String, Entry>| tree.keys().cloned().collect::<Vec<_>>();
            assert_eq!(paths(&with_system), paths(&tree(&bench.path("lib"))));
            warm::give(&bench.exe());
            let said = run(&["pip", "--version"]);
            let expected = format!("pip {version} from {}/", bench.env().display());
            assert!(said.starts_with(&expected), "{said}");
            let said = bench.scratch.run(&bench.path("bin/pip"), &["check"]).ok();
            assert_eq!(said, "No broken requirements found.\n");
            warm::keep(&bench.exe());
            let said = run(&["ensurepip._uninstall"]);
            assert!(said.contains("Successfully uninstalled pip"), "{said}");
            let is_with_setuptools = bench.python.version.1 < 12;
            assert_eq!(
                said.contains("Successfully uninstalled setuptools"),
                is_with_setuptools
            );
            check_no_pip(bench);
            assert_eq!(left(&bench.path("lib")), Vec::<String>::new());
        });
    }

    /// Files below a directory, which an old pip takes away when it becomes empty.
    fn left(dir: &Path) -> Vec<String> {
        if !dir.exists() {
            return Vec::new();
        }
        let files = tree(dir)
            .into_iter()
            .filter(|(_, entry)| matches!(entry.kind, Kind::File(_)));
        files.map(|(path, _)| path).collect()
    }
}
