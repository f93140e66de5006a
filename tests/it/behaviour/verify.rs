//! `rvenv verify`: every kind of damage is named, once, and nothing is written.
//!
//! Most environments are made for a script that plays a Python 3.13 without pip, and the packages
//! in them are laid out by hand as an installer would; those that need links out of the store have
//! a real pip. Read next: `cli.rs`, the other commands.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::machine::{Scratch, any_python, player, stand_in, tree};
use crate::warm;
use rvenv_journal::Digest;
use serde_json::Value;

const SITE: &str = "lib/python3.13/site-packages";

/// A scratch directory with an environment `E` that has no pip.
fn played() -> Scratch {
    let scratch = Scratch::in_memory();
    player(&scratch, "python");
    create(&scratch, &["E", "--python", "./python", "--without-pip"]);
    scratch
}

fn create(scratch: &Scratch, flags: &[&str]) {
    scratch.rvenv(&[&["create"], flags].concat()).ok();
}

/// What `verify --json` says, which must agree with its exit code.
#[track_caller]
fn verified(scratch: &Scratch, env: &str) -> Value {
    let ended = scratch.rvenv(&["verify", "--json", env]);
    let said: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(said["format"], 1);
    let clean = said["clean"].as_bool().unwrap();
    assert_eq!(ended.code, Some(if clean { 0 } else { 4 }), "{said}");
    said
}

/// Findings as `path: difference: detail`.
fn findings(drift: &Value) -> Vec<String> {
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let line = |finding| {
        let parts = ["path", "difference", "detail"].map(|key| text(finding, key));
        parts.join(": ")
    };
    drift.as_array().unwrap().iter().map(line).collect()
}

fn managed(said: &Value) -> Vec<String> {
    findings(&said["managed"]["drift"])
}

/// The findings of the only distribution called `name`.
#[track_caller]
fn of<'a>(said: &'a Value, name: &str) -> &'a Value {
    let all = said["distributions"].as_array().unwrap();
    let mut named = all.iter().filter(|of| of["name"] == name);
    let found = named.next().unwrap();
    assert!(named.next().is_none(), "{name} is there twice");
    found
}

/// One row of a list, with its hash.
fn row(path: &str, bytes: &[u8]) -> String {
    format!(
        "{path},sha256={},{}\n",
        base64(&Digest::of(bytes)),
        bytes.len()
    )
}

fn base64(digest: &Digest) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = String::new();
    for byte in digest.as_bytes() {
        write!(bits, "{byte:08b}").unwrap();
    }
    bits.push_str("00");
    let letters = bits.as_bytes().chunks(6).map(|six| {
        let index = usize::from_str_radix(std::str::from_utf8(six).unwrap(), 2).unwrap();
        char::from(LETTERS[index])
    });
    letters.collect()
}

/// Installs files of a distribution as an installer would, and lists them with what `more` adds.
fn install(scratch: &Scratch, env: &str, name: &str, files: &[(&str, &str)], more: &[u8]) {
    let site = scratch.path(env).join(SITE);
    let info = format!("{name}-1.0.dist-info");
    fs::create_dir_all(site.join(&info)).unwrap();
    let mut list = Vec::new();
    for (path, text) in files {
        let full = site.join(path);
        fs::create_dir_all(full.parent().unwrap()).unwrap();
        fs::write(full, text).unwrap();
        list.extend_from_slice(row(path, text.as_bytes()).as_bytes());
    }
    list.extend_from_slice(more);
    list.extend_from_slice(format!("{info}/RECORD,,\n").as_bytes());
    fs::write(site.join(info).join("RECORD"), list).unwrap();
}

/// `demo`, with two modules and a program.
fn demo(scratch: &Scratch, env: &str) -> PathBuf {
    let files = [
        ("demo/__init__.py", "import demo.a\n"),
        ("demo/a.py", "a = 1\n"),
        ("../../../bin/demo", "#!/bin/sh\n"),
    ];
    let bytecode = b"demo/__pycache__/a.cpython-313.pyc,,\nother.pyc,,\n";
    install(scratch, env, "demo", &files, bytecode);
    scratch.path(env).join(SITE)
}

