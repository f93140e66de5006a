//! Intercepts the system calls of a command: each call that changes a file waits until the test
//! decides about it.
//!
//! Promises one count over all threads and processes of a run, in the order in which the kernel
//! received their calls, and that no process of a killed run changes a file any more. Calls on
//! pipes and devices do not count; calls that only open, read or lock count on request, for files
//! of the lab. Needs Linux on `x86_64` with seccomp notifications (5.19); without them a test
//! prints the reason and skips. Does not see writes to memory-mapped files, nor `io_uring`; the
//! command uses neither.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::collections::BTreeMap;
use std::ffi::{OsStr, c_int};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Pid;

use crate::trees::Ended;

mod notified;
mod table;

use notified::{Notice, Verdict};
use table::{Changes, PathArgument, Row, TABLE};

/// The value of an argument that means the working directory.
const AT_FDCWD: u64 = libc::AT_FDCWD.cast_unsigned() as u64;

/// One call of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// Its number among all counted calls, from 1.
    pub(crate) number: usize,
    pub(crate) kind: &'static str,
    /// Its number among the calls of its kind, from 1.
    pub(crate) nth: usize,
    /// The number of its thread, from 0, in the order of their first calls.
    pub(crate) thread: usize,
    /// The file; of two names, the new one.
    pub(crate) path: PathBuf,
    /// Whether it changes a file, not only reads.
    pub(crate) changes: bool,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    GoesOn,
    /// It fails with this error and does not run.
    Fails(c_int),
    /// The whole run dies before it.
    Kills,
}

/// Which calls count.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counted<'a> {
    /// Calls that change a file.
    Changing,
    /// Also calls that open, read or lock something below this directory.
    Reading(&'a Path),
}

/// Runs a command to its end; `answer` decides about each of its calls.
pub(crate) fn run(
    command: &mut Command,
    counted: Counted<'_>,
    answer: &mut dyn FnMut(&Call) -> Answer,
) -> Ended {
    let rows: Vec<&Row> = TABLE
        .iter()
        .filter(|row| row.changes != Changes::Never || matches!(counted, Counted::Reading(_)))
        .collect();
    let numbers: Vec<_> = rows.iter().map(|row| row.number).collect();
    let mut count = Count {
        counted,
        number: 0,
        kinds: BTreeMap::new(),
        threads: Vec::new(),
    };
    let mut is_killed = false;
    let output = notified::run(command, &numbers, &mut |notice| {
        let row = rows.iter().find(|row| row.number == notice.number);
        let call = row.and_then(|row| count.take(row, notice));
        let Some(call) = call else {
            return Verdict::GoesOn;
        };
        // Each remaining process of a killed run dies at its next call.
        let what = if is_killed {
            Answer::Kills
        } else {
            answer(&call)
        };
        match what {
            Answer::GoesOn => Verdict::GoesOn,
            Answer::Fails(error) => Verdict::Fails(error),
            Answer::Kills => {
                is_killed = true;
                Verdict::Dies
            }
        }
    });
    output.unwrap().into()
}

/// Whether calls can be intercepted here; prints the reason if not.
pub(crate) fn are_met() -> bool {
    let mut calls = 0;
    let mut command = Command::new("mkdir");
    command.arg("-p").arg(env!("CARGO_TARGET_TMPDIR"));
    let numbers: Vec<_> = TABLE.iter().map(|row| row.number).collect();
    let ended = notified::run(&mut command, &numbers, &mut |_| {
        calls += 1;
        Verdict::GoesOn
    });
    let are_met = ended.is_ok() && calls > 0;
    if !are_met {
        println!("skipped: this kernel hands no system calls over");
    }
    are_met
}

/// The calls of an undisturbed run, which must succeed.
pub(crate) fn list(command: &mut Command, counted: Counted<'_>) -> Vec<Call> {
    let mut calls = Vec::new();
    let ended = run(command, counted, &mut |call| {
        calls.push(call.clone());
        Answer::GoesOn
    });
    assert_eq!(ended.code, Some(0), "{}", ended.story);
    calls
}

