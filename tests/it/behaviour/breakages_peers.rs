//! Breakages: what virtualenv and uv do wrong somewhere, each as a test of what is done right here.
//!
//! A test is named after what should happen; its comment says what they do instead. What they share
//! with `venv` is in `breakages.rs`.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::machine::{ended, tree};
use crate::sandbox::{self, Sandbox, sandbox};

/// Runs a command that dies after it has published everything and before it has decided.
fn killed(sandbox: &Sandbox, words: &[&str]) {
    let check = ["--check", "kill -KILL $PPID; sleep 1"];
    let ended = sandbox.verb(words[0], &[&words[1..], &check].concat());
    assert_eq!(ended.code, None, "{}", ended.stderr);
}

/// uv, killed before it wrote `pyvenv.cfg`, refuses to continue, and then refuses the `--clear`
/// that it proposes.
#[test]
fn after_a_kill_the_same_command_and_a_clear_both_go_on() {
    let Some(sandbox) = sandbox() else { return };
    for again in [["create", "E"].as_slice(), &["create", "E", "--clear"]] {
        killed(&sandbox, &["create", "E"]);
        sandbox.verb(again[0], &again[1..]).ok();
        sandbox.works("E");
        assert_eq!(sandbox.litter(), ["E"]);
        fs::remove_dir_all(sandbox.path("E")).unwrap();
    }
}

/// uv writes `bin/python` ten files before `pyvenv.cfg`. A kill in between leaves an interpreter
/// that is the base Python, into which the next `uv sync` installs.
#[test]
fn there_is_never_an_interpreter_without_its_configuration() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.write("project/src/main.py", "");
    sandbox.write("project/bin/tool", "");
    let log = sandbox.path("../renames").display().to_string();
    let mut command = sandbox.scratch.program(Path::new("strace"), "022");
    command
        .args([
            "-f",
            "-qq",
            "-y",
            "-o",
            &log,
            "-e",
            "trace=/rename,linkat,symlinkat",
        ])
        .args([
            env!("CARGO_BIN_EXE_rvenv"),
            "create",
            "--without-pip",
            "project",
        ])
        .args(["-p", sandbox.path_of_python()]);
    let ended = ended(&mut command);
    if ended.stderr.contains("strace") || !Path::new(&log).exists() {
        println!("skipped: no strace: {}", ended.stderr);
        return;
    }
    ended.ok();
    let log = fs::read_to_string(log).unwrap();
    let first = |name: &str| {
        let quoted = format!("\"{name}\"");
        let is_put = |line: &&str| {
            let to = line.rsplit(", ").find(|word| word.starts_with('"'));
            line.contains("rename") && to.is_some_and(|to| to.starts_with(&quoted))
        };
        let number = log.lines().position(|line| is_put(&line));
        number.unwrap_or_else(|| panic!("{name} was not put in place:\n{log}"))
    };
    let python = first("python").min(first("python3"));
    assert!(first("pyvenv.cfg") < python, "{log}");
    sandbox.works("project");
}

/// All three delete first and build afterwards: a `--clear` that fails has lost the old
/// environment.
#[test]
fn a_clear_that_fails_leaves_the_old_environment() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.create(&["E"]).ok();
    sandbox.write("E/notes", "mine");
    let before = tree(&sandbox.path("E"));
    let said = sandbox
        .create(&["E", "--clear", "--check", "exit 3"])
        .failed(1);
    assert!(said.contains("health check"), "{said}");
    assert!(before == tree(&sandbox.path("E")), "{said}");
    killed(&sandbox, &["create", "E", "--clear"]);
    sandbox.scratch.rvenv(&["recover", "E"]).ok();
    assert!(before == tree(&sandbox.path("E")), "recovered");
    assert_eq!(sandbox.litter(), ["E"]);
}

/// uv says `seed = true` before it seeds, and all three leave half of pip on a full disk or when
/// they are killed.
#[test]
fn pip_is_there_whole_or_not_at_all() {
    let Some(sandbox) = sandbox() else { return };
    let words = ["create", "E", "-p", sandbox.path_of_python(), "--check"];
    let words = [&words[..], &["kill -KILL $PPID; sleep 1"]].concat();
    assert_eq!(sandbox.scratch.rvenv(&words).code, None);
    sandbox.scratch.rvenv(&["recover", "E"]).ok();
    assert_eq!(sandbox.litter(), [""; 0]);
    sandbox.scratch.rvenv(&words[..4]).ok();
    let pip = ["-I", "-m", "pip", "check"];
    sandbox
        .scratch
        .run(&sandbox.path("E/bin/python"), &pip)
        .ok();
    sandbox.works("E");
}

/// Of twelve virtualenvs or thirty uvs at once with `--clear`, some fail and the one that stays may
/// lack files.
#[test]
fn several_clears_at_once_all_succeed_and_one_whole_environment_stays() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.create(&["E"]).ok();
    let start = || {
        sandbox
            .command(&["create", "E", "--clear", "-q"])
            .spawn()
            .unwrap()
    };
    let runs: Vec<_> = (0..6).map(|_| start()).collect();
    for mut run in runs {
        assert!(run.wait().unwrap().success());
    }
    sandbox.works("E");
    assert_eq!(sandbox.litter(), ["E"]);
}

