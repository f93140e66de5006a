//! `rvenv verify` of environments whose files are as they were, and which do not work any more:
//! they were moved or copied, their base is gone, or their packages belong to another Python.
//!
//! Read next: `verify_installers.rs`, what other installers change.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::machine::{Scratch, any_python, player, script, tool, tree};
use crate::warm;

/// Runs `rvenv verify --json`, which writes nothing, and whose exit code must fit its state.
#[track_caller]
fn verified(scratch: &Scratch, env: &str) -> Value {
    let before = tree(&scratch.path(env));
    let ended = scratch.rvenv(&["verify", "--json", env]);
    assert!(before == tree(&scratch.path(env)), "it wrote");
    let said: Value = serde_json::from_str(&ended.stdout).unwrap();
    let is_clean = ["clean", "changed by another installer"].contains(&state(&said));
    assert_eq!(said["clean"], is_clean, "{said}");
    assert_eq!(ended.code, Some(if is_clean { 0 } else { 4 }), "{said}");
    said
}

fn state(said: &Value) -> &str {
    said["state"].as_str().unwrap()
}

/// An environment `E` for a script that plays a Python 3.13, and the script.
fn played() -> (Scratch, PathBuf) {
    let scratch = Scratch::new();
    let python = player(&scratch, "python");
    create(&scratch, &["E", "--python", "./python", "--without-pip"]);
    (scratch, python)
}

fn create(scratch: &Scratch, words: &[&str]) {
    scratch.rvenv(&[&["create"], words].concat()).ok();
}

/// What differs in the frame, as `PATH DETAIL`.
fn drift(said: &Value) -> Vec<String> {
    let all = said["frame"]["drift"].as_array().unwrap().iter();
    let text = |of: &Value| of.as_str().unwrap().to_owned();
    all.map(|of| [&of["path"], &of["detail"]].map(text).join(" "))
        .collect()
}

/// `E` was moved to `F`, or copied there, with so many scripts that start the interpreter of `E`.
#[track_caller]
fn is_moved(scratch: &Scratch, scripts: &[&str]) {
    let said = verified(scratch, "F");
    assert_eq!(state(&said), "moved", "{said}");
    let frame = &said["frame"];
    assert_eq!(frame["moved_from"], scratch.path("E").to_str().unwrap());
    let named: Vec<_> = frame["moved_scripts"].as_array().unwrap().iter().collect();
    assert_eq!(named, scripts, "{said}");
}

#[test]
fn an_environment_that_was_moved_or_copied_is_named_as_that() {
    let Some(python) = any_python() else { return };
    let path = python.path.to_str().unwrap();
    let pips = [
        "pip".to_owned(),
        "pip3".to_owned(),
        format!("pip3.{}", python.version.1),
    ];
    let pips = pips.each_ref().map(String::as_str);
    let of_rvenv = |scratch: &Scratch| create(scratch, &["E", "-p", path]);
    let by_venv = |scratch: &Scratch| warm::venv(scratch, &python, "E");
    let makers: [&dyn Fn(&Scratch); 2] = [&of_rvenv, &by_venv];
    for make in makers {
        let scratch = Scratch::new();
        make(&scratch);
        let (one, other) = (scratch.path("E"), scratch.path("F"));
        let copied = Command::new("cp").arg("-a").arg(&one).arg(&other).status();
        assert!(copied.unwrap().success());
        is_moved(&scratch, &pips);
        assert_eq!(state(&verified(&scratch, "E")), "clean");
        fs::remove_dir_all(&other).unwrap();
        fs::rename(&one, &other).unwrap();
        is_moved(&scratch, &pips);
        let ended = scratch.rvenv(&["verify", "F"]);
        let line = format!(
            "\nplace: made for `{}`; 3 scripts start the interpreter there\n",
            one.display()
        );
        assert!(ended.stdout.contains(&line), "{}", ended.stdout);
        assert!(
            ended.stdout.ends_with("\nstate: moved\n"),
            "{}",
            ended.stdout
        );
        assert!(
            ended
                .stderr
                .starts_with("Make it work here with `rvenv repair F`"),
            "{}",
            ended.stderr
        );
        fs::rename(&other, &one).unwrap();
        assert_eq!(state(&verified(&scratch, "E")), "clean");
    }
}

