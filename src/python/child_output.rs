//! Both pipes of a child, read without ever blocking on only one of them.
//!
//! Promises that output which a child wrote before its end is read after its end, even on a busy
//! machine. On Unix, a pipe that is empty after the child ended is complete, so no grace time is
//! necessary. Elsewhere a thread reads each pipe, and has a grace time after the end of the child
//! to deliver what it read.
//!
//! Read next: `process.rs`, which uses it.

use std::io::Read;
use std::process::Child;
use std::time::Duration;

#[cfg(unix)]
pub(super) use self::polled::Ears;
#[cfg(not(unix))]
pub(super) use self::threaded::Ears;

/// How long the pipes must be silent after the end of a child before reading stops.
pub(super) const GRACE: Duration = Duration::from_millis(if cfg!(unix) { 0 } else { 250 });

/// One of the two pipes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pipe {
    Out,
    Err,
}

/// The result of one read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sound {
    /// The child wrote something.
    Bytes(Pipe, Vec<u8>),
    /// The child wrote nothing within the time.
    Silence,
    /// Both pipes have ended.
    Closed,
}

/// Bytes per read.
const BUFFER: usize = 8192;

#[cfg(unix)]
mod polled {
    use std::fs::File;
    use std::io::{self, ErrorKind};
    use std::os::fd::OwnedFd;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::{Errno, ioctl_fionbio};

    use super::{BUFFER, Child, Duration, Pipe, Read as _, Sound};

    /// The pipes that are still open, all nonblocking.
    #[derive(Debug)]
    pub(in super::super) struct Ears {
        pipes: Vec<(Pipe, File)>,
    }

    impl Ears {
        /// Takes the pipes of a child.
        ///
        /// # Errors
        /// When a pipe cannot be made nonblocking.
        pub(in super::super) fn of(child: &mut Child) -> io::Result<Self> {
            let out = child.stdout.take().map(|pipe| (Pipe::Out, pipe.into()));
            let err = child.stderr.take().map(|pipe| (Pipe::Err, pipe.into()));
            let mut pipes = Vec::with_capacity(2);
            for (pipe, end) in [out, err].into_iter().flatten() {
                let end: OwnedFd = end;
                ioctl_fionbio(&end, true)?;
                pipes.push((pipe, File::from(end)));
            }
            Ok(Self { pipes })
        }

        /// Reads the next piece of output; waits at most `wait`.
        ///
        /// # Errors
        /// When `poll` fails.
        pub(in super::super) fn hear(&mut self, wait: Duration) -> io::Result<Sound> {
            loop {
                if self.pipes.is_empty() {
                    return Ok(Sound::Closed);
                }
                let Some(at) = self.ready(wait)? else {
                    return Ok(Sound::Silence);
                };
                let Some((pipe, end)) = self.pipes.get_mut(at) else {
                    return Ok(Sound::Silence);
                };
                let mut bytes = vec![0; BUFFER];
                match end.read(&mut bytes) {
                    Ok(0) => drop(self.pipes.remove(at)),
                    Ok(length) => {
                        bytes.truncate(length);
                        return Ok(Sound::Bytes(*pipe, bytes));
                    }
                    Err(error)
                        if matches!(
                            error.kind(),
                            ErrorKind::Interrupted | ErrorKind::WouldBlock
                        ) => {}
                    // A pipe that cannot be read has nothing more to give.
                    Err(_) => drop(self.pipes.remove(at)),
                }
            }
        }

        /// The first pipe that has something to read, or has ended.
        fn ready(&self, wait: Duration) -> io::Result<Option<usize>> {
            let mut polled: Vec<_> = self
                .pipes
                .iter()
                .map(|(_, end)| PollFd::new(end, PollFlags::IN))
                .collect();
            let wait = Timespec::try_from(wait).unwrap_or_default();
            match poll(&mut polled, Some(&wait)) {
                Ok(_) => Ok(polled.iter().position(|end| !end.revents().is_empty())),
                // A signal arrived: the caller checks whether it means an interrupt.
                Err(Errno::INTR) => Ok(None),
                Err(error) => Err(error.into()),
            }
        }
    }
}

#[cfg(not(unix))]
mod threaded {
    use std::io::{self, ErrorKind};
    use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
    use std::thread;

    use super::{BUFFER, Child, Duration, Pipe, Read, Sound};

    /// The receiver of what the reader threads send; it disconnects when both pipes have ended.
    #[derive(Debug)]
    pub(in super::super) struct Ears(Receiver<(Pipe, Vec<u8>)>);

    impl Ears {
        /// Starts a reader for each pipe of a child.
        #[expect(clippy::unnecessary_wraps, reason = "it may fail elsewhere")]
        pub(in super::super) fn of(child: &mut Child) -> io::Result<Self> {
            let (to, heard) = sync_channel(16);
            if let Some(pipe) = child.stdout.take() {
                let to = to.clone();
                thread::spawn(move || relay(pipe, Pipe::Out, &to));
            }
            if let Some(pipe) = child.stderr.take() {
                thread::spawn(move || relay(pipe, Pipe::Err, &to));
            }
            Ok(Self(heard))
        }

        /// Receives the next piece of output; waits at most `wait`.
        #[expect(clippy::unnecessary_wraps, reason = "it may fail elsewhere")]
        pub(in super::super) fn hear(&mut self, wait: Duration) -> io::Result<Sound> {
            Ok(match self.0.recv_timeout(wait) {
                Ok((pipe, bytes)) => Sound::Bytes(pipe, bytes),
                Err(RecvTimeoutError::Timeout) => Sound::Silence,
                Err(RecvTimeoutError::Disconnected) => Sound::Closed,
            })
        }
    }

    /// Sends on what comes through a pipe, to its end or until the receiver is dropped.
    fn relay(mut pipe: impl Read, name: Pipe, to: &SyncSender<(Pipe, Vec<u8>)>) {
        let mut buffer = vec![0; BUFFER];
        loop {
            match pipe.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => {
                    let bytes = buffer.get(..length).unwrap_or_default().to_vec();
                    if to.send((name, bytes)).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// A late reader reads everything, and does not wait for a grandchild that keeps the pipes
    /// open.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a child to be heard")]
    fn what_was_said_is_heard_after_the_end() {
        let mut child = Command::new("sh")
            .args([
                "-c",
                "sleep 60 & echo $!; head -c 50000 /dev/zero; echo bad >&2",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ears = Ears::of(&mut child).unwrap();
        child.wait().unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        loop {
            match ears.hear(GRACE).unwrap() {
                Sound::Bytes(Pipe::Out, bytes) => out.extend(bytes),
                Sound::Bytes(Pipe::Err, bytes) => err.extend(bytes),
                Sound::Silence => break,
                Sound::Closed => panic!("the grandchild has both open"),
            }
        }
        let line = out.iter().position(|byte| *byte == b'\n').unwrap();
        assert_eq!(out.len() - line - 1, 50_000);
        assert_eq!(err, b"bad\n");
        let grandchild = std::str::from_utf8(out.get(..line).unwrap()).unwrap();
        let grandchild = rustix::process::Pid::from_raw(grandchild.parse().unwrap()).unwrap();
        rustix::process::kill_process(grandchild, rustix::process::Signal::KILL).unwrap();
        while ears.hear(Duration::from_secs(10)).unwrap() != Sound::Closed {}
    }
}
