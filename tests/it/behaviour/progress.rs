//! Progress: what takes long is shown on a terminal while it lasts, and nowhere else.
//!
//! What is slow waits until the test has seen the line, or is slowed by a tracer that delays its
//! system calls. `download_progress.rs` and `deletion.rs` have downloads and deletions.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::locks::bench;
use crate::machine::{Scratch, any_python, player, script};
use crate::strace;

/// Whether a terminal can be made; prints the reason if not.
pub(super) fn is_there() -> bool {
    let there = Command::new("script").arg("--version").output();
    let is_there = there.is_ok_and(|output| output.status.success());
    if !is_there {
        println!("skipped: there is no script, which would make a terminal");
    }
    is_there
}

/// A shell command that waits until a file exists; it gives up after a minute.
fn wait_for(file: &Path) -> String {
    let file = file.display();
    format!("n=0; while [ ! -e '{file}' ] && [ $n -lt 600 ]; do n=$((n+1)); sleep 0.1; done")
}

/// Runs `rvenv` with these words at a terminal, and returns what a user sees; as soon as `shown` is
/// part of it, the file is made for which something waits.
fn at_a_terminal(scratch: &Scratch, words: &[&str], shown: &str, release: &Path) -> String {
    under(scratch, &[], words, shown, release)
}

/// The same below another program.
pub(super) fn under(
    scratch: &Scratch,
    above: &[&str],
    words: &[&str],
    shown: &str,
    release: &Path,
) -> String {
    let quoted = |word: &&str| format!("'{}'", word.replace('\'', r"'\''"));
    let line = [above, &[env!("CARGO_BIN_EXE_rvenv")], words].concat();
    let line: Vec<String> = line.iter().map(quoted).collect();
    let mut command = scratch.program("script".as_ref(), "022");
    let path = scratch.path("bin").display().to_string();
    command
        .args(["-qec", &line.join(" "), "/dev/null"])
        .env("PATH", format!("{path}:/usr/bin:/bin"))
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut terminal = command.spawn().unwrap();
    let mut output = terminal.stdout.take().unwrap();
    let (mut seen, mut chunk) = (String::new(), [0; 256]);
    while let Ok(len @ 1..) = output.read(&mut chunk) {
        seen += &String::from_utf8_lossy(&chunk[..len]);
        if seen.contains(shown) && !release.exists() {
            fs::write(release, "").unwrap();
        }
    }
    assert!(terminal.wait().unwrap().success(), "{seen}");
    seen
}

/// What clears a line of the terminal.
pub(super) const CLEARED: &str = "\r\x1b[2K";

/// Whether the progress line was drawn, on a cleared line.
pub(super) fn is_drawn(seen: &str, shown: &str) -> bool {
    seen.contains(&format!("{CLEARED}{shown}"))
}

/// The progress line was seen, and cleared before the next message.
#[track_caller]
fn assert_shown(seen: &str, shown: &str, next: &str) {
    assert!(is_drawn(seen, shown), "{shown}: {seen:?}");
    let (_, end) = seen.rsplit_once(shown).unwrap();
    let (_, story) = end.rsplit_once(CLEARED).unwrap();
    assert!(story.starts_with(next), "{next}: {seen:?}");
}

#[test]
fn a_long_check_is_shown() {
    if !is_there() {
        return;
    }
    let Some(python) = any_python() else { return };
    let scratch = Scratch::new();
    let release = scratch.path("release");
    let check = wait_for(&release);
    let python = python.path.to_str().unwrap();
    let words = [
        "create",
        "E",
        "--without-pip",
        "-p",
        python,
        "--check",
        &check,
    ];
    let shown = "Running the health check `n=0;";
    let seen = at_a_terminal(&scratch, &words, shown, &release);
    assert_shown(&seen, shown, "Created `E`");
    let words = [
        "create",
        "F",
        "--without-pip",
        "-p",
        python,
        "--check",
        &check,
    ];
    let ended = scratch.rvenv(&words);
    assert!(!ended.stderr.contains("Running"), "{}", ended.stderr);
    ended.ok();
}

/// The columns that a text takes; a letter of East Asia takes two.
fn columns(text: &str) -> usize {
    let of = |c: char| if c >= '\u{1100}' { 2 } else { 1 };
    text.chars().map(of).sum()
}

#[test]
fn a_narrow_terminal_gets_one_line_and_not_several() {
    if !is_there() {
        return;
    }
    let Some(python) = any_python() else { return };
    let scratch = Scratch::new();
    let release = scratch.path("release");
    let check = format!(": 漢字漢字漢字漢字漢字漢字; {}", wait_for(&release));
    let python = python.path.to_str().unwrap();
    let words = [
        "create",
        "E",
        "--without-pip",
        "-p",
        python,
        "--check",
        &check,
    ];
    let narrow = ["sh", "-c", "stty rows 24 cols 40; exec \"$@\"", "sh"];
    let seen = under(&scratch, &narrow, &words, " 1 s", &release);
    let (lines, story) = seen.rsplit_once(CLEARED).unwrap();
    assert!(story.starts_with("Created `E`"), "{seen:?}");
    let lines: Vec<&str> = lines.split(CLEARED).collect();
    let timed = "Running the health check `: 漢字漢";
    assert!(lines.iter().any(|line| line.starts_with(timed)), "{seen:?}");
    for line in lines {
        let is_one = columns(line) < 40 && !line.contains(['\n', '\x1b']);
        assert!(is_one, "{line:?}: {seen:?}");
    }
}