fn mkfifo(path: &Path) {
    let done = std::process::Command::new("mkfifo").arg(path).status();
    assert!(done.unwrap().success());
}

#[test]
fn an_environment_is_clean_after_it_was_created() {
    let scratch = played();
    let said = verified(&scratch, "E");
    assert_eq!(said["clean"], true, "{said}");
    assert_eq!(said["managed"]["checked"], 19);
    assert_eq!(said["foreign"], 0);
    assert_eq!(said["receipt"].as_str().unwrap().len(), 64);
    assert_eq!(said["path"], scratch.path("E").to_str().unwrap());
    assert_eq!(said["distributions"].as_array().unwrap().len(), 0);
    let ended = scratch.rvenv(&["verify", "E"]);
    assert!(
        ended
            .stderr
            .starts_with("Everything is as it was published."),
        "{}",
        ended.stderr
    );
    assert!(ended.ok().ends_with("state: clean\n"));
}

#[test]
fn an_environment_with_pip_is_clean_and_its_list_agrees() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::in_memory();
    create(&scratch, &["E", "--python", python.path.to_str().unwrap()]);
    let said = verified(&scratch, "E");
    assert_eq!(said["clean"], true, "{said}");
    let pip = of(&said, "pip");
    assert!(pip["checked"].as_u64().unwrap() > 100, "{pip}");
    // The interpreter leaves bytecode, which is no drift.
    let ran = scratch.run(
        &scratch.path("E/bin/python"),
        &["-c", "import pip._internal"],
    );
    ran.ok();
    let said = verified(&scratch, "E");
    assert_eq!(
        (&said["clean"], &said["foreign"]),
        (&true.into(), &0.into())
    );
}

#[test]
fn every_kind_of_damage_to_a_managed_path_is_named() {
    let scratch = played();
    let path = |below: &str| scratch.path("E").join(below);
    let len = fs::metadata(path("bin/activate")).unwrap().len();
    fs::write(path("bin/activate"), vec![0; usize::try_from(len).unwrap()]).unwrap();
    fs::write(path("bin/activate.csh"), "").unwrap();
    fs::write(path("bin/activate.fish"), "edited\n").unwrap();
    fs::remove_file(path("bin/activate_this.py")).unwrap();
    fs::set_permissions(path("pyvenv.cfg"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(path("bin/python3")).unwrap();
    symlink("elsewhere", path("bin/python3")).unwrap();
    fs::remove_file(path(".gitignore")).unwrap();
    fs::create_dir(path(".gitignore")).unwrap();
    fs::set_permissions(path("include"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(path("notes"), "mine").unwrap();
    fs::create_dir_all(path("mine/too")).unwrap();
    symlink("nowhere", path("mine/too/link")).unwrap();
    let said = verified(&scratch, "E");
    let found = managed(&said);
    let expected = [
        ".gitignore: kind: is a directory, not a file",
        "bin/activate: content: is filled with NUL bytes",
        "bin/activate.csh: content: is empty",
        "bin/activate.fish: content: has different content (7, not ",
        "bin/activate_this.py: missing: is missing",
        "bin/python3: link-target: leads to `elsewhere`, not `python`",
        "include: mode: has mode 0700, not 0755",
        "pyvenv.cfg: mode: has mode 0600, not 0644",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}");
        assert!(!found.contains("inode"), "{found}");
    }
    assert_eq!(said["foreign"], 2, "notes and the link");
    let ended = scratch.rvenv(&["verify", "E"]);
    assert!(ended.stdout.contains("\n  `bin/activate.csh` is empty\n"));
    assert!(ended.stdout.ends_with("\nstate: damaged, 8 paths differ\n"));
    assert_eq!(
        ended.stderr,
        "Restore the managed paths with `rvenv repair E`\n"
    );
}

#[test]
fn the_directory_of_the_environment_has_a_mode_too() {
    let scratch = played();
    fs::set_permissions(scratch.path("E"), fs::Permissions::from_mode(0o700)).unwrap();
    let found = managed(&verified(&scratch, "E"));
    assert_eq!(found, [".: mode: has mode 0700, not 0755"]);
}

/// An edit through one name of a file shows under all of them, and both environments say so.
#[test]
fn an_edit_through_a_hard_link_shows_in_both_environments() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::in_memory();
    let (python, _wheels) = stand_in(&scratch, &python);
    let python = python.to_str().unwrap();
    create(
        &scratch,
        &["A", "B", "--python", python, "--link-mode", "hardlink"],
    );
    let entries = tree(&scratch.path("A"));
    let mut modules = entries
        .keys()
        .filter(|path| path.ends_with("pip/__init__.py"));
    let module = modules.next().unwrap();
    let one = scratch.path("A").join(module);
    let other = scratch.path("B").join(module);
    if fs::metadata(&one).unwrap().ino() != fs::metadata(&other).unwrap().ino() {
        println!("skipped: the store links nothing on this filesystem");
        return;
    }
    let mut file = fs::OpenOptions::new().append(true).open(&one).unwrap();
    file.write_all(b"# edited\n").unwrap();
    for env in ["A", "B"] {
        let said = verified(&scratch, env);
        let found = managed(&said);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("{module}: content: has different content (")));
        assert!(
            found[0].contains("shares its inode with 2 other names"),
            "{found:?}"
        );
        assert_eq!(
            findings(&of(&said, "pip")["drift"]).len(),
            0,
            "reported once"
        );
    }
}

