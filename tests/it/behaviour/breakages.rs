//! Breakages: what Python's `venv` does wrong somewhere, each as a test of what is done right here.
//!
//! A test is named after what should happen; its comment says what `venv` does instead. Other tests
//! prove whole mechanisms (kills, full disks, quoting in every shell); here is a small direct
//! version of each. Missing interpreters are skipped with a message. Read next:
//! `breakages_peers.rs`, `policies.rs`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::machine::{self, Kind, ended, tree};
use crate::refused::refused_by;
use crate::sandbox::{fifo, minor_of, sandbox, sandbox_for_all, sandbox_of};

const NOT_ISOLATED: &str = "import sys; print(sys.prefix)";

/// `venv` silently reuses an existing directory, whatever is in it; rvenv keeps the content too,
/// and refuses at a file of the same name.
#[test]
fn an_existing_directory_keeps_its_files_and_none_is_overwritten() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.write("E/notes", "mine");
    sandbox.create(&["E"]).ok();
    assert_eq!(sandbox.read("E/notes"), "mine");
    sandbox.write("F/bin/activate", "mine");
    let said = sandbox.refused(&["create", "F"], 3);
    assert!(said.contains("bin/activate"), "{said}");
}

/// `venv` makes `include` and `lib` before it sees that `bin` is a file, and `include` before it
/// sees that `lib` is one.
#[test]
fn a_file_where_a_directory_belongs_is_seen_before_anything_is_made() {
    let Some(sandbox) = sandbox() else { return };
    for name in ["bin", "include", "lib", "lib/place/site-packages"] {
        let place = format!("python3.{}", sandbox.python.version.1);
        sandbox.write(&format!("E/{}", name.replace("place", &place)), "mine");
        sandbox.refused(&["create", "E"], 3);
        fs::remove_dir_all(sandbox.path("E")).unwrap();
    }
}

/// `venv` goes through a link at `lib`, and puts the packages outside the environment.
#[test]
fn a_link_where_a_directory_belongs_is_not_gone_through() {
    let Some(sandbox) = sandbox() else { return };
    fs::create_dir_all(sandbox.path("outside")).unwrap();
    for name in ["lib", "bin", "include"] {
        fs::create_dir(sandbox.path("E")).unwrap();
        symlink("../outside", sandbox.path("E").join(name)).unwrap();
        sandbox.refused(&["create", "E"], 3);
        assert_eq!(fs::read_dir(sandbox.path("outside")).unwrap().count(), 0);
        fs::remove_dir_all(sandbox.path("E")).unwrap();
    }
}

/// `venv` treats a FIFO at `bin` as a directory, and fails half way.
#[test]
fn a_fifo_where_a_directory_belongs_is_refused() {
    let Some(sandbox) = sandbox() else { return };
    fs::create_dir(sandbox.path("E")).unwrap();
    fifo(&sandbox.path("E/bin"));
    sandbox.refused(&["create", "E"], 3);
}

/// `venv` fails with "file exists" at a `lib64` that leads nowhere, and makes it through to a dead
/// link at the target.
#[test]
fn a_dangling_lib64_is_put_right() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.create(&["E"]).ok();
    let link = sandbox.path("E/lib64");
    if fs::symlink_metadata(&link).is_err() {
        println!("skipped: this Python's environments have no lib64");
        return;
    }
    fs::remove_file(&link).unwrap();
    symlink("nowhere", &link).unwrap();
    sandbox.create(&["E"]).ok();
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("lib"));
}

/// Run by the environment's own interpreter, `venv --clear` of 3.10 and before makes `bin/python` a
/// link to itself.
#[test]
fn an_environment_is_cleared_with_its_own_interpreter() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.create(&["E"]).ok();
    let own = sandbox.path("E/bin/python");
    let words = ["create", "E", "--clear", "--without-pip", "-p"];
    let mut command = sandbox.scratch.command(&words);
    ended(command.arg(&own)).ok();
    sandbox.works("E");
    let config = sandbox.read("E/pyvenv.cfg");
    assert!(
        !config.contains(&format!("executable = {}", own.display())),
        "{config}"
    );
    let home = sandbox.path("E/bin").display().to_string();
    assert!(!config.contains(&format!("home = {home}\n")), "{config}");
}