/// Runs a command and gives this answer to the call with this number; returns that call, if the run
/// gets so far.
pub(crate) fn meet(command: &mut Command, number: usize, what: Answer) -> (Option<Call>, Ended) {
    let mut met = None;
    let ended = run(command, Counted::Changing, &mut |call| {
        if call.number == number {
            met = Some(call.clone());
            return what;
        }
        Answer::GoesOn
    });
    (met, ended)
}

/// The counts so far.
struct Count<'a> {
    counted: Counted<'a>,
    number: usize,
    kinds: BTreeMap<&'static str, usize>,
    threads: Vec<Pid>,
}

impl Count<'_> {
    /// The call, if it is one that counts.
    fn take(&mut self, row: &Row, notice: &Notice) -> Option<Call> {
        let argument = |index: usize| notice.arguments.get(index).copied().unwrap_or_default();
        let changes = match row.changes {
            Changes::Always => true,
            Changes::Never => false,
            Changes::ByFlags(at) => opens_to_change(argument(at)),
            Changes::ByFlagsAt(at) => {
                opens_to_change(memory(notice.thread, argument(at)).unwrap_or_default())
            }
            Changes::ByClone => [0x4004_9409, 0x4020_940D].contains(&argument(1)),
        };
        let opened = |argument: u64| opened(notice.thread, argument);
        let path = match row.place {
            PathArgument::Path(at) => {
                let from = opened(AT_FDCWD);
                named(notice.thread, &from, argument(at))
            }
            PathArgument::At(dir, at) => named(notice.thread, &opened(argument(dir)), argument(at)),
            PathArgument::Open(at) => opened(argument(at)),
        };
        let is_of_system =
            path.starts_with("/dev") && !path.starts_with("/dev/shm") || path.starts_with("/proc");
        let is_file = path.starts_with("/") && !is_of_system;
        let counts = match self.counted {
            Counted::Changing => changes && is_file,
            Counted::Reading(home) => is_file && (changes || path.starts_with(home)),
        };
        if !counts {
            return None;
        }
        self.number += 1;
        let nth = self.kinds.entry(row.name).or_default();
        *nth += 1;
        let known = self
            .threads
            .iter()
            .position(|known| *known == notice.thread);
        let thread = known.unwrap_or_else(|| {
            self.threads.push(notice.thread);
            self.threads.len() - 1
        });
        Some(Call {
            number: self.number,
            kind: row.name,
            nth: *nth,
            thread,
            path,
            changes,
        })
    }
}

/// Whether these flags of `open` allow to change or create a file.
fn opens_to_change(flags: u64) -> bool {
    let changing = libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC;
    let changing = u64::try_from(changing).expect("flags are positive");
    flags & changing != 0
}

/// Eight bytes of the memory of the waiting process.
fn memory(thread: Pid, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    let memory = fs::File::open(format!("/proc/{thread}/mem")).ok()?;
    memory.read_exact_at(&mut bytes, address).ok()?;
    Some(u64::from_ne_bytes(bytes))
}

/// The file descriptor in an argument: an `int`, so the upper half has no meaning.
fn descriptor(argument: u64) -> c_int {
    let lower = u32::try_from(argument & u64::from(u32::MAX)).expect("32 bits");
    lower.cast_signed()
}

/// The working directory, or the file of an open descriptor; the names of pipes and sockets are not
/// paths.
fn opened(thread: Pid, argument: u64) -> PathBuf {
    let number = descriptor(argument);
    let link = if number == libc::AT_FDCWD {
        format!("/proc/{thread}/cwd")
    } else {
        format!("/proc/{thread}/fd/{number}")
    };
    fs::read_link(link).unwrap_or_default()
}

/// The file that a path in the memory of the process names, relative to `from`.
fn named(thread: Pid, from: &Path, address: u64) -> PathBuf {
    let mut bytes = vec![0; 4096];
    let memory = fs::File::open(format!("/proc/{thread}/mem"));
    let len = memory.and_then(|memory| memory.read_at(&mut bytes, address));
    bytes.truncate(len.unwrap_or_default());
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    from.join(OsStr::from_bytes(text))
}
