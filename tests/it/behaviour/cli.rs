//! The command line: plans, the result of applying them, and what is printed where.
//!
//! Most tests use a script that plays a Python 3.13 without pip, so that outputs are the same on
//! every machine. Read next: `stale.rs` and `bad_input.rs`, where things go wrong.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;

use crate::machine::{Ended, Entry, Kind, Scratch, any_python, ended, player, stand_in, tree};

/// A scratch directory with `python`, a script that plays one.
pub(crate) fn played() -> Scratch {
    let scratch = Scratch::cold();
    player(&scratch, "python");
    scratch
}

/// `rvenv VERB --python ./python --without-pip REST`.
pub(crate) fn with_player(scratch: &Scratch, verb: &str, rest: &[&str]) -> Ended {
    scratch.rvenv(&[&[verb, "--python", "./python", "--without-pip"], rest].concat())
}

/// What stays the same from run to run: places, digests and lengths are replaced.
pub(crate) fn stable(scratch: &Scratch, text: &str) -> String {
    let place = scratch.path("");
    let text = text.replace(place.to_str().unwrap(), "[work]/");
    let mut stable = String::new();
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric();
        let end = rest
            .find(|c| is_word(c) != is_word(first))
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let is_digest = word.len() == 64 && word.chars().all(|c| c.is_ascii_hexdigit());
        let is_length = after.starts_with(" bytes)");
        stable.push_str(match (is_digest, is_length) {
            (true, _) => "[digest]",
            (false, true) => "[length]",
            (false, false) => word,
        });
        rest = after;
    }
    stable
}

/// A tree without what differs between two runs that build the same.
fn built(root: &Path) -> BTreeMap<String, (Kind, u32)> {
    let entries = tree(root).into_iter();
    entries
        .map(|(path, entry)| (path, (entry.kind, entry.mode)))
        .collect()
}