/// `venv` writes through a link at `pyvenv.cfg`, over whatever file it leads to.
#[test]
fn a_link_at_the_configuration_is_replaced_and_not_written_through() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.create(&["E"]).ok();
    sandbox.write("precious", "mine");
    let config = sandbox.path("E/pyvenv.cfg");
    for leads_to in ["../precious", "nowhere"] {
        fs::remove_file(&config).unwrap();
        symlink(leads_to, &config).unwrap();
        // Without its configuration it is a directory like any other: nothing in it is overwritten.
        let said = sandbox.refused(&["create", "E"], 3);
        assert!(said.contains("pyvenv.cfg"), "{said}");
        sandbox.create(&["E", "--clear", "--force"]).ok();
        assert_eq!(sandbox.read("precious"), "mine");
        sandbox.works("E");
    }
}

/// `venv` writes through the scripts' links and into hard links, so that other files change with
/// them.
#[test]
fn scripts_that_are_links_are_replaced_and_not_written_through() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.create(&["E"]).ok();
    for (name, text) in [("soft", "mine"), ("hard", "mine too")] {
        sandbox.write(name, text);
    }
    fs::remove_file(sandbox.path("E/bin/activate")).unwrap();
    symlink("../../soft", sandbox.path("E/bin/activate")).unwrap();
    fs::remove_file(sandbox.path("E/bin/activate.csh")).unwrap();
    fs::hard_link(sandbox.path("hard"), sandbox.path("E/bin/activate.csh")).unwrap();
    sandbox.create(&["E", "--prompt", "p"]).ok();
    assert_eq!(
        (sandbox.read("soft"), sandbox.read("hard")),
        ("mine".to_owned(), "mine too".to_owned())
    );
    assert!(sandbox.read("E/bin/activate.csh").contains("VIRTUAL_ENV"));
}

/// `venv` writes a line break in a prompt or path into `pyvenv.cfg`, where it forges lines of its
/// own.
#[test]
fn a_line_break_forges_no_line_of_the_configuration() {
    let Some(sandbox) = sandbox() else { return };
    let forged = "a\ninclude-system-site-packages = true\nz";
    sandbox.refused(&["create", "E", "--prompt", forged], 2);
    sandbox.refused(&["create", forged], 2);
    sandbox.create(&["E"]).ok();
    for verb in ["upgrade", "plan"] {
        sandbox.refused(&[verb, "E", "--prompt", forged], 2);
    }
}

/// A torn `pyvenv.cfg`, as an interrupted `venv` leaves it, silently makes the packages of the
/// system visible.
#[test]
fn a_torn_configuration_is_reported_and_written_anew() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.create(&["E"]).ok();
    let whole = sandbox.read("E/pyvenv.cfg");
    let (home, _) = whole.split_once('\n').unwrap();
    sandbox.write("E/pyvenv.cfg", home);
    let told = sandbox.scratch.rvenv(&["verify", "E"]);
    assert_eq!(told.code, Some(4), "{}{}", told.stdout, told.stderr);
    sandbox.create(&["E"]).ok();
    assert_eq!(sandbox.read("E/pyvenv.cfg"), whole);
}

/// `venv` writes part of an environment before it sees that the path cannot be written down, and
/// 3.8 leaves the activation scripts out.
#[test]
fn a_path_that_is_not_utf8_is_refused_before_anything_is_made() {
    let Some(sandbox) = sandbox() else { return };
    let path = OsStr::from_bytes(b"caf\xe9");
    let mut command = sandbox.command(&["create"]);
    refused_by(&sandbox.scratch, command.arg(path), 2);
}

