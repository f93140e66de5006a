//! Cached answers of interpreters, and what makes one outdated.
//!
//! Read next: `interpreter.rs`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::interpreter::{Lab, WHEEL, interpreters, make_venv};
use rvenv::cache::Cache;
use rvenv::python::Bundled;

#[test]
fn a_remembered_answer_is_the_same_answer_without_a_process() {
    let lab = Lab::new();
    for python in interpreters() {
        let asked = lab.ask(&python).unwrap();
        assert_eq!(lab.starts(), 1, "{}", python.display());
        assert_eq!(lab.ask(&python).unwrap(), asked);
        assert_eq!(lab.starts(), 0, "{}", python.display());
        // An activated environment is what most people have first on PATH.
        let env = lab.path("env");
        make_venv(&python, &env, &["--clear"]);
        let asked = lab.ask(env.join("bin/python")).unwrap();
        assert_eq!(lab.starts(), 2, "{}", python.display());
        assert_eq!(lab.ask(env.join("bin/python")).unwrap(), asked);
        assert_eq!(lab.starts(), 0, "{}", python.display());
    }
}

#[test]
fn a_shim_is_asked_every_time() {
    let lab = Lab::new();
    let python = lab.fake("real/python", "3.9.1");
    let shim = lab.script("bin/python3", &format!("exec {} \"$@\"", python.display()));
    for _ in 0..2 {
        assert_eq!(lab.ask(&shim).unwrap().executable, python);
        assert_eq!(lab.starts(), 1);
    }
    assert_eq!(lab.cached(), Vec::<PathBuf>::new());
}

#[test]
fn a_change_to_anything_that_the_answer_rests_on_asks_again() {
    let lab = Lab::new();
    let pip = lab.path(WHEEL);
    let python = lab.fake("python", "3.9.1");
    let ask = |what: &str, version: &str| {
        assert_eq!(lab.ask(&python).unwrap().version.text, version, "{what}");
        assert_eq!(lab.starts(), 1, "{what}");
        lab.ask(&python).unwrap();
        assert_eq!(lab.starts(), 0, "{what}");
    };
    ask("first", "3.9.1");
    let touch = |path: &Path| {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
    };
    touch(&python);
    ask("touched", "3.9.1");
    fs::remove_file(&python).unwrap();
    lab.fake("python", "3.9.2");
    touch(&python);
    ask("replaced by one of the same length and time", "3.9.2");
    touch(&pip);
    ask("wheel touched", "3.9.2");
    lab.write(WHEEL, "one and two");
    ask("wheel changed", "3.9.2");
    lab.write("wheels/pip-2.0-py3-none-any.whl", "");
    ask("wheel added", "3.9.2");
    lab.fake("base/python", "3.9.3");
    lab.write("pyvenv.cfg", "version = 3\n");
    ask("became part of something", "3.9.2");
}

#[test]
fn a_link_that_leads_elsewhere_is_asked_again() {
    let lab = Lab::new();
    let real = interpreters();
    let [first, second, ..] = real.as_slice() else {
        println!("skipped: this takes two interpreters");
        return;
    };
    let link = lab.path("python");
    symlink(first, &link).unwrap();
    let before = lab.ask(&link).unwrap();
    fs::remove_file(&link).unwrap();
    symlink(second, &link).unwrap();
    let after = lab.ask(&link).unwrap();
    assert_eq!(lab.starts(), 2);
    assert_ne!(before.version, after.version);
}

#[test]
fn a_link_that_leads_to_the_same_file_under_another_name_is_asked_again() {
    let lab = Lab::new();
    let first = lab.fake("first/python", "3.9.1");
    fs::hard_link(&first, lab.path("second")).unwrap();
    symlink(&first, lab.path("python")).unwrap();
    let python = lab.path("python");
    let ask = || lab.ask(&python).map(|_| lab.starts()).unwrap();
    assert_eq!((ask(), ask()), (1, 0));
    fs::remove_file(&python).unwrap();
    symlink(lab.path("second"), &python).unwrap();
    assert_eq!(ask(), 1);
}

#[test]
fn another_locale_asks_again() {
    let mut lab = Lab::new();
    let python = lab.fake("python", "3.9.1");
    lab.ask(&python).unwrap();
    lab.around
        .environment
        .push(("LC_ALL".into(), "de_DE.ISO-8859-1".into()));
    lab.ask(&python).unwrap();
    assert_eq!(lab.starts(), 2);
}

#[test]
fn a_cache_that_is_damaged_foreign_or_unwritable_is_as_good_as_none() {
    let mut lab = Lab::new();
    let python = lab.fake("python", "3.9.1");
    lab.ask(&python).unwrap();
    let entry = lab.cached().pop().unwrap();
    let good = fs::read_to_string(&entry).unwrap();
    assert_eq!(lab.starts(), 1);
    let half = &good[..good.len() / 2];
    let renamed = good.replace("/python\"", "/pythom\"");
    let future = good.replacen("\"format\":4", "\"format\":5", 1);
    let digest = good.replace("\"executable_digest\":\"", "\"executable_digest\":\"z");
    let outside = good.replace("lib/site", "../site");
    let tag = good.replace("\"t-39\"", "\"t/39\"");
    for bad in [
        "", "[]", "\0\0", half, &renamed, &future, &digest, &outside, &tag,
    ] {
        assert_ne!(bad, good);
        fs::write(&entry, bad).unwrap();
        assert_eq!(lab.ask(&python).unwrap().version.text, "3.9.1");
        assert_eq!(lab.starts(), 1, "{bad}");
    }
    assert_eq!(fs::read_to_string(&entry).unwrap(), good);
    // A file exists where the directory should be.
    lab.around.cache_dir = Some(Cache::at(lab.write("file", "")));
    assert_eq!(lab.ask(&python).unwrap().version.text, "3.9.1");
    lab.around.cache_dir = None;
    assert_eq!(lab.ask(&python).unwrap().version.text, "3.9.1");
}

#[test]
fn missing_wheels_are_a_fact_with_a_reason_and_their_arrival_is_noticed() {
    let lab = Lab::new();
    fs::remove_file(lab.path(WHEEL)).unwrap();
    let without = lab.answer("python", "3.9.1");
    let with = format!("{{\"wheels\":[{:?}]}}", lab.path(WHEEL));
    assert!(without.contains(&with), "{without}");
    let missing = r#"{"missing":{"reason":"No module named ensurepip"}}"#;
    let without = without.replace(&with, missing);
    let python = lab.script("python", &format!("echo '{without}'"));
    let found = lab.ask(&python).unwrap();
    assert!(found.bundled.wheels().is_empty());
    assert!(
        matches!(found.bundled, Bundled::Missing { reason } if reason == "No module named ensurepip")
    );
    lab.ask(&python).unwrap();
    assert_eq!(lab.starts(), 1);
    lab.write(WHEEL, "");
    lab.ask(&python).unwrap();
    assert_eq!(lab.starts(), 1);
}

#[test]
fn a_relative_path_starts_at_the_working_directory() {
    let lab = Lab::new();
    let python = lab.fake("bin/python3.9", "3.9.1");
    for text in ["bin/python3.9", "./bin//python3.9", "bin/./python3.9"] {
        assert_eq!(lab.ask(text).unwrap().executable, python, "{text}");
        assert!(
            lab.started.borrow().iter().all(|path| *path == python),
            "{text}"
        );
    }
}
