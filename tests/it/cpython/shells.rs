//! What shells do with the activation scripts of each interpreter's environment.
//!
//! All shells and all awkward texts are in `../behaviour/activate.rs`. Each module has the name of
//! a test of `CPython`'s; see `mod.rs`.

use crate::cpython::bench::{Bench, each, is_installed, quiet};

/// A name that every shell would like to take apart.
const AWKWARD: &str = "\"';&&$e|'\"";
const SHOW: &str =
    "python -c 'import os, sys; print(sys.executable); print(os.environ[\"VIRTUAL_ENV\"])'";

/// Runs a script in bash, which must say nothing but this.
fn check_bash(bench: &Bench, script: &str, expected: &str) {
    let ended = bench
        .scratch
        .run("/bin/bash".as_ref(), &["--norc", "-c", script]);
    assert_eq!(quiet(&ended), expected, "{script}");
}

/// Makes an environment with an awkward name; what [`SHOW`] shows in it.
fn awkward(bench: &Bench) -> String {
    let python = bench.python.path.to_str().unwrap();
    bench
        .rvenv(&["create", "--without-pip", "--python", python, AWKWARD])
        .ok();
    let env = bench.scratch.path(AWKWARD);
    format!("{0}/bin/python\n{0}", env.display())
}

mod test_deactivate_with_strict_bash_opts {
    use super::{check_bash, each, is_installed};

    #[test]
    fn a_strict_bash_activates_and_deactivates_in_silence() {
        if is_installed("bash") {
            each(|bench| {
                bench.create(&[]);
                check_bash(
                    bench,
                    "set -euo pipefail; source E/bin/activate; deactivate",
                    "",
                );
            });
        }
    }
}

mod test_deactivate_with_strict_bash_opts_and_hashing_off {
    use super::{check_bash, each, is_installed};

    #[test]
    fn so_does_one_that_remembers_no_programs() {
        if is_installed("bash") {
            each(|bench| {
                bench.create(&[]);
                check_bash(
                    bench,
                    "set -euo pipefail; set +h; source E/bin/activate; deactivate",
                    "",
                );
            });
        }
    }
}

mod test_special_chars_bash {
    use super::{SHOW, awkward, check_bash, each, is_installed};

    #[test]
    fn bash_finds_the_environment_under_an_awkward_name() {
        if is_installed("bash") {
            each(|bench| {
                let expected = awkward(bench);
                let script = format!("source ./*/bin/activate; {SHOW}; deactivate");
                check_bash(bench, &script, &expected);
            });
        }
    }
}

mod test_special_chars_csh {
    use super::{SHOW, awkward, each, is_installed, quiet};

    #[test]
    fn csh_finds_the_environment_under_an_awkward_name() {
        let Some(csh) = ["tcsh", "csh"].into_iter().find(|name| is_installed(name)) else {
            return;
        };
        each(|bench| {
            let expected = awkward(bench);
            let script = format!("source ./*/bin/activate.csh\n{SHOW}\ndeactivate\n");
            let file = bench.scratch.path("script.csh");
            std::fs::write(&file, script).unwrap();
            let program = std::path::Path::new("/usr/bin").join(csh);
            let ended = bench
                .scratch
                .run(&program, &["-f".as_ref(), file.as_os_str()]);
            assert_eq!(quiet(&ended), expected);
        });
    }
}
