//! Text: names that a terminal would show as something else.

use std::fs;
use std::os::unix::fs::symlink;

use crate::machine::ended;
use crate::sandbox::sandbox;

/// A name that a terminal shows as `E/gnp.exe`, and one of a control character beyond ASCII.
const REORDERED: &str = "E\u{202e}exe.png";
const CONTROL: &str = "x\u{9b}31m,,\n";

/// I6: what reads JSON gets the name, and a terminal gets escapes.
#[test]
fn json_escapes_control_characters_and_those_that_reorder_text() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.create(&[REORDERED]).ok();
    let info = format!("{}/listed-1.dist-info", sandbox.site_packages(REORDERED));
    sandbox.write(&format!("{info}/METADATA"), "Name: listed\nVersion: 1\n");
    sandbox.write(&format!("{info}/RECORD"), CONTROL);
    for words in ["status", "verify", "plan"].map(|verb| [verb, "--json", REORDERED]) {
        let said = match words {
            ["plan", ..] => ended(&mut sandbox.command(&words)).stdout,
            _ => sandbox.scratch.rvenv(&words).stdout,
        };
        assert!(said.contains("\\u202e"), "{words:?}: {said}");
        let is_strange = |c: char| c == '\u{202e}' || (c.is_control() && c != '\n');
        assert!(!said.contains(is_strange), "{words:?}: {said:?}");
        let value: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert!(value.to_string().contains(REORDERED), "{words:?}: {value}");
    }
    let verified = sandbox
        .scratch
        .rvenv(&["verify", "--json", REORDERED])
        .stdout;
    assert!(verified.contains("\\u009b"), "{verified}");
    let planned = ended(&mut sandbox.command(&["plan", "--json", "--clear", REORDERED])).ok();
    fs::write(sandbox.path("plan.json"), planned).unwrap();
    sandbox.scratch.rvenv(&["apply", "plan.json"]).ok();
    sandbox.works(REORDERED);
}

/// The log of a build is often public, and a checkout decides where its links lead.
#[test]
fn no_word_of_a_file_behind_a_link_is_quoted() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.write("private", "machine example.org password hunter2\n");
    symlink("private", sandbox.path(".python-version")).unwrap();
    for words in [
        &["python", "find", "-v"][..],
        &["plan", "-v", "E"],
        &["create", "-v", "E"],
        &["python", "find", "-v", "3"],
    ] {
        let run = sandbox.scratch.rvenv(words);
        for word in ["machine", "example", "hunter2"] {
            assert!(!run.stderr.contains(word), "{words:?}: {}", run.stderr);
            assert!(!run.stdout.contains(word), "{words:?}: {}", run.stdout);
        }
    }
    let said = sandbox.scratch.rvenv(&["python", "find"]).failed(1);
    assert!(said.contains("cannot read line 1 of"), "{said}");
    // What is in the checkout itself is quoted.
    fs::remove_file(sandbox.path(".python-version")).unwrap();
    sandbox.write(".python-version", "machine\n");
    let said = sandbox.scratch.rvenv(&["python", "find"]).failed(1);
    assert!(said.contains("cannot read `machine` in line 1"), "{said}");
}

/// `virtualenv` and others read `pyvenv.cfg` with `splitlines`, and of a key the last line counts.
#[test]
fn no_directory_of_a_checkout_forges_a_line_of_the_configuration() {
    let Some(sandbox) = sandbox() else { return };
    for separator in ['\u{2028}', '\u{2029}', '\u{85}', '\u{b}', '\n'] {
        let env = format!("a{separator}home = b");
        let said = sandbox.create(&[&env]).failed(2);
        assert!(said.contains("could forge a line"), "{said}");
        assert!(!sandbox.path(&env).exists());
    }
}