#[test]
fn a_distribution_is_held_against_its_list() {
    let scratch = played();
    let site = demo(&scratch, "E");
    let said = verified(&scratch, "E");
    assert_eq!(said["clean"], true, "{said}");
    assert_eq!(said["foreign"], 0, "what a distribution lists is its own");
    let listed = of(&said, "demo");
    assert_eq!(
        (&listed["version"], &listed["checked"]),
        (&"1.0".into(), &6.into())
    );
    fs::write(site.join("demo/__init__.py"), "").unwrap();
    fs::remove_file(site.join("demo/a.py")).unwrap();
    fs::remove_file(scratch.path("E/bin/demo")).unwrap();
    mkfifo(&scratch.path("E/bin/demo"));
    let said = verified(&scratch, "E");
    assert_eq!(managed(&said).len(), 0);
    assert_eq!(
        findings(&of(&said, "demo")["drift"]),
        [
            "bin/demo: kind: is a fifo, socket or device, not a file",
            "lib/python3.13/site-packages/demo/__init__.py: content: is empty",
            "lib/python3.13/site-packages/demo/a.py: missing: is missing",
        ]
    );
    let ended = scratch.rvenv(&["verify", "E"]);
    assert_eq!(
        ended.stderr,
        "Reinstall what differs with `E/bin/python -m pip install --force-reinstall --no-deps 'demo==1.0'`\n"
    );
}

#[test]
fn bytes_of_the_same_number_are_told_from_those_that_are_listed() {
    let scratch = played();
    let site = demo(&scratch, "E");
    fs::write(site.join("demo/a.py"), "a = 2\n").unwrap();
    fs::write(site.join("demo/__init__.py"), [0; 14]).unwrap();
    let found = findings(&of(&verified(&scratch, "E"), "demo")["drift"]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].ends_with("demo/__init__.py: content: is filled with NUL bytes"));
    assert!(found[1].ends_with("demo/a.py: content: has different content"));
}

