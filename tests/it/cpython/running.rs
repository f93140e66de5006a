//! What the interpreter of an environment reports about itself, and what it can start.
//!
//! Each module has the name of a test of `CPython`'s; see `mod.rs`.

use std::fs;
use std::os::unix::fs::symlink;

use crate::cpython::bench::{Bench, each, quiet};

/// Where `CPython` finds the parts of its build, the same in an environment as in its base.
fn check_sysconfig(bench: &Bench) {
    let minor = bench.python.version.1;
    if minor >= 11 && !bench.is_pypy() {
        let scheme = "import sysconfig; print(sysconfig.get_preferred_scheme('prefix'), \
                      sysconfig.get_default_scheme())";
        assert_eq!(bench.says(scheme), "venv venv");
    }
    let build = "import sysconfig; print(sysconfig.is_python_build(), sysconfig.get_makefile_filename(), \
                 sysconfig.get_config_h_filename(), sysconfig.get_config_var('Py_GIL_DISABLED'))";
    if !bench.is_pypy() {
        assert_eq!(bench.says(build), bench.base_says(build));
    }
    let paths =
        "import sysconfig; print(sysconfig.get_path('purelib'), sysconfig.get_path('scripts'))";
    let env = bench.env();
    let expected = format!(
        "{0}/lib/{1}/site-packages {0}/bin",
        env.display(),
        bench.place()
    );
    assert_eq!(bench.says(paths), expected);
}

fn check_executable(bench: &Bench) {
    let said = bench.says("import sys; print(sys.executable)");
    assert_eq!(said, bench.exe().to_str().unwrap());
}

mod test_prefixes {
    use super::each;

    #[test]
    fn the_prefixes_are_the_environment_and_the_base_prefixes_those_of_the_base() {
        let code = "import sys; print(sys.base_prefix, sys.base_exec_prefix)";
        each(|bench| {
            for kind in ["--symlinks", "--copies"] {
                // A copy of `PyPy`'s small program finds its library, and through it the base, only
                // beside itself.
                if kind == "--copies" && bench.is_pypy() {
                    continue;
                }
                bench.create(&["--clear", kind]);
                let env = bench.env();
                let prefixes = bench.says("import sys; print(sys.prefix, sys.exec_prefix)");
                assert_eq!(prefixes, format!("{0} {0}", env.display()));
                assert_eq!(bench.says(code), bench.base_says(code));
            }
        });
    }
}

mod test_sysconfig {
    use super::{check_executable, check_sysconfig, each};

    #[test]
    fn a_copied_interpreter_knows_its_build_and_its_base() {
        each(|bench| {
            bench.create(&["--copies"]);
            check_sysconfig(bench);
            check_executable(bench);
            if bench.python.version.1 >= 11 {
                let code = "import sys; print(sys._base_executable)";
                assert_eq!(bench.says(code), bench.base_says(code));
            }
        });
    }
}

mod test_sysconfig_symlinks {
    use super::{check_sysconfig, each};

    #[test]
    fn a_linked_interpreter_knows_its_build() {
        each(|bench| {
            bench.create(&["--symlinks"]);
            check_sysconfig(bench);
        });
    }
}

mod test_executable {
    use super::{check_executable, each};

    #[test]
    fn a_copied_interpreter_says_where_it_is() {
        each(|bench| {
            bench.create(&["--copies"]);
            check_executable(bench);
        });
    }
}

mod test_executable_symlinks {
    use super::{check_executable, each};

    #[test]
    fn a_linked_interpreter_says_where_the_link_is() {
        each(|bench| {
            bench.create(&["--symlinks"]);
            check_executable(bench);
        });
    }
}

mod test_multiprocessing {
    use super::each;

    #[test]
    fn a_pool_of_processes_works() {
        let code = "from multiprocessing import Pool; pool = Pool(1); \
                    print(pool.apply_async('Python'.lower).get(60)); pool.terminate()";
        each(|bench| {
            bench.create(&[]);
            assert_eq!(bench.says(code), "python");
        });
    }
}

mod test_multiprocessing_recursion {
    use super::{each, fs, quiet};

    /// A process that starts a process that starts a process, each anew from the interpreter.
    const SCRIPT: &str = r"
import multiprocessing, sys

def inner(queue):
    queue.put(sys.prefix)

def run(target, queue):
    process = multiprocessing.get_context('spawn').Process(target=target, args=(queue,))
    process.start()
    process.join()
    sys.exit(process.exitcode)

def outer(queue):
    run(inner, queue)

if __name__ == '__main__':
    queue = multiprocessing.get_context('spawn').SimpleQueue()
    try:
        run(outer, queue)
    finally:
        print(queue.get())
";

    #[test]
    fn a_process_of_a_process_still_runs_in_the_environment() {
        each(|bench| {
            bench.create(&[]);
            let script = bench.scratch.path("script.py");
            fs::write(&script, SCRIPT).unwrap();
            let said = quiet(
                &bench
                    .scratch
                    .run(&bench.exe(), &["-I".as_ref(), script.as_os_str()]),
            );
            assert_eq!(said, bench.env().to_str().unwrap());
        });
    }
}

mod test_zippath_from_non_installed_posix {
    use super::{each, fs, symlink};

    #[test]
    fn an_environment_of_a_python_that_was_never_installed_has_its_zip_in_the_search_path() {
        each(|bench| {
            if bench.is_pypy() {
                return;
            }
            // A tree of its own: a copied program, and beside it the library, which is enough to be
            // found.
            let place = bench.place();
            let tree = bench.scratch.path("tree");
            let lib = tree.join("lib").join(place);
            fs::create_dir_all(&lib).unwrap();
            fs::create_dir(tree.join("bin")).unwrap();
            let library = bench.base_says("import os; print(os.path.dirname(os.__file__))");
            for entry in fs::read_dir(library).unwrap() {
                let entry = entry.unwrap();
                if !["site-packages", "dist-packages"]
                    .map(Into::into)
                    .contains(&entry.file_name())
                {
                    symlink(entry.path(), lib.join(entry.file_name())).unwrap();
                }
            }
            let python = tree.join("bin/python3");
            fs::copy(bench.python.path.canonicalize().unwrap(), &python).unwrap();
            let words = [
                "create",
                "--without-pip",
                "--python",
                python.to_str().unwrap(),
                "E",
            ];
            bench.rvenv(&words).ok();
            let code = "import sys; print('\\n'.join(sys.path)); print(sys.base_prefix)";
            let said = bench
                .scratch
                .run(&bench.path("bin/python3"), &["-S", "-c", code])
                .ok();
            let free = if place.ends_with('t') { "t" } else { "" };
            let zip = tree
                .join("lib")
                .join(format!("python3{}{free}.zip", bench.python.version.1));
            assert!(
                said.lines().any(|line| line == zip.to_str().unwrap()),
                "{said}"
            );
            assert_eq!(said.lines().last(), tree.to_str(), "{said}");
        });
    }
}

mod test_dangling_interpreter_link_is_replaced {
    use super::{each, fs, symlink};

    #[test]
    fn a_link_that_leads_nowhere_leads_to_the_interpreter_again() {
        each(|bench| {
            for words in [&[][..], &["--upgrade"], &["--upgrade", "--copies"]] {
                bench.create(&["--clear", "--symlinks"]);
                fs::remove_file(bench.exe()).unwrap();
                symlink("/nowhere/python", bench.exe()).unwrap();
                bench.create(words);
                assert_eq!(
                    bench.says("import sys; print(sys.executable)"),
                    bench.exe().to_str().unwrap()
                );
                assert!(!bench.scratch.path("/nowhere").exists());
            }
        });
    }
}
