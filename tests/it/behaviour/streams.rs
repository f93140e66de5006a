//! Standard output: the data on it, and the errors when it fails.
//!
//! Every command that prints data is run with a standard output that has no space, one without a
//! reader, and one that is not open for writing. The device without space is a private node of the
//! test; making one needs root.

use std::fs::{self, File};
use std::io::Read as _;
use std::process::Stdio;

use rustix::fs::{CWD, FileType, Mode, OFlags, makedev, mknodat};
#[cfg(target_os = "linux")]
use rustix::mount::{MountFlags, UnmountFlags};

use super::help;
use crate::machine::{Ended, Scratch, any_python, ended, lay_gone, player, resolver};
#[cfg(target_os = "linux")]
use crate::mounts::is_among_mounts;

/// Every kind of data: the words of the command, and how it ends when all is well.
const DATA: [(&[&str], i32); 40] = [
    (&["plan", "new"], 0),
    (&["plan", "--json", "new"], 0),
    (&["plan", "--detailed-exitcode", "new"], 4),
    (&["create", "--dry-run", "new"], 0),
    (&["upgrade", "--dry-run", "E"], 0),
    (&["sync", "--dry-run", "--env", "E", "-r", "pylock.toml"], 0),
    (&["install", "--dry-run", "--env", "E", "something"], 0),
    (&["uninstall", "--dry-run", "--env", "E", "gone"], 0),
    (&["lock", "something", "-o", "-"], 0),
    (&["repair", "--dry-run", "E"], 0),
    (&["clone", "E", "F", "--dry-run"], 0),
    (&["show", "p.json"], 0),
    (&["show", "--json", "p.json"], 0),
    (&["apply", "--dry-run", "p.json"], 0),
    (&["image", "p.json", "-o", "img", "--force"], 0),
    (&["list"], 0),
    (&["list", "--json"], 0),
    (&["status", "E"], 0),
    (&["status", "--json", "E"], 0),
    (&["verify", "E"], 0),
    (&["verify", "--json", "E"], 0),
    (&["generations", "--json", "E"], 0),
    (&["log", "E"], 0),
    (&["log", "--json", "E"], 0),
    (&["python", "list"], 0),
    (&["python", "list", "--json"], 0),
    (&["python", "find"], 0),
    (&["python", "find", "--json"], 0),
    (&["cache", "dir"], 0),
    (&["cache", "verify"], 0),
    (&["cache", "verify", "--json"], 0),
    (&["cache", "prune"], 0),
    (&["cache", "clear", "--json"], 0),
    (&["config"], 0),
    (&["explain"], 0),
    (&["completions", "bash"], 0),
    (&["--version"], 0),
    (&["--help"], 0),
    (&["create", "-h"], 0),
    (&["help", "plan"], 0),
];

/// The commands that print only what they did, to standard error.
const WITHOUT_DATA: &[&str] = &["rollback", "remove", "recover", "man"];

/// The commands that print what a registry has; `tests/it/fleet` has one.
const WITH_REGISTRY: &[&str] = &["push", "attach", "attached", "cache push", "cache pull"];

#[test]
fn no_command_is_left_out_here() {
    let others = [WITHOUT_DATA, WITH_REGISTRY].concat();
    help::assert_all_are_in(&DATA.map(|(words, _)| words.to_vec()), &others);
}

/// A scratch directory with an environment `E`, made by a script that plays the only Python.
fn lab() -> Scratch {
    let scratch = Scratch::cold();
    fs::create_dir(scratch.path("bin")).unwrap();
    player(&scratch, "bin/python3");
    run(&scratch, &["create", "E"], Stdio::piped()).ok();
    lay_gone(&scratch.path("E"));
    resolver(&scratch.path("bin/uv"));
    run(&scratch, &["plan", "new", "-o", "p.json"], Stdio::piped()).ok();
    let lock = "lock-version = '1.0'\ncreated-by = 'hand'\npackages = []\n";
    fs::write(scratch.path("pylock.toml"), lock).unwrap();
    scratch
}