#[test]
fn a_list_that_is_lost_is_drift_of_its_distribution() {
    let scratch = played();
    let site = demo(&scratch, "E");
    let list = site.join("demo-1.0.dist-info/RECORD");
    let check = |expected: &str| {
        let found = findings(&of(&verified(&scratch, "E"), "demo")["drift"]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].ends_with(expected), "{found:?}");
    };
    fs::write(&list, "").unwrap();
    check("RECORD: content: is empty");
    fs::write(&list, [0; 200]).unwrap();
    check("RECORD: content: is filled with NUL bytes");
    fs::remove_file(&list).unwrap();
    check("RECORD: missing: is missing");
    symlink("../demo/a.py", &list).unwrap();
    check("RECORD: kind: is a symbolic link, not a file");
    let said = verified(&scratch, "E");
    assert_eq!(said["foreign"], 4, "no list has its files any more");
}

/// I6: a list is untrusted text; rvenv reads the paths in it only inside the environment.
#[test]
fn rows_that_lead_elsewhere_are_named_and_never_followed() {
    let scratch = played();
    fs::create_dir(scratch.path("outside")).unwrap();
    fs::write(scratch.path("outside/file"), "x").unwrap();
    let absolute = scratch.path("outside/file").display().to_string();
    let site = scratch.path("E").join(SITE);
    symlink(scratch.path("outside"), site.join("link")).unwrap();
    symlink(&absolute, site.join("file")).unwrap();
    let mut more = Vec::new();
    // Each of them has the very content that is listed.
    for path in ["../../../../outside/file", &absolute, "link/file", "file"] {
        more.extend_from_slice(row(path, b"x").as_bytes());
    }
    let long = "n".repeat(300);
    more.extend_from_slice(
        b"name\xff,,\nnul\0,,\n../../..,,\nbad,sha256=x,1\nshort\nlink/there,,\n",
    );
    more.extend_from_slice(format!("{long},,\nabsent.py,,\nabsent.pyc,,\n").as_bytes());
    install(&scratch, "E", "demo", &[("demo.py", "")], &more);
    let found = findings(&of(&verified(&scratch, "E"), "demo")["drift"]);
    let expected = [
        "../../..: listing: is listed, and is not a valid path".to_owned(),
        "../../../../outside/file: listing: is listed outside of the environment, where verify does not look".to_owned(),
        format!("{absolute}: listing: is listed by an absolute path, which is not followed"),
        "bad: listing: is listed in an invalid row: its hash is not a SHA-256 in URL-safe base64".to_owned(),
        format!("{SITE}/absent.py: missing: is missing"),
        format!("{SITE}/file: kind: is a symbolic link, not a file"),
        format!("{SITE}/link/file: kind: is behind `{SITE}/link`, a symbolic link, which is not followed"),
        format!("{SITE}/link/there: kind: is behind `{SITE}/link`, a symbolic link, which is not followed"),
        format!("{SITE}/{long}: unreadable: cannot be read: File name too long"),
        "name\\xff: listing: is listed in an invalid row: it is not UTF-8".to_owned(),
        "nul\0: listing: is listed, and is not a valid path".to_owned(),
        "short: listing: is listed in an invalid row: it does not have three columns".to_owned(),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(&expected), "{found}, not {expected}");
    }
    let text = scratch.rvenv(&["verify", "-v", "E"]).stdout;
    assert!(text.contains("`nul\\u{0}` is listed"), "{text}");
}

#[test]
fn rows_may_go_through_lib64_where_it_is_the_link_to_lib() {
    let scratch = played();
    let row = row("../../../lib64/python3.13/site-packages/demo.py", b"d");
    install(&scratch, "E", "demo", &[], row.as_bytes());
    fs::write(scratch.path("E").join(SITE).join("demo.py"), "d").unwrap();
    let said = verified(&scratch, "E");
    assert_eq!(said["clean"], true, "{said}");
    assert_eq!(said["foreign"], 0);
    fs::remove_file(scratch.path("E/lib64")).unwrap();
    symlink("./lib", scratch.path("E/lib64")).unwrap();
    let found = findings(&of(&verified(&scratch, "E"), "demo")["drift"]);
    assert_eq!(
        found,
        [
            "lib64/python3.13/site-packages/demo.py: kind: is behind `lib64`, a symbolic link, which is not followed"
        ]
    );
}