#[test]
fn a_moved_environment_of_uv_is_named_as_that() {
    let (Some(python), Some(uv)) = (any_python(), tool("uv")) else {
        return;
    };
    let scratch = Scratch::new();
    let words = [
        "venv",
        "-q",
        "--offline",
        "-p",
        python.path.to_str().unwrap(),
        "E",
    ];
    scratch.run(&uv, &words).ok();
    fs::rename(scratch.path("E"), scratch.path("F")).unwrap();
    is_moved(&scratch, &[]);
}

/// An activation script that was written anew does not make the scripts of pip start.
#[test]
fn scripts_that_start_the_interpreter_of_another_place_are_enough() {
    let (scratch, _) = played();
    let gone = scratch.path("gone/bin/python");
    let names = ["plain", "long"];
    let exec = format!(
        "#!/bin/sh\n'''exec' \"{}\" \"$0\" \"$@\"\n' '''\n",
        gone.display()
    );
    let texts = [format!("#!{}\nimport sys\n", gone.display()), exec];
    for (name, text) in names.iter().zip(texts) {
        fs::write(scratch.path("E/bin").join(name), text).unwrap();
        let said = verified(&scratch, "E");
        assert_eq!(state(&said), "moved", "{said}");
        assert_eq!(
            said["frame"]["moved_from"],
            scratch.path("gone").to_str().unwrap()
        );
        assert_eq!(said["frame"]["moved_scripts"], serde_json::json!([name]));
        fs::remove_file(scratch.path("E/bin").join(name)).unwrap();
    }
    assert_eq!(state(&verified(&scratch, "E")), "clean");
}

#[test]
fn another_name_of_the_same_place_is_no_other_place() {
    let scratch = Scratch::new();
    player(&scratch, "python");
    fs::create_dir(scratch.path("real")).unwrap();
    symlink("real", scratch.path("link")).unwrap();
    create(
        &scratch,
        &["link/E", "--python", "./python", "--without-pip"],
    );
    for env in ["link/E", "real/E"] {
        assert_eq!(state(&verified(&scratch, env)), "clean", "{env}");
    }
}

/// A path with more bytes than the kernel takes after `#!`, and one with a space.
#[test]
fn scripts_in_the_form_for_long_paths_are_read() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::new();
    for (from, to) in [
        ("l".repeat(150), "m".repeat(150)),
        ("a b".into(), "c d".into()),
    ] {
        let (one, other) = (format!("{from}/E"), format!("{to}/E"));
        fs::create_dir(scratch.path(&from)).unwrap();
        create(&scratch, &[&one, "-p", python.path.to_str().unwrap()]);
        let text = fs::read_to_string(scratch.path(&one).join("bin/pip")).unwrap();
        assert!(text.starts_with("#!/bin/sh\n"), "{text}");
        assert_eq!(state(&verified(&scratch, &one)), "clean");
        fs::rename(scratch.path(&from), scratch.path(&to)).unwrap();
        let said = verified(&scratch, &other);
        assert_eq!(state(&said), "moved", "{said}");
        assert_eq!(said["frame"]["moved_scripts"].as_array().unwrap().len(), 3);
    }
}

#[test]
fn a_script_whose_interpreter_does_not_exist_is_found_without_starting_it() {
    let (scratch, _) = played();
    let stale = scratch.path("E/bin/python3.12");
    let path = scratch.path("E/bin/tool");
    for (shebang, expected) in [
        (stale.to_str().unwrap(), Some(stale.display().to_string())),
        (
            "/usr/bin/python3.99",
            Some("/usr/bin/python3.99".to_owned()),
        ),
        ("/usr/bin/env python3.99", None),
        ("/absent/perl", None),
        ("/bin/sh", None),
    ] {
        script(&path, "");
        fs::write(&path, format!("#!{shebang}\ntouch started\n")).unwrap();
        let said = verified(&scratch, "E");
        let expected =
            expected.map(|python| format!("bin/tool starts `{python}`, which does not exist"));
        assert_eq!(drift(&said), Vec::from_iter(expected.clone()), "{shebang}");
        let wanted = if expected.is_some() {
            "damaged"
        } else {
            "clean"
        };
        assert_eq!(state(&said), wanted, "{shebang}");
    }
    assert!(!scratch.path("started").exists());
}

