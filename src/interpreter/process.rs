//! The one door to processes: runs an interpreter, for a bounded time and a bounded answer.
//!
//! Promises that when it returns the child has been reaped, that a child which is stopped takes its whole
//! process group with it, and that a grandchild which keeps the pipes open delays nobody: what counts is
//! the end of the child.
//! Does not promise to stop a grandchild that made itself a session of its own.
//!
//! Read next: `probe.rs`, which is the only caller.

use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::discover::{Control, Surroundings};

/// More than any honest answer; the rest is read and dropped.
const STDOUT_MAX: usize = 1 << 20;
/// Enough for the end of a traceback.
const STDERR_MAX: usize = 4096;
/// How often a silent child is looked at.
const TICK: Duration = Duration::from_millis(5);
/// How long pipes may stay silent after the end of the child before nothing more is expected from them.
const GRACE: Duration = Duration::from_millis(100);

/// A child that came to its end by itself.
pub(super) struct Finished {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// Why there is no end to speak of.
pub(super) enum Unfinished {
    NotStarted(io::Error),
    TimedOut,
    Interrupted,
}

/// Runs `program` with these arguments and waits for its end.
pub(super) fn run(
    program: &std::path::Path,
    arguments: &[&str],
    around: &Surroundings,
    control: &Control<'_>,
) -> Result<Finished, Unfinished> {
    let started = Instant::now();
    let mut command = command(program, arguments, around);
    let mut child = loop {
        match command.spawn() {
            Ok(child) => break child,
            // Somebody has the file open for writing: an upgrade in place that is about to end.
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
    let end = listen(&mut child, started, control);
    if end.is_err() {
        stop(&mut child);
    }
    end
}

#[expect(clippy::disallowed_methods, reason = "the one door to processes")]
fn command(program: &std::path::Path, arguments: &[&str], around: &Surroundings) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(
            around
                .environment
                .iter()
                .filter(|(name, _)| harmless(name))
                .cloned(),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // A shim may read a version file there. A working directory that was deleted hinders nobody.
    if around.cwd.is_dir() {
        command.current_dir(&around.cwd);
    }
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

/// Whether a variable may reach the child: none that steers a Python may.
fn harmless(name: &std::ffi::OsStr) -> bool {
    let name = name.as_encoded_bytes();
    !name.starts_with(b"PYTHON") && name != b"__PYVENV_LAUNCHER__"
}

/// One of the two pipes.
#[derive(Clone, Copy)]
enum Pipe {
    Out,
    Err,
}

/// Collects what the child says until it has ended.
fn listen(
    child: &mut Child,
    started: Instant,
    control: &Control<'_>,
) -> Result<Finished, Unfinished> {
    let heard = ears(child);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut status = None;
    let mut last_sign = started;
    loop {
        let closed = match heard.recv_timeout(TICK) {
            Ok((pipe, bytes)) => {
                last_sign = Instant::now();
                match pipe {
                    Pipe::Out => keep(&mut stdout, &bytes, STDOUT_MAX),
                    Pipe::Err => keep(&mut stderr, &bytes, STDERR_MAX),
                }
                false
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        };
        if status.is_none() {
            status = child.try_wait().map_err(Unfinished::NotStarted)?;
            if status.is_some() {
                last_sign = Instant::now();
            }
        }
        if let Some(status) = status
            && (closed || last_sign.elapsed() >= GRACE || started.elapsed() >= control.timeout)
        {
            return Ok(Finished {
                status,
                stdout,
                stderr,
            });
        }
        if (control.interrupted)() {
            return Err(Unfinished::Interrupted);
        }
        if started.elapsed() >= control.timeout {
            return Err(Unfinished::TimedOut);
        }
        if closed {
            // Closed pipes answer at once; the child is on its last steps.
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8], max: usize) {
    let room = max.saturating_sub(kept.len());
    kept.extend(bytes.iter().take(room));
}

/// Starts a reader for each pipe. The channel is disconnected when both pipes are at their end.
fn ears(child: &mut Child) -> Receiver<(Pipe, Vec<u8>)> {
    let (to, heard) = sync_channel(16);
    if let Some(pipe) = child.stdout.take() {
        let to = to.clone();
        thread::spawn(move || relay(pipe, Pipe::Out, &to));
    }
    if let Some(pipe) = child.stderr.take() {
        thread::spawn(move || relay(pipe, Pipe::Err, &to));
    }
    heard
}

/// Passes on what comes through a pipe, to its end or until nobody listens any more.
fn relay(mut pipe: impl Read, name: Pipe, to: &SyncSender<(Pipe, Vec<u8>)>) {
    let mut buffer = vec![0; 8192];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => {
                let bytes = buffer.get(..length).unwrap_or_default().to_vec();
                if to.send((name, bytes)).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Kills the child, and on Unix everything in its process group, and reaps it.
fn stop(child: &mut Child) {
    // Not reaped yet, so that its number cannot have passed to a stranger; errors mean that it is dead.
    #[cfg(unix)]
    {
        let group = rustix::process::Pid::from_child(child);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap_or(());
    }
    drop(child.kill());
    drop(child.wait());
}