#[test]
fn many_findings_of_one_package_are_one_line_unless_all_are_asked_for() {
    let scratch = played();
    let names: Vec<_> = (10..21)
        .map(|number| format!("many/m{number}.py"))
        .collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), "m\n")).collect();
    install(&scratch, "E", "many", &files, b"");
    let package = scratch.path("E").join(SITE).join("many");
    for name in names.iter().skip(1) {
        fs::remove_file(package.parent().unwrap().join(name)).unwrap();
    }
    let lines = |text: &str| {
        text.lines()
            .filter(|line| line.contains("is missing"))
            .count()
    };
    let ten = scratch.rvenv(&["verify", "E"]);
    assert_eq!(lines(&ten.stdout), 10, "{}", ten.stdout);
    fs::write(package.join("m10.py"), "").unwrap();
    let folded = scratch.rvenv(&["verify", "E"]);
    assert_eq!(lines(&folded.stdout), 0, "{}", folded.stdout);
    assert!(
        folded.stdout.contains(
            "\n  many 1.0: 11 paths differ (10 missing, 1 with different content); `-v` lists them\n"
        ),
        "{}",
        folded.stdout
    );
    let all = scratch.rvenv(&["verify", "-v", "E"]);
    assert_eq!(lines(&all.stdout), 10, "{}", all.stdout);
}

#[test]
fn without_a_receipt_the_lists_and_the_configuration_are_checked() {
    let scratch = played();
    demo(&scratch, "E");
    fs::remove_dir_all(scratch.path("E/.rvenv")).unwrap();
    let said = verified(&scratch, "E");
    assert_eq!(
        (&said["clean"], &said["receipt"]),
        (&true.into(), &Value::Null)
    );
    let text = scratch.rvenv(&["verify", "E"]).ok();
    assert!(text.contains("\nreceipt: none; compared with"), "{text}");
    fs::write(scratch.path("E/bin/demo"), "other").unwrap();
    let said = verified(&scratch, "E");
    assert_eq!(findings(&of(&said, "demo")["drift"]).len(), 1);
    for (config, expected) in [
        ("", "is empty"),
        ("\0\0\0", "is filled with NUL bytes"),
        ("version = 3.13.0\n", "has no line `home = …`"),
    ] {
        fs::write(scratch.path("E/pyvenv.cfg"), config).unwrap();
        let found = managed(&verified(&scratch, "E"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("pyvenv.cfg: content: {expected}")));
    }
}

#[test]
fn an_environment_that_venv_made_is_clean() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::in_memory();
    warm::venv(&scratch, &python, "V");
    let said = verified(&scratch, "V");
    assert_eq!(
        (&said["clean"], &said["receipt"]),
        (&true.into(), &Value::Null)
    );
    assert!(
        of(&said, "pip")["checked"].as_u64().unwrap() > 100,
        "{said}"
    );
}

#[test]
fn a_damaged_receipt_is_drift_and_the_rest_is_still_checked() {
    let scratch = played();
    let site = demo(&scratch, "E");
    fs::remove_file(site.join("demo/a.py")).unwrap();
    let receipt = scratch.path("E/.rvenv/receipt.json");
    let text = fs::read_to_string(&receipt).unwrap();
    let format = text.replacen("\"format\":1", "\"format\":9", 1);
    for (damaged, expected) in [
        ("", "it is empty"),
        ("\0\0\0\0", "it is filled with NUL bytes"),
        (&text[..text.len() / 2], "the receipt is not valid"),
        (&format, "the receipt has format 9"),
    ] {
        fs::write(&receipt, damaged).unwrap();
        let said = verified(&scratch, "E");
        assert_eq!(said["receipt"], Value::Null);
        let found = managed(&said);
        assert_eq!(found.len(), 1, "{found:?}");
        let expected = format!(".rvenv/receipt.json: content: is damaged: {expected}");
        assert!(found[0].starts_with(&expected), "{found:?}");
        assert_eq!(findings(&of(&said, "demo")["drift"]).len(), 1);
    }
    fs::remove_file(&receipt).unwrap();
    symlink("/dev/zero", &receipt).unwrap();
    let found = managed(&verified(&scratch, "E"));
    assert!(found[0].contains("it cannot be read"), "{found:?}");
}