/// The plan that `plan` prints, by stage.
#[test]
fn a_plan_for_nothing_shows_what_is_added() {
    let scratch = played();
    let planned = with_player(&scratch, "plan", &["E"]);
    assert_eq!(planned.stderr, "");
    insta::assert_snapshot!(stable(&scratch, &planned.ok()), @r#"
    rvenv will create `[work]/E`

      directories
        + .gitignore ([length] bytes)
        + bin/
        + include/
        + include/python3.13/
        + lib/
        + lib/python3.13/
        + lib/python3.13/site-packages/
        + lib64 -> lib
      configuration
        + pyvenv.cfg ([length] bytes)
      python
        + bin/python -> [work]/python
        + bin/python3 -> python
        + bin/python3.13 -> python
      scripts
        + bin/Activate.ps1 ([length] bytes)
        + bin/activate ([length] bytes)
        + bin/activate.csh ([length] bytes)
        + bin/activate.fish ([length] bytes)
        + bin/activate.nu ([length] bytes)
        + bin/activate.xsh ([length] bytes)
        + bin/activate_this.py ([length] bytes)

    Publication: put (readers see nothing, then all of it)
    Digest: [digest]
    Plan: 19 to add
    "#);
}

#[test]
fn a_plan_for_an_environment_shows_what_is_added_changed_and_removed() {
    let scratch = played();
    with_player(&scratch, "create", &["E"]).ok();
    fs::write(scratch.path("E/notes"), "mine").unwrap();
    fs::remove_file(scratch.path("E/bin/python3")).unwrap();
    let planned = with_player(&scratch, "plan", &["E", "--clear", "--prompt", "p"]);
    insta::assert_snapshot!(stable(&scratch, &planned.ok()), @r#"
    rvenv will replace `[work]/E`

      what is there now
        - notes
        - every other path that is not planned
      configuration
        ~ pyvenv.cfg ([length] bytes)
      python
        + bin/python3 -> python
      scripts
        ~ bin/Activate.ps1 ([length] bytes)
        ~ bin/activate ([length] bytes)
        ~ bin/activate.csh ([length] bytes)
        ~ bin/activate.fish ([length] bytes)
        ~ bin/activate.nu ([length] bytes)
        ~ bin/activate.xsh ([length] bytes)
        ~ bin/activate_this.py ([length] bytes)

    Publication: swap (readers see the old tree, then the new one)
    Digest: [digest]
    Plan: 1 to add, 8 to change, 1 to remove, 10 unchanged
    Weaker: readers find nothing for a moment where the filesystem cannot exchange directories
    Weaker: what is replaced is deleted, unless `--keep` keeps it for `rvenv rollback`
    "#);
}

#[test]
fn a_plan_folds_a_wheel_into_one_line_unless_asked_for_more() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::cold();
    let python = python.path.to_str().unwrap();
    let folded = scratch.rvenv(&["plan", "-p", python, "E"]).ok();
    let of_wheel: Vec<_> = folded.lines().filter(|line| line.contains("pip")).collect();
    let new: Vec<_> = of_wheel[0].split_whitespace().collect();
    assert_eq!(new[..2], ["+", "pip"], "{folded}");
    assert_eq!(new[4..], ["files,", new[5], "MB"], "{folded}");
    let every = scratch.rvenv(&["plan", "-v", "-p", python, "E"]).ok();
    assert!(
        every.contains("/site-packages/pip/__main__.py ("),
        "{every}"
    );
    assert!(every.lines().count() > folded.lines().count() + 100);
}

/// I4: same inputs give the same bytes and the same digest, and the saved plan is the printed one.
#[test]
fn planning_twice_gives_the_same_bytes() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::cold();
    let python = python.path.to_str().unwrap();
    for file in ["one.json", "other.json"] {
        scratch.rvenv(&["plan", "-p", python, "E", "-o", file]).ok();
    }
    let saved = fs::read_to_string(scratch.path("one.json")).unwrap();
    assert_eq!(
        saved,
        fs::read_to_string(scratch.path("other.json")).unwrap()
    );
    let printed = scratch.rvenv(&["plan", "-p", python, "E", "--json"]).ok();
    assert_eq!(saved, printed);
    let text = scratch
        .rvenv(&["create", "--dry-run", "-p", python, "E"])
        .ok();
    let digest = text.lines().find_map(|line| line.strip_prefix("Digest: "));
    assert!(saved.contains(&format!("\"digest\": \"{}\"", digest.unwrap())));
    assert!(!scratch.path("E").exists());
}

/// I4: `apply` and `create` build the same tree, byte for byte, the receipt included.
#[test]
fn a_saved_plan_builds_what_create_builds() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::cold();
    let (python, _) = stand_in(&scratch, &python);
    let python = python.to_str().unwrap();
    scratch
        .rvenv(&["plan", "-p", python, "E", "-o", "p.json"])
        .ok();
    let applied = scratch.rvenv(&["apply", "p.json"]);
    insta::assert_snapshot!(stable(&scratch, &applied.stderr), @"Created `[work]/E` as planned. Activate it with `source [work]/E/bin/activate`");
    applied.ok();
    let first = built(&scratch.path("E"));
    fs::remove_dir_all(scratch.path("E")).unwrap();
    scratch.rvenv(&["create", "-p", python, "E"]).ok();
    let second = built(&scratch.path("E"));
    let same = first
        .iter()
        .filter(|(path, entry)| second.get(*path) == Some(*entry));
    assert_eq!(same.count(), first.len());
    assert_eq!(first.len(), second.len());
    assert!(first.contains_key(".rvenv/receipt.json"));
}

