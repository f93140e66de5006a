//! Child processes: runs a program, with a limit on its time and on its output. All processes are
//! started here.
//!
//! Promises:
//! - When it returns, the child has been reaped.
//! - Stopping a child also kills its process group.
//! - A grandchild that keeps the pipes open delays nothing: the end of the child is what counts.
//!
//! Does not promise to stop a grandchild that started a session of its own. Does not promise to
//! know how a child ended if this process ignores SIGCHLD or reaps every child elsewhere: then only
//! the end itself is certain.
//!
//! Read next: `child_output.rs`; `probe.rs`, `bytecode.rs`, `resolve/pip.rs` and
//! `build/checks.rs`, which decide what is run.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::child_output::{Ears, GRACE, Pipe, Sound};
use super::passwords::without_passwords;
use super::surroundings::{Control, Surroundings};

/// More than any real answer has; the rest is read and dropped.
const STDOUT_MAX: usize = 1 << 20;
/// More than the bytecode of any one process's sources.
const FILES_MAX: usize = 1 << 30;
/// Enough for the end of a traceback.
const STDERR_MAX: usize = 4096;
/// How many lines of a failure are shown.
const LINES_MAX: usize = 20;
/// How often a silent child is checked.
const TICK: Duration = Duration::from_millis(5);

/// A program to run; nothing else reaches it.
pub(crate) struct Job<'a> {
    pub(crate) program: &'a Path,
    pub(crate) arguments: Vec<&'a OsStr>,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) cwd: &'a Path,
    /// What it reads from its standard input.
    pub(crate) input: Option<Arc<[u8]>>,
    pub(crate) heard: Heard,
}

/// Which part of a child's output is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Standard output, which is an answer, and the beginning of standard error.
    Answer,
    /// As `Answer`, for answers as large as files.
    Files,
    /// The end of both together, as `stderr`: the reason for a failure comes last, and programs
    /// differ in where they print it.
    End,
}

/// A child that ended by itself.
pub(crate) struct Finished {
    pub(crate) status: Status,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// As the system reports it.
    Known(ExitStatus),
    /// Unknown: this process ignores SIGCHLD, or another part of it reaps every child.
    Lost,
}

impl Status {
    /// Whether the child failed. If that is unknown, the caller must check that the output is
    /// complete.
    pub(crate) fn is_failure(self) -> bool {
        matches!(self, Self::Known(status) if !status.success())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(status) => f.write_str(&ending(*status)),
            Self::Lost => f.write_str("its exit code is lost, since this process ignores SIGCHLD"),
        }
    }
}

/// Why a child did not end by itself.
pub(crate) enum Unfinished {
    NotStarted(io::Error),
    TimedOut,
    Interrupted,
}

/// Runs a program and waits for its end.
pub(crate) fn run(job: &Job<'_>, control: &Control<'_>) -> Result<Finished, Unfinished> {
    let started = Instant::now();
    let mut command = command(job);
    let mut child = loop {
        match command.spawn() {
            Ok(child) => break child,
            // Another process has the file open for writing: an upgrade in place that is about to
            // end.
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy
                    && started.elapsed() < control.timeout =>
            {
                if (control.interrupted)() {
                    return Err(Unfinished::Interrupted);
                }
                thread::sleep(TICK);
            }
            Err(error) => return Err(Unfinished::NotStarted(error)),
        }
    };
    feed(&mut child, job.input.clone());
    let end = listen(&mut child, job.heard, started, control);
    if end.is_err() {
        stop(&mut child);
    }
    end
}