#[test]
fn a_wait_for_a_lock_is_shown_with_its_owner() {
    if !is_there() {
        return;
    }
    let Some(python) = any_python() else { return };
    let scratch = Scratch::new();
    let (begun, release) = (scratch.path("begun"), scratch.path("release"));
    let check = format!("touch '{}'; {}", begun.display(), wait_for(&release));
    let python = python.path.to_str().unwrap();
    let make = ["create", "E", "--without-pip", "-p", python];
    let mut holder = scratch.command(&[&make[..], &["--check", &check]].concat());
    let holder = holder.stderr(Stdio::null()).spawn();
    let mut holder = holder.unwrap();
    while !begun.exists() {
        std::thread::yield_now();
    }
    // The first line is a message; the one that is replaced has the time at its end. The shell that
    // sets the umask becomes the command, and keeps its number.
    let seen = at_a_terminal(&scratch, &make, " 1 s", &release);
    let owner = format!("Waiting for process {} (rvenv) ", holder.id());
    assert_shown(&seen, &owner, "`E` is up to date");
    assert!(seen.contains(" 1 s"), "{seen:?}");
    assert!(holder.wait().unwrap().success());
}

#[test]
fn a_resolver_at_work_is_shown() {
    if !is_there() {
        return;
    }
    let scratch = Scratch::cold();
    fs::create_dir(scratch.path("bin")).unwrap();
    player(&scratch, "bin/python3");
    let release = scratch.path("release");
    let body = format!(
        "[ \"$1\" = --version ] && echo uv 9.0.0 && exit\n{}\n\
         while [ $# -gt 1 ]; do [ \"$1\" = --output-file ] && out=$2; shift; done\n\
         printf \"lock-version = '1.0'\\ncreated-by = 'uv'\\npackages = []\\n\" > \"$out\"\n",
        wait_for(&release)
    );
    script(&scratch.path("bin/uv"), &body);
    let words = ["lock", "something", "--no-index", "-o", "pylock.toml"];
    let shown = "Resolving requirements";
    let seen = at_a_terminal(&scratch, &words, shown, &release);
    assert_shown(&seen, shown, "");
}

#[test]
fn an_interpreter_that_answers_slowly_is_shown() {
    if !is_there() {
        return;
    }
    let scratch = Scratch::cold();
    let python = player(&scratch, "slow");
    let release = scratch.path("release");
    let answer = fs::read_to_string(&python).unwrap();
    let (shebang, answer) = answer.split_once('\n').unwrap();
    let slow = format!("{shebang}\n{}\n{answer}", wait_for(&release));
    fs::write(&python, slow).unwrap();
    let words = ["python", "find", python.to_str().unwrap()];
    let seen = at_a_terminal(&scratch, &words, "Running `", &release);
    assert_shown(&seen, "Running `", python.to_str().unwrap());
}

/// A tracer delays each opened file, so that unpacking takes long.
#[test]
fn unpacking_is_shown() {
    let Some(seen) = traced(&slowed("openat", 5_000), &[]) else {
        return;
    };
    assert!(is_drawn(&seen, "Unpacking wheels"), "{seen:?}");
}

/// A tracer delays each new directory, so that building takes long.
#[test]
fn building_is_shown() {
    let Some(seen) = traced(&slowed("mkdirat", 20_000), &[]) else {
        return;
    };
    assert_shown(&seen, "Building what changes", "Created `E`");
}

/// A tracer delays the start of each program, so that compiling takes long.
#[test]
fn compiling_is_shown() {
    let slow = slowed("execve", 1_000_000);
    let Some(seen) = traced(&slow, &["--compile-bytecode"]) else {
        return;
    };
    assert!(is_drawn(&seen, "Compiling bytecode"), "{seen:?}");
}

pub(super) fn slowed(call: &str, microseconds: u32) -> [String; 2] {
    let inject = format!("inject={call}:delay_enter={microseconds}");
    [format!("trace={call}"), inject]
}

/// Creates an environment with pip and a cold store under a tracer; what a user at a terminal sees.
fn traced(slow: &[String; 2], more: &[&str]) -> Option<String> {
    if !is_there() || !strace::is_there() {
        return None;
    }
    let python = any_python()?;
    let scratch = Scratch::new();
    let python = python.path.to_str().unwrap();
    let [trace, inject] = slow.each_ref().map(String::as_str);
    let above = [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        trace,
        "-e",
        inject,
    ];
    let words = [&["create", "E", "-p", python], more].concat();
    let release = scratch.path("release");
    Some(under(&scratch, &above, &words, "Created", &release))
}

#[test]
fn a_long_comparison_is_shown() {
    if !is_there() || !strace::is_there() {
        return;
    }
    let Some(bench) = bench() else { return };
    let lock = bench.lock("a", &[("alpha", "1.0")]);
    bench.create(&lock, &[]).ok();
    let [trace, inject] = slowed("openat", 5_000);
    let above = [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        &trace,
        "-e",
        &inject,
    ];
    let release = bench.scratch.path("release");
    let seen = under(&bench.scratch, &above, &["verify", "E"], "clean", &release);
    assert!(is_drawn(&seen, "Comparing files"), "{seen:?}");
    let ended = bench.scratch.rvenv(&["verify", "E"]);
    assert!(!ended.stderr.contains("Comparing"), "{}", ended.stderr);
}
