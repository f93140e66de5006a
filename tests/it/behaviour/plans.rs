//! What a plan shows to a reader: the paths that change, a count of those that stay, and nothing
//! when asked to be quiet.
//!
//! Plans of `plan` and of every `--dry-run`, in words; the bytes of plans are tested in `cli.rs`.
//! Read next: `cli.rs`.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use crate::behaviour::cli::{played, stable, with_player};
use crate::machine::{Ended, Python, Scratch, any_python};

/// Every command that shows a plan and writes nothing, for an environment that `python` made.
const SHOWING: &[&[&str]] = &[
    &["plan", "--python", "./python", "--without-pip", "E"],
    &[
        "create",
        "--python",
        "./python",
        "--without-pip",
        "--dry-run",
        "E",
    ],
    &[
        "upgrade",
        "-p",
        "./python",
        "--without-pip",
        "--dry-run",
        "E",
    ],
    &["repair", "-p", "./python", "--dry-run", "E"],
];

#[test]
fn a_plan_shows_the_paths_that_change_and_counts_the_others() {
    let scratch = played();
    with_player(&scratch, "create", &["E"]).ok();
    fs::remove_file(scratch.path("E/bin/python3")).unwrap();
    for showing in SHOWING {
        insta::allow_duplicates! {
            insta::assert_snapshot!(stable(&scratch, &scratch.rvenv(showing).ok()), @"
            rvenv will change `[work]/E`

              python
                + bin/python3 -> python

            Publication: entry by entry (each file or package switches whole, one by one; all else stays)
            Digest: [digest]
            Plan: 1 to add, 18 unchanged
            ");
        }
    }
}

#[test]
fn a_verbose_plan_shows_what_stays_too() {
    let scratch = played();
    with_player(&scratch, "create", &["E"]).ok();
    fs::remove_file(scratch.path("E/bin/python3")).unwrap();
    for showing in SHOWING {
        let text = scratch.rvenv(&[*showing, &["-v"]].concat()).ok();
        assert_eq!(text.matches("    = ").count(), 18, "{text}");
        assert_eq!(text.matches("    + ").count(), 1, "{text}");
        assert!(text.contains("\n  scripts\n    = bin/"), "{text}");
    }
}

#[test]
fn a_plan_without_changes_is_one_line() {
    let scratch = played();
    with_player(&scratch, "create", &["E"]).ok();
    for showing in SHOWING {
        let shown = scratch.rvenv(showing);
        assert_eq!(shown.stderr, "", "{showing:?}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(stable(&scratch, &shown.ok()), @"`[work]/E` is up to date: no changes");
        }
        let every = scratch.rvenv(&[*showing, &["-v"]].concat()).ok();
        assert_eq!(every.matches("    = ").count(), 19, "{every}");
        assert!(every.ends_with("\nPlan: 19 unchanged\n"), "{every}");
    }
}

#[test]
fn a_quiet_plan_prints_nothing() {
    let scratch = played();
    with_player(&scratch, "create", &["E"]).ok();
    let silent = |code| Ended {
        code: Some(code),
        stdout: String::new(),
        stderr: String::new(),
    };
    for showing in SHOWING {
        let quiet = [*showing, &["-q"]].concat();
        assert_eq!(scratch.rvenv(&quiet), silent(0), "{showing:?}");
    }
    fs::remove_file(scratch.path("E/bin/python3")).unwrap();
    for showing in SHOWING {
        let quiet = [*showing, &["-q"]].concat();
        assert_eq!(scratch.rvenv(&quiet), silent(0), "{showing:?}");
    }
    let plan = |flags: &[&str]| with_player(&scratch, "plan", &[&["-q", "E"], flags].concat());
    assert_eq!(plan(&["--detailed-exitcode"]), silent(4));
    assert_eq!(plan(&["-o", "p.json"]), silent(0));
    let saved = fs::read_to_string(scratch.path("p.json")).unwrap();
    let printed = plan(&["--json"]);
    assert_eq!(printed.stderr, "");
    assert_eq!(
        printed.ok(),
        saved,
        "what was asked for by name is no story"
    );
}

#[test]
fn a_plan_that_fails_prints_an_error_and_nothing_else() {
    let scratch = played();
    fs::write(scratch.path("file"), "").unwrap();
    fs::create_dir(scratch.path("plain")).unwrap();
    let failing: &[&[&str]] = &[
        &["plan", "-p", "./python", "file"],
        &["plan", "-p", "./python", "--json", "file"],
        &["plan", "-p", "./absent", "-o", "p.json", "E"],
        &["create", "-p", "./python", "--dry-run", "file"],
        &["create", "-p", "./absent", "--dry-run", "E"],
        &["upgrade", "--dry-run", "plain"],
        &["repair", "--dry-run", "plain"],
        &["repair", "--dry-run", "absent"],
    ];
    for typed in failing {
        let ended = scratch.rvenv(typed);
        assert_ne!(ended.code, Some(0), "{typed:?}");
        let is_json = typed.contains(&"--json");
        assert_eq!(ended.stdout.starts_with('{'), is_json, "{typed:?}");
        assert!(is_json || ended.stdout.is_empty(), "{typed:?}");
        assert!(ended.stderr.starts_with("error["), "{typed:?}: {ended:?}");
        assert_eq!(ended.stderr.matches("error[").count(), 1, "{ended:?}");
        assert_eq!(
            scratch.rvenv(&[*typed, &["-q"]].concat()),
            ended,
            "{typed:?}"
        );
    }
    assert!(!scratch.path("p.json").exists());
}

/// `E` with pip, and the directory that pip is in.
fn with_pip(scratch: &Scratch, python: &Python) -> String {
    let path = python.path.to_str().unwrap();
    scratch.rvenv(&["create", "-p", path, "E"]).ok();
    let (major, minor) = python.version;
    format!("lib/python{major}.{minor}/site-packages/pip")
}

fn edit(path: &Path) {
    let mut file = fs::File::options().append(true).open(path).unwrap();
    file.write_all(b"# edited\n").unwrap();
}

/// The lines of paths, without the length of a file.
fn paths(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| line.starts_with("    "));
    lines
        .map(|line| line.trim().split(" (").next().unwrap().to_owned())
        .collect()
}

