//! The content of an environment: directories, the configuration, links, and earlier files.
//!
//! Each module has the name of a test of `CPython`'s; see `mod.rs`.

use std::fs;
use std::path::Path;

use crate::cpython::bench::{Bench, each};
use crate::machine::{Kind, tree};

/// The directories, the configuration and the interpreter of an environment without pip, links and
/// ignore files.
fn check_defaults(bench: &Bench) {
    let minor = bench.python.version.1;
    for dir in ["bin", "include", "lib", &format!("lib/{}", bench.place())] {
        assert!(
            fs::symlink_metadata(bench.path(dir)).unwrap().is_dir(),
            "{dir}"
        );
    }
    let is_linked = minor < 15 && cfg!(all(target_pointer_width = "64", not(target_os = "macos")));
    assert_eq!(fs::read_link(bench.path("lib64")).is_ok(), is_linked);
    let config = bench.read("pyvenv.cfg");
    let has = |line: &str| {
        let is_there = config.lines().any(|found| found == line);
        assert!(is_there, "{line}\n{config}");
    };
    let python = bench.base_says("import sys; print(sys.executable)");
    has(&format!(
        "home = {}",
        Path::new(&python).parent().unwrap().display()
    ));
    if minor >= 11 {
        let real = bench.base_says("import os, sys; print(os.path.realpath(sys.executable))");
        has(&format!("executable = {real}"));
        let ignore = if minor >= 13 {
            " --without-scm-ignore-files"
        } else {
            ""
        };
        let env = bench.env();
        has(&format!(
            "command = {python} -m venv --copies --without-pip{ignore} {}",
            env.display()
        ));
    }
    assert!(bench.exe().is_file());
}

mod test_defaults_with_str_path {
    use super::{check_defaults, each};

    #[test]
    fn an_environment_has_its_directories_its_configuration_and_its_interpreter() {
        each(|bench| {
            bench.create(&["--copies", "--without-scm-ignore-files"]);
            check_defaults(bench);
        });
    }
}

mod test_defaults_with_pathlike {
    use std::path::PathBuf;

    use rvenv::EnvBuilder;
    use rvenv::cache::Cache;
    use rvenv::hooks::Venv;
    use rvenv::host::Host;
    use rvenv::python::{Request, Surroundings};

    use super::{check_defaults, each};

    #[test]
    fn the_library_makes_the_same_with_its_own_defaults_from_any_kind_of_path() {
        each(|bench| {
            let builder = EnvBuilder {
                python: Request::Path(bench.python.path.clone()),
                ..EnvBuilder::default()
            };
            let surroundings = Surroundings {
                cwd: bench.scratch.path(""),
                environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
                ..Surroundings::default()
            };
            let host = Host {
                surroundings,
                cache: Some(Cache::at(bench.scratch.cache())),
                cwd: Some(bench.scratch.path("")),
                ..Host::read().unwrap()
            };
            let path: PathBuf = bench.env();
            builder.create_on(&host, &Venv, &path).unwrap();
            check_defaults(bench);
        });
    }
}

mod test_config_file_command_key {
    use super::each;

    #[test]
    fn each_flag_is_in_the_command_and_no_other() {
        let flags = [
            "--copies",
            "--without-pip",
            "--system-site-packages",
            "--clear",
            "--upgrade",
            "--prompt",
            "--upgrade-deps",
        ];
        each(|bench| {
            if bench.python.version.1 < 11 {
                return;
            }
            let over: &[&[&str]] = &[&["--clear"], &["--upgrade", "--prompt", "p"]];
            let fresh: &[&[&str]] = &[
                &[],
                &["--copies"],
                &["--system-site-packages"],
                &["--prompt", "p"],
            ];
            for asked in fresh.iter().chain(over) {
                if over.contains(asked) {
                    bench.create(&[]);
                }
                bench.create(asked);
                let config = bench.read("pyvenv.cfg");
                let mut lines = config.lines();
                let command = lines.find(|line| line.starts_with("command = ")).unwrap();
                for flag in flags {
                    let is_asked = asked.contains(&flag) || flag == "--without-pip";
                    let shown = if flag == "--prompt" {
                        " --prompt=\"p\" ".to_owned()
                    } else {
                        format!(" {flag} ")
                    };
                    assert_eq!(
                        command.contains(&shown),
                        is_asked,
                        "{flag} of {asked:?}: {command}"
                    );
                }
                std::fs::remove_dir_all(bench.env()).unwrap();
            }
        });
    }
}