#[test]
fn an_environment_whose_base_was_removed_is_named_as_that() {
    let (scratch, python) = played();
    let away = scratch.path("away");
    fs::rename(&python, &away).unwrap();
    let said = verified(&scratch, "E");
    assert_eq!(state(&said), "base lost", "{said}");
    let why = format!("`{}` does not exist", python.display());
    assert_eq!(said["frame"]["base_lost"], why);
    let ended = scratch.rvenv(&["verify", "E"]);
    assert!(
        ended.stdout.contains(&format!("\nbase: lost, {why}\n")),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.ends_with("\nstate: base lost\n"),
        "{}",
        ended.stdout
    );
    assert!(ended.stderr.contains("rvenv repair E"), "{}", ended.stderr);
    // A file that cannot be executed is no interpreter.
    fs::write(&python, "").unwrap();
    assert_eq!(state(&verified(&scratch, "E")), "base lost");
    fs::remove_file(&python).unwrap();
    fs::rename(&away, &python).unwrap();
    assert_eq!(state(&verified(&scratch, "E")), "clean");
}

/// A copied interpreter exists without its base, and does not find its library.
#[test]
fn a_copied_interpreter_needs_its_home_too() {
    let scratch = Scratch::new();
    let python = player(&scratch, "python");
    create(
        &scratch,
        &["E", "-p", "./python", "--without-pip", "--copies"],
    );
    assert_eq!(state(&verified(&scratch, "E")), "clean");
    fs::remove_file(python).unwrap();
    let said = verified(&scratch, "E");
    assert_eq!(state(&said), "base lost", "{said}");
    let why = format!("`{}` has no Python", scratch.path("").display());
    assert_eq!(
        said["frame"]["base_lost"]
            .as_str()
            .unwrap()
            .replace("/`", "`"),
        why.replace("/`", "`")
    );
}

#[test]
fn an_interpreter_that_pyvenv_cfg_does_not_name_is_reported() {
    let (scratch, _) = played();
    fs::create_dir(scratch.path("other")).unwrap();
    player(&scratch, "other/python");
    let config = scratch.path("E/pyvenv.cfg");
    let text = fs::read_to_string(&config).unwrap();
    let lines = text.lines().map(|line| match line.split_once(" = ") {
        Some(("home", home)) => format!("home = {home}/other"),
        // Without a receipt, nothing else tells.
        _ => line.to_owned(),
    });
    let lines =
        lines.filter(|line| !line.starts_with("executable") && !line.starts_with("command"));
    fs::write(&config, lines.collect::<Vec<_>>().join("\n")).unwrap();
    fs::remove_dir_all(scratch.path("E/.rvenv")).unwrap();
    let said = verified(&scratch, "E");
    assert_eq!(state(&said), "damaged", "{said}");
    let found = drift(&said);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("bin/python leads to "), "{found:?}");
    assert!(found[0].contains("which is not the Python in"), "{found:?}");
}

#[test]
fn packages_in_the_directory_of_another_python_are_lost() {
    let (scratch, _) = played();
    let lay = |minor: u32, name: &str| {
        let info = format!("E/lib/python3.{minor}/site-packages/{name}-1.0.dist-info");
        fs::create_dir_all(scratch.path(&info)).unwrap();
        fs::write(
            scratch.path(&info).join("RECORD"),
            format!("{name}-1.0.dist-info/RECORD,,\n"),
        )
        .unwrap();
    };
    lay(12, "one");
    lay(12, "two");
    let lost = |said: &Value| -> Vec<String> {
        let all = said["frame"]["lost"].as_array().unwrap().iter();
        all.map(|of| of["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let said = verified(&scratch, "E");
    assert_eq!(state(&said), "lost packages", "{said}");
    assert_eq!(lost(&said), ["one", "two"]);
    let text = scratch.rvenv(&["verify", "E"]).stdout;
    let line = "\n  lost, in the directory of another Python: one 1.0, two 1.0\n";
    assert!(text.contains(line), "{text}");
    // What is installed for this Python too is no loss.
    lay(13, "one");
    assert_eq!(lost(&verified(&scratch, "E")), ["two"]);
    lay(13, "two");
    assert_eq!(
        state(&verified(&scratch, "E")),
        "changed by another installer"
    );
}

/// I6: what only the target names is never started, whatever it is by now.
#[test]
fn verifying_starts_no_program() {
    let (scratch, python) = played();
    let marker = scratch.path("started");
    let body = format!("touch '{}'", marker.display());
    script(&python, &body);
    script(&scratch.path("E/bin/tool"), &body);
    for env in ["E", "F"] {
        verified(&scratch, env);
        fs::rename(scratch.path("E"), scratch.path("F")).ok();
    }
    assert!(!marker.exists());
    assert!(Path::new(&python).metadata().unwrap().permissions().mode() & 0o111 != 0);
}