#[test]
fn a_repair_of_a_large_environment_shows_the_three_paths_that_changed() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::in_memory();
    let pip = with_pip(&scratch, &python);
    edit(&scratch.path("E/pyvenv.cfg"));
    edit(&scratch.path("E").join(&pip).join("__init__.py"));
    fs::remove_file(scratch.path("E").join(&pip).join("__main__.py")).unwrap();
    let text = scratch.rvenv(&["repair", "--dry-run", "E"]).ok();
    let expected = [
        "~ pyvenv.cfg".to_owned(),
        format!("~ {pip}/__init__.py"),
        format!("+ {pip}/__main__.py"),
    ];
    assert_eq!(paths(&text), expected, "{text}");
    assert_eq!(text.lines().count(), 11, "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("Plan: 1 to add, 2 to change, "), "{text}");
    assert!(last.ends_with(" unchanged"), "{text}");
}

#[test]
fn a_lost_directory_is_one_line_with_the_number_of_its_files() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::in_memory();
    let pip = with_pip(&scratch, &python);
    let commands = scratch.path("E").join(&pip).join("_internal/commands");
    let files = fs::read_dir(&commands).unwrap().count();
    assert!(files > 10, "enough to be folded");
    fs::remove_dir_all(&commands).unwrap();
    let text = scratch.rvenv(&["repair", "--dry-run", "E"]).ok();
    let expected = format!("+ {pip}/_internal/commands/: {files} files");
    assert_eq!(paths(&text), [expected], "{text}");
    let every = scratch.rvenv(&["repair", "--dry-run", "-v", "E"]).ok();
    let added = every.lines().filter(|line| line.starts_with("    + "));
    assert_eq!(added.count(), files + 1, "{every}");
}

/// The command that a message offers, from its name to the end of the quotation.
fn offered(message: &str, verb: &str) -> String {
    let from = message.find(&format!("`rvenv {verb} ")).expect(message) + 1;
    message[from..].split('`').next().unwrap().to_owned()
}

/// Runs a command as a shell reads it from the message.
fn pasted(scratch: &Scratch, command: &str) -> Ended {
    let rvenv = env!("CARGO_BIN_EXE_rvenv");
    let line = command.replacen("rvenv", &format!("'{rvenv}'"), 1);
    scratch.run(Path::new("/bin/sh"), &["-c", &line])
}

#[test]
fn commands_in_messages_can_be_pasted_into_a_shell() {
    for env in ["my env's", "$HOME;x", "-dash"] {
        let scratch = played();
        let (plan, python) = ("a plan.json", "./python");
        let run = |verb: &str, rest: &[&str]| {
            let words = [
                &[verb, "--python", python, "--without-pip"],
                rest,
                &["--", env],
            ]
            .concat();
            scratch.rvenv(&words)
        };
        let saved = run("plan", &["-o", plan]);
        let made = pasted(&scratch, &offered(&saved.stderr, "apply"));
        assert!(!made.stderr.contains("source -"), "{made:?}");
        made.ok();
        assert!(scratch.path(env).join("pyvenv.cfg").is_file(), "{env}");
        let kept = run("create", &["--keep", "--prompt", "other"]);
        assert!(!kept.stderr.contains("source -"), "{kept:?}");
        let back = pasted(&scratch, &offered(&kept.stderr, "rollback"));
        let forward = pasted(&scratch, &offered(&back.stderr, "rollback"));
        forward.ok();
        let config = fs::read_to_string(scratch.path(env).join("pyvenv.cfg")).unwrap();
        assert!(config.contains("other"), "{env}: {config}");
    }
}