#[expect(clippy::disallowed_methods, reason = "the one door to processes")]
fn command(job: &Job<'_>) -> Command {
    let mut command = Command::new(job.program);
    command
        .args(&job.arguments)
        .env_clear()
        .envs(job.environment.iter().map(|(name, value)| (name, value)))
        .stdin(match job.input {
            Some(_) => Stdio::piped(),
            None => Stdio::null(),
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // A shim may read a version file there. A working directory that was deleted must not be an
    // obstacle.
    if job.cwd.is_dir() {
        command.current_dir(job.cwd);
    }
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

/// The variables of the surroundings that may reach an interpreter; none that changes how Python
/// behaves.
pub(crate) fn unsteered(around: &Surroundings) -> Vec<(OsString, OsString)> {
    let harmless = |name: &OsStr| {
        let name = name.as_encoded_bytes();
        !name.starts_with(b"PYTHON") && name != b"__PYVENV_LAUNCHER__"
    };
    let all = around.environment.iter();
    all.filter(|(name, _)| harmless(name)).cloned().collect()
}

/// How a child ended, in words.
#[cfg(unix)]
fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        Some(signal) => {
            let name = match signal {
                2 => " (SIGINT)",
                4 => " (SIGILL)",
                6 => " (SIGABRT)",
                8 => " (SIGFPE)",
                9 => " (SIGKILL)",
                11 => " (SIGSEGV)",
                15 => " (SIGTERM)",
                _ => "",
            };
            format!("killed by signal {signal}{name}")
        }
        None => format!("exit code {}", status.code().unwrap_or(-1)),
    }
}

/// How a child ended, in words.
#[cfg(not(unix))]
fn ending(status: ExitStatus) -> String {
    format!("exit code {}", status.code().unwrap_or(-1))
}

/// The last lines of a child's output, each made safe to print: no control characters.
pub(crate) fn last_lines(said: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(said);
    // A bare carriage return begins a line, too: progress output overwrites itself.
    let mut lines = text.split(['\n', '\r']).map(str::trim_end);
    if said.len() >= STDERR_MAX {
        // The first line may be cut, so that a password in it could not be recognized.
        let _cut = lines.next();
    }
    let mut last: Vec<String> = lines
        .filter(|line| !line.is_empty())
        .rev()
        .take(LINES_MAX)
        .map(|line| printable(&without_passwords(line)))
        .collect();
    last.reverse();
    last
}

/// The last lines of a program's output in the text of an error, each on a line of its own.
pub(crate) struct Lines<'a>(pub(crate) &'a [String]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

/// Text for users on one line: quotes and backslashes unchanged, tabs as blanks, everything else
/// that moves a cursor escaped.
pub(crate) fn printable(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    for c in line.chars() {
        match c {
            '\'' | '"' | '\\' => shown.push(c),
            '\t' => shown.push_str("    "),
            c => shown.extend(c.escape_debug()),
        }
    }
    shown
}

/// Collects the output of the child until it has ended.
fn listen(
    child: &mut Child,
    kept: Heard,
    started: Instant,
    control: &Control<'_>,
) -> Result<Finished, Unfinished> {
    let mut ears = Ears::of(child).map_err(Unfinished::NotStarted)?;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut status = None;
    loop {
        let wait = if status.is_some() { GRACE } else { TICK };
        let sound = ears.hear(wait).map_err(Unfinished::NotStarted)?;
        let is_over = sound == Sound::Closed || (status.is_some() && sound == Sound::Silence);
        if let Sound::Bytes(pipe, bytes) = sound {
            match (kept, pipe) {
                (Heard::Answer, Pipe::Out) => keep(&mut stdout, &bytes, STDOUT_MAX),
                (Heard::Files, Pipe::Out) => keep(&mut stdout, &bytes, FILES_MAX),
                (Heard::Answer | Heard::Files, Pipe::Err) => {
                    keep(&mut stderr, &bytes, STDERR_MAX);
                }
                (Heard::End, Pipe::Out | Pipe::Err) => keep_end(&mut stderr, &bytes),
            }
        }
        if let Some(status) = status
            && (is_over || started.elapsed() >= control.timeout)
        {
            return Ok(Finished {
                status,
                stdout,
                stderr,
            });
        }
        // Output from before the end is still read: the next read of the pipes comes after this
        // check.
        status = end_of(child).map_err(Unfinished::NotStarted)?;
        if (control.interrupted)() {
            return Err(Unfinished::Interrupted);
        }
        if status.is_none() && started.elapsed() >= control.timeout {
            return Err(Unfinished::TimedOut);
        }
        if is_over && status.is_none() {
            // Closed pipes return at once; the child is about to end.
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// How the child ended, if it has.
fn end_of(child: &mut Child) -> io::Result<Option<Status>> {
    match child.try_wait() {
        Ok(status) => Ok(status.map(Status::Known)),
        Err(error) if is_gone(&error) => Ok(Some(Status::Lost)),
        Err(error) => Err(error),
    }
}

/// Whether the child no longer exists: another part of the process, or the system, has reaped it.
#[cfg(unix)]
fn is_gone(error: &io::Error) -> bool {
    rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::CHILD)
}

#[cfg(not(unix))]
fn is_gone(_error: &io::Error) -> bool {
    false
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8], max: usize) {
    let room = max.saturating_sub(kept.len());
    kept.extend(bytes.iter().take(room));
}

fn keep_end(kept: &mut Vec<u8>, bytes: &[u8]) {
    kept.extend(bytes);
    let surplus = kept.len().saturating_sub(STDERR_MAX);
    kept.drain(..surplus);
}

/// Starts a thread that writes the input; a child that stops reading reports the reason itself.
fn feed(child: &mut Child, input: Option<Arc<[u8]>>) {
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        thread::spawn(move || drop(pipe.write_all(&input)));
    }
}

/// Kills the child, and on Unix everything in its process group, and reaps it.
fn stop(child: &mut Child) {
    // The child is not reaped yet, so its process id cannot belong to another process; an error
    // means that it is dead.
    #[cfg(unix)]
    if !matches!(end_of(child), Ok(Some(Status::Lost))) {
        let group = rustix::process::Pid::from_child(child);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap_or(());
    }
    drop(child.kill());
    drop(child.wait());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_cannot_forge_lines_of_rvenv() {
        let many: Vec<String> = (0..50).map(|n| format!("line {n}")).collect();
        let last = last_lines(many.join("\n").as_bytes());
        assert_eq!(last.len(), LINES_MAX);
        assert_eq!(last.last().map(String::as_str), Some("line 49"));
        assert_eq!(
            last_lines(b"\ta 'b' \\ \x1b[2J\xff\n\n \n1 %\r2 %\r\n"),
            ["    a 'b' \\ \\u{1b}[2J\u{fffd}", "1 %", "2 %"]
        );
        let mut kept = Vec::new();
        for _ in 0..100 {
            keep_end(&mut kept, &[b'x'; 100]);
        }
        keep_end(&mut kept, b"end");
        assert_eq!(kept.len(), STDERR_MAX);
        assert!(kept.ends_with(b"xend"));
    }
}
