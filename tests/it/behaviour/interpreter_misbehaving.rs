//! Programs that are not Python, and a Python that hangs, floods its output or leaves children
//! behind.
//!
//! Read next: `interpreter.rs`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::interpreter::{Lab, output};
use rvenv::python::{Control, InterpreterError, Request, find};

#[test]
fn noise_around_the_answer_does_no_harm() {
    let lab = Lab::new();
    let answer = lab.answer("noisy", "3.9.1");
    let python = lab.script(
        "noisy",
        &format!("echo loading...\nprintf 'no newline\\n\\377\\n'\necho '{answer}'\necho bye; echo oops >&2"),
    );
    assert_eq!(lab.ask(python).unwrap().version.text, "3.9.1");
}

#[test]
fn what_is_no_python_is_named_with_the_reason() {
    let lab = Lab::new();
    let check = |path: PathBuf, expect: &str| {
        let error = lab.error(&path);
        assert!(error.contains(expect), "{error}");
        assert!(
            error.contains(path.file_name().unwrap().to_str().unwrap()),
            "{error}"
        );
    };
    check(
        lab.script("silent", "exit 0"),
        "it printed no answer to the probe",
    );
    check(
        lab.script("garbage", "echo 'rvenv-probe-3:{]'"),
        "its answer to the probe is malformed",
    );
    check(
        lab.script(
            "partial",
            r#"echo 'rvenv-probe-3:{"version":{"major":3,"minor":9,"micro":1,"text":"3.9.1"}}'"#,
        ),
        "its answer to the probe is malformed: missing field",
    );
    let escaping = lab
        .answer("escaping", "3.9.1")
        .replace("lib/site", "../out");
    check(
        lab.script("escaping", &format!("echo '{escaping}'")),
        "its layout leaves the environment",
    );
    let relative = lab
        .answer("relative", "3.9.1")
        .replace(lab.path("relative").to_str().unwrap(), "rel");
    check(
        lab.script("relative", &format!("echo '{relative}'")),
        "which is not an absolute path",
    );
    check(
        lab.script("failing", "echo 'it\u{1b}[31m broke' >&2; exit 3"),
        "exit code 3; it said:\n  it\\u{1b}[31m broke",
    );
    check(
        lab.script("crashing", "kill -SEGV $$"),
        "killed by signal 11 (SIGSEGV)",
    );
    check(lab.write("plain", "x"), "ermission denied");
    check(lab.path("bin"), "it is a directory");
    check(lab.path("absent"), "found no usable interpreter for");
    let binary = lab.write("binary", "\0\0\0");
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    check(binary, "xec format error");
}

#[test]
fn endless_output_is_bounded() {
    let mut lab = Lab::new();
    lab.timeout = Duration::from_millis(500);
    let error = lab.error(lab.script("endless", "exec yes"));
    assert!(error.ends_with("did not answer within 0.5 s"), "{error}");
}

#[test]
fn an_interpreter_that_hangs_costs_the_timeout_and_no_more() {
    let mut lab = Lab::new();
    lab.timeout = Duration::from_secs(1);
    let started = Instant::now();
    let error = lab.error(lab.script("hanging", "sleep 600 & wait"));
    assert!(error.ends_with("did not answer within 1 s"), "{error}");
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert!(started.elapsed() < Duration::from_secs(5));
}

/// The state of a process as `/proc` spells it; `None` when there is no such process.
fn state(pid_file: &Path) -> Option<char> {
    let pid = fs::read_to_string(pid_file).unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}

#[test]
fn an_interpreter_that_is_stopped_is_reaped_and_takes_its_children_along() {
    let lab = Lab::new();
    let python = lab.script(
        "hanging",
        "echo $$ > child; sleep 600 & echo $! > grandchild; mv grandchild both; wait",
    );
    let both = lab.path("both");
    let control = Control {
        interrupted: &|| both.exists(),
        ..Control::default()
    };
    let error = find(&Request::Path(python), &lab.around, &control).unwrap_err();
    assert!(
        matches!(error, InterpreterError::Interrupted { .. }),
        "{error}"
    );
    if !Path::new("/proc/self/stat").exists() {
        println!("skipped: no /proc to look at");
        return;
    }
    assert_eq!(state(&lab.path("child")), None);
    // Its new parent reaps the grandchild in its own time; and a signal takes a moment to arrive.
    let dead = || matches!(state(&both), None | Some('Z' | 'X'));
    let started = Instant::now();
    while !dead() && started.elapsed() < Duration::from_secs(5) {
        std::thread::yield_now();
    }
    assert!(dead());
}

#[test]
fn a_grandchild_that_keeps_the_pipes_open_delays_nothing() {
    let lab = Lab::new();
    let answer = lab.answer("leaving", "3.9.1");
    let python = lab.script(
        "leaving",
        &format!("sleep 30 & echo $! > grandchild\necho '{answer}'"),
    );
    let started = Instant::now();
    assert_eq!(lab.ask(python).unwrap().version.text, "3.9.1");
    assert!(started.elapsed() < Duration::from_secs(5));
    let pid = fs::read_to_string(lab.path("grandchild")).unwrap();
    output(Path::new("/bin/kill"), &[pid.trim()]);
}

#[test]
fn an_interrupt_ends_the_wait_and_the_search() {
    let lab = Lab::new();
    let python = lab.script("bin/python3", "echo $$ > child; exec sleep 600");
    lab.fake("bin/python", "3.9.1");
    let control = Control {
        interrupted: &|| lab.path("child").exists(),
        ..Control::default()
    };
    let started = Instant::now();
    let error = find(&Request::Default, &lab.around, &control).unwrap_err();
    assert!(
        matches!(&error, InterpreterError::Interrupted { path } if *path == python),
        "{error}"
    );
    assert!(started.elapsed() < Duration::from_secs(5));
}
