//! Health checks of commands: the environment's own interpreter comes first, and a check runs no
//! other.
//!
//! Mounts need root; without it the test prints a message and passes.

use std::fs;
use std::process::Command;

use crate::machine::{Ended, ended, player, script};
use crate::mounts::is_among_mounts;
use crate::sandbox::{Sandbox, sandbox};
use crate::trees::{Sameness, compare, look};

/// A directory with a `python` and a `python3` that succeed and tell the test that they ran.
fn decoys(sandbox: &Sandbox) {
    fs::create_dir(sandbox.path("decoys")).unwrap();
    let ran = sandbox.path("ran");
    for name in ["python", "python3"] {
        let body = format!("touch {}", ran.display());
        script(&sandbox.path("decoys").join(name), &body);
    }
}

/// The command with the decoys on PATH.
fn with_decoys(sandbox: &Sandbox, words: &[&str]) -> Ended {
    let mut command = sandbox.scratch.command(words);
    let path = format!("{}:/usr/bin:/bin", sandbox.path("decoys").display());
    ended(command.env("PATH", path))
}

/// On a filesystem mounted `noexec`, each command with a check fails, and the check never runs.
#[test]
fn a_check_of_an_environment_that_cannot_start_runs_no_other_python() {
    let name = "a_check_of_an_environment_that_cannot_start_runs_no_other_python";
    if !is_among_mounts(module_path!(), name) {
        return;
    }
    let Some(sandbox) = sandbox() else { return };
    decoys(&sandbox);
    let python = sandbox.path_of_python();
    fs::create_dir(sandbox.path("M")).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "noexec", "tmpfs"])
        .arg(sandbox.path("M"))
        .status()
        .unwrap();
    assert!(mounted.success());
    let ok = |words: &[&str]| with_decoys(&sandbox, words).ok();
    let copies = ["-p", python, "--without-pip", "--copies"];
    ok(&[&["create"], &copies[..], &["M/E"]].concat());
    ok(&[
        &["create", "--keep", "--prompt", "b"],
        &copies[..],
        &["M/E"],
    ]
    .concat());
    ok(&[
        &["plan", "--prompt", "c", "-o", "plan"],
        &copies[..],
        &["M/E"],
    ]
    .concat());
    let before = look(&sandbox.path("M/E"));
    let actions: [&[&str]; 6] = [
        &[&["create"], &copies[..], &["M/F"]].concat(),
        &[&["create", "--prompt", "d"], &copies[..], &["M/E"]].concat(),
        &[&["create", "--clear"], &copies[..], &["M/E"]].concat(),
        &[&["upgrade", "--prompt", "d"], &copies[..], &["M/E"]].concat(),
        &["apply", "plan"],
        &["rollback", "M/E"],
    ];
    for words in actions {
        fails_in_the_built_in_check(&sandbox, words);
        let now = look(&sandbox.path("M/E"));
        let truth = compare(&before, &now, Sameness::Restored);
        assert_eq!(truth, Ok(()), "{words:?}");
        assert!(!sandbox.path("M/F").exists(), "{words:?}");
    }
    fs::remove_file(sandbox.path("M/E/bin/activate")).unwrap();
    fails_in_the_built_in_check(&sandbox, &["repair", "M/E"]);
    assert!(!sandbox.path("M/E/bin/activate").exists());
}

fn fails_in_the_built_in_check(sandbox: &Sandbox, words: &[&str]) {
    let check = ["--check", "python -c pass && python3 -c pass"];
    let said = with_decoys(sandbox, &[words, &check[..]].concat()).failed(1);
    let fact = "cannot start the built-in health check";
    assert!(said.contains(fact), "{words:?}: {said}");
    assert!(said.contains("noexec"), "{words:?}: {said}");
    assert!(!sandbox.path("ran").exists(), "{words:?}: {said}");
}

/// The environment's own interpreter starts and identifies itself before any requested check; I6:
/// only when a check is requested.
#[test]
fn the_built_in_check_runs_before_the_others_and_only_where_one_is_asked_for() {
    let Some(sandbox) = sandbox() else { return };
    // An interpreter that answers the probe, and fails in an environment. It is on PATH: a rollback
    // and a saved plan start no program that only they name.
    let bin = sandbox.path("bin");
    fs::create_dir(&bin).unwrap();
    let python = player(&sandbox.scratch, "bin/python3");
    let answers = fs::read_to_string(&python).unwrap();
    let fails = "[ \"$1\" != -I ] || exit 3";
    let answers = answers.replacen('\n', &format!("\n{fails}\n"), 1);
    fs::write(&python, answers).unwrap();
    let python = python.to_str().unwrap();
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let run = |words: &[&str]| ended(sandbox.scratch.command(words).env("PATH", &path));
    let made = ["-p", python, "--without-pip"];
    run(&[&["create"], &made[..], &["E"]].concat()).ok();
    run(&[&["create", "--keep", "--prompt", "b"], &made[..], &["E"]].concat()).ok();
    run(&[&["plan", "-o", "plan"], &made[..], &["F"]].concat()).ok();
    let actions: [&[&str]; 3] = [
        &[&["create"], &made[..], &["G"]].concat(),
        &["apply", "plan"],
        &["rollback", "E"],
    ];
    for words in actions {
        let checked = [words, &["--check", "touch ran"][..]].concat();
        let said = run(&checked).failed(1);
        assert!(
            said.contains("the built-in health check failed"),
            "{words:?}: {said}"
        );
        assert!(!sandbox.path("ran").exists(), "{words:?}");
        run(words).ok();
    }
}

/// A configuration keeps the version of the base that it was written for; updates of the base stay
/// in the minor version.
#[test]
fn a_generation_comes_back_under_an_updated_base_and_not_with_another_python() {
    let Some(sandbox) = sandbox() else { return };
    let own = sandbox.python.version.1;
    for (version, fits) in [(format!("3.{own}.99"), true), ("3.1.2".to_owned(), false)] {
        let env = format!("E{own}{fits}");
        sandbox.create(&[&env]).ok();
        let config = sandbox.read(&format!("{env}/pyvenv.cfg"));
        let lines = config.lines().map(|line| match line.split_once(" = ") {
            Some(("version", _)) => format!("version = {version}\n"),
            _ => format!("{line}\n"),
        });
        sandbox.write(&format!("{env}/pyvenv.cfg"), &lines.collect::<String>());
        sandbox.create(&["--keep", "--prompt", "b", &env]).ok();
        let ended = sandbox
            .scratch
            .rvenv(&["rollback", "--check", "true", &env]);
        if fits {
            ended.ok();
        } else {
            let said = ended.failed(1);
            assert!(said.contains(&format!("is Python 3.{own}.")), "{said}");
            assert!(said.contains(", not 3.1\n"), "{said}");
        }
    }
}

#[test]
fn a_check_of_a_good_environment_runs_its_python_under_each_name() {
    let Some(sandbox) = sandbox() else { return };
    decoys(&sandbox);
    let python = sandbox.path_of_python();
    let minor = sandbox.python.version.1;
    let code = "import sys; assert sys.prefix == sys.argv[1], sys.prefix";
    let names = ["python", "python3", &format!("python3.{minor}")];
    let one = |name: &&str| format!("{name} -c '{code}' \"$VIRTUAL_ENV\"");
    let check = names.iter().map(one).collect::<Vec<_>>().join(" && ");
    for way in ["--copies", "--symlinks"] {
        let env = way.trim_start_matches('-');
        let words = ["create", "-p", python, way, "--check", &check, env];
        with_decoys(&sandbox, &words).ok();
    }
    assert!(!sandbox.path("ran").exists());
}
