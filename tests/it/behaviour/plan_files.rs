//! Plan files: what `plan --out` does with an existing file at its path, and what `apply` reads.
//!
//! Devices are private nodes of a test, since the machine's own are not to be written to; making
//! one needs root. Read next: `streams.rs`, where standard output fails.

use std::fs::{self, File, Permissions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::process::{Pid, Signal, kill_process};

use crate::machine::{Scratch, ended, player};

const PLAN: [&str; 5] = ["plan", "E", "--python", "./python", "--without-pip"];

fn lab() -> Scratch {
    let scratch = Scratch::new();
    player(&scratch, "python");
    scratch
}

/// The plan that is saved, as `--json` prints it.
fn expected(scratch: &Scratch) -> String {
    scratch
        .rvenv(&[&PLAN as &[&str], &["--json"]].concat())
        .ok()
}

fn saved(scratch: &Scratch, out: &str) -> String {
    let ended = scratch.rvenv(&[&PLAN as &[&str], &["-o", out]].concat());
    let said = ended.stderr.clone();
    ended.ok();
    said
}

fn node(scratch: &Scratch, name: &str, minor: u32) -> Option<PathBuf> {
    let path = scratch.path(name);
    let mode = Mode::RUSR | Mode::WUSR;
    let created = mknodat(
        CWD,
        &path,
        FileType::CharacterDevice,
        mode,
        makedev(1, minor),
    );
    if let Err(error) = created {
        println!("skipped: no device can be made here: {error}");
        return None;
    }
    if let Err(error) = File::open(&path) {
        println!("skipped: no device can be opened here: {error}");
        return None;
    }
    Some(path)
}

fn fifo(scratch: &Scratch) -> PathBuf {
    let path = scratch.path("fifo");
    let mode = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, &path, FileType::Fifo, mode, 0).unwrap();
    path
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// Names beside the interpreter.
fn names(scratch: &Scratch) -> Vec<String> {
    let entries = fs::read_dir(scratch.path("")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != "python").collect();
    names.sort();
    names
}

#[test]
fn a_fifo_is_written_into() {
    let scratch = lab();
    let path = fifo(&scratch);
    let reader = {
        let path = path.clone();
        thread::spawn(move || fs::read_to_string(path).unwrap())
    };
    let said = saved(&scratch, "fifo");
    assert!(path.symlink_metadata().unwrap().file_type().is_fifo());
    assert_eq!(reader.join().unwrap(), expected(&scratch));
    assert_eq!(said, "Wrote the plan into `fifo`\n");
}

#[test]
fn a_device_is_written_into() {
    let scratch = lab();
    let Some(null) = node(&scratch, "null", 3) else {
        return;
    };
    saved(&scratch, "null");
    let found = null.symlink_metadata().unwrap();
    assert!(found.file_type().is_char_device());
    assert_eq!(found.rdev(), makedev(1, 3));
    let Some(_full) = node(&scratch, "full", 7) else {
        return;
    };
    let words = [&PLAN as &[&str], &["-o", "full"]].concat();
    assert_eq!(
        scratch.rvenv(&words).failed(1),
        "error[not-saved]: cannot save the plan to `full`\n  \
         caused by: No space left on device (os error 28)\n  \
         a part of the plan may have been written\n\
         hint: make room on that filesystem, or name a file on another one\n"
    );
    assert_eq!(names(&scratch), ["full", "null"]);
}

#[test]
fn a_link_is_followed_and_stays() {
    let scratch = lab();
    fs::create_dir(scratch.path("there")).unwrap();
    fs::write(scratch.path("there/old.json"), "old").unwrap();
    symlink("there/old.json", scratch.path("link")).unwrap();
    symlink("there/new.json", scratch.path("dangling")).unwrap();
    let before = fs::metadata(scratch.path("there/old.json")).unwrap().ino();
    let plan = expected(&scratch);
    for (link, end) in [("link", "there/old.json"), ("dangling", "there/new.json")] {
        saved(&scratch, link);
        assert_eq!(fs::read_link(scratch.path(link)).unwrap(), Path::new(end));
        assert_eq!(fs::read_to_string(scratch.path(end)).unwrap(), plan);
    }
    // Replaced, and not written over.
    let after = fs::metadata(scratch.path("there/old.json")).unwrap().ino();
    assert_ne!(before, after);
    assert_eq!(names(&scratch), ["dangling", "link", "there"]);
    assert_eq!(fs::read_dir(scratch.path("there")).unwrap().count(), 2);
}

#[test]
fn a_new_file_has_the_mode_of_the_umask_and_an_old_one_keeps_its_own() {
    let scratch = lab();
    for (umask, expected) in [
        ("022", 0o644),
        ("027", 0o640),
        ("077", 0o600),
        ("002", 0o664),
    ] {
        let mut command = scratch.program(Path::new(env!("CARGO_BIN_EXE_rvenv")), umask);
        ended(command.args(PLAN).args(["-o", umask])).ok();
        assert_eq!(mode(&scratch.path(umask)), expected, "{umask}");
    }
    let old = scratch.path("old");
    for kept in [0o600, 0o664, 0o640] {
        fs::write(&old, "old").unwrap();
        fs::set_permissions(&old, Permissions::from_mode(kept)).unwrap();
        saved(&scratch, "old");
        assert_eq!(mode(&old), kept);
        assert_eq!(fs::read_to_string(&old).unwrap(), expected(&scratch));
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root may give a file away");
        return;
    }
    std::os::unix::fs::chown(&old, Some(4321), Some(1234)).unwrap();
    saved(&scratch, "old");
    let found = fs::metadata(&old).unwrap();
    assert_eq!((found.uid(), found.gid(), mode(&old)), (4321, 1234, 0o640));
}

/// The rendered plan is not mixed into it, and nothing else is said.
#[test]
fn a_dash_is_standard_output() {
    let scratch = lab();
    let plan = expected(&scratch);
    for out in ["-", "/proc/self/fd/1"] {
        let ended = scratch.rvenv(&[&PLAN as &[&str], &["-o", out]].concat());
        assert_eq!(ended.stderr, "", "{out}");
        assert_eq!(ended.ok(), plan, "{out}");
    }
    assert_eq!(names(&scratch), [""; 0]);
}

#[test]
fn what_cannot_be_saved_leaves_the_file_as_it_was() {
    let scratch = lab();
    fs::create_dir(scratch.path("dir")).unwrap();
    for (out, why) in [
        ("dir", "Is a directory (os error 21)"),
        ("absent/p.json", "No such file or directory (os error 2)"),
    ] {
        let said = scratch
            .rvenv(&[&PLAN as &[&str], &["-o", out]].concat())
            .failed(1);
        assert!(said.contains(why), "{out}: {said}");
        let state = "\n  no plan was saved; a file of that name is as it was before\n";
        assert!(said.contains(state), "{out}: {said}");
    }
}

fn start(scratch: &Scratch, words: &[&str], stdin: Stdio) -> Child {
    let mut command = scratch.command(words);
    let command = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn told(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said)
}

#[test]
fn a_plan_is_applied_from_standard_input_and_from_a_pipe() {
    for from in ["-", "/proc/self/fd/0"] {
        let scratch = lab();
        let plan = expected(&scratch);
        let mut child = start(&scratch, &["apply", from], Stdio::piped());
        child
            .stdin
            .take()
            .unwrap()
            .write_all(plan.as_bytes())
            .unwrap();
        let (code, said) = told(child);
        assert_eq!(code, Some(0), "{from}: {said}");
        assert!(scratch.path("E/pyvenv.cfg").exists(), "{from}");
    }
    let scratch = lab();
    let plan = expected(&scratch);
    let path = fifo(&scratch);
    // The command waits for the writer, which waits for the message of the command.
    let mut child = start(&scratch, &["apply", "fifo"], Stdio::null());
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut waits = String::new();
    said.read_line(&mut waits).unwrap();
    assert_eq!(waits, "Waiting for a plan from `fifo`\n");
    child.stderr = Some(said.into_inner());
    let mut writer = File::options().write(true).open(path).unwrap();
    writer.write_all(plan.as_bytes()).unwrap();
    drop(writer);
    let (code, said) = told(child);
    assert_eq!(code, Some(0), "{said}");
    assert!(scratch.path("E/pyvenv.cfg").exists());
}

#[test]
fn what_is_no_plan_is_refused_with_what_it_is() {
    let scratch = lab();
    fs::create_dir(scratch.path("dir")).unwrap();
    fs::write(scratch.path("empty"), "").unwrap();
    let refused = |words: &[&str]| {
        let (code, said) = told(start(&scratch, words, Stdio::null()));
        assert_eq!(code, Some(1), "{said}");
        said
    };
    insta::assert_snapshot!(refused(&["apply", "-"]), @r"
    error[bad-plan-file]: standard input is not a plan that can be applied
      caused by: it is empty
      the target is as it was before
    hint: check the command before the pipe: it printed no plan
    ");
    insta::assert_snapshot!(refused(&["apply", "empty"]), @r"
    error[bad-plan-file]: `empty` is not a plan that can be applied
      caused by: it is empty
      the target is as it was before
    hint: make one with `rvenv plan -o FILE`
    ");
    insta::assert_snapshot!(refused(&["apply", "dir"]), @r"
    error[bad-plan-file]: cannot read the plan from `dir`
      caused by: Is a directory (os error 21)
      the target is as it was before
    hint: make one with `rvenv plan -o FILE`
    ");
}

#[test]
fn a_stream_without_end_is_refused_at_the_size_that_a_plan_may_have() {
    let scratch = lab();
    let Some(zero) = node(&scratch, "zero", 5) else {
        return;
    };
    let stdin = || Stdio::from(File::open(&zero).unwrap());
    for from in ["-", "zero"] {
        let (code, said) = told(start(&scratch, &["apply", from], stdin()));
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains("longer than the 268435456 bytes that a plan may have"),
            "{said}"
        );
    }
}

/// Whether a process is the command by now, and catches SIGTERM; the shell before it does not.
fn catches(child: &Child) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << 14) != 0)
}

#[test]
fn the_wait_for_the_other_end_of_a_pipe_can_be_interrupted() {
    let scratch = lab();
    fifo(&scratch);
    let plan = [&PLAN as &[&str], &["-o", "fifo"]].concat();
    for words in [&["apply", "fifo"] as &[&str], &plan] {
        let mut child = start(&scratch, words, Stdio::null());
        while !catches(&child) && child.try_wait().unwrap().is_none() {
            thread::yield_now();
        }
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let mut said = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(143), "{words:?}: {said}");
    }
}