#[test]
fn what_is_no_environment_is_refused() {
    let scratch = played();
    fs::create_dir(scratch.path("plain")).unwrap();
    symlink("nowhere", scratch.path("dangling")).unwrap();
    for (path, expected) in [
        ("plain", "is not a virtual environment"),
        ("absent", "absent` does not exist"),
        ("absent/below", "does not exist"),
        ("python", "is not a directory"),
        ("dangling", "does not exist"),
    ] {
        for flags in [&["verify", path] as &[&str], &["verify", "--json", path]] {
            let ended = scratch.rvenv(flags);
            let is_json = flags.contains(&"--json");
            assert_eq!(ended.stdout.contains("\"error\""), is_json);
            assert_eq!(ended.stdout.is_empty(), !is_json);
            let said = ended.failed(3);
            assert!(said.contains(expected), "{path}: {said}");
            assert!(said.contains("hint: "), "{said}");
        }
    }
}

#[test]
fn an_open_transaction_is_reported_and_the_current_tree_is_verified() {
    let scratch = played();
    let journal = scratch.path(".E.rvenv.journal");
    fs::write(&journal, "torn").unwrap();
    fs::set_permissions(&journal, fs::Permissions::from_mode(0o600)).unwrap();
    let ended = scratch.rvenv(&["verify", "--json", "E"]);
    assert!(
        ended.stderr.starts_with("A transaction is open at `E` ("),
        "{}",
        ended.stderr
    );
    let said: Value = serde_json::from_str(&ended.ok()).unwrap();
    assert_eq!(said["clean"], true);
    assert!(journal.exists());
}

/// `verify` never writes: nothing has another time, mode or inode afterwards, clean or not.
#[test]
fn verifying_writes_nothing() {
    let scratch = played();
    let site = demo(&scratch, "E");
    fs::write(site.join("demo/a.py"), "").unwrap();
    fs::remove_file(scratch.path("E/bin/python3")).unwrap();
    fs::write(scratch.path(".E.rvenv.journal"), "torn").unwrap();
    fs::create_dir(scratch.path(".E.rvenv.new-x")).unwrap();
    let before = tree(&scratch.path(""));
    for flags in [&["verify", "E"] as &[&str], &["verify", "--json", "E"]] {
        assert_eq!(scratch.rvenv(flags).code, Some(4));
        assert_eq!(tree(&scratch.path("")), before);
    }
    assert_eq!(
        fs::read_dir(scratch.cache()).unwrap().count(),
        1,
        "the probe's"
    );
}

#[test]
fn names_that_could_steer_a_terminal_are_escaped() {
    let scratch = played();
    let files = [("demo\x1b[31m.py", "x")];
    install(&scratch, "E", "demo", &files, b"");
    let strange = scratch.path("E").join(SITE);
    fs::remove_file(strange.join(files[0].0)).unwrap();
    fs::write(strange.join(OsStr::from_bytes(b"\xff\n")), "").unwrap();
    let ended = scratch.rvenv(&["verify", "E"]);
    assert!(!ended.stdout.contains('\x1b'), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("demo\\u{1b}[31m.py` is missing"),
        "{}",
        ended.stdout
    );
    assert!(
        ended
            .stdout
            .contains("\nforeign: 1 path that nothing lists\n"),
        "{}",
        ended.stdout
    );
}