#[test]
fn a_plan_is_applied_only_under_the_digest_that_it_is_pinned_to() {
    let scratch = played();
    let text = with_player(&scratch, "plan", &["E", "-o", "p.json"]).ok();
    let digest = text
        .lines()
        .find_map(|line| line.strip_prefix("Digest: "))
        .unwrap();
    let wrong = "0".repeat(64);
    let said = scratch
        .rvenv(&["apply", "p.json", "--digest", &wrong])
        .failed(3);
    insta::assert_snapshot!(stable(&scratch, &said), @r#"
    error[plan-digest]: the plan has the digest [digest], not the one that `--digest` names
      the target is as it was before
    hint: review the plan again before you apply it
    "#);
    let said = scratch
        .rvenv(&["apply", "p.json", "--digest", "12"])
        .failed(2);
    insta::assert_snapshot!(stable(&scratch, &said), @r#"
    error[usage]: `12` is not a SHA-256 digest in 64 lower-case hexadecimal digits
      the target is as it was before
    hint: `rvenv plan` prints the digest of a plan
    "#);
    assert!(!scratch.path("E").exists());
    scratch.rvenv(&["apply", "p.json", "--digest", digest]).ok();
    assert!(scratch.path("E/pyvenv.cfg").exists());
}

fn times_and_inodes(root: &Path) -> BTreeMap<String, Entry> {
    let mut entries = tree(root);
    // The lock comes and goes beside the target.
    entries.remove("");
    entries
}

#[test]
fn creating_what_is_there_already_writes_nothing() {
    for flags in [
        &["E"] as &[&str],
        &["E", "--clear"],
        &["E", "--copies", "--prompt", "p"],
    ] {
        let scratch = played();
        let made = with_player(&scratch, "create", flags);
        insta::allow_duplicates! {
            insta::assert_snapshot!(stable(&scratch, &made.stderr), @"Created `E` with Python 3.13.0. Activate it with `source E/bin/activate`");
        }
        made.ok();
        let before = times_and_inodes(&scratch.path(""));
        let again: Vec<_> = flags
            .iter()
            .copied()
            .filter(|&flag| flag != "--clear")
            .collect();
        let ended = with_player(&scratch, "create", &again);
        assert_eq!(ended.stderr, "`E` is up to date: no changes\n");
        assert_eq!(ended.ok(), "");
        assert_eq!(before, times_and_inodes(&scratch.path("")));
    }
}

#[test]
fn an_environment_that_differs_is_changed_in_place_or_replaced() {
    let scratch = played();
    with_player(&scratch, "create", &["E"]).ok();
    fs::write(scratch.path("E/mine"), "kept").unwrap();
    let ended = with_player(&scratch, "create", &["E", "--copies"]);
    insta::assert_snapshot!(stable(&scratch, &ended.stderr), @"Changed `E` with Python 3.13.0. Activate it with `source E/bin/activate`");
    ended.ok();
    assert!(!scratch.path("E/bin/python").is_symlink());
    assert_eq!(fs::read_to_string(scratch.path("E/mine")).unwrap(), "kept");
    with_player(&scratch, "create", &["E"]).ok();
    assert!(scratch.path("E/bin/python").is_symlink());
    let ended = with_player(&scratch, "create", &["E", "--copies", "--clear"]);
    insta::assert_snapshot!(stable(&scratch, &ended.stderr), @r"
    Replaced `E` with Python 3.13.0. Activate it with `source E/bin/activate`
    Not in the new environment: `mine`
    ");
    ended.ok();
    assert!(!scratch.path("E/bin/python").is_symlink());
    assert!(!scratch.path("E/mine").exists());
    assert_eq!(
        fs::read_dir(scratch.path("")).unwrap().count(),
        2,
        "E and python"
    );
}

#[test]
fn the_detailed_exit_code_tells_whether_changes_are_pending() {
    let scratch = played();
    let code = |flags: &[&str]| with_player(&scratch, "plan", flags).code;
    assert_eq!(code(&["E", "--detailed-exitcode"]), Some(4));
    assert_eq!(code(&["E"]), Some(0));
    with_player(&scratch, "create", &["E"]).ok();
    assert_eq!(code(&["E", "--detailed-exitcode"]), Some(0));
    assert_eq!(code(&["E", "--detailed-exitcode", "--clear"]), Some(4));
}

#[test]
fn several_targets_are_made_from_left_to_right_until_one_fails() {
    let scratch = played();
    fs::write(scratch.path("file"), "").unwrap();
    let ended = with_player(&scratch, "create", &["one", "file", "two"]);
    assert!(
        ended
            .stderr
            .starts_with("Created `one` with Python 3.13.0."),
        "{}",
        ended.stderr
    );
    ended.failed(3);
    assert!(scratch.path("one/pyvenv.cfg").exists());
    assert!(!scratch.path("two").exists());
    // A path that no environment can have is refused before anything is made.
    with_player(&scratch, "create", &["three", "fo:ur"]).failed(2);
    assert!(!scratch.path("three").exists());
}

#[test]
fn a_link_to_a_directory_is_kept_and_the_directory_is_worked_on() {
    let scratch = played();
    fs::create_dir(scratch.path("real")).unwrap();
    symlink("real", scratch.path("E")).unwrap();
    with_player(&scratch, "create", &["E", "--clear"]).ok();
    assert_eq!(fs::read_link(scratch.path("E")).unwrap(), Path::new("real"));
    assert!(scratch.path("real/pyvenv.cfg").is_file());
    assert!(!scratch.path("real").is_symlink());
}

#[test]
fn the_status_of_a_target_is_shown_to_people_and_to_programs() {
    let scratch = played();
    fs::create_dir(scratch.path("plain")).unwrap();
    with_player(&scratch, "create", &["E"]).ok();
    let text = ["plain", "E"].map(|path| scratch.rvenv(&["status", path]).ok());
    let work = scratch.path("");
    let work = work.to_str().unwrap().trim_end_matches('/');
    let stable = |text: &str| stable(&scratch, text).replace(work, "[work]");
    insta::assert_snapshot!(stable(&text.join("\n")), @r#"
    `[work]/plain`: directory
    receipt: none
    transaction: nothing is open

    `[work]/E`: environment
    python: 3.13.0, from `[work]`
    packages: 0
    health: clean at a glance; `rvenv verify` compares every file
    receipt: 19 managed paths, plan [digest]
    transaction: nothing is open
    "#);
    let json = scratch.rvenv(&["status", "--json", "E"]).ok();
    insta::assert_snapshot!(stable(&json), @r#"
    {
      "format": 1,
      "path": "[work]/E",
      "state": "environment",
      "receipt": {
        "plan": "[digest]",
        "paths": 19
      },
      "transaction": {
        "open": false,
        "recovery": "nothing is open",
        "refused": null
      },
      "generations": [],
      "environment": {
        "python": "3.13.0",
        "base": "[work]",
        "prompt": null,
        "packages": 0,
        "health": [
          "clean"
        ],
        "distributions": null
      }
    }
    "#);
    let said = scratch.rvenv(&["status", "python"]).failed(3);
    assert!(said.contains("is not a directory"), "{said}");
}

#[test]
fn the_status_tells_of_each_generation_what_it_was() {
    let scratch = played();
    with_player(&scratch, "create", &["E"]).ok();
    let player = scratch.path("python");
    let newer = fs::read_to_string(&player)
        .unwrap()
        .replace("3.13.0", "3.13.1");
    fs::write(&player, newer.replace("\"micro\":0", "\"micro\":1")).unwrap();
    with_player(&scratch, "create", &["E", "--clear", "--keep"]).ok();
    with_player(&scratch, "create", &["E", "--prompt", "other", "--keep"]).ok();
    let json = scratch.rvenv(&["status", "-v", "--json", "E"]).ok();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let generations = json["generations"].as_array().unwrap();
    let told = |key: &str| -> Vec<_> { generations.iter().map(|one| one[key].clone()).collect() };
    assert_eq!(told("generation"), [1, 2]);
    assert_eq!(told("form"), ["tree", "entries"]);
    assert_eq!(told("python"), ["3.13.0", "3.13.1"]);
    assert_eq!(generations[1]["plan"], json["receipt"]["plan"]);
    assert!(told("entries")[0].as_u64() > told("entries")[1].as_u64());
    assert!(told("bytes").iter().all(|bytes| bytes.as_u64() > Some(0)));
    let text = scratch.rvenv(&["status", "-v", "E"]).ok();
    for one in generations {
        let python = one["python"].as_str().unwrap();
        let line = format!(
            " ago, Python {python}, {} packages, {} entries, ",
            one["packages"], one["entries"]
        );
        let line = line.replace(" 1 packages", " 1 package");
        assert!(text.contains(&line), "{text}");
        assert!(text.contains(one["time"].as_str().unwrap()), "{text}");
    }
}

#[test]
fn recovering_where_nothing_is_open_says_so_and_changes_nothing() {
    let scratch = played();
    with_player(&scratch, "create", &["E"]).ok();
    let before = times_and_inodes(&scratch.path(""));
    let ended = scratch.rvenv(&["recover", "E", "absent"]);
    assert_eq!(
        ended.stderr,
        "Nothing is open at `E`\nNothing is open at `absent`\n"
    );
    ended.ok();
    assert_eq!(before, times_and_inodes(&scratch.path("")));
}

#[test]
fn data_is_on_standard_output_and_the_story_on_standard_error() {
    let scratch = played();
    let planned = with_player(&scratch, "plan", &["E", "-o", "p.json"]);
    assert_eq!(
        planned.stderr,
        "Saved the plan. Apply it with `rvenv apply p.json`\n"
    );
    assert!(planned.stdout.starts_with("rvenv will create `"));
    let made = with_player(&scratch, "create", &["-q", "E"]);
    assert_eq!((made.stdout.as_str(), made.stderr.as_str()), ("", ""));
    let quiet = scratch.rvenv(&["status", "-q", "E"]);
    assert!(quiet.stdout.contains("receipt: "), "data is not a story");
    assert!(
        with_player(&scratch, "create", &["-q", "python"])
            .failed(3)
            .contains("error")
    );
}

#[test]
fn colour_is_for_terminals_and_for_those_who_insist() {
    let scratch = played();
    let coloured = |flags: &[&str], no_color: bool| {
        let mut command = scratch.command(&["plan", "-p", "./python", "--without-pip", "E"]);
        command.args(flags);
        if no_color {
            command.env("NO_COLOR", "1");
        }
        ended(&mut command).ok().contains('\x1b')
    };
    assert!(!coloured(&[], false));
    assert!(!coloured(&[], true));
    assert!(!coloured(&["--color", "never"], false));
    assert!(coloured(&["--color", "always"], false));
    assert!(
        coloured(&["--color", "always"], true),
        "a flag is nearer than a variable"
    );
}

#[test]
fn a_reader_who_goes_away_is_no_failure() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::cold();
    let python = python.path.to_str().unwrap();
    for shape in ["--color=always", "--json"] {
        let mut command = scratch.command(&["plan", shape, "-p", python, "E"]);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    }
}

#[test]
fn with_source_date_epoch_two_runs_give_the_same_times() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::cold();
    let python = python.path.to_str().unwrap();
    let times = || {
        let mut command = scratch.command(&["create", "-p", python, "--copies", "E"]);
        ended(command.env("SOURCE_DATE_EPOCH", "1700000000")).ok();
        let entries = tree(&scratch.path("E")).into_iter();
        // Directories and links get the current time; Python only reads the times of files.
        let files = entries.filter(|(path, entry)| {
            matches!(entry.kind, Kind::File(_)) && !path.starts_with(".rvenv/")
        });
        let times: BTreeMap<_, _> = files.map(|(path, entry)| (path, entry.mtime)).collect();
        fs::remove_dir_all(scratch.path("E")).unwrap();
        times
    };
    let first = times();
    assert_eq!(first["pyvenv.cfg"], 1_700_000_000_000_000_000);
    assert_eq!(first, times());
    let mut command = scratch.command(&["create", "-p", python, "E"]);
    let said = ended(command.env("SOURCE_DATE_EPOCH", "yesterday")).failed(2);
    assert!(said.contains("SOURCE_DATE_EPOCH is `yesterday`"), "{said}");
}
