//! Messages: nouns agree with their numbers, and the output of a child is quoted unchanged.

use std::fs;

use crate::machine::{Scratch, ended, player, script};

fn played() -> Scratch {
    let scratch = Scratch::cold();
    player(&scratch, "python");
    scratch
}

#[test]
fn one_of_something_is_counted_in_the_singular() {
    let scratch = played();
    scratch
        .rvenv(&["create", "-p", "./python", "--without-pip", "E"])
        .ok();
    let site = scratch.path("E/lib/python3.13/site-packages");
    fs::write(site.join("mine.py"), "").unwrap();
    let dist_info = site.join("demo-1.0.dist-info");
    fs::create_dir(&dist_info).unwrap();
    fs::write(dist_info.join("METADATA"), "Name: demo\nVersion: 1.0\n").unwrap();
    fs::write(dist_info.join("RECORD"), "demo-1.0.dist-info/RECORD,,\n").unwrap();
    let said = scratch.rvenv(&["verify", "E"]).stdout;
    for line in [
        "\ndistributions: 1, which lists 1 file\n",
        "\nforeign: 2 paths that nothing lists\n",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    fs::remove_file(site.join("mine.py")).unwrap();
    fs::remove_file(dist_info.join("METADATA")).unwrap();
    fs::remove_file(dist_info.join("RECORD")).unwrap();
    fs::write(scratch.path("E/notes"), "").unwrap();
    let said = scratch.rvenv(&["verify", "E"]).stdout;
    assert!(
        said.contains("\nforeign: 1 path that nothing lists\n"),
        "{said}"
    );
}

/// The output of a child is quoted unchanged, line by line; only terminal control characters are
/// escaped.
#[test]
fn what_a_child_says_is_quoted_line_by_line() {
    let scratch = Scratch::cold();
    let words = "pyenv: python3: command not found\\n\\nThe \\`python3' command exists in these Python versions:\\n  \
                 3.12.1\\n\\033[2Jbad\\ttab\\n";
    script(
        &scratch.path("python"),
        &format!("printf \"{words}\" >&2; exit 127"),
    );
    let said = scratch.rvenv(&["create", "-p", "./python", "E"]).failed(1);
    let quoted = "did not run: exit code 127; it said:\n  pyenv: python3: command not found\n  The `python3' command \
                  exists in these Python versions:\n    3.12.1\n  \\u{1b}[2Jbad    tab\n";
    assert!(said.contains(quoted), "{said}");
    let played = played();
    let create = ["create", "-p", "./python", "--without-pip"];
    let check = format!("printf \"{words}\"; exit 1");
    let said = played.rvenv(&[&create[..], &["--check", &check, "E"]].concat());
    let quoted = quoted.split_once("it said:").unwrap().1;
    assert!(said.failed(1).contains(quoted));
}

#[test]
fn a_version_that_does_not_exist_fails_in_three_lines() {
    let scratch = Scratch::cold();
    fs::create_dir(scratch.path("bin")).unwrap();
    player(&scratch, "bin/python3");
    script(
        &scratch.path("bin/python2.7"),
        "echo 'this would be Python 2'; exit 1",
    );
    for arguments in [
        ["create", "--python", ">=4", "E"],
        ["plan", "--python", ">=4", "E"],
    ] {
        let mut command = scratch.command(&arguments);
        let said = ended(command.env("PATH", scratch.path("bin"))).failed(1);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), 3, "{said}");
        assert_eq!(
            lines[0],
            "error[no-python]: found no usable interpreter for `Python >=4`"
        );
        assert!(lines[1].starts_with("  installed: "), "{said}");
        assert!(lines[1].contains("cpython 3.1"), "{said}");
        assert!(lines[2].starts_with("hint: install another"), "{said}");
    }
}

#[test]
fn a_name_that_is_too_long_is_reported_with_its_length() {
    let scratch = played();
    let long = "x".repeat(300);
    let plan = ["plan", "-p", "./python", "--without-pip"];
    let create = ["create", "-p", "./python", "--without-pip"];
    let inner = format!("a/{long}/E");
    for arguments in [
        [&create[..], &[&long]].concat(),
        [&create[..], &[&inner]].concat(),
        [&plan[..], &["-o", &long, "E"]].concat(),
        vec!["status", &long],
        vec!["verify", &long],
        vec!["python", "find", &inner],
    ] {
        let said = scratch.rvenv(&arguments).stderr;
        let hint = "\nhint: the name `xxxxxxxxxxxxxxxxxxxx…` has 300 bytes, and this filesystem allows 255; choose a \
                    shorter one\n";
        assert!(said.ends_with(hint), "{arguments:?}: {said}");
    }
    let deep = "d/".repeat(2500);
    let said = scratch.rvenv(&[&create[..], &[&deep]].concat()).failed(1);
    assert!(said.contains("hint: the path has 5"), "{said}");
    assert!(
        said.contains(" bytes, and the system allows 4095; choose a shorter one"),
        "{said}"
    );
}