fn run(scratch: &Scratch, words: &[&str], stdout: Stdio) -> Ended {
    let makes = ["plan", "create", "upgrade"].contains(&words[0]) && !words.contains(&"-h");
    let bare: &[&str] = if makes { &["--without-pip"] } else { &[] };
    let mut command = scratch.command(&[words, bare].concat());
    command
        .env("PATH", scratch.path("bin"))
        .env_remove("PYENV_ROOT");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(command);
    let mut said = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut said).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    Ended {
        code: output.status.code(),
        stdout: said,
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A device that takes nothing, as `/dev/full`: the test's own node, so that the machine's is left
/// alone.
fn full(scratch: &Scratch) -> Option<File> {
    let node = scratch.path("full");
    if !node.exists() {
        let mode = Mode::RUSR | Mode::WUSR;
        if let Err(error) = mknodat(CWD, &node, FileType::CharacterDevice, mode, makedev(1, 7)) {
            println!("skipped: no device can be made here: {error}");
            return None;
        }
    }
    let opened = File::options().write(true).open(&node);
    if let Err(error) = &opened {
        println!("skipped: no device can be opened here: {error}");
    }
    opened.ok()
}

#[test]
fn data_without_space_is_an_error_of_every_command() {
    let scratch = lab();
    for (words, _) in DATA {
        let Some(full) = full(&scratch) else { return };
        let said = run(&scratch, words, full.into()).failed(1);
        let expected = "error[output-lost]: cannot write to standard output\n  \
                        caused by: No space left on device (os error 28)\n";
        assert!(said.contains(expected), "{words:?}: {said}");
        assert!(!said.contains("the target"), "{words:?}: {said}");
    }
    assert!(!scratch.path("new").exists());
}

/// Even though the standard library silently ignores errors of a stream that is not open for
/// writing.
#[test]
fn data_for_a_stream_that_is_open_for_reading_only_is_an_error_of_every_command() {
    let scratch = lab();
    fs::write(scratch.path("file"), "as it was").unwrap();
    for (words, _) in DATA {
        let file = File::open(scratch.path("file")).unwrap();
        let said = run(&scratch, words, file.into()).failed(1);
        let expected = "error[output-lost]: cannot write to standard output\n  \
                        caused by: Bad file descriptor (os error 9)\n";
        assert!(said.contains(expected), "{words:?}: {said}");
    }
    assert_eq!(
        fs::read_to_string(scratch.path("file")).unwrap(),
        "as it was"
    );
}

/// The command prints nothing about it, and the exit code is that of a run with a reader.
#[test]
fn a_reader_that_went_away_is_no_failure_of_any_command() {
    let scratch = lab();
    for (words, code) in DATA {
        let heard = run(&scratch, words, Stdio::piped());
        assert_eq!(heard.code, Some(code), "{words:?}: {}", heard.stderr);
        assert_ne!(heard.stdout, "", "{words:?}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let unheard = run(&scratch, words, writer.into());
        assert_eq!(unheard.code, Some(code), "{words:?}: {}", unheard.stderr);
        assert_eq!(unheard.stderr, heard.stderr, "{words:?}");
    }
}

/// A pipe that was made not to block, as some parents make it, is waited for.
#[test]
fn a_pipe_that_does_not_block_gets_all_of_the_data() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::cold();
    let words = ["plan", "--json", "E", "-p", python.path.to_str().unwrap()];
    let expected = scratch.rvenv(&words).ok();
    // As many bytes as a pipe holds on Linux.
    assert!(expected.len() > 1 << 16, "{}", expected.len());
    let (mut reader, writer) = std::io::pipe().unwrap();
    rustix::fs::fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
    let mut command = scratch.command(&words);
    let mut child = command.stdout(writer).spawn().unwrap();
    drop(command);
    // Nothing is read before the pipe is full.
    let is_full = || rustix::io::ioctl_fionread(&reader).unwrap() >= 1 << 15;
    while !is_full() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(said == expected, "{} of {}", said.len(), expected.len());
}

/// The first half of the data fits, so that only the second write fails.
#[cfg(target_os = "linux")]
#[test]
fn data_that_a_disk_holds_only_half_of_is_an_error() {
    let test = "data_that_a_disk_holds_only_half_of_is_an_error";
    if !is_among_mounts(module_path!(), test) {
        return;
    }
    let Some(python) = any_python() else { return };
    let scratch = Scratch::cold();
    let small = scratch.path("small");
    fs::create_dir(&small).unwrap();
    let options = Some(c"size=64k");
    rustix::mount::mount("tmpfs", &small, "tmpfs", MountFlags::empty(), options).unwrap();
    let file = File::create(small.join("p.json")).unwrap();
    let words = ["plan", "--json", "E", "-p", python.path.to_str().unwrap()];
    let mut command = scratch.command(&words);
    let child = command.stdout(file).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("No space left on device"), "{said}");
    assert_eq!(fs::metadata(small.join("p.json")).unwrap().len(), 1 << 16);
    drop(command);
    rustix::mount::unmount(&small, UnmountFlags::empty()).unwrap();
}

/// The change stays, and the message reports it.
#[test]
fn a_change_whose_report_is_lost_says_what_was_changed() {
    let scratch = lab();
    let at = scratch.cache().join("interpreters");
    assert!(at.exists());
    let Some(device) = full(&scratch) else { return };
    let said = run(&scratch, &["cache", "clear"], device.into()).failed(1);
    insta::assert_snapshot!(said, @r"
    error[output-lost]: cannot write to standard output
      caused by: No space left on device (os error 28)
      what was to be deleted from the cache is deleted
    hint: send standard output elsewhere, then run the command again
    ");
    assert!(!at.exists());
    let Some(device) = full(&scratch) else { return };
    let said = run(&scratch, &["plan", "new", "-o", "p.json"], device.into()).failed(1);
    insta::assert_snapshot!(said, @r"
    error[output-lost]: cannot write to standard output
      caused by: No space left on device (os error 28)
      the plan is saved
    hint: send standard output elsewhere, then run the command again
    ");
    ended(&mut scratch.command(&["apply", "p.json"])).ok();
}
