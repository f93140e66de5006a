//! Bad input: each command refuses it with its exit code and a message that says what to do, and
//! touches nothing.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use crate::machine::{Scratch, any_python, ended, player, script, stand_in};
use crate::refused::refused_by;

#[track_caller]
fn refused<S: AsRef<OsStr>>(scratch: &Scratch, arguments: &[S], code: i32) -> String {
    refused_by(scratch, &mut scratch.command(arguments), code)
}

/// `rvenv create --python ./python --without-pip REST` fails.
#[track_caller]
fn create_refused<S: AsRef<OsStr>>(scratch: &Scratch, rest: &[S], code: i32) -> String {
    let start = ["create", "-p", "./python", "--without-pip"].map(OsString::from);
    let rest = rest.iter().map(|argument| argument.as_ref().to_owned());
    refused(
        scratch,
        &start.into_iter().chain(rest).collect::<Vec<_>>(),
        code,
    )
}

fn played() -> Scratch {
    let scratch = Scratch::cold();
    player(&scratch, "python");
    scratch
}

#[test]
fn a_target_that_is_no_directory_is_refused() {
    let scratch = played();
    fs::write(scratch.path("file"), "mine").unwrap();
    symlink("nowhere", scratch.path("dangling")).unwrap();
    symlink("loop", scratch.path("loop")).unwrap();
    let said = ["file", "file/E", "dangling", "loop", "/"]
        .map(|path| create_refused(&scratch, &[path], 3));
    insta::assert_snapshot!(said.join("\n"), @r#"
    error[bad-target]: `[work]/file` is not a directory
      the target is as it was before
    hint: name another directory, or move away what is in the way

    error[bad-target]: `[work]/file` is not a directory
      the target is as it was before
    hint: name another directory, or move away what is in the way

    error[bad-target]: `[work]/dangling` is a symbolic link to `[work]/nowhere`, which does not exist
      the target is as it was before
    hint: name another directory, or move away what is in the way

    error[bad-target]: `[work]/loop` is a symbolic link to `[work]/loop`, which is a symbolic link too; only one is followed
      the target is as it was before
    hint: name another directory, or move away what is in the way

    error[bad-target]: `/` does not end with the name of a directory
      the target is as it was before
    hint: name another directory, or move away what is in the way
    "#);
    let said = create_refused(&scratch, &["file", "--clear", "--force"], 3);
    assert!(
        said.starts_with("error[bad-target]: `[work]/file` is not a directory\n"),
        "{said}"
    );
}

#[test]
fn a_path_or_prompt_that_would_break_the_environment_is_refused() {
    let scratch = played();
    let not_utf8 = OsStr::from_bytes(b"a\xffb");
    let said = [
        create_refused(&scratch, &["a:b"], 2),
        create_refused(&scratch, &["a\nb"], 2),
        create_refused(&scratch, &["E", "--prompt", "a\nhome = /"], 2),
        create_refused(&scratch, &["E", "--prompt", "\u{1b}[31m"], 2),
        create_refused(&scratch, &[not_utf8], 2),
    ];
    insta::assert_snapshot!(said.join("\n"), @r#"
    error[bad-text]: the path `[work]/a:b` has a `:`, which separates the directories of PATH
      the target is as it was before
    hint: choose a path without that character

    error[bad-text]: the path `[work]/a\nb` has a control character, which could forge a line of pyvenv.cfg
      the target is as it was before
    hint: choose a path without that character

    error[bad-text]: the prompt `a\nhome = /` has a control character, which could forge a line of pyvenv.cfg
      the target is as it was before
    hint: choose a text without that character

    error[bad-text]: the prompt `\u{1b}[31m` has a control character, which could forge a line of pyvenv.cfg
      the target is as it was before
    hint: choose a text without that character

    error[bad-text]: the path `a\xffb` is not UTF-8, and an environment's scripts and pyvenv.cfg must be
      the target is as it was before
    hint: choose a path in UTF-8
    "#);
}

#[test]
fn what_is_typed_wrong_is_a_usage_error() {
    let scratch = played();
    for wrong in [&[] as &[&str], &["bogus"], &["create", "--bogus", "E"]] {
        let said = refused(&scratch, wrong, 2);
        assert!(said.contains("Usage: rvenv"), "{said}");
    }
    for (one, other) in [("--symlinks", "--copies"), ("-q", "-v")] {
        let said = create_refused(&scratch, &["E", one, other], 2);
        assert!(said.contains("cannot be used with"), "{said}");
    }
    assert!(create_refused(&scratch, &["E", "--force"], 2).contains("--clear"));
}

/// Hides the places, which depend on the machine.
fn without_places(said: &str) -> String {
    let lines = said.lines().map(|line| {
        if line.starts_with("  installed: ") || line == "  no interpreter is installed" {
            "  [what there is]\n".to_owned()
        } else {
            format!("{line}\n")
        }
    });
    lines.collect()
}

#[test]
fn a_python_that_cannot_be_had_is_named() {
    let scratch = Scratch::cold();
    script(&scratch.path("crash"), "echo broken library >&2; exit 127");
    script(&scratch.path("mute"), "exit 0");
    script(&scratch.path("liar"), "echo 'rvenv-probe-3:{}'");
    let create = |python: &str| refused(&scratch, &["create", "-p", python, "E"], 1);
    let said = ["./crash", "./mute", "./liar", "./absent", "nosuch"].map(create);
    let said = without_places(&said.join("\n"));
    insta::assert_snapshot!(said, @r#"
    error[broken-python]: `[work]/crash` did not run: exit code 127; it said:
      broken library
      the target is as it was before
    hint: name an interpreter with `--python PATH`

    error[broken-python]: `[work]/mute` is not a usable Python interpreter: it printed no answer to the probe
      the target is as it was before
    hint: name an interpreter with `--python PATH`

    error[broken-python]: `[work]/liar` is not a usable Python interpreter: its answer to the probe is malformed: missing field `version` at line 1 column 2
      the target is as it was before
    hint: name an interpreter with `--python PATH`

    error[no-python]: found no usable interpreter for `[work]/absent`; tried:
      `[work]/absent`: No such file or directory (os error 2)
      the target is as it was before
    hint: name an interpreter with `--python PATH`

    error[no-python]: found no usable interpreter for `nosuch`
      [what there is]
    hint: install another, for example with apt, `uv python install` or `pyenv install`, or name one by its path; `-v` says where rvenv looked
    "#);
    let said = create("3.99");
    assert!(
        said.starts_with("error[no-python]: found no usable interpreter for `Python 3.99`"),
        "{said}"
    );
    let mut command = scratch.command(&["create", "E"]);
    let said = refused_by(&scratch, command.env("PATH", scratch.path("")), 1);
    insta::assert_snapshot!(without_places(&said), @r#"
    error[no-python]: found no usable interpreter for `python3` or `python`
      [what there is]
    hint: install another, for example with apt, `uv python install` or `pyenv install`, or name one by its path; `-v` says where rvenv looked
    "#);
    let said = refused(&scratch, &["create", "-p", "3.x.y", "E"], 2);
    assert!(said.contains("`3.x.y`"), "{said}");
}

/// An interpreter has thirty seconds to answer.
#[test]
fn a_python_that_hangs_is_killed() {
    let scratch = Scratch::cold();
    script(&scratch.path("hang"), "sleep 600");
    let said = refused(&scratch, &["create", "-p", "./hang", "E"], 1);
    insta::assert_snapshot!(said, @r#"
    error[broken-python]: `[work]/hang` did not answer within 30 s
      the target is as it was before
    hint: try again when the machine is less busy, or name another interpreter with `--python PATH`
    "#);
}

#[test]
fn without_bundled_wheels_the_way_out_is_named() {
    let scratch = played();
    let said = refused(&scratch, &["create", "-p", "./python", "E"], 1);
    insta::assert_snapshot!(said, @r#"
    error[no-pip]: `[work]/python` cannot install pip: No module named 'ensurepip'
      the target is as it was before
    hint: install its bundled wheels (on Debian: `apt install python3.13-venv`), or use `--without-pip`
    "#);
}

#[test]
fn a_damaged_wheel_is_refused_before_anything_is_built() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::cold();
    let (python, wheels) = stand_in(&scratch, &python);
    let pip = wheels
        .iter()
        .find(|wheel| wheel.to_str().unwrap().contains("/pip-"))
        .unwrap();
    let good = fs::read(pip).unwrap();
    let name = b"pip/__main__.py";
    let climbing = b"pip/../../evil.";
    let hostile = replaced(&good, name, climbing);
    for (bad, why) in [(good[..good.len() / 2].to_vec(), "wheel"), (hostile, "..")] {
        fs::write(pip, bad).unwrap();
        let create = ["create", "-p", python.to_str().unwrap(), "E"];
        let said = refused(&scratch, &create, 1);
        let named = pip.file_name().unwrap().to_str().unwrap();
        assert!(said.contains(&format!("[work]/wheels/{named}`")), "{said}");
        assert!(said.contains(why), "{said}");
        assert!(said.contains("hint: "), "{said}");
    }
}

/// The bytes with every `from` replaced by a `to` of the same length.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let places = bytes.windows(from.len()).enumerate();
    let places = places.filter(|(_, window)| *window == from);
    let starts: Vec<_> = places.map(|(start, _)| start).collect();
    assert!(!starts.is_empty());
    for start in starts {
        bytes[start..start + to.len()].copy_from_slice(to);
    }
    bytes
}

#[test]
fn a_plan_file_that_is_not_a_plan_is_refused() {
    let scratch = played();
    let good = good_plan(&scratch);
    let edited = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1)
    };
    let mut story = String::new();
    let mut apply = |what: &str, text: &str| {
        let said = apply_refused(&scratch, text);
        let causes = said.lines().filter(|line| line.contains("caused by"));
        let causes: Vec<_> = causes.map(without_digests).collect();
        let _infallible = writeln!(story, "{what}\n{}", causes.join("\n"));
    };
    apply("cut short", &good[..20]);
    apply("prose", "Dear rvenv,");
    apply("empty", "");
    apply(
        "of another format",
        &edited("\"format\": 1", "\"format\": 2"),
    );
    let edits = [
        ("setuid", "\"mode\": \"0755\"", "\"mode\": \"04755\""),
        ("a way out", "\"path\": \"bin\"", "\"path\": \"../x\""),
        ("an absolute path", "\"path\": \"bin\"", "\"path\": \"/x\""),
        (
            "the engine's directory",
            "\"path\": \"bin\"",
            "\"path\": \".rvenv\"",
        ),
    ];
    for (what, from, to) in edits {
        let edited = edited(from, to);
        apply(what, &sealed(&scratch, &edited));
    }
    apply("edited", &edited("\"path\": \"bin\"", "\"path\": \"bim\""));
    insta::assert_snapshot!(story, @r#"
    cut short
      caused by: the text is not a valid plan
      caused by: EOF while parsing a string at line 2 column 18
    prose
      caused by: the text is not a valid plan
      caused by: expected value at line 1 column 1
    empty
      caused by: it is empty
    of another format
      caused by: the plan has format 2, and this version reads format 1
    setuid
      caused by: mode 04755 has bits above 0777
    a way out
      caused by: `../x` has the component `..`, which is not allowed
    an absolute path
      caused by: `/x` is absolute
    the engine's directory
      caused by: `.rvenv` is in the directory that the engine reserves for itself
    edited
      caused by: the plan was changed after it was made: it states the digest [digest], but its digest is [digest]
    "#);
}

#[test]
fn a_plan_file_that_is_absent_is_named() {
    let scratch = played();
    let said = refused(&scratch, &["apply", "absent.json"], 1);
    insta::assert_snapshot!(said, @r#"
    error[bad-plan-file]: cannot read the plan from `absent.json`
      caused by: No such file or directory (os error 2)
      the target is as it was before
    hint: make one with `rvenv plan -o FILE`
    "#);
}

fn good_plan(scratch: &Scratch) -> String {
    let plan = [
        "plan",
        "-p",
        "./python",
        "--without-pip",
        "E",
        "-o",
        "good.json",
    ];
    scratch.rvenv(&plan).ok();
    fs::read_to_string(scratch.path("good.json")).unwrap()
}

fn apply_refused(scratch: &Scratch, text: &str) -> String {
    fs::write(scratch.path("bad.json"), text).unwrap();
    refused(scratch, &["apply", "bad.json"], 1)
}

/// The edited plan with the digest of its new content, as a deliberate author would write it.
fn sealed(scratch: &Scratch, edited: &str) -> String {
    let said = apply_refused(scratch, edited);
    let words = said.split([' ', ',', '\n']);
    let digests: Vec<_> = words.filter(|word| word.len() == 64).collect();
    assert_eq!(digests.len(), 2, "{said}");
    edited.replace(digests[0], digests[1])
}

fn without_digests(line: &str) -> String {
    let is_digest = |word: &&str| word.len() == 64;
    let digests = line.split([' ', ',']).filter(is_digest);
    digests.fold(line.to_owned(), |text, digest| {
        text.replace(digest, "[digest]")
    })
}

#[test]
fn a_directory_that_is_no_environment_is_cleared_only_by_force() {
    let scratch = played();
    fs::create_dir(scratch.path("project")).unwrap();
    fs::write(scratch.path("project/thesis"), "mine").unwrap();
    let said = create_refused(&scratch, &["project", "--clear"], 3);
    insta::assert_snapshot!(said, @r#"
    error[unsafe-clear]: `[work]/project` is not a virtual environment, so clearing it could delete something else
      the target is as it was before
    hint: add `--force` if everything in it may be deleted
    "#);
    let plan = [
        "plan",
        "-p",
        "./python",
        "--without-pip",
        "--clear",
        "project",
    ];
    refused(&scratch, &plan, 3);
    // The permission to clear comes from the user who applies, not from the plan.
    scratch
        .rvenv(&[&plan[..], &["--force", "-o", "p.json"]].concat())
        .ok();
    refused(&scratch, &["apply", "p.json"], 3);
    scratch.rvenv(&["apply", "--force", "p.json"]).ok();
    assert!(!scratch.path("project/thesis").exists());
    assert!(scratch.path("project/pyvenv.cfg").exists());
}

#[test]
fn a_mount_in_the_target_is_not_cleared() {
    let scratch = played();
    scratch
        .rvenv(&["create", "-p", "./python", "--without-pip", "E"])
        .ok();
    fs::create_dir(scratch.path("E/data")).unwrap();
    let rvenv = env!("CARGO_BIN_EXE_rvenv");
    let body = "mount --bind \"$1\" \"$1\" && touch \"$1/inside\" && \
                { \"$0\" create -p ./python --without-pip --clear E; code=$?; \
                  test -e \"$1/inside\" || exit 99; rm \"$1/inside\"; exit $code; }";
    let mut command = scratch.program(Path::new("unshare"), "022");
    command.args(["-m", "sh", "-c", body, rvenv, "E/data"]);
    let ended = ended(&mut command);
    if ended.code != Some(99) && !ended.stderr.contains("error[") {
        println!("skipped: nothing can be mounted here: {}", ended.stderr);
        return;
    }
    let story = ended
        .failed(3)
        .replace(scratch.path("").to_str().unwrap(), "[work]/");
    insta::assert_snapshot!(story, @r#"
    error[mounted]: `[work]/E` cannot be replaced: `[work]/E/data` is a mount point
      the target is as it was before
    hint: unmount it, or name another directory
    "#);
    assert!(scratch.path("E/pyvenv.cfg").exists());
    assert_eq!(
        fs::read_dir(scratch.path("")).unwrap().count(),
        2,
        "E and python"
    );
}

#[test]
fn a_directory_that_cannot_be_written_is_refused() {
    let scratch = played();
    let rvenv = scratch.path("rvenv");
    fs::copy(env!("CARGO_BIN_EXE_rvenv"), &rvenv).unwrap();
    let closed = scratch.path("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
    let create = ["create", "-p", "./python", "--without-pip", "closed/E"];
    let is_root = fs::write(closed.join("probe"), "").is_ok();
    let mut command = if is_root {
        fs::remove_file(closed.join("probe")).unwrap();
        let mut command = scratch.program(Path::new("setpriv"), "022");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&rvenv);
        command
    } else {
        scratch.program(&rvenv, "022")
    };
    let ended = ended(command.args(create));
    if is_root && !ended.stderr.contains("error[") {
        println!(
            "skipped: root is not bound by permissions, and no other user can be had: {}",
            ended.stderr
        );
        return;
    }
    let said = ended
        .failed(1)
        .replace(scratch.path("").to_str().unwrap(), "[work]/");
    insta::assert_snapshot!(said, @r#"
    error[target-lock]: cannot lock `[work]/closed/E`
      caused by: cannot hold `.E.rvenv.lock`
      caused by: Permission denied (os error 13)
      the target is as it was before
    hint: the directory above the target must be writable, on a filesystem with locks
    "#);
    assert_eq!(fs::read_dir(&closed).unwrap().count(), 0);
}

/// A prompt may contain anything except control characters; every reader gets it unchanged.
#[test]
fn a_prompt_with_quotes_and_dollars_is_only_a_prompt() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::cold();
    let prompt = "it's \"$(touch evil)\" `touch evil` \\ é";
    let path = python.path.to_str().unwrap();
    let create = [
        "create",
        "-p",
        path,
        "--without-pip",
        "--prompt",
        prompt,
        "E",
    ];
    scratch.rvenv(&create).ok();
    let code = "import sys; print(repr(sys.argv[1]))";
    let mut command = scratch.program(&python.path, "022");
    let repr = ended(
        command
            .env("PYTHONIOENCODING", "utf-8")
            .args(["-c", code, prompt]),
    )
    .ok();
    let config = fs::read_to_string(scratch.path("E/pyvenv.cfg")).unwrap();
    let line = config
        .lines()
        .find_map(|line| line.strip_prefix("prompt = "));
    assert_eq!(line, Some(repr.trim()));
    let activate = ". E/bin/activate && printf '%s' \"$VIRTUAL_ENV_PROMPT\"";
    let shown = scratch.run(Path::new("/bin/sh"), &["-c", activate]).ok();
    assert!(shown.contains(prompt), "{shown}");
    assert!(!scratch.path("evil").exists());
}
