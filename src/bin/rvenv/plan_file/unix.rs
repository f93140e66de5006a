//! Plan files on Unix: links, pipes, devices, modes and owners.
//!
//! Promises what `../plan_file.rs` does.
//! Read next: that file.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, BufWriter, ErrorKind, Read as _, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{
    FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Gid, OFlags, Uid, XattrFlags};
use tempfile::NamedTempFile;

use super::{Document, Out, STANDARD, directory_of, push};
use crate::signals::Signals;

/// How often signals are checked while waiting for a pipe.
const PAUSE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};
/// After how many of these a message says what is waited for.
const PAUSES_MAX: u32 = 10;
/// As many links as the kernel follows.
const LINKS_MAX: usize = 40;
const ACCESS_LIST: &str = "system.posix_acl_access";

pub(super) fn place(given: &Path) -> io::Result<Out> {
    let meta = match fs::metadata(given) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let at = end_of_links(given)?;
            return Ok(Out::File { at, old: None });
        }
        Err(error) => return Err(error),
    };
    if is_standard_output(&meta) {
        return Ok(Out::Standard);
    }
    if meta.is_dir() {
        return Err(rustix::io::Errno::ISDIR.into());
    }
    if !meta.is_file() {
        return Ok(Out::Stream(given.to_owned()));
    }
    // A file that may not be written may not be replaced either.
    OpenOptions::new().write(true).open(given)?;
    let at = fs::canonicalize(given)?;
    // A descriptor in `/proc` may lead to a file that now has another name, or none.
    if fs::metadata(&at).is_ok_and(|found| is_same(&found, &meta)) {
        let old = Some(meta);
        return Ok(Out::File { at, old });
    }
    Ok(Out::Stream(given.to_owned()))
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Whether this is where standard output leads, as `/dev/stdout` is. A device does not count, since
/// every process may use it.
fn is_standard_output(meta: &Metadata) -> bool {
    let kind = meta.file_type();
    let own = io::stdout().as_fd().try_clone_to_owned();
    let own = own.and_then(|own| File::from(own).metadata());
    !kind.is_block_device() && !kind.is_char_device() && own.is_ok_and(|own| is_same(&own, meta))
}

/// The path where `open` would create a file: the end of links that lead to nothing.
fn end_of_links(given: &Path) -> io::Result<PathBuf> {
    let mut at = given.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&at) {
            Ok(to) => at = directory_of(&at).join(to),
            Err(_) => return Ok(at),
        }
    }
    Err(rustix::io::Errno::LOOP.into())
}

/// Creates the temporary file that becomes the plan, with the mode that `open` gives under the
/// umask.
pub(super) fn temporary(above: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(above)
}

/// Makes a rename in a directory durable.
pub(super) fn sync_directory(above: &Path) -> io::Result<()> {
    File::open(above)?.sync_all()
}

/// Gives a new file the owner, group, mode and access list of the old one, as far as this user may.
pub(super) fn take_after(new: &File, at: &Path, old: &Metadata) -> io::Result<()> {
    let own = new.metadata()?;
    let mut mode = old.mode() & 0o777;
    if own.uid() != old.uid() {
        let _another_users = rustix::fs::fchown(new, Some(Uid::from_raw(old.uid())), None);
    }
    if own.gid() != old.gid()
        && rustix::fs::fchown(new, None, Some(Gid::from_raw(old.gid()))).is_err()
    {
        // Permissions of one group must not pass to another.
        mode &= !0o070 | ((mode & 0o007) << 3);
    }
    new.set_permissions(Permissions::from_mode(mode))?;
    let mut list = vec![0; 1 << 16];
    let Ok(len) = rustix::fs::getxattr(at, ACCESS_LIST, &mut list) else {
        return Ok(());
    };
    list.truncate(len);
    Ok(rustix::fs::fsetxattr(
        new,
        ACCESS_LIST,
        &list,
        XattrFlags::empty(),
    )?)
}

/// Not of the kind `Interrupted`, after which the standard library would try again.
fn interrupted() -> io::Error {
    io::Error::other("interrupted")
}

/// Writes into a pipe or a device; waits for a reader of a pipe.
pub(super) fn write_into(document: Document<'_>, at: &Path, signals: &Signals) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let is_fifo = fs::metadata(at)?.file_type().is_fifo();
    options.write(true).custom_flags(flags());
    let file = loop {
        match options.open(at) {
            // There is no reader yet.
            Err(error) if is_fifo && error.raw_os_error() == Some(NO_READER) => {
                if signals.any() {
                    return Err(interrupted());
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            opened => break opened?,
        }
    };
    let mut stream = BufWriter::new(Patient { file, signals });
    document.write(&mut stream)?;
    stream.flush()
}

/// `ENXIO`.
const NO_READER: i32 = rustix::io::Errno::NXIO.raw_os_error();

/// Opens without waiting for the other end of a pipe, and without making a terminal the controlling
/// one.
fn flags() -> i32 {
    (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed()
}

/// A nonblocking stream; writing waits until it is ready or a signal arrives.
struct Patient<'a> {
    file: File,
    signals: &'a Signals,
}

impl Write for Patient<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.file.write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    wait(&self.file, PollFlags::OUT, self.signals)?;
                }
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Waits until a stream is ready.
fn wait(file: &File, what: PollFlags, signals: &Signals) -> io::Result<()> {
    loop {
        let mut ready = [PollFd::new(file, what)];
        match poll(&mut ready, Some(&PAUSE)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        if signals.any() {
            return Err(interrupted());
        }
    }
}

/// Reads a plan from a file, a pipe or standard input; a signal ends the wait.
pub(super) fn read(
    given: &Path,
    signals: &Signals,
    waits: &mut dyn FnMut(),
) -> io::Result<Vec<u8>> {
    let file = open_input(given)?;
    // This also waits for the first writer of a pipe.
    if !is_ready(&file, signals)? {
        waits();
    }
    read_patiently(&file, signals)
}

/// Whether there is something to read before a user would wonder.
fn is_ready(file: &File, signals: &Signals) -> io::Result<bool> {
    for _ in 0..PAUSES_MAX {
        let mut ready = [PollFd::new(file, PollFlags::IN)];
        match poll(&mut ready, Some(&PAUSE)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
        if signals.any() {
            return Err(interrupted());
        }
    }
    Ok(false)
}

fn open_input(given: &Path) -> io::Result<File> {
    if given.as_os_str() == STANDARD {
        return Ok(io::stdin().as_fd().try_clone_to_owned()?.into());
    }
    OpenOptions::new()
        .read(true)
        .custom_flags(flags())
        .open(given)
}

/// Reads to the end, or to one byte more than a plan may have, which is refused.
fn read_patiently(mut file: &File, signals: &Signals) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        wait(file, PollFlags::IN, signals)?;
        match file.read(&mut piece) {
            Ok(0) => return Ok(bytes),
            Ok(len) => push(&mut bytes, piece.get(..len).unwrap_or_default())?,
            Err(error)
                if [ErrorKind::WouldBlock, ErrorKind::Interrupted].contains(&error.kind()) => {}
            Err(error) => return Err(error),
        }
        if signals.any() {
            return Err(interrupted());
        }
    }
}