mod test_prompt {
    use super::each;

    #[test]
    fn the_prompt_is_in_the_configuration_only_where_one_was_asked_for() {
        each(|bench| {
            let minor = bench.python.version.1;
            let cwd = if minor < 9 { "." } else { "work" };
            for (asked, shown) in [
                (None, "E"),
                (Some("My prompt"), "My prompt"),
                (Some("."), cwd),
            ] {
                let words: Vec<_> = asked
                    .iter()
                    .flat_map(|prompt| ["--prompt", prompt])
                    .collect();
                bench.create(&[&["--clear"], &words[..]].concat());
                let config = bench.read("pyvenv.cfg");
                let line = config.lines().find(|line| line.starts_with("prompt = "));
                let expected = format!("prompt = '{shown}'");
                let is_written = asked.is_some() && minor >= 8;
                assert_eq!(line, is_written.then_some(expected.as_str()), "{asked:?}");
                let script = ". E/bin/activate; echo \"$VIRTUAL_ENV_PROMPT\"";
                let said = bench.scratch.run("/bin/sh".as_ref(), &["-c", script]).ok();
                assert_eq!(said.trim_end(), shown);
            }
        });
    }
}

mod test_overwrite_existing {
    use super::{Path, each, fs};

    #[test]
    fn files_of_others_stay_and_a_clear_takes_them_away() {
        each(|bench| {
            let place = format!("lib/{}", bench.place());
            let dirs = [
                "bin",
                "include",
                "lib",
                &place,
                &format!("{place}/site-packages"),
            ];
            let files = dirs.map(|dir| bench.path(dir).join("foo"));
            for file in &files {
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, "still here?").unwrap();
            }
            bench.create(&[]);
            let is_kept = |file: &Path| fs::read(file).is_ok_and(|text| text == b"still here?");
            assert!(files.iter().all(|file| is_kept(file)));
            // CPython's test clears at once; here the directory is one that had entries before.
            bench.make(&["--clear"]).failed(3);
            assert!(files.iter().all(|file| is_kept(file)));
            bench.create(&["--clear", "--force"]);
            assert!(!files.iter().any(|file| file.exists()));
            assert!(bench.exe().is_file());
        });
    }
}

mod test_unoverwritable_fails {
    use super::{each, fs, tree};

    #[test]
    fn a_file_where_a_directory_must_be_fails_the_creation_and_nothing_is_touched() {
        each(|bench| {
            for name in ["bin", "include", "lib"] {
                fs::create_dir(bench.env()).unwrap();
                fs::write(bench.path(name), "").unwrap();
                let said = bench.make(&["--without-pip"]).failed(3);
                assert!(said.contains(name), "{said}");
                let left: Vec<_> = tree(&bench.env()).into_keys().collect();
                assert_eq!(left, ["", name]);
                fs::remove_dir_all(bench.env()).unwrap();
            }
        });
    }
}

mod test_upgrade {
    use super::each;

    #[test]
    fn an_environment_that_was_upgraded_has_everything_and_runs() {
        each(|bench| {
            bench.create(&["--symlinks"]);
            bench.create(&["--upgrade"]);
            for dir in ["bin", "include", "lib"] {
                assert!(bench.path(dir).is_dir(), "{dir}");
            }
            assert_eq!(
                bench.says("import sys; print(sys.prefix)"),
                bench.env().to_str().unwrap()
            );
        });
    }

    #[test]
    fn an_environment_upgraded_with_its_own_interpreter_still_has_the_base_as_its_home() {
        each(|bench| {
            bench.create(&["--copies", "--without-scm-ignore-files"]);
            let home = |config: String| config.lines().next().unwrap().to_owned();
            let before = home(bench.read("pyvenv.cfg"));
            let own = bench.exe();
            let words = [
                "upgrade",
                "--without-pip",
                "--python",
                own.to_str().unwrap(),
                "E",
            ];
            bench.rvenv(&words).ok();
            assert_eq!(home(bench.read("pyvenv.cfg")), before);
            assert_eq!(
                bench.says("import sys; print(sys.prefix)"),
                bench.env().to_str().unwrap()
            );
        });
    }
}

mod test_isolation {
    use super::each;

