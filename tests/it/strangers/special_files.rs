//! Special files: a FIFO, a device or a socket where rvenv reads or replaces a file.
//!
//! Opening a FIFO waits for a writer, and a device may have no end. The tests make their own device
//! nodes.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use rustix::fs::{CWD, FileType, Mode, RenameFlags, makedev, mknodat, renameat_with};

use crate::machine::{Ended, ended};
use crate::sandbox::{Sandbox, fifo, sandbox};
use crate::strangers::users::is_root;

const RVENV: &str = env!("CARGO_BIN_EXE_rvenv");
/// Longer than any of these commands takes.
const SECONDS_MAX: &str = "20";
/// The exit code of `timeout` after a timeout.
const TIMED_OUT: Option<i32> = Some(124);

/// What is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Special {
    Fifo,
    /// One that is never read to its end, as `/dev/zero`.
    Device,
    Socket,
}

fn plant(path: &Path, special: Special) {
    let is_dir = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
    let _gone = if is_dir {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match special {
        Special::Fifo => fifo(path),
        Special::Device => {
            let mode = Mode::from_raw_mode(0o666);
            mknodat(CWD, path, FileType::CharacterDevice, mode, makedev(1, 5)).unwrap();
        }
        Special::Socket => drop(UnixListener::bind(path).unwrap()),
    }
}

/// The kinds that this user can make.
fn specials() -> &'static [Special] {
    const ALL: [Special; 3] = [Special::Fifo, Special::Socket, Special::Device];
    if is_root() { &ALL } else { &ALL[..2] }
}

/// A command that has to end by itself.
#[track_caller]
fn within(sandbox: &Sandbox, words: &[&str]) -> Ended {
    let mut command = sandbox.scratch.program(Path::new("timeout"), "022");
    let (verb, rest) = words.split_first().unwrap();
    command
        .args(["-k", "1", SECONDS_MAX, RVENV, verb])
        .args(rest)
        // A repair asks pip for a damaged distribution.
        .env("PIP_NO_INDEX", "1");
    if matches!(*verb, "create" | "plan" | "upgrade") {
        command.args(["--without-pip", "-p", sandbox.path_of_python()]);
    }
    let ended = ended(&mut command);
    assert_ne!(ended.code, TIMED_OUT, "{words:?}");
    assert!(
        ended.code.is_some_and(|code| code < 100),
        "{words:?}: {ended:?}"
    );
    assert!(!ended.stderr.contains("panicked"), "{words:?}: {ended:?}");
    ended
}

/// The first one reads and replaces.
const COMMANDS: [&[&str]; 6] = [
    &["upgrade", "E", "--prompt", "p"],
    &["verify", "E"],
    &["status", "E"],
    &["repair", "E"],
    &["rollback", "E"],
    &["create", "E", "--clear", "--force", "--keep"],
];

/// I6: no command waits for the other end of a FIFO or reads a device, wherever it is.
#[test]
fn no_command_waits_for_a_fifo_or_reads_a_device() {
    let Some(sandbox) = sandbox() else { return };
    let site = sandbox.site_packages("E");
    sandbox.create(&["E"]).ok();
    sandbox.create(&["E", "--clear", "--keep"]).ok();
    let listed = format!("{site}/listed-1.dist-info");
    let places = [
        "E/pyvenv.cfg",
        "E/bin/activate",
        "E/bin/python",
        "E/.gitignore",
        "E/.rvenv/receipt.json",
        "E/.rvenv/journal",
        "E/.rvenv/journal.tmp",
        ".E.rvenv.journal",
        ".E.rvenv.journal.tmp",
        ".E.rvenv.old-1.journal",
        ".E.rvenv.lock",
        ".python-version",
        "pyproject.toml",
        &format!("{site}/started.pth"),
        &format!("{listed}/METADATA"),
        &format!("{listed}/RECORD"),
        &format!("{site}/pip-1.dist-info/RECORD"),
        &format!("{site}/pip/__pycache__/__init__.cpython-312.pyc"),
    ];
    for place in places {
        for special in specials() {
            // Devices and sockets fail the same first check, so a few commands are enough for them.
            let some = match special {
                Special::Fifo => COMMANDS.len(),
                Special::Device => 2,
                Special::Socket => 1,
            };
            for words in COMMANDS.iter().take(some) {
                plant(&sandbox.path(place), *special);
                println!("{special:?} at {place}");
                within(&sandbox, words);
            }
            let _gone = fs::remove_file(sandbox.path(place));
        }
        fs::remove_dir_all(sandbox.path("")).unwrap();
        fs::create_dir(sandbox.path("")).unwrap();
        sandbox.create(&["E"]).ok();
        sandbox.create(&["E", "--clear", "--keep"]).ok();
    }
}

/// I6: an interpreter would read a `.pth` for ever, or as far as the memory goes; a check names it
/// and starts none.
#[test]
fn a_check_does_not_start_an_interpreter_that_would_read_a_special_file() {
    let Some(sandbox) = sandbox() else { return };
    for special in specials() {
        for name in ["started.pth", "sitecustomize.py"] {
            sandbox.create(&["E"]).ok();
            let planted = sandbox.path(&sandbox.site_packages("E")).join(name);
            plant(&planted, *special);
            let changed = ["upgrade", "E", "--prompt", "p", "--check", "true"];
            let said = within(&sandbox, &changed).failed(1);
            assert!(said.contains("is not a regular file"), "{said}");
            assert!(said.contains(name), "{said}");
            fs::remove_file(planted).unwrap();
            within(&sandbox, &changed).ok();
            fs::remove_dir_all(sandbox.path("E")).unwrap();
        }
    }
    // The check imports pip.
    let python = sandbox.path_of_python();
    let run = |words: &[&str]| sandbox.scratch.rvenv(&[words, &["-p", python]].concat());
    run(&["create", "E"]).ok();
    let bytecode = format!("__init__.cpython-3{}.pyc", sandbox.python.version.1);
    let cached = format!("{}/pip/__pycache__/{bytecode}", sandbox.site_packages("E"));
    plant(&sandbox.path(&cached), Special::Fifo);
    let said = run(&["upgrade", "E", "--prompt", "p", "--check", "true"]).failed(1);
    assert!(said.contains("is not a regular file"), "{said}");
}

/// I6: the same where it replaces a file between the check and the read.
#[test]
fn a_file_that_turns_into_a_fifo_is_not_waited_for() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.write(".python-version", "3\n");
    sandbox.write("pyproject.toml", "[project]\nrequires-python = '>=3'\n");
    let names = [".python-version", "pyproject.toml"].map(|name| sandbox.path(name));
    for name in &names {
        fifo(&name.with_extension("fifo"));
    }
    let (over, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for name in &names {
                    let other = name.with_extension("fifo");
                    renameat_with(CWD, name, CWD, other, RenameFlags::EXCHANGE).unwrap();
                    swaps.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let ended: Vec<Option<i32>> = (0..ROUNDS)
            .map(|_| {
                let mut command = sandbox.scratch.program(Path::new("timeout"), "022");
                command.args(["-k", "1", SECONDS_MAX, RVENV, "python", "find"]);
                ended(&mut command).code
            })
            .take_while(|code| *code != TIMED_OUT)
            .collect();
        over.store(true, Ordering::Relaxed);
        assert_eq!(ended.len(), ROUNDS, "one waited for a writer");
    });
    assert!(swaps.into_inner() > ROUNDS as u64, "no attack happened");
}

const ROUNDS: usize = 40;