/// Run by another environment's interpreter, `venv` of 3.10 and before builds on that environment,
/// and breaks with it.
#[test]
fn an_environment_is_built_on_the_base_and_not_on_another_environment() {
    for minor in [8, 9, 13] {
        let Some(sandbox) = minor_of(minor).map(sandbox_of) else {
            continue;
        };
        sandbox.create(&["first"]).ok();
        let first = sandbox.path("first/bin/python");
        let words = ["create", "E", "--without-pip", "-p"];
        ended(sandbox.scratch.command(&words).arg(first)).ok();
        fs::remove_dir_all(sandbox.path("first")).unwrap();
        sandbox.works("E");
    }
}

/// `venv` leaves an interpreter's link that leads nowhere, and ends with success.
#[test]
fn a_dangling_interpreter_leads_to_the_base_again() {
    let Some(sandbox) = sandbox() else { return };
    for verb in ["create", "upgrade"] {
        sandbox.create(&["E", "--clear"]).ok();
        for name in ["python", "python3"] {
            let link = sandbox.path("E/bin").join(name);
            fs::remove_file(&link).unwrap();
            symlink("/nowhere/python3", &link).unwrap();
        }
        sandbox.verb(verb, &["E"]).ok();
        sandbox.works("E");
    }
}

/// `venv --copies` writes the interpreter through such a link, to wherever outside the environment
/// it leads.
#[test]
fn a_copied_interpreter_is_not_written_through_a_link() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.create(&["E"]).ok();
    fs::create_dir(sandbox.path("outside")).unwrap();
    for name in ["python", "python3"] {
        let link = sandbox.path("E/bin").join(name);
        fs::remove_file(&link).unwrap();
        symlink("../../outside/python", &link).unwrap();
    }
    sandbox.create(&["E", "--copies"]).ok();
    assert_eq!(fs::read_dir(sandbox.path("outside")).unwrap().count(), 0);
    sandbox.works("E");
}

/// `venv --copies` over links fails ("are the same file") with `pyvenv.cfg` rewritten; `--symlinks`
/// over copies leaves the copies, with a warning.
#[test]
fn links_become_copies_and_copies_become_links() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.create(&["E"]).ok();
    let is_link = || {
        fs::symlink_metadata(sandbox.path("E/bin/python3"))
            .unwrap()
            .is_symlink()
    };
    for verb in ["create", "upgrade"] {
        sandbox.verb(verb, &["E", "--copies"]).ok();
        assert!(!is_link());
        sandbox.works("E");
        sandbox.verb(verb, &["E", "--symlinks"]).ok();
        assert!(is_link());
        sandbox.works("E");
    }
}

