//! One call of the disk: its object, its name, and how its failure is reported.
//!
//! Promises that a name which is not one plain component never reaches the operating system (I6),
//! that a handle of another implementation is refused rather than misread, and that a lock ends
//! with its handle.
//! Does not promise that the name exists.
//! Read next: `unix.rs`, `windows.rs`.

use std::any::Any;
use std::ffi::OsStr;
use std::fs::File;
use std::io;

use crate::fs::{Dir, FsError, Held};

/// What a [`Dir`] or a [`Held`] of this implementation contains: a handle, and its name for
/// messages only.
struct Opened<H> {
    handle: H,
    name: Box<OsStr>,
}

/// Wraps a directory that was opened under `name`.
pub(super) fn dir<H: Any + Send + Sync>(handle: H, name: &OsStr) -> Dir {
    let name = name.into();
    Dir::from_handle(Opened { handle, name })
}

/// A file or directory opened for locking, which unlocks before it closes.
///
/// A close is not enough: a lock ends when the last duplicate of its descriptor is closed, and a
/// process that another thread starts has a duplicate until it executes its program.
struct Lockable(File);

impl Drop for Lockable {
    fn drop(&mut self) {
        // Most handles are not locked, and the close that follows releases all the same.
        let _closed_next = fs4::FileExt::unlock(&self.0);
    }
}

/// Wraps an object that was opened under `name` for locking.
pub(super) fn held(file: File, name: &OsStr) -> Held {
    let (handle, name) = (Lockable(file), name.into());
    Held::from_handle(Opened { handle, name })
}

/// A verb, the handle that it works on, and the name that its failure reports.
#[derive(Debug)]
pub(super) struct Call<'a, H> {
    verb: &'static str,
    pub(super) on: &'a H,
    pub(super) name: &'a OsStr,
}

impl<'a, H: Any> Call<'a, H> {
    /// A verb on one entry of a directory.
    pub(super) fn entry(verb: &'static str, at: &'a Dir, name: &'a OsStr) -> Result<Self, FsError> {
        if !is_component(name) {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "it is not a plain name");
            return Err(failed(verb, name, source));
        }
        let opened: Option<&Opened<H>> = at.handle();
        let on = &opened.ok_or_else(|| foreign(verb, name))?.handle;
        Ok(Self { verb, on, name })
    }

    /// A verb on a directory itself.
    pub(super) fn dir(verb: &'static str, dir: &'a Dir) -> Result<Self, FsError> {
        Self::opened(verb, dir.handle())
    }

    fn opened(verb: &'static str, opened: Option<&'a Opened<H>>) -> Result<Self, FsError> {
        let opened = opened.ok_or_else(|| foreign(verb, OsStr::new("")))?;
        Ok(Self {
            verb,
            on: &opened.handle,
            name: &opened.name,
        })
    }

    /// The error of this verb.
    pub(super) fn failed(&self, source: impl Into<io::Error>) -> FsError {
        failed(self.verb, self.name, source)
    }
}

impl<'a> Call<'a, File> {
    /// A verb on an object held open.
    pub(super) fn held(verb: &'static str, held: &'a Held) -> Result<Self, FsError> {
        let Call { on, name, .. } = Call::<Lockable>::opened(verb, held.handle())?;
        let on = &on.0;
        Ok(Self { verb, on, name })
    }
}

/// The error of a verb at a name.
pub(super) fn failed(verb: &'static str, name: &OsStr, source: impl Into<io::Error>) -> FsError {
    FsError {
        verb,
        // A foreign name may hold control characters, which would forge lines of output.
        name: name.to_string_lossy().escape_debug().to_string(),
        source: source.into(),
    }
}

/// Checks that a prefix becomes a plain component when a random part follows.
pub(super) fn check_prefix(verb: &'static str, prefix: &str) -> Result<(), FsError> {
    if is_component(OsStr::new(&format!("{prefix}x"))) {
        return Ok(());
    }
    let source = io::Error::new(
        io::ErrorKind::InvalidInput,
        "it is not the start of a plain name",
    );
    Err(failed(verb, OsStr::new(prefix), source))
}

fn foreign(verb: &'static str, name: &OsStr) -> FsError {
    let source = io::Error::new(
        io::ErrorKind::InvalidInput,
        "its handle belongs to another disk",
    );
    failed(verb, name, source)
}

/// Whether a name is one plain component.
///
/// It contains no byte that some layer of the system treats specially; on Windows these include
/// `\`, and `:`, which names a drive or a stream of a file.
fn is_component(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    let special =
        |byte: &u8| matches!(byte, b'/' | 0) || (cfg!(windows) && matches!(byte, b'\\' | b':'));
    !matches!(bytes, b"" | b"." | b"..") && !bytes.iter().any(special)
}
