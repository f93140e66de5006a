//! Serves a disk to the kernel: a mount whose root is one regular file, served over `/dev/fuse`.
//!
//! Answers the few requests that a loop device sends for its file. One thread answers one request
//! after the other, so that the log has one order: an answered write comes before every later
//! flush.
//!
//! Does nothing that could wait for the disk that it serves.

use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::sync::Mutex;

use crate::powercut::disk::Disk;

/// The longest write that the kernel may send.
const WRITE_MAX: u32 = 1 << 20;
/// The lengths of the headers of requests and answers.
const REQUEST: usize = 40;
const ANSWER: u32 = 16;

/// The kinds of requests (`linux/fuse.h`).
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const SETATTR: u32 = 4;
const OPEN: u32 = 14;
const READ: u32 = 15;
const WRITE: u32 = 16;
const STATFS: u32 = 17;
const RELEASE: u32 = 18;
const FSYNC: u32 = 20;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const INTERRUPT: u32 = 36;
const DESTROY: u32 = 38;
const BATCH_FORGET: u32 = 42;
const FALLOCATE: u32 = 43;

/// Asynchronous and large reads and writes.
const FEATURES: u32 = 1 | 1 << 5 | 1 << 15 | 1 << 22;
/// The kernel does not cache the file.
const DIRECT_IO: u32 = 1;
/// `PUNCH_HOLE` and `ZERO_RANGE`: what a discard and a zeroing of the loop device become.
const ZEROING: u32 = 0x02 | 0x10;
const REGULAR_FILE: u32 = 0o100_600;
const ENOSYS: i32 = 38;
const EOPNOTSUPP: i32 = 95;

/// An answer to the kernel: an error, nothing, or some bytes; some requests take no answer at all.
type Answer = Option<Result<Vec<u8>, i32>>;

/// Serves a disk until its file is unmounted.
pub(crate) fn serve(mut device: &File, disk: &Mutex<Disk>) {
    let mut request = vec![0; WRITE_MAX as usize + 4096];
    loop {
        let count = match device.read(&mut request) {
            Ok(count) => count,
            Err(error) if is_passing(&error) => continue,
            Err(_) => return,
        };
        let (header, body) = request[..count].split_at(REQUEST);
        let (kind, unique) = (u32_at(header, 4), u64_at(header, 8));
        let Some(answer) = answer(kind, body, disk) else {
            continue;
        };
        let (error, bytes) = match answer {
            Ok(bytes) => (0, bytes),
            Err(error) => (-error, Vec::new()),
        };
        let len = ANSWER + u32::try_from(bytes.len()).unwrap();
        let mut header = len.to_ne_bytes().to_vec();
        header.extend(error.to_ne_bytes());
        header.extend(unique.to_ne_bytes());
        // The kernel refuses the answer to a request that was interrupted meanwhile.
        let parts = [IoSlice::new(&header), IoSlice::new(&bytes)];
        drop(device.write_vectored(&parts));
    }
}

/// Whether the request was withdrawn before it was read: then the next one follows.
fn is_passing(error: &std::io::Error) -> bool {
    let passing = [
        rustix::io::Errno::INTR,
        rustix::io::Errno::NOENT,
        rustix::io::Errno::AGAIN,
    ];
    passing
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn answer(kind: u32, body: &[u8], disk: &Mutex<Disk>) -> Answer {
    let mut disk = disk.lock().unwrap();
    Some(Ok(match kind {
        INIT => hello(body),
        GETATTR | SETATTR => attributes(disk.size),
        OPEN => words(&[0, 0, DIRECT_IO, 0]),
        READ => disk.read(u64_at(body, 8), u32_at(body, 16) as usize),
        WRITE => {
            let len = u32_at(body, 16);
            disk.write(u64_at(body, 8), &body[40..40 + len as usize]);
            words(&[len, 0])
        }
        FSYNC => {
            disk.flush();
            Vec::new()
        }
        FALLOCATE if u32_at(body, 24) & ZEROING == 0 => return Some(Err(EOPNOTSUPP)),
        FALLOCATE => {
            disk.zero(u64_at(body, 8), u64_at(body, 16));
            Vec::new()
        }
        STATFS => vec![0; 80],
        RELEASE | FLUSH | DESTROY => Vec::new(),
        FORGET | BATCH_FORGET | INTERRUPT => return None,
        _ => return Some(Err(ENOSYS)),
    }))
}

/// Version 7.31 of the protocol, with the wanted features that the kernel has.
fn hello(asked: &[u8]) -> Vec<u8> {
    let (readahead, features) = (u32_at(asked, 8), u32_at(asked, 12) & FEATURES);
    let background = 64 | 48 << 16;
    let pages_max = 256;
    let mut said = words(&[
        7, 31, readahead, features, background, WRITE_MAX, 1, pages_max,
    ]);
    said.resize(64, 0);
    said
}

fn attributes(size: u64) -> Vec<u8> {
    let seconds_valid: u64 = 3600;
    let mut said = Vec::new();
    for number in [seconds_valid, 0, 1, size, size / 512, 0, 0, 0] {
        said.extend(number.to_ne_bytes());
    }
    said.extend(words(&[0, 0, 0, REGULAR_FILE, 1, 0, 0, 0, 4096, 0]));
    said
}

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_ne_bytes())
        .collect()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}
