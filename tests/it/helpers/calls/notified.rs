//! The only use of seccomp: runs a command whose calls each wait for an answer.
//!
//! A thread that only starts the command installs the filter, so that the command and its children
//! inherit it, and the test itself does not. All their calls arrive at one listener, one after the
//! other.

use std::ffi::{c_int, c_long};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::process::{Command, Output};
use std::sync::mpsc::channel;
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};

/// A waiting call.
#[derive(Debug)]
pub(super) struct Notice {
    id: u64,
    /// The thread that makes the call.
    pub(super) thread: Pid,
    pub(super) number: c_long,
    pub(super) arguments: [u64; 6],
}

/// The answer to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It runs.
    GoesOn,
    /// It does not run, and fails with this error.
    Fails(c_int),
    /// The process of the thread dies before the call runs.
    Dies,
}

/// A run without a call for this long hangs.
const SILENCE_MAX: Timespec = Timespec {
    tv_sec: 120,
    tv_nsec: 0,
};

/// Runs a command to its end; each of its calls with one of these numbers is judged first.
pub(super) fn run(
    command: &mut Command,
    numbers: &[c_long],
    judge: &mut dyn FnMut(&Notice) -> Verdict,
) -> io::Result<Output> {
    thread::scope(|scope| {
        let (to, from) = channel();
        let starter = scope.spawn(move || {
            let own = rustix::thread::gettid();
            let listener = listen(numbers);
            let failed = listener.is_err();
            to.send(listener.map(|listener| (own, listener)))
                .expect("the other end waits");
            if failed {
                return Err(io::ErrorKind::Unsupported.into());
            }
            command.output()
        });
        let (own, listener) = from.recv().expect("the starter sends before it ends")?;
        loop {
            let notice = match next(&listener)? {
                Next::Waits(notice) => notice,
                Next::Died => continue,
                Next::End => break,
            };
            let verdict = if notice.thread == own {
                Verdict::GoesOn
            } else {
                judge(&notice)
            };
            answer(&listener, &notice, verdict);
        }
        starter.join().expect("starting a command does not panic")
    })
}

/// Installs a filter for this thread and its children; returns the listener for their calls.
fn listen(numbers: &[c_long]) -> io::Result<OwnedFd> {
    // Without this only root may install a filter.
    rustix::thread::set_no_new_privs(true)?;
    let program = program(numbers);
    let program = libc::sock_fprog {
        len: program.len().try_into().expect("a table of some dozens"),
        filter: program.as_ptr().cast_mut(),
    };
    let flags =
        libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    #[expect(unsafe_code, reason = "seccomp has no safe form")]
    // SAFETY: the program and its instructions outlive the call, which only reads them.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    let fd = c_int::try_from(fd).expect("a file descriptor or -1");
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    #[expect(unsafe_code, reason = "seccomp has no safe form")]
    // SAFETY: the kernel made this descriptor for us just now.
    let listener = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok(listener)
}

/// A filter program that notifies about calls with these numbers and allows all others; on another
/// architecture the numbers mean other calls.
fn program(numbers: &[c_long]) -> Vec<libc::sock_filter> {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const JUMP: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    // The offsets of the number and the architecture in `seccomp_data`.
    const NUMBER: u32 = 0;
    const ARCHITECTURE: u32 = 4;
    const X86_64: u32 = 0xC000_003E;
    let instruction = |code: u32, k: u32, (jt, jf): (usize, usize)| libc::sock_filter {
        code: code.try_into().expect("codes have 16 bits"),
        jt: jt.try_into().expect("a table of some dozens"),
        jf: jf.try_into().expect("a table of some dozens"),
        k,
    };
    let count = numbers.len();
    let mut program = vec![
        instruction(LOAD, ARCHITECTURE, (0, 0)),
        instruction(JUMP, X86_64, (0, count + 1)),
        instruction(LOAD, NUMBER, (0, 0)),
    ];
    for (index, number) in numbers.iter().enumerate() {
        let number = (*number).try_into().expect("numbers are small");
        program.push(instruction(JUMP, number, (count - index, 0)));
    }
    program.push(instruction(RETURN, libc::SECCOMP_RET_ALLOW, (0, 0)));
    program.push(instruction(RETURN, libc::SECCOMP_RET_USER_NOTIF, (0, 0)));
    program
}

/// The next event of the listener.
enum Next {
    Waits(Notice),
    /// The caller is dead already, or the wake-up had another cause.
    Died,
    /// No process with the filter is left.
    End,
}

fn next(listener: &OwnedFd) -> io::Result<Next> {
    let mut waited = [PollFd::new(listener, PollFlags::IN)];
    let ready = match poll(&mut waited, Some(&SILENCE_MAX)) {
        Err(rustix::io::Errno::INTR) => return Ok(Next::Died),
        ready => ready?,
    };
    assert_ne!(ready, 0, "the command hangs");
    let [waited] = waited;
    if !waited.revents().contains(PollFlags::IN) {
        return Ok(Next::End);
    }
    let mut heard = libc::seccomp_notif {
        id: 0,
        pid: 0,
        flags: 0,
        data: libc::seccomp_data {
            nr: 0,
            arch: 0,
            instruction_pointer: 0,
            args: [0; 6],
        },
    };
    #[expect(unsafe_code, reason = "seccomp has no safe form")]
    // SAFETY: the listener is open, and the kernel writes one value of the type that the request
    // names.
    let received = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_RECV,
            &raw mut heard,
        )
    };
    if received < 0 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::ENOENT | libc::EINTR) => Ok(Next::Died),
            _ => Err(error),
        };
    }
    let thread = i32::try_from(heard.pid).ok().and_then(Pid::from_raw);
    Ok(thread.map_or(Next::Died, |thread| {
        Next::Waits(Notice {
            id: heard.id,
            thread,
            number: heard.data.nr.into(),
            arguments: heard.data.args,
        })
    }))
}

/// Answers the thread; one that has died meanwhile needs no answer.
fn answer(listener: &OwnedFd, notice: &Notice, verdict: Verdict) {
    let (error, flags) = match verdict {
        Verdict::GoesOn => (0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE),
        Verdict::Fails(error) => (-error, 0),
        Verdict::Dies => {
            // The process of the thread comes from its number.
            let _died_already = kill_process(notice.thread, Signal::KILL);
            return;
        }
    };
    let said = libc::seccomp_notif_resp {
        id: notice.id,
        val: 0,
        error,
        flags: flags.try_into().expect("a flag of 32 bits"),
    };
    #[expect(unsafe_code, reason = "seccomp has no safe form")]
    // SAFETY: the listener is open, and the kernel reads one value of the type that the request
    // names.
    let _sent = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_SEND,
            &raw const said,
        )
    };
}