/// `venv` overwrites a copied interpreter in place, which fails ("text file busy") while it runs.
#[test]
fn a_running_interpreter_is_replaced_and_runs_on() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.create(&["E", "--copies"]).ok();
    let mut running = Command::new(sandbox.path("E/bin/python"))
        .args([
            "-c",
            "import sys; print('up', flush=True); sys.stdin.read(); import json",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut up = [0; 3];
    std::io::Read::read_exact(running.stdout.as_mut().unwrap(), &mut up).unwrap();
    for words in [
        ["upgrade", "--copies"],
        ["create", "--symlinks"],
        ["create", "--clear"],
    ] {
        sandbox.verb(words[0], &["E", words[1]]).ok();
        sandbox.works("E");
    }
    drop(running.stdin.take());
    assert!(running.wait().unwrap().success());
}

/// `venv` replaces its placeholders one after the other, also in what it has just put in.
#[test]
fn a_path_like_a_placeholder_stays_what_it_is() {
    let Some(sandbox) = sandbox() else { return };
    let name = "a__VENV_BIN_NAME__b__VENV_PROMPT__";
    sandbox.create(&[name]).ok();
    let line = format!(". {name}/bin/activate && printf '%s' \"$VIRTUAL_ENV\"");
    let shown = sandbox
        .scratch
        .run(Path::new("/bin/sh"), &["-c", &line])
        .ok();
    assert_eq!(Path::new(&shown), sandbox.path(name));
}

/// `venv` before the fix of 2024 puts the path raw between double quotes, so that activation runs
/// what is in it.
#[test]
fn a_path_with_a_command_in_it_runs_nothing() {
    let Some(sandbox) = sandbox() else { return };
    let name = "a \"$(touch evil)`touch evil`'; touch evil; é";
    sandbox.create(&[name]).ok();
    sandbox.write(
        "go",
        ". \"./$1/bin/activate\" && printf '%s' \"$VIRTUAL_ENV\"",
    );
    let shown = sandbox
        .scratch
        .run(Path::new("/bin/sh"), &["go", name])
        .ok();
    assert_eq!(Path::new(&shown), sandbox.path(name));
    assert!(!sandbox.path("evil").exists());
    sandbox.works(name);
}

/// A name ending with a separator of PATH breaks PATH; `venv` before 3.11 makes it.
#[test]
fn a_path_with_a_colon_is_refused_for_every_interpreter() {
    for minor in [8, 10] {
        let Some(sandbox) = minor_of(minor).map(sandbox_of) else {
            continue;
        };
        sandbox.refused(&["create", "a:b"], 2);
    }
}

/// `venv .` overwrites the `.gitignore` of the project; so does every later `venv --upgrade`.
#[test]
fn the_gitignore_of_a_project_is_never_overwritten() {
    let Some(sandbox) = minor_of(13).map(sandbox_of) else {
        return;
    };
    sandbox.write(".gitignore", "*.o\n");
    sandbox.create(&["."]).ok();
    for verb in ["upgrade", "create"] {
        sandbox.verb(verb, &["."]).ok();
        assert_eq!(sandbox.read(".gitignore"), "*.o\n");
    }
    sandbox.works("");
}

/// As `venv`: `..` is resolved in the text, so it means the parent of a link, not that of the
/// link's target.
#[test]
fn two_dots_go_by_the_text() {
    let Some(sandbox) = sandbox() else { return };
    fs::create_dir_all(sandbox.path("far/away")).unwrap();
    symlink("far/away", sandbox.path("link")).unwrap();
    sandbox.create(&["link/../E"]).ok();
    sandbox.works("E");
    assert!(!sandbox.path("far/E").exists());
}

/// `venv ""` fills the working directory, for instance when a variable was not set.
#[test]
fn an_empty_path_is_refused() {
    let Some(sandbox) = sandbox() else { return };
    for verb in ["create", "plan", "upgrade"] {
        let said = sandbox.refused(&[verb, ""], 2);
        assert!(said.contains("empty"), "{said}");
    }
}

/// As `venv`: under a strict umask directories are private, scripts readable and interpreters
/// executable.
#[test]
fn under_a_strict_umask_interpreters_can_still_be_run() {
    let Some(sandbox) = sandbox() else { return };
    let rvenv = Path::new(env!("CARGO_BIN_EXE_rvenv"));
    let mut command = sandbox.scratch.program(rvenv, "077");
    command.args([
        "create",
        "-p",
        sandbox.path_of_python(),
        "--without-pip",
        "--copies",
        "E",
    ]);
    ended(&mut command).ok();
    let mode = |path: &str| fs::metadata(sandbox.path(path)).unwrap().mode() & 0o777;
    let modes = ["E", "E/bin/python", "E/bin/activate", "E/pyvenv.cfg"].map(mode);
    assert_eq!(modes, [0o700, 0o755, 0o644, 0o600]);
}

/// One run of `venv` sees the half-made environment of another, and the result of several at once
/// is random.
#[test]
fn several_at_once_make_one_whole_environment() {
    let Some(sandbox) = sandbox() else { return };
    let start = || sandbox.command(&["create", "E"]).spawn().unwrap();
    let runs: Vec<_> = (0..6).map(|_| start()).collect();
    for mut run in runs {
        assert!(run.wait().unwrap().success());
    }
    sandbox.works("E");
    assert_eq!(sandbox.litter(), ["E"]);
}

/// Interrupted between its steps, `venv` leaves an environment that starts and has neither scripts
/// nor pip.
#[test]
fn an_interruption_leaves_no_half_of_an_environment() {
    let Some(sandbox) = sandbox() else { return };
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let check = format!("kill -{signal} $PPID; sleep 20");
        sandbox.create(&["E", "--check", &check]).failed(code);
        assert_eq!(sandbox.litter(), [""; 0]);
    }
    let killed = sandbox.create(&["E", "--check", "kill -KILL $PPID; sleep 1"]);
    assert_eq!(killed.code, None, "{}", killed.stderr);
    sandbox.create(&["E"]).ok();
    sandbox.works("E");
    assert_eq!(sandbox.litter(), ["E"]);
}