/// virtualenv writes `pyvenv.cfg` twice: for a moment none exists.
#[test]
fn the_configuration_is_there_all_the_time() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.create(&["E"]).ok();
    let config = sandbox.path("E/pyvenv.cfg");
    let over = AtomicBool::new(false);
    let looks = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut looks = 0;
            while !over.load(Ordering::Relaxed) {
                let text = fs::read_to_string(&config);
                assert!(text.is_ok_and(|text| text.starts_with("home = ") && text.ends_with('\n')));
                looks += 1;
            }
            looks
        });
        for round in 0..8 {
            let verb = ["create", "upgrade"][round % 2];
            sandbox
                .verb(verb, &["E", "--prompt", &round.to_string()])
                .ok();
        }
        over.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    println!("{looks} looks");
}

/// All users may write uv's lock of an environment; its lock of a project is in `$TMPDIR`, which
/// differs between users and containers.
#[test]
fn the_lock_is_beside_the_target_and_private() {
    let Some(sandbox) = sandbox() else { return };
    let place = sandbox.path("").display().to_string();
    let check = format!("cd {place} && stat -c '%n %a' .E.rvenv.* > seen");
    sandbox.create(&["E", "--check", &check]).ok();
    let seen = sandbox.read("seen");
    assert!(seen.contains(".E.rvenv.lock 600\n"), "{seen}");
    assert!(seen.contains(".E.rvenv.journal 600\n"), "{seen}");
}

/// virtualenv makes the directory that a dangling link leads to.
#[test]
fn a_link_that_leads_nowhere_is_refused() {
    let Some(sandbox) = sandbox() else { return };
    symlink("nowhere", sandbox.path("E")).unwrap();
    for flags in [&["create", "E"][..], &["create", "E", "--clear", "--force"]] {
        sandbox.refused(flags, 3);
    }
}

/// virtualenv `--clear` deletes whatever is there; uv does with `--force`, which its hint proposes.
#[test]
fn what_is_no_environment_is_not_cleared() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.write("photos/one", "mine");
    sandbox.refused(&["create", "photos", "--clear"], 3);
}

/// uv `--clear .` leaves the shell in a directory that is gone, and says nothing.
#[test]
fn a_shell_in_a_directory_that_is_replaced_is_reported() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.create(&["E"]).ok();
    let inode = || fs::metadata(sandbox.path("E")).unwrap().ino();
    let before = inode();
    let mut command = sandbox.command(&["create", ".", "--clear"]);
    let told = ended(command.current_dir(sandbox.path("E")));
    assert!(told.stderr.contains("cd \"$PWD\""), "{}", told.stderr);
    told.ok();
    assert!(inode() != before);
    sandbox.works("E");
    let told = sandbox.create(&["E", "--clear"]);
    assert!(!told.stderr.contains("cd "), "{}", told.stderr);
}

/// uv's environments share files with its cache: an edit in one of them is in every later one, and
/// no check sees it.
#[test]
fn an_edit_in_one_environment_is_in_no_later_one() {
    let Some(sandbox) = sandbox() else { return };
    let python = sandbox.path_of_python();
    sandbox.scratch.rvenv(&["create", "E", "-p", python]).ok();
    let file = format!("{}/pip/__init__.py", sandbox.site_packages("E"));
    sandbox.write(&file, &(sandbox.read(&file) + "# mine\n"));
    sandbox.scratch.rvenv(&["create", "F", "-p", python]).ok();
    sandbox.works("F");
    let said = sandbox.scratch.rvenv(&["verify", "E"]);
    assert_eq!(said.code, Some(4), "{}", said.stderr);
    assert!(said.stdout.contains("pip"), "{}", said.stdout);
    sandbox.scratch.rvenv(&["repair", "E"]).ok();
    sandbox.works("E");
    sandbox.works("F");
}

/// virtualenv, run again with another minor version, leaves `python3.11` and `pip3.11` of the old
/// one; with uv `python3.11` then starts Python 3.12.
#[test]
fn names_of_another_minor_version_go() {
    let (Some(old), Some(new)) = (sandbox::minor_of(11), sandbox::minor_of(12)) else {
        return;
    };
    let sandbox = sandbox::sandbox_of(old);
    sandbox
        .scratch
        .rvenv(&["create", "E", "-p", sandbox.path_of_python()])
        .ok();
    let new = new.path.to_str().unwrap();
    sandbox.scratch.rvenv(&["upgrade", "E", "-p", new]).ok();
    let stale = fs::read_dir(sandbox.path("E/bin")).unwrap();
    let stale = stale.map(|name| name.unwrap().file_name().to_string_lossy().into_owned());
    let stale: Vec<_> = stale.filter(|name| name.contains("3.11")).collect();
    assert_eq!(stale, [""; 0]);
    let asked = [
        "-c",
        "import sys, pip; print('%d.%d' % sys.version_info[:2])",
    ];
    assert_eq!(
        sandbox
            .scratch
            .run(&sandbox.path("E/bin/python3.12"), &asked)
            .ok()
            .trim(),
        "3.12"
    );
    sandbox.scratch.rvenv(&["rollback", "E"]).ok();
    assert_eq!(
        sandbox
            .scratch
            .run(&sandbox.path("E/bin/python3.11"), &asked)
            .ok()
            .trim(),
        "3.11"
    );
}
