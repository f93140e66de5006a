//! Plan files: where `plan --out` writes, and what `apply` reads.
//!
//! Promises that a regular file, or a name at which nothing is, is replaced in one rename after an fsync, also at the end
//! of a link, with the mode, owner, group and access list that it had, or those that `open` gives under the umask; that
//! pipes and devices are written into, and never replaced; and that no more is read than a plan may have. A signal ends
//! the wait for a pipe.
//! Does not promise that what was written into a pipe or a device can be taken back.
//!
//! On disk meanwhile: a temporary file beside the one that is replaced; a crash may leave it.
//! Read next: `change.rs`, whose commands use this.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, BufWriter, ErrorKind, Read as _, Write};
use std::os::unix::fs::{
    FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Gid, OFlags, Uid, XattrFlags};
use rvenv::render::escape;
use rvenv_journal::{PLAN_BYTES_MAX, Plan, counted};

use super::signals::Signals;
use crate::error::{CliError, Exit, State, interruption};

/// The name of standard input and of standard output.
const STANDARD: &str = "-";
/// How often a signal is looked for while a pipe is waited for.
const PAUSE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};
/// Links from one to the next that are followed, as the kernel has it.
const LINKS_MAX: usize = 40;
const ACCESS_LIST: &str = "system.posix_acl_access";

/// Where a plan goes.
#[derive(Debug)]
pub(super) enum Out {
    /// To standard output, as data.
    Standard,
    /// To a regular file, or a name at which nothing is.
    File {
        /// Where it is, behind any links.
        at: PathBuf,
        /// The file that is there.
        old: Option<Metadata>,
    },
    /// Into a pipe or a device.
    Stream(PathBuf),
}

impl Out {
    /// Where `given` leads.
    pub(super) fn of(given: &Path) -> Result<Self, CliError> {
        if given.as_os_str() == STANDARD {
            return Ok(Self::Standard);
        }
        place(given).map_err(|error| not_saved(given, &error).leaving(State::PlanNotSaved))
    }

    /// Saves a plan there; one for standard output is not written here.
    pub(super) fn save(
        &self,
        plan: &Plan,
        given: &Path,
        signals: &Signals,
    ) -> Result<(), CliError> {
        let (saved, state) = match self {
            Self::Standard => return Ok(()),
            Self::File { at, old } => (replace(plan, at, old.as_ref()), State::PlanNotSaved),
            Self::Stream(at) => (write_into(plan, at, signals), State::PlanHalfWritten),
        };
        saved.map_err(|error| {
            let mut told = not_saved(given, &error).leaving(state);
            if signals.any() {
                told.exit = interruption(signals.terminated());
            }
            told
        })
    }
}

/// Reads a saved plan from a file, a pipe or standard input, up to the size that a plan may have.
pub(super) fn read(given: &Path, signals: &Signals) -> Result<Vec<u8>, CliError> {
    let is_standard = given.as_os_str() == STANDARD;
    let shown = shown_input(given);
    let bytes = open_input(given)
        .and_then(|file| read_patiently(&file, signals))
        .map_err(|error| {
            let message = format!("cannot read the plan from {shown}");
            if signals.any() {
                return CliError::new(interruption(signals.terminated()), message).because(&error);
            }
            CliError::new(Exit::Failed, message)
                .because(&error)
                .hint("make one with `rvenv plan -o FILE`")
        })?;
    if bytes.is_empty() {
        let hint = if is_standard {
            "see what the command before the pipe says: it printed no plan"
        } else {
            "make one with `rvenv plan -o FILE`"
        };
        let message = format!("{shown} is not a plan that can be applied");
        let empty = io::Error::new(ErrorKind::UnexpectedEof, "it is empty");
        return Err(CliError::new(Exit::Failed, message)
            .because(&empty)
            .hint(hint));
    }
    Ok(bytes)
}

/// What a plan is read from, for people.
pub(super) fn shown_input(given: &Path) -> String {
    if given.as_os_str() == STANDARD {
        "standard input".to_owned()
    } else {
        format!("`{}`", escape(&given.to_string_lossy()))
    }
}

