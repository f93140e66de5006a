//! Inherited signal dispositions: the command can wait for its children, a file size limit is an
//! error, and ignored signals stay ignored.
//!
//! A Python in front of the command gives it the dispositions and limits of a daemon, of a batch
//! system, of a script.

use std::fs;
use std::path::Path;

use crate::machine::{Ended, ended, twins};
use crate::sandbox::{Sandbox, sandbox};
use rvenv::EnvBuilder;
use rvenv::checks::{self, Check, CheckFailed, EnvAt};
use rvenv::hooks::Venv;
use rvenv::host::Host;
use rvenv::python::{Control, Request};

/// Ignores the signals that are named, limits the size of files if that is not zero, and becomes
/// the command.
const LAUNCHER: &str = "
import os, resource, signal, sys
for name in ('SIGPIPE', 'SIGXFSZ', 'SIGINT', 'SIGTERM', 'SIGHUP', 'SIGCHLD'):
    signal.signal(getattr(signal, name), signal.SIG_DFL)
for name in sys.argv[1].split():
    signal.signal(getattr(signal, name), signal.SIG_IGN)
limit = int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
os.execv(sys.argv[3], sys.argv[3:])
";

/// The command at this sandbox under the launcher.
fn launched(sandbox: &Sandbox, ignored: &str, limit: u32, words: &[&str]) -> Ended {
    let mut command = sandbox.scratch.program(&sandbox.python.path, "022");
    command
        .args(["-c", LAUNCHER, ignored, &limit.to_string()])
        .arg(env!("CARGO_BIN_EXE_rvenv"))
        .args(words);
    ended(&mut command)
}

/// With a cold cache, so that interpreters are asked, compile, and answer to checks.
#[test]
fn a_command_that_inherits_an_ignored_sigchld_waits_for_its_children() {
    let Some([old, new]) = twins() else { return };
    let (old, new) = (old.path.to_str().unwrap(), new.path.to_str().unwrap());
    let Some(sandbox) = sandbox().map(Sandbox::cold) else {
        return;
    };
    let ignoring = |words: &[&str]| launched(&sandbox, "SIGCHLD", 0, words);
    ignoring(&[
        "create",
        "-p",
        old,
        "--compile-bytecode",
        "--check",
        "true",
        "E",
    ])
    .ok();
    ignoring(&["upgrade", "-p", new, "--check", "true", "E"]).ok();
    ignoring(&["rollback", "--check", "true", "E"]).ok();
    ignoring(&["python", "list"]).ok();
    let said = ignoring(&["create", "-p", new, "--check", "exit 7", "F"]).failed(1);
    assert!(said.contains("`exit 7` failed: exit code 7"), "{said}");
    assert!(!sandbox.path("F").exists());
}

/// The command outlives a closed pipe and a file that is too large; its children end, as other
/// programs expect.
#[cfg(target_os = "linux")]
#[test]
fn a_child_has_the_usual_dispositions() {
    let Some(sandbox) = sandbox().map(Sandbox::cold) else {
        return;
    };
    // SIGPIPE is 13, SIGXFSZ 25; the mask has a bit for each number, from 1 on.
    let check = "ignored=0x$(sed -n 's/^SigIgn:[[:space:]]*//p' /proc/self/status); \
                 test $((ignored & 0x1001000)) -eq 0 || { echo $ignored; exit 1; }";
    for ignored in ["", "SIGPIPE", "SIGXFSZ"] {
        let env = format!("E{ignored}");
        let words = [
            "create",
            "-p",
            sandbox.path_of_python(),
            "--check",
            check,
            &env,
        ];
        launched(&sandbox, ignored, 0, &words).ok();
    }
}