/// A full disk leaves what `venv` had written of pip, and an error that does not say why.
#[test]
fn a_full_disk_leaves_what_was_there_and_says_why() {
    let Some(sandbox) = sandbox() else { return };
    let body = "mkdir small && mount -t tmpfs -o size=400k tmpfs small && \
                \"$0\" create -p \"$1\" --without-pip small/E && find small -printf '%P %m %i\\n' | sort > before && \
                { \"$0\" create -p \"$1\" --clear small/E; code=$?; \
                  find small -printf '%P %m %i\\n' | sort | diff before - || exit 99; exit $code; }";
    let mut command = sandbox.scratch.program(Path::new("unshare"), "022");
    command.args([
        "-m",
        "sh",
        "-c",
        body,
        env!("CARGO_BIN_EXE_rvenv"),
        sandbox.path_of_python(),
    ]);
    let ended = ended(&mut command);
    if !ended.stderr.contains("rror: ") {
        println!("skipped: nothing can be mounted here: {}", ended.stderr);
        return;
    }
    let said = ended.failed(1);
    assert!(said.contains("No space left on device"), "{said}");
    assert!(said.contains("as it was before"), "{said}");
}

/// A read-only place stops `venv` at its first file; rvenv stops before it makes anything.
#[test]
fn a_directory_that_may_not_be_written_is_left_alone() {
    let Some(sandbox) = sandbox_for_all() else {
        return;
    };
    let mut other = sandbox.as_other_user(&["create", "closed/E"]);
    fs::create_dir(sandbox.path("closed")).unwrap();
    refused_by(&sandbox.scratch, &mut other, 1);
}

/// Without `ensurepip` `venv` fails after it has made everything else.
#[test]
fn a_python_that_cannot_install_pip_makes_nothing() {
    let Some(sandbox) = sandbox() else { return };
    machine::player(&sandbox.scratch, "python");
    let words = ["create", "-p", "./python", "E"];
    let said = refused_by(&sandbox.scratch, &mut sandbox.scratch.command(&words), 1);
    assert!(said.contains("--without-pip"), "{said}");
}

/// As with `venv`: only from 3.11 to 3.13 `include` contains a directory of the version.
#[test]
fn names_follow_the_version_of_the_interpreter() {
    for python in machine::supported() {
        let sandbox = sandbox_of(python.clone());
        sandbox.create(&["E"]).ok();
        let made = tree(&sandbox.path("E"));
        let minor = python.version.1;
        let include = format!("include/python3.{minor}");
        assert_eq!(
            made.contains_key(&include),
            (11..14).contains(&minor),
            "3.{minor}"
        );
        assert_eq!(
            made.contains_key(&format!("bin/python3.{minor}")),
            minor >= 9,
            "3.{minor}"
        );
        assert_eq!(made.contains_key("bin/𝜋thon"), minor == 14, "3.{minor}");
        assert_eq!(made.contains_key(".gitignore"), minor >= 13, "3.{minor}");
        let lib64 = made.get("lib64").map(|entry| entry.kind.clone());
        let expected =
            (minor < 15 && cfg!(target_pointer_width = "64")).then(|| Kind::Link("lib".into()));
        assert_eq!(lib64, expected, "3.{minor}");
        let said = sandbox
            .scratch
            .run(&sandbox.path("E/bin/python"), &["-c", NOT_ISOLATED])
            .ok();
        assert_eq!(Path::new(said.trim()), sandbox.path("E"));
    }
}