fn not_saved(given: &Path, error: &io::Error) -> CliError {
    let shown = escape(&given.to_string_lossy());
    CliError::new(Exit::Failed, format!("cannot save the plan to `{shown}`"))
        .because(error)
        .hint("name a file in a directory that is there and writable")
}

/// Not of the kind `Interrupted`, which the standard library tries again.
fn interrupted() -> io::Error {
    io::Error::other("interrupted")
}

fn place(given: &Path) -> io::Result<Out> {
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
    // What may not be written to may not be replaced either.
    OpenOptions::new().write(true).open(given)?;
    let at = fs::canonicalize(given)?;
    // A descriptor in `/proc` may lead to a file that has another name by now, or none.
    if fs::metadata(&at).is_ok_and(|found| is_same(&found, &meta)) {
        let old = Some(meta);
        return Ok(Out::File { at, old });
    }
    Ok(Out::Stream(given.to_owned()))
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Whether this is what standard output leads to, as `/dev/stdout` is; a device is there for all.
fn is_standard_output(meta: &Metadata) -> bool {
    let kind = meta.file_type();
    let own = rustix::fs::fstat(io::stdout());
    !kind.is_block_device()
        && !kind.is_char_device()
        && own.is_ok_and(|own| (own.st_dev, own.st_ino) == (meta.dev(), meta.ino()))
}

/// Where a file would be made by `open`: at the end of links that lead to nothing.
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

fn directory_of(file: &Path) -> &Path {
    match file.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        Some(_) | None => Path::new("."),
    }
}

/// Replaces a file whole or not at all: another process may be about to apply the former plan.
fn replace(plan: &Plan, at: &Path, old: Option<&Metadata>) -> io::Result<()> {
    let above = directory_of(at);
    let mut temp = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(above)?;
    plan.write_json(BufWriter::new(&mut temp))?;
    if let Some(old) = old {
        take_after(temp.as_file(), at, old)?;
    }
    temp.as_file().sync_all()?;
    temp.persist(at).map_err(|error| error.error)?;
    File::open(above)?.sync_all()
}

/// Gives a new file the owner, group, mode and access list of the old one, as far as this user may.
fn take_after(new: &File, at: &Path, old: &Metadata) -> io::Result<()> {
    let own = new.metadata()?;
    let mut mode = old.mode() & 0o777;
    if own.uid() != old.uid() {
        let _another_users = rustix::fs::fchown(new, Some(Uid::from_raw(old.uid())), None);
    }
    if own.gid() != old.gid()
        && rustix::fs::fchown(new, None, Some(Gid::from_raw(old.gid()))).is_err()
    {
        // What was for one group is not for another.
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

/// Writes into a pipe or a device, once a pipe has a reader.
fn write_into(plan: &Plan, at: &Path, signals: &Signals) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let is_fifo = fs::metadata(at)?.file_type().is_fifo();
    options.write(true).custom_flags(flags());
    let file = loop {
        match options.open(at) {
            // Nobody reads yet.
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
    plan.write_json(&mut stream)?;
    stream.flush()
}

/// `ENXIO`.
const NO_READER: i32 = rustix::io::Errno::NXIO.raw_os_error();

/// Neither waits for the other end of a pipe, nor lets a terminal become this process's own.
fn flags() -> i32 {
    (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed()
}

/// A stream that does not block, waited for until a signal comes.
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

fn open_input(given: &Path) -> io::Result<File> {
    use std::os::fd::AsFd as _;
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
        // Also before a pipe has its first writer.
        wait(file, PollFlags::IN, signals)?;
        match file.read(&mut piece) {
            Ok(0) => return Ok(bytes),
            Ok(len) => bytes.extend_from_slice(piece.get(..len).unwrap_or_default()),
            Err(error)
                if [ErrorKind::WouldBlock, ErrorKind::Interrupted].contains(&error.kind()) => {}
            Err(error) => return Err(error),
        }
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > PLAN_BYTES_MAX {
            let most = counted(PLAN_BYTES_MAX, "byte");
            let what = format!("it has more than the {most} that a plan may have");
            return Err(io::Error::new(ErrorKind::FileTooLarge, what));
        }
        if signals.any() {
            return Err(interrupted());
        }
    }
}