    #[test]
    fn the_packages_of_the_base_are_seen_when_that_was_asked_for_and_only_then() {
        let code =
            "import os, site; print([p for p in site.getsitepackages() if os.path.isdir(p)])";
        each(|bench| {
            let packages = bench.base_says(code);
            for (flags, value) in [(&["--system-site-packages"][..], true), (&[], false)] {
                bench.create(&[&["--clear"], flags].concat());
                let line = format!("include-system-site-packages = {value}");
                assert!(bench.read("pyvenv.cfg").lines().any(|found| found == line));
                let seen = format!(
                    "import sys; print([p for p in {packages} if p in sys.path] == {packages})"
                );
                let any = format!("import sys; print(any(p in sys.path for p in {packages}))");
                if packages != "[]" {
                    let expected = if value { "True" } else { "False" };
                    assert_eq!(
                        bench.says(if value { &seen } else { &any }),
                        expected,
                        "{packages}"
                    );
                }
            }
        });
    }
}

mod test_symlinking {
    use super::{Kind, each, fs, tree};

    #[test]
    fn the_interpreter_is_a_link_or_a_copy_as_it_was_asked_for() {
        each(|bench| {
            let name = format!("bin/{}", bench.exe().file_name().unwrap().to_str().unwrap());
            bench.create(&["--clear", "--symlinks"]);
            assert_eq!(
                tree(&bench.env()).get(&name).unwrap().kind,
                Kind::Link(bench.python.path.clone())
            );
            bench.create(&["--clear", "--copies"]);
            assert!(fs::symlink_metadata(bench.exe()).unwrap().is_file());
            assert_eq!(
                fs::read(bench.exe()).unwrap(),
                fs::read(&bench.python.path).unwrap()
            );
        });
    }
}

mod test_pathsep_error {
    use super::{each, fs};

    #[test]
    fn a_path_that_would_break_the_search_path_is_refused_and_nothing_is_made() {
        each(|bench| {
            let python = bench.python.path.to_str().unwrap();
            let said = bench
                .rvenv(&["create", "--without-pip", "--python", python, "a:b"])
                .failed(2);
            assert!(said.contains('`'), "{said}");
            assert_eq!(fs::read_dir(bench.scratch.path("")).unwrap().count(), 0);
        });
    }
}

mod test_scm_ignore_files_git {
    use super::each;

    #[test]
    fn git_is_told_to_ignore_everything_where_venv_knows_of_it() {
        each(|bench| {
            bench.create(&[]);
            let is_there = bench.path(".gitignore").exists();
            assert_eq!(is_there, bench.python.version.1 >= 13);
            assert!(!is_there || bench.read(".gitignore").lines().any(|line| line == "*"));
        });
    }
}

mod test_create_scm_ignore_files_empty {
    use super::each;

    #[test]
    fn without_ignore_files_there_is_none_and_the_command_says_so() {
        each(|bench| {
            bench.create(&["--without-scm-ignore-files"]);
            assert!(!bench.path(".gitignore").exists());
            let is_said = bench
                .read("pyvenv.cfg")
                .contains(" --without-scm-ignore-files ");
            assert_eq!(is_said, bench.python.version.1 >= 13);
        });
    }
}

mod test_cli_with_scm_ignore_files {
    use super::each;

    #[test]
    fn the_command_line_asks_for_the_ignore_file_without_being_told() {
        each(|bench| {
            bench.create(&[]);
            assert!(!bench.read("pyvenv.cfg").contains("scm-ignore-files"));
            assert_eq!(
                bench.path(".gitignore").exists(),
                bench.python.version.1 >= 13
            );
        });
    }
}

mod test_cli_without_scm_ignore_files {
    use super::{each, fs};

    #[test]
    fn a_project_with_an_ignore_file_of_its_own_keeps_it_either_way() {
        each(|bench| {
            fs::create_dir(bench.env()).unwrap();
            fs::write(bench.path(".gitignore"), "*.o\n").unwrap();
            for words in [&["--without-scm-ignore-files"][..], &[]] {
                bench.create(words);
                assert_eq!(bench.read(".gitignore"), "*.o\n");
            }
        });
    }
}

mod test_activate_shell_script_has_no_dos_newlines {
    use super::{each, fs};

    #[test]
    fn no_script_of_a_shell_has_a_carriage_return() {
        each(|bench| {
            bench.create(&[]);
            for name in [
                "activate",
                "activate.csh",
                "activate.fish",
                "activate.nu",
                "activate.xsh",
            ] {
                let text = fs::read(bench.path("bin").join(name)).unwrap();
                assert!(!text.contains(&b'\r'), "{name}");
            }
        });
    }
}