/// As a batch system limits files: the error names the limit, and everything is unchanged.
#[test]
fn a_file_size_limit_is_an_error_that_leaves_nothing() {
    let Some(sandbox) = sandbox().map(Sandbox::cold) else {
        return;
    };
    let python = sandbox.path_of_python();
    // No journal, no script, no part of pip that is larger.
    for limit in [512, 2048, 16_384, 100_000] {
        fs::remove_dir_all(sandbox.scratch.cache()).unwrap();
        let said = launched(&sandbox, "", limit, &["create", "-p", python, "E"]).failed(1);
        assert!(said.contains("File too large"), "{said}");
        let fact = format!("no file of this process may exceed {limit} bytes (`ulimit -f`)");
        assert!(said.contains(&fact), "{said}");
        assert_eq!(sandbox.litter(), [""; 0], "{limit}: {said}");
        fs::create_dir_all(sandbox.scratch.cache()).unwrap();
    }
    sandbox.scratch.rvenv(&["create", "-p", python, "E"]).ok();
    let change: [&[&str]; 2] = [
        &["upgrade", "-p", python, "--prompt", "new", "E"],
        &["create", "-p", python, "--clear", "--prompt", "new", "E"],
    ];
    for words in change {
        let said = launched(&sandbox, "", 512, words).failed(1);
        assert!(said.contains("may exceed 512 bytes"), "{said}");
        sandbox.works("E");
        assert_eq!(sandbox.litter(), ["E"], "{said}");
    }
}

/// As a shell starts what runs in the background, and `nohup` what stays.
#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let Some(sandbox) = sandbox().map(Sandbox::cold) else {
        return;
    };
    for (signal, code) in [("INT", Some(130)), ("TERM", Some(143)), ("HUP", None)] {
        // The check is a child of the command, so that the signal comes while that works.
        let run = |ignored: &str, then: &str| {
            let check = format!("kill -{signal} $PPID; {then}");
            let python = sandbox.path_of_python();
            let words = ["create", "--without-pip", "-p", python, "--check", &check];
            launched(&sandbox, ignored, 0, &[&words[..], &[signal]].concat())
        };
        let ended = run(&format!("SIG{signal}"), "true");
        assert_eq!(ended.code, Some(0), "{signal}: {ended:?}");
        sandbox.works(signal);
        fs::remove_dir_all(sandbox.path(signal)).unwrap();
        let ended = run("", if code.is_some() { "sleep 20" } else { "true" });
        assert_eq!(ended.code, code, "{signal}: {ended:?}");
        sandbox.scratch.rvenv(&["recover", signal]).ok();
        assert!(!sandbox.path(signal).exists(), "{signal}: {ended:?}");
    }
}

/// Names the interpreter in the part of a test that runs in a process which ignores SIGCHLD.
const IGNORES_SIGCHLD: &str = "RVENV_IGNORES_SIGCHLD";

/// The library changes no disposition of the process that it is in: where exit codes are lost,
/// answers count.
#[test]
fn a_library_in_a_process_that_ignores_sigchld_makes_environments() {
    if let Some(python) = std::env::var_os(IGNORES_SIGCHLD) {
        return make_with_the_library(Path::new(&python));
    }
    let Some(sandbox) = sandbox().map(Sandbox::cold) else {
        return;
    };
    let mut command = sandbox.scratch.program(&sandbox.python.path, "022");
    command
        .args(["-c", LAUNCHER, "SIGCHLD", "0"])
        .arg(std::env::current_exe().unwrap())
        .arg("a_library_in_a_process_that_ignores_sigchld_makes_environments")
        .arg("--nocapture")
        .env(IGNORES_SIGCHLD, &sandbox.python.path);
    let said = ended(&mut command).ok();
    assert!(said.contains("1 passed"), "{said}");
    sandbox.works("E");
}

fn make_with_the_library(python: &Path) {
    let host = Host::read().unwrap();
    let builder = EnvBuilder {
        python: Request::Path(python.to_owned()),
        symlinks: true,
        with_pip: true,
        ..EnvBuilder::default()
    };
    builder.create_on(&host, &Venv, "E").unwrap();
    let env = EnvAt::in_dir(&host.cwd.clone().unwrap().join("E"));
    for command in ["true", "exit 7"] {
        let check = Check::Command(command.to_owned());
        let around = &host.surroundings;
        let error = checks::run(&env, &check, around, &Control::default()).unwrap_err();
        assert!(matches!(error, CheckFailed::Lost { .. }), "{error}");
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.map(|mask| u64::from_str_radix(mask.trim(), 16).unwrap());
    assert!(ignored.is_none_or(|mask| mask & 1 << 16 != 0), "{status}");
}
